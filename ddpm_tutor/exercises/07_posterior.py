# %% [markdown]
# # Exercise 7 · The posterior
#
# **Lesson:** 4
#
# **Part:** 11.6 b
#
# **Paper:** Eq. 6, 7

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule


def q_posterior(schedule: Schedule, x_t: Tensor, x_0: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance of x_{t-1} when both x_t and x_0 are known (Eq. 6, 7).

        μ̃_t = (√ᾱ_{t-1} β_t x_0 + √α_t (1 - ᾱ_{t-1}) x_t) / (1 - ᾱ_t)
        β̃_t = (1 - ᾱ_{t-1}) / (1 - ᾱ_t) · β_t

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64; alpha_bar[0] is 1
    x_t, x_0   (B, 1, H, W)
    t          (B,) whole numbers in 1..T, one for each picture
    returns    mu_tilde (B, 1, H, W);  beta_tilde (B, 1, 1, 1);  in the dtype of x_t
    """
    ...


# %% [markdown] hint
# Four numbers of the schedule are needed: β_t, α_t, ᾱ_t and ᾱ_{t-1}. The last is
# `alpha_bar[t - 1]`; at t = 1 that is `alpha_bar[0]`, which is 1, just as it should be.


# %% hint
def q_posterior(schedule, x_t, x_0, t):
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], ...
    ...


# %% [markdown] hint
# Make the two weights first, (B,) each, in float64, where 1 - ᾱ_1 is exact enough. Then shape them.


# %% hint
def q_posterior(schedule, x_t, x_0, t):
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = ... / (1 - alpha_bar)
    ...


# %% [markdown] hint
# Shape each of the three, (B,), as (B, 1, 1, 1), in the dtype of x_t.


# %% hint
def q_posterior(schedule, x_t, x_0, t):
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance)
    )
    return ..., variance


# %% solution
def q_posterior(schedule, x_t, x_0, t):
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, variance


# %% mistake off_by_one
def q_posterior(schedule, x_t, x_0, t):
    """ᾱ_{t-1} is missing: this is ᾱ_t in both places.

    β̃_t becomes β_t, and at t = 1, where x_0 is known, the mean is not x_0. It takes no more than a
    1 that is put behind the ᾱ and not before them (lucidrains/denoising-diffusion-pytorch #18).
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    coef_x_0 = alpha_bar.sqrt() * beta / (1 - alpha_bar)
    return coef_x_0 * x_0 + alpha.sqrt() * x_t, beta


# %% mistake variance_beta
def q_posterior(schedule, x_t, x_0, t):
    """The variance is β_t; Eq. 7 asks for β̃_t, which is smaller, and 0 at t = 1.

    Where x_0 is known there is less to be unsure of than where it isn't. A paper may have the one
    and its code the other (jhbastek/PhysicsInformedDiffusionModels #4).
    """
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    coef_x_0, coef_x_t, beta = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, beta)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, beta


# %% mistake deviation
def q_posterior(schedule, x_t, x_0, t):
    """The second result is the standard deviation: its root was taken. β̃_t is the variance."""
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    sigma = ((1 - before) / (1 - alpha_bar) * beta).sqrt()
    coef_x_0, coef_x_t, sigma = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, sigma)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, sigma


# %% mistake swapped
def q_posterior(schedule, x_t, x_0, t):
    """The two weights are swapped: √ᾱ_{t-1} β_t belongs to x_0, the other one to x_t.

    At t = 1 the mean is x_1, though x_0 is known.
    """
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_t = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_0 = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, variance


# %% mistake no_root
def q_posterior(schedule, x_t, x_0, t):
    """The square roots are missing: the weights have √ᾱ_{t-1} and √α_t."""
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before * beta / (1 - alpha_bar)
    coef_x_t = alpha * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, variance


# %% mistake later_root
def q_posterior(schedule, x_t, x_0, t):
    """The weight of x_0 has √ᾱ_t; it is √ᾱ_{t-1}, that of the step before.

    At t = 1, where x_0 is known, the mean is not x_0.
    """
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = alpha_bar.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, variance


# %% mistake half_divided
def q_posterior(schedule, x_t, x_0, t):
    """Only the part with x_t is divided by 1 - ᾱ_t: the brackets are missing. Both have to be.

    At small t next to nothing of x_0 is in the mean.
    """
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, variance


# %% mistake variance_without_beta
def q_posterior(schedule, x_t, x_0, t):
    """The factor β_t is missing in the variance, or a bracket: without (1 - ᾱ_{t-1}) it cancels.

    1 - ᾱ_{t-1} / (1 - ᾱ_t) · β_t is (1 - ᾱ_{t-1}) / (1 - ᾱ_t), nearly 1: far too much noise. Stable
    Diffusion lacks a bracket of this kind, 2 · 1 - ᾱ for 2 (1 - ᾱ) (CompVis/stable-diffusion #907).
    """
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = 1 - before / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, variance


# %% mistake one_t
def q_posterior(schedule, x_t, x_0, t):
    """One t is used for the whole batch; each picture has its own."""
    beta, alpha = schedule.beta[t[0]], schedule.alpha[t[0]]
    alpha_bar, before = schedule.alpha_bar[t[0]], schedule.alpha_bar[t[0] - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = ((1 - before) / (1 - alpha_bar) * beta).to(x_t.dtype)
    mean = coef_x_0.to(x_t.dtype) * x_0 + coef_x_t.to(x_t.dtype) * x_t
    return mean, variance.expand(len(t), 1, 1, 1)


# %% mistake not_divided
def q_posterior(schedule, x_t, x_0, t):
    """The division by 1 - ᾱ_t is missing in the mean.

    The two weights then add up to far less than 1 at small t: the picture goes grey.
    """
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0, coef_x_t = before.sqrt() * beta, alpha.sqrt() * (1 - before)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (
        v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance)
    )
    return coef_x_0 * x_0 + coef_x_t * x_t, variance


# %% mistake no_broadcast
def q_posterior(schedule, x_t, x_0, t):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or mixes columns, not pictures.
    """
    beta, alpha = schedule.beta[t].to(x_t.dtype), schedule.alpha[t].to(x_t.dtype)
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype)
    before = schedule.alpha_bar[t - 1].to(x_t.dtype)
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    return coef_x_0 * x_0 + coef_x_t * x_t, variance.view(-1, 1, 1, 1)


# %% mistake flat_variance
def q_posterior(schedule, x_t, x_0, t):
    """The values are right, but the variance is (B,): it was to be (B, 1, 1, 1)."""
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t = (v.to(x_t.dtype).view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t))
    return coef_x_0 * x_0 + coef_x_t * x_t, variance.to(x_t.dtype)


# %% mistake float64
def q_posterior(schedule, x_t, x_0, t):
    """The values are right, but in float64: the schedule is float64, and it pulls them along.

    A network in float32 refuses what comes of it. Use `.to(x_t.dtype)`.
    """
    beta, alpha = schedule.beta[t], schedule.alpha[t]
    alpha_bar, before = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
    coef_x_0 = before.sqrt() * beta / (1 - alpha_bar)
    coef_x_t = alpha.sqrt() * (1 - before) / (1 - alpha_bar)
    variance = (1 - before) / (1 - alpha_bar) * beta
    coef_x_0, coef_x_t, variance = (v.view(-1, 1, 1, 1) for v in (coef_x_0, coef_x_t, variance))
    return coef_x_0 * x_0 + coef_x_t * x_t, variance


# %% check
from ddpm_tutor import beta_tilde, linear_schedule, normal, q_sample, stream
from ddpm_tutor import q_posterior as right
from ddpm_tutor.grading.tools import a_digit, noise_of

results = ("mu_tilde", "beta_tilde")
written_out = (right, beta_tilde)
linear_in = {
    "x_0": "√ᾱ_{t-1} β_t / (1 - ᾱ_t)",
    "x_t": "√α_t (1 - ᾱ_{t-1}) / (1 - ᾱ_t)",
    "beta_tilde": "β_t (1 - ᾱ_{t-1}) / (1 - ᾱ_t)",
}


def inputs(draw):
    return {"schedule": draw.schedule(), "x_t": draw.noise(), "x_0": draw.images(), "t": draw.t()}


def picture(q_posterior):
    """A digit from t = 300 back to 0, knowing x_0."""
    schedule, x_0, generator = linear_schedule(), a_digit(), stream(0, "posterior")
    x_t = q_sample(schedule, x_0, torch.tensor([300]), noise_of(x_0))
    kept = [x_t]
    for i in range(300, 0, -1):
        mean, variance = q_posterior(schedule, x_t, x_0, torch.tensor([i]))
        x_t = mean + variance.sqrt() * normal(x_0.shape, generator, "cpu")
        if i in (150, 1):
            kept.append(x_t)
    return torch.cat(kept)
