"""How a lesson's words and code look on the screen."""

import ast
import inspect
from typing import Any, ClassVar

from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Markdown
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from ddpm_tutor.classroom.lesson import Step


class Formula(CodeBlock):
    """An indented block in prose: formulas and algorithms, not Python."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Text(str(self.text).rstrip(), style="bold cyan"), (0, 0, 0, 4))


class Prose(Markdown):
    """A cell of prose."""

    elements: ClassVar = {**Markdown.elements, "code_block": Formula}


def highlighted(source: str) -> Syntax:
    """Python code in colours."""
    return Syntax(source, "python", theme="ansi_dark", background_color="default", word_wrap=True)


def without_title(step: Step) -> str:
    """The step's prose without its first heading, which stands in the rule above."""
    lines = step.prose.splitlines()
    if lines and lines[0].startswith("#"):
        lines = lines[1:]
    return "\n".join(lines).strip("\n")


def used_functions(step: Step, namespace: dict[str, Any]) -> dict[str, Any]:
    """The science's functions and classes that the step's code names, the last called first."""
    found: dict[str, Any] = {}
    for cell in step.code:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Name) and node.id in namespace:
                value = namespace[node.id]
                module = getattr(value, "__module__", None) or ""
                plain = inspect.unwrap(value) if callable(value) else value
                ours = module.startswith("ddpm_tutor.science")
                if ours and (inspect.isfunction(plain) or inspect.isclass(plain)):
                    found[node.id] = plain
    return dict(reversed(found.items()))
