"""What some steps do: which mean, which noise, and what the network predicts.

A step is right if its mean is Eq. 11's and its noise that of a variance of Section 3.2, whatever
the network predicts: ε, x_0 or v. Its mean and its noise are compared one by one with those of the
known mistakes, so that each is told by its own name.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.grading.project_trials import exercise_of
from ddpm_tutor.grading.trials import distance
from ddpm_tutor.science.schedule import Schedule

# the exercises that ask for a step, and for the mean by way of a guess of x_0
STEP, POSTERIOR, GUESS = 8, 7, 5
V = 24  # the exercise that goes from v back to x_0
OF_MEAN = (
    "sign", "alpha_for_alpha_bar", "no_root", "root_beta", "no_fading_back", "bracket",
    "root_alpha_bar", "jump", "off_by_one", "all_off_by_one",
)  # fmt: skip
OF_POSTERIOR = ("swapped", "no_root", "later_root", "half_divided", "not_divided", "off_by_one")
OF_GUESS = (
    "x_0_sign", "x_0_not_rescaled", "x_0_no_root", "half_divided", "only_noise_divided", "alpha",
)  # fmt: skip
CLIPPED = ", clipped"
PREDICTS = {"noise": "ε", "x_0": "x_0", "v": "v"}  # what a network may predict
ALLOWED = ("β", "β̃", "learned", "η")  # noises that are right
LAST = "last step"  # where only that is another, in no way that is known
VISIBLE = 0.004  # of what counts as the same: what computing in float32 adds is far less


@dataclass(frozen=True)
class Transition:
    """One step that was taken."""

    s: int  # the paper's t
    x_t: Tensor
    out: Tensor  # what the network had said
    z: Tensor  # the noise that was drawn
    x_next: Tensor
    to: int | None = None  # the paper's t of x_next, where steps are left out
    values: Tensor | None = None  # what the network has said of the variance, where that is learned

    @property
    def t_prev(self) -> int:
        """The paper's t of x_next."""
        return self.s - 1 if self.to is None else self.to


@dataclass(frozen=True)
class Match:
    """What some steps do."""

    mean: tuple[int, str]  # exercise and name of the mistake in the mean; (0, "") if it is right
    noise: str  # "β", "β̃", "learned" or "η" of DDIM, or the name of the mistake in the noise
    predicts: str  # what the network is taken to predict
    shift: int
    lowest: int  # the paper's t of the last step, which adds no noise

    @property
    def is_right(self) -> bool:
        return self.mean == (0, "") and self.noise in ALLOWED


def eps_of(schedule: Schedule, one: Transition, predicts: str) -> Tensor:
    """The noise that the network's answer stands for."""
    bar = schedule.alpha_bar[one.s]
    a, b = bar.sqrt(), (1 - bar).sqrt()
    out, x_t = one.out.double(), one.x_t.double()
    if predicts == "x_0":
        return (x_t - a * out) / b
    return a * out + b * x_t if predicts == "v" else out


def answer_for(schedule: Schedule, s: int, x_t: Tensor, x_0: Tensor, predicts: str) -> Tensor:
    """What a network that knows x_0 answers at the paper's t = s."""
    bar = schedule.alpha_bar[s]
    a, b = float(bar.sqrt()), float((1 - bar).sqrt())
    eps = (x_t - a * x_0) / b
    return {"noise": eps, "x_0": x_0, "v": a * eps - b * x_0}[predicts]


@cache
def version(number: int, name: str) -> Callable[..., Any]:
    """A known mistake's function, or the solution's for ""."""
    exercise = exercise_of(number)
    return exercise.load(exercise.mistake(name).code if name else exercise.solution)


def means() -> Iterator[tuple[int, str]]:
    """The means that are known: the right one first."""
    yield 0, ""
    yield from ((STEP, name) for name in OF_MEAN)
    yield from ((POSTERIOR, name) for name in OF_POSTERIOR)
    yield from ((GUESS, name + end) for end in ("", CLIPPED) for name in OF_GUESS)
    yield from ((V, "back_sign" + end) for end in ("", CLIPPED))


def mean_of(which: tuple[int, str], schedule: Schedule, one: Transition, eps: Tensor) -> Tensor:
    """The mean of x_{t-1}, (B, C, H, W) in float64."""
    number, name = which
    x_t, t = one.x_t.double(), torch.full((len(one.x_t),), one.s)
    if number == POSTERIOR:
        bar = schedule.alpha_bar[one.s]
        x_0 = (x_t - (1 - bar).sqrt() * eps) / bar.sqrt()
        mean: Tensor = version(number, name)(schedule, x_t, x_0, t)[0]
        return mean
    if number in (GUESS, V):
        bar = schedule.alpha_bar[one.s]
        x_0 = bar.sqrt() * x_t + (1 - bar).sqrt() * one.out.double()  # the sign of v is wrong
        if number == GUESS:
            x_0 = version(GUESS, name.removesuffix(CLIPPED))(schedule, x_t, t, eps)
        x_0 = x_0.clamp(-1, 1) if name.endswith(CLIPPED) else x_0
        of_guess: Tensor = version(POSTERIOR, "")(schedule, x_t, x_0, t)[0]
        return of_guess
    step: Tensor = version(STEP, name)(schedule, x_t, t, eps, torch.zeros_like(x_t))
    return step


def sigmas(schedule: Schedule, s: int, lowest: int) -> dict[str, float]:
    """What z may be multiplied by at the paper's t = s, right or wrong, by name."""
    beta, alpha = float(schedule.beta[s]), float(schedule.alpha[s])
    before, bar = float(schedule.alpha_bar[s - 1]), float(schedule.alpha_bar[s])
    tilde = (1 - before) / (1 - bar) * beta
    two = min(2, schedule.T)
    clipped = float(
        (1 - schedule.alpha_bar[1]) / (1 - schedule.alpha_bar[two]) * schedule.beta[two]
    )
    last = s > lowest
    return {
        "β": beta**0.5 * last,
        "β̃": tilde**0.5 * last,
        "last_noise": beta**0.5,
        "last_noise, β̃": (tilde if s > 1 else clipped) ** 0.5,
        "last_noise, clipped": (beta if s > 1 else clipped) ** 0.5,
        "no_noise": 0.0,
        "variance_for_sigma": beta * last,
        "variance_for_sigma, β̃": tilde * last,
        "noise_in_the_bracket": (beta / alpha) ** 0.5 * last,
        "variance_for_sigma, last_noise": beta,
        "whole": 1.0 * last,
    }


# what is wrong with a variance that is learned: Improved DDPM (Nichol and Dhariwal 2021), Eq. 15
OF_LEARNED = {
    "learned_swapped": "The ends of the learned variance are swapped: v = 1 stands for log β, and "
    "v = -1 for log β̃.",
    "learned_no_log": "The learned variance lacks a logarithm, at one end or both: it goes from "
    "log β̃ to log β, and exp comes last.",
    "learned_not_halved": "exp(log σ²) is σ², and σ belongs before the noise: exp(½ log σ²).",
    "learned_last_noise": "Noise is added in the last step, too.",
    "learned_no_rescale": "v goes from -1 to 1, and is taken as if it went from 0 to 1: it is "
    "(v + 1) / 2 that lies between log β̃ and log β.",
}


def learned_sigmas(schedule: Schedule, s: int, lowest: int, values: Tensor) -> dict[str, Tensor]:
    """What z may be multiplied by where the network says the variance, (B, C, H, W) by name.

    It is between log β̃ and log β: as Improved DDPM has it, by (v + 1) / 2, or by a sigmoid.
    """
    beta, v = schedule.beta[s], values.double()
    before, bar = schedule.alpha_bar[max(s, 2) - 1], schedule.alpha_bar[max(s, 2)]
    tilde = (1 - before) / (1 - bar) * schedule.beta[max(s, 2)]  # at t = 1 it is clipped
    last = float(s > lowest)
    high, low = beta.log(), tilde.log()

    def between(f: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return f * high + (1 - f) * low

    f = (v + 1) / 2
    right = between(f, low, high)
    found = {
        "learned": right, "learned, by a sigmoid": between(v.sigmoid(), low, high),
        "learned, itself": v, "learned_swapped": between(f, high, low),
        "learned_no_log": between(f, low, beta), "learned_no_log, low": between(f, tilde, high),
        "learned_no_log, both": between(f, tilde, beta), "learned_not_halved": 2 * right,
        "learned_no_rescale": between(v, low, high),
    }  # fmt: skip
    sizes = {name: (log / 2).exp() * last for name, log in found.items()}
    sizes["learned_no_log, no exp"] = between(f, tilde, beta).clamp(min=0).sqrt() * last
    return sizes | {"learned_last_noise": (right / 2).exp()}


def rated(schedule: Schedule, one: Transition, lowest: int) -> dict[str, float | Tensor]:
    """What z may be multiplied by in a step."""
    found: dict[str, float | Tensor] = {}
    if one.values is not None:
        found |= learned_sigmas(schedule, one.s, lowest, one.values)
    return found | sigmas(schedule, one.s, lowest)


def matched(
    schedule: Schedule, steps: Sequence[Transition], predicts: str, shift: int, lowest: int
) -> Match | None:
    """What these steps do, if it is known."""
    kept = [one for one in steps if one.s >= lowest]
    if not kept:
        return None
    drawn = any(bool(one.z.any()) for one in kept if one.s > lowest)
    names = list(rated(schedule, kept[0], lowest)) if drawn else ["no_noise"]
    off: dict[tuple[tuple[int, str], str], float] = {}  # how far off they are beyond t = 2
    for which in means():
        for name, (all_of_them, later) in far_off(
            schedule, kept, predicts, lowest, which, names
        ).items():
            if all_of_them <= 1:
                off[which, name] = later
            elif which == (0, ""):
                off[which, LAST] = 0.9
        if off and which == (0, "") and min(off.values()) < VISIBLE:
            break
    if not off:
        return None
    best = next(iter(off))
    nearest = min(off, key=lambda key: off[key])
    # a slip that hardly shows in a schedule of many steps still fits far better than what is right
    if off[nearest] < 0.1 * off[best] and off[best] > VISIBLE:
        best = nearest
    which, noise = best
    noise = noise.split(",")[0] if noise.startswith("learned") else noise
    return Match(which, noise, predicts, shift, lowest)


def far_off(
    schedule: Schedule,
    steps: Sequence[Transition],
    predicts: str,
    lowest: int,
    which: tuple[int, str],
    names: Sequence[str],
) -> dict[str, tuple[float, float]]:
    """How far steps are off from a mean and each noise, at all t and beyond t = 2: up to 1 they are
    as good as the same. Noises that are further off beyond t = 2 are left out.
    """
    # at t = 1 a mistake may divide by 0, where a list of the learner's wraps round
    sure = sorted((one for one in steps if which == (0, "") or one.s > 2), key=lambda one: -one.s)
    found = {name: (0.0, 0.0) for name in names if sure}
    for one in sure:
        mean = mean_of(which, schedule, one, eps_of(schedule, one, predicts))
        sizes = rated(schedule, one, lowest)
        for name, (all_of_them, later) in list(found.items()):
            far = float(distance(one.x_next, mean + sizes[name] * one.z.double()).max())
            if one.s > 2 and far > 1:
                del found[name]
            else:
                found[name] = max(all_of_them, far), max(later, far) if one.s > 2 else later
        if not found:
            break
    return found
