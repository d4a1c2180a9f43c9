"""Words as HTML: prose, sentences with symbols in them, code."""

import re
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from ddpm_tutor.course.formula_blocks import rows
from ddpm_tutor.course.formulas import inline
from ddpm_tutor.pictures.formulas import block_svg, formula_svg

# a letter with an index: x_0, β_{t-1}, ᾱ_500; no name of code, such as x_0_hat
INDEXED = re.compile(
    r"(?<![\w.])([^\W\d_][\u0300-\u036f]?)_(\{[^{}]*\}|simple|\d+|[A-Za-zθφ][\u0300-\u036f]?)(?![^\W²])"
)
# no line ends at these blanks
SIGNED = re.compile(r" ([-+=≈]|&[lg]t;) ")
NUMBERED = re.compile(r"\b(Eqs?\.|Alg\.|Fig\.|Table|Section|[Ll]essons?) (?=\d)")


POWER = re.compile(r"(?<=\d)\^(\d+)")  # of a number by a number, such as 2^100


def words(text: str) -> str:
    """A sentence as HTML: letters with an index as such, lines kept."""
    held = SIGNED.sub("\u00a0\\1\u00a0", escape(text, quote=False))
    held = POWER.sub(r"<sup>\1</sup>", NUMBERED.sub("\\1\u00a0", held))
    return INDEXED.sub(_indexed, held).replace("\n", "<br>")


def _indexed(found: re.Match[str]) -> str:
    if "\u0303" in found[1]:  # a tilde, which few fonts put above β and μ
        return code_words(found[0])
    index = found[2].strip("{}").replace(" ", "")
    return f"<i>{found[1]}</i><sub>{index}</sub>"


def formula(block: str) -> str:
    """An indented block of prose: formulas, or an algorithm; as it stands where it is neither."""
    try:
        found = rows(block)
        drawn = found and block_svg([(row.cells, row.number) for row in found], block.strip())
    except ValueError:  # a sign that the notation, or mathtext, does not have
        drawn = None
    if not drawn:
        return f'<pre class="formula">{escape(block.rstrip())}</pre>\n'
    return f'<div class="formula">{drawn}</div>\n'


def code_words(code: str) -> str:
    """What stands in backticks: a symbol or a formula, or code."""
    try:
        latex = inline(code)
        drawn = latex and formula_svg(latex, code)
    except ValueError:
        drawn = None
    return drawn or f"<code>{escape(code, quote=False)}</code>"


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
    return html.rstrip("\n")


def code(source: str, *, unfolded: bool = False) -> str:
    """Python, folded: its lines are a click away. Where it is `unfolded` they are seen at once."""
    lines = source.count("\n") + 1
    return (
        f'<details class="code"{" open" * unfolded}><summary>Code<span class="dim">, {lines} '
        f"line{'' if lines == 1 else 's'}</span></summary>"
        f"<pre>{highlighted(source)}</pre></details>\n"
    )
