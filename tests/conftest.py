"""What the tests share. None of them needs a network, a GPU, or a file outside the checkout."""

import atexit
import os
import shutil
import signal
import tempfile

# tests run side by side: a process that spins on every core would hold up the others; and with one
# thread sums are the same to the last bit, whatever else the machine does
os.environ.setdefault("OMP_NUM_THREADS", "1")

from pathlib import Path

import numpy as np
import pretend_device
import pytest
import torch
from survivor import bars
from torch import Tensor

from ddpm_tutor.science import devices
from ddpm_tutor.science import fast_sampling as fast
from ddpm_tutor.science import quickest_device as quickest
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.schedule import Schedule, linear_schedule
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.digits import Digits

# no test sees or changes the progress of whoever runs it, or what has been downloaded
NOBODYS = tempfile.mkdtemp(prefix="ddpm_tutor_tests_")
atexit.register(shutil.rmtree, NOBODYS, ignore_errors=True)
os.environ |= {f"XDG_{kind}_HOME": f"{NOBODYS}/{kind.lower()}" for kind in ("DATA", "CACHE")}
os.environ |= dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")  # refused at once

# whoever starts the tests in the background, or by nohup, has them ignore signals
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

REAL_DEVICES = devices.available_devices()[:-1]  # without the CPU
if not REAL_DEVICES:
    # before the first backward pass of this process; never beside a real one: torch takes the
    # pretended one for what it pins memory for, and for what autograd works on
    pretend_device.set_up()


@pytest.fixture(params=[pretend_device.NAME, *REAL_DEVICES])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A device that is not the CPU, which `auto` means here: the pretended one, and real ones."""
    name: str = request.param
    if name == pretend_device.NAME:
        if REAL_DEVICES:
            pytest.skip("this machine has a real device to test on")
        if reason := pretend_device.why_not():
            pytest.skip(reason)
        for module in (devices, quickest):
            monkeypatch.setattr(module, "available_devices", lambda: [name, "cpu"])

    def seconds(model: NoisePredictor, *words: object, **named: object) -> float:
        return 1000.0 if next(model.parameters()).device.type == "cpu" else 1.0

    monkeypatch.setattr(quickest, "seconds_to_draw", seconds)
    monkeypatch.setattr(devices, "GPU_START_SECONDS", 0)
    return name


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
    """44 images to train on and 4 to validate, no two alike."""
    return bars()


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


def write_mnist(root: Path, count: int) -> Path:
    """A torchvision root with so many bars for digits."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    labels = np.arange(count, dtype=np.uint8) % 10
    images = np.zeros((count, 28, 28), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 3 : 2 * label + 7, 6:22] = 255
    for part in ("train", "t10k"):
        header = bytes([0, 0, 8, 3]) + np.array([count, 28, 28], ">i4").tobytes()
        (raw / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = bytes([0, 0, 8, 1]) + np.array([count], ">i4").tobytes()
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())
    return root


@pytest.fixture
def tiny_mnist(tmp_path: Path) -> Path:
    """A torchvision root with 480 bars for digits."""
    return write_mnist(tmp_path / "tiny", 480)


@pytest.fixture
def tiniest_mnist(tmp_path: Path) -> Path:
    """The same with 24, 22 of them for training."""
    return write_mnist(tmp_path / "tiniest", 24)
