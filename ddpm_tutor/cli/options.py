"""What several commands share: options, the console, a bar, the digits with a download bar."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

if TYPE_CHECKING:
    from ddpm_tutor.science.data import Digits

T = TypeVar("T")


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Sampler(StrEnum):
    """How to step from noise to a picture."""

    ddpm = "ddpm"
    ddim = "ddim"


DeviceOption = Annotated[Device, typer.Option(help="Where to compute; auto takes the best.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Same seed, same picture, on every device.")]
DataOption = Annotated[
    Path | None,
    typer.Option(help="Folder that holds MNIST/raw.", envvar="DDPM_TUTOR_DATA", show_envvar=True),
]
CheckpointOption = Annotated[
    Path | None, typer.Option(help="Weights to draw with; by default those that ship.")
]
GuidanceOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=20,
        help="How strongly the label pulls: 0 ignores it, 1 is the plain conditional model.",
    ),
]
SamplerOption = Annotated[
    Sampler, typer.Option(help="ddpm is Algorithm 2; ddim adds no noise (Song et al. 2020).")
]
StepsOption = Annotated[
    int, typer.Option(min=1, max=1000, help="Network calls: 1000 is the full chain.")
]


def is_terminal() -> bool:
    """Whether a learner sits there: keys can be read and screens drawn."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def download_bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Yields what `load_digits` tells its progress to; a bar appears when a download begins."""
    from rich.progress import DownloadColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("Downloading MNIST"), DownloadColumn(), console=console, transient=True
    )
    task = bar.add_task("", total=None)

    def progress(done: int, total: int) -> None:
        if console.is_terminal:
            bar.start()
        bar.update(task, completed=done, total=total or None)

    try:
        yield progress
    finally:
        bar.stop()


def digits_with_bar(console: Console, data: Path | None) -> "Digits":
    """The digits to work with, found in the order of `load_digits`."""
    from ddpm_tutor.science.data import load_digits

    with download_bar(console) as progress:
        return load_digits(data, progress=progress)


def with_bar(items: Iterable[T], total: int, description: str, console: Console) -> Iterator[T]:
    """The items, with a progress bar and the time left."""
    from rich.progress import track

    yield from track(
        items, description, total, console=console, transient=True, disable=not console.is_terminal
    )
