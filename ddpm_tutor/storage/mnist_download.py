"""MNIST from the network."""

import gzip
import hashlib
import http.client
import queue
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ddpm_tutor.errors import TutorError, first_line
from ddpm_tutor.files import check_target, replacing

CONNECT_SECONDS = 2.5  # patience with a mirror that does not answer; there are two
SLOW_SECONDS = 3.0  # patience with one that sends less than this many bytes a second
MIN_BYTES_PER_SECOND = 100_000  # all 10 MB in 100 seconds
MAX_BYTES = 20_000_000  # bytes of an answer: MNIST's files are smaller

# told how many bytes of how many have come; 0 of 0 before anybody is asked
DownloadProgress = Callable[[int, int], None]


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
            f"torchvision, which knows where MNIST is, cannot be loaded: {first_line(error)}"
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
    while len(body) <= MAX_BYTES and (chunk := response.read1(1 << 16)):
        body += chunk
        if progress:
            progress(len(body), total)
        seconds = time.monotonic() - started
        if seconds > SLOW_SECONDS and len(body) < MIN_BYTES_PER_SECOND * seconds:
            raise TutorError(f"the network is too slow: {len(body) / seconds / 1000:.0f} kB/s")
    return bytes(body)
