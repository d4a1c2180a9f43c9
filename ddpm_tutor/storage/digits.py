"""The digits: MNIST from a folder, the cache or the network, or the offline digits that ship."""

import contextlib
import functools
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm_tutor.commands import command
from ddpm_tutor.errors import TutorError, why_no_answer
from ddpm_tutor.files import bundled, expanded, replacing, user_folder
from ddpm_tutor.science.checks import as_path, check_kind, is_whole
from ddpm_tutor.science.noise import stream
from ddpm_tutor.science.pixels import pad_to_32
from ddpm_tutor.storage.mnist_download import DownloadProgress, download_mnist
from ddpm_tutor.storage.mnist_files import (
    TEST_FILES,
    find_files,
    find_training_files,
    is_mnist,
    no_mnist,
    read_training_files,
)

OFFLINE = "offline digits"  # stands in the source of those that come with the package
MNIST_SOURCE = "MNIST"  # how the source of MNIST's digits begins; others say that they are not
VALIDATION_DIVISOR = 12  # one image in 12 is held out: 5,000 of MNIST's 60,000
LONG_SECONDS = 2.0  # a search on the network that fails after a longer wait is not repeated ...
NOT_AGAIN_SECONDS = 3 * 3600  # ... for so long: about a sitting


class MNISTOutOfReach(TutorError):
    """MNIST is nowhere on this machine, and could not be downloaded."""


@dataclass(frozen=True)
class Digits:
    """Labelled digits, split for training and validation, as uint8 so that all fit in memory."""

    train_images: Tensor  # (N, 1, 32, 32) uint8
    train_labels: Tensor  # (N,) int64
    validation_images: Tensor
    validation_labels: Tensor
    source: str  # what they are, in words that hold nothing of this machine
    origin: str = ""  # the same with where they were found, or why there is no MNIST

    @functools.cached_property
    def fingerprint(self) -> str:
        """What tells these training digits from any others, in this order: 16 hexadecimals."""
        hashed = hashlib.sha256()
        for part in (self.train_images, self.train_labels):
            hashed.update(part.contiguous().numpy().data)
        return hashed.hexdigest()[:16]

    def of_class(self, digit: int) -> Tensor:
        """All training images of one digit, (n, 1, 32, 32) uint8.

        Raises:
            ValueError: it is none of 0 to 9.
        """
        if not is_whole(digit) or not 0 <= digit <= 9:
            raise ValueError(f"digit must be a whole number from 0 to 9, not {digit!r}")
        return self.train_images[self.train_labels == digit]


@dataclass(frozen=True)
class UnseenDigits:
    """Labelled digits that no network has been trained on."""

    images: Tensor  # (N, 1, 32, 32) uint8
    labels: Tensor  # (N,) int64
    source: str  # what they are, in words
    mnist: bool  # whether they are MNIST's


def split(images: Tensor, labels: Tensor, source: str, origin: str = "") -> Digits:
    """Shuffles with a fixed seed and keeps one image in 12 for validation.

    Args:
        images: (N, 28, 28) uint8. For MNIST's 60,000 the split is 55,000 and 5,000.
        labels: (N,).
        source: what they are; origin: the same with where they were found.
    """
    images, labels = pad_to_32(images), labels.long()
    order = torch.randperm(len(images), generator=stream(0, "split"))
    held_out = len(order) // VALIDATION_DIVISOR
    validation, train = order[:held_out], order[held_out:]
    halves = images[train], labels[train], images[validation], labels[validation]
    return Digits(*halves, source, origin or source)


def cache_folder() -> Path:
    """Where a downloaded MNIST is kept, a torchvision root."""
    return user_folder("cache")


def chosen_root(data: Path | str | None = None) -> Path | None:
    """The root `data`, or that of DDPM_TUTOR_DATA; None when neither is given."""
    if data is not None:
        as_path(data, "path of the digits")
    named = data or os.environ.get("DDPM_TUTOR_DATA")
    return Path(expanded(str(named))) if named else None


def load_digits(
    data: Path | str | None = None,
    *,
    download: bool = True,
    progress: DownloadProgress | None = None,
    offline: bool = True,
    ask_again: bool = False,
) -> Digits:
    """MNIST from `data` or DDPM_TUTOR_DATA, the cache, or a download; else the offline digits.

    A network in which nobody answers costs seconds: that it failed is remembered for some hours.

    Args:
        data: a torchvision root, the folder that holds MNIST/raw; or one of these two.
        download: whether the network may be asked.
        progress: called while a download goes on, and with 0 of 0 bytes before it.
        offline: whether the offline digits may stand in. Without them, no MNIST is an error.
        ask_again: whether the network is asked although it failed a short while ago.

    Raises:
        TutorError: a folder was named and has no MNIST, or its files are of no use; or there is
            no MNIST anywhere and `offline` is False.
        TypeError: `data` is no path.

    Example:
        >>> load_digits(download=False).train_images.shape[1:]
        torch.Size([1, 32, 32])
    """
    root = chosen_root(data)
    if root is not None:
        return read_mnist(root)
    cached = read_cache()
    if cached:
        return cached
    reason = "downloading is switched off"
    if download:
        reason = "" if ask_again or not offline else why_not_again()
    if not reason:
        fetched = fetch_digits(progress)
        if isinstance(fetched, Digits):
            return fetched
        reason = fetched
    if offline:
        return load_offline_digits(reason)
    raise MNISTOutOfReach(f"MNIST is not on this machine and could not be fetched ({reason}).")


def fetch_digits(progress: DownloadProgress | None = None) -> Digits | str:
    """MNIST from the network, kept in the cache; or why there is none."""
    if progress:
        progress(0, 0)
    started = time.monotonic()
    try:
        download_mnist(cache_folder(), progress)
        return read_mnist(cache_folder())
    except TutorError as error:
        reason = str(error)
    except OSError as error:
        reason = why_no_answer(error)
    if time.monotonic() - started > LONG_SECONDS:
        remember_failure(reason)
    return reason


def failure_file() -> Path:
    """What says that the network was asked for MNIST in vain, and why; its age says when."""
    return cache_folder() / "no_mnist.txt"


def remember_failure(reason: str) -> None:
    """Keeps why the network had no MNIST; where that cannot be kept, it is asked each time."""
    with contextlib.suppress(TutorError, OSError), replacing(failure_file()) as temporary:
        temporary.write_text(f"{reason}\n", encoding="utf-8")


def why_not_again() -> str:
    """Why the network is not asked for MNIST now, and when it will be; "" where it may be."""
    file = failure_file()
    try:
        reason, failed = file.read_text(encoding="utf-8").strip(), file.stat().st_mtime
    except (OSError, ValueError):
        return ""
    if not 0 <= time.time() - failed < NOT_AGAIN_SECONDS:
        return ""
    times = time.localtime(failed), time.localtime(failed + NOT_AGAIN_SECONDS)
    at, again = (time.strftime("%H:%M", when) for when in times)
    return f"{reason}, at {at}; to look again before {again}, remove {file}"


def find_mnist(data: Path | str | None = None) -> Digits | None:
    """MNIST if it is on this machine, in the folder named or in the cache; else None.

    Raises:
        TutorError: a folder was named and has no MNIST, or its files are damaged.
    """
    return read_cache() if chosen_root(data) is None else load_digits(data)


def read_cache() -> Digits | None:
    """MNIST as it was downloaded before, if it was; files damaged since then are set aside.

    Raises:
        TutorError: they are damaged, and cannot be set aside.
    """
    root = cache_folder()
    files = find_training_files(root)
    if not files:
        return None
    try:
        for file in files:
            md5 = file.with_name(f"{file.name}.md5")
            if md5.is_file() and md5.read_text() != _md5(file):
                raise TutorError(f"{file} has changed since it was downloaded.")
        return read_mnist(root)
    except TutorError as error:
        try:
            for file in files:
                os.replace(file, file.with_name(f"{file.name}.damaged"))
        except OSError:
            raise error from None
        return None


def _md5(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def read_mnist(root: Path) -> Digits:
    """The training images in the torchvision root `root`, split: MNIST, or digits in its format.

    Raises:
        TutorError: there are none, or the files are not what they should be.
    """
    files = find_training_files(root)
    if not files:
        raise no_mnist(root)
    images, labels = read_training_files(*files)  # (N, 28, 28), (N,)
    source = MNIST_SOURCE if is_mnist(labels) else "images in MNIST's format, not MNIST itself"
    origin = f"{source}{',' * (source != MNIST_SOURCE)} from {root}"
    return split(torch.from_numpy(images), torch.from_numpy(labels), source, origin)


def load_offline_digits(reason: str = "") -> Digits:
    """The 2,000 digits in `assets/`, drawn by the model that ships; `reason` says why not MNIST.

    Args:
        reason: why not MNIST, in words; it goes into the origin.

    Raises:
        TypeError: `reason` is no text.

    Example:
        >>> len(load_offline_digits().train_images)
        1834
    """
    check_kind(reason, str, "reason", "words")
    file = bundled("assets") / "offline_digits.npz"
    with np.load(file) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    source = f"{len(images):,} {OFFLINE}, drawn by our model"  # with what follows, one line
    if not reason:
        return split(images, labels, source, source)
    told, why = f"no MNIST: {command('info')}", f"no MNIST: {reason}"
    return split(images, labels, f"{source} ({told})", f"{source} ({why})")


def load_unseen_digits(
    data: Path | str | None = None, *, progress: DownloadProgress | None = None
) -> UnseenDigits:
    """MNIST's test digits where its files are found; else those that training holds out.

    Args:
        data: a torchvision root, see `load_digits`.
        progress: called while a download goes on.

    Raises:
        TutorError: as `load_digits`, or the files of the test digits are damaged.

    Example:
        >>> load_unseen_digits().images.shape[1:]
        torch.Size([1, 32, 32])
    """
    digits, root = load_digits(data, progress=progress), chosen_root(data)
    mnist = digits.source.startswith(MNIST_SOURCE)
    if root is not None and (files := find_files(root, TEST_FILES)):
        images, labels = (torch.from_numpy(array) for array in read_training_files(*files))
        source = f"the test digits of {digits.source}"
        return UnseenDigits(pad_to_32(images), labels.long(), source, mnist)
    source = f"held out of {digits.source}"
    return UnseenDigits(digits.validation_images, digits.validation_labels, source, mnist)
