"""The numbers that people type: 0.5, 0,5, 1,024, 42 %, 1e-3, 1/2, √2, 2^10.

Some can be meant in two ways: 1,024 is a thousand to some and about one to others, and 42 % is 42
where percent are asked for and 0.42 elsewhere. Such a number has two readings.
"""

import math
import re
import unicodedata
from itertools import product

MAX_LENGTH = 60  # characters; no answer is as long
WANTED = "Please type a number, such as 0.5, 1/2 or 1e-3."
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)")  # means what it says
SIGNS = str.maketrans("−–—‐×·⋅∙÷∕⁄", "----****///")
SUPERSCRIPT = re.compile("[⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:[ _'’]\d{3})+(?![\d_'’])")  # 1 000, 1_000, 1'000
MIXED = re.compile(r"(?<![\d.,/^*])(\d+) (\d+)/(\d+)$")  # 1 1/2
TOKEN = re.compile(r"((?:\d[\d.,]*|[.,]\d+)(?:e[+-]?\d+)?)|(\*\*|[-+*/^()√%])|([a-zπ]+)")
FUNCTIONS = {"sqrt": math.sqrt, "exp": math.exp, "ln": math.log}
CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e}

# the forms of a number: how it looks, what groups its thousands, what begins its decimals
Form = tuple[re.Pattern[str], str, str]
ENGLISH: Form = (re.compile(r"[1-9]\d{0,2}(,\d{3})+(\.\d*)?"), ",", ".")
CONTINENTAL: Form = (re.compile(r"[1-9]\d{0,2}(\.\d{3})+(,\d*)?"), ".", ",")
POINT: Form = (re.compile(r"\d+\.?\d*|\.\d+"), "", ".")
COMMA: Form = (re.compile(r"\d+,\d*|,\d+"), "", ",")
READERS = ((ENGLISH, POINT, COMMA, CONTINENTAL), (COMMA, CONTINENTAL, ENGLISH, POINT))


def readings(text: str) -> list[float]:
    """What a typed number can mean, the likeliest first; mostly that is one number.

    Arithmetic is worked out: + - * / ^ ** ( ) √ sqrt exp ln pi e.

    Raises:
        ValueError: it is no finite number. The message is for the learner.
    """
    if len(text) > MAX_LENGTH:
        raise ValueError(WANTED)
    tidy = _tidy(text)
    if re.fullmatch(r"[+-]?(nan|inf|infinity|∞)", tidy):
        raise ValueError(f"The answer is a finite number. {WANTED}")
    found: list[float] = []
    for forms, percent in product(READERS, (0.01, 1.0)):
        try:
            value = _Arithmetic(tidy, forms, percent).value()
        except OverflowError:
            value = math.inf
        except ZeroDivisionError:
            raise ValueError(f"A division by 0 gives no number. {WANTED}") from None
        except ValueError:
            raise ValueError(WANTED) from None
        if not math.isfinite(value):
            raise ValueError(f"That number is too large. {WANTED}")
        if value not in found:
            found.append(value)
    return found


def read_number(text: str, answer: float, tolerance: float) -> float:
    """What a typed number means: the reading that is right, if one is, else the nearer one.

    A plain number stands for itself: 1.024 is read as 1024 only where that is right.

    Raises:
        ValueError: it is no finite number. The message is for the learner.
    """
    possible = readings(text)
    right = [value for value in possible if abs(value - answer) <= tolerance]
    if right or PLAIN.fullmatch(text):
        return (right or possible)[0]
    return min(possible, key=lambda value: abs(value - answer))


def understood(text: str, value: float) -> str:
    """The typed number, and what was read where it does not say that itself: "1/2 = 0.5"."""
    if PLAIN.fullmatch(text) and float(text) == value:
        return text
    shown = f"{value:.10g}"
    exact = math.isclose(float(shown), value, rel_tol=1e-14)
    if len(readings(text)) > 1:
        return f"{text}, read as {shown}"
    return f"{text} = {shown}" if exact else f"{text} ≈ {value:.6g}"


def _tidy(text: str) -> str:
    """The text with ASCII letters and signs, as far as there are such: 1½ as (1+1/2)."""
    text = SUPERSCRIPT.sub(lambda power: f"^({_ascii(power[0])})", text)
    spelled = ""
    for sign in text:
        plain = _ascii(sign)
        if "/" in plain and len(plain) > 1:  # ½ and its like
            plain = f" {plain}" if spelled[-1:].isdigit() else f"({plain})"
        spelled += plain
    tidy = " ".join(spelled.lower().split())
    tidy = re.sub(r"^([~≈=]+|about |ca\.? )\s*", "", tidy)
    tidy = re.sub(r"(?<=[\d)%])[.,;!]$", "", tidy)  # the end of a sentence
    tidy = re.sub(r"(?<=\d) ?x ?(?=10[*^])", "*", tidy)  # 1.5 x 10^-4
    tidy = GROUPED.sub(lambda digits: re.sub(r"\D", "", digits[0]), tidy)
    return MIXED.sub(r"(\1+\2/\3)", tidy)


def _ascii(text: str) -> str:
    return unicodedata.normalize("NFKC", text).translate(SIGNS)


class _Arithmetic:
    """Works out a sum of products of powers, reading each number by the first form that fits."""

    def __init__(self, text: str, forms: tuple[Form, ...], percent: float) -> None:
        self.forms, self.percent = forms, percent
        self.tokens = [match[0] for match in TOKEN.finditer(text)]
        self.whole = "".join(self.tokens) == text.replace(" ", "")

    def value(self) -> float:
        """The value of the whole text.

        Raises:
            ValueError: it is no arithmetic; OverflowError, ZeroDivisionError: as they say.
        """
        value = self._sum()
        if self.tokens or not self.whole:
            raise ValueError
        return value

    def _next_is(self, *signs: str) -> str:
        """Takes the next token if it is one of these."""
        return self.tokens.pop(0) if self.tokens and self.tokens[0] in signs else ""

    def _sum(self) -> float:
        value = self._product()
        while sign := self._next_is("+", "-"):
            term = self._product()
            value = value + term if sign == "+" else value - term
        return value

    def _product(self) -> float:
        value = self._signed()
        while sign := self._next_is("*", "/"):
            factor = self._signed()
            value = value * factor if sign == "*" else value / factor
        return value

    def _signed(self) -> float:
        if sign := self._next_is("+", "-"):
            return -self._signed() if sign == "-" else self._signed()
        base = self._atom()
        if self._next_is("^", "**"):
            return math.pow(base, self._signed())
        return base

    def _atom(self) -> float:
        if not self.tokens:
            raise ValueError
        token = self.tokens.pop(0)
        if token == "(":
            value = self._sum()
            if not self._next_is(")"):
                raise ValueError
        elif token == "√":
            return math.sqrt(self._atom())
        elif token in FUNCTIONS and self.tokens[:1] == ["("]:
            return FUNCTIONS[token](self._atom())
        elif token in CONSTANTS:
            value = CONSTANTS[token]
        else:
            value = self._number(token)
        return value * self.percent if self._next_is("%") else value

    def _number(self, token: str) -> float:
        digits, _, exponent = token.partition("e")
        for looks, grouping, decimal in self.forms:
            if looks.fullmatch(digits):
                plain = digits.replace(grouping, "") if grouping else digits
                value = float(f"{plain.replace(decimal, '.')}e{exponent or 0}")
                return value * 1000 if self._next_is("k") else value
        raise ValueError
