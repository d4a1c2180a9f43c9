"""The digits: MNIST from a folder, the cache or the network, or the offline digits that ship."""

import functools
import gzip
import hashlib
import http.client
import os
import queue
import threading
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_tutor.errors import TutorError, why_no_answer
from ddpm_tutor.files import bundled, check_target, expanded, replacing, user_folder
from ddpm_tutor.science.mnist import (
    find_training_files,
    is_mnist,
    no_mnist,
    read_training_files,
)
from ddpm_tutor.science.noise import stream

PADDING = 2  # pixels on each side
VALIDATION_SHARE = 12  # one image in 12: 5,000 of MNIST's 60,000
CONNECT_SECONDS = 2.5  # patience with a mirror that does not answer; there are two
SLOW_SECONDS = 3.0  # patience with one that sends less than this many bytes a second
SLOWEST = 100_000  # all 10 MB in 100 seconds
LARGEST = 20_000_000  # bytes of an answer: MNIST's files are smaller

# told how many bytes of how many have come
DownloadProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Digits:
    """Labelled digits, split for training and validation, as uint8 so that all fit in memory."""

    train_images: Tensor  # (N, 1, 32, 32) uint8
    train_labels: Tensor  # (N,) int64
    validation_images: Tensor
    validation_labels: Tensor
    source: str  # where they came from, in words

    @functools.cached_property
    def fingerprint(self) -> str:
        """What tells these training digits from any others, in this order: 16 hexadecimals."""
        hashed = hashlib.sha256()
        for part in (self.train_images, self.train_labels):
            hashed.update(part.contiguous().numpy().data)
        return hashed.hexdigest()[:16]

    def of_class(self, digit: int) -> Tensor:
        """All training images of one digit, (n, 1, 32, 32) uint8."""
        return self.train_images[self.train_labels == digit]


def pad_to_32(images: Tensor) -> Tensor:
    """(N, 28, 28) uint8 to (N, 1, 32, 32), with the background value 0 around."""
    return F.pad(images[:, None], (PADDING,) * 4)


def to_unit_range(images: Tensor) -> Tensor:
    """uint8 intensities 0..255 to floats in [-1, 1] (paper, Section 3.3)."""
    return images.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """Floats in [-1, 1], and beyond, to uint8 intensities 0..255."""
    return ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def split(images: Tensor, labels: Tensor, source: str) -> Digits:
    """Shuffles with a fixed seed and keeps one image in 12 for validation.

    Args:
        images: (N, 28, 28) uint8. For MNIST's 60,000 the split is 55,000 and 5,000.
        labels: (N,).
    """
    images, labels = pad_to_32(images), labels.long()
    order = torch.randperm(len(images), generator=stream(0, "split"))
    held_out = len(order) // VALIDATION_SHARE
    validation, train = order[:held_out], order[held_out:]
    return Digits(images[train], labels[train], images[validation], labels[validation], source)


def cache_folder() -> Path:
    """Where a downloaded MNIST is kept, a torchvision root."""
    return user_folder("cache")


def chosen_root(data: Path | None = None) -> Path | None:
    """The root named by --data or DDPM_TUTOR_DATA, or None when neither is given."""
    named = data or os.environ.get("DDPM_TUTOR_DATA")
    return Path(expanded(str(named))) if named else None


def load_digits(
    data: Path | None = None,
    *,
    download: bool = True,
    progress: DownloadProgress | None = None,
    offline: bool = True,
) -> Digits:
    """MNIST from `data` or DDPM_TUTOR_DATA, the cache, or a download; else the offline digits.

    Args:
        data: a torchvision root, the folder that holds MNIST/raw; or one of these two.
        download: whether the network may be asked.
        progress: called while a download goes on.
        offline: whether the offline digits may stand in. Without them, no MNIST is an error.

    Raises:
        TutorError: a folder was named and has no MNIST, or its files are of no use; or there is
            no MNIST anywhere and `offline` is False.
    """
    root = chosen_root(data)
    if root is not None:
        return read_mnist(root)
    cached = read_cache()
    if cached:
        return cached
    root = cache_folder()
    reason = "downloading is switched off"
    if download:
        try:
            download_mnist(root, progress)
            return read_mnist(root)
        except TutorError as error:
            reason = str(error)
        except OSError as error:
            reason = why_no_answer(error)
    if offline:
        return load_offline_digits(reason)
    raise TutorError(
        f"MNIST is not on this machine and could not be fetched ({reason}).\n"
        "Go online once, or name a torchvision root with --data DIR or DDPM_TUTOR_DATA."
    )


def find_mnist(data: Path | None = None) -> Digits | None:
    """MNIST, if it is on this machine, in the folder named or in the cache; else None.

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
    """The 60,000 training images of MNIST in the torchvision root `root`, split.

    Raises:
        TutorError: there are none, or the files are not what they should be.
    """
    files = find_training_files(root)
    if not files:
        raise no_mnist(root)
    images, labels = read_training_files(*files)  # (60000, 28, 28), (60000,)
    what = "MNIST" if is_mnist(labels) else "images in MNIST's format, not MNIST itself,"
    return split(torch.from_numpy(images), torch.from_numpy(labels), f"{what} from {root}")


def load_offline_digits(reason: str = "") -> Digits:
    """The 2,000 digits in `assets/`, drawn by the model that ships; `reason` says why not MNIST."""
    file = bundled("assets") / "offline_digits.npz"
    with np.load(file) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])
    source = f"{len(images):,} offline digits, drawn by this package's own model"
    return split(images, labels, f"{source} (no MNIST: {reason})" if reason else source)


def download_mnist(root: Path, progress: DownloadProgress | None = None) -> None:
    """Fetches MNIST's training files from torchvision's mirrors into the torchvision root `root`.

    Raises:
        OSError: no mirror answers.
        TutorError: what came is not MNIST (by its md5), or came too slowly, or cannot be written;
            or torchvision, which knows the mirrors and the md5s, cannot be loaded.
    """
    try:
        from torchvision.datasets import MNIST
    except Exception as error:  # not there; without lzma; made for another torch
        raise TutorError(
            f"torchvision, which knows where MNIST is, cannot be loaded: {error}"
        ) from error

    wanted = [(name, md5) for name, md5 in MNIST.resources if name.startswith("train")]
    for name, md5 in wanted:
        target = check_target(root / "MNIST" / "raw" / name.removesuffix(".gz"))
        body = gzip.decompress(_fetch([mirror + name for mirror in MNIST.mirrors], md5, progress))
        with replacing(target) as temporary:
            temporary.write_bytes(body)
        with replacing(target.with_name(f"{target.name}.md5")) as temporary:
            temporary.write_text(hashlib.md5(body).hexdigest())


def _open(url: str) -> http.client.HTTPResponse:
    """The answer of a mirror, if it comes in time.

    A name that nobody resolves can hang for much longer than the timeout of a connection, so a
    thread waits for it, and the program does not wait for the thread.
    """
    answer: queue.Queue[http.client.HTTPResponse | Exception] = queue.Queue()

    def ask() -> None:
        try:
            answer.put(urllib.request.urlopen(url, timeout=CONNECT_SECONDS))
        except Exception as error:  # to be raised where it is awaited
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        got = answer.get(timeout=CONNECT_SECONDS + 0.5)
    except queue.Empty:
        raise TimeoutError("no answer") from None
    if isinstance(got, Exception):
        raise got
    return got


def _fetch(urls: list[str], md5: str, progress: DownloadProgress | None) -> bytes:
    """The first of `urls` that answers with a body of this md5."""
    failure: Exception = TutorError("no mirror is known")
    for url in urls:
        try:
            with _open(url) as response:
                body = _read_all(response, progress)
            if hashlib.md5(body).hexdigest() == md5:
                return body
            failure = TutorError(f"{url} sent something that is not MNIST")
        except OSError as error:
            failure = error
        except (http.client.HTTPException, ValueError) as error:
            failure = TutorError(f"{url} answered with nonsense ({type(error).__name__})")
    raise failure


def _read_all(response: http.client.HTTPResponse, progress: DownloadProgress | None) -> bytes:
    """The body of an answer, or of one that is too long the beginning.

    Raises:
        TutorError: it comes too slowly.
    """
    total = int(response.headers.get("Content-Length") or 0)
    body, started = bytearray(), time.monotonic()
    while len(body) <= LARGEST and (chunk := response.read1(1 << 16)):
        body += chunk
        if progress:
            progress(len(body), total)
        seconds = time.monotonic() - started
        if seconds > SLOW_SECONDS and len(body) < SLOWEST * seconds:
            raise TutorError(f"the network is too slow: {len(body) / seconds / 1000:.0f} kB/s")
    return bytes(body)
