"""What several commands share: their options, and the digits."""

import math
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.errors import UsageError
from ddpm_tutor.files import expanded

if TYPE_CHECKING:
    from ddpm_tutor.science.sampling import SamplingOptions
    from ddpm_tutor.storage.checkpoints import Checkpoint
    from ddpm_tutor.storage.digits import Digits


def a_number(value: float | None) -> float | None:
    """The value of an option, unless it is NaN, which is neither too small nor too large.

    Raises:
        typer.BadParameter: it is.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("it is not a number")
    return value


PathOrText = TypeVar("PathOrText", Path | None, str | None)


def a_path(value: PathOrText) -> PathOrText:
    """The value of an option that names a file or folder, with its `~` expanded.

    Many a shell does not do that in `--out=~/7.gif`, and none on Windows.

    Raises:
        BadParameter: it is the next option, as in `--with-my-code --steps 20`.
    """
    if str(value).startswith("--"):
        raise typer.BadParameter(f"a file or folder belongs here, and next comes {value}.")
    return value if value is None else type(value)(expanded(str(value)))


def given(ctx: typer.Context, *names: str) -> list[object]:
    """Those of these options that were typed, as words for the next command."""
    words: list[object] = []
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if param.name in names and source and source.name == "COMMANDLINE":
            value = ctx.params[param.name]
            for each in value if isinstance(value, list | tuple) else [value]:
                words += [param.opts[0]] if each is True else [param.opts[0], each]
    return words


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


DeviceOption = Annotated[
    Device, typer.Option(help="Device to compute on; auto picks the fastest for the work.")
]

MAX_SEED = 2**63 - 1  # what NumPy and PyTorch take

SeedOption = Annotated[
    int,
    typer.Option(min=0, max=MAX_SEED, help="The same seed gives the same result, up to rounding."),
]

# what the commands that run a lesson, or an entry of the paper, may change in it
SettingsOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Change a parameter of the lesson."),
]
LessonSeed = Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Seed of the noise.")]
LessonDevice = Annotated[Device | None, typer.Option(help="Device to compute on.")]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Run a lesson file from elsewhere without asking first.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        callback=a_path,
        help="Folder that holds MNIST/raw.",
        envvar="DDPM_TUTOR_DATA",
        show_envvar=True,
    ),
]

CheckpointOption = Annotated[
    Path | None,
    typer.Option(
        callback=a_path,
        help="Weights to use, or the folder of a run; by default those of ddpm-tutor itself.",
    ),
]

GuidanceOption = Annotated[
    float,
    typer.Option(
        min=0,
        max=20,
        callback=a_number,
        help="Guidance scale: 0 ignores the label, 1 is the plain conditional model.",
    ),
]

SamplerOption = Annotated[
    Sampler, typer.Option(help="ddpm is Algorithm 2; ddim adds no noise (Song et al. 2020).")
]

StepsOption = Annotated[
    int, typer.Option(min=1, max=1000, help="Steps of sampling; 1000 is the full chain.")
]


def find_digits(data: Path | None, *, ask_again: bool = False) -> "Digits":
    """The digits to work with, found in the order of `load_digits`; a download shows itself."""
    from ddpm_tutor.classroom.session import current, show_download
    from ddpm_tutor.storage.digits import load_digits

    with current().bars.clock("Reading the digits"):
        return load_digits(data, progress=show_download, ask_again=ask_again)


def open_checkpoint(path: Path | None, device: Device, steps: int) -> "Checkpoint":
    """The weights to draw with in so many steps, still on the CPU; see `take_device`.

    Raises:
        UsageError: their schedule is shorter than that, or there is no such device.
        TutorError: they cannot be loaded, or the device cannot compute.
    """
    from ddpm_tutor.science.devices import choose_device
    from ddpm_tutor.storage.checkpoints import load_checkpoint

    if device != Device.auto:
        choose_device(device.value)  # better to fail now
    loaded = load_checkpoint(path)
    most = loaded.schedule.T
    if steps > most:
        raise UsageError(f"These weights were trained with {most} steps. Add: --steps {most}")
    return loaded


def take_device(
    console: Console,
    loaded: "Checkpoint",
    device: Device,
    images: int,
    options: "SamplingOptions",
    *,
    labels: bool = True,
    own_equations: bool = False,
) -> None:
    """Moves the network to the device asked for, or to the quickest for the work; says which.

    Args:
        labels: whether the network is told what to draw.
        own_equations: whether it steps with a learner's functions, or with a mistake.
    """
    from ddpm_tutor.science.devices import choose_device
    from ddpm_tutor.science.quickest_device import Choice, quickest_device
    from ddpm_tutor.science.sampling import OURS, Equations

    with console.status("Choosing a device ..."):
        if device == Device.auto:
            choice = quickest_device(
                loaded.model,
                loaded.schedule,
                images,
                options,
                labels=labels,
                equations=Equations() if own_equations else OURS,
            )
        else:
            choice = Choice(choose_device(device.value), "as asked")
            loaded.model.to(choice.device)
    console.print(Text(f"Computing on {choice.device}: {choice.why}.", "dim"))
