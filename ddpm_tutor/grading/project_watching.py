"""A sampling loop is run once, and all that it asks its network is noted, with what it draws."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch
from torch import Tensor

from ddpm_tutor.grading.project_arguments import Piece
from ddpm_tutor.grading.project_calls import (
    Called,
    Form,
    as_images,
    as_it_answers,
    call,
    first_that_works,
    pictures,
)
from ddpm_tutor.grading.project_match import Transition, answer_for
from ddpm_tutor.grading.project_names import is_ddim
from ddpm_tutor.grading.recorded_chance import Asked, Event, Normal, tensor_of
from ddpm_tutor.science.schedule import Schedule

COUNT = 10  # pictures that are drawn: one of each class, which some code takes for granted
LOOP_SECONDS = 10.0
WEIGHT = 3.0  # the guidance that is asked for
SEEN = 12  # steps that are looked at
FEW, MIN_FEW = 20, 4  # of so many steps a loop that skips takes one, and no fewer than these


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


def watch(
    piece: Piece, schedule: Schedule, predicts: str, apart: float = 0.0, eta: float | None = None
) -> Watched:
    """Runs the loop.

    Args:
        apart: how far from each other the network's answers with and without the label are.
        eta: the η of DDIM that is asked for, where it can be.

    Raises:
        CannotCall, CallFailed: it cannot be run.
    """
    place = piece.place
    network = place.network
    assert network is not None
    own = place.schedule
    assert own is not None
    usual = (place.channels, place.size, place.size)
    T = own.schedule.T
    few = max(MIN_FEW, T // FEW)  # steps that are asked for, of a loop that skips some

    def attempt(shape: tuple[int, ...], way: tuple[int, bool]) -> Watched:
        order, is_whole = way  # whether the size that is asked for is that of a whole picture
        form = Form(shape, "each")
        network.t_at = None
        network.answer = partial(answer_of, schedule, own.shift, predicts, apart)
        start = torch.randn((COUNT, *shape), generator=torch.Generator().manual_seed(9))
        supply = {
            "model": network, "shape": (COUNT, *shape), "count": COUNT, "channels": shape[0],
            "labels": torch.arange(COUNT), "guidance": WEIGHT, "x_T": start,
            "T": few if is_ddim(piece.name) else T, "size": shape if is_whole else place.size,
            "eta": eta or 0.0, "few": few, "taken": list(range(0, T, T // few)),
        }  # fmt: skip
        done = call(piece, supply, form, seed=5, order=order, seconds=LOOP_SECONDS)
        if (at := where_t_is(done)) is not None:
            network.t_at = at
            done = call(piece, supply, form, seed=5, order=order, seconds=LOOP_SECONDS)
        return as_watched(done)

    shapes = dict.fromkeys([usual, (3, place.size, place.size), (2,)])
    orders = list(product(range(2), (False, True)))
    return as_it_answers(piece, lambda: first_that_works(shapes, orders, attempt))


def where_t_is(done: Called) -> int | None:
    """The place of what falls from step to step, where what was taken for t stays: a label may
    come before it.
    """
    asked = done.chance.asked()
    if len(asked) < 3 or any(not torch.equal(asked[0].told, one.told) for one in asked):
        return None
    for place in asked[0].numbers:
        rows = [one.numbers.get(place, torch.empty(0)) for one in asked]
        if all(len(row) for row in rows) and float(rows[0][0]) > float(rows[-1][0]):
            return place
    return None


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
    return Watched(questions, last_of(last, questions), start)


def last_of(results: Sequence[Tensor], questions: Sequence[Question]) -> Tensor | None:
    """The drawn pictures among what was returned: of a list of moments the last one. Moments that
    the network was asked about later are not the end.
    """
    asked = {bytes_of(question.asked.x) for question in questions}
    results = [result for result in results if bytes_of(result) not in asked] or results
    if not results:
        return None
    return results[-1] if len(results) > 4 else results[0]


def bytes_of(values: Tensor) -> bytes:
    """The numbers themselves, to find the same again among many."""
    return values.detach().double().cpu().numpy().tobytes()


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


def transitions(watched: Watched, at: Sequence[int], way: str) -> list[Transition]:
    """The steps that were taken, those at both ends and some between.

    Args:
        at: the paper's t of each question to the network.
        way: whether the noise is drawn "before" or "after" the network is asked.
    """
    questions = watched.questions
    count = len(questions)
    picked = sorted(
        {0, 1, *range(0, count, max(1, count // SEEN)), count - 3, count - 2} & set(range(count))
    )
    found = []
    for k in picked:
        if k + 1 == count:
            continue
        asked, x_next = questions[k].asked, questions[k + 1].asked.x[:COUNT]
        if min(len(asked.x), len(x_next)) < COUNT:
            continue
        if not bool(x_next.isfinite().all()) or x_next.abs().max() > 1e4:
            continue
        found.append(as_transition(at[k], questions[k], x_next, way, at[k + 1]))
    if last := last_transition(watched, at[-1], way):
        found.append(last)
    return found


def as_transition(s: int, question: Question, x_next: Tensor, way: str, to: int) -> Transition:
    """A step from the paper's t = s, of a whole batch."""
    asked = question.asked
    z = question.after if way == "after" else question.before
    z = torch.zeros_like(x_next) if z is None else z[:COUNT].float()
    x_t, out, z, x_next = (
        as_images(v).float() for v in (asked.x[:COUNT], asked.answer.detach()[:COUNT], z, x_next)
    )
    values = None if asked.values is None else as_images(asked.values[:COUNT]).float()
    return Transition(s, x_t, out, z, x_next, to, values)


def last_transition(watched: Watched, s: int, way: str) -> Transition | None:
    """The last step, from the paper's t = s, where the pictures come back as they were made, or
    scaled for a screen.
    """
    question, last = watched.questions[-1], watched.last
    asked = question.asked
    if last is None or last.shape[1:] != asked.x.shape[1:] or len(last) < COUNT:
        return None
    x = last[:COUNT].float()
    if not last.is_floating_point():
        return None  # bytes have lost what is to be seen
    if float(x.min()) >= 0 and float(asked.x.min()) < -0.3:
        x = 2 * x - 1
    return as_transition(s, question, x, way, 0)
