# %% [markdown]
# # Exercise 1 · One noising step
#
# **Lesson:** 1
#
# **Part:** 11.2 a
#
# **Paper:** Eq. 2

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule


def q_step(schedule: Schedule, x_prev: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """One step of the forward process, from x_{t-1} to x_t (Eq. 2).

        x_t = √(1 - β_t) x_{t-1} + √β_t ε

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64; beta[t] is β_t
    x_prev     (B, 1, H, W), x_{t-1}
    t          (B,) whole numbers in 1..T, one for each picture
    eps        (B, 1, H, W) noise from N(0, I)
    returns    (B, 1, H, W), x_t in the dtype of x_prev
    """
    ...


# %% [markdown] hint
# Only β_t is needed. `schedule.beta[t]` takes the whole tensor `t` and gives one number for each
# picture.


# %% hint
def q_step(schedule, x_prev, t, eps):
    beta = ...  # (B,)
    ...


# %% [markdown] hint
# One number for each picture, (B,), has to become (B, 1, 1, 1), so that it multiplies the pictures.
# The schedule is in float64: bring it to the dtype of the pictures.


# %% hint
def q_step(schedule, x_prev, t, eps):
    beta = schedule.beta[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    ...


# %% [markdown] hint
# β_t is a variance. Noise is scaled by its root.


# %% hint
def q_step(schedule, x_prev, t, eps):
    beta = schedule.beta[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    return (1 - beta).sqrt() * x_prev + ... * eps


# %% solution
def q_step(schedule, x_prev, t, eps):
    beta = schedule.beta[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    return (1 - beta).sqrt() * x_prev + beta.sqrt() * eps


# %% mistake no_root
def q_step(schedule, x_prev, t, eps):
    """The square roots are missing: Eq. 2 has √(1 - β_t) and √β_t.

    β_t is a variance; noise is scaled by its root. Without it next to no noise is added, while the
    picture fades twice as fast: it ends in grey, not in noise.
    """
    beta = schedule.beta[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    return (1 - beta) * x_prev + beta * eps


# %% mistake one_root
def q_step(schedule, x_prev, t, eps):
    """One square root is missing: the noise is multiplied by β_t, not by its root.

    Ten times too little noise at the end, a hundred times at the start: the picture fades to grey.
    It happened to teachers, too (acids-ircam/diffusion_models #1,
    huggingface/diffusion-models-class #63).
    """
    beta = schedule.beta[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    return (1 - beta).sqrt() * x_prev + beta * eps


# %% mistake swapped
def q_step(schedule, x_prev, t, eps):
    """The two weights are swapped: √(1 - β_t) belongs to x_{t-1}, √β_t to the noise.

    One step and next to nothing is left of the picture: all of them would be noise.
    """
    beta = schedule.beta[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    return beta.sqrt() * x_prev + (1 - beta).sqrt() * eps


# %% mistake no_fading
def q_step(schedule, x_prev, t, eps):
    """Noise is added, but the picture is not made smaller: √(1 - β_t) is missing.

    The spread grows at every step and ends beyond 3, where N(0, I) has 1.
    """
    beta = schedule.beta[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    return x_prev + beta.sqrt() * eps


# %% mistake alpha_bar
def q_step(schedule, x_prev, t, eps):
    """This is ᾱ_t where 1 - β_t belongs: it is the closed form (Eq. 4), the jump from x_0.

    Applied to x_{t-1} it adds the noise of all t steps in each of them: noise after a few.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_prev + (1 - alpha_bar).sqrt() * eps


# %% mistake off_by_one
def q_step(schedule, x_prev, t, eps):
    """t is off by one: `beta[t]` is β_t already, and `beta[0]` is 0.

    The first step adds nothing, and the last β is never used.
    """
    beta = schedule.beta[t - 1].to(x_prev.dtype).view(-1, 1, 1, 1)
    return (1 - beta).sqrt() * x_prev + beta.sqrt() * eps


# %% mistake one_t
def q_step(schedule, x_prev, t, eps):
    """One t is used for the whole batch; each picture has its own."""
    beta = schedule.beta[t[0]].to(x_prev.dtype)
    return (1 - beta).sqrt() * x_prev + beta.sqrt() * eps


# %% mistake no_broadcast
def q_step(schedule, x_prev, t, eps):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or noises columns, not pictures.
    """
    beta = schedule.beta[t].to(x_prev.dtype)
    return (1 - beta).sqrt() * x_prev + beta.sqrt() * eps


# %% mistake in_place
def q_step(schedule, x_prev, t, eps):
    """The result is right, but x_prev was changed in place (`*=`, `mul_` and the like).

    The caller's picture is gone: what was kept of earlier steps changes with every step.
    """
    beta = schedule.beta[t].to(x_prev.dtype).view(-1, 1, 1, 1)
    x_prev *= (1 - beta).sqrt()
    x_prev += beta.sqrt() * eps
    return x_prev


# %% mistake float64
def q_step(schedule, x_prev, t, eps):
    """The values are right, but in float64: the schedule is float64, and it pulls x_t along.

    A network in float32 refuses it. Use `.to(x_prev.dtype)`.
    """
    beta = schedule.beta[t].view(-1, 1, 1, 1)
    return (1 - beta).sqrt() * x_prev + beta.sqrt() * eps


# %% mistake on_the_cpu device
def q_step(schedule, x_prev, t, eps):
    """A tensor is made on the CPU: with pictures on a GPU this stops.

    Say `device=x_prev.device` where you make tensors, or start from one that you were given.
    """
    beta = torch.ones(len(t), dtype=x_prev.dtype) * schedule.beta[t].to(x_prev.dtype)
    beta = beta.view(-1, 1, 1, 1)
    return (1 - beta).sqrt() * x_prev + beta.sqrt() * eps


# %% check
from ddpm_tutor import linear_schedule
from ddpm_tutor import q_step as right
from ddpm_tutor.grading.tools import a_digit, noise_of

results = ("x_t",)
linear_in = {"x_prev": "√(1 - β_t)", "eps": "√β_t"}


def inputs(draw):
    return {
        "schedule": draw.schedule(),
        "x_prev": draw.images(),
        "t": draw.t(),
        "eps": draw.noise(),
    }


def picture(q_step):
    """A digit after 100, 200 and 400 steps."""
    schedule, x_t, kept = linear_schedule(), a_digit(), []
    for i in range(1, 401):
        x_t = q_step(schedule, x_t, torch.tensor([i]), noise_of(x_t, i))
        if i in (100, 200, 400):
            kept.append(x_t.clone())
    return torch.cat(kept)
