"""Pictures within a page: sharp, in the page's own text, and said in words."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image
from torch import Tensor

from ddpm_tutor.pictures.grids import as_uint8, grid
from ddpm_tutor.pictures.picture_files import Pixels

# how alike neighbouring pixels are, from noise (0) to strokes (1), and how that looks
LOOKS = (
    (0.1, "noise"),
    (0.3, "noise, with a trace of a shape"),
    (0.6, "a shape under noise"),
    (0.76, "a shape, a little noisy"),
    (1.01, "bright strokes on a dark ground"),
)
BLURRED = 90  # of 255: a picture that nowhere gets brighter has no clear strokes
FLAT = 4.0  # of 255: a smaller std is no picture


def data_uri(pixels: Pixels) -> str:
    """A picture, (H, W) in shades of grey, as the address of an image that is all in it."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return png_uri(buffer.getvalue())


def png_uri(png: bytes) -> str:
    """The same for a PNG."""
    return "data:image/png;base64," + base64.b64encode(png).decode()


def png_size(png: bytes) -> tuple[int, int]:
    """Its width and height."""
    with Image.open(io.BytesIO(png)) as image:
        return image.size


def sprite(moments: Tensor, columns: int | None = None) -> tuple[Pixels, int, int]:
    """The moments of a film, (F, N, 1, H, W), below each other in one picture.

    Returns:
        the picture; the width and the height of one moment in it.
    """
    frames = [grid(images, columns) for images in moments]
    height, width = frames[0].shape
    return np.concatenate(frames), width, height


def in_words(image: Pixels) -> str:
    """What is to be seen in a picture, for readers who cannot see it: measured, not guessed."""
    values = image.astype(np.float64)
    if values.std() < FLAT:
        shade = "black" if values.mean() < 40 else "white" if values.mean() > 215 else "grey"
        return f"evenly {shade}"
    pairs = ((values[:, :-1], values[:, 1:]), (values[:-1], values[1:]))
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = float(np.mean([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs]))
    look = next(words for limit, words in LOOKS if not alike >= limit)
    if look == LOOKS[-1][1] and np.quantile(values, 0.98) < 2 * BLURRED:
        return "a blur"
    if look == LOOKS[-1][1] and np.median(values) > 128:
        return "dark strokes on a bright ground"
    return look


def many_in_words(images: Tensor) -> str:
    """The same of several pictures at once."""
    seen: Sequence[str] = [in_words(image) for image in as_uint8(images).numpy()]
    kinds = dict.fromkeys(seen)
    if len(kinds) == 1:
        return seen[0]
    return "; ".join(f"{seen.count(kind)} of {len(seen)}: {kind}" for kind in kinds)
