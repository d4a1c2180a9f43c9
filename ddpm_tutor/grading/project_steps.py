"""The reverse step in somebody's project: called at several t, and what is said of it."""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ddpm_tutor.grading.coefficients import Probe, compared, fit, schedule_at, sentence
from ddpm_tutor.grading.project_arguments import CannotCall, Piece
from ddpm_tutor.grading.project_calls import (
    CallFailed,
    Form,
    as_images,
    as_it_answers,
    call,
    first_that_works,
    forms_for,
    noise,
    pictures,
    t_in,
)
from ddpm_tutor.grading.project_ddim import DDIM, DDIMVerdict, judge_strides
from ddpm_tutor.grading.project_files import Project
from ddpm_tutor.grading.project_match import (
    ALLOWED,
    CLIPPED,
    LAST,
    OF_LEARNED,
    PREDICTS,
    STEP,
    Match,
    Transition,
    answer_for,
    eps_of,
    matched,
    mean_of,
    sigmas,
)
from ddpm_tutor.grading.project_names import ROLES, is_ddim, plain
from ddpm_tutor.grading.project_trials import (
    draws_uniform,
    exercise_of,
    no_schedule,
    noised,
    not_called,
    of_failure,
    own_taken,
    uniform_noise,
    with_notes,
)
from ddpm_tutor.grading.project_verdict import Finding, State
from ddpm_tutor.grading.recorded_chance import Network, of_variance
from ddpm_tutor.science.schedule import Schedule

BATCH = 3
FITTED = 4  # steps whose coefficients are looked at
ETA = 0.5  # what is given for η, where it is asked for

# --- a function that takes one step


@dataclass(frozen=True)
class Taken:
    """Steps that a function has taken, and by what conventions it was asked for them."""

    steps: Sequence[Transition]
    predicts: str
    shift: int
    eta: float | None  # the η that was asked for, where it is known


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
    kept: list[Taken] = []
    is_plain = not takes(piece, "t_prev") and not takes(piece, "eta")
    for taken in taken_by(piece, form, order, schedule):
        kept.append(taken)
        lowests = (1, 2) if taken.shift == 1 else (1,)
        for lowest in lowests if is_plain else ():
            match = matched(schedule, taken.steps, taken.predicts, taken.shift, lowest)
            found += [match] if match else []
        if any(match.is_right for match in found):
            break
    if not kept:
        says = "It stops at the ends of the schedule."
        return Finding("step", piece.name, "failed", says, piece.line), None
    right = any(match.is_right for match in found)
    if not right and (told := try_ddim_step(piece, schedule, kept)):
        return told
    match = next((m for m in found if m.is_right), found[0] if found else None)
    mine = (t for t in kept if match and (t.predicts, t.shift) == (match.predicts, match.shift))
    taken = next(mine, kept[0])
    finding, match = said_of_step(piece, form, order, schedule, taken, match)
    if finding.is_fault and noise_is_uniform(piece, form, order, schedule, taken):
        finding = uniform_noise(finding)
    return finding, match


def noise_is_uniform(
    piece: Piece, form: Form, order: int, schedule: Schedule, taken: Taken
) -> bool:
    """Whether a step draws its noise from 0 to 1, seen where there is one to draw."""
    s = schedule.T // 2
    with suppress(CallFailed, CannotCall):
        one_step(
            piece, form, order, schedule, s, s - taken.shift, taken.predicts, to=s - 1,
            eta=taken.eta,
        )  # fmt: skip
        return draws_uniform(piece, form.shape)
    return False


def taken_by(piece: Piece, form: Form, order: int, schedule: Schedule) -> Iterator[Taken]:
    """The steps that a function takes, by each convention."""
    own = piece.place.schedule
    assert own is not None
    for predicts in PREDICTS:
        for shift in (own.shift, 1 - own.shift):
            for eta in etas_of(piece):
                try:
                    steps = [
                        one_step(
                            piece, form, order, schedule, s, s - shift, predicts, to=to, eta=eta
                        )
                        for s, to in steps_of(piece, schedule, shift)
                    ]
                except (CallFailed, CannotCall):
                    continue
                yield Taken(steps, predicts, shift, eta)


def said_of_step(
    piece: Piece, form: Form, order: int, schedule: Schedule, taken: Taken, match: Match | None
) -> tuple[Finding, Match | None]:
    """What to say of a function that takes one step of Algorithm 2."""
    given = []
    if match and match.noise.startswith("last_noise") and takes_z(piece):
        # then it is for the caller to give it none
        sigma = "β̃" if match.noise.endswith("β̃") else "β"
        match = replace(match, noise=sigma)
        given = ["It adds the z that it is given at t = 1, too: give it zeros there."]
    finding = said_of_steps(piece, schedule, taken.steps, match, taken.predicts, taken.shift)
    if finding.state == "right":
        finding = with_notes(finding, given)
    if match and match.is_right and clips(piece, form, order, schedule, match):
        finding = with_notes(finding, ["It clips the guess of x_0, as the authors' code does."])
    return finding, match


def try_ddim_step(
    piece: Piece, schedule: Schedule, kept: Sequence[Taken]
) -> tuple[Finding, Match | None] | None:
    """What to say of a step as one of DDIM; None where it is none, to all appearance."""
    meant = is_ddim(piece.name) or takes(piece, "eta") or takes(piece, "t_prev")
    judged = [
        (verdict, taken)
        for taken in kept
        for gap in gaps_of(piece, schedule)
        if (verdict := judge_strides(
            schedule, going(taken.steps, gap), taken.predicts, taken.eta, taken.shift
        ))
    ]  # fmt: skip
    wrong = {(t.predicts, t.shift, t.eta) for _, t in judged} - {
        (t.predicts, t.shift, t.eta) for v, t in judged if v.is_right
    }
    cleared = (  # with each η
        (v, t) for v, t in judged
        if v.is_right and not any((t.predicts, t.shift) == one[:2] for one in wrong)
    )  # fmt: skip
    best = next(cleared, None)
    judged = [(v, t) for v, t in judged if not v.is_right]
    if best is None and meant:
        best = next(((v, t) for v, t in judged if v.mistake), judged[0] if judged else None)
    if best is None:
        return None
    verdict, taken = best
    finding = said_of_ddim(piece, verdict, taken.predicts, taken.shift)
    match = Match((0, ""), "η", taken.predicts, taken.shift, 1) if verdict.is_right else None
    return finding, match


def gaps_of(piece: Piece, schedule: Schedule) -> list[int]:
    """How far a step may go that is not told: by one, or as far as its object's steps are apart."""
    things = getattr(piece.place.thing, "__dict__", {})
    numbers = [v for n, v in things.items() if plain(n) in ROLES["few"] and isinstance(v, int)]
    return [1, *(schedule.T // n for n in numbers if 1 < n < schedule.T)]


def going(steps: Sequence[Transition], gap: int) -> list[Transition]:
    """Steps, each going so far, unless they were told where to go."""
    return [one if one.to is not None else replace(one, to=max(0, one.s - gap)) for one in steps]


def said_of_ddim(piece: Piece, verdict: DDIMVerdict, predicts: str, shift: int) -> Finding:
    """What to say of steps of DDIM."""
    if verdict.is_right:
        asked = " and ".join(f"{eta:g}" for eta in etas_of(piece)) if takes(piece, "eta") else ""
        notes = tuple(note for note in (verdict.convention(predicts, asked), verdict.note) if note)
        return Finding(
            piece.kind, piece.name, "right", "It is right.", piece.line, exercise=DDIM,
            notes=notes, shift=shift,
        )  # fmt: skip
    state: State = "mistake" if verdict.mistake else "differs"
    numbers = verdict.numbers if verdict.mistake else ""
    return Finding(
        piece.kind, piece.name, state, verdict.says, piece.line, verdict.mistake,
        verdict.number or DDIM, verdict.leads_to, numbers, shift=shift,
    )  # fmt: skip


def takes(piece: Piece, role: str) -> bool:
    """Whether something is among the arguments of a function."""
    return any(plain(n) in ROLES[role] for n in inspect.signature(piece.function).parameters)


def etas_of(piece: Piece) -> tuple[float | None, ...]:
    """The η to ask for: some noise, and none, by which mistakes are told apart; where a function
    does not take it, that which its object has.
    """
    if takes(piece, "eta"):
        return ETA, 0.0
    things = getattr(piece.place.thing, "__dict__", {})
    found = (
        v for n, v in things.items() if plain(n) in ROLES["eta"] and isinstance(v, int | float)
    )
    return (next(found, None),)


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

    return as_it_answers(piece, lambda: first_that_works(forms_for(piece), range(6), attempt))


def steps_of(piece: Piece, schedule: Schedule, shift: int) -> list[tuple[int, int | None]]:
    """The paper's t that a step is tried at; and where it is to go, if it takes that."""
    T = schedule.T
    tried = {1, 2, min(3, T), max(1, T // 4), max(1, T // 2), max(1, (3 * T) // 4), T - 1, T}
    if not takes(piece, "t_prev"):
        return [(s, None) for s in sorted(tried)]
    # an index below 0 is for the caller to avoid
    ends = [(s, max(shift, s - max(1, s // 3))) for s in sorted(tried)]
    return [(s, to) for s, to in ends if to < s]


def one_step(
    piece: Piece, form: Form, order: int, schedule: Schedule, s: int, t: int, predicts: str,
    x_0: Tensor | None = None, *, to: int | None = None, eta: float | None = None,
) -> Transition:  # fmt: skip
    """Takes one step from the paper's t = s, which the project counts as t; to where it is said.

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
        "out": answered(network, out), "z": z, "labels": torch.zeros(BATCH, dtype=torch.long),
        "guidance": 0.0, "eta": ETA if eta is None else eta,
        "t_prev": t_in(form, torch.full((BATCH,), t - 1 if to is None else t - s + to)),
    }  # fmt: skip
    done = call(piece, supply, form, seed=s, order=order)
    result = next((r for r in done.results if r.shape == x_t.shape), None)
    if result is None:
        raise CallFailed(ValueError(f"it returns nothing of the shape {tuple(x_t.shape)}"))
    drawn = [v for v in done.chance.normals() if v.shape == x_t.shape]
    used = drawn[-1].float() if drawn else z if takes_z(piece) else torch.zeros_like(z)
    images = (as_images(x_t), as_images(out), as_images(used), as_images(result.float()))
    values = as_images(of_variance(out)) if network.learns_variance else None
    return Transition(s, *images, to, values)


def answered(network: Network, out: Tensor) -> Tensor:
    """What a network that predicts `out` answers; with its variance, where it learns that."""
    return torch.cat([out, of_variance(out)], dim=1) if network.learns_variance else out


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
    if match.noise in OF_LEARNED and not match.mean[1]:
        return Finding(
            piece.kind, piece.name, "mistake", OF_LEARNED[match.noise], piece.line, match.noise,
            STEP, shift=shift,
        )  # fmt: skip
    number, name = match.mean if match.mean[1] else (STEP, match.noise.split(",")[0])
    name = name.removesuffix(CLIPPED)
    mistake = exercise_of(number).mistake(name)
    notes = []
    if match.mean[1] and match.noise not in ALLOWED:
        other = match.noise.split(",")[0]
        notes = ["The noise, too, is another."]
        if other in OF_LEARNED:
            notes = [f"And in the noise: {OF_LEARNED[other]}"]
        elif other != "whole":
            notes = [f"And in the noise: {exercise_of(STEP).mistake(other).what}"]
    return Finding(
        piece.kind, piece.name, "mistake", mistake.what, piece.line, name, number,
        mistake.leads_to, numbers, tuple(notes), shift,
    )  # fmt: skip


def conventions(match: Match) -> str:
    """The conventions of right steps, in words."""
    sigma = f"σ² = {match.noise}" if match.noise != "learned" else "σ² is learned, from β̃ to β"
    words = f"{sigma}, the network predicts {PREDICTS[match.predicts]}"
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
