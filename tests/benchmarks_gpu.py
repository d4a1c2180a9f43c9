"""How fast it is on a GPU: python -m tests.benchmarks --device cuda

The yardstick is the plain loop of the assignment with its own network, in float32, on the same GPU.
All that is asked of a GPU stands here, so that one short run fills every row: the speeds, whether
recorded work equals the plain work, and where the time of a call goes.
"""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import torch
from torch import nn

from ddpm_tutor import (
    LeanUNet,
    TrainingConfig,
    TrainingState,
    UNet,
    draw,
    last,
    linear_schedule,
    load_checkpoint,
    load_digits,
    to_unit_range,
    train,
)
from ddpm_tutor.science.devices import has_bf16
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.sampling import SamplingOptions
from tests import yardstick
from tests.benchmarks import CONSOLE, TUTOR, Result, in_turn

CUDA = torch.device("cuda")
SCHEDULE = linear_schedule()


def wait() -> None:
    torch.cuda.synchronize()


def timed(work: Callable[[], object], times: int = 1) -> float:
    """Seconds for each of `times` calls, waiting for the GPU."""
    wait()
    started = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return (time.perf_counter() - started) / times


# Sampling and training


def yardstick_step(count: int, steps: int) -> float:
    """Milliseconds of a step of Algorithm 2."""
    network = UNet(64).to(CUDA).eval()
    yardstick.sample(network, count, 3, CUDA)
    return timed(lambda: yardstick.sample(network, count, steps, CUDA)) / steps * 1000


def our_step(make: Callable[[], NoisePredictor], count: int, steps: int) -> float:
    """The same of ours; the recording is left out, as it is made once."""
    network = make().to(CUDA).eval()
    label = None if network.num_classes is None else torch.arange(count) % 10
    moments = draw(network, SCHEDULE, label, seed=0, indices=range(count))
    list(islice(moments, 5))
    return timed(lambda: list(islice(moments, steps))) / steps * 1000


def sampling() -> list[Result]:
    def shipped() -> NoisePredictor:
        return load_checkpoint().model

    def unet() -> NoisePredictor:
        return UNet(64)

    with plain_products():
        ten = in_turn(
            "10 images, the assignment's network, float32", "ms a step",
            lambda: yardstick_step(10, 50), lambda: our_step(unet, 10, 200),
        )  # fmt: skip
    rows = [(1, 100, 400), (100, 30, 200), (500, 10, 50)]
    return [ten] + [
        in_turn(
            f"{count} images, as they are drawn", "ms a step",
            lambda c=count, s=few: yardstick_step(c, s),
            lambda c=count, s=many: our_step(shipped, c, s),
        )
        for count, few, many in rows
    ]  # fmt: skip


class plain_products:
    """Products in whole float32, without TF32, on both sides."""

    def __enter__(self) -> None:
        self.before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False

    def __exit__(self, *of_error: object) -> None:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = self.before


def yardstick_training(steps: int = 15) -> float:
    """Images a second."""
    images = to_unit_range(load_digits().train_images[:128]).to(CUDA).repeat(steps + 3, 1, 1, 1)
    network = UNet(64).to(CUDA)
    yardstick.train(network, images[: 3 * 128], 3)
    return steps * 128 / timed(lambda: yardstick.train(network, images[3 * 128 :], steps))


def our_training(make: Callable[[], NoisePredictor], batch_size: int, steps: int) -> float:
    """The same, by the loop of `ddpm-tutor train`."""
    network = make().to(CUDA)
    network.to(memory_format=network.training_memory_format)
    config = TrainingConfig(epochs=1000, batch_size=batch_size, bf16=has_bf16(CUDA))
    state = TrainingState.start(network, config)
    digits = load_digits()
    labels = None if network.num_classes is None else digits.train_labels[:1536]
    loop = train(state, SCHEDULE, digits.train_images[:1536], labels, config)
    list(islice(loop, 5))
    return steps * batch_size / timed(lambda: list(islice(loop, steps)))


def without_recording(work: Callable[[], float]) -> float:
    """`work` with every step asked for operation by operation."""
    plainly = patch("ddpm_tutor.science.training.replayed", lambda function: function)
    with plainly:
        return work()


def training() -> list[Result]:
    def unet() -> NoisePredictor:
        return UNet(64)

    def lean() -> NoisePredictor:
        return LeanUNet(64, 10)

    found = [
        in_turn("training the assignment's network, batches of 128", "images/s",
                yardstick_training, lambda: our_training(unet, 128, 40), more_is_better=True)
    ]  # fmt: skip
    for batch_size in (128, 512):
        found.append(
            in_turn(f"training the lean network, batches of {batch_size}: plain, recorded",
                    "images/s",
                    lambda b=batch_size: without_recording(lambda: our_training(lean, b, 20)),
                    lambda b=batch_size: our_training(lean, b, 60), more_is_better=True)
        )  # fmt: skip
    return found


# The commands


def one_digit(folder: Path) -> list[Result]:
    """From the shell to the GIF: the CPU of this machine, its GPU, and what `auto` chooses."""

    def gif(device: str) -> float:
        out = str(folder / f"{device}.gif")
        command = [*TUTOR, "gif", "--digit", "7", "--device", device, "--out", out]
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        return time.perf_counter() - started

    return [
        in_turn(f"one digit, shell to GIF: CPU, {device}", "s", lambda: gif("cpu"),
                lambda d=device: gif(d))
        for device in ("cuda", "auto")
    ]  # fmt: skip


# Is it the same?


def differences() -> dict[str, float]:
    """The largest difference between digits drawn in two ways, of the 2 from black to white."""
    loaded, labels = load_checkpoint(), torch.arange(10)

    def drawn(device: torch.device | str) -> torch.Tensor:
        chain = draw(
            loaded.model.to(device),
            SCHEDULE,
            labels,
            SamplingOptions(steps=100),
            seed=0,
            indices=range(10),
        )
        return last(chain).cpu()

    with plain_products():
        recorded = drawn(CUDA)
        with patch("ddpm_tutor.science.sampling.replayed", lambda function: function):
            plain = drawn(CUDA)
    with patch("ddpm_tutor.science.fast_sampling.has_bf16", lambda device: False):
        on_cpu = drawn("cpu")
    return {
        "recorded and plain": float((recorded - plain).abs().max()),
        "recorded and CPU": float((recorded - on_cpu).abs().max()),
    }


# Where the time goes


class MomentsNorm(nn.Module):
    """A group normalization from `var_mean`, which keeps the order of the pixels in memory."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, groups = self.norm, self.norm.num_groups
        grouped = x.float().unflatten(1, (groups, -1))  # (B, G, C / G, H, W)
        variance, mean = torch.var_mean(grouped, dim=(2, 3, 4), correction=0)  # (B, G)
        each = x.shape[1] // groups
        scale = (variance + n.eps).rsqrt().repeat_interleave(each, 1) * n.weight  # (B, C)
        shift = n.bias - mean.repeat_interleave(each, 1) * scale
        return torch.addcmul(shift[:, :, None, None], x, scale[:, :, None, None])


def with_moments(network: nn.Module) -> nn.Module:
    """The network with every group normalization computed by `MomentsNorm`."""
    for name, child in network.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(network, name, MomentsNorm(child))
        else:
            with_moments(child)
    return network


def calls() -> dict[str, float]:
    """Milliseconds of a recorded call for 100 images, in several ways."""
    x_t, t = torch.randn(100, 1, 32, 32, device=CUDA), torch.full((100,), 500, device=CUDA)
    found = {}
    for name, make in (("unet", UNet), ("lean", LeanUNet)):
        for kind in ("as it is", "channels_last", "bfloat16", "norm by moments", "both"):
            network = make(64).to(CUDA).eval()
            if kind != "as it is":
                network.to(memory_format=torch.channels_last)
            if kind in ("norm by moments", "both"):
                with_moments(network)
            found[f"{name}, {kind}"] = recorded_ms(network, x_t, t, kind in ("bfloat16", "both"))
            CONSOLE.print(name, kind, f"{found[f'{name}, {kind}']:.2f} ms a call")
    return found


@torch.no_grad()
def recorded_ms(network: nn.Module, x_t: torch.Tensor, t: torch.Tensor, bf16: bool) -> float:
    """The median of a call, replayed from a recording."""
    from ddpm_tutor.science.cuda_graph import record_on_cuda

    def call(x_t: torch.Tensor, t: torch.Tensor) -> tuple[torch.Tensor]:
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            return (network(x_t, t),)

    replay, _ = record_on_cuda(call, [x_t, t])
    return statistics.median(timed(replay) for _ in range(20)) * 1000


@torch.no_grad()
def shares(make: Callable[[int], nn.Module] = UNet) -> dict[str, float]:
    """Shares of the GPU's time in a call of the assignment's network for 100 images, by kernel."""
    network = make(64).to(CUDA).eval()
    x_t, t = torch.randn(100, 1, 32, 32, device=CUDA), torch.full((100,), 500, device=CUDA)
    network(x_t, t)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(10):
            network(x_t, t)
        wait()
    events = {e.key[:60]: e.self_device_time_total for e in profile.key_averages()}
    whole = sum(events.values()) or 1.0
    return {k: v / whole for k, v in sorted(events.items(), key=lambda pair: -pair[1])[:12]}


def compiled() -> dict[str, float]:
    """Whether torch.compile pays for its wait: seconds to compile, ms a call for 100 images."""
    network = torch.compile(LeanUNet(64).to(CUDA).eval())
    x_t, t = torch.randn(100, 1, 32, 32, device=CUDA), torch.full((100,), 500, device=CUDA)
    with torch.no_grad():
        first = timed(lambda: network(x_t, t))
        return {"compile, s": first, "compiled, ms": timed(lambda: network(x_t, t), 20) * 1000}


def tried(work: Callable[[], dict[str, float]]) -> dict[str, float]:
    """What `work` finds; an error costs that part alone."""
    try:
        return work()
    except Exception as error:
        CONSOLE.print(f"{work.__name__}: {type(error).__name__}: {str(error)[:200]}", markup=False)
        return {}


def benchmarks_gpu() -> dict[str, object]:
    if not torch.cuda.is_available():
        raise SystemExit("No CUDA device here.")
    CONSOLE.print(torch.cuda.get_device_name())
    with tempfile.TemporaryDirectory() as name:
        results = [*sampling(), *training(), *one_digit(Path(name))]
    return {
        "torch": torch.__version__, "device": torch.cuda.get_device_name(),
        "results": [{**vars(r), "ratio": r.ratio} for r in results],
        "differences": tried(differences), "shares of a call": tried(shares),
        "calls": tried(calls), "compiled": tried(compiled),
    }  # fmt: skip
