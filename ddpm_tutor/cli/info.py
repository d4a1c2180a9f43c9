"""The command that says what there is on this machine."""

import platform
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ddpm_tutor import __version__
from ddpm_tutor.cli.gif import GUIDANCE
from ddpm_tutor.cli.shared_options import CheckpointOption, DataOption, Device, DeviceOption
from ddpm_tutor.errors import DeviceWarning, TutorError, first_line
from ddpm_tutor.screen.console import make_console

if TYPE_CHECKING:
    from ddpm_tutor.storage.checkpoints import Checkpoint

STEPS = 30  # that are timed


def info(
    data: DataOption = None, checkpoint: CheckpointOption = None, device: DeviceOption = Device.auto
) -> None:
    """Show versions, devices and their speed, and the data and weights found."""
    console = make_console()
    with console.status("Looking around ..."):
        import torch

        from ddpm_tutor.learner.progress import progress_file
        from ddpm_tutor.science.devices import has_bf16
        from ddpm_tutor.storage.checkpoints import load_checkpoint, network_name, weights_file

        loaded = load_checkpoint(checkpoint)
        devices = devices_found(device, loaded)
        parameters = sum(p.numel() for p in loaded.model.parameters())
        last_epoch = last_of_log(loaded.log)
        rows = {
            "ddpm-tutor": __version__,
            "Python": platform.python_version(),
            "torch": f"{torch.__version__}, torchvision {torchvision_version()}",
            **devices,
            "CPU threads": str(torch.get_num_threads()),
            "bfloat16": f"{'fast' if has_bf16(torch.device('cpu')) else 'not used'} on the CPU",
            "data": data_found(data),
            "weights": str(weights_file(checkpoint)),
            "network": f"{network_name(loaded.model)}, width {loaded.model.width}, "
            f"{parameters / 1e6:.1f} M parameters, "
            f"{'conditional' if loaded.conditional else 'unconditional'}",
            "trained on": f"{last_epoch['images_seen']:,} images",
            "validation loss": validation_text(last_epoch),
            "progress in": str(progress_file()),
        }
    if not console.is_terminal:  # a script reads it: a line each, however long a path is
        longest = max(map(len, rows))
        for name, value in rows.items():
            console.print(Text(f"{name:{longest}}  {value}"), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    for name, value in rows.items():
        table.add_row(name, Text(value))
    console.print(table)


def torchvision_version() -> str:
    """Its version, or why it cannot be loaded: only a download of MNIST needs it."""
    try:
        import torchvision
    except Exception as error:  # not there; without lzma; made for another torch
        return f"cannot be loaded ({first_line(error)}): MNIST cannot be downloaded"
    return str(torchvision.__version__)


def data_found(data: Path | None) -> str:
    """The digits that commands will use, as far as they are on this machine."""
    from ddpm_tutor.storage.digits import cache_folder, find_mnist, why_not_again

    try:
        found = find_mnist(data)
    except TutorError as error:
        return first_line(error)
    if found is None:
        failed = why_not_again()
        why = (
            f"the offline digits for now ({failed})"
            if failed
            else ("downloaded when it is first needed, or the offline digits")
        )
        return f"no MNIST in {cache_folder()}: {why}"
    return found.origin


def devices_found(device: Device, loaded: "Checkpoint") -> dict[str, str]:
    """What `--device` means here, and how fast each device takes a step; or only the one named.

    Raises:
        UsageError: this machine has no such device.
    """
    from ddpm_tutor.science.devices import available_devices, choose_device, why_unusable
    from ddpm_tutor.science.quickest_device import quickest_device
    from ddpm_tutor.science.sampling import SamplingOptions

    if device != Device.auto:
        if device.value in available_devices() and (reason := why_unusable(device.value)):
            return {
                "device": f"{device.value} cannot compute: {reason}",
                **step_speed(loaded, "cpu"),
            }
        chosen = choose_device(device.value)
        return {"device": str(chosen), **step_speed(loaded, chosen.type)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeviceWarning)  # the rows say it
        # before anything else starts a GPU: so it is when a command begins
        choice = quickest_device(
            loaded.model, loaded.schedule, 1, SamplingOptions(guidance=GUIDANCE)
        )
    rows = {"device": f"auto is {choice.device} for one digit: {choice.why}"}
    for name in available_devices():
        reason = why_unusable(name)
        rows |= {name: f"cannot compute: {reason}"} if reason else step_speed(loaded, name)
    return rows


def last_of_log(log: list[dict[str, Any]]) -> dict[str, Any]:
    """The last line of the log that travels with the weights, as far as it has numbers in it."""
    last = log[-1] if log else {}
    return {"images_seen": as_number(last.get("images_seen")), "validation": last.get("validation")}


def as_number(value: Any) -> float:
    """The number that a stranger's file may hold here, or 0."""
    return value if isinstance(value, int | float) else 0


def validation_text(last_epoch: dict[str, Any]) -> str:
    """The validation loss that travels with the weights."""
    loss = last_epoch.get("validation")
    if not isinstance(loss, dict):
        return "unknown"
    mean, error = as_number(loss.get("mean")), as_number(loss.get("error"))
    return f"{mean:.4f} ± {error:.4f} on held-out MNIST, when it was trained"


def step_speed(loaded: "Checkpoint", device: str) -> dict[str, str]:
    """How long a step of sampling takes on a device, and so a whole digit."""
    from ddpm_tutor.science.quickest_device import seconds_to_draw
    from ddpm_tutor.science.sampling import SamplingOptions

    steps = loaded.schedule.T
    loaded.model.to(device)
    options = SamplingOptions()
    seconds_to_draw(loaded.model, loaded.schedule, 1, options)  # the first time much is loaded
    seconds = seconds_to_draw(loaded.model, loaded.schedule, 1, options, tried=STEPS)
    ms = 1000 * seconds / steps
    return {f"one step, {device}": f"{ms:.1f} ms for one image: {seconds:.1f} s for {steps} steps"}
