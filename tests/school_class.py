"""A class of students and what they hand in: `python tests/school_class.py FOLDER 100`."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from ddpm_tutor.course.exercise import Exercise, all_exercises, find_exercise
from ddpm_tutor.hand_ins.blocks import page_of
from ddpm_tutor.hand_ins.collecting import assignment
from ddpm_tutor.hand_ins.hand_in import Asked, HandIn, Written
from ddpm_tutor.hand_ins.html import to_html
from ddpm_tutor.hand_ins.markdown import to_markdown, to_notebook
from ddpm_tutor.learner.progress import Answer

EXERCISE_2 = find_exercise("2")
ASKED = assignment()


def in_2(body: str, above: str = "") -> Callable[[Exercise], str]:
    """All exercises solved, but for the second: what it does, and what stands above it."""
    head = "def q_sample(schedule, x_0, t, eps):"

    def code(exercise: Exercise) -> str:
        if exercise.number != EXERCISE_2.number:
            return exercise.solved()
        return f"{above}\n\n{head}\n    {body}\n"

    return code


def borrowed(exercise: Exercise) -> str:
    """The package's own function, where the second asks for it."""
    if exercise.number == EXERCISE_2.number:
        return "from ddpm_tutor import q_sample\n"
    return exercise.solved()


def mistaken(exercise: Exercise) -> str:
    """A known mistake in every exercise."""
    return exercise.with_code(exercise.mistakes[0].code)


KINDS: dict[str, Callable[[Exercise], str]] = {
    "solved": Exercise.solved,
    "mistaken": mistaken,
    "begun": Exercise.starter,
    "borrowed": borrowed,
    "loops": in_2("while True: pass"),
    "hoards": in_2("pass", "x = []\nwhile True: x.append(bytearray(10**8))"),
    "forks": in_2("pass", "import os\nwhile True: os.fork()"),
    "no Python": in_2("return ((("),
    "prints": in_2("pass", "while True: print('x' * 100_000)"),
    "deletes": in_2("pass", "import shutil\nshutil.rmtree('/tmp/ddpm-tutor-is-not-there', True)\n"
                    "open('/tmp/ddpm-tutor-is-not-there', 'w')"),
}  # fmt: skip


def answers(asked: Asked, number: int) -> tuple[Answer, ...]:
    """Two sittings: wrong and then, for most questions, right."""
    day = f"2026-11-{10 + number % 10}T10:{len(asked.text) % 60:02}:{number % 60:02}Z"
    right = (number + len(asked.text)) % 4 > 0
    return Answer("a) no", False, day, True), Answer("b) yes", right, day, True)


def hand_in(number: int, kind: str, exercises: list[Exercise]) -> HandIn:
    """What the student of this number hands in; each one's code has a comment of its own."""
    questions = [dataclasses.replace(q, answers=answers(q, number)) for q in ASKED]
    return HandIn(
        name=f"Student {number}",
        group=str(number % 4),
        made="2026-11-26T12:00:00Z",
        made_with={"torch": "2.6"},
        questions=questions,
        exercises=[
            Written(e.name, e.title, f"{KINDS[kind](e)}\n# {number}\n", "passed", "It is right.")
            for e in exercises
        ],
    )


def write(path: Path, made: HandIn) -> Path:
    """Writes a hand-in in the form that the name of the file says."""
    data = made.to_json(pictures=False)
    forms = {".html": to_html, ".md": to_markdown, ".ipynb": to_notebook}
    form = forms.get(path.suffix)
    path.write_text(form(page_of(made), data) if form else data, encoding="utf-8")
    return path


def write_class(folder: Path, count: int, exercises: list[Exercise]) -> list[Path]:
    """So many hand-ins, of ten kinds of code in turn, and of four forms."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(count):
        kind = list(KINDS)[number % len(KINDS)]
        ending = (".html", ".ipynb", ".md", ".json")[number // len(KINDS) % 4]
        name = f"{number:03}_{kind.replace(' ', '_')}{ending}"
        found.append(write(folder / name, hand_in(number, kind, exercises)))
    return found


if __name__ == "__main__":
    write_class(Path(sys.argv[1]), int(sys.argv[2]), all_exercises())
