"""Images as pixels, and grids of them."""

import numpy as np
import torch
from torch import Tensor

from ddpm_tutor.pictures.picture_files import Pixels
from ddpm_tutor.science.checks import check_kind, check_whole
from ddpm_tutor.science.pixels import to_uint8

GAP = 2  # pixels of a digit between two digits of a grid
GREY = 40  # of the gaps


def grid(images: Tensor, columns: int | None = None) -> Pixels:
    """Images in rows of `columns`, row by row, as one picture; about square by default.

    Args:
        images: (N, 1, H, W); floats in [-1, 1] or uint8.
        columns: images in a row; None makes it about square.

    Raises:
        TypeError: they are no tensor. ValueError: they are no images, or columns is not 1 or more.

    Example:
        >>> grid(images, columns=2).shape
        (32, 66)
    """
    check_kind(images, Tensor, "images", "a tensor (N, 1, H, W)")
    if images.ndim < 2 or not images.numel():
        raise ValueError(f"images must be (N, 1, H, W), not {tuple(images.shape)}")
    if columns is not None:
        check_whole(columns, "columns")
    pixels = as_uint8(images).numpy()
    n, height, width = pixels.shape
    columns = columns or _balanced(n)
    rows = -(-n // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), GREY, np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def columns_of_whole(n: int, group: int) -> int:
    """Columns for n images of which each `group` that follow one another stay in one row.

    About square, and with no gap in the last row; n is a multiple of `group`.
    """
    able = [c for c in range(group, n + 1, group) if n % c == 0]
    return min(able, key=lambda c: (round(abs(np.log(c * c / n)), 6), -c))


def _balanced(n: int) -> int:
    """Columns for n images: about square, and if possible with no gap in the last row."""
    square = int(np.ceil(np.sqrt(n)))
    return next((c for c in range(square, 2 * square) if n % c == 0), square)


def enlarged(pixels: Pixels, factor: int) -> Pixels:
    """Each pixel as a sharp square of `factor` pixels a side."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def as_uint8(images: Tensor) -> Tensor:
    """Images as (N, H, W) uint8: floats are taken to be in [-1, 1]."""
    images = images.detach().cpu()
    images = images if images.dtype == torch.uint8 else to_uint8(images)
    return images.reshape(-1, *images.shape[-2:])


def is_image(value: Tensor) -> bool:
    """Whether a tensor has the shape of an image or a batch of images, at least 8x8."""
    square = value.ndim >= 2 and value.shape[-1] == value.shape[-2] and value.shape[-1] >= 8
    kind = value.dtype == torch.uint8 or value.is_floating_point()
    return square and kind and (value.ndim == 2 or (value.ndim <= 4 and value.shape[-3] == 1))
