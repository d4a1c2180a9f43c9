# %% [markdown]
# # Exercise 8 · The reverse step
#
# **Lesson:** 4
#
# **Part:** 11.6 a
#
# **Paper:** Algorithm 2, lines 3 and 4

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule


def p_step(schedule: Schedule, x_t: Tensor, t: Tensor, eps: Tensor, z: Tensor) -> Tensor:
    """One step of the reverse process, x_t to x_{t-1} (Algorithm 2, lines 3 and 4).

        x_{t-1} = (x_t - β_t / √(1 - ᾱ_t) · ε) / √α_t + σ_t z        σ_t = √β_t
        z = 0 where t = 1

    schedule   has beta, alpha and alpha_bar, each (T + 1,) in float64
    x_t        (B, 1, H, W)
    t          (B,) whole numbers in 1..T, one for each picture
    eps        (B, 1, H, W), the predicted noise ε_θ(x_t, t)
    z          (B, 1, H, W) fresh noise from N(0, I); not to be added where t = 1
    returns    (B, 1, H, W), x_{t-1} in the dtype of x_t
    """
    ...


# %% [markdown] hint
# Two parts: the mean (Eq. 11), and the noise. Start with the numbers of the schedule: β_t, α_t
# and ᾱ_t, each shaped (B, 1, 1, 1), in the dtype of x_t.


# %% hint
def p_step(schedule, x_t, t, eps, z):
    beta, alpha, alpha_bar = ...
    mean = ...
    return mean + ...


# %% [markdown] hint
# In the mean, both brackets count: ε is multiplied by β_t / √(1 - ᾱ_t), and all is divided by √α_t.


# %% hint
def p_step(schedule, x_t, t, eps, z):
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - ... * eps) / alpha.sqrt()
    return mean + ...


# %% [markdown] hint
# Each picture has its own t, so an `if` does not do. `(t > 1)` is True or False for each picture,
# and multiplies like 1 or 0.


# %% hint
def p_step(schedule, x_t, t, eps, z):
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + ... * (t > 1).view(-1, 1, 1, 1) * z


# %% solution
def p_step(schedule, x_t, t, eps, z):
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake last_noise draws
def p_step(schedule, x_t, t, eps, z):
    """Noise is added at t = 1 too, where z is 0.

    Grain stays on the finished picture: nobody takes it out any more. Over all 1000 steps it is too
    fine to see, 1 of 255 shades of grey. With 20 steps it is plain. Why it is left out there is
    often asked: TeaPearce/Conditional_Diffusion_MNIST, issue 10.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * z


# %% mistake no_noise draws
def p_step(schedule, x_t, t, eps, z):
    """No noise is added at all: σ_t z is missing.

    The spread of x_t shrinks at every step. Every seed then ends at nearly the same picture of a
    digit: try another one.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    return (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()


# %% mistake variance_for_sigma draws
def p_step(schedule, x_t, t, eps, z):
    """The noise is multiplied by β_t, the variance; σ_t is its root.

    A seventh of the noise, or less. The spread of x_t shrinks, and thin strokes come out. Noise
    times its variance is a slip that optimizers have made, too (google-deepmind/optax, issue 281).
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake beta_tilde draws
def p_step(schedule, x_t, t, eps, z):
    """σ_t² is β̃_t here; σ_t² = β_t was asked for.

    The paper allows both, and over all steps you will see no difference (Section 3.2). Others have
    taken the one for the other, too: jhbastek/PhysicsInformedDiffusionModels, issue 4.
    """
    beta, alpha, alpha_bar, before = (
        v.to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (
            schedule.beta[t],
            schedule.alpha[t],
            schedule.alpha_bar[t],
            schedule.alpha_bar[t - 1],
        )
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + ((1 - before) / (1 - alpha_bar) * beta).sqrt() * z


# %% mistake alpha_for_alpha_bar draws
def p_step(schedule, x_t, t, eps, z):
    """This is α_t under the root where ᾱ_t belongs: √(1 - ᾱ_t) is the noise of all t steps.

    β_t / √(1 - α_t) is √β_t, as if ε were the noise of this step alone. Far too much is taken out,
    and the strokes lose their width.
    """
    beta, alpha = (v[t].to(x_t.dtype).view(-1, 1, 1, 1) for v in (schedule.beta, schedule.alpha))
    mean = (x_t - beta / (1 - alpha).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake no_root draws
def p_step(schedule, x_t, t, eps, z):
    """A square root is missing: the noise is divided by 1 - ᾱ_t, not by its root.

    The last steps take out up to a hundred times too much: the digit drowns in grain.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar) * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake no_fading_back draws
def p_step(schedule, x_t, t, eps, z):
    """The division by √α_t is missing: each step of the forward process made the picture smaller.

    Over all steps that would be a factor of √ᾱ_T = 1/157. But the network sees what is too dark at
    every step, and makes up for most of it: the digit comes out a little different.
    """
    beta, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1) for v in (schedule.beta, schedule.alpha_bar)
    )
    mean = x_t - beta / (1 - alpha_bar).sqrt() * eps
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake sign draws
def p_step(schedule, x_t, t, eps, z):
    """The sign of ε is wrong: noise is put in where it has to be taken out.

    The picture gets noisier with every step.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t + beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake clamped draws
def p_step(schedule, x_t, t, eps, z):
    """x_{t-1} is clamped to [-1, 1]; only finished pictures stay in there.

    Clamping cuts the noise off on one side of the black background: it turns a little grey. What
    may be clamped is the guess of x_0. The authors' code does, and their paper doesn't say so
    (hojonathanho/diffusion, issue 5).
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return (mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z).clamp(-1, 1)


# %% mistake jump draws
def p_step(schedule, x_t, t, eps, z):
    """The mean is the guess of x_0 (Eq. 15): a jump to the end, not one step.

    The first jump gives a blur. The steps behind it make blots and bold strokes of it.
    """
    beta, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1) for v in (schedule.beta, schedule.alpha_bar)
    )
    mean = (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake off_by_one draws
def p_step(schedule, x_t, t, eps, z):
    """ᾱ is off by one: `alpha_bar[t]` is ᾱ_t already.

    At t = 1 this divides by 1 - ᾱ_0 = 0, and nothing is left of the picture.
    """
    beta, alpha, before = (
        v.to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta[t], schedule.alpha[t], schedule.alpha_bar[t - 1])
    )
    mean = (x_t - beta / (1 - before).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake all_off_by_one draws
def p_step(schedule, x_t, t, eps, z):
    """β, α and ᾱ are all taken at t - 1: in the package's schedule index t is step t.

    At t = 1 this divides 0 by 0, and nothing is left of the picture.
    """
    beta, alpha, alpha_bar = (
        v[t - 1].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake one_t
def p_step(schedule, x_t, t, eps, z):
    """One t is used for the whole batch; each picture has its own."""
    beta, alpha, alpha_bar = (
        v[t[0]].to(x_t.dtype) for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t[0] > 1) * z


# %% mistake if_t
def p_step(schedule, x_t, t, eps, z):
    """The noise depends on the first t of the batch; each picture has its own t."""
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t[0] > 1) * z


# %% mistake no_broadcast
def p_step(schedule, x_t, t, eps, z):
    """A number for each picture, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or mends columns, not pictures.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype) for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1) * z


# %% mistake in_place
def p_step(schedule, x_t, t, eps, z):
    """The result is right, but x_t was changed in place (`-=`, `sub_` and the like).

    Whoever keeps the history finds the same picture in it at every t.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    x_t -= beta / (1 - alpha_bar).sqrt() * eps
    x_t /= alpha.sqrt()
    x_t += beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z
    return x_t


# %% mistake float64
def p_step(schedule, x_t, t, eps, z):
    """The values are right, but in float64: the schedule is float64, and it pulls x_t along.

    A network in float32 refuses the next x_t. Use `.to(x_t.dtype)`.
    """
    beta, alpha, alpha_bar = (
        v[t].view(-1, 1, 1, 1) for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake on_the_cpu device
def p_step(schedule, x_t, t, eps, z):
    """A tensor is made on the CPU: with pictures on a GPU this stops.

    Say `device=x_t.device` where you make tensors, or start from one that you were given.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    sigma = beta.sqrt() * torch.ones(len(t), 1, 1, 1, dtype=x_t.dtype)
    return mean + sigma * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake root_alpha_bar draws
def p_step(schedule, x_t, t, eps, z):
    """The mean is divided by √ᾱ_t; it is √α_t, the shrinking of this one step.

    √ᾱ_t is that of all t steps. x_t grows beyond all numbers, and nothing is left of the picture.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake root_beta draws
def p_step(schedule, x_t, t, eps, z):
    """ε is multiplied by √β_t / √(1 - ᾱ_t); above the line stands β_t, without a root.

    Far too much is taken out at every step. Nothing but noise comes of it.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta.sqrt() / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% mistake noise_in_the_bracket draws
def p_step(schedule, x_t, t, eps, z):
    """σ_t z stands in the bracket, so it is divided by √α_t too; it is added behind.

    The noise is too large by 1/√α_t, at most 1 in 100: you will hardly see it.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    noise = beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z
    return (x_t - beta / (1 - alpha_bar).sqrt() * eps + noise) / alpha.sqrt()


# %% mistake own_noise
def p_step(schedule, x_t, t, eps, z):
    """The noise is drawn anew (`randn_like`), not taken from z.

    The picture would be a fine one, but another than the seed's. Here the caller draws the noise.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * torch.randn_like(x_t)


# %% mistake all_t
def p_step(schedule, x_t, t, eps, z):
    """`.all()` asks for all pictures at once: one with t = 1 takes the noise from the whole batch.

    Each picture has its own t: `(t > 1)` without `.all()`, shaped (B, 1, 1, 1).
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).all() * z


# %% mistake bracket draws
def p_step(schedule, x_t, t, eps, z):
    """A bracket is missing: all of it is divided by √α_t, x_t as well as ε.

    The picture then isn't scaled back up. The network makes up for most of it, as it sees x_t.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    mean = x_t - beta / (1 - alpha_bar).sqrt() * eps / alpha.sqrt()
    return mean + beta.sqrt() * (t > 1).view(-1, 1, 1, 1) * z


# %% check
from ddpm_tutor import p_step as right
from ddpm_tutor.grading.tools import quick_drawing

results = ("x_{t-1}",)
linear_in = {"x_t": "1 / √α_t", "eps": "-β_t / (√(1 - ᾱ_t) √α_t)", "z": "√β_t"}


def inputs(draw):
    x_t, t, eps, z = draw.noise(), draw.t(), draw.noise(), draw.noise()
    return {"schedule": draw.schedule(), "x_t": x_t, "t": t, "eps": eps, "z": z}


def picture(p_step):
    """Three digits, drawn with this step."""
    return quick_drawing(p_step=p_step)
