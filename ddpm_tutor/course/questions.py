"""What a lesson asks, read from its file."""

import ast
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import Lesson


@dataclass(frozen=True)
class Question:
    """A question as the lesson file has it."""

    text: str
    part: str  # of the assignment, such as "11.5 d"; "" where it is none of its
    points: float
    step: int  # of the lesson, from 1
    call: ast.Call
    cell: Cell  # that it stands in

    @property
    def key(self) -> str:
        """The name under which the learner's answer is kept."""
        return self.part or self.text


def questions(lesson: Lesson) -> list[Question]:
    """The questions of a lesson, in order.

    Raises:
        SyntaxError: its code is not Python.
    """
    return list(_questions(lesson))


@lru_cache(maxsize=100)
def _questions(lesson: Lesson) -> tuple[Question, ...]:
    found = []
    for number, step in enumerate(lesson.steps, start=1):
        for cell in step.code:
            tree = ast.parse(cell.source)
            if "ask_" not in cell.source:  # most cells: they need not be walked
                continue
            calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
            for call in sorted(calls, key=lambda node: node.lineno):
                if name_of(call) in ("ask_choice", "ask_number"):
                    text = words(call.args[0] if call.args else None)
                    part, points = words(keyword(call, "part")), points_of(call)
                    found.append(Question(text, part, points, number, call, cell))
    return tuple(found)


def name_of(call: ast.Call) -> str:
    """The name of the function that is called."""
    return call.func.id if isinstance(call.func, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The keyword argument of that name."""
    return next((k.value for k in call.keywords if k.arg == name), None)


def words(node: ast.expr | None) -> str:
    """The text of a literal; "" for anything else."""
    text = constant(node)
    return text if isinstance(text, str) else ""


def points_of(call: ast.Call) -> float:
    """What a question is worth; 0 where that is no number."""
    points = constant(keyword(call, "points"))
    is_number = isinstance(points, int | float) and math.isfinite(points)
    return points if is_number else 0


def constant(node: ast.expr | None) -> Any:
    """The value of a literal; None for anything else."""
    return node.value if isinstance(node, ast.Constant) else None
