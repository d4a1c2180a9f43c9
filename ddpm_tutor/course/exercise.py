"""Reading an exercise: one plain Python file that holds all there is to it, cut into cells.

The cells: prose that names it; `start`, what the learner is given; hints, each prose and code; the
`solution`; one `mistake NAME` for each known wrong version; and `check`, how inputs are drawn and
what is right. See CONTRIBUTING.md. Nothing here needs torch, so that lists are quick.
"""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

from ddpm_tutor.commands import command
from ddpm_tutor.course.cells import Cell, cut, key_from_elsewhere, read_source
from ddpm_tutor.course.lesson import all_lessons
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
        return int(self.path.name[:2])

    @property
    def name(self) -> str:
        """What the learner's file is called, such as "ex2_closed_form"."""
        return f"ex{self.number}_{self.path.stem[3:]}"

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
    def file(self) -> Path:
        """The learner's file, where no other place is named."""
        return FOLDER / f"{self.name}.py"

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
        what, where = as_typed(path or self.file), ""
        if isinstance(what, Path):
            what, where = Path(what.name), ", in the folder of this file"
        check = command("exercise", "check", what)
        check = check.encode(errors="replace").decode()  # a name may be no text
        check = check.replace("\\", r"\\").replace('"', r"\"")
        return (
            f'"""Exercise {self.number} · {self.title}\n\n'
            f"Lesson {self.lesson}; {self.facts['Paper']}.\n"
            f"Put your code where the `...` stands. Then{where}:\n\n"
            f'    {check}\n"""\n\n{self.start.source}\n'
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


def read_exercise(path: Path) -> Exercise:
    """Cuts the file at `path` into its cells.

    Raises:
        TutorError: it cannot be read, or has not all that an exercise needs.
    """
    try:
        prose, *cells = cut(read_source(path)) or [Cell("code", "", "", 1)]
        if not re.match(r"\d\d_\w", path.name):
            raise ValueError("its name is not like 15_my_function.py")
        if prose.kind != "markdown" or not prose.source:
            raise ValueError("it does not begin with a cell of prose")
        title = re.sub(r"^# Exercise \d+\W*", "", prose.source.splitlines()[0])
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
        return Exercise(path, title, facts, hints=tuple(hints), mistakes=tuple(mistakes), **named)
    except ValueError as error:
        raise TutorError(f"{path} is not an exercise ({error}). See CONTRIBUTING.md.") from error


def all_exercises() -> list[Exercise]:
    """The exercises that come with the package, in order."""
    return [read_exercise(path) for path in sorted(bundled("exercises").glob("[0-9]*.py"))]


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
    exercises = all_exercises()
    for exercise in exercises:
        if found and int(found[1]) == exercise.number:
            return exercise
    raise UsageError(
        f"There is no exercise {name}. Choose from 1 to {exercises[-1].number}; "
        "see: ddpm-tutor exercise"
    )


def as_typed(path: Path) -> str | Path:
    """What to call the learner's file at `path` in a command: its number where that will do."""
    number = next((str(e.number) for e in all_exercises() if e.file == path), None)
    return number or path


@dataclass(frozen=True)
class Part:
    """A part of the assignment that exercises stand for."""

    name: str
    points: float
    lesson: str  # the key of the lesson that asks for it
    exercises: tuple[Exercise, ...]  # those that earn it together


def parts() -> dict[str, Part]:
    """The parts of the assignment that exercises earn, by name."""
    exercises = all_exercises()
    return {
        q.part: Part(q.part, q.points, lesson.key, earning)
        for lesson in all_lessons()
        for q in questions(lesson)
        if (earning := tuple(e for e in exercises if q.part and e.part == q.part))
    }


def read_answer(path: Path) -> str:
    """The learner's file.

    Raises:
        TutorError: it is not there, or is no text of a sensible size.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            again = command("exercise", "reset", as_typed(path))
            raise TutorError(f"{path} is larger than any answer. Start over with: {again}")
        return read_source(path)
    except FileNotFoundError:
        write = command("exercise", "start", as_typed(path))
        raise TutorError(f"There is no {path}. Write it with: {write}") from None
    except OSError as error:
        raise TutorError(f"Cannot read {path}: {error.strerror}.") from error
