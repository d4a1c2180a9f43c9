"""Makes what ships in this folder from a finished training run: weights, offline digits, pictures.

    python assets/make.py --run-dir runs/lean

The weights that ship came from a run of the command in `README.md` beside this file.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from ddpm_tutor.files import replacing
from ddpm_tutor.science.checkpoints import load_checkpoint, save_checkpoint
from ddpm_tutor.science.data import to_uint8
from ddpm_tutor.science.sampling import draw, last

ASSETS = Path(__file__).parent
SEED = 2020  # of the offline digits; the lessons' own pictures use small seeds
STEPS = 100  # strided ancestral sampling, estimate of x_0 clipped
CHUNK = 100


def make_weights(run_dir: Path) -> None:
    """The run's averaged weights, in half precision."""
    trained = load_checkpoint(run_dir / "weights.safetensors")
    save_checkpoint(ASSETS / "weights.safetensors", trained.model, trained.training, half=True)


def make_offline_digits(each: int) -> None:
    """Digits drawn by the weights that ship, `each` of every class, as MNIST keeps them: 28x28."""
    trained = load_checkpoint()
    labels = torch.arange(10).repeat_interleave(each)
    images = []
    for start in range(0, len(labels), CHUNK):
        numbers = range(start, min(start + CHUNK, len(labels)))
        drawn = last(
            draw(
                trained.model,
                trained.schedule,
                labels[numbers.start : numbers.stop],
                seed=SEED,
                indices=numbers,
                steps=STEPS,
                clip=True,
            )
        )
        images.append(to_uint8(drawn)[:, 0, 2:-2, 2:-2])
        print(f"{numbers.stop} of {len(labels)} digits", flush=True)
    with replacing(ASSETS / "offline_digits.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            images=torch.cat(images).numpy(),
            labels=labels.numpy().astype(np.uint8),
            seed=SEED,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run-dir", type=Path, help="a run of `ddpm-tutor train`")
    parser.add_argument("--each", type=int, default=200, help="offline digits of every class")
    arguments = parser.parse_args()
    if arguments.run_dir:
        make_weights(arguments.run_dir)
    make_offline_digits(arguments.each)
