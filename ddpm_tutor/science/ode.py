"""Sampling as an equation of motion: the probability-flow ODE and its solvers.

Without noise, x_t moves along a curve that the predicted noise points along. Divided by
sqrt(alpha_bar) it is plain (Song et al. 2020, Eq. 14):

    d(x_t / sqrt(alpha_bar)) = eps_theta(x_t, t) d(sigma)

where sigma = sqrt((1 - alpha_bar) / alpha_bar).

A solver takes it in steps. DDIM is the simplest of them, Euler's; Heun's looks at both ends.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ddpm_tutor.science.checks import (
    check_alike,
    check_inputs,
    check_one_of,
    check_schedule,
    check_t,
    is_whole,
    length,
    own_steps,
)
from ddpm_tutor.science.diffusion import per_image
from ddpm_tutor.science.schedule import Schedule

Solver = Literal["euler", "heun"]


def noise_to_signal(schedule: Schedule, t: Tensor) -> Tensor:
    """sigma = sqrt((1 - alpha_bar) / alpha_bar), (B,): noise for one part of x_0; 0 at t = 0.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 0..T.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> float(noise_to_signal(schedule, torch.tensor([0])))
        0.0
    """
    check_t(schedule, t, length(t) if isinstance(t, Tensor) else 1, 0)
    alpha_bar = schedule.alpha_bar[t]
    return ((1 - alpha_bar) / alpha_bar).sqrt()


def euler_step(schedule: Schedule, x_t: Tensor, t: Tensor, t_next: Tensor, eps: Tensor) -> Tensor:
    """From x_t to x_{t_next} straight on along `eps`. It is the step of DDIM with eta = 0.

    t_next, (B,) in 0..T, may be later than t as well: then the picture goes towards its noise.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 0..T.
        t_next: (B,) whole numbers in 0..T.
        eps: the predicted noise, shaped like x_t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> euler_step(schedule, x_t, t, t - 50, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_inputs(schedule, t, least=0, x_t=x_t, eps=eps)
    check_t(schedule, t_next, length(x_t), 0, "t_next")
    signal, signal_next = schedule.alpha_bar[t].sqrt(), schedule.alpha_bar[t_next].sqrt()
    change = noise_to_signal(schedule, t_next) - noise_to_signal(schedule, t)  # of sigma
    x = x_t / per_image(signal, x_t) + per_image(change, x_t) * eps
    return per_image(signal_next, x_t) * x


def heun_step(
    schedule: Schedule, x_t: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, eps_next: Tensor
) -> Tensor:
    """From x_t to x_{t_next} along the mean of two directions (Karras et al. 2022, Algorithm 1).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 0..T.
        t_next: (B,) whole numbers in 0..T.
        eps: predicted at x_t, shaped like it.
        eps_next: predicted where `euler_step` ends, at t_next; shaped like x_t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> heun_step(schedule, x_t, t, t - 50, eps, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_alike(x_t=x_t, eps=eps, eps_next=eps_next)
    return euler_step(schedule, x_t, t, t_next, (eps + eps_next) / 2)


@torch.no_grad()
def solve_ode(
    predict: Callable[[Tensor, Tensor], Tensor],
    schedule: Schedule,
    x: Tensor,
    times: Sequence[int],
    solver: Solver = "euler",
) -> Iterator[tuple[int, Tensor]]:
    """Follows the probability-flow ODE through the steps `times` of the schedule.

    A step to t = 0 is Euler's in both: there is no network for pictures without noise. So n steps
    down to 0 cost n calls of the network with "euler", and 2n - 1 with "heun".

    Args:
        predict: predict(x_t, t) is the noise in x_t; t is (B,).
        schedule: the noise schedule; its fields are (T + 1,).
        x: (B, 1, 32, 32), where it starts, at times[0].
        times: from noise to picture, as T, ..., 0, or the other way round from 1 or later.
        solver: "euler" or "heun".

    Yields:
        (t, x_t) for each of `times`, the start first.

    Raises:
        ValueError: at the first state asked for, when `times` is empty, starts at 0, leaves 0..T or
            does not only rise or only fall, or the solver is unknown.

    Example:
        >>> [t for t, x in solve_ode(lambda x_t, t: 0 * x_t, schedule, x_t, [500, 100, 0])]
        [500, 100, 0]
    """
    check_schedule(schedule)
    check_alike(x=x)
    check_times(times, schedule.T)
    check_one_of(solver, ("euler", "heun"), "solver")
    schedule = schedule.to(x.device)

    def at(t: int) -> Tensor:
        return torch.full((len(x),), t, device=x.device)

    yield times[0], x
    for now, later in pairwise(times):
        t, t_next = at(now), at(later)
        eps = predict(x, t)
        with own_steps():
            x_next = euler_step(schedule, x, t, t_next, eps)
            if solver == "heun" and later > 0:
                x_next = heun_step(schedule, x, t, t_next, eps, predict(x_next, t_next))
        x = x_next
        yield later, x


def check_times(times: Sequence[int], T: int) -> None:
    """Refuses steps that no solver could take.

    Raises:
        ValueError: see `solve_ode`.
    """
    if not all(map(is_whole, times)):
        raise ValueError(f"times must be whole numbers in 0..{T}")
    pairs = list(pairwise(times))
    if not times or times[0] == 0 or not all(0 <= t <= T for t in times):
        raise ValueError(f"times must begin in 1..{T} and stay in 0..{T}")
    if not (all(a > b for a, b in pairs) or all(a < b for a, b in pairs)):
        raise ValueError("times must only fall, or only rise")
