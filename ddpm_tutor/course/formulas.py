r"""Formulas: from the Unicode of lessons, `√ᾱ_t x_0`, to LaTeX, `\sqrt{\bar{\alpha}_{t}} x_{0}`.

The Unicode line is the only source. Its LaTeX is a subset that matplotlib's mathtext takes as well
as MathJax and KaTeX. A fraction, a root or an accent spans just what the line says: the meaning
stays.
"""

import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace

SIGNS = {
    "α": r"\alpha", "β": r"\beta", "δ": r"\delta", "ε": r"\varepsilon", "η": r"\eta",
    "θ": r"\theta", "λ": r"\lambda", "μ": r"\mu", "π": r"\pi", "σ": r"\sigma", "τ": r"\tau",
    "Δ": r"\Delta", "Σ": r"\sum", "Π": r"\prod", "∫": r"\int", "∇": r"\nabla", "∞": r"\infty",
    "½": r"\frac{1}{2}", "·": r"\cdot", "±": r"\pm", "×": r"\times", "≈": r"\approx",
    "≤": r"\leq", "≥": r"\geq", "∝": r"\propto", "~": r"\sim", "→": r"\rightarrow",
    "←": r"\leftarrow", "‖": r"\Vert", "∥": r"\Vert", "...": r"\ldots",
    "{": r"\{", "}": r"\}", "+": "+", "-": "-", "=": "=", "<": "<", ">": ">", ",": ",",
    ";": ";", ":": "{:}", ".": ".", "?": "?", "'": "'", "[": "[", "]": "]", "(": "(", ")": ")",
    "/": "/", "|": "|", "√": "",
}  # fmt: skip
ACCENTS = {"\u0304": r"\bar", "\u0303": r"\tilde", "\u0302": r"\hat"}
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
# what is written upright and takes what stands behind it: it is no factor of a product
NAMES = {name: rf"\{name}" for name in ("log", "ln", "cos")} | {
    "log2": r"\log_2", "softmax": r"\mathrm{softmax}", "KL": r"\mathrm{KL}",
    "Var": r"\mathrm{Var}", "Cov": r"\mathrm{Cov}",
}  # fmt: skip
TEXT, BEFORE_WORDS = r"\text{", (",", ";", "{:}", ".")
LARGE = (r"\sum", r"\prod", r"\int", r"\mathbb")
TAKES = {*NAMES, "Σ", "Π", "∫", "∇"}
CLOSING = {"(": ")", "[": "]", "{": "}", "|": "|", "‖": "‖"}
TOKEN = re.compile(
    r"(?P<space>\s*)(?:"
    r"(?P<sub>_(?:\{[^{}]*\}|[^\W_⁰-⁹²³¹]+(?::[^\W_⁰-⁹²³¹]+)?))"
    r"|(?P<sup>[⁰-⁹²³¹]+|\^-?[^\W_]+|'+)"
    r"|(?P<number>\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?)"
    r"|(?P<word>log2|(?:Eqs?|Alg|Fig)\.|d(?=[xτσ])|[A-Za-z]+[-A-Za-z]*[A-Za-z]|[A-Za-z])(?P<accent>[\u0302-\u0304]?)"
    r"|(?P<greek>[αβδεηθλμπστΔΣΠ∫∇∞½])(?P<mark>[\u0302-\u0304]?)"
    r"|(?P<sign>\.\.\.|\|\||.))"
)
# a minus before a number, a root or a symbol (it may be drawn); no dash of an option or a word
MINUS = re.compile(r"(?<![\w)\]}\-])-(?=\d|log|√|[^\x00-\x7f]|[A-Za-z]_|\Z)")
WORD = re.compile(r"(?<![\w.{])(?!(?:log2?|ln|cos|KL)\b)[A-Za-z]{2,}\b")


class Untranslatable(ValueError):
    """A sign that the notation does not have."""


@dataclass(frozen=True)
class Token:
    """A piece of a line: its kind, its text, and whether a blank stands before it."""

    kind: str
    text: str
    space: bool
    accent: str = ""


@dataclass(frozen=True)
class Item:
    """A part that is translated: its LaTeX, and what it is in a product."""

    latex: str
    kind: str = "factor"  # or "sign", "name" or "text"
    bare: str = ""  # without the brackets around all of it
    space: bool = False


def _tokens(text: str) -> list[Token]:
    found = []
    for match in TOKEN.finditer(unicodedata.normalize("NFD", text.strip())):
        kind = match.lastgroup or ""
        kind = {"accent": "word", "mark": "greek"}.get(kind, kind)
        text, accent = match[kind], match["accent"] or match["mark"] or ""
        text = {"||": "‖", "∥": "‖"}.get(text, text)
        if kind == "sign" and text not in SIGNS:
            raise Untranslatable(f"No formula has the sign {text!r}.")
        found.append(Token(kind, text, bool(match["space"]), accent))
    return found


class _Reader:
    """Reads the tokens of one formula, by recursive descent.

    Args:
        fractions: whether a slash makes a fraction; in a line of words it stays a slash.
    """

    def __init__(self, tokens: list[Token], fractions: bool) -> None:
        self.tokens, self.at, self.fractions = tokens, 0, fractions

    def next(self, ahead: int = 0) -> Token:
        """The token to come; an empty one at the end."""
        at = self.at + ahead
        return self.tokens[at] if 0 <= at < len(self.tokens) else Token("end", "", True)

    def sequence(self, end: int) -> str:
        """All up to the token `end`: factors, signs and words; a slash makes a fraction."""
        items: list[Item] = []
        while self.at < end:
            if self.fractions and self.next().text == "/" and self._makes_fraction(items, end):
                continue
            items.append(self.item(end, items))
        return _joined(items)

    def _makes_fraction(self, items: list[Item], end: int) -> bool:
        """Puts what stands before the slash, and the factor behind it, into a fraction.

        With blanks around it, a slash divides the whole product before it; else the last factor.
        Not where words stand beside it: they may belong to the same product.
        """
        slash, begun = self.next(), self.at
        count = 0
        while count < len(items) and items[-1 - count].kind == "factor":
            count += 1
        beside_words = slash.space and count < len(items) and items[-1 - count].kind == "text"
        if not slash.space:
            count = min(count, 1)
        self.at += 1
        below = [self.item(end, [])] if self.at < end else []
        while below and below[-1].latex in ("d", "2") and not self.next().space:
            below.append(self.item(end, below))
        wordy = slash.space and self._is_text(self.next()) and self.at < end
        if not count or beside_words or wordy or not all(i.kind == "factor" for i in below):
            self.at = begun
            return False
        above = items[-count:]
        del items[-count:]
        fraction = rf"\frac{{{_plain(above)}}}{{{_plain(below)}}}"
        items.append(Item(fraction, space=above[0].space))
        return True

    def item(self, end: int, before: list[Item]) -> Item:
        """The next factor, sign or word, and whether a blank stands before it."""
        space = self.next().space
        return replace(self._item(end, before), space=space)

    def _item(self, end: int, before: list[Item]) -> Item:
        token = self.next()
        if (closing := self._closing(end, before)) is not None:
            return self._group(closing)
        self.at += 1
        if token.text == "√" and self.at < end:
            return Item(rf"\sqrt{{{_plain([self._factor_of_root(end)])}}}")
        if token.kind == "number":
            return Item(self._scripted(token.text.replace(",", "{,}")))
        if token.kind == "sup" or token.kind == "sub":
            return Item(_script(token))
        if self._is_text(token, before):
            return Item(rf"{TEXT}{token.text}}}" + self._scripts(), "text")
        if token.kind in ("word", "greek"):
            return self._symbol(token, end)
        if token.text == "|" and token.space == self.next().space:
            return Item(r"\mid", "sign")
        if token.text == "/" and token.space:
            return Item(r"\;/\;", "sign")
        return Item(SIGNS[token.text], "sign")

    def _factor_of_root(self, end: int) -> Item:
        """What a root spans: brackets, or one symbol with its index, but no brackets behind it."""
        if (closing := self._closing(end, [])) is not None:
            return self._group(closing)
        token = self.next()
        self.at += 1
        return Item(self._scripted(_letter(token, self.next())))

    def _symbol(self, token: Token, end: int) -> Item:
        """A letter or a name, with its index and power, and its arguments in brackets."""
        ahead = [self.next(n) for n in range(2)]
        tight = not any(following.space for following in ahead)
        if token.text == "δ" and tight and ahead[0].text in "+-±" and ahead[1].text == "(":
            self.at += 1  # the bounds of a bin, δ+ and δ-
            return self._called(rf"\delta_{{{SIGNS[ahead[0].text]}}}", end)
        letter = _letter(token, self.next())
        if token.text in "NE" and self.next().text[:1] in ("_", "(", "[", "‖", "Σ"):
            letter = {"N": r"\mathcal{N}", "E": r"\mathbb{E}"}[token.text]
        name = self._scripted(letter)
        called = self._called(name, end)
        takes = token.text in TAKES or letter == r"\mathbb{E}"
        return Item(called.latex, "name" if takes and called.latex == name else "factor")

    def _called(self, name: str, end: int) -> Item:
        """A name with the arguments that stand in brackets right behind it, if any do."""
        closing = self._closing(end, []) if self.next().text in ("(", "[") else None
        if closing is None or self.next().space:
            return Item(name)
        return Item(name + self._group(closing).latex)

    def _closing(self, end: int, before: list[Item]) -> int | None:
        """Where the bracket that comes next is closed; None if it is none, or stays open."""
        opening = self.next()
        if opening.text not in CLOSING or (opening.text in "|‖" and self.next(1).space):
            return None
        if opening.text in "|‖" and before and before[-1].kind == "factor" and not opening.space:
            return None  # p(a|b)
        depth = 0
        for at in range(self.at + 1, end):
            token = self.tokens[at]
            shuts = token.text == CLOSING[opening.text] and not depth
            if shuts and (opening.text in "([{" or not token.space):
                return at
            depth += (token.text in "([{") - (token.text in ")]}") if token.kind == "sign" else 0
            if depth < 0:
                return None
        return None

    def _group(self, closing: int) -> Item:
        opening, shut = self.next().text, self.tokens[closing].text
        self.at += 1
        inside = self.sequence(closing)
        self.at = closing + 1
        large = r"\frac" in inside
        left, right = SIGNS[opening], SIGNS[shut]
        whole = rf"\left{left} {inside} \right{right}" if large else f"{left}{inside}{right}"
        if opening == "‖" and not large:
            whole = rf"{left} {inside} {right}"
        scripts = self._scripts()
        return Item(whole + scripts, bare=inside if opening == "(" and not scripts else "")

    def _scripted(self, letter: str) -> str:
        return letter + self._scripts()

    def _scripts(self) -> str:
        """The index and the power that stand right behind a symbol."""
        found = ""
        while self.next().kind in ("sub", "sup") and not self.next().space:
            found += _script(self.next())
            self.at += 1
        return found

    def _is_text(self, token: Token, before: list[Item] | None = None) -> bool:
        """Whether it is a word; `a` is one before another, but not behind a sign."""
        if token.kind != "word" or token.accent or token.text in NAMES:
            return False
        if token.text == "a" and before is not None:
            follows = self._is_text(self.next()) and self.next().space
            return follows and (not before or before[-1].kind == "text")
        return len(token.text) > 2 or (len(token.text) == 2 and self.next().kind != "sub")


def _letter(token: Token, following: Token) -> str:
    """The LaTeX of a letter, a name or a sign, with its accent."""
    letter = NAMES.get(token.text) or SIGNS.get(token.text) or token.text
    if token.text == "Σ" and following.text == "_θ":
        letter = r"\Sigma"  # the covariance, no sum
    return rf"{ACCENTS[token.accent]}{{{letter}}}" if token.accent else letter


def _script(token: Token) -> str:
    """An index or a power; behind a product sign `t=1..T` are its bounds."""
    if token.text.startswith("'"):
        return token.text
    if token.kind == "sup":
        return f"^{{{token.text.removeprefix('^').translate(RAISED)}}}"
    inside = token.text[1:].removeprefix("{").removesuffix("}")
    first, bounds, last = inside.partition("..")
    if bounds:
        return f"_{{{latex(first)}}}^{{{latex(last)}}}"
    if re.fullmatch(r"[A-Za-z]{2,}", inside):
        return rf"_{{\mathrm{{{inside}}}}}"
    return f"_{{{latex(inside)}}}"


def _plain(items: list[Item]) -> str:
    """Items in a fraction or a root, which need no brackets around all of them."""
    return items[0].bare if len(items) == 1 and items[0].bare else _joined(items)


def _joined(items: list[Item]) -> str:
    r"""One line of LaTeX; words next to each other are one `\text`, with blanks around it."""
    parts: list[str] = []
    before = Item("", "sign")
    for item in items:
        if item.kind == "text" and before.kind == "text" and parts[-1].endswith("}"):
            parts[-1] = f"{parts[-1][:-1]} {item.latex.removeprefix(TEXT)}"
        else:
            blank = item.space and (before.kind != "sign" or before.latex in BEFORE_WORDS)
            words = "text" in (item.kind, before.kind) and (item.kind != "sign")
            words = words or before.latex == "{:}"
            parts += [r"\,"] * (before.kind == "name" and before.latex.startswith(LARGE))
            parts += [r"\ "] * (words and blank) + [item.latex]
        before = item
    return re.sub(r" (?=[),\];])|(?<=[(\[]) ", "", " ".join(parts))


def latex(formula: str, fractions: bool = True) -> str:
    """The LaTeX of one formula, without the columns and the number of a line.

    Args:
        fractions: whether a slash makes a fraction.

    Raises:
        Untranslatable: it has a sign that the notation does not have.
    """
    tokens = _tokens(formula)
    return _Reader(tokens, fractions).sequence(len(tokens))


def inline(code: str) -> str | None:
    r"""The LaTeX of what stands in backticks within prose; None where it is code, or a command.

    It is a formula where it has a sign of mathematics, or letters alone. What a learner may type,
    such as `T = 50`, is code.
    """
    if re.fullmatch(r"[A-Za-z] = [-\d.]+", code):
        return None
    letters = re.sub(r"_(\{[^}]*\}|\w+)", "", code)
    signs = re.search(r"[^\W\d_a-zA-Z]|[√∫∇½²·‖≈≤∝→←]", code)
    named = re.search(r"(?<![\w.])[A-Za-z](?!\w)|\blog", letters)
    called = re.match(r"(?!log)[a-z]{2,}\(|(?!L_simple)\w_[a-z]{3,}|\w_\w+_", code)
    if (not signs and (not named or WORD.search(letters))) or called or "--" in code:
        return None
    with suppress(Untranslatable):
        return latex(code, fractions=False)
    return None
