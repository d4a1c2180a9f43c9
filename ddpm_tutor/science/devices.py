"""Which device computes, and what it can do."""

import ctypes
import platform

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


def keep_freed_memory() -> None:
    """Lets this process keep the memory of large tensors that are gone, for the next ones.

    By default glibc gives each block of over 32 MiB back to the system, which hands it out again
    page by page, cleared: a quarter of the time of a training step of `UNet`. Elsewhere this does
    nothing.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt, trim_threshold, mmap_threshold = ctypes.CDLL(None).mallopt, -1, -3
        if mallopt(mmap_threshold, 2**30):  # some versions take no more than 32 MiB
            mallopt(trim_threshold, 2**31 - 1)
