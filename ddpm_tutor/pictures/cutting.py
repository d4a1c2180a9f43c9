"""Sheets of digits, cut into tiles.

A picture holds tiles of 28 or 32 pixels, each perhaps enlarged by a whole factor, with gaps or
without, as torchvision's `make_grid` or `ddpm_tutor.grid` lay them out; or such a sheet made larger
or smaller by any factor; or a figure of matplotlib, whose tiles are on plain paper and of any size.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpm_tutor.pictures.picture_reading import Greys

SIDES = (28, 32)  # of a tile
GAPS = (2, 0, 1, 3, 4, 5, 6, 8)  # between tiles, in pixels of a digit; the usual first
MAX_FACTOR = 24  # of an enlargement
SAME = 3.0  # shades by which pixels that are the same may differ, as after a JPEG
MIN_EQUAL = 5  # rows in which a picture on paper is as wide as it is
MAX_LINE = 3  # pixels of the line around it
MAX_IN_A_ROW = 16  # tiles of a sheet of another size than theirs
SMALLEST = 0.75  # how many pixels of such a sheet there are for one of a digit, at the least
HEIGHT, MAX_OFFSET = 20, 2.5  # of MNIST's digits, and from the middle of their tiles, in pixels
MAX_TRIED = 1200  # pixels a side of a sheet of which many layouts are tried
CLEAR = 0.15  # how much the edges of tiles may hold, of what their pixels differ by
Tiles = NDArray[Any]  # (n, side, side), 0..255


class Layout(NamedTuple):
    """How a sheet is laid out, in pixels of a digit."""

    side: int  # of a tile
    gap: int  # between two tiles
    border: int  # around them all

    def count(self, length: int) -> int:
        """How many tiles fit such a length, or 0 where it does not come out even."""
        room = length - 2 * self.border + self.gap
        count, rest = divmod(room, self.side + self.gap)
        return 0 if rest else max(0, count)

    def starts(self, length: int) -> list[int]:
        """Where the tiles begin."""
        return [self.border + i * (self.side + self.gap) for i in range(self.count(length))]

    def size(self, count: int) -> int:
        """How long so many tiles are."""
        return 2 * self.border + count * (self.side + self.gap) - self.gap


def tiles_in(picture: Greys) -> tuple[Tiles, str, bool] | None:
    """The tiles of a picture (H, W); None where there are none.

    Tiles are 28x28 or 32x32, whatever their size in the picture. Behind them stand how they were
    found, in words, and whether the picture is a figure.
    """
    small, factor = unenlarged(picture)
    layout = layout_of(small)
    boxes = [] if factor > 1 or (layout and layout.gap) else on_paper(picture)
    if found := of_figure(picture, boxes):
        return *found, True
    if layout and (factor > 1 or layout.gap or not is_resized(small, layout)):
        return *whole_tiles(small, layout, factor), False
    if found := resized_sheet(picture):
        return *found, False
    height, width = picture.shape
    alone = 0.8 < height / width < 1.25 and min(height, width) >= min(SIDES)
    said = f"one picture of {width}x{height}, made 28x28"
    return (fitted(picture)[None], said, False) if alone else None


def of_figure(picture: Greys, boxes: list[tuple[slice, slice]]) -> tuple[Tiles, str] | None:
    """The tiles of a figure whose pictures, or whose one sheet, lie in these boxes."""
    if len(boxes) > 1:
        tiles = np.stack([fitted(inside_frame(picture[box])) for box in boxes])
        return tiles, f"{len(boxes)} pictures on plain paper, made 28x28"
    for box in boxes:
        inner = inside_frame(picture[box])
        if sheet := resized_sheet(inner):
            return sheet
        if is_square(box):
            return fitted(inner)[None], "one picture on plain paper, made 28x28"
    return None


def whole_tiles(picture: Greys, layout: Layout, factor: int) -> tuple[Tiles, str]:
    """The tiles of a sheet that fits its size to the pixel."""
    tiles = np.stack(list(tiles_of(picture, layout)))
    of = f"of {layout.side}x{layout.side} pixels"
    said = f"one digit {of}"
    if len(tiles) > 1:
        said = f"{layout.count(picture.shape[1])} x {layout.count(picture.shape[0])} tiles {of}"
        said += f", gaps of {layout.gap}" if layout.gap else ""
    return tiles, said + (f", enlarged {factor} times" if factor > 1 else "")


def resized_sheet(picture: Greys) -> tuple[Tiles, str] | None:
    """The tiles of a sheet that was made larger or smaller, by any factor; None where it is none.

    Of the layouts that fit the sheet's proportions it is the one of most tiles, of those whose
    edges, or the gaps between which, are all but empty.
    """
    found = []
    if float(picture.std()) < SAME:
        return None
    picture = no_larger(picture)
    for layout, columns, rows in proportioned(picture.shape):
        size = (layout.size(columns), layout.size(rows))
        scaled = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
        tiles = np.stack(list(tiles_of(scaled, layout)))
        share = edge_share(scaled, tiles, layout)
        if share < CLEAR:
            found.append((columns * rows, share, layout, tiles))
    if not found:
        return None
    least = min(share for _, share, *_ in found)
    clear = [each for each in found if each[1] <= max(1.5 * least, CLEAR / 3)]
    most = max(count for count, *_ in clear)
    # 28 and 32 pixels are told by the digits: MNIST's are 20 pixels high
    _, _, layout, tiles = min(
        (each for each in clear if each[0] == most),
        key=lambda each: (abs(height_and_offset(each[3])[0] - HEIGHT) > 1.5, each[1]),
    )
    if height_and_offset(tiles)[1] > MAX_OFFSET:
        return None
    said = f"{len(tiles)} tiles, made {layout.side}x{layout.side}"
    return tiles, said + (f", gaps of {layout.gap}" if layout.gap else "")


def no_larger(picture: Greys) -> Greys:
    """A picture, made smaller where it is larger than it need be: many sizes of it are tried."""
    scale = MAX_TRIED / max(picture.shape)
    if scale >= 1:
        return picture
    height, width = (round(side * scale) for side in picture.shape)
    small = Image.fromarray(picture).resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def height_and_offset(tiles: Tiles) -> tuple[float, float]:
    """How high the digits of tiles are, and how far from their tile's middle; the usual one."""
    found = []
    for tile in tiles:
        edges = np.concatenate([tile[0], tile[-1], tile[:, 0], tile[:, -1]])
        ink = np.abs(tile - np.median(edges))
        rows, columns = np.nonzero(ink > ink.max() / 2)
        middle = (len(tile) - 1) / 2
        offset = np.hypot(rows.mean() - middle, columns.mean() - middle) if len(rows) else 0.0
        found.append((float(np.ptp(rows)) + 1 if len(rows) else 0.0, float(offset)))
    heights, offsets = zip(*found, strict=True)
    return float(np.median(heights)), float(np.median(offsets))


def proportioned(shape: tuple[int, ...]) -> Iterator[tuple[Layout, int, int]]:
    """The layouts of more than one tile that have a picture's proportions: columns and rows."""
    height, width = shape
    for gap in GAPS:
        for side in SIDES:
            for border in dict.fromkeys((gap, 0)):
                layout = Layout(side, gap, border)
                for columns in range(1, MAX_IN_A_ROW + 1):
                    unit = width / layout.size(columns)
                    rows = round((height / unit - 2 * border + gap) / (side + gap))
                    if unit < SMALLEST or rows < 1 or columns * rows < 2:
                        continue
                    if abs(layout.size(rows) * unit / height - 1) < 0.01:
                        yield layout, columns, rows


def edge_share(picture: Greys, tiles: Tiles, layout: Layout) -> float:
    """How much tiles' edges differ from one shade, or gaps do, of how much their pixels do."""
    spread = float(tiles.std()) + 1e-6
    edges = unsteadiness(picture, layout)
    if layout.gap:
        gaps = between(picture, layout)
        edges = min(edges, float(np.abs(gaps - np.median(gaps)).mean()))
    return edges / spread


def is_resized(picture: Greys, layout: Layout) -> bool:
    """Whether a picture fits a layout without gaps by chance: tiles cut what it shows.

    So it is where its own edges are empty, as around digits, and those of the tiles are not.
    """
    if edge_share(picture, np.stack(list(tiles_of(picture, layout))), layout) < 2 * CLEAR:
        return False
    one = fitted(picture)
    edges = np.concatenate([one[0], one[-1], one[:, 0], one[:, -1]])
    return float(np.abs(edges - np.median(edges)).mean()) < CLEAR * float(one.std())


def unenlarged(picture: Greys) -> tuple[Greys, int]:
    """The picture with each block of equal pixels as one, and how large the blocks are.

    The largest whole factor by which all of it is enlarged; 1 where it is not.
    """
    height, width = picture.shape
    for factor in range(MAX_FACTOR, 1, -1):
        if height % factor or width % factor or min(height, width) < factor * min(SIDES):
            continue
        blocks = picture.reshape(height // factor, factor, width // factor, factor)
        means = blocks.mean((1, 3))
        apart = np.abs(blocks - means[:, None, :, None])
        steady = float(apart.mean()) < SAME / 3 and float(np.quantile(apart, 0.999)) < 8 * SAME
        if steady and means.std() > 0:
            return means.astype(np.float32), factor
    return picture, 1


def layout_of(picture: Greys) -> Layout | None:
    """How a sheet is laid out; None where no layout of digits fits its size.

    Of several that fit, one whose gaps are of one shade is it. Without gaps, the one whose tiles'
    edges hold least.
    """
    height, width = picture.shape
    fits = [
        layout
        for gap in GAPS
        for side in SIDES
        for border in dict.fromkeys((gap, 0))
        if (layout := Layout(side, gap, border)).count(height) and layout.count(width)
    ]
    plain = [layout for layout in fits if layout.gap and gaps_are_plain(picture, layout)]
    with_gaps = [x for x in plain if x.count(height) * x.count(width) > 1 or x.border]
    bare = [layout for layout in fits if not layout.gap]
    if with_gaps and not (height in SIDES and width in SIDES):
        return min(with_gaps, key=lambda layout: unsteadiness(picture, layout))
    return min(bare, key=lambda layout: unsteadiness(picture, layout), default=None)


def gaps_are_plain(picture: Greys, layout: Layout) -> bool:
    """Whether all that lies between the tiles is of one shade."""
    values = between(picture, layout)
    return values.size > 0 and mostly_one_shade(values)


def between(picture: Greys, layout: Layout) -> Greys:
    """The pixels of no tile, (n,)."""
    outside = np.ones(picture.shape, bool)
    for top in layout.starts(picture.shape[0]):
        for left in layout.starts(picture.shape[1]):
            outside[top : top + layout.side, left : left + layout.side] = False
    values: Greys = picture[outside]
    return values


def mostly_one_shade(values: Greys, most: float = 0.95) -> bool:
    """Whether all but a twentieth of the pixels have one shade: a JPEG smears the edges."""
    return float(np.quantile(np.abs(values - np.median(values)), most)) <= 2 * SAME


def unsteadiness(picture: Greys, layout: Layout) -> float:
    """How much the outermost pixels of the tiles differ from their usual shade: digits do not
    reach there, and where a cut goes through digits it is large."""
    tiles = np.stack(list(tiles_of(picture, layout)))
    edges = np.concatenate([tiles[:, 0], tiles[:, -1], tiles[:, :, 0], tiles[:, :, -1]], 1)
    return float(np.abs(edges - np.median(edges)).mean())


def tiles_of(picture: Greys, layout: Layout) -> Iterator[Greys]:
    """The tiles, row by row; those at the end that are of one shade, and hold nothing, are left."""
    found = [
        picture[top : top + layout.side, left : left + layout.side]
        for top in layout.starts(picture.shape[0])
        for left in layout.starts(picture.shape[1])
    ]
    while len(found) > 1 and float(found[-1].max() - found[-1].min()) <= SAME:
        found.pop()
    yield from found


def on_paper(picture: Greys) -> list[tuple[slice, slice]]:
    """Where pictures lie on paper of one shade that is not black, as in a figure of matplotlib.

    All of one size and about square, or one, a sheet; titles and the numbers of axes are not.
    """
    edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    paper = float(np.median(edges))
    if paper < 40 or not mostly_one_shade(edges):
        return []
    differs = np.abs(picture - paper) > SAME
    return by_their_edges(differs) or by_what_is_between(differs)


def by_their_edges(differs: NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """Pictures by the stretches of rows and columns that are no paper, of which many are equal.

    So words, numbers and ticks between them do not matter; where much in them is as white as the
    paper, there are no such stretches.
    """
    columns, rows = recurring(differs), recurring(differs.T)
    boxes = [(row, column) for row in rows for column in columns]
    boxes = [box for box in boxes if float(differs[box].mean()) > 0.4]
    return boxes if len(boxes) == 1 else [box for box in boxes if is_square(box)]


def recurring(differs: NDArray[np.bool_]) -> list[slice]:
    """The stretches that stand in many rows at the same place, from left to right."""
    counts = Counter(
        (run.start, run.stop) for row in differs for run in runs(row, least=min(SIDES))
    )
    if not counts:
        return []
    often = [slice(*ends) for ends, times in counts.most_common() if times >= MIN_EQUAL]
    kept: list[slice] = []
    for run in often:
        alike = abs(length(run) - length(often[0])) <= max(2, 0.04 * length(often[0]))
        if alike and all(run.start >= k.stop or run.stop <= k.start for k in kept):
            kept.append(run)
    return sorted(kept, key=lambda run: run.start)


def by_what_is_between(differs: NDArray[np.bool_]) -> list[tuple[slice, slice]]:
    """Pictures by the rows and columns of paper between them."""
    boxes = [
        (slice(rows.start + part.start, rows.start + part.stop), columns)
        for rows in runs(np.any(differs, 1))
        for columns in runs(np.any(differs[rows], 0))
        for part in runs(np.any(differs[rows, columns], 1))  # a title may stand above one of them
    ]
    square = [box for box in boxes if is_square(box)]
    largest = max((length(rows) for rows, _ in square), default=0)
    kept = [box for box in square if length(box[0]) >= min(0.96 * largest, largest - 2)]
    # strokes on paper of their own shade are of all sizes
    return kept if largest >= min(SIDES) and len(kept) > len(boxes) / 4 else []


def is_square(box: tuple[slice, slice]) -> bool:
    """Whether a box is as high as it is wide, or nearly."""
    return 0.9 < length(box[0]) / length(box[1]) < 1.1


def length(run: slice) -> int:
    return int(run.stop - run.start)


def inside_frame(picture: Greys) -> Greys:
    """A picture without the line that a figure draws around it, and what is smeared of it."""
    for _ in range(4):  # the top, then each side as it comes to be the top
        for _ in range(MAX_LINE):
            first, second = picture[0], picture[1]
            change = abs(float(np.median(first) - np.median(second)))
            if not mostly_one_shade(first, 0.75) or change <= SAME:  # numbers may reach into it
                break
            picture = picture[1:]
        picture = np.rot90(picture)
    return np.ascontiguousarray(picture)


def runs(there: Any, least: int = 1) -> list[slice]:
    """The stretches of a row in which something is, (n,) booleans, of at least that length."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    starts, stops = edges[::2], edges[1::2]
    kept = stops - starts >= least
    return [slice(int(a), int(b)) for a, b in zip(starts[kept], stops[kept], strict=True)]


def fitted(picture: Greys) -> Greys:
    """A picture of any size as 28x28."""
    image = Image.fromarray(picture).resize((28, 28), Image.Resampling.BOX)
    return np.asarray(image, np.float32)
