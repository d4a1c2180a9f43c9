"""Reading a lesson: one plain Python file in percent format, cut into steps of cells.

A step is a cell of prose with the code cells that follow it. The cell tagged "parameters" holds
what --set changes.
"""

import ast
import math
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from ddpm_tutor.course.cells import Cell, cut, read_source
from ddpm_tutor.course.elsewhere import (
    key_from_elsewhere,
    number_of,
    numbered,
    read_all,
    refuse_left_out,
)
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import bundled, came_along

# what --set may give to parameters that have these names in every lesson
RANGES = {"digit": range(10), "seed": range(2**63)}
# what others may be: the words "from 1 to 1,000" in the comment behind the default
BOUNDS = re.compile(r"#.*?\bfrom (-?[\d.,]*\d) to (-?[\d.,]*\d)")
EVEN = re.compile(r"#.*?\ban even number\b")
ALIKE = 0.7  # how much of a word that was typed must be in one of a lesson's for it to be meant


@dataclass(frozen=True)
class Step:
    """One point of a lesson: prose, then the code that shows it."""

    prose: str
    code: tuple[Cell, ...]

    @property
    def title(self) -> str:
        """The step's first heading, or its first words."""
        heading = re.search(r"^#+ +(.+)$", self.prose, re.MULTILINE)
        return heading.group(1).strip() if heading else self.prose.strip()[:40]


@dataclass(frozen=True)
class Lesson:
    """A lesson file, read but not run."""

    path: Path
    steps: tuple[Step, ...]

    @property
    def number(self) -> int:
        """The number that its file name starts with; 0 if none."""
        return number_of(self.path)

    @property
    def title(self) -> str:
        """The first heading, without its "Lesson 3 ·"."""
        return re.sub(r"^Lesson \d+\W*", "", self.steps[0].title)

    @property
    def key(self) -> str:
        """The name under which progress in it is kept: the file's, where it came with the package.

        Any other lesson goes by its file's name, its title and its goal.
        """
        if came_along(self.path):
            return self.path.stem
        return key_from_elsewhere(self.path, self.title, self.fact("Goal"))

    def fact(self, name: str) -> str:
        """What the first step says behind `**name:**`, such as Paper or Time; "" if nothing."""
        found = re.search(rf"\*\*{name}:\*\* *(.+?)(?:\n\n|$)", self.steps[0].prose, re.DOTALL)
        return " ".join(found.group(1).split()).rstrip(".") if found else ""


def read_lesson(path: Path) -> Lesson:
    """Cuts the file at `path` into steps.

    Raises:
        TutorError: it cannot be read, or has no cells.
    """
    steps = _steps(cut(read_source(path)))
    if not steps:
        raise TutorError(f"{path} has no cells. A lesson's cells start with a line `# %%`.")
    return Lesson(path, steps)


def _steps(cells: list[Cell]) -> tuple[Step, ...]:
    """Groups each cell of prose with the code that follows it."""
    steps: list[Step] = []
    for cell in cells:
        if cell.kind == "markdown":
            steps.append(Step(cell.source, ()))
        elif cell.kind == "raw" or not cell.source.strip():
            continue
        elif steps:
            steps[-1] = Step(steps[-1].prose, (*steps[-1].code, cell))
        else:
            steps.append(Step("", (cell,)))
    return tuple(steps)


def all_lessons() -> list[Lesson]:
    """The lessons that come with the package, in order; a file that is none is left out."""
    return read_all(numbered(bundled("lessons")), read_lesson)[0]


def find_lesson(name: str) -> Lesson:
    """The lesson with this number, or the one in the file of this name.

    Raises:
        UsageError: there is none.
        TutorError: the file is not Python.
    """
    if name.endswith(".py") and Path(name).is_file():
        return check_syntax(read_lesson(Path(name)))
    lessons, left_out = read_all(numbered(bundled("lessons")), read_lesson)
    for lesson in lessons:
        if name == str(lesson.number):
            return check_syntax(lesson)
    refuse_left_out(name, left_out)
    numbers = ", ".join(str(lesson.number) for lesson in lessons)
    near = nearest_lesson(name, lessons)
    meant = f"ddpm-tutor lesson {near.number}  ({near.title})" if near else ""
    raise UsageError(
        f"No lesson {'file ' if name.endswith('.py') else ''}{name}. Choose from {numbers}."
        + (f"\nIs it this one? {meant}" if meant else "")
    )


def nearest_lesson(name: str, lessons: Sequence[Lesson]) -> Lesson | None:
    """The lesson that somebody who typed `name` may have meant: by its number, or by its words.

    Returns:
        the nearest; None where no word of it is much like one of a lesson's.
    """
    if re.fullmatch(r"-?\d{1,9}", name):
        return min(lessons, key=lambda lesson: abs(lesson.number - int(name)))
    wanted = re.split(r"\W+|_", name.removesuffix(".py").lower())

    def likeness(lesson: Lesson) -> list[float]:
        words = re.split(r"\W+|_", f"{lesson.path.stem} {lesson.title}".lower())
        return [max(SequenceMatcher(None, a, b).ratio() for b in words) for a in wanted]

    near = max(lessons, key=lambda lesson: sum(likeness(lesson)))
    return near if max(likeness(near)) >= ALIKE else None


def check_syntax(lesson: Lesson) -> Lesson:
    """The lesson, if its code is Python.

    Raises:
        TutorError: it is not.
    """
    for cell in (cell for step in lesson.steps for cell in step.code):
        try:
            compile_cell(cell, lesson.path)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None) or cell.line
            reason = getattr(error, "msg", error)
            raise TutorError(f"{lesson.path}, line {line}: {reason}.") from error
    return lesson


def compile_cell(cell: Cell, path: Path) -> tuple[CodeType, CodeType | None]:
    """The cell's statements, and its last expression where it ends with one, the value to show.

    Line numbers are those of the file, so that tracebacks and inspect.getsource find their way.
    """
    tree = ast.parse("\n" * (cell.line - 1) + cell.source, str(path))
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        expression = ast.Expression(tree.body.pop().value)  # type: ignore[attr-defined]
        last = compile(expression, str(path), "eval", dont_inherit=True, optimize=0)
    return compile(tree, str(path), "exec", dont_inherit=True, optimize=0), last


def shown_source(cell: Cell) -> str:
    """The cell's code without its questions, which would give their answers away.

    So would an assertion behind a question. The words that `say` says stand below it in any case.
    """
    hidden = _hidden_lines(cell)
    lines = cell.source.splitlines()
    return "\n".join(line for i, line in enumerate(lines) if i not in hidden).strip("\n")


def pieces(cell: Cell) -> list[Cell]:
    """The cell cut at its questions: what is shown, of kind "code", and what is not, "hidden"."""
    hidden, found = _hidden_lines(cell), list[Cell]()
    for i, line in enumerate(cell.source.splitlines()):
        kind = "hidden" if i in hidden else "code"
        if found and (found[-1].kind == kind or not line.strip()):
            found[-1] = replace(found[-1], source=f"{found[-1].source}\n{line}")
        elif line.strip():
            found.append(Cell(kind, cell.title, line, cell.line + i))
    return [replace(piece, source=piece.source.rstrip()) for piece in found]


def hidden_pieces(lesson: Lesson) -> list[tuple[int, Cell]]:
    """What a learner is not shown of a lesson's code, in order; each with its step's number."""
    return [
        (number, piece)
        for number, step in enumerate(lesson.steps, start=1)
        for cell in step.code
        for piece in pieces(cell)
        if piece.kind == "hidden"
    ]


def _hidden_lines(cell: Cell) -> set[int]:
    """The lines, from 0, of the questions, of what is said, and of assertions behind a question."""
    hidden, asked = set[int](), False
    for node in ast.parse(cell.source).body:
        call = node.value if isinstance(node, ast.Expr) else None
        name = call.func if isinstance(call, ast.Call) else None
        called = name.id if isinstance(name, ast.Name) else ""
        asked = asked or called.startswith("ask_")
        told = called.startswith("ask_") or called == "say"
        if told or (asked and isinstance(node, ast.Assert)):
            hidden.update(range(node.lineno - 1, node.end_lineno or node.lineno))
    return hidden


def new_namespace(lesson: Lesson) -> dict[str, Any]:
    """The variables that the lesson's cells share: those of a module, known to `sys.modules`."""
    module = ModuleType(f"ddpm_tutor_lesson_{lesson.path.stem}")
    module.__file__ = str(lesson.path)
    sys.modules[module.__name__] = module
    return vars(module)


def override_parameters(namespace: dict[str, Any], settings: dict[str, str]) -> None:
    """Sets parameters of the lesson from the text given with --set, in the type of the default.

    Raises:
        UsageError: the value is not of that type.
    """
    for name, text in settings.items():
        default = namespace[name]
        try:
            value: Any = text if default is None or isinstance(default, str) else _literal(text)
            if isinstance(default, float) and type(value) is int:
                value = float(value)
            if default is not None and type(value) is not type(default):
                raise ValueError
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError
        except (ValueError, SyntaxError, OverflowError, RecursionError, MemoryError):
            raise UsageError(
                f"{name} must be {_kind(default)}, like {default!r}; {text!r} is not."
            ) from None
        if isinstance(value, int) and value not in RANGES.get(name, [value]):
            raise UsageError(f"{name} must be from 0 to {RANGES[name][-1]}; {text!r} is not.")
        namespace[name] = value


def _literal(text: str) -> Any:
    """A Python literal; true and false also in small letters."""
    return ast.literal_eval({"true": "True", "false": "False"}.get(text.lower(), text))


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")


def parameters(lesson: Lesson) -> dict[str, Any]:
    """The names that the lesson's parameters cell assigns, with their defaults, all literals.

    Raises:
        TutorError: one is not.
    """
    cells = [cell for step in lesson.steps for cell in step.code if cell.is_parameters]
    return _literals(lesson, cells)


def changeable(lesson: Lesson, step: Step) -> dict[str, Any]:
    """What the learner may change at a step, with the defaults: parameters, and cells for it.

    Raises:
        TutorError: a default is not a literal.
    """
    return _literals(lesson, [c for c in step.code if c.is_parameters or c.is_change])


def bounds(cells: Iterable[Cell]) -> dict[str, tuple[str, str]]:
    """The lowest and the highest value of what cells assign, where a comment says "from 1 to 9"."""
    found = {name: BOUNDS.search(line) for name, line in _lines_of(cells)}
    return {name: (ends[1], ends[2]) for name, ends in found.items() if ends}


def evens(cells: Iterable[Cell]) -> set[str]:
    """The names of what must be even, where a comment says "an even number"."""
    return {name for name, line in _lines_of(cells) if EVEN.search(line)}


def _lines_of(cells: Iterable[Cell]) -> Iterator[tuple[str, str]]:
    """What cells assign, each name with the line that its comment stands in."""
    for cell in cells:
        lines = cell.source.splitlines()
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                yield node.targets[0].id, lines[(node.end_lineno or 1) - 1]


def _literals(lesson: Lesson, cells: Sequence[Cell]) -> dict[str, Any]:
    try:
        return {
            node.targets[0].id: ast.literal_eval(node.value)
            for cell in cells
            for node in ast.parse(cell.source).body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }
    except (ValueError, TypeError) as error:  # such as a list for a key
        raise TutorError(f"{lesson.path}: a parameter's default is not a literal.") from error


def check_settings(lesson: Lesson, settings: dict[str, str]) -> None:
    """Refuses a name that is no parameter of the lesson, or a value that it cannot take.

    Raises:
        UsageError: naming the parameters that there are, the type, or the bounds.
    """
    cells = [cell for step in lesson.steps for cell in step.code if cell.is_parameters]
    whose = f"Lesson {lesson.number}" if lesson.number else lesson.path.stem
    check_against(parameters(lesson), settings, whose, bounds(cells), evens(cells))


def check_against(
    known: dict[str, Any],
    settings: dict[str, str],
    whose: str,
    bounds: Mapping[str, tuple[str, str]],
    evens: Collection[str] = (),
) -> None:
    """Refuses a name that is not among these, or a value that it cannot take.

    Args:
        known: names and their defaults; a value is of the type of its default.
        whose: what has these names, for the error.
        bounds, evens: see the functions of these names.

    Raises:
        UsageError: naming those that there are, the type, or the bounds.
    """
    for name in settings:
        if name not in known:
            raise UsageError(f"{whose} has no parameter {name!r}. It has: {', '.join(known)}.")
    values = dict(known)
    override_parameters(values, settings)
    for name in settings:
        value = values[name]
        if name not in bounds or not isinstance(value, int | float):
            continue
        low, high = bounds[name]
        if not as_number(low) <= value <= as_number(high):
            raise UsageError(f"{name} must be from {low} to {high}; {settings[name]!r} is not.")
        if name in evens and value % 2:
            raise UsageError(f"{name} must be an even number; {settings[name]!r} is not.")


def as_number(text: str) -> float:
    """A number of a comment, such as 10,000."""
    return float(text.replace(",", ""))
