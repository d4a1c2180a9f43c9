# %% [markdown]
# # Exercise 11 · DDIM
#
# **Lesson:** 4
#
# **Part:** 11.6 g
#
# **Paper:** Song et al. 2020, Eq. 12 with σ = 0

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule, predict_x_0


def ddim_step(schedule: Schedule, x_t: Tensor, t: Tensor, t_prev: Tensor, eps: Tensor) -> Tensor:
    """From x_t to an earlier x_{t_prev} without noise, 0 <= t_prev < t (Song et al. 2020).

        x_{t_prev} = √ᾱ_{t_prev} x̂_0 + √(1 - ᾱ_{t_prev}) ε         x̂_0 by Eq. 15

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64; alpha_bar[0] is 1
    x_t        (B, 1, H, W)
    t, t_prev  (B,) whole numbers: t in 1..T, t_prev in 0..t - 1, often many steps earlier
    eps        (B, 1, H, W), the predicted noise ε_θ(x_t, t)
    returns    (B, 1, H, W), x_{t_prev} in the dtype of x_t

    `predict_x_0(schedule, x_t, t, eps)` of exercise 5 is at hand.
    """
    ...


# %% [markdown] hint
# Guess x_0, then go to t_prev by the closed form (Eq. 4), with the same noise once more.


# %% hint
def ddim_step(schedule, x_t, t, t_prev, eps):
    x_0 = ...
    alpha_bar_prev = ...  # (B, 1, 1, 1)
    ...


# %% [markdown] hint
# x_0 is guessed at t, where x_t is. ᾱ is taken at t_prev, where we go.


# %% hint
def ddim_step(schedule, x_t, t, t_prev, eps):
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[...].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + ... * eps


# %% solution
def ddim_step(schedule, x_t, t, t_prev, eps):
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake ddim_stays draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """ᾱ is taken at t, where x_t is; it has to be that of t_prev, where we go.

    That puts x_t together again as it was: the noise never leaves.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


# %% mistake ddim_one_step
def ddim_step(schedule, x_t, t, t_prev, eps):
    """It goes to t - 1; it has to go to t_prev, which may be many steps earlier.

    Skipping steps is what DDIM is for.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t - 1].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake ddim_no_root draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The square roots are missing: it is √ᾱ and √(1 - ᾱ), as in Eq. 4.

    The spread of x_t is too small on the way. Blots come out.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev * x_0 + (1 - alpha_bar_prev) * eps


# %% mistake ddim_no_direction draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The term with ε is missing: x_{t_prev} is to have the noise of its t.

    The network sees pictures much cleaner than it is told. Thin strokes come out, some broken.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0


# %% mistake ddim_from_x_t draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """x_t stands where the guess of x_0 belongs.

    More noise comes in with every step. Soon it is beyond all numbers, and nothing is left.
    """
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_t + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake ddim_sign draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The sign of ε is wrong in the second term: the noise has to stay the same, not turn over.

    Each step then throws away what the step before has found. Thin strokes come out, and other
    digits than you ask for.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 - (1 - alpha_bar_prev).sqrt() * eps


# %% mistake one_t
def ddim_step(schedule, x_t, t, t_prev, eps):
    """One t_prev is used for the whole batch; each picture has its own."""
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev[0]].to(x_t.dtype)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake no_broadcast
def ddim_step(schedule, x_t, t, t_prev, eps):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or mends columns, not pictures.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake float64
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The values are right, but in float64: the schedule is float64, and it pulls x_t along.

    A network in float32 refuses the next x_t. Use `.to(x_t.dtype)`.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% check
from ddpm_tutor import ddim_step as right
from ddpm_tutor.grading.tools import quick_drawing

results = ("x_{t_prev}",)


def inputs(draw):
    x_t, t, eps = draw.noise(), draw.t(), draw.noise()
    t_prev = (draw.uniform() * t).long().clamp(max=t - 1)
    return {"schedule": draw.schedule(), "x_t": x_t, "t": t, "t_prev": t_prev, "eps": eps}


def picture(ddim_step):
    """Three digits in 20 steps."""
    return quick_drawing(ddim_step=ddim_step, method="ddim", steps=20)
