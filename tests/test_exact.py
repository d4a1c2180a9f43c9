"""The exact denoiser and the score: by brute force, by Bayes, by gradients, and by drawing."""

import math

import pytest
import torch

from ddpm_tutor import (
    ExactNoisePredictor,
    SamplingOptions,
    draw,
    eps_from_score,
    exact_eps,
    exact_posterior_mean,
    langevin_step,
    last,
    linear_schedule,
    log_density,
    p_step,
    posterior_weights,
    predict_eps,
    q_sample,
    sample,
    schedule_from_beta,
    score_from_eps,
)
from ddpm_tutor.science import exact

SHAPES = [(), (1,), (2,), (3, 4, 5)]
T_OF_ALL = torch.tensor([1, 2, 50, 400, 999, 1000])


@pytest.fixture(scope="module")
def schedule():
    return linear_schedule()


def noise(seed, *shape):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def world(schedule, shape, n=37):
    """Points, and an x_t at each of `T_OF_ALL`."""
    data = noise(0, n, *shape)
    x_t = q_sample(schedule, data[: len(T_OF_ALL)], T_OF_ALL, noise(1, len(T_OF_ALL), *shape))
    return data, x_t


def brute_force(schedule, x, t, data):
    """log of q(x_t | x_0 = point n) of one x_t, (N,), as the sum of its Gaussians' logarithms."""
    alpha_bar = schedule.alpha_bar[t]
    centres, spread = alpha_bar.sqrt() * data, (1 - alpha_bar).sqrt()
    log = torch.distributions.Normal(centres, spread).log_prob(x)
    return log.reshape(len(data), -1).sum(dim=1)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_mean_and_density_are_those_of_bayes_rule(schedule, shape):
    data, x_t = world(schedule, shape)
    logs = torch.stack(
        [brute_force(schedule, x, t, data) for x, t in zip(x_t, T_OF_ALL, strict=True)]
    )
    weights = logs.exp() / logs.exp().sum(dim=1, keepdim=True)
    close = dict(atol=1e-9, rtol=1e-9)
    found = posterior_weights(schedule, x_t, T_OF_ALL, data)
    torch.testing.assert_close(found, weights, **close)
    mean = torch.tensordot(weights, data, 1)
    found = exact_posterior_mean(schedule, x_t, T_OF_ALL, data)
    torch.testing.assert_close(found, mean, **close)
    found = exact_eps(schedule, x_t, T_OF_ALL, data)
    torch.testing.assert_close(found, predict_eps(schedule, x_t, T_OF_ALL, mean), **close)
    found = log_density(schedule, x_t, T_OF_ALL, data)
    torch.testing.assert_close(found, logs.logsumexp(dim=1) - math.log(len(data)), **close)


def test_of_two_points_the_mean_is_a_tanh(schedule):
    # points -1 and 1: E[x_0 | x] = tanh(sqrt(alpha_bar) x / (1 - alpha_bar))
    x = torch.linspace(-3, 3, 61, dtype=torch.float64)
    t = torch.full((61,), 300)
    alpha_bar = schedule.alpha_bar[300]
    found = exact_posterior_mean(schedule, x, t, torch.tensor([-1.0, 1.0]))
    expected = (alpha_bar.sqrt() * x / (1 - alpha_bar)).tanh()
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_in_chunks_it_is_the_same(schedule, monkeypatch):
    data, x_t = world(schedule, (2,))
    functions = (posterior_weights, exact_posterior_mean, exact_eps, log_density)
    whole = [function(schedule, x_t, T_OF_ALL, data) for function in functions]
    for weights in (1, 18, 60):  # chunks of 1, 3 and 10 of the 37
        monkeypatch.setattr(exact, "MAX_WEIGHTS", weights)
        for function, expected in zip(functions, whole, strict=True):
            found = function(schedule, x_t, T_OF_ALL, data)
            torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)


def test_it_is_stable_far_from_all_data_and_at_the_smallest_noise(schedule):
    data = torch.stack([torch.full((1, 32, 32), -1.0), torch.full((1, 32, 32), 1.0)])
    for value, nearest in ((-50.0, -1.0), (0.01, 1.0), (30.0, 1.0)):
        x = torch.full((1, 1, 32, 32), value)
        found = exact_posterior_mean(schedule, x, torch.tensor([1]), data)
        assert found.dtype == torch.float32 and torch.equal(found, torch.full_like(x, nearest))


def test_the_score_is_the_gradient_of_the_log_density(schedule):
    data, x_t = world(schedule, (2,))
    x_t.requires_grad_()
    (gradient,) = torch.autograd.grad(log_density(schedule, x_t, T_OF_ALL, data).sum(), x_t)
    eps = exact_eps(schedule, x_t.detach(), T_OF_ALL, data)
    score = score_from_eps(schedule, T_OF_ALL, eps)
    torch.testing.assert_close(score, gradient, atol=1e-9, rtol=1e-7)
    torch.testing.assert_close(eps_from_score(schedule, T_OF_ALL, score), eps)


def test_no_other_guess_of_the_noise_has_a_smaller_loss(schedule):
    data = noise(0, 5, 2)
    t = torch.full((40_000,), 300)
    eps = noise(1, len(t), 2)
    x_t = q_sample(schedule, data[torch.arange(len(t)) % 5], t, eps)
    best = exact_eps(schedule, x_t, t, data)
    loss = (best - eps).square().mean()
    for other in (0.95 * best, 1.05 * best, best + 0.1, best.flip(1)):
        assert loss < (other - eps).square().mean()


def test_algorithm_2_with_it_draws_the_data_again(schedule):
    angle = torch.arange(8) * (2 * math.pi / 8)
    data = torch.stack([angle.cos(), angle.sin()], dim=1)  # (8, 2)
    generator = torch.Generator().manual_seed(0)
    x_T = torch.randn((400, 2), generator=generator)
    how = SamplingOptions(steps=100)
    model = ExactNoisePredictor(schedule, data)
    drawn = last(sample(model, schedule, x_T, how, generator=generator))
    distance, nearest = torch.cdist(drawn, data).min(dim=1)
    assert distance.max() < 0.05
    counts = torch.bincount(nearest, minlength=8)  # 50 of each, and a standard error of 6.6
    assert counts.min() > 20 and counts.max() < 90


def test_pictures_are_drawn_by_it_as_by_a_network(schedule, device):
    data = noise(0, 3, 1, 32, 32).clamp(-1, 1).float()
    model = ExactNoisePredictor(schedule, data).to(device)
    how = SamplingOptions(steps=20)
    drawn = last(draw(model, schedule, None, how, seed=0, indices=range(6)))
    assert drawn.device.type == torch.device(device).type
    assert torch.cdist(drawn.cpu().flatten(1), data.flatten(1)).amin(dim=1).max() < 0.5
    with pytest.raises(ValueError, match="labels"):
        model(data, torch.ones(3), torch.zeros(3))


def test_langevin_steps_draw_from_the_density_of_the_score(schedule):
    data = torch.tensor([-1.0, -1.0, 1.0])  # twice as likely at -1
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(10_000, generator=generator)
    t = torch.full((len(x),), 300)
    for _ in range(300):
        score = score_from_eps(schedule, t, exact_eps(schedule, x, t, data))
        x = langevin_step(x, score, 0.1, torch.randn(x.shape, generator=generator))
    alpha_bar = schedule.alpha_bar[300].item()
    assert x.mean() == pytest.approx(-(alpha_bar**0.5) / 3, abs=0.04)
    assert x.var() == pytest.approx(1 - alpha_bar + alpha_bar * 8 / 9, abs=0.05)


def test_algorithm_2_is_a_langevin_step_and_as_much_again_of_the_score():
    # to first order in beta: x_{t-1} = langevin_step(...) + beta / 2 (x_t + score)
    schedule = schedule_from_beta(torch.tensor([0.5, 1e-4]))
    x, eps, z = noise(0, 9, 2), noise(1, 9, 2), noise(2, 9, 2)
    t = torch.full((9,), 2)
    score = score_from_eps(schedule, t, eps)
    walked = langevin_step(x, score, 1e-4, z) + 0.5e-4 * (x + score)
    torch.testing.assert_close(p_step(schedule, x, t, eps, z), walked, atol=1e-7, rtol=0)


def test_a_langevin_step_takes_a_step_size_for_each(schedule):
    x, score, z = noise(0, 3, 2), noise(1, 3, 2), noise(2, 3, 2)
    sizes = torch.tensor([0.1, 0.2, 0.3])
    together = langevin_step(x, score, sizes, z)
    for i, size in enumerate((0.1, 0.2, 0.3)):
        alone = langevin_step(x[i : i + 1], score[i : i + 1], size, z[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-7, rtol=0)


ONE = torch.ones(2, dtype=torch.long)
BAD = {
    "no data": (torch.zeros(2, 3), ONE, torch.zeros(0, 3), "no data"),
    "whole numbers": (torch.zeros(2, 3), ONE, torch.zeros(4, 3, dtype=torch.uint8), "to_unit"),
    "other shapes": (torch.zeros(2, 3), ONE, torch.zeros(4, 2), "each of the data is"),
    "t at 0": (torch.zeros(2, 3), 0 * ONE, torch.zeros(4, 3), "no noise"),
    "t beyond T": (torch.zeros(2, 3), 1001 * ONE, torch.zeros(4, 3), "1..1000"),
    "one t for two": (torch.zeros(2, 3), ONE[:1], torch.zeros(4, 3), "one number for each"),
}


@pytest.mark.parametrize(("x_t", "t", "data", "says"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("function", [posterior_weights, exact_eps, log_density])
def test_nonsense_is_refused_with_words(schedule, function, x_t, t, data, says):
    with pytest.raises(ValueError, match=says):
        function(schedule, x_t, t, data)


def test_the_score_has_no_size_without_noise(schedule):
    with pytest.raises(ValueError, match="no noise"):
        score_from_eps(schedule, torch.tensor([0]), torch.zeros(1, 2))
    with pytest.raises(ValueError, match="above 0"):
        langevin_step(torch.zeros(1, 2), torch.zeros(1, 2), 0.0, torch.zeros(1, 2))
