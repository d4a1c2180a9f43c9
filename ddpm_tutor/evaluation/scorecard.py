"""The scorecard: digits drawn by a network beside as many real ones.

The real ones have every class equally often, like the digits that are asked for. What a network
without labels draws has classes as it likes, and is held against the same.
"""

from dataclasses import dataclass
from functools import partial
from statistics import fmean

import numpy as np
import torch
from torch import Tensor

from ddpm_tutor.evaluation.classifier import Classifier, Reading, read_digits, read_features
from ddpm_tutor.evaluation.scores import (
    Gaussian,
    Neighbours,
    Share,
    coverage,
    fit_gaussian,
    frechet_distance,
    jackknife,
    nearest,
    pooled,
    precision,
    share,
)
from ddpm_tutor.files import bundled
from ddpm_tutor.science.checks import check_kind, check_labels, is_whole
from ddpm_tutor.science.validation_loss import Estimate, validation_loss
from ddpm_tutor.storage.checkpoints import Checkpoint
from ddpm_tutor.storage.digits import Digits

CLASSES = 10  # of digits
LEAST = 10  # images that are scored: each tenth is left out once


@dataclass(frozen=True)
class RealDigits:
    """What ships of real digits: how the classifier sees them. No image is among it.

    The rows of the features come in turn from the classes 0, 1, ..., 9, 0, 1, ...
    """

    training: Gaussian  # of the 27,500 training images that the classifier was not fitted to
    training_features: Tensor  # (5000, 64) of some of these
    test_features: Tensor  # (5000, 64) of images that no network was trained on
    test_nearest: Tensor  # (5000,) distance of each to its nearest of all 55,000 training images


def load_real_digits() -> RealDigits:
    """The statistics of real digits that ship.

    Example:
        >>> load_real_digits().test_features.shape
        torch.Size([5000, 64])
    """
    with np.load(bundled("assets") / "real_digits.npz") as arrays:
        known = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    return RealDigits(
        training=Gaussian(known["train_mean"], known["train_covariance"]),
        training_features=known["train_features"].float(),
        test_features=known["test_features"].float(),
        test_nearest=known["test_nearest"].float(),
    )


@dataclass(frozen=True)
class Scores:
    """What a set of digits scores, drawn ones or real ones."""

    n: int
    read_as_asked: Share | None  # None where no class was asked for
    by_digit: list[Share]  # of those asked to be a 0, a 1, ..., how many are read so; or empty
    read_as: list[int]  # how many are read as a 0, a 1, ...
    frechet: Estimate  # distance to the training images
    coverage: Share  # of as many training images
    precision: Share


@dataclass(frozen=True)
class Nearness:
    """How near a set of images comes to the training images: does the network copy them?"""

    median: float  # Euclidean distance of an image to its nearest training image, in [-1, 1]
    closest: float  # one image in a hundred is nearer than this
    below: Share  # nearer than all but one in a hundred of real test digits


@dataclass(frozen=True)
class Card:
    """All that was measured of one network, or of real digits."""

    scores: Scores
    nearness: Nearness | None  # None where there is no MNIST to compare with
    validation: Estimate | None = None  # with labels, where the network takes them
    validation_unlabelled: Estimate | None = None  # without, where it takes them


def score(reading: Reading, asked: Tensor | None, real: RealDigits, lot: int = 0) -> Scores:
    """Scores a set of digits by what the classifier makes of them.

    Args:
        reading: as `read_digits` gives it.
        asked: (n,) the class that each should be, or None.
        real: as `load_real_digits` gives it.
        lot: which n of the training features coverage and precision compare with, from 0.

    Raises:
        TypeError: something is of another kind. ValueError: the images or labels do not fit,
            or there is no such lot.

    Example:
        >>> scores = score(read_digits(reader, twenty.images), twenty.labels, real)
        >>> scores.read_as_asked.of
        20
    """
    check_kind(reading, Reading, "reading", "a Reading, as of read_digits")
    check_kind(real, RealDigits, "real", "RealDigits, as of load_real_digits")
    n = len(reading.features)
    check_labels(asked, n, CLASSES, "asked")
    if n < LEAST:
        raise ValueError(f"reading must be of {LEAST} images or more, not {n}: fewer tell nothing")
    lots = len(real.training_features) // n
    if not is_whole(lot) or not 0 <= lot < max(lots, 1):
        raise ValueError(f"lot must be from 0 to {max(lots, 1) - 1} with {n} images, not {lot!r}")
    frechet = jackknife(partial(_distance, real=real), reading.features)
    return _score(reading, asked, real, lot, frechet)


def _distance(features: Tensor, real: RealDigits) -> float:
    return frechet_distance(fit_gaussian(features), real.training)


def _score(
    reading: Reading, asked: Tensor | None, real: RealDigits, lot: int, frechet: Estimate
) -> Scores:
    n, by_digit = len(reading.features), []
    if asked is not None:
        by_digit = [share(reading.classes[asked == c] == c) for c in range(CLASSES)]
    reference = real.training_features[lot * n : (lot + 1) * n]
    return Scores(
        n=n,
        read_as_asked=pooled(by_digit) if by_digit else None,
        by_digit=by_digit,
        read_as=reading.classes.bincount(minlength=10).tolist(),
        frechet=frechet,
        coverage=coverage(reference, reading.features),
        precision=precision(reference, reading.features),
    )


def nearness(distances: Tensor, real: RealDigits) -> Nearness:
    """Sums up distances to the nearest training image, (n,), beside those of real test digits."""
    return Nearness(
        median=float(distances.median()),
        closest=float(distances.quantile(0.01)),
        below=share(distances < real.test_nearest.quantile(0.01)),
    )


def real_card(model: Classifier, real: RealDigits, n: int) -> Card:
    """The same measures of real test digits: the mean over as many lots of `n` as ship.

    Args:
        model: the classifier, `load_classifier().model`.
        real: as `load_real_digits` gives it.
        n: digits in a lot, 10..5000.

    Raises:
        ValueError: n is not from 10 to the number of real digits.

    Example:
        >>> real_card(reader, real, 500).scores.n
        500
    """
    most = len(real.test_features)
    if not is_whole(n) or not LEAST <= n <= most:
        raise ValueError(f"n must be from {LEAST} to {most}, the real digits that ship, not {n!r}")
    n, labels = int(n), torch.arange(most) % CLASSES
    lots = [
        read_features(model, features) for features in real.test_features[: most // n * n].split(n)
    ]
    each = [_distance(lot.features, real) for lot in lots]
    if len(lots) > 1:  # they tell how far one is from another: none has to be cut up for that
        spread = torch.tensor(each, dtype=torch.float64).std() / len(lots) ** 0.5
        frechet = Estimate(fmean(each), float(spread))
    else:
        frechet = jackknife(partial(_distance, real=real), lots[0].features)
    scores = [
        _score(lot, asked, real, number, frechet)
        for number, (lot, asked) in enumerate(zip(lots, labels.split(n), strict=False))
    ]
    by_digit = [pooled([s.by_digit[c] for s in scores]) for c in range(10)]
    mean = Scores(
        n=n,
        read_as_asked=pooled(by_digit),
        by_digit=by_digit,
        read_as=[sum(s.read_as[c] for s in scores) for c in range(10)],
        frechet=frechet,
        coverage=pooled([s.coverage for s in scores]),
        precision=pooled([s.precision for s in scores]),
    )
    return Card(mean, nearness(real.test_nearest, real))


@dataclass(frozen=True)
class Drawn:
    """Digits that a network drew, and what was found in them."""

    images: Tensor  # (n, 1, 32, 32) uint8
    asked: Tensor | None  # (n,) the classes asked for
    reading: Reading
    near: Neighbours | None  # None without MNIST
    card: Card


def measure(
    checkpoint: Checkpoint,
    images: Tensor,
    asked: Tensor | None,
    model: Classifier,
    real: RealDigits,
    mnist: Digits | None,
) -> Drawn:
    """Measures a network by the digits that it drew, and by its loss where there is MNIST.

    Args:
        images: (n, 1, 32, 32) uint8; asked: (n,) the classes asked for, or None.
    """
    reading = read_digits(model, images)
    near = None if mnist is None else nearest(images, mnist.train_images)
    losses: list[Estimate] = []
    if mnist is not None:
        label_sets = [mnist.validation_labels, None] if checkpoint.conditional else [None]
        losses = [
            validation_loss(checkpoint.model, checkpoint.schedule, mnist.validation_images, labels)
            for labels in label_sets
        ]
    card = Card(
        scores=score(reading, asked, real),
        nearness=None if near is None else nearness(near.distances, real),
        validation=losses[0] if losses else None,
        validation_unlabelled=losses[1] if len(losses) > 1 else None,
    )
    return Drawn(images, asked, reading, near, card)
