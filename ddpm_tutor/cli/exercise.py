"""The commands of the exercises: the learner writes the functions that the lessons taught."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from typer.core import TyperGroup

from ddpm_tutor.cli.courses import (
    CourseOption,
    chosen_course,
    courses_to_list,
    no_course_before,
    say_left_out,
)
from ddpm_tutor.cli.shared_options import a_path
from ddpm_tutor.commands import command
from ddpm_tutor.course.exercise import FOLDER, as_typed
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.screen.console import make_console, written
from ddpm_tutor.words import count_of

if TYPE_CHECKING:
    from ddpm_tutor.course.courses import Course
    from ddpm_tutor.course.exercise import Exercise, Part
    from ddpm_tutor.grading.sandbox import Checked
    from ddpm_tutor.learner.progress import ExerciseProgress, Progress

LOOK_SECONDS = 0.3  # between two looks at a watched file


class Exercises(TyperGroup):
    """Whoever types `exercise 2`, as `lesson 2`, is told what to type."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args[0].isdigit():
            raise UsageError(f"Say what to do with it: {command('exercise', 'start', args[0])}")
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=Exercises,
    help="Write the equations yourself: a gap to fill, and an exact answer.",
    context_settings={"help_option_names": ["-h", "--help"]},
)

NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="N",
        callback=a_path,
        help="An exercise's number, your file, or an exercise file from elsewhere.",
    ),
]
FolderOption = Annotated[
    Path, typer.Option("--folder", callback=a_path, help="Where your files are.")
]


@app.callback(invoke_without_command=True)
def exercises(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            "--check",
            callback=a_path,
            help="For authors: is this exercise file in order? This runs its code.",
            show_default=False,
        ),
    ] = None,
    course: CourseOption = None,
) -> None:
    """Write the equations yourself: a gap to fill, and an exact answer."""
    if file is not None and ctx.invoked_subcommand is not None:
        raise UsageError(
            "--check is for whoever writes an exercise, and stands alone. "
            f"Your answer is checked by: {command('exercise', 'check', 'N')}"
        )
    if file is not None:
        check_exercise_file(make_console(), file)
    elif ctx.invoked_subcommand is None:
        courses = courses_to_list(course)
        show_lists(make_console(), courses)
        if say_left_out(courses):
            raise typer.Exit(1)
    else:
        no_course_before(ctx)


def check_exercise_file(console: Console, path: Path) -> None:
    """Says what is not in order in an exercise file: its form first, then its verdicts.

    Raises:
        TutorError: something is not.
    """
    from ddpm_tutor.course.exercise import read_exercise
    from ddpm_tutor.course.exercise_lint import exercise_problems

    exercise = read_exercise(path)
    found = exercise_problems(exercise)
    if not found:
        with console.status(Text(f"Trying {path} ...")):
            from ddpm_tutor.grading.proof import wrong_verdicts

            found = list(wrong_verdicts(exercise))
    if found:
        raise TutorError("\n".join(f"{path.name}: {problem}" for problem in found))
    hints = count_of(len(exercise.hints), "hint")
    mistakes = count_of(len(exercise.mistakes), "known mistake")
    typer.echo(f"{path.name}: in order, {hints}, {mistakes}")


def show_lists(console: Console, courses: "list[Course]") -> None:
    """The exercises of each course, and which to go on with."""
    from ddpm_tutor.cli.welcome import open_progress

    progress = open_progress(console)
    for course in courses:
        if course.exercises:
            show_list(console, course, progress)
    for course in courses:
        left = [e for e in course.exercises if not progress.exercise(e.key).passed]
        if left:
            typed = going_on(left[0], FOLDER)
            console.print(Text(f"Go on with: {typed}", "dim"), soft_wrap=True)
        elif course.folder is None:
            say_all_done(console, "All done.", FOLDER)


def show_list(console: Console, course: "Course", progress: "Progress") -> None:
    """Number, title, lesson, points and state of every exercise."""
    listed, worth = course.exercises, course.parts()
    title = Text(f"Exercises of {course.name}" if course.folder else "Exercises")
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE)
    table.pad_edge = False  # so that it fits 80 columns
    table.add_column("", justify="right", style="bold")
    table.add_column("Title", no_wrap=True)
    table.add_column("Lesson", justify="right")
    table.add_column("Part", no_wrap=True)
    table.add_column("Points", justify="right")
    table.add_column("State", no_wrap=True)
    for exercise in listed:
        table.add_row(
            str(exercise.number),
            Text(exercise.title),
            Text(exercise.lesson),
            Text(exercise.part or "–"),
            Text(points_of(exercise, worth)),
            state_of(exercise, progress.exercise(exercise.key)),
        )
    console.print(table)
    done = sum(bool(progress.exercise(exercise.key).passed) for exercise in listed)
    say = f"Exercises: {done} of {len(listed)} passed."
    total = sum(part.points for part in worth.values())
    if course.folder:
        points = f" They stand for {total:g} of the points of its lessons." if total else ""
        console.print(Text(f"{say}{points}"))
        return
    console.print(Text(f"{say} They stand for {total:g} of the 42 points of the lessons."))
    console.print(
        Text("Parts, such as 11.6 b, are those of a university assignment of 42 points.", "dim")
    )
    if any(len(part.exercises) > 1 for part in worth.values()):
        console.print(Text("½: two exercises earn that point together.", "dim"))
    if any(exercise.part not in worth for exercise in listed):
        console.print(Text("–: it goes beyond the assignment, and earns no points.", "dim"))


def answer_in(folder: Path, exercise: "Exercise") -> Path:
    """The learner's file for an exercise; `folder` is FOLDER where none was named."""
    return exercise.file if folder == FOLDER else folder / exercise.file.name


def going_on(exercise: "Exercise", folder: Path) -> str:
    """The command that starts an exercise in `folder`, or checks it where it has been started."""
    path = answer_in(folder, exercise)
    return command("exercise", "check" if path.exists() else "start", *as_typed(exercise, path))


def say_all_done(console: Console, say: str, folder: Path) -> None:
    """What to do when every exercise has passed: draw with the functions in `folder`."""
    from ddpm_tutor.course.exercise import all_exercises

    if any((folder / exercise.file.name).exists() for exercise in all_exercises()):
        say = f"{say} Draw with it"
    elif folder == FOLDER:
        say, folder = f"{say} Draw with it, in the folder of your files", Path()
    else:  # they have names of their own, and a drawing would not find them
        console.print(Text(say, "dim"))
        return
    draw = command("gif", "--digit", 7, "--with-my-code", folder)
    console.print(Text(f"{say}: {draw}", "dim"), soft_wrap=True)
    train = command("train", "--with-my-code", folder)
    console.print(Text(f"Train with it: {train}", "dim"), soft_wrap=True)


def points_of(exercise: "Exercise", worth: "dict[str, Part]") -> str:
    """What passing earns; ½ where two earn one point together, – where it is no part of them."""
    part = worth.get(exercise.part)
    if part is None:
        return "–"
    share = part.points / len(part.exercises)
    return "½" if share == 0.5 else f"{share:.2g}"


def state_of(exercise: "Exercise", progress: "ExerciseProgress") -> Text:
    """How far the learner is, in a word or two."""
    if progress.counts:
        return Text("✓ passed", "green")
    if progress.passed:
        return Text("✓ solution seen", "yellow")
    if progress.given_up:
        return Text("solution seen", "yellow")
    if exercise.file.exists():
        return Text("begun", "yellow")
    return Text("–", "dim")


def opened(name: str, folder: Path, course: str | None) -> "tuple[Exercise, Path]":
    """The exercise, and the learner's file for it.

    Args:
        name: the exercise's number, its own file where it is from elsewhere, or the learner's file.
        folder: where the learner's file is, if `name` is not that.
        course: the folder of a course whose exercises are looked through first.
    """
    from ddpm_tutor.course.courses import exercise_called

    exercise = exercise_called(name, chosen_course(course))
    if name.endswith(".py") and exercise.path != Path(name):
        return exercise, Path(name)
    return exercise, answer_in(folder, exercise)


@app.command("start")
def start(name: NameArgument, folder: FolderOption = FOLDER, course: CourseOption = None) -> None:
    """Write the file of an exercise here: what to do, and a gap to fill."""
    exercise, path = opened(name, folder, course)
    console = make_console()
    if path.exists():
        raise TutorError(
            f"{path} is there already, and stays as it is.\n"
            f"Start over with: {command('exercise', 'reset', *as_typed(exercise, path))}"
        )
    write(path, exercise.starter(path))
    console.print(written(path, "Written"), soft_wrap=True)
    console.print(Text("Open it in your editor, and fill the gap. Then:"))
    checking = command("exercise", "check", *as_typed(exercise, path), "--watch")
    console.print(Text(f"  {checking}", "bold"), soft_wrap=True)


def write(path: Path, text: str) -> None:
    """Writes a learner's file, whole or not at all; its folder is one of theirs from now on."""
    from ddpm_tutor.files import replacing
    from ddpm_tutor.learner.progress import started_in

    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    started_in(path.parent)


@app.command("check")
def check(
    name: NameArgument,
    folder: FolderOption = FOLDER,
    watch: Annotated[
        bool, typer.Option("--watch", help="Check each time the file is saved, until Ctrl-C.")
    ] = False,
    course: CourseOption = None,
    progress: Annotated[
        bool | None,
        typer.Option(
            "--progress/--no-progress",
            help="Keep that it has passed: the default in a folder where you started an exercise.",
            show_default=False,
        ),
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run an exercise from elsewhere without asking first.")
    ] = False,
) -> None:
    """Run your code, and say whether it is right, or exactly how it is wrong."""
    from ddpm_tutor.cli.lesson import ask_for_trust
    from ddpm_tutor.learner.progress import started_in

    exercise, path = opened(name, folder, course)
    console = make_console()
    if not trust:
        ask_for_trust(console, exercise)
    if progress and path.is_file():
        started_in(path.parent)
    if not watch:
        if not check_once(console, exercise, path, progress):
            raise typer.Exit(1)
        return
    while True:
        seen = stamp(path)
        if console.is_terminal:
            console.clear()
        try:
            check_once(console, exercise, path, progress)
        except TutorError as error:  # the file may be gone while an editor writes it
            console.print(Text(str(error), "red"), soft_wrap=True)
        watching = f"\nWatching {path}: save it to check again. Ctrl-C ends."
        console.print(Text(watching, "dim"), soft_wrap=True)
        while stamp(path) == seen:
            time.sleep(LOOK_SECONDS)


def stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is saved; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def check_once(console: Console, exercise: "Exercise", path: Path, progress: bool | None) -> bool:
    """Checks the file, tells the verdict and keeps it; whether it has passed.

    Args:
        progress: whether to keep it; None: where the file is the learner's own.
    """
    from ddpm_tutor.grading.report import print_verdict
    from ddpm_tutor.grading.sandbox import check
    from ddpm_tutor.learner.progress import exercise_failed, is_own

    with console.status(Text(f"Checking {path} ...")):
        checked = check(exercise, path)
    print_verdict(console, exercise, path, checked)
    counts = is_own(exercise, path) if progress is None else progress
    if not checked.verdict.passed:
        if counts:
            exercise_failed(exercise)
        say_help(console, exercise, path)
    elif counts:
        keep(console, exercise, path, checked)
    else:
        say = "" if progress is False else ": you have started no exercise where this file is"
        console.print(Text(f"  Not kept in your progress{say}.", "yellow"))
        keeping = command("exercise", "check", *as_typed(exercise, path), "--progress")
        console.print(Text(f"  If it is yours: {keeping}", "dim"), soft_wrap=True)
    return checked.verdict.passed


def keep(console: Console, exercise: "Exercise", path: Path, checked: "Checked") -> None:
    """Keeps that the exercise has passed, and says what it has earned and what comes next."""
    from ddpm_tutor.course.courses import course_of
    from ddpm_tutor.learner.progress import exercise_passed, load_progress

    exercise_passed(exercise, checked.source)
    course = course_of(exercise.path)
    progress, part = load_progress(), course.parts().get(exercise.part)
    if part:
        of = course.name or "the assignment"
        mine = f"part {part.name} of {of} ({count_of(part.points, 'point')})"
        open_ones = [e for e in part.exercises if not progress.exercise(e.key).counts]
        if progress.exercise(exercise.key).given_up:
            say = (
                f"You have seen the solution, so it earns no points. After a reset it does: {mine}."
            )
        elif open_ones:
            others = " and ".join(f"exercise {e.number}" for e in open_ones)
            say = f"Together with {others} it earns {mine}."
        else:
            say = f"It earns {mine}."
        console.print(Text(f"  {say}"))
    elif progress.exercise(exercise.key).given_up:
        console.print(Text("  You have seen the solution. After a reset it counts."))
    following = [e for e in course.exercises if not progress.exercise(e.key).passed]
    later = [e for e in following if e.number > exercise.number] or following
    if later:
        console.print(Text(f"  Next: {going_on(later[0], path.parent)}", "dim"), soft_wrap=True)
    elif course.folder is None:
        say_all_done(console, "  All done.", path.parent)
    else:
        console.print(Text("  All done.", "dim"))


def say_help(console: Console, exercise: "Exercise", path: Path) -> None:
    """Where help is to be had."""
    from ddpm_tutor.learner.progress import load_progress

    shown = load_progress().exercise(exercise.key).hints
    left = len(exercise.hints) - shown
    if left > 0:
        word = "A hint" if shown == 0 else "The next hint"
        hint = command("exercise", "hint", *as_typed(exercise, path))
        console.print(Text(f"  {word}: {hint}", "dim"), soft_wrap=True)


@app.command("hint")
def hint(name: NameArgument, course: CourseOption = None) -> None:
    """Show one more hint each time, from a nudge to nearly the whole answer."""
    from ddpm_tutor.course.courses import exercise_called
    from ddpm_tutor.learner.progress import change_progress, load_progress
    from ddpm_tutor.screen.prose import Code, Prose

    exercise, console = exercise_called(name, chosen_course(course)), make_console()
    if (count := len(exercise.hints)) == 0:
        raise TutorError(f"{exercise.path} has no hints.")
    number = min(load_progress().exercise(exercise.key).hints + 1, count)
    change_progress(lambda p: setattr(p.exercise(exercise.key), "hints", number))
    shown = exercise.hints[number - 1]
    console.print(Text(f"Hint {number} of {count} · {exercise.title}", "bold"))
    console.print(Prose(shown.prose))
    console.print()
    console.print(Code(shown.code.source))
    if number == count:
        console.print()
        solution = command("exercise", "solution", *typed_again(name, exercise), "--give-up")
        console.print(Text(f"All of it: {solution}", "dim"), soft_wrap=True)


def typed_again(name: str, exercise: "Exercise") -> list[object]:
    """What names an exercise in the next command, after `name` did in this one."""
    is_answer = name.endswith(".py") and exercise.path != Path(name)
    return as_typed(exercise, Path(name) if is_answer else exercise.file)


@app.command("solution")
def solution(
    name: NameArgument,
    give_up: Annotated[
        bool, typer.Option("--give-up", help="Show it although you have not passed yet.")
    ] = False,
    course: CourseOption = None,
) -> None:
    """Show the solution, once you have passed."""
    from ddpm_tutor.course.courses import exercise_called
    from ddpm_tutor.learner.progress import change_progress, load_progress
    from ddpm_tutor.screen.prose import Code

    exercise, console = exercise_called(name, chosen_course(course)), make_console()
    progress = load_progress().exercise(exercise.key)
    if not progress.passed and not give_up and not progress.given_up:
        raise UsageError(
            f"You have not passed exercise {exercise.number} yet. Ask for a hint, or add --give-up:"
            "\nthen it does not count, until you reset it and write it yourself."
        )
    console.print(Code(exercise.solution.source))
    if not progress.passed:
        change_progress(lambda p: setattr(p.exercise(exercise.key), "given_up", True))
        console.print()
        console.print(Text("Read it until you can say why each part is there. Then close it, and:"))
        again = command("exercise", "reset", *typed_again(name, exercise))
        console.print(Text(f"  {again}", "bold"), soft_wrap=True)
        console.print(Text("Written from memory, it counts after all.", "dim"))


@app.command("reset")
def reset(name: NameArgument, folder: FolderOption = FOLDER, course: CourseOption = None) -> None:
    """Start an exercise again; your old file is kept beside the new one."""
    from ddpm_tutor.files import set_aside
    from ddpm_tutor.learner.progress import change_progress

    exercise, path = opened(name, folder, course)
    console = make_console()
    if path.exists():
        try:
            kept = set_aside(path, ".py")
        except OSError as error:
            raise TutorError(f"Cannot set {path} aside: {error.strerror}.") from error
        console.print(written(kept, "Your old file is kept"), soft_wrap=True)
    write(path, exercise.starter(path))
    # hints and a solution that was shown are forgotten; what has passed stays passed

    def forget(progress: "ExerciseProgress") -> None:
        progress.hints = 0
        if progress.given_up:
            progress.given_up, progress.passed = False, ""
            progress.passed_when, progress.passed_check = "", 0

    change_progress(lambda p: forget(p.exercise(exercise.key)))
    console.print(written(path, "Written"), soft_wrap=True)
