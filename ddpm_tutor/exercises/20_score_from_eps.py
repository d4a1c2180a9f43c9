# %% [markdown]
# # Exercise 20 · The score from the noise
#
# **Lesson:** 8
#
# **Paper:** Section 3.2

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule


def score_from_eps(schedule: Schedule, t: Tensor, eps: Tensor) -> Tensor:
    """The score that a predicted noise stands for: where q(x_t) is denser, and how steeply.

        score = ∇ log q(x_t) = -ε / √(1 - ᾱ_t)

    By Eq. 4, x_t is √ᾱ_t x_0 plus noise whose standard deviation is √(1 - ᾱ_t). Around a known x_0
    it is a bell curve, and the gradient of its logarithm is -(x_t - √ᾱ_t x_0) / (1 - ᾱ_t). Put in
    ε, and it is the line above. It holds for the best ε_θ, too: that is the mean of ε.

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64
    t          (B,) whole numbers in 1..T, one for each picture
    eps        (B, 1, H, W), the predicted noise ε_θ(x_t, t)
    returns    (B, 1, H, W), the score in the dtype of eps
    """
    ...


# %% [markdown] hint
# Which way does the noise point? From the picture to x_t, so away from where q is dense. The score
# points the other way.


# %% hint
def score_from_eps(schedule, t, eps):
    alpha_bar = ...  # (B, 1, 1, 1)
    return -eps / ...


# %% [markdown] hint
# What is below is the standard deviation of the noise in x_t, one number for each picture.


# %% hint
def score_from_eps(schedule, t, eps):
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps / ...


# %% solution
def score_from_eps(schedule, t, eps):
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps / (1 - alpha_bar).sqrt()


# %% mistake sign
def score_from_eps(schedule, t, eps):
    """The sign is wrong: noise points away from the data, the score points to them.

    Langevin dynamics would climb down, away from all pictures. This minus was missing in a
    tutorial, too (acids-ircam/diffusion_models #7).
    """
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
    return eps / (1 - alpha_bar).sqrt()


# %% mistake variance
def score_from_eps(schedule, t, eps):
    """It is divided by 1 - ᾱ_t; its root belongs there, the standard deviation.

    By the variance one divides x_t - √ᾱ_t x_0. That is the root times ε, so one root is left. At
    t = 1 the score is 100 times too large. Others stopped short here, too (pals-ttic/sjc #6,
    yang-song/score_sde_pytorch #26).
    """
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps / (1 - alpha_bar)


# %% mistake not_divided
def score_from_eps(schedule, t, eps):
    """This is -ε: the division by √(1 - ᾱ_t) is missing.

    Near t = T that is hardly another number. At t = 1 the score is 100 times as long as ε: where
    there is little noise, q(x_t) is steep.
    """
    return -eps


# %% mistake multiplied
def score_from_eps(schedule, t, eps):
    """It is multiplied by √(1 - ᾱ_t); it has to be divided.

    That is the way back: ε = -√(1 - ᾱ_t) times the score. At small t next to nothing is left.
    """
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps * (1 - alpha_bar).sqrt()


# %% mistake picture_size
def score_from_eps(schedule, t, eps):
    """It is divided by √ᾱ_t, the size of the picture in x_t; that of the noise is √(1 - ᾱ_t).

    The score would be long where x_t is all noise. It is long where there is little.
    """
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps / alpha_bar.sqrt()


# %% mistake noise_to_signal
def score_from_eps(schedule, t, eps):
    """It is divided by σ = √((1 - ᾱ_t) / ᾱ_t): that is for x_t / √ᾱ_t, where x_0 is not shrunk.

    Many papers add noise to x_0 as it is, and have this σ. Which of the two is meant is not always
    plain (pals-ttic/sjc #13).
    """
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps * (alpha_bar / (1 - alpha_bar)).sqrt()


# %% mistake one_step
def score_from_eps(schedule, t, eps):
    """It is divided by √β_t, the noise of a single step; x_t has that of all: √(1 - ᾱ_t).

    The score is too long at every t but the first, up to 10 times.
    """
    beta = schedule.beta[t].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps / beta.sqrt()


# %% mistake one_minus_root
def score_from_eps(schedule, t, eps):
    """It is divided by 1 - √ᾱ_t; it is √(1 - ᾱ_t), the root of the difference."""
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps / (1 - alpha_bar.sqrt())


# %% mistake off_by_one
def score_from_eps(schedule, t, eps):
    """t is off by one: `alpha_bar[t]` is ᾱ_t already, as `alpha_bar[0]` is 1.

    At t = 1 it is divided by zero. At t = 0 there is no noise and no score.
    """
    alpha_bar = schedule.alpha_bar[t - 1].to(eps.dtype).view(-1, 1, 1, 1)
    return -eps / (1 - alpha_bar).sqrt()


# %% mistake one_t
def score_from_eps(schedule, t, eps):
    """One t is used for the whole batch; each picture has its own."""
    alpha_bar = schedule.alpha_bar[t[0]].to(eps.dtype)
    return -eps / (1 - alpha_bar).sqrt()


# %% mistake no_broadcast
def score_from_eps(schedule, t, eps):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or divides columns, not pictures.
    """
    alpha_bar = schedule.alpha_bar[t].to(eps.dtype)
    return -eps / (1 - alpha_bar).sqrt()


# %% mistake float64
def score_from_eps(schedule, t, eps):
    """The values are right, but in float64: the schedule is float64, and it pulls eps along.

    x_t would be float64 after the next step, and a network in float32 refuses it.
    """
    alpha_bar = schedule.alpha_bar[t].view(-1, 1, 1, 1)
    return -eps / (1 - alpha_bar).sqrt()


# %% check
from ddpm_tutor import linear_schedule, load_checkpoint, q_sample
from ddpm_tutor import score_from_eps as of_numbers
from ddpm_tutor.grading.tools import a_digit, noise_of

results = ("score",)
written_out = (of_numbers,)
linear_in = {"eps": "-1 / √(1 - ᾱ_t)"}


def right(schedule, t, eps):
    return eps if eps.is_meta else of_numbers(schedule, t, eps)  # looks at the numbers in t


def inputs(draw):
    return {"schedule": draw.schedule(), "t": draw.t(), "eps": draw.noise()}


def picture(score_from_eps):
    """x_t of a 5, moved by 1 - ᾱ_t times its score, then divided by √ᾱ_t; t = 100, 300, 500."""
    model, schedule = load_checkpoint().model, linear_schedule()
    t, label = torch.tensor([100, 300, 500]), torch.tensor([5, 5, 5])
    x_0 = a_digit(5).repeat(3, 1, 1, 1)
    x_t = q_sample(schedule, x_0, t, noise_of(x_0))
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    score = score_from_eps(schedule, t, model(x_t, t, label))
    return (x_t + (1 - alpha_bar) * score) / alpha_bar.sqrt()
