"""A hand-in as data: what was asked and answered, the code, and where all of it was made.

It travels as JSON, alone or inside a page, a notebook or a Markdown file. What comes from a file is
a stranger's: each value is looked at before it is taken, and none of it is believed for a grade.
"""

import dataclasses
import json
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ddpm_tutor.course.exercise import MAX_BYTES
from ddpm_tutor.learner.progress import Answer

T = TypeVar("T")

VERSION = 1
TOTAL = 42.0  # points of the assignment
MAX_LINE = 300  # characters of a text that is to be a line
MAX_ANSWERS = 1000  # to one question
MAX_ITEMS = 500  # exercises, questions, epochs of a log
NAME = re.compile(r"ex\d{1,3}_\w{1,60}", re.ASCII)


class NoHandIn(ValueError):
    """A file is no hand-in, or a damaged one; the message says what is wrong with it."""


@dataclass(frozen=True)
class Asked:
    """A part of the assignment, and all that was answered."""

    part: str  # such as "11.5 d"
    text: str  # the question
    points: float
    lesson: int
    answers: tuple[Answer, ...] = ()
    exercises: tuple[str, ...] = ()  # the names of those that earn its points too, together
    earned_before: bool = False  # the learner's progress says that its points are earned

    @property
    def sittings(self) -> list[Answer]:
        """The answers that count: the first of each sitting."""
        return [answer for answer in self.answers if answer.first]

    @property
    def right_at(self) -> int | None:
        """At which attempt it was answered rightly, from 1; None where it never was."""
        rights = [number for number, a in enumerate(self.sittings, 1) if a.right]
        return rights[0] if rights else None

    def earned(self, passed: Collection[str]) -> bool:
        """Whether its points are earned: by an answer, or by exercises, of which `passed` have."""
        written = bool(self.exercises) and all(name in passed for name in self.exercises)
        return self.right_at is not None or written


@dataclass(frozen=True)
class Written:
    """A learner's file of an exercise, and its verdict when it was handed in."""

    name: str  # such as "ex2_closed_form"
    title: str
    code: str
    kind: str  # of the verdict, "passed" or another
    says: str
    line: int | None = None
    checks: int = 0
    passed_check: int = 0  # which of the checks passed first; 0 where that was not kept
    passed_when: str = ""
    hints: int = 0
    solution_seen: bool = False  # before it passed: then it earns no points

    @property
    def number(self) -> str:
        return number_of(self.name)


@dataclass(frozen=True)
class Picture:
    """A picture made with the learner's code, or from their run."""

    title: str
    says: str  # what is to be seen
    png: str  # base64; "" where the picture is left out


@dataclass(frozen=True)
class Training:
    """A training of the learner's own."""

    folder: str
    settings: dict[str, str]
    losses: list[tuple[float, float, float]]  # epoch, training loss, validation loss
    scores: list[list[str]] = field(default_factory=list)  # a table; its first row is its head
    scores_made: str = ""  # of how many digits, and how these were drawn
    scores_missing: str = ""  # why there are none
    pictures: list[Picture] = field(default_factory=list)


@dataclass(frozen=True)
class HandIn:
    """What a student hands in."""

    name: str
    group: str
    made: str  # UTC
    made_with: dict[str, str]  # versions, device, seed
    questions: list[Asked]
    exercises: list[Written]
    training: Training | None = None
    pictures: list[Picture] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what is missing, and how to get it
    stated: float | None = None  # the points that the file states, where it was read from one

    @property
    def passed(self) -> set[str]:
        """The names of the exercises that count by their verdicts in the hand-in."""
        return {w.name for w in self.exercises if w.kind == "passed" and not w.solution_seen}

    @property
    def points(self) -> float:
        """The points by what the hand-in says."""
        return sum(q.points for q in self.questions if q.earned(self.passed))

    def to_json(self, pictures: bool = True) -> str:
        """The hand-in as text of ASCII letters alone; the pictures may be left out."""
        data = dataclasses.asdict(self)
        del data["stated"]
        for part in (data, data["training"]):
            if part and not pictures:
                part["pictures"] = []
        form = {"ddpm_tutor_hand_in": VERSION, "points": self.points, "of": TOTAL}
        return json.dumps(form | data)


def number_of(name: str) -> str:
    """The number of an exercise: "2" of "ex2_closed_form"."""
    return name.split("_")[0].removeprefix("ex")


def read_json(text: str) -> HandIn:
    """The hand-in that `to_json` wrote; its pictures and its training are not read.

    Raises:
        NoHandIn: it is something else.
    """
    try:
        saved = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoHandIn("what it holds is not JSON") from error
    return from_data(saved)


def from_data(saved: object) -> HandIn:
    """The hand-in in what JSON holds.

    Raises:
        NoHandIn: there is none.
    """
    if not isinstance(saved, dict) or "ddpm_tutor_hand_in" not in saved:
        raise NoHandIn("no hand-in of `ddpm-tutor report` is in it")
    if saved["ddpm_tutor_hand_in"] != VERSION:
        raise NoHandIn("it was made by another version of ddpm-tutor")
    made_with = taken(saved, "made_with", dict, {})
    exercises = [written(data) for data in listed(saved, "exercises")]
    if len({w.name for w in exercises}) < len(exercises):
        raise NoHandIn("an exercise is in it twice")
    return HandIn(
        name=a_line(saved, "name"),
        group=a_line(saved, "group"),
        made=a_line(saved, "made"),
        made_with={clean(str(k)): clean(str(v)) for k, v in list(made_with.items())[:50]},
        questions=[asked(data) for data in listed(saved, "questions")],
        exercises=exercises,
        stated=a_number(saved, "points"),
    )


def asked(data: dict[str, Any]) -> Asked:
    """A question and its answers, as a file has them."""
    answers = listed(data, "answers", MAX_ANSWERS)
    return Asked(
        part=a_line(data, "part"),
        text=a_line(data, "text"),
        points=a_number(data, "points"),
        lesson=taken(data, "lesson", int, 0),
        answers=tuple(
            Answer(
                a_line(a, "text"), taken(a, "right", bool), a_line(a, "when"),
                taken(a, "first", bool),
            )
            for a in answers
        ),
        earned_before=taken(data, "earned_before", bool, False),
    )  # fmt: skip


def written(data: dict[str, Any]) -> Written:
    """A file of an exercise, as a hand-in has it."""
    name, code = taken(data, "name", str), taken(data, "code", str)
    if not NAME.fullmatch(name):
        raise NoHandIn("an exercise in it has no proper name")
    try:
        size = len(code.encode())
    except UnicodeEncodeError as error:
        raise NoHandIn(f"the code of {name} is no text") from error
    if size > MAX_BYTES:
        raise NoHandIn(f"the code of {name} is larger than any answer")
    return Written(
        name=name,
        title=a_line(data, "title"),
        code=code,
        kind=a_line(data, "kind"),
        says=a_line(data, "says"),
        checks=taken(data, "checks", int, 0),
        passed_check=taken(data, "passed_check", int, 0),
        passed_when=a_line(data, "passed_when"),
        hints=taken(data, "hints", int, 0),
        solution_seen=taken(data, "solution_seen", bool, False),
    )


def taken(data: dict[str, Any], name: str, kind: type[T], default: T | None = None) -> T:
    """The value of this name.

    Raises:
        NoHandIn: it is missing and there is no default, or it is of another kind.
    """
    value = data.get(name, default)
    if type(value) is not kind:
        raise NoHandIn(f"its {name} is missing or damaged")
    return value


def a_number(data: dict[str, Any], name: str) -> float:
    """A number that is finite and not below 0."""
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise NoHandIn(f"its {name} is missing or damaged")
    return float(min(value, 1e9))


def a_line(data: dict[str, Any], name: str) -> str:
    """A text, cleaned; "" where there is none."""
    return clean(taken(data, name, str, ""))


def listed(data: dict[str, Any], name: str, most: int = MAX_ITEMS) -> list[dict[str, Any]]:
    """A list of objects, which is not too long."""
    items = taken(data, name, list, [])
    if len(items) > most or not all(isinstance(item, dict) for item in items):
        raise NoHandIn(f"its {name} are damaged, or too many")
    return items


def clean(text: str) -> str:
    """A stranger's text as one line of letters that can be seen: no controls, nothing hidden."""
    shown = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_LINE])
    return " ".join(shown.split())[:MAX_LINE]
