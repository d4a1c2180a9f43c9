"""How Python and the C library handle memory in a command: it is short, and loads torch."""

import atexit
import ctypes
import gc
import os

MANY_OBJECTS = 100_000  # new ones after which Python looks for garbage; else it is 2,000 at most


def search_less_for_garbage() -> None:
    """Lets Python look for unreachable objects less often, and not at all when it ends.

    Torch brings 180,000 objects that stay. To go through them again and again while it loads, and
    once more at the end, would take half a second of each command.
    """
    gc.set_threshold(MANY_OBJECTS)
    atexit.register(gc.freeze)


def keep_freed_memory() -> None:
    """Lets this process keep the memory of large tensors that are gone, for the next ones.

    By default glibc gives large blocks back to the system, which hands them out again page by
    page, cleared: a quarter of the time of drawing 50 digits at once, or of a training step of
    `UNet`. Elsewhere this does nothing.
    """
    if "CS_GNU_LIBC_VERSION" in getattr(os, "confstr_names", {}):
        mallopt, trim_threshold, mmap_threshold = ctypes.CDLL(None).mallopt, -1, -3
        if mallopt(mmap_threshold, 2**30):  # some versions take no more than 32 MiB
            mallopt(trim_threshold, 2**31 - 1)
