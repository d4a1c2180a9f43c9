"""The measures of the scorecard, on Gaussians with known answers."""

import math

import pytest
import torch

from ddpm_tutor.evaluation.scores import (
    Gaussian,
    Share,
    coverage,
    difference,
    fit_gaussian,
    frechet_distance,
    jackknife,
    nearest,
    pooled,
    precision,
    share,
)
from ddpm_tutor.science.noise import stream


def cloud(n: int, d: int = 8, seed: int = 0) -> torch.Tensor:
    """n points of N(0, I) in d dimensions."""
    return torch.randn(n, d, generator=stream(seed, "cloud"))


def gaussian(mean: list[float], variances: list[float]) -> Gaussian:
    return Gaussian(
        torch.tensor(mean, dtype=torch.float64),
        torch.diag(torch.tensor(variances, dtype=torch.float64)),
    )


def test_the_frechet_distance_of_gaussians_that_share_axes():
    a, b = gaussian([0, 1, 2], [1, 4, 9]), gaussian([3, 1, 0], [4, 4, 0])
    # |mean|^2 = 9 + 4; (1 - 2)^2 + 0 + (3 - 0)^2
    assert frechet_distance(a, b) == pytest.approx(13 + 10, abs=1e-9)
    assert frechet_distance(b, a) == pytest.approx(23, abs=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_the_frechet_distance_does_not_depend_on_the_axes():
    a, b = gaussian([0, 1, 2], [1, 4, 9]), gaussian([3, 1, 0], [4, 4, 0])
    turn = torch.linalg.qr(cloud(3, 3).double())[0]
    a, b = (Gaussian(turn @ m.mean, turn @ m.covariance @ turn.T) for m in (a, b))
    assert frechet_distance(a, b) == pytest.approx(23, abs=1e-6)


def test_the_frechet_distance_of_covariances_that_do_not_commute():
    # in two dimensions tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB))
    a = torch.tensor([[2.0, 1.0], [1.0, 3.0]], dtype=torch.float64)
    b = torch.tensor([[1.0, -0.5], [-0.5, 2.0]], dtype=torch.float64)
    product = a @ b
    overlap = math.sqrt(product.trace() + 2 * math.sqrt(torch.linalg.det(product)))
    zero = torch.zeros(2, dtype=torch.float64)
    found = frechet_distance(Gaussian(zero, a), Gaussian(zero, b))
    assert found == pytest.approx(float(a.trace() + b.trace()) - 2 * overlap, abs=1e-9)


def test_the_frechet_distance_of_samples_approaches_that_of_their_distributions():
    a, b = fit_gaussian(cloud(20_000)), fit_gaussian(2 * cloud(20_000, seed=1) + 1)
    assert frechet_distance(a, b) == pytest.approx(8 * (1 + 1), rel=0.03)


def test_moments_are_those_of_the_sample():
    points = cloud(100, 3)
    assert torch.allclose(fit_gaussian(points).mean, points.double().mean(0))
    centred = points.double() - points.double().mean(0)
    assert torch.allclose(fit_gaussian(points).covariance, centred.T @ centred / 99)


def test_the_jackknife_gives_the_standard_error_of_a_mean():
    points = cloud(1000, 1)
    found = jackknife(lambda x: float(x.mean()), points)
    assert found.mean == pytest.approx(float(points.mean()))
    # of ten groups: the error is itself known to about a quarter
    assert found.error == pytest.approx(float(points.std()) / math.sqrt(1000), rel=0.6)


@pytest.mark.parametrize(("m", "n", "k"), [(400, 400, 5), (400, 400, 2), (300, 900, 3)])
def test_coverage_of_the_same_distribution_is_what_naeem_et_al_derive(m, n, k):
    expected = 1 - math.prod((m - i) / (m + n - i) for i in range(1, k + 1))
    found = pooled([coverage(cloud(m, seed=s), cloud(n, seed=100 + s), k) for s in range(8)])
    assert found.value == pytest.approx(expected, abs=0.02)


def test_coverage_falls_when_a_mode_is_missing_and_precision_does_not():
    near, far = cloud(200), cloud(200, seed=1) + 50
    real = torch.cat([near, far])
    drawn = cloud(400, seed=2)  # of the first mode alone
    assert coverage(real, drawn).value < 0.51
    assert precision(real, drawn).value > 0.7


def test_precision_falls_when_drawn_points_are_nowhere_near_and_coverage_does_not():
    real = cloud(300)
    drawn = torch.cat([cloud(300, seed=1), cloud(300, seed=2) + 50])
    assert precision(real, drawn).value < 0.51
    assert coverage(real, drawn).value > 0.9


def test_precision_counts_points_inside_the_balls_of_real_ones():
    real = torch.tensor([[0.0], [1.0], [3.0]])  # nearest others at 1, 1 and 2
    drawn = torch.tensor([[-1.0], [-1.01], [2.5], [4.9], [5.1]])
    assert precision(real, drawn, k=1) == Share(3, 5)
    # each real one has a drawn one in its ball, but for the one at 1: [0, 2] holds none
    assert coverage(real, drawn, k=1) == Share(2, 3)


def test_measures_do_not_depend_on_how_the_rows_are_batched(monkeypatch):
    real, drawn = cloud(60), cloud(70, seed=1)
    whole = coverage(real, drawn), precision(real, drawn)
    monkeypatch.setattr("ddpm_tutor.evaluation.scores.BATCH_SIZE", 7)
    assert (coverage(real, drawn), precision(real, drawn)) == whole


def test_the_interval_is_wilsons():
    # Newcombe 1998, Table I: 81 of 263, 0 of 20
    assert Share(81, 263).interval == pytest.approx((0.2553, 0.3662), abs=2e-4)
    assert Share(0, 20).interval == pytest.approx((0, 0.1611), abs=2e-4)
    assert Share(20, 20).interval[1] == 1


def test_the_interval_holds_the_truth_95_times_in_100():
    hits = torch.rand(2000, 200, generator=stream(0, "hits")) < 0.98
    inside = [low <= 0.98 <= high for low, high in (share(row).interval for row in hits)]
    assert 0.92 < sum(inside) / len(inside) < 0.98


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [
        (Share(56, 70), Share(48, 80), 0.0524, 0.3339),
        (Share(9, 10), Share(3, 10), 0.1705, 0.8090),
        (Share(6, 7), Share(2, 7), 0.0582, 0.8062),
        (Share(5, 56), Share(0, 29), -0.0381, 0.1926),
        (Share(0, 10), Share(0, 20), -0.1611, 0.2775),
        (Share(10, 10), Share(0, 20), 0.6791, 1.0),
    ],
)
def test_the_interval_of_a_difference_is_newcombes(a, b, low, high):
    # Newcombe 1998, "Interval estimation for the difference between independent proportions",
    # Table II, method 10
    found = difference(a, b)
    assert found.value == pytest.approx(a.value - b.value)
    assert found.interval == pytest.approx((low, high), abs=1e-4)
    assert difference(b, a).interval == pytest.approx((-high, -low), abs=1e-4)


def test_the_interval_of_a_difference_holds_the_truth_95_times_in_100():
    a, b = (torch.rand(2000, 80, generator=stream(s, "hits")) < p for s, p in enumerate((0.9, 0.8)))
    found = [difference(share(x), share(y)).interval for x, y in zip(a, b, strict=True)]
    inside = [low <= 0.1 <= high for low, high in found]
    assert 0.93 < sum(inside) / len(inside) < 0.97


def test_shares_whose_intervals_overlap_may_differ_clearly():
    a, b = Share(66, 100), Share(80, 100)
    assert a.interval[1] > b.interval[0]
    assert difference(a, b).is_clear and difference(b, a).is_clear
    assert not difference(Share(70, 100), b).is_clear
    assert str(difference(b, a)) == "+14.0 (+1.7 to +25.8)"


def test_the_nearest_training_image_is_found():
    training = torch.randint(0, 256, (50, 1, 32, 32), generator=stream(0, "t")).to(torch.uint8)
    images = training[[7, 3, 44]].clone()
    images[1, 0, 0, 0] ^= 128  # one pixel half the range further
    found = nearest(images, training)
    assert found.numbers.tolist() == [7, 3, 44]
    assert found.distances.tolist() == pytest.approx([0, 128 / 127.5, 0], abs=1e-5)
