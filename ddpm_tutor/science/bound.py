"""The variational bound of the paper, one function an equation (Section 3, Eq. 3 to 13).

Everywhere: nats, and those of each pixel, shaped like the images (B, 1, 32, 32), so that one can
see where they are spent. `per_picture` sums them up, `bits_per_dim` changes the unit. `variance` is
sigma_t^2 for each image, (B, 1, 1, 1), as `reverse_variance` gives it, or for each pixel. Images
are (B, 1, 32, 32) in [-1, 1], t is (B,) in 1..T; see `diffusion.py`.
"""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from ddpm_tutor.science.checks import (
    check_alike,
    check_inputs,
    check_kind,
    check_number,
    check_one_of,
    check_schedule,
    check_t,
    check_variance,
    length,
)
from ddpm_tutor.science.diffusion import (
    VARIANCES,
    Variance,
    beta_tilde,
    check_model,
    check_prediction,
    p_mean,
    q_posterior,
    q_sample,
)
from ddpm_tutor.science.schedule import Schedule

FirstVariance = Literal["beta_1", "beta_tilde_2"]
FIRST_VARIANCES: tuple[FirstVariance, ...] = get_args(FirstVariance)
HALF_BIN = 1 / 255  # half the distance of two of the 256 values that a pixel can have
MNIST_PIXELS = 28 * 28  # of a picture without its padding


def kl_gaussians(mean_1: Tensor, variance_1: Tensor, mean_2: Tensor, variance_2: Tensor) -> Tensor:
    """KL(N(mean_1, variance_1) || N(mean_2, variance_2)) of each number by itself, in nats.

    What it costs, on average, to send a draw from the first with a code made for the second.
    """
    check_variance(variance_1, name="variance_1", zero=True)
    check_variance(variance_2, name="variance_2")
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)


def reverse_variance(
    schedule: Schedule,
    t: Tensor,
    variance: Variance = "beta_tilde",
    first: FirstVariance = "beta_tilde_2",
) -> Tensor:
    """sigma_t^2 of the reverse process, (B, 1, 1, 1) in float64 (Section 3.2).

    Args:
        variance: beta_t or beta-tilde_t, from t = 2 on.
        first: sigma_1^2, the variance of the decoder: beta_1, or, as in the authors' code,
            beta-tilde_2. beta-tilde_1 is zero, and a decoder of no width gives some picture no
            probability at all. With T = 1 there is beta_1 alone.

    Raises:
        ValueError: one of the two names is unknown.
    """
    check_one_of(variance, VARIANCES, "variance")
    check_one_of(first, FIRST_VARIANCES, "first")
    check_kind(t, Tensor, "t", "a tensor (B,) of whole numbers")
    check_t(schedule, t, length(t))
    sigma_squared = schedule.beta[t] if variance == "beta" else beta_tilde(schedule, t)
    sigma_1_squared = schedule.beta[1]
    if first == "beta_tilde_2" and schedule.T > 1:
        sigma_1_squared = beta_tilde(schedule, torch.full_like(t[:1], 2))
    return torch.where(t == 1, sigma_1_squared, sigma_squared).view(-1, 1, 1, 1)


def learned_variance(schedule: Schedule, t: Tensor, share: Tensor) -> Tensor:
    """sigma_t^2 of each pixel, between beta-tilde_t and beta_t in logarithms (Nichol and Dhariwal).

    Their Eq. 15 (2021): exp(v log beta_t + (1 - v) log beta-tilde_t), with beta-tilde_2 for
    beta-tilde_1, which is zero. beta-tilde_t is right where x_0 is known, beta_t where it is not.

    Args:
        share: v, shaped like the images; nothing keeps it in 0..1.
    """
    check_inputs(schedule, t, share=share)
    least = reverse_variance(schedule, t, "beta_tilde").log().to(share.dtype)
    most = reverse_variance(schedule, t, "beta", "beta_1").log().to(share.dtype)
    return (least + share * (most - least)).exp()


def prior_nats(schedule: Schedule, x_0: Tensor) -> Tensor:
    """L_T: KL(q(x_T | x_0) || N(0, I)) (Eq. 5). Nothing in it can be learned (Section 3.1)."""
    check_schedule(schedule)
    check_alike(x_0=x_0)
    alpha_bar = schedule.alpha_bar[-1].to(x_0.dtype)
    zero, one = torch.zeros_like(x_0), torch.ones_like(x_0)
    return kl_gaussians(alpha_bar.sqrt() * x_0, (1 - alpha_bar) * one, zero, one)


def step_nats(
    schedule: Schedule, x_0: Tensor, x_t: Tensor, t: Tensor, eps_theta: Tensor, variance: Tensor
) -> Tensor:
    """L_{t-1}: KL(q(x_{t-1} | x_t, x_0) || p_theta(x_{t-1} | x_t)) (Eq. 5), for t > 1.

    It is `distance_of_means` plus `variance_nats`.
    """
    check_inputs(schedule, t, x_0=x_0, x_t=x_t, eps_theta=eps_theta)
    check_variance(variance, x_t)
    mu_tilde, var_tilde = q_posterior(schedule, x_t, x_0, t)
    return kl_gaussians(
        mu_tilde, var_tilde, p_mean(schedule, x_t, t, eps_theta), variance.to(x_t.dtype)
    )


def distance_of_means(
    schedule: Schedule, x_0: Tensor, x_t: Tensor, t: Tensor, eps_theta: Tensor, variance: Tensor
) -> Tensor:
    """L_{t-1} - C: (mu_tilde - mu_theta)^2 / (2 sigma_t^2) (Eq. 8)."""
    check_inputs(schedule, t, x_0=x_0, x_t=x_t, eps_theta=eps_theta)
    check_variance(variance, x_t)
    mu_tilde, _ = q_posterior(schedule, x_t, x_0, t)
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance.to(x_t.dtype))


def check_variance_at(schedule: Schedule, t: Tensor, variance: Tensor) -> None:
    """Refuses what is no variance (B, 1, 1, 1), or of each pixel, at steps t > 0.

    Raises:
        TypeError: something is no tensor. ValueError: a shape or value is another.
    """
    check_variance(variance)
    if variance.ndim != 4:
        raise ValueError(f"variance must be (B, 1, 1, 1) at least, not {tuple(variance.shape)}")
    check_t(schedule, t, len(variance))


def variance_nats(schedule: Schedule, t: Tensor, variance: Tensor) -> Tensor:
    """The C of Eq. 8, for t > 1: what a sigma_t^2 other than beta-tilde_t costs a pixel.

    Returns:
        shaped like `variance`; zero where that is beta-tilde_t.
    """
    check_variance_at(schedule, t, variance)
    ratio = beta_tilde(schedule, t).to(variance.dtype).view(-1, 1, 1, 1) / variance
    return 0.5 * (ratio - 1 - ratio.log())


def vlb_weight(schedule: Schedule, t: Tensor, variance: Tensor) -> Tensor:
    """beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)), shaped like `variance` (Eq. 12).

    Times (eps - eps_theta)^2 it is `distance_of_means`. Eq. 14 leaves it out.
    """
    check_variance_at(schedule, t, variance)
    beta, alpha, alpha_bar = schedule.beta[t], schedule.alpha[t], schedule.alpha_bar[t]
    weight = beta**2 / (2 * alpha * (1 - alpha_bar))
    return weight.to(variance.dtype).view(-1, 1, 1, 1) / variance


def log_decoder(x_0: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log p_theta(x_0 | x_1) of each pixel, in nats (Eq. 13).

    A pixel has one of 256 values, 2/255 apart. The probability of each is what the Gaussian
    N(mean, variance) has within half of that on both sides; the bins of -1 and 1 are open outwards.

    The difference of the two cumulative probabilities is taken in logarithms, on the side where
    both are small: far out, where they round to 1 or to 0, it is still right.
    """
    check_alike(x_0=x_0, mean=mean)
    check_variance(variance, mean)
    sigma = variance.to(mean.dtype).sqrt()
    low = torch.where(x_0 < -1 + HALF_BIN, -math.inf, (x_0 - HALF_BIN - mean) / sigma)
    high = torch.where(x_0 > 1 - HALF_BIN, math.inf, (x_0 + HALF_BIN - mean) / sigma)
    return log_normal_between(low, high)


def log_normal_between(low: Tensor, high: Tensor) -> Tensor:
    """log(Phi(high) - Phi(low)), Phi the cumulative probability of N(0, 1); low < high."""
    flip = low > 0  # Phi(high) - Phi(low) = Phi(-low) - Phi(-high)
    low, high = torch.where(flip, -high, low), torch.where(flip, -low, high)
    log_high: Tensor = torch.special.log_ndtr(high)
    # where the bin is open below, the rest has no finite gradient: put a number in its place
    open_below = low == -math.inf
    log_low = torch.special.log_ndtr(torch.where(open_below, 0, low))
    ratio = torch.where(open_below, -1, log_low - log_high)
    return log_high + torch.where(open_below, 0, (-torch.expm1(ratio)).log())


def decoder_nats(
    schedule: Schedule, x_0: Tensor, x_1: Tensor, eps_theta: Tensor, variance: Tensor
) -> Tensor:
    """L_0: -log p_theta(x_0 | x_1) (Eq. 5, 13)."""
    check_alike(x_0=x_0, x_1=x_1, eps_theta=eps_theta)
    t = torch.ones(len(x_1), dtype=torch.long, device=schedule.beta.device)
    return -log_decoder(x_0, p_mean(schedule, x_1, t, eps_theta), variance)


def term_nats(
    schedule: Schedule, x_0: Tensor, x_t: Tensor, t: Tensor, eps_theta: Tensor, variance: Tensor
) -> Tensor:
    """What step t costs of the bound (Eq. 5): L_0 where t = 1, else L_{t-1}.

    The bound is L_T plus the sum of these over t = 1..T: the sum, not the mean.
    """
    check_inputs(schedule, t, x_0=x_0, x_t=x_t, eps_theta=eps_theta)
    first = (t == 1).view(-1, 1, 1, 1)
    later = t.clamp(min=2) if schedule.T > 1 else t  # beta-tilde_1 is zero, and has no logarithm
    return torch.where(
        first,
        decoder_nats(schedule, x_0, x_t, eps_theta, variance),
        step_nats(schedule, x_0, x_t, later, eps_theta, variance),
    )


def per_picture(nats: Tensor) -> Tensor:
    """The sum over the pixels of each picture, (B, 1, 32, 32) to (B,)."""
    check_alike(nats=nats)
    if nats.ndim != 4:
        raise ValueError(f"nats must be (B, 1, 32, 32), one a pixel, not {tuple(nats.shape)}")
    return nats.sum(dim=(1, 2, 3))


def to_bits(nats: Tensor) -> Tensor:
    """Nats as bits."""
    check_kind(nats, (Tensor, int, float), "nats", "a tensor, or a number")
    return nats / math.log(2)


def bits_per_dim(nats: Tensor, pixels: int = MNIST_PIXELS) -> Tensor:
    """Nats of a picture as bits for each of its pixels: the bits/dim of the literature.

    MNIST's pictures have 784 pixels. The border of padding is no part of them, though its bits
    count: it is the picture of 784 pixels that is sent.
    """
    check_number(pixels, "pixels", 1)
    return to_bits(nats) / pixels


def losses_vlb(
    model: Callable[..., Tensor],
    schedule: Schedule,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    label: Tensor | None = None,
    variance: Variance = "beta_tilde",
) -> Tensor:
    """What step t costs of the bound, for each image in nats a pixel, (B,).

    The sibling of `losses_simple`: with sigma_t^2 = beta-tilde_t and t > 1 it is that times
    `vlb_weight` (Eq. 12). At t = 1 it is L_0, with the decoder of Eq. 13, and with
    sigma_t^2 = beta_t it has the C of Eq. 8. For t uniform in 1..T, T times its mean is the bound
    without L_T (Eq. 5).
    """
    check_model(model, schedule)
    check_inputs(schedule, t, x_0=x_0, eps=eps)
    x_t = q_sample(schedule, x_0, t, eps)
    eps_theta = model(x_t, t, label).to(eps.dtype)
    check_prediction(eps_theta, eps)
    sigma_squared = reverse_variance(schedule, t, variance).to(eps.dtype)
    return term_nats(schedule, x_0, x_t, t, eps_theta, sigma_squared).mean(dim=(1, 2, 3))


def loss_vlb(
    model: Callable[..., Tensor],
    schedule: Schedule,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    label: Tensor | None = None,
    variance: Variance = "beta_tilde",
) -> Tensor:
    """`losses_vlb`, averaged over the images: the weighted sibling of `loss_simple`."""
    return losses_vlb(model, schedule, x_0, t, eps, label, variance).mean()
