"""Formulas: every one in lessons and entries becomes LaTeX of the same meaning, and a picture."""

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import pytest

from ddpm_tutor.course.formula_blocks import display, rows, table_of
from ddpm_tutor.course.formulas import Untranslatable, inline, latex
from ddpm_tutor.course.lesson import Lesson, all_lessons
from ddpm_tutor.course.paper import all_entries, symbols
from ddpm_tutor.pictures.figures import own_settings
from ddpm_tutor.pictures.formulas import block_svg, formula_svg

BLOCK = re.compile(r"(?:^    .*\n?)+", re.MULTILINE)
# what is indented and no formula, by its first words
NO_FORMULAS = {"theirs, CIFAR-10", "trained on L_simple", "μ̃, loss L", "def hook"}


def pages() -> list[Lesson]:
    return [*all_lessons(), *(entry.page for entry in all_entries())]


@cache
def blocks() -> list[str]:
    """Every indented block of the prose, each once."""
    prose = [step.prose for page in pages() for step in page.steps]
    return list(dict.fromkeys(block for text in prose for block in BLOCK.findall(text)))


@cache
def codes() -> list[str]:
    """What stands in backticks in the prose, and the symbols."""
    prose = [step.prose for page in pages() for step in page.steps]
    found = [code for text in prose for code in re.findall(r"`([^`\n]+)`", text)]
    return list(dict.fromkeys([*found, *(symbol.symbol for symbol in symbols())]))


def every_latex() -> Iterator[str]:
    for block in blocks():
        for row in rows(block) or []:
            yield from filter(None, row.cells)
    yield from filter(None, map(inline, codes()))


def test_every_block_is_translated_or_named_here() -> None:
    left = [block for block in blocks() if rows(block) is None]
    assert len(blocks()) > 90
    assert len(left) == len(NO_FORMULAS)
    assert all(any(words in block for words in NO_FORMULAS) for block in left)


def neighbours(found: str) -> set[tuple[str, str]]:
    """Which signs stand next to which; letters and numbers are alike."""
    signs = re.findall(r"\\[a-z]+|[^\sA-Za-z0-9]|[A-Za-z0-9]+", found)
    greek = r"\\(alpha|beta|mu|sigma|varepsilon|theta|lambda|tau|delta|text|mathrm)"
    alike = [re.sub(rf"{greek}|[A-Za-z0-9]+(?<!\\)", "a", s) if s[0] != "\\" else
             re.sub(rf"^{greek}$", "a", s) for s in signs]  # fmt: skip
    return set(pairwise(alike))


def test_mathtext_takes_the_formulas() -> None:
    seen: set[tuple[str, str]] = set()
    with own_settings():
        from matplotlib.mathtext import MathTextParser

        parser = MathTextParser("path")
        for found in sorted(set(every_latex()), key=lambda text: (len(text), text)):
            if not neighbours(found) <= seen:  # all 400 would take it half a minute
                seen |= neighbours(found)
                parser.parse(f"${found}$")  # raises where it cannot


def test_what_is_code_stays_code() -> None:
    for code in ("steps", "--set", "ddpm-tutor gif --digit 7", "take(x_t)", "torch.randn", "010",
                 "T = 50", "w = 1.0", "beta_T = 0.1"):  # fmt: skip
        assert inline(code) is None
    for code in (
        "t",
        "x_0",
        "x_0 = -1",
        "q / p",
        "-log2 p",
        "β_1000",
        "p(x_t | label) ∝ p(x_t) p(label | x_t)",
    ):
        assert inline(code)
    assert [symbol.symbol for symbol in symbols() if not inline(symbol.symbol)] == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("√ᾱ_t x_0", r"\sqrt{\bar{\alpha}_{t}} x_{0}"),
        ("√(1 - ᾱ_t) ε", r"\sqrt{1 - \bar{\alpha}_{t}} \varepsilon"),
        ("β̃_t", r"\tilde{\beta}_{t}"),
        ("x̂_0", r"\hat{x}_{0}"),
        ("σ_t²", r"\sigma_{t}^{2}"),
        ("‖ε - ε_θ‖²", r"\Vert \varepsilon - \varepsilon_{\theta} \Vert^{2}"),
        ("q(x_t|x_{t-1})", r"q(x_{t} \mid x_{t - 1})"),
        ("KL( q || p )", r"\mathrm{KL}(q \Vert p)"),
        ("-log p / q", r"- \log \frac{p}{q}"),
        ("N(x; μ, σ² I)", r"\mathcal{N}(x; \mu, \sigma^{2} I)"),
        ("Σ_θ(x_t, t)", r"\Sigma_{\theta}(x_{t}, t)"),
        ("Σ_{t>1} L_t", r"\sum_{t > 1} \, L_{t}"),
        ("Π_{t=1..T} q", r"\prod_{t = 1}^{T} \, q"),
        ("dx_τ / dτ", r"\frac{d x_{\tau}}{d \tau}"),
        ("δ-(x)", r"\delta_{-}(x)"),
        ("a gradient step on x", r"\text{a gradient step on} \  x"),
        (
            "ᾱ at t_i / ᾱ at s",
            r"\bar{\alpha} \  \text{at} \  t_{i} \;/\; \bar{\alpha} \  \text{at} \  s",
        ),
    ],
)
def test_a_formula_as_latex(line: str, expected: str) -> None:
    assert latex(line) == expected


VALUES = {
    r"\bar{\alpha}_{t}": 0.3, r"\bar{\alpha}_{t - 1}": 0.4, r"\alpha_{t}": 0.75,
    r"\beta_{t}": 0.25, r"\varepsilon_{\theta}": 1.7, r"\varepsilon": 1.3, r"\sigma_{t}": 0.6,
    "x_{0}": 0.8, "x_{t}": 0.9, "w": 3.0, r"\tau": 0.2, "p": 0.7, "q": 0.9, "M": 5.0,
}  # fmt: skip
a, b, ab, ab_prev, eps, x_0, x_t, sigma = 0.75, 0.25, 0.3, 0.4, 1.3, 0.8, 0.9, 0.6


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("√ᾱ_t x_0 + √(1 - ᾱ_t) ε", math.sqrt(ab) * x_0 + math.sqrt(1 - ab) * eps),
        ("(x_t - √(1-ᾱ_t) ε) / √ᾱ_t", (x_t - math.sqrt(1 - ab) * eps) / math.sqrt(ab)),
        ("β_t (1-ᾱ_{t-1}) / (1-ᾱ_t)", b * (1 - ab_prev) / (1 - ab)),
        ("(1 - ᾱ_{t-1})/(1 - ᾱ_t) β_t", (1 - ab_prev) / (1 - ab) * b),
        ("√ᾱ_{t-1} β_t/(1 - ᾱ_t) x_0", math.sqrt(ab_prev) * b / (1 - ab) * x_0),
        ("1/√α_t (x_t - β_t/√(1-ᾱ_t) ε)", (x_t - b / math.sqrt(1 - ab) * eps) / math.sqrt(a)),
        ("β_t² / (2 σ_t² α_t (1-ᾱ_t)) ε", b**2 / (2 * sigma**2 * a * (1 - ab)) * eps),
        ("ε² / 2σ_t² + 1", eps**2 / (2 * sigma**2) + 1),
        ("-β_t/√(1-ᾱ_t)/√α_t ε", -b / math.sqrt(1 - ab) / math.sqrt(a) * eps),
        ("ε + w (ε_θ - ε)", eps + 3 * (1.7 - eps)),
        ("√((1 - τ)² + τ²)", math.sqrt(0.8**2 + 0.2**2)),
        ("1 - ᾱ_t / ᾱ_{t-1}", 1 - ab / ab_prev),
        ("q / (M p)", 0.9 / (5 * 0.7)),
        ("½ (x_t - x_0)", 0.5 * (x_t - x_0)),
    ],
)
@pytest.mark.parametrize("fractions", [True, False])
def test_the_latex_means_what_the_line_says(line: str, expected: float, fractions: bool) -> None:
    tight = re.search("/ 2σ", line)  # a slash in LaTeX does not say that it spans both
    assert value_of(latex(line, fractions or bool(tight))) == pytest.approx(expected)


def value_of(found: str) -> float:
    """The value of LaTeX with numbers put in; factors stand side by side."""
    for sign, value in sorted(VALUES.items(), key=lambda pair: -len(pair[0])):
        found = re.sub(rf"(?<![a-z\\]){re.escape(sign)}(?![a-z])", f" {value} ", found)
    for old, new in {r"\left": "", r"\right": "", r"\;": " ", r"^{2}": "**2"}.items():
        found = found.replace(old, new)
    for _ in range(found.count("\\")):
        found = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r" ((\1)/(\2)) ", found)
        found = re.sub(r"\\sqrt\{([^{}]*)\}", r" ((\1)**0.5) ", found)
    found = re.sub(r"(?<=[\d)])\s+(?=[\d(])", "*", " ".join(found.split()))
    found = re.sub(r"(\d) \*\*", r"\1**", found)
    # a slash divides by one factor alone
    return float(eval(re.sub(r"(?<=[\d)])(?=\()", "*", found)))


def test_lines_stand_below_each_other_by_their_signs() -> None:
    found = rows("    x_2 = √α_2 x_1\n        = x_0          (4)\n")
    assert found is not None
    assert [row.cells for row in found] == [
        ("x_{2}", r"= \sqrt{\alpha_{2}} x_{1}"),
        ("", "= x_{0}"),
    ]
    assert [row.number for row in found] == ["", "4"]
    shown = display("    x_t = ε          (2)")
    assert shown == r"x_{t} = \varepsilon \qquad (2)"


def test_in_a_notebook_lines_stand_below_each_other_and_no_sign_has_a_gap_before_it() -> None:
    r"""`aligned` sets what is left of an & to the right, and what is right of it to the left."""
    for block, expected in [
        ("x_2 = x_1 + α x_0 + β x_0 + x_0\n    = x_1  +  x_0",
         [r"x_{2} & = x_{1} + \alpha x_{0} + \beta x_{0} + x_{0}", "& = x_{1} + x_{0}"]),
        ("x_0   = ε\nscore = x_t          (11, Alg. 2)",
         [r"x_{0} & = \varepsilon", r"\text{score} & = x_{t} \qquad (11, \text{Alg. 2})"]),
        ("β̃_t = x_0\n    = ε + x_t",  # a mark above a letter takes no column
         [r"\tilde{\beta}_{t} & = x_{0}", r"& = \varepsilon + x_{t}"]),
        ("x  =  ε,   z ~ N(0, I)",
         [r"x = \varepsilon, \qquad z \sim \mathcal{N}(0, I)"]),
        ("send x_T = x_0   take x_T\nt: send\n  x_1            take x_1",
         [r"& \text{send} \ x_{T} = x_{0} & & \text{take} \ x_{T}",
          r"& t {:} \ \text{send} & &", r"& \quad x_{1} & & \text{take} \ x_{1}"]),
    ]:  # fmt: skip
        shown = str(display("".join(f"    {line}\n" for line in block.split("\n"))))
        inside = shown.removeprefix("\\begin{aligned}\n").removesuffix("\n\\end{aligned}")
        assert inside.split(" \\\\\n") == expected


def test_an_unknown_sign_is_said() -> None:
    with pytest.raises(Untranslatable, match="§"):
        latex("§ 3")
    for other in ("x * y", "β = 100 %", "größe", "x_0 & ε", r"\alpha β"):
        assert inline(other) is None
        assert rows(f"    {other}") is None
        assert display(f"    {other}") is None


def test_a_picture_of_a_formula_says_its_line_and_takes_the_colour_around_it() -> None:
    line = '    μ̃_t = √ᾱ_{t-1} "x" < 1\n'.replace('"x"', "x")
    found = rows(line)
    assert found is not None
    for svg in (
        block_svg([(row.cells, row.number) for row in found], line.strip())[0],
        formula_svg(latex(line), line.strip()),
    ):
        picture = ET.fromstring(svg)
        assert picture.get("aria-label") == line.strip()
        assert picture.get("role") == "img"
        assert picture.get("fill") == "currentColor"
        assert (picture.get("width") or "").endswith("em")
        assert len(picture) >= 1


def test_a_table_stays_a_table() -> None:
    block = "             IS      FID\n    mean     8.06   13.22\n    plain    unstable\n"
    assert rows(block) is None
    assert table_of(block) == [
        ["", "IS", "FID"],
        ["mean", "8.06", "13.22"],
        ["plain", "unstable", ""],
    ]
    assert table_of("    x = 1    (2)\n    y = 2\n    z = 3\n") is None
