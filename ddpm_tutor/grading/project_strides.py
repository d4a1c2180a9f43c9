"""A sampling loop in somebody's project that leaves steps out, or takes all as DDIM does."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from ddpm_tutor.grading.project_arguments import Piece
from ddpm_tutor.grading.project_ddim import judge_strides
from ddpm_tutor.grading.project_steps import said_of_ddim
from ddpm_tutor.grading.project_verdict import Finding
from ddpm_tutor.grading.project_watching import Watched, transitions
from ddpm_tutor.science.schedule import Schedule

NEAR = 0.02  # a t that the network is told is a whole number but for so much


def judged_strides(
    piece: Piece, schedule: Schedule, watched: Watched, predicts: str, eta: float | None
) -> tuple[Finding, float]:
    """What to say of a loop by steps of any length; and by what t is multiplied before the network
    is told.
    """
    told = watched.told
    judged = [
        (verdict, at, shift, scale)
        for at, shift, scale in ways_to_count(piece, schedule, told)
        for way in ("after", "before")
        if (verdict := judge_strides(
            schedule, transitions(watched, at, way), predicts, eta, shift
        ))
    ]  # fmt: skip
    if not judged:
        says = (
            f"It takes {len(told)} of {schedule.T} steps, and its network is told no t that fits "
            "them: its steps were not tried."
        )
        return Finding("sampler", piece.name, "not called", says, piece.line), 1.0
    best = max(judged, key=lambda one: (one[0].is_right, bool(one[0].mistake)))
    verdict, at, shift, scale = best
    found = said_of_ddim(piece, verdict, predicts, shift)
    return with_count(found, schedule, at, scale), scale


def with_count(found: Finding, schedule: Schedule, at: Sequence[int], scale: float) -> Finding:
    """A finding on a right loop, with the steps that it takes."""
    if found.state != "right" or found.shift is None:
        return found
    first, last = at[0] - found.shift, at[-1] - found.shift
    said = f"{len(at)} of {schedule.T} steps, from t = {first} to {last}"
    notes = (f"{said}; {found.notes[0]}", *found.notes[1:])
    if scale != 1:
        notes = (*notes, f"The network is told t / {round(1 / scale)}.")
    return replace(found, notes=notes)


def ways_to_count(
    piece: Piece, schedule: Schedule, told: Sequence[float]
) -> Iterator[tuple[list[int], int, float]]:
    """The paper's t of each question to a network that is told t or t / T, from 0 or from 1; that
    less the project's t; and by what this is multiplied.
    """
    own = piece.place.schedule
    assert own is not None
    T = schedule.T
    parts = max(told) <= 1 and any(abs(value - round(value)) > NEAR for value in told)
    for scale in (1 / T, 1 / (T - 1), 1 / (T + 1)) if parts else (1.0,):
        plain = [value / scale for value in told]
        if any(abs(value - round(value)) > NEAR for value in plain):
            continue
        for shift in (own.shift, 1 - own.shift):
            at = [round(value) + shift for value in plain]
            falls = all(a > b for a, b in pairwise(at))
            if falls and at[-1] >= 1 and at[0] <= T:
                yield at, shift, scale
