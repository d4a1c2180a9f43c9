"""Words as HTML: prose, sentences with symbols in them, code."""

import re
import unicodedata
from collections.abc import Iterable
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from ddpm_tutor.course.formula_blocks import rows, table_of
from ddpm_tutor.course.formulas import MINUS, inline
from ddpm_tutor.pictures.formulas import block_svg, formula_svg

INDEX = r"\{[^{}]*\}|simple|prev|KL|\d+|[A-Za-zθτφ][\u0300-\u036f]?"
# a letter with an index: x_0, β_{t-1}, 2σ_t; no name of code, such as x_0_hat
INDEXED = re.compile(
    rf"(?<![^\W\d])(?<![^\W\d]\d)(?<!\.)([^\W\d_][\u0300-\u036f]?)_({INDEX})(?![^\W²])"
)
MARKED = r"(?:[^\W\d_][\u0302-\u0304]|ᾱ)"  # ᾱ may be one sign
ACCENTED = re.compile(MARKED)
MARKS = {"\u0302": "ˆ", "\u0303": "˜", "\u0304": "¯"}  # as signs of their own, above an x
# a root, or a letter with a bar, tilde or hat, is drawn: in many fonts the bar is out of its place
DRAWN = re.compile(
    rf"√(?:\((?:[^()]|\([^()]*\))*\)|\d+(?:\.\d+)?(?!\w)|(?:{MARKED}|[^\W\d_])(?:_(?:{INDEX}))?(?![^\W²]))"
    rf"|(?<![\w.]){MARKED}(?:_(?:{INDEX}))?²?(?!\w)"
)
# no line ends at these blanks
SIGNED = re.compile(r" ([-+=≈±]|&[lg]t;) ")
PAIR = re.compile(r"(?<=[\[(])([^\s,()\[\]]{1,5}), (?=[^\s,()\[\]]{1,5}[\])])")  # [0, 255]
PERCENT = re.compile(r"(?<=[\d)]) (?=%)|(?<=±) (?=\d)")  # and ± 0.2
NUMBERED = re.compile(r"\b(Eqs?\.|Alg\.|Fig\.|Table|Section|[Ll]essons?) (?=\d)")
POWER = re.compile(r"(?<=[\d)])\^(-?\w+)")
LOWERED = str.maketrans("0123456789+-t", "₀₁₂₃₄₅₆₇₈₉₊₋ₜ")  # Unicode has no such θ, and no T
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*|(?<![\w/-])ddpm-tutor(?= )")


def words(text: str) -> str:
    """A sentence as HTML: roots, powers and letters with an index as such, lines kept."""
    html, at = "", 0
    for found in DRAWN.finditer(text):
        # its letters are smaller than those around it
        drawn = code_words(found[0]).replace('style="', 'style="font-size:1.12em;', 1)
        html += plain(text[at : found.start()]) + drawn
        at = found.end()
    return html + plain(text[at:])


def plain(text: str) -> str:
    """Words as HTML in which nothing is drawn: for a place that has pictures of its own."""
    held = SIGNED.sub("\u00a0\\1\u00a0", MINUS.sub("−", escape(text, quote=False)))
    held = PAIR.sub("\\1,\u00a0", PERCENT.sub("\u00a0", held))
    held = NUMBERED.sub("\\1\u00a0", held).replace("\u00a0-\u00a0", "\u00a0−\u00a0")
    held = INDEXED.sub(_indexed, held).replace("log2 ", "log<sub>2</sub>\u00a0")
    held = POWER.sub(_raised, held)
    return _options_whole(held).replace("\n", "<br>")


def unmarked(text: str) -> str:
    """Words for where no index can be set, such as the title of a page: xₜ, x₀, μθ."""
    return INDEXED.sub(lambda found: found[1] + found[2].strip("{}").translate(LOWERED), text)


def _raised(found: re.Match[str]) -> str:
    index = found[1].replace("-", "−")
    return f'<sup style="line-height:0;font-size:.72em">{index}</sup>'


def _options_whole(html: str) -> str:
    """No line ends within the dashes of `--set`, or of a command's `ddpm-tutor`."""
    return OPTION.sub(r'<span style="white-space:nowrap">\g<0></span>', html)


def _indexed(found: re.Match[str]) -> str:
    index = INDEXED.sub(_indexed, found[2].strip("{}").replace(" ", "").replace("-", "−"))
    return f"<i>{found[1]}</i><sub>{index}</sub>"


def formula(block: str) -> str:
    """An indented block of prose: formulas, or an algorithm; as it stands where it is neither."""
    found = rows(block)
    if found is None and (cells := table_of(block)):
        head, *body = [[words(cell) for cell in row] for row in cells]
        return table(head, body)
    try:
        drawn = found and block_svg([(row.cells, row.number) for row in found], block.strip())
    except ValueError:  # a sign that mathtext does not have
        drawn = None
    if not drawn:
        return f'<pre class="formula">{spaced(block.rstrip())}</pre>\n'
    formulas, numbers = drawn
    beside = f'<div class="equation">{numbers}</div>' if numbers else ""
    return f'<div class="formula"><div class="scrolled">{formulas}</div>{beside}</div>\n'


def table(
    head: Iterable[str], rows: Iterable[Iterable[str]], label: str = "", kind: str = ""
) -> str:
    """A table of words that are HTML already.

    Args:
        label: what it is of, for a screen reader; kind: its classes.
    """
    heads = "".join(f'<th scope="col">{name}</th>' for name in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="wide" data-label="{escape(label)}"><table class="{kind}"><thead>'
        f"<tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )


def code_words(code: str) -> str:
    """What stands in backticks: a symbol or a formula, or code."""
    try:
        latex = inline(code)
        drawn = latex and formula_svg(latex, code)
    except ValueError:
        drawn = None
    return drawn or f"<code>{_options_whole(spaced(code))}</code>"


def spaced(text: str) -> str:
    """Text in letters of one width as HTML: a bar, tilde or hat stands above its letter.

    Such a font seldom has them, and then the next letter wears them. So the style draws them; the
    sign itself is there, without a size, for who copies the text.
    """
    return accented(escape(text, quote=False))


def accented(html: str) -> str:
    """The same for HTML whose tags hold no such letters."""

    def drawn(found: re.Match[str]) -> str:
        letter, mark = [*unicodedata.normalize("NFD", found[0])]
        tall = " tall" if letter.isupper() or letter in "βδθλhklbdt" else ""
        return f'<span class="accent{tall}" data-mark="{MARKS[mark]}">{letter}<i>{mark}</i></span>'

    return ACCENTED.sub(drawn, html)


def _code_block(self: Any, tokens: list[Token], at: int, *rest: Any) -> str:
    return formula(tokens[at].content)


def _code_inline(self: Any, tokens: list[Token], at: int, *rest: Any) -> str:
    return code_words(tokens[at].content)


def _text(self: Any, tokens: list[Token], at: int, *rest: Any) -> str:
    return words(tokens[at].content)


_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
_markdown.add_render_rule("code_block", _code_block)
_markdown.add_render_rule("code_inline", _code_inline)
_markdown.add_render_rule("text", _text)


def prose(markdown: str) -> str:
    """A cell of prose."""
    html: str = _markdown.render(markdown)
    return html


def one_line(markdown: str) -> str:
    """One line of prose, without a paragraph around it."""
    html: str = _markdown.renderInline(markdown)
    return html


def highlighted(source: str) -> str:
    """Python with a class for each kind of word, which the style colours."""
    html: str = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
    return accented(html.rstrip("\n"))


def code(source: str, *, unfolded: bool = False, title: str = "Code", kind: str = "code") -> str:
    """Python, folded: its lines are a click away. Where it is `unfolded` they are seen at once.

    Args:
        title: what is to be clicked, as HTML; kind: its classes.
    """
    lines = source.count("\n") + 1
    return (
        f'<details class="{kind}"{" open" * unfolded}><summary>{title}<span class="dim">, {lines} '
        f"line{'' if lines == 1 else 's'}</span></summary>"
        f"<pre>{highlighted(source)}</pre></details>\n"
    )
