"""The command that trains: Algorithm 1 on MNIST, with live numbers and pictures."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ddpm_tutor.cli.own_code import own_training
from ddpm_tutor.cli.processes import is_first, processes, rank_of_world
from ddpm_tutor.cli.shared_options import (
    DataOption,
    Device,
    DeviceOption,
    SeedOption,
    a_number,
    a_path,
    find_digits,
)
from ddpm_tutor.cli.signals import ending, signals_to
from ddpm_tutor.commands import command
from ddpm_tutor.errors import UsageError
from ddpm_tutor.screen.console import make_console
from ddpm_tutor.storage.run_folders import check_run_folder
from ddpm_tutor.words import count_of

if TYPE_CHECKING:
    from ddpm_tutor.science.training import StepReport
    from ddpm_tutor.storage.digits import Digits
    from ddpm_tutor.storage.film_strip import FilmStrip
    from ddpm_tutor.storage.training_run import EpochReport, Run


SAVE_SECONDS = 300  # of training are lost at most when the machine goes down
EARLY = (0.25, 0.5)  # of the first epoch, when pictures change fastest


class Network(StrEnum):
    """Which network to train."""

    unet = "unet"
    lean = "lean"
    likelihood = "likelihood"


class Optimizer(StrEnum):
    """What makes a step of a gradient."""

    adam = "adam"
    muon = "muon"


LR = {Optimizer.adam: 1e-4, Optimizer.muon: 2e-3}  # where none is given


class Weighting(StrEnum):
    """Which time steps count for how much."""

    simple = "simple"
    logit_normal = "logit-normal"
    vlb = "vlb"


class LrSchedule(StrEnum):
    """How the learning rate changes."""

    constant = "constant"
    cosine = "cosine"


def train(
    conditional: Annotated[
        bool, typer.Option("--conditional/--unconditional", help="Train with labels or without.")
    ] = True,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training images.")] = 10,
    lr: Annotated[
        float | None,
        typer.Option(
            min=1e-8,
            max=1,
            callback=a_number,
            help="Learning rate; by default 1e-4, or 2e-3 for muon.",
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=8192, help="Images per step.")] = 128,
    width: Annotated[int, typer.Option(min=4, max=512, help="Channels of the first layers.")] = 64,
    network: Annotated[
        Network,
        typer.Option(
            help="unet is the assignment's network, lean ddpm-tutor's own; likelihood is lean "
            "with a learned variance, for --weighting vlb."
        ),
    ] = Network.unet,
    lr_schedule: Annotated[
        LrSchedule, typer.Option(help="cosine lets the learning rate fall to zero by the end.")
    ] = LrSchedule.constant,
    optimizer: Annotated[
        Optimizer, typer.Option(help="muon needs fewer steps than adam.")
    ] = Optimizer.adam,
    weight_decay: Annotated[
        float, typer.Option(min=0, max=1, callback=a_number, help="Weight decay, as in AdamW.")
    ] = 0.0,
    weighting: Annotated[
        Weighting,
        typer.Option(
            help="simple is Eq. 14; logit-normal trains most where digits take shape; vlb trains "
            "the bound, Eq. 5, with the weights of Eq. 12."
        ),
    ] = Weighting.simple,
    start_from: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            callback=a_path,
            help="Begin with these weights; `shipped` means those of ddpm-tutor itself.",
        ),
    ] = None,
    run_dir: Annotated[Path, typer.Option(callback=a_path, help="Folder of the run.")] = Path(
        "runs/mnist"
    ),
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in that folder; --epochs may be larger."),
    ] = False,
    data: DataOption = None,
    device: DeviceOption = Device.auto,
    seed: SeedOption = 0,
    with_my_code: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            callback=a_path,
            help="Train with your own functions: those in this folder that have passed.",
        ),
    ] = None,
) -> None:
    """Train a noise predictor: Algorithm 1 on MNIST."""
    console = make_console(quiet=not is_first())
    world_size = rank_of_world()[1]
    # what can be refused without torch is, before it is loaded
    if batch_size % world_size:
        raise UsageError(f"--batch-size must be a multiple of the {world_size} processes.")
    if with_my_code:
        refuse_clashes(weighting, world_size)
    check_run_folder(run_dir, resume)
    with console.status("Starting ..."):
        from ddpm_tutor.science.devices import choose_device, has_bf16
        from ddpm_tutor.science.training import TrainingConfig
        from ddpm_tutor.storage.training_run import Run, RunSettings

    with processes(device) as (rank, world_size, where), ExitStack() as stack:
        where = where or choose_device(device.value)
        config = TrainingConfig(
            epochs=epochs,
            batch_size=batch_size,
            lr=LR[optimizer] if lr is None else lr,
            lr_schedule=lr_schedule.value,
            optimizer=optimizer.value,
            weight_decay=weight_decay,
            weighting=weighting.value,
            seed=seed,
            bf16=has_bf16(where),
        )
        own = bool(with_my_code)
        settings = RunSettings(network.value, width, conditional, config, start_from, own)
        run = (Run.resume if resume else Run.start)(run_dir, settings, where)
        loop = own_training(console, with_my_code, conditional) if with_my_code else None
        # before anything is begun in the folder; a training is worth the wait for the network
        digits = find_digits(data, ask_again=True)
        if rank == 0:
            stack.enter_context(run.exclusive())
        run.take(digits)  # better to fail now than with a run begun
        announce(console, run, digits, world_size, device)
        if run.is_done(len(digits.train_images)):
            done = count_of(epochs, "epoch")
            console.print(Text(f"This run has already done its {done}.", "yellow"))
            return
        stopped = follow(console, run, digits, rank, world_size, loop)
        if stopped:
            console.print(Text("Stopped and saved. Go on with the same command and --resume."))
            raise ending(stopped)
        for name, what in run_results(conditional, run).items():
            console.print(Text.assemble((f"{name:15}", "dim"), (what, "bold cyan")), soft_wrap=True)


def refuse_clashes(weighting: Weighting, world_size: int) -> None:
    """Refuses what does not go together with the learner's own functions.

    Raises:
        UsageError: saying what.
    """
    if world_size > 1:
        raise UsageError("--with-my-code trains in one process: start it without torchrun.")
    if weighting != Weighting.simple:
        raise UsageError("--with-my-code trains on Eq. 14: leave --weighting out.")


def run_results(conditional: bool, run: "Run") -> dict[str, str]:
    """What to type and what to open to see what was learned."""
    what = ("gif", "--digit", 7) if conditional else ("sample", "--unconditional")
    return {
        "Draw with it:": command(*what, "--checkpoint", run.weights_file),
        "Score it:": command("evaluate", "--checkpoint", run.weights_file),
        "See it learn:": str(run.folder / "film_strip.gif"),
    }


def announce(
    console: Console, run: "Run", digits: "Digits", world_size: int, asked: Device
) -> None:
    """What will be trained, on what, where and why there."""
    parameters = sum(p.numel() for p in run.state.model.parameters()) / 1e6
    config = run.settings.training
    where = f"{run.device}" if world_size == 1 else f"{world_size} processes on {run.device.type}"
    kind = "conditional" if run.settings.conditional else "unconditional"
    lines = {
        "network": f"{run.settings.network}, width {run.settings.width}, {kind}, "
        f"{parameters:.1f} M parameters",
        "digits": f"{len(digits.train_images):,} for training, "
        f"{len(digits.validation_images):,} for validation",
        "from": digits.origin,
        "training": f"{count_of(config.epochs, 'epoch')}, batches of {config.batch_size}, "
        f"{config.optimizer.title()} at {config.lr:g}, "
        f"{'bfloat16' if config.bf16 else 'float32'}",
        "device": f"{where}: {why_there(run.device.type, asked)}",
        "weights": run.settings.start_from or "random",
        "run": f"{run.folder}"
        + (f", going on after step {run.state.step:,}" if run.state.step else ""),
    }
    for name, text in lines.items():
        say_fact(console, name, text)


def say_fact(console: Console, name: str, text: str) -> None:
    """A fact beside its name: one line in a file; further ones of a terminal are indented."""
    if not console.is_terminal:
        console.print(Text.assemble((f"{name:10}", "bold"), text), soft_wrap=True)
        return
    table = Table.grid(padding=0)
    table.add_column(width=10)
    table.add_column(overflow="fold")
    table.add_row(Text(name, "bold"), Text(text))
    console.print(table)


def why_there(device: str, asked: Device) -> str:
    """Why a training is on this device."""
    from ddpm_tutor.science.devices import available_devices

    if asked != Device.auto:
        return "as asked"
    if device != "cpu":
        return "training is long, and worth the start of a GPU"
    return "there is no other device" if len(available_devices()) == 1 else "no other can compute"


def follow(
    console: Console,
    run: "Run",
    digits: "Digits",
    rank: int,
    world_size: int,
    own: "Callable[..., Iterator[StepReport]] | None" = None,
) -> int:
    """Trains to the end with live numbers; the number of the signal that stopped it, or 0.

    Args:
        own: what trains with the learner's functions, where these are asked for.
    """
    from torch.nn.parallel import DistributedDataParallel

    from ddpm_tutor.science.training import steps_per_epoch, train
    from ddpm_tutor.screen.console import going_on_without
    from ddpm_tutor.storage.film_strip import FilmStrip, load_film_strip
    from ddpm_tutor.storage.training_run import EpochReport

    config = run.settings.training
    epoch_steps = steps_per_epoch(len(digits.train_images), config)
    total = epoch_steps * config.epochs
    call = DistributedDataParallel(run.state.model) if world_size > 1 else None
    early = {max(1, int(share * epoch_steps)): share for share in EARLY}
    bar = progress_bar(console, rank)
    task = bar.add_task(
        "",
        total=total,
        completed=run.state.step,
        epoch="",
        loss="–",
        validation=f", validation {run.history[-1].validation}" if run.history else "",
        rate=0.0,
    )
    strip = FilmStrip()
    with going_on_without(console, "the earlier film strip"):
        strip = load_film_strip(run.film_strip_file)
    if rank == 0 and run.state.step == 0:
        run.save()  # from now on the folder always holds a run to go on with
        extend(console, strip, run, 0)
    largest = agreement(world_size)
    smooth, since, saved = None, time.perf_counter(), time.monotonic()
    with stop_after_step(world_size) as stop, bar:
        reports = run.train(
            digits, call=call, rank=rank, world_size=world_size, algorithm_1=own or train
        )
        for report in reports:
            if isinstance(report, EpochReport):
                print_epoch(console, report, config.epochs)
                bar.update(task, validation=f", validation {report.validation}")
                extend(console, strip, run, report.epoch)
                save_loss_curve(console, run)
                since, saved = time.perf_counter(), time.monotonic()
                continue
            now = time.perf_counter()
            rate, since = config.batch_size / (now - since), now
            smooth = report.loss if smooth is None else 0.95 * smooth + 0.05 * report.loss
            shown = 0.9 * bar.tasks[task].fields["rate"] + 0.1 * rate
            epoch = f"{report.epoch}/{config.epochs}"
            bar.update(task, completed=report.step, epoch=epoch, loss=f"{smooth:.4f}", rate=shown)
            stopped = largest(stop())
            at_end = report.step % epoch_steps == 0  # validation comes next, and takes its time
            if rank == 0 and (stopped or at_end or time.monotonic() - saved > SAVE_SECONDS):
                run.save()
                saved = time.monotonic()
            if stopped:
                largest(0)  # the others wait for the save: torchrun ends all when one has ended
                return stopped
            if rank == 0 and report.step in early:
                extend(console, strip, run, early[report.step])
    return 0


def progress_bar(console: Console, rank: int) -> Progress:
    """The progress bar and its live numbers; only the first process of several shows one."""
    return Progress(
        TextColumn("epoch {task.fields[epoch]}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:.0f} %"),
        TextColumn("loss {task.fields[loss]}{task.fields[validation]}", "cyan"),
        TextColumn("{task.fields[rate]:.0f} images/s"),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
        disable=not console.is_terminal or rank > 0,
    )


@contextmanager
def stop_after_step(world_size: int) -> Iterator[Callable[[], int]]:
    """Lets a step be finished after Ctrl-C, or another signal that asks the command to end.

    A second Ctrl-C ends at once, except under torchrun, which passes the first one on to processes
    that have had it from the terminal already.

    Yields:
        a function that returns the number of the first signal received, or 0.
    """
    came: list[int] = []

    def remember(number: int, frame: Any) -> None:
        if world_size == 1 and came and number == came[0] == signal.SIGINT:
            raise KeyboardInterrupt
        came.append(number)

    with signals_to(remember):
        yield lambda: came[0] if came else 0


def agreement(world_size: int) -> Callable[[int], int]:
    """Tells each of the processes the largest number that one of them has.

    So all of them stop after the same step: one that stopped alone would leave the others waiting
    for its gradients.
    """
    if world_size == 1:
        return lambda number: number
    import torch
    import torch.distributed as dist

    group: Any = dist.new_group(backend="gloo")  # from CPU to CPU: no GPU has to finish first

    def largest(number: int) -> int:
        numbers = torch.tensor(number)
        dist.all_reduce(numbers, dist.ReduceOp.MAX, group=group)
        return int(numbers)

    return largest


def print_epoch(console: Console, report: "EpochReport", epochs: int) -> None:
    """The numbers of an epoch: a line that fits 80 columns, and one for further measures."""
    epoch = f"epoch {report.epoch}/{epochs}"
    console.print(
        f"{epoch}  train {report.train_loss:.4f}  validation {report.validation}  "
        f"{report.images_per_second:.0f} images/s  {report.seconds:.0f} s",
        highlight=False,
        soft_wrap=True,
    )
    more = [f"without labels {v}"] if (v := report.validation_unlabelled) else []
    more += [f"{report.bits_per_dim} bits/dim"] if report.bits_per_dim else []
    if more:
        line = f"{'':{len(epoch)}}  {'  '.join(more)}"
        console.print(Text(line, "dim"), highlight=False, soft_wrap=True)


def extend(console: Console, strip: "FilmStrip", run: "Run", epoch: float) -> None:
    """Adds what the averaged weights draw now to the run's film strip, and writes it."""
    from ddpm_tutor.pictures.film_strips import save_film_strip
    from ddpm_tutor.screen.console import going_on_without

    with going_on_without(console, "a row of the film strip"):
        strip.add(epoch, run.state.ema, run.schedule)
        strip.save(run.film_strip_file)
        save_film_strip(strip, run.folder)


def save_loss_curve(console: Console, run: "Run") -> None:
    """Training and validation loss by epoch, as a picture."""
    from ddpm_tutor.pictures.figures import loss_curve, save_figure_as
    from ddpm_tutor.screen.console import going_on_without

    train = [(report.epoch, report.train_loss) for report in run.history]
    validation = [(report.epoch, report.validation.mean) for report in run.history]
    with going_on_without(console, "loss.png"):
        save_figure_as(run.folder / "loss.png", loss_curve(train, validation), dpi=120)
