# %% [markdown]
# # Exercise 10 · The sampler without noise
#
# **Lesson:** 4
#
# **Part:** 11.7 c
#
# **Paper:** Algorithm 2 with z = 0 at every t

# %% start
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ddpm_tutor import Schedule, p_step


def sample_without_noise(
    model: Callable[[Tensor, Tensor], Tensor], schedule: Schedule, x_T: Tensor
) -> Iterator[tuple[int, Tensor]]:
    """Algorithm 2 with z = 0 in every step: yields (t, x_t) for t = T, T - 1, ..., 1, 0.

        x_{t-1} = (x_t - β_t / √(1 - ᾱ_t) · ε_θ(x_t, t)) / √α_t

    model      model(x_t, t) is the predicted noise; here t is a tensor (B,)
    schedule   `schedule.T` is T
    x_T        (B, 1, H, W) noise, to start from: the start stays random
    yields     T + 1 pairs of a whole number t and x_t (B, 1, H, W); the last is (0, x_0)

    `p_step(schedule, x_t, t, eps, z)` of exercise 8 is at hand.
    """
    ...


# %% [markdown] hint
# It is the loop of exercise 9. Only the noise that goes into `p_step` is another.


# %% hint
def sample_without_noise(model, schedule, x_T):
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        ...
    yield 0, x_t


# %% [markdown] hint
# t is a tensor, (B,), on the device of x_T. No noise is a tensor of zeros, shaped like x_t.


# %% hint
def sample_without_noise(model, schedule, x_T):
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), ...)
    yield 0, x_t


# %% solution
def sample_without_noise(model, schedule, x_T):
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake start_from_zeros
def sample_without_noise(model, schedule, x_T):
    """The start is without noise: that is line 1. Here x_T stays, and z is 0 in line 3.

    From zeros all pictures of a label would be the same.
    """
    x_t = torch.zeros_like(x_T)
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake no_eps
def sample_without_noise(model, schedule, x_T):
    """The predicted noise is left out: that is what has to be taken off x_t. z is the other one.

    Nothing is denoised; x_T only grows, by 1/√ᾱ_T = 157.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, torch.zeros_like(x_t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake ones
def sample_without_noise(model, schedule, x_T):
    """z is 1 everywhere, not 0.

    Each step then makes the picture brighter by σ_t.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.ones_like(x_t))
    yield 0, x_t


# %% mistake eps_again
def sample_without_noise(model, schedule, x_T):
    """The predicted noise is put back in as z.

    What the step takes out, this puts back in.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        eps = model(x_t, t)
        x_t = p_step(schedule, x_t, t, eps, eps)
    yield 0, x_t


# %% mistake always_x_T
def sample_without_noise(model, schedule, x_T):
    """The network sees x_T in every step; it has to see the present x_t."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_T, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake stops_early
def sample_without_noise(model, schedule, x_T):
    """The loop ends at t = 2: `range(T, 1, -1)` leaves out 1."""
    x_t = x_T
    for i in range(schedule.T, 1, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake no_end
def sample_without_noise(model, schedule, x_T):
    """The last pair is missing: behind the loop, (0, x_0) is to be yielded too."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))


# %% mistake noise_left_in
def sample_without_noise(model, schedule, x_T):
    """Noise is still drawn (`randn_like`) and goes into p_step; here z is 0 at every t.

    This is Algorithm 2 as it is. A sampler that should have been without noise had it for a while
    in lucidrains/denoising-diffusion-pytorch, pull request 139.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.randn_like(x_t))
    yield 0, x_t


# %% mistake ddim
def sample_without_noise(model, schedule, x_T):
    """This is DDIM; what is asked for is Algorithm 2 with z = 0, which is another step.

    DDIM has no noise either, but it takes out more of ε in a step: it keeps the spread of x_t
    right. Here it shrinks, and that is what there is to see.
    """
    from ddpm_tutor import ddim_step

    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = ddim_step(schedule, x_t, t, t - 1, model(x_t, t))
    yield 0, x_t


# %% mistake swapped
def sample_without_noise(model, schedule, x_T):
    """z and ε are swapped: p_step takes ε fourth and z fifth.

    The predicted noise is put in, times σ_t, and nothing is taken out.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, torch.zeros_like(x_t), model(x_t, t))
    yield 0, x_t


# %% mistake not_kept
def sample_without_noise(model, schedule, x_T):
    """What p_step returns is thrown away: it has to become the next x_t, `x_t = p_step(...)`.

    As it is, x_T is yielded at every t.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake subtracted
def sample_without_noise(model, schedule, x_T):
    """All of ε is subtracted in every step; a step takes out a small part of it, as p_step does.

    ε_θ is the noise of all t steps together.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = x_t - model(x_t, t)
    yield 0, x_t


# %% mistake shifted
def sample_without_noise(model, schedule, x_T):
    """Each x_{t-1} is yielded as x_t: yield before the step, or with t - 1 behind it.

    The pictures are right, but each stands under the t before.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
        yield i, x_t
    yield 0, x_t


# %% mistake no_first
def sample_without_noise(model, schedule, x_T):
    """The first pair is missing: (T, x_T), before any step, is to be yielded too."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
        yield i - 1, x_t


# %% mistake told_one_less
def sample_without_noise(model, schedule, x_T):
    """The network is told t - 1; it is told the t of the x_t that it sees."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t - 1), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake starts_late
def sample_without_noise(model, schedule, x_T):
    """The loop starts at T - 1: the step at t = T is never taken."""
    x_t = x_T
    yield schedule.T, x_t
    for i in range(schedule.T - 1, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake steps_from_x_T
def sample_without_noise(model, schedule, x_T):
    """Every step starts from x_T; it has to start from the x_t that the step before gave."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_T, t, model(x_t, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake clamped
def sample_without_noise(model, schedule, x_T):
    """x_t is clamped to [-1, 1] after each step; only finished pictures stay in there."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t)).clamp(-1, 1)
    yield 0, x_t


# %% mistake from_T_minus_1
def sample_without_noise(model, schedule, x_T):
    """The loop starts at T - 1: `range(T, 0, -1)` is T, ..., 1, and T has a pair and a step too."""
    x_t = x_T
    for i in range(schedule.T - 1, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake after_the_step
def sample_without_noise(model, schedule, x_T):
    """(t, x_t) is yielded after the step, when x_t is x_{t-1} already; and (0, x_0) never is."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
        yield i, x_t


# %% check
from ddpm_tutor import linear_schedule, load_checkpoint, respaced
from ddpm_tutor.grading.tools import (
    Draw,
    Probe,
    asked_at,
    moments_of,
    noise_of,
    schedule_at,
    steps_in_words,
)
from ddpm_tutor import ancestral_sampling as whole_loop

written_out = (whole_loop,)
# in the first step, from x_T to x_{T-1}
linear_in = {"x_t": "1 / √α_t", "the predicted noise": "-β_t / (√(1 - ᾱ_t) √α_t)"}


def right(model, schedule, x_T):
    """The whole loop, with noises that are zero."""
    z = dict.fromkeys(range(1, schedule.T + 1), torch.zeros_like(x_T))
    yield from whole_loop(model, p_step, schedule, x_T, z)


def inputs(draw):
    draw.T = 3 if draw.device == "meta" else 6
    return {"model": draw.network(), "schedule": draw.schedule(), "x_T": draw.noise()}


def observe(sample_without_noise, model, schedule, x_T):
    """The moments that are yielded, the last one first, and how many steps were taken."""
    with torch.no_grad():
        model, asked = asked_at(model)
        seen = moments_of(sample_without_noise(model, schedule, x_T), schedule.T)
    return seen | {"number of t that the network is asked at": len(set(asked))}


def explain(sample_without_noise):
    """The t that are yielded, and those of the steps."""
    given = inputs(Draw(1, batch=2))
    given["model"], asked = asked_at(given["model"])
    with torch.no_grad():
        return steps_in_words(sample_without_noise(**given), asked, given["schedule"].T)


def probe(sample_without_noise, inputs):
    """The first step, with noise for what the network predicts."""
    x_T, schedule = inputs["x_T"], inputs["schedule"]
    eps = torch.randn_like(x_T)
    moments = sample_without_noise(**inputs | {"model": lambda x_t, t: eps})
    x_t = next(x_t for t, x_t in moments if t == schedule.T - 1)
    T = torch.full((len(x_T),), schedule.T)
    given = {"x_t": x_T, "the predicted noise": eps}
    return Probe(x_t, given, [f"t = {schedule.T}"] * len(x_T), schedule_at(schedule, T))


def picture(sample_without_noise):
    """Three digits in 40 steps: this is what comes of it, even if it is right."""
    model = load_checkpoint().model
    short, times = respaced(linear_schedule(), 40)
    x_T = noise_of(torch.empty(3, 1, 32, 32))
    *_, (_, x_0) = sample_without_noise(lambda x, t: model(x, times[t]), short, x_T)
    return x_0
