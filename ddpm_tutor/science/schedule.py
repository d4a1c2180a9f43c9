"""The noise schedule: how much noise each step of the forward process adds (Sections 2, 4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ddpm_tutor.science.checks import (
    check_alike,
    check_device,
    check_number,
    check_schedule,
    check_step,
    is_read,
    is_whole,
    own_steps,
)


@dataclass(frozen=True)
class Schedule:
    """The variances of the forward process for t = 0..T.

    Each field has T + 1 entries, so that `alpha_bar[t]` is the paper's alpha-bar at step t.
    Index 0 is the identity: nothing has been added yet, beta[0] = 0 and alpha_bar[0] = 1.

    Raises:
        TypeError: a field is no tensor. ValueError: the fields are not (T + 1,) of floats on one
            device, or index 0 is not the identity, or something is not from 0 to 1.
    """

    beta: Tensor  # (T + 1,) variance added by step t
    alpha: Tensor  # (T + 1,) 1 - beta
    alpha_bar: Tensor  # (T + 1,) product of alpha up to t: the share of x_0's variance left in x_t

    def __post_init__(self) -> None:
        fields = {"beta": self.beta, "alpha": self.alpha, "alpha_bar": self.alpha_bar}
        check_alike(**fields)
        if self.beta.ndim != 1 or len({v.shape for v in fields.values()}) > 1 or len(self.beta) < 2:
            shapes = ", ".join(str(tuple(v.shape)) for v in fields.values())
            raise ValueError(
                f"beta, alpha and alpha_bar must be (T + 1,), not {shapes}: index 0 is t = 0"
            )
        if not is_read(self.beta):
            return
        if self.beta[0] != 0 or self.alpha_bar[0] != 1:
            raise ValueError(
                "beta[0] must be 0 and alpha_bar[0] 1: at t = 0 nothing has been added; "
                "schedule_from_beta makes a schedule of beta_1 to beta_T"
            )
        for name, values in fields.items():
            if not bool(((values >= 0) & (values <= 1)).all()):
                raise ValueError(f"{name} must be from 0 to 1 at each t")

    @property
    def T(self) -> int:
        """The number of steps."""
        return len(self.beta) - 1

    @own_steps()
    def to(self, device: torch.device | str) -> "Schedule":
        """The same schedule on `device`, in float64, or in float32 on MPS, which has no float64."""
        device = check_device(device) if isinstance(device, str) else device
        dtype = torch.float32 if torch.device(device).type == "mps" else torch.float64
        return Schedule(*(v.to(device, dtype) for v in (self.beta, self.alpha, self.alpha_bar)))


def schedule_from_beta(beta: Tensor | Sequence[float]) -> Schedule:
    """The schedule of the given variances beta_1..beta_T, shape (T,), each between 0 and 1.

    Args:
        beta: (T,) beta_1..beta_T, a tensor or a list.

    Raises:
        ValueError: `beta` is empty, or a variance is not between 0 and 1.

    Example:
        >>> schedule_from_beta([0.1, 0.2]).T
        2
    """
    if not isinstance(beta, Tensor):
        try:
            beta = torch.tensor(beta, dtype=torch.float64, device="cpu")
        except (TypeError, ValueError):
            beta = torch.empty(0, device="cpu")
    beta = beta.to(torch.float64)
    if beta.ndim != 1 or len(beta) == 0 or not bool(((beta > 0) & (beta < 1)).all()):
        raise ValueError("beta must be a list of at least one variance, each between 0 and 1")
    beta = torch.cat([torch.zeros(1, dtype=torch.float64, device=beta.device), beta])
    alpha = 1 - beta
    return Schedule(beta, alpha, alpha.cumprod(0))


def check_T(T: int) -> None:
    """Refuses what is no number of steps.

    Raises:
        ValueError: T is no whole number from 1 on.
    """
    if not is_whole(T) or T < 1:
        raise ValueError(f"T must be 1 or more, a whole number of steps, not {T!r}")


def linear_schedule(T: int = 1000, beta_1: float = 1e-4, beta_T: float = 0.02) -> Schedule:
    """beta rising linearly from `beta_1` to `beta_T`; by default the paper's own (Section 4).

    Args:
        T: the number of steps.
        beta_1: the variance that the first step adds.
        beta_T: the variance that the last step adds.

    Raises:
        ValueError: T < 1, or a variance is not between 0 and 1.

    Example:
        >>> round(float(linear_schedule().alpha_bar[1000]), 7)
        4.04e-05
    """
    check_T(T)
    check_number(beta_1, "beta_1")
    check_number(beta_T, "beta_T")
    beta = torch.linspace(beta_1, beta_T, int(T), dtype=torch.float64, device="cpu")
    return schedule_from_beta(beta)


def cosine_schedule(T: int = 1000, s: float = 0.008, max_beta: float = 0.999) -> Schedule:
    """The cosine schedule of Nichol and Dhariwal 2021 (Eq. 17): alpha_bar falls along a cosine.

        alpha_bar_t = f(t) / f(0),  f(t) = cos((t / T + s) / (1 + s) * pi / 2)^2

    Args:
        T: the number of steps.
        s: keeps the first betas from being next to nothing; without it the first noise is far less
            than the step between two of 256 shades.
        max_beta: no beta is larger. By the formula alpha_bar_T is 0, and beta_T would be 1: x_T
            would not depend on x_0 at all, and Eq. 11 and 15 would divide by 0.

    Raises:
        ValueError: T < 1, s < 0, or `max_beta` is not between 0 and 1.

    Example:
        >>> cosine_schedule(100).T
        100
    """
    check_T(T)
    numbers = all(isinstance(value, int | float) for value in (s, max_beta))
    if not numbers or not s >= 0 or not 0 < max_beta < 1:
        raise ValueError("T must be 1 or more, s not below 0, and max_beta between 0 and 1")
    T = int(T)
    share = torch.arange(T + 1, dtype=torch.float64, device="cpu") / T  # t / T
    f = torch.cos((share + s) / (1 + s) * torch.pi / 2) ** 2
    return schedule_from_beta((1 - f[1:] / f[:-1]).clamp(max=max_beta))


@own_steps()
def respaced(schedule: Schedule, steps: int) -> tuple[Schedule, Tensor]:
    """A schedule of `steps` steps through some of the noise levels of `schedule`.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        steps: how many, 1..T.

    Returns:
        short: the schedule with `short.alpha_bar[i] == schedule.alpha_bar[t[i]]`, i = 0..steps.
        t: (steps + 1,) the step of `schedule` at the same noise level: t[0] = 0, t[steps] = T,
            evenly spaced between. This is what a network trained on `schedule` is told.

    Algorithm 2 on the short schedule is strided ancestral sampling (Nichol and Dhariwal 2021,
    Section 4). With steps = T it is the schedule itself.

    Raises:
        ValueError: `steps` is not in 1..T.

    Example:
        >>> short, steps_of_all = respaced(schedule, 4)
        >>> steps_of_all.tolist()
        [0, 250, 500, 750, 1000]
    """
    check_schedule(schedule)
    if not is_whole(steps) or not 1 <= steps <= schedule.T:
        raise ValueError(f"steps must be from 1 to {schedule.T}, not {steps}")
    steps = int(steps)
    if steps == schedule.T:
        return schedule, torch.arange(steps + 1)
    t = torch.linspace(0, schedule.T, steps + 1, dtype=torch.float64).round().long()
    alpha_bar = schedule.alpha_bar[t.to(schedule.alpha_bar.device)]
    alpha = torch.cat([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])
    return Schedule(1 - alpha, alpha, alpha_bar), t


@own_steps()
def up_to(schedule: Schedule, t: int) -> Schedule:
    """The first `t` steps of `schedule`: a chain from x_t to x_0 is a whole chain of this one.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: the last step, 1..T.

    Raises:
        ValueError: `t` is not a whole number in 1..T.

    Example:
        >>> up_to(schedule, 500).T
        500
    """
    check_step(schedule, t)
    return Schedule(*(v[: int(t) + 1] for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)))
