"""A training run on disk: weights, the state to resume from, and a log that a program can read.

run/state.pt              all that is needed to go on
run/weights.safetensors   the averaged weights, as of the last save
run/log.jsonl             one line an epoch
run/film_strip.npz        what it drew as it learned (written by the caller)
run/config.json           the settings, and which digits it was trained on

The state is written first and the others follow from it: whatever a kill keeps from being written
is written when the run goes on.
"""

import dataclasses
import json
import platform
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout
from torch import nn

from ddpm_tutor.errors import TutorError, UsageError, is_out_of_memory
from ddpm_tutor.files import make_folder, remove_leftovers, replacing
from ddpm_tutor.science.bits import estimate_bound, mean_of
from ddpm_tutor.science.bound import bits_per_dim
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.science.training import (
    Diverged,
    StepReport,
    TrainingConfig,
    TrainingState,
    batch_that_fits,
    steps_per_epoch,
    train,
)
from ddpm_tutor.science.validation_loss import Estimate, validation_loss
from ddpm_tutor.storage.checkpoints import (
    NUM_CLASSES,
    build_network,
    load_checkpoint,
    network_name,
    save_checkpoint,
)
from ddpm_tutor.storage.digits import Digits
from ddpm_tutor.storage.run_folders import (
    LOG,
    STATE,
    WEIGHTS,
    FolderTaken,
    RunExists,
    check_run_folder,
)
from ddpm_tutor.words import count_of

EARLIER_NAMES = {"one-cycle": "cosine", "middle": "logit-normal"}  # of settings
SHIPPED = "shipped"  # the name of the weights that come with the package
BOUND_IMAGES = 100  # whose bound is estimated after an epoch: some 10 seconds of one core
FILES = (
    WEIGHTS, STATE, LOG, "config.json",
    "film_strip.npz", "film_strip.png", "film_strip.gif", "loss.png",
)  # fmt: skip


class FolderBusy(TutorError):
    """Another process is training there."""


class RunDamaged(TutorError):
    """The state of a run cannot be read."""


class OtherSettings(TutorError):
    """A run was started with other settings than it is resumed with."""


class OtherDigits(TutorError):
    """A run was started on other digits than it is resumed on."""


class UnknownLabels(TutorError):
    """There are labels that the network does not know."""


class OtherNetwork(UsageError):
    """The weights to start from are of another network than the one to be trained."""

    def __init__(self, network: str, width: int, conditional: bool) -> None:
        super().__init__("The weights to start from are of another network.")
        self.network, self.width, self.conditional = network, width, conditional


class TrainingLost(TutorError):
    """A training has diverged; `lr` is a learning rate to try."""

    def __init__(self, message: str, lr: float) -> None:
        super().__init__(message)
        self.lr = lr


class BatchTooLarge(TutorError):
    """A batch does not fit into memory; one of `fits` images does, if that is not 0."""

    def __init__(self, message: str, fits: int) -> None:
        super().__init__(message)
        self.fits = fits


@dataclass(frozen=True)
class RunSettings:
    """What a run was started with; a resumed run must have the same, or more epochs."""

    network: str = "unet"
    width: int = 64
    conditional: bool = True
    training: TrainingConfig = field(default_factory=TrainingConfig)
    start_from: str | None = None  # a checkpoint to begin with, or SHIPPED; None: random weights
    own_code: bool = False  # whether a learner's functions take the place of the package's

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)


@dataclass(frozen=True)
class EpochReport:
    """One line of the log."""

    epoch: int
    step: int
    images_seen: int
    train_loss: float
    validation: Estimate  # with labels where the network takes them
    validation_unlabelled: Estimate | None  # without, where it takes them
    seconds: float  # spent training in this epoch, validation left out
    images_per_second: float
    machine: str  # what computed it
    # the bound of some validation images, without labels, where it is what is trained
    bits_per_dim: Estimate | None = None

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self))


def machine(device: torch.device) -> str:
    """What computes on `device`, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return f"{platform.machine()}, {device.type}"
    return f"{platform.machine()} CPU, {count_of(torch.get_num_threads(), 'thread')}"


class Run:
    """A run directory, and the state of the training in it."""

    def __init__(self, folder: Path, settings: RunSettings, device: torch.device) -> None:
        """A run at step 0; nothing is written yet.

        Raises:
            TutorError: the network cannot have the width asked for.
        """
        self.folder, self.settings, self.device = folder, settings, device
        self.schedule = linear_schedule()
        torch.manual_seed(settings.training.seed)  # the first weights
        num_classes = NUM_CLASSES if settings.conditional else None
        model = build_network(settings.network, settings.width, num_classes).to(device)
        model.to(memory_format=model.training_memory_format)
        self.state = TrainingState.start(model, settings.training)
        self.history: list[EpochReport] = []
        self.images: int | None = None  # in the training set; a resumed run must have as many
        self.fingerprint: str | None = None  # of them; runs of earlier versions kept none
        self.source: str | None = None  # what they are, in words
        self.losses: list[float] = []  # of the steps of this epoch
        self.seconds = 0.0  # spent on them
        self.saved_step = 0  # what the files in the folder hold
        self.begun_from = self.state_on_disk()
        self.earlier: dict[str, Any] | None = None  # of the run whose weights this one began with

    @classmethod
    def start(cls, folder: Path, settings: RunSettings, device: torch.device) -> "Run":
        """A new run in `folder`, which must not hold one already that has come to a step.

        Raises:
            TutorError: there is a run in `folder`, or the settings cannot be.
        """
        check_run_folder(folder, resume=False)
        run = cls(folder, settings, device)
        if run.state_file.exists() and has_steps(run.state_file):
            raise RunExists(f"{folder} already holds a run.")
        if settings.start_from:
            run.begin_with(None if settings.start_from == SHIPPED else Path(settings.start_from))
        return run

    def begin_with(self, path: Path | None) -> None:
        """Takes the weights of a checkpoint, or those that ship, in place of random ones.

        Raises:
            OtherNetwork: it holds another network than the settings say.
            TutorError: it cannot be loaded.
        """
        trained = load_checkpoint(path)
        mine, theirs = (
            (network_name(m), m.width, m.num_classes is not None)
            for m in (self.state.model, trained.model)
        )
        grows = (mine[0], theirs[0]) == ("likelihood", "lean")
        if mine[1:] != theirs[1:] or not (grows or mine[0] == theirs[0]):
            raise OtherNetwork(*theirs)
        weights = trained.model.state_dict()
        if grows and isinstance(self.state.model, LikelihoodUNet):
            weights = self.state.model.grown(weights)
        for network in (self.state.model, self.state.ema):
            network.load_state_dict(weights)
        self.earlier = {**trained.training, "log": trained.log}

    @classmethod
    def resume(cls, folder: Path, settings: RunSettings, device: torch.device) -> "Run":
        """The run in `folder`, where its last save left it.

        Raises:
            TutorError: there is no run in `folder`, it is damaged, or has other settings.
        """
        check_run_folder(folder, resume=True)
        run = cls(folder, settings, device)
        try:
            saved = read_state(run.state_file)
            difference = different_settings(saved["settings"], settings.to_json())
            if not difference:
                run.state.model.load_state_dict(saved["model"])
                run.state.ema.load_state_dict(saved["ema"])
                run.state.load_optimizer(saved["optimizer"])
                run.state.step = run.saved_step = saved["step"]
                run.images = saved.get("images")
                run.fingerprint = saved.get("fingerprint")
                run.source = saved.get("source")
                run.earlier = saved.get("earlier")
                run.losses, run.seconds = saved.get("losses", []), saved.get("seconds", 0.0)
                run.history = [read_epoch(line) for line in saved["log"]]
        except Exception as error:  # whatever a damaged file holds, the answer is the same
            if isinstance(error, PermissionError) or is_out_of_memory(error):
                raise
            raise RunDamaged(f"{run.state_file} is damaged.") from error
        if difference:
            raise OtherSettings(f"The run in {folder} was started with {difference}.")
        return run

    def take(self, digits: Digits) -> None:
        """Sees to it that the run goes on with the digits that it was started on.

        Raises:
            TutorError: these are others, or have labels that the network does not know.
        """
        count = len(digits.train_images)
        if self.images not in (None, count):
            raise OtherDigits(
                f"The run in {self.folder} was started on {self.images:,} training images; "
                f"here are {count:,}."
            )
        if self.fingerprint not in (None, digits.fingerprint):
            raise OtherDigits(
                f"The run in {self.folder} was started on other images or labels than these: "
                f"{digits.origin or digits.source}."
            )
        labels = torch.cat([digits.train_labels, digits.validation_labels])
        low, high = (int(label) for label in labels.aminmax())
        if self.settings.conditional and not 0 <= low <= high < NUM_CLASSES:
            raise UnknownLabels(
                f"The labels go from {low} to {high}; the network knows 0 to {NUM_CLASSES - 1}."
            )
        self.images, self.fingerprint = count, digits.fingerprint
        self.source = digits.source

    def is_done(self, images: int) -> bool:
        """Whether nothing is left to do in a run on so many training images."""
        config = self.settings.training
        total_steps = steps_per_epoch(images, config) * config.epochs
        return self.state.step >= total_steps and not self.losses

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keeps other processes from training into this folder, until this one ends or dies.

        Puts in order what an earlier one left when it was killed.

        Raises:
            TutorError: another process is training there, or the folder cannot be written to.
        """
        lock = FileLock(make_folder(self.folder) / ".lock")
        try:
            held = lock.acquire(timeout=0)
        except Timeout:
            raise FolderBusy(f"Another process is training in {self.folder}.") from None
        except (OSError, NotImplementedError) as error:  # some file systems have no locks
            reason = getattr(error, "strerror", None) or "its file system has no locks"
            raise FolderTaken(f"Cannot lock the folder {self.folder}: {reason}.") from error
        with held:
            if self.state_on_disk() != self.begun_from:
                raise RunExists(f"Another process has trained in {self.folder} meanwhile.")
            remove_leftovers(self.folder, FILES)
            if self.saved_step:
                self.save_results()
            yield

    @property
    def state_file(self) -> Path:
        return self.folder / STATE

    def state_on_disk(self) -> tuple[int, int] | None:
        """What tells one save of the state from the next; None where there is none."""
        if not self.state_file.exists():
            return None
        found = self.state_file.stat()
        return found.st_mtime_ns, found.st_ino

    @property
    def weights_file(self) -> Path:
        return self.folder / WEIGHTS

    @property
    def film_strip_file(self) -> Path:
        return self.folder / "film_strip.npz"

    @property
    def log_file(self) -> Path:
        return self.folder / LOG

    @property
    def log(self) -> list[str]:
        """The lines of the log."""
        return [report.to_json() for report in self.history]

    def save(self) -> None:
        """Writes state, weights and log, each whole or not at all."""
        make_folder(self.folder)
        state = {
            "settings": self.settings.to_json(),
            "model": self.state.model.state_dict(),
            "ema": self.state.ema.state_dict(),
            "optimizer": self.state.optimizer.state_dict(),
            "step": self.state.step,
            "images": self.images,
            "fingerprint": self.fingerprint,
            "source": self.source,
            "earlier": self.earlier,
            "losses": self.losses,
            "seconds": self.seconds,
            "log": self.log,
        }
        with replacing(self.state_file) as temporary, open(temporary, "wb") as file:
            torch.save(state, file)
        self.saved_step = self.state.step
        self.save_results()

    def save_results(self) -> None:
        """Writes what others read: weights, settings and log, as of the state."""
        settings, log = self.settings.to_json(), self.log
        training = {"settings": json.loads(settings), "log": [json.loads(line) for line in log]}
        if self.earlier:
            training["earlier"] = self.earlier
        save_checkpoint(self.weights_file, self.state.ema, training)
        config = training["settings"] | ({"digits": self.source} if self.source else {})
        with replacing(self.folder / "config.json") as temporary:
            temporary.write_text(json.dumps(config, indent=2) + "\n")
        with replacing(self.log_file) as temporary:
            temporary.write_text("".join(line + "\n" for line in log))

    def train(
        self,
        digits: Digits,
        *,
        call: nn.Module | None = None,
        rank: int = 0,
        world_size: int = 1,
        algorithm_1: Callable[..., Iterator[StepReport]] = train,
    ) -> Iterator[StepReport | EpochReport]:
        """Trains to the last epoch, yields a report after each step and after each epoch.

        At the end of an epoch the averaged weights are validated and all is saved (by rank 0).

        Args:
            algorithm_1: what trains, called as `train` is.

        Raises:
            TutorError: a resumed run was started on other digits, the training diverged, or the
                device has too little memory.
        """
        try:
            yield from self._train(digits, call, rank, world_size, algorithm_1)
            return
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        except Diverged as error:
            kept = f"{self.weights_file} has the averaged weights of step {self.saved_step:,}."
            raise TrainingLost(
                f"{error} {kept if self.saved_step else 'Nothing was saved before that.'}",
                self.settings.training.lr / 10,
            ) from error
        raise self._too_large(world_size)  # the error is gone, and its step's tensors

    def _too_large(self, world_size: int) -> "BatchTooLarge":
        """What to say when the device has too little memory for a step: what would fit."""
        config = self.settings.training
        return BatchTooLarge(
            f"Too little memory on {self.device} for width {self.settings.width} and batches of "
            f"{config.batch_size}.",
            batch_that_fits(self.state.model, self.schedule, config, world_size),
        )

    def _train(
        self,
        digits: Digits,
        call: nn.Module | None,
        rank: int,
        world_size: int,
        algorithm_1: Callable[..., Iterator[StepReport]],
    ) -> Iterator[StepReport | EpochReport]:
        self.take(digits)
        config = self.settings.training
        labels = digits.train_labels if self.settings.conditional else None
        epoch_steps = steps_per_epoch(len(digits.train_images), config)
        if self.losses and self.state.step % epoch_steps == 0 and rank == 0:
            yield self._end_epoch(digits, epoch_steps)  # it was stopped just before that
        resumed_at = time.perf_counter()
        steps = algorithm_1(
            self.state, self.schedule, digits.train_images, labels, config,
            call=call, rank=rank, world_size=world_size,
        )  # fmt: skip
        for report in steps:
            self.losses.append(report.loss)
            self.seconds += time.perf_counter() - resumed_at
            yield report
            if report.step % epoch_steps == 0 and rank == 0:
                yield self._end_epoch(digits, epoch_steps)
            resumed_at = time.perf_counter()

    def _end_epoch(self, digits: Digits, epoch_steps: int) -> EpochReport:
        """Validates the averaged weights, logs and saves."""
        labels = digits.validation_labels if self.settings.conditional else None
        batch_size = min(self.settings.training.batch_size, len(digits.train_images))

        def validate(labels: torch.Tensor | None) -> Estimate:
            return validation_loss(self.state.ema, self.schedule, digits.validation_images, labels)

        epoch = EpochReport(
            epoch=self.state.step // epoch_steps,
            step=self.state.step,
            images_seen=self.state.step * batch_size,
            train_loss=sum(self.losses) / len(self.losses),
            validation=validate(labels),
            validation_unlabelled=validate(None) if self.settings.conditional else None,
            seconds=self.seconds,
            images_per_second=len(self.losses) * batch_size / self.seconds,
            machine=machine(self.device),
            bits_per_dim=self._bits_per_dim(digits),
        )
        self.history.append(epoch)
        self.losses, self.seconds = [], 0.0
        self.save()
        return epoch

    def _bits_per_dim(self, digits: Digits) -> Estimate | None:
        """The bound of the first validation images, with the same t and noise each time."""
        if self.settings.training.weighting != "vlb":
            return None
        images = digits.validation_images[:BOUND_IMAGES]
        return mean_of(bits_per_dim(estimate_bound(self.state.ema, self.schedule, images).nats))


def read_state(file: Path) -> dict[str, Any]:
    """The state in a file: tensors, numbers and text, and nothing that runs.

    Raises:
        Exception: of one kind or another, where the file is damaged.
    """
    with zipfile.ZipFile(file) as parts:
        if damaged := parts.testzip():  # torch.load does not look at the checksums
            raise ValueError(f"{damaged} has another checksum")
    saved: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    if type(saved["step"]) is not int or saved["step"] < 0:
        raise ValueError("no number of steps")
    return saved


def has_steps(file: Path) -> bool:
    """Whether something would be lost with the state in a file; a damaged one may be mended."""
    try:
        return bool(read_state(file)["step"])
    except Exception:
        return True


def different_settings(earlier: str, now: str) -> str:
    """What the settings `earlier` have otherwise than those of `now`, in words; both are JSON.

    bf16 is what the machine can do, not a choice: a run may go on elsewhere. It may also be made
    longer: more epochs are no difference.
    """

    def flat(text: str) -> dict[str, Any]:
        settings: dict[str, Any] = json.loads(text)
        settings |= settings.pop("training")
        settings.pop("bf16")
        return settings

    mine, theirs = flat(now), flat(RunSettings().to_json()) | flat(earlier)
    theirs |= {k: EARLIER_NAMES.get(v, v) for k, v in theirs.items() if isinstance(v, str)}
    if mine["epochs"] > theirs["epochs"]:
        mine["epochs"] = theirs["epochs"]
    return ", ".join(f"{k} = {theirs.get(k)}" for k in mine if mine[k] != theirs.get(k))


def read_epoch(line: str) -> EpochReport:
    """One line of the log, as `EpochReport.to_json` wrote it."""
    fields = json.loads(line)
    for name in ("validation", "validation_unlabelled", "bits_per_dim"):
        if fields.get(name) is not None:
            fields[name] = Estimate(**fields[name])
    return EpochReport(**fields)
