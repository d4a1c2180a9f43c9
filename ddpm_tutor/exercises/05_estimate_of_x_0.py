# %% [markdown]
# # Exercise 5 · The estimate of x_0
#
# **Lesson:** 2
#
# **Part:** 11.6 b
#
# **Paper:** Eq. 15

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule


def predict_x_0(schedule: Schedule, x_t: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """The x_0 that x_t came from if eps is its noise: Eq. 4 solved for x_0 (Eq. 15).

        x̂_0 = (x_t - √(1 - ᾱ_t) ε) / √ᾱ_t

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64; alpha_bar[t] is ᾱ_t
    x_t        (B, 1, H, W) noisy pictures
    t          (B,) whole numbers in 1..T, one for each picture
    eps        (B, 1, H, W), their noise, or what a network takes for it
    returns    (B, 1, H, W) in the dtype of x_t
    """
    ...


# %% [markdown] hint
# It is the way of exercise 2 backwards: take the noise off, then undo the fading.


# %% hint
def predict_x_0(schedule, x_t, t, eps):
    alpha_bar = ...  # (B, 1, 1, 1)
    ...


# %% [markdown] hint
# The same alpha_bar as in exercise 2: at the t of each picture, shaped for pictures.


# %% hint
def predict_x_0(schedule, x_t, t, eps):
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return (x_t - ... * eps) / ...


# %% [markdown] hint
# Divide all of it by √ᾱ_t, the noise as well.


# %% hint
def predict_x_0(schedule, x_t, t, eps):
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return (x_t - (1 - alpha_bar).sqrt() * eps) / ...


# %% solution
def predict_x_0(schedule, x_t, t, eps):
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


# %% mistake x_0_sign draws
def predict_x_0(schedule, x_t, t, eps):
    """The sign of ε is wrong: the noise is added once more, not taken off.

    The guess is noisier than x_t, and noise is all that comes out.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return (x_t + (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


# %% mistake x_0_not_rescaled draws
def predict_x_0(schedule, x_t, t, eps):
    """The division by √ᾱ_t is missing: the guess stays as faded as x_t was.

    At large t the guess is a flat grey. Scribbles come out.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return x_t - (1 - alpha_bar).sqrt() * eps


# %% mistake x_0_no_root draws
def predict_x_0(schedule, x_t, t, eps):
    """The square roots are missing: Eq. 15 has √(1 - ᾱ_t) and √ᾱ_t.

    Too little noise is taken off, and what is left is blown up: grain lies over the digit. One of
    the two is missing elsewhere, too (jcwang-gh/classifier-free-diffusion-guidance-Pytorch #12).
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return (x_t - (1 - alpha_bar) * eps) / alpha_bar


# %% mistake half_divided
def predict_x_0(schedule, x_t, t, eps):
    """Only x_t is divided by √ᾱ_t: the brackets are missing. All of it has to be.

    Nearly all the noise stays in the guess.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return x_t / alpha_bar.sqrt() - (1 - alpha_bar).sqrt() * eps


# %% mistake only_noise_divided
def predict_x_0(schedule, x_t, t, eps):
    """Only the noise is divided by √ᾱ_t: the brackets are missing. All of it has to be.

    More noise is taken off than is in x_t, and the picture stays as faded as it was.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return x_t - (1 - alpha_bar).sqrt() * eps / alpha_bar.sqrt()


# %% mistake multiplied
def predict_x_0(schedule, x_t, t, eps):
    """It is multiplied by √ᾱ_t where it is to be divided: x_t is x_0 faded by √ᾱ_t already.

    The guess is faded twice, and grey at large t.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return (x_t - (1 - alpha_bar).sqrt() * eps) * alpha_bar.sqrt()


# %% mistake alpha
def predict_x_0(schedule, x_t, t, eps):
    """This is α_t where ᾱ_t belongs: it takes off the noise of one step, not of all t.

    The guess is nearly x_t itself.
    """
    alpha = schedule.alpha[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return (x_t - (1 - alpha).sqrt() * eps) / alpha.sqrt()


# %% mistake off_by_one
def predict_x_0(schedule, x_t, t, eps):
    """t is off by one: `alpha_bar[t]` is ᾱ_t already, as `alpha_bar[0]` is 1.

    At t = 1 no noise is taken off at all. A paper had t - 1 in this formula
    (liming-ai/ControlNet_Plus_Plus #8).
    """
    alpha_bar = schedule.alpha_bar[t - 1].to(x_t.dtype).view(-1, 1, 1, 1)
    return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


# %% mistake clipped
def predict_x_0(schedule, x_t, t, eps):
    """The guess is clipped to [-1, 1]. Samplers may do that with it; Eq. 15 does not.

    Put back into Eq. 4, the clipped guess and ε no longer give x_t. A sampler that clips has to
    compute ε anew, and one of the best known did not (lucidrains/denoising-diffusion-pytorch #84).
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return ((x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()).clamp(-1, 1)


# %% mistake one_t
def predict_x_0(schedule, x_t, t, eps):
    """One t is used for the whole batch; each picture has its own."""
    alpha_bar = schedule.alpha_bar[t[0]].to(x_t.dtype)
    return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


# %% mistake no_broadcast
def predict_x_0(schedule, x_t, t, eps):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or mends columns, not pictures.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype)
    return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


# %% mistake in_place
def predict_x_0(schedule, x_t, t, eps):
    """The result is right, but x_t was changed in place (`-=`, `sub_` and the like).

    The sampler goes on from x_t after it has asked for the guess: it would go on from x̂_0.
    """
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    x_t -= (1 - alpha_bar).sqrt() * eps
    x_t /= alpha_bar.sqrt()
    return x_t


# %% mistake float64
def predict_x_0(schedule, x_t, t, eps):
    """The values are right, but in float64: the schedule is float64, and it pulls x_0 along.

    A network in float32 refuses what comes of it. Use `.to(x_t.dtype)`.
    """
    alpha_bar = schedule.alpha_bar[t].view(-1, 1, 1, 1)
    return (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


# %% check
from ddpm_tutor import linear_schedule, load_checkpoint, q_sample
from ddpm_tutor import predict_x_0 as right
from ddpm_tutor.grading.tools import a_digit, noise_of

results = ("x_0",)
linear_in = {"x_t": "1 / √ᾱ_t", "eps": "-√(1 - ᾱ_t) / √ᾱ_t"}


def inputs(draw):
    return {"schedule": draw.schedule(), "x_t": draw.noise(), "t": draw.t(), "eps": draw.noise()}


def picture(predict_x_0):
    """What the shipped network makes of a 5 at t = 100, 300 and 500."""
    model, schedule = load_checkpoint().model, linear_schedule()
    t, label = torch.tensor([100, 300, 500]), torch.tensor([5, 5, 5])
    x_0 = a_digit(5).repeat(3, 1, 1, 1)
    x_t = q_sample(schedule, x_0, t, noise_of(x_0))
    return predict_x_0(schedule, x_t, t, model(x_t, t, label))
