"""Pictures that a figure has coloured, as `imshow` does without `cmap`: what they stand for."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpm_tutor.pictures.picture_reading import Greys

MAPS = ("viridis", "plasma", "inferno", "magma", "cividis", "hot", "jet", "turbo", "Blues")
SIDE = 2000  # of a picture that is looked at
COLOURED = 24  # by how much red, green and blue of a coloured pixel differ
FEW = 0.02  # of a picture's pixels: with fewer of them it is not coloured
NEAR = 10.0  # distance of a colour from those of its map, in shades
LEVELS = 256
SAMPLE = 2000  # coloured pixels by which the map is found


def unmapped(path: Path) -> tuple[Greys, str] | None:
    """The shades of grey, (H, W), that a coloured picture stands for, and the map of its colours.

    None where it is not coloured, where no map has its colours, or where it cannot be read.
    """
    try:
        with Image.open(path) as picture:
            if picture.mode not in ("RGB", "RGBA", "P") or max(picture.size) > SIDE:
                return None
            if getattr(picture, "n_frames", 1) > 1:
                return None
            colours = np.asarray(picture.convert("RGB"))
    except Exception:  # whoever reads it as greys says what is wrong
        return None
    apart = colours.max(2).astype(int) - colours.min(2)
    coloured = apart > COLOURED
    if float(coloured.mean()) < FEW:
        return None
    some = colours[coloured][:: max(1, int(coloured.sum()) // SAMPLE)]
    name = min(MAPS, key=lambda name: taken_back(some, name)[1].mean())
    if taken_back(some, name)[1].mean() > NEAR:
        return None
    packed = colours.astype(np.int64) >> 1  # half a shade is not seen
    packed = (packed[..., 0] << 14) | (packed[..., 1] << 7) | packed[..., 2]
    codes, places = np.unique(packed, return_inverse=True)
    known = np.stack([codes >> 14, codes >> 7 & 127, codes & 127], 1) * 2 + 0.5
    values, far = taken_back(known, name)
    # what has no colour of the map is paper, words and lines
    greys = np.where(far > 3 * NEAR, known.mean(1), values)
    return greys[places].reshape(packed.shape).astype(np.float32), name


def taken_back(colours: NDArray[Any], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Which values of a map colours (n, 3) have, 0..255; and how far they are from its colours."""
    from matplotlib import colormaps

    table = colormaps[name](np.linspace(0, 1, LEVELS))[:, :3] * 255  # (LEVELS, 3)
    values, far = np.empty(len(colours)), np.empty(len(colours))
    for start in range(0, len(colours), 4096):
        part = slice(start, start + 4096)
        apart = np.sqrt(((colours[part, None] - table) ** 2).sum(2))
        values[part], far[part] = apart.argmin(1) * (255 / (LEVELS - 1)), apart.min(1)
    return values, far
