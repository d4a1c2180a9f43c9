"""Trains six small networks that predict different things: Table 2 of the paper in miniature.

    python assets/train_predictors.py --data DIR

DIR is a torchvision root with MNIST. Writes `predictors.json`, how each learned and what its digits
are worth, and `predictors.png`, ten digits of each, a row a network. Lesson 10 shows both, and
trains one of them anew. All is done at half size, 16x16: so that a laptop learns in seconds.
"""

import argparse
import json
import os
from pathlib import Path

import torch
from torch import Tensor

from ddpm_tutor.classroom.session import track
from ddpm_tutor.evaluation.classifier import load_classifier, read_digits
from ddpm_tutor.evaluation.scores import Gaussian, fit_gaussian, frechet_distance, jackknife
from ddpm_tutor.files import replacing
from ddpm_tutor.pictures.grids import grid
from ddpm_tutor.pictures.picture_files import write_picture
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.parameterizations import Kind, Predictor, Weighed, train_predictor
from ddpm_tutor.science.pixels import doubled, halved, to_uint8
from ddpm_tutor.science.sampling import SamplingOptions, sample
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.science.training import TrainingConfig
from ddpm_tutor.science.validation_loss import losses_by_t
from ddpm_tutor.storage.digits import Digits, load_digits

ASSETS = Path(__file__).parent
NETWORKS: list[tuple[Kind, Weighed]] = [
    ("eps", "eps"), ("mu", "L"), ("eps", "L"), ("v", "v"), ("x_0", "x_0"), ("mu", "mu"),
]  # fmt: skip
WIDTH, STEPS, SEED = 32, 300, 0
CONFIG = TrainingConfig(batch_size=64, lr=3e-3, warmup_steps=20, seed=SEED)
EVERY = 10  # steps of training to one entry of the log
VALIDATION, RANGES = 1000, 20  # held-out digits, and ranges of t that their errors are given for
DRAWN, DRAW_STEPS = 200, 25  # digits drawn by each, and steps of strided ancestral sampling


def train_one(kind: Kind, weighed: Weighed, digits: Digits) -> tuple[dict[str, object], Tensor]:
    """The log of one network, and the digits that it draws, (DRAWN, 1, 16, 16) uint8."""
    schedule = linear_schedule()
    torch.manual_seed(SEED)
    model = Predictor(kind, schedule, WIDTH)
    steps = train_predictor(model, schedule, halved(digits.train_images), STEPS, CONFIG, weighed)
    losses = list(track(steps, STEPS, f"{kind}, {weighed}"))
    model.eval().requires_grad_(False)
    _, errors = losses_by_t(model, schedule, halved(digits.validation_images[:VALIDATION]))
    x_T = normal((DRAWN, 1, 16, 16), stream(SEED, "predictors"), "cpu")
    states = sample(model, schedule, x_T, SamplingOptions(steps=DRAW_STEPS),
                    generator=stream(SEED, "sampling"))  # fmt: skip
    *_, end = track(states, DRAW_STEPS + 1, "Drawing")
    images = to_uint8(end.x_t)
    log: dict[str, object] = {
        "predicts": kind,
        "weighed_as": weighed,
        "loss": [round(sum(losses[i : i + EVERY]) / EVERY, 6) for i in range(0, STEPS, EVERY)],
        "eps_error_by_t": [float(f"{part.mean():.4g}") for part in errors.chunk(RANGES)],
    }
    return log, images


def scored(images: Tensor, real: Gaussian) -> dict[str, object]:
    """What the classifier makes of the digits, at twice their size."""
    reading = read_digits(load_classifier().model, doubled(images))
    frechet = jackknife(lambda f: frechet_distance(fit_gaussian(f), real), reading.features)
    sure = (reading.probabilities.amax(dim=1) > 0.9).float().mean()
    return {
        "frechet": [round(frechet.mean, 2), round(frechet.error, 2)],
        "sure": round(float(sure), 3),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a torchvision root with MNIST")
    os.environ["DDPM_TUTOR_DATA"] = str(parser.parse_args().data)
    digits = load_digits()
    # digits that are real, but of half size as those that are drawn
    features = read_digits(load_classifier().model, doubled(halved(digits.train_images[:5000])))
    real = fit_gaussian(features.features)
    settings = {
        "network": "lean", "width": WIDTH, "steps": STEPS, "batch_size": CONFIG.batch_size,
        "lr": CONFIG.lr, "warmup_steps": CONFIG.warmup_steps, "seed": SEED, "every": EVERY,
        "drawn": DRAWN, "draw_steps": DRAW_STEPS, "validation": VALIDATION,
        "real": scored(halved(digits.validation_images[:DRAWN]), real),
    }  # fmt: skip
    logs: list[dict[str, object]] = []
    rows: list[Tensor] = []
    for kind, weighed in NETWORKS:
        log, images = train_one(kind, weighed, digits)
        logs.append(log | scored(images, real))
        rows.append(images[:10])
        print(logs[-1], flush=True)
        with replacing(ASSETS / "predictors.json") as temporary:
            text = json.dumps({"settings": settings, "networks": logs}, indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")
        write_picture(ASSETS / "predictors.png", grid(torch.cat(rows), 10))
