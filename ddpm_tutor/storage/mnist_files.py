"""MNIST's files: found in a folder, read, and refused where they are something else.

The format (IDX): two zero bytes, the type of the values (8: bytes), the number of axes, the length
of each, 4 bytes long and big-endian, and then the values. The files are read as they are or packed
with gzip, whatever their names say.
"""

import gzip
import hashlib
import math
import zlib
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ddpm_tutor.errors import TutorError

TRAINING_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST_FILES = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
SIDE = 28  # pixels
MIN_IMAGES = 24  # images that a training and a validation set can be made of
MAX_IMAGES = 1_000_000  # images: more would not fit into the memory of a laptop
LABELS_MD5 = "e86ee40d66677c011a9abda399ec8c4d"  # of MNIST's 60,000 labels, a byte each
MAX_NAMES = 1000  # in a folder, that are looked at to say what is there
MAX_FOLDERS = 20
OTHER_SETS = "?*MNIST"  # FashionMNIST, KMNIST and so on, as torchvision names their folders
# how others keep MNIST, and what else lies in such folders
LAYOUTS = {
    "*.csv": "a table, as Kaggle has it",
    "*.parquet": "a table, as Hugging Face has it",
    "*.arrow": "a table, as Hugging Face has it",
    "*.npz": "NumPy arrays, as Keras has them",
    "*.pkl*": "a pickle",
    "*.zip": "not unpacked",
    "*.tar*": "not unpacked",
    "*.tgz": "not unpacked",
    "emnist-*": "a part of EMNIST",
    OTHER_SETS: "another data set",
    "train-*-ubyte*": "one of the two files",
    "t10k-*": "for testing, not for training",
    "*.png": "a picture",
    "*.jpg": "a picture",
}


class NotMNIST(TutorError):
    """There are files in MNIST's place that cannot be used as MNIST."""


class NoMNIST(TutorError):
    """There are no such files in the folder that was named."""


def find_training_files(root: Path) -> tuple[Path, Path] | None:
    """The files of training images and labels, if both are there; see `find_files`."""
    return find_files(root, TRAINING_FILES)


def find_files(root: Path, names: tuple[str, str]) -> tuple[Path, Path] | None:
    """The files of images and labels, if both are there.

    Args:
        root: a torchvision root, which holds MNIST/raw; or its folder MNIST; or MNIST/raw itself.
        names: what torchvision calls them, such as `TEST_FILES`.
    """
    for folder in (root / "MNIST" / "raw", root / "raw", root):
        images, labels = (find_file(folder, name) for name in names)
        if images and labels:
            return images, labels
    return None


def find_file(folder: Path, name: str) -> Path | None:
    """The file as torchvision names it, as Kaggle does, with a dot, or as the mirrors, packed."""
    dotted = name.replace("-idx", ".idx")
    names = (name, dotted, f"{name}.gz", f"{dotted}.gz")
    return next((path for path in (folder / n for n in names) if path.is_file()), None)


def read_training_files(images: Path, labels: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images (N, 28, 28) and labels (N,) from 0 to 9.

    Raises:
        TutorError: a file is damaged, or not of this format; they do not go together; or they hold
            something else than ten kinds of digits.
    """
    pixels, classes = read_idx(images, (SIDE, SIDE)), read_idx(labels, ())
    if len(pixels) != len(classes):
        reason = f"{len(pixels):,} images and {len(classes):,} labels"
        raise unusable(images.parent, reason)
    if other := unlike_mnist(classes):
        raise unusable(images.parent, other)
    return pixels, classes


def is_mnist(labels: NDArray[np.uint8]) -> bool:
    """Whether these are MNIST's own labels: FashionMNIST and others have the same format."""
    return hashlib.md5(labels.tobytes(), usedforsecurity=False).hexdigest() == LABELS_MD5


def unlike_mnist(labels: NDArray[np.uint8]) -> str:
    """What is wrong with labels that are not those of ten digits; "" if nothing."""
    if len(labels) < MIN_IMAGES:
        return f"only {len(labels)} images, too few to train and to validate with"
    kinds = np.unique(labels)
    if kinds[-1] > 9:
        letters = ", as EMNIST's letters have" if (kinds[0], kinds[-1]) == (1, 26) else ""
        return f"labels from {kinds[0]} to {kinds[-1]}{letters}; digits have 0 to 9"
    if len(kinds) < 10:
        return f"only the labels {', '.join(map(str, kinds))}; all of 0 to 9 are needed"
    return ""


def read_idx(path: Path, sizes: tuple[int, ...]) -> NDArray[np.uint8]:
    """The array in a file, (N, *sizes).

    Raises:
        TutorError: the file cannot be opened, is cut short or too long, or is not of this format;
            or what it holds has other sizes, or is too much.
    """
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else open(path, "rb") as file:
            count, *others = read_header(file, 1 + len(sizes))
            if tuple(others) != sizes:
                found, wanted = ("×".join(map(str, size)) for size in (others, sizes))
                raise ValueError(f"images of {found} pixels, not of {wanted}")
            if count > MAX_IMAGES:
                raise ValueError(f"{count:,} images; {MAX_IMAGES:,} are the most")
            total = count * math.prod(sizes)
            content = bytearray(file.read(total + 1))
            if len(content) < total:
                raise ValueError(f"it ends after {len(content):,} of {total:,} values")
            if len(content) > total:
                raise ValueError(f"it goes on after {total:,} values")
    except (ValueError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise unusable(path, str(error)) from error
    except OSError as error:
        raise TutorError(f"Cannot read {path}: {error.strerror or error}.") from error
    return np.frombuffer(content, np.uint8).reshape(count, *sizes)


def read_header(file: BinaryIO | gzip.GzipFile, axes: int) -> list[int]:
    """The lengths of the axes.

    Raises:
        ValueError: the file does not begin as one of bytes with so many axes does.
    """
    wanted = bytes([0, 0, 8, axes])
    if (found := file.read(4)) != wanted:
        has = found.hex(" ") or "nothing"
        raise ValueError(f"it begins with {has}, where such a file has {wanted.hex(' ')}")
    lengths = file.read(4 * axes)
    if len(lengths) < 4 * axes:
        raise ValueError("it ends in its first bytes")
    return [int(length) for length in np.frombuffer(lengths, ">u4")]


def unusable(path: Path, reason: str) -> TutorError:
    """What to say of files that are there and of no use."""
    return NotMNIST(f"{path} cannot be used as MNIST: {reason}.")


def no_mnist(root: Path) -> TutorError:
    """What to say of a folder in which the training files are not: what was found, what to do."""
    return NoMNIST(
        f"No MNIST in {root}: {what_is_in(root)}; expected {root}/MNIST/raw/{TRAINING_FILES[0]}."
    )


def what_is_in(root: Path) -> str:
    """What is there in place of MNIST, in a few words."""
    if not root.exists():
        return "there is no such folder"
    if not root.is_dir():
        return "it is a file, not a folder"
    try:
        inner = [path for path in names_in(root) if path.is_dir()][:MAX_FOLDERS]
        elsewhere = [p for p in inner if find_training_files(p) and not p.match(OTHER_SETS)]
        if elsewhere:
            return f"it is in {elsewhere[0]}"
        folders = [p for p in (*inner, root / "MNIST" / "raw") if p.is_dir()]
        found = [path for folder in (root, *folders) for path in names_in(folder)]
    except OSError as error:
        return f"it cannot be looked into ({error.strerror})"
    for pattern, meaning in LAYOUTS.items():
        for path in found:
            if path.match(pattern):
                return f"found {path.relative_to(root)} ({meaning})"
    shown = ", ".join(str(path.relative_to(root)) for path in found[:3])
    return f"found {shown}{' and others' if len(found) > 3 else ''}" if found else "it is empty"


def names_in(folder: Path) -> list[Path]:
    """What a folder holds, by name; not all of it where that is very much."""
    return sorted(islice(folder.iterdir(), MAX_NAMES))
