"""Several processes for one command, as torchrun starts them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from ddpm_tutor.cli.options import Device

if TYPE_CHECKING:
    import torch
    from torch import Tensor


class Process(NamedTuple):
    """One of `world_size` processes; number 0 shows and writes."""

    rank: int
    world_size: int
    device: "torch.device"


def is_first() -> bool:
    """Whether this is the process that shows and writes; so is one that is alone."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def processes(device: Device) -> Iterator[Process]:
    """Joins the other processes when started by torchrun."""
    import torch
    import torch.distributed as dist

    from ddpm_tutor.science.devices import choose_device

    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    where = choose_device(device.value)
    if world_size == 1:
        yield Process(0, 1, where)
        return
    if where.type == "cuda":
        where = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(where)
    dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    try:
        yield Process(dist.get_rank(), world_size, where)
    finally:
        dist.destroy_process_group()


def collect(images: "Tensor", process: Process | None) -> "list[Tensor]":
    """The images of all processes, in the order of their ranks, at the first; none elsewhere."""
    if process is None or process.world_size == 1:
        return [images]
    import torch.distributed as dist

    parts: list[Tensor | None] = [None] * process.world_size
    dist.gather_object(images, parts if process.rank == 0 else None)
    return [part for part in parts if part is not None]
