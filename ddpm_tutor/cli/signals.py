"""The signals that ask a command to end: Ctrl-C, a shutdown, a terminal that was closed."""

import _thread
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from ddpm_tutor.errors import Stopped, TutorError, is_noticed

AT_ONCE = 1.0  # seconds from a signal to the error that it led to
LOST = 4.0  # seconds after which an exception that has not come through never will
# Windows has no SIGHUP
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
ENDING = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


def ending(number: int) -> BaseException:
    """The exception that ends a command in an orderly way after the signal `number`."""
    return KeyboardInterrupt() if number == signal.SIGINT else Stopped(number)


@contextmanager
def signals_by_name() -> Iterator[None]:
    """Ends a command that is asked to end by a signal, as by Ctrl-C: temporary files are removed.

    An error that the signal led to gets its name: in the middle of an import it can end as an
    ImportError, or worse. There it can also be lost, in code that catches everything; then it is
    raised again. Who catches a KeyboardInterrupt and goes on says so with `notice`.
    """
    came, last = -AT_ONCE, signal.SIGINT.value
    raised: BaseException | None = None
    watch = threading.Timer(0, lambda: None)

    def note(number: int, frame: Any) -> None:
        nonlocal came, last, raised
        again = time.monotonic() - came < AT_ONCE
        if again and number != signal.SIGINT:
            return  # a closed terminal says so twice: what is being tidied up is to be finished
        came, last, raised = time.monotonic(), number, ending(number)
        call_again(number, raised)
        raise raised

    def call_again(number: int, lost: BaseException) -> None:
        """Sends the signal once more where `lost` has got lost."""
        nonlocal watch

        def send() -> None:
            if raised is lost and not is_noticed(lost):
                _thread.interrupt_main(signal.Signals(number))

        watch.cancel()
        watch = threading.Timer(LOST, send)
        watch.daemon = True
        watch.start()

    with signals_to(note):
        try:
            yield
        except (TutorError, typer.Exit, typer.Abort):
            raise
        except Exception:
            if time.monotonic() - came < AT_ONCE:
                raise ending(last) from None
            raise
        finally:
            raised = None
            watch.cancel()


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
