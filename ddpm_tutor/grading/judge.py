"""Is a learner's function right, and if not, how is it wrong?

What counts is what the function does: its results are compared with those of the package's own,
and where they differ with those of every known wrong version.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.course.exercise import Exercise, Mistake
from ddpm_tutor.errors import is_out_of_memory, line_in
from ddpm_tutor.grading.coefficients import rows_of, sentence, wrong_coefficients
from ddpm_tutor.grading.known_mistakes import recognised
from ddpm_tutor.grading.trials import (
    Draw,
    Outcome,
    alike,
    devices_at_hand,
    distance,
    draws,
    in_a_line,
    outcome_of,
    same_kind,
    shapes_only,
)
from ddpm_tutor.grading.verdict import Picture, Verdict
from ddpm_tutor.pictures.grids import as_uint8

ROWS = 5  # numbers shown of a wrong result


def judge(exercise: Exercise, source: str, path: Path, *, pictures: bool = True) -> Verdict:
    """Runs the learner's `source`, which stands in the file `path`, and says how it did.

    Args:
        pictures: whether to draw what a wrong function leads to.
    """
    try:
        tree = ast.parse(source, str(path))
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None)
        return Verdict("syntax", f"This is not Python yet: {getattr(error, 'msg', error)}.", line)
    gap = line_of_gap(tree, exercise.function)
    if gap is not None:
        return Verdict("gap", "There is still a gap to fill.", gap)
    try:
        module = run_module(tree, path)
    except (Exception, SystemExit) as error:
        return from_error(error, path)
    function = getattr(module, exercise.function, None)
    if not callable(function):
        return Verdict("missing", f"There is no function {exercise.function} in this file.")
    found = Trial(exercise, path, function)
    return found.verdict(pictures)


def line_of_gap(tree: ast.Module, name: str) -> int | None:
    """Where the function still has a `...`; in `x[..., None]` it is none."""
    for function in tree.body:
        if isinstance(function, ast.FunctionDef) and function.name == name:
            indices = [n.slice for n in ast.walk(function) if isinstance(n, ast.Subscript)]
            fine = {id(n) for index in indices for n in ast.walk(index)}
            for node in ast.walk(function):
                if isinstance(node, ast.Constant) and node.value is ... and id(node) not in fine:
                    return node.lineno
                if isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node):
                    return node.lineno
    return None


def run_module(tree: ast.Module, path: Path) -> ModuleType:
    """The module that the learner's file is; what stands beside it can be imported."""
    module = ModuleType(path.stem)
    module.__file__ = str(path)
    folder = str(path.resolve().parent)
    sys.modules[path.stem] = module
    sys.path.insert(0, folder)
    try:
        exec(compile(tree, str(path), "exec", dont_inherit=True, optimize=0), module.__dict__)
    finally:
        sys.path.remove(folder)
    return module


def from_error(error: BaseException, path: Path, case: str = "") -> Verdict:
    """What to say of an error in the learner's code."""
    line = line_in(error, path)
    if isinstance(error, SystemExit):
        return Verdict("ended", "Your code ends Python here (exit).", line)
    if isinstance(error, NotImplementedError) and line:
        return Verdict("gap", "There is still a gap to fill.", line)
    if isinstance(error, SyntaxError) and error.filename != str(path):
        return Verdict("error", f"{in_a_line(error)}, in {error.filename}", line, case=case)
    says = in_a_line(error)
    if is_out_of_memory(error):
        says = "It needs more memory than a check may use."
    elif isinstance(error, RecursionError):
        says = "It calls itself without an end (RecursionError)."
    elif line is None:
        says = f"What your function returns is not what the docstring says ({says})."
    return Verdict("error", says, line, case=case)


@dataclass
class Tried:
    """The outcome of one call of the learner's function, and of the right one."""

    draw: Draw
    inputs: dict[str, Any]
    expected: Outcome
    got: Outcome

    @property
    def right(self) -> bool:
        if self.draw.device == "meta":  # it has no numbers: only a mix of devices is a mistake
            return "device" not in self.got.complaint
        return alike(self.got, self.expected)


@dataclass
class Trial:
    """The learner's function before its examiners."""

    exercise: Exercise
    path: Path
    function: Callable[..., Any]
    checking: dict[str, Any] = field(init=False)  # the variables of the exercise's cell `check`

    def __post_init__(self) -> None:
        self.checking = self.exercise.namespace(self.exercise.check)

    def verdict(self, pictures: bool) -> Verdict:
        """Tries every case; the first wrong one is what is told."""
        tried = [self.tried(draw) for draw in self.all_draws()]
        wrong = next((one for one in tried if not one.right), None)
        devices = devices_at_hand()
        if wrong is None:
            says = f"{self.exercise.function} is right."
            return Verdict("passed", says, cases=len(tried), devices=devices)
        mistake = recognised(
            self.exercise, lambda function: all(self.does(function, one) for one in tried)
        )
        found = self.described(wrong, mistake)
        if mistake:
            found = replace(
                found, says=mistake.what, mistake=mistake.name, leads_to=mistake.leads_to
            )
        drawn = self.pictures() if pictures else []
        shows = (self.checking["picture"].__doc__ or "").strip() if drawn else ""
        return replace(found, shows=shows, pictures=drawn, cases=len(tried), devices=devices)

    def all_draws(self) -> Iterator[Draw]:
        """The inputs of every case."""
        for device in devices_at_hand():
            yield from draws(device)
        if self.checking.get("shapes", True):
            yield shapes_only()

    def tried(self, draw: Draw) -> Tried:
        """Both functions on the same inputs."""
        inputs = self.checking["inputs"](draw)
        expected = self.outcome(self.checking["right"], inputs)
        return Tried(draw, inputs, expected, self.outcome(self.function, inputs))

    def outcome(self, function: Callable[..., Any], inputs: dict[str, Any]) -> Outcome:
        names = self.checking.get("results", ("result",))
        return outcome_of(function, inputs, names, self.checking.get("observe"))

    def does(self, function: Callable[..., Any], one: Tried) -> bool:
        """Whether `function` does in this case what the learner's does."""
        outcome = self.outcome(function, one.inputs)
        if one.draw.device == "meta":
            return ("device" in outcome.complaint) == ("device" in one.got.complaint)
        return alike(outcome, one.got)

    def described(self, one: Tried, mistake: Mistake | None) -> Verdict:
        """What a wrong case looks like."""
        got, case = one.got, str(one.draw)
        if one.draw.device == "meta":
            says = "A tensor is made on the CPU. On a GPU this stops: give it a `device=`."
            return Verdict("wrong", says, line_in(got.error, self.path) if got.error else None)
        if got.error is not None:
            return from_error(got.error, self.path, case)
        if got.problem:
            return Verdict("wrong", got.problem, case=case)
        name = next(
            (n for n in one.expected.values if not self.agrees(one, n)), next(iter(got.values))
        )
        expected, mine = one.expected.values[name], got.values.get(name)
        if mine is None:
            return Verdict("wrong", f"{name} is missing.", case=case)
        if got.changed and self.agrees(one, name):
            says = f"The result is right, but {' and '.join(got.changed)} was changed in place."
            return Verdict("wrong", says, case=case)
        if not same_kind(expected, mine):
            columns, rows = ["", "expected", "yours"], kinds(expected, mine)
            says = f"{name} has another {' and '.join(str(row[0]) for row in rows)}."
            return Verdict("wrong", says, case=case, columns=columns, rows=rows)
        wrong = None if mistake else wrong_coefficients(self.checking, self.function)
        if wrong:
            columns, rows = rows_of(wrong)
            return Verdict("wrong", sentence(wrong), columns=columns, rows=rows)
        says = f"{name} is not what it should be, and it is none of the known mistakes."
        columns, rows = numbers(name, expected, mine, one.inputs.get("t"))
        return Verdict("wrong", says, case=case, columns=columns, rows=rows)

    def agrees(self, one: Tried, name: str) -> bool:
        """Whether this result is right."""
        both = [{n: v for n, v in o.values.items() if n == name} for o in (one.got, one.expected)]
        return alike(Outcome(both[0]), Outcome(both[1]))

    def pictures(self) -> list[Picture]:
        """The picture that the right function leads to, and the learner's; none where one fails."""
        draw = self.checking.get("picture")
        if draw is None:
            return []
        found = []
        for function, caption in ((self.checking["right"], "right"), (self.function, "yours")):
            try:
                with torch.no_grad():
                    images = as_uint8(draw(function))
            except (Exception, SystemExit):
                return []
            if images.ndim != 3 or not len(images) or min(images.shape[1:]) < 8:
                return []
            found += [Picture(caption, image.tolist()) for image in images]
        return found


def kinds(expected: Tensor, mine: Tensor) -> list[list[str | float]]:
    """In which of shape, dtype and device two tensors differ."""
    rows: list[list[str | float]] = []
    for what in ("shape", "dtype", "device"):
        pair = [getattr(tensor, what) for tensor in (expected, mine)]
        words = [str(tuple(v)) if what == "shape" else str(v) for v in pair]
        if words[0] != words[1]:
            rows.append([what, *(word.removeprefix("torch.") for word in words)])
    return rows


def numbers(
    name: str, expected: Tensor, mine: Tensor, t: Tensor | None
) -> tuple[list[str], list[list[str | float]]]:
    """For each image the number that is furthest off; for a lone one, those of its line."""
    of_images = expected.ndim > 1 and len(expected) > 1
    far = distance(mine, expected).reshape(len(expected) if of_images else 1, -1)
    flat = [v.reshape(far.shape).double().cpu() for v in (expected, mine)]
    if of_images:
        places = [(i, int(far[i].argmax())) for i in range(min(ROWS, len(far)))]
    else:
        places = [(0, int(i)) for i in far[0].argsort(descending=True)[:ROWS].sort().values]
    shape = expected.shape[1:] if of_images else expected.shape
    with_t = t is not None and of_images and len(t) == len(expected)
    rows: list[list[str | float]] = []
    for i, j in places:
        index = [int(k) for k in torch.unravel_index(torch.tensor(j), shape)] if shape else []
        where = ", ".join(map(str, [i, *index] if of_images else index))
        of_t = [str(int(t[i]))] if with_t and t is not None else []
        rows.append([f"{name}[{where}]" if where else name, *of_t, *(v[i, j].item() for v in flat)])
    return ["", *(["t"] if with_t else []), "expected", "yours"], rows
