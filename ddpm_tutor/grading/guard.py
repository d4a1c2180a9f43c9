"""What somebody else's code may not do while it is checked: start programs, talk, change files.

A hook of the interpreter sees what Python code asks the system for, and cannot be taken out again.
It stops accidents and mischief. It is no jail: who knows the interpreter well gets past it.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ddpm_tutor.files import bundled

# by what the interpreter calls it (see "Audit events table" in Python's documentation)
REFUSED = {
    "start another program or process": (
        "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile",
        "os.system", "pty.spawn", "subprocess.Popen",
    ),
    "end a process": ("os.kill", "os.killpg", "signal.pthread_kill"),
    "use the network": (
        "socket.bind", "socket.connect", "socket.getaddrinfo", "socket.gethostbyname",
        "socket.sendmsg", "socket.sendto", "urllib.Request",
    ),
    "change files": (
        "os.chflags", "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.rename",
        "os.rmdir", "os.setxattr", "os.symlink", "os.truncate", "os.utime", "sqlite3.connect",
    ),
    "load another library": ("ctypes.dlopen",),
}  # fmt: skip
WHAT = {event: what for what, events in REFUSED.items() for event in events}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def guard() -> Callable[[], None]:
    """From here on, this process refuses what checked code has no business to do, by an error.

    Returns:
        what lets everything through again.
    """
    active = True
    answers = bundled("exercises").resolve()

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if not active:
            return
        if what := WHAT.get(event):
            raise PermissionError(f"A check does not let code {what} ({event}).")
        if event != "open" or not isinstance(given[0], str | bytes | os.PathLike):
            return
        path, _, flags = given
        if flags & WRITING and os.fsdecode(path) != os.devnull:
            raise PermissionError("A check does not let code change files (open).")
        if answers in Path(os.path.realpath(os.fsdecode(path))).parents:
            raise PermissionError("A check does not let code read the answers (open).")

    def lift() -> None:
        nonlocal active
        active = False

    sys.dont_write_bytecode = True
    sys.addaudithook(hook)
    return lift
