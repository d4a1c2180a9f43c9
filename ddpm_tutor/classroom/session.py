"""What a lesson talks to: a screen that remembers, a folder for pictures, a learner or none.

The same lesson file runs under `ddpm-tutor lesson`, as a script and as a notebook. As a script it
has a plain session that prints and never asks; in a notebook one that shows in its cells.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import torch
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.text import Text
from torch import Tensor

from ddpm_tutor.classroom.bars import Bars
from ddpm_tutor.pictures.figures import in_words, save_figure_as
from ddpm_tutor.pictures.film_strips import captioned_moments, moment_name, save_film_strip
from ddpm_tutor.pictures.films import NAMES, Frame, film
from ddpm_tutor.pictures.grids import enlarged, grid
from ddpm_tutor.pictures.picture_files import write_film, write_picture
from ddpm_tutor.screen.console import make_console
from ddpm_tutor.screen.curves import Curves, curves_of
from ddpm_tutor.screen.images import Images
from ddpm_tutor.screen.shown import Film, Runs, Said, SavedFile, captions_of
from ddpm_tutor.screen.values import DataTable, Value
from ddpm_tutor.storage.film_strip import FilmStrip

T = TypeVar("T")

# pictures beside a bar: not in a smaller window, of so many columns and lines
WIDE, HIGH = 60, 30
CAPTIONED_MS = 100  # of a frame whose caption is to be read
MAX_TRIED = 4  # values of a step that stand beside each other
SMALL, MAX_PICTURES = 15, 4  # columns of a small picture and the gap; pictures of each kind


@dataclass(frozen=True)
class Asked:
    """A question with choices that has been answered or skipped."""

    question: str
    options: Sequence[tuple[str, str]]  # (option, reply)
    told: frozenset[int]  # the options whose replies the learner has read


@dataclass
class Session:
    """One sitting with a lesson."""

    console: Console = field(default_factory=make_console)
    out: Path = Path("outputs")
    # asks the learner a question and returns the answer; None where nobody is there to ask
    ask: Callable[[str], str] | None = None
    # told of each answer: the question, whether it is right, and the text, "" for a question that
    # was skipped; says whether the points are earned
    on_answer: Callable[[str, bool, str], bool] | None = None
    thinking: float = 0.0  # seconds that the learner took to answer in this step
    silent: bool = False  # earlier steps run again without showing anything
    recording: bool = False  # what is shown is remembered, and nothing stands on the screen
    shown: list[RenderableType] = field(default_factory=list)  # by the step that is running
    asked: list[Asked] = field(default_factory=list)  # by the step that is running
    saved: list[Path] = field(default_factory=list)  # files written by the lesson
    reveals: bool = True  # a question that nobody can answer is told with its answer
    has_keys: bool = True  # keys lead from a question to the step before, or out of the lesson
    tried: dict[str, dict[str, Any]] = field(default_factory=dict)  # see `so_far`
    told_of_parts: bool = False  # the learner has read what a part of the assignment is
    # deals the options of a question that is asked again, by itself: it earns no points there, and
    # no step comes before it
    again: Random | None = None

    def __post_init__(self) -> None:
        self.bars = Bars(self.console)

    def print(self, what: RenderableType) -> None:
        """Shows a renderable and remembers it, so that going back shows it again."""
        self.shown.append(what)
        if not (self.silent or self.recording):
            self.show_again(what)

    def show_again(self, what: RenderableType) -> None:
        """Shows what is remembered, at the width that the window has now.

        A text that may not be wrapped, such as a path, and any text that goes into a file, keeps
        its line.
        """
        whole = isinstance(what, SavedFile) or (
            isinstance(what, Text) and not self.console.is_terminal
        )
        with self.bars.standing():
            self.console.print(what, soft_wrap=whole)

    def keep(self, asked: Asked) -> None:
        """Remembers a question that has been answered, for its other replies."""
        self.asked.append(asked)

    def gap(self) -> None:
        """A blank line, unless there is one already."""
        if not ends_blank(self.shown):
            self.print(Text())


def ends_blank(shown: Sequence[RenderableType]) -> bool:
    """Whether the last line of what was shown is a blank one."""
    last = shown[-1] if shown else None
    blank = isinstance(last, Text) and not last.plain
    return blank or (isinstance(last, Padding) and bool(last.bottom))


_current: Session | None = None


def current() -> Session:
    """The session that lesson code talks to: in a notebook one that shows in its cells."""
    global _current
    if _current is None:
        _current = new_session()
    return _current


def new_session() -> Session:
    """A session for code that no stepper runs: a script's, or a notebook's."""
    if "ipykernel" in sys.modules:
        from ddpm_tutor.classroom.kernel import NotebookSession, kernel

        if kernel():
            session = NotebookSession()
            session.on_answer = session.answers.take
            return session
    return Session()


def begin_with(session: Session) -> None:
    """Makes `session` the current one from now on."""
    global _current
    _current = session


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
    """Shows a value: a tensor as statistics and pictures, text as text.

    A matplotlib figure is saved as a PNG, and its curves are drawn on the screen as well.

    Args:
        captions: a short text for each image of a batch.
    """
    session = current()
    if _is_figure(value):
        if curves := curves_of(value):
            session.print(curves)
        save_figure(value, title or "figure")
    else:
        session.print(Value(as_it_is_now(value), title, captions))


def show_images(
    images: Tensor,
    title: str,
    captions: Sequence[str] | None = None,
    *,
    columns: int | None = None,
) -> None:
    """Shows a batch of images, (N, 1, H, W), under a title, without statistics.

    Args:
        columns: how many stand in a row, where they form a grid.
    """
    current().print(Images(as_it_is_now(images), title, captions, columns))


def as_it_is_now(value: Any) -> Any:
    """A copy of a tensor, which the lesson may change later; anything else as it is."""
    return value.detach().clone() if isinstance(value, Tensor) else value


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Shows a table of numbers and words."""
    current().print(DataTable(title, list(columns), [list(row) for row in rows]))


def show_curves(
    title: str,
    curves: Mapping[str, Iterable[tuple[float, float]]],
    x_label: str = "t",
    *,
    log: bool = False,
    log_x: bool = False,
) -> None:
    """Shows curves as characters, each by its name: points (x, y); both may be logarithmic."""
    current().print(Curves(title, curves.items(), x_label=x_label, log=log, log_x=log_x))


def say(text: str) -> None:
    """What follows from the numbers at hand, in words.

    The code that a learner is shown leaves the call out, as it does a question.
    """
    current().print(Said(text))


def so_far(what: str, name: str, value: T) -> dict[str, T]:
    """What a step has found for each value that the learner has tried there, to show all together.

    Args:
        what: the step's own name for it; name: what was set, such as "beta_T = 0.02".
        value: what came of it now.

    Returns:
        the values by name: the first, then the last ones that were tried.
    """
    tried: dict[str, T] = current().tried.setdefault(what, {})
    if name != next(iter(tried), name):  # the first keeps its place
        tried.pop(name, None)
    tried[name] = as_it_is_now(value)
    for old in list(tried)[1 : -(MAX_TRIED - 1)]:
        del tried[old]
    return dict(tried)


def saved_file(file: SavedFile) -> Path:
    """Tells the learner that a file was written, and keeps it for the list at the end."""
    session = current()
    if file.path not in session.saved:
        session.saved.append(file.path)
    session.print(file)
    return file.path


def output_path(name: str, suffix: str) -> Path:
    """Where a lesson saves the file called `name`; spaces and signs become `_`."""
    stem = re.sub(r"\W+", "_", name.strip().lower()).strip("_")
    return current().out / f"{stem}{suffix}"


def save_figure(figure: Any, name: str) -> Path:
    """Saves a matplotlib figure as a PNG and prints its path."""
    path = output_path(name, ".png")
    save_figure_as(path, figure, dpi=120, bbox_inches="tight")
    drawn, about = path.read_bytes(), in_words(figure)
    return saved_file(SavedFile(path, "Figure", name, picture=drawn, about=about))


def save_film(frames: Iterable[Frame], name: str) -> Path:
    """Saves moments of noising or denoising as a GIF and prints its path."""
    path, shown = output_path(name, ".gif"), list(frames)
    write_film(path, film(shown))
    times = tuple(frame.t for frame in shown)
    views = [
        torch.stack([frame.x_t for frame in shown]),
        torch.stack([frame.x_0_hat for frame in shown]),
    ]
    moments = Film(captions_of(times), dict(zip(NAMES, views, strict=True)), times)
    return saved_file(SavedFile(path, "GIF", name, film=moments))


def show_runs(runs: Mapping[str, Iterable[Frame]]) -> None:
    """Shows runs of the chain that differ in one thing, each by its name, at the same t.

    A terminal shows how each ends, a page their ways beside each other on one slider.

    Raises:
        ValueError: they have frames at different t.
    """
    frames = {name: list(run) for name, run in runs.items()}
    (times, *others) = [tuple(frame.t for frame in run) for run in frames.values()]
    if any(other != times for other in others):
        raise ValueError("The runs have frames at other t: give them all the same steps.")
    views = {name: torch.stack([frame.x_t for frame in run]) for name, run in frames.items()}
    current().print(Runs(Film(captions_of(times), views, times)))


def save_strip(strip: FilmStrip) -> list[Path]:
    """Saves a film strip of a training as film_strip.png and .gif and prints their paths."""
    png, gif = save_film_strip(strip, current().out)
    names = tuple(moment_name(epoch) for epoch in strip.epochs)
    images = torch.stack([moment[:10] for moment in strip.images])
    return [
        saved_file(SavedFile(png, "Picture", "film strip", picture=png.read_bytes())),
        saved_file(SavedFile(gif, "GIF", "film strip", film=Film(names, {"": images}))),
    ]


def save_moments(moments: Sequence[Tensor], captions: Sequence[str], name: str) -> Path:
    """Saves moments, ten images each, as a GIF with a caption below each, and prints its path."""
    path = output_path(name, ".gif")
    write_film(path, captioned_moments(moments, captions), frame_ms=CAPTIONED_MS)
    images = torch.stack([moment[:10].cpu() for moment in moments])
    return saved_file(SavedFile(path, "GIF", name, film=Film(tuple(captions), {"": images})))


def save_grid(images: Tensor, name: str, columns: int | None = None) -> Path:
    """Saves images, (N, 1, H, W), in rows of `columns` as a PNG and prints its path."""
    path = output_path(name, ".png")
    write_picture(path, enlarged(grid(images, columns), 2))
    kept = as_it_is_now(images).cpu()
    return saved_file(SavedFile(path, "Picture", name, picture=kept, columns=columns))


def show_download(done: int, total: int) -> None:
    """For `load_digits(progress=show_download)`: how much of MNIST has come, in megabytes.

    Before that, with 0 of 0, it says that somebody is asked.
    """
    session = current()
    come = f"Downloading MNIST: {done / 1e6:.1f} MB"
    said = session.bars.say(come if done else "Looking for MNIST on the network")
    if done and not said and session.console.is_terminal:  # a lesson file that runs as a script
        end = "\n" if done == total else "\r"
        session.console.print(come, end=end, highlight=False)


def _is_figure(value: Any) -> bool:
    kind = type(value)
    return kind.__module__.startswith("matplotlib.figure") and kind.__name__ == "Figure"


def track(
    items: Iterable[T],
    total: int,
    description: str,
    *,
    pictures: bool = False,
    curves: Callable[[], Curves] | None = None,
) -> Iterator[T]:
    """The items, with a progress bar and the time left while they are worked through.

    The caller may send a few words, such as the loss, with `note`.

    Args:
        pictures: for the states of a chain: shows x_t and the estimate of x_0 below the bar. Not
            where a question about them is still to come.
        curves: what is known so far, to be drawn below the pictures; nothing while it has no point.
    """
    console = current().console
    large = console.width >= WIDE and console.height >= HIGH

    def drawn(item: T) -> RenderableType:
        shown = [drawn_beside(item, console)] if pictures else []
        below = curves() if curves else None
        if below and any(points for _, points in below.curves):
            shown.append(below)
        return Group(*shown)

    with current().bars.bar(description, total) as bar:
        for item in items:
            if bar and large and (pictures or curves):
                bar.picture(partial(drawn, item))
            yield item
            if bar:
                bar.advance()


def drawn_beside(state: Any, console: Console) -> RenderableType:
    """The first x_t of a state and the estimates of x_0 from them, in one row."""
    count = min(len(state.x_t), (console.width + 1) // (2 * SMALL), MAX_PICTURES)
    images = torch.cat([state.x_t[:count], state.x_0_hat[:count]]).cpu()
    captions = [f"x_t, t = {state.t}"] * count + ["guess of x_0"] * count
    return Images(images, "", captions)


def note(text: str) -> None:
    """A few words beside the progress bar of the innermost `track`."""
    current().bars.note(text)


def pick(choices: Sequence[T], generator: torch.Generator) -> T:
    """One of these by chance: a number for a question that is asked with others each time."""
    return choices[int(torch.randint(len(choices), (), generator=generator))]
