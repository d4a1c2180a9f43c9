# %% [markdown]
# # Exercise 21 · Interpolation at t
#
# **Lesson:** 9
#
# **Paper:** Section 4.4, Fig. 8

# %% start
import torch
from torch import Tensor

from ddpm_tutor import Schedule, q_sample


def interpolate_at(
    schedule: Schedule,
    x_0: Tensor,
    x_0_other: Tensor,
    t: Tensor,
    share: Tensor,
    eps: Tensor,
    eps_other: Tensor,
) -> Tensor:
    """Two pictures, mixed at step t (Section 4.4, Fig. 8).

        x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε         and x_t' in the same way from x_0' and ε' (Eq. 4)
        x̄_t = (1 - λ) x_t + λ x_t'

    Algorithm 2 then goes from x̄_t back to a picture between the two.

    schedule         has beta, alpha and alpha_bar, each (T + 1,) in float64
    x_0, x_0_other   (B, 1, H, W) in [-1, 1], x_0 and x_0': pairs of pictures
    t                (B,) whole numbers in 1..T, one for each pair
    share            (B,) in 0..1, λ, one for each pair: 0 is the first picture, 1 the other
    eps, eps_other   (B, 1, H, W), ε and ε': each picture has its own noise, and who calls this may
                     give the same one twice
    returns          (B, 1, H, W), x̄_t in the dtype of x_0

    `q_sample(schedule, x_0, t, eps)` of exercise 2 is at hand.
    """
    ...


# %% [markdown] hint
# Three things are to be made: x_t of the one picture, x_t' of the other, and the mix of the two.


# %% hint
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    x_t = ...
    x_t_other = ...
    ...


# %% [markdown] hint
# λ is a number for each pair, (B,). Shape it (B, 1, 1, 1), so that it multiplies pictures.


# %% hint
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    share = share.view(-1, 1, 1, 1)
    return ... + share * x_t_other


# %% solution
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    share = share.view(-1, 1, 1, 1)
    return (1 - share) * x_t + share * x_t_other


# %% mistake mixes_x_0
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """x_0 and x_0' are mixed, and no noise comes in: it is x_t and x_t' that are to be mixed.

    A ghost of two digits comes of it, and the network, told that there is noise of step t, sees
    none. The paper has this slip in print, and it was copied
    (labmlai/annotated_deep_learning_paper_implementations, issue 238).
    """
    share = share.view(-1, 1, 1, 1)
    return (1 - share) * x_0 + share * x_0_other


# %% mistake one_noise
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """Both pictures get the noise ε: ε' is not used. Or x_0 is mixed first, and then noised.

    The two are the same, as Eq. 4 is linear: this is a ghost with noise on it. It is what comes
    out, too, where ε' is ε. But here the caller decides.
    """
    share = share.view(-1, 1, 1, 1)
    return q_sample(schedule, (1 - share) * x_0 + share * x_0_other, t, eps)


# %% mistake swapped
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """1 - λ and λ are swapped: λ is the share of the other picture.

    A row of pictures from λ = 0 to 1 runs backwards.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    share = share.view(-1, 1, 1, 1)
    return share * x_t + (1 - share) * x_t_other


# %% mistake noises_swapped
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """The noises are swapped: ε belongs to x_0, ε' to x_0'."""
    x_t = q_sample(schedule, x_0, t, eps_other)
    x_t_other = q_sample(schedule, x_0_other, t, eps)
    share = share.view(-1, 1, 1, 1)
    return (1 - share) * x_t + share * x_t_other


# %% mistake other_is_clean
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """The other picture gets no noise: x_0' is mixed in where x_t' belongs.

    At λ = 1 a clean picture comes back, and the network is told that there is noise of step t.
    """
    share = share.view(-1, 1, 1, 1)
    return (1 - share) * q_sample(schedule, x_0, t, eps) + share * x_0_other


# %% mistake half_and_half
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """λ is not used: this is the mean of x_t and x_t', λ = ½ in all pairs."""
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    return (x_t + x_t_other) / 2


# %% mistake added
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """1 - λ is missing: all of x_t stays, and λ x_t' is added to it.

    There is more picture, and more noise, than belongs to t.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    return x_t + share.view(-1, 1, 1, 1) * x_t_other


# %% mistake away
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """The difference is the wrong way round: it is x_t + λ (x_t' - x_t).

    This leads away from the other picture, to a negative of it.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    return x_t + share.view(-1, 1, 1, 1) * (x_t - x_t_other)


# %% mistake roots
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """x_t and x_t' are multiplied by the roots, √(1 - λ) and √λ; it is 1 - λ and λ.

    With two noises the roots would keep the noise at its level. But the picture gets too bright:
    at λ = ½ there is 1.4 times as much of it as belongs to t.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    share = share.view(-1, 1, 1, 1)
    return (1 - share).sqrt() * x_t + share.sqrt() * x_t_other


# %% mistake one_share
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """One λ is used for all pairs; each has its own."""
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    return (1 - share[0]) * x_t + share[0] * x_t_other


# %% mistake no_broadcast
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """λ, a number for each pair, (B,), meets pictures (B, 1, H, W): shape it (B, 1, 1, 1).

    As it is, PyTorch lines B up with the columns W: it stops, or mixes columns, not pictures.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    return (1 - share) * x_t + share * x_t_other


# %% mistake step_off
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """The noise is that of t - 1; it is that of t, from where the way back begins.

    Noise that is a step off from where the chain begins was in published code: invoke-ai/InvokeAI,
    pull request 1946, and CompVis/stable-diffusion, pull request 533. Where few steps are taken,
    each is a long one, and it shows.
    """
    x_t = q_sample(schedule, x_0, t - 1, eps)
    x_t_other = q_sample(schedule, x_0_other, t - 1, eps_other)
    share = share.view(-1, 1, 1, 1)
    return (1 - share) * x_t + share * x_t_other


# %% mistake noised_twice
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """The mix is noised once more; x_t and x_t' have the noise of step t already.

    The picture is dimmed by √ᾱ_t twice: it is at t what it should be much later.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    share = share.view(-1, 1, 1, 1)
    return q_sample(schedule, (1 - share) * x_t + share * x_t_other, t, eps)


# %% mistake own_noise
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """The noise is drawn anew (`randn_like`), not taken from ε and ε'.

    Then it is another one for every λ, and neighbours in a row of pictures have little in common
    (huggingface/diffusers, pull request 3782). Here the caller draws it.
    """
    x_t = q_sample(schedule, x_0, t, torch.randn_like(eps))
    x_t_other = q_sample(schedule, x_0_other, t, torch.randn_like(eps))
    share = share.view(-1, 1, 1, 1)
    return (1 - share) * x_t + share * x_t_other


# %% mistake clamped
def interpolate_at(schedule, x_0, x_0_other, t, share, eps, eps_other):
    """x̄_t is clamped to [-1, 1]; only finished pictures stay in there.

    Clamping cuts the noise off on one side of the black background.
    """
    x_t = q_sample(schedule, x_0, t, eps)
    x_t_other = q_sample(schedule, x_0_other, t, eps_other)
    share = share.view(-1, 1, 1, 1)
    return ((1 - share) * x_t + share * x_t_other).clamp(-1, 1)


# %% check
from ddpm_tutor import SamplingOptions, draw, last, linear_schedule, load_checkpoint
from ddpm_tutor import interpolate_at as right
from ddpm_tutor.grading.tools import Probe, a_digit, copied, noise_of

results = ("x̄_t",)
linear_in = {
    "x_0": "(1 - λ) √ᾱ_t",
    "x_0_other": "λ √ᾱ_t",
    "eps": "(1 - λ) √(1 - ᾱ_t)",
    "eps_other": "λ √(1 - ᾱ_t)",
}


def inputs(draw):
    x_0, x_0_other, t, share = draw.images(), draw.images(), draw.t(), draw.uniform()
    return {
        "schedule": draw.schedule(), "x_0": x_0, "x_0_other": x_0_other, "t": t, "share": share,
        "eps": draw.noise(), "eps_other": draw.noise(),
    }  # fmt: skip


def probe(interpolate_at, inputs):
    """What both pictures and both noises are multiplied by, which λ has a part in."""
    result = interpolate_at(*(copied(value) for value in inputs.values()))
    schedule, t, share = inputs["schedule"], inputs["t"], inputs["share"]
    T = f" of {schedule.T}" if schedule.T < 1000 else ""
    at = [f"t = {int(i)}{T}, λ = {v:.3f}" for i, v in zip(t, share.tolist(), strict=True)]
    given = {name: inputs[name] for name in linear_in}
    numbers = {"ᾱ_t": schedule.alpha_bar[t], "ᾱ_{t-1}": schedule.alpha_bar[t - 1], "λ": share}
    return Probe(result, given, at, numbers)


def picture(interpolate_at):
    """A 3 and a 5, mixed at t = 400 with λ = 0, ½ and 1, and what is drawn from there."""
    model, schedule, one, other = load_checkpoint().model, linear_schedule(), a_digit(3), a_digit()
    three = [x.expand(3, -1, -1, -1) for x in (one, other, noise_of(one))]
    t, share = torch.full((3,), 400), torch.tensor([0, 0.5, 1])
    x_t = interpolate_at(schedule, *three[:2], t, share, three[2], three[2])
    twenty = SamplingOptions(steps=20)
    back = draw(model, schedule, None, twenty, t_start=400, x_t=x_t, seed=0, indices=[0, 0, 0])
    return torch.cat([x_t, last(back)])
