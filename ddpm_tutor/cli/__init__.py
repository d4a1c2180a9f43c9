"""The command line. Each command imports what it needs when it runs: --help does not wait."""

import io
import logging
import os
import sys


def main() -> None:
    """The command `ddpm-tutor`."""
    speak_plainly()
    try:
        from ddpm_tutor.cli.app import app
    except KeyboardInterrupt:
        sys.exit(130)  # the commands say so themselves: see `app`

    if "--debug" in sys.argv:  # it may stand anywhere
        sys.argv.remove("--debug")
        sys.argv.insert(1, "--debug")
    app(prog_name="ddpm-tutor")


def speak_plainly() -> None:
    """Lets a terminal that knows no √ show a question mark, and one that is closed show nothing."""
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it talks about where it caches fonts
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
