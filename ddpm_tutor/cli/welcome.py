"""The welcome: what this is, where the learner is, and what to type next."""

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ddpm_tutor.cli.courses import courses_to_list, say_left_out
from ddpm_tutor.commands import command
from ddpm_tutor.course.elsewhere import naming, words_for
from ddpm_tutor.errors import UsageError
from ddpm_tutor.screen.console import make_console

if TYPE_CHECKING:
    from ddpm_tutor.course.courses import Course
    from ddpm_tutor.course.lesson import Lesson
    from ddpm_tutor.learner.progress import LessonProgress, Progress


def state_of(lesson: "Lesson", progress: "LessonProgress") -> Text:
    """How far the learner is in a lesson, in a word or two."""
    if progress.finished:
        return Text("✓ done", "green")
    if progress.step > 1:
        return Text(f"step {progress.step} of {len(lesson.steps)}", "yellow")
    return Text("–", "dim")


def next_lesson(lessons: "list[Lesson]", progress: "Progress") -> "tuple[str, Lesson] | None":
    """The lesson to open next, and how to call that; None when all are done.

    One that was left in the middle comes first.
    """
    unfinished = [lesson for lesson in lessons if not progress.lesson(lesson.key).finished]
    begun = [lesson for lesson in unfinished if progress.lesson(lesson.key).step > 1]
    if begun:
        return "Go on with", begun[0]
    if unfinished:
        return "Begin with" if unfinished[0].number == 1 else "Next", unfinished[0]
    return None


def open_progress(console: Console) -> "Progress":
    """The learner's progress; says so when the file had to be set aside."""
    from ddpm_tutor.learner.progress import UNREADABLE, load_progress, set_aside_unreadable

    if kept := set_aside_unreadable():
        console.print(Text(UNREADABLE, "yellow"))
        console.print(Text(f"The old file is kept: {kept}", "yellow"), soft_wrap=True)
    return load_progress()


def courses_of_learner(named: str | None) -> "list[Course]":
    """The courses to list; what is wrong with one is said on stderr, and no more."""
    try:
        courses = courses_to_list(named, brief=True)
    except UsageError as error:
        print(error, file=sys.stderr)
        courses = courses_to_list(None, brief=True)
    say_left_out(courses)
    return courses


def welcome(course: str | None = None) -> None:
    """What this is, where the learner is, and what to type next.

    Args:
        course: the folder of a course to list as well.
    """
    console = make_console()
    progress = open_progress(console)
    console.print(
        Panel(
            Text.assemble(
                ("ddpm-tutor", "bold cyan"),
                "  How diffusion models work, step by step, with a real model.\n",
                ("The paper to have open: Ho, Jain, Abbeel 2020, arXiv 2006.11239", "dim"),
            ),
            expand=False,
            padding=(1, 2),
        )
    )
    courses = courses_of_learner(course)
    rows = Table.grid(padding=(0, 2))
    for each in courses:
        if each.folder:
            rows.add_row("", Text(each.name, "cyan"))
        for lesson in each.lessons:
            mine = progress.lesson(lesson.key)
            number = Text(str(lesson.number), "bold")
            rows.add_row(number, Text(lesson.title), state_of(lesson, mine))
        if each.folder:
            rows.add_row("", Text("ddpm-tutor itself", "cyan"))
    console.print(rows)
    console.print()
    upcoming = [found for each in courses if (found := next_lesson(list(each.lessons), progress))]
    for say, lesson in upcoming:
        typed = (command("lesson", *words_for(lesson.path)), "bold")
        console.print(Text.assemble(f"{say}:".ljust(15), typed), soft_wrap=True)
    if not upcoming:
        console.print(Text("You have done every lesson. Now read the code: it is short."))
    words = [word for each in courses if each.folder for word in naming(each.folder)]
    writing = Text.assemble("Write it:      ", (command("exercise", *words), "bold"))
    console.print(writing, soft_wrap=True)
    console.print(Text.assemble("Draw a 7:      ", ("ddpm-tutor gif --digit 7", "bold")))
    console.print(Text.assemble("All commands:  ", ("ddpm-tutor --help", "bold")))
