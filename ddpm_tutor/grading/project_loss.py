"""The loss in somebody's project: what the network is given, and what its answer is compared with.

The network is a stand-in whose answer is known, and so are the noises that were drawn. So it can
be found out which of them is in x_t, and which target and which distance give the very loss.
"""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_tutor.grading.project_arguments import CannotCall, Piece
from ddpm_tutor.grading.project_calls import (
    BATCH,
    Called,
    CallFailed,
    Form,
    as_images,
    as_it_answers,
    call,
    first_that_works,
    forms_for,
    noise,
    pictures,
)
from ddpm_tutor.grading.project_files import Project
from ddpm_tutor.grading.project_match import V
from ddpm_tutor.grading.project_names import ROLES, plain
from ddpm_tutor.grading.project_schedule import OwnSchedule
from ddpm_tutor.grading.project_trials import (
    EQUATIONS,
    Tried,
    checking_of,
    coefficients,
    draws_uniform,
    exercise_of,
    no_schedule,
    not_called,
    of_failure,
    own_taken,
    uniform_noise,
    with_notes,
)
from ddpm_tutor.grading.project_verdict import Finding
from ddpm_tutor.grading.recorded_chance import Asked
from ddpm_tutor.grading.trials import Outcome, alike, outcome_of
from ddpm_tutor.science.schedule import Schedule

TRAINING, FORWARD = 6, 2  # the exercises that ask for the loss, and for x_t
LABELLED = 13  # that which asks for labels to be hidden
CLOSE = 2e-5  # of a loss: by so much float32 may part, and no other target comes as near
WRONG_TARGETS = {
    "-noise": "The prediction is compared with -ε: the sign of the noise is wrong.",
    "-v": "The prediction is compared with -v: v is √ᾱ_t ε - √(1 - ᾱ_t) x_0.",
    "swapped v": "The target has ε and x_0 swapped: v is √ᾱ_t ε - √(1 - ᾱ_t) x_0.",
    "added v": "The target is the sum of the two: v is √ᾱ_t ε minus √(1 - ᾱ_t) x_0.",
}
PULL_OFF = 1e-3  # by so much a gradient may part from that of a target
BOUND = "L_vlb of Nichol and Dhariwal"
NO_PULL = (
    "The rest cannot be tried, either, for the loss comes without its gradient: let the function "
    "return it before backward() and item()."
)
OTHER_PULL = "The rest, too, changes with its answer as no mean of squared errors does."
LABELS = torch.arange(1, BATCH + 1)
MOST = 0.7  # of the labels: nobody means to hide as many
SEEDS = 30  # batches of which it is seen whether labels are hidden

Distance = Callable[[Tensor, Tensor], Tensor]
DISTANCES: dict[str, Distance] = {
    "squared": lambda a, b: F.mse_loss(a, b),
    "absolute": lambda a, b: F.l1_loss(a, b),
    "huber": lambda a, b: F.smooth_l1_loss(a, b),
    "half": lambda a, b: 0.5 * F.mse_loss(a, b),
    "summed": lambda a, b: F.mse_loss(a, b, reduction="sum"),
    "summed in each picture": lambda a, b: (a - b).square().flatten(1).sum(1).mean(),
    "halved sum": lambda a, b: 0.5 * (a - b).square().flatten(1).sum(1).mean(),
    "root": lambda a, b: F.mse_loss(a, b).sqrt(),
    "squared_mean": lambda a, b: (a - b).mean() ** 2,
}
# distances that train as well, and what to say of them
OTHERS = {
    "absolute": "It takes the absolute error (L1), not the squared one of Eq. 14: it trains, too.",
    "huber": "It takes the Huber loss, not the squared error of Eq. 14: it trains, too.",
    "half": "It is half the mean of the squared errors: the same but for the learning rate.",
    "summed": "The squared errors are summed, not averaged: the gradient is as many times larger.",
    "summed in each picture": "The squared errors of each picture are summed, not averaged: the "
    "gradient is as many times larger.",
    "weighted": "It is weighted, or another distance: it is 0 where the network is right.",
    "halved sum": "The squared errors of each picture are summed and halved, not averaged.",
}


@dataclass(frozen=True)
class LossCall:
    """One call of a loss, and all that is known of it."""

    value: Tensor
    has_gradient: bool
    x_0: Tensor
    x_in: Tensor  # what the network was given
    told: Tensor
    t: Tensor | None  # (B,) as the project counts it
    reply: Tensor
    given_noise: Tensor | None
    drawn: tuple[Tensor, ...]
    low: int | None  # t was drawn from here
    high: int | None  # to one below here
    again: Callable[[Tensor], float]  # the loss where the network answers something else
    pull: float | None = None  # how the loss changes with the answer, where a variance is learned


@dataclass(frozen=True)
class Training:
    """What a loss does."""

    predicts: str  # "noise", "x_0" or "v"; "" where it is not known
    shift: int | None
    told: float | None  # what the network is told, less `scale` t; None where that is not known
    scale: float = 1.0  # by what t is multiplied before the network is told


def try_loss(
    piece: Piece, project: Project, q_sample: Finding | None, sampler_predicts: str
) -> tuple[Finding, Training]:
    """How a project's loss does, and what it does with the labels: see `try_target`."""
    found, training = try_target(piece, project, q_sample, sampler_predicts)
    if found.state != "right":
        return found, training
    hidden: list[int] = []
    with contextlib.suppress(CallFailed, CannotCall):
        hidden = hidden_labels(piece)
    share = sum(hidden) / max(1, len(hidden) * BATCH)
    if share > MOST:
        says = f"It hides the label of {share:.0%} of the pictures. Those that are to be kept, "
        says += "perhaps? A tenth or so is hidden, to learn the model without labels, too."
        return replace(found, state="differs", says=says, exercise=LABELLED), training
    if hidden.count(BATCH) > 1 and set(hidden) == {0, BATCH}:
        return with_notes(found, ["It hides the labels of a whole batch, or of none."]), training
    return found, training


def hidden_labels(piece: Piece) -> list[int]:
    """How many labels of a batch the network is not told, over many batches; none of it where it
    is not seen, as with a mask beside the labels.
    """
    names = {plain(name) for name in inspect.signature(piece.function).parameters}
    if not names & set(ROLES["labels"]):
        return []
    rows: dict[int, list[Tensor]] = {}
    for seed in range(SEEDS):
        calls_of(piece, seed)
        asked = piece.place.chance.asked()
        for place, row in asked[-1].numbers.items() if asked else ():
            rows.setdefault(place, []).append(row)
    for seen in rows.values():
        if len(seen) < SEEDS or any(len(row) != BATCH for row in seen):
            continue
        others = [row[row != LABELS] for row in seen]
        values = torch.cat(others)
        if len(values) < SEEDS * BATCH and len(values.unique()) == 1:
            return [len(other) for other in others]
    return []


def try_target(
    piece: Piece, project: Project, q_sample: Finding | None, sampler_predicts: str
) -> tuple[Finding, Training]:
    """How a project's loss does.

    Args:
        q_sample: what was found of the function that makes its x_t, if there is one.
        sampler_predicts: what the reverse step takes the network's answer for; "" if not known.
    """
    nothing = Training("", None, None)
    own = piece.place.schedule
    if own is None:
        return no_schedule(piece), nothing
    try:
        done = calls_of(piece)
    except CannotCall as error:
        return not_called(piece, error), nothing
    except CallFailed as failed:
        return of_failure(piece, failed.error, exercise_of(FORWARD), project), nothing
    one = done[0]
    if one is None:
        says = "It asks no network that could be put in the place of yours."
        return Finding("loss", piece.name, "not called", says, piece.line), nothing
    schedule = own_taken(piece)
    made = x_t_of(schedule, one, own.shift)
    if made is None:
        return wrong_x_t(piece, schedule, one, own.shift, q_sample), nothing
    shift, used, note = made
    notes = [note] if note else []
    notes += notes_of_t(own.schedule.T, one, shift)
    scale, told = told_of(one)
    if scale == 0:
        says = f"The network is told {told:g}, whatever t is."
        found = Finding("loss", piece.name, "differs", says, piece.line, exercise=TRAINING)
        return found, nothing
    if wraps(own, one, shift):
        says = (
            f"It draws t from {one.low}, and takes entry t - 1 of its arrays: at t = {one.low} "
            "that is the last one, with the most noise of all."
        )
        found = Finding("loss", piece.name, "differs", says, piece.line, exercise=TRAINING)
        return found, nothing
    if learns_variance(piece):
        target, distance = target_pulled_to(schedule, one, used, shift), "squared"
        notes.append(f"The variance is learned: that term of the loss, {BOUND}, was not tried.")
        if not target:
            return beside_a_variance(piece, one), nothing
    else:
        target, distance = target_of(schedule, one, used, shift)
    known = target if target in ("noise", "x_0", "v") else ""
    training = Training(known, shift, told, scale)
    zero = zeros_of(schedule, one, used, shift) if not target else []
    return said(piece, one, target, distance, shift, notes, sampler_predicts, zero), training


def calls_of(piece: Piece, seed: int = 4) -> list["LossCall | None"]:
    """Calls the loss; None where no network was asked.

    Raises:
        CannotCall, CallFailed: it cannot be called.
    """
    own = piece.place.schedule
    assert own is not None
    T, network = own.schedule.T, piece.place.network
    assert network is not None
    t = torch.tensor([T // 2, 2, T - 2, T // 3, (2 * T) // 3])

    def attempt(form: Form, order: int) -> list[LossCall | None]:
        given_t = t if form.t == "each" else int(t[0])
        x_0, eps, reply = pictures(form, 1), noise(form, 2), 0.7 * noise(form, 3) + 0.2
        network.answer = lambda x, told, others: (
            reply if x.shape == reply.shape else torch.zeros_like(x)
        )
        supply = {"model": network, "x_0": x_0.clone(), "t": given_t, "noise": eps,
                  "labels": LABELS}  # fmt: skip
        done = call(piece, supply, form, seed=seed, order=order, grad=True)
        again = partial(loss_again, piece, supply, form, order)
        return [as_loss_call(piece, done, x_0, t, given_t, eps, reply, again)]

    forms = [form for form in forms_for(piece) if form.t != "one"]
    return as_it_answers(piece, lambda: first_that_works(forms, range(6), attempt))


def loss_again(
    piece: Piece, supply: Mapping[str, object], form: Form, order: int, reply: Tensor
) -> float:
    """The loss of the same pictures, t and noise, where the network answers `reply`.

    Raises:
        CannotCall, CallFailed: it stops now.
    """
    network = piece.place.network
    assert network is not None
    network.answer = lambda x, told, others: reply.reshape(x.shape)
    done = call(piece, supply, form, seed=4, order=order, grad=True)
    return float(next(v for v in done.results if v.is_floating_point()).detach().double().mean())


def as_loss_call(
    piece: Piece, done: Called, x_0: Tensor, t: Tensor, given_t: Tensor | int, eps: Tensor,
    reply: Tensor, again: Callable[[Tensor], float],
) -> LossCall | None:  # fmt: skip
    """What is known of a call."""
    asked = [one for one in done.chance.asked() if one.x.shape == x_0.shape]
    values = [v for v in done.results if v.is_floating_point() and v.numel() >= 1]
    if not asked or not values:
        return None
    names = {plain(name) for name in inspect.signature(piece.function).parameters}
    takes_noise = bool(names & set(ROLES["noise"]))
    takes_t = bool(names & set(ROLES["t"]))
    wholes = [w for w in done.chance.wholes() if w.values.numel() in (1, BATCH)]
    drawn_t = wholes[0] if wholes and not takes_t else None
    own_t = t if isinstance(given_t, Tensor) else torch.full((BATCH,), given_t)
    if drawn_t is not None:
        own_t = drawn_t.values.flatten().expand(BATCH)
    elif not takes_t:  # pairs of t, perhaps, half of them drawn: the network is told all
        rows = [row for row in asked[-1].numbers.values() if len(row) == BATCH]
        own_t = next((row for row in rows if not torch.equal(row, LABELS)), torch.empty(0))
    sees_t = len(own_t) == BATCH and bool((own_t == own_t.round()).all())
    return LossCall(
        value=values[0].detach().double().mean(),
        has_gradient=values[0].requires_grad or asked[-1].in_numpy,
        x_0=as_images(x_0), x_in=as_images(asked[-1].x),
        told=told_in(asked[-1], own_t), t=own_t if sees_t else None,
        reply=as_images(reply), given_noise=as_images(eps) if takes_noise else None,
        drawn=tuple(as_images(v).float() for v in done.chance.normals(x_0.shape)),
        low=drawn_t.low if drawn_t else None, high=drawn_t.high if drawn_t else None,
        again=again, pull=pull_of(piece, values[0]),
    )  # fmt: skip


def pull_of(piece: Piece, value: Tensor) -> float | None:
    """How a loss changes as the answer is multiplied by a little more than 1; None where the
    network learns no variance or is not asked, or where the loss has no gradient (any more).
    """
    network = piece.place.network
    if network is None or not network.learns_variance or not value.requires_grad:
        return None
    try:
        found = torch.autograd.grad(value.mean(), network.scale, allow_unused=True)[0]
    except RuntimeError:  # the function has called backward() itself
        return None
    return None if found is None else float(found)


def told_in(asked: Asked, t: Tensor) -> Tensor:
    """(B,) of what the network is told, that which goes with t: a label may come before it."""
    rows = [row for row in asked.numbers.values() if row.shape == t.shape]
    order = t.argsort(stable=True)
    alike = (row for row in rows if bool((row[order].diff() > 0).eq(t[order].diff() > 0).all()))
    return next(alike, asked.told).double()


def noises_of(one: LossCall) -> list[Tensor]:
    """The noises that may be in x_t."""
    return [*([one.given_noise] if one.given_noise is not None else []), *one.drawn]


def x_t_of(schedule: Schedule, one: LossCall, shift: int) -> tuple[int, Tensor, str] | None:
    """By which count of t, and of which noise, x_t was made as in Eq. 4; None where it was not."""
    right = checking_of(FORWARD)["right"]
    scaled = {"": one.x_0, "It brings pictures from [0, 1] to [-1, 1] itself.": 2 * one.x_0 - 1}
    for note, x_0 in scaled.items():
        for eps in noises_of(one):
            for k in (shift, 1 - shift):
                if matches(schedule, one, x_0, eps, k, right):
                    return k, eps, note
    return None


def matches(
    schedule: Schedule, one: LossCall, x_0: Tensor, eps: Tensor, shift: int,
    function: Callable[..., Tensor],
) -> bool:  # fmt: skip
    """Whether the network was given what a function makes of this."""
    if one.t is None:
        return False
    t = (one.t + shift).long()
    if int(t.min()) < 0 or int(t.max()) > schedule.T:
        return False
    made = outcome_of(function, {"schedule": schedule, "x_0": x_0, "t": t, "eps": eps})
    return alike(Outcome({"result": one.x_in.float()}), made)


def wrong_x_t(
    piece: Piece, schedule: Schedule, one: LossCall, shift: int, q_sample: Finding | None
) -> Finding:
    """What to say of a loss whose network is not given x_t."""
    if torch.allclose(one.x_in, one.x_0, atol=1e-5):
        return as_mistake(piece, TRAINING, "clean_input")
    if one.t is None:
        says = "It is not seen which t it draws."
        return Finding("loss", piece.name, "not called", says, piece.line)
    if q_sample is not None and q_sample.is_fault:
        says = f"Its x_t comes from {q_sample.name}, which is to be mended first."
        return Finding("loss", piece.name, "not called", says, piece.line)
    exercise, equation = exercise_of(FORWARD), EQUATIONS["q_sample"]
    for k in (shift, 1 - shift):
        for eps in noises_of(one):
            for mistake in exercise.mistakes:
                if matches(schedule, one, one.x_0, eps, k, exercise.load(mistake.code)):
                    assert one.t is not None
                    inputs = {"schedule": schedule, "x_0": one.x_0, "t": one.t + k, "eps": eps}
                    right = checking_of(FORWARD)["right"]
                    tried = [Tried(inputs, (one.x_in.float(),))]
                    return as_mistake(
                        piece, FORWARD, mistake.name, coefficients(equation, right, tried, k)
                    )
    if draws_uniform(piece, tuple(one.x_in.shape[1:])):
        return uniform_noise(Finding("loss", piece.name, "mistake", "", piece.line))
    says = "What the network is given is not Eq. 4 of x_0 and a noise that was drawn or given."
    return Finding("loss", piece.name, "differs", says, piece.line, exercise=TRAINING)


def as_mistake(piece: Piece, number: int, name: str, numbers: str = "") -> Finding:
    """A known mistake."""
    mistake = exercise_of(number).mistake(name)
    return Finding(
        piece.kind, piece.name, "mistake", mistake.what, piece.line, name, number,
        mistake.leads_to, numbers,
    )  # fmt: skip


def notes_of_t(T: int, one: LossCall, shift: int) -> list[str]:
    """What is to be said of the t that are drawn."""
    if one.low is None or one.high is None or one.t is None:
        return []
    low, high = one.low + shift, one.high - 1 + shift
    notes = []
    if high > T or low < 0:
        notes.append(f"It draws t from {one.low} to {one.high - 1}, beyond its schedule.")
    elif high < T:
        notes.append(
            f"It draws t from {one.low} to {one.high - 1}: its last step, {T - shift}, is never "
            "trained."
        )
    elif low > 1:
        notes.append(f"It draws t from {one.low} on: the step with the least noise is left out.")
    if len(one.t.unique()) == 1:
        notes.append("It draws one t for the whole batch; each picture should have its own.")
    return notes


def told_of(one: LossCall) -> tuple[float, float | None]:
    """What the network is told is the first times t plus the second; None where it is not."""
    if one.t is None or one.told.numel() != len(one.t) or len(one.t.unique()) == 1:
        return 1.0, None
    t, told = one.t.double(), one.told.flatten()
    low, high = t.argmin(), t.argmax()
    scale = float((told[high] - told[low]) / (t[high] - t[low]))
    off = told - scale * t
    even = bool(((off - off[0]).abs() <= 1e-4 * told.abs().max()).all())
    return scale, float(off[0]) if even else None


def wraps(own: OwnSchedule, one: LossCall, shift: int) -> bool:
    """Whether it draws a t whose entry is the one before the first."""
    return shift == 0 and not own.padded and one.low is not None and one.low < 1


def targets_of(schedule: Schedule, one: LossCall, used: Tensor, shift: int) -> Iterator[
    tuple[str, Tensor]
]:  # fmt: skip
    """What the answer may be compared with, right or wrong."""
    assert one.t is not None
    bar = schedule.alpha_bar[(one.t + shift).long()].view(-1, 1, 1, 1).float()
    yield "noise", used
    yield "x_0", one.x_0
    yield "v", bar.sqrt() * used - (1 - bar).sqrt() * one.x_0
    yield "x_t", one.x_in
    for eps in noises_of(one):
        if eps is not used:
            yield "fresh", eps
    yield "x_0", 2 * one.x_0 - 1
    yield "-noise", -used
    yield "-v", (1 - bar).sqrt() * one.x_0 - bar.sqrt() * used
    yield "swapped v", bar.sqrt() * one.x_0 - (1 - bar).sqrt() * used
    yield "added v", bar.sqrt() * used + (1 - bar).sqrt() * one.x_0


def target_of(schedule: Schedule, one: LossCall, used: Tensor, shift: int) -> tuple[str, str]:
    """Which target, and which distance, give the loss; "" where none does."""
    reply = one.reply.float()
    for distance, measure in DISTANCES.items():
        for name, target in targets_of(schedule, one, used.float(), shift):
            value = float(measure(reply, target.float()))
            if abs(value - float(one.value)) <= CLOSE * abs(value):
                return name, distance
    return "", ""


def learns_variance(piece: Piece) -> bool:
    """Whether the network has to answer twice the channels, one half for the variance."""
    return piece.place.network is not None and piece.place.network.learns_variance


def beside_a_variance(piece: Piece, one: LossCall) -> Finding:
    """Of a loss of which nothing can be told, for a variance is learned, too."""
    says = f"Its network learns the variance, too, and {BOUND}, in the loss, was not tried. "
    says += NO_PULL if one.pull is None else OTHER_PULL
    return Finding("loss", piece.name, "not called", says, piece.line)


def target_pulled_to(schedule: Schedule, one: LossCall, used: Tensor, shift: int) -> str:
    """Which target the answer is drawn to, by mean squared error; "" where it is none."""
    reply = one.reply.double()
    for name, target in targets_of(schedule, one, used.float(), shift):
        pull = float((2 * reply * (reply - target.double())).mean())
        if one.pull is not None and abs(one.pull - pull) <= PULL_OFF * abs(pull):
            return name
    return ""


def zeros_of(schedule: Schedule, one: LossCall, used: Tensor, shift: int) -> list[str]:
    """Which targets make the loss 0, if the network answers them."""
    found = []
    for name, target in targets_of(schedule, one, used.float(), shift):
        with contextlib.suppress(CallFailed, CannotCall):
            if abs(one.again(target)) < 1e-6 * float(one.value.abs()):
                found.append(name)
    return found


def said(
    piece: Piece, one: LossCall, target: str, distance: str, shift: int, notes: list[str],
    sampler_predicts: str, zero: Sequence[str],
) -> Finding:  # fmt: skip
    """What to say of a loss."""
    if target in ("x_t", "fresh"):
        name = {"x_t": "target_x_t", "fresh": "fresh_target"}[target]
        return as_mistake(piece, TRAINING, name)
    if distance in ("root", "squared_mean"):
        return as_mistake(piece, TRAINING, distance)
    if target == "x_0" and sampler_predicts == "noise":
        return as_mistake(piece, TRAINING, "target_x_0")
    if target in ("noise", "x_0", "v") and not one.has_gradient:
        return as_mistake(piece, TRAINING, "detached")
    if target == "" and zero:
        target, distance = zero[0], "weighted"
    if target == "":
        ratio = float(one.value)
        says = (
            f"The loss, {ratio:.4g} in this trial, is no mean of squared errors of the noise, of "
            "x_0 or of v. Is it weighted?"
        )
        return Finding("loss", piece.name, "differs", says, piece.line, exercise=TRAINING)
    if target in WRONG_TARGETS:
        says = WRONG_TARGETS[target]
        number = V if target.endswith("v") else TRAINING
        return Finding("loss", piece.name, "differs", says, piece.line, exercise=number)
    notes = [*notes, *([OTHERS[distance]] if distance in OTHERS else [])]
    words = {"noise": "ε", "x_0": "x_0", "v": "v"}[target]
    first = f"the network is trained to predict {words}"
    if target != "noise" and not sampler_predicts:
        first += f"; your sampler has to take its answer for {words}"
    if sampler_predicts and sampler_predicts != target:
        other = {"noise": "ε", "x_0": "x_0", "v": "v"}[sampler_predicts]
        says = (
            f"The network is trained to predict {words}, and the reverse step takes it for {other}."
        )
        return Finding("loss", piece.name, "differs", says, piece.line, exercise=TRAINING)
    return Finding(
        "loss", piece.name, "right", "It is right.", piece.line, exercise=TRAINING,
        notes=(first, *notes), shift=shift,
    )  # fmt: skip
