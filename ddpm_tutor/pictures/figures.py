"""Figures drawn with matplotlib: without a window, and with its own settings, not the user's.

matplotlib reads its settings (matplotlibrc, styles, rcParams) when lines and words are made and
again when a picture is drawn. Here both happen inside `own_settings`; the user's are left alone.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ddpm_tutor.files import replacing
from ddpm_tutor.pictures.grids import as_uint8

# a letter with an index, an accent, or both; no name of code
SYMBOL = re.compile(
    r"(?<![\w.])(?P<letter>[^\W\d_])(?P<mark>[\u0302-\u0304]?)"
    r"(?:_(?P<index>\{[^{}]*\}|simple|\d+|[A-Za-zθτ]))?(?(index)|(?<=[\u0302-\u0304]))(?![^\W²])"
)
MARKS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar"}

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text


def load_matplotlib() -> ModuleType:
    """matplotlib, also where the user's settings keep it from being imported.

    MPLBACKEND may name a backend that is not installed here, as in a process that a notebook
    started; a matplotlibrc may not be text.
    """
    try:
        return import_module("matplotlib")
    except Exception:
        spec = find_spec("matplotlib")
        if spec is None or not spec.submodule_search_locations:
            raise
    forget_half_imported()
    hidden = {name: os.environ.pop(name, None) for name in ("MPLBACKEND", "MATPLOTLIBRC")}
    os.environ["MATPLOTLIBRC"] = os.devnull
    try:
        with chdir(spec.submodule_search_locations[0]):  # a matplotlibrc where we are goes first
            return import_module("matplotlib")
    finally:
        del os.environ["MATPLOTLIBRC"]
        os.environ.update({name: value for name, value in hidden.items() if value is not None})


def forget_half_imported() -> None:
    """Lets matplotlib's modules be imported anew, but those in C, which can be only once."""
    for name, module in list(sys.modules.items()):
        if name.startswith("matplotlib.") and str(getattr(module, "__file__", "")).endswith(".py"):
            del sys.modules[name]


@contextmanager
def own_settings() -> Iterator[None]:
    """Lets matplotlib work with the settings it comes with for a while."""
    matplotlib = load_matplotlib()
    # the backend is for windows, and would be loaded
    own = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    with matplotlib.rc_context(own):
        yield


@contextmanager
def figure(
    width: float = 6.4, height: float = 3.6, columns: int = 1
) -> Iterator[tuple["Figure", "list[Axes]"]]:
    """An empty figure and its axes, in a row, to draw on in the `with` block; sizes in inches."""
    with own_settings():
        yield empty_figure(width, height, columns=columns)


def empty_figure(
    width: float, height: float, rows: int = 1, columns: int = 1, **options: Any
) -> tuple["Figure", "list[Axes]"]:
    """A figure that belongs to no window, and its axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    result = Figure(figsize=(width, height), layout="constrained", **options)
    FigureCanvasAgg(result)
    return result, list(result.subplots(rows, columns, squeeze=False).flat)


def plain_numbers(axis: "Axes") -> None:
    """Numbers such as 0.02 along a logarithmic axis y, in place of 2 × 10^-2.

    Over a wide range they stand at 1, 2 and 5 times a power of ten.
    """
    from matplotlib.ticker import LogLocator

    low, high = axis.get_ylim()
    if high / low > 4:
        axis.yaxis.set_minor_locator(LogLocator(subs=(2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter("{x:g}")


def save_figure_as(path: Path, figure: "Figure", dpi: int, **options: Any) -> None:
    """Writes a figure as a PNG, whole or not at all; its words with typeset symbols."""
    with own_settings(), typeset(figure), replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dpi, **options)


@contextmanager
def typeset(figure: "Figure") -> Iterator[None]:
    """Letters with an index or an accent, such as x_100, are set as such while the block runs."""
    changed = {
        words: text for words in words_in(figure) if as_mathtext(text := words.get_text()) != text
    }
    for words, text in changed.items():
        words.set_text(as_mathtext(text))
    try:
        yield
    finally:
        for words, text in changed.items():
            words.set_text(text)


def words_in(artist: "Artist") -> "Iterator[Text]":
    """The words that show in a part of a figure; ticks that are switched off are not even made."""
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    if isinstance(artist, Text):
        yield artist
    hidden = isinstance(artist, Axes) and not artist.axison
    for child in artist.get_children():
        if not (hidden and isinstance(child, Axis)):
            yield from words_in(child)


def as_mathtext(text: str) -> str:
    """Words for matplotlib in which x_100 is typeset; words that hold a dollar stay as they are.

    Example:
        >>> as_mathtext("q(x_100)"), as_mathtext("L_simple")
        ('q($x_{100}$)', '$L_{\\\\mathrm{simple}}$')
    """
    return text if "$" in text else SYMBOL.sub(_symbol, unicodedata.normalize("NFD", text))


def _symbol(found: re.Match[str]) -> str:
    letter, mark, index = found["letter"], found["mark"], (found["index"] or "").strip("{}")
    letter = rf"{MARKS[mark]}{{{letter}}}" if mark else letter
    below = rf"\mathrm{{{index}}}" if re.fullmatch("[A-Za-z]{2,}", index) else index
    return f"${letter}_{{{below}}}$" if index else f"${letter}$"


def in_words(figure: "Figure") -> str:
    """What the axes of a figure are, and how many pictures it has, in words for a screen reader."""
    pictured = [axis for axis in figure.axes if axis.get_images()]
    titles = ", ".join(title for axis in figure.axes if (title := axis.get_title()))
    if pictured:
        titled = f", called {titles}" if titles else ""
        return f"{len(pictured)} picture{'s' * (len(pictured) > 1)}{titled}."
    labels = {
        f"{name}: {label}"
        for axis in figure.axes
        for name, label in (("x", axis.get_xlabel()), ("y", axis.get_ylabel()))
        if label
    }
    return " ".join(f"{part}." for part in (titles, "; ".join(sorted(labels))) if part)


def sheet(
    images: Tensor, titles: Sequence[str], columns: int = 10, rows_are: Sequence[str] = ()
) -> "Figure":
    """Images (N, 1, 32, 32) in rows of `columns`, the first of them under titles.

    Args:
        rows_are: what stands on the left of each row, if anything does.
    """
    rows, titled = -(-len(images) // columns), -(-len(titles) // columns)
    height = rows * 0.8 + titled * 0.2
    with own_settings():
        result, axes = empty_figure(columns * 0.8, height, rows, columns, facecolor="black")
        for axis in axes:
            axis.axis("off")
        for axis, image in zip(axes, as_uint8(images), strict=False):
            axis.imshow(image.numpy(), cmap="gray", vmin=0, vmax=255)
        for axis, title in zip(axes, titles, strict=False):
            axis.set_title(title, fontsize=8, color="white")
        for axis, name in zip(axes[::columns], rows_are, strict=False):
            axis.text(
                -0.15, 0.5, name, fontsize=10, color="white", ha="right", va="center",
                transform=axis.transAxes,
            )  # fmt: skip
    return result


def loss_curve(
    train: Sequence[tuple[float, float]],
    validation: Sequence[tuple[float, float]],
    x_label: str = "epoch",
) -> "Figure":
    """Training and validation loss over time, each a list of (x, loss); the loss is logarithmic."""
    with figure() as (result, (axis,)):
        from matplotlib.ticker import MaxNLocator  # after the settings: they guard the import

        axis.plot(*zip(*train, strict=True), label="training")
        axis.plot(*zip(*validation, strict=True), marker="o", label="validation (averaged weights)")
        axis.set(xlabel=x_label, ylabel="L_simple (Eq. 14)", yscale="log")
        axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        plain_numbers(axis)
        axis.grid(alpha=0.3, which="both")
        axis.legend()
    return result
