"""A learner's own functions, in the place of the package's."""

import ast
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm_tutor.commands import command
from ddpm_tutor.course.exercise import all_exercises, as_typed, read_answer
from ddpm_tutor.errors import TutorError, line_in
from ddpm_tutor.grading.judge import run_module
from ddpm_tutor.grading.trials import in_a_line
from ddpm_tutor.learner.progress import fingerprint, is_own, load_progress


@dataclass(frozen=True)
class OwnCode:
    """A learner's functions for a drawing or a training."""

    functions: dict[str, Callable[..., Any]]
    left_out: list[str]  # files that are there and not used, and why


def own_code(
    folder: Path, names: Sequence[str], purpose: str, passed: Mapping[str, str] | None = None
) -> OwnCode:
    """Those functions in the learner's folder that have one of these names and that have passed.

    Args:
        purpose: what for, such as "drawing".
        passed: the fingerprint of the file of each exercise that has passed, by its name; None
            goes by the learner's progress.

    Raises:
        TutorError: there are none.
    """
    progress, found = load_progress(), OwnCode({}, [])
    wanted = [e for e in all_exercises() if e.function in names]
    for exercise in wanted:
        path = folder / f"{exercise.name}.py"
        if not path.is_file():
            continue
        source, last = read_answer(path, exercise), progress.exercise(exercise.key).passed
        if passed is not None:
            last = passed.get(exercise.name, "")
        if last != fingerprint(source):
            keeping = [] if is_own(exercise, path) else ["--progress"]
            why = "has changed since it passed" if last else "has not passed yet"
            check = command("exercise", "check", *as_typed(exercise, path), *keeping)
            found.left_out.append(f"{path} {why}: {check}")
            continue
        module = run_module(ast.parse(source, str(path)), path)
        function = getattr(module, exercise.function)
        found.functions[exercise.function] = pointing(function, path)
    if not found.functions:
        numbers = ", ".join(str(exercise.number) for exercise in wanted)
        raise TutorError(
            "\n".join([*found.left_out, f"{folder} holds no code of yours for a {purpose}."])
            + f"\nA {purpose} uses exercises {numbers}, once they have passed."
        )
    return found


def pointing(function: Callable[..., Any], path: Path) -> Callable[..., Any]:
    """The learner's function; an error in it names its line."""

    def loop(*given: Any) -> Iterator[Any]:
        with errors_named(path):
            yield from function(*given)

    def call(*given: Any) -> Any:
        with errors_named(path):
            return function(*given)

    return loop if inspect.isgeneratorfunction(function) else call


@contextmanager
def errors_named(path: Path) -> Iterator[None]:
    """Turns an error in the learner's file into one that names the line."""
    try:
        yield
    except (TutorError, GeneratorExit):
        raise
    except Exception as error:
        line = line_in(error, path)
        where = f"{path}, line {line}" if line else str(path)
        raise TutorError(f"{where}: {in_a_line(error)}") from error
