"""Grading a hand-in: its code is checked again, and its points are counted anew.

What the code is worth, this finds out itself. What was answered, and when, it can only take from
the file, which anybody can edit.
"""

import ast
import dataclasses
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import permutations
from pathlib import Path
from queue import SimpleQueue

from ddpm_tutor import __version__
from ddpm_tutor.course.exercise import Exercise, all_exercises
from ddpm_tutor.files import came_along
from ddpm_tutor.grading.sandbox import MAX_SECONDS, WAITING
from ddpm_tutor.grading.strangers import Check, Checker
from ddpm_tutor.grading.verdict import Verdict
from ddpm_tutor.hand_ins.collecting import Offered, assignment, offered
from ddpm_tutor.hand_ins.hand_in import Asked, HandIn, NoHandIn, Written, clean
from ddpm_tutor.hand_ins.reading import read_hand_in
from ddpm_tutor.words import count_of

LEAST_SECONDS = 0.5  # that are worth beginning a check with
SHARE = 1 / 4  # of a student's time, at most, for one file: a loop without an end leaves the rest
LONG_ENOUGH = 100  # letters of a function, without blanks: shorter ones are equal by chance
QUICK, AT_ONCE = 60, 10  # seconds, and answers in them: nobody reads as fast
SHOWN = 3  # names in a remark
# names in code that reaches for what a check rests on; a person should look at it
REACHING = (
    "ddpm_tutor.grading", "ddpm_tutor.course", "ddpm_tutor.learner", "sys.modules", "_getframe",
    "__code__", "inspect", "importlib", "__import__", "ctypes", "gc", "exec", "eval", "settrace",
    "setprofile", "_exit", "__builtins__", "builtins",
)  # fmt: skip


@dataclass
class Grade:
    """What came of grading a file."""

    path: Path
    hand_in: HandIn | None = None
    problem: str = ""  # why it could not be graded
    verdicts: dict[str, Verdict] = field(default_factory=dict)  # by the names of the exercises
    by_answers: float = 0.0  # points
    by_code: float = 0.0  # points of parts that were not answered rightly, by exercises
    seconds: float = 0.0  # of computing
    remarks: list[str] = field(default_factory=list)

    @property
    def points(self) -> float:
        return self.by_answers + self.by_code

    @property
    def passed(self) -> list[str]:
        """The names of the exercises that have passed."""
        return [name for name, verdict in self.verdicts.items() if verdict.passed]


class Grader:
    """Grades hand-ins, several at a time. Close it, or use `with`."""

    def __init__(self, jobs: int, limit: float) -> None:
        """Nothing is started yet.

        Args:
            jobs: how many at a time.
            limit: seconds that the code of one hand-in may compute; on the clock it may take six
                times as long.
        """
        self.limit = limit
        self.pool = ThreadPoolExecutor(jobs)
        self.checkers = [Checker() for _ in range(jobs)]
        self.free: SimpleQueue[Checker] = SimpleQueue()
        for checker in self.checkers:
            self.free.put(checker)
        self.exercises = {e.name: e for e in all_exercises() if came_along(e.path)}
        self.asked = {asked.part: asked for asked in assignment()}
        self.offered = offered()
        self.known: dict[tuple[str, str], Check] = {}  # what has been checked already
        self.lock = threading.Lock()

    def __enter__(self) -> "Grader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends all that runs."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        for checker in self.checkers:
            checker.close()

    def grades(
        self, paths: Sequence[Path], done: Callable[[Grade], object] = lambda _: None
    ) -> list[Grade]:
        """A grade for each file, in their order.

        Args:
            done: is told of each as it comes.
        """
        waiting: list[Future[Grade]] = [self.pool.submit(self.grade, path) for path in paths]
        for future in waiting:
            done(future.result())
        found = [future.result() for future in waiting]
        remark_equal_code(found, self.exercises)
        remark_equal_names(found)
        return found

    def grade(self, path: Path) -> Grade:
        """Grades a file; whatever is wrong with it, that is its grade."""
        grade = Grade(path)
        try:
            grade.hand_in = read_hand_in(path)
        except NoHandIn as error:
            grade.problem = f"{error}"
            return grade
        checker = self.free.get()
        try:
            self.check_code(grade, grade.hand_in, checker)
        except Exception as error:  # one hand-in stops no other
            grade.problem = f"its code could not be checked: {type(error).__name__}: {error}"
        finally:
            self.free.put(checker)
        self.count(grade, grade.hand_in)
        return grade

    def check_code(self, grade: Grade, hand_in: HandIn, checker: Checker) -> None:
        """Checks every exercise of a hand-in anew."""
        started = time.monotonic()
        files = {w.name: w.code for w in hand_in.exercises}
        with tempfile.TemporaryDirectory(prefix="ddpm-tutor-") as name:
            for file, code in files.items():
                (Path(name) / f"{file}.py").write_text(code, encoding="utf-8", newline="")
            for written in hand_in.exercises:
                exercise = self.exercises.get(written.name)
                if exercise is None:
                    grade.remarks.append(f"there is no exercise {written.name}")
                    continue
                left = self.limit - grade.seconds
                if left < LEAST_SECONDS or time.monotonic() - started > WAITING * self.limit:
                    says = "Not checked: the code before it took all the time there is."
                    grade.verdicts[written.name] = Verdict("stopped", says)
                    continue
                others = [n for n in files if n != written.name and n in written.code]
                key = None if others else (written.name, written.code)
                path = Path(name) / f"{written.name}.py"
                check = self.checked(
                    checker, exercise, path, key, min(left, self.limit * SHARE, MAX_SECONDS)
                )
                grade.verdicts[written.name] = check.verdict
                grade.seconds += check.processor

    def checked(
        self,
        checker: Checker,
        exercise: Exercise,
        path: Path,
        key: tuple[str, str] | None,
        seconds: float,
    ) -> Check:
        """Checks a file, unless the very same has been checked before.

        Args:
            key: what tells it from others; None where its verdict may rest on other files.
        """
        with self.lock:
            if key in self.known:
                return dataclasses.replace(self.known[key], processor=0.0)
        check = checker.check(exercise, path, seconds)
        if key is not None and check.verdict.kind not in ("stopped", "ended"):
            with self.lock:
                self.known[key] = check
        return check

    def count(self, grade: Grade, hand_in: HandIn) -> None:
        """Counts the points, and remarks on what a teacher should look at."""
        counting = {
            w.name
            for w in hand_in.exercises
            if w.name in grade.passed and not w.solution_seen
        }  # fmt: skip
        given = {asked.part: checked_answers(asked, self.offered) for asked in hand_in.questions}
        unproven = []
        for part, mine in self.asked.items():
            asked = dataclasses.replace(
                given.get(part, mine), points=mine.points, exercises=mine.exercises
            )
            if asked.right_at is not None:
                grade.by_answers += asked.points
            elif asked.earned(counting):
                grade.by_code += asked.points
            elif asked.earned_before:
                unproven.append(part)
        grade.remarks += remarks_on(grade, hand_in, unproven)
        grade.remarks += remarks_on_answers(hand_in, self.offered)


def remarks_on(grade: Grade, hand_in: HandIn, unproven: list[str]) -> Iterator[str]:
    """What a teacher should look at in one hand-in."""
    if unproven:
        are = "is" if len(unproven) == 1 else "are"
        yield f"says that {few(unproven)} {are} earned, without an answer or code that earns that"
    if hand_in.stated is not None and hand_in.stated != grade.points:
        yield f"states {count_of(hand_in.stated, 'point')}, not {grade.points:g}"
    other = [
        w.number for w in hand_in.exercises
        if (w.kind == "passed") != (w.name in grade.passed) and w.name in grade.verdicts
    ]  # fmt: skip
    if other:
        exercises = "exercise" if len(other) == 1 else "exercises"
        yield f"another verdict than it states: {exercises} {few(other)}"
    for written in hand_in.exercises:
        if reached := reaching(written.code):
            yield f"look at exercise {written.number}: it names {few(reached)}"
    if quick := quickest(hand_in.questions):
        yield quick


def checked_answers(asked: Asked, offered: dict[str, Offered]) -> Asked:
    """The question with its answers; one that chose a wrong option is wrong, whatever it states."""
    known = offered.get(asked.part)
    if known is None:
        return asked
    answers = (
        dataclasses.replace(a, right=a.right and known.says(a) is not False) for a in asked.answers
    )
    return dataclasses.replace(asked, answers=tuple(answers))


def remarks_on_answers(hand_in: HandIn, offered: dict[str, Offered]) -> Iterator[str]:
    """What a teacher should look at in the answers that are stated as right."""
    version = hand_in.made_with.get("ddpm-tutor", "")
    says = {
        asked.part: {offered[asked.part].says(a) for a in asked.answers if a.right}
        for asked in hand_in.questions
        if asked.part in offered
    }
    if wrong := [part for part, found in says.items() if False in found]:
        yield f"stated as right, and wrong: {few(wrong)}"
    unknown = [part for part, found in says.items() if None in found]
    if unknown and version == __version__:  # another version may word its options otherwise
        yield f"stated as right, and no option of the question: {few(unknown)}"
    if version and version != __version__:
        yield f"made with ddpm-tutor {version}; this is {__version__}"


def reaching(code: str) -> list[str]:
    """The names in some code that reach for what a check rests on."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(module), names=names):
                found |= {module, *(f"{module}.{alias.name}" for alias in names)}
            case ast.Name(id=name) | ast.Attribute(attr=name):
                found.add(name)
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                    found.add(f"{node.value.id}.{name}")
    return [name for name in REACHING if any(f == name or f.startswith(f"{name}.") for f in found)]


def quickest(questions: Sequence[Asked]) -> str:
    """What to say of answers that came faster than anybody reads; "" where none did."""
    times = []
    for asked in questions:
        for answer in asked.sittings:
            try:
                times.append(datetime.fromisoformat(answer.when).timestamp())
            except (ValueError, OverflowError, OSError):
                continue
    times.sort()
    for first, last in zip(times, times[AT_ONCE - 1 :], strict=False):
        if last - first <= QUICK:
            return f"{AT_ONCE} answers within {last - first:.0f} s"
    return ""


def remark_equal_code(grades: Sequence[Grade], exercises: dict[str, Exercise]) -> None:
    """Says where two hand-ins have a function word for word, or have the package's solution."""
    copied = defaultdict[int, list[str]](list)  # numbers of exercises, by the place of a grade
    shared = defaultdict[int, dict[int, list[str]]](dict)  # the same, by two places
    for (name, function), places in owners(grades, exercises).items():
        exercise = exercises[name]
        if function == exercise.solution.source.strip():
            for mine in places:
                copied[mine].append(str(exercise.number))
            continue
        for mine, theirs in permutations(places, 2):
            shared[mine].setdefault(theirs, []).append(str(exercise.number))
    names = names_of([grade.path for grade in grades])
    for mine, grade in enumerate(grades):
        if mine in copied:
            named = few(copied[mine])
            grade.remarks.append(f"the package's own solution, word for word: {named}")
        if mine in shared:
            most_first = sorted(shared[mine].items(), key=lambda pair: -len(pair[1]))
            said = [f"{names[i]} ({few(numbers)})" for i, numbers in most_first]
            grade.remarks.append(f"code word for word as in {few(said)}")


def owners(
    grades: Sequence[Grade], exercises: dict[str, Exercise]
) -> dict[tuple[str, str], list[int]]:
    """Who has which function: the places of grades, by an exercise's name and the function's text.

    Functions that are equal by chance, or that everybody is given, are left out.
    """
    found = defaultdict[tuple[str, str], list[int]](list)
    for place, grade in enumerate(grades):
        for written in grade.hand_in.exercises if grade.hand_in else ():
            if (exercise := exercises.get(written.name)) is None:
                continue
            function = function_in(written, exercise)
            begun = function in exercise.start.source
            if not begun and len("".join(function.split())) >= LONG_ENOUGH:
                found[written.name, function].append(place)
    return found


def function_in(written: Written, exercise: Exercise) -> str:
    """The function that the exercise asks for, as it is written; "" where there is none."""
    try:
        for node in ast.parse(written.code).body:
            if isinstance(node, ast.FunctionDef) and node.name == exercise.function:
                return (ast.get_source_segment(written.code, node) or "").strip()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        pass
    return ""


def remark_equal_names(grades: Sequence[Grade]) -> None:
    """Says where two hand-ins have one name."""
    named = defaultdict[str, list[int]](list)  # the places of grades
    for place, grade in enumerate(grades):
        if grade.hand_in and grade.hand_in.name:
            named[grade.hand_in.name.casefold()].append(place)
    names = names_of([grade.path for grade in grades])
    for places in named.values():
        for mine in places if len(places) > 1 else ():
            others = [names[place] for place in places if place != mine]
            grades[mine].remarks.append(f"the same name as in {few(others)}")


def names_of(paths: Sequence[Path]) -> list[str]:
    """What to call files, as seen from the folder that holds all: many may be called hand_in.html.

    Example:
        >>> names_of([Path("class/anna/a.html"), Path("class/ben/a.html")])
        ['anna/a.html', 'ben/a.html']
    """
    common = os.path.commonpath([path.parent for path in paths]) if paths else ""
    return [clean(path.relative_to(common).as_posix()) for path in paths]


def few(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    comma = "; " if any("," in name for name in names) else ", "  # there is a part "11.2 c, d"
    return comma.join(names[:SHOWN]) + more
