"""Makes what ships in this folder from a finished training run: weights, film strip, digits.

    python assets/make.py --run-dir runs/lean

The run that the shipped weights came from is described in `README.md` beside this file.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from ddpm_tutor.classroom.session import track
from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import replacing
from ddpm_tutor.pictures.film_strips import save_film_strip
from ddpm_tutor.science.pixels import PADDING
from ddpm_tutor.science.sampling import SamplingOptions, draw_many, number_of_yields
from ddpm_tutor.storage.checkpoints import load_checkpoint, save_checkpoint
from ddpm_tutor.storage.film_strip import FilmStrip, load_film_strip
from ddpm_tutor.storage.training_run import SHIPPED

ASSETS = Path(__file__).parent
SEED = 2020  # of the offline digits; the lessons' own pictures use small seeds
STEPS = 100  # strided ancestral sampling, estimate of x_0 clipped
GUIDANCE = 1.5


def make_weights(run_dir: Path) -> None:
    """The run's averaged weights, in half precision."""
    trained = load_checkpoint(run_dir / "weights.safetensors")
    save_checkpoint(ASSETS / "weights.safetensors", trained.model, trained.training, half=True)


def make_film_strip(run_dir: Path) -> None:
    """What the run drew as it learned: arrays, a PNG and a GIF.

    The strip of a run that began with the weights that ship goes on from theirs.
    """
    strip = load_film_strip(run_dir / "film_strip.npz")
    if not strip.epochs:
        raise TutorError(f"No film strip in {run_dir}.")
    training = load_checkpoint(run_dir / "weights.safetensors").training
    if training["settings"]["start_from"] == SHIPPED:
        before, shipped = training["earlier"]["log"][-1]["epoch"], load_film_strip()
        moments = [m for m in zip(shipped.epochs, shipped.images, strict=True) if m[0] <= before]
        later = zip(strip.epochs, strip.images, strict=True)
        moments += [(before + epoch, images) for epoch, images in later if epoch >= 1]
        strip = FilmStrip([epoch for epoch, _ in moments], [images for _, images in moments])
    strip.save(ASSETS / "film_strip.npz")
    save_film_strip(strip, ASSETS)


def make_offline_digits(each: int) -> None:
    """Digits drawn by the weights that ship, `each` of every class."""
    trained = load_checkpoint()
    labels = torch.arange(10).repeat_interleave(each)
    chunks = draw_many(
        trained.model,
        trained.schedule,
        labels,
        len(labels),
        SamplingOptions(guidance=GUIDANCE, steps=STEPS),
        seed=SEED,
    )
    bar = track(chunks, number_of_yields(trained.model, len(labels), STEPS), "Offline digits")
    images = torch.cat([chunk for chunk in bar if chunk is not None])
    inner = images[:, 0, PADDING:-PADDING, PADDING:-PADDING].numpy()  # (N, 28, 28)
    with replacing(ASSETS / "offline_digits.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, images=inner, labels=labels.numpy().astype(np.uint8), seed=SEED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=Path, help="a run of `ddpm-tutor train`")
    parser.add_argument(
        "--each", type=int, default=200, help="offline digits of a class; 0: keep them"
    )
    arguments = parser.parse_args()
    if arguments.run_dir:
        make_film_strip(arguments.run_dir)
        make_weights(arguments.run_dir)
    if arguments.each:
        make_offline_digits(arguments.each)
