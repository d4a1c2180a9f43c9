"""The command line. Each command imports what it needs when it runs: --help does not wait."""

import atexit
import gc
import sys

MANY_OBJECTS = 100_000  # new ones after which Python looks for garbage; its own choice is 2,000


def main() -> None:
    """The command `ddpm-tutor`."""
    search_less_for_garbage()
    try:
        from ddpm_tutor.cli.app import app, speak_plainly
    except KeyboardInterrupt:
        sys.exit(130)  # later the commands see to it themselves

    speak_plainly()
    if "--debug" in sys.argv:  # it may stand anywhere
        sys.argv.remove("--debug")
        sys.argv.insert(1, "--debug")
    app(prog_name="ddpm-tutor")


def search_less_for_garbage() -> None:
    """Lets Python look for unreachable objects less often, and not at all when it ends.

    Torch brings 180,000 objects that stay. To go through them again and again while it loads, and
    once more at the end, would take half a second of each command.
    """
    gc.set_threshold(MANY_OBJECTS)
    atexit.register(gc.freeze)
