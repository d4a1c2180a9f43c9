"""Digits as pictures: grids of them, and the frames of films of noising and denoising."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ddpm_tutor.classroom.picture_files import Pixels
from ddpm_tutor.classroom.terminal_images import as_uint8
from ddpm_tutor.science.schedule import Schedule

GAP = 2  # pixels of a digit between two digits of a grid
GREY = 40  # of the gaps
SIDE = 256  # of one digit in a film, at least


def grid(images: Tensor, columns: int | None = None) -> Pixels:
    """Images in rows of `columns`, row by row, as one picture; about square by default.

    Args:
        images: (N, 1, H, W); floats in [-1, 1] or uint8.
    """
    pixels = as_uint8(images).numpy()
    n, height, width = pixels.shape
    columns = columns or _balanced(n)
    rows = -(-n // columns)
    sheet = np.full((rows * (height + GAP) - GAP, columns * (width + GAP) - GAP), GREY, np.uint8)
    for i, image in enumerate(pixels):
        top, left = i // columns * (height + GAP), i % columns * (width + GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def _balanced(n: int) -> int:
    """Columns for n images: about square, and if possible with no gap in the last row."""
    square = int(np.ceil(np.sqrt(n)))
    return next((c for c in range(square, 2 * square) if n % c == 0), square)


def enlarged(pixels: Pixels, factor: int) -> Pixels:
    """Each pixel as a sharp square of `factor` pixels a side."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def frame_times(schedule: Schedule, frames: int) -> list[int]:
    """At most `frames` steps t in 0..T to show, rising, 0 and T among them.

    Equal steps in t would spend most frames on what looks like pure noise. The angle whose cosine
    is sqrt(alpha_bar) turns as the picture changes; halfway between the two shows both the digit
    appearing and the estimate of x_0 settling early on.
    """
    angle = schedule.alpha_bar.cpu().clamp(0, 1).sqrt().arccos()
    share = angle / angle[-1] + torch.linspace(0, 1, schedule.T + 1, dtype=angle.dtype)
    wanted = torch.linspace(0, float(share[-1]), frames, dtype=share.dtype)
    times = torch.searchsorted(share.contiguous(), wanted).clamp(max=schedule.T)
    return sorted({int(t) for t in times} | {0, schedule.T})


@dataclass(frozen=True)
class Frame:
    """One moment of a film: x_t beside the model's estimate of x_0."""

    t: int
    x_t: Tensor  # (N, 1, 32, 32)
    x_0: Tensor  # (N, 1, 32, 32)


NAMES = ("x_t", "estimate of x_0")


def film(frames: Sequence[Frame], title: str = "", names: tuple[str, str] = NAMES) -> list[Pixels]:
    """The frames as pictures: x_t left, the estimate of x_0 right, captioned with t.

    Args:
        names: what stands above the two, where they are something else.
    """
    pictures = []
    for frame in frames:
        left, right = grid(frame.x_t), grid(frame.x_0)
        factor = max(
            1, -(-SIDE // left.shape[1]) if len(frame.x_t) == 1 else 2 * SIDE // left.shape[1]
        )
        pair = enlarged(left, factor), enlarged(right, factor)
        pictures.append(_captioned(*pair, names, frame.t, title))
    return pictures


def _captioned(left: Pixels, right: Pixels, names: tuple[str, str], t: int, title: str) -> Pixels:
    """Two pictures side by side on a dark sheet, with their names above and t below."""
    margin, band = 16, 36
    height, width = left.shape
    sheet = Image.new("L", (2 * width + 3 * margin, height + 2 * band), 16)
    sheet.paste(Image.fromarray(left), (margin, band))
    sheet.paste(Image.fromarray(right), (width + 2 * margin, band))
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=18)
    middle_left, middle_right = margin + width / 2, 2 * margin + 1.5 * width
    draw.text((middle_left, band / 2), names[0], fill=230, font=font, anchor="mm")
    draw.text((middle_right, band / 2), names[1], fill=230, font=font, anchor="mm")
    below = height + 1.5 * band
    draw.text((middle_left, below), f"t = {t}", fill=230, font=font, anchor="mm")
    draw.text((middle_right, below), title, fill=150, font=font, anchor="mm")
    return np.asarray(sheet)
