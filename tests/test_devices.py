"""Devices that are there and cannot compute; and what the machine is asked to do otherwise."""

import platform
import subprocess
import sys

import pytest
import torch
from typer.testing import CliRunner

from ddpm_tutor.cli.advice import with_advice
from ddpm_tutor.cli.app import app, in_words
from ddpm_tutor.errors import DeviceWarning
from ddpm_tutor.grading.trials import devices_at_hand
from ddpm_tutor.science import devices
from ddpm_tutor.science.devices import DeviceUnusable, choose_device
from ddpm_tutor.science.training import TrainingConfig
from ddpm_tutor.storage.training_run import Run, RunSettings

FAULTS = """
import resource, torch
from ddpm_tutor.cli.memory import keep_freed_memory
torch.set_num_threads(1)
if {keep}: keep_freed_memory()
made = lambda: torch.ones(2**24)
for _ in range(40): made()  # by then there are places enough
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4): made()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is about glibc")
def test_the_memory_of_large_tensors_is_kept_for_the_next_ones():
    kept, by_default = (
        int(subprocess.check_output([sys.executable, "-c", FAULTS.format(keep=keep)]))
        for keep in (True, False)
    )
    assert kept < by_default / 100


@pytest.fixture
def broken_gpu(monkeypatch, tmp_path):
    """A GPU is announced, but nothing can be computed on it, as where its driver is missing."""
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU that computes")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for cached in (devices.why_unusable, devices.warn_once):
        cached.cache_clear()
    yield
    for cached in (devices.why_unusable, devices.warn_once):
        cached.cache_clear()


def test_a_device_that_computes_is_usable():
    assert devices.why_unusable("cpu") == ""
    for device in devices.available_devices():
        assert devices.why_unusable(device) == "" and choose_device(device).type == device


def test_auto_passes_over_a_gpu_that_cannot_compute_and_says_why(broken_gpu):
    reason = devices.why_unusable("cuda")
    assert len(reason) > 10 and "\n" not in reason
    with pytest.warns(DeviceWarning, match=r"The device cuda cannot compute .*\. Using the CPU"):
        assert choose_device("auto").type == "cpu"
    with pytest.raises(DeviceUnusable) as refused:
        choose_device("cuda")
    assert with_advice(refused.value).endswith("--device cpu")
    assert devices_at_hand() == ["cpu"]  # where exercises are tried


COMMANDS = [
    ["gif", "--digit", "7"],
    ["sample", "--digit", "7"],
    ["evaluate"],
    ["train", "--run-dir", "run"],
    ["lesson", "1", "--no-pause"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_command_on_a_gpu_that_cannot_compute_says_what_to_do(broken_gpu, tmp_path, words):
    done = CliRunner().invoke(app, [*words, "--device", "cuda"])
    assert done.exit_code == 1
    assert "The device cuda cannot compute: " in done.stderr and "--device cpu" in done.stderr
    assert len(done.stderr.splitlines()) == 2
    assert [path for path in tmp_path.iterdir() if path.name not in ("cache", "data")] == []


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_info_tells_of_a_gpu_that_cannot_compute_and_goes_on(broken_gpu, device):
    done = CliRunner().invoke(app, ["info", "--device", device])
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    assert "cuda cannot compute: " in shown and "ms for one image" in shown
    assert "one step, cpu" in shown and "one step, cuda" not in shown


def test_the_cpu_trains_beside_a_gpu_that_cannot_compute(broken_gpu, tmp_path, digits):
    settings = RunSettings("unet", 4, True, TrainingConfig(epochs=1, batch_size=20))
    run = Run.start(tmp_path / "run", settings, choose_device("cpu"))
    *_, report = run.train(digits)
    assert "CPU" in report.machine


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: no kernel image is available for execution on the device\nMore"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED"),
        NotImplementedError("The operator 'aten::x' is not implemented for the MPS device. More"),
        AssertionError("Torch not compiled with CUDA enabled"),
    ],
    ids=["kernel", "cudnn", "mps", "build"],
)
def test_a_device_that_fails_later_is_named_too(error):
    first, second = in_words(error).splitlines()
    assert str(error)[:20] in first and "More" not in first and "--device cpu" in second


def test_a_lesson_too_says_what_to_do_where_the_device_fails(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("# %% [markdown]\n# # Mine\n# %%\nraise RuntimeError('cuDNN error: x')\n")
    words = ["lesson", str(file), "--no-pause", "--trust", "--out", str(tmp_path)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 1
    says, advice = done.stderr.splitlines()
    assert says.startswith("mine.py, line 4: ") and "--device cpu" in advice


def test_a_mistake_of_ours_is_not_blamed_on_the_device():
    mixed = RuntimeError("Expected all tensors to be on the same device, cuda:0 and cpu!")
    assert "report it" in in_words(mixed)
