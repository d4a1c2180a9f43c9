"""The command that films a digit: appearing out of noise, or dissolving."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.cli.own_code import bug_frames, check_bug, own_drawing, show_bugs
from ddpm_tutor.cli.own_picture import one_of, own_picture
from ddpm_tutor.cli.shared_options import (
    CheckpointOption,
    DataOption,
    Device,
    DeviceOption,
    GuidanceOption,
    Sampler,
    SamplerOption,
    SeedOption,
    StepsOption,
    a_path,
    find_digits,
    open_checkpoint,
    take_device,
)
from ddpm_tutor.errors import UsageError
from ddpm_tutor.files import check_target
from ddpm_tutor.screen.console import make_console, written

if TYPE_CHECKING:
    from torch import Tensor

    from ddpm_tutor.pictures.films import Frame
    from ddpm_tutor.science.sampling import SamplingOptions
    from ddpm_tutor.storage.checkpoints import Checkpoint
from ddpm_tutor.cli.sample import labels_for

# in trials on the shipped weights a mild pull drew more digits that are read as asked for
GUIDANCE = 1.5
# chosen by looking: with it each of the ten digits is a good one
SEED = 3
IN_A_ROW = 5  # pictures that fit a terminal of 80 columns


class Direction(StrEnum):
    """Which way the film runs."""

    denoise = "denoise"
    noise = "noise"
    roundtrip = "roundtrip"


def gif(
    digit: Annotated[
        int | None,
        typer.Option(
            min=0, max=9, help="The digit to draw; all ten if left out.", show_default=False
        ),
    ] = None,
    direction: Annotated[
        Direction | None,
        typer.Option(
            help="denoise: a digit appears; noise: one of the data dissolves; roundtrip: both.",
            show_default="denoise; roundtrip with --image",
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(
            metavar="PICTURE",
            callback=a_path,
            help="A picture of your own that dissolves: PNG, JPEG, ..., any size.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, max=36, help="How many of each digit.", show_default="1; 3 with --bug"),
    ] = None,
    seed: SeedOption = SEED,
    guidance: GuidanceOption = GUIDANCE,
    sampler: SamplerOption = Sampler.ddpm,
    steps: StepsOption = 1000,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=a_path,
            help="File to write: .gif, .png (animated), .apng, .webp or .avif.",
            show_default="digit_7.gif",
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    data: DataOption = None,
    device: DeviceOption = Device.auto,
    with_my_code: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            callback=a_path,
            help="Draw with your own functions: those in this folder that have passed.",
        ),
    ] = None,
    bug: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Draw with a known mistake, beside the right picture; `list` shows the names.",
        ),
    ] = None,
) -> None:
    """Save a GIF, or another animation, of a digit appearing out of noise."""
    console, started = make_console(), time.perf_counter()
    if bug == "list":
        show_bugs(console)
        return
    if direction is None:
        direction = Direction.roundtrip if image else Direction.denoise
    refuse_clashes(bug, with_my_code, direction, guidance, image)
    if count is None:  # many a mistake draws a fine digit, and only ever the same one
        count = 3 if bug and digit is not None else 1
    own_name = image.stem if image else None
    from ddpm_tutor.pictures.picture_files import FILMS, film_endings, with_ending, write_film

    named = out or default_name(digit, direction, bug, own_name)
    target = check_target(with_ending(named, film_endings()))
    if image and target.resolve() == image.resolve():
        raise UsageError(f"{image} would be written over. Choose another name with --out.")
    own_x_0 = own_picture(console, image) if image else None
    with console.status("Loading the model ..."):
        from ddpm_tutor.pictures.films import FRAMES, NAMES, film
        from ddpm_tutor.science.sampling import SamplingOptions

        loaded = open_checkpoint(checkpoint, device, steps)
        if own_x_0 is not None and digit is None and loaded.conditional:
            digit = read_as(console, own_x_0)
        labels = labels_for(loaded, digit, count, checkpoint)
        numbers = range(count if labels is None else len(labels))
        options = SamplingOptions(
            method=sampler.value, steps=steps, guidance=guidance if loaded.conditional else 1.0
        )
    work = options
    if direction == Direction.noise:  # the network is only asked for the frames
        work = SamplingOptions(steps=min(FRAMES, loaded.schedule.T))
    own = bool(bug or with_my_code)
    take_device(console, loaded, device, len(numbers), work, own_equations=own)
    frames: list[Frame] = []
    hold, names, ways, taken = [], NAMES, list[str](), "yours"
    if direction != Direction.denoise:
        if own_x_0 is None:
            x_0, taken = digits_of_data(console, labels, numbers, seed, data)
        else:
            x_0 = own_x_0.expand(len(numbers), -1, -1, -1)
        frames += noising_frames(loaded, x_0, labels, numbers, seed)
        hold.append(len(frames) - 1)
    if bug:
        frames = bug_frames(console, bug, loaded, labels, options, seed, numbers)
        names = ("right", bug)
    elif direction != Direction.noise:
        x_T = frames[-1].x_t if frames else None
        frames += denoising_frames(
            console, loaded, labels, options, seed, numbers, with_my_code, x_T
        )
    hold.append(len(frames) - 1)
    if direction == Direction.roundtrip:
        ways = ["noise is added"] * (hold[0] + 1)
        ways += ["noise is taken out"] * (len(frames) - len(ways))
    title = "" if digit is None else f"digit {digit}"
    group = count if labels is not None and digit is None else 1  # those of one digit
    write_film(target, film(frames, title, names, ways, group), hold)
    if bug:
        show_pairs(console, names, frames[-1].x_t, frames[-1].x_0_hat)
    elif direction == Direction.roundtrip:
        names = (taken, "drawn anew")
        show_pairs(console, names, frames[0].x_t, frames[-1].x_t)
    else:
        show_digits(console, frames[-1].x_t, labels if digit is None else None, group)
    seconds = time.perf_counter() - started
    size = target.stat().st_size / 1e6
    facts = f"   {len(frames)} frames, {size:.1f} MB, {seconds:.1f} s"
    line = written(target, f"{FILMS[target.suffix.lower()].name} saved", facts)
    console.print(line, soft_wrap=True)


def show_digits(console: Console, images: "Tensor", labels: "Tensor | None", group: int) -> None:
    """What the film ends with, each over the digit it should be, if there are several.

    Those of one digit, `group` of them, stay in one row, if it is wide enough.
    """
    from ddpm_tutor.screen.images import render_images

    captions = None if labels is None else [str(label) for label in labels.tolist()]
    in_a_row = len(images) if group == 1 else max(group, IN_A_ROW // group * group)
    for start in range(0, len(images), in_a_row):
        row = slice(start, start + in_a_row)
        console.print(render_images(images[row], console, captions and captions[row]))


def show_pairs(console: Console, names: tuple[str, str], these: "Tensor", those: "Tensor") -> None:
    """Two pictures of each digit, side by side or one above the other."""
    import torch

    from ddpm_tutor.screen.images import render_images

    for start in range(0, len(these), IN_A_ROW):
        pairs = [images[start : start + IN_A_ROW] for images in (these, those)]
        captions = [name for name in names for _ in pairs[0]]
        console.print(render_images(torch.cat(pairs), console, captions))


def refuse_clashes(
    bug: str | None,
    own: Path | None,
    direction: Direction,
    guidance: float,
    image: Path | None = None,
) -> None:
    """Refuses what does not go together, before long work.

    Raises:
        UsageError: saying what.
    """
    if (bug or own) and direction != Direction.denoise:
        raise UsageError(
            "--bug and --with-my-code draw a digit out of noise; leave --direction out."
        )
    if image and direction == Direction.denoise:
        raise UsageError(
            "--image dissolves: --direction noise, or roundtrip, which is the default."
        )
    if bug and own:
        raise UsageError("Choose one of --bug and --with-my-code.")
    if bug:
        check_bug(bug, guidance)


def default_name(
    digit: int | None, direction: Direction, bug: str | None = None, own: str | None = None
) -> Path:
    """digit_7.gif, digits_roundtrip.gif, digit_7_sign.gif, or of an own picture my_noise.gif."""
    what = own or ("digits" if digit is None else f"digit_{digit}")
    if bug:
        return Path(f"{what}_{bug}.gif")
    return Path(f"{what}.gif" if direction == Direction.denoise else f"{what}_{direction}.gif")


def denoising_frames(
    console: Console,
    loaded: "Checkpoint",
    labels: "Tensor | None",
    options: "SamplingOptions",
    seed: int,
    numbers: range,
    own: Path | None,
    x_T: "Tensor | None",
) -> "list[Frame]":
    """Digits appearing out of noise, or out of `x_T`; drawn by the functions in `own`, if given."""
    from ddpm_tutor.classroom.session import track
    from ddpm_tutor.pictures.films import frames_of
    from ddpm_tutor.science.sampling import draw

    if own:
        states = own_drawing(console, own, loaded, labels, options, seed, numbers)
    else:
        states = draw(
            loaded.model, loaded.schedule, labels, options, seed=seed, indices=numbers, x_T=x_T
        )
    steps = options.steps_of(loaded.schedule.T)
    return list(frames_of(track(states, steps + 1, "Denoising", pictures=True), loaded.schedule))


def digits_of_data(
    console: Console, labels: "Tensor | None", numbers: range, seed: int, data: Path | None
) -> "tuple[Tensor, str]":
    """A digit of the data for each number, (B, 1, 32, 32) in [-1, 1], and a word for what they are.

    Says where they are from.
    """
    import torch

    from ddpm_tutor.storage.digits import MNIST_SOURCE, OFFLINE

    digits = find_digits(data)
    console.print(Text(f"Digits: {digits.origin}", "dim"), soft_wrap=True)
    word = "offline" if OFFLINE in digits.source else "given"
    if digits.source.startswith(MNIST_SOURCE):
        word = "real"
    classes = [None if labels is None else int(labels[i]) for i in range(len(numbers))]
    given = [one_of(digits, c, seed, i) for c, i in zip(classes, numbers, strict=True)]
    return torch.stack(given), word


def read_as(console: Console, x_0: "Tensor") -> int:
    """The digit that the classifier takes a picture for; says so."""
    from ddpm_tutor.evaluation.classifier import load_classifier, read_digits
    from ddpm_tutor.science.pixels import to_uint8

    digit = int(read_digits(load_classifier().model, to_uint8(x_0)).classes[0])
    console.print(
        Text(f"Read as a {digit}, and asked for as that; --digit says another.", "dim"),
        soft_wrap=True,
    )
    return digit


def noising_frames(
    loaded: "Checkpoint", x_0: "Tensor", labels: "Tensor | None", numbers: range, seed: int
) -> "list[Frame]":
    """Digits dissolving, (B, 1, 32, 32) in [-1, 1]."""
    from ddpm_tutor.classroom.session import track
    from ddpm_tutor.pictures.films import FRAMES, noising

    device = next(loaded.model.parameters()).device
    frames = noising(
        loaded.model,
        loaded.schedule,
        x_0.to(device),
        None if labels is None else labels.to(device),
        seed=seed,
        indices=numbers,
    )
    return list(track(frames, FRAMES, "Noising", pictures=True))
