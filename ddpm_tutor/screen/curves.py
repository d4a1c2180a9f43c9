"""Curves as characters: the dots of braille letters, or a mark for each curve without them."""

import math
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from ddpm_tutor.screen.console import can_write

COLORS = ("cyan", "yellow", "magenta", "green")
MARKS = "*o+x"  # of the curves, where there is no colour to tell them apart
BLANK = 0x2800  # the braille letter without dots; it has bits for two dots across, four down
BRAILLE = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
MAX_WIDTH, LINES = 76, 10  # of one frame, in characters
SIDE_BY_SIDE = 38  # the width of each of several

Points = Iterable[tuple[float, float]]
Cells = dict[tuple[int, int], tuple[int, int]]  # line, column -> dots of braille, number of curve


class Curves:
    """Curves in one frame, as wide as the screen has room for.

    Args:
        curves: the name of each, "" for none, and its points (x, y) in the order they are joined.
        x_label: what x is.
        log, log_x: whether y and x are logarithmic; there only what is above 0 is drawn.
        span: the lowest and the highest y; those of the points by default.
    """

    def __init__(
        self,
        title: str,
        curves: Iterable[tuple[str, Points]],
        *,
        x_label: str = "t",
        log: bool = False,
        log_x: bool = False,
        span: tuple[float, float] | None = None,
    ) -> None:
        self.title, self.x_label, self.log, self.log_x = title, x_label, log, log_x
        self.curves = [(name, list(self._shown(points))) for name, points in curves]
        points = [point for _, curve in self.curves for point in curve]
        self.left, self.right = _range(x for x, _ in points)
        self.low, self.high = (
            (_scaled(y, log) for y in span) if span else _range(y for _, y in points)
        )

    def _shown(self, points: Points) -> Iterator[tuple[float, float]]:
        """The points that have a place in the frame, as they are drawn."""
        for x, y in points:
            drawn = _scaled(float(x), self.log_x), _scaled(float(y), self.log)
            if all(map(math.isfinite, drawn)):
                yield drawn

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        letters = can_write("⣿│└─", console.encoding) and not console.legacy_windows
        colors = console.color_system is not None and not console.no_color
        braille = letters and (colors or len(self.curves) == 1)
        upright, corner, level = "│└─" if letters else "|+-"
        ends = [f"{unscaled(y, self.log):.3g}" for y in (self.high, self.low)]
        margin = max(map(len, ends))
        width = max(8, min(options.max_width, MAX_WIDTH) - margin - 2)
        if self.title:
            yield Text(self.title, style="bold")
        labels = [ends[0], *[""] * (LINES - 2), ends[1]]
        for label, line in zip(labels, self._lines(width, braille), strict=True):
            yield Text.assemble((f"{label:>{margin}} {upright}", "dim"), line, no_wrap=True)
        yield Text(" " * (margin + 1) + corner + level * width, style="dim")
        left, right = (f"{unscaled(x, self.log_x):.4g}" for x in (self.left, self.right))
        between = self.x_label.center(max(0, width - len(left) - len(right)))
        indent = " " * (margin + 2)
        yield Text(f"{indent}{left}{between}{right}", style="dim", no_wrap=True)
        names = Text(indent)
        for number, (name, _) in enumerate(self.curves):
            mark = level * 2 if braille else MARKS[number % len(MARKS)]
            names.append(f"{mark} {name}   " if name else "", COLORS[number % len(COLORS)])
        names.rstrip()
        if names.plain:
            yield names

    def _lines(self, width: int, braille: bool) -> Iterator[Text]:
        """What stands in the frame, line by line."""
        cells = self._cells(width, braille)

        def styled(bits: int, number: int) -> tuple[str, str]:
            mark = chr(BLANK + bits) if braille else MARKS[number % len(MARKS)]
            return (mark, COLORS[number % len(COLORS)]) if bits else (" ", "")

        for line in range(LINES):
            text = Text()
            row = [styled(*cells.get((line, column), (0, 0))) for column in range(width)]
            for style, alike in groupby(row, key=itemgetter(1)):  # codes fill a log quickly
                text.append("".join(mark for mark, _ in alike), style)
            text.rstrip()
            yield text

    def _cells(self, width: int, braille: bool) -> Cells:
        """The characters that the curves go through; a later curve stands over an earlier one."""
        wide, high = (2, 4) if braille else (1, 1)
        across, down = width * wide - 1, LINES * high - 1
        cells: Cells = {}
        for number, (_, curve) in enumerate(self.curves):
            places = [
                (
                    (x - self.left) / (self.right - self.left) * across,
                    (self.high - y) / (self.high - self.low) * down,
                )
                for x, y in curve
            ]
            for column, row in _joined(places):
                if 0 <= row <= down:
                    cell = row // high, column // wide
                    bits = cells.get(cell, (0, 0))[0] | BRAILLE[row % high][column % wide]
                    cells[cell] = bits, number
        return cells


def _scaled(value: float, log: bool) -> float:
    """Where on its axis a value lies; nowhere, if it has no logarithm."""
    if not log:
        return value
    return math.log10(value) if value > 0 else math.nan


def unscaled(place: float, log: bool) -> float:
    """The value at a place on its axis."""
    return 10.0**place if log else place


def _range(values: Iterable[float]) -> tuple[float, float]:
    """The least and the greatest value, never the same: there is a width to divide by."""
    values = list(values) or [0.0]
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _joined(places: list[tuple[float, float]]) -> Iterator[tuple[int, int]]:
    """The dots on the straight lines from place to place; a place alone is a dot."""
    for (x, y), (to_x, to_y) in pairwise(places if len(places) > 1 else places * 2):
        steps = math.ceil(max(abs(to_x - x), abs(to_y - y), 1))
        for i in range(steps + 1):
            yield round(x + (to_x - x) * i / steps), round(y + (to_y - y) * i / steps)


class FigureCurves:
    """The curves of a matplotlib figure, those of each of its axes in a frame."""

    def __init__(self, frames: list[Curves]) -> None:
        self.frames = frames

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if len(self.frames) > 1:
            yield Columns(self.frames, width=SIDE_BY_SIDE, padding=(0, 2))
        else:
            yield self.frames[0]


def curves_of(figure: Any) -> FigureCurves | None:
    """The curves of a matplotlib figure; None without any."""
    frames = []
    for axis in figure.axes:
        # not lines across the whole width, such as those of axhline
        lines = [line for line in axis.get_lines() if line.get_transform() == axis.transData]
        # matplotlib calls a line without a name _child0 and so on
        names = ["" if str(n).startswith("_") else str(n) for n in (x.get_label() for x in lines)]
        points = [zip(*line.get_data(orig=False), strict=True) for line in lines]
        if lines:
            frames.append(
                Curves(
                    axis.get_title() or axis.get_ylabel(),
                    zip(names, points, strict=True),
                    x_label=axis.get_xlabel(),
                    log=axis.get_yscale() == "log",
                    log_x=axis.get_xscale() == "log",
                    span=None if axis.get_autoscaley_on() else axis.get_ylim(),
                )
            )
    return FigureCurves(frames) if frames else None
