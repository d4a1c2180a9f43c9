"""How fast it is, beside the assignment's own code and diffusers: python -m tests.benchmarks

With --device cuda it measures a GPU instead, in under five minutes: see `benchmarks_gpu`.

Both sides run in turn, several rounds; the table shows medians and their ratio. Long work is
measured by some of its steps, which all cost the same, and scaled; "one digit" runs whole.
"""

import argparse
import json
import os
import pty
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from unittest.mock import patch

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from rich.console import Console
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from ddpm_tutor import (
    LeanUNet,
    TrainingConfig,
    TrainingState,
    UNet,
    choose_device,
    draw,
    linear_schedule,
    load_checkpoint,
    load_digits,
    to_unit_range,
    train,
)
from ddpm_tutor.cli.memory import keep_freed_memory
from ddpm_tutor.science import fast_sampling as fast
from ddpm_tutor.science.devices import has_bf16
from ddpm_tutor.science.fast_sampling import for_sampling
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.sampling import CHUNK_SIZE, SamplingOptions, draw_many
from tests import yardstick

CONSOLE = Console()
SCHEDULE = linear_schedule()
PYTHON = sys.executable
TUTOR = [PYTHON, "-m", "ddpm_tutor"]
GOAL = 0.0207  # the assignment's validation loss, after
YARDSTICK_IMAGES = 10 * 55_000
NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


@dataclass
class Result:
    """One line of the table."""

    work: str
    unit: str
    baseline: float
    ours: float
    more_is_better: bool = False

    @property
    def ratio(self) -> float:
        """How many times faster ours is."""
        return self.ours / self.baseline if self.more_is_better else self.baseline / self.ours


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turn(
    work: str,
    unit: str,
    baseline: Callable[[], float],
    ours: Callable[[], float],
    rounds: int = 3,
    more_is_better: bool = False,
) -> Result:
    """Measures both `rounds` times, one after the other, so that both see the same machine."""
    pairs = [(baseline(), ours()) for _ in range(rounds)]
    theirs, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
    result = Result(work, unit, theirs, mine, more_is_better)
    CONSOLE.print(f"{work}: {theirs:.3g} {unit}, {mine:.3g} {unit}, {result.ratio:.2f} times")
    return result


def apart(work: Callable[..., float], *arguments: object) -> float:
    """What `work` measures in a process of its own: no memory is left there by other work."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


# Sampling


def unet() -> UNet:
    return UNet(64).eval()


def shipped() -> NoisePredictor:
    return load_checkpoint().model


def yardstick_sampling(count: int, steps: int) -> float:
    """Seconds for all 1000 steps of `count` images, from `steps` of them after a first."""
    network = unet()
    yardstick.sample(network, count, 1)
    return seconds(lambda: yardstick.sample(network, count, steps)) / steps * 1000


def our_sampling(
    make: Callable[[], NoisePredictor], count: int, steps: int, bfloat16: bool = True
) -> float:
    """The same of ours, in chunks; what is prepared before the first step counts once a chunk."""
    keep_freed_memory()  # as the commands do
    network = make()
    chunk = min(count, CHUNK_SIZE)
    label = None if network.num_classes is None else torch.arange(chunk) % 10
    moments = draw(network, SCHEDULE, label, seed=0, indices=range(chunk))
    with patch.object(fast, "has_bf16", lambda device: bfloat16 and has_bf16(device)):
        first = seconds(lambda: next(moments))
        rest = seconds(lambda: list(islice(moments, steps))) / steps * 999
    return (first + rest) * count / chunk


def diffusers_sampling(pipeline: DDPMPipeline, count: int, steps: int) -> float:
    """The same of DDPMPipeline."""
    took = seconds(lambda: pipeline(batch_size=count, num_inference_steps=steps, output_type="np"))
    return took / steps * 1000


def one_digit(folder: Path) -> list[Result]:
    """From the shell to the GIF on disk, with guidance, which the yardstick lacks, and without."""
    ours = [*TUTOR, "gif", "--digit", "7", "--out", str(folder / "ours.gif"), "--guidance"]
    yard: list[float] = []

    def by_yardstick() -> float:
        command = [PYTHON, "-m", "tests.yardstick", str(folder / "yardstick.gif")]
        yard.append(seconds(lambda: run(*command)))
        return yard[-1]

    guided = in_turn(
        "one digit, shell to GIF", "s", by_yardstick, lambda: seconds(lambda: run(*ours, "1.5"))
    )
    measured = iter(yard)
    plain = in_turn(
        "the same without guidance", "s", lambda: next(measured),
        lambda: seconds(lambda: run(*ours, "1")),
    )  # fmt: skip
    return [guided, plain]


def diffusers_pipeline() -> DDPMPipeline:
    """A UNet2DModel of about as many operations as the network that ships."""
    unet = UNet2DModel(
        sample_size=32, in_channels=1, out_channels=1, layers_per_block=1, norm_num_groups=8,
        block_out_channels=(16, 48, 88, 88),
        down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    ).eval()  # fmt: skip
    pipeline = DDPMPipeline(unet, DDPMScheduler())
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def gflop(network: torch.nn.Module) -> float:
    """Billions of operations of one call for one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 1, 32, 32), torch.tensor([10]))
    return counter.get_total_flops() / 1e9


# Training


def our_training(steps: int, network: NoisePredictor, optimizer: str) -> float:
    """Images a second, by the loop of `ddpm-tutor train`."""
    network.to(memory_format=network.training_memory_format)
    bf16 = has_bf16(choose_device("cpu"))
    config = TrainingConfig(epochs=1000, optimizer=optimizer, bf16=bf16)
    state = TrainingState.start(network, config)
    digits = load_digits()
    labels = None if network.num_classes is None else digits.train_labels[:1280]
    loop = train(state, SCHEDULE, digits.train_images[:1280], labels, config)
    next(loop)
    return steps * config.batch_size / seconds(lambda: list(islice(loop, steps)))


def yardstick_training(steps: int) -> float:
    images = to_unit_range(load_digits().train_images[: 128 * (steps + 1)])
    network = UNet(64)
    yardstick.train(network, images[:128], 1)
    return steps * 128 / seconds(lambda: yardstick.train(network, images[128:], steps))


def time_to_the_goal() -> Result:
    """Minutes to a validation loss of 0.0207, from images a second here and images needed.

    The assignment's network needs 10 epochs by the assignment itself; for ours the log of the
    shipped weights has the first epoch at whose end they were there, without labels as well.
    """
    weights = load_checkpoint()
    first = weights.training
    while "earlier" in first:
        first = first["earlier"]
    optimizer = first["settings"]["training"].get("optimizer", "adam")
    needed = next(
        epoch["images_seen"]
        for epoch in weights.log
        if epoch["validation_unlabelled"]["mean"] <= GOAL
    )
    CONSOLE.print(f"{YARDSTICK_IMAGES:,} images against {needed:,}")
    return in_turn(
        f"training to a loss of {GOAL}",
        "min",
        lambda: YARDSTICK_IMAGES / yardstick_training(2) / 60,
        lambda: needed / our_training(10, LeanUNet(64, 10), optimizer) / 60,
    )


# Beside other work


def busy() -> subprocess.Popen[bytes]:
    """A process that keeps a core busy."""
    return subprocess.Popen([PYTHON, "-c", "while True: pass"])


def beside(work: str, alone: Callable[[], float], rounds: int = 3) -> Result:
    """Seconds alone on the machine, and beside two processes that do nothing but compute."""

    def crowded() -> float:
        others = [busy(), busy()]
        try:
            return alone()
        finally:
            for other in others:
                other.kill()
                other.wait()

    return in_turn(f"{work}: alone, and beside two busy processes", "s", alone, crowded, rounds)


def beside_each_other(folder: Path) -> Result:
    """One digit alone on the machine, and while another is drawn."""

    def alone() -> float:
        return seconds(lambda: run(*TUTOR, "gif", "--digit", "7", "--out", str(folder / "a.gif")))

    def together() -> float:
        command = [*TUTOR, "gif", "--digit", "3", "--out", str(folder / "b.gif")]
        other = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            return alone()
        finally:
            other.wait()

    return in_turn("one digit: alone, and beside another", "s", alone, together)


def crowds(folder: Path) -> list[Result]:
    """What becomes of commands when they are not alone: the ratio is the share of speed left."""
    gif = [*TUTOR, "gif", "--digit", "7", "--out", str(folder / "crowd.gif")]
    lesson = [*TUTOR, "lesson", "3", "--no-pause", "--set", "steps=60", "--out", str(folder)]
    return [
        beside("one digit", lambda: seconds(lambda: run(*gif))),
        beside("lesson 3 with 60 training steps", lambda: seconds(lambda: run(*lesson)), rounds=1),
        beside_each_other(folder),
    ]


# Waiting


def first_screen(folder: Path) -> float:
    """Seconds until `ddpm-tutor lesson 1` shows its first step in a terminal."""
    environment = os.environ | {"XDG_DATA_HOME": str(folder), "TERM": "xterm", "COLUMNS": "100"}
    ours, theirs = pty.openpty()
    started = time.perf_counter()
    command = [*TUTOR, "lesson", "1", "--out", str(folder)]
    process = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True
    )
    seen = b""
    while b"quit" not in seen:  # the keys below the first step
        if not select.select([ours], [], [], 60)[0]:
            raise TimeoutError("lesson 1 shows nothing")
        seen += os.read(ours, 4096)
    took = time.perf_counter() - started
    process.kill()
    process.wait()
    for handle in (ours, theirs):
        os.close(handle)
    return took


def waiting(folder: Path) -> list[Result]:
    def importing() -> float:
        return seconds(lambda: run(PYTHON, "-c", "import torch"))

    commands = {
        "ddpm-tutor": TUTOR, "ddpm-tutor --help": [*TUTOR, "--help"],
        "ddpm-tutor lessons": [*TUTOR, "lessons"],
    }  # fmt: skip
    results = [
        in_turn(name, "s", importing, lambda command=command: seconds(lambda: run(*command)), 5)
        for name, command in commands.items()
    ]
    first = in_turn(
        "first screen of lesson 1", "s", importing, lambda: first_screen(folder), rounds=5
    )
    return [*results, first]


# The floor, growth, two processes


def floor() -> dict[str, float]:
    """What the machine can do, and what a call of the network that ships comes to."""
    found = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        a, b = torch.randn(2, 2048, 2048).to(dtype)
        a @ b
        best = min(seconds(lambda a=a, b=b: a @ b) for _ in range(10))
        found[f"{name} matrix products, GFLOP/s"] = 2 * 2048**3 / best / 1e9
    model = shipped()
    found["GFLOP a call"] = gflop(model)
    for batch in (1, 2, CHUNK_SIZE):
        ready = for_sampling(model, [500], batch)
        x_t, t = torch.randn(batch, 1, 32, 32), torch.full((batch,), 500)
        with torch.no_grad():
            ready(x_t, t)
            calls = [seconds(lambda r=ready, x=x_t, t=t: r(x, t)) for _ in range(50)]
        found[f"ms a call, {batch} images"] = statistics.median(calls) * 1000
    return found


def where_time_goes() -> dict[str, float]:
    """Shares of a call for one image, by operator."""
    ready = for_sampling(shipped(), [500], 1)
    x_t, t = torch.randn(1, 1, 32, 32), torch.tensor([500])
    with torch.no_grad():
        ready(x_t, t)
        whole = seconds(lambda: [ready(x_t, t) for _ in range(100)]) * 1e6
        with torch.profiler.profile() as profile:
            for _ in range(100):
                ready(x_t, t)
    events = sorted(profile.key_averages(), key=lambda e: -e.self_cpu_time_total)
    shares = {e.key: e.self_cpu_time_total / whole for e in events}
    return dict(islice(shares.items(), 5))


def grow(count: int, steps: int) -> dict[str, float]:
    """Draws `count` images with `steps` steps: seconds, and the most memory taken."""
    keep_freed_memory()  # as the commands do
    model = shipped()
    label = torch.arange(count) % 10

    def work() -> None:
        for _ in draw_many(model, SCHEDULE, label, count, SamplingOptions(steps=steps), seed=0):
            pass

    took = seconds(work)
    return {"images": count, "steps": steps, "seconds": took, "MB": most_memory()}


def most_memory() -> float:
    """The most memory that this process has had, in MB (Linux)."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1000


def growth() -> list[dict[str, float]]:
    """`grow` in processes of their own."""
    found = []
    for count, steps in ((1, 200), (10, 100), (100, 40), (1000, 20), (10, 10), (10, 1000)):
        command = [PYTHON, "-m", "tests.benchmarks", "--grow", str(count), str(steps)]
        found.append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        CONSOLE.print(found[-1])
    return found


def plot_growth(found: list[dict[str, float]], folder: Path) -> None:
    """Time and memory by the number of images."""
    from matplotlib.figure import Figure

    rows = found[:4]
    figure = Figure(figsize=(8, 3), layout="constrained")
    time_axis, memory_axis = figure.subplots(1, 2)
    counts = [r["images"] for r in rows]
    times = [1000 * r["seconds"] / r["steps"] / r["images"] for r in rows]
    memory = [r["MB"] for r in rows]
    time_axis.semilogx(counts, times, marker="o")
    time_axis.set(xlabel="images", ylabel="ms per image and step", ylim=(0, 1.1 * max(times)))
    memory_axis.semilogx(counts, memory, marker="o")
    memory_axis.set(
        xlabel="images", ylabel="memory of the process, MB", ylim=(0, 1.1 * max(memory))
    )
    figure.savefig(folder / "growth.png", dpi=110)


def two_processes(folder: Path) -> list[Result]:
    """One process with one thread, and two of them."""
    alone = {name: value for name, value in os.environ.items() if name != "DDPM_TUTOR_DATA"}
    # without MNIST: 2,000 drawn digits make an epoch short
    alone |= {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder), **NO_NETWORK}
    torchrun = [PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]

    def drawing(count: int) -> float:
        words = ["sample", "--digit", "3", "-n", "400", "--steps", "20", "--out", "s.png"]
        command = [*torchrun, str(count), "-m", "ddpm_tutor", *words]
        return seconds(
            lambda: subprocess.run(command, check=True, capture_output=True, env=alone, cwd=folder)
        )

    def training(count: int) -> float:
        place = Path(tempfile.mkdtemp(dir=folder))
        words = ["train", "--network", "lean", "--epochs", "2", "--run-dir", str(place)]
        command = [*torchrun, str(count), "-m", "ddpm_tutor", *words]
        subprocess.run(command, check=True, capture_output=True, env=alone, cwd=folder)
        return json.loads((place / "log.jsonl").read_text().splitlines()[-1])["images_per_second"]

    return [
        in_turn("two processes draw 400", "s", lambda: drawing(1), lambda: drawing(2), rounds=2),
        in_turn(
            "two processes train", "images/s", lambda: training(1), lambda: training(2), 2, True
        ),
    ]


def benchmarks(plots: Path | None) -> dict[str, object]:
    pipeline = diffusers_pipeline()
    CONSOLE.print(f"{gflop(shipped()):.2f} GFLOP a call, diffusers' {gflop(pipeline.unet):.2f}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        results = [
            *one_digit(folder),
            in_turn("100 digits, all 1000 steps", "s",
                    lambda: apart(yardstick_sampling, 100, 4),
                    lambda: apart(our_sampling, shipped, 100, 40)),
            in_turn("10 digits, the U-Net, float32", "s",
                    lambda: apart(yardstick_sampling, 10, 30),
                    lambda: apart(our_sampling, unet, 10, 30, False), rounds=5),
            in_turn("training the U-Net", "images/s",
                    lambda: yardstick_training(2), lambda: our_training(5, UNet(64), "adam"),
                    more_is_better=True),
            time_to_the_goal(),
            in_turn("1 digit, beside diffusers", "s",
                    lambda: diffusers_sampling(pipeline, 1, 100),
                    lambda: apart(our_sampling, shipped, 1, 200)),
            in_turn("100 digits, beside diffusers", "s",
                    lambda: diffusers_sampling(pipeline, 100, 10),
                    lambda: apart(our_sampling, shipped, 100, 40)),
            *waiting(folder),
            *two_processes(folder),
            *crowds(folder),
        ]  # fmt: skip
    grown = growth()
    if plots:
        plot_growth(grown, plots)
    return {
        "torch": torch.__version__, "threads": torch.get_num_threads(),
        "results": [{**asdict(r), "ratio": r.ratio} for r in results],
        "floor": floor(), "shares of a call": where_time_goes(), "growth": grown,
    }  # fmt: skip


def show(report: dict) -> None:
    table = Table("work", "yardstick", "ours", "times faster")
    for r in report["results"]:
        unit = r["unit"]
        table.add_row(
            r["work"], f"{r['baseline']:.3g} {unit}", f"{r['ours']:.3g} {unit}", f"{r['ratio']:.2f}"
        )
    CONSOLE.print(table)
    for name in ("floor", "shares of a call", "differences", "calls", "compiled"):
        for key, value in report.get(name, {}).items():
            CONSOLE.print(f"{name}: {key} {value:.3g}", markup=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grow", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--plots", type=Path, help="folder for the plot")
    arguments = parser.parse_args()
    if arguments.grow:
        print(json.dumps(grow(*arguments.grow)))
    else:
        if arguments.device == "cuda":
            from tests.benchmarks_gpu import benchmarks_gpu

            report = benchmarks_gpu()
        else:
            report = benchmarks(arguments.plots)
        show(report)
        if arguments.json:
            arguments.json.write_text(json.dumps(report, indent=2))
