"""The equations in somebody's project, each tried as the exercise that asks for it would try it."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.course.exercise import Exercise, all_exercises
from ddpm_tutor.errors import line_in
from ddpm_tutor.grading.coefficients import Probe, compared, fit, schedule_at, sentence
from ddpm_tutor.grading.known_mistakes import recognised
from ddpm_tutor.grading.project_arguments import CannotCall, Piece
from ddpm_tutor.grading.project_calls import (
    BATCH,
    CallFailed,
    Form,
    as_images,
    noise,
    on_pictures,
    pictures,
    working_form,
)
from ddpm_tutor.grading.project_files import Project, why_stopped
from ddpm_tutor.grading.project_names import ROLES, plain
from ddpm_tutor.grading.project_schedule import ARRAYS, canonical
from ddpm_tutor.grading.project_stand_ins import NOT_INSTALLED, StandIn
from ddpm_tutor.grading.project_verdict import Finding
from ddpm_tutor.grading.recorded_chance import Uniform
from ddpm_tutor.grading.trials import Outcome, alike, in_a_line, outcome_of
from ddpm_tutor.science.diffusion import q_sample
from ddpm_tutor.science.schedule import Schedule

BATCHES = 3  # the exercise that asks for a noisy batch
FAINT = 1e-5  # ᾱ_t: below that a guess of x_0 is lost in float32
MANY = (0, 1, 2)  # seeds of the batches that are tried


@cache
def exercise_of(number: int) -> Exercise:
    """The package's exercise of that number."""
    return next(e for e in all_exercises() if e.number == number)


@cache
def checking_of(number: int) -> dict[str, Any]:
    """The variables of an exercise's cell `check`: what is right, and what is linear in what."""
    exercise = exercise_of(number)
    return exercise.namespace(exercise.check)


@dataclass(frozen=True)
class Equation:
    """A piece that is an equation, and the exercise that asks for it."""

    number: int  # of the exercise
    roles: Mapping[str, str]  # what the exercise calls its inputs, by role
    order: tuple[str, ...]  # how the exercise takes them
    linear_in: Mapping[str, str]


ONE_NUMBER = (
    "Given no noise, it draws one number for all the pixels of a picture; each pixel has its own: "
    "torch.randn_like(x_0)."
)
ONE_PICTURE = (
    "Given no noise, it draws one for all the pictures of a batch; each has its own: "
    "torch.randn_like(x_0)."
)
MEND_SCHEDULE = "The schedule is to be mended first."
EVEN = 1e-3  # the spread of noise that is the same everywhere
MANY_PIXELS = 50  # of normal numbers as many, some are below zero
OTHER_NOISE = "The noise that it returns is not the one in x_t: it was drawn anew."
EQUATIONS = {
    "q_sample": Equation(
        2, {"x_0": "x_0", "noise": "eps"}, ("schedule", "x_0", "t", "eps"),
        {"x_0": "√ᾱ_t", "eps": "√(1 - ᾱ_t)"},
    ),
    "predict_x_0": Equation(
        5, {"x_t": "x_t", "out": "eps"}, ("schedule", "x_t", "t", "eps"),
        {"x_t": "1 / √ᾱ_t", "eps": "-√(1 - ᾱ_t) / √ᾱ_t"},
    ),
    "posterior": Equation(
        7, {"x_t": "x_t", "x_0": "x_0"}, ("schedule", "x_t", "x_0", "t"),
        {"x_0": "√ᾱ_{t-1} β_t / (1 - ᾱ_t)", "x_t": "√α_t (1 - ᾱ_{t-1}) / (1 - ᾱ_t)"},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Tried:
    """One call: what went in, as the exercise calls it, and what came out."""

    inputs: dict[str, Any]
    results: tuple[Tensor, ...]


def steps_to_try(schedule: Schedule, shift: int, seed: int = 0, least: int = 1) -> Tensor:
    """(B,) t in a project's own count: both ends and some between; those of a seed."""
    T = schedule.T
    middle = [max(1, T // 2), max(1, T // 5), max(1, (3 * T) // 4), min(T, 2 + seed), T - seed % 2]
    ends = [[1, T, *middle[:3]], [middle[3], *middle[:3], middle[4]], middle]
    steps = torch.tensor(ends[seed % len(ends)]).clamp(least, T)
    return steps[:BATCH] - shift


def with_x_0_left(schedule: Schedule) -> Schedule:
    """The schedule up to the last t at which float32 can tell x_0 from x_t."""
    last = int((schedule.alpha_bar > FAINT).sum()) - 1
    return Schedule(*(values[: max(last, 1) + 1] for values in
                      (schedule.beta, schedule.alpha, schedule.alpha_bar)))  # fmt: skip


def try_equation(piece: Piece, project: Project, least: int = 1) -> Finding:
    """How an equation of a project does."""
    own = piece.place.schedule
    if own is None:
        return no_schedule(piece)
    tried_on = with_x_0_left(own_taken(piece)) if piece.kind == "predict_x_0" else own.schedule
    equation = EQUATIONS[piece.kind]
    exercise = exercise_of(equation.number)

    def supply_for(form: Form, t: Tensor, shift: int, seed: int) -> dict[str, Tensor]:
        x_0, eps = pictures(form, seed), noise(form, seed + 100)
        x_t = noised(own_taken(piece), x_0, t + shift, eps)
        return {"x_0": x_0, "x_t": x_t, "noise": eps, "out": eps}

    def one(form: Form) -> tuple[Mapping[str, Any], Tensor]:
        t = torch.full((BATCH,), own.schedule.T // 2)
        given = supply_for(form, t, own.shift, 0)
        return {role: given[role] for role in equation.roles}, t

    try:
        form, order, stopped = working_form(piece, one)
    except CannotCall as error:
        return not_called(piece, error)
    except CallFailed as failed:
        return of_failure(piece, failed.error, exercise, project)
    of_shift: dict[int, list[Tried]] = {}
    notes: list[str] = []
    for shift in (own.shift, 1 - own.shift):
        tried = []
        try:
            for seed in MANY:
                t = steps_to_try(tried_on, shift, seed, least)
                given = supply_for(form, t, shift, seed)
                supply = {role: given[role] for role in equation.roles}
                results, drawn = on_pictures(piece, supply, t, form, seed, order)
                tried.append(
                    as_tried(equation, own_taken(piece), given, t + shift, results, drawn, notes)
                )
        except CallFailed:
            continue
        of_shift[shift] = tried
    if not of_shift:
        return Finding(piece.kind, piece.name, "failed", "It stops at t = 1 or t = T.", piece.line)
    finding = judged(piece, equation, of_shift)
    if piece.kind == "q_sample" and finding.is_fault and draws_uniform(piece, form.shape):
        finding = uniform_noise(finding)
    if OTHER_NOISE in notes and finding.state == "right":
        return replace(finding, state="differs", says=OTHER_NOISE)
    if piece.kind == "q_sample":
        finding = with_own_noise(piece, finding, form, order)
        finding = with_stopped(finding, form, stopped, project)
    return with_notes(finding, notes)


def draws_uniform(piece: Piece, shape: tuple[int, ...]) -> bool:
    """Whether the last call has drawn numbers from 0 to 1, a picture of them."""
    events = piece.place.chance.events
    return any(isinstance(e, Uniform) and e.values.shape[1:] == shape for e in events)


def uniform_noise(found: Finding) -> Finding:
    """A finding on a function whose noise is uniform."""
    mistake = exercise_of(BATCHES).mistake("uniform_noise")
    return Finding(
        found.kind, found.name, "mistake", mistake.what, found.line, mistake.name, BATCHES,
        mistake.leads_to, shift=found.shift,
    )  # fmt: skip


def with_own_noise(piece: Piece, found: Finding, form: Form, order: int) -> Finding:
    """A finding on a function that is right with the noise it is given, where that which it draws
    itself is wrong.
    """
    parameters = inspect.signature(piece.function).parameters.values()
    may_draw = any(plain(p.name) in ROLES["noise"] and p.default is not p.empty for p in parameters)
    if not may_draw or found.state != "right" or found.shift is None:
        return found
    schedule, shift = own_taken(piece), found.shift
    x_0, t = pictures(form, 0), torch.full((BATCH,), schedule.T // 2)
    try:
        results, _ = on_pictures(piece, {"x_0": x_0}, t, form, 0, order)
    except (CallFailed, CannotCall):
        return found
    faint, loud = (v[t + shift].view(-1, *[1] * (x_0.ndim - 1)) for v in
                   (schedule.alpha_bar.sqrt(), (1 - schedule.alpha_bar).sqrt()))  # fmt: skip
    for x_t in (r.detach() for r in results if r.shape == x_0.shape):
        rest = (x_t - faint * x_0) / loud
        if float(rest.abs().max()) < EVEN:
            continue  # the mean of x_t, returned beside it
        if float(rest.flatten(1).std(1).max()) < EVEN:
            return replace(found, state="differs", says=ONE_NUMBER)
        if form.t == "each" and float(rest.std(0).max()) < EVEN:
            return replace(found, state="differs", says=ONE_PICTURE)
        if rest.numel() > MANY_PIXELS and float(rest.min()) > -EVEN:
            return uniform_noise(found)
    return found


def with_stopped(
    found: Finding, form: Form, stopped: BaseException | None, project: Project
) -> Finding:
    """A finding on a function that takes one t alone, and stops at a t for each picture."""
    if form.t == "each" or stopped is None or "must match the size" not in str(stopped):
        return found
    if not project.draws_many_t or found.state != "right":
        note = "It takes one t at a time: with a t for each picture it stops."
        return with_notes(found, [note])
    mistake = exercise_of(2).mistake("no_broadcast")
    return Finding(
        found.kind, found.name, "mistake", mistake.what, found.line, mistake.name, 2,
        mistake.leads_to, numbers=in_a_line(stopped), shift=found.shift,
    )  # fmt: skip


def noised(schedule: Schedule, x_0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """Eq. 4 on pictures or points; t is the paper's."""
    images = q_sample_of(schedule, as_images(x_0), t.clamp(0, schedule.T), as_images(eps))
    return images.reshape(x_0.shape)


def q_sample_of(schedule: Schedule, x_0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """The package's own, in the dtype of x_0."""
    return q_sample(schedule, x_0, t, eps).to(x_0.dtype)


def own_taken(piece: Piece) -> Schedule:
    """The schedule that a function goes by: its own, with its mistakes."""
    own = piece.place.schedule
    assert own is not None
    return own.taken or own.schedule


def as_tried(
    equation: Equation,
    schedule: Schedule,
    given: Mapping[str, Tensor],
    t: Tensor,
    results: Sequence[Tensor],
    drawn: Sequence[Tensor],
    notes: list[str],
) -> Tried:
    """A call as the exercise would have made it, with the noise that was in use."""
    inputs: dict[str, Any] = {"schedule": schedule, "t": t}
    inputs |= {name: as_images(given[role]) for role, name in equation.roles.items()}
    shape = next(iter(given.values())).shape
    found = [r.detach() for r in results if r.shape == shape]
    if equation.number == 7:  # of the variance, one number for each picture will do
        rest = [r.detach() for r in results[1:2] if r.numel() == len(r) == shape[0]]
        images = [r.view(-1, *[1] * (len(shape) - 1)).expand(shape) for r in rest]
        found = found[:1] + images if images else found
    if "eps" in inputs and equation.number == 2:
        noises = [z for z in drawn if z.shape == shape]
        kept = [r for r in found if not any(torch.equal(r.double(), z.double()) for z in
                                            [*noises, given["noise"]])]  # fmt: skip
        returned = [r for r in found if not any(r is k for k in kept)]
        found = kept or found
        used = noise_in(schedule, given["x_0"], t, found[0], noises)
        if noises and used is not None:
            inputs["eps"] = as_images(used)
            if returned and not torch.equal(returned[0].double(), used.double()):
                notes.append(OTHER_NOISE)
    return Tried(inputs, tuple(as_images(r).float() for r in found))


def noise_in(
    schedule: Schedule, x_0: Tensor, t: Tensor, x_t: Tensor, noises: Sequence[Tensor]
) -> Tensor | None:
    """Which of the noises that were drawn is the one in x_t; None where none was drawn."""
    if not noises:
        return None

    def likeness(z: Tensor) -> float:
        rest = (x_t - x_t.mean()).double().flatten()
        return float(torch.nn.functional.cosine_similarity(rest, z.double().flatten(), dim=0))

    return max(noises, key=likeness)


def judged(piece: Piece, equation: Equation, of_shift: Mapping[int, Sequence[Tried]]) -> Finding:
    """What to say of an equation, by calls at t from 0 and from 1."""
    exercise = exercise_of(equation.number)
    right = checking_of(equation.number)["right"]
    for shift, tried in of_shift.items():
        if all(does(right, equation, one) for one in tried):
            return Finding(
                piece.kind, piece.name, "right", "It is right.", piece.line,
                exercise=equation.number, shift=shift,
            )  # fmt: skip
    for shift, tried in of_shift.items():
        kept = [one for one in tried if float(one.inputs["t"].min()) > 1] or list(tried)
        mistake = recognised(
            exercise,
            lambda f, kept=kept: all(does(f, equation, one) for one in kept),  # type: ignore[misc]
        )
        if mistake is not None:
            return Finding(
                piece.kind, piece.name, "mistake", mistake.what, piece.line, mistake.name,
                equation.number, mistake.leads_to, coefficients(equation, right, kept, shift),
                shift=shift,
            )  # fmt: skip
    shift, tried = next(iter(of_shift.items()))
    says = coefficients(equation, right, tried, shift)
    return Finding(
        piece.kind, piece.name, "differs",
        says or "It gives another result, in no way that is known here.", piece.line,
        exercise=equation.number, numbers="" if says else furthest(equation, right, tried, shift),
        shift=shift,
    )  # fmt: skip


def does(function: Callable[..., Any], equation: Equation, one: Tried) -> bool:
    """Whether a function of the exercise gives what the learner's gave."""
    inputs = {name: one.inputs[name] for name in equation.order}
    if equation.number == 7:
        return does_posterior(function, inputs, one)
    expected = outcome_of(function, inputs)
    return alike(Outcome({"result": one.results[0]}), Outcome(expected.values, expected.error))


def does_posterior(function: Callable[..., Any], inputs: dict[str, Any], one: Tried) -> bool:
    """The same of mean and variance; of the mean alone where that is all that was returned."""
    expected = outcome_of(function, inputs, ("mean", "variance"))
    if expected.error is not None or expected.problem:
        return False
    mean = Outcome({"mean": expected.values["mean"]})
    if not alike(Outcome({"mean": one.results[0]}), mean):
        return False
    if len(one.results) == 1:
        return True
    variance = expected.values["variance"].reshape(-1, 1, 1, 1).expand_as(one.results[0])
    return alike(Outcome({"v": one.results[1]}), Outcome({"v": variance}))


def probe_of(equation: Equation, one: Tried, result: Tensor, shift: int) -> Probe:
    """A call as something linear in its pictures; t in the learner's count."""
    t, schedule = one.inputs["t"], one.inputs["schedule"]
    inputs = {name: one.inputs[name].double() for name in equation.linear_in}
    at = [f"t = {int(i) - shift}" for i in t]
    return Probe(result, inputs, at, schedule_at(schedule, t))


def coefficients(
    equation: Equation, right: Callable[..., Any], tried: Sequence[Tried], shift: int
) -> str:
    """By what the learner multiplies, and by what it should be; "" where that cannot be said."""
    fitted = []
    for one in tried:
        inputs = {name: one.inputs[name] for name in equation.order}
        doubled = {
            n: v.double() if isinstance(v, Tensor) and v.is_floating_point() else v
            for n, v in inputs.items()
        }
        expected = right(**doubled)
        expected = expected[0] if isinstance(expected, tuple) else expected
        mine = probe_of(equation, one, one.results[0], shift)
        pair = fit(mine), fit(probe_of(equation, one, expected, shift))
        if pair[0] is None or pair[1] is None:
            return ""
        fitted.append((mine, pair[0], pair[1]))
    names = {"": ""} | dict(equation.linear_in)
    found = [c for of in names if (c := compared(of, names, fitted))]
    return sentence(found) if found else ""


def furthest(
    equation: Equation, right: Callable[..., Any], tried: Sequence[Tried], shift: int
) -> str:
    """The number that is furthest off."""
    for one in tried:
        made = right(**{name: one.inputs[name] for name in equation.order})
        expected = made[0] if isinstance(made, tuple) else made
        mine, what = one.results[0], "a pixel"
        if mine.shape != expected.shape:
            return ""
        means = Outcome({"mean": mine}), Outcome({"mean": expected.float()})
        if isinstance(made, tuple) and len(one.results) > 1 and alike(*means):
            mine, what = one.results[1], "the variance"
            expected = made[1].reshape(-1, 1, 1, 1).expand_as(mine)
        off = (mine - expected).abs().flatten(1).amax(1)
        i = int(off.argmax())
        j = int((mine - expected)[i].abs().argmax())
        t = int(one.inputs["t"][i]) - shift
        pair = float(mine[i].flatten()[j]), float(expected[i].flatten()[j])
        return f"At t = {t} {what} is {pair[0]:.4g} where {pair[1]:.4g} belongs."
    return ""


# --- what is said where nothing can be tried


def no_schedule(piece: Piece) -> Finding:
    """Of a function whose schedule was not found."""
    things = {**piece.place.names, **getattr(piece.place.thing, "__dict__", {})}
    if any(isinstance(v, StandIn) and canonical(name) in ARRAYS for name, v in things.items()):
        return not_called(piece, CannotCall(NOT_INSTALLED))
    not_found = "It needs the noise schedule, which was not found."
    says = MEND_SCHEDULE if piece.place.impossible else not_found
    return Finding(piece.kind, piece.name, "not called", says, piece.line)


def not_called(piece: Piece, error: CannotCall) -> Finding:
    """Of a function that it is not known how to call."""
    return Finding(piece.kind, piece.name, "not called", f"It was not tried: {error}.", piece.line)


def of_failure(
    piece: Piece, error: BaseException, exercise: Exercise | None, project: Project
) -> Finding:
    """Of a function that stops with an error, however it is called."""
    line = line_in(error, project.path) or piece.line
    names = [mistake.name for mistake in exercise.mistakes] if exercise else []
    if exercise and "must match the size" in str(error) and "no_broadcast" in names:
        mistake = exercise.mistake("no_broadcast")
        return Finding(
            piece.kind, piece.name, "mistake", mistake.what, line, mistake.name,
            exercise.number, mistake.leads_to, in_a_line(error),
        )  # fmt: skip
    says = f"It stops when it is called with {given_to(piece)}: {why_stopped(error)}."
    return Finding(piece.kind, piece.name, "not called", says, line)


def given_to(piece: Piece) -> str:
    """What a function is called with, by its arguments' names."""
    names = [
        n for n, p in inspect.signature(piece.function).parameters.items()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]  # fmt: skip
    return ", ".join(names) or "nothing"


def with_notes(found: Finding, notes: Sequence[str]) -> Finding:
    """A finding with more notes, each once."""
    return replace(found, notes=tuple(dict.fromkeys([*found.notes, *notes])))
