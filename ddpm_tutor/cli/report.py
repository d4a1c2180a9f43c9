"""The command that makes what a student hands in."""

import base64
import os
import platform
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ddpm_tutor import __version__
from ddpm_tutor.cli.evaluate import FOLDER as EVALUATION
from ddpm_tutor.cli.evaluate import SCORES
from ddpm_tutor.cli.shared_options import (
    CheckpointOption,
    Device,
    DeviceOption,
    SeedOption,
    a_path,
    open_checkpoint,
    take_device,
)
from ddpm_tutor.commands import command
from ddpm_tutor.course.elsewhere import VARIABLE
from ddpm_tutor.course.exercise import FOLDER
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import check_target, replacing
from ddpm_tutor.screen.console import going_on_without, make_console, written

if TYPE_CHECKING:
    from torch import Tensor

    from ddpm_tutor.hand_ins.hand_in import HandIn, Picture, Training, Written
    from ddpm_tutor.pictures.picture_files import Pixels
    from ddpm_tutor.storage.checkpoints import Checkpoint

RUN = Path("runs/mnist")  # where `train` puts a run
GUIDANCE = 1.5  # as `gif` takes
DIGITS = 10
MOMENTS = 10  # times that the picture of the drawing shows, and its end
DPI = 110

NO_FUNCTION = "Nothing is drawn with own code: no function of a drawing has passed."
ENDED = "Nothing is drawn with own code, which has ended in an error:"


@dataclass(frozen=True)
class Drawing:
    """What came of drawing with the learner's functions."""

    pictures: "list[Picture]"
    notes: list[str]  # why there is no picture
    device: str


class Form(StrEnum):
    """How a hand-in is written."""

    html = "html"
    ipynb = "ipynb"
    md = "md"
    json = "json"


def report(
    student: Annotated[str, typer.Option("--name", help="Your name.", show_default=False)] = "",
    group: Annotated[str, typer.Option(help="Your group.", show_default=False)] = "",
    form: Annotated[
        Form | None,
        typer.Option("--format", help="What to write.", show_default="by --out, or html"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(callback=a_path, help="File to write.", show_default="hand_in_NAME.html"),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--folder", callback=a_path, help="Where your files of exercises are.")
    ] = FOLDER,
    run_dir: Annotated[
        Path | None,
        typer.Option(callback=a_path, help="Folder of your training.", show_default=str(RUN)),
    ] = None,
    evaluation: Annotated[
        Path, typer.Option(callback=a_path, help="Where `evaluate` has left its scores.")
    ] = EVALUATION,
    draw: Annotated[
        bool, typer.Option("--draw/--no-draw", help="Draw ten digits with your own functions.")
    ] = True,
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Steps of that drawing.")] = 100,
    seed: SeedOption = 0,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Write what you hand in: answers, code and its verdicts, pictures, your training.

    The 42 points of the assignment, each with what was asked, what you
    answered, when, and at which attempt. Your code is checked again for it.
    Nothing is sent anywhere: you get a file.
    """
    form, target = form_and_target(form, out, student)
    if run_dir is not None and not (run_dir / "log.jsonl").is_file():
        raise UsageError(
            f"There is no training in {run_dir}: no log.jsonl. Name another --run-dir."
        )
    console = make_console()
    from ddpm_tutor.cli.welcome import open_progress

    progress = open_progress(console)
    with console.status("Loading ...") as status:
        from ddpm_tutor.grading.strangers import Checker
        from ddpm_tutor.hand_ins.collecting import answered, trained
        from ddpm_tutor.hand_ins.collecting import written as all_written
        from ddpm_tutor.hand_ins.hand_in import HandIn, clean
        from ddpm_tutor.learner.progress import now

        questions = answered(progress)

        def say(what: str) -> None:
            status.update(Text(what))

        with Checker() as checker:
            exercises = all_written(folder, progress, checker, say)
        training = trained(run_dir or RUN, evaluation / SCORES)
    drawing = Drawing([], [], "nothing was drawn")
    if draw:
        drawing = drawn(console, folder, exercises, steps, seed, checkpoint, device)
    if training:
        with going_on_without(console, "the pictures of the training"):
            training.pictures.extend(of_training(training, run_dir or RUN))
    made = HandIn(
        name=clean(student),
        group=clean(group),
        made=now(),
        made_with={**versions(), "device": drawing.device, "seed": str(seed)},
        questions=questions,
        exercises=exercises,
        training=training,
        pictures=drawing.pictures,
        notes=drawing.notes,
    )
    write(target, form, made)
    say_what(console, made, folder)
    size = target.stat().st_size / 1e3
    console.print(written(target, "Written", f"   {size:,.0f} kB"), soft_wrap=True)


def form_and_target(form: Form | None, out: Path | None, name: str) -> tuple[Form, Path]:
    """How to write the hand-in, and where.

    Raises:
        UsageError: the name of the file ends as one of another form does.
        TutorError: it cannot be written there.
    """
    endings = {f".{f.value}": f for f in Form} | {".htm": Form.html}
    if out is None:
        called = re.sub(r"\W+", "_", name).strip("_")[:60]
        form = form or Form.html
        out = Path(f"hand_in_{called}.{form.value}" if called else f"hand_in.{form.value}")
    elif out.suffix.lower() in endings:
        by_name = endings[out.suffix.lower()]
        if form not in (None, by_name):
            raise UsageError(f"{out} is a name for {by_name.value}, not for {form}: leave one out.")
        form = by_name
    elif not out.suffix or form is not None:
        form = form or Form.html
        out = out.with_name(f"{out.name}.{form.value}")
    else:
        raise UsageError(f"Cannot write {out}: its name must end in .html, .ipynb, .md or .json.")
    return form, check_target(out)


def versions() -> dict[str, str]:
    """What the hand-in was made with."""
    import torch

    return {
        "ddpm-tutor": __version__,
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def drawn(
    console: Console,
    folder: Path,
    exercises: "list[Written]",
    steps: int,
    seed: int,
    checkpoint: Path | None,
    device: Device,
) -> Drawing:
    """The picture that the learner's functions draw, or why there is none."""
    from ddpm_tutor.grading.drawing import OF_DDPM
    from ddpm_tutor.hand_ins.hand_in import Picture, clean
    from ddpm_tutor.learner.progress import fingerprint
    from ddpm_tutor.pictures.film_strips import named_rows
    from ddpm_tutor.storage.training_run import machine

    passed = {w.name: fingerprint(w.code) for w in exercises if w.kind == "passed"}
    names = {function_of(name) for name in passed} & {*OF_DDPM}
    if not names:
        return Drawing([], [NO_FUNCTION], "nothing was drawn")
    loaded = open_checkpoint(checkpoint, device, steps)
    try:
        moments = own_moments(console, folder, loaded, steps, seed, device, passed)
    except TutorError as error:
        console.print(Text(str(error), "yellow"), soft_wrap=True)
        return Drawing([], [f"{ENDED} {clean(str(error))}"], "nothing was drawn")
    times, images = [f"t = {t}" for t, _ in moments], [x_t for _, x_t in moments]
    says = (
        f"Ten digits appear out of noise, one a column; a row is a time t, from {moments[0][0]} "
        f"down to {moments[-1][0]}. Own code: {', '.join(sorted(names))}; the rest is the "
        f"package's. {steps} steps, seed {seed}."
    )
    picture = Picture("Drawn with own code.", says, png_of(named_rows(times, images)))
    where = machine(next(loaded.model.parameters()).device)
    return Drawing([picture], [], where)


def function_of(name: str) -> str:
    """The function that an exercise asks for, by the name of its file."""
    from ddpm_tutor.course.exercise import find_exercise

    return find_exercise(f"{name}.py").function


def own_moments(
    console: Console,
    folder: Path,
    loaded: "Checkpoint",
    steps: int,
    seed: int,
    device: Device,
    passed: dict[str, str],
) -> "list[tuple[int, Tensor]]":
    """Ten digits at times of a drawing with the learner's functions: (t, (10, 1, 32, 32))."""
    import torch

    from ddpm_tutor.classroom.session import track
    from ddpm_tutor.cli.own_code import own_drawing
    from ddpm_tutor.science.sampling import SamplingOptions

    options = SamplingOptions(steps=steps, guidance=GUIDANCE if loaded.conditional else 1.0)
    labels = torch.arange(DIGITS) if loaded.conditional else None
    take_device(console, loaded, device, DIGITS, options, own_equations=True)
    states = own_drawing(console, folder, loaded, labels, options, seed, range(DIGITS), passed)
    kept: dict[int, Tensor] = {}
    for state in track(states, steps + 1, "Drawing with your code", pictures=True):
        kept[state.t] = state.x_t.cpu()
    T = loaded.schedule.T
    wanted = [T - round(T * i / MOMENTS) for i in range(MOMENTS + 1)]
    times = sorted({min(kept, key=lambda t: abs(t - at)) for at in wanted}, reverse=True)
    return [(t, kept[t]) for t in times]


def of_training(training: "Training", run: Path) -> "list[Picture]":
    """The curve of a training's losses, and what it drew as it learned."""
    from ddpm_tutor.hand_ins.hand_in import Picture
    from ddpm_tutor.pictures.figures import loss_curve, save_figure_as
    from ddpm_tutor.pictures.film_strips import named_rows, strip_rows
    from ddpm_tutor.storage.film_strip import load_film_strip

    pictures = []
    if training.losses:
        train = [(epoch, loss) for epoch, loss, _ in training.losses]
        held_out = [(epoch, loss) for epoch, _, loss in training.losses]
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "loss.png"
            save_figure_as(path, loss_curve(train, held_out), DPI)
            png = base64.b64encode(path.read_bytes()).decode()
        last = training.losses[-1]
        says = (
            f"Loss by epoch, Eq. 14: after epoch {last[0]:g} it is {last[1]:.4f} in training and "
            f"{last[2]:.4f} on held-out digits."
        )
        pictures.append(Picture("Own training.", says, png))
    strip = load_film_strip(run / "film_strip.npz") if (run / "film_strip.npz").exists() else None
    if strip and strip.images:
        says = "The same ten digits, drawn at moments of the own training, from the same noise."
        png = png_of(named_rows(*strip_rows(strip)))
        pictures.append(Picture("As it learned.", says, png))
    return pictures


def png_of(pixels: "Pixels") -> str:
    """A picture as PNG, in base64."""
    import imageio.v3 as iio

    data: bytes = iio.imwrite("<bytes>", pixels, extension=".png", plugin="pillow", optimize=True)
    return base64.b64encode(data).decode()


def write(target: Path, form: Form, hand_in: "HandIn") -> None:
    """Writes the hand-in, whole or not at all."""
    from ddpm_tutor.hand_ins.blocks import page_of
    from ddpm_tutor.hand_ins.html import to_html
    from ddpm_tutor.hand_ins.markdown import to_markdown, to_notebook

    forms: dict[Form, Callable[..., str]] = {
        Form.html: to_html, Form.ipynb: to_notebook, Form.md: to_markdown,
    }  # fmt: skip
    if form == Form.json:
        text = hand_in.to_json() + "\n"
    else:
        text = forms[form](page_of(hand_in), hand_in.to_json(pictures=False))
    with replacing(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def say_what(console: Console, made: "HandIn", folder: Path) -> None:
    """What is in the hand-in, and what a teacher will not find in it."""
    from ddpm_tutor.hand_ins.hand_in import TOTAL

    answered = sum(any(a.text for a in asked.answers) for asked in made.questions)  # not skipped
    console.print(Text(f"Points: {made.points:g} of {TOTAL:g}.", "bold"), end=" ")
    console.print(Text(f"{answered} of {len(made.questions)} parts answered."))
    if made.exercises:
        passed = sum(w.kind == "passed" for w in made.exercises)
        console.print(Text(f"Exercises: {passed} of {len(made.exercises)} pass, checked again."))
        for one in made.exercises:
            if one.kind != "passed":
                why = Text(f"{one.name}.py: {one.says}", "yellow")
                console.print(Padding(why, (0, 0, 0, 2), expand=False))
    else:
        console.print(Text(f"Exercises: there are none in {folder}.", "dim"), soft_wrap=True)
    lost = [a for a in made.questions if a.earned_before and not a.earned(made.passed)]
    if lost:
        names = "; ".join(sorted(asked.part for asked in lost))  # there is a part "11.2 c, d"
        console.print(
            Text(
                f"You have earned {names} earlier, but neither the answer nor the code is here: a "
                "teacher can't count them. Answer again, or name the --folder of your files.",
                "yellow",
            )
        )
    for note in made.notes:
        console.print(Text(note, "dim"))
    if course := os.environ.get(VARIABLE):
        name = Path(course).resolve().name  # of "." as well
        said = f"The points of your course {name} are not in it: it has those of the "
        console.print(Text(f"{said}assignment alone.", "yellow"))
    if not made.name:
        again = command("report", "--name", "YOUR NAME", "--group", "3")
        console.print(Text(f"No name is in it: {again}", "yellow"))
