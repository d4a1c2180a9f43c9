"""Processes that have loaded torch already: forks of a server that has done a small training.

A process that has trained cannot fork where there is a GPU: autograd has threads for it then, and
does not work in the fork. The server sees no GPU.
"""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def forked(work: Callable[..., object], *words: object) -> ForkServerProcess:
    """Does `work` in a process of its own, which ends with 0, or 1 after an error.

    It has the environment and the folder that the server began in.
    """
    with pytest.MonkeyPatch.context() as patch:  # of the server, where it does not run yet
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("PYTHONPATH", str(HERE), prepend=os.pathsep)
        if hasattr(os, "fork"):
            multiprocessing.set_forkserver_preload(["survivor_server"])
            forkserver.ensure_running()
    how = "forkserver" if hasattr(os, "fork") else "spawn"  # Windows loads torch each time
    child = multiprocessing.get_context(how).Process(target=work, args=words)
    child.start()
    return child


def end_of(child: ForkServerProcess) -> int | None:
    """Waits for a process: its exit code, or the negative number of the signal that ended it."""
    child.join(200)
    return child.exitcode
