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

    Args:
        mean_1: the mean of the first, of any shape.
        variance_1: its variance, not below 0; shaped like it, or broadcast to it.
        mean_2: the mean of the second, shaped like the first.
        variance_2: its variance, above 0.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a variance
            is not above 0.

    Example:
        >>> one = torch.ones(1)
        >>> float(kl_gaussians(one, one, 0 * one, one))
        0.5
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
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 1..T.
        variance: beta_t or beta-tilde_t, from t = 2 on.
        first: sigma_1^2, the variance of the decoder: beta_1, or, as in the authors' code,
            beta-tilde_2. beta-tilde_1 is zero, and a decoder of no width gives some picture no
            probability at all. With T = 1 there is beta_1 alone.

    Raises:
        ValueError: one of the two names is unknown.

    Example:
        >>> reverse_variance(schedule, t).shape
        torch.Size([2, 1, 1, 1])
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
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 1..T.
        share: v, shaped like the images; nothing keeps it in 0..1.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> learned_variance(schedule, t, 0 * x_t).shape
        torch.Size([2, 1, 32, 32])
    """
    check_inputs(schedule, t, share=share)
    least = reverse_variance(schedule, t, "beta_tilde").log().to(share.dtype)
    most = reverse_variance(schedule, t, "beta", "beta_1").log().to(share.dtype)
    return (least + share * (most - least)).exp()


def prior_nats(schedule: Schedule, x_0: Tensor) -> Tensor:
    """L_T: KL(q(x_T | x_0) || N(0, I)) (Eq. 5). Nothing in it can be learned (Section 3.1).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].

    Raises:
        TypeError: something is no tensor, or no schedule. ValueError: they are no images.

    Example:
        >>> bool(prior_nats(schedule, x_0).max() < 1e-4)
        True
    """
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

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 2..T.
        eps_theta: the predicted noise, shaped like x_t.
        variance: sigma_t^2, (B, 1, 1, 1) or shaped like x_t, above 0.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a t or a
            variance is out of range.

    Example:
        >>> step_nats(schedule, x_0, x_t, t, eps, reverse_variance(schedule, t)).shape
        torch.Size([2, 1, 32, 32])
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
    """L_{t-1} - C: (mu_tilde - mu_theta)^2 / (2 sigma_t^2) (Eq. 8).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 1..T.
        eps_theta: the predicted noise, shaped like x_t.
        variance: sigma_t^2, (B, 1, 1, 1) or shaped like x_t, above 0.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a t or a
            variance is out of range.

    Example:
        >>> variance = reverse_variance(schedule, t)
        >>> bool(distance_of_means(schedule, x_0, x_t, t, eps, variance).max() < 1e-6)
        True
    """
    check_inputs(schedule, t, x_0=x_0, x_t=x_t, eps_theta=eps_theta)
    check_variance(variance, x_t)
    mu_tilde, _ = q_posterior(schedule, x_t, x_0, t)
    distance = mu_tilde - p_mean(schedule, x_t, t, eps_theta)
    return distance**2 / (2 * variance.to(x_t.dtype))


def check_variance_at(schedule: Schedule, t: Tensor, variance: Tensor, zero: bool = False) -> None:
    """Refuses what is no variance (B, 1, 1, 1), or of each pixel, at steps t > 0.

    Raises:
        TypeError: something is no tensor. ValueError: a shape or value is another.
    """
    check_variance(variance, zero=zero)
    if variance.ndim != 4:
        raise ValueError(f"variance must be (B, 1, 1, 1) at least, not {tuple(variance.shape)}")
    check_t(schedule, t, len(variance))


def variance_nats(schedule: Schedule, t: Tensor, variance: Tensor) -> Tensor:
    """The C of Eq. 8, for t > 1: what a sigma_t^2 other than beta-tilde_t costs a pixel.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 2..T.
        variance: sigma_t^2, (B, 1, 1, 1) or of each pixel, above 0.

    Returns:
        shaped like `variance`; zero where that is beta-tilde_t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a t or a
            variance is out of range.

    Example:
        >>> variance_nats(schedule, t, reverse_variance(schedule, t)).flatten().tolist()
        [0.0, 0.0]
    """
    check_variance_at(schedule, t, variance)
    ratio = beta_tilde(schedule, t).to(variance.dtype).view(-1, 1, 1, 1) / variance
    return 0.5 * (ratio - 1 - ratio.log())


def vlb_weight(schedule: Schedule, t: Tensor, variance: Tensor) -> Tensor:
    """beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t)), shaped like `variance` (Eq. 12).

    Times (eps - eps_theta)^2 it is `distance_of_means`. Eq. 14 leaves it out.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 1..T.
        variance: sigma_t^2, (B, 1, 1, 1) or of each pixel; where it is 0 the weight is
            infinite.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a t or a
            variance is out of range.

    Example:
        >>> vlb_weight(schedule, t, reverse_variance(schedule, t)).shape
        torch.Size([2, 1, 1, 1])
    """
    check_variance_at(schedule, t, variance, zero=True)
    beta, alpha, alpha_bar = schedule.beta[t], schedule.alpha[t], schedule.alpha_bar[t]
    weight = beta**2 / (2 * alpha * (1 - alpha_bar))
    return weight.to(variance.dtype).view(-1, 1, 1, 1) / variance


def log_decoder(x_0: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """log p_theta(x_0 | x_1) of each pixel, in nats (Eq. 13).

    A pixel has one of 256 values, 2/255 apart. The probability of each is what the Gaussian
    N(mean, variance) has within half of that on both sides; the bins of -1 and 1 are open outwards.

    The difference of the two cumulative probabilities is taken in logarithms, on the side where
    both are small: far out, where they round to 1 or to 0, it is still right.

    Args:
        x_0: (B, 1, 32, 32) images in [-1, 1], of 256 values.
        mean: of the Gaussian, shaped like x_0.
        variance: of the Gaussian, above 0; shaped like x_0, or (B, 1, 1, 1).

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a variance
            is not above 0.

    Example:
        >>> black, variance = -torch.ones(1), torch.ones(1) / 255**2
        >>> round(float(log_decoder(black, black, variance).exp()), 2)
        0.84
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
    """L_0: -log p_theta(x_0 | x_1) (Eq. 5, 13).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        x_1: (B, 1, 32, 32) images with the noise of t = 1.
        eps_theta: the noise predicted in x_1, shaped like it.
        variance: sigma_1^2, (B, 1, 1, 1) or shaped like x_1, above 0.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a t or a
            variance is out of range.

    Example:
        >>> variance = reverse_variance(schedule, torch.ones_like(t))
        >>> decoder_nats(schedule, x_0, x_0, eps, variance).shape
        torch.Size([2, 1, 32, 32])
    """
    check_alike(x_0=x_0, x_1=x_1, eps_theta=eps_theta)
    t = torch.ones(len(x_1), dtype=torch.long, device=schedule.beta.device)
    return -log_decoder(x_0, p_mean(schedule, x_1, t, eps_theta), variance)


def term_nats(
    schedule: Schedule, x_0: Tensor, x_t: Tensor, t: Tensor, eps_theta: Tensor, variance: Tensor
) -> Tensor:
    """What step t costs of the bound (Eq. 5): L_0 where t = 1, else L_{t-1}.

    The bound is L_T plus the sum of these over t = 1..T: the sum, not the mean.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 1..T.
        eps_theta: the predicted noise, shaped like x_t.
        variance: sigma_t^2, (B, 1, 1, 1) or shaped like x_t, above 0.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a t or a
            variance is out of range.

    Example:
        >>> term_nats(schedule, x_0, x_t, t, eps, reverse_variance(schedule, t)).shape
        torch.Size([2, 1, 32, 32])
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
    """The sum over the pixels of each picture, (B, 1, 32, 32) to (B,).

    Args:
        nats: (B, 1, 32, 32) nats of each pixel.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another.

    Example:
        >>> per_picture(prior_nats(schedule, x_0)).shape
        torch.Size([2])
    """
    check_alike(nats=nats)
    if nats.ndim != 4:
        raise ValueError(f"nats must be (B, 1, 32, 32), one a pixel, not {tuple(nats.shape)}")
    return nats.sum(dim=(1, 2, 3))


def to_bits(nats: Tensor) -> Tensor:
    """Nats as bits.

    Args:
        nats: a tensor of any shape, or one number.

    Raises:
        TypeError: it is no number, and no tensor.

    Example:
        >>> round(to_bits(1.0), 4)
        1.4427
    """
    check_kind(nats, (Tensor, int, float), "nats", "a tensor, or a number")
    return nats / math.log(2)


def bits_per_dim(nats: Tensor, pixels: int = MNIST_PIXELS) -> Tensor:
    """Nats of a picture as bits for each of its pixels: the bits/dim of the literature.

    MNIST's pictures have 784 pixels. The border of padding is no part of them, though its bits
    count: it is the picture of 784 pixels that is sent.

    Args:
        nats: (B,) nats of each picture, or one number.
        pixels: of a picture.

    Raises:
        TypeError: it is no tensor. ValueError: there is no pixel.

    Example:
        >>> round(bits_per_dim(784.0), 4)
        1.4427
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

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        t: (B,) whole numbers in 1..T.
        eps: noise from N(0, I), shaped like the images.
        label: (B,) classes, or None for no label.
        variance: sigma_t^2: "beta_tilde" or "beta".

    Raises:
        TypeError: the model cannot be called. ValueError: the images, t, labels or the schedule
            do not fit.

    Example:
        >>> losses_vlb(model, schedule, x_0, t, eps, label).shape
        torch.Size([2])
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
    """`losses_vlb`, averaged over the images: the weighted sibling of `loss_simple`.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        t: (B,) whole numbers in 1..T.
        eps: noise from N(0, I), shaped like the images.
        label: (B,) classes, or None for no label.
        variance: sigma_t^2: "beta_tilde" or "beta".

    Raises:
        TypeError: the model cannot be called. ValueError: the images, t, labels or the schedule
            do not fit.

    Example:
        >>> loss_vlb(model, schedule, x_0, t, eps, label).shape
        torch.Size([])
    """
    return losses_vlb(model, schedule, x_0, t, eps, label, variance).mean()
