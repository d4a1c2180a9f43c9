"""Which device draws soonest: by trying."""

import time
from dataclasses import dataclass

import torch

from ddpm_tutor.science.checkpoints import Checkpoint
from ddpm_tutor.science.devices import available_devices
from ddpm_tutor.science.sampling import chunk_size, draw

# seconds until a GPU is ready to draw: its driver and its libraries have to be loaded first
GPU_START = 3.0
TRIAL_STEPS = 4


@dataclass(frozen=True)
class Choice:
    """A device, and why it was chosen, in words."""

    device: torch.device
    why: str


def quickest_device(
    loaded: Checkpoint, images: int, steps: int, labels: bool = True, guidance: float = 1.0
) -> Choice:
    """The device that draws so many images in so many steps soonest.

    A GPU is tried only where the CPU would take longer than it takes a GPU to start.

    Args:
        loaded: on the CPU; its network is on the device that is chosen afterwards.
        labels: whether the network is told what to draw.
    """
    gpu = available_devices()[0]
    if gpu == "cpu":
        return Choice(torch.device("cpu"), "there is no other device")

    def seconds() -> float:
        return seconds_to_draw(loaded, images, steps, labels, guidance)

    on_cpu = seconds()
    started = gpu == "cuda" and torch.cuda.is_initialized()
    if on_cpu < GPU_START and not started:
        why = f"done in about {on_cpu:.1f} s, before a GPU would be ready"
        return Choice(torch.device("cpu"), why)
    loaded.model.to(gpu)
    seconds()  # the first time its libraries are loaded
    on_gpu = seconds()
    if on_gpu < on_cpu:
        return Choice(torch.device(gpu), f"about {on_gpu:.1f} s, on the CPU {on_cpu:.1f} s")
    loaded.model.to("cpu")
    return Choice(torch.device("cpu"), f"about {on_cpu:.1f} s, on {gpu} {on_gpu:.1f} s")


def seconds_to_draw(
    loaded: Checkpoint, images: int, steps: int, labels: bool = True, guidance: float = 1.0
) -> float:
    """How long it would take on the device where the network is, from a few steps of one chunk."""
    chunk = min(images, chunk_size(loaded.model, images))
    asked = torch.zeros(chunk, dtype=torch.long) if labels and loaded.conditional else None
    tried = min(TRIAL_STEPS, steps)
    chain = draw(
        loaded.model, loaded.schedule, asked, seed=0, indices=range(chunk),
        guidance=guidance, steps=steps,
    )  # fmt: skip
    moments = []  # when each came
    started = time.perf_counter()
    for _ in range(tried + 1):
        float(next(chain).x_t.sum())  # waits for the device
        moments.append(time.perf_counter() - started)
    first, rest = moments[0], (moments[-1] - moments[0]) / tried
    return (first + steps * rest) * images / chunk
