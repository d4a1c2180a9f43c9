"""The command line. Each command imports what it needs when it runs: --help does not wait."""

import contextlib
import os
import sys
from typing import NoReturn

from ddpm_tutor.cli.home import find_a_home
from ddpm_tutor.cli.memory import keep_freed_memory, search_less_for_garbage
from ddpm_tutor.cli.threads import wait_briefly
from ddpm_tutor.errors import INTERRUPTED


def main() -> None:
    """The command `ddpm-tutor`."""
    find_a_home()
    search_less_for_garbage()
    keep_freed_memory()
    wait_briefly()
    try:
        from ddpm_tutor.cli.app import app, speak_plainly
    except KeyboardInterrupt:
        end_at_once(INTERRUPTED)  # later the commands see to it themselves

    speak_plainly()
    if "--debug" in sys.argv:  # it may stand anywhere
        sys.argv.remove("--debug")
        sys.argv.insert(1, "--debug")
    try:
        app(prog_name="ddpm-tutor")
    except SystemExit as end:
        if end.code == INTERRUPTED:
            end_at_once(INTERRUPTED)
        raise


def end_at_once(code: int) -> NoReturn:
    """Ends this process without Python's tidying up: a library half loaded can crash in it."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)
