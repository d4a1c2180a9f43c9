"""Digits as files, in a line: what one asks of a library that draws."""

from collections.abc import Iterable
from pathlib import Path

from torch import Tensor

from ddpm_tutor.files import check_target
from ddpm_tutor.pictures.films import FRAMES, film, frames_of
from ddpm_tutor.pictures.grids import enlarged, grid
from ddpm_tutor.pictures.picture_files import (
    film_endings,
    picture_endings,
    with_ending,
    write_film,
    write_picture,
)
from ddpm_tutor.science.checks import as_path, check_kind, check_schedule, check_whole
from ddpm_tutor.science.sampling import ChainState
from ddpm_tutor.science.schedule import Schedule

SCALE = 2  # pixels a side of each pixel in a saved picture


def save_png(path: Path | str, images: Tensor, columns: int | None = None) -> Path:
    """Saves images as one picture, in rows of `columns`, whole or not at all; see `grid`.

    Args:
        path: without an ending it gets .png; others, such as .jpg, are taken as they say.
        images: (N, 1, H, W); floats in [-1, 1] or uint8.
        columns: images in a row; None makes it about square.

    Returns:
        the path of the file.

    Raises:
        UsageError: the ending is unknown.
        TypeError: `path` is no path. ValueError: the images are none, or hold NaN.
        TutorError: it cannot be written.

    Example:
        >>> save_png("digits", images, columns=2).name
        'digits.png'
    """
    path = check_target(with_ending(as_path(path), picture_endings()))
    check_kind(images, Tensor, "images", "a tensor (N, 1, H, W)")
    if images.is_floating_point() and bool(images.isnan().any()):
        raise ValueError("images hold NaN: print x.isfinite().all() after each step of the sampler")
    write_picture(path, enlarged(grid(images, columns), SCALE))
    return path


def save_gif(
    path: Path | str, states: Iterable[ChainState], schedule: Schedule, frames: int = FRAMES
) -> Path:
    """Saves a chain as a looping film, x_t beside the estimate of x_0, whole or not at all.

    Args:
        path: without an ending it gets .gif; others, such as .webp, are taken as they say.
        states: those of `sample` or `draw`: x_t (B, 1, 32, 32) each.
        schedule: the one they were drawn with, which says when most happens.
        frames: at most so many of the states are shown.

    Returns:
        the path of the file.

    Raises:
        UsageError: the ending is unknown.
        TypeError: `path` is no path. ValueError: the images are none. TutorError: it cannot be
            written.

    Example:
        >>> save_gif("chain", sample(model, schedule, eps, few), schedule).name
        'chain.gif'
    """
    check_schedule(schedule)
    check_whole(frames, "frames")
    path = check_target(with_ending(as_path(path), film_endings()))  # before anything is drawn

    def checked() -> Iterable[ChainState]:
        for state in states:
            check_kind(state, ChainState, "states", "those of a sampler, ChainState each")
            yield state

    shown = list(frames_of(checked(), schedule, frames))
    if not shown:
        raise ValueError("there is no state: a sampler gives at least one")
    write_film(path, film(shown))
    return path
