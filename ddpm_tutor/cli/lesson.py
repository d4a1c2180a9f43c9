"""The command that steps through a lesson."""

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.cli.courses import CourseOption, chosen_course
from ddpm_tutor.cli.shared_options import (
    DataOption,
    Device,
    LessonDevice,
    LessonSeed,
    SettingsOption,
    TrustOption,
    a_path,
    given,
)
from ddpm_tutor.commands import command
from ddpm_tutor.errors import Stopped, TutorError, UsageError
from ddpm_tutor.files import came_along, filling
from ddpm_tutor.screen.console import make_console
from ddpm_tutor.screen.keyboard import in_notebook, is_terminal, read_key, showing_keys
from ddpm_tutor.words import count_of

if TYPE_CHECKING:
    from ddpm_tutor.classroom.stepper import Stepper
    from ddpm_tutor.course.exercise import Exercise
    from ddpm_tutor.course.lesson import Lesson
    from ddpm_tutor.course.paper import Entry
    from ddpm_tutor.learner.progress import Bookmark, LessonProgress
from ddpm_tutor.cli.welcome import open_progress

NO_KEYS = (
    "No keys can be typed here: the lesson runs straight through, as with --no-pause.\n"
    "In a terminal it waits after each step, and asks you its questions."
)


def lesson(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(metavar="N", callback=a_path, help="A lesson's number, or a lesson file."),
    ],
    pause: Annotated[
        bool | None,
        typer.Option(
            "--pause/--no-pause",
            help="Wait for a key after each step: the default where keys can be typed.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        int | None, typer.Option("--from", min=1, help="Start at this step.", show_default=False)
    ] = None,
    settings: SettingsOption = None,
    seed: LessonSeed = None,
    device: LessonDevice = None,
    out: Annotated[
        Path, typer.Option(callback=a_path, help="Folder for pictures and GIFs.")
    ] = Path("outputs"),
    data: DataOption = None,
    course: CourseOption = None,
    trust: TrustOption = False,
    check: Annotated[
        bool, typer.Option("--check", help="For authors: say whether the file is in order.")
    ] = False,
) -> None:
    """Step through a lesson."""
    from ddpm_tutor.course.courses import lesson_called
    from ddpm_tutor.learner.progress import Bookmark

    chosen = lesson_called(name, chosen_course(course))
    if check:
        check_file(chosen)
        return
    values = lesson_settings(chosen, settings or [], seed, device)
    count = len(chosen.steps)
    if start and start > count:
        raise UsageError(f"This lesson has steps 1 to {count}; there is no step {start}.")
    if data is not None:
        os.environ["DDPM_TUTOR_DATA"] = str(data)  # where the lesson's load_digits() looks

    # the stepper catches what lesson code prints: the console must not follow sys.stdout there
    console = make_console(file=sys.stdout)
    if not trust:
        ask_for_trust(console, chosen)
    bookmark = None
    if learner_is_there(pause):
        open_progress(console)
        bookmark = Bookmark(chosen.key)
    elif pause is not False:
        console.print(Text(NO_KEYS, "yellow"))
    if bookmark and start is None and 1 < bookmark.lesson.step <= count:
        start = ask_where_to_start(console, chosen, bookmark.lesson)

    # what is typed while something computes would stand in its output
    with showing_keys(False) if bookmark else nullcontext(), filling(out):
        name = f"lesson {chosen.number or chosen.path.name}"
        stepper = open_stepper(console, chosen, name, values, out, bookmark)
        if bookmark:
            stepper.at_step = bookmark.at_step
            stepper.open_entry = partial(read_beside, console, values, out)
        finished = stepper.run(start or 1)
    if bookmark and finished:
        bookmark.finished()
    options = given(ctx, "settings", "seed", "device", "out", "data", "trust")
    say_goodbye(console, chosen, stepper.session.saved, finished, options)
    if bookmark:
        say_points(console, chosen, bookmark.lesson, finished)


def open_stepper(
    console: Console,
    page: "Lesson",
    name: str,
    values: dict[str, str],
    out: Path,
    bookmark: "Bookmark | None",
) -> "Stepper":
    """What steps through a lesson, or an entry of the paper: with keys where there is a bookmark.

    Args:
        name: how the page is called while it opens: from here on torch is needed.
        values: parameters to change, as text.
        out: folder for its pictures.
    """
    with console.status(Text(f"Opening {name} ...")):
        from ddpm_tutor.classroom.session import Session
        from ddpm_tutor.classroom.stepper import Stepper
        from ddpm_tutor.science.devices import choose_device

        if (named := values.get("device", "auto")) != "auto":
            choose_device(named)  # better to fail now

    session = Session(console, out)
    session.told_of_parts = not came_along(page.path)  # its parts are none of the assignment
    stepper = Stepper(page, session, settings=values)
    if bookmark:
        session.ask, session.on_answer = asking(console), bookmark.answered
        stepper.keys, stepper.at_end = read_key, bookmark.finished
        stepper.took, stepper.expected = bookmark.took, dict(bookmark.lesson.seconds)
    return stepper


def asking(console: Console) -> Callable[[str], str]:
    """What asks a question of whoever is at the keyboard, and gives the answer as it was typed."""

    def ask(prompt: str) -> str:
        with showing_keys(True):
            return ask_line(console, prompt)

    return ask


def ask_line(console: Console, prompt: str) -> str:
    """What is typed behind the prompt. What is said after Ctrl-C does not stand on its line.

    Raises:
        EOFError: the input has ended.
    """
    try:
        return console.input(prompt, markup=False, emoji=False)
    except (KeyboardInterrupt, Stopped):
        console.print()
        raise


def read_beside(console: Console, values: dict[str, str], out: Path, entry: "Entry") -> None:
    """Lets the learner read an entry of the paper in the midst of a lesson."""
    from ddpm_tutor.cli.paper import step_through
    from ddpm_tutor.course.lesson import parameters

    known = parameters(entry.page)
    shared = {name: values[name] for name in ("seed", "device") if name in values}
    step_through(console, entry, {k: v for k, v in shared.items() if k in known}, out, True)
    console.print(Text("Back to the lesson.", "dim"))


def learner_is_there(pause: bool | None = None) -> bool:
    """Whether somebody can type keys and see screens; --pause says so of a notebook's cell too."""
    at_terminal = is_terminal(sys.stdin) and is_terminal(sys.stdout)
    return at_terminal and (not in_notebook() if pause is None else pause)


def ask_for_trust(console: Console, page: "Lesson | Exercise") -> None:
    """Asks before the code of a lesson or an exercise is run that did not come with the package.

    Raises:
        TutorError: nobody is there to ask, or the answer was no.
    """
    if came_along(page.path):
        return
    path, what = page.path.resolve(), type(page).__name__.lower()
    a_page = f"{'an' if what[0] in 'aeiou' else 'a'} {what}"
    if not learner_is_there():
        raise UsageError(
            f"{path} did not come with ddpm-tutor, and {a_page} runs its code on this machine.\n"
            "Read it first; if you trust it, add --trust."
        )
    console.print(Text(f"This {what} did not come with ddpm-tutor:", "bold yellow"))
    console.print(Text(f"  {path}"), soft_wrap=True)
    console.print(
        Text(f"{a_page.capitalize()} is Python: it can do on this machine whatever you can.")
    )
    try:
        answer = ask_line(console, "Run it? Type yes: ")
    except EOFError:
        console.print()
        answer = ""
    if answer.strip().lower() not in ("yes", "y"):
        raise TutorError("Not run. Read the file first; then run this again, or add --trust.")


def lesson_settings(
    lesson: "Lesson", settings: list[str], seed: int | None, device: Device | None
) -> dict[str, str]:
    """The parameters of the lesson that the options change, as text.

    Raises:
        UsageError: the lesson has no such parameter, or a value is of the wrong type.
    """
    from ddpm_tutor.course.lesson import check_settings, parameters

    values = parse_settings(settings)
    if seed is not None:
        values["seed"] = str(seed)
    if device is not None and "device" in parameters(lesson):
        values["device"] = device.value
    check_settings(lesson, values)
    return values


def check_file(lesson: "Lesson") -> None:
    """Says what is not in order in a lesson file.

    Raises:
        TutorError: something is not.
    """
    from ddpm_tutor.course.lesson_lint import lesson_problems
    from ddpm_tutor.course.questions import questions
    from ddpm_tutor.learner.points import worth

    found = lesson_problems(lesson)
    if found:
        raise TutorError("\n".join(f"{lesson.path.name}: {problem}" for problem in found))
    asked, points = count_of(len(questions(lesson)), "question"), count_of(worth(lesson), "point")
    typer.echo(f"{lesson.path.name}: in order, {asked}, {points}")


def parse_settings(settings: list[str]) -> dict[str, str]:
    """--set NAME=VALUE pairs.

    Raises:
        UsageError: one has no "=".
    """
    values = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise UsageError(f"--set wants NAME=VALUE, such as --set seed=1, not {setting!r}.")
        values[name.strip()] = value.strip()
    return values


def ask_where_to_start(console: Console, lesson: "Lesson", place: "LessonProgress") -> int:
    """Offers to go on where the learner left."""
    from ddpm_tutor.screen.prose import duration

    step = place.step
    console.print(Text(f"You left at step {step} of {len(lesson.steps)}."))
    seconds = sum(place.seconds.get(earlier.title, 0) for earlier in lesson.steps[: step - 1])
    wait = f", after about {duration(seconds)} of computing" if seconds >= 1 else ""
    while True:
        console.print(
            Text.assemble(
                ("Enter", "bold cyan"), f" goes on there{wait}, ",
                ("s", "bold cyan"), " starts over, ", ("q", "bold cyan"), " leaves.",
            )
        )  # fmt: skip
        key = read_key()
        if key == "q":
            raise typer.Exit
        if key in ("\r", "s"):
            return 1 if key == "s" else step


def say_points(console: Console, lesson: "Lesson", place: "LessonProgress", finished: bool) -> None:
    """What the learner's answers are worth, and at the end how the other points are to be had."""
    from ddpm_tutor.cli.lessons import say_ways_to_earn
    from ddpm_tutor.learner.points import earned, worth
    from ddpm_tutor.learner.progress import load_progress

    if worth(lesson):
        mine, of = earned(lesson, place.answers), worth(lesson)
        console.print(Text(f"Points in this lesson: {mine:g} of {of:g}."))
    if finished:
        progress = load_progress()
        progress.lessons[lesson.key] = place  # nothing is on the disk where none can be
        say_ways_to_earn(console, [lesson], progress)


def say_goodbye(
    console: Console, lesson: "Lesson", saved: list[Path], finished: bool, options: list[object]
) -> None:
    """The files that were saved, and the next command; the same lesson keeps its options."""
    from ddpm_tutor.course.courses import course_of
    from ddpm_tutor.course.elsewhere import naming, words_for

    console.print()
    if saved:
        console.print(Text("Saved by this lesson:", "bold"))
        for path in saved:
            console.print(Text(f"  {path}", "green"), soft_wrap=True)
        console.print()
    if not finished:
        again = command("lesson", *words_for(lesson.path), *options)
        console.print(Text(f"See you. Go on with: {again}"), soft_wrap=True)
        return
    course = course_of(lesson.path)
    listed = any(other.key == lesson.key for other in course.lessons)
    following = [other for other in course.lessons if other.number == lesson.number + 1]
    if following and listed:
        typed = command("lesson", *words_for(following[0].path))
        console.print(Text.assemble("Lesson done. Next: ", (typed, "bold cyan")), soft_wrap=True)
    elif listed:
        typed = command("lessons", *(naming(course.folder) if course.folder else []))
        done = Text.assemble("Lesson done. Your points: ", (typed, "bold cyan"))
        console.print(done, soft_wrap=True)
    else:  # it has no number, and stands in no list
        console.print(Text("Lesson done."))
    say_exercises(console, lesson)
    say_entries(console, lesson)


def say_entries(console: Console, lesson: "Lesson") -> None:
    """Which pieces of the paper this lesson has taught."""
    from ddpm_tutor.course.paper import all_entries
    from ddpm_tutor.screen.prose import HOLD, Sentence

    if not came_along(lesson.path):
        return
    mine = [e for e in all_entries() if any(n == lesson.number for n, _ in e.lessons)]
    if mine:
        names = ", ".join(entry.name.replace(" ", HOLD) for entry in mine)
        console.print(Sentence(f"In the paper: {names}."))
        typed = (command("paper", *mine[0].key.split()), "bold cyan")
        which = "it" if len(mine) == 1 else "one of them"
        console.print(Text.assemble(f"Step through {which}: ", typed))


def say_exercises(console: Console, lesson: "Lesson") -> None:
    """Which exercises have the learner write what this lesson has taught."""
    from ddpm_tutor.cli.exercise import going_on
    from ddpm_tutor.course.courses import course_of
    from ddpm_tutor.course.exercise import FOLDER
    from ddpm_tutor.learner.progress import load_progress
    from ddpm_tutor.screen.prose import HOLD, Sentence

    progress = load_progress()
    exercises = course_of(lesson.path).exercises
    mine = [e for e in exercises if e.lesson == str(lesson.number)]
    left = [e for e in mine if not progress.exercise(e.key).passed]
    if left:
        titles = "; ".join(f"{e.number}{HOLD}{e.title.replace(' ', HOLD)}" for e in left)
        console.print(Sentence(f"Exercises of this lesson: {titles}."))
        typed = (going_on(left[0], FOLDER), "bold cyan")
        console.print(Text.assemble("Write it yourself: ", typed))
