"""The reverse step in somebody's project: which mean, which noise, and what the network predicts.

A step is right if its mean is Eq. 11's and its noise that of either variance of Section 3.2,
whatever the network predicts: ε, x_0 or v. Its mean and its noise are compared one by one with
those of the known mistakes, so that each is told by its own name.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.grading.coefficients import Probe, compared, fit, schedule_at, sentence
from ddpm_tutor.grading.project_arguments import CannotCall, Piece
from ddpm_tutor.grading.project_calls import (
    CallFailed,
    Form,
    as_images,
    call,
    first_that_works,
    forms_for,
    noise,
    pictures,
    t_in,
)
from ddpm_tutor.grading.project_files import Project
from ddpm_tutor.grading.project_names import plain
from ddpm_tutor.grading.project_trials import (
    exercise_of,
    no_schedule,
    noised,
    not_called,
    of_failure,
    own_taken,
    with_notes,
)
from ddpm_tutor.grading.project_verdict import Finding
from ddpm_tutor.grading.trials import distance
from ddpm_tutor.science.schedule import Schedule

# the exercises that ask for a step, and for the mean by way of a guess of x_0
STEP, POSTERIOR, GUESS = 8, 7, 5
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
BATCH = 3
FITTED = 4  # steps whose coefficients are looked at
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


@dataclass(frozen=True)
class Match:
    """What some steps do."""

    mean: tuple[int, str]  # exercise and name of the mistake in the mean; (0, "") if it is right
    noise: str  # "β" or "β̃", or the name of the mistake in the noise
    predicts: str  # what the network is taken to predict
    shift: int
    lowest: int  # the paper's t of the last step, which adds no noise

    @property
    def is_right(self) -> bool:
        return self.mean == (0, "") and self.noise in ("β", "β̃")


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


def mean_of(which: tuple[int, str], schedule: Schedule, one: Transition, eps: Tensor) -> Tensor:
    """The mean of x_{t-1}, (B, C, H, W) in float64."""
    number, name = which
    x_t, t = one.x_t.double(), torch.full((len(one.x_t),), one.s)
    if number == POSTERIOR:
        bar = schedule.alpha_bar[one.s]
        x_0 = (x_t - (1 - bar).sqrt() * eps) / bar.sqrt()
        mean: Tensor = version(number, name)(schedule, x_t, x_0, t)[0]
        return mean
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


def matched(
    schedule: Schedule, steps: Sequence[Transition], predicts: str, shift: int, lowest: int
) -> Match | None:
    """What these steps do, if it is known."""
    kept = [one for one in steps if one.s >= lowest]
    if not kept:
        return None
    drawn = any(bool(one.z.any()) for one in kept if one.s > lowest)
    names = list(sigmas(schedule, 1, 1)) if drawn else ["no_noise"]
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
    return Match(*best, predicts, shift, lowest)


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
        rated = sigmas(schedule, one.s, lowest)
        for name, (all_of_them, later) in list(found.items()):
            far = float(distance(one.x_next, mean + rated[name] * one.z.double()).max())
            if one.s > 2 and far > 1:
                del found[name]
            else:
                found[name] = max(all_of_them, far), max(later, far) if one.s > 2 else later
        if not found:
            break
    return found


# --- a function that takes one step


def try_step(piece: Piece, project: Project) -> tuple[Finding, Match | None]:
    """How a project's reverse step does, and what it does."""
    own = piece.place.schedule
    if own is None:
        return no_schedule(piece), None
    schedule = own_taken(piece)
    try:
        form, order = form_of_step(piece, own.shift)
    except CannotCall as error:
        return not_called(piece, error), None
    except CallFailed as failed:
        return of_failure(piece, failed.error, exercise_of(STEP), project), None
    found: list[Match] = []
    kept: list[tuple[Sequence[Transition], str, int]] = []
    for predicts in PREDICTS:
        for shift in (own.shift, 1 - own.shift):
            try:
                steps = [
                    one_step(piece, form, order, schedule, s, s - shift, predicts)
                    for s in steps_of(schedule, shift)
                ]
            except (CallFailed, CannotCall):
                continue
            kept.append((steps, predicts, shift))
            for lowest in (1, 2) if shift == 1 else (1,):
                if match := matched(schedule, steps, predicts, shift, lowest):
                    found.append(match)
            if any(match.is_right for match in found):
                break
        if any(match.is_right for match in found):
            break
    match = next((m for m in found if m.is_right), found[0] if found else None)
    steps_taken, predicts, shift = next(
        (k for k in kept if match and k[1:] == (match.predicts, match.shift)),
        kept[0] if kept else ((), "noise", own.shift),
    )
    if not steps_taken:
        says = "It stops at the ends of the schedule."
        return Finding("step", piece.name, "failed", says, piece.line), None
    if match and match.noise.startswith("last_noise") and takes_z(piece):
        # then it is for the caller to give it none
        sigma = "β̃" if match.noise.endswith("β̃") else "β"
        match = replace(match, noise=sigma)
        given = ["It adds the z that it is given at t = 1, too: give it zeros there."]
    else:
        given = []
    finding = said_of_steps(piece, schedule, steps_taken, match, predicts, shift)
    if finding.state == "right":
        finding = with_notes(finding, given)
    if match and match.is_right and clips(piece, form, order, schedule, match):
        finding = with_notes(finding, ["It clips the guess of x_0, as the authors' code does."])
    return finding, match


def form_of_step(piece: Piece, shift: int) -> tuple[Form, int]:
    """How to call it.

    Raises:
        CannotCall, CallFailed: it cannot be called.
    """
    own = piece.place.schedule
    assert own is not None
    t = own.schedule.T // 2

    def attempt(form: Form, order: int) -> tuple[Form, int]:
        one_step(piece, form, order, own_taken(piece), t, t - shift, "noise")
        return form, order

    return first_that_works(forms_for(piece), range(6), attempt)


def steps_of(schedule: Schedule, shift: int) -> list[int]:
    """The paper's t that a step is tried at."""
    T = schedule.T
    tried = {1, 2, min(3, T), max(1, T // 4), max(1, T // 2), max(1, (3 * T) // 4), T - 1, T}
    return sorted(tried)


def one_step(
    piece: Piece, form: Form, order: int, schedule: Schedule, s: int, t: int, predicts: str,
    x_0: Tensor | None = None,
) -> Transition:  # fmt: skip
    """Takes one step from the paper's t = s, which the project counts as t.

    Raises:
        CallFailed, CannotCall: it cannot be taken.
    """
    x_0 = pictures(form, s, BATCH) if x_0 is None else x_0
    eps, z = noise(form, s + 1, BATCH), noise(form, s + 2, BATCH)
    x_t = noised(schedule, x_0, torch.full((BATCH,), s), eps)
    out = answer_for(schedule, s, x_t, x_0, predicts)
    network = piece.place.network
    assert network is not None
    network.answer = lambda x, told, others: out if x.shape == out.shape else torch.zeros_like(x)
    supply = {
        "model": network, "x_t": x_t.clone(), "t": t_in(form, torch.full((BATCH,), t)), "t_int": t,
        "out": out, "z": z, "labels": torch.zeros(BATCH, dtype=torch.long), "guidance": 0.0,
    }  # fmt: skip
    done = call(piece, supply, form, seed=s, order=order)
    result = next((r for r in done.results if r.shape == x_t.shape), None)
    if result is None:
        raise CallFailed(ValueError(f"it returns nothing of the shape {tuple(x_t.shape)}"))
    drawn = [v for v in done.chance.normals() if v.shape == x_t.shape]
    used = drawn[-1].float() if drawn else z if takes_z(piece) else torch.zeros_like(z)
    return Transition(s, *(as_images(v) for v in (x_t, out, used, result.float())))


def takes_z(piece: Piece) -> bool:
    """Whether fresh noise is among the arguments of a step."""
    names = {plain(name) for name in inspect.signature(piece.function).parameters}
    return "z" in names or bool(names & {"noise", "new_noise", "fresh_noise"})


def clips(piece: Piece, form: Form, order: int, schedule: Schedule, match: Match) -> bool:
    """Whether a right step clips its guess of x_0."""
    s = max(2, schedule.T // 2)
    x_0 = 3 * pictures(form, s, BATCH)
    try:
        one = one_step(piece, form, order, schedule, s, s - match.shift, match.predicts, x_0)
    except (CallFailed, CannotCall):
        return False
    return matched(schedule, [one], match.predicts, match.shift, match.lowest) is None


# --- in words


def said_of_steps(
    piece: Piece,
    schedule: Schedule,
    steps: Sequence[Transition],
    match: Match | None,
    predicts: str,
    shift: int,
) -> Finding:
    """What to say of steps that do what `match` says, or something that is not known."""
    if match is not None and match.is_right:
        return Finding(
            piece.kind, piece.name, "right", "It is right.", piece.line, exercise=STEP,
            notes=(conventions(match),), shift=shift,
        )  # fmt: skip
    if match is None and is_ddim(schedule, steps, predicts):
        note = "It is DDIM's step with η = 0 (Song et al., Eq. 12), not Eq. 11: it draws no noise."
        return Finding(
            piece.kind, piece.name, "right", "It is right.", piece.line, exercise=STEP,
            notes=(note,), shift=shift,
        )  # fmt: skip
    if match is not None and match.mean == (0, "") and match.noise == LAST:
        says = "All steps are right but the last one, which leads to the picture."
        return Finding(
            piece.kind, piece.name, "differs", says, piece.line, exercise=STEP, shift=shift
        )
    last = match is not None and match.noise.startswith("last_noise") and not match.mean[1]
    # that does not show in the other steps
    numbers = "" if last else coefficients_of_steps(schedule, steps, predicts, shift)
    whole = match is not None and match.noise == "whole" and match.mean == (0, "")
    if match is None or whole:
        says = numbers or "It gives another result, in no way that is known here."
        if whole:
            says = f"The noise is added whole: σ_t is missing. {numbers}"
        return Finding(
            piece.kind, piece.name, "differs", says, piece.line, exercise=STEP, shift=shift
        )
    number, name = match.mean if match.mean[1] else (STEP, match.noise.split(",")[0])
    name = name.removesuffix(CLIPPED)
    mistake = exercise_of(number).mistake(name)
    notes = []
    if match.mean[1] and match.noise not in ("β", "β̃"):
        other = match.noise.split(",")[0]
        notes = ["The noise, too, is another."]
        if other != "whole":
            notes = [f"And in the noise: {exercise_of(STEP).mistake(other).what}"]
    return Finding(
        piece.kind, piece.name, "mistake", mistake.what, piece.line, name, number,
        mistake.leads_to, numbers, tuple(notes), shift,
    )  # fmt: skip


def is_ddim(schedule: Schedule, steps: Sequence[Transition], predicts: str) -> bool:
    """Whether steps go straight to the next noise level, by the guess of x_0 and ε."""
    for one in steps:
        eps, bar, before = eps_of(schedule, one, predicts), *schedule.alpha_bar[[one.s, one.s - 1]]
        x_0 = (one.x_t.double() - (1 - bar).sqrt() * eps) / bar.sqrt()
        expected = before.sqrt() * x_0 + (1 - before).sqrt() * eps
        if float(distance(one.x_next, expected).max()) > 1:
            return False
    return bool(steps)


def conventions(match: Match) -> str:
    """The conventions of right steps, in words."""
    words = f"σ² = {match.noise}, the network predicts {PREDICTS[match.predicts]}"
    return words + (", the last step is at t = 1" if match.lowest == 2 else "")


def coefficients_of_steps(
    schedule: Schedule, steps: Sequence[Transition], predicts: str, shift: int
) -> str:
    """By what a step multiplies, and by what it should; "" where that cannot be said."""
    middle = [one for one in steps if one.s > 2]
    middle = middle[:: max(1, len(middle) // FITTED)]
    fitted = []
    tilde = nearer_tilde(schedule, middle, predicts)
    for one in middle:
        eps, x_t, z = eps_of(schedule, one, predicts), one.x_t.double(), one.z.double()
        s = torch.full((len(x_t),), one.s)
        sigma = sigmas(schedule, one.s, 1)["β̃" if tilde else "β"]
        expected = mean_of((0, ""), schedule, one, eps) + sigma * z
        inputs = {"x_t": x_t, "eps": eps}
        if bool(z.any()):
            inputs["z"] = z
        at = [f"t = {one.s - shift}"] * len(x_t)
        numbers = schedule_at(schedule, s)
        mine, right = (Probe(r, inputs, at, numbers) for r in (one.x_next.double(), expected))
        pair = fit(mine), fit(right)
        if pair[0] is None or pair[1] is None:
            return ""
        fitted.append((mine, pair[0], pair[1]))
    if not fitted or len({frozenset(probe.inputs) for probe, _, _ in fitted}) > 1:
        return ""
    root = "√(β_t (1 - ᾱ_{t-1}) / (1 - ᾱ_t))" if tilde else "√β_t"
    names = {"": "", "x_t": "1 / √α_t", "eps": "-β_t / (√(1 - ᾱ_t) √α_t)", "z": root}
    names = {of: n for of, n in names.items() if of in fitted[0][1]}
    found = [c for of in names if (c := compared(of, names, fitted))]
    return sentence(found) if found else ""


def nearer_tilde(schedule: Schedule, steps: Sequence[Transition], predicts: str) -> bool:
    """Whether the noise of some steps is nearer to β̃ than to β."""
    far = {"β": 0.0, "β̃": 0.0}
    for one in steps[:2]:
        eps = eps_of(schedule, one, predicts)
        rest = one.x_next.double() - mean_of((0, ""), schedule, one, eps)
        size = float((rest * one.z).mean() / one.z.double().square().mean().clamp(min=1e-12))
        for name in far:
            far[name] += abs(size - sigmas(schedule, one.s, 1)[name])
    return far["β̃"] < far["β"]
