"""Trains the classifier that `ddpm-tutor evaluate` reads digits with, and measures real digits.

    python assets/train_classifier.py --data DIR

DIR is a torchvision root with all four files of MNIST. Writes `classifier.safetensors`, which says
how well it reads the 10,000 real test digits, and `real_digits.npz`, the statistics of real digits
that drawn ones are compared with.

It learns from every other training image. The statistics are of the rest: a network sees the images
it was fitted to otherwise than others, and then test digits would look unlike training digits.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_tutor.evaluation.classifier import (
    Classifier,
    load_classifier,
    read_digits,
    save_classifier,
)
from ddpm_tutor.evaluation.scores import fit_gaussian, nearest, share
from ddpm_tutor.files import replacing
from ddpm_tutor.science.devices import choose_device, has_bf16
from ddpm_tutor.science.noise import stream
from ddpm_tutor.science.pixels import pad_to_32, to_unit_range
from ddpm_tutor.storage.digits import load_digits

ASSETS = Path(__file__).parent
BATCH = 256
LR = 3e-3
EACH = 500  # real digits of every class whose features ship, of training and of test images


def test_digits(root: Path) -> tuple[Tensor, Tensor]:
    """MNIST's 10,000 test images, (10000, 1, 32, 32) uint8, and their labels."""
    from torchvision.datasets.mnist import read_image_file, read_label_file

    raw = root / "MNIST" / "raw"
    images = read_image_file(str(raw / "t10k-images-idx3-ubyte"))
    return pad_to_32(images), read_label_file(str(raw / "t10k-labels-idx1-ubyte")).long()


def jitter(x: Tensor) -> Tensor:
    """The images (B, 1, 32, 32) a little turned, slanted, resized and shifted."""

    def uniform(reach: float) -> Tensor:
        return (torch.rand(len(x)) * 2 - 1) * reach

    angle, scale, slant = uniform(0.2), 1 + uniform(0.12), uniform(0.2)
    rows = [
        torch.stack([scale * angle.cos(), slant - scale * angle.sin(), uniform(0.12)], dim=1),
        torch.stack([scale * angle.sin(), scale * angle.cos(), uniform(0.12)], dim=1),
    ]
    places = F.affine_grid(torch.stack(rows, dim=1), list(x.shape), align_corners=False)
    return F.grid_sample(x + 1, places.to(x.device), align_corners=False) - 1  # -1 outside


def train_classifier(
    images: Tensor, labels: Tensor, epochs: int, device: torch.device
) -> Classifier:
    """A classifier trained on (N, 1, 32, 32) uint8 images and their labels (N,)."""
    torch.manual_seed(0)
    model = Classifier().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0.05)
    per_epoch = len(images) // BATCH
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, LR, total_steps=epochs * per_epoch)
    for epoch in range(epochs):
        started, losses = time.perf_counter(), []
        order = torch.randperm(len(images))
        for numbers in order[: per_epoch * BATCH].split(BATCH):
            x = jitter(to_unit_range(images[numbers]).to(device))
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=has_bf16(device)):
                scores = model(x)
            loss = F.cross_entropy(scores.float(), labels[numbers].to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rate.step()
            losses.append(loss.item())
        seconds = time.perf_counter() - started
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f}, {seconds:.0f} s", flush=True)
    return model.eval()


def some_of_each(labels: Tensor, each: int) -> Tensor:
    """The numbers of `each` images of every class, in turn 0, 1, ..., 9, 0, 1, ..."""
    order = torch.randperm(len(labels), generator=stream(0, "real digits"))
    return torch.stack([order[labels[order] == c][:each] for c in range(10)], dim=1).flatten()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a torchvision root with MNIST")
    parser.add_argument("--epochs", type=int, default=24)
    arguments = parser.parse_args()
    device = choose_device()
    digits = load_digits(arguments.data)
    test_images, test_labels = test_digits(arguments.data)

    seen = slice(0, None, 2)
    model = train_classifier(
        digits.train_images[seen], digits.train_labels[seen], arguments.epochs, device
    )
    right = share(read_digits(model, test_images).classes == test_labels)
    print(f"reads {right} % of the real test digits")
    figures = {"test_right": right.count, "test_of": right.of, "epochs": arguments.epochs}
    save_classifier(ASSETS / "classifier.safetensors", model, figures)

    model = load_classifier().model  # in half precision, as it ships
    unseen_images, unseen_labels = digits.train_images[1::2], digits.train_labels[1::2]
    reference = read_digits(model, unseen_images).features
    everything = fit_gaussian(reference)
    testing = some_of_each(test_labels, EACH)
    arrays = {
        "train_mean": everything.mean,
        "train_covariance": everything.covariance,
        "train_features": reference[some_of_each(unseen_labels, EACH)].half(),
        "test_features": read_digits(model, test_images[testing]).features.half(),
        "test_nearest": nearest(test_images[testing], digits.train_images).distances.half(),
    }
    with replacing(ASSETS / "real_digits.npz") as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **{name: value.numpy() for name, value in arrays.items()})
