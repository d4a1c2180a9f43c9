"""What a lesson talks to in a notebook: pictures, tables and bars in the output of its cells."""

import io
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ddpm_tutor.classroom.session import Asked, Session
from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.course.questions import questions
from ddpm_tutor.learner.progress import Bookmark
from ddpm_tutor.pages.notebook import UNANSWERED, cell_html, other_replies, output, progress
from ddpm_tutor.screen.console import make_console
from ddpm_tutor.screen.curves import FigureCurves
from ddpm_tutor.screen.prose import duration
from ddpm_tutor.screen.shown import LETTERS, Question, Said

WIDTH = 80  # columns of the plain text beside the HTML
SECONDS_A_FRAME = 0.2  # between two states of a bar, at least
SECONDS_A_PICTURE = 1.0  # between two pictures below it
MIN_SECONDS = 1.0  # of work that is worth a bar


def kernel() -> Any:
    """The kernel of the notebook that this runs in; None elsewhere."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None)


class AnswersOfAFile:
    """Counts the answers in a lesson's plain file, which is open as a notebook, through jupytext.

    Its kernel is told no file, so the questions say which lesson it is: one that came along.
    """

    def __init__(self) -> None:
        self.bookmark: Bookmark | None = None  # in the lesson of the last question

    def take(self, question: str, right: bool, text: str) -> bool:
        """Keeps an answer in the learner's progress; whether its points are earned."""
        asked = (each for each in all_lessons() if question in {q.key for q in questions(each)})
        lesson = next(asked, None)
        if lesson is None:
            return right
        if self.bookmark is None or self.bookmark.name != lesson.key:
            self.bookmark = Bookmark(lesson.key)
        return self.bookmark.answered(question, right, text)


class NotebookSession(Session):
    """One sitting with a lesson in a notebook's kernel."""

    curves: FigureCurves | None = None  # of the figure that comes next
    unanswered = False  # a question stays open, as nobody can type
    hides = False  # what a lesson says after such a question is left out

    def __init__(self, out: Path = Path("outputs")) -> None:
        super().__init__(console=make_console(file=sys.stdout), out=out)
        self.bars: Any = NotebookBars()
        self.reveals = self.has_keys = False
        self.answers = AnswersOfAFile()

    def show_again(self, what: RenderableType) -> None:
        """Shows what is remembered as HTML, and as text where that is not shown."""
        if isinstance(what, Text) and not what.plain:
            return
        if isinstance(what, Said) and self.hides and self.unanswered:
            return
        if isinstance(what, FigureCurves):
            self.curves = what
            return
        if isinstance(what, Question):
            can_type = getattr(kernel(), "_allow_stdin", False)
            self.ask, self.unanswered = (input, False) if can_type else (None, True)
        html, self.curves = cell_html(what, self.curves), None
        put(html, text_of(what))
        if isinstance(what, Question) and self.ask is None:
            put(output(f'<p class="note">{UNANSWERED}</p>'), UNANSWERED)

    def keep(self, asked: Asked) -> None:
        """Remembers a question, and lets its other replies be unfolded."""
        super().keep(asked)
        named = zip(LETTERS, asked.options, strict=False)
        pairs = [
            (f"{letter}) {option}", reply)
            for number, (letter, (option, reply)) in enumerate(named)
            if number not in asked.told
        ]
        put(output(other_replies(pairs)), "")


def text_of(what: RenderableType) -> str:
    """What a terminal without colours would show."""
    console = make_console(file=io.StringIO())
    console.width = WIDTH
    with console.capture() as captured:
        console.print(what)
    return Text.from_ansi(captured.get()).plain.rstrip()


def put(html: str, text: str) -> Any:
    """Puts HTML into the output of the cell that runs; a handle that changes it."""
    from IPython import display

    show: Any = display.display
    bundle = {"text/html": html, "text/plain": text}
    return show(bundle, raw=True, display_id=True) if html else None


class NotebookBars:
    """The bar of each loop, in the place of the terminal's `Bars`; no clock: a cell has its own."""

    def __init__(self) -> None:
        self._bars: list[NotebookBar] = []

    @contextmanager
    def bar(self, description: str, total: float) -> Iterator["NotebookBar"]:
        """A bar while the block runs; then one line of how long it took."""
        bar = NotebookBar(description, total)
        self._bars.append(bar)
        try:
            yield bar
        finally:
            self._bars.remove(bar)
            bar.close()

    def note(self, text: str) -> None:
        """A few words beside the innermost bar."""
        if self._bars:
            self._bars[-1].note = text

    def say(self, description: str) -> bool:
        """Nothing: what goes on is said by the cell itself."""
        return True

    def standing(self) -> nullcontext[None]:
        """The block prints: here nothing is drawn over."""
        return nullcontext()

    paused = standing


class NotebookBar:
    """One bar; it is drawn when the work takes longer than a moment."""

    def __init__(self, description: str, total: float) -> None:
        self.description, self.total, self.note = description, total, ""
        self.done, self.begun = 0.0, time.perf_counter()
        self.due, self.picture_due = self.begun + MIN_SECONDS, -math.inf
        self._handle: Any = None
        self._below = ""

    def advance(self, by: float = 1) -> None:
        """One more is done, or `by` of them."""
        self.done += by
        now = time.perf_counter()
        if now < self.due or not self.done:
            return
        self.due = now + SECONDS_A_FRAME
        left = (now - self.begun) * (self.total - self.done) / self.done
        words = f"about {duration(left)} left" if left > 0 else ""
        html = progress(self.description, self.done, self.total, words, self.note)
        self._draw(html + self._below)

    def picture(self, draw: Callable[[], RenderableType]) -> None:
        """Shows what the loop works on, but not so often that drawing holds it up."""
        now = time.perf_counter()
        if now < max(self.due, self.picture_due):
            return
        drawn = draw()
        shown = drawn.renderables if isinstance(drawn, Group) else [drawn]
        self._below = "".join(cell_html(each) for each in shown)
        self.picture_due = now + max(SECONDS_A_PICTURE, 20 * (time.perf_counter() - now))

    def close(self) -> None:
        """The work is done, or was stopped."""
        if self._handle is not None:
            seconds = duration(time.perf_counter() - self.begun)
            words = f"{self.description}: {self.done:,.0f} of {self.total:,.0f} in {seconds}"
            self._draw(f'<p class="note">{words}</p>', words)

    def _draw(self, html: str, text: str = "") -> None:
        html = output(html)
        if self._handle is None:
            self._handle = put(html, text or self.description)
        else:
            bundle = {"text/html": html, "text/plain": text or self.description}
            self._handle.update(bundle, raw=True)
