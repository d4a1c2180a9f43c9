"""How a verdict looks on the screen."""

from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ddpm_tutor.course.exercise import Exercise
from ddpm_tutor.grading.sandbox import Checked
from ddpm_tutor.grading.verdict import Verdict
from ddpm_tutor.screen.prose import Sentence

MAX_PRINTED_LINES = 8  # of what the code printed


def print_verdict(console: Console, exercise: Exercise, path: Path, checked: Checked) -> None:
    """Says how the learner's file did: what is wrong, where, in numbers, and how it looks."""
    verdict = checked.verdict
    mark = ("✓ ", "bold green") if verdict.passed else ("✗ ", "bold red")
    console.print(Text.assemble(mark, (f"Exercise {exercise.number} · {exercise.title}", "bold")))
    if checked.printed:
        print_printed(console, checked.printed)
    if verdict.passed:
        where = " and ".join(verdict.devices)
        calls = f"{verdict.cases} calls on {where} gave what the package's own function gives."
        inside(console, Sentence(f"{verdict.says} {calls}"))
        return
    inside(console, Sentence(Text(verdict.says, "" if verdict.kind == "gap" else "bold")))
    if verdict.leads_to:
        inside(console, Sentence(verdict.leads_to))
    if verdict.line:
        print_line(console, path, checked.source, verdict.line)
    if verdict.case:
        inside(console, Text(f"Tried with {verdict.case}", "dim"))
    if verdict.rows:
        print_numbers(console, verdict)
    if verdict.pictures:
        print_pictures(console, verdict)


def inside(console: Console, what: Sentence | Text) -> None:
    """Prints a little to the right."""
    console.print(Padding(what, (0, 0, 0, 2)))


def print_line(console: Console, path: Path, source: str, line: int) -> None:
    """The line of the learner's file, and where it is."""
    lines = source.splitlines()
    inside(console, Text(f"{path}, line {line}:", "cyan"))
    if 1 <= line <= len(lines):
        inside(console, Text.assemble((f"{line:5} │ ", "dim"), lines[line - 1].rstrip()))


def print_numbers(console: Console, verdict: Verdict) -> None:
    """What was expected, and what came."""
    from ddpm_tutor.screen.values import table

    numbers = table("", verdict.columns, verdict.rows).renderables[1]  # without its title
    console.print(Padding(numbers, (0, 0, 0, 2)))


def print_pictures(console: Console, verdict: Verdict) -> None:
    """What the right function leads to, and what the learner's leads to."""
    import torch

    from ddpm_tutor.screen.images import render_images

    inside(console, Text(verdict.shows))
    for caption in ("right", "yours"):
        mine = [picture.pixels for picture in verdict.pictures if picture.caption == caption]
        inside(console, Text(f"{caption}:", "bold"))
        console.print(render_images(torch.tensor(mine, dtype=torch.uint8), console))


def print_printed(console: Console, printed: str) -> None:
    """What the learner's code printed, once: each of its calls may have."""
    lines = list(dict.fromkeys(printed.splitlines()))
    inside(console, Text("Your code printed:", "dim"))
    for line in lines[:MAX_PRINTED_LINES]:
        inside(console, Text(f"  {line}"))
    if len(lines) > MAX_PRINTED_LINES:
        inside(console, Text("  ...", "dim"))
