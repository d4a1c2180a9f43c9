"""The bound: its equations against each other and against what is exactly known."""

import io
import math
from dataclasses import replace

import pytest
import torch
from rich.console import Console
from torch import nn
from torch.distributions import Normal, kl_divergence

from ddpm_tutor.science.bits import (
    Bound,
    ReverseProcess,
    bounds_of,
    chain_parts,
    estimate_bound,
    mean_of,
    strata,
)
from ddpm_tutor.science.bound import (
    bits_per_dim,
    decoder_nats,
    distance_of_means,
    kl_gaussians,
    learned_variance,
    log_decoder,
    loss_vlb,
    losses_vlb,
    per_picture,
    prior_nats,
    reverse_variance,
    step_nats,
    term_nats,
    to_bits,
    variance_nats,
    vlb_weight,
)
from ddpm_tutor.science.diffusion import beta_tilde, losses_simple, p_mean, predict_eps, q_sample
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.noise import stream
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.progressive import coding_times, progressive_coding
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.screen.bits import explained
from ddpm_tutor.storage.checkpoints import load_checkpoint

SHADES = torch.arange(256, dtype=torch.float64) / 127.5 - 1
VARIANCES = ["beta", "beta_tilde"]


def noise(seed, *shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def close(actual, expected, rtol=1e-10, atol=1e-12):
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


# The equations


def test_kl_is_that_of_torch():
    mean_1, mean_2 = noise(0, 100), noise(1, 100)
    variance_1, variance_2 = noise(2, 100).exp(), noise(3, 100).exp()
    expected = kl_divergence(Normal(mean_1, variance_1.sqrt()), Normal(mean_2, variance_2.sqrt()))
    close(kl_gaussians(mean_1, variance_1, mean_2, variance_2), expected)


@pytest.mark.parametrize("variance", VARIANCES)
def test_eq_8_eq_12_and_the_kl_of_eq_5_are_one_at_every_t(schedule, variance):
    t = torch.arange(2, 1001)
    x_0, eps, eps_theta = (noise(i, 999, 1, 4, 4) for i in range(3))
    x_t, sigma_squared = q_sample(schedule, x_0, t, eps), reverse_variance(schedule, t, variance)
    distance = distance_of_means(schedule, x_0, x_t, t, eps_theta, sigma_squared)
    # each difference of means is small beside the means: eight digits are left of sixteen
    close(distance, vlb_weight(schedule, t, sigma_squared) * (eps - eps_theta) ** 2, rtol=1e-8)
    constant = variance_nats(schedule, t, sigma_squared)
    close(step_nats(schedule, x_0, x_t, t, eps_theta, sigma_squared), distance + constant)
    assert (constant.abs() < 1e-15).all() == (variance == "beta_tilde")


def test_the_weighted_loss_is_the_simple_one_times_the_weight(schedule):
    t = torch.arange(2, 1001)
    x_0, eps, guess = (noise(i, 999, 1, 4, 4) for i in range(3))

    def model(x_t, t, label):
        return guess

    weight = vlb_weight(schedule, t, reverse_variance(schedule, t)).flatten()
    weighted = losses_vlb(model, schedule, x_0, t, eps)
    close(weighted, weight * losses_simple(model, schedule, x_0, t, eps), rtol=1e-8)
    close(loss_vlb(model, schedule, x_0, t, eps), weighted.mean())


def test_the_weighted_loss_at_t_1_is_that_of_the_decoder(schedule):
    t, x_0, eps = torch.ones(5, dtype=torch.long), SHADES[::51][:5].view(5, 1, 1, 1), noise(1, 5)
    eps = eps.view(5, 1, 1, 1)
    mean = p_mean(schedule, q_sample(schedule, x_0, t, eps), t, 0 * eps)
    expected = -log_decoder(x_0, mean, beta_tilde(schedule, torch.tensor([2])))
    close(losses_vlb(lambda *_: 0 * eps, schedule, x_0, t, eps), expected.flatten())


def test_sigma_1_is_beta_1_or_beta_tilde_2_whatever_the_others_are(schedule):
    t = torch.tensor([1, 2, 1000])
    for variance, rest in (("beta", schedule.beta[t]), ("beta_tilde", beta_tilde(schedule, t))):
        for first, one in (
            ("beta_1", schedule.beta[1]),
            ("beta_tilde_2", beta_tilde(schedule, t)[1]),
        ):
            found = reverse_variance(schedule, t, variance, first)
            close(found, torch.stack([one, *rest[1:]]).view(3, 1, 1, 1))
    with pytest.raises(ValueError, match="beta_tilde_3"):
        reverse_variance(schedule, t, "beta", "beta_tilde_3")
    with pytest.raises(ValueError, match="gamma"):
        reverse_variance(schedule, t, "gamma")


def test_a_learned_variance_lies_between_beta_tilde_and_beta_in_logarithms(schedule):
    t = torch.tensor([1, 2, 1000])
    for share, variance, first in ((0.0, "beta_tilde", "beta_tilde_2"), (1.0, "beta", "beta_1")):
        found = learned_variance(schedule, t, torch.full((3, 1, 1, 1), share).double())
        close(found, reverse_variance(schedule, t, variance, first))
    half = learned_variance(schedule, t, torch.full((3, 1, 1, 1), 0.5).double())
    close(half[1:].flatten() ** 2, (beta_tilde(schedule, t) * schedule.beta[t])[1:])


# The decoder


@pytest.mark.parametrize("sigma", [1e-4, 0.007, 0.01, 0.3, 10.0])
def test_the_probabilities_of_the_decoder_sum_to_1(sigma):
    mean = torch.linspace(-3, 3, 101, dtype=torch.float64)[:, None].expand(101, 256)
    log_p = log_decoder(SHADES.expand(101, 256), mean, torch.tensor(sigma**2).double())
    close(log_p.exp().sum(1), torch.ones(101, dtype=torch.float64))
    assert log_p.isfinite().all()  # in float64 Phi itself is 0 or 1 beyond 38 sigma


def test_a_bin_is_what_the_gaussian_has_in_it_also_far_out():
    mean, sigma = 0.1, 0.01
    points = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000 * 2 / 255 - 1 / 255
    inner = SHADES[1:-1]
    density = Normal(mean, sigma).log_prob(inner[:, None] + points)
    expected = density.logsumexp(1) + math.log(2 / 255 / 10_000)
    found = log_decoder(inner, torch.tensor(mean).double(), torch.tensor(sigma**2).double())
    close(found, expected, rtol=1e-6)
    assert found.min() < -5000  # a probability that no float can hold


def test_the_outermost_bins_are_open():
    variance = torch.tensor(0.01**2)
    log_p = log_decoder(torch.tensor([-1.0, 1.0]), torch.tensor([-1.5, 1.5]), variance)
    assert (log_p > -1e-6).all()


def test_the_decoder_has_a_finite_gradient_everywhere():
    mean = torch.linspace(-3, 3, 301)[:, None].repeat(1, 256).requires_grad_()
    variance = torch.full_like(mean, 0.0074**2).requires_grad_()
    log_decoder(SHADES.float().expand(301, 256), mean, variance).sum().backward()
    assert mean.grad.isfinite().all() and variance.grad.isfinite().all()


# The bound of data whose bound is known: independent Gaussian pixels, N(MEAN, SPREAD^2)

MEAN, SPREAD = 0.2, 0.15


class ExactDenoiser(NoisePredictor):
    """E[eps | x_t] for such data."""

    def __init__(self, schedule):
        super().__init__(0, None)
        self.schedule, self.weight = schedule, nn.Parameter(torch.zeros(1))

    def forward(self, x_t, t, label=None):
        alpha_bar = self.schedule.alpha_bar[t].view(-1, 1, 1, 1)
        variance = alpha_bar * SPREAD**2 + 1 - alpha_bar  # of x_t
        eps = (1 - alpha_bar).sqrt() * (x_t - alpha_bar.sqrt() * MEAN) / variance
        return eps.to(x_t.dtype)


def variance_given_x_t(schedule, t):
    """That of q(x_{t-1} | x_t) for such data."""
    before, now, alpha = schedule.alpha_bar[t - 1], schedule.alpha_bar[t], schedule.alpha[t]
    variance = now * SPREAD**2 + 1 - now
    variance_before = before * SPREAD**2 + 1 - before
    return variance_before - alpha * variance_before**2 / variance  # Gaussians, conditioned


def nodes():
    """Values of x_0 and eps, with weights: exact means of polynomials up to degree 5."""
    nodes, weights = torch.tensor(
        [[-(3**0.5), 0, 3**0.5], [1 / 6, 4 / 6, 1 / 6]], dtype=torch.float64
    )
    x_0 = MEAN + SPREAD * nodes.repeat_interleave(3).view(1, 1, 3, 3)
    return x_0, nodes.repeat(3).view(1, 1, 3, 3), torch.outer(weights, weights)


@pytest.mark.parametrize("sigma", ["exact", *VARIANCES])
def test_the_bound_of_a_gaussian_toy_is_its_exact_value(sigma):
    schedule = linear_schedule(50, 0.002, 0.2)
    model = ExactDenoiser(schedule)
    x_0, eps, weights = nodes()
    variance_T = schedule.alpha_bar[-1] * SPREAD**2 + 1 - schedule.alpha_bar[-1]
    mean_T = schedule.alpha_bar[-1].sqrt() * MEAN
    # -log p on average: the entropy of the data, and what p(x_T) = N(0, 1) costs
    exact = 0.5 * math.log(2 * math.pi * math.e * SPREAD**2) + kl_gaussians(
        mean_T, variance_T, torch.zeros(()), torch.ones(())
    )
    found = (weights * prior_nats(schedule, x_0)).sum()
    for i in range(50, 0, -1):
        t = torch.tensor([i])
        right = variance_given_x_t(schedule, t)
        used = right.view(1, 1, 1, 1)
        if sigma != "exact" and i > 1:
            used = reverse_variance(schedule, t, sigma)
        # a wrong variance costs the KL of the right one from it
        exact = exact + kl_gaussians(torch.zeros(1), right, torch.zeros(1), used.flatten())
        x_t = q_sample(schedule, x_0, t, eps)
        eps_theta = model(x_t, t)
        if i > 1:
            nats = step_nats(schedule, x_0, x_t, t, eps_theta, used)
        else:  # of a density; the decoder of 256 shades comes next
            nats = -Normal(p_mean(schedule, x_t, t, eps_theta), used.sqrt()).log_prob(x_0)
            shades = decoder_nats(schedule, x_0, x_t, eps_theta, used) + math.log(2 / 255)
            assert (weights * (shades - nats)).sum().abs() < 0.002  # bins are narrow, 0.1 sigma
        found = found + (weights * nats).sum()
    close(found, exact.sum(), rtol=1e-9)


# Its estimate


@pytest.mark.parametrize("T", [1, 2, 3, 7, 50, 100, 1000, 1001, 4000])
def test_strata_and_parts_are_the_steps_once_each(T):
    for pieces in (strata(T), chain_parts(T)):
        assert [t for piece in pieces for t in piece] == list(range(1, T + 1))
        assert pieces[0] == range(1, 2)
    ends = {piece.stop for piece in strata(T)}
    assert {part.stop for part in chain_parts(T)} <= ends


def toy_images(count):
    values = MEAN + SPREAD * torch.randn(count, 1, 32, 32, generator=stream(0, "toy"))
    return ((values.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


@pytest.mark.parametrize("variance", VARIANCES)
def test_the_estimate_is_the_sum_over_t_on_average(variance):
    schedule, images = linear_schedule(120), toy_images(30)
    model = ExactDenoiser(schedule)
    bound = estimate_bound(model, schedule, images, ReverseProcess(variance))
    assert bound.steps.shape == (30, len(strata(120))) and len(strata(120)) < 30
    x_0, total = images.double() / 127.5 - 1, 0
    for i in range(1, 121):
        t, eps = torch.full((30,), i), noise(i, 30, 1, 32, 32)
        x_t = q_sample(schedule, x_0, t, eps)
        used = reverse_variance(schedule, t, variance)
        total = total + per_picture(term_nats(schedule, x_0, x_t, t, model(x_t, t), used))
    difference = mean_of(bound.nats - bound.prior - total)
    assert abs(difference.mean) < 4 * difference.error
    assert difference.error < 0.005 * float(total.mean())
    for part in bound.parts:
        assert (bound.between(part.start, part.stop - 1) > 0).all()
    close(bound.between(1, 120), bound.nats - bound.prior)
    with pytest.raises(ValueError, match="strata"):
        bound.between(2, 119)


def test_the_error_is_that_of_other_seeds():
    schedule, images = linear_schedule(1000), toy_images(4)
    model = ExactDenoiser(schedule)
    found = [estimate_bound(model, schedule, images, seed=seed).nats for seed in range(12)]
    assert not torch.equal(found[0], found[1])
    assert torch.equal(found[0], estimate_bound(model, schedule, images, seed=0).nats)
    # the same pictures: only t and noise differ, so the spread is no larger than the error told
    spread = torch.stack([nats.mean() for nats in found]).std()
    assert spread < 3 * mean_of(found[0]).error


def test_a_picture_has_its_t_and_noise_in_whatever_company(schedule):
    model, images = ExactDenoiser(schedule), toy_images(5)
    alone = estimate_bound(model, schedule, images[:2])
    close(estimate_bound(model, schedule, images).nats[:2], alone.nats)


def test_processes_are_compared_on_the_same_predictions(schedule):
    model, images = ExactDenoiser(schedule), toy_images(3)
    processes = [ReverseProcess(), ReverseProcess("beta", "beta_1"), ReverseProcess(clip=True)]
    together = [
        Bound.joined(b) for b in zip(*bounds_of(model, schedule, images, processes), strict=True)
    ]
    for process, bound in zip(processes, together, strict=True):
        close(bound.nats, estimate_bound(model, schedule, images, process).nats)
    assert (together[1].nats < together[0].nats).all()  # beta is for shades that nobody can know
    with pytest.raises(ValueError, match="learned no variance"):
        estimate_bound(model, schedule, images, ReverseProcess("learned"))
    for wrong in ({"variance": "gamma"}, {"first": "beta_2"}):
        with pytest.raises(ValueError, match="is "):
            ReverseProcess(**wrong)


def test_black_that_is_pushed_out_costs_next_to_nothing(schedule):
    class Black(NoisePredictor):
        """Knows that all is black."""

        def __init__(self):
            super().__init__(0, None)
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x_t, t, label=None):
            return predict_eps(schedule, x_t, t, -torch.ones_like(x_t))

    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    plain, pushed = (
        to_bits(estimate_bound(Black(), schedule, images, process).decoder).mean() / 1024
        for process in (ReverseProcess(), ReverseProcess(push_black=True))
    )
    sigma = beta_tilde(schedule, torch.tensor([2])).sqrt()
    assert plain == pytest.approx(-math.log2(Normal(0, sigma).cdf(torch.tensor(1 / 255))), rel=0.02)
    assert pushed < 0.01
    images[:] = 2  # two shades off: it is not black, and the network is wrong
    wrong = to_bits(
        estimate_bound(Black(), schedule, images, ReverseProcess(push_black=True)).decoder
    )
    assert wrong.mean() / 1024 > 5


def test_the_border_is_what_the_padding_costs(schedule):
    images = torch.zeros(2, 1, 32, 32, dtype=torch.uint8)
    bound = estimate_bound(ExactDenoiser(schedule), schedule, images)
    assert bound.border.mean() / bound.nats.mean() == pytest.approx(240 / 1024, rel=0.05)


def test_bits_per_dim_are_over_784_pixels():
    assert float(bits_per_dim(torch.tensor(784 * math.log(2)))) == pytest.approx(1)
    assert float(to_bits(torch.tensor(math.log(256)))) == pytest.approx(8)


# Progressive coding


def test_what_is_sent_in_the_end_is_the_bound_and_the_picture(schedule):
    model, images = ExactDenoiser(schedule), toy_images(20)
    x_0 = images.double() / 127.5 - 1
    received = list(progressive_coding(model, schedule, x_0, generator=stream(0, "coding")))
    assert [r.t for r in received] == [*coding_times(1000), 0]
    bits = torch.stack([r.bits for r in received])
    assert (bits.diff(dim=0) > 0).all()
    close(bits[0], to_bits(per_picture(prior_nats(schedule, x_0))))
    difference = mean_of(bits[-1] - to_bits(estimate_bound(model, schedule, images).nats))
    assert abs(difference.mean) < 4 * difference.error < 0.1 * bits[-1].mean()
    rmse = torch.stack([r.rmse(x_0).mean() for r in received])
    assert rmse[-1] == 0 and rmse[0] == pytest.approx(127.5 * SPREAD, rel=0.1)
    assert (rmse[::20].diff() < 0).all()


def test_x_t_that_is_received_is_of_the_forward_process():
    schedule = linear_schedule(40)
    x_0 = torch.full((50, 1, 32, 32), 0.3)
    times = [40, 20, 7, 1]
    for r in progressive_coding(
        ExactDenoiser(schedule), schedule, x_0, times=times, generator=stream(0, "coding")
    ):
        alpha_bar = float(schedule.alpha_bar[r.t])
        assert r.x_t.mean() == pytest.approx(alpha_bar**0.5 * 0.3, abs=0.005)
        assert r.x_t.var() == pytest.approx(1 - alpha_bar, rel=0.03, abs=1e-12)
    for wrong in ([40, 20], [39, 1], [1, 40]):
        with pytest.raises(ValueError, match="fall from 40 to 1"):
            next(progressive_coding(ExactDenoiser(schedule), schedule, x_0, times=wrong))


def test_few_times_cost_what_all_do():
    schedule, x_0 = linear_schedule(250), toy_images(40).double() / 127.5 - 1
    model = ExactDenoiser(schedule)
    few, many = (
        [*progressive_coding(model, schedule, x_0, times=times, generator=stream(0, "coding"))]
        for times in (None, range(250, 0, -1))
    )
    assert len(few) < 0.4 * len(many)
    # one chain is one draw: its steps are wrong together
    difference = mean_of(few[-1].bits - many[-1].bits)
    assert abs(difference.mean) < 4 * difference.error < 0.1 * many[-1].bits.mean()


# The network with a learned variance


def test_a_network_grown_from_the_lean_one_predicts_the_same_and_has_beta_tilde(schedule):
    lean = load_checkpoint().model
    model = LikelihoodUNet(64, 10)
    model.load_state_dict(model.grown(lean.state_dict()))
    x_t, t = noise(0, 3, 1, 32, 32).float(), torch.tensor([1, 30, 1000])
    label = torch.tensor([1, 2, 10])
    eps, share = model.eps_and_share(x_t, t, label)
    close(eps, lean(x_t, t, label), rtol=0, atol=1e-4)
    close(model(x_t, t, label), eps, rtol=0, atol=1e-6)
    assert share.shape == x_t.shape and (share == 0).all()
    images = toy_images(1)
    learned, fixed = (
        estimate_bound(m, schedule, images, process).nats
        for m, process in ((model, ReverseProcess("learned")), (lean, ReverseProcess()))
    )
    torch.testing.assert_close(learned, fixed, rtol=1e-3, atol=0)


def test_mnist_stands_beside_what_others_report(schedule):
    console = Console(width=80, file=io.StringIO())
    bound = estimate_bound(ExactDenoiser(schedule), schedule, toy_images(2))
    console.print(explained({ReverseProcess(): bound}, mnist=True))
    shown = console.file.getvalue()
    assert "0.81" in shown and "8-bit MNIST" in shown
    told = f"{mean_of(bits_per_dim(bound.nats)).mean:.3f}"
    assert told in next(line for line in shown.splitlines() if "at most" in line)


@pytest.mark.parametrize("bits", [7.9, 8.1])
def test_weights_that_tell_less_than_nothing_are_said_to(schedule, bits):
    console = Console(width=80, file=io.StringIO())
    bound = estimate_bound(ExactDenoiser(schedule), schedule, toy_images(2))
    factor = bits / mean_of(bits_per_dim(bound.nats)).mean
    bound = replace(bound, prior=bound.prior * factor, steps=bound.steps * factor)
    console.print(explained({ReverseProcess(): bound}, mnist=False))
    worse = "8.1 bits/dim is worse than knowing nothing"
    assert (worse in console.file.getvalue()) == (bits > 8)
