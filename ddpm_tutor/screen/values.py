"""Showing values: a tensor as statistics and a picture, the rest as itself; tables of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.pretty import Pretty
from rich.table import Table
from rich.text import Text
from torch import Tensor

from ddpm_tutor.pictures.grids import is_image
from ddpm_tutor.screen.images import render_images

BARS = " ▁▂▃▄▅▆▇█"
BINS = 28
MAX_DIGITS = 7  # digits of a number in a table, more are hard to take in
MAX_IMAGES_SHOWN = 40  # more are not drawn in the terminal


def sparkline(counts: Sequence[float]) -> str:
    """A histogram in one line of text; a bin that is not empty always shows."""
    top = max(counts, default=0)
    if not top:
        return ""
    return "".join(BARS[math.ceil(count / top * (len(BARS) - 1))] for count in counts)


def number(value: float) -> str:
    """A number for a panel: four significant digits, no needless exponent."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.2e}"


def roughly(value: float) -> str:
    """The same with two significant digits, for how far something is off; whole numbers exactly."""
    return number(value if float(value).is_integer() else float(f"{value:.1e}"))


@dataclass(frozen=True)
class Statistics:
    """What is said of a tensor: pairs of a name and a text; how often values occur."""

    facts: tuple[tuple[str, str], ...]
    finite: bool = True
    counts: tuple[float, ...] = ()  # from the least to the greatest value; none for a few values


def statistics(tensor: Tensor, bins: int = BINS) -> Statistics:
    """A tensor's shape, type, device, and the statistics of its values."""
    values = tensor.detach().flatten().to("cpu", torch.float64)
    shape = "×".join(str(n) for n in tensor.shape) or "scalar"
    dtype = str(tensor.dtype).removeprefix("torch.")
    facts = [("shape", shape), ("type", dtype), ("device", str(tensor.device))]
    if len(values) == 1:
        return Statistics((*facts, ("value", number(values.item()))))
    if len(values) <= 8:
        listed = " ".join(number(v) for v in values.tolist())
        return Statistics((*facts, *[("values", listed)] * bool(listed)))
    low, high = values.min().item(), values.max().item()
    facts += [("mean", number(values.mean().item())), ("std", number(values.std().item())),
              ("min", number(low)), ("max", number(high))]  # fmt: skip
    finite = math.isfinite(low + high)
    counts = torch.histc(values, bins, low, high).tolist() if finite and high > low else ()
    return Statistics(tuple(facts), finite, tuple(counts))


def tensor_panel(tensor: Tensor, title: str | None = None) -> Panel:
    """The statistics of a tensor in a frame."""
    found = statistics(tensor)
    facts = dict(found.facts)
    rows = Table.grid(padding=(0, 1))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(no_wrap=True)
    rows.add_row("shape", Text(f"{facts['shape']}   {facts['type']}   {facts['device']}"))
    for name in ("value", "values"):
        if name in facts:
            rows.add_row(name, facts[name])
    if "mean" in facts:
        rows.add_row("mean", f"{facts['mean']}   std {facts['std']}")
        rows.add_row("min", f"{facts['min']}   max {facts['max']}")
    if not found.finite:
        rows.add_row("", Text("not all values are finite", style="bold red"))
    elif found.counts:
        rows.add_row("", Text(sparkline(found.counts), style="cyan"))
    return Panel(rows, title=Text(title) if title else None, title_align="left", expand=False)


def is_number(text: str) -> bool:
    """Whether a cell is a number, perhaps with its unit or interval; not "10, DDIM"."""
    return text[:1] in "-.0123456789" and ", " not in text


@dataclass(frozen=True)
class DataTable:
    """A table of numbers, which stand right, and words, which stand left."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]

    def by_column(self) -> list[tuple[str, list[str], bool]]:
        """Each column: its name, its cells as they are written, whether all are numbers."""
        cells = [column_of(list(column)) for column in zip(*self.rows, strict=True)]
        return [
            (name, column, all(map(is_number, column)))
            for name, column in zip(self.columns, cells, strict=True)
        ]

    def drawn(self) -> Table:
        """The table without its title."""
        result, columns = Table(), self.by_column()
        for name, _, numeric in columns:
            result.add_column(Text(name), justify="right" if numeric else "left")
        for row in zip(*(cells for _, cells, _ in columns), strict=True):
            result.add_row(*(Text(cell) for cell in row))
        return result

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.title, style="bold")
        yield self.drawn()


def column_of(values: Sequence[object]) -> list[str]:
    """The cells of a column; floats have as many decimals as the smallest needs for two digits.

    Where that would take more than `MAX_DIGITS` characters, each float has four digits of its own.
    """
    floats = [abs(v) for v in values if isinstance(v, float) and v and math.isfinite(v)]
    if not floats:
        return [number(v) if isinstance(v, float) else str(v) for v in values]
    before = math.floor(math.log10(max(floats)))  # the place of the first digit of the largest
    smallest = math.floor(math.log10(min(floats)))
    decimals = max(3 - max(before, 0), 1 - smallest, 0)
    if max(before, 0) + 1 + decimals > MAX_DIGITS:
        return [number(v) if isinstance(v, float) else str(v) for v in values]
    return [f"{v:,.{decimals}f}" if isinstance(v, float) else str(v) for v in values]


@dataclass(frozen=True)
class Value:
    """A value that is shown: drawn each time, for it looks different in a narrow window."""

    value: Any
    title: str | None = None
    captions: Sequence[str] | None = None  # of each image of a batch

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield render(self.value, console, self.title, self.captions)


def render(
    value: Any,
    console: Console,
    title: str | None = None,
    captions: Sequence[str] | None = None,
) -> RenderableType:
    """What stands for `value` on the screen."""
    if isinstance(value, Tensor):
        panel = tensor_panel(value, title)
        if not is_image(value):
            return panel
        count = math.prod(value.shape[:-2])
        shown = value.reshape(-1, *value.shape[-2:])[:MAX_IMAGES_SHOWN]
        pictures = render_images(shown, console, captions)
        if count == 1 and console.width >= 2 + 2 * value.shape[-1]:
            return Columns([pictures_of_width(pictures, value.shape[-1]), panel], padding=(0, 2))
        return Group(panel, pictures)
    if isinstance(value, str):
        return Text(value)
    if hasattr(value, "__rich__") or hasattr(value, "__rich_console__"):
        shows_itself: RenderableType = value
        return shows_itself
    return Group(Text(title, style="bold"), Pretty(value)) if title else Pretty(value)


def pictures_of_width(pictures: RenderableType, width: int) -> RenderableType:
    """The pictures in a column just as wide as they are."""
    grid = Table.grid()
    grid.add_column(width=width, no_wrap=True)
    grid.add_row(pictures)
    return grid
