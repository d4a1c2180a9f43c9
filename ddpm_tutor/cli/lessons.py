"""The command that lists the lessons."""

from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from ddpm_tutor.screen.console import make_console

if TYPE_CHECKING:
    pass
from ddpm_tutor.cli.welcome import open_progress, state_of


def lessons() -> None:
    """List the lessons: title, paper sections, minutes, your progress."""
    from ddpm_tutor.course.exercise import all_exercises
    from ddpm_tutor.course.lesson import all_lessons
    from ddpm_tutor.learner.points import earned, worth

    console = make_console()
    progress = open_progress(console)
    table = Table(title="Lessons", title_justify="left", title_style="bold", box=box.SIMPLE)
    table.add_column("", justify="right", style="bold")
    table.add_column("Title, and what to read")
    table.add_column("Time", no_wrap=True)
    table.add_column("Points", no_wrap=True, justify="right")
    table.add_column("Progress", no_wrap=True)
    mine, all_points = 0.0, 0.0
    upcoming = None
    for lesson in all_lessons():
        done = progress.lesson(lesson.path.stem)
        points, of = earned(lesson, done.answers), worth(lesson)
        if upcoming is None and (points < of or not done.finished):
            upcoming = lesson
        mine, all_points = mine + points, all_points + of
        table.add_row(
            str(lesson.number),
            Text.assemble(lesson.title, "\n", (lesson.fact("Paper"), "dim")),
            Text(lesson.fact("Time")),
            f"{points:g} of {of:g}",
            state_of(lesson, done),
        )
    console.print(table)
    console.print(Text(f"Points: {mine:g} of {all_points:g}, {all_points - mine:g} to go."))
    listed = all_exercises()
    passed = sum(bool(progress.exercise(exercise.name).passed) for exercise in listed)
    console.print(
        Text.assemble(
            f"Exercises: {passed} of {len(listed)} passed. ", ("ddpm-tutor exercise", "dim")
        )
    )
    if upcoming:
        console.print(Text(f"Go on with: ddpm-tutor lesson {upcoming.number}", "dim"))
