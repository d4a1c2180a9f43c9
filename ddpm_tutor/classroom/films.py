"""The three films: a digit dissolving into noise, one appearing out of it, and both in turn."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from ddpm_tutor.classroom.pictures import Frame, frame_times
from ddpm_tutor.science.diffusion import predict_x_0, q_step
from ddpm_tutor.science.network import NoisePredictor
from ddpm_tutor.science.noise import normal, streams
from ddpm_tutor.science.sampling import Sampled, guided_eps
from ddpm_tutor.science.schedule import Schedule

FRAMES = 72


def frames_of(
    moments: Iterable[Sampled], schedule: Schedule, frames: int = FRAMES
) -> Iterator[Frame]:
    """Those moments of sampling that a film shows: near evenly spread times, and the last one."""
    wanted = frame_times(schedule, frames)
    for moment in moments:
        # with few steps a moment may stand for several wanted times
        if wanted and moment.t <= wanted[-1]:
            while wanted and moment.t <= wanted[-1]:
                wanted.pop()
            yield Frame(moment.t, moment.x_t.cpu(), moment.x_0.cpu())


@torch.no_grad()
def noising(
    model: NoisePredictor,
    schedule: Schedule,
    x_0: Tensor,
    label: Tensor | None,
    *,
    seed: int,
    indices: Sequence[int],
    frames: int = FRAMES,
) -> Iterator[Frame]:
    """A real digit dissolving, Eq. 2 step by step, with what the network still makes of it.

    Args:
        x_0: (B, 1, 32, 32) in [-1, 1], on the model's device; label: (B,) or None.
    """
    schedule = schedule.to(x_0.device)
    wanted = set(frame_times(schedule, frames))
    generators = streams(seed, "noising", indices)
    x_t = x_0
    for step in range(schedule.T + 1):
        t = torch.full((len(x_0),), step, device=x_0.device)
        if step > 0:
            x_t = q_step(schedule, x_t, t, normal(x_t.shape, generators, x_t.device))
        if step in wanted:
            estimate = x_0
            if step > 0:
                estimate = predict_x_0(schedule, x_t, t, guided_eps(model, x_t, t, label, 1.0))
            yield Frame(step, x_t.cpu(), estimate.clamp(-1, 1).cpu())
