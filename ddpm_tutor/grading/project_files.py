"""A file of anybody's project: read, and run as far as it defines things, not as far as it works.

A project's file trains when it is run, loads data, asks for a GPU, and imports what is not
installed here. To try its functions none of that is needed. So it is run statement by statement:
imports, functions, classes and assignments, each within a time limit and each allowed to fail. A
package that is not installed is stood in for by one that does nothing.
"""

import __future__

import ast
import importlib
import importlib.util
import json
import linecache
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from types import FrameType, ModuleType
from typing import Any

from ddpm_tutor.course.cells import read_source
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.grading.project_stand_ins import StandInFinder
from ddpm_tutor.grading.sandbox import WAITING
from ddpm_tutor.grading.trials import in_a_line

MAX_BYTES = 5_000_000  # of a file; a notebook with its pictures may be large
MODULE = "project_under_trial"  # no name that the project itself may use
STATEMENT_SECONDS = 3.0  # for one statement
ALL_SECONDS = 9.0  # for all of them
MAX_WAIT_SECONDS = 20.0  # beyond that, for what does not compute
MAX_QUOTED = 60  # characters of a statement
MAX_ABOVE = 3  # folders above a file, in which its package may be
WORKS = ("train", "fit", "main", "run", "evaluate", "test", "plot", "show")  # what a call is named
MENDS = ("append", "extend", "insert", "update")  # calls that change what was defined


@dataclass(frozen=True)
class Source:
    """Python code, and where each part of it stands."""

    text: str
    cells: tuple[tuple[int, int], ...] = ()  # of a notebook: the first line of each, its number

    def where(self, line: int) -> str:
        """A line as it is found again: that of the file, or that of a notebook's cell."""
        begun = [(start, number) for start, number in self.cells if start <= line]
        if not begun:
            return f"line {line}"
        start, number = begun[-1]
        return f"cell {number}, line {line - start + 1}"

    def all_names(self) -> set[str]:
        """Whatever it names: functions, classes, variables, attributes, and what it imports."""
        found = set()
        for node in ast.walk(ast.parse(self.text)):
            for kind in ("id", "name", "attr", "asname"):
                name = getattr(node, kind, None)
                found |= {name} if isinstance(name, str) else set()
        return found


def read_project(path: Path) -> Source:
    """The code in a `.py` file or a notebook.

    Raises:
        UsageError: there is none, or it is no file.
        TutorError: it cannot be read, or is not Python.
    """
    if not path.exists():
        raise UsageError(f"There is no {path}.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder. Name one file of yours, such as {path}/ddpm.py.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TutorError(f"{path} is larger than any code. Name the file with your functions.")
        text = read_source(path)
    except OSError as error:
        raise TutorError(f"Cannot read {path}: {error.strerror}.") from error
    source = notebook_code(text) or Source(text)
    if not source.text.strip():
        raise TutorError(f"{path} holds no code.")
    try:
        ast.parse(source.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None)
        where = f", {source.where(line)}" if line else ""
        raise TutorError(
            f"{path}{where}: this is not Python ({getattr(error, 'msg', error)})."
        ) from error
    return source


def notebook_code(text: str) -> Source | None:
    """The code cells of a notebook, without the lines that speak to Jupyter; None if it is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        cells = json.loads(text)["cells"]
        codes = [
            (i, "".join(cell["source"]))
            for i, cell in enumerate(cells, 1)
            if cell["cell_type"] == "code"
        ]
    except (ValueError, KeyError, TypeError):
        return None
    lines: list[str] = []
    starts = []
    for number, code in codes:
        if code.startswith("%%") and not code.startswith(("%%time", "%%capture", "%%writefile")):
            continue  # another language
        starts.append((len(lines) + 1, number))
        lines += [
            f"{line[: len(line) - len(line.lstrip())]}pass"
            if line.lstrip().startswith(("%", "!", "?"))
            else line
            for line in code.splitlines()
        ]
    return Source("\n".join(lines) + "\n", tuple(starts))


class TookTooLong(BaseException):
    """What ran was stopped. Code that catches every Exception does not catch it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Stops what runs inside by `TookTooLong`, after so many seconds of computing, or six times as
    many on the clock: a busy machine is slow, and what sleeps does not compute.
    """
    if not hasattr(signal, "setitimer"):
        yield  # Windows: the limit of the whole trial has to do
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TookTooLong(f"it took longer than {seconds:g} s, and was stopped")

    clocks = {signal.SIGVTALRM: signal.ITIMER_VIRTUAL, signal.SIGALRM: signal.ITIMER_REAL}
    before = {number: signal.signal(number, stop) for number in clocks}
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, min(WAITING * seconds, seconds + MAX_WAIT_SECONDS))
    try:
        yield
    finally:
        for number, clock in clocks.items():
            signal.setitimer(clock, 0)
            signal.signal(number, before[number])


@dataclass
class Project:
    """What a file has defined."""

    path: Path
    module: ModuleType
    tree: ast.Module
    left_out: list[tuple[int, str]] = field(default_factory=list)  # a line, and why
    stood_in: list[str] = field(default_factory=list)  # packages that are not installed
    roots: list[Path] = field(default_factory=list)  # folders that it imports from, its own first

    @property
    def names(self) -> dict[str, Any]:
        """All that it has defined, by name."""
        return self.module.__dict__

    @property
    def draws_many_t(self) -> bool:
        """Whether it draws a t for each picture, as a training does."""
        return "randint" in ast.unparse(self.tree)

    def is_own(self, thing: Any) -> bool:
        """Whether a class or function is written in this file, or in one beside it."""
        module = getattr(thing, "__module__", None)
        if module == MODULE:
            return True
        file = getattr(sys.modules.get(module or ""), "__file__", None)
        if not file:
            return False
        file = Path(str(file)).resolve()
        installed = "site-packages" in file.parts  # in a project's own environment, too
        return not installed and any(root in file.parents for root in self.roots)


def imported_names(tree: ast.AST) -> set[str]:
    """The packages that some code imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def roots_of(tree: ast.Module, folder: Path) -> list[Path]:
    """The folders that a file imports from: its own; and those above it, or a `src` in them, that
    hold a package which it wants, up to that of the whole project.
    """
    found = [folder]
    names = imported_names(tree)
    for above in [folder, *folder.parents][: MAX_ABOVE + 1]:
        for root in (above, above / "src"):
            packages = (root / name / "__init__.py" for name in names)
            if root not in found and any(package.is_file() for package in packages):
                found.append(root)
        if any((above / name).exists() for name in (".git", "pyproject.toml", "setup.py")):
            break
    return found


def names_of_project(tree: ast.Module, path: Path) -> set[str]:
    """The packages that a file imports, and those beside it."""
    found = imported_names(tree)
    for beside in sorted(path.resolve().parent.glob("*.py"))[:50]:
        if beside.stem in found:
            try:
                found |= imported_names(ast.parse(read_source(beside)))
            except (TutorError, OSError, SyntaxError, ValueError):
                continue
    return found


def preload(source: Source, path: Path) -> None:
    """Loads the installed packages that a project wants, before anything is guarded or counted."""
    folder = path.resolve().parent
    tree = ast.parse(source.text)
    for name in sorted(names_of_project(tree, path) | imported_modules(tree)):
        top = name.split(".")[0]
        if (folder / f"{top}.py").exists() or (folder / top).is_dir():
            continue
        try:
            importlib.import_module(name)
        except (Exception, SystemExit):
            continue


def imported_modules(tree: ast.AST) -> set[str]:
    """Modules that some code may import, such as `matplotlib.pyplot`; classes and functions, too,
    for it is not known which is which.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def run_project(source: Source, path: Path) -> Project:
    """Runs what a file defines; what it does is left out."""
    tree = ast.parse(source.text, str(path))
    folder = path.resolve().parent
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    sys.modules[MODULE] = module
    lines = source.text.splitlines(keepends=True)
    linecache.cache[str(path)] = (len(source.text), None, lines, str(path))  # for a notebook
    packages_of(folder, module, tree)
    project = Project(path, module, tree, roots=roots_of(tree, folder))
    finder = StandInFinder(names_of_project(tree, path), project.stood_in)
    sys.meta_path.append(finder)
    kept, sys.path = sys.path, [str(folder), *sys.path, *map(str, project.roots[1:])]
    arguments, sys.argv = sys.argv, [str(path)]
    budget = [ALL_SECONDS]
    try:
        run_statements(tree.body, project, budget)
    finally:
        sys.argv = arguments
        sys.path = kept
        sys.meta_path.remove(finder)
    return project


def packages_of(folder: Path, module: ModuleType, tree: ast.Module) -> None:
    """Makes packages of the folders above, where the file imports from them by dots."""
    levels = [node.level for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    depth = max(levels, default=0)
    if not depth:
        return
    name = MODULE + "_folder"
    for above in [folder, *folder.parents][:depth][::-1]:
        package = ModuleType(name)
        package.__path__ = [str(above)]
        sys.modules[name] = package
        module.__package__, name = name, f"{name}.{folder.name}"


def run_statements(body: Sequence[ast.stmt], project: Project, budget: list[float]) -> None:
    """Runs one statement after another; notes those that are left out, or fail."""
    for node in body:
        if isinstance(node, ast.If):
            if "__name__" not in ast.unparse(node.test):
                run_statements(branch_of(node, project), project, budget)
            continue
        if why := why_left_out(node):
            if why != "-":
                project.left_out.append((node.lineno, why))
            continue
        began = time.process_time()
        try:
            if budget[0] <= 0:
                raise TookTooLong("no time is left for it")
            code = compile(
                ast.Module([node], []), str(project.path), "exec", future_of(project.tree),
                dont_inherit=True, optimize=0,
            )  # fmt: skip
            with time_limit(min(STATEMENT_SECONDS, budget[0])):
                exec(code, project.names)
        except (Exception, SystemExit, TookTooLong) as error:
            project.left_out.append((node.lineno, f"{in_words(node)}: {why_stopped(error)}"))
        budget[0] -= time.process_time() - began


def future_of(tree: ast.Module) -> int:
    """The flags of what a file imports from `__future__`: they hold for all of it."""
    flags = 0
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                flags |= getattr(__future__, alias.name).compiler_flag
    return flags


def branch_of(node: ast.If, project: Project) -> list[ast.stmt]:
    """The branch of an `if` that is to be run; none where its question cannot be answered."""
    try:
        code = compile(ast.Expression(node.test), str(project.path), "eval", dont_inherit=True)
        with time_limit(STATEMENT_SECONDS):
            return node.body if eval(code, project.names) else node.orelse
    except (Exception, SystemExit, TookTooLong):
        return []


def why_left_out(node: ast.stmt) -> str:
    """Why a statement is not run; "" where it is, "-" where that is not worth a word."""
    text = ast.unparse(node)
    if isinstance(node, ast.Expr):
        if isinstance(node.value, ast.Constant) or not isinstance(node.value, ast.Call):
            return "-"
        name = called(node.value)
        if text.startswith("sys.path.") or name in MENDS or name.rstrip("_") != name:
            return ""
        return f"{name}(...)" if name.startswith(WORKS) else "-"
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        value = node.value
        name = called(value) if isinstance(value, ast.Call) else ""
        return f"{name}(...)" if name.startswith(WORKS) else ""
    if isinstance(node, ast.For | ast.While | ast.With):
        working = (".backward(", ".step(", "loader", "epoch", "plt.", "input(")
        is_work = isinstance(node, ast.While) or any(word in text for word in working)
        return f"{in_words(node)}" if is_work else ""
    if isinstance(node, ast.Try):
        return "" if "import " in text else "-"
    return "-" if isinstance(node, ast.Assert | ast.Delete | ast.Raise) else ""


def why_stopped(error: BaseException) -> str:
    """An error in a line; of what was stopped, that it was."""
    return str(error) if isinstance(error, TookTooLong) else in_a_line(error)


def called(node: ast.Call) -> str:
    """The last name of what is called."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def in_words(node: ast.stmt) -> str:
    """A statement in a few words."""
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return f"{'class' if isinstance(node, ast.ClassDef) else 'def'} {node.name}"
        case ast.For() | ast.While() | ast.With():
            return f"the `{type(node).__name__.lower()}` that begins there"
        case ast.Assign():
            return f"{shorten(ast.unparse(node.targets[0]), MAX_QUOTED, placeholder=' ...')} = ..."
        case _:
            return shorten(ast.unparse(node).splitlines()[0], MAX_QUOTED, placeholder=" ...")
