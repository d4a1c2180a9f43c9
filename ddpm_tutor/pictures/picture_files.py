"""Pictures and films as files, each in the format that the ending of its name says."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ddpm_tutor.errors import UsageError
from ddpm_tutor.files import replacing

Pixels = NDArray[np.uint8]  # (H, W), shades of grey

FRAME_MS = 60
HOLD_MS = 2500  # of a frame that stays
# One palette for all frames of a GIF: without it Pillow gives each frame its own. One of its
# greys is a shade off: Pillow reads a palette of greys alone as none, and imageio then fails.
GREY_PALETTE = bytes(shade for grey in range(256) for shade in (grey, grey, grey + (grey == 1)))


class Format(NamedTuple):
    """What a format is called, and how Pillow shall write it: sharp, where it has the choice."""

    name: str
    options: dict[str, Any]


# By the ending of a file's name; the first one is for a name without.
PICTURES = {
    ".png": Format("PNG", {}),
    ".jpg": Format("JPEG", {"quality": 95}),
    ".jpeg": Format("JPEG", {"quality": 95}),
    ".webp": Format("WEBP", {"lossless": True}),
    ".gif": Format("GIF", {}),
    ".tif": Format("TIFF", {}),
    ".tiff": Format("TIFF", {}),
    ".bmp": Format("BMP", {}),
}
FILMS = {
    ".gif": Format(
        "GIF", {"palette": GREY_PALETTE, "optimize": True}
    ),  # leaves out what stays the same
    ".png": Format("PNG", {}),
    ".apng": Format("PNG", {}),
    ".webp": Format("WEBP", {"lossless": True}),
    ".avif": Format("AVIF", {"quality": 100, "subsampling": "4:0:0", "speed": 10}),
}


def picture_endings() -> list[str]:
    """The endings of the files in which a picture can be saved here."""
    return _known_to_pillow(PICTURES, "SAVE")


def film_endings() -> list[str]:
    """The endings of the files in which a film can be saved here."""
    return _known_to_pillow(FILMS, "SAVE_ALL")


def _known_to_pillow(formats: dict[str, Format], writers: str) -> list[str]:
    """The endings of those `formats` for which this Pillow has a writer."""
    from PIL import Image

    Image.init()  # some builds know no WebP, and older ones no AVIF
    return [ending for ending, how in formats.items() if how.name in getattr(Image, writers)]


def with_ending(path: Path, endings: Sequence[str]) -> Path:
    """`path` if its name has one of the endings; if it has none, `path` with the first of them.

    Raises:
        UsageError: it has another.
    """
    if path.suffix.lower() in endings or (os.path.exists(path) and not path.is_file()):
        return path  # what stands there and is no file, is for `check_target` to refuse
    if not path.suffix:
        return path.with_name(path.name + endings[0])
    *others, last = endings
    choice = f"{', '.join(others)} or {last}" if others else last
    raise UsageError(f"Cannot write {path}: its name must end in {choice}.")


def write_picture(path: Path, pixels: Pixels) -> None:
    """Writes a picture, whole or not at all, as the ending of `path` says: one of `PICTURES`."""
    ending = path.suffix.lower()
    data = _encoded(pixels, extension=ending, **PICTURES[ending].options)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_film(
    path: Path,
    pictures: Iterable[Pixels],
    hold: Sequence[int] = (-1,),
    frame_ms: int = FRAME_MS,
) -> None:
    """Writes a looping film, whole or not at all, as the ending of `path` says: one of `FILMS`.

    The frames numbered in `hold` stay longer.
    """
    data = film_bytes(pictures, path.suffix.lower(), hold, frame_ms)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def film_bytes(
    pictures: Iterable[Pixels],
    ending: str = ".gif",
    hold: Sequence[int] = (-1,),
    frame_ms: int = FRAME_MS,
) -> bytes:
    """What such a file holds."""
    frames = list(pictures)
    durations = [frame_ms] * len(frames)
    for index in hold:
        durations[index] = HOLD_MS
    options = FILMS[ending].options
    return _encoded(frames, extension=ending, save_all=True, duration=durations, loop=0, **options)


def _encoded(pixels: Pixels | list[Pixels], **options: Any) -> bytes:
    import imageio.v3 as iio

    # to memory: after an error of the disk imageio would try once more, and complain on the screen
    data: bytes = iio.imwrite("<bytes>", pixels, plugin="pillow", **options)
    return data
