"""The errors whose messages are meant for the learner, and what those of others mean."""

import os
import signal
import traceback
from pathlib import Path

INTERRUPTED = 130  # the exit code after Ctrl-C
MAX_QUOTED = 200  # characters of an error


class TutorError(Exception):
    """Something went wrong that the learner can mend.

    The message is one or two lines: what is wrong, and what to do. The command line prints it
    on stderr without a traceback and exits with `exit_code`.
    """

    exit_code = 1


class UsageError(TutorError):
    """A command or an option was given a value that it cannot take."""

    exit_code = 2


class DeviceWarning(UserWarning):
    """A device was passed over because it cannot compute."""


class Stopped(SystemExit):
    """The system has asked the command to end, by a signal; shells expect 128 and its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"{signal.strsignal(self.number)}."


def notice(pressed: KeyboardInterrupt) -> None:
    """Says that whoever caught `pressed` goes on: it has not been lost, and need not come again."""
    pressed.noticed = True  # type: ignore[attr-defined]


def is_noticed(error: BaseException) -> bool:
    """Whether `notice` was told of it."""
    return getattr(error, "noticed", False)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether there was too little memory, as PyTorch's devices and NumPy say it, each its way."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in said)


def why_no_answer(error: OSError) -> str:
    """Why a download has failed, in a few words that say what to mend."""
    import socket
    import ssl
    import urllib.error
    import urllib.request

    cause = error
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        cause = error.reason
    match cause:
        case urllib.error.HTTPError():
            why = f"its mirror says {cause.code} {cause.reason}"
        case socket.gaierror():
            why = "no mirror's name is found; no network, or no DNS"
        case ssl.SSLCertVerificationError():
            why = f"its mirror's certificate is not trusted: {cause.verify_message}"
        case TimeoutError():
            why = "no mirror answers in time"
        case _:
            why = f"no mirror answers: {cause.strerror or cause}"
    proxies = {} if os.environ.get("no_proxy") == "*" else urllib.request.getproxies()
    proxy = proxies.get("https") or proxies.get("http")
    # its name and password, if there are, stay out of what may be shown to others
    return f"{why}; the proxy is {proxy.rpartition('@')[2]}" if proxy else why


def is_device_error(error: BaseException) -> bool:
    """Whether a GPU, its driver or its libraries refused to compute, as PyTorch says it."""
    said = (
        "cuda error", "cuda driver", "cudnn", "cublas", "no kernel image", "nvidia driver",
        "not compiled with cuda", "hip error", "the mps device", "mps backend",
    )  # fmt: skip
    if isinstance(error, RuntimeError | AssertionError):  # NotImplementedError is a RuntimeError
        return any(words in str(error).lower() for words in said)
    return False


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its kind where it says nothing."""
    lines = str(error).strip().splitlines() or [""]
    quoted = lines[0][:MAX_QUOTED]
    if quoted != lines[0] and " " in quoted:
        quoted = f"{quoted.rsplit(maxsplit=1)[0]} ..."
    return quoted or type(error).__name__


def first_sentence(error: BaseException) -> str:
    """The first sentence of that, without its full stop; PyTorch adds paragraphs of advice."""
    return first_line(error).split(". ", 1)[0].rstrip(".")


def line_in(error: BaseException, path: Path) -> int | None:
    """The line of the file at `path` where the error came up, the innermost; None outside it."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((f.lineno for f in reversed(frames) if f.filename == str(path)), None)
