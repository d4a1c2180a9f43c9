"""Bringing a hand-in together: from the learner's progress, files and training."""

import ast
import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm_tutor.course.exercise import all_exercises, parts, read_answer
from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.course.options_lint import choice_of
from ddpm_tutor.course.questions import constant, keyword, questions
from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import came_along, fingerprint_of
from ddpm_tutor.grading.strangers import Checker
from ddpm_tutor.hand_ins.hand_in import Asked, Training, Written, clean
from ddpm_tutor.learner.progress import Answer, Progress
from ddpm_tutor.storage.run_folders import LOG, WEIGHTS

# what a report calls the settings of a run that it shows
SETTINGS = {
    "network": "network",
    "width": "width",
    "conditional": "with labels",
    "own_code": "with own code",
    "start_from": "first weights",
    "digits": "digits",
    "epochs": "epochs",
    "batch_size": "batch size",
    "lr": "learning rate",
    "lr_schedule": "its schedule",
    "optimizer": "optimizer",
    "weighting": "weighting",
    "seed": "seed",
}
LETTERS = "abcdefgh"  # of the options of a question
MAX_EPOCHS = 400  # lines of a log that are shown
HOW = ("steps", "sampler", "seed", "guidance")  # by which scored digits were drawn
MEASURES = (
    "read as asked, %", "Fréchet distance", "coverage, %", "precision, %",
    "nearest: median", "too near, %", "validation loss", "without labels",
)  # fmt: skip


def assignment() -> list[Asked]:
    """The parts of the assignment that this package asks for, in its order, without answers."""
    earned_by = parts()
    return [
        Asked(
            part=q.part,
            text=q.text,
            points=q.points,
            lesson=lesson.number,
            exercises=tuple(e.name for e in earned_by[q.part].exercises)
            if q.part in earned_by
            else (),
        )
        for lesson in all_lessons()
        if came_along(lesson.path)
        for q in questions(lesson)
        if q.points
    ]


@dataclass(frozen=True)
class Offered:
    """The options of a question as answers to it are kept, "a) ...", and which is the right one."""

    options: tuple[str, ...]
    right: int

    def says(self, answer: Answer) -> bool | None:
        """Whether an answer is the right option; None where it is none of the options."""
        return answer.text == self.options[self.right] if answer.text in self.options else None


def offered() -> dict[str, Offered]:
    """What the questions of the assignment offer, by part, as far as their files alone tell it."""
    found = {}
    for lesson in all_lessons():
        for q in questions(lesson) if came_along(lesson.path) else ():
            choice, answer = choice_of(q), constant(keyword(q.call, "answer"))
            computed = any(isinstance(node, ast.JoinedStr) for node in ast.walk(q.call))
            if q.points and choice and type(answer) is int and not computed:
                lines = (f"{a}) {b}" for a, b in zip(LETTERS, choice.options, strict=False))
                found[q.part] = Offered(tuple(map(clean, lines)), answer)
    return found


def answered(progress: Progress) -> list[Asked]:
    """The parts of the assignment with what the learner has answered."""
    keys = {lesson.number: lesson.key for lesson in all_lessons() if came_along(lesson.path)}
    found = []
    for asked in assignment():
        lesson = progress.lesson(keys[asked.lesson])
        given = [
            dataclasses.replace(answer, text=clean(answer.text), when=clean(answer.when))
            for answer in lesson.given.get(asked.part, [])
        ]
        earned = lesson.answers.get(asked.part, False)
        found.append(dataclasses.replace(asked, answers=tuple(given), earned_before=earned))
    return found


def written(
    folder: Path, progress: Progress, checker: Checker, say: Callable[[str], object]
) -> list[Written]:
    """The learner's files of exercises in `folder`, each checked now as a teacher would.

    Args:
        say: is told what is being done.

    Raises:
        TutorError: a file cannot be read, or no check can be started.
    """
    found = []
    for exercise in all_exercises():
        path = folder / f"{exercise.name}.py"
        if not (came_along(exercise.path) and path.exists()):
            continue
        say(f"Checking {path} ...")
        code = read_answer(path, exercise)
        verdict = checker.check(exercise, path).verdict
        mine = progress.exercise(exercise.key)
        found.append(
            Written(
                name=exercise.name,
                title=exercise.title,
                code=code,
                kind=verdict.kind,
                says=clean(" ".join([verdict.says, *verdict.notes])),
                line=verdict.line,
                checks=mine.checks,
                passed_check=mine.passed_check,
                passed_when=clean(mine.passed_when),
                hints=mine.hints,
                solution_seen=mine.given_up,
            )
        )
    return found


def trained(folder: Path, scores: Path) -> Training | None:
    """The training in the folder of a run; None where there is none.

    Args:
        scores: the file that `evaluate` wrote.

    Raises:
        TutorError: there is one, and it cannot be read.
    """
    log, config = folder / LOG, folder / "config.json"
    if not (log.is_file() and config.is_file()):
        return None
    try:
        settings = json.loads(config.read_text(encoding="utf-8"))
        lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        settings |= settings["training"]
        first = settings.get("start_from")
        settings["start_from"] = as_told(Path(first)) if first else "random"
        shown = {word: in_words(settings[n]) for n, word in SETTINGS.items() if n in settings}
        losses = [
            (float(x["epoch"]), float(x["train_loss"]), float(x["validation"]["mean"]))
            for x in lines
        ]
        seconds = sum(float(line["seconds"]) for line in lines)
        machine = str(lines[-1]["machine"]) if lines else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TutorError(f"The training in {folder} cannot be read: is its log damaged?") from error
    if not all(math.isfinite(number) for row in losses for number in row):
        raise TutorError(f"The training in {folder} has losses that are no numbers.")
    called = as_told(folder)
    facts = {"folder": called, **shown, "seconds": f"{seconds:.0f}", "computed on": machine}
    table, words = scored(scores, folder / WEIGHTS)
    return Training(
        folder=clean(called),
        settings={clean(name): clean(value) for name, value in facts.items()},
        losses=losses[-MAX_EPOCHS:],
        scores=table,
        scores_made=words if table else "",
        scores_missing="" if table else words,
    )


def in_words(value: object) -> str:
    """A setting as a reader wants it."""
    return str(value) if not isinstance(value, bool) else "yes" if value else "no"


def as_told(path: Path) -> str:
    """A path for a hand-in: as it was typed, or its last part: the rest is the student's affair."""
    return path.name if path.is_absolute() else str(path)


def scored(scores: Path, weights: Path) -> tuple[list[list[str]], str]:
    """The scores of these weights as a table whose first row is its head, and how they were made.

    Where there are none, the table is empty, and the words say why.
    """
    try:
        saved = json.loads(scores.read_text(encoding="utf-8"))
        if saved["weights"] != fingerprint_of(weights):
            return [], f"The scores in {as_told(scores)} are those of other weights."
        columns = {str(name): measures(card) for name, card in saved["cards"].items()}
        rows = [[name, *(c[name] or "–" for c in columns.values())] for name in MEASURES]
        facts = {"digits": saved["n"]} | {name: saved[name] for name in HOW if name in saved}
        how = ", ".join(f"{name} {value}" for name, value in facts.items())
    except FileNotFoundError:
        return [], "Its digits were not scored."
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        return [], f"The scores in {as_told(scores)} cannot be read."
    measured = [row for row in rows if any(cell != "–" for cell in row[1:])]
    if not measured:
        return [], f"There are no scores in {as_told(scores)}."
    return [["", *columns], *measured], clean(how)


def measures(card: dict[str, Any]) -> dict[str, str]:
    """The scores of a card as `evaluate` shows them, by the names in `MEASURES`; "" for none.

    Args:
        card: as the file of scores has it.

    Raises:
        KeyError, TypeError: it is none.
    """
    from ddpm_tutor.evaluation.scores import Share  # loads torch, which grading needs not
    from ddpm_tutor.science.validation_loss import Estimate

    def share(found: dict[str, Any] | None) -> str:
        return str(Share(int(found["count"]), int(found["of"]))) if found else ""

    def estimate(found: dict[str, float] | None, digits: int = 4) -> str:
        if not found:
            return ""
        it = Estimate(float(found["mean"]), float(found["error"]))
        return f"{it.mean:.{digits}f} ± {it.error:.{digits}f}"

    scores, near = card["scores"], card.get("nearness")
    found = (
        share(scores["read_as_asked"]),
        estimate(scores["frechet"], 2),
        share(scores["coverage"]),
        share(scores["precision"]),
        f"{float(near['median']):.2f}" if near else "",
        share(near["below"]) if near else "",
        estimate(card.get("validation")),
        estimate(card.get("validation_unlabelled")),
    )
    return dict(zip(MEASURES, found, strict=True))
