"""Classifier-free guidance in somebody's project: how the two answers are weighed."""

import torch
from torch import Tensor

from ddpm_tutor.grading.coefficients import Probe, fit
from ddpm_tutor.grading.project_arguments import CannotCall, Piece
from ddpm_tutor.grading.project_calls import (
    CallFailed,
    Form,
    as_images,
    call,
    noise,
)
from ddpm_tutor.grading.project_files import Project
from ddpm_tutor.grading.project_trials import (
    exercise_of,
    not_called,
    of_failure,
)
from ddpm_tutor.grading.project_verdict import Finding
from ddpm_tutor.grading.project_watching import COUNT, WEIGHT, Watched, is_labelled, watch
from ddpm_tutor.science.schedule import Schedule

GUIDANCE = 14  # the exercise that asks for it


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
    w, total = WEIGHT, labelled + without
    right = [(w, 1 - w), (1 + w, -w)]
    for pair in right if abs(total) > 0.1 else ():
        # the whole may be another, as where its sign is wrong: that is for the steps to tell
        if max(abs(labelled / total - pair[0]), abs(without / total - pair[1])) < 0.03:
            labelled, without = labelled / total, without / total
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
        (1 + w, w): ("added", "The two answers are added. The one without the label is to be "
                     "subtracted: (1 + w) times that with it, minus w times that without."),
        (w, w - 1): ("added", "The two answers are added. The one without the label is to be "
                     "subtracted: w times that with it, minus w - 1 times that without."),
    }  # fmt: skip
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
            if state == "added":
                return Finding(
                    "guidance", piece.name, "mistake", words, piece.line, "plus", GUIDANCE,
                    exercise_of(GUIDANCE).mistake("plus").leads_to, numbers,
                )  # fmt: skip
            mistake = exercise_of(GUIDANCE).mistake(words)
            return Finding(
                "guidance", piece.name, "mistake", mistake.what, piece.line, words, GUIDANCE,
                mistake.leads_to, numbers,
            )  # fmt: skip
    says = f"{numbers} {w:g} and {1 - w:g} belong there."
    return Finding("guidance", piece.name, "differs", says, piece.line, exercise=GUIDANCE)
