"""The part of the screen that moves: the bar of each loop, and a clock where there is none.

A terminal has room for one display that is drawn over, so all that moves goes through here.
"""

import math
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.segment import SegmentLines
from rich.text import Text

from ddpm_tutor.screen.prose import duration

PATIENCE = 1.0  # seconds: a shorter wait needs no clock
FRAMES_PER_SECOND = 5  # more would cost the work time
SECONDS_A_PICTURE = 0.3  # at least
SHARE = 0.03  # of the time may go into drawing pictures


class Count(MofNCompleteColumn):
    """How many of how many are done; the seconds of a clock."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(f"{task.elapsed or 0:.0f} s", "progress.elapsed")
        return super().render(task) if task.fields["end"] is None else Text()


class TimeLeft(TimeRemainingColumn):
    """The time left at the speed so far, or until the end that is expected."""

    def render(self, task: Task) -> Text:
        if (end := task.fields["end"]) is None:
            return super().render(task)
        return Text(f"about {duration(end - task.get_time())} left", "progress.remaining")


class Display(Progress):
    """All bars, one below the other, and a picture below them."""

    picture: RenderableType = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """What is drawn each time."""
        yield from super().get_renderables()
        if self.picture:
            yield self.picture


class Bar:
    """The bar of one loop."""

    def __init__(self, display: Display, task: TaskID) -> None:
        self.display, self.task = display, task
        self.due = -math.inf  # when the next picture may be drawn, in seconds
        self.gone = False  # a loop may go on after its bar was taken away

    def advance(self, by: float = 1) -> None:
        """One more is done, or `by` of them."""
        if not self.gone:
            self.display.advance(self.task, by)

    def picture(self, draw: Callable[[], RenderableType]) -> None:
        """Shows what the loop works on, but not so often that drawing holds it up."""
        begun = self.display.get_time()
        if not self.gone and begun >= self.due:
            self.display.picture = SegmentLines(self.display.console.render_lines(draw()), True)
            took = self.display.get_time() - begun
            self.due = begun + max(SECONDS_A_PICTURE, took / SHARE)

    def change(self, **fields: Any) -> None:
        """Changes the words before the bar, `description`, or behind it, `note`."""
        if not self.gone:
            self.display.update(self.task, **fields)

    def expect(self, seconds: float) -> None:
        """Says how long it will still take, where what it counts is not alike."""
        self.change(end=self.display.get_time() + seconds)


class Bars:
    """All that moves on one console; nothing where it is no terminal."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.shown = console.is_terminal and console.is_interactive  # a dumb terminal only prints
        self._lock = threading.RLock()  # the clock begins in a thread of its own
        self._display: Display | None = None  # on the screen while there is a bar
        self._bars: list[Bar] = []  # the innermost last
        self._clock: Bar | None = None
        self._timer: threading.Timer | None = None  # shows the clock when the wait gets long
        self._waiting_for = ""  # "" while no clock is wanted

    @contextmanager
    def bar(self, description: str, total: float) -> Iterator[Bar | None]:
        """A bar while the block runs; None where nothing is shown."""
        if not self.shown:
            yield None
            return
        with self._lock:
            self._stop_clock()
            bar = self._add(description, total)
            self._bars.append(bar)
        try:
            yield bar
        finally:
            with self._lock:
                if bar in self._bars:  # else all have been cleared
                    self._bars.remove(bar)
                    self._remove(bar)
                    self._start_clock()

    @contextmanager
    def clock(self, description: str) -> Iterator[None]:
        """Shows that something goes on, and for how long, wherever the block is slow.

        After it nothing moves, whatever the block has left behind.
        """
        self._waiting_for, bars = description, len(self._bars)
        self._start_clock()
        try:
            yield
        finally:
            self._waiting_for = ""
            self.clear(bars)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing moves while the block runs: the learner types."""
        waiting_for, self._waiting_for = self._waiting_for, ""
        self._stop_clock()
        try:
            yield
        finally:
            self._waiting_for = waiting_for
            self._start_clock()

    @contextmanager
    def standing(self) -> Iterator[None]:
        """No clock comes while the block prints: half a print above it would tear the line."""
        with self._lock:
            yield

    def say(self, description: str) -> bool:
        """Shows the clock at once, with these words, until a bar comes; whether there is one."""
        with self._lock:
            if not (self._waiting_for and self.shown) or self._bars:
                return False
            if self._clock is None:
                self._stop_clock()
                self._clock = self._add(description, None)
            self._clock.change(description=description)
        return True

    def note(self, text: str) -> None:
        """A few words beside the innermost bar."""
        if self._bars:
            self._bars[-1].change(note=text)

    def clear(self, bars: int = 0) -> None:
        """Leaves so many bars, the outer ones: a loop that an error left may not remove its own."""
        with self._lock:
            self._stop_clock()
            while len(self._bars) > bars:
                self._remove(self._bars.pop())

    def _start_clock(self) -> None:
        with self._lock:
            self._stop_clock()
            if self._waiting_for and not self._bars and self.shown:
                timer = threading.Timer(PATIENCE, lambda: self._show_clock(timer))
                timer.daemon = True
                self._timer = timer
                timer.start()

    def _show_clock(self, timer: threading.Timer) -> None:
        with self._lock:
            if timer is self._timer:  # else it came too late
                self._clock = self._add(self._waiting_for, None)

    def _stop_clock(self) -> None:
        with self._lock:
            if self._timer:
                self._timer.cancel()
            self._timer = None
            if self._clock:
                clock, self._clock = self._clock, None
                self._remove(clock)

    def _add(self, description: str, total: float | None) -> Bar:
        if self._display is None:
            self._display = Display(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                Count(),
                TimeLeft(compact=True),
                TextColumn("{task.fields[note]}", "cyan", markup=False),
                console=self.console,
                transient=True,
                refresh_per_second=FRAMES_PER_SECOND,
                redirect_stdout=False,  # the stepper has done that, and remembers what it catches
            )
            self._display.start()
        task = self._display.add_task(description, total=total, note="", end=None)
        return Bar(self._display, task)

    def _remove(self, bar: Bar) -> None:
        bar.gone = True
        bar.display.remove_task(bar.task)
        bar.display.picture = ""
        if not bar.display.tasks:
            self._display = None
            bar.display.stop()
