"""What a lesson shows, as objects that keep their data: a terminal prints them, a page draws them.

Beside these there are `Value` and `DataTable` (values.py), `Images` (images.py), `Curves`
(curves.py), and `Code` (prose.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.constrain import Constrain
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from torch import Tensor

from ddpm_tutor.screen.console import written
from ddpm_tutor.screen.images import Images
from ddpm_tutor.screen.prose import HOLD, PROSE_WIDTH, Sentence
from ddpm_tutor.screen.values import number
from ddpm_tutor.words import count_of

LETTERS = "abcdefgh"
ON_PARTS = "{} is a part of a university assignment, of 42 points in all"


class Said(Sentence):
    """What a lesson says of the numbers at hand."""


class Told(Sentence):
    """What a learner is told after a question; a page has the question's own replies."""


class Printed(Text):
    """A line that lesson code printed."""


@dataclass(frozen=True)
class Question:
    """A question as it is asked, with all that is told after it.

    Attributes:
        answer: the right number, or the index of the right option.
        options: (option, reply); none where a number is asked for.
        tolerance: how far off a number still counts; why: what explains it.
        explains_parts: whether it says what a part of the assignment is.
    """

    kind: Literal["choice", "number"]
    text: str
    answer: float
    options: tuple[tuple[str, str], ...] = ()
    tolerance: float = 0.0
    why: str = ""
    part: str = ""
    points: float = 0
    explains_parts: bool = False

    @property
    def heading(self) -> str:
        """What stands on its frame: "Question 11.5 d, 1 point", or just "Predict"."""
        if not self.part:
            return "Predict"
        return f"Question {self.part}, {count_of(self.points, 'point')}"

    @property
    def truth(self) -> str:
        """What is right, and why.

        The reply to the right choice begins with "Yes"; told without one, it does not.
        """
        if self.kind == "number":
            return f"{number(self.answer)}. {self.why}"
        option, reply = self.options[int(self.answer)]
        why = re.sub(r"^Yes[.:,] ", "", reply)
        # no symbol, such as x_0, q(x) or v
        if why != reply and re.match(r"(?:a|[a-z]{2,})\b(?![_(])", why):
            why = why[0].upper() + why[1:]
        stop = "" if option.endswith((".", "?", "!")) else "."
        return f"{LETTERS[int(self.answer)]}) {option}{stop}\n{why}"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        off = f"  (±{HOLD}{number(self.tolerance)})" if self.kind == "number" else ""
        text = Sentence(self.text + off)
        listed = Table.grid(padding=(0, 1))
        for letter, (option, _) in zip(LETTERS, self.options, strict=False):
            listed.add_row(f"{letter})", Sentence(option))
        panel = Panel(
            Group(text, listed) if self.options else text,
            title=Text(self.heading),
            title_align="left",
            style="yellow",
        )
        if self.explains_parts:
            panel.subtitle, panel.subtitle_align = Text(ON_PARTS.format(self.part), "dim"), "left"
        yield Constrain(panel, PROSE_WIDTH)


@dataclass(frozen=True)
class Film:
    """Moments of pictures, one after the other.

    Attributes:
        captions: of each moment.
        views: what is seen side by side, by name: (moments, N, 1, H, W) each; one without a name.
        times: the t of each moment, where they are states of a chain.
    """

    captions: tuple[str, ...]
    views: dict[str, Tensor]
    times: tuple[int, ...] = ()


@dataclass(frozen=True)
class Runs:
    """Runs beside each other; a terminal has no slider, and shows how each of them ends."""

    film: Film  # a view for each run

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ends = {name: moments[-1] for name, moments in self.film.views.items()}
        captions = [name for name, images in ends.items() for _ in images]
        yield Images(torch.cat([*ends.values()]), "how each ends", captions)


@dataclass(frozen=True)
class SavedFile:
    """A file that a lesson wrote, and what is in it.

    Attributes:
        what: such as "GIF"; about: what is to be seen on a figure, in words.
        picture: the images of a grid, (N, 1, H, W), in rows of `columns`; or a PNG.
        film: the moments of a film.
    """

    path: Path
    what: str
    name: str = ""
    picture: Tensor | bytes | None = None
    columns: int | None = None
    film: Film | None = None
    about: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = written(self.path, f"{self.what} saved")
        line.no_wrap = True
        yield line


def captions_of(times: Sequence[int]) -> tuple[str, ...]:
    """The captions of moments of a chain."""
    return tuple(f"t = {t}" for t in times)
