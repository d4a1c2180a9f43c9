"""The network that reads digits: it judges what the noise predictor draws."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_tutor.evaluation.scores import Share
from ddpm_tutor.files import bundled, replacing
from ddpm_tutor.science.checks import check_alike, check_device, check_kind, check_pixels
from ddpm_tutor.science.pixels import PADDING, to_unit_range

FEATURES = 64
BATCH_SIZE = 500  # images read at once


class Classifier(nn.Module):
    """A convolutional network from a digit to ten scores, by way of 64 features."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()

        def block(in_channels: int, out_channels: int) -> list[nn.Module]:
            return [
                nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.ReLU(),
            ]

        self.body = nn.Sequential(
            *block(1, width),
            *block(width, width),
            nn.MaxPool2d(2),  # (B, w, 14, 14)
            *block(width, 2 * width),
            *block(2 * width, 2 * width),
            nn.MaxPool2d(2),  # (B, 2w, 7, 7)
            *block(2 * width, 4 * width),
            nn.MaxPool2d(2),  # (B, 4w, 3, 3)
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(4 * width * 9, FEATURES, bias=False),
            nn.BatchNorm1d(FEATURES),
        )
        self.head = nn.Linear(FEATURES, 10)

    def features(self, x: Tensor) -> Tensor:
        """What the network has found in images (B, 1, 32, 32) in [-1, 1]: (B, 64) numbers."""
        found: Tensor = self.body(x[:, :, PADDING:-PADDING, PADDING:-PADDING])
        return found

    def decide(self, features: Tensor) -> Tensor:
        """The scores (logits) of the ten classes, (B, 10), from features (B, 64)."""
        scores: Tensor = self.head(F.relu(features))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        """The scores of the ten classes, (B, 10), for images (B, 1, 32, 32) in [-1, 1]."""
        return self.decide(self.features(x))


class Reading(NamedTuple):
    """What the classifier makes of a set of images."""

    features: Tensor  # (n, 64)
    classes: Tensor  # (n,) the class it reads
    probabilities: Tensor  # (n, 10)


def check_classifier(model: Classifier) -> None:
    """Refuses what is no classifier.

    Raises:
        TypeError: it is none.
    """
    check_kind(model, Classifier, "model", "a Classifier, such as load_classifier().model")


@torch.no_grad()
def read_digits(model: Classifier, images: Tensor) -> Reading:
    """Reads images, (n, 1, 32, 32) uint8, on the model's device; the result is on the CPU.

    Args:
        model: the classifier, `load_classifier().model`.
        images: (N, 1, 32, 32) uint8.

    Raises:
        TypeError: the model is no network. ValueError: the images are no pixels 0..255.

    Example:
        >>> read_digits(reader, images).classes.shape
        torch.Size([2])
    """
    check_classifier(model)
    check_pixels(images)
    device = next(model.parameters()).device
    parts = [model.features(to_unit_range(part).to(device)) for part in images.split(BATCH_SIZE)]
    return read_features(model, torch.cat(parts))


@torch.no_grad()
def read_features(model: Classifier, features: Tensor) -> Reading:
    """Reads images whose features, (n, 64), are known already.

    Args:
        model: the classifier, `load_classifier().model`.
        features: (N, 64), as `read_digits` finds them.

    Raises:
        TypeError: the model is no network. ValueError: the images are no pixels 0..255.

    Example:
        >>> found = read_digits(reader, images)
        >>> read_features(reader, found.features).classes.equal(found.classes)
        True
    """
    check_classifier(model)
    check_alike(features=features)
    if features.shape[1:] != (FEATURES,):
        raise ValueError(f"features must be (N, {FEATURES}), not {tuple(features.shape)}")
    probabilities = model.decide(features.to(next(model.parameters()))).softmax(dim=1)
    return Reading(features.float().cpu(), probabilities.argmax(1).cpu(), probabilities.cpu())


@dataclass(frozen=True)
class TrainedClassifier:
    """The classifier that ships, and how well it reads."""

    model: Classifier
    test: Share  # of MNIST's 10,000 test digits, how many it reads right


def save_classifier(path: Path, model: Classifier, metadata: dict[str, Any]) -> None:
    """Writes a classifier in half precision; `metadata` is what JSON can hold."""
    from safetensors.torch import save

    tensors = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in model.state_dict().items()
    }
    with replacing(path) as temporary:
        temporary.write_bytes(save(tensors, {"figures": json.dumps(metadata)}))


def load_classifier(device: torch.device | str = "cpu") -> TrainedClassifier:
    """The classifier that ships, ready to read.

    Args:
        device: where it shall compute.

    Raises:
        ValueError: the device is unknown.

    Example:
        >>> load_classifier().test.of
        10000
    """
    from safetensors import safe_open

    device = check_device(device)
    with safe_open(bundled("assets") / "classifier.safetensors", framework="pt") as file:
        metadata = json.loads(file.metadata()["figures"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = Classifier()
    model.load_state_dict(tensors)
    model = model.to(device).eval().requires_grad_(False)
    return TrainedClassifier(model, Share(metadata["test_right"], metadata["test_of"]))
