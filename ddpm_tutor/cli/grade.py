"""The command that goes over what students have handed in."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ddpm_tutor.cli.shared_options import a_path
from ddpm_tutor.errors import UsageError
from ddpm_tutor.files import check_target, replacing
from ddpm_tutor.screen.console import make_console, written
from ddpm_tutor.words import count_of

if TYPE_CHECKING:
    from ddpm_tutor.hand_ins.grading import Grade

MAX_NAMED = 5  # files that are no hand-ins
UNPROVEN = (
    "What this proves: the code was run again, here and now, and each exercise's verdict is this "
    "machine's. What it does not: who wrote the code, and who gave the answers. Which answers were "
    "given, and when, is what the file says; its owner can edit it."
)


def grade(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", callback=a_path, help="Where the hand-ins are."),
    ],
    out: Annotated[Path, typer.Option(callback=a_path, help="Table to write.")] = Path(
        "grades.csv"
    ),
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", min=1, max=64, help="Hand-ins at a time.", show_default="one a core"
        ),
    ] = None,
    limit: Annotated[
        float,
        typer.Option(
            min=1,
            max=3600,
            metavar="SECONDS",
            help="How long one student's code may compute, in all; on the clock six times that.",
        ),
    ] = 60.0,
) -> None:
    """Grade a folder of hand-ins: every exercise is checked again, every point counted anew.

    Reads what `ddpm-tutor report` writes, in any of its forms, in FOLDER and
    the folders in it. The code runs guarded: no other programs, no network, no
    writing of files, limits of time and memory. That protects from accidents
    and mischief, not from an expert's malice: take a machine, or a container,
    that can bear it. Nobody's progress is read or changed.

    Answers to questions are what each file says: that can't be proved.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder. Name the one that the hand-ins are in.")
    from ddpm_tutor.hand_ins.reading import ENDINGS, hand_ins_in

    files, others = hand_ins_in(folder)
    files = [path for path in files if path.resolve() != out.resolve()]
    others = [path for path in others if path.resolve() != out.resolve()]
    if not files:
        raise UsageError(f"There is no hand-in in {folder}: no file {', '.join(ENDINGS)}.")
    check_target(out)  # better to fail now
    console = make_console()
    grades = graded(console, files, jobs or os.cpu_count() or 1, limit)
    from ddpm_tutor.hand_ins.grade_table import to_csv

    with replacing(out) as temporary:  # a spreadsheet knows by the mark that it is UTF-8
        temporary.write_text(to_csv(grades, folder), encoding="utf-8-sig", newline="")
    console.print(table_of(grades, folder))
    say_remarks(console, grades, folder)
    say_foot(console, grades, others, folder)
    console.print(written(out, "Written"), soft_wrap=True)


def graded(console: Console, files: list[Path], jobs: int, limit: float) -> "list[Grade]":
    """The grades of these files; a bar shows how far it is."""
    with console.status("Loading ..."):
        from ddpm_tutor.hand_ins.grading import Grader

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with (
        Grader(min(jobs, len(files)), limit) as grader,
        Progress(*columns, console=console, transient=True) as bar,
    ):
        task = bar.add_task("Grading", total=len(files))
        return grader.grades(files, done=lambda _: bar.advance(task))


def table_of(grades: "list[Grade]", folder: Path) -> Table:
    """A row for each file."""
    from ddpm_tutor.hand_ins.grade_table import name_of

    table = Table(title="Grades", title_justify="left", title_style="bold", box=box.SIMPLE)
    table.pad_edge = False
    table.add_column("File", overflow="fold")
    table.add_column("Name", overflow="fold")
    table.add_column("Group", overflow="fold")
    table.add_column("Points", justify="right")
    table.add_column("Exercises", justify="right")
    for grade in grades:
        made = grade.hand_in
        points, exercises = "–", "–"
        if made and not grade.problem:
            points = f"{grade.points:g}"
            exercises = f"{len(grade.passed)} of {len(made.exercises)}"
        table.add_row(
            Text(name_of(grade.path, folder)),
            Text(made.name if made else ""),
            Text(made.group if made else ""),
            points,
            exercises,
        )
    return table


def say_remarks(console: Console, grades: "list[Grade]", folder: Path) -> None:
    """What a teacher should look at, file by file: in a column of the table it would be torn."""
    from ddpm_tutor.hand_ins.grade_table import name_of

    looked_at = [grade for grade in grades if grade.problem or grade.remarks]
    if not looked_at:
        return
    console.print(Text("To look at", "bold"))
    for grade in looked_at:
        console.print(Text(name_of(grade.path, folder)))
        if grade.problem:
            console.print(Padding(Text(grade.problem, "red"), (0, 0, 0, 2), expand=False))
        for remark in grade.remarks:
            console.print(Padding(Text(remark, "yellow"), (0, 0, 0, 2), expand=False))
    console.print()


def say_foot(console: Console, grades: "list[Grade]", others: list[Path], folder: Path) -> None:
    """How many there were, what was left out, and what the grades prove."""
    from ddpm_tutor.hand_ins.grade_table import name_of
    from ddpm_tutor.screen.prose import Sentence

    broken = sum(bool(grade.problem) for grade in grades)
    count = count_of(len(grades), "hand-in")
    console.print(Text(f"{count}, of which {broken} could not be graded.", "bold"))
    if others:
        names = ", ".join(name_of(path, folder) for path in others[:MAX_NAMED])
        more = f" and {len(others) - MAX_NAMED} more" if len(others) > MAX_NAMED else ""
        console.print(Text(f"Left out, since no report has such a name: {names}{more}", "dim"))
    console.print(Sentence(Text(UNPROVEN, "dim")))
