"""What is typed while a step computes stays out of its output."""

import contextlib
import sys
from collections.abc import Iterator

try:
    import termios
except ImportError:  # Windows shows no key before it is read
    termios = None  # type: ignore[assignment]


@contextlib.contextmanager
def echo(on: bool) -> Iterator[None]:
    """Shows what is typed, or not, for a while; what was typed before, unseen, is dropped.

    Where there is no terminal, nothing changes.
    """
    if termios is None or not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    now = list(before)
    now[3] = now[3] | termios.ECHO if on else now[3] & ~termios.ECHO  # [3]: the local modes
    termios.tcsetattr(terminal, termios.TCSAFLUSH if on else termios.TCSANOW, now)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)
