"""A picture file of somebody's own, as shades of grey: whatever made it, whatever is wrong."""

import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ddpm_tutor.errors import TutorError

Greys = NDArray[np.float32]  # (H, W), 0 is black and 255 white
MAX_PIXELS = 120_000_000  # of a picture; to hold one takes up to eight bytes each
# phones add pictures to a photo that belong to it, such as its depth; the first is the photo
PHOTO_OF_MANY = ("MPO",)


def read_picture(path: Path) -> Greys:
    """The picture in a file, upright, (H, W), as shades of grey; what is transparent is paper.

    Raises:
        TutorError: there is no file, or it holds no single picture that can be read.
    """
    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", Image.DecompressionBombWarning
            )  # there is our own limit
            with Image.open(path) as picture:
                check_picture(path, picture)
                picture.draft("L", (1024, 1024))  # a JPEG is read at a part of its size
                upright = ImageOps.exif_transpose(picture)
                return grey(upright)
    except Image.DecompressionBombError:
        raise too_large(path, "far too many pixels") from None
    except UnidentifiedImageError:
        raise TutorError(
            f"{path} is no picture that can be read here. Save it as PNG or JPEG, and name that."
        ) from None
    except (OSError, SyntaxError, ValueError) as error:  # as Pillow says it of a broken file
        raise TutorError(
            f"{path} cannot be read: {str(error).rstrip('.')}. Save the picture once more."
        ) from error


def check_file(path: Path) -> None:
    """Refuses what is no file.

    Raises:
        TutorError: saying what it is.
    """
    if path.is_dir():
        raise TutorError(f"{path} is a folder. Name a picture in it.")
    if not os.path.exists(path):
        raise TutorError(f"There is no picture {path}.")
    if not path.is_file():  # to read a pipe would wait for ever
        raise TutorError(f"{path} is a pipe or a device. Name a picture.")
    if path.stat().st_size == 0:
        raise TutorError(f"{path} is an empty file.")


def check_picture(path: Path, picture: Image.Image) -> None:
    """Refuses a picture that is too large, or is several, before its pixels are read.

    Raises:
        TutorError: saying what it is.
    """
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise too_large(path, f"{width:,} x {height:,} pixels")
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format not in PHOTO_OF_MANY:
        raise TutorError(f"{path} holds {frames} pictures. Save one of them as PNG, and name that.")


def too_large(path: Path, size: str) -> TutorError:
    """What to say of a picture of too many pixels."""
    most = MAX_PIXELS // 1_000_000
    return TutorError(
        f"{path} has {size}; at most {most} million can be read. Make it smaller, or cut it out."
    )


def grey(picture: Image.Image) -> Greys:
    """The shades of grey of a picture of any mode, (H, W)."""
    if picture.mode.startswith(("I", "F")):  # 16 bits and more: what is white, the picture says
        values = np.asarray(picture, np.float32)
        low, high = float(values.min()), float(values.max())
        return (values - low) * (255 / max(high - low, 1e-6))
    if "A" in picture.getbands() or "transparency" in picture.info:
        return on_paper(picture.convert("RGBA"))
    return np.asarray(clearest(picture), np.float32)


def clearest(picture: Image.Image) -> Image.Image:
    """The greys of a picture; or its red, green or blue, if in grey there is little to see."""
    greys = picture.convert("L")
    small = picture.resize((128, 128))  # enough to tell, whatever the size
    spread = np.asarray(small.convert("RGB"), np.float32).std((0, 1))
    best = int(spread.argmax())
    if np.asarray(small.convert("L"), np.float32).std() < 0.25 * spread[best]:
        return picture.convert("RGB").getchannel(best)
    return greys


def on_paper(picture: Image.Image) -> Greys:
    """A picture that is transparent in part, on paper of the other shade than what is drawn."""
    shades = np.asarray(picture.convert("RGB").convert("L"), np.float32)
    cover = np.asarray(picture.getchannel("A"), np.float32) / 255
    drawn = float((shades * cover).sum() / max(float(cover.sum()), 1e-6))
    paper = 255.0 if drawn < 128 else 0.0
    # where nothing is transparent, the paper is in the picture
    flattened: Greys = (cover * shades + (1 - cover) * paper).astype(np.float32)
    return flattened
