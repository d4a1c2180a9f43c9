"""How the threads of one process wait for each other: without holding up another process."""

import os
import platform

SPINS = "20000"  # about a millisecond; GNU OpenMP's own choice is 300,000
CHOSEN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")  # where the user has said it, that stands


def wait_briefly() -> None:
    """Lets idle threads of GNU OpenMP, which torch computes with, go to sleep sooner.

    A thread that waits for the others first spins: it keeps its core busy, so as to go on at once.
    Beside a second busy process the others may not have a core at all just then, and spinning keeps
    it from them; two such processes on two cores slow each other tenfold. A millisecond is longer
    than the pauses between two operations and short enough to get out of the way.

    It must be called before torch is loaded. Elsewhere than on Linux with x86 it does nothing.
    """
    measured = platform.system() == "Linux" and platform.machine() == "x86_64"
    if measured and not any(name in os.environ for name in CHOSEN):
        os.environ["GOMP_SPINCOUNT"] = SPINS
