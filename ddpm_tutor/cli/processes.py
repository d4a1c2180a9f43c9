"""Several processes for one command, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from ddpm_tutor.cli.shared_options import Device
from ddpm_tutor.errors import TutorError, UsageError, first_sentence

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.distributed.distributed_c10d import Store

TIMEOUT = timedelta(minutes=2)  # until all processes are there: some disks are slow


class Process(NamedTuple):
    """One of `world_size` processes; number 0 shows and writes."""

    rank: int
    world_size: int
    device: "torch.device | None"  # None for one that is alone: it chooses for itself


def by_torchrun() -> bool:
    """Whether torchrun started this process.

    RANK and WORLD_SIZE alone say nothing: many clusters set them in every shell.
    """
    return "TORCHELASTIC_RUN_ID" in os.environ


def rank_of_world() -> tuple[int, int]:
    """Which of how many processes this one is; 0 of 1 where torchrun did not start it.

    Raises:
        UsageError: torchrun's variables make no sense.
    """
    if not by_torchrun():
        return 0, 1
    try:
        rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        if not 0 <= rank < world_size:
            raise ValueError
    except (KeyError, ValueError):
        found = ", ".join(f"{name}={os.environ.get(name)}" for name in ("RANK", "WORLD_SIZE"))
        raise UsageError(
            f"TORCHELASTIC_RUN_ID is set as by torchrun, but with {found}.\n"
            "Unset it, or start the command with torchrun."
        ) from None
    return rank, world_size


def is_first() -> bool:
    """Whether this is the process that shows and writes; so is one that is alone."""
    return rank_of_world()[0] == 0


@contextmanager
def processes(device: Device) -> Iterator[Process]:
    """Joins the other processes when started by torchrun.

    Raises:
        TutorError: they do not come.
    """
    import torch
    import torch.distributed as dist

    from ddpm_tutor.science.devices import choose_device

    rank, world_size = rank_of_world()
    if world_size == 1:
        yield Process(0, 1, None)
        return
    where = choose_device(device.value)
    backend = "gloo"
    if where.type == "cuda":
        number, backend = gpu_of(torch.cuda.device_count(), rank, world_size)
        where = torch.device("cuda", number)
        torch.cuda.set_device(where)
    store, backend = rendezvous(rank, world_size, backend)
    dist.init_process_group(backend, store=store, rank=rank, world_size=world_size)
    try:
        yield Process(rank, world_size, where)
    finally:
        dist.destroy_process_group()


def gpu_of(gpus: int, rank: int, world_size: int) -> tuple[int, str]:
    """Which GPU of this machine is this process's, and the backend that its processes can use."""
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    return local_rank % gpus, "nccl" if here <= gpus else "gloo"  # nccl wants a GPU for each


def rendezvous(rank: int, world_size: int, backend: str) -> "tuple[Store, str]":
    """The store through which the processes meet, and the backend that all of them can use.

    Raises:
        TutorError: some do not come.
    """
    import torch.distributed as dist
    from torch.distributed.constants import default_pg_timeout

    try:
        # public, and left out of its module's list of names
        meeting = dist.rendezvous("env://", rank, world_size, timeout=TIMEOUT)  # type: ignore[attr-defined]
        store, _, _ = next(meeting)
        store.set(f"backend of {rank}", backend)
        names = [f"backend of {other}" for other in range(world_size)]
        store.wait(names, TIMEOUT)
        backends = {store.get(name).decode() for name in names}
        store.set_timeout(default_pg_timeout)  # at work one may wait longer for another
    except (RuntimeError, ValueError) as error:
        raise TutorError(
            f"Not all of the {world_size} processes that torchrun announced have come "
            f"within {TIMEOUT.total_seconds():.0f} s ({first_sentence(error)}).\n"
            "Start it again, or run the command without torchrun."
        ) from error
    return store, backends.pop() if len(backends) == 1 else "gloo"


def collect(images: "Tensor", process: Process | None) -> "list[Tensor]":
    """The images of all processes, in the order of their ranks, at the first; none elsewhere."""
    if process is None or process.world_size == 1:
        return [images]
    import torch.distributed as dist

    parts: list[Tensor | None] = [None] * process.world_size
    dist.gather_object(images, parts if process.rank == 0 else None)
    return [part for part in parts if part is not None]
