"""The score, the gradient of log q(x_t) in x_t, and the walk that follows it.

Predicting the noise is predicting the score: eps = -sqrt(1 - alpha_bar) times the score, where both
are the best there are. So a step of Algorithm 2 looks like one of Langevin dynamics, which climbs
the log density and adds noise (Section 3.2).
"""

import torch
from torch import Tensor

from ddpm_tutor.science.checks import check_alike, check_inputs, length
from ddpm_tutor.science.diffusion import per_image
from ddpm_tutor.science.schedule import Schedule


def score_from_eps(schedule: Schedule, t: Tensor, eps: Tensor) -> Tensor:
    """The score that belongs to a predicted noise, (B, ...): -eps / sqrt(1 - alpha_bar).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) integers in 1..T.
        eps: (B, ...), the predicted noise.

    Raises:
        ValueError: a t is 0, where no noise is left and the score has no size.

    Example:
        >>> score_from_eps(schedule, t, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_inputs(schedule, t, eps=eps)
    return -eps / per_image(noise_size(schedule, t), eps)


def eps_from_score(schedule: Schedule, t: Tensor, score: Tensor) -> Tensor:
    """The noise that belongs to a score, (B, ...); the other way of `score_from_eps`.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 1..T.
        score: (B, ...), the gradient of log q(x_t).

    Raises:
        ValueError: a t is 0, where no noise is left and the score has no size.

    Example:
        >>> score_of = score_from_eps(schedule, t, eps)
        >>> eps_from_score(schedule, t, score_of).allclose(eps)
        True
    """
    check_inputs(schedule, t, score=score)
    return -score * per_image(noise_size(schedule, t), score)


def noise_size(schedule: Schedule, t: Tensor) -> Tensor:
    """sqrt(1 - alpha_bar), (B,): the standard deviation of the noise in x_t (Eq. 4)."""
    return (1 - schedule.alpha_bar[t]).sqrt()


def langevin_step(x: Tensor, score: Tensor, step_size: float | Tensor, z: Tensor) -> Tensor:
    """One step of Langevin dynamics (Song and Ermon 2019, Eq. 4), shaped like x.

        x + step_size / 2 * score + sqrt(step_size) z

    Many small ones lead from anywhere to draws from the density that the score is of.

    Args:
        x: (B, ...) of any shape.
        score: the gradient of the log density at x, shaped like it.
        step_size: a number, or (B,) numbers, above 0.
        z: noise from N(0, I), shaped like x.

    Raises:
        ValueError: a step size is not above 0.

    Example:
        >>> langevin_step(x_t, -x_t, 0.01, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_alike(x=x, score=score, z=z)
    if isinstance(step_size, Tensor) and step_size.shape not in ((), (1,), (length(x),)):
        raise ValueError(
            f"step_size must be a number, or one for each of {length(x)}, "
            f"not {tuple(step_size.shape)}"
        )
    size = torch.as_tensor(step_size, dtype=x.dtype, device=x.device)
    if not bool((size > 0).all()):
        raise ValueError("the step size of Langevin dynamics must be above 0")
    size = per_image(size.expand(len(x)), x)
    return x + size / 2 * score + size.sqrt() * z
