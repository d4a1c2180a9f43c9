"""Drawn digits, as anybody's program saves them: pictures, arrays and folders, as digits of 32x32.

Pictures are sheets of digits, see `cutting`. Arrays come as NumPy or PyTorch write them. Nothing of
such a file is run, and no more is read than fits a small memory.
"""

import contextlib
import pickle
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddpm_tutor.errors import TutorError, first_line
from ddpm_tutor.pictures.colour_maps import unmapped
from ddpm_tutor.pictures.cutting import SIDES, tiles_in
from ddpm_tutor.pictures.picture_files import PICTURES
from ddpm_tutor.pictures.picture_reading import Greys, read_picture
from ddpm_tutor.science.pixels import pad_to_32
from ddpm_tutor.words import count_of

MAX_BYTES = 100_000_000  # of a file, and of what is in it
MAX_DIGITS = 256  # that are looked at
MAX_FILES = 64  # of a folder
STRETCHED = (
    "imshow stretches each picture from black to white, unless it is told vmin and vmax: so a grey "
    "veil does not show. An array (.npz) says more."
)
BEYOND = 25  # shades beyond black or white that right drawings hardly ever are
MAX_SIDE = 4500  # pixels of a sheet; 64 digits of 32x32, enlarged 16 times, have 4384
LABELS = ("label", "labels", "y", "target", "targets", "class", "classes", "digit", "digits")
NULL = 10  # the label that stands for none, or -1
ARRAYS = (".npz", ".npy")
TENSORS = (".pt", ".pth")

Named = list[tuple[str, NDArray[Any]]]  # arrays by their names, "" without one


@dataclass(frozen=True)
class Sheet:
    """Digits that were read from somewhere."""

    images: Tensor  # (n, 1, 32, 32) uint8
    read_as: str  # how they were read, in words
    notes: tuple[str, ...] = ()  # what was odd about it
    broken: int = 0  # pictures that hold NaN or infinity; they are left out, or shown black there
    is_resized: bool = False  # by no whole factor: what differs from pixel to pixel is blurred
    labels: Tensor | None = None  # (n,) int64, the digits asked for, -1 for none; if they are known


def read_digits_of(path: Path, without: Path | None = None) -> Sheet:
    """The drawn digits in a picture, in an array, or in a folder of pictures.

    Args:
        without: a file of the folder that is none of them.

    Raises:
        TutorError: there are none, or they cannot be read.
    """
    if path.is_dir():
        return read_folder(path, without)
    check_size(path)
    match path.suffix.lower():
        case ending if ending in ARRAYS:
            return of_values(path, numpy_arrays(path))
        case ending if ending in TENSORS:
            return of_values(path, tensors(path))
        case ".safetensors":
            raise TutorError(f"{path} holds weights, no pictures. Draw with them, and name those.")
    with path.open("rb") as file:
        if file.read(4) == b"\x89HDF":
            raise TutorError(
                f"{path} is HDF5, which is not read here. "
                "Save the pictures as PNG, or with numpy.savez."
            )
    return read_sheet(path)


def check_size(path: Path) -> None:
    """Refuses what is no file, or too large a one, before any of it is read.

    Raises:
        TutorError: saying what it is.
    """
    if not path.exists():
        raise TutorError(f"There is no file {path}.")
    if not path.is_file():  # to read a pipe would wait for ever
        raise TutorError(f"{path} is a pipe or a device. Name a file.")
    size = path.stat().st_size
    if size == 0:
        raise TutorError(f"{path} is an empty file.")
    if size > MAX_BYTES:
        raise too_large(path, size)


def too_large(path: Path, size: int) -> TutorError:
    """What to say of too many bytes."""
    return TutorError(
        f"{path} holds {size / 1e6:,.0f} MB; at most {MAX_BYTES / 1e6:.0f} MB are read. "
        f"Save fewer pictures: {MAX_DIGITS} digits are plenty."
    )


# --- pictures


def read_folder(folder: Path, without: Path | None = None) -> Sheet:
    """All digits of the pictures in a folder, but for one of them.

    Raises:
        TutorError: it holds no picture that can be read.
    """
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.is_file())
    files = [file for file in files if without is None or file.resolve() != without.resolve()]
    if not files:
        raise TutorError(f"{folder} holds no pictures, such as PNG. Name a folder that does.")
    sheets, broken = [], []
    for file in files[:MAX_FILES]:
        try:
            check_size(file)
            sheets.append(read_sheet(file))
        except TutorError as error:
            broken.append(str(error))
    if not sheets:
        raise TutorError(broken[0])
    images = torch.cat([sheet.images for sheet in sheets])[:MAX_DIGITS]
    said = f"{count_of(len(images), 'digit')} of {count_of(len(sheets), 'picture')}"
    left = count_of(len(files) - MAX_FILES, "more picture")
    notes = [f"Not read: {left}."] * (len(files) > MAX_FILES)
    notes += [f"{len(broken)} could not be read: {broken[0]}"] if broken else []
    return Sheet(images, said, tuple(notes))


def read_sheet(path: Path) -> Sheet:
    """The digits in a picture.

    Raises:
        TutorError: it cannot be read, is too large, or no digits can be cut out of it.
    """
    side = 0
    with contextlib.suppress(Exception), Image.open(path) as picture:  # reading says what is wrong
        side = max(picture.size)
    if side > MAX_SIDE:
        raise TutorError(
            f"{path} has {side:,} pixels a side; at most {MAX_SIDE:,} are read. "
            "Save the digits less enlarged, or fewer of them."
        )
    mapped = unmapped(path)
    if mapped:
        return cut(path, mapped[0], f"colour map {mapped[1]}")
    return cut(path, read_picture(path))


def cut(path: Path, picture: Greys, coloured: str = "") -> Sheet:
    """The digits in a picture, (H, W) in shades of grey.

    Args:
        coloured: how its colours became greys, in words.

    Raises:
        TutorError: no digits of 28 or 32 pixels can be cut out of it.
    """
    found = tiles_in(picture)
    if found is None:
        height, width = picture.shape
        raise TutorError(
            f"{path} has {width}x{height} pixels, which is no sheet of digits of 28x28 or 32x32, "
            "enlarged or not. Save it with torchvision's save_image, or one digit a file."
        )
    tiles, said, is_figure = found
    notes = [STRETCHED] if is_figure or coloured else []
    read = sheet(tiles, f"{said}, {coloured}" if coloured else said, notes)
    return replace(read, is_resized=", made " in said)


def sheet(tiles: NDArray[Any], read_as: str, notes: Iterable[str] = ()) -> Sheet:
    """Tiles (n, 28, 28) or (n, 32, 32), 0..255, as a sheet."""
    notes = list(notes)
    if len(tiles) > MAX_DIGITS:
        notes.append(f"The first {MAX_DIGITS} of {len(tiles):,} digits are looked at.")
    values = torch.from_numpy(np.clip(np.round(tiles[:MAX_DIGITS]), 0, 255).astype(np.uint8))
    images = values[:, None] if values.shape[-1] == 32 else pad_to_32(values)
    return Sheet(images, read_as, tuple(notes))


# --- arrays


def numpy_arrays(path: Path) -> Named:
    """The arrays in a file of NumPy, by name.

    Raises:
        TutorError: it cannot be read, or is too large.
    """
    try:
        check_unpacked(path)
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return [("", loaded)]
        with loaded as arrays:
            return [(name, arrays[name]) for name in arrays.files]
    except TutorError:
        raise
    except Exception as error:  # NumPy has many words for it
        if "allow_pickle" in str(error):
            raise TutorError(
                f"{path} holds Python objects, which could run code. Save the pictures as one "
                "array of numbers."
            ) from None
        raise TutorError(f"{path} cannot be read: {first_line(error).rstrip('.')}.") from error


def tensors(path: Path) -> Named:
    """The tensors in a file of PyTorch, by name; nothing in it is run.

    Raises:
        TutorError: it cannot be read, holds more than tensors, or is too large.
    """
    try:
        check_unpacked(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except TutorError:
        raise
    except pickle.UnpicklingError:
        raise TutorError(
            f"{path} holds more than tensors, and to read it would run its code. "
            "Save the tensor of the pictures alone: torch.save(images, 'samples.pt')"
        ) from None
    except Exception as error:
        raise TutorError(f"{path} cannot be read: {first_line(error).rstrip('.')}.") from error
    found: list[tuple[str, Any]] = [("", loaded)]
    if isinstance(loaded, dict):
        found = [(str(name), value) for name, value in loaded.items()]
    elif isinstance(loaded, list | tuple) and len({np.shape(part) for part in loaded}) == 2:
        found = list(zip(("images", "labels"), loaded, strict=False))
    return [(name, array) for name, value in found for array in as_arrays(value)]


def as_arrays(value: Any) -> Iterator[NDArray[Any]]:
    """A tensor as an array, cut to what is looked at; a list of pictures of one shape as one."""
    if isinstance(value, list | tuple) and value and all(isinstance(v, Tensor) for v in value):
        same = [v for v in value[:MAX_DIGITS] if v.shape == value[0].shape]
        value = torch.stack(same) if same[0].numel() * len(same) * 4 <= MAX_BYTES else None
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
        return
    some = value.detach()[:MAX_DIGITS] if value.ndim > 1 else value.detach()
    if some.numel() * 4 <= MAX_BYTES:  # a view may say that it is larger than its file
        yield (some.float() if some.is_floating_point() else some).numpy()


def check_unpacked(path: Path) -> None:
    """Refuses a packed file that would be too large when it is unpacked.

    Raises:
        TutorError: it would.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as parts:
            size = sum(part.file_size for part in parts.infolist())
        if size > MAX_BYTES:
            raise too_large(path, size)


def of_values(path: Path, arrays: Named) -> Sheet:
    """The digits among arrays, the first that has the shape of some; and their labels.

    Raises:
        TutorError: none has, or its numbers are none.
    """
    for _, array in arrays:
        tiles = as_tiles(array)
        if tiles is not None:
            whole = np.isfinite(tiles[:MAX_DIGITS]).all((1, 2))
            labels = labels_among(arrays, len(whole))
            kept = whole if whole.any() else ~whole
            found = replace(in_shades(path, tiles, kept), broken=int((~whole).sum()))
            if labels is None:
                return replace(found, notes=(*found.notes, *labels_left_out(arrays, len(whole))))
            return replace(found, labels=labels[torch.from_numpy(kept)])
    shapes = ", ".join(str(array.shape).replace(",)", ")") for _, array in arrays[:3]) or "nothing"
    raise TutorError(
        f"{path} holds no digits of 28x28 or 32x32: it holds {shapes}. "
        "Save the pictures as one array (n, 28, 28), (n, 1, 32, 32) or the like."
    )


def labels_among(arrays: Named, count: int) -> Tensor | None:
    """The labels of so many digits, (count,), -1 where none was asked for; None without any."""
    for name, array in arrays:
        if name.lower() not in LABELS or array.dtype.kind not in "iuf":
            continue
        # (n,), (n, 1), or one-hot (n, 10)
        values = array.argmax(1) if array.ndim == 2 and array.shape[1] == NULL else array.squeeze()
        values = np.atleast_1d(values)[:MAX_DIGITS].astype(np.float64)
        whole = np.isin(values, np.arange(-1, NULL + 1)).all()
        if values.shape == (count,) and whole:
            labels = torch.from_numpy(values.astype(np.int64))
            asked = labels.masked_fill(labels == NULL, -1)
            return asked if bool((asked >= 0).any()) else None
    return None


def labels_left_out(arrays: Named, count: int) -> list[str]:
    """What to say of labels that are not one each of so many digits."""
    return [
        f"`{name}` has {count_of(len(array), 'label')} for {count_of(count, 'digit')}: left out."
        for name, array in arrays
        if name.lower() in LABELS and array.ndim == 1 and min(len(array), MAX_DIGITS) != count
    ]


def as_tiles(array: NDArray[Any]) -> NDArray[Any] | None:
    """An array as (n, side, side) where it has such a shape, in any usual order; else None."""
    if array.dtype.kind not in "fiub" or array.size == 0:
        return None
    if array.ndim in (1, 2) and array.shape[-1] in (784, 1024) and array.shape[0] not in SIDES:
        side = round(array.shape[-1] ** 0.5)
        return array.reshape(-1, side, side)
    if array.ndim == 5 and array.shape[0] == 1:
        array = array[0]
    if array.ndim in (3, 4) and array.shape[-1] in (1, 3, 4) and array.shape[-2] in SIDES:
        array = np.moveaxis(array, -1, -3)
    if array.ndim < 2 or array.shape[-1] not in SIDES or array.shape[-2] != array.shape[-1]:
        return None
    if array.ndim == 4 and array.shape[1] in (1, 3, 4):
        return array[:MAX_DIGITS, :3].mean(1) if array.shape[1] > 1 else array[:, 0]
    if array.ndim > 3:  # of several moments, say: which of them is the last?
        return None
    return array.reshape(-1, *array.shape[-2:])


def in_shades(path: Path, tiles: NDArray[Any], kept: NDArray[np.bool_]) -> Sheet:
    """Tiles of numbers in any usual range, (n, side, side), as shades 0..255.

    Args:
        kept: which of the first `MAX_DIGITS` are looked at.

    Raises:
        TutorError: none of the numbers is finite.
    """
    count, side = len(tiles), tiles.shape[-1]
    notes = []
    if count > MAX_DIGITS:
        notes.append(f"The first {MAX_DIGITS} of {count:,} digits are looked at.")
    values = tiles[:MAX_DIGITS][kept].astype(np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        notes.append(
            f"{(~finite).mean():.1%} of the numbers are NaN or infinite; they are shown black."
        )
    if not finite.any():
        raise TutorError(f"{path}: none of its numbers is finite, all are NaN or infinite.")
    low, high = float(values[finite].min()), float(values[finite].max())
    scaled, taken = shades(values, low, high, tiles.dtype.kind)
    scaled = np.where(finite, scaled, 0)
    beyond = float(((scaled < -BEYOND) | (scaled > 255 + BEYOND)).mean())
    if beyond > 0.01:
        notes.append(f"{beyond:.0%} of the numbers lie beyond the range, and are cut off.")
    size = f"{count_of(len(values), 'digit')} of {side}x{side}"
    said = f"{size}, {tiles.dtype}, {low:.3g} to {high:.3g}: {taken}"
    return sheet(scaled, said, notes)


def shades(values: NDArray[Any], low: float, high: float, kind: str) -> tuple[NDArray[Any], str]:
    """Numbers as shades 0..255, and the range that they are taken to be in, in words."""
    if kind == "b" or (kind in "iu" and low >= 0 and high <= 1) or (low >= -0.05 and high <= 1.5):
        return values * 255, "taken for [0, 1]"
    if low >= -0.5 and high > 8:
        return values, "taken for 0 to 255"
    return (values + 1) * 127.5, "taken for [-1, 1]"
