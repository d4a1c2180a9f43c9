"""What a lesson talks to: a screen that remembers, a folder for pictures, a learner or none.

The same lesson file runs under `ddpm-tutor lesson`, as a script and as a notebook. In the last two
there is a plain session that prints and never asks.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text
from torch import Tensor

from ddpm_tutor.pictures.figures import save_figure_as
from ddpm_tutor.pictures.film_strips import save_film_strip
from ddpm_tutor.pictures.films import Frame, film
from ddpm_tutor.pictures.grids import enlarged, grid
from ddpm_tutor.pictures.picture_files import write_film, write_picture
from ddpm_tutor.screen.console import make_console, written
from ddpm_tutor.screen.images import render_images
from ddpm_tutor.screen.prose import Sentence
from ddpm_tutor.screen.values import render, table
from ddpm_tutor.storage.film_strip import FilmStrip

T = TypeVar("T")


@dataclass
class Session:
    """One sitting with a lesson."""

    console: Console = field(default_factory=make_console)
    out: Path = Path("outputs")
    # asks the learner a question and returns the answer; None where nobody is there to ask
    ask: Callable[[str], str] | None = None
    # told of each answer, and of a question skipped as of a wrong one; says whether it is earned
    on_answer: Callable[[str, bool], bool] | None = None
    thinking: float = 0.0  # seconds that the learner took to answer in this step
    silent: bool = False  # earlier steps run again without showing anything
    shown: list[RenderableType] = field(default_factory=list)  # by the step that is running
    saved: list[Path] = field(default_factory=list)  # files written by the lesson

    def print(self, what: RenderableType) -> None:
        """Shows a renderable and remembers it, so that going back shows it again."""
        self.shown.append(what)
        if not self.silent:
            self.console.print(what)

    def gap(self) -> None:
        """A blank line, unless there is one already."""
        if not ends_blank(self.shown):
            self.print(Text())


def ends_blank(shown: Sequence[RenderableType]) -> bool:
    """Whether the last line of what was shown is a blank one."""
    last = shown[-1] if shown else None
    blank = isinstance(last, Text) and not last.plain
    return blank or (isinstance(last, Padding) and bool(last.bottom))


_current = Session()


def current() -> Session:
    """The session that lesson code talks to."""
    return _current


@contextmanager
def using(session: Session) -> Iterator[Session]:
    """Makes `session` the current one for a while."""
    global _current
    before, _current = _current, session
    try:
        yield session
    finally:
        _current = before


def show(value: Any, title: str | None = None, captions: Sequence[str] | None = None) -> None:
    """Shows a value: a tensor as statistics and pictures, a figure as a saved PNG, text as text.

    Args:
        captions: a short text for each image of a batch.
    """
    session = current()
    if _is_figure(value):
        save_figure(value, title or "figure")
    else:
        session.print(render(value, session.console, title, captions))


def show_images(images: Tensor, title: str, captions: Sequence[str] | None = None) -> None:
    """Shows a batch of images, (N, 1, H, W), under a title, without statistics."""
    session = current()
    pictures = render_images(images, session.console, captions)
    session.print(Group(Text(title, style="bold"), pictures))


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Shows a table of numbers and words."""
    current().print(table(title, columns, rows))


def say(text: str) -> None:
    """What follows from the numbers at hand, in words.

    The code that a learner is shown leaves the call out, as it does a question.
    """
    current().print(Sentence(text))


def saved_file(path: Path, what: str) -> None:
    """Tells the learner that `path` was written, and keeps it for the list at the end."""
    session = current()
    if path not in session.saved:
        session.saved.append(path)
    session.print(written(path, f"{what} saved"))


def output_path(name: str, suffix: str) -> Path:
    """Where a lesson saves the file called `name`; spaces and signs become `_`."""
    stem = re.sub(r"\W+", "_", name.strip().lower()).strip("_")
    return current().out / f"{stem}{suffix}"


def save_figure(figure: Any, name: str) -> Path:
    """Saves a matplotlib figure as a PNG and prints its path."""
    path = output_path(name, ".png")
    save_figure_as(path, figure, dpi=120, bbox_inches="tight")
    saved_file(path, "Figure")
    return path


def save_film(frames: Iterable[Frame], name: str) -> Path:
    """Saves moments of noising or denoising as a GIF and prints its path."""
    path = output_path(name, ".gif")
    write_film(path, film(list(frames)))
    saved_file(path, "GIF")
    return path


def save_strip(strip: FilmStrip) -> list[Path]:
    """Saves a film strip of a training as film_strip.png and .gif and prints their paths."""
    paths = save_film_strip(strip, current().out)
    for path, what in zip(paths, ("Picture", "GIF"), strict=True):
        saved_file(path, what)
    return paths


def save_grid(images: Tensor, name: str, columns: int | None = None) -> Path:
    """Saves images, (N, 1, H, W), in rows of `columns` as a PNG and prints its path."""
    path = output_path(name, ".png")
    write_picture(path, enlarged(grid(images, columns), 2))
    saved_file(path, "Picture")
    return path


def show_download(done: int, total: int) -> None:
    """For `load_digits(progress=show_download)`: a line of megabytes while MNIST comes."""
    session = current()
    if session.console.is_terminal and not session.silent:
        end = "\n" if done == total else "\r"
        session.console.print(f"Downloading MNIST: {done / 1e6:.1f} MB", end=end, highlight=False)


def _is_figure(value: Any) -> bool:
    kind = type(value)
    return kind.__module__.startswith("matplotlib.figure") and kind.__name__ == "Figure"


def track(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """The items, with a progress bar and the time left while they are worked through.

    The caller may send a few words, such as the loss, with `note`.
    """
    session = current()
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", "cyan", markup=False),
        console=session.console,
        transient=True,
        disable=not session.console.is_terminal,
        redirect_stdout=False,  # the stepper has done that, and remembers what it catches
    ) as bar:
        task = bar.add_task(description, total=total, note="")
        _bars.append(lambda note: bar.update(task, note=note))
        try:
            for item in items:
                yield item
                bar.advance(task)
        finally:
            _bars.pop()


_bars: list[Callable[[str], None]] = []


def note(text: str) -> None:
    """A few words beside the progress bar of the innermost `track`."""
    if _bars:
        _bars[-1](text)
