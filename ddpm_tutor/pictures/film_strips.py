"""A film strip of the training as a PNG and as a GIF."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ddpm_tutor.pictures.grids import enlarged, grid
from ddpm_tutor.pictures.picture_files import Pixels, write_film, write_picture
from ddpm_tutor.storage.film_strip import FilmStrip

MOMENT_MS = 400
LEGEND = 110  # pixels of the column that names the moments
BAND = 36  # pixels of the line that does


def moment_name(epoch: float) -> str:
    """0.25 is "1/4 epoch"."""
    if epoch == 0:
        return "untrained"
    return f"{Fraction(epoch).limit_denominator(100)} epoch{'s' if epoch > 1 else ''}"


def shown_moments(epochs: Sequence[float]) -> list[int]:
    """Which of the moments a picture shows: up to 1, then 1, 2, 5, 10, 20, ... and the last."""

    def round_number(epoch: float) -> bool:
        return epoch <= 1 or str(int(epoch)).rstrip("0") in ("1", "2", "5")

    last = len(epochs) - 1
    return [i for i, epoch in enumerate(epochs) if round_number(epoch) or i == last]


def strip_rows(strip: FilmStrip) -> tuple[list[str], list[Tensor]]:
    """The moments that a picture shows: names, and ten images each."""
    numbers = shown_moments(strip.epochs)
    return (
        [moment_name(strip.epochs[i]) for i in numbers],
        [strip.images[i][:10] for i in numbers],
    )


def save_film_strip(strip: FilmStrip, folder: Path) -> list[Path]:
    """Writes film_strip.png, a row of digits for each moment, and film_strip.gif."""
    png, gif = folder / "film_strip.png", folder / "film_strip.gif"
    write_picture(png, named_rows(*strip_rows(strip)))
    write_film(gif, film_of(strip), frame_ms=MOMENT_MS)
    return [png, gif]


def named_rows(names: Sequence[str], rows: Sequence[Tensor]) -> Pixels:
    """Rows of images, (N, 1, H, W) each, and on the left of each its name."""
    font = ImageFont.load_default(size=16)
    digits = enlarged(grid(torch.cat(list(rows)), columns=len(rows[0])), 2)
    sheet = Image.new("L", (LEGEND + digits.shape[1], digits.shape[0]), 16)
    sheet.paste(Image.fromarray(digits), (LEGEND, 0))
    draw = ImageDraw.Draw(sheet)
    for i, name in enumerate(names):
        middle = (i + 0.5) * digits.shape[0] / len(names)
        draw.text((LEGEND - 10, middle), name, fill=230, font=font, anchor="rm")
    return np.asarray(sheet)


def film_of(strip: FilmStrip) -> list[Pixels]:
    """A frame for each moment of a training."""
    return captioned_moments(strip.images, [moment_name(epoch) for epoch in strip.epochs])


def captioned_moments(moments: Iterable[Tensor], captions: Sequence[str]) -> list[Pixels]:
    """A frame for each moment: ten digits, (N, 1, H, W), in two rows, and its caption below."""
    font = ImageFont.load_default(size=18)
    frames = []
    for images, caption in zip(moments, captions, strict=True):
        digits = enlarged(grid(images[:10], columns=5), 3)
        frame = Image.new("L", (digits.shape[1], digits.shape[0] + BAND), 16)
        frame.paste(Image.fromarray(digits), (0, 0))
        place = (digits.shape[1] / 2, digits.shape[0] + BAND / 2)
        ImageDraw.Draw(frame).text(place, caption, fill=230, font=font, anchor="mm")
        frames.append(np.asarray(frame))
    return frames
