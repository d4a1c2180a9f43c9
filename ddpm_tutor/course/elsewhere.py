"""Lessons and exercises as files in folders: which belong together, and what they are called.

Those that came with the package are one course; any other folder that holds some is another.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import came_along

FOLDERS = ("lessons", "exercises")  # the folders of a course; its files may also lie in it directly
VARIABLE = "DDPM_TUTOR_COURSE"  # names the folder of a course for every command
Page = TypeVar("Page")


@dataclass(frozen=True)
class LeftOut:
    """A file of a course that is neither a lesson nor an exercise, though it is called like one."""

    path: Path
    why: str  # in a sentence that names the file


def key_from_elsewhere(path: Path, *says: str) -> str:
    """Under which name progress is kept in a file that did not come with the package.

    Its file name, and what it says that it is: so it keeps its progress where it is moved, cloned
    once more or corrected, and is never taken for another one whose file is called the same.
    """
    digest = hashlib.sha256("\n".join(says).encode(errors="replace")).hexdigest()[:12]
    return f"elsewhere/{path.stem}-{digest}"


def folder_of_course(path: Path) -> Path:
    """The folder of the course that a lesson or exercise file belongs to."""
    if path.absolute().parent.name not in FOLDERS:
        return path.parent
    return path.parent.parent if path.parent.name else path.parent / ".."


def name_of_course(folder: Path) -> str:
    """What a course is called: as its folder is."""
    return Path(os.path.abspath(folder)).name or "course"


def naming(folder: Path) -> list[object]:
    """What a command adds to be about the course in `folder`: nothing, where VARIABLE names it."""
    named = os.environ.get(VARIABLE)
    if named and os.path.realpath(os.path.expanduser(named)) == os.path.realpath(folder):
        return []
    return ["--course", folder]


def words_for(path: Path) -> list[object]:
    """How a command names a lesson or exercise file: by its number, where no other file has it."""
    number, folder = number_of(path), folder_of_course(path)
    if came_along(path):
        named = os.environ.get(VARIABLE)
        there = files_of(Path(os.path.expanduser(named))) if named else []
        taken = any(number_of(other) == number for other in there)
        return [number, *(["--course", ""] if taken else [])]
    beside = {*numbered(path.parent), *numbered(folder)} - {path}
    if number == 0 or any(number_of(other) == number for other in beside):
        return [path]
    return [number, *naming(folder)]


def files_of(folder: Path) -> list[Path]:
    """The files that may be lessons or exercises of the course in `folder`."""
    places = (folder, *(folder / part for part in FOLDERS))
    return [path for place in places for path in numbered(place) if not came_along(path)]


def number_of(path: Path) -> int:
    """The number that a file's name starts with; 0 if none."""
    digits = re.match(r"[0-9]{1,9}", path.name)
    return int(digits.group()) if digits else 0


def numbered(folder: Path) -> list[Path]:
    """The Python files of a folder whose names start with a number, by that number."""
    return sorted(folder.glob("[0-9]*.py"), key=lambda path: (number_of(path), path.name))


def read_all(
    paths: Iterable[Path], read: Callable[[Path], Page]
) -> tuple[list[Page], list[LeftOut]]:
    """What `read` makes of each file, and those that it cannot read. None keeps back another."""
    pages, left_out = list[Page](), list[LeftOut]()
    for path in paths:
        try:
            pages.append(read(path))
        except TutorError as error:
            left_out.append(LeftOut(path, str(error)))
    return pages, left_out


def refuse_left_out(name: str, left_out: Iterable[LeftOut]) -> None:
    """Says why the file with the number that was asked for is no lesson, or no exercise.

    Raises:
        TutorError: there is such a file.
    """
    for bad in left_out:
        if name == str(number_of(bad.path)):
            raise TutorError(bad.why)
