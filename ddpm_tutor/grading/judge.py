"""Is a learner's function right, and if not, how is it wrong?

What counts is what the function does: its results are compared with those of the package's own,
and where they differ with those of every known wrong version.
"""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import permutations
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.course.exercise import Exercise, Mistake
from ddpm_tutor.errors import is_out_of_memory, line_in
from ddpm_tutor.grading.coefficients import rows_of, sentence, wrong_coefficients
from ddpm_tutor.grading.dependence import dependence, no_number
from ddpm_tutor.grading.known_mistakes import recognised
from ddpm_tutor.grading.shapes import another_shape, shapes_that_do_not_meet
from ddpm_tutor.grading.trials import (
    Draw,
    Outcome,
    alike,
    comparable,
    devices_at_hand,
    distance,
    draws,
    in_a_line,
    kinds_of,
    outcome_of,
    shapes_only,
)
from ddpm_tutor.grading.verdict import Picture, Verdict
from ddpm_tutor.pictures.grids import as_uint8

ROWS = 5  # numbers shown of a wrong result
MIN_SEEN = 1.0  # of 255 shades of grey, in the mean: less is no difference to the eye
HARD_TO_SEE = 8.0  # so little is one only to an eye that knows where to look
NOISES = ("eps", "z", "u", "generator")  # arguments that a function is to take its chance from


def judge(
    exercise: Exercise,
    source: str,
    path: Path,
    *,
    pictures: bool = True,
    first: Callable[[Verdict], None] = lambda _: None,
) -> Verdict:
    """Runs the learner's `source`, which stands in the file `path`, and says how it did.

    Args:
        pictures: whether to draw what a wrong function leads to.
        first: is given the verdict before the pictures are drawn, which may take long.
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
    trial = Trial(exercise, path, function)
    found = trial.verdict()
    if found.passed or not pictures:
        return found
    first(found)
    return replace(found, **trial.pictures())


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
    if isinstance(error, NotImplementedError) and line and not str(error):  # PyTorch says why
        return Verdict("gap", "There is still a gap to fill.", line)
    if isinstance(error, SyntaxError) and error.filename != str(path):
        return Verdict("error", f"{in_a_line(error)}, in {error.filename}", line, case=case)
    says = in_a_line(error)
    if is_out_of_memory(error):
        says = "It needs more memory than a check may use."
    elif isinstance(error, RecursionError):
        says = "It calls itself without an end (RecursionError)."
    elif "grad can be implicitly created only for scalar" in says:
        says = "What `backward` is called on has to be one number: take the mean."
    elif "Boolean value of Tensor with more than one value" in says:
        says = (
            "`if`, `and` and `or` take one yes or no; this tensor has one for each picture. Use"
            f" `torch.where`, or multiply by what is asked. ({says})"
        )
    elif "with a bool tensor is not supported" in says:
        says = f"True and False can't be subtracted: write `~mask` for `1 - mask` ({says})."
    elif "index out of range in self" in says:
        says = f"It is asked for a label, or for a t, that it has no row for ({says})."
    elif "tensors used as indices must be" in says:
        says = f"What a tensor is indexed with has to be whole numbers, `.long()` ({says})."
    elif isinstance(error, AttributeError) and "'float' object has no attribute" in says:
        says = f"A number must stay a tensor: `.item()` makes a plain number of it ({says})."
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
        """Whether the values are right; dtype and device are looked at apart."""
        return self.draw.device == "meta" or alike(self.got, self.expected)

    @property
    def mixes_devices(self) -> bool:
        return "device" in self.got.complaint


@dataclass
class Trial:
    """The learner's function before its examiners."""

    exercise: Exercise
    path: Path
    function: Callable[..., Any]
    checking: dict[str, Any] = field(init=False)  # the variables of the exercise's cell `check`

    def __post_init__(self) -> None:
        self.checking = self.exercise.namespace(self.exercise.check)

    def verdict(self) -> Verdict:
        """Tries every case. The first one whose values are wrong is what is told; a wrong dtype or
        device alone is a note.
        """
        tried: list[Tried] = []
        for draw in self.all_draws():
            # once something is wrong, not on a GPU: after an index out of range it computes no more
            if draw.device in ("cpu", "meta") or all(one.right for one in tried):
                tried.append(self.tried(draw))
        wrong = next((one for one in tried if not one.right), None)
        found = self.of_right(tried) if wrong is None else self.of_wrong(wrong, tried)
        used = dict.fromkeys(one.draw.device for one in tried if one.draw.device != "meta")
        return replace(found, cases=len(tried), devices=list(used))

    def of_right(self, tried: list[Tried]) -> Verdict:
        """What to say where all values are right."""
        if borrowed := self.borrowed(tried[0].inputs):
            name, line = borrowed
            says = f"The package's own {name} does the work here. Write it out: then it counts."
            return Verdict("wrong", says, line)
        says, notes = f"{self.exercise.function} is right.", self.notes(tried)
        if not notes:
            return Verdict("passed", says)
        known = recognised(
            self.exercise,
            lambda function: all(self.does(function, one, exactly=True) for one in tried),
        )
        if known is None:
            return Verdict("passed", says, notes=notes)
        note = f"{known.what} {known.leads_to}".strip()
        return Verdict("passed", says, mistake=known.name, notes=[note])

    def of_wrong(self, wrong: Tried, tried: list[Tried]) -> Verdict:
        """What to say where a value is wrong: which known mistake it is, or the coefficients."""
        told = [one for one in tried if one.draw.device != "meta"]
        if not wrong.mixes_devices:  # that is not what is to be told first
            told = [one for one in told if not one.mixes_devices]
        mistake = recognised(self.exercise, lambda f: all(self.does(f, one) for one in told))
        right_values = all(self.agrees(wrong, name) for name in wrong.expected.values)
        changed = () if right_values else wrong.got.changed
        if changed and not mistake:  # a slip beside the real one, perhaps
            told = [replace(one, got=replace(one.got, changed=())) for one in told]
            mistake = recognised(self.exercise, lambda f: all(self.does(f, one) for one in told))
        if not mistake and self.is_plain(wrong):  # and beside that, numbers out of range, perhaps
            told = [one for one in told if self.is_plain(one)]
            mistake = recognised(self.exercise, lambda f: all(self.does(f, one) for one in told))
        found = self.described(wrong, mistake)
        if mistake:
            found = replace(
                found, says=mistake.what, mistake=mistake.name, leads_to=mistake.leads_to
            )
        notes = [] if found.line else self.notes_of_kind(tried)
        if changed:
            notes.append(f"Change nothing in place that you were given: {' and '.join(changed)}.")
        return replace(found, notes=notes)

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

    def outcome(
        self, function: Callable[..., Any], inputs: dict[str, Any], seed: int = 0
    ) -> Outcome:
        names = self.checking.get("results", ("result",))
        return outcome_of(function, inputs, names, self.checking.get("observe"), seed)

    def does(self, function: Callable[..., Any], one: Tried, exactly: bool = False) -> bool:
        """Whether `function` does in this case what the learner's does; `exactly`: in the same
        dtype and on the same devices.
        """
        outcome = self.outcome(function, one.inputs)
        if one.draw.device == "meta":
            return ("device" in outcome.complaint) == one.mixes_devices
        if exactly and kinds_of(outcome) != kinds_of(one.got):
            return False
        return alike(outcome, one.got)

    def is_plain(self, one: Tried) -> bool:
        """Whether the exercise says of this case that no number in it goes out of range."""
        plain = self.checking.get("plain")
        return plain is not None and plain(one.draw)

    def notes(self, tried: list[Tried]) -> list[str]:
        """What is wrong where all values are right: dtypes, and what is done on the CPU."""
        notes = self.notes_of_kind(tried)
        mixed = next((one for one in tried if one.mixes_devices), None)
        if mixed and mixed.got.error is not None:
            line = line_in(mixed.got.error, self.path)
            where = f" (line {line})" if line else ""
            notes.append(
                f"NumPy works on the CPU alone{where}: with a GPU it stops. Take torch's functions."
                if "numpy" in mixed.got.complaint.lower()
                else f"Make no tensor on the CPU{where}: with a GPU it stops. Say `device=`."
            )
        return notes

    def notes_of_kind(self, tried: list[Tried]) -> list[str]:
        """Another dtype, or a result on another device than the right one."""
        notes = []
        for one in tried:
            pairs = [(n, v, one.got.values.get(n)) for n, v in one.expected.values.items()]
            found = [(n, v, mine) for n, v, mine in pairs if mine is not None]
            other = next(((n, v, mine) for n, v, mine in found if v.dtype != mine.dtype), None)
            if other and one.draw.device != "meta":
                notes.append(self.note_of_dtype(one, *other))
                break
            away = next((n for n, v, mine in found if v.device != mine.device), None)
            if away and one.draw.device != "meta":
                notes.append(
                    f"Leave {away} on the device of what you were given: {one.draw.device}."
                )
                break
        return notes

    def note_of_dtype(self, one: Tried, name: str, expected: Tensor, mine: Tensor) -> str:
        given = (
            n
            for n, v in one.inputs.items()
            if isinstance(v, Tensor) and v.dtype == expected.dtype and v.is_floating_point()
        )
        like = next(given, "")
        say = f"`.to({like}.dtype)`" if like else f"`.to({expected.dtype})`"
        kinds = [str(tensor.dtype).removeprefix("torch.") for tensor in (mine, expected)]
        if like and expected.dtype == torch.float64:
            name = "the result" if name == like else name
            return f"Cast {name} to the dtype of {like}, where that is {kinds[1]} too. Say {say}."
        return f"Cast {name} to {kinds[1]}: it is in {kinds[0]}. Say {say}."

    def described(self, one: Tried, mistake: Mistake | None) -> Verdict:
        """What a wrong case looks like."""
        got, case = one.got, str(one.draw)
        if got.error is not None:
            found = from_error(got.error, self.path, case)
            says = shapes_that_do_not_meet(got.complaint, one.draw)
            return replace(found, says=says) if says else found
        if got.problem:
            return Verdict("wrong", got.problem, case=case)
        name = next((n for n in one.expected.values if not self.agrees(one, n)), "")
        if not name:
            return Verdict("wrong", mistake_of_place(one), case=case)
        expected, mine = one.expected.values[name], got.values.get(name)
        if mine is None:
            return Verdict("wrong", self.explained() or f"{name} is missing.", case=case)
        if self.in_another_order(one):
            says = f"The results are right, but in another order: {', '.join(one.expected.values)}."
            return Verdict("wrong", says, case=case)
        if not comparable(expected, mine):
            columns, rows = ["", "expected", "yours"], kinds(expected, mine)
            says = f"{name} has another dtype."
            if expected.shape != mine.shape:
                says = another_shape(name, expected, mine)
            return Verdict("wrong", says, case=case, columns=columns, rows=rows)
        if "observe" in self.checking and (facts := self.wrong_facts(one)):
            return self.described_facts(one, facts)
        columns, rows = numbers(name, expected, mine, one.inputs.get("t"))
        found = Verdict("wrong", "", case=case, columns=columns, rows=rows)
        if mistake:
            return found
        if not alike(self.outcome(self.function, one.inputs, seed=1), got):
            return replace(found, says=self.draws_its_own())
        if bool(mine.isnan().any()) and not bool(expected.isnan().any()):
            summed = [n for n in self.checking.get("linear_in", ()) if n in one.inputs]
            says = no_number(name, self.function, self.value(name), one.inputs, summed)
            return replace(found, says=says)
        if says := self.explained():
            return replace(found, says=says)
        wrong = wrong_coefficients(self.checking, self.function)
        if wrong:
            columns, rows = rows_of(wrong)
            return Verdict("wrong", sentence(wrong), columns=columns, rows=rows)
        right = self.checking["right"]
        if says := dependence(name, self.function, right, self.value(name), one.inputs):
            return replace(found, says=says)
        if wrong is None:
            names = self.checking["linear_in"]
            summed = [n for n in names if n and n not in one.expected.values]
            says = (
                f"{name} is no sum of {' and '.join(summed)}, each times a number for its picture."
            )
            return replace(
                found, says=f"{says} Is something clipped, or multiplied, or in columns?"
            )
        says = f"{name} is not what it should be, and it is none of the known mistakes."
        return replace(found, says=says)

    def value(self, name: str) -> Callable[[Callable[..., Any], dict[str, Any]], Tensor | None]:
        """What gives this result of a function, None where it gives none."""
        return lambda function, inputs: self.outcome(function, inputs).values.get(name)

    def in_another_order(self, one: Tried) -> bool:
        """Whether all the results are there, but not where they belong."""
        names, values = list(one.expected.values), list(one.got.values.values())
        return len(names) == len(values) in (2, 3) and any(
            alike(Outcome(dict(zip(names, order, strict=True))), one.expected)
            for order in list(permutations(values))[1:]
        )

    def explained(self) -> str:
        """What the exercise's own `explain` says of a function that is none of its mistakes."""
        explain = self.checking.get("explain")
        try:
            return str(explain(self.function)) if explain else ""
        except (Exception, SystemExit):
            return ""

    def wrong_facts(self, one: Tried) -> list[str]:
        """What was observed in a number, or a yes or no, and is not right."""
        values = one.expected.values
        return [n for n, v in values.items() if not v.ndim and not self.agrees(one, n)]

    def described_facts(self, one: Tried, wrong: list[str]) -> Verdict:
        """What is not right of what was observed: there may be several slips at once."""
        broken = [n for n in wrong if one.expected.values[n].dtype == torch.bool]
        rows: list[list[str | float]] = []
        for name in broken or wrong:  # where a law is broken, numbers that rest on it say nothing
            mine = one.got.values.get(name)
            words = "-" if mine is None or mine.ndim else cell(mine.item())
            rows.append([name, cell(one.expected.values[name].item()), words])
        if not alike(self.outcome(self.function, one.inputs, seed=1), one.got):
            says = self.draws_its_own()
        elif explained := self.explained():
            says = explained
        elif broken:
            says = f"This does not hold: {'; '.join(broken)}."
        else:
            says = f"This is not what it should be: {', '.join(wrong)}. No known mistake does so."
        columns = ["", "expected", "yours"]
        return Verdict("wrong", says, case=str(one.draw), columns=columns, rows=rows)

    def draws_its_own(self) -> str:
        """Of a function that is given its noise, and gives another result each time."""
        given = next((name for name in NOISES if name in self.exercise.arguments), "")
        use = f"use {given}, which it is given" if given else "use what it is given"
        return f"It draws random numbers of its own, other ones in each call: {use}."

    def agrees(self, one: Tried, name: str) -> bool:
        """Whether this result is right."""
        both = [{n: v for n, v in o.values.items() if n == name} for o in (one.got, one.expected)]
        return alike(Outcome(both[0]), Outcome(both[1]))

    def borrowed(self, inputs: dict[str, Any]) -> tuple[str, int | None] | None:
        """The package's function that the learner's calls, or is, instead of writing it out, and
        the line where it is called.
        """
        right = self.checking["right"]
        theirs = self.checking.get("written_out", (right,))
        codes = {f.__code__: f.__name__ for f in theirs if inspect.isfunction(f)}
        found: list[tuple[str, int | None]] = []
        last_line: int | None = None
        inside = False

        def watched(*given: Any, **named: Any) -> Any:
            """A generator that is returned runs later, when no line of the learner's is left."""
            nonlocal inside
            inside = True
            try:
                result = self.function(*given, **named)
            finally:
                inside = False
            code = getattr(result, "gi_code", None)
            if code in codes:
                found.append((codes[code], last_line))
            return result

        def see(frame: FrameType, event: str, _: Any) -> None:
            nonlocal last_line
            if event == "return" and frame.f_code.co_filename == str(self.path):
                last_line = frame.f_lineno
            if event != "call" or frame.f_code not in codes:
                return
            caller = frame.f_back
            while caller is not None and caller.f_code.co_filename != str(self.path):
                caller = caller.f_back
            if caller is not None or inside:  # with no line of the learner's: it was only imported
                found.append((codes[frame.f_code], caller and caller.f_lineno))

        before = sys.getprofile()
        sys.setprofile(see)
        try:
            self.outcome(watched, inputs)
        finally:
            sys.setprofile(before)
        return found[0] if found else None

    def pictures(self) -> dict[str, Any]:
        """The picture that the right function leads to, and the learner's, with what they show;
        nothing where one fails, or where they look the same.
        """
        draw = self.checking.get("picture")
        if draw is None:
            return {}
        found: list[Tensor] = []
        shows = (draw.__doc__ or "").strip()
        for function in (self.checking["right"], self.function):
            try:
                with torch.no_grad():
                    images = draw(function)
                if why := why_black(images):
                    shows = f"{shows} {why}"
                found.append(as_uint8(images.nan_to_num(-1.0, -1.0, -1.0)))
            except (Exception, SystemExit):
                return {}
            if found[-1].ndim != 3 or not len(found[-1]) or min(found[-1].shape[1:]) < 8:
                return {}
        right, mine = found
        if right.shape != mine.shape or look_alike(right, mine):
            return {}
        if look_alike(right, mine, HARD_TO_SEE):
            shows = f"{shows} The difference is hard to see: trust the verdict."
        pictures = [
            Picture(caption, image.tolist())
            for caption, images in (("right", right), ("yours", mine))
            for image in images
        ]
        return {"shows": shows, "pictures": pictures}


def mistake_of_place(one: Tried) -> str:
    """Of a function that changes what it was given."""
    return f"The result is right, but {' and '.join(one.got.changed)} was changed in place."


def look_alike(a: Tensor, b: Tensor, shades: float = MIN_SEEN) -> bool:
    """Whether no eye sees a difference between two pictures, uint8."""
    return (a.float() - b.float()).abs().mean().item() < shades


def why_black(images: Tensor) -> str:
    """Why a learner's pictures are black, "" where they are not."""
    if not images.isfinite().all():
        return "Black is what is no number (NaN), or infinite: was something divided by zero?"
    if images.is_floating_point() and bool((images <= -1).all()):
        return "Yours is black since all of it is -1 or less."
    return ""


def kinds(expected: Tensor, mine: Tensor) -> list[list[str | float]]:
    """Why two tensors cannot be compared: another shape, or no whole numbers where they belong."""
    if expected.shape != mine.shape:
        return [["shape", str(tuple(expected.shape)), str(tuple(mine.shape))]]
    return [["dtype", *(str(tensor.dtype).removeprefix("torch.") for tensor in (expected, mine))]]


def numbers(
    name: str, expected: Tensor, mine: Tensor, t: Tensor | None
) -> tuple[list[str], list[list[str | float]]]:
    """For each image the number that is furthest off; for a lone one, those of its line. Numbers
    that are right are left out.
    """
    of_images = expected.ndim > 1 and len(expected) > 1
    far = distance(mine, expected).reshape(len(expected) if of_images else 1, -1)
    flat = [v.reshape(far.shape).cpu() for v in (expected, mine)]
    if of_images:
        places = [(i, int(far[i].argmax())) for i in range(len(far)) if far[i].max() > 1][:ROWS]
    else:
        largest = far[0].argsort(descending=True)[:ROWS].sort().values
        places = [(0, int(i)) for i in largest if far[0, i] > 1]
    shape = expected.shape[1:] if of_images else expected.shape
    with_t = t is not None and of_images and len(t) == len(expected)
    rows: list[list[str | float]] = []
    for i, j in places:
        index = [int(k) for k in torch.unravel_index(torch.tensor(j), shape)] if shape else []
        where = ", ".join(map(str, [i, *index] if of_images else index))
        of_t = [str(int(t[i]))] if with_t and t is not None else []
        pair = (cell(v[i, j].item()) for v in flat)
        rows.append([f"{name}[{where}]" if where else name, *of_t, *pair])
    return ["", *(["t"] if with_t else []), "expected", "yours"], rows


def cell(value: float | int | bool) -> str | float:
    """A number for a table: whole ones without a point, and no -0."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value + 0.0 if isinstance(value, float) else str(value)
