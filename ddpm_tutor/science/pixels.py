"""Pixels: from whole numbers 0..255 to the [-1, 1] of the paper, and back (Section 3.3)."""

import torch
import torch.nn.functional as F
from torch import Tensor

PADDING = 2  # pixels on each side


def pad_to_32(images: Tensor) -> Tensor:
    """(N, 28, 28) uint8 to (N, 1, 32, 32), with the background value 0 around."""
    return F.pad(images[:, None], (PADDING,) * 4)


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 intensities 0..255 to floats in [-1, 1] (paper, Section 3.3)."""
    return images.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Floats in [-1, 1], and beyond, to uint8 intensities 0..255."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def halved(images: Tensor) -> Tensor:
    """(N, 1, H, W) uint8 at half the size: the mean of each 2x2 pixels, (N, 1, H / 2, W / 2)."""
    return F.avg_pool2d(images.float(), 2).round().to(torch.uint8)


def doubled(images: Tensor) -> Tensor:
    """(N, 1, H, W) uint8 at twice the size, smooth: for what reads pictures of 32x32."""
    large = F.interpolate(images.float(), scale_factor=2, mode="bicubic")
    return large.clamp(0, 255).round().to(torch.uint8)
