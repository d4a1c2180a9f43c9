"""The signals that ask a command to end: Ctrl-C, a shutdown, a terminal that was closed."""

import errno
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ddpm_tutor.errors import Stopped

# Windows has no SIGHUP
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
ENDING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


def ending(number: int) -> BaseException:
    """The exception that ends a command in an orderly way after the signal `number`."""
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)


@contextmanager
def signals_to(handler: Callable[[int, Any], None]) -> Iterator[None]:
    """Hands the signals that ask us to end to `handler`.

    A signal that is ignored, as SIGHUP under nohup, stays ignored.
    """

    def handle(number: int, frame: Any) -> None:
        if number != signal.SIGINT:
            leave_closed_terminal()
        handler(number, frame)

    before = {}
    if threading.current_thread() is threading.main_thread():  # no other may
        for number in ENDING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def leave_closed_terminal() -> None:
    """Lets what is still said go nowhere where the terminal has gone: it would be an error."""
    try:
        import termios
    except ImportError:  # Windows
        return
    for stream in (1, 2):
        try:
            termios.tcgetattr(stream)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
