"""The sampling loop in somebody's project, watched: what it asks the network, when, and what for.

The loop is run once, whole. Each question to the network shows x_t and the t that the network is
told; the question after it shows what the loop has made of the answer. So every step is seen, also
where the loop is written out in one function.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from ddpm_tutor.grading.project_arguments import CannotCall, Piece
from ddpm_tutor.grading.project_calls import (
    CallFailed,
    as_images,
)
from ddpm_tutor.grading.project_files import Project
from ddpm_tutor.grading.project_guidance import guidance_in
from ddpm_tutor.grading.project_match import (
    PREDICTS,
    STEP,
    Match,
    Transition,
    eps_of,
    matched,
    mean_of,
)
from ddpm_tutor.grading.project_names import is_ddim
from ddpm_tutor.grading.project_steps import (
    conventions,
    etas_of,
    said_of_steps,
)
from ddpm_tutor.grading.project_strides import judged_strides
from ddpm_tutor.grading.project_trials import (
    exercise_of,
    no_schedule,
    not_called,
    of_failure,
    own_taken,
)
from ddpm_tutor.grading.project_verdict import Finding
from ddpm_tutor.grading.project_watching import (
    Watched,
    transitions,
    watch,
)
from ddpm_tutor.science.schedule import Schedule

LOOP = 9  # the exercise that asks for it
LATE = "It starts one step late: the step with the most noise is left out."


@dataclass(frozen=True)
class Loop:
    """What a loop does."""

    shift: int | None = None  # the paper's t is what the network is told plus this
    scale: float = 1.0  # by what t is multiplied before the network is told
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
    found_all: list[tuple[Finding, Loop]] = []
    for predicts in kinds:
        of_kind = []
        for eta in etas_of(piece):
            try:
                watched = watch(piece, schedule, predicts, eta=eta)
            except CannotCall as error:
                return not_called(piece, error), nothing
            except CallFailed as failed:
                return of_failure(piece, failed.error, None, project), nothing
            if len(watched.questions) < 2:
                says = "It asks no network that could be put in the place of yours."
                return Finding("sampler", piece.name, "not called", says, piece.line), nothing
            of_kind.append(with_guidance(piece, schedule, watched, predicts, step, eta))
        if all(found.state == "right" for found, _ in of_kind):
            return of_kind[0]
        found_all += [one for one in of_kind if one[0].state != "right"]
    first = found_all[0]
    named = (one for one in found_all if one[0].state == "mistake")
    return next(named, first) if first[0].state == "differs" else first


def with_guidance(
    piece: Piece, schedule: Schedule, watched: Watched, predicts: str, step: Finding | None,
    eta: float | None,
) -> tuple[Finding, Loop]:  # fmt: skip
    """What to say of a loop, and of the guidance in it."""
    found, loop = judged(piece, schedule, watched, predicts, step, eta)
    if guidance := guidance_in(piece, schedule, watched, predicts):
        loop = replace(loop, guidance=guidance)
        if guidance.is_fault and found.is_fault:
            says = "Its guidance is to be mended first."
            found = Finding("sampler", piece.name, "not called", says, piece.line)
    return found, loop


# --- judging


def judged(
    piece: Piece, schedule: Schedule, watched: Watched, predicts: str, step: Finding | None,
    eta: float | None,
) -> tuple[Finding, Loop]:  # fmt: skip
    """What to say of a loop."""
    T, told = schedule.T, watched.told
    count = len(watched.questions)
    plain, notes, each = as_counted(told, T)
    loop = Loop(scale=each)
    if wrong := wrong_order(piece, watched, plain, T):
        return wrong, loop
    if count < T - 1 or is_ddim(piece.name):
        found, loop = by_strides(piece, schedule, watched, predicts, eta)
        if found.is_fault and step is not None and step.is_fault and (
            found.state == "differs" or found.mistake == step.mistake
        ):  # fmt: skip
            return to_be_mended(piece, step), loop
        if count < T - 1 or found.state in ("right", "mistake"):
            return found, loop
    if count > T:
        says = f"It asks the network at {count} moments; the schedule has {T} steps."
        return Finding("sampler", piece.name, "differs", says, piece.line, exercise=LOOP), loop
    ends = [T] if count == T else [T, T - 1]  # the paper's t of the first step
    best: tuple[Sequence[Transition], int, Match | None] | None = None
    for end in ends:
        shift = end - plain[0]
        for way in ("after", "before"):
            steps = transitions(watched, range(end, end - count, -1), way)
            lowest = end - count + 1
            match = matched(schedule, steps, predicts, shift, lowest)
            if match and match.is_right:
                if grain_in_bytes(schedule, watched, match, end, way):
                    return mistake_of_step(piece, "last_noise"), loop
                if shift > 1 and not notes:
                    return mistake_of_loop(piece, "told_one_less"), loop
                notes += [LATE] if end < T else []
                return right(piece, watched, match, plain, notes, each)
            if best is None or (match and not best[2]):
                best = steps, shift, match
    found, other = by_strides(piece, schedule, watched, predicts, eta)
    if found.state == "right":
        return found, other
    assert best is not None
    seen, shift, match = best
    loop = replace(loop, shift=shift, match=match)
    if step is not None and step.is_fault:
        return to_be_mended(piece, step), loop
    if missing := no_fresh_noise(piece, watched, step):
        return missing, loop
    return said_of_steps(piece, schedule, seen, match, predicts, shift), loop


def to_be_mended(piece: Piece, step: Finding) -> Finding:
    """Of a loop whose step is wrong."""
    says = f"Its steps are those of {step.name}, which is to be mended first."
    return Finding("sampler", piece.name, "not called", says, piece.line)


def as_counted(told: Sequence[float], T: int) -> tuple[list[int], list[str], float]:
    """The t of each step as whole numbers, what is to be said of how the network is told it, and by
    what it is multiplied for that.
    """
    count = len(told)
    each = step_between(told) if count >= T - 1 else 1.0
    plain = [round(value / each) for value in told]
    scaled = f"t / {round(1 / each)}" if each < 0.5 else f"{each:g} t"
    notes = [] if each == 1 else [f"The network is told {scaled}."]
    if is_noise_level(told):
        plain = list(range(count - 1, -1, -1))
        notes = ["The network is told no t, but another measure of the noise, such as log SNR."]
    elif count < T - 1 and max(told) <= 1:
        plain = [round(value * T) for value in told]
    return plain, notes, each


def by_strides(
    piece: Piece, schedule: Schedule, watched: Watched, predicts: str, eta: float | None
) -> tuple[Finding, Loop]:
    """What to say of a loop that leaves steps out, or takes all of them as DDIM does."""
    found, scale = judged_strides(piece, schedule, watched, predicts, eta)
    if found.state != "right" or found.shift is None:
        return found, Loop(scale=scale)
    loop = Loop(found.shift, scale, Match((0, ""), "η", predicts, found.shift, 1))
    if wrong := wrong_start(watched):
        found = replace(found, state="differs", says=wrong, notes=())
    return found, loop


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


def step_between(told: Sequence[float]) -> float:
    """By what t is multiplied before the network is told; 1 where it is not."""
    steps = [a - b for a, b in pairwise(told)]
    even = max(steps) - min(steps) < 1e-3 * abs(steps[0])
    # where t rises, or stays, that is another matter
    return steps[0] if even and steps[0] > 0 and abs(steps[0] - 1) > 1e-3 else 1.0


def is_noise_level(told: Sequence[float]) -> bool:
    """Whether what the network is told goes one way, unevenly, and is no whole number."""
    steps = [a - b for a, b in pairwise(told)]
    uneven = max(steps) - min(steps) > 1e-3 * abs(steps[0])
    return uneven and min(steps) * max(steps) > 0 and any(value != round(value) for value in told)


def right(
    piece: Piece, watched: Watched, match: Match, plain: Sequence[int], notes: Sequence[str],
    scale: float,
) -> tuple[Finding, Loop]:  # fmt: skip
    """What to say of a loop whose steps are right."""
    said = f"{len(plain)} steps, told t from {plain[0]} to {plain[-1]}"
    loop = Loop(match.shift, scale, match)
    if wrong := wrong_start(watched):
        return Finding("sampler", piece.name, "differs", wrong, piece.line, exercise=LOOP), loop
    found = Finding(
        "sampler", piece.name, "right", "It is right.", piece.line, exercise=LOOP,
        notes=(f"{said}; {conventions(match)}", *notes), shift=match.shift,
    )  # fmt: skip
    return found, loop


def wrong_start(watched: Watched) -> str:
    """What is wrong with the x_T that a loop starts from; "" where it is as it should be."""
    x = watched.questions[0].asked.x
    if x.numel() < 100:
        return ""  # chance
    std, mean = float(x.std()), float(x.mean())
    if abs(std - 1) < 0.25 and abs(mean) < 0.35:
        return ""
    return (
        f"It starts from an x_T with mean {mean:.2g} and std {std:.2g}; noise from N(0, I), "
        "torch.randn, belongs there."
    )


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
