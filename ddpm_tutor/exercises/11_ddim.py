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
    """x_t comes back unchanged: x_0 is guessed at one time and noised again to the same one.

    Guess x_0 at t, where x_t is. Then take ᾱ at t_prev, where we go. Else the noise never leaves.
    A last step that stays where it is can be had more easily: CompVis/latent-diffusion, issue 136.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar = schedule.alpha_bar[t].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar.sqrt() * x_0 + (1 - alpha_bar).sqrt() * eps


# %% mistake ddim_one_step
def ddim_step(schedule, x_t, t, t_prev, eps):
    """It goes to t - 1; it has to go to t_prev, which may be many steps earlier.

    Skipping steps is what DDIM is for. A sampler that could skip, and all the same took ᾱ at t - 1,
    was in published code: nothing but noise came out (huggingface/diffusers, pull request 2076).
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t - 1].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake ddim_no_root draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The square roots are missing: it is √ᾱ and √(1 - ᾱ), as in Eq. 4.

    The spread of x_t is too small on the way. Blots come out. (Where published code lacked one of
    the roots: mathpluscode/ImgX-DiffSeg, issue 4.)
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev * x_0 + (1 - alpha_bar_prev) * eps


# %% mistake ddim_no_direction draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The term with ε is missing: x_{t_prev} is to have the noise of its t.

    The network sees pictures much cleaner than it is told. Thin strokes come out, some broken. So
    it was in jsboige/CoursIA, pull request 16158: σ stood in place of the root, and σ was 0.
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


# %% mistake ddim_root_of_x_0 draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """A root is missing: the guess of x_0 is multiplied by ᾱ_{t_prev}, not by its root.

    The picture comes in too weakly at every t, and the network takes it for noise. Grey texture
    comes out, and no digit.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake ddim_root_of_eps draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """A root is missing: ε is multiplied by 1 - ᾱ_{t_prev}, not by its root.

    x_t has less noise than its t says. Digits come out all the same, but other ones: DDIM ends
    where it is led to.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev) * eps


# %% mistake ddim_alpha draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """This is α where ᾱ belongs: the one of a single step, not the product of them all.

    α is next to 1 at every t, so that the noise is gone after one step. The network sees pictures
    much cleaner than it is told, and thin strokes come out.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_prev = schedule.alpha[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_prev.sqrt() * x_0 + (1 - alpha_prev).sqrt() * eps


# %% mistake ddim_clipped
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The guess of x_0 is clipped to [-1, 1]; the formula takes it as it is.

    Clipped, it no longer fits ε: put together by Eq. 4 they are not x_t. Samplers that clip take ε
    anew from the clipped guess. It can be forgotten: lucidrains/denoising-diffusion-pytorch, pull
    request 84.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps).clamp(-1, 1)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake ddim_fresh_noise
def ddim_step(schedule, x_t, t, t_prev, eps):
    """Fresh noise is drawn for the second term; it is ε once more, the noise found in x_t.

    With fresh noise every step forgets where it came from, and x_T decides nothing. Without any,
    DDIM can skip steps.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * torch.randn_like(x_t)


# %% mistake ddim_swapped draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """√ᾱ and √(1 - ᾱ) are swapped: √ᾱ belongs to x_0, √(1 - ᾱ) to the noise, as in Eq. 4.

    The nearer the end, the less there is of the picture and the more of ε. Nothing is left of the
    digit.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return (1 - alpha_bar_prev).sqrt() * x_0 + alpha_bar_prev.sqrt() * eps


# %% mistake ddim_jump draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The guess of x_0 itself comes back; it has to be noised again, down to the level of t_prev.

    The network sees pictures much cleaner than it is told. Thin strokes come out.
    """
    return predict_x_0(schedule, x_t, t, eps)


# %% mistake ddim_clamped
def ddim_step(schedule, x_t, t, t_prev, eps):
    """x_{t_prev} is clamped to [-1, 1]; only finished pictures stay in there.

    Clamping cuts the noise off on one side of the black background.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return (alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps).clamp(-1, 1)


# %% mistake ddim_beta_t draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """This is the mean of Algorithm 2, with β_t and α_t of one step; here steps are skipped.

    Each β belongs to the step from t - 1 to t. Whoever skips steps needs that of the long step,
    1 - ᾱ_t / ᾱ_{t_prev} (huggingface/diffusers, issue 5130). In this tutor a chain that skips has a
    schedule of its own with just these β, so that thin strokes come out, as in exercise 10.
    Elsewhere next to all of the noise would stay.
    """
    beta, alpha, alpha_bar = (
        v[t].to(x_t.dtype).view(-1, 1, 1, 1)
        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)
    )
    return (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()


# %% mistake ddim_never_clean draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """The last step does not arrive: at t_prev = 0 this is ᾱ_1, where ᾱ_0 = 1 belongs.

    Noise is left on the picture. Over all 1000 steps it is too fine to see; with 20 it is plain.
    Well-known code has it so (Stability-AI/stablediffusion, pull request 345, and
    lllyasviel/ControlNet, pull request 587).
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    alpha_bar_prev = schedule.alpha_bar[t_prev.clamp(min=1)].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake ddim_all_one_before draws
def ddim_step(schedule, x_t, t, t_prev, eps):
    """Both ᾱ are one step too early: that of t - 1 in the guess of x_0, and that of t_prev - 1.

    In the package's schedule index t is step t. In code that counts from 0 this is an easy slip
    (lucidrains/denoising-diffusion-pytorch, issue 81). With 20 steps grain stays, and the digits
    come out dark.
    """
    x_0 = predict_x_0(schedule, x_t, t - 1, eps)
    before = (t_prev - 1).clamp(min=0)
    alpha_bar_prev = schedule.alpha_bar[before].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% mistake ddim_own_stride
def ddim_step(schedule, x_t, t, t_prev, eps):
    """How far to go is worked out here, T / 20 steps; take t_prev, which is given.

    Steps need not be equally long, and the last one is not. Two places that work out the same may
    come to differ: huggingface/diffusers, issues 11347 and 12633.
    """
    x_0 = predict_x_0(schedule, x_t, t, eps)
    t_prev = (t - max(1, schedule.T // 20)).clamp(min=0)
    alpha_bar_prev = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return alpha_bar_prev.sqrt() * x_0 + (1 - alpha_bar_prev).sqrt() * eps


# %% check
from ddpm_tutor import ddim_step as right
from ddpm_tutor import predict_x_0
from ddpm_tutor.grading.tools import Probe, quick_drawing, schedule_at

results = ("x_{t_prev}",)
linear_in = {"the guess of x_0": "√ᾱ_{t_prev}", "eps": "√(1 - ᾱ_{t_prev})"}


def inputs(draw):
    x_t, t, eps = draw.noise(), draw.t(), draw.noise()
    t_prev = (draw.uniform() * t).long().clamp(max=t - 1)
    return {"schedule": draw.schedule(), "x_t": x_t, "t": t, "t_prev": t_prev, "eps": eps}


def probe(ddim_step, inputs):
    """In terms of the guess of x_0, as the equation is written, not of x_t."""
    schedule, x_t, t, t_prev, eps = inputs.values()
    given = {"the guess of x_0": predict_x_0(schedule, x_t, t, eps), "eps": eps}
    at = [f"t = {int(i)}, t_prev = {int(j)}" for i, j in zip(t, t_prev, strict=True)]
    return Probe(ddim_step(**inputs), given, at, schedule_at(schedule, t, t_prev))


def picture(ddim_step):
    """Three digits in 20 steps."""
    return quick_drawing(ddim_step=ddim_step, method="ddim", steps=20)
