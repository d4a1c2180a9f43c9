"""Which device computes, and what it can do."""

import torch

from ddpm_tutor.errors import UsageError


def available_devices() -> list[str]:
    """The devices of this machine, best first."""
    devices = []
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [*devices, "cpu"]


def choose_device(name: str = "auto") -> torch.device:
    """The device called `name`: auto, cpu, cuda or mps.

    Raises:
        UsageError: this machine has no such device.
    """
    devices = available_devices()
    if name == "auto":
        return torch.device(devices[0])
    if name not in devices:
        raise UsageError(f"No device {name!r} here. This machine has: {', '.join(devices)}.")
    return torch.device(name)


def has_bf16(device: torch.device) -> bool:
    """Whether bfloat16 products are fast on `device`."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if device.type == "cpu" and hasattr(torch.cpu, "get_capabilities"):
        found = torch.cpu.get_capabilities()
        return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
    return False
