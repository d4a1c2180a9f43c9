"""The sampling loop in somebody's project, watched: what it asks the network, when, and what for.

The loop is run once, whole. Each question to the network shows x_t and the t that the network is
told; the question after it shows what the loop has made of the answer. So every step is seen, also
where the loop is written out in one function.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise, product

import torch
from torch import Tensor

from ddpm_tutor.grading.coefficients import Probe, fit
from ddpm_tutor.grading.project_calls import (
    Called,
    CallFailed,
    Form,
    as_images,
    call,
    noise,
    pictures,
)
from ddpm_tutor.grading.project_files import Project, TookTooLong
from ddpm_tutor.grading.project_parts import CannotCall, Piece
from ddpm_tutor.grading.project_steps import (
    PREDICTS,
    STEP,
    Match,
    Transition,
    answer_for,
    conventions,
    eps_of,
    matched,
    mean_of,
    said_of_steps,
)
from ddpm_tutor.grading.project_trials import (
    exercise_of,
    no_schedule,
    not_called,
    of_failure,
    own_taken,
)
from ddpm_tutor.grading.project_verdict import Finding
from ddpm_tutor.grading.recorded_chance import Asked, Event, Normal, tensor_of
from ddpm_tutor.science.schedule import Schedule

LOOP, GUIDANCE = 9, 14  # the exercises that ask for them
COUNT = 2  # pictures that are drawn
LOOP_SECONDS = 10.0
SEEN = 12  # steps that are looked at
WEIGHT = 3.0  # the guidance that is asked for


@dataclass(frozen=True)
class Question:
    """A question to the network, with what was drawn before it and after it."""

    asked: Asked
    before: Tensor | None
    after: Tensor | None
    all: tuple[Asked, ...]  # this question, and those about the same x_t


@dataclass(frozen=True)
class Watched:
    """A loop that has been run."""

    questions: list[Question]
    last: Tensor | None  # what it has returned
    start: Tensor | None  # the noise that was drawn first

    @property
    def told(self) -> list[float]:
        """The t that the network was told, step by step."""
        return [float(q.asked.told[0]) if len(q.asked.told) else -1.0 for q in self.questions]


@dataclass(frozen=True)
class Loop:
    """What a loop does."""

    shift: int | None = None  # the paper's t is what the network is told plus this
    scaled: bool = False  # the network is told t / T
    match: Match | None = None
    guidance: Finding | None = None  # what was found of the guidance in it


def try_sampler(
    piece: Piece, project: Project, step: Finding | None, step_match: Match | None
) -> tuple[Finding, Loop]:
    """How a project's sampling loop does.

    Args:
        step: what was found of the function that takes one step, if there is one.
        step_match: what that does, where it is known.
    """
    own = piece.place.schedule
    nothing = Loop()
    if own is None:
        return no_schedule(piece), nothing
    schedule = own_taken(piece)
    kinds = [step_match.predicts] if step_match else list(PREDICTS)
    best: tuple[Finding, Loop] | None = None
    for predicts in kinds:
        try:
            watched = watch(piece, schedule, predicts)
        except CannotCall as error:
            return not_called(piece, error), nothing
        except CallFailed as failed:
            return of_failure(piece, failed.error, None, project), nothing
        if len(watched.questions) < 2:
            says = "It asks no network that could be put in the place of yours."
            return Finding("sampler", piece.name, "not called", says, piece.line), nothing
        found, loop = judged(piece, schedule, watched, predicts, step)
        if guidance := guidance_in(piece, schedule, watched, predicts):
            loop = replace(loop, guidance=guidance)
            if guidance.is_fault and found.is_fault:
                says = "Its guidance is to be mended first."
                found = Finding("sampler", piece.name, "not called", says, piece.line)
        if found.state == "right":
            return found, loop
        best = best or (found, loop)
    assert best is not None
    return best


def guidance_in(
    piece: Piece, schedule: Schedule, watched: Watched, predicts: str
) -> Finding | None:
    """How a loop weighs the answers with and without the label; None where it asks for one alone,
    or where that cannot be seen.
    """
    twice = len(watched.questions[0].asked.x) == 2 * COUNT or len(watched.questions[0].all) == 2
    if not twice or predicts != "noise":
        return None
    try:
        apart = watch(piece, schedule, predicts, apart=0.3)
    except (CallFailed, CannotCall):
        return None
    ends = {schedule.T, len(apart.questions)}
    for way in ("after", "before"):
        for k in (len(apart.questions) // 2, len(apart.questions) // 3):
            found = [weights(schedule, apart, k, end - k, way) for end in ends]
            for pair in found:
                if pair is not None:
                    return said_of_weights(piece, *pair)
    return None


def try_guidance(piece: Piece, project: Project) -> Finding:
    """How a function that weighs the answers with and without the label does."""
    place = piece.place
    network, form = place.network, Form((place.channels, place.size, place.size), "each")
    assert network is not None
    labelled, without = noise(form, 1, COUNT), noise(form, 2, COUNT)

    def answer(x: Tensor, told: Tensor, others: tuple[object, ...]) -> Tensor:
        rows = [(labelled if is_labelled(others, i) else without)[i % COUNT] for i in range(len(x))]
        return torch.stack(rows)

    network.answer = answer
    supply = {
        "model": network, "x_t": noise(form, 3, COUNT), "t": torch.full((COUNT,), 5),
        "labels": torch.arange(COUNT), "null_label": 10, "guidance": WEIGHT,
    }  # fmt: skip
    try:
        done = call(piece, supply, form)
    except CannotCall as error:
        return not_called(piece, error)
    except CallFailed as failed:
        return of_failure(piece, failed.error, None, project)
    result = next((r for r in done.results if r.shape == labelled.shape), None)
    inputs = {"with": labelled.double(), "without": without.double()}
    found = None if result is None else fit(Probe(result.double(), inputs, [""] * COUNT))
    if found is None:
        says = "What it gives is no sum of the two answers, each times a number."
        return Finding("guidance", piece.name, "differs", says, piece.line, exercise=GUIDANCE)
    return said_of_weights(piece, *(float(found[name].mean()) for name in inputs))


def weights(
    schedule: Schedule, watched: Watched, k: int, s: int, way: str
) -> tuple[float, float] | None:
    """By what step k, at the paper's t = s, multiplies the answer with the label, and that without;
    None where it is not linear in them.
    """
    question, after = watched.questions[k], watched.questions[k + 1].asked
    rows = [
        (is_labelled(one.others, i), one.answer.detach()[i])
        for one in question.all
        for i in range(len(one.answer))
    ]
    labelled = [row for is_with, row in rows if is_with][:COUNT]
    without = [row for is_with, row in rows if not is_with][:COUNT]
    z = question.after if way == "after" else question.before
    if len(labelled) < COUNT or len(without) < COUNT or z is None:
        return None
    inputs = {
        "with": torch.stack(labelled), "without": torch.stack(without),
        "x_t": question.asked.x[:COUNT], "z": z[:COUNT],
    }  # fmt: skip
    images = {name: as_images(value).double() for name, value in inputs.items()}
    found = fit(Probe(as_images(after.x[:COUNT]).double(), images, [""] * COUNT))
    if found is None:
        return None
    beta, alpha, bar = schedule.beta[s], schedule.alpha[s], schedule.alpha_bar[s]
    size = float(-beta / ((1 - bar).sqrt() * alpha.sqrt()))
    return float(found["with"].mean()) / size, float(found["without"].mean()) / size


def said_of_weights(piece: Piece, labelled: float, without: float) -> Finding:
    """What to say of the weights of the two answers, where `WEIGHT` was asked for."""
    w = WEIGHT
    known = {
        (w, 1 - w): ("right", "with guidance w = 1 it is the answer with the label alone"),
        (1 + w, -w): ("right", "w counts as in Ho and Salimans: w = 0 is the label alone"),
        (1 - w, w): ("mistake", "guidance_swapped"),
        (-w, 1 + w): ("mistake", "guidance_swapped"),
        (w, -w): ("mistake", "only_the_difference"),
        (w, 0.0): ("mistake", "only_scaled"),
        (w, 1.0): ("mistake", "not_subtracted"),
        (w, 1 + w): ("mistake", "plus"),
        (1.0, 0.0): ("mistake", "unguided"),
        (0.0, 1.0): ("mistake", "unconditional"),
        (0.5, 0.5): ("mistake", "mean_of_both"),
    }
    numbers = (
        f"With w = {w:g} it takes {labelled:.3g} times the answer with the label, and "
        f"{without:.3g} times that without."
    )
    for pair, (state, words) in known.items():
        if max(abs(labelled - pair[0]), abs(without - pair[1])) < 0.03:
            if state == "right":
                return Finding(
                    "guidance", piece.name, "right", "It is right.", piece.line,
                    exercise=GUIDANCE, notes=(words,),
                )  # fmt: skip
            mistake = exercise_of(GUIDANCE).mistake(words)
            return Finding(
                "guidance", piece.name, "mistake", mistake.what, piece.line, words, GUIDANCE,
                mistake.leads_to, numbers,
            )  # fmt: skip
    says = f"{numbers} {w:g} and {1 - w:g} belong there."
    return Finding("guidance", piece.name, "differs", says, piece.line, exercise=GUIDANCE)


def watch(piece: Piece, schedule: Schedule, predicts: str, apart: float = 0.0) -> Watched:
    """Runs the loop.

    Args:
        apart: how far from each other the network's answers with and without the label are.

    Raises:
        CannotCall, CallFailed: it cannot be run.
    """
    place = piece.place
    network = place.network
    assert network is not None
    own = place.schedule
    assert own is not None
    first: CallFailed | None = None
    usual = (place.channels, place.size, place.size)
    for shape in dict.fromkeys([usual, (3, place.size, place.size), (2,)]):
        form = Form(shape, "each")
        network.answer = partial(answer_of, schedule, own.shift, predicts, apart)
        start = torch.randn((COUNT, *shape), generator=torch.Generator().manual_seed(9))
        supply = {
            "model": network, "shape": (COUNT, *shape), "count": COUNT, "channels": shape[0],
            "labels": torch.arange(COUNT), "guidance": WEIGHT, "T": own.schedule.T, "x_T": start,
        }  # fmt: skip
        for order, size in product(range(2), (place.size, shape)):
            supply["size"] = size
            try:
                done = call(piece, supply, form, seed=5, order=order, seconds=LOOP_SECONDS)
                return as_watched(done)
            except CallFailed as failed:
                first = first or failed
                if isinstance(failed.error, TookTooLong):
                    raise
            except CannotCall:
                if order == 0:
                    raise
                break
    assert first is not None
    raise first


def answer_of(
    schedule: Schedule, shift: int, predicts: str, apart: float, x: Tensor, told: Tensor,
    others: tuple[object, ...],
) -> Tensor:  # fmt: skip
    """What a network that knows x_0 answers; without the label it says something else, so far
    apart.
    """
    s = step_told(told, schedule.T, shift)
    x_0 = pictures(Form(tuple(x.shape[1:]), "each"), 3, COUNT)
    x_0 = x_0.repeat(-(-len(x) // COUNT), *[1] * (x.ndim - 1))[: len(x)].to(x.dtype)
    found = answer_for(schedule, s, x, x_0, predicts)
    if not apart:
        return found
    without = ~torch.tensor([is_labelled(others, i) for i in range(len(x))])
    return found + apart * without.view(-1, *[1] * (x.ndim - 1)) * x_0.flip(-1)


def is_labelled(others: tuple[object, ...], i: int) -> bool:
    """Whether the network is told the label of picture `i`: the one that was asked for, and no
    mask that hides it.
    """
    rows = [v.flatten() for other in others if (v := tensor_of(other)) is not None and v.numel()]
    if not rows:
        return False
    values = [float(row[i if len(row) > i else 0]) for row in rows]
    hidden = any(
        row.is_floating_point() and value == 1 for row, value in zip(rows, values, strict=True)
    )
    if len(rows) > 1:
        return not hidden and not (not rows[-1].is_floating_point() and values[-1] == 1 and
                                   set(rows[-1].tolist()) <= {0, 1})  # fmt: skip
    return values[0] == i % COUNT


def step_told(told: Tensor, T: int, shift: int) -> int:
    """The paper's t that a network is told, more or less."""
    if not told.numel():
        return T
    value = float(told.flatten()[0])
    if told.is_floating_point() and 0 <= value <= 1 and value != int(value):
        value *= T
    return min(max(round(value) + shift, 1), T)


def as_watched(done: Called) -> Watched:
    """The questions of a loop, one for each step, with the noise that was drawn around them."""
    events: list[Event] = done.chance.events
    places = [i for i, event in enumerate(events) if isinstance(event, Asked)]
    merged = [
        i for k, i in enumerate(places)
        if k == 0 or not same_question(events[places[k - 1]], events[i])
    ]  # fmt: skip
    questions = []
    for k, i in enumerate(merged):
        asked = events[i]
        assert isinstance(asked, Asked)
        low = merged[k - 1] if k else -1
        high = merged[k + 1] if k + 1 < len(merged) else len(events)
        shape = asked.x.shape
        before, after = (
            [
                e.values
                for e in events[a:b]
                if isinstance(e, Normal) and e.values.shape[1:] == shape[1:]
            ]
            for a, b in ((low + 1, i), (i + 1, high))
        )
        if k == 0:
            before = before[1:]
        same = tuple(e for e in events[i:high] if isinstance(e, Asked))
        questions.append(
            Question(asked, before[-1] if before else None, after[-1] if after else None, same)
        )
    shape = questions[0].asked.x.shape if questions else torch.Size()
    last = [r for r in done.results if r.shape[1:] == shape[1:]]
    start = (
        next((e.values for e in events[: merged[0]] if isinstance(e, Normal)), None)
        if merged
        else None
    )
    return Watched(questions, last_of(last), start)


def last_of(results: Sequence[Tensor]) -> Tensor | None:
    """The drawn pictures among what was returned: of a list of moments the last one."""
    if not results:
        return None
    return results[-1] if len(results) > 4 else results[0]


def same_question(one: Event, other: Event) -> bool:
    """Whether the network is asked about one x_t twice, as with and without a label."""
    assert isinstance(one, Asked) and isinstance(other, Asked)
    return (
        one.x.shape == other.x.shape
        and torch.equal(one.x, other.x)
        and torch.equal(one.told, other.told)
        and len(one.told) > 0
        and one.others != ()
    )


# --- judging


def judged(
    piece: Piece, schedule: Schedule, watched: Watched, predicts: str, step: Finding | None
) -> tuple[Finding, Loop]:
    """What to say of a loop."""
    T, told = schedule.T, watched.told
    scale = scale_of(told)
    plain = [round(value * scale) for value in told]
    notes = [] if scale == 1 else [f"The network is told t / {scale}."]
    count = len(watched.questions)
    loop = Loop(scaled=bool(notes))
    if wrong := wrong_order(piece, watched, plain, T):
        return wrong, loop
    if count < T - 1:
        says = f"It takes {count} of {T} steps: its steps were not tried."
        return Finding("sampler", piece.name, "not called", says, piece.line), loop
    if count > T:
        says = f"It asks the network at {count} moments; the schedule has {T} steps."
        return Finding("sampler", piece.name, "differs", says, piece.line, exercise=LOOP), loop
    ends = [T] if count == T else [T, T - 1]  # the paper's t of the first step
    best: tuple[Sequence[Transition], int, Match | None] | None = None
    for end in ends:
        shift = end - plain[0]
        for way in ("after", "before"):
            steps = transitions(watched, end, way)
            lowest = end - count + 1
            match = matched(schedule, steps, predicts, shift, lowest)
            if match and match.is_right:
                if grain_in_bytes(schedule, watched, match, end, way):
                    return mistake_of_step(piece, "last_noise"), loop
                return right(piece, watched, match, plain, notes)
            if best is None or (match and not best[2]):
                best = steps, shift, match
    assert best is not None
    seen, shift, match = best
    loop = replace(loop, shift=shift, match=match)
    if step is not None and step.is_fault:
        says = f"Its steps are those of {step.name}, which is to be mended first."
        return Finding("sampler", piece.name, "not called", says, piece.line), loop
    if missing := no_fresh_noise(piece, watched, step):
        return missing, loop
    return said_of_steps(piece, schedule, seen, match, predicts, shift), loop


def grain_in_bytes(schedule: Schedule, watched: Watched, match: Match, end: int, way: str) -> bool:
    """Whether the last step has added noise to pictures that come back as bytes."""
    last, question = watched.last, watched.questions[-1]
    x, z = question.asked.x, question.after if way == "after" else question.before
    if last is None or last.dtype != torch.uint8 or z is None or last.shape != x.shape:
        return False
    s = end - len(watched.questions) + 1
    x_t, out, z = (as_images(v).float() for v in (x, question.asked.answer.detach(), z))
    one = Transition(s, x_t, out, z, as_images(last).float() / 127.5 - 1)
    mean = mean_of((0, ""), schedule, one, eps_of(schedule, one, match.predicts))
    rest = (one.x_next - mean).flatten()
    grain = (rest * z.flatten().double()).mean() / z.double().square().mean()
    return float(grain) > 0.5 * float(schedule.beta[s].sqrt()) > 1e-3


def mistake_of_step(piece: Piece, name: str) -> Finding:
    """A known mistake in a step."""
    mistake = exercise_of(STEP).mistake(name)
    return Finding(
        "sampler", piece.name, "mistake", mistake.what, piece.line, name, STEP, mistake.leads_to
    )


def scale_of(told: Sequence[float]) -> int:
    """By what t is divided before the network is told; 1 where it is not."""
    step = abs(told[0] - told[1])
    return round(1 / step) if 0 < step < 0.5 and max(told) <= 1.01 else 1


def right(
    piece: Piece, watched: Watched, match: Match, plain: Sequence[int], notes: Sequence[str]
) -> tuple[Finding, Loop]:
    """What to say of a loop whose steps are right."""
    said = f"{len(plain)} steps, told t from {plain[0]} to {plain[-1]}"
    found = Finding(
        "sampler", piece.name, "right", "It is right.", piece.line, exercise=LOOP,
        notes=(f"{said}; {conventions(match)}", *notes, *notes_of_start(watched)),
        shift=match.shift,
    )  # fmt: skip
    return found, Loop(match.shift, bool(notes), match)


def notes_of_start(watched: Watched) -> list[str]:
    """What is to be said of the x_T that a loop starts from."""
    x = watched.questions[0].asked.x
    if x.numel() < 100:
        return []
    std, mean = float(x.std()), float(x.mean())
    if abs(std - 1) < 0.25 and abs(mean) < 0.35:
        return []
    return [f"It starts from an x_T with mean {mean:.2g} and std {std:.2g}; N(0, I) belongs there."]


def wrong_order(piece: Piece, watched: Watched, plain: Sequence[int], T: int) -> Finding | None:
    """What is wrong with the order of the steps, or with what the network is shown or told."""
    xs = [q.asked.x for q in watched.questions]
    if len({len(q.asked.told) for q in watched.questions}) == 1 and not len(
        watched.questions[0].asked.told
    ):
        says = "The network is not told t."
        return Finding("sampler", piece.name, "differs", says, piece.line, exercise=LOOP)
    if len(plain) > 2 and all(torch.equal(xs[0], x) for x in xs[1:]):
        same = watched.last is not None and watched.last.shape == xs[0].shape
        kept = same and torch.allclose(watched.last.float(), xs[0])  # type: ignore[union-attr]
        return mistake_of_loop(piece, "not_kept" if kept else "always_x_T")
    if len(set(plain)) == 1:
        return mistake_of_loop(
            piece, "always_T", f"It is told t = {plain[0]} in each of {len(plain)} steps."
        )
    if all(b > a for a, b in pairwise(plain)):
        return mistake_of_loop(
            piece, "upwards", f"The network is told t = {plain[0]}, {plain[1]}, ..., {plain[-1]}."
        )
    if len(plain) >= T - 1 and any(a - b != 1 for a, b in pairwise(plain)):
        says = f"The t that the network is told do not fall one by one: {plain[:4]} ..."
        return Finding("sampler", piece.name, "differs", says, piece.line, exercise=LOOP)
    return None


def mistake_of_loop(piece: Piece, name: str, numbers: str = "") -> Finding:
    """A known mistake of the exercise."""
    mistake = exercise_of(LOOP).mistake(name)
    return Finding(
        "sampler", piece.name, "mistake", mistake.what, piece.line, name, LOOP,
        mistake.leads_to, numbers,
    )  # fmt: skip


def no_fresh_noise(piece: Piece, watched: Watched, step: Finding | None) -> Finding | None:
    """Whether a loop draws no noise in its steps, or only once."""
    drawn = [q for q in watched.questions if q.before is not None or q.after is not None]
    if not drawn and step is None:
        return None  # the steps themselves tell
    if len(drawn) == 1 and len(watched.questions) > 4:
        return mistake_of_loop(piece, "one_z")
    return None


def transitions(watched: Watched, end: int, way: str) -> list[Transition]:
    """The steps that were taken, those at both ends and some between; the first is at t = end."""
    questions = watched.questions
    count = len(questions)
    picked = sorted(
        {0, 1, *range(0, count, max(1, count // SEEN)), count - 3, count - 2} & set(range(count))
    )
    found = []
    for k in picked:
        asked = questions[k].asked
        z = questions[k].after if way == "after" else questions[k].before
        if k + 1 < count:
            x_next = questions[k + 1].asked.x
        else:
            continue
        n = min(len(asked.x), len(x_next))
        x_t, out, x_next = asked.x[:COUNT], asked.answer.detach()[:COUNT], x_next[:COUNT]
        if n < COUNT or not bool(x_next.isfinite().all()) or x_next.abs().max() > 1e4:
            continue
        z = torch.zeros_like(x_t) if z is None else z[:COUNT].float()
        found.append(Transition(end - k, *(as_images(v).float() for v in (x_t, out, z, x_next))))
    if last := last_transition(watched, end, way):
        found.append(last)
    return found


def last_transition(watched: Watched, end: int, way: str) -> Transition | None:
    """The last step, where the pictures come back as they were made, or scaled for a screen."""
    question, last = watched.questions[-1], watched.last
    asked = question.asked
    if last is None or last.shape[1:] != asked.x.shape[1:] or len(last) < COUNT:
        return None
    x = last[:COUNT].float()
    if not last.is_floating_point():
        return None  # bytes have lost what is to be seen
    z = question.after if way == "after" else question.before
    z = torch.zeros_like(x) if z is None else z[:COUNT].float()
    s = end - len(watched.questions) + 1
    if float(x.min()) >= 0 and float(asked.x.min()) < -0.3:
        x = 2 * x - 1
    return Transition(
        s, *(as_images(v).float() for v in (asked.x[:COUNT], asked.answer.detach()[:COUNT], z, x))
    )
