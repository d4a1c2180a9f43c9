"""Measures what `ddpm-tutor paper ledger` says: what follows where code differs from the paper.

    python assets/measure_ledger.py --data DIR

DIR is a torchvision root with MNIST. Writes `ledger.json`: for each line of the ledger its figures,
as the text of `ddpm_tutor/paper/ledger.toml` has them between braces. What was measured stays when
it is run again; `--again NAME` measures that line anew.

Intervals are 95 %. A score of drawn digits is of `DIGITS` of them, `MANY` in 200 steps.
Trainings are short, of a small network, each with three seeds.
"""

import argparse
import functools
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from ddpm_tutor.api import (
    LeanUNet,
    ReverseProcess,
    SamplingOptions,
    Schedule,
    TrainingConfig,
    TrainingState,
    bits_per_dim,
    bounds_of,
    difference,
    draw,
    last,
    linear_schedule,
    load_checkpoint,
    load_classifier,
    load_digits,
    load_real_digits,
    mean_of,
    normal,
    p_mean,
    predict_x_0,
    q_posterior,
    q_sample,
    read_digits,
    score,
    share,
    stream,
    to_unit_range,
    train,
    validation_loss,
)
from ddpm_tutor.evaluation.scorecard import Scores
from ddpm_tutor.files import replacing
from ddpm_tutor.science import lean_unet
from ddpm_tutor.science.bits import Bound
from ddpm_tutor.science.sampling import draw_many

ASSETS = Path(__file__).parent
DIGITS, MANY = 300, 150  # drawn for a score; in 200 steps
SEEDS = (0, 1, 2)
STEPS, WIDTH = 200, 32  # of a short training, and its network

Figures = dict[str, str]


def less_one(t: Tensor, channels: int) -> Tensor:
    """The time encoding with half the channels, less one, under the exponent."""
    exponent = torch.arange(channels // 2, dtype=torch.float32) / (channels // 2 - 1)
    angle = t[:, None].float() * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def interleaved(t: Tensor, channels: int) -> Tensor:
    """The time encoding with sines and cosines in turn."""
    return time_encoding_of_ours(t, channels).view(-1, 2, channels // 2).mT.flatten(1)


time_encoding_of_ours = lean_unet.time_encoding
ENCODINGS = {"ours": time_encoding_of_ours, "less_one": less_one, "interleaved": interleaved}
trained = load_checkpoint()
model, schedule = trained.model, trained.schedule


@functools.cache
def drawn(options: SamplingOptions, n: int) -> Scores:
    """The scores of n digits, as many of each class."""
    labels = torch.arange(n) % 10
    chunks = draw_many(model, schedule, labels, n, options, seed=0)
    images = torch.cat([chunk for chunk in chunks if chunk is not None])
    return score(read_digits(load_classifier().model, images), labels, load_real_digits())


def two_ways(name: str, a: SamplingOptions, b: SamplingOptions, n: int) -> Figures:
    """The scores of two ways to draw, and the difference of what is read as asked."""
    found = {"a": drawn(a, n), "b": drawn(b, n)}
    read = {way: scores.read_as_asked for way, scores in found.items()}
    assert read["a"] and read["b"]
    return {
        **{f"{name}_read_{way}": str(s) for way, s in read.items()},
        **{f"{name}_frechet_{way}": with_error(s.frechet) for way, s in found.items()},
        f"{name}_difference": str(difference(read["b"], read["a"])),
    }


def with_error(estimate: Any, places: int = 2) -> str:
    """A mean and two standard errors."""
    return f"{estimate.mean:.{places}f} ± {2 * estimate.error:.{places}f}"


def clip(data: Path) -> Figures:
    plain = SamplingOptions(steps=200, variance="beta", clip=False)
    few = SamplingOptions(steps=20, variance="beta_tilde", clip=False)
    return {
        **two_ways("many", plain, replace(plain, clip=True), MANY),
        **two_ways("few", few, replace(few, clip=True), DIGITS),
    }


def through_x_0(data: Path) -> Figures:
    x_0 = to_unit_range(load_digits(data).validation_images[:50]).double()
    apart, clipped = 0.0, 0.0
    for i in (1, 10, 100, 300, 700, 1000):
        t = torch.full((50,), i)
        x_t = q_sample(schedule, x_0, t, normal(x_0.shape, stream(0, "ledger", i), "cpu").double())
        with torch.no_grad():
            eps = model(x_t.float(), t, None).double()
        x_0_hat = predict_x_0(schedule, x_t, t, eps)
        mean = p_mean(schedule, x_t, t, eps)
        apart = max(apart, float((q_posterior(schedule, x_t, x_0_hat, t)[0] - mean).abs().max()))
        by_clipped = q_posterior(schedule, x_t, x_0_hat.clamp(-1, 1), t)[0]
        clipped = max(clipped, float((by_clipped - mean).abs().max()))
    return {"apart": f"{apart:.0e}", "clipped": f"{clipped:.2f}"}


def sigma(data: Path) -> Figures:
    many = SamplingOptions(steps=200, clip=False, variance="beta")
    few = SamplingOptions(steps=20, clip=True, variance="beta")
    return {
        **two_ways("many", many, replace(many, variance="beta_tilde"), MANY),
        **two_ways("few", few, replace(few, variance="beta_tilde"), DIGITS),
    }


def first_variance(data: Path) -> Figures:
    images = load_digits(data).validation_images[:DIGITS]
    ways = {
        "beta_a": ReverseProcess("beta", "beta_1"),
        "beta_b": ReverseProcess("beta", "beta_tilde_2"),
        "tilde_a": ReverseProcess("beta_tilde", "beta_1"),
        "tilde_b": ReverseProcess("beta_tilde", "beta_tilde_2"),
    }  # fmt: skip
    found = zip(*bounds_of(model, schedule, images, list(ways.values()), seed=0), strict=True)
    bits = {
        way: bits_per_dim(Bound.joined(parts).nats) for way, parts in zip(ways, found, strict=True)
    }
    return {way: with_error(mean_of(each)) for way, each in bits.items()} | {
        f"{kind}_difference": with_error(mean_of(bits[f"{kind}_b"] - bits[f"{kind}_a"]), 3)
        for kind in ("beta", "tilde")
    }


@functools.cache
def short_training(
    data: Path, seed: int, encoding: str = "ours", **config: Any
) -> tuple[float, float]:
    """The validation loss of the last weights, and of the averaged ones."""
    digits = load_digits(data)
    torch.manual_seed(seed)
    state = TrainingState.start(
        LeanUNet(width=WIDTH, num_classes=10),
        settings := TrainingConfig(**{"lr": 2e-3, "batch_size": 64, "seed": seed, **config}),
    )
    schedule, data_and_labels = linear_schedule(), (digits.train_images, digits.train_labels)
    held_out = digits.validation_images[:1000], digits.validation_labels[:1000]
    with patch.object(lean_unet, "time_encoding", ENCODINGS[encoding]):
        for report in train(state, schedule, *data_and_labels, settings):
            if report.step == STEPS:
                break
        raw, averaged = (validation_loss(m, schedule, *held_out) for m in (state.model, state.ema))
    return raw.mean, averaged.mean


def in_pairs(a: list[float], b: list[float]) -> str:
    """The mean difference b - a of the same seeds, and its interval (Student's t)."""
    d = torch.tensor(b) - torch.tensor(a)
    reach = {2: 12.71, 3: 4.30}[len(d)] * float(d.std()) / math.sqrt(len(d))
    mean = f"{float(d.mean()):+.4f}"
    return f"{mean.lstrip('+-') if float(mean) == 0 else mean} ± {reach:.4f}"


def trainings(data: Path, **config: Any) -> tuple[str, str, str]:
    """The loss as it is by default, the loss with these settings, and the difference."""
    usual = [short_training(data, seed)[1] for seed in SEEDS]
    other = [short_training(data, seed, **config)[1] for seed in SEEDS]
    means = (sum(losses) / len(losses) for losses in (usual, other))
    a, b = (f"{mean:.4f}" for mean in means)
    return a, b, in_pairs(usual, other)


def averaged(data: Path) -> Figures:
    pairs = [short_training(data, seed) for seed in SEEDS]
    raw, ema = ([pair[i] for pair in pairs] for i in (0, 1))
    means = {"a": sum(raw) / len(raw), "b": sum(ema) / len(ema)}
    return {way: f"{mean:.4f}" for way, mean in means.items()} | {"difference": in_pairs(raw, ema)}


def warm_up(data: Path) -> Figures:
    return dict(zip(("a", "b", "difference"), trainings(data, warmup_steps=0), strict=True))


def gradient_clipping(data: Path) -> Figures:
    return dict(zip(("a", "b", "difference"), trainings(data, grad_clip=math.inf), strict=True))


def flips(data: Path) -> Figures:
    digits, classifier = load_digits(data), load_classifier().model
    images, labels = digits.validation_images, digits.validation_labels
    as_they_are = share(read_digits(classifier, images).classes == labels)
    mirrored = read_digits(classifier, images.flip(-1)).classes
    by_digit = {d: share(mirrored[labels == d] == d) for d in range(10)}
    kept = [d for d in range(10) if by_digit[d].value > 0.5]
    return {
        "as_they_are": str(as_they_are), "mirrored": str(share(mirrored == labels)),
        "kept": ", ".join(map(str, kept)),
    }  # fmt: skip


def time_encoding(data: Path) -> Figures:
    digits = load_digits(data)
    held_out = digits.validation_images[:1000], digits.validation_labels[:1000]
    usual = [short_training(data, seed)[1] for seed in SEEDS]
    found = {}
    for name, encoding in ENCODINGS.items():
        with patch.object(lean_unet, "time_encoding", encoding):
            found[name] = with_error(validation_loss(model, schedule, *held_out), 4)
        if name != "ours":
            losses = [short_training(data, seed, encoding=name)[1] for seed in SEEDS]
            found[f"{name}_trained"] = in_pairs(usual, losses)
    return found


def guidance(data: Path) -> Figures:
    few = SamplingOptions(steps=100)
    found = {
        str(scale): drawn(replace(few, guidance=scale), DIGITS) for scale in (0.0, 1.0, 1.5, 2.5)
    }
    return {f"read_{s.replace('.', '_')}": str(v.read_as_asked) for s, v in found.items()} | {
        f"coverage_{s.replace('.', '_')}": str(v.coverage) for s, v in found.items()
    }


def float32(data: Path) -> Figures:
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float32)
    alpha_bar = torch.cumprod(1 - beta, 0).double()
    relative = (alpha_bar / schedule.alpha_bar[1:] - 1).abs().max()
    first = (1 - alpha_bar[0]) / (1 - schedule.alpha_bar[1]) - 1
    one = torch.ones(1, dtype=torch.float64)
    rounded = Schedule(
        torch.cat([one * 0, beta.double()]), torch.cat([one, 1 - beta.double()]),
        torch.cat([one, alpha_bar]),
    )  # fmt: skip
    options, images = SamplingOptions(), []
    for each in (schedule, rounded):
        states = draw(model, each, torch.arange(10), options, seed=0, indices=range(10))
        images.append(last(states))
    shades = 127.5 * (images[0] - images[1]).abs().max()
    return {"relative": f"{relative:.0e}", "first": f"{first:.0e}", "shades": f"{shades:.2f}"}


LINES: dict[str, Callable[[Path], Figures]] = {
    f.__name__: f
    for f in (
        through_x_0, float32, flips, first_variance, time_encoding, averaged, warm_up,
        gradient_clipping, guidance, clip, sigma,
    )
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--again", action="append", default=[], choices=LINES)
    chosen = parser.parse_args()
    path = ASSETS / "ledger.json"
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, measure in LINES.items():
        if name not in known or name in chosen.again:
            known[name] = measure(chosen.data)
            print(name, known[name], flush=True)
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
