"""Does an exercise tell right from wrong? Its own code before the judge, for whoever wrote it.

The exercise is run here, in this process: it is the author's own.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ddpm_tutor.course.exercise import Code, Exercise
from ddpm_tutor.grading.judge import Trial, judge
from ddpm_tutor.grading.trials import in_a_line
from ddpm_tutor.grading.verdict import Verdict

MAX_SECONDS = 5.0  # of the check of a right answer


def wrong_verdicts(exercise: Exercise) -> Iterator[str]:
    """Which of the exercise's own versions get another verdict than they should, a line each."""
    try:
        faults = list(faults_of_check(exercise))
    except Exception as error:
        faults = [f"the cell `check` fails: {in_a_line(error)}"]
    if faults:
        yield from faults  # no verdict means anything
        return
    yield from faults_of_solution(exercise)
    if (found := judged(exercise, exercise.start)).kind != "gap":
        yield f"start: no gap is found, but {in_words(found)}"
    for number, hint in enumerate(exercise.hints, 1):
        if (found := judged(exercise, hint.code)).kind != "gap":
            yield f"hint {number}: no gap is found, but {in_words(found)}"
    for mistake in exercise.mistakes:
        if (found := judged(exercise, mistake.code)).mistake != mistake.name:
            yield f"mistake {mistake.name}: it is not recognised, but {in_words(found)}"


def faults_of_check(exercise: Exercise) -> Iterator[str]:
    """Whether what is called right can be called, on whatever is drawn."""
    trial = Trial(exercise, exercise.path, lambda *_: None)
    right = trial.checking["right"]
    for draw in trial.all_draws():
        inputs = trial.checking["inputs"](draw)
        if "observe" not in trial.checking and list(inputs) != exercise.arguments:
            wanted, got = ", ".join(exercise.arguments), ", ".join(inputs)
            yield f"`inputs` gives {got}; the function takes {wanted}"
            return
        outcome = trial.outcome(right, inputs)
        if complaint := outcome.complaint or outcome.problem:
            yield f"`right` fails with {draw}: {complaint}"
            return
    if "picture" in trial.checking:
        with torch.no_grad():
            images = trial.checking["picture"](right)
        if images.ndim != 4 or images.shape[1] != 1 or not images.isfinite().all():
            yield f"`picture` gives {tuple(images.shape)}; it should be finite (N, 1, H, W)"


def faults_of_solution(exercise: Exercise) -> Iterator[str]:
    """Whether it passes, and soon enough for somebody who waits."""
    began = time.perf_counter()
    found = judged(exercise, exercise.solution)
    took = time.perf_counter() - began
    if not found.passed:
        yield f"the solution does not pass, but {in_words(found)}"
    elif took > MAX_SECONDS:
        yield f"the solution takes {took:.0f} s to check; at most {MAX_SECONDS:g} is the aim"


def judged(exercise: Exercise, code: Code) -> Verdict:
    """The verdict on the learner's file with this code in it."""
    source = exercise.with_code(code)
    return judge(exercise, source, Path(f"{exercise.name}.py"), pictures=False)


def in_words(found: Verdict) -> str:
    """A verdict, to be told in a line."""
    if found.passed:
        return "it passes"
    if found.mistake:
        return f"it is taken for {found.mistake}"
    return f"the verdict is: {found.says}"
