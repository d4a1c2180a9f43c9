"""The command that lists the lessons."""

from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddpm_tutor.cli.exercise import going_on
from ddpm_tutor.cli.welcome import next_lesson, open_progress, say_due, state_of
from ddpm_tutor.commands import command
from ddpm_tutor.files import bundled
from ddpm_tutor.screen.console import make_console

if TYPE_CHECKING:
    from ddpm_tutor.course.exercise import Exercise
    from ddpm_tutor.course.lesson import Lesson
    from ddpm_tutor.learner.progress import Progress

MAX_WAYS = 6  # parts that are listed at once
TO_BE_HAD = "To be had in another sitting, each a part of the assignment of 42 points:"


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
    known = all_lessons()
    for lesson in known:
        done = progress.lesson(lesson.key)
        points, of = earned(lesson, done.answers), worth(lesson)
        mine, all_points = mine + points, all_points + of
        table.add_row(
            str(lesson.number),
            Text.assemble(lesson.title, "\n", (lesson.fact("Paper"), "dim")),
            Text(lesson.fact("Time")),
            f"{points:g} of {of:g}" if of else Text("–", "dim"),
            state_of(lesson, done),
        )
    console.print(table)
    console.print(Text(f"Points: {mine:g} of {all_points:g}, {all_points - mine:g} to go."))
    listed = all_exercises()
    passed = sum(bool(progress.exercise(exercise.key).passed) for exercise in listed)
    console.print(
        Text.assemble(
            f"Exercises: {passed} of {len(listed)} passed. ", ("ddpm-tutor exercise", "dim")
        )
    )
    if upcoming := next_lesson(known, progress):
        say, lesson = upcoming
        console.print(Text(f"{say}: ddpm-tutor lesson {lesson.number}", "dim"))
    say_due(console, progress, "Review: ")
    done_ones = [lesson for lesson in known if progress.lesson(lesson.key).finished]
    say_ways_to_earn(console, done_ones, progress)


def say_ways_to_earn(console: Console, lessons: "list[Lesson]", progress: "Progress") -> None:
    """How the points of these lessons that are missing can still be had."""
    from ddpm_tutor.course.exercise import all_exercises, parts
    from ddpm_tutor.learner.points import open_questions
    from ddpm_tutor.screen.prose import Sentence

    missing = [
        (lesson, question)
        for lesson in lessons
        for question in open_questions(lesson, progress.lesson(lesson.key).answers)
    ]
    if not missing:
        return
    earned_by = parts()
    unpassed = [e for e in all_exercises() if not progress.exercise(e.key).counts]
    ways = Table.grid(padding=(0, 2))
    for lesson, question in missing[:MAX_WAYS]:
        place = lesson.number if lesson.path.parent == bundled("lessons") else lesson.path
        how = command("lesson", place, "--from", question.step)
        ways.add_row("", Text(question.key), Text(how, "bold"))
        part = earned_by.get(question.part)
        if left := [e for e in unpassed if part and e in part.exercises]:
            ways.add_row("", "", Text(f"or {going_on_with(left)}", "dim"))
    console.print(Sentence(TO_BE_HAD))
    console.print(ways)
    if more := len(missing[MAX_WAYS:]):
        console.print(Text(f"  and {more} more", "dim"))


def going_on_with(exercises: "list[Exercise]") -> str:
    """These exercises by number, and the command to go on with the first."""
    from ddpm_tutor.course.exercise import FOLDER

    numbers = " and ".join(str(exercise.number) for exercise in exercises)
    which = f"exercise{'s' * (len(exercises) > 1)} {numbers}"
    return f"{which}: {going_on(exercises[0], FOLDER)}"
