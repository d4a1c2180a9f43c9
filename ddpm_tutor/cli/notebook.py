"""The command that writes a lesson as a Jupyter notebook."""

import json
import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.cli.courses import CourseOption, chosen_course, say_left_out
from ddpm_tutor.cli.lesson import ask_for_trust, lesson_settings
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
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import came_along, check_target, filling, replacing
from ddpm_tutor.screen.console import make_console, written

if TYPE_CHECKING:
    from ddpm_tutor.course.lesson import Lesson

NO_CLIENT = (
    "--run needs nbclient and ipykernel: pip install nbclient ipykernel\n"
    "Without --run the notebook is written as it is; Jupyter, VS Code or Colab runs it."
)


def notebook(
    ctx: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="N",
            callback=a_path,
            help="A lesson's number, or a lesson file.",
        ),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Write all lessons.")] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=a_path,
            help="The notebook to write, such as lesson_1.ipynb, or its folder.",
            show_default=False,
        ),
    ] = None,
    run: Annotated[
        bool, typer.Option("--run", help="Run it, and store what its cells show.")
    ] = False,
    settings: SettingsOption = None,
    seed: LessonSeed = None,
    device: LessonDevice = None,
    data: DataOption = None,
    course: CourseOption = None,
    trust: TrustOption = False,
) -> None:
    """Write a lesson as a notebook for Jupyter, VS Code or Colab."""
    from ddpm_tutor.course.courses import lesson_called
    from ddpm_tutor.course.lesson import all_lessons

    if everything == bool(name):
        raise UsageError(
            f"Say which lesson, or --all: {command('notebook', 1)}, or "
            f"{command('notebook', '--all')}."
        )
    if everything and settings:
        raise UsageError("--set changes one lesson: leave out --all, and name it.")
    if run:
        check_client()
    console = make_console(file=sys.stdout)
    chosen = chosen_course(course)
    listed = chosen.lessons if chosen else all_lessons()
    lessons = listed if everything else [lesson_called(name or "", chosen)]
    if not lessons:
        raise UsageError(f"The course in {course} has no lessons.")
    refused = []
    with filling(out or Path()) if everything else nullcontext():
        for lesson in lessons:
            values = values_of(lesson, settings or [], seed, device)
            path = target(lesson, out, everything)
            if path.exists():
                refused.append(f"{path} is there already, and stays as it is.")
                continue
            check_target(path)
            if run and not trust:
                ask_for_trust(console, lesson)
            # a folder that is only set in the environment is this machine's own affair
            named = data if given(ctx, "data") else None
            text = written_notebook(lesson, values, named, path.parent)
            if run:
                text = with_outputs(console, text, lesson, path.parent, data)
            save(console, path, text)
    if refused:
        raise TutorError("\n".join([*refused, "Name another file or folder with --out."]))
    if everything and chosen and say_left_out([chosen]):
        raise typer.Exit(1)
    if not everything and not run:
        console.print(Text("Open it in Jupyter, VS Code or Colab, and run it cell by cell."))


def values_of(
    lesson: "Lesson", settings: list[str], seed: int | None, device: Device | None
) -> dict[str, Any]:
    """The parameters of the lesson that the options change, in their own types.

    Raises:
        UsageError: the lesson has no such parameter, or a value is of the wrong type.
    """
    from ddpm_tutor.course.lesson import override_parameters, parameters

    known = parameters(lesson)
    fixed = None if device is None or "device" not in known else device
    chosen = lesson_settings(lesson, settings, seed, fixed)
    override_parameters(known, chosen)
    return {name: known[name] for name in chosen}


def file_name(lesson: "Lesson") -> str:
    """What its notebook is called."""
    stem = f"lesson_{lesson.number}" if came_along(lesson.path) else lesson.path.stem
    return f"{stem}.ipynb"


def target(lesson: "Lesson", out: Path | None, folder: bool) -> Path:
    """Where the notebook of a lesson is written.

    Raises:
        UsageError: the name has another ending.
    """
    from ddpm_tutor.pictures.picture_files import with_ending

    if out is None or folder or out.is_dir():
        return (out or Path()) / file_name(lesson)
    return with_ending(out, [".ipynb"])


def written_notebook(
    lesson: "Lesson", values: dict[str, Any], data: Path | None, folder: Path
) -> str:
    """The text of the notebook's file, which is to stand in `folder`."""
    from ddpm_tutor.course.notebook import notebook_of

    name = str(lesson.number) if came_along(lesson.path) else seen_from(folder, lesson.path)
    return as_text(notebook_of(lesson, name, values, from_home(data) if data else None))


def seen_from(folder: Path, path: Path) -> str:
    """The way to a file from a folder: a notebook goes to others, as does what is beside it."""
    try:
        return os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # on Windows, where they are on two drives
        return str(path.resolve())


def from_home(path: Path) -> Path:
    """A folder without the name of the user whose home it is in."""
    path, home = path.resolve(), Path.home().resolve()
    return Path("~") / path.relative_to(home) if path.is_relative_to(home) else path


def as_text(notebook: dict[str, Any]) -> str:
    """A notebook as Jupyter itself writes it."""
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def save(console: Console, path: Path, text: str) -> None:
    """Writes the file, whole or not at all, and says so."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    console.print(written(path, "Notebook saved"), soft_wrap=True)


def check_client() -> None:
    """Nothing, where notebooks can be run.

    Raises:
        TutorError: what runs them is not installed.
    """
    from importlib.util import find_spec

    if not (find_spec("nbclient") and find_spec("ipykernel")):
        raise TutorError(NO_CLIENT)


def with_outputs(
    console: Console, text: str, lesson: "Lesson", folder: Path, data: Path | None
) -> str:
    """The notebook with what its cells show when it is run in `folder`; nobody answers there.

    Raises:
        TutorError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    from ddpm_tutor.classroom.bars import Bars

    notebook: Any = nbformat.reads(text, as_version=4)  # type: ignore[no-untyped-call]
    environment = dict(os.environ) | ({"DDPM_TUTOR_DATA": str(data)} if data else {})
    bars, count = Bars(console), len(notebook.cells)
    with bars.bar(f"Running lesson {lesson.number or lesson.path.name}", count) as bar:

        def done(cell: Any, cell_index: int) -> None:
            if bar:
                bar.advance()

        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=None,
            allow_errors=False,
            resources={"metadata": {"path": str(folder)}},
            on_cell_complete=done,
        )
        try:
            # its warnings, on stderr, are not for the learner
            client.execute(env=environment, stderr=subprocess.DEVNULL)
        except AssertionError:
            if client.km is None:  # it ends its kernel at a signal, and then misses it
                raise KeyboardInterrupt from None
            raise
        except DeadKernelError as error:
            raise TutorError(f"Lesson {lesson.number}: its kernel has died.") from error
        except CellExecutionError as error:
            raise TutorError(f"Lesson {lesson.number}: {error.ename}: {error.evalue}") from error
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran: another file each time
    fold_answers(notebook.cells)
    return as_text(notebook)


def fold_answers(cells: list[Any]) -> None:
    """Folds what stands below a question that nobody has answered, up to the next step.

    That would give the answer away; who runs the cells sees it unfolded.
    """
    from ddpm_tutor.pages.notebook import UNANSWERED, folded

    behind = False
    for cell in cells:
        if cell["cell_type"] == "markdown" or cell["id"] == "finish":
            behind = False
            continue
        outputs = cell["outputs"]
        if behind and outputs:
            kept = [(out.get("data", {}), out.get("text", "")) for out in outputs]
            parts = [
                (data.get("text/html", ""), data.get("text/plain", told)) for data, told in kept
            ]
            html, text = folded(parts)
            data = {"text/html": html, "text/plain": text}
            cell["outputs"] = [{"output_type": "display_data", "data": data, "metadata": {}}]
        behind = behind or any(
            UNANSWERED in out.get("data", {}).get("text/plain", "") for out in outputs
        )
