"""The command that says what there is on this machine."""

import platform
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ddpm_tutor import __version__
from ddpm_tutor.classroom.screen import make_console
from ddpm_tutor.cli.options import CheckpointOption, DataOption, Device, DeviceOption
from ddpm_tutor.errors import DeviceWarning, TutorError

if TYPE_CHECKING:
    import torch

    from ddpm_tutor.science.checkpoints import Checkpoint


def info(
    data: DataOption = None, checkpoint: CheckpointOption = None, device: DeviceOption = Device.auto
) -> None:
    """Show versions, device, data and weights found, and the speed of one step."""
    console = make_console()
    with console.status("Looking around ..."):
        import torch

        from ddpm_tutor.classroom.progress import progress_file
        from ddpm_tutor.science.checkpoints import load_checkpoint, network_name, weights_file
        from ddpm_tutor.science.devices import available_devices, has_bf16

        chosen, unusable = usable_device(device)
        loaded = load_checkpoint(checkpoint, chosen)
        parameters = sum(p.numel() for p in loaded.model.parameters())
        last_epoch = last_of_log(loaded.log)
        rows = {
            "ddpm-tutor": __version__,
            "Python": platform.python_version(),
            "torch": f"{torch.__version__}, torchvision {torchvision_version()}",
            "device": f"{chosen} (there is: {', '.join(available_devices())})",
            **unusable,
            "CPU threads": str(torch.get_num_threads()),
            "bfloat16": "fast" if has_bf16(chosen) else "not used",
            "data": data_found(data),
            "weights": str(weights_file(checkpoint)),
            "network": f"{network_name(loaded.model)}, width {loaded.model.width}, "
            f"{parameters / 1e6:.1f} M parameters, "
            f"{'conditional' if loaded.conditional else 'unconditional'}",
            "trained on": f"{last_epoch['images_seen']:,} images",
            "validation loss": validation_text(last_epoch),
            "one step": step_speed(loaded),
            "progress in": str(progress_file()),
        }
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
        return f"cannot be loaded ({error}): MNIST cannot be downloaded"
    return torchvision.__version__


def data_found(data: Path | None) -> str:
    """The digits that commands will use, as far as they are on this machine."""
    from ddpm_tutor.science.data import cache_folder, find_mnist

    try:
        found = find_mnist(data)
    except TutorError as error:
        return str(error).splitlines()[0]
    if found is None:
        return (
            f"no MNIST in {cache_folder()}: downloaded when it is first needed, or the offline "
            "digits"
        )
    return found.source


def usable_device(device: Device) -> "tuple[torch.device, dict[str, str]]":
    """The device asked for, or the CPU where that cannot compute; a row for each that cannot.

    Raises:
        UsageError: this machine has no such device.
    """
    from ddpm_tutor.science.devices import available_devices, choose_device, why_unusable

    reasons = {name: why_unusable(name) for name in available_devices()}
    rows = {name: f"cannot compute: {reason}" for name, reason in reasons.items() if reason}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeviceWarning)  # the rows say it
        return choose_device("cpu" if device.value in rows else device.value), rows


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


def step_speed(loaded: "Checkpoint") -> str:
    """How long one network call takes here, made ready as sampling does, and so a whole digit."""
    import torch

    from ddpm_tutor.science.fast import for_sampling

    model = for_sampling(loaded.model, [1], batch=1)
    device = next(loaded.model.parameters()).device
    x_t, t = (
        torch.zeros(1, 1, 32, 32, device=device),
        torch.ones(1, dtype=torch.long, device=device),
    )
    times = []
    with torch.no_grad():
        for _ in range(20):
            started = time.perf_counter()
            model(x_t, t).cpu()  # a copy to the CPU waits for the device
            times.append(time.perf_counter() - started)
    median = sorted(times)[len(times) // 2]
    steps = loaded.schedule.T
    return f"{median * 1000:.1f} ms for one image: about {median * steps:.0f} s for {steps} steps"
