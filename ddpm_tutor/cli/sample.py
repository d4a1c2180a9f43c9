"""The command that draws digits as a grid, and as arrays."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ddpm_tutor.cli.processes import Process, collect, is_first, processes
from ddpm_tutor.cli.shared_options import (
    CheckpointOption,
    Device,
    DeviceOption,
    GuidanceOption,
    Sampler,
    SamplerOption,
    SeedOption,
    StepsOption,
    a_path,
    open_checkpoint,
    take_device,
)
from ddpm_tutor.commands import command
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import check_target
from ddpm_tutor.screen.console import make_console, written

if TYPE_CHECKING:
    from torch import Tensor

    from ddpm_tutor.science.sampling import SamplingOptions
    from ddpm_tutor.storage.checkpoints import Checkpoint


MAX_IN_GRID = 1000  # images in one PNG


def sample(
    digit: Annotated[
        int | None, typer.Option(min=0, max=9, help="The digit to draw.", show_default=False)
    ] = None,
    n: Annotated[
        int, typer.Option("-n", "--count", min=1, max=100_000, help="How many of each digit.")
    ] = 10,
    all_digits: Annotated[
        bool, typer.Option("--all-digits", help="Draw every digit, 0 to 9.")
    ] = False,
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Draw without labels: the model decides.")
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
    """Draw digits, and save them as a picture and as arrays."""
    if (digit is not None) + all_digits + unconditional != 1:
        raise UsageError("Say what to draw: --digit 3, --all-digits or --unconditional.")
    if unconditional and guidance not in (0, 1):
        raise UsageError(
            "--guidance stretches what a label changes; with --unconditional there is none."
        )
    console = make_console(quiet=not is_first())
    from ddpm_tutor.pictures.picture_files import picture_endings, with_ending, write_picture

    out = check_target(with_ending(out, picture_endings()))
    if npz:
        npz = check_target(with_ending(npz, [".npz"]))
    with console.status("Loading the model ..."):
        import torch

        from ddpm_tutor.classroom.session import Session, using
        from ddpm_tutor.pictures.grids import enlarged, grid
        from ddpm_tutor.science.sampling import SamplingOptions
        from ddpm_tutor.screen.images import render_images
        from ddpm_tutor.storage.npz import writing_digits

        loaded = open_checkpoint(checkpoint, device, steps)
        if all_digits and not loaded.conditional:
            raise no_labels(checkpoint)
        labels = None if unconditional else labels_for(loaded, digit, n, checkpoint)
        count = n if labels is None else len(labels)

    options = SamplingOptions(method=sampler.value, steps=steps, guidance=guidance)
    shown: list[Tensor] = []
    with processes(device) as process, using(Session(console)), ExitStack() as files:
        if process.world_size > 1:
            loaded.model.to(process.device)
        else:
            told = labels is not None
            take_device(console, loaded, device, count, options, labels=told)
        bar = f"Drawing {count:,}"
        chunks = drawn_chunks(loaded, labels, count, options, seed, bar, process)
        if npz and is_first():
            write = files.enter_context(writing_digits(npz, count, labels, seed))
        for images in chunks:
            if npz:
                write(images)
            shown.append(images[: MAX_IN_GRID - sum(map(len, shown))])
    if not is_first():
        return
    images = torch.cat(shown)
    columns = n if all_digits and n <= 20 else None
    write_picture(out, enlarged(grid(images, columns), 2))
    console.print(render_images(images[:40], console))
    for path in [out, npz] if npz else [out]:
        console.print(written(path), soft_wrap=True)
    if count > MAX_IN_GRID:
        console.print(Text(f"The picture shows the first {MAX_IN_GRID} of {count:,}.", "dim"))


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
    options: "SamplingOptions",
    seed: int,
    description: str,
    process: Process | None = None,
) -> "Iterator[Tensor]":
    """Images 0 to count - 1 of the seed in turn, some at a time, with a progress bar.

    Yields:
        (B, 1, 32, 32) uint8; with several processes, those of all, and only in the first.
    """
    from ddpm_tutor.classroom.session import current, track
    from ddpm_tutor.science.sampling import draw_many, number_of_yields

    def say_fewer(at_once: int) -> None:
        text = f"Too little memory for so many at once: continuing with {at_once}."
        current().console.print(Text(text, "yellow"))

    rank, world_size = process[:2] if process else (0, 1)
    chunks = draw_many(
        loaded.model,
        loaded.schedule,
        labels,
        count,
        options,
        seed=seed,
        rank=rank,
        world_size=world_size,
        on_fewer=say_fewer,
    )
    steps = options.steps_of(loaded.schedule.T)
    total = number_of_yields(loaded.model, count, steps, world_size)
    for chunk in track(chunks, total, description):
        if chunk is not None:
            yield from collect(chunk, process)
