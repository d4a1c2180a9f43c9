"""Reading an exercise: one plain Python file that holds all there is to it, cut into cells.

The cells: prose that names it; `start`, what the learner is given; hints, each prose and code; the
`solution`; one `mistake NAME` for each known wrong version; and `check`, how inputs are drawn and
what is right. See CONTRIBUTING.md. Nothing here needs torch, so that lists are quick.
"""

import ast
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from ddpm_tutor.commands import command
from ddpm_tutor.course.cells import Cell, cut, read_source
from ddpm_tutor.course.elsewhere import (
    folder_of_course,
    key_from_elsewhere,
    name_of_course,
    naming,
    number_of,
    numbered,
    read_all,
    refuse_left_out,
    words_for,
)
from ddpm_tutor.course.lesson import Lesson, all_lessons
from ddpm_tutor.course.questions import questions
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import bundled, came_along

FOLDER = Path("exercises")  # the learner's files, in the folder they work in
FACTS = ("Lesson", "Paper")  # what the first cell says in any case
MAX_BYTES = 1_000_000  # bytes of a learner's file; no answer to an exercise is as long


@dataclass(frozen=True)
class Code:
    """Some code of an exercise file."""

    source: str
    line: int  # where it starts in the file, from 1

    @cached_property
    def definition(self) -> ast.FunctionDef:
        """The first function that it defines."""
        return next(n for n in ast.parse(self.source).body if isinstance(n, ast.FunctionDef))

    @property
    def docstring(self) -> list[str]:
        """The paragraphs of that function's docstring."""
        return (ast.get_docstring(self.definition) or "").split("\n\n")


@dataclass(frozen=True)
class Hint:
    """A nudge: a few words, and the code as far as it gives it away."""

    prose: str
    code: Code


@dataclass(frozen=True)
class Mistake:
    """A wrong version that people write."""

    name: str
    code: Code
    when: str  # "draws" where it shows in a drawn digit, "device" where only off the CPU; or ""

    @property
    def what(self) -> str:
        """What is wrong, in a sentence."""
        return " ".join(self.code.docstring[0].split())

    @property
    def leads_to(self) -> str:
        """What comes of it; "" where nothing is said."""
        return " ".join(" ".join(self.code.docstring[1:]).split())


@dataclass(frozen=True)
class Exercise:
    """An exercise file, read but not run."""

    path: Path
    title: str
    facts: dict[str, str]  # Lesson, Paper, and Part where it earns points
    start: Code
    hints: tuple[Hint, ...]
    solution: Code
    mistakes: tuple[Mistake, ...]
    check: Code

    @property
    def number(self) -> int:
        """The number that its file name starts with."""
        return number_of(self.path)

    @property
    def name(self) -> str:
        """What the learner's file is called, such as "ex2_closed_form"."""
        return f"ex{self.number}_{self.path.stem.partition('_')[2]}"

    @property
    def key(self) -> str:
        """The name under which progress in it is kept: that of the learner's file, where the
        exercise came with the package.

        Any other goes by its own file's name, its title, and the function that it asks for.
        """
        if came_along(self.path):
            return self.name
        asks = f"{self.function}({', '.join(self.arguments)})"
        return key_from_elsewhere(self.path, self.title, asks)

    @property
    def course(self) -> str:
        """The name of the course that it belongs to; "" where it came with the package."""
        return "" if came_along(self.path) else name_of_course(folder_of_course(self.path))

    @property
    def file(self) -> Path:
        """The learner's file, where no other place is named; each course has a folder there."""
        return FOLDER / self.course / f"{self.name}.py"

    @property
    def function(self) -> str:
        """The name of the function that the learner writes."""
        return self.start.definition.name

    @property
    def arguments(self) -> list[str]:
        """The names of the function's arguments."""
        return [argument.arg for argument in self.start.definition.args.args]

    @property
    def lesson(self) -> str:
        """The number of the lesson that teaches it."""
        return self.facts["Lesson"]

    @property
    def part(self) -> str:
        """The part of the assignment whose points it earns; "" where it goes beyond that."""
        return self.facts.get("Part", "")

    def mistake(self, name: str) -> Mistake:
        """The known wrong version of that name."""
        return next(mistake for mistake in self.mistakes if mistake.name == name)

    def starter(self, path: Path | None = None) -> str:
        """The file that the learner is given, to be written to `path`."""
        named, where = as_typed(self, path or self.file), ""
        if isinstance(named[0], Path) and named[0] == path:
            named[0], where = Path(path.name), ", in the folder of this file"
            named[1:] = [os.path.abspath(w) if isinstance(w, Path) else w for w in named[1:]]
        check = command("exercise", "check", *named)
        of = f" of {self.course}" if self.course else ""
        title, paper = in_docstring(f"{of} · {self.title}"), in_docstring(self.facts["Paper"])
        return (
            f'"""Exercise {self.number}{title}\n\n'
            f"Lesson {in_docstring(self.lesson)}; {paper}.\n"
            f"Put your code where the `...` stands. Then{where}:\n\n"
            f'    {in_docstring(check)}\n"""\n\n{self.start.source}\n'
        )

    def solved(self) -> str:
        """The learner's file with the gap filled as the solution does."""
        return self.with_code(self.solution)

    def with_code(self, code: Code) -> str:
        """The learner's file with `code` in place of the function."""
        above = self.start.source.splitlines()[: self.start.definition.lineno - 1]
        return "\n".join([*above, code.source, ""])

    def load(self, code: Code) -> Callable[..., Any]:
        """The function of some of the exercise's own code, ready to call."""
        function: Callable[..., Any] = self.namespace(code)[self.function]
        return function

    def namespace(self, code: Code) -> dict[str, Any]:
        """The variables after what the learner is given, and then `code`, have been run."""
        module = ModuleType(f"ddpm_tutor_{self.name}")
        for part in (self.start, code):
            tree = ast.parse("\n" * (part.line - 1) + part.source, str(self.path))
            compiled = compile(tree, str(self.path), "exec", dont_inherit=True, optimize=0)
            exec(compiled, module.__dict__)
        return module.__dict__


def in_docstring(text: str) -> str:
    """A text as it stands in a docstring; what a file is called may hold anything."""
    text = text.encode(errors="replace").decode()  # a name may be no text
    return text.replace("\\", r"\\").replace('"', r"\"")


def read_exercise(path: Path) -> Exercise:
    """Cuts the file at `path` into its cells.

    Raises:
        TutorError: it cannot be read, or has not all that an exercise needs.
    """
    try:
        prose, *cells = cut(read_source(path)) or [Cell("code", "", "", 1)]
        if not re.match(r"[0-9]+_\w", path.name):
            raise ValueError("its name is not like 15_my_function.py")
        if prose.kind != "markdown" or not prose.source:
            raise ValueError("it does not begin with a cell of prose")
        heading = re.match(r"# *(?:Exercise [0-9]+\W*)?(\S.*)", prose.source)
        if not heading:
            raise ValueError("it does not begin with a heading")
        facts = dict(re.findall(r"\*\*(\w+):\*\* *(.+)", prose.source))
        for fact in FACTS:
            if fact not in facts:
                raise ValueError(f"the first cell has no **{fact}:**")
        codes = [(cell.title, Code(cell.source, cell.line)) for cell in cells]
        named = {name: code for name, code in codes if name in ("start", "solution", "check")}
        for name in ("start", "solution", "check"):
            if name not in named:
                raise ValueError(f"it has no cell `# %% {name}`")
        hints = [
            Hint(words.source, Code(cell.source, cell.line))
            for words, cell in pairwise(cells)
            if (words.kind, words.title, cell.title) == ("markdown", "hint", "hint")
        ]
        mistakes = [
            Mistake(words[1], code, "".join(words[2:]))
            for name, code in codes
            if (words := name.split()) and words[0] == "mistake" and words[1:]
        ]
        title = heading[1]
        return Exercise(path, title, facts, hints=tuple(hints), mistakes=tuple(mistakes), **named)
    except ValueError as error:
        raise TutorError(f"{path} is not an exercise ({error}). See CONTRIBUTING.md.") from error


def all_exercises() -> list[Exercise]:
    """The exercises that come with the package, in order; a file that is none is left out."""
    return read_all(numbered(bundled("exercises")), read_exercise)[0]


def versions(exercise: Exercise) -> Iterator[tuple[str, Code]]:
    """What fills the gap, rightly or not, each with what to call it."""
    yield "the solution", exercise.solution
    yield from ((f"hint {i}", hint.code) for i, hint in enumerate(exercise.hints, 1))
    yield from ((f"mistake {mistake.name}", mistake.code) for mistake in exercise.mistakes)


def problems_of_code(exercise: Exercise) -> Iterator[str]:
    """Cells that are not Python, or define no function."""
    cells = (("start", exercise.start), *versions(exercise), ("check", exercise.check))
    for name, code in cells:
        try:
            _ = code.definition
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = code.line - 1 + (getattr(error, "lineno", None) or 1)
            yield f"{name}, line {line}: {getattr(error, 'msg', error)}"
        except StopIteration:
            yield f"{name}, line {code.line}: no function is defined here"


def checked_code(exercise: Exercise) -> Exercise:
    """The exercise, if its code is Python and defines what it has to.

    Raises:
        TutorError: it does not.
    """
    for problem in problems_of_code(exercise):
        raise TutorError(f"{exercise.path} is not an exercise ({problem}). See CONTRIBUTING.md.")
    return exercise


def find_exercise(name: str) -> Exercise:
    """The exercise with this number, or the one that a learner's file of this name is for.

    Raises:
        UsageError: there is none.
    """
    path = Path(name)
    if path.suffix == ".ipynb":
        raise UsageError(
            f"{name} is a notebook; a check reads a .py file. Put your imports and your function\n"
            f"into a cell below the line %%writefile {path.stem}.py, run it, and check that file."
        )
    is_number = re.fullmatch(r"(?:ex)?\d+", name)
    if path.suffix not in ("", ".py") or (name and path.is_dir() and not is_number):
        what = "a folder" if path.is_dir() else "not a .py file"
        raise UsageError(f"{name} is {what}. Give an exercise's number, or your .py file for it.")
    found = re.match(r"(?:ex)?(\d+)", path.name)
    exercises, left_out = read_all(numbered(bundled("exercises")), read_exercise)
    for exercise in exercises:
        if found and int(found[1]) == exercise.number:
            return checked_code(exercise)
    refuse_left_out(found[1] if found else "", left_out)
    if not found and path.is_file():
        raise UsageError(
            f"{name} is no exercise: that has the cells start, solution and check.\n"
            "The name of your own file for one begins with its number, as in ex3_mine.py."
        )
    raise UsageError(
        f"There is no exercise {name}. Choose from 1 to {exercises[-1].number}; "
        "see: ddpm-tutor exercise"
    )


def as_typed(exercise: Exercise, path: Path) -> list[object]:
    """What names the learner's file at `path` in a command: the exercise's number, where that will
    do.
    """
    named = words_for(exercise.path)
    if path == exercise.file:
        return named
    return [path, *([] if came_along(exercise.path) else naming(folder_of_course(exercise.path)))]


@dataclass(frozen=True)
class Part:
    """A part of the assignment that exercises stand for."""

    name: str
    points: float
    lesson: str  # the key of the lesson that asks for it
    exercises: tuple[Exercise, ...]  # those that earn it together


def parts() -> dict[str, Part]:
    """The parts of the assignment that the package's exercises earn, by name."""
    return parts_of(all_lessons(), all_exercises())


def parts_of(lessons: Iterable[Lesson], exercises: Sequence[Exercise]) -> dict[str, Part]:
    """The parts for which these lessons ask and that these exercises earn, by name."""
    return {
        q.part: Part(q.part, q.points, lesson.key, earning)
        for lesson in lessons
        for q in questions(lesson)
        if (earning := tuple(e for e in exercises if q.part and e.part == q.part))
    }


def read_answer(path: Path, exercise: Exercise | None = None) -> str:
    """The learner's file.

    Args:
        exercise: the one that it is for, if that is known: an error then says what to type.

    Raises:
        TutorError: it is not there, or is no text of a sensible size.
    """
    named = as_typed(exercise, path) if exercise else [path]
    try:
        if path.stat().st_size > MAX_BYTES:
            again = command("exercise", "reset", *named)
            raise TutorError(f"{path} is larger than any answer. Start over with: {again}")
        return read_source(path)
    except FileNotFoundError:
        write = command("exercise", "start", *named)
        raise TutorError(f"There is no {path}. Write it with: {write}") from None
    except OSError as error:
        raise TutorError(f"Cannot read {path}: {error.strerror}.") from error
