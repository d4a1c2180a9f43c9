"""Which device draws soonest: by trying."""

import time
from dataclasses import dataclass

import torch

from ddpm_tutor.errors import is_out_of_memory
from ddpm_tutor.science.devices import (
    GPU_START_SECONDS,
    available_devices,
    choose_device,
    is_started,
)
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.sampling import OURS, Equations, SamplingOptions, chunk_size, draw
from ddpm_tutor.science.schedule import Schedule

TRIAL_STEPS = 4
MIN_GPU_STARTS = 3  # a GPU is tried where the CPU takes so many times as long as its start


@dataclass(frozen=True)
class Choice:
    """A device, and why it was chosen, in words."""

    device: torch.device
    why: str


def quickest_device(
    model: NoisePredictor,
    schedule: Schedule,
    images: int,
    options: SamplingOptions,
    *,
    labels: bool = True,
    equations: Equations = OURS,
) -> Choice:
    """The device that draws so many images soonest.

    A GPU is tried only where the CPU would take longer than a GPU takes to start.

    Args:
        model: on the CPU; afterwards it is on the device that was chosen.
        labels: whether the network is told what to draw.
        equations: the functions to step with; only the package's own are recorded on a GPU.
    """
    if len(available_devices()) == 1:
        return Choice(torch.device("cpu"), "there is no other device")

    def seconds() -> float:
        return seconds_to_draw(model, schedule, images, options, labels=labels, equations=equations)

    on_cpu = seconds()
    if on_cpu < MIN_GPU_STARTS * GPU_START_SECONDS and not is_started():
        why = f"done in about {on_cpu:.1f} s; a GPU takes seconds to start"
        return Choice(torch.device("cpu"), why)
    gpu = choose_device("auto")
    if gpu.type == "cpu":
        return Choice(gpu, "no other device can compute")
    model.to(gpu)
    try:
        seconds()  # the first time its libraries are loaded
        on_gpu = seconds()
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        model.to("cpu")
        return Choice(torch.device("cpu"), f"{gpu} has too little memory free")
    if on_gpu < on_cpu:
        return Choice(gpu, f"about {on_gpu:.1f} s, on the CPU {on_cpu:.1f} s")
    model.to("cpu")
    return Choice(torch.device("cpu"), f"about {on_cpu:.1f} s, on {gpu} {on_gpu:.1f} s")


def seconds_to_draw(
    model: NoisePredictor,
    schedule: Schedule,
    images: int,
    options: SamplingOptions,
    *,
    labels: bool = True,
    equations: Equations = OURS,
    tried: int = TRIAL_STEPS,
) -> float:
    """How long that would take on the device where the network is, from a few steps of one chunk.

    Args:
        tried: how many steps.
    """
    chunk = min(images, chunk_size(model, images))
    asked = None
    if labels and model.num_classes is not None:
        asked = torch.zeros(chunk, dtype=torch.long)
    steps = options.steps_of(schedule.T)
    chain = draw(model, schedule, asked, options, seed=0, indices=range(chunk), equations=equations)
    came = []  # when each state of the chain did
    started = time.perf_counter()
    for _ in range(min(tried, steps) + 1):
        float(next(chain).x_t.sum())  # waits for the device
        came.append(time.perf_counter() - started)
    one_step = (came[-1] - came[0]) / (len(came) - 1)
    return (came[0] + steps * one_step) * images / chunk
