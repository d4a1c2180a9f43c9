"""The command that lists the lessons."""

from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddpm_tutor.cli.courses import CourseOption, courses_to_list, say_left_out
from ddpm_tutor.cli.exercise import going_on
from ddpm_tutor.cli.welcome import next_lesson, open_progress, state_of
from ddpm_tutor.commands import command
from ddpm_tutor.course.elsewhere import naming, words_for
from ddpm_tutor.screen.console import make_console

if TYPE_CHECKING:
    from ddpm_tutor.course.courses import Course
    from ddpm_tutor.course.exercise import Exercise
    from ddpm_tutor.course.lesson import Lesson
    from ddpm_tutor.learner.progress import Progress

MAX_WAYS = 6  # parts that are listed at once
TO_BE_HAD = "To be had in another sitting, each a part of the assignment of 42 points:"
TO_BE_HAD_IN_COURSE = "To be had in another sitting:"


def lessons(course: CourseOption = None) -> None:
    """List the lessons: title, paper sections, minutes, your progress."""
    console = make_console()
    progress, courses = open_progress(console), courses_to_list(course)
    for each in courses:
        if each.lessons:
            show_lessons(console, each, progress)
        say_exercises_passed(console, each, progress)
    for each in courses:
        if upcoming := next_lesson(list(each.lessons), progress):
            say, lesson = upcoming
            typed = command("lesson", *words_for(lesson.path))
            console.print(Text(f"{say}: {typed}", "dim"), soft_wrap=True)
    for each in courses:
        done_ones = [lesson for lesson in each.lessons if progress.lesson(lesson.key).finished]
        say_ways_to_earn(console, done_ones, progress)
    if say_left_out(courses):
        raise typer.Exit(1)


def show_lessons(console: Console, course: "Course", progress: "Progress") -> None:
    """The table of a course's lessons, and the points in all."""
    from ddpm_tutor.learner.points import earned, worth

    title = Text(f"Lessons of {course.name}" if course.folder else "Lessons")
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE)
    table.add_column("", justify="right", style="bold")
    table.add_column("Title, and what to read")
    table.add_column("Time", no_wrap=True)
    table.add_column("Points", no_wrap=True, justify="right")
    table.add_column("Progress", no_wrap=True)
    mine, all_points = 0.0, 0.0
    for lesson in course.lessons:
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
    if all_points:
        console.print(Text(f"Points: {mine:g} of {all_points:g}, {all_points - mine:g} to go."))


def say_exercises_passed(console: Console, course: "Course", progress: "Progress") -> None:
    """How many of a course's exercises have passed, and what lists them."""
    if course.exercises:
        passed = sum(bool(progress.exercise(exercise.key).passed) for exercise in course.exercises)
        typed = command("exercise", *(naming(course.folder) if course.folder else []))
        says = f"Exercises: {passed} of {len(course.exercises)} passed. "
        console.print(Text.assemble(says, (typed, "dim")), soft_wrap=True)


def say_ways_to_earn(console: Console, lessons: "list[Lesson]", progress: "Progress") -> None:
    """How the points of these lessons of one course that are missing can still be had."""
    from ddpm_tutor.course.courses import course_of
    from ddpm_tutor.learner.points import open_questions
    from ddpm_tutor.screen.prose import Sentence

    missing = [
        (lesson, question)
        for lesson in lessons
        for question in open_questions(lesson, progress.lesson(lesson.key).answers)
    ]
    if not missing:
        return
    course = course_of(missing[0][0].path)
    earned_by = course.parts()
    unpassed = [e for e in course.exercises if not progress.exercise(e.key).counts]
    ways = Table.grid(padding=(0, 2))
    for lesson, question in missing[:MAX_WAYS]:
        how = command("lesson", *words_for(lesson.path), "--from", question.step)
        ways.add_row("", Text(question.key), Text(how, "bold", overflow="fold"))
        part = earned_by.get(question.part)
        if left := [e for e in unpassed if part and e in part.exercises]:
            ways.add_row("", "", Text(f"or {going_on_with(left)}", "dim"))
    console.print(Sentence(TO_BE_HAD if course.folder is None else TO_BE_HAD_IN_COURSE))
    console.print(ways)
    if more := len(missing[MAX_WAYS:]):
        console.print(Text(f"  and {more} more", "dim"))


def going_on_with(exercises: "list[Exercise]") -> str:
    """These exercises by number, and the command to go on with the first."""
    from ddpm_tutor.course.exercise import FOLDER

    numbers = " and ".join(str(exercise.number) for exercise in exercises)
    which = f"exercise{'s' * (len(exercises) > 1)} {numbers}"
    return f"{which}: {going_on(exercises[0], FOLDER)}"
