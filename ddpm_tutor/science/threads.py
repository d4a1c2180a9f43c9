"""How many threads of the CPU compute: all of them, but fewer where another program is busy.

Threads that share an operation wait for the slowest. Beside a program that never pauses one of them
is often without a core, and all the others wait for it: then one thread alone is quicker than two.
"""

import time
from collections.abc import Callable, Generator
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")

CROWDED = 0.8  # with less than this share of its cores' time a process is not alone
LOOK = 4  # calls over which the time is measured
KEEP = 60  # calls until it is measured again, where fewer threads are quicker


def quickest_threads(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, computed by as many threads as are quickest just now.

    While this process has its cores for itself, that is all of them, and nothing is tried. A
    network's prediction does not depend on it, to the bit. In a gradient sums are split between
    threads: it is the same up to rounding.
    """
    threads = torch.get_num_threads()
    if threads == 1:
        return function
    plan = plan_of_threads(threads)
    count = next(plan)

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        nonlocal count
        if torch.get_num_threads() != count:
            torch.set_num_threads(count)
        try:
            wall, cpu = time.perf_counter(), time.process_time()
            result = function(*args, **kwargs)
            count = plan.send((time.perf_counter() - wall, time.process_time() - cpu))
        finally:
            if torch.get_num_threads() != threads:
                torch.set_num_threads(threads)
        return result

    return run


def plan_of_threads(threads: int) -> Generator[int, tuple[float, float], None]:
    """Yields with how many threads to make the next call; is sent how long that took.

    Args:
        threads: how many there are.

    Is sent:
        the seconds that passed, and the seconds of computing of all threads in them.
    """
    while True:
        with_all, share = yield from measure(threads)
        if share > CROWDED:
            continue
        times = {threads: with_all}
        for fewer in {max(1, threads // 2), 1}:
            yield fewer  # the first call prepares what each number of threads needs
            times[fewer], _ = yield from measure(fewer)
        best = min(times, key=lambda count: times[count])
        for _ in range(KEEP):
            yield best


def measure(threads: int) -> Generator[int, tuple[float, float], tuple[float, float]]:
    """The mean time of a call with so many threads, and the share of their cores that they had."""
    wall = cpu = 0.0
    for _ in range(LOOK):
        passed, computed = yield threads
        wall, cpu = wall + passed, cpu + computed
    return wall / LOOK, cpu / (threads * wall)
