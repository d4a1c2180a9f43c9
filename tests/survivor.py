"""What processes of the tests do: a small training, or a command, ended early by this or that."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ddpm_tutor.errors import TutorError
from ddpm_tutor.science.training import StepReport, TrainingConfig
from ddpm_tutor.storage import film_strip
from ddpm_tutor.storage.digits import Digits, split
from ddpm_tutor.storage.training_run import Run, RunSettings

CPU = torch.device("cpu")
# five steps an epoch, 30 in all
SETTINGS = RunSettings("unet", 4, True, TrainingConfig(epochs=6, batch_size=8, lr=1e-3))


def bars() -> Digits:
    """44 images to train on and 4 to validate, no two alike.

    The row where the bar begins tells the label, the first pixel which image it is.
    """
    labels = torch.arange(48) % 10
    images = torch.zeros(48, 28, 28, dtype=torch.uint8)
    for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        image[2 * label + 3 : 2 * label + 7, 6:22] = 255
        image[0, 0] = 5 * i
    return split(images, labels, "bars made by a test")


def train(folder: Path, steps: int | None = None, pause: float = 0) -> None:
    """Starts the run in `folder`, or goes on with it, so many steps; saves and rests after each."""
    started = (folder / "state.pt").exists()
    run = (Run.resume if started else Run.start)(folder, SETTINGS, CPU)
    with run.exclusive():
        end = None if steps is None else run.state.step + steps
        for report in run.train(bars()):
            if isinstance(report, StepReport):
                run.save()
                time.sleep(pause)
                if report.step == end:
                    return


def enter_run(folder: Path, said: Path) -> None:
    """Begins to train in `folder`, or does not; writes "in", or why not, into the file `said`."""
    try:
        with Run(folder, SETTINGS, CPU).exclusive():
            said.write_text("in", encoding="utf-8")
    except TutorError as error:
        said.write_text(str(error), encoding="utf-8")


def enter(terminal: str) -> int:
    """Makes `terminal` the one that takes this process along when it goes."""
    os.setsid()
    return os.open(terminal, os.O_RDWR)  # the first that is opened becomes it


def train_in_a_terminal(terminal: str, folder: Path, pause: float) -> None:
    """A training in a terminal that may be closed."""
    file = enter(terminal)
    train(folder, pause=pause)
    os.close(file)


def command(
    words: list[str],
    folder: Path,
    environment: dict[str, str],
    terminal: str | None = None,
    ignored: tuple[int, ...] = (),
) -> None:
    """`ddpm-tutor` with these words; what it says goes into files called out and err.

    Args:
        terminal: speaks to it instead, and listens to it.
        ignored: signals that it is started without, as by nohup.
    """
    from ddpm_tutor.cli.app import app

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # it is found anew
    film_strip.STEPS = 2  # a training's pictures are soon drawn
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as from a terminal
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    there = None
    if terminal is not None:
        there = enter(terminal)
        os.dup2(there, 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    for stream, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, how) if there is None else there, stream)
        setattr(sys, f"std{name}", open(stream, "w", buffering=1, closefd=False))  # noqa: SIM115
    try:
        app(words, prog_name="ddpm-tutor")
    except SystemExit as end:
        os._exit(int(end.code or 0))


def before_each_call(begin: Callable[[int], None]) -> None:
    """Has `begin` told the number of each call that puts a file in place, before it is made."""
    calls: list[int] = []

    def watched(call):
        def instead(*words, **named):
            calls.append(1)
            begin(len(calls))
            return call(*words, **named)

        return instead

    for name in ("fsync", "replace", "chmod"):
        setattr(os, name, watched(getattr(os, name)))


def train_stopped(folder: Path, moment: int, how: str) -> None:
    """A step in which the call number `moment` of those that put files in place fails, or kills."""

    def stop(number: int) -> None:
        if number == moment and how == "killed":
            os._exit(9)
        if number == moment:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before_each_call(stop)
    train(folder, steps=1)


def train_copied(folder: Path, copies: Path) -> None:
    """A step; what a process that is killed at any moment leaves is in `copies`/1, /2, ...

    No more than that is on disk at that moment: what a process has not written goes with it.
    """

    def copy(number: int) -> None:
        subprocess.run(["cp", "-r", folder, copies / str(number)], check=True)

    copies.mkdir()
    before_each_call(copy)
    train(folder, steps=1)


def warm_up() -> None:
    """Makes this process import what PyTorch imports late, once and not in every fork of it.

    By one thread: a fork does not have the others, and would wait for them for ever.
    """
    torch.set_num_threads(1)
    import ddpm_tutor.cli.app  # noqa: F401

    with tempfile.TemporaryDirectory() as folder:
        train(Path(folder) / "run", steps=6)
