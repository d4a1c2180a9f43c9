"""What the tests share. None of them needs a network, a GPU, or a file outside the checkout."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # tests run side by side: a process that spins on every core would hold up the others
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ddpm_tutor.science import fast
from ddpm_tutor.science.data import Digits, split
from ddpm_tutor.science.schedule import Schedule, linear_schedule
from ddpm_tutor.science.unet import UNet


@pytest.fixture
def schedule() -> Schedule:
    """The paper's: T = 1000, beta from 1e-4 to 0.02."""
    return linear_schedule()


@pytest.fixture
def network() -> UNet:
    """The assignment's network, as narrow as it goes, with labels."""
    torch.manual_seed(0)
    return UNet(width=4, num_classes=10)


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a CPU without bfloat16: pictures drawn in two ways differ by rounding alone."""
    monkeypatch.setattr(fast, "has_bf16", lambda device: False)


@pytest.fixture
def digits() -> Digits:
    """44 images to train on and 4 to validate, no two alike.

    The row where the bar begins tells the label, the first pixel which image it is.
    """
    labels = torch.arange(48) % 10
    images = torch.zeros(48, 28, 28, dtype=torch.uint8)
    for i, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        image[2 * label + 3 : 2 * label + 7, 6:22] = 255
        image[0, 0] = 5 * i
    return split(images, labels, "bars made by a test")


@pytest.fixture
def steps_1_to_T(schedule: Schedule) -> Tensor:
    """Every t once, a batch that covers the whole schedule."""
    return torch.arange(1, schedule.T + 1)


@pytest.fixture
def mnist_root() -> Path:
    """A torchvision root with the real MNIST."""
    named = os.environ.get("DDPM_TUTOR_DATA")
    if not named:
        pytest.skip("DDPM_TUTOR_DATA does not name a folder with the real MNIST")
    return Path(named)


@pytest.fixture
def tiny_mnist(tmp_path: Path) -> Path:
    """A torchvision root with 480 bars for digits."""
    raw = tmp_path / "tiny" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    labels = np.arange(480, dtype=np.uint8) % 10
    images = np.zeros((480, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 3 : 2 * label + 7, 6:22] = 255
    for part in ("train", "t10k"):
        header = bytes([0, 0, 8, 3]) + np.array([480, 28, 28], ">i4").tobytes()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = bytes([0, 0, 8, 1]) + np.array([480], ">i4").tobytes()
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return tmp_path / "tiny"
