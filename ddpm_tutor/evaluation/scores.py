"""How good drawn digits are, beside real ones: measures that any set of images can be given.

The measures compare sets of features, (n, d), one row an image: what a classifier has found in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ddpm_tutor.science.checks import check_kind, said
from ddpm_tutor.science.validation_loss import Estimate

# k, each as its authors recommend
COVERAGE_NEIGHBOURS = 5
PRECISION_NEIGHBOURS = 3
JACKKNIFE_GROUPS = 10  # of the jackknife
BATCH_SIZE = 500  # rows of a distance matrix held at once


@dataclass(frozen=True)
class Share:
    """So many of so many, and how sure that makes one of the underlying probability.

    As text it is in percent, with the interval in brackets.
    """

    count: int
    of: int

    @property
    def value(self) -> float:
        return self.count / self.of

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval (Wilson 1927): sensible even at 0 and at 1."""
        z, n, p = 1.96, self.of, self.value
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
        return max(0.0, middle - reach), min(1.0, middle + reach)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} ({100 * low:.1f}–{100 * high:.1f})"


@dataclass(frozen=True)
class Difference:
    """One share less another, and how sure two samples make one of it.

    As text it is in percentage points, with the interval in brackets.
    """

    value: float
    interval: tuple[float, float]  # 95 %

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero: chance alone seldom makes such a difference."""
        low, high = self.interval
        return low > 0 or high < 0

    def __str__(self) -> str:
        value, low, high = (100 * v for v in (self.value, *self.interval))
        return f"{value:+.1f} ({low:+.1f} to {high:+.1f})"


def difference(a: Share, b: Share) -> Difference:
    """How much larger the share `a` is than `b`, of two independent samples (Newcombe 1998).

    Compare shares by this, not by whether their own intervals overlap: 66 and 80 of 100 do, and
    yet differ. The interval is Newcombe's method 10, made of the two Wilson intervals.

    Args:
        a: a share of one sample.
        b: a share of another.

    Raises:
        TypeError: something is of another kind.

    Example:
        >>> difference(Share(80, 100), Share(66, 100)).is_clear
        True
    """
    for name, one in (("a", a), ("b", b)):
        check_kind(one, Share, name, "a Share, as of share(hits)")
    (low_a, high_a), (low_b, high_b) = a.interval, b.interval
    value = a.value - b.value
    below = math.hypot(a.value - low_a, high_b - b.value)
    above = math.hypot(high_a - a.value, b.value - low_b)
    return Difference(value, (value - below, value + above))


def share(hits: Tensor) -> Share:
    """The share of True in a tensor of booleans, (n,).

    Args:
        hits: (n,) True or False.

    Raises:
        TypeError: it is no tensor. ValueError: it is not (n,), or holds something else.

    Example:
        >>> share(label == 3)
        Share(count=1, of=2)
    """
    check_kind(hits, Tensor, "hits", "a tensor (n,) of True and False")
    if hits.dtype != torch.bool or hits.ndim != 1:
        raise ValueError(f"hits must be (n,), True or False each, not {said(hits)}")
    return Share(int(hits.sum()), len(hits))


def pooled(shares: Sequence[Share]) -> Share:
    """All of them taken together."""
    return Share(sum(s.count for s in shares), sum(s.of for s in shares))


class Gaussian(NamedTuple):
    """The Gaussian that a set of features is taken for."""

    mean: Tensor  # (d,) float64
    covariance: Tensor  # (d, d) float64


def fit_gaussian(features: Tensor) -> Gaussian:
    """Mean and covariance of features (n, d), n > d."""
    features = features.double()
    return Gaussian(features.mean(0), features.T.cov())


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """The Frechet distance between two Gaussians (Heusel et al. 2017), in squared feature units.

    |mean_a - mean_b|^2 + trace(C_a + C_b - 2 (C_a C_b)^(1/2)). Zero where both are the same. Of
    two finite samples of the same distribution it is above zero, the more so the fewer they are:
    compare it only between samples of the same size.
    """
    values, vectors = torch.linalg.eigh(a.covariance)
    root_a = vectors * values.clamp(min=0).sqrt() @ vectors.T
    # C_a C_b and the symmetric root_a C_b root_a have the same eigenvalues
    overlap = torch.linalg.eigvalsh(root_a @ b.covariance @ root_a).clamp(min=0).sqrt().sum()
    spread = a.covariance.trace() + b.covariance.trace() - 2 * overlap
    return float((a.mean - b.mean).square().sum() + spread)


def jackknife(statistic: Callable[[Tensor], float], features: Tensor) -> Estimate:
    """A statistic of features (n, d) with its standard error, from leaving out a tenth at a time.

    Any ten neighbouring parts of the rows must be alike, as they are where the rows are in no
    particular order, or their classes come in turn (Tukey 1958).
    """
    tenth = torch.arange(len(features)) * JACKKNIFE_GROUPS // len(features)
    without = torch.tensor([statistic(features[tenth != g]) for g in range(JACKKNIFE_GROUPS)])
    variance = (JACKKNIFE_GROUPS - 1) / JACKKNIFE_GROUPS * (without - without.mean()).square().sum()
    return Estimate(statistic(features), float(variance.sqrt()))


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean distances between the rows of (n, d) and (m, d), as (n, m) float32."""
    return torch.cdist(a.float(), b.float(), compute_mode="donot_use_mm_for_euclid_dist")


def radii(real: Tensor, k: int) -> Tensor:
    """The distance from each real row, (m, d), to its k-th nearest other, (m,)."""
    nearest = [
        distances(part, real).topk(k + 1, largest=False)[0] for part in real.split(BATCH_SIZE)
    ]
    return torch.cat(nearest)[:, k]  # the nearest of all is the row itself


def coverage(real: Tensor, drawn: Tensor, k: int = COVERAGE_NEIGHBOURS) -> Share:
    """Are all kinds of real digits there? The share with a drawn one near (Naeem et al. 2020).

    Near is no further than the k-th nearest other real one. Two samples of m and of n of the same
    distribution are expected to have 1 - (m-1)...(m-k) / ((m+n-1)...(m+n-k)), whatever it is:
    about 1 - 2^-k where m = n.
    """
    nearest = [distances(part, drawn).amin(1) for part in real.split(BATCH_SIZE)]
    return share(torch.cat(nearest) <= radii(real, k))


def precision(real: Tensor, drawn: Tensor, k: int = PRECISION_NEIGHBOURS) -> Share:
    """Do the drawn digits look real? The share near a real one (Kynkaanniemi et al. 2019).

    Near is no further than the k-th nearest other real one of that real one.
    """
    reach = radii(real, k)
    near = [(distances(part, real) <= reach).any(1) for part in drawn.split(BATCH_SIZE)]
    return share(torch.cat(near))


class Neighbours(NamedTuple):
    """The training image nearest to each image."""

    distances: Tensor  # (n,) Euclidean, between images scaled to [-1, 1]
    numbers: Tensor  # (n,) which training image it is


def nearest(images: Tensor, training: Tensor) -> Neighbours:
    """Finds the nearest of the training images, (N, 1, 32, 32), to each of (n, 1, 32, 32) uint8."""
    rows, columns = (v.flatten(1).float() / 127.5 for v in (images, training))
    squares = columns.square().sum(1)  # (N,)
    found, numbers = [], []
    for part in rows.split(BATCH_SIZE):
        # |a - b|^2 = |a|^2 - 2 a b + |b|^2, where |a|^2 does not change the order
        number = (squares - 2 * part @ columns.T).argmin(1)
        found.append((part - columns[number]).norm(dim=1))
        numbers.append(number)
    return Neighbours(torch.cat(found), torch.cat(numbers))
