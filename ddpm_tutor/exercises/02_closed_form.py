# %% [markdown]
# # Exercise 2 · The closed form
#
# **Lesson:** 2
#
# **Part:** 11.2 a
#
# **Paper:** Eq. 4

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule


def q_sample(schedule: Schedule, x_0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """x_t from x_0 in one jump (Eq. 4).

        x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64; alpha_bar[t] is ᾱ_t
    x_0        (B, 1, H, W) pictures in [-1, 1]
    t          (B,) whole numbers in 1..T, one for each picture
    eps        (B, 1, H, W) noise from N(0, I)
    returns    (B, 1, H, W) in the dtype of x_0
    """
    ...


# %% [markdown] hint
# Two numbers decide how much of the picture and how much of the noise there is. Both come from
# ᾱ at the t of each picture: index the schedule with the whole tensor `t`.


# %% hint
def q_sample(schedule, x_0, t, eps):
    alpha_bar = ...  # (B,)
    ...


# %% [markdown] hint
# `alpha_bar` is (B,), the pictures are (B, 1, H, W). To multiply, it has to be (B, 1, 1, 1).
# The schedule is in float64: bring it to the dtype of the picture.


# %% hint
def q_sample(schedule, x_0, t, eps):
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    ...


# %% [markdown] hint
# Now write Eq. 4 as it stands. The roots are part of it.


# %% hint
def q_sample(schedule, x_0, t, eps):
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + ... * eps


# %% solution
def q_sample(schedule, x_0, t, eps):
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


# %% mistake no_root
def q_sample(schedule, x_0, t, eps):
    """The square roots are missing: Eq. 4 has √ᾱ_t and √(1 - ᾱ_t).

    ᾱ is a share of the variance. Its root is the share of the picture itself. Without the roots
    x_t has too little of both, and its spread is less than 1 in between.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return alpha_bar * x_0 + (1 - alpha_bar) * eps


# %% mistake one_root
def q_sample(schedule, x_0, t, eps):
    """One square root is missing: the noise is multiplied by 1 - ᾱ_t, not by its root.

    There is too little noise at every t but the last ones. The same root was missing in a course's
    notebook and in a paper (Ryota-Kawamura/How-Diffusion-Models-Work #1, ermongroup/CSDI #9).
    """
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar) * eps


# %% mistake one_minus_root
def q_sample(schedule, x_0, t, eps):
    """The noise is multiplied by 1 - √ᾱ_t; it is √(1 - ᾱ_t), the root of the difference.

    The two variances ᾱ_t and 1 - ᾱ_t add up to 1. Here they do not: there is too little noise.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar.sqrt()) * eps


# %% mistake alpha
def q_sample(schedule, x_0, t, eps):
    """This is α_t where ᾱ_t belongs: `alpha_bar` is the product of all α up to t.

    α_t belongs to a single step. The picture would hardly be noisy, even at t = T.
    """
    alpha = schedule.alpha[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return alpha.sqrt() * x_0 + (1 - alpha).sqrt() * eps


# %% mistake off_by_one
def q_sample(schedule, x_0, t, eps):
    """t is off by one: `alpha_bar[t]` is ᾱ_t already, as `alpha_bar[0]` is 1.

    Every picture is one step too clean, and at t = 1 there is no noise at all.
    """
    alpha_bar = schedule.alpha_bar[t - 1].to(x_0.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


# %% mistake swapped
def q_sample(schedule, x_0, t, eps):
    """The two weights are swapped: √ᾱ_t belongs to x_0, √(1 - ᾱ_t) to the noise.

    The process would begin with noise and end with the picture.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return (1 - alpha_bar).sqrt() * x_0 + alpha_bar.sqrt() * eps


# %% mistake one_t
def q_sample(schedule, x_0, t, eps):
    """One t is used for the whole batch; each picture has its own.

    A network trained so would see one noise level in a batch, and learn in jumps.
    """
    alpha_bar = schedule.alpha_bar[t[0]].to(x_0.dtype)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


# %% mistake no_broadcast
def q_sample(schedule, x_0, t, eps):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or noises columns, not pictures.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


# %% mistake unit_range
def q_sample(schedule, x_0, t, eps):
    """x_0 is brought to [0, 1] first; it is in [-1, 1], and Eq. 4 takes it as it is.

    In [0, 1] the pictures are not centred on zero: a grey veil stays in all but the last x_t.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * (x_0 + 1) / 2 + (1 - alpha_bar).sqrt() * eps


# %% mistake clamped
def q_sample(schedule, x_0, t, eps):
    """x_t is clamped to [-1, 1]; only pictures stay in there, noisy ones go up to 4 or so.

    The noise is no bell curve any more, and black backgrounds turn grey.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    return (alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps).clamp(-1, 1)


# %% mistake in_place
def q_sample(schedule, x_0, t, eps):
    """The result is right, but x_0 was changed in place (`*=`, `mul_` and the like).

    The caller's pictures are gone: the next epoch would train on noise.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)
    x_0 *= alpha_bar.sqrt()
    x_0 += (1 - alpha_bar).sqrt() * eps
    return x_0


# %% mistake float64
def q_sample(schedule, x_0, t, eps):
    """The values are right, but in float64: the schedule is float64, and it pulls x_t along.

    A network in float32 refuses it. Use `.to(x_0.dtype)`. The schedulers of diffusers had to learn
    this, too (huggingface/diffusers #767).
    """
    alpha_bar = schedule.alpha_bar[t].view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


# %% mistake on_the_cpu device
def q_sample(schedule, x_0, t, eps):
    """A tensor is made on the CPU: with pictures on a GPU this stops.

    Say `device=x_0.device` where you make tensors, or start from one that you were given. It is
    a slip of well-known code, too (huggingface/diffusers #648, explainingai-code/DDPM-Pytorch #5).
    """
    alpha_bar = torch.ones(len(t), dtype=x_0.dtype) * schedule.alpha_bar[t].to(x_0.dtype)
    alpha_bar = alpha_bar.view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


# %% check
from ddpm_tutor import linear_schedule
from ddpm_tutor import q_sample as right
from ddpm_tutor.grading.tools import a_digit, noise_of


results = ("x_t",)
linear_in = {"x_0": "√ᾱ_t", "eps": "√(1 - ᾱ_t)"}


def inputs(draw):
    return {"schedule": draw.schedule(), "x_0": draw.images(), "t": draw.t(), "eps": draw.noise()}


def picture(q_sample):
    """A digit at t = 100, 300 and 500."""
    schedule, t = linear_schedule(), torch.tensor([100, 300, 500])
    x_0 = a_digit().repeat(3, 1, 1, 1)
    return q_sample(schedule, x_0, t, noise_of(x_0))
