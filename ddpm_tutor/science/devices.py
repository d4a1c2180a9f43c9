"""Which device computes, and what it can do."""

import functools
import warnings

import torch
import torch.nn.functional as F

from ddpm_tutor.errors import DeviceWarning, TutorError, UsageError, first_sentence

# seconds until a GPU is ready to compute: its driver and its libraries have to be loaded first
GPU_START_SECONDS = 3.0


def is_started() -> bool:
    """Whether a GPU is ready already, since it has computed before."""
    return torch.cuda.is_available() and torch.cuda.is_initialized()


class DeviceUnusable(TutorError):
    """A device is here and cannot compute."""


def available_devices() -> list[str]:
    """The devices of this machine, best first."""
    devices = []
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]


def choose_device(name: str = "auto", cpu_seconds: float | None = None) -> torch.device:
    """The device called `name`: auto, cpu, cuda or mps.

    With auto, a GPU where there is one; but work that the CPU has done before a GPU would be ready
    stays on the CPU. A device that is here and cannot compute is passed over, with a warning.
    `quickest_device` compares the two by trying.

    Args:
        name: "auto", "cpu", "cuda" or "mps".
        cpu_seconds: how long the work takes on a CPU, about; None where it is long.

    Raises:
        UsageError: this machine has no such device.
        DeviceUnusable: it has, but the device cannot compute.
        TutorError: there is no such device here, or it cannot compute.

    Example:
        >>> choose_device("cpu")
        device(type='cpu')
    """
    devices = available_devices()
    if name == "auto":
        if cpu_seconds is not None and cpu_seconds < GPU_START_SECONDS and not is_started():
            return torch.device("cpu")
        for device in devices:
            if not (reason := why_unusable(device)):
                return torch.device(device)
            warn_once(f"The device {device} cannot compute ({reason}). Using the CPU instead.")
    if name not in devices:
        raise UsageError(f"No device {name!r} here. This machine has: {', '.join(devices)}.")
    if reason := why_unusable(name):
        raise DeviceUnusable(f"The device {name} cannot compute: {reason}.")
    return torch.device(name)


@functools.cache
def warn_once(told: str) -> None:
    """Warns of a device that is passed over."""
    warnings.warn(told, DeviceWarning, stacklevel=3)


@functools.cache
def why_unusable(name: str) -> str:
    """Why the device `name` cannot compute though it is here, in a line; "" where it can.

    A driver may be too old, a library not found, a GPU too old for this PyTorch or its memory full:
    only a try shows it.
    """
    if name == "cpu":
        return ""
    try:
        x = torch.ones(1, 32, 8, 8, device=name)
        x = F.group_norm(F.conv2d(x, torch.ones(32, 32, 3, 3, device=name), padding=1), 8)
        (x.flatten(2) @ x.flatten(2).mT).sum().item()
    except Exception as error:  # PyTorch's builds and drivers fail each in its own way
        return first_sentence(error)
    return ""


def overlook_broken_gpu() -> None:
    """Lets PyTorch overlook a GPU that does not even start.

    In newer versions Adam asks it whether a graph is being captured, also where the CPU trains.
    """
    if not torch.cuda.is_available() or not hasattr(
        torch.optim.Optimizer, "_accelerator_graph_capture_health_check"
    ):
        return
    try:
        torch.accelerator.current_stream()
    except (RuntimeError, AssertionError):
        torch.cuda.is_available = lambda: False


def has_bf16(device: torch.device) -> bool:
    """Whether matrix products in bfloat16 are fast on `device`."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return False
