"""Courses: the lessons and exercises that came with the package, or those of another folder."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ddpm_tutor.course.cells import cut, read_source
from ddpm_tutor.course.elsewhere import (
    VARIABLE,
    LeftOut,
    files_of,
    folder_of_course,
    name_of_course,
    numbered,
    read_all,
    refuse_left_out,
)
from ddpm_tutor.course.exercise import (
    Exercise,
    Part,
    checked_code,
    find_exercise,
    in_docstring,
    parts_of,
    read_exercise,
)
from ddpm_tutor.course.lesson import Lesson, check_syntax, find_lesson, read_lesson
from ddpm_tutor.course.questions import questions
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import bundled, came_along

CELLS = {"start", "solution", "check"}  # what an exercise file has, and a learner's has not
OF_COURSE = re.compile(r'"""Exercise [0-9]+ of (.+?) · ')  # how a learner's file begins
OF_PACKAGE = re.compile(r'"""Exercise [0-9]+ · ')
Page = TypeVar("Page", Lesson, Exercise)


@dataclass(frozen=True)
class Course:
    """Lessons and exercises that belong together, read but not run."""

    folder: Path | None  # None: they came with the package
    lessons: tuple[Lesson, ...]
    exercises: tuple[Exercise, ...]
    left_out: tuple[LeftOut, ...]  # files that are called like one, and are none

    @property
    def name(self) -> str:
        """What it is called; "" where it came with the package."""
        return name_of_course(self.folder) if self.folder else ""

    def parts(self) -> dict[str, Part]:
        """The parts for which its lessons ask and that its exercises earn, by name."""
        return parts_of(self.lessons, self.exercises)


def own_course(*, brief: bool = False) -> Course:
    """What came with the package.

    Args:
        brief: read the lessons alone, and not their code: the welcome is quick.
    """
    files = numbered(bundled("lessons"))
    if brief:
        lessons, no_lessons = read_all(files, read_lesson)
        return Course(None, tuple(lessons), (), tuple(no_lessons))
    lessons, no_lessons = read_all(files, listed_lesson)
    exercises, no_exercises = read_all(numbered(bundled("exercises")), read_exercise)
    return Course(None, tuple(lessons), tuple(exercises), (*no_lessons, *no_exercises))


def open_course(folder: Path) -> Course:
    """The course in `folder`: in its `lessons` and `exercises`, or in itself.

    Raises:
        UsageError: there is no such folder, or there is nothing in it.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: a course (--course, {VARIABLE}) is one.")
    course = read_course(folder)
    if not (course.lessons or course.exercises or course.left_out):
        raise UsageError(
            f"{folder} holds no lessons and no exercises. They are files such as "
            "lessons/01_my_subject.py\nand exercises/01_my_function.py; see CONTRIBUTING.md."
        )
    return course


def read_course(folder: Path) -> Course:
    """The course in `folder`, which may be empty."""
    files = files_of(folder)
    lessons, no_lessons = read_all([f for f in files if not is_meant(f)], listed_lesson)
    exercises, no_exercises = read_all([f for f in files if is_meant(f)], listed_exercise)
    lessons, again = one_a_number(lessons)
    exercises, and_again = one_a_number(exercises)
    left_out = (*no_lessons, *again, *no_exercises, *and_again)
    return Course(folder, tuple(lessons), tuple(exercises), left_out)


def one_a_number(pages: list[Page]) -> tuple[list[Page], list[LeftOut]]:
    """The pages by number, the first of each; and those whose number another has."""
    first, again = dict[int, Page](), list[LeftOut]()
    for page in pages:
        if page.number in first:
            taken = first[page.number].path.name
            why = f"{page.path} has the number of {taken}. Give it another."
            again.append(LeftOut(page.path, why))
        first.setdefault(page.number, page)
    return [first[number] for number in sorted(first)], again


def course_of(path: Path) -> Course:
    """The course that a lesson or exercise file belongs to."""
    return own_course() if came_along(path) else read_course(folder_of_course(path))


def listed_lesson(path: Path) -> Lesson:
    """A lesson that a list can show.

    Raises:
        TutorError: it is none, its code is not Python, or it does not say what it is about.
    """
    lesson = read_lesson(path)
    try:
        questions(lesson)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        check_syntax(lesson)  # says in which line
    if not re.search(r"(?m)^#+ +\S", lesson.steps[0].prose):
        raise TutorError(f"{path} does not begin with a heading, such as # Lesson 6 · My subject.")
    return lesson


def listed_exercise(path: Path) -> Exercise:
    """An exercise from elsewhere, whose code is looked at as well.

    Raises:
        TutorError: it is none.
    """
    return checked_code(read_exercise(path))


def titles(path: Path) -> set[str]:
    """What the cells of code in a file are called; none where it cannot be read."""
    try:
        return {cell.title for cell in cut(read_source(path)) if cell.kind == "code"}
    except (TutorError, OSError):
        return set()


def is_exercise_file(path: Path) -> bool:
    """Whether a file is an exercise, rather than somebody's answer to one."""
    return path.is_file() and len(CELLS & titles(path)) > 1


def is_meant(path: Path) -> bool:
    """Whether a file of a course is meant for an exercise: it lies with them, or is one."""
    return path.absolute().parent.name == "exercises" or is_exercise_file(path)


def lesson_called(name: str, course: Course | None) -> Lesson:
    """The lesson with this number, of the course or else of the package; or in this file.

    Raises:
        UsageError: there is none.
        TutorError: the file is no lesson.
    """
    if course is None:
        return find_lesson(name)
    for lesson in course.lessons:
        if name == str(lesson.number):
            return check_syntax(lesson)
    refuse_left_out(name, [bad for bad in course.left_out if not is_meant(bad.path)])
    try:
        return find_lesson(name)
    except UsageError as error:
        raise UsageError(f"{error}\n{course.name} has {numbers_of(course.lessons)}.") from None


def numbers_of(pages: Sequence[Lesson | Exercise]) -> str:
    """Their numbers, as in "1, 2, 3"."""
    return ", ".join(str(page.number) for page in pages) or "none"


def exercise_called(name: str, course: Course | None) -> Exercise:
    """The exercise with this number, of the course or else of the package; the one in this file;
    or the one that this file of a learner answers.

    Raises:
        UsageError: there is none.
        TutorError: the file is no exercise.
    """
    path = Path(name)
    if path.suffix == ".py":
        # where exercises lie side by side, a name like theirs is not that of an answer
        beside = numbered(path.parent) if re.match(r"[0-9]+_", path.name) else []
        if is_exercise_file(path) or any(is_exercise_file(o) for o in beside if o != path):
            return listed_exercise(path)
    answer = text_of(path)
    found = OF_COURSE.match(answer)
    begins = re.escape(in_docstring(course.name)) if course else ".^"  # which nothing is
    if found and not re.match(rf'"""Exercise [0-9]+ of {begins} · ', answer):
        raise UsageError(
            f"{name} answers an exercise of the course {found[1]}. Add --course and its folder."
        )
    number = re.match(r"(?:ex)?([0-9]{1,9})", path.name)
    if course and number and not OF_PACKAGE.match(answer):
        for exercise in course.exercises:
            # a file without its first lines goes by the function that it defines
            is_it = not answer or found or f"def {exercise.function}(" in answer
            if is_it and int(number[1]) == exercise.number:
                return exercise
        refuse_left_out(number[1], [bad for bad in course.left_out if is_meant(bad.path)])
    return find_exercise(name)


def text_of(path: Path) -> str:
    """What a learner's file says; "" where there is none yet."""
    try:
        return read_source(path) if path.is_file() else ""
    except TutorError:
        return ""
