"""`evaluate --bits`: how many bits is a digit?"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.cli.shared_options import Device, open_checkpoint

if TYPE_CHECKING:
    from ddpm_tutor.science.bits import Bound, ReverseProcess
    from ddpm_tutor.storage.checkpoints import Checkpoint


def evaluate_bits(
    console: Console,
    n: int,
    seed: int,
    checkpoint: Path | None,
    data: Path | None,
    device: Device,
    as_json: bool,
) -> None:
    """The bound on unseen digits, in parts; on the screen or as JSON."""
    from ddpm_tutor.classroom.session import Session, show_download, using
    from ddpm_tutor.screen.bits import explained
    from ddpm_tutor.storage.digits import load_unseen_digits

    with console.status("Loading the model ..."):
        trained = open_checkpoint(checkpoint, device, 1)
    with using(Session(console=console)):
        digits = load_unseen_digits(data, progress=show_download)
        images = chosen(digits.images, n, seed)
        settings = {"n": len(images), "seed": seed, "digits": digits.source}
        console.print(Text(f"{len(images):,} digits: {digits.source}", "bold"))
        if trained.conditional:
            console.print(Text("Without labels, as others report it.", "dim"))
        if len(images) < n:
            console.print(Text(f"There are no more than {len(images):,} of them.", "yellow"))
        bounds = estimated(console, trained, images, seed, device)
    if not as_json:
        console.print(explained(bounds, digits.mnist))
        return
    report = {
        **settings,
        "checkpoint": str(checkpoint) if checkpoint else "shipped",
        "bounds": [plain(process, bound) for process, bound in bounds.items()],
    }
    typer.echo(json.dumps(report, indent=2))


def chosen(images: Any, n: int, seed: int) -> Any:
    """So many of the images, as the seed shuffles them: MNIST's first test digits are easier."""
    import torch

    from ddpm_tutor.science.noise import stream

    return images[torch.randperm(len(images), generator=stream(seed, "test digits"))[:n]]


def processes_of(trained: "Checkpoint") -> "list[ReverseProcess]":
    """The p_theta to compare, first the one that the network is for."""
    from ddpm_tutor.science.bits import ReverseProcess, default_process

    processes = [
        default_process(trained.model),
        ReverseProcess(),
        ReverseProcess(first="beta_1"),
        ReverseProcess(clip=True),
        ReverseProcess(first="beta_1", push_black=True),
        ReverseProcess("beta"),
        ReverseProcess("beta", "beta_1"),
    ]
    return list(dict.fromkeys(processes))


def estimated(
    console: Console, trained: "Checkpoint", images: Any, seed: int, device: Device
) -> "dict[ReverseProcess, Bound]":
    """The bound under each process, with a progress bar."""
    from ddpm_tutor.classroom.session import track
    from ddpm_tutor.science.bits import Bound, bounds_of, chunk_size
    from ddpm_tutor.science.devices import choose_device

    where = choose_device(device.value)
    console.print(Text(f"Computing on {where}.", "dim"))
    trained.model.to(where)
    processes = processes_of(trained)
    total = -(-len(images) // chunk_size(trained.model))
    found = bounds_of(trained.model, trained.schedule, images, processes, seed=seed)
    chunks = list(track(found, total, f"Counting bits of {len(images):,} digits"))
    return {
        process: Bound.joined([chunk[i] for chunk in chunks]) for i, process in enumerate(processes)
    }


def plain(process: "ReverseProcess", bound: "Bound") -> dict[str, Any]:
    """A bound as JSON can hold it: bits/dim with their standard errors."""
    from ddpm_tutor.science.bits import mean_of
    from ddpm_tutor.science.bound import bits_per_dim

    def figure(nats: Any) -> dict[str, float]:
        return dataclasses.asdict(mean_of(bits_per_dim(nats)))

    return {
        **dataclasses.asdict(process),
        "bits_per_dim": figure(bound.nats),
        "L_T": figure(bound.prior),
        "L_0": figure(bound.decoder),
        "steps": [
            {"from": p.start, "to": p.stop - 1, **figure(bound.between(p.start, p.stop - 1))}
            for p in bound.parts
        ],
        "border": figure(bound.border),
    }
