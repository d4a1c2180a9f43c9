"""The keys that a learner types: one at a time to the stepper, a whole line to a question.

What is typed while a step computes stays out of its output, and is no answer to a question.
"""

import codecs
import contextlib
import itertools
import os
import re
import select
import signal
import sys
import threading
from collections.abc import Iterator
from typing import IO, Any

try:
    import termios
except ImportError:  # Windows
    termios = None  # type: ignore[assignment]


# what terminals send for one key: Esc alone, Esc with more, or a single character
KEY = re.compile(
    r"\x1b\[\[[A-E]"  # F1 to F5 of a Linux console
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # arrows, Page Up, F5, ...
    r"|\x1bO[0-9;]*[@-~]"  # arrows and the number pad of a terminal in application mode
    r"|\x1b[^\x1b]?"  # Esc, or Alt and a key
    r"|.",
    re.DOTALL,
)
UNFINISHED = re.compile(r"\x1b(\[\[?[0-?]*[ -/]*|O[0-9;]*)?\Z")
SEQUENCE = re.compile(r"\x1b[\[O](\d*)[\d;:]*([A-D~])")
SEQUENCES = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "5~": "page up",
    "6~": "page down",
}
ON_WINDOWS = {
    "H": "up",
    "P": "down",
    "M": "right",
    "K": "left",
    "I": "page up",
    "Q": "page down",
}
SAME = {"\n": "\r", "\x1bOM": "\r", "\x04": "q"}  # Enter of the number pad; Ctrl-D
NEXT = ("\r", " ", "right", "down", "page down")
BACK = ("b", "left", "up", "page up")
REST_SECONDS = 0.05  # the rest of a key that came in part is not longer on its way

REPORT = "\x1b[<"  # how a report of the mouse begins
# of buttons, of moves while one is held, with places in digits (xterm, and nearly all others)
MOUSE_MODES = (1000, 1002, 1006)

_waiting: list[str] = []  # keys that came together with one that has been read


def in_notebook() -> bool:
    """Whether a notebook's cell started this: `!` there gives a terminal in which nobody types.

    A kernel is known by what Jupyter or ipykernel puts into its environment. The shell of a
    terminal inside JupyterLab or VS Code is no child of a kernel.
    """
    look = {"TERM": "xterm-color", "CLICOLOR_FORCE": "1", "GIT_PAGER": "cat"}
    ipykernel = all(os.environ.get(name) == value for name, value in look.items())
    return ipykernel or "JPY_PARENT_PID" in os.environ


def is_terminal(stream: Any) -> bool:
    """Whether the stream is a terminal; one that is closed, or was never there, is none."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def read_key() -> str:
    """One key, as soon as it is typed: its character, "\\r" for Enter, or a name such as "left".

    Capital letters count as small ones; keys without a character and a name are passed over. The
    end of input reads as q. Keys that were typed before they could be asked for are dropped.
    """
    if termios is None:
        return _windows_key()
    if os.environ.get("TERM") == "dumb":  # such as a shell inside Emacs, which sends whole lines
        line = sys.stdin.readline()
        return (line.strip()[:1].lower() or "\r") if line else "q"
    while not _waiting:
        with _modes(off=termios.ICANON | termios.ECHO, drop=True):
            _waiting.extend(_typed(sys.stdin.fileno()))
    return _waiting.pop(0)


def forget_keys() -> None:
    """Drops the keys that came together with the one that was read last, such as a paste."""
    _waiting.clear()


def keys_of(text: str, mouse: bool = False) -> list[str]:
    """The keys, as `read_key` returns them, for which a terminal sends this text.

    Args:
        mouse: whether its reports count, each as it is sent.
    """

    def key(sent: str) -> str:
        return sent if mouse and sent.startswith(REPORT) else _key(sent)

    return [name for match in KEY.finditer(text) if (name := key(match[0]))]


def _key(sent: str) -> str:
    """The key for which a terminal sends this; "" for one that means nothing to us."""
    if sent in SAME:
        return SAME[sent]
    if len(sent) == 1:
        return sent.lower()
    found = SEQUENCE.fullmatch(sent)
    if not found:
        return ""
    number, end = found.groups()  # with the end "~" the number is the key, else Shift or Ctrl
    return SEQUENCES.get(number + end if end == "~" else end, "")


@contextlib.contextmanager
def keys_as_they_come(screen: IO[str]) -> Iterator[Iterator[list[str]]]:
    """All that is typed for a while, none of it shown or dropped: the keys of one read at a time.

    Reports of the mouse are among them, as the terminal sends them, where `screen` reports it.
    Ctrl-Z is a key.
    """
    if termios is None:
        yield ([_windows_key()] for _ in itertools.count())
        return
    terminal = sys.stdin.fileno()
    with _modes(off=termios.ICANON | termios.ECHO, drop=True, drop_after=True):
        modes = termios.tcgetattr(terminal)
        modes[6][termios.VSUSP] = b"\0"  # a stopped program would leave the mouse to the shell
        termios.tcsetattr(terminal, termios.TCSANOW, modes)
        try:
            screen.write("".join(f"\x1b[?{mode}h" for mode in MOUSE_MODES))
            screen.flush()
            yield (_typed(terminal, mouse=True) for _ in itertools.count())
        finally:
            screen.write("".join(f"\x1b[?{mode}l" for mode in MOUSE_MODES))
            screen.flush()


def _typed(terminal: int, *, mouse: bool = False) -> list[str]:
    """The keys that come in one read, or in two where the first ends in the middle of a key."""
    decoder = codecs.getincrementaldecoder(sys.stdin.encoding or "utf-8")("replace")
    text = ""
    while True:
        try:
            sent = os.read(terminal, 4096)
        except OSError:  # the terminal is gone
            sent = b""
        if not sent:
            return ["q"]
        text += decoder.decode(sent)
        more_to_come = decoder.getstate()[0] or UNFINISHED.search(text)
        if not more_to_come or not select.select([terminal], [], [], REST_SECONDS)[0]:
            return keys_of(text, mouse)


def _windows_key() -> str:
    import typer

    while True:
        try:
            sent = typer.getchar()
        except EOFError:  # Ctrl-Z
            return "q"
        if sent[:1] in ("\x00", "\xe0") and len(sent) == 2:
            key = ON_WINDOWS.get(sent[1], "")
        else:
            key = _key(sent)
        if key:
            return key


@contextlib.contextmanager
def showing_keys(shown: bool) -> Iterator[None]:
    """Shows what is typed, or not, for a while; keys that were hidden are dropped at its end.

    Where there is no terminal, and on Windows, nothing changes.
    """
    if termios is None or not is_terminal(sys.stdin):
        yield
        return
    if shown:
        with _modes(on=termios.ECHO, drop=True):
            yield
    else:
        with _modes(off=termios.ECHO, drop_after=True):
            yield


@contextlib.contextmanager
def _modes(
    on: int = 0, off: int = 0, *, drop: bool = False, drop_after: bool = False
) -> Iterator[None]:
    """Local modes of the terminal for a while; drops unread keys at the beginning or the end."""
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    now = [*before[:6], [*before[6]]]
    now[3] = now[3] & ~off | on  # [3]: the local modes
    if off & termios.ICANON:
        now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0  # a read ends with the first key
    try:
        with _suspending(terminal, before):
            _set(terminal, now, drop)
            yield
    finally:
        _set(terminal, before, drop_after)


def _set(terminal: int, modes: list[Any], drop: bool) -> None:
    if drop:
        forget_keys()
    termios.tcsetattr(terminal, termios.TCSAFLUSH if drop else termios.TCSANOW, modes)


@contextlib.contextmanager
def _suspending(terminal: int, before: list[Any]) -> Iterator[None]:
    """Ctrl-Z gives the shell its terminal as it was `before`; on `fg` we take it as we left it."""
    in_main = threading.current_thread() is threading.main_thread()
    # inside another of these, the outer one knows how the shell's terminal was
    if not in_main or signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:
        yield
        return

    def suspend(number: int, frame: Any) -> None:
        ours = termios.tcgetattr(terminal)
        termios.tcsetattr(terminal, termios.TCSANOW, before)
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # here we stop
        signal.signal(signal.SIGTSTP, suspend)
        if os.tcgetpgrp(terminal) == os.getpgrp():  # after `bg` it stays the shell's
            termios.tcsetattr(terminal, termios.TCSANOW, ours)

    signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
