"""What is typed while a step computes stays out of its output, and is no answer to a question."""

import contextlib
import sys
from collections.abc import Iterator

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]


@contextlib.contextmanager
def showing_keys(shown: bool) -> Iterator[None]:
    """Shows what is typed, or not, for a while; keys that were hidden are dropped at its end.

    Where there is no terminal, and on Windows, nothing changes.
    """
    if termios is None or not sys.stdin.isatty():
        yield
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    now = list(before)
    now[3] = now[3] | termios.ECHO if shown else now[3] & ~termios.ECHO  # [3]: the local modes
    dropping, keeping = termios.TCSAFLUSH, termios.TCSANOW
    try:
        termios.tcsetattr(terminal, dropping if shown else keeping, now)
        yield
    finally:
        termios.tcsetattr(terminal, keeping if shown else dropping, before)
