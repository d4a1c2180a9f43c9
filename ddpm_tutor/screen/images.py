"""Images as characters: half-blocks in shades of grey, or letters where there is no colour.

A terminal of 16 colours has four greys. There half-blocks of two of them stand beside characters
that mix two: each pair of pixels gets the one that is nearest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, product
from operator import itemgetter

import torch
import torch.nn.functional as F
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text
from torch import Tensor

from ddpm_tutor.pictures.grids import as_uint8
from ddpm_tutor.screen.console import can_write

SMALLEST = 14  # pixels a side of an image on the screen, where it has as many
SHARE_OF_SCREEN = 0.6  # of a terminal's lines, for several rows of images
SHADES = " .:-=+*#%@"  # from dark to bright
# the greys of 16 colours, as bright as they are in xterm, Windows, GNOME and macOS on average
TERMINAL_GREYS = {"black": 0, "bright_black": 104, "white": 204, "bright_white": 250}
# how much of the foreground is in the upper and in the lower half
GLYPHS = {
    "▀": (1, 0),
    "▄": (0, 1),
    "█": (1, 1),
    "░": (0.25,) * 2,
    "▒": (0.5,) * 2,
    "▓": (0.75,) * 2,
}


StyledGlyph = tuple[str, str]  # a character and its style


def _letter(upper: int, lower: int) -> StyledGlyph:
    """Two pixels, one above the other, without colour."""
    return SHADES[(upper + lower) // 2 * len(SHADES) // 256], ""


def _half_block(upper: int, lower: int) -> StyledGlyph:
    """Two pixels in their own greys, or the nearest that the terminal has."""
    return "▀", f"rgb({upper},{upper},{upper}) on rgb({lower},{lower},{lower})"


@lru_cache(maxsize=32 * 32)
def _of_four_greys(upper: int, lower: int) -> StyledGlyph:
    """Two pixels as the nearest that four greys give: each its own, or both a mixture of two."""

    def distance(glyph: str, front: str, back: str) -> tuple[float, int]:
        seen = [
            share * TERMINAL_GREYS[front] + (1 - share) * TERMINAL_GREYS[back]
            for share in GLYPHS[glyph]
        ]
        # of equals the one with the darker back: some consoles have no bright ones
        return (seen[0] - upper) ** 2 + (seen[1] - lower) ** 2, TERMINAL_GREYS[back]

    glyph, front, back = min(
        product(GLYPHS, TERMINAL_GREYS, TERMINAL_GREYS), key=lambda drawn: distance(*drawn)
    )
    return glyph, f"{front} on {back}"


def _mixed(upper: int, lower: int) -> StyledGlyph:
    """Two pixels in a terminal of 16 colours, as if there were 32 greys: few pairs to look up."""
    return _of_four_greys(upper // 8 * 8 + 4, lower // 8 * 8 + 4)


def _way_to_draw(console: Console) -> Callable[[int, int], StyledGlyph]:
    """How the console's colours show two pixels best."""
    if console.color_system is None or console.no_color or not can_write("▀▓", console.encoding):
        return _letter
    return _half_block if console.color_system in ("256", "truecolor") else _mixed


def _lines(image: Tensor, drawn: Callable[[int, int], StyledGlyph]) -> list[Text]:
    """One image, (H, W) uint8, as lines of W characters, two rows of pixels each."""
    if len(image) % 2:
        image = F.pad(image, (0, 0, 0, 1))
    upper, lower = image[0::2].tolist(), image[1::2].tolist()
    lines = []
    for row_above, row_below in zip(upper, lower, strict=True):
        line = Text(no_wrap=True)
        cells = (drawn(a, b) for a, b in zip(row_above, row_below, strict=True))
        for style, alike in groupby(cells, key=itemgetter(1)):  # codes fill a log quickly
            line.append("".join(glyph for glyph, _ in alike), style)
        lines.append(line)
    return lines


def resized(images: Tensor, side: int) -> Tensor:
    """Square images, (N, H, H) uint8, at `side` pixels: each is the mean of what it covers.

    The border of 2 that padding added is cut first, where it is not asked for.
    """
    if images.shape[-1] == 32 and side <= 28:
        images = images[:, 2:-2, 2:-2]
    if images.shape[-1] == side:
        return images
    before, after = torch.arange(images.shape[-1]), torch.arange(side)[:, None]
    scale = images.shape[-1] / side
    first, last = (after * scale).clamp(min=before), ((after + 1) * scale).clamp(max=before + 1)
    covered = (last - first).clamp(min=0) / scale  # (side, H), a row adds up to 1
    return (covered @ images.float() @ covered.T).round().to(torch.uint8)


def columns_and_side(
    count: int,
    full: int,
    console: Console,
    share: float = SHARE_OF_SCREEN,
    wanted: int | None = None,
) -> tuple[int, int]:
    """How many images stand in a row, and at how many pixels a side.

    There are no more rows than at the smallest size; then the images are as large as the width
    allows, and the height of a terminal where there are several rows.

    Args:
        wanted: how many are to stand in a row, where there is room for them.
    """
    smallest = min(full, SMALLEST)
    most = max(1, (console.width + 1) // (smallest + 1))
    rows = -(-count // most)
    columns = -(-count // rows)  # rows of like length
    if wanted and wanted <= most:
        rows, columns = -(-count // wanted), wanted
    side = (console.width + 1) // columns - 1
    if rows > 1 and console.is_terminal:
        lines = int(console.height * share) // rows - 2  # less the caption and a gap
        side = min(side, 2 * lines)
    if side < full:  # even, as a character is two pixels high
        side = max(smallest, min(side, 28) // 2 * 2)
    return columns, min(side, full)


def render_images(
    images: Tensor,
    console: Console,
    captions: Sequence[str] | None = None,
    share: float = SHARE_OF_SCREEN,
    columns: int | None = None,
) -> RenderableType:
    """Images side by side, as large as there is room for, in as few rows as at half their size.

    Args:
        images: (N, 1, H, W) or (N, H, W); floats in [-1, 1] or uint8.
        captions: a short text under each.
        share: of a terminal's lines, for several rows of images.
        columns: how many are to stand in a row, where there is room for them.
    """
    pixels = as_uint8(images)
    drawn = _way_to_draw(console)
    columns, width = columns_and_side(len(pixels), pixels.shape[-1], console, share, columns)
    if width < pixels.shape[-1] == pixels.shape[-2]:
        pixels = resized(pixels, width)
    width = pixels.shape[-1]
    rows: list[RenderableType] = []
    for start in range(0, len(pixels), columns):
        part = [_lines(image, drawn) for image in pixels[start : start + columns]]
        rows += [Text(" ").join(line) for line in zip(*part, strict=True)]
        if captions:
            names = [_centred(name, width) for name in captions[start : start + columns]]
            rows.append(Text(" ".join(names), style="dim"))
        if start + columns < len(pixels):
            rows.append(Text(""))
    return Group(*rows)


def _centred(caption: str, width: int) -> str:
    """A caption in the middle of so many columns: the tilde of μ̃ takes none."""
    shown = set_cell_size(caption, min(cell_len(caption), width))
    return shown.center(width + len(shown) - cell_len(shown))


@dataclass(frozen=True)
class Images:
    """A batch of images, (N, 1, H, W), under a title; drawn each time, as wide as fits."""

    images: Tensor
    title: str
    captions: Sequence[str] | None = None
    columns: int | None = None  # of a grid; None for pictures that may break anywhere

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.title:
            yield Text(self.title, style="bold")
        yield render_images(self.images, console, self.captions, columns=self.columns)
