# %% [markdown]
# # Exercise 9 · The whole sampling loop
#
# **Lesson:** 4
#
# **Part:** 11.6 d
#
# **Paper:** Algorithm 2

# %% start
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from ddpm_tutor import Schedule


def sample(
    model: Callable[[Tensor, Tensor], Tensor],
    p_step: Callable[..., Tensor],
    schedule: Schedule,
    x_T: Tensor,
    z: Mapping[int, Tensor],
) -> Iterator[tuple[int, Tensor]]:
    """Algorithm 2 as a generator: yields (t, x_t) for t = T, T - 1, ..., 1, 0.

        for t = T, ..., 1:   x_{t-1} = p_step(x_t, t, ε_θ(x_t, t), z_t)

    model      model(x_t, t) is the predicted noise; here t is a tensor (B,)
    p_step     line 4, exercise 8: p_step(schedule, x_t, t, eps, z), t (B,); no noise at t = 1
    schedule   `schedule.T` is T
    x_T        (B, 1, H, W) noise, to start from
    z          z[i] is the fresh noise of step t = i, (B, 1, H, W), for i in 1..T
    yields     T + 1 pairs of a whole number t and x_t (B, 1, H, W); the last is (0, x_0)
    """
    ...


# %% [markdown] hint
# A loop that counts down. `range(T, 0, -1)` is T, ..., 1. Yield x_t first, then step.


# %% hint
def sample(model, p_step, schedule, x_T, z):
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        ...
    yield 0, x_t


# %% [markdown] hint
# Model and step want t as a tensor, (B,), the same for all pictures, on the device of x_T.


# %% hint
def sample(model, p_step, schedule, x_T, z):
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = ...
    yield 0, x_t


# %% [markdown] hint
# In the step: the schedule, x_t, t, what the model predicts for x_t and t, and the noise of step i.


# %% hint
def sample(model, p_step, schedule, x_T, z):
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, ..., z[i])
    yield 0, x_t


# %% solution
def sample(model, p_step, schedule, x_T, z):
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_t


# %% mistake stops_early draws
def sample(model, p_step, schedule, x_T, z):
    """The loop ends at t = 2: `range(T, 1, -1)` leaves out 1, so x_1 is called x_0.

    A last trace of noise stays, of size √β_1 = 0.01: hard to see, but there.
    """
    x_t = x_T
    for i in range(schedule.T, 1, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_t


# %% mistake starts_late draws
def sample(model, p_step, schedule, x_T, z):
    """The loop starts at T - 1: the step at t = T is never taken.

    x_T is taken for x_{T-1}. They look alike, so the pictures are fine; it is a step off all the
    same.
    """
    x_t = x_T
    yield schedule.T, x_t
    for i in range(schedule.T - 1, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_t


# %% mistake from_T_minus_1_to_0
def sample(model, p_step, schedule, x_T, z):
    """t runs from T - 1 to 0, as Python counts; Algorithm 2 counts from T to 1.

    At t = 0 there is no noise to take out: the step divides by 1 - ᾱ_0 = 0.
    """
    x_t = x_T
    for i in range(schedule.T - 1, -1, -1):
        yield i + 1, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i + 1])
    yield 0, x_t


# %% mistake upwards draws
def sample(model, p_step, schedule, x_T, z):
    """t rises from 1 to T; the way back goes down, from T to 1.

    The network is told that pure noise is nearly clean, and leaves nearly all of it. A list that
    had been turned already was turned once more in jolibrain/joliGEN, pull request 525.
    """
    x_t = x_T
    for i in range(1, schedule.T + 1):
        yield schedule.T + 1 - i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_t


# %% mistake one_z draws
def sample(model, p_step, schedule, x_T, z):
    """The same noise is added in every step; each one needs fresh noise.

    The noises don't cancel out as independent ones do: their pattern adds up.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[schedule.T])
    yield 0, x_t


# %% mistake always_x_T draws
def sample(model, p_step, schedule, x_T, z):
    """The network sees x_T in every step; it has to see the present x_t.

    It goes on taking out the noise of x_T, long after that is gone.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_T, t), z[i])
    yield 0, x_t


# %% mistake always_T draws
def sample(model, p_step, schedule, x_T, z):
    """The network is told t = T in every step; it has to be told the present t.

    It takes every x_t for pure noise, so that no detail ever forms.
    """
    x_t = x_T
    last = torch.full((len(x_t),), schedule.T, device=x_t.device)
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, last), z[i])
    yield 0, x_t


# %% mistake own_noise
def sample(model, p_step, schedule, x_T, z):
    """The noise is drawn anew (`randn_like`), not taken from z.

    The picture would be a fine one, but another than the seed's. Here the caller draws the noise.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.randn_like(x_t))
    yield 0, x_t


# %% mistake no_end
def sample(model, p_step, schedule, x_T, z):
    """The last pair is missing: behind the loop, (0, x_0) is to be yielded too.

    All steps are taken, but nobody gets the finished picture.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])


# %% mistake shifted
def sample(model, p_step, schedule, x_T, z):
    """Each x_{t-1} is yielded as x_t: yield before the step, or with t - 1 behind it.

    The pictures are right, but each stands under the t before.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield i, x_t
    yield 0, x_t


# %% mistake on_the_cpu device
def sample(model, p_step, schedule, x_T, z):
    """t is made on the CPU: with x_T on a GPU this stops.

    Say `torch.full(..., device=x_T.device)`.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i) + torch.zeros(len(x_t), dtype=torch.long)
        x_t = p_step(schedule, x_t, t + 0 * x_t[:, 0, 0, 0].long(), model(x_t, t), z[i])
    yield 0, x_t


# %% mistake no_first
def sample(model, p_step, schedule, x_T, z):
    """The first pair is missing: (T, x_T), before any step, is to be yielded too.

    All steps are taken, but a film of them would lack its start.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield i - 1, x_t


# %% mistake z_of_the_step_before
def sample(model, p_step, schedule, x_T, z):
    """The noise is z[i - 1]; the step at t = i takes z[i].

    Python counts from 0, but z is counted as t is, from 1 to T: at i = 1 there is no z[0].
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i - 1])
    yield 0, x_t


# %% mistake not_kept
def sample(model, p_step, schedule, x_T, z):
    """What p_step returns is thrown away: it has to become the next x_t, `x_t = p_step(...)`.

    As it is, x_T is yielded at every t.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_t


# %% mistake eps_for_x_t
def sample(model, p_step, schedule, x_T, z):
    """The predicted noise is taken for the next picture; it goes into p_step, as eps.

    The network is asked for the noise in noise, again and again.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = model(x_t, t)
    yield 0, x_t


# %% mistake told_one_less
def sample(model, p_step, schedule, x_T, z):
    """The network is told t - 1; it is told the t of the x_t that it sees.

    It looks for a little less noise than there is; and at the end it is asked about t = 0.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t - 1), z[i])
    yield 0, x_t


# %% mistake told_the_count
def sample(model, p_step, schedule, x_T, z):
    """The network is told how many steps have been taken; it is told the t of the x_t that it sees.

    These are two numbers, also where steps are skipped: the fifth step of 20 is at t = 800. In
    Stability-AI/stablediffusion, pull request 226, the network was told the former.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, schedule.T - t), z[i])
    yield 0, x_t


# %% mistake no_noise
def sample(model, p_step, schedule, x_T, z):
    """z is not used: p_step is given zeros, and no step adds noise.

    Every seed then ends at nearly the same picture of a digit: try another one.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
    yield 0, x_t


# %% mistake noise_twice
def sample(model, p_step, schedule, x_T, z):
    """z is added once more behind p_step, which adds σ_t z itself.

    And whole, not times σ_t: every step drowns what is there.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i]) + z[i]
    yield 0, x_t


# %% mistake ends_with_x_T
def sample(model, p_step, schedule, x_T, z):
    """The last pair is (0, x_T), the noise at the start; it is to be (0, x_0).

    All steps are taken, but nobody gets the finished picture.
    """
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_T


# %% mistake steps_from_x_T
def sample(model, p_step, schedule, x_T, z):
    """Every step starts from x_T; it has to start from the x_t that the step before gave."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_T, t, model(x_t, t), z[i])
    yield 0, x_t


# %% mistake only_x_T
def sample(model, p_step, schedule, x_T, z):
    """x_T stands where x_t belongs, in the step and for the network: each starts from scratch."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_T, t, model(x_T, t), z[i])
    yield 0, x_t


# %% mistake clamped
def sample(model, p_step, schedule, x_T, z):
    """x_t is clamped to [-1, 1] after each step; only finished pictures stay in there."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i]).clamp(-1, 1)
    yield 0, x_t


# %% mistake from_T_minus_1
def sample(model, p_step, schedule, x_T, z):
    """The loop starts at T - 1: `range(T, 0, -1)` is T, ..., 1, and T has a pair and a step too."""
    x_t = x_T
    for i in range(schedule.T - 1, 0, -1):
        yield i, x_t
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
    yield 0, x_t


# %% mistake after_the_step
def sample(model, p_step, schedule, x_T, z):
    """(t, x_t) is yielded after the step, when x_t is x_{t-1} already; and (0, x_0) never is."""
    x_t = x_T
    for i in range(schedule.T, 0, -1):
        t = torch.full((len(x_t),), i, device=x_t.device)
        x_t = p_step(schedule, x_t, t, model(x_t, t), z[i])
        yield i, x_t


# %% check
from types import MappingProxyType

from ddpm_tutor import ancestral_sampling as right
from ddpm_tutor import p_step
from ddpm_tutor.grading.tools import (
    Draw,
    Probe,
    asked_at,
    moments_of,
    quick_drawing,
    refuse_other_numbers,
    schedule_at,
    steps_in_words,
)

# in the first step, from x_T to x_{T-1}
linear_in = {
    "x_t": "1 / √α_t",
    "the predicted noise": "-β_t / (√(1 - ᾱ_t) √α_t)",
    "z[t]": "√β_t",
}


def line_4(schedule, x_t, t, eps, z):
    """The package's own would do with one t for all; the learner's of exercise 8 would not."""
    refuse_other_numbers("t", t, x_t)
    return p_step(schedule, x_t, t, eps, z)


def inputs(draw):
    draw.T = 3 if draw.device == "meta" else 6
    # as in a drawing, z can only be read, and the network draws its labels, one for each picture
    z = MappingProxyType({i: draw.noise() for i in range(1, draw.T + 1)})
    network, label = draw.network(), draw.labels()

    def model(x_t, t):
        refuse_other_numbers("t", t, x_t)
        refuse_other_numbers("the label", label, x_t)
        return network(x_t, t, label)

    return {
        "model": model, "p_step": line_4, "schedule": draw.schedule(),
        "x_T": draw.noise(), "z": z,
    }  # fmt: skip


def observe(sample, model, p_step, schedule, x_T, z):
    """The moments that are yielded, the last one first, and how many steps were taken."""
    with torch.no_grad():
        model, asked = asked_at(model)
        seen = moments_of(sample(model, p_step, schedule, x_T, z), schedule.T)
    return seen | {"number of t that the network is asked at": len(set(asked))}


def explain(sample):
    """The t that are yielded, those of the steps, and which noise each step gets."""
    given, other = inputs(Draw(1, batch=2)), []
    given["model"], asked = asked_at(given["model"])

    def noted(schedule, x_t, t, eps, z):
        i = next((i for i, noise in given["z"].items() if torch.equal(noise, z)), None)
        if i not in (None, int(t[0])):
            other.append(
                f"In the step t = {int(t[0])} you give p_step z[{i}]; z[{int(t[0])}] belongs"
            )
        return line_4(schedule, x_t, t, eps, z)

    with torch.no_grad():
        says = steps_in_words(sample(**given | {"p_step": noted}), asked, given["schedule"].T)
    return says or (f"{other[0]} there." if other else "")


def probe(sample, inputs):
    """The first step, with noise for what the network predicts."""
    x_T, z, schedule = inputs["x_T"], inputs["z"], inputs["schedule"]
    eps = torch.randn_like(x_T)
    moments = sample(**inputs | {"model": lambda x_t, t: eps})
    x_t = next(x_t for t, x_t in moments if t == schedule.T - 1)
    T = torch.full((len(x_T),), schedule.T)
    given = {"x_t": x_T, "the predicted noise": eps, "z[t]": z[schedule.T]}
    return Probe(x_t, given, [f"t = {schedule.T}"] * len(x_T), schedule_at(schedule, T))


def picture(sample):
    """Three digits, drawn with this loop."""
    return quick_drawing(sample=sample)
