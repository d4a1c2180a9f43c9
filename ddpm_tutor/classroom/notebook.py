"""What the cells of a lesson's notebook call: `begin`, `ask`, `tell`, `finish`.

The questions are in the lesson's file, in the package. They run in the notebook's own variables.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from rich.text import Text

from ddpm_tutor.classroom import session as sessions
from ddpm_tutor.classroom.kernel import NotebookSession, kernel
from ddpm_tutor.classroom.session import Session, current
from ddpm_tutor.commands import command
from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import (
    Lesson,
    all_lessons,
    compile_cell,
    find_lesson,
    hidden_pieces,
)
from ddpm_tutor.course.notebook import version_of
from ddpm_tutor.errors import TutorError
from ddpm_tutor.learner.points import earned, worth
from ddpm_tutor.learner.progress import Bookmark
from ddpm_tutor.screen.shown import Said


@dataclass
class Opened:
    """The lesson of this notebook, and the learner's place in it."""

    lesson: Lesson
    name: str
    pieces: list[tuple[int, Cell]]
    bookmark: Bookmark


_opened: Opened | None = None


def begin(name: str, version: str, data: str | None = None) -> None:
    """Opens the lesson that the notebook was written from.

    Args:
        name: its number, or the path of its file; version: of its text.
        data: a folder with MNIST.

    Raises:
        TutorError: the lesson has changed since.
    """
    global _opened
    lesson = find_lesson(name)
    if version_of(lesson) != version:
        again = command("notebook", name)
        raise TutorError(
            f"This notebook was written from another version of {lesson.title!r}: its questions "
            f"would not be those of the package. Write it anew: {again}"
        )
    if data is not None:
        os.environ["DDPM_TUTOR_DATA"] = data
    bookmark = Bookmark(lesson.key)
    _opened = Opened(lesson, name, hidden_pieces(lesson), bookmark)
    sessions.begin_with(sessions.new_session())
    current().on_answer = bookmark.answered
    show_tensors()
    title = lesson.steps[0].title
    said = f"{title}{'' if title.endswith('?') else '.'} Your answers count in your progress."
    current().print(Text(said))


def opened() -> Opened:
    """The lesson of this notebook.

    Raises:
        TutorError: its first cell has not run.
    """
    if _opened is None:
        raise TutorError("Run the first cell of this notebook: it opens the lesson.")
    return _opened


def ask(number: int) -> None:
    """Asks what the lesson asks here: piece `number` of what is not shown.

    Raises:
        TutorError: what it needs has not been computed yet.
    """
    _run(number, sys._getframe(1).f_globals)


def tell(number: int) -> None:
    """Says what follows from the numbers at hand."""
    _run(number, sys._getframe(1).f_globals)


def _run(number: int, variables: dict[str, Any]) -> None:
    """Runs a piece. The traceback of an error, or of an interrupt, would show the answer: so it
    begins anew here."""
    sitting, session = opened(), current()
    step, piece = sitting.pieces[number - 1]
    statements, last = compile_cell(piece, sitting.lesson.path)
    try:
        with hiding(session):
            exec(statements, variables)
            if last:
                eval(last, variables)
        if session.ask is not None:
            sitting.bookmark.at_step(step)
    except NameError as error:
        raise TutorError(f"Run the cells above first: {error.name!r} is not there yet.") from None
    except (TutorError, KeyboardInterrupt) as error:
        raise error.with_traceback(None) from None
    except Exception as error:
        raise TutorError(f"{type(error).__name__}: {error}") from None


@contextmanager
def hiding(session: Session) -> Iterator[None]:
    """After a question that nobody can answer, nothing more is said while the block runs."""
    if isinstance(session, NotebookSession):
        session.hides, session.unanswered = True, False
    try:
        yield
    finally:
        if isinstance(session, NotebookSession):
            session.hides = False


def finish() -> None:
    """The end of the lesson: how many points its answers have earned, and what comes next."""
    sitting, session = opened(), current()
    lesson, answers = sitting.lesson, sitting.bookmark.lesson.answers
    if session.ask is not None:
        sitting.bookmark.finished()
    lines = []
    if worth(lesson):
        lines.append(f"Points in this lesson: {earned(lesson, answers):g} of {worth(lesson):g}.")
    following = [other for other in all_lessons() if other.number == lesson.number + 1]
    if following and sitting.name.isdigit():
        lines.append(f"Next: {command('notebook', following[0].number)}")
    session.print(Said("\n".join(lines) or "That was it."))


def show_tensors() -> None:
    """Lets the value of a cell's last line be shown as a lesson shows it, where it is a tensor."""
    if not kernel():
        return
    from IPython import get_ipython

    def shown(value: torch.Tensor, *_: Any) -> None:
        sessions.show(value)

    get_ipython().display_formatter.ipython_display_formatter.for_type(torch.Tensor, shown)
