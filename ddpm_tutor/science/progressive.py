"""Progressive coding: what has been sent of a picture, and what is seen of it (Section 4.3)."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_tutor.science.bits import ReverseProcess, default_process, predictions
from ddpm_tutor.science.bound import decoder_nats, per_picture, prior_nats, step_nats, to_bits
from ddpm_tutor.science.checks import (
    check_fits,
    check_images,
    check_kind,
    check_labels,
    check_network,
    is_whole,
)
from ddpm_tutor.science.diffusion import ddim_step, predict_eps, predict_x_0, q_sample
from ddpm_tutor.science.noise import Generators, normal
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import PADDING
from ddpm_tutor.science.schedule import Schedule, check_T

DENSE = 20  # the steps up to this t are all taken; from there on each is so much larger
GROWTH = 1.04


class Received(NamedTuple):
    """What the receiver has when x_t has come."""

    t: int  # T, ..., 0
    bits: Tensor  # (B,) sent until then, for each picture
    x_t: Tensor  # (B, 1, 32, 32)
    x_0_hat: Tensor  # (B, 1, 32, 32) what is seen: the estimate of x_0 (Eq. 15); x_0 at t = 0

    def rmse(self, x_0: Tensor) -> Tensor:
        """The distortion: the root mean squared error of what is seen, (B,), in shades of 0..255.

        Over the 28 x 28 pixels of the picture; the padding is no part of it.
        """
        inner = slice(PADDING, -PADDING)
        error = 127.5 * (self.x_0_hat - x_0)[..., inner, inner]
        return error.square().mean(dim=(1, 2, 3)).sqrt()


def coding_times(T: int) -> list[int]:
    """Some 120 of the steps T..1: all of the last, and fewer the farther from the picture.

    Args:
        T: steps of the schedule.

    Raises:
        ValueError: T is no whole number from 1 on.

    Example:
        >>> coding_times(5)
        [5, 4, 3, 2, 1]
    """
    check_T(T)
    times, t = [], 1
    while t < T:
        times.append(t)
        t = max(t + 1, round(t * GROWTH)) if t >= DENSE else t + 1
    return [*reversed([*times, T])] if T > 1 else [1]


@torch.no_grad()
def progressive_coding(
    model: NoisePredictor,
    schedule: Schedule,
    x_0: Tensor,
    process: ReverseProcess | None = None,
    *,
    label: Tensor | None = None,
    times: Sequence[int] | None = None,
    generator: Generators = None,
) -> Iterator[Received]:
    """Algorithms 3 and 4: a picture is sent as x_T, x_{T-1}, ..., x_0, and seen more and more.

    The sender draws x_T from q(x_T | x_0), and each x_{t-1} from q(x_{t-1} | x_t, x_0); a code made
    for p_theta spends their KL on it, on average: L_T, then the L_{t-1}, at last L_0. The bits are
    counted, not sent: a code that comes so near (Harsha et al. 2007) takes too long to run.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) in [-1, 1], on the CPU.
        process: sigma_t^2 and clipping; None takes `default_process`.
        label: (B,), which the receiver knows as well; None for no labels.
        times: the steps t to look at, falling from T to 1; None takes `coding_times`. The bits of
            a step between two of them are read off the line from one to the other.
        generator: CPU generators to draw with, see `normal`.

    Yields:
        for t = T, ..., 1, 0 of `times`: what the receiver has.

    Raises:
        ValueError: `times` does not fall from T to 1.

    Example:
        >>> chain = progressive_coding(model, schedule, x_0, times=[1000, 1], generator=generator)
        >>> [received.t for received in chain]
        [1000, 1, 0]
    """
    check_network(model)
    check_fits(model, schedule)
    check_images(x_0, "x_0")
    check_labels(label, len(x_0), model.num_classes)
    check_kind(process, (ReverseProcess, type(None)), "process", "a ReverseProcess")
    process, schedule = process or default_process(model), schedule.to("cpu")
    times = coding_times(schedule.T) if times is None else list(times)
    falling = times == sorted(set(times), reverse=True) and all(map(is_whole, times))
    if not falling or not times or (times[0], times[-1]) != (schedule.T, 1):
        raise ValueError(f"times must fall from {schedule.T} to 1")
    x_0 = x_0.double()

    def step_bits(x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """What the step from x_t costs, (B,), and the estimate of x_0 from x_t."""
        eps_theta, share = predictions(model, x_t, t, label, 1)
        eps_theta, variance = process.of_step(schedule, x_t, t, eps_theta, share)
        if t[0] == 1:
            nats = decoder_nats(schedule, x_0, x_t, eps_theta, variance)
        else:
            nats = step_nats(schedule, x_0, x_t, t, eps_theta, variance)
        return to_bits(per_picture(nats)), predict_x_0(schedule, x_t, t, eps_theta)

    def every(t: int) -> Tensor:
        return torch.full((len(x_0),), t)

    def draw() -> Tensor:
        return normal(x_0.shape, generator, "cpu").double()

    x_t = q_sample(schedule, x_0, every(times[0]), draw())
    sent = to_bits(per_picture(prior_nats(schedule, x_0)))
    cost, x_0_hat = step_bits(x_t, every(times[0]))
    for now, then in pairwise(times):
        yield Received(now, sent, x_t, x_0_hat.clamp(-1, 1))
        t = every(now)
        eps = predict_eps(schedule, x_t, t, x_0)
        # with the true noise this is q(x_then | x_now, x_0)
        x_t = ddim_step(schedule, x_t, t, every(then), eps, eta=1.0, z=draw())
        cost_then, x_0_hat = step_bits(x_t, every(then))
        # what a step between the two costs; L_0 is of another kind than the L_{t-1}
        between = (cost + cost_then) / 2 if then > 1 else cost
        sent = sent + cost + (now - then - 1) * between
        cost = cost_then
    yield Received(1, sent, x_t, x_0_hat.clamp(-1, 1))
    yield Received(0, sent + cost, x_0, x_0)
