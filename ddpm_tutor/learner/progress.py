"""What the learner has done: where each lesson was left, what was answered and what has passed."""

import contextlib
import functools
import hashlib
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from ddpm_tutor.course.courses import course_of
from ddpm_tutor.course.exercise import Exercise
from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import is_makeshift, make_folder, replacing, set_aside, user_folder

VERSION = 4
# version 1 had no exercises, 2 no seconds, 3 only whether an answer was right
READABLE = (1, 2, 3, VERSION)
MAX_TEXT = 300  # characters kept of an answer; what is longer was no number
UNREADABLE = "Your progress could not be read, so it starts anew."
NO_HOME = "There is no home folder to write to. Until HOME names one, progress is kept in {}."
LOCK_SECONDS = 5.0  # how long to wait for another terminal that is writing


@dataclass(frozen=True)
class Answer:
    """One answer to a question."""

    text: str  # as it was typed, or the option that was chosen; "" where it was skipped
    right: bool
    when: str  # UTC, as `now` gives it
    first: bool  # of its sitting; after it the answer was told, and a later one does not count


@dataclass
class LessonProgress:
    """Progress in one lesson."""

    step: int = 1  # where to go on, from 1
    finished: bool = False
    answers: dict[str, bool] = field(default_factory=dict)  # question -> its points are earned
    seconds: dict[str, float] = field(default_factory=dict)  # title of a step -> took last time
    given: dict[str, list[Answer]] = field(default_factory=dict)  # question -> every answer

    def take(self, question: str, answer: Answer) -> None:
        """Keeps an answer; what was earned stays."""
        self.given.setdefault(question, []).append(answer)
        if answer.first:
            self.answers[question] = self.answers.get(question, False) or answer.right


@dataclass
class ExerciseProgress:
    """Progress in one exercise."""

    hints: int = 0  # shown so far
    passed: str = ""  # the fingerprint of the file that passed last; "" before
    given_up: bool = False  # the solution was shown before it passed
    checks: int = 0  # of a file of it, so far
    passed_when: str = ""  # UTC: when a file passed first
    passed_check: int = 0  # which of the checks that was, from 1; 0 where that was not kept

    @property
    def counts(self) -> bool:
        """Whether it earns its points: it has passed, and was not given up."""
        return bool(self.passed) and not self.given_up

    def checked(self) -> None:
        """Counts a check."""
        self.checks += 1


@dataclass
class Progress:
    """The learner's progress in all lessons and exercises, kept in a small JSON file."""

    lessons: dict[str, LessonProgress] = field(default_factory=dict)
    exercises: dict[str, ExerciseProgress] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)  # in which the learner has started exercises

    def lesson(self, key: str) -> LessonProgress:
        """Progress in the lesson of this key."""
        return self.lessons.setdefault(key, LessonProgress())

    def exercise(self, key: str) -> ExerciseProgress:
        """Progress in the exercise of this key."""
        return self.exercises.setdefault(key, ExerciseProgress())


def now() -> str:
    """The time in UTC to the second, such as 2026-11-26T16:20:05Z."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def progress_file() -> Path:
    """Where progress is kept for this user."""
    return user_folder("data") / "progress.json"


def load_progress() -> Progress:
    """The progress so far; none where there is no file, or where it cannot be read."""
    try:
        return read_progress(progress_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Progress()


def read_progress(text: str) -> Progress:
    """The progress that a file of this version, or of an earlier one, holds.

    Raises:
        ValueError: it holds something else.
    """
    try:
        saved = json.loads(text)
        if saved["version"] not in READABLE:
            raise ValueError(f"version {saved['version']}")
        lessons = {k: LessonProgress(**v) for k, v in saved["lessons"].items()}
        exercises = {k: ExerciseProgress(**v) for k, v in saved.get("exercises", {}).items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a progress file") from error
    for lesson in lessons.values():
        answers = lesson.answers.items() if isinstance(lesson.answers, dict) else [(None, None)]
        if type(lesson.step) is not int or not all(isinstance(right, bool) for _, right in answers):
            raise ValueError("not a progress file")
        if not _are_seconds(lesson.seconds):
            lesson.seconds = {}  # only an estimate rests on them
        lesson.given = dict(_given_in(lesson.given))
    for exercise in exercises.values():
        kinds = (type(exercise.hints), type(exercise.passed), type(exercise.given_up))
        if kinds != (int, str, bool):
            raise ValueError("not a progress file")
        history = (exercise.checks, exercise.passed_when, exercise.passed_check)
        if tuple(map(type, history)) != (int, str, int):
            exercise.checks, exercise.passed_when, exercise.passed_check = 0, "", 0
    folders = saved.get("folders", [])  # without them less counts, and that is said
    known = isinstance(folders, list) and all(isinstance(folder, str) for folder in folders)
    return Progress(lessons, exercises, folders if known else [])


def _given_in(saved: object) -> Iterator[tuple[str, list[Answer]]]:
    """The answers to each question that a file holds; no points rest on them, so what is no
    answer is left out.
    """
    for question, answers in saved.items() if isinstance(saved, dict) else ():
        good = []
        for answer in answers if isinstance(answers, list) else ():
            with contextlib.suppress(TypeError):
                answer = Answer(**answer)
                if tuple(map(type, vars(answer).values())) == (str, bool, str, bool):
                    good.append(answer)
        if good:
            yield question, good


def _are_seconds(seconds: object) -> bool:
    """Whether these can be the times of steps."""
    if not isinstance(seconds, dict):
        return False
    return all(isinstance(s, int | float) and 0 <= s < math.inf for s in seconds.values())


def progress_lock() -> FileLock:
    """What one terminal holds while it changes the progress; another one waits for it."""
    return FileLock(progress_file().with_name(".lock"), timeout=LOCK_SECONDS)


def set_aside_unreadable() -> Path | None:
    """Keeps a progress file that cannot be read under another name; that name, or None."""
    path = progress_file()
    with contextlib.suppress(OSError, NotImplementedError):
        try:
            read_progress(path.read_text(encoding="utf-8"))
        except ValueError:
            with progress_lock():
                return _set_aside(path)
    return None


def _set_aside(path: Path) -> Path | None:
    """`set_aside_unreadable` for one who holds the lock."""
    try:
        read_progress(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        pass
    except ValueError:
        return set_aside(path, ".old")
    return None


def change_progress(change: Callable[[Progress], object]) -> None:
    """Changes the progress as it is on disk now; two terminals at once lose no answer.

    Where it cannot be kept, a lesson still goes on, and the reason is said once.
    """
    path = progress_file()
    try:
        make_folder(path.parent)
        with progress_lock():
            if kept := _set_aside(path):
                print(f"{UNREADABLE} The old file is kept: {kept}", file=sys.stderr)
            if is_makeshift(path) and not path.exists():
                print(NO_HOME.format(path.parent), file=sys.stderr)
            progress = load_progress()
            change(progress)
            with replacing(path) as temporary:
                text = json.dumps({"version": VERSION, **asdict(progress)}, indent=2)
                temporary.write_text(text + "\n", encoding="utf-8")
    except Timeout:
        say_not_kept("Your last step was not kept: another terminal holds the file of progress.")
    except NotImplementedError:  # a file system that has no locks
        say_not_kept(f"Your progress is not kept: no file can be locked in {path.parent}.")
    except (TutorError, OSError) as error:
        say_not_kept(f"Your progress is not kept. {error}")


@functools.cache
def say_not_kept(what: str) -> None:
    """Says, once, that something the learner did is forgotten when the command ends."""
    print(what, file=sys.stderr)


def fingerprint(source: str) -> str:
    """A short name for just this text."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def started_in(folder: Path) -> None:
    """Keeps that files of exercises in `folder` are the learner's own."""
    where = str(folder.resolve())
    if where not in load_progress().folders:
        change_progress(lambda progress: progress.folders.append(where))


def is_own(exercise: Exercise, path: Path) -> bool:
    """Whether an answer is the learner's own: it lies where exercises are written when no folder is
    named, or where the learner has started one. What somebody has handed in does not.
    """
    where = path.resolve().parent
    usual = exercise.file.resolve().parent
    return where == usual or str(where) in load_progress().folders


def exercise_failed(exercise: Exercise) -> None:
    """Keeps that a file of it was checked and has not passed."""
    change_progress(lambda progress: progress.exercise(exercise.key).checked())


def exercise_passed(exercise: Exercise, source: str) -> None:
    """Keeps that this file has passed; its part of the assignment counts as answered rightly."""
    part = course_of(exercise.path).parts().get(exercise.part)

    def change(progress: Progress) -> None:
        mine = progress.exercise(exercise.key)
        mine.checked()
        if not mine.passed:
            mine.passed_when, mine.passed_check = now(), mine.checks
        mine.passed = fingerprint(source)
        if part and all(progress.exercise(e.key).counts for e in part.exercises):
            progress.lesson(part.lesson).answers[part.name] = True

    change_progress(change)


class Bookmark:
    """A learner's place in one lesson; each step and each answer is kept as it comes."""

    def __init__(self, name: str) -> None:
        """The place in the lesson of this key."""
        self.name = name
        self.lesson = load_progress().lesson(name)
        self.told: set[str] = set()  # questions whose answer was shown in this sitting
        self.timed: dict[str, float] = {}  # steps that have run in this sitting, and their seconds

    def keep(self, change: Callable[[LessonProgress], object]) -> None:
        """Changes the progress in this lesson, here and on disk."""
        change(self.lesson)

        def on_disk(progress: Progress) -> None:
            change(progress.lesson(self.name))
            progress.lesson(self.name).seconds |= self.timed

        change_progress(on_disk)

    def at_step(self, number: int) -> None:
        """The learner has come to this step; opening a lesson is not yet starting over."""
        if number > 1:
            self.keep(lambda lesson: setattr(lesson, "step", number))

    def took(self, title: str, seconds: float) -> None:
        """A step has run; that is kept with whatever is kept next."""
        self.timed[title] = round(seconds, 2)

    def answered(self, question: str, right: bool, text: str = "") -> bool:
        """The learner has answered, or skipped the question, which tells the answer as well.

        The first answer of a sitting counts, and what was earned stays.

        Args:
            text: the answer, as it was typed or chosen; "" where it was skipped.

        Returns:
            whether the question's points are earned.
        """
        text = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} ..."
        answer = Answer(text, right, now(), first=question not in self.told)
        self.told.add(question)
        self.keep(lambda lesson: lesson.take(question, answer))
        return self.lesson.answers[question]

    def finished(self) -> None:
        """The learner has come to the end: the next time starts over."""
        self.keep(lambda lesson: lesson.__dict__.update(step=1, finished=True))
