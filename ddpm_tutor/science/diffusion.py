"""The equations of the paper, one function each.

Everywhere: images are (B, 1, 32, 32) in [-1, 1]; t is an integer tensor (B,) in 1..T on the
schedule's device, or 0 where index 0 is the identity; noise is an argument, drawn by the caller
from N(0, I). Each function first refuses what is of another kind, shape or device, and a t that is
no step; see `checks`. Names are the paper's: q for the forward process, p for the reverse.
Equation numbers are those of Ho et al. 2020.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_tutor.science.checks import (
    check_alike,
    check_fits,
    check_inputs,
    check_number,
    check_one_of,
    check_schedule,
    check_t,
    is_read,
    length,
)
from ddpm_tutor.science.schedule import Schedule

Variance = Literal["beta", "beta_tilde"]
VARIANCES: tuple[Variance, ...] = get_args(Variance)


def per_image(value: Tensor, x: Tensor) -> Tensor:
    """Shapes one number an image, (B,), so that it multiplies the batch x, (B, ...)."""
    return value.to(x.dtype).view(-1, *[1] * (x.ndim - 1))  # (B, 1, 1, 1)


def q_step(schedule: Schedule, x_prev: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """One step of the forward process, x_{t-1} to x_t (Eq. 2).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_prev: (B, 1, 32, 32), x_{t-1}.
        t: (B,) whole numbers in 0..T; at 0 nothing is added.
        eps: noise from N(0, I), shaped like the images.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> q_step(schedule, x_0, t, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_inputs(schedule, t, least=0, x_prev=x_prev, eps=eps)
    beta = schedule.beta[t]
    return per_image((1 - beta).sqrt(), x_prev) * x_prev + per_image(beta.sqrt(), x_prev) * eps


def q_sample(schedule: Schedule, x_0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """x_t from x_0 in one jump (Eq. 4).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        t: (B,) whole numbers in 0..T; at 0 it is x_0 itself.
        eps: noise from N(0, I), shaped like the images.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> q_sample(schedule, x_0, t, eps).shape
        torch.Size([2, 1, 32, 32])
        >>> torch.equal(q_sample(schedule, x_0, 0 * t, eps), x_0)
        True
    """
    check_inputs(schedule, t, least=0, x_0=x_0, eps=eps)
    alpha_bar = schedule.alpha_bar[t]
    return per_image(alpha_bar.sqrt(), x_0) * x_0 + per_image((1 - alpha_bar).sqrt(), x_0) * eps


def q_jump(schedule: Schedule, x_s: Tensor, s: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """From x_s to a later x_t in one jump, 0 <= s < t: what the steps s + 1..t do together.

    From t - 1 it is `q_step` (Eq. 2), from 0 it is `q_sample` (Eq. 4).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_s: (B, 1, 32, 32), as noisy as step s.
        s: (B,) whole numbers in 0..T - 1.
        t: (B,) whole numbers in 1..T, each above its s.
        eps: noise from N(0, I), shaped like the images.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> q_jump(schedule, x_0, 0 * t, t, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_inputs(schedule, t, x_s=x_s, eps=eps)
    check_earlier(schedule, s, t, length(x_s), "s")
    kept = schedule.alpha_bar[t] / schedule.alpha_bar[s]  # the share of x_s's variance in x_t
    return per_image(kept.sqrt(), x_s) * x_s + per_image((1 - kept).sqrt(), x_s) * eps


def check_earlier(
    schedule: Schedule, s: Tensor | int, t: Tensor | int, count: int, name: str
) -> None:
    """Refuses steps s that are none of 0..T, or not before those of t.

    On a GPU this waits for it; see `own_steps`.

    Raises:
        TypeError: s is no tensor and no whole number. ValueError: it has another kind, shape or
            value.
    """
    check_t(schedule, s, count, 0, name)
    known = all(isinstance(v, int) or is_read(v) for v in (s, t))
    if known and not bool(torch.as_tensor(s < t).all()):
        raise ValueError(f"{name} must be before t: a step leads from one to the other")


def check_model(model: Callable[..., Tensor], schedule: Schedule) -> None:
    """Refuses what cannot be asked for the noise, or is made for another schedule.

    On a GPU this waits for it; see `own_steps`.

    Raises:
        TypeError: it cannot be called. ValueError: the schedule is another.
    """
    if not callable(model):
        raise TypeError(f"model must be a network, or a function (x_t, t, label), not {model!r}")
    check_schedule(schedule)
    if is_read(schedule.alpha_bar):
        check_fits(model, schedule)


def check_prediction(eps_theta: Tensor, eps: Tensor) -> None:
    """Refuses a prediction that is not shaped like the noise: it would be spread over others.

    Raises:
        ValueError: it is not.
    """
    if eps_theta.shape != eps.shape:
        raise ValueError(
            f"the model must give noise of shape {tuple(eps.shape)}, not {tuple(eps_theta.shape)}"
        )


def beta_tilde(schedule: Schedule, t: Tensor) -> Tensor:
    """The variance of x_{t-1} when both x_t and x_0 are known, (B,) (Eq. 7); zero at t = 1.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        t: (B,) whole numbers in 1..T.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> float(beta_tilde(schedule, torch.tensor([1])))
        0.0
    """
    check_t(schedule, t, length(t) if isinstance(t, Tensor) else 1)
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    return (1 - alpha_bar_prev) / (1 - alpha_bar) * schedule.beta[t]


def q_posterior(schedule: Schedule, x_t: Tensor, x_0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of x_{t-1} when both x_t and x_0 are known (Eq. 6, 7).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        x_0: (B, 1, 32, 32) images in [-1, 1].
        t: (B,) whole numbers in 1..T.

    Returns:
        mu_tilde: (B, 1, 32, 32).
        beta_tilde: (B, 1, 1, 1); see the function of that name.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> mean, variance = q_posterior(schedule, x_t, x_0, t)
        >>> mean.shape, variance.shape
        (torch.Size([2, 1, 32, 32]), torch.Size([2, 1, 1, 1]))
    """
    check_inputs(schedule, t, x_t=x_t, x_0=x_0)
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = alpha_bar_prev.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar)
    mu_tilde = per_image(coef_x_0, x_t) * x_0 + per_image(coef_x_t, x_t) * x_t
    return mu_tilde, per_image(beta_tilde(schedule, t), x_t)


def predict_x_0(schedule: Schedule, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """The x_0 that x_t came from if `eps` is its noise: Eq. 4 solved for x_0 (Eq. 15).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 0..T; at 0 it is x_t itself.
        eps: the predicted noise, shaped like x_t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> torch.allclose(predict_x_0(schedule, x_t, t, eps), x_0, atol=1e-4)
        True
    """
    check_inputs(schedule, t, least=0, x_t=x_t, eps=eps)
    alpha_bar = schedule.alpha_bar[t]
    return (x_t - per_image((1 - alpha_bar).sqrt(), x_t) * eps) / per_image(alpha_bar.sqrt(), x_t)


def predict_eps(schedule: Schedule, x_t: Tensor, t: Tensor, x_0: Tensor) -> Tensor:
    """The noise in x_t if it came from `x_0`: Eq. 4 solved for eps.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 1..T.
        x_0: the predicted x_0, shaped like x_t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> torch.allclose(predict_eps(schedule, x_t, t, x_0), eps, atol=1e-4)
        True
    """
    check_inputs(schedule, t, x_t=x_t, x_0=x_0)
    alpha_bar = schedule.alpha_bar[t]
    return (x_t - per_image(alpha_bar.sqrt(), x_t) * x_0) / per_image((1 - alpha_bar).sqrt(), x_t)


def p_mean(schedule: Schedule, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """The mean of the reverse step, mu_theta, from the predicted noise (Eq. 11).

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 1..T.
        eps: the predicted noise, shaped like x_t.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another, or a
            t is no step.

    Example:
        >>> p_mean(schedule, x_t, t, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_inputs(schedule, t, x_t=x_t, eps=eps)
    beta, alpha, alpha_bar = schedule.beta[t], schedule.alpha[t], schedule.alpha_bar[t]
    coef_eps = beta / (1 - alpha_bar).sqrt()
    return (x_t - per_image(coef_eps, x_t) * eps) / per_image(alpha.sqrt(), x_t)


def p_step(
    schedule: Schedule,
    x_t: Tensor,
    t: Tensor,
    eps: Tensor,
    z: Tensor,
    variance: Variance = "beta",
) -> Tensor:
    """One step of the reverse process, x_t to x_{t-1} (Algorithm 2, line 4).

    `variance` is sigma_t^2: beta_t or beta-tilde_t (Section 3.2). No noise is added where t = 1.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 1..T.
        eps: the predicted noise, shaped like x_t.
        z: fresh noise from N(0, I), shaped like x_t.
        variance: sigma_t^2: "beta" or "beta_tilde" (Section 3.2).

    Raises:
        ValueError: `variance` is neither "beta" nor "beta_tilde".

    Example:
        >>> p_step(schedule, x_t, t, eps, z=torch.randn(x_t.shape)).shape
        torch.Size([2, 1, 32, 32])
    """
    check_one_of(variance, VARIANCES, "variance")
    check_alike(x_t=x_t, z=z)
    mean = p_mean(schedule, x_t, t, eps)
    sigma_squared = schedule.beta[t] if variance == "beta" else beta_tilde(schedule, t)
    sigma = sigma_squared.sqrt() * (t > 1)
    return mean + per_image(sigma, x_t) * z


def ddim_step(
    schedule: Schedule,
    x_t: Tensor,
    t: Tensor,
    t_prev: Tensor,
    eps: Tensor,
    eta: float = 0.0,
    z: Tensor | None = None,
) -> Tensor:
    """From x_t to an earlier x_{t_prev}, 0 <= t_prev < t (Song et al. 2020, Eq. 12 and 16).

    eta = 0 is DDIM, with no noise at all; eta = 1 has the variance of ancestral sampling.

    Args:
        schedule: the noise schedule; its fields are (T + 1,).
        x_t: (B, 1, 32, 32) noisy images.
        t: (B,) whole numbers in 1..T.
        t_prev: (B,) whole numbers in 0..T, each below its t.
        eps: the predicted noise, shaped like x_t.
        eta: how much noise is added, from 0 to 1.
        z: noise from N(0, I), shaped like x_t; needed where eta > 0.

    Raises:
        ValueError: eta > 0 without noise `z`.

    Example:
        >>> ddim_step(schedule, x_t, t, t - 50, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_inputs(schedule, t, x_t=x_t, eps=eps)
    check_earlier(schedule, t_prev, t, length(x_t), "t_prev")
    check_number(eta, "eta", 0, 1)
    alpha_bar, alpha_bar_prev = schedule.alpha_bar[t], schedule.alpha_bar[t_prev]
    x_0 = predict_x_0(schedule, x_t, t, eps)
    step_beta = 1 - alpha_bar / alpha_bar_prev  # beta, where t_prev = t - 1
    sigma_squared = eta**2 * (1 - alpha_bar_prev) / (1 - alpha_bar) * step_beta
    direction = (1 - alpha_bar_prev - sigma_squared).clamp(min=0).sqrt()
    x_prev = per_image(alpha_bar_prev.sqrt(), x_t) * x_0 + per_image(direction, x_t) * eps
    if eta == 0:
        return x_prev
    if z is None:
        raise ValueError("eta > 0 adds noise: pass z, drawn from N(0, I)")
    check_alike(x_t=x_t, z=z)
    return x_prev + per_image(sigma_squared.sqrt(), x_t) * z


def loss_simple(
    model: Callable[..., Tensor],
    schedule: Schedule,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    label: Tensor | None = None,
) -> Tensor:
    """L_simple: the mean squared error between the noise and the noise predicted (Eq. 14).

    The mean is over images and pixels, so that 1.0 is the loss of always predicting zero.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        x_0: (B, 1, 32, 32) images in [-1, 1].
        t: (B,) whole numbers in 1..T.
        eps: noise from N(0, I), shaped like the images.
        label: (B,) classes, or None for no label.

    Raises:
        TypeError: the model cannot be called. ValueError: the images, t, labels or the schedule
            do not fit.

    Example:
        >>> round(float(loss_simple(lambda x_t, t, label: eps, schedule, x_0, t, eps)), 6)
        0.0
    """
    return losses_simple(model, schedule, x_0, t, eps, label).mean()


def losses_simple(
    model: Callable[..., Tensor],
    schedule: Schedule,
    x_0: Tensor,
    t: Tensor,
    eps: Tensor,
    label: Tensor | None = None,
) -> Tensor:
    """`loss_simple` of each image, (B,)."""
    check_model(model, schedule)
    check_inputs(schedule, t, x_0=x_0, eps=eps)
    eps_theta = model(q_sample(schedule, x_0, t, eps), t, label)
    check_prediction(eps_theta, eps)
    return F.mse_loss(eps_theta.to(eps.dtype), eps, reduction="none").mean(dim=(1, 2, 3))


def v_weight(schedule: Schedule, t: Tensor, max_weight: float = 5) -> Tensor:
    """Weights for the losses, (B,), that make them errors in v instead of eps.

    None is above `max_weight`.

    v = sqrt(alpha_bar) eps - sqrt(1 - alpha_bar) x_0 (Salimans and Ho 2022). With Eq. 15 for x_0,
    an error in eps is 1 / sqrt(alpha_bar) times as large in v. Eq. 14 already drops the weights
    of Eq. 12, and so looks less at small t; this goes on in the same direction. From the t on at
    which alpha_bar is 1 / `max_weight` (397 of 1000 for 5) all weigh the same.
    """
    return (1 / schedule.alpha_bar[t]).clamp(max=max_weight).float()
