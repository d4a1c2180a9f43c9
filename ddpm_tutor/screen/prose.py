"""How a lesson's words and code look on the screen."""

import ast
import inspect
import re
from collections.abc import Iterable
from itertools import dropwhile
from typing import Any, ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown, Paragraph
from rich.padding import Padding
from rich.segment import Segment
from rich.syntax import Syntax
from rich.text import Text
from rich.theme import Theme

# the rooms whose functions and classes a learner can be shown
SHOWN = ("ddpm_tutor.science.", "ddpm_tutor.storage.", "ddpm_tutor.evaluation.")
PROSE_WIDTH = 92  # longer lines are hard to read
HOLD = "\ue000"  # stands for a blank at which no line may end: rich breaks at any other


class Sentence:
    """Words that are wrapped at the width of prose, never at a `HOLD`, in `t = 1` or in `1 - β`."""

    def __init__(self, text: str | Text) -> None:
        self.text = Text(text) if isinstance(text, str) else text.copy()
        self.text.plain = re.sub(" ([-+=]) ", rf"{HOLD}\1{HOLD}", self.text.plain)

    @property
    def plain(self) -> str:
        """The words without any style."""
        return self.text.plain.replace(HOLD, " ")

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = self.text.wrap(console, min(options.max_width, PROSE_WIDTH))
        for line in lines:
            line.rstrip()
            line.plain = line.plain.replace(HOLD, " ")
        yield Text("\n").join(lines)


class Formula(CodeBlock):
    """An indented block in prose: formulas and algorithms, not Python."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Text(str(self.text).rstrip(), style="bold cyan"), (0, 0, 0, 4))


class Words(Paragraph):
    """A paragraph in which no line ends inside `code`."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Sentence(self.text)


class Prose(Markdown):
    """A cell of prose."""

    elements: ClassVar = {**Markdown.elements, "code_block": Formula, "paragraph_open": Words}
    theme = Theme({"markdown.code": "bold cyan"})

    def __init__(self, markup: str) -> None:
        super().__init__(re.sub("`[^`]+`", lambda code: code[0].replace(" ", HOLD), markup))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with console.use_theme(self.theme):
            parts = super().__rich_console__(console, options)
            # rich begins a list with a blank line, even where nothing stands above it
            yield from dropwhile(lambda part: part == Segment.line(), parts)


class Code:
    """Python code in colours; what is too long for a line stands deeper on the next.

    Attributes:
        kind: "parameters" or "change" where it holds what a learner may set; else "".
    """

    def __init__(self, source: str, kind: str = "") -> None:
        self.source, self.kind = source, kind

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Syntax(
            folded(self.source, options.max_width),
            "python",
            theme="ansi_dark",
            background_color="default",
            word_wrap=True,  # for what has no blank to break it at
        )


def folded(source: str, width: int) -> str:
    """Python source in lines of at most `width`, where a line has a blank to break it at.

    What is broken off stands two levels deeper than the line it belongs to.
    """
    lines = []
    for line in source.rstrip().splitlines():
        deeper = " " * (len(line) - len(line.lstrip()) + 8)
        while len(line) > width:
            cut = line.rfind(" ", len(deeper), width + 1)
            if cut < 0:
                break
            lines.append(line[:cut])
            line = deeper + line[cut + 1 :]
        lines.append(line)
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A time to wait, in round words: 8 s, 40 s, 1 min 50 s."""
    if seconds < 10:
        return f"{max(1, seconds):.0f} s"
    minutes, rest = divmod(round(seconds, -1), 60)
    return " ".join([f"{minutes:.0f} min"] * (minutes > 0) + [f"{rest:.0f} s"] * (rest > 0))


def without_title(prose: str) -> str:
    """Prose without its first heading, which stands in the rule above."""
    lines = prose.splitlines()
    if lines and lines[0].startswith("#"):
        lines = lines[1:]
    return "\n".join(lines).strip("\n")


def used_functions(sources: Iterable[str], namespace: dict[str, Any]) -> dict[str, Any]:
    """The package's functions and classes that the code names, the last called first.

    Code that only imports names what it imports.
    """
    nodes = [node for source in sources for node in ast.walk(ast.parse(source))]
    names = [node.id for node in nodes if isinstance(node, ast.Name)]
    imported = [node.asname or node.name for node in nodes if isinstance(node, ast.alias)]
    found: dict[str, Any] = {}
    for name in names:
        if function := shown_function(namespace.get(name)):
            found[function.__name__] = function  # a loop variable may be another name of it
    if found:
        return dict(reversed(found.items()))
    return {name: f for name in imported if (f := shown_function(namespace.get(name)))}


def shown_function(value: Any) -> Any:
    """The function or class of the package that a learner is shown for `value`; None for others."""
    module = getattr(value, "__module__", None) or ""
    plain = inspect.unwrap(value) if callable(value) else value
    ours = module.startswith(SHOWN) and (inspect.isfunction(plain) or inspect.isclass(plain))
    return plain if ours else None
