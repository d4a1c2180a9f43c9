"""The command line. Each command imports what it needs when it runs: --help does not wait."""

import sys

from ddpm_tutor.cli.home import find_a_home
from ddpm_tutor.cli.memory import keep_freed_memory, search_less_for_garbage
from ddpm_tutor.cli.threads import wait_briefly


def main() -> None:
    """The command `ddpm-tutor`."""
    find_a_home()
    search_less_for_garbage()
    keep_freed_memory()
    wait_briefly()
    try:
        from ddpm_tutor.cli.app import app, speak_plainly
    except KeyboardInterrupt:
        sys.exit(130)  # later the commands see to it themselves

    speak_plainly()
    if "--debug" in sys.argv:  # it may stand anywhere
        sys.argv.remove("--debug")
        sys.argv.insert(1, "--debug")
    app(prog_name="ddpm-tutor")
