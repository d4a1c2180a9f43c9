"""The commands that draw: a film, and grids of samples."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.classroom.screen import make_console
from ddpm_tutor.cli.options import (
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
from ddpm_tutor.cli.own_code import bug_frames, check_bug, own_drawing, show_bugs
from ddpm_tutor.cli.processes import Process, collect, is_first, processes
from ddpm_tutor.commands import command
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import check_target

if TYPE_CHECKING:
    from torch import Tensor

    from ddpm_tutor.classroom.pictures import Frame
    from ddpm_tutor.science.checkpoints import Checkpoint
    from ddpm_tutor.science.sampling import Sampled

# in trials on the shipped weights a mild pull drew more digits that are read as asked for
GUIDANCE = 1.5
GRID_LIMIT = 1000  # images in one PNG


class Direction(StrEnum):
    """Which way the film runs."""

    denoise = "denoise"
    noise = "noise"
    roundtrip = "roundtrip"


def gif(
    digit: Annotated[
        int | None,
        typer.Option(
            min=0, max=9, help="The digit to draw; without it, all ten.", show_default=False
        ),
    ] = None,
    direction: Annotated[
        Direction, typer.Option(help="A digit appearing, a real one dissolving, or both.")
    ] = Direction.denoise,
    count: Annotated[int, typer.Option(min=1, max=36, help="How many (of each digit).")] = 1,
    seed: SeedOption = 0,
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
            help="Draw with your own functions, as far as your exercises there have passed.",
        ),
    ] = None,
    bug: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Draw with a known mistake, beside the right picture; or: list."
        ),
    ] = None,
) -> None:
    """Save a GIF, or another film, of a digit appearing out of noise."""
    console, started = make_console(), time.perf_counter()
    if bug == "list":
        show_bugs(console)
        return
    refuse_clashes(bug, with_my_code, direction, guidance)
    from ddpm_tutor.classroom.picture_files import FILMS, film_endings, with_ending, write_film

    named = out or default_name(digit, direction, bug)
    target = check_target(with_ending(named, film_endings()))
    with console.status("Loading the model ..."):
        from ddpm_tutor.classroom.films import FRAMES, frames_of
        from ddpm_tutor.classroom.pictures import NAMES, film
        from ddpm_tutor.classroom.session import track
        from ddpm_tutor.classroom.terminal_images import render_images

        loaded = open_checkpoint(checkpoint, device, steps)
        labels = labels_for(loaded, digit, count, checkpoint)
        numbers = range(count if labels is None else len(labels))
        guide = guidance if loaded.conditional else 1.0
    calls = FRAMES if direction == Direction.noise else steps
    take_device(console, loaded, device, len(numbers), calls, guidance=guide)
    how = {"seed": seed, "indices": numbers, "guidance": guide, "steps": steps}
    frames: list[Frame] = []
    hold, names = [], NAMES
    if direction != Direction.denoise:
        frames += noising_frames(console, loaded, labels, numbers, seed, data)
        hold.append(len(frames) - 1)
    if bug:
        frames, names = bug_frames(console, bug, loaded, labels, how), ("right", bug)
    elif with_my_code:
        moments = own_drawing(console, with_my_code, loaded, labels, sampler, how)
        frames += frames_of(track(moments, steps + 1, "Denoising"), loaded.schedule)
    elif direction != Direction.noise:
        x_T = frames[-1].x_t if frames else None
        moments = drawing(loaded, labels, numbers, seed, guide, sampler, steps, x_T)
        bar = track(moments, steps + 1, "Denoising")
        frames += frames_of(bar, loaded.schedule)
    hold.append(len(frames) - 1)
    title = "" if digit is None else f"digit {digit}"
    write_film(target, film(frames, title, names), hold)
    captions = [names[:1] * len(numbers), names[1:] * len(numbers)] if bug else [None]
    for images, caption in zip((frames[-1].x_t, frames[-1].x_0), captions, strict=False):
        console.print(render_images(images, console, caption))
    seconds = time.perf_counter() - started
    size = target.stat().st_size / 1e6
    console.print(
        Text.assemble(
            (f"{FILMS[target.suffix.lower()].name} saved: ", "dim"),
            (str(target), "bold green"),
            (f"   {len(frames)} frames, {size:.1f} MB, {seconds:.1f} s", "dim"),
        )
    )


def sample(
    digit: Annotated[
        int | None, typer.Option(min=0, max=9, help="The digit to draw.", show_default=False)
    ] = None,
    n: Annotated[
        int, typer.Option("-n", "--count", min=1, max=100_000, help="How many, of each digit.")
    ] = 10,
    all_digits: Annotated[bool, typer.Option("--all-digits", help="Every digit, 0 to 9.")] = False,
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Without a label: the model decides.")
    ] = False,
    seed: SeedOption = 0,
    guidance: GuidanceOption = 1.0,
    sampler: SamplerOption = Sampler.ddpm,
    steps: StepsOption = 1000,
    out: Annotated[
        Path, typer.Option(callback=a_path, help="Picture to write: .png, .jpg, ...")
    ] = Path("samples.png"),
    npz: Annotated[
        Path | None,
        typer.Option(
            callback=a_path, help="Also write images, labels and seed as NumPy arrays: .npz."
        ),
    ] = None,
    checkpoint: CheckpointOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Draw digits as a grid, and as arrays."""
    if (digit is not None) + all_digits + unconditional != 1:
        raise UsageError("Say what to draw: --digit 3, --all-digits or --unconditional.")
    console = make_console(quiet=not is_first())
    from ddpm_tutor.classroom.picture_files import picture_endings, with_ending, write_picture

    out = check_target(with_ending(out, picture_endings()))
    if npz:
        npz = check_target(with_ending(npz, [".npz"]))
    with console.status("Loading the model ..."):
        import torch

        from ddpm_tutor.classroom.pictures import enlarged, grid
        from ddpm_tutor.classroom.session import Session, using
        from ddpm_tutor.classroom.terminal_images import render_images
        from ddpm_tutor.science.npz import writing_digits

        loaded = open_checkpoint(checkpoint, device, steps)
        if all_digits and not loaded.conditional:
            raise no_labels(checkpoint)
        labels = None if unconditional else labels_for(loaded, digit, n, checkpoint)
        count = n if labels is None else len(labels)

    shown: list[Tensor] = []
    with processes(device) as process, using(Session(console)), ExitStack() as files:
        if process.world_size > 1:
            loaded.model.to(process.device)
        else:
            told = labels is not None
            take_device(console, loaded, device, count, steps, labels=told, guidance=guidance)
        chunks = drawn_chunks(
            loaded, labels, count, seed, guidance, sampler, steps, f"Drawing {count:,}", process
        )
        if npz and is_first():
            write = files.enter_context(writing_digits(npz, count, labels, seed))
        for images in chunks:
            if npz:
                write(images)
            shown.append(images[: GRID_LIMIT - sum(map(len, shown))])
    if not is_first():
        return
    images = torch.cat(shown)
    columns = n if all_digits and n <= 20 else None
    write_picture(out, enlarged(grid(images, columns), 2))
    console.print(render_images(images[:40], console))
    for path in [out, npz] if npz else [out]:
        console.print(Text.assemble(("Saved: ", "dim"), (str(path), "bold green")))
    if count > GRID_LIMIT:
        console.print(Text(f"The picture shows the first {GRID_LIMIT} of {count:,}.", "dim"))


def refuse_clashes(
    bug: str | None, own: Path | None, direction: Direction, guidance: float
) -> None:
    """Refuses what does not go together, before long work.

    Raises:
        UsageError: saying what.
    """
    if (bug or own) and direction != Direction.denoise:
        raise UsageError(
            "--bug and --with-my-code draw a digit out of noise; leave --direction out."
        )
    if bug and own:
        raise UsageError("Choose one of --bug and --with-my-code.")
    if bug:
        check_bug(bug, guidance)


def default_name(digit: int | None, direction: Direction, bug: str | None = None) -> Path:
    """digit_7.gif, digits_roundtrip.gif, or digit_7_sign.gif."""
    what = "digits" if digit is None else f"digit_{digit}"
    if bug:
        return Path(f"{what}_{bug}.gif")
    return Path(f"{what}.gif" if direction == Direction.denoise else f"{what}_{direction}.gif")


def labels_for(
    loaded: "Checkpoint", digit: int | None, count: int, checkpoint: Path | None
) -> "Tensor | None":
    """`count` labels of the digit, or of each of the ten; None for a model without labels.

    Raises:
        TutorError: a digit is asked of a model without labels.
    """
    import torch

    if not loaded.conditional:
        if digit is not None:
            raise no_labels(checkpoint)
        return None
    digits = torch.arange(10) if digit is None else torch.tensor([digit])
    return digits.repeat_interleave(count)


def no_labels(checkpoint: Path | None) -> TutorError:
    """What to say when a digit is asked of weights that know none."""
    own = ("--checkpoint", checkpoint) if checkpoint else ()
    return TutorError(
        "These weights were trained without labels: they draw no digit on request.\n"
        f"Use other weights, or draw with: {command('sample', '--unconditional', *own)}"
    )


def drawn_chunks(
    loaded: "Checkpoint",
    labels: "Tensor | None",
    count: int,
    seed: int,
    guidance: float,
    sampler: Sampler,
    steps: int,
    description: str,
    process: Process | None = None,
) -> "Iterator[Tensor]":
    """Images 0 to count - 1 of the seed in turn, some at a time, with a progress bar.

    Yields:
        (B, 1, 32, 32) uint8; with several processes, those of all, and only in the first.
    """
    from ddpm_tutor.classroom.session import current, track
    from ddpm_tutor.science.sampling import draw_many, moments_of

    def say_fewer(at_once: int) -> None:
        text = f"Too little memory for as many at once: going on with {at_once}."
        current().console.print(Text(text, "yellow"))

    rank, world_size = process[:2] if process else (0, 1)
    moments = draw_many(
        loaded.model,
        loaded.schedule,
        labels,
        count,
        seed=seed,
        guidance=guidance,
        method=sampler.value,
        steps=steps,
        rank=rank,
        world_size=world_size,
        on_fewer=say_fewer,
    )
    total = moments_of(loaded.model, count, steps, world_size)
    for chunk in track(moments, total, description):
        if chunk is not None:
            yield from collect(chunk, process)


def drawing(
    loaded: "Checkpoint",
    labels: "Tensor | None",
    numbers: range,
    seed: int,
    guidance: float,
    sampler: Sampler,
    steps: int,
    x_T: "Tensor | None" = None,
) -> "Iterator[Sampled]":
    """Sampling as the options ask for."""
    from ddpm_tutor.science.sampling import draw

    return draw(
        loaded.model,
        loaded.schedule,
        labels,
        seed=seed,
        indices=numbers,
        guidance=guidance,
        method=sampler.value,
        steps=steps,
        x_T=x_T,
    )


def noising_frames(
    console: Console,
    loaded: "Checkpoint",
    labels: "Tensor | None",
    numbers: range,
    seed: int,
    data: Path | None,
) -> "list[Frame]":
    """Real digits dissolving."""
    import torch

    from ddpm_tutor.classroom.films import FRAMES, noising
    from ddpm_tutor.classroom.session import track
    from ddpm_tutor.science.data import to_unit_range
    from ddpm_tutor.science.noise import stream

    digits = find_digits(data)
    console.print(Text(f"Digits: {digits.source}", "dim"))
    chosen = []
    for i in numbers:
        same = digits.train_images if labels is None else digits.of_class(int(labels[i]))
        pick = int(torch.randint(len(same), (1,), generator=stream(seed, "real digit", i)))
        chosen.append(to_unit_range(same[pick]))
    device = next(loaded.model.parameters()).device
    frames = noising(
        loaded.model,
        loaded.schedule,
        torch.stack(chosen).to(device),
        None if labels is None else labels.to(device),
        seed=seed,
        indices=numbers,
    )
    return list(track(frames, FRAMES, "Noising"))
