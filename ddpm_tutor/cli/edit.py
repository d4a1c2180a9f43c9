"""The command that changes a picture: noise and back, another half, a mix with another picture."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.cli.own_picture import draw_picture, given_picture, is_digit
from ddpm_tutor.cli.sample import labels_for
from ddpm_tutor.cli.shared_options import (
    CheckpointOption,
    DataOption,
    Device,
    DeviceOption,
    GuidanceOption,
    SeedOption,
    StepsOption,
    a_path,
    open_checkpoint,
    take_device,
)
from ddpm_tutor.commands import command
from ddpm_tutor.errors import UsageError
from ddpm_tutor.files import check_target
from ddpm_tutor.screen.console import make_console, written
from ddpm_tutor.words import count_of

if TYPE_CHECKING:
    from torch import Tensor

    from ddpm_tutor.pictures.films import Frame
    from ddpm_tutor.science.sampling import ChainState, SamplingOptions
    from ddpm_tutor.storage.checkpoints import Checkpoint

GUIDANCE = 1.5  # as `gif` has it
COUNT, MIXES = 4, 7  # pictures that come out; an odd number of mixes has a middle
RESAMPLES = 4  # how often a step is taken where a part is filled in, as in lesson 9
UP, DOWN = 24, 48  # frames of a film: noise is added, and taken out
DPI = 150


class Keep(StrEnum):
    """Which part of the picture stays."""

    top = "top"
    bottom = "bottom"
    left = "left"
    right = "right"
    box = "box"
    frame = "frame"


def edit(
    picture: Annotated[
        str,
        typer.Argument(
            callback=a_path,
            help="Your picture of a digit: PNG, JPEG, ..., any size, dark on light or light on "
            "dark. Or 0 to 9, for a digit of the data.",
        ),
    ],
    t: Annotated[
        int | None,
        typer.Option(
            "--t",
            min=1,
            help="Noise up to this step: a small t stays near the picture.",
            show_default="500",
        ),
    ] = None,
    digit: Annotated[
        int | None,
        typer.Option(
            min=0, max=9, help="The label: what it shall become.", show_default="no label"
        ),
    ] = None,
    keep: Annotated[
        Keep | None,
        typer.Option(
            help="Keep this part and draw the rest anew; box: the middle, frame: all but that."
        ),
    ] = None,
    resamples: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=20,
            help="With --keep: how often each step is taken; more fit the parts better (RePaint).",
            show_default=str(RESAMPLES),
        ),
    ] = None,
    other: Annotated[
        str | None,
        typer.Option(
            "--with",
            metavar="PICTURE",
            callback=a_path,
            help="Mix it with this picture, or with a digit of the data.",
        ),
    ] = None,
    draw: Annotated[
        bool,
        typer.Option("--draw", help="Draw the picture first, with mouse or keys; it is saved."),
    ] = False,
    count: Annotated[
        int | None,
        typer.Option(
            "-n", "--count", min=1, max=36, help="How many come out.", show_default="4; 7 mixes"
        ),
    ] = None,
    seed: SeedOption = 0,
    guidance: GuidanceOption = GUIDANCE,
    steps: StepsOption = 250,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=a_path,
            help="PNG to write; the GIF gets the same name.",
            show_default="named after the picture",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    data: DataOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Change a picture of your own: noise and back, fill in a part, mix it with another.

    \b
    ddpm-tutor edit my.png               noise to t = 500 and back: a drawing becomes a digit
    ddpm-tutor edit my.png --digit 9     the same, told what it shall become
    ddpm-tutor edit my.png --keep top    keeps the upper half, draws the lower one
    ddpm-tutor edit my.png --with 7      mixes it with a 7 (Fig. 8)
    ddpm-tutor edit my.png --draw        draw it first, here in the terminal
    """
    console, started = make_console(), time.perf_counter()
    refuse_clashes(picture, t, digit, keep, resamples, other, draw, count)
    png, gif = targets(picture, other, out, keep, digit)
    if other is not None and not is_digit(other):
        from ddpm_tutor.pictures.picture_reading import check_file

        check_file(Path(other))  # before the first one is drawn or shown
    if draw:
        draw_picture(console, Path(picture))
        started = time.perf_counter()  # to draw is no computing
    x_0 = given_picture(console, picture, seed, data)
    x_0_other = None if other is None else given_picture(console, other, seed + 1, data)
    with console.status("Loading the model ..."):
        from ddpm_tutor.science.sampling import SamplingOptions

        loaded = open_checkpoint(checkpoint, device, steps)
        T = loaded.schedule.T
        start = T if keep else t or max(1, T // 2)
        if start > T:
            raise UsageError(f"These weights have {T} steps: --t is from 1 to {T}.")
        number = count or (MIXES if other else COUNT)
        labels = None if digit is None else labels_for(loaded, digit, number, checkpoint)
        options = SamplingOptions(
            steps=max(1, round(steps * start / T)), guidance=1.0 if labels is None else guidance
        )
    take_device(console, loaded, device, number, options, labels=labels is not None)
    work = Work(loaded, options, start, number, labels, seed)
    name = f"a {picture}" if is_digit(picture) else "yours"
    if keep:
        change = filling(work, name, x_0, keep, resamples or RESAMPLES)
    elif other is not None and x_0_other is not None:
        second = f"a {other}" if is_digit(other) else "the other"
        names = [name, second if second != name else "another"]
        change = mixing(work, names, x_0, x_0_other)
    else:
        change = noise_and_back_of(work, name, x_0)
    frames = film_frames(work, change)
    save(change, frames, png, gif)
    show(console, work, change, frames[-1].x_t)
    for path, what in ((png, "Picture saved"), (gif, "GIF saved")):
        console.print(written(path, what), soft_wrap=True)
    seconds = time.perf_counter() - started
    lesson = command("lesson", 9)
    console.print(Text(f"{seconds:.1f} s. How it works: {lesson}", "dim"), soft_wrap=True)


def refuse_clashes(
    picture: str,
    t: int | None,
    digit: int | None,
    keep: Keep | None,
    resamples: int | None,
    other: str | None,
    draw: bool,
    count: int | None,
) -> None:
    """Refuses what does not go together, before long work.

    Raises:
        UsageError: saying what.
    """
    if keep and other is not None:
        raise UsageError("Choose one of --keep and --with.")
    if keep and t is not None:
        raise UsageError("--keep begins with noise alone; leave --t out.")
    if resamples is not None and not keep:
        raise UsageError("--resamples goes with --keep.")
    if other is not None and digit is not None:
        raise UsageError("A mix of two has no label; leave --digit or --with out.")
    if other is not None and count == 1:
        raise UsageError("--with makes a row from one picture to the other: --count from 2 on.")
    if draw and is_digit(picture):
        raise UsageError(f"Name a file for what you draw, such as my_{picture}.png.")


def targets(
    picture: str, other: str | None, out: Path | None, keep: Keep | None, digit: int | None
) -> tuple[Path, Path]:
    """The PNG and the GIF to write, which are neither of the pictures that are read.

    Raises:
        UsageError: one is.
        TutorError: they cannot be written.
    """
    from ddpm_tutor.pictures.picture_files import with_ending

    stem = f"digit_{picture}" if is_digit(picture) else Path(picture).stem
    if keep:
        what = f"keep_{keep}"
    elif other is not None:
        what = f"with_{Path(other).stem}"
    else:
        what = "edited" if digit is None else f"as_{digit}"
    png = with_ending(out or Path(f"{stem}_{what}.png"), [".png"])
    paths = png, png.with_suffix(".gif")
    sources = {Path(word).resolve() for word in (picture, other) if word and not is_digit(word)}
    for path in paths:
        if path.resolve() in sources:
            raise UsageError(f"{path} would be written over. Choose another name with --out.")
    return check_target(paths[0]), check_target(paths[1])


@dataclass(frozen=True)
class Work:
    """What each of the changes is made with."""

    loaded: "Checkpoint"
    options: "SamplingOptions"
    t: int  # where the way back begins
    count: int
    labels: "Tensor | None"
    seed: int


@dataclass(frozen=True)
class Change:
    """A picture that is about to change."""

    states: "Iterator[ChainState]"  # from t to 0
    words: str  # what is done, for the screen
    given: "dict[str, Tensor]"  # (1, 1, 32, 32) each: the pictures by what they are called
    names: list[str]  # of what comes out
    clean: "Tensor | None"  # (B, 1, 32, 32): what gets noise up to t; None begins with noise alone


def noise_and_back_of(work: Work, name: str, x_0: "Tensor") -> Change:
    """Noise up to t, and Algorithm 2 from there (SDEdit)."""
    from ddpm_tutor.science.editing import noise_and_back

    many = x_0.expand(work.count, -1, -1, -1)
    model, schedule = work.loaded.model, work.loaded.schedule
    states = noise_and_back(
        model, schedule, many, work.t, work.options, seed=work.seed, label=work.labels
    )
    label = "without a label" if work.labels is None else f"with the label {int(work.labels[0])}"
    words = f"Noise up to t = {work.t}, where {left(work)} of the picture is left, and back {label}"
    return Change(states, words, {name: x_0}, numbered(work.count), many)


def filling(work: Work, name: str, x_0: "Tensor", keep: Keep, resamples: int) -> Change:
    """The part that is not kept is drawn anew (RePaint)."""
    import torch

    from ddpm_tutor.science.editing import inpaint

    known = known_part(keep)
    states = inpaint(
        work.loaded.model,
        work.loaded.schedule,
        x_0.expand(work.count, -1, -1, -1),
        known,
        work.options,
        seed=work.seed,
        resamples=resamples,
        label=work.labels,
    )
    times = "once" if resamples == 1 else f"{resamples} times"
    label = "" if work.labels is None else f", with the label {int(work.labels[0])}"
    words = f"Keeps the {keep}, draws the rest, each step taken {times}{label}"
    given = {name: x_0, "kept": torch.where(known, x_0, -1.0)}
    return Change(states, words, given, numbered(work.count), None)


def mixing(work: Work, both: list[str], x_0: "Tensor", x_0_other: "Tensor") -> Change:
    """Both get the same noise up to t, are mixed there and drawn anew (Section 4.4)."""
    import torch

    from ddpm_tutor.science.editing import interpolate

    share = torch.linspace(0, 1, work.count)
    model, schedule = work.loaded.model, work.loaded.schedule
    states = interpolate(
        model, schedule, x_0, x_0_other, work.t, share, work.options, seed=work.seed
    )
    weight = share.view(-1, 1, 1, 1)
    pixels = (1 - weight) * x_0 + weight * x_0_other  # with one noise for both: lesson 9
    words = f"Both with the same noise up to t = {work.t}, mixed there, and back"
    names = [f"λ = {s:.2f}" for s in share.tolist()]
    given = dict(zip(both, (x_0, x_0_other), strict=True))
    return Change(states, words, given, names, pixels)


def known_part(keep: Keep) -> "Tensor":
    """True where a picture stays, (1, 1, 32, 32); the box holds a digit's middle."""
    import torch

    known = torch.zeros(1, 1, 32, 32, dtype=torch.bool)
    rows, columns = {
        Keep.top: (slice(0, 16), slice(None)),
        Keep.bottom: (slice(16, 32), slice(None)),
        Keep.left: (slice(None), slice(0, 16)),
        Keep.right: (slice(None), slice(16, 32)),
    }.get(keep, (slice(10, 22), slice(10, 22)))
    known[..., rows, columns] = True
    return ~known if keep == Keep.frame else known


def numbered(count: int) -> list[str]:
    """The names of pictures that differ by their noise alone."""
    return [str(i + 1) for i in range(count)]


def left(work: Work) -> str:
    """How much of a picture is left in x_t, of its power: alpha_bar."""
    return f"{100 * float(work.loaded.schedule.alpha_bar[work.t]):.2g} % of the power"


def film_frames(work: Work, change: Change) -> "list[Frame]":
    """Noise is added, if there is a picture to add it to, and taken out."""
    from ddpm_tutor.classroom.session import track
    from ddpm_tutor.pictures.films import frames_of

    schedule = work.loaded.schedule
    steps = work.options.steps_of(work.t)
    states = track(change.states, steps + 1, "Changing", pictures=True)
    down = list(frames_of(states, schedule, DOWN))
    return up_frames(work, change.clean, down[0].x_t) + down


def up_frames(work: Work, clean: "Tensor | None", x_t: "Tensor") -> "list[Frame]":
    """The way up to x_t: Eq. 4 with the one noise that is in x_t, at more and more t."""
    import torch

    from ddpm_tutor.pictures.films import Frame, frame_times
    from ddpm_tutor.science.diffusion import predict_eps, predict_x_0, q_sample
    from ddpm_tutor.science.sampling import guided_eps
    from ddpm_tutor.science.schedule import up_to

    if clean is None:
        return []
    model = work.loaded.model
    device = next(model.parameters()).device
    schedule = work.loaded.schedule.to(device)
    x_0, x_t = clean.to(device), x_t.to(device)
    eps = predict_eps(schedule, x_t, torch.full((len(x_t),), work.t, device=device), x_0)
    frames = [Frame(0, clean, clean)]
    for time_ in frame_times(up_to(schedule, work.t), UP)[1:-1]:
        at = torch.full((len(x_0),), time_, device=device)
        x = q_sample(schedule, x_0, at, eps)
        with torch.no_grad():
            guess = predict_x_0(schedule, x, at, guided_eps(model, x, at, None, 1.0))
        frames.append(Frame(time_, x.cpu(), guess.clamp(-1, 1).cpu()))
    return frames


def save(change: Change, frames: "list[Frame]", png: Path, gif: Path) -> None:
    """Writes the pictures before and after side by side, and the film."""
    import torch

    from ddpm_tutor.pictures.figures import save_figure_as, sheet
    from ddpm_tutor.pictures.films import film
    from ddpm_tutor.pictures.picture_files import write_film

    turn = max(range(len(frames)), key=lambda i: frames[i].t)
    given, names = list(change.given.values()), list(change.given)
    if change.clean is not None and len(given) == 1:  # of a mix there are many
        given.append(frames[turn].x_t[:1])
        names.append(f"x_{frames[turn].t}")
    images = torch.cat([*given, frames[-1].x_t])
    columns = min(len(images), 9)
    save_figure_as(png, sheet(images, [*names, *change.names], columns), DPI, bbox_inches="tight")
    ways = ["noise is added"] * turn + ["noise is taken out"] * (len(frames) - turn)
    write_film(gif, film(frames, ways=ways if turn else []), [0, turn, -1] if turn else [-1])


def show(console: Console, work: Work, change: Change, made: "Tensor") -> None:
    """What came out, how the classifier reads it, and how far it is from what was given."""
    import torch

    from ddpm_tutor.evaluation.classifier import load_classifier, read_digits
    from ddpm_tutor.evaluation.scorecard import load_real_digits
    from ddpm_tutor.science.pixels import to_uint8
    from ddpm_tutor.screen.images import render_images
    from ddpm_tutor.screen.values import DataTable

    console.print(Text(f"{change.words}; {count_of(work.options.steps_of(work.t), 'step')}."))
    originals = {name: x for name, x in change.given.items() if name != "kept"}
    images = torch.cat([*change.given.values(), made])
    console.print(render_images(images, console, [*change.given, *change.names]))
    judged = torch.cat([*originals.values(), made])
    reading = read_digits(load_classifier().model, to_uint8(judged))
    near = torch.cdist(reading.features, load_real_digits().test_features).amin(1)
    off = [(judged - x).square().mean((1, 2, 3)).sqrt() for x in originals.values()]
    rows = [
        (
            name,
            f"{reading.classes[i]}",
            f"{100 * reading.probabilities[i].max():.0f} %",
            *(f"{distance[i]:.2f}" for distance in off),
            f"{near[i]:.1f}",
        )
        for i, name in enumerate([*originals, *change.names])
    ]
    columns = ["", "read as", "sure", *(f"off {name}" for name in originals), "unlike real"]
    console.print(DataTable("What the classifier reads", columns, rows))
    console.print(
        Text(
            "off: RMS difference of the pixels. unlike real: to the nearest of 5,000 real digits, "
            "as the classifier sees them.",
            "dim",
        )
    )
    if work.labels is None and len(originals) == 1 and change.clean is not None:
        first, *others = reading.classes.tolist()
        if (same := others.count(first)) < work.count:
            line = f"{same} of {work.count} still read as a {first}. A smaller --t keeps more of it"
            asks = f"; --digit {first} asks for a {first}" if work.loaded.conditional else ""
            console.print(Text(f"{line}{asks}."))
