"""What a network draws from the same noise and labels as its training goes on."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import bundled, replacing
from ddpm_tutor.science.checks import as_path
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import to_uint8
from ddpm_tutor.science.sampling import SamplingOptions, draw, last
from ddpm_tutor.science.schedule import Schedule

DIGITS = 20  # 0 to 9, twice
STEPS = 50  # of the strided sampler


@dataclass
class FilmStrip:
    """Twenty digits, two of each where the network takes labels, at moments of the training."""

    epochs: list[float] = field(default_factory=list)  # passes over the data so far, rising
    images: list[Tensor] = field(default_factory=list)  # (20, 1, 32, 32) uint8 each

    def add(self, epoch: float, model: NoisePredictor, schedule: Schedule) -> None:
        """Draws the twenty digits from `model` as it is now; later moments are forgotten."""
        while self.epochs and self.epochs[-1] >= epoch:
            self.epochs.pop()
            self.images.pop()
        labels = None if model.num_classes is None else torch.arange(DIGITS) % 10
        # sigma^2 = beta, as in the shipped strip: so that a learner's can stand beside it
        options = SamplingOptions(steps=STEPS, variance="beta")
        states = draw(model, schedule, labels, options, seed=0, indices=range(DIGITS))
        images = to_uint8(last(states)).cpu()
        self.epochs.append(epoch)
        self.images.append(images)

    def save(self, path: Path) -> None:
        """Writes the strip as NumPy arrays, whole or not at all."""
        images = torch.stack(self.images)[:, :, 0].numpy()  # (moments, 20, 32, 32)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, images=images, epochs=np.array(self.epochs))


def load_film_strip(path: Path | str | None = None) -> FilmStrip:
    """The strip saved in `path`, or that of the shipped weights; empty if there is no such file.

    Args:
        path: a file of a run; None takes the one that ships.

    Raises:
        TutorError: the file is damaged.
        TypeError: `path` is no path.

    Example:
        >>> strip = load_film_strip()
        >>> strip.images[0].shape
        torch.Size([20, 1, 32, 32])
    """
    path = bundled("assets") / "film_strip.npz" if path is None else as_path(path)
    if not path.is_file():
        return FilmStrip()
    try:
        with np.load(path) as arrays:
            images = torch.from_numpy(arrays["images"])[:, :, None]  # (moments, 20, 1, 32, 32)
            return FilmStrip(arrays["epochs"].tolist(), list(images))
    except Exception as error:  # NumPy meets a damaged file with many kinds of errors
        raise TutorError(f"{path} is damaged. Delete it and run this again.") from error
