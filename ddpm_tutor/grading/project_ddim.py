"""DDIM in somebody's project: steps from t to any earlier one (Song et al. 2020, Eq. 12 and 16).

What a step has added of the fresh noise, its σ, is read off by least squares. With that σ the rest
of the step is to be √ᾱ_{t_prev} x̂_0 + √(1 - ᾱ_{t_prev} - σ²) ε. So η need not be known; where it
is, σ has to be the one that goes with it. Algorithm 2 with steps left out is this with η = 1.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.grading.coefficients import Probe, compared, fit, schedule_at, sentence
from ddpm_tutor.grading.project_match import (
    GUESS,
    OF_GUESS,
    PREDICTS,
    STEP,
    Transition,
    V,
    eps_of,
    version,
)
from ddpm_tutor.grading.project_trials import exercise_of
from ddpm_tutor.grading.trials import distance
from ddpm_tutor.science.schedule import Schedule

DDIM = 11  # the exercise that asks for it
OF_DDIM = (
    "ddim_stays", "ddim_one_step", "ddim_no_root", "ddim_no_direction", "ddim_from_x_t",
    "ddim_sign", "ddim_root_of_x_0", "ddim_root_of_eps", "ddim_alpha", "ddim_swapped", "ddim_jump",
    "ddim_beta_t", "ddim_all_one_before",
)  # fmt: skip
# mistakes that no exercise has, for its steps add no noise, and are right up to the last one
OWN = {
    "ddim_sigma_kept": "σ² is not taken off: with noise added, ε is multiplied by "
    "√(1 - ᾱ_{t_prev} - σ²), so that x_{t_prev} has as much noise as its t says.",
    "ddim_direction_at_t": "ε is multiplied by √(1 - ᾱ_t), the noise of where the step comes from; "
    "√(1 - ᾱ_{t_prev} - σ²) belongs there.",
    "ddim_alpha_in_both": "This is α where ᾱ belongs, in the guess of x_0 and in the step: α is "
    "that of a single step, ᾱ the product of them all.",
    "ddim_wraps": "The last step goes to ᾱ_T, full noise: an index of -1 is the last entry. "
    "Where t_prev is below the first step, ᾱ is 1.",
    "ddim_last": "All steps are right but the last one, which leads to the picture.",
    "ddim_nan_at_end": "The last step gives NaN. Where t_prev is below 0 an index counts from the "
    "end: that is ᾱ_T, full noise, and a root is taken of a number below 0. ᾱ is 1 there.",
    "ddim_guess_by_alpha_bar": "The guess of x_0 is divided by ᾱ_t; √ᾱ_t belongs there.",
    "ddim_variance": "The noise is multiplied by σ², the variance; σ belongs there.",
    "ddim_guess_without_root": "In the guess of x_0 ε is multiplied by 1 - ᾱ_t, not by its root.",
    "ddim_other_sigma": "σ is not η times that of Eq. 16: "
    "√((1 - ᾱ_{t_prev}) / (1 - ᾱ_t)) √(1 - ᾱ_t / ᾱ_{t_prev}).",
    "ddim_last_noise": "Noise is added in the last step, too: it stays on the picture.",
    "ddim_other_eta": "σ is not η times that of Eq. 16, with the η that was asked for; at η = 0 no "
    "noise is added.",
}
AT_END = ("", "respaced", "ddim_never_clean", "ddim_wraps")  # the last step, too, is like them
FITTED = 4  # steps whose coefficients are looked at
FAINT = 1e-4  # ᾱ_t: below that the guess of x_0 is lost in float32
CLEAN = 0.999  # ᾱ of a last step that leaves no noise to be seen
ETA_OFF = 0.02  # by so much η may part, from step to step and from what was asked for
NOTHING = 1e-5  # a σ of so little is none
NOISY = 1e-3  # a σ of more is noise
CUT = 1e-6  # of 1, by so much the largest value of a picture may part that was cut off


def root(value: float) -> float:
    """√, of what is below 0 none."""
    return math.sqrt(max(value, 0.0))


@dataclass(frozen=True)
class Stride:
    """One step from t to t_prev, in float64."""

    schedule: Schedule
    t: int
    t_prev: int
    x_t: Tensor
    out: Tensor  # what the network had said
    eps: Tensor  # that as noise
    z: Tensor
    x_prev: Tensor
    sigma: float  # by what it has multiplied z

    @property
    def is_cut(self) -> bool:
        """Whether it ends in pictures that were cut off at black and white."""
        return self.t_prev == 0 and bool((self.x_prev.abs().amax() - 1).abs() < CUT)

    @property
    def bar(self) -> float:
        return float(self.schedule.alpha_bar[self.t])

    @property
    def bar_prev(self) -> float:
        return float(self.schedule.alpha_bar[self.t_prev])

    @property
    def x_0(self) -> Tensor:
        """The guess of Eq. 15."""
        return (self.x_t - root(1 - self.bar) * self.eps) / root(self.bar)

    @property
    def most(self) -> float:
        """σ of Eq. 16 with η = 1."""
        ratio = (1 - self.bar_prev) / (1 - self.bar) * (1 - self.bar / self.bar_prev)
        return root(ratio)

    @property
    def ends(self) -> tuple[Tensor, Tensor]:
        """t and t_prev of each picture."""
        return torch.full((len(self.x_t),), self.t), torch.full((len(self.x_t),), self.t_prev)


def stride_of(schedule: Schedule, one: Transition, predicts: str, eta: float | None) -> Stride:
    """A step that was taken, and how much of the noise it has added."""
    x_t, z, x_prev = one.x_t.double(), one.z.double(), one.x_next.double()
    eps = eps_of(schedule, one, predicts)
    found = Stride(schedule, one.s, one.t_prev, x_t, one.out.double(), eps, z, x_prev, 0.0)
    if found.is_cut or not bool(z.any()) or not bool(x_prev.isfinite().all()):
        return found
    columns, values = (
        torch.stack([v.flatten() for v in (x_t, eps, z)], 1),
        x_prev.flatten()[:, None],
    )
    weights = torch.linalg.lstsq(columns, values).solution
    sigma, rest = float(weights[2]), (columns @ weights - values).square().mean().sqrt()
    if abs(sigma) < NOTHING or (eta == 0 and float(rest) > 1e-3):  # not linear: it cannot be told
        return found
    return replace(found, sigma=sigma)


# --- what a step may be, right or wrong, without its σ z


def eq_12(bar_prev: float, sigma: float, x_0: Tensor, eps: Tensor) -> Tensor:
    """√ᾱ_{t_prev} x̂_0 + √(1 - ᾱ_{t_prev} - σ²) ε (Song et al. 2020, Eq. 12)."""
    return root(bar_prev) * x_0 + root(1 - bar_prev - sigma**2) * eps


def by_eq_12(one: Stride) -> Tensor:
    """The step of DDIM."""
    return eq_12(one.bar_prev, one.sigma, one.x_0, one.eps)


def by_algorithm_2(one: Stride) -> Tensor:
    """Algorithm 2 with steps left out: its σ may be √β of the long step, its mean is the same."""
    return eq_12(one.bar_prev, one.most, one.x_0, one.eps)


def with_alpha(one: Stride) -> Tensor:
    """α for ᾱ, throughout."""
    alpha, before = float(one.schedule.alpha[one.t]), float(one.schedule.alpha[one.t_prev])
    return eq_12(before, one.sigma, (one.x_t - root(1 - alpha) * one.eps) / root(alpha), one.eps)


def wrapped(one: Stride) -> Tensor:
    """The last entry of the schedule for the one before its first."""
    before = one.bar_prev if one.t_prev else float(one.schedule.alpha_bar[-1])
    return eq_12(before, one.sigma, one.x_0, one.eps)


def never_clean(one: Stride) -> Tensor:
    """The first entry of the schedule for the one before it."""
    return by_eq_12(at_first(one))


def at_first(one: Stride) -> Stride:
    """A step that goes to t = 1, if it was to go to t = 0."""
    return replace(one, t_prev=max(one.t_prev, 1))


def guess_without_root(one: Stride) -> Tensor:
    """Eq. 15 with 1 - ᾱ_t where its root belongs."""
    x_0 = (one.x_t - (1 - one.bar) * one.eps) / root(one.bar)
    return eq_12(one.bar_prev, one.sigma, x_0, one.eps)


# steps that no exercise has, right in all but what the name says
OF_OWN: dict[str, Callable[[Stride], Tensor]] = {
    "ddim_never_clean": never_clean,
    "ddim_sigma_kept": lambda s: eq_12(s.bar_prev, 0, s.x_0, s.eps),
    "ddim_direction_at_t": lambda s: (
        root(s.bar_prev) * s.x_0 + root(1 - s.bar - s.sigma**2) * s.eps
    ),
    "ddim_root_of_eps": lambda s: root(s.bar_prev) * s.x_0 + (1 - s.bar_prev - s.sigma**2) * s.eps,
    "ddim_wraps": wrapped,
    "ddim_variance": lambda s: eq_12(s.bar_prev, root(s.sigma), s.x_0, s.eps),
    "ddim_guess_by_alpha_bar": lambda s: eq_12(s.bar_prev, s.sigma, s.x_0 / root(s.bar), s.eps),
    "ddim_guess_without_root": guess_without_root,
}


def known() -> Iterator[tuple[int, str, Callable[[Stride], Tensor]]]:
    """The steps that are known: exercise and mistake, and what it gives; the right one first."""
    yield 0, "", by_eq_12
    yield 0, "respaced", by_algorithm_2
    for name, gives in OF_OWN.items():
        yield DDIM, name, gives
    for name in OF_DDIM:
        yield DDIM, name, partial(of_exercise, name)
    yield DDIM, "ddim_alpha_in_both", with_alpha
    for clipped in (False, True):
        for name in OF_GUESS:
            yield GUESS, name, partial(from_guess, name, clipped)
        yield V, "back_sign", partial(from_v, clipped)


def of_exercise(name: str, one: Stride) -> Tensor:
    """A mistake that the exercise has: its steps add no noise."""
    made: Tensor = version(DDIM, name)(one.schedule, one.x_t, *one.ends, one.eps)
    return made


def from_guess(name: str, clipped: bool, one: Stride) -> Tensor:
    """Eq. 12 by a wrong guess of x_0, which may be clipped."""
    x_0: Tensor = version(GUESS, name)(one.schedule, one.x_t, one.ends[0], one.eps)
    x_0 = x_0.clamp(-1, 1) if clipped else x_0
    return eq_12(one.bar_prev, one.sigma, x_0, one.eps)


def from_v(clipped: bool, one: Stride) -> Tensor:
    """Eq. 12 by a guess of x_0 from v with its sign wrong, and by the noise that goes with it."""
    x_0 = root(one.bar) * one.x_t + root(1 - one.bar) * one.out
    x_0 = x_0.clamp(-1, 1) if clipped else x_0
    eps = (one.x_t - root(one.bar) * x_0) / root(1 - one.bar)
    return eq_12(one.bar_prev, one.sigma, x_0, eps)


# --- judging


@dataclass(frozen=True)
class DDIMVerdict:
    """What some steps of DDIM do."""

    number: int = 0  # the exercise whose mistake it is
    mistake: str = ""
    is_right: bool = False
    eta: float | None = None  # of Eq. 16, where all steps have the same
    numbers: str = ""
    note: str = ""

    @property
    def says(self) -> str:
        """What is wrong."""
        if self.mistake in OWN:
            return OWN[self.mistake]
        if self.mistake:
            return exercise_of(self.number).mistake(self.mistake).what
        return self.numbers or "It gives another result, in no way that is known here."

    @property
    def leads_to(self) -> str:
        """What comes of it."""
        if self.mistake in OWN or not self.mistake:
            return ""
        return exercise_of(self.number).mistake(self.mistake).leads_to

    def convention(self, predicts: str, asked: str = "") -> str:
        """What right steps do, in words; `asked` is with which η they were tried."""
        if self.eta is None:
            return f"Algorithm 2 with steps left out, the network predicts {PREDICTS[predicts]}"
        eta = asked or f"{self.eta:.2g}"
        return (
            f"DDIM with η = {eta} (Song et al., Eq. 12), the network predicts {PREDICTS[predicts]}"
        )


def judge_strides(
    schedule: Schedule, steps: Sequence[Transition], predicts: str, eta: float | None, shift: int
) -> DDIMVerdict | None:
    """What steps from t to t_prev do; None where there is too little to see.

    Args:
        eta: the η that was asked for, where it is known.
        shift: the paper's t is the project's plus this.
    """
    seen = [one for one in steps if float(schedule.alpha_bar[one.s]) > FAINT]
    if not seen:
        return None
    strides = [stride_of(schedule, one, predicts, eta) for one in seen]
    if bool(strides[-1].x_prev.isnan().all()) and strides[-1].t_prev == 0 and strides[1:]:
        before = judge_strides(schedule, seen[:-1], predicts, eta, shift)
        return DDIMVerdict(DDIM, "ddim_nan_at_end") if before and before.is_right else before
    number, name = nearest(strides)
    if number < 0:
        return DDIMVerdict(numbers=coefficients_of(strides, shift))
    if name == "ddim_never_clean" and float(schedule.alpha_bar[1]) > CLEAN:
        left = root(1 - float(schedule.alpha_bar[1]))
        note = f"The last step goes to ᾱ_1, not to ᾱ_0 = 1: it leaves noise of {left:.2g}, unseen."
        return judge_noise([at_first(one) for one in strides], eta, shift, note)
    if name in ("", "respaced") and any(
        abs(one.sigma) > NOISY for one in strides if one.most <= NOTHING
    ):
        return DDIMVerdict(DDIM, "ddim_last_noise")
    if name == "":
        return judge_noise(strides, eta, shift)
    if name == "respaced":
        return judge_respaced(strides, shift)
    return DDIMVerdict(number, name, numbers=coefficients_of(strides, shift))


def nearest(strides: Sequence[Stride]) -> tuple[int, str]:
    """What some steps are like, exercise and mistake; (0, "") if they are right, and (-1, "") if
    they are like nothing that is known.
    """
    steps = list(known())
    for number, name, gives in steps:
        if name in AT_END and all(is_like(one, gives) for one in strides):
            return number, name
    # where it ends a list of the learner's may wrap round, or not begin with a 1
    inner = [one for one in strides if one.t_prev > 0] or strides
    if all(is_like(one, by_eq_12) for one in inner):
        return DDIM, "ddim_last"
    others = (
        (number, name)
        for number, name, gives in steps
        if name not in AT_END and all(is_like(one, gives) for one in inner)
    )
    return next(others, (-1, ""))


def is_like(one: Stride, gives: Callable[[Stride], Tensor]) -> bool:
    """Whether a step is what a function gives, and its noise."""
    made = gives(one) + one.sigma * one.z
    if not bool(made.isfinite().all()):
        return False
    made = made.clamp(-1, 1) if one.is_cut else made
    return float(distance(one.x_prev, made).max()) <= 1


def judge_noise(
    strides: Sequence[Stride], eta: float | None, shift: int, note: str = ""
) -> DDIMVerdict:
    """What is to be said of the σ of steps that are right in all else."""
    inner = [one for one in strides if one.most > NOTHING]
    etas = [one.sigma / one.most for one in inner]
    if not etas:
        return DDIMVerdict(is_right=True, eta=0.0, note=note)
    if max(etas) - min(etas) <= ETA_OFF and min(etas) >= 0:
        found = sum(etas) / len(etas)
        if eta is not None and abs(found - eta) > ETA_OFF:
            numbers = f"It adds that of η = {found:.2g} where η = {eta:g} was asked for."
            return DDIMVerdict(DDIM, "ddim_other_eta", eta=found, numbers=numbers)
        return DDIMVerdict(is_right=True, eta=found, note=note)
    return other_sigma(inner, shift)


def judge_respaced(strides: Sequence[Stride], shift: int) -> DDIMVerdict:
    """What is to be said of the σ of Algorithm 2 with steps left out, whose mean is right."""
    inner = [one for one in strides if one.most > NOTHING]
    if all(abs(one.sigma / root(1 - one.bar / one.bar_prev) - 1) <= ETA_OFF for one in inner):
        return DDIMVerdict(is_right=True, note="σ² is β of the long step, 1 - ᾱ_t / ᾱ_{t_prev}.")
    if not any(one.sigma for one in inner):
        return DDIMVerdict(STEP, "no_noise")
    return other_sigma(inner, shift)


def other_sigma(inner: Sequence[Stride], shift: int) -> DDIMVerdict:
    """Of a σ that is not known."""
    one = inner[len(inner) // 2]
    numbers = f"From t = {one.t - shift} to {one.t_prev - shift} σ is {one.sigma:.3g}; with η = 1 "
    numbers += f"it would be {one.most:.3g}."
    return DDIMVerdict(DDIM, "ddim_other_sigma", numbers=numbers)


def coefficients_of(strides: Sequence[Stride], shift: int) -> str:
    """By what steps multiply, and by what they should; "" where that cannot be said."""
    fitted: list[tuple[Probe, dict[str, Tensor], dict[str, Tensor]]] = []
    inner = [one for one in strides if one.t_prev > 0] or strides
    for one in inner[:: max(1, len(inner) // FITTED)]:
        inputs = {"the guess of x_0": one.x_0, "eps": one.eps}
        at = [f"t = {one.t - shift}, t_prev = {one.t_prev - shift}"] * len(one.x_t)
        numbers: dict[str, Any] = schedule_at(one.schedule, *one.ends)
        without = one.x_prev - one.sigma * one.z
        mine, right = (Probe(r, inputs, at, numbers) for r in (without, by_eq_12(one)))
        pair = fit(mine), fit(right)
        if pair[0] is None or pair[1] is None:
            return ""
        fitted.append((mine, pair[0], pair[1]))
    end = " - σ²" if any(one.sigma for one in strides) else ""
    names = {"": "", "the guess of x_0": "√ᾱ_{t_prev}", "eps": f"√(1 - ᾱ_{{t_prev}}{end})"}
    names = {of: name for of, name in names.items() if fitted and of in fitted[0][1]}
    found = [c for of in names if (c := compared(of, names, fitted))]
    return sentence(found) if found else ""
