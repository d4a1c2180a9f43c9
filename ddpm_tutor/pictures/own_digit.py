"""A digit of somebody's own, drawn or photographed, made like MNIST's.

MNIST's digits are white on black, scaled into 20x20 with their proportions kept, and lie in 28x28
with their centre of mass in the middle (LeCun et al. 1998). The paper's networks get them in 32x32.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddpm_tutor.errors import TutorError
from ddpm_tutor.pictures.picture_reading import Greys, read_picture
from ddpm_tutor.science.pixels import pad_to_32

BOX, FIELD = 20, 28  # pixels a side: of the strokes, and of the picture they are centred in
MIDDLE = 14  # the row and the column, from 0, of the centre of mass: in MNIST 13.99 and 14.01
WORK = 256  # pixels a side, at most, on which strokes are looked for
STROKES = 160  # the same of the strokes, when they have been cut out
MIN_CONTRAST = 12.0  # shades of grey between strokes and paper
NOISE = 3.5  # times the spread of the paper's grain: what is above it is no grain
SPECK = 0.03  # of the largest piece: a smaller one is dirt
# twice the area by the outline of strokes in 20x20: MNIST's thinnest, and about its mean
MIN_WIDTH, WIDTH = 1.1, 1.6
SHADOW = 0.4  # of its box: what comes in from the edge and fills more of it is no stroke
GAP = 0.04  # of the strokes' height: columns without ink between what may be two digits
MARGIN = 0.3  # of the strokes' size, left around when they are cut out


@dataclass(frozen=True)
class OwnDigit:
    """A picture, and what has become of it."""

    before: Tensor  # (1, 1, 32, 32) uint8: the whole picture, small
    image: Tensor  # (1, 1, 32, 32) uint8, like MNIST's
    done: str  # what was done, in words
    doubt: str = ""  # what may be wrong with the picture, in words


class Strokes(NamedTuple):
    """What is drawn on the paper."""

    ink: Greys  # (H, W) how much each pixel differs from the paper, in shades of grey; not negative
    dark: bool  # on light paper
    uneven: bool  # the light on the paper was
    grain: float  # how much bare paper differs from itself


class Box(NamedTuple):
    """A part of a picture: rows top to bottom - 1, columns left to right - 1."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def width(self) -> int:
        return self.right - self.left


def read_own_digit(path: Path) -> OwnDigit:
    """The digit in a picture file, made like MNIST's.

    Raises:
        TutorError: the file cannot be read, or nothing is drawn in it.
    """
    picture = read_picture(path)
    try:
        return like_mnist(picture)
    except NothingDrawn as error:
        raise TutorError(f"{path} {error}") from None


class NothingDrawn(TutorError):
    """No strokes are to be seen in a picture."""


def like_mnist(picture: Greys) -> OwnDigit:
    """A picture, (H, W) in shades of grey, made like MNIST's digits.

    Raises:
        NothingDrawn: no strokes are to be seen.
    """
    part, strokes, piece = found_strokes(picture)
    cleaned = without_paper(strokes, piece)
    box = box_of(cleaned > 0)
    cut = cleaned[box.top : box.bottom, box.left : box.right]
    wider, thickened = thick_enough(reduced(cut, STROKES))
    small = scaled(wider)
    size = [round(side * part.scale) for side in (box.width, box.height)]
    done = [
        "dark strokes on light: inverted" if strokes.dark else "light strokes on dark: kept so",
        *(["uneven light: evened out"] if strokes.uneven else []),
        f"cropped from {picture.shape[1]}x{picture.shape[0]} to the strokes, {size[0]}x{size[1]}",
        *(["thin strokes: thickened"] if thickened else []),
        f"scaled into {BOX}x{BOX}, centred by its mass in {FIELD}x{FIELD}, padded to 32x32",
    ]
    image = pad_to_32(torch.from_numpy(centred(small))[None])
    return OwnDigit(thumbnail(picture), image, "; ".join(done), doubt_about(cut))


def doubt_about(ink: Greys) -> str:
    """What to say of strokes that stand side by side, each nearly as tall as all: two digits?"""
    height = len(ink)
    empty = ~(ink > 0).any(0)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], empty, [False]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        sides = ink[:, :start], ink[:, end:]
        if end - start >= GAP * height and all(box_of(s > 0).height > 0.6 * height for s in sides):
            return "This looks like more than one digit. Cut out one of them."
    return ""


class Part(NamedTuple):
    """A part of a picture at a size that is quick to work on."""

    pixels: Greys
    scale: float  # pixels of the picture to one of these


def found_strokes(picture: Greys) -> tuple[Part, Strokes, NDArray[np.bool_]]:
    """The strokes in a picture, and which pixels are theirs; nearer where they fill little of it.

    Raises:
        NothingDrawn: no strokes are to be seen.
    """
    while True:
        part = Part(small := reduced(picture, WORK), max(picture.shape) / max(small.shape))
        strokes = strokes_on(part.pixels)
        piece = pieces_of(strokes)
        box = box_of(piece)
        filled = max(box.height, box.width) / max(part.pixels.shape)
        if part.scale <= 1 or filled > 0.5:
            return part, strokes, piece
        around = int(MARGIN * max(box.height, box.width)) + 2
        top, bottom, left, right = (round(edge * part.scale) for edge in box)
        gap = round(around * part.scale)
        picture = picture[max(0, top - gap) : bottom + gap, max(0, left - gap) : right + gap]


def reduced(pixels: Greys, side: int) -> Greys:
    """The pixels with no side longer than `side`: each the mean of what it covers."""
    height, width = pixels.shape
    share = side / max(height, width)
    if share >= 1:
        return pixels
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))


def strokes_on(pixels: Greys) -> Strokes:
    """What differs from the paper, which may be lit unevenly.

    Raises:
        NothingDrawn: nothing does, or nothing but its grain.
    """
    paper = paper_of(pixels)
    differs = pixels - paper
    dark = float((differs**3).sum()) < 0  # few pixels, far off on one side
    ink = np.maximum(-differs if dark else differs, 0)
    grain = grain_of(differs)
    top = top_of(ink)
    if float(pixels.max() - pixels.min()) < MIN_CONTRAST:
        raise NothingDrawn("is of one colour all over: there is nothing drawn in it.")
    if top < max(MIN_CONTRAST, 2 * NOISE * grain):
        raise NothingDrawn(
            "shows no strokes that stand out. Draw with a thick pen, on plain paper."
        )
    uneven = float(paper.max() - paper.min()) > MIN_CONTRAST
    return Strokes(ink, dark, uneven, grain)


def top_of(ink: Greys) -> float:
    """How strong the ink is: what a thousandth of the pixels have or exceed, but at least five."""
    count = min(ink.size, max(5, ink.size // 1000))
    return float(np.partition(ink.ravel(), -count)[-count])


def paper_of(pixels: Greys) -> Greys:
    """The shade of the bare paper everywhere: the smooth surface that most pixels are near.

    A polynomial of degree 2 in the place, fitted so that the sum of the absolute differences is
    least: strokes, which are fewer than half of the pixels, do not bend it.
    """
    height, width = pixels.shape
    if min(height, width) < 8:
        return np.full_like(pixels, np.median(pixels))
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], -1)
    some = slice(None, None, -(-max(pixels.shape) // 64))  # enough for six numbers
    surface, values = terms[some, some].reshape(-1, 6), pixels[some, some].ravel()
    weights = np.ones_like(values)
    solution = np.zeros(6, np.float32)
    for _ in range(25):  # least squares, each time with less weight where it is far off
        weighted = surface * weights[:, None]
        solution = np.linalg.lstsq(weighted.T @ surface, weighted.T @ values, rcond=None)[0]
        weights = 1 / np.maximum(np.abs(values - surface @ solution), 1)
    flat = np.float32(np.median(values))
    fitted = (terms @ solution).astype(np.float32)
    flatly = np.full_like(pixels, flat)
    return fitted if grain_of(pixels - fitted) < 0.7 * grain_of(pixels - flatly) else flatly


def grain_of(differs: Greys) -> float:
    """The standard deviation of what is normal among the differences, and not a stroke."""
    return float(np.percentile(np.abs(differs), 30)) * 2.6  # three in ten are nearer than 0.385


def pieces_of(strokes: Strokes) -> NDArray[np.bool_]:
    """Which pixels are strokes: without dirt, and without what comes in from the edge.

    Raises:
        NothingDrawn: none are.
    """
    mask = strokes.ink > max(0.35 * top_of(strokes.ink), NOISE * strokes.grain)
    labels = connected(mask)
    names, sizes = np.unique(labels[mask], return_counts=True)
    if not len(names):
        raise NothingDrawn(
            "shows no strokes that stand out. Draw with a thick pen, on plain paper."
        )
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    inside = ~np.isin(names, edge)
    # a shadow, or the end of the sheet; a digit that is cut close is the largest, and stays
    keep = sizes > 0
    if inside.any():
        inner = names[inside][sizes[inside].argmax()]
        shadow = is_solid(labels == names[sizes.argmax()]) and is_long(labels == inner)
        if shadow or sizes[inside].max() >= 0.2 * sizes.max():
            keep = inside
    keep = keep & (sizes >= SPECK * sizes[keep].max())
    return np.isin(labels, names[keep]) & mask


def is_solid(piece: NDArray[np.bool_]) -> bool:
    """Whether a piece is large and fills its box, as a shadow does and a digit does not."""
    box = box_of(piece)
    area = int(piece.sum())
    return area > 0.1 * piece.size and area > SHADOW * box.height * box.width


def is_long(piece: NDArray[np.bool_]) -> bool:
    """Whether a piece reaches over a good part of the picture, as dirt does not."""
    box = box_of(piece)
    return bool(max(box.height, box.width) > 0.2 * max(piece.shape))


def connected(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """A number for each pixel of the mask: the same for those that hang together, corners too."""
    width, none = mask.shape[1] + 2, mask.size * 9  # larger than any number
    there = np.flatnonzero(np.pad(mask, 1))
    labels = np.full((mask.shape[0] + 2) * width, none)
    labels[there] = there  # each pixel has its own number, ...
    around = np.array([up + aside for up in (-width, 0, width) for aside in (-1, 0, 1)])
    while True:
        old = labels[there]
        least = labels[there[:, None] + around].min(1)  # ... then the least of its neighbours', ...
        np.minimum.at(labels, old, least)  # ... which all hear of that had the same as it
        labels[there] = labels[np.minimum(least, labels[there])]
        if np.array_equal(labels[there], old):
            return labels.reshape(-1, width)[1:-1, 1:-1]


def box_of(mask: NDArray[np.bool_]) -> Box:
    """The smallest part that holds all of the mask, which is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return Box(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def without_paper(strokes: Strokes, piece: NDArray[np.bool_]) -> Greys:
    """How much ink each pixel has, in 0..1: 1 on a stroke, 0 on paper, between them at its edge."""
    near = F.max_pool2d(torch.from_numpy(piece).float()[None, None], 3, stride=1, padding=1)
    top = top_of(strokes.ink[piece])
    low = max(0.04 * top, NOISE * strokes.grain)
    share = np.clip((strokes.ink - low) / max(0.9 * top - low, 1e-6), 0, 1)
    cleaned: Greys = (share * near[0, 0].numpy()).astype(np.float32)
    return cleaned


def thick_enough(ink: Greys) -> tuple[Greys, bool]:
    """The strokes, as wide as MNIST's at least, and whether they had to be made so.

    Scaled to 20 pixels, the line of a ball pen would be a grey shadow.
    """
    mask = torch.from_numpy(ink > 0.5)[None, None]
    inner = -F.max_pool2d(-F.pad(mask.float(), (1, 1, 1, 1)), 3, stride=1)  # less its outline
    area, outline = float(mask.sum()), float(mask.sum() - inner.sum())
    unit = max(ink.shape) / BOX  # pixels here to one of 20x20
    width = 2 * area / max(outline, 1) / unit
    missing = round((WIDTH - width) * unit / 2)
    if width >= MIN_WIDTH or missing < 1 or area == 0:
        return ink, False
    wide = F.pad(torch.tensor(ink)[None, None], (missing,) * 4)
    for i in range(missing):  # a cross and a square in turn: together nearly round
        across = F.max_pool2d(wide, (1, 3), stride=1, padding=(0, 1))
        down = F.max_pool2d(wide, (3, 1), stride=1, padding=(1, 0))
        both = F.max_pool2d(wide, 3, stride=1, padding=1)
        wide = both if i % 2 else torch.maximum(across, down)
    return wide[0, 0].numpy(), True


def scaled(ink: Greys) -> NDArray[np.uint8]:
    """The strokes at 20 pixels on their longer side, the brightest white."""
    height, width = ink.shape
    share = BOX / max(height, width)
    size = max(1, round(width * share)), max(1, round(height * share))
    kind = Image.Resampling.BOX if share < 1 else Image.Resampling.BILINEAR
    small = np.asarray(Image.fromarray(ink).resize(size, kind))
    return np.asarray((small * (255 / max(float(small.max()), 1e-6))).round(), np.uint8)


def centred(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Strokes of at most 20x20 in 28x28, with their centre of mass in the middle.

    Moved by whole pixels, and never over the edge.
    """
    field = np.zeros((FIELD, FIELD), np.uint8)
    places = []
    for axis, size in enumerate(small.shape):
        mass = small.sum(1 - axis, dtype=np.float64)
        centre = float(mass @ np.arange(size) / mass.sum())
        places.append(min(max(round(MIDDLE - centre), 0), FIELD - size))
    top, left = places
    field[top : top + small.shape[0], left : left + small.shape[1]] = small
    return field


def thumbnail(picture: Greys) -> Tensor:
    """The whole picture in 32x32, (1, 1, 32, 32) uint8, with its own paper around."""
    small = reduced(picture, 32)
    height, width = small.shape
    field = np.full((32, 32), np.median(picture), np.float32)
    top, left = (32 - height) // 2, (32 - width) // 2
    field[top : top + height, left : left + width] = small
    return torch.from_numpy(np.clip(field.round(), 0, 255).astype(np.uint8))[None, None]
