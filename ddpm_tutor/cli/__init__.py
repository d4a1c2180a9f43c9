"""The command line. Each command imports what it needs when it runs: --help does not wait."""

import atexit
import gc
import sys

MANY_OBJECTS = 100_000  # that Python makes before it looks for garbage; by itself it waits for 700


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
    """Torch brings half a million objects that stay to the end.

    Python would look through them for garbage again and again while they load, and once more when
    it ends.
    """
    gc.set_threshold(MANY_OBJECTS)
    atexit.register(gc.freeze)
