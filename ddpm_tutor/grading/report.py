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
SHARE_OF_SCREEN = 0.45  # for the pictures: table and verdict are to stand under them


def print_verdict(console: Console, exercise: Exercise, path: Path, checked: Checked) -> None:
    """Says how the learner's file did: how it looks and in numbers, and last what is wrong, where.

    What comes last is what is seen on a small screen.
    """
    verdict = checked.verdict
    if checked.printed:
        print_printed(console, checked.printed)
    if verdict.pictures:
        print_pictures(console, verdict)
    if verdict.rows:
        print_numbers(console, verdict)
    if verdict.case:
        inside(console, Text(f"Tried with {verdict.case}", "dim"))
    mark = ("✓ ", "bold green") if verdict.passed else ("✗ ", "bold red")
    console.print(Text.assemble(mark, (f"Exercise {exercise.number} · {exercise.title}", "bold")))
    if verdict.passed:
        where = " and ".join(verdict.devices)
        calls = f"{verdict.cases} calls on {where} gave what the package's own function gives."
        inside(console, Sentence(f"{verdict.says} {calls}"))
    else:
        inside(console, Sentence(Text(verdict.says, "" if verdict.kind == "gap" else "bold")))
    if verdict.leads_to:
        inside(console, Sentence(verdict.leads_to))
    for note in verdict.notes:
        says = f"Note: {note}" if verdict.passed else f"And {note[:1].lower()}{note[1:]}"
        inside(console, Sentence(Text(says, "yellow")))
    if verdict.line:
        print_line(console, path, checked.source, verdict.line)


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
    from ddpm_tutor.screen.values import DataTable

    rows = with_enough_digits(verdict.rows)
    numbers = DataTable("", verdict.columns, rows).drawn()
    console.print(Padding(numbers, (0, 0, 0, 2)))


def with_enough_digits(rows: list[list[str | float]]) -> list[list[str | float]]:
    """Rows of a table that end in two numbers; with more digits where these would look the same."""
    from ddpm_tutor.grading.coefficients import told_apart
    from ddpm_tutor.screen.values import column_of

    expected, yours = (column_of([row[i] for row in rows]) for i in (-2, -1))
    found = []
    for row, *words in zip(rows, expected, yours, strict=True):
        if words[0] == words[1] and isinstance(row[-1], float) and isinstance(row[-2], float):
            words = told_apart(row[-2], row[-1])
        found.append([*row[:-2], *words])
    return found


def print_pictures(console: Console, verdict: Verdict) -> None:
    """What the right function leads to, and what the learner's leads to."""
    import torch

    from ddpm_tutor.screen.images import render_images

    inside(console, Sentence(Text(verdict.shows)))
    pixels = torch.tensor([picture.pixels for picture in verdict.pictures], dtype=torch.uint8)
    captions = [picture.caption for picture in verdict.pictures]
    console.print(render_images(pixels, console, captions, SHARE_OF_SCREEN))


def print_printed(console: Console, printed: str) -> None:
    """What the learner's code printed, once: each of its calls may have."""
    lines = list(dict.fromkeys(printed.splitlines()))
    inside(console, Text("Your code printed:", "dim"))
    for line in lines[:MAX_PRINTED_LINES]:
        inside(console, Text(f"  {line}"))
    if len(lines) > MAX_PRINTED_LINES:
        inside(console, Text("  ...", "dim"))
