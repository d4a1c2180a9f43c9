"""Pixels: from whole numbers 0..255 to the [-1, 1] of the paper, and back (Section 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_tutor.science.checks import check_alike, check_pixels, check_uint8

PADDING = 2  # pixels on each side


def pad_to_32(images: Tensor) -> Tensor:
    """(N, 28, 28) uint8 to (N, 1, 32, 32), with the background value 0 around.

    Args:
        images: (N, 28, 28) uint8.

    Raises:
        TypeError: something is no tensor. ValueError: it holds no pixels 0..255, or has another
            shape.

    Example:
        >>> pad_to_32(images[:, 0, 2:30, 2:30]).equal(images)
        True
    """
    check_uint8(images)
    if images.ndim != 3 or images.shape[1:] != (28, 28):
        raise ValueError(f"images must be (N, 28, 28), not {tuple(images.shape)}")
    return F.pad(images[:, None], (PADDING,) * 4)


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 intensities 0..255 to floats in [-1, 1] (paper, Section 3.3).

    Args:
        images: uint8, of any shape.

    Raises:
        TypeError: something is no tensor. ValueError: it holds no pixels 0..255, or has another
            shape.

    Example:
        >>> to_unit_range(torch.tensor([0, 255], dtype=torch.uint8))
        tensor([-1.,  1.])
    """
    check_uint8(images)
    return images.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Floats in [-1, 1], and beyond, to uint8 intensities 0..255.

    Args:
        x: floats, of any shape.

    Raises:
        TypeError: something is no tensor. ValueError: they are no floats.

    Example:
        >>> to_uint8(torch.tensor([-1.0, 0.0, 1.0])).tolist()
        [0, 128, 255]
    """
    check_alike(x=x)
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def halved(images: Tensor) -> Tensor:
    """(N, 1, H, W) uint8 at half the size: the mean of each 2x2 pixels, (N, 1, H / 2, W / 2).

    Args:
        images: (N, 1, H, W) uint8, H and W even.

    Raises:
        TypeError: something is no tensor. ValueError: it holds no pixels 0..255, or has another
            shape.

    Example:
        >>> halved(images).shape
        torch.Size([2, 1, 16, 16])
    """
    check_pixels(images, digits=False)
    if images.shape[2] % 2 or images.shape[3] % 2:
        raise ValueError(f"images must have even sides to be halved, not {tuple(images.shape)}")
    return F.avg_pool2d(images.float(), 2).round().to(torch.uint8)


def doubled(images: Tensor) -> Tensor:
    """(N, 1, H, W) uint8 at twice the size, smooth: for what reads pictures of 32x32.

    Args:
        images: (N, 1, H, W) uint8.

    Raises:
        TypeError: something is no tensor. ValueError: it holds no pixels 0..255, or has another
            shape.

    Example:
        >>> doubled(images).shape
        torch.Size([2, 1, 64, 64])
    """
    check_pixels(images, digits=False)
    large = F.interpolate(images.float(), scale_factor=2, mode="bicubic")
    return large.clamp(0, 255).round().to(torch.uint8)
