# %% [markdown]
# # Exercise 22 · The known part
#
# **Lesson:** 9
#
# **Paper:** Lugmayr et al. 2022 (RePaint), Eq. 8

# %% start
from collections.abc import Callable

import torch
from torch import Tensor

from ddpm_tutor import Schedule, q_sample


def inpainting_step(
    schedule: Schedule,
    take: Callable[[Tensor], Tensor],
    x_t: Tensor,
    t: Tensor,
    t_prev: Tensor,
    x_0: Tensor,
    known: Tensor,
    eps: Tensor,
) -> Tensor:
    """A step from x_t to x_{t_prev}, when a part of the picture is known (RePaint, Eq. 8).

    Where the picture is known, x_{t_prev} is that picture, as noisy as all must be at t_prev
    (Eq. 4). Elsewhere it is what the plain step gives:

        known:      √ᾱ_{t_prev} x_0 + √(1 - ᾱ_{t_prev}) ε
        elsewhere:  take(x_t)

    schedule    has beta, alpha and alpha_bar, each (T + 1,) in float64; alpha_bar[0] is 1
    take        take(x_t) is the plain step of Algorithm 2, from x_t to x_{t_prev}
    x_t         (B, 1, H, W)
    t, t_prev   (B,) whole numbers, where the step begins and where it leads: t_prev in 0..t - 1
    x_0         (B, 1, H, W), the picture; what it has outside the known part does not matter
    known       (B, 1, H, W), True where the picture is known, False elsewhere
    eps         (B, 1, H, W), ε, the noise for the known part
    returns     (B, 1, H, W), x_{t_prev}

    `q_sample(schedule, x_0, t, eps)` of exercise 2 is at hand.
    """
    ...


# %% [markdown] hint
# Take the plain step for the whole picture, and make the known picture as noisy as its result is.
# Then choose, pixel by pixel.


# %% hint
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    x_prev = take(x_t)
    known_prev = ...
    ...


# %% [markdown] hint
# `torch.where(known, a, b)` has a where known is True, and b where it is False. And which t has
# the picture that comes back?


# %% hint
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    x_prev = take(x_t)
    known_prev = q_sample(schedule, x_0, ..., eps)
    return torch.where(known, known_prev, x_prev)


# %% solution
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    x_prev = take(x_t)
    known_prev = q_sample(schedule, x_0, t_prev, eps)
    return torch.where(known, known_prev, x_prev)


# %% mistake noised_to_t
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The known part gets the noise of t, where the step began; it has led to t_prev.

    That part is a step too noisy for what the network is told, and at the end it is not clean. So
    it stands in the paper's Algorithm 1, and so it was in published code (huggingface/diffusers,
    issue 1581). Where steps are long, it shows.
    """
    x_prev = take(x_t)
    return torch.where(known, q_sample(schedule, x_0, t, eps), x_prev)


# %% mistake not_noised
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The known part is put in clean; it is to be as noisy as all must be at t_prev.

    The network has learned from pictures that are noisy all over, and this is none of those. With
    digits it goes well all the same. Do not count on it.
    """
    return torch.where(known, x_0, take(x_t))


# %% mistake mask_inverted
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The mask is the wrong way round: known is True where the picture counts.

    What is known is drawn anew, and what is not known is put in.
    """
    known_prev = q_sample(schedule, x_0, t_prev, eps)
    return torch.where(known, take(x_t), known_prev)


# %% mistake before_the_step
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The known part is put into x_t, before the step; it belongs into the result.

    As it is, the step draws over it: at the end the known part is only nearly what it was.
    """
    return take(torch.where(known, q_sample(schedule, x_0, t, eps), x_t))


# %% mistake not_at_the_end
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """In the last step, to t_prev = 0, the known part is not put in.

    It then is what the network makes of it: nearly the picture, but less sharp. So it was in
    published code (lucidrains/denoising-diffusion-pytorch, pull request 322).
    """
    later = (t_prev > 0).view(-1, 1, 1, 1)
    return torch.where(known & later, q_sample(schedule, x_0, t_prev, eps), take(x_t))


# %% mistake no_root
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """A root is missing: the noise is multiplied by 1 - ᾱ_{t_prev}, the variance, not by its root.

    The known part has less noise than the network is told. The paper's Algorithm 1 has this, too
    (huggingface/diffusers, issue 1581).
    """
    alpha_bar = schedule.alpha_bar[t_prev].to(x_t.dtype).view(-1, 1, 1, 1)
    return torch.where(known, alpha_bar.sqrt() * x_0 + (1 - alpha_bar) * eps, take(x_t))


# %% mistake one_step
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The known part gets the noise of t - 1; it is that of t_prev, often many steps earlier.

    Both are the same as long as no step is skipped.
    """
    return torch.where(known, q_sample(schedule, x_0, t - 1, eps), take(x_t))


# %% mistake no_step
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The plain step is not taken: outside the known part stands x_t.

    There the noise stays as it is, to the end.
    """
    return torch.where(known, q_sample(schedule, x_0, t_prev, eps), x_t)


# %% mistake added
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The known part is added to what the step gives; it is to take its place.

    The step has drawn there, too: the factor 1 - known is missing.
    """
    return take(x_t) + known * q_sample(schedule, x_0, t_prev, eps)


# %% mistake only_the_known
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """Outside the known part there is 0: what the step gives belongs there."""
    return known * q_sample(schedule, x_0, t_prev, eps)


# %% mistake all_noised
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The mix of x_0 and the step's result is noised as a whole; the latter has its noise already.

    Only x_0 is clean. Noise it first, then choose.
    """
    return q_sample(schedule, torch.where(known, x_0, take(x_t)), t_prev, eps)


# %% mistake all_known
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The mask is not used: this is the noised picture everywhere, with what is not known."""
    return q_sample(schedule, x_0, t_prev, eps)


# %% mistake nothing_known
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The known part is not put in: this is the plain step. It knows nothing of x_0."""
    return take(x_t)


# %% mistake own_noise
def inpainting_step(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The noise is drawn anew (`randn_like`), not taken from ε. Here the caller draws it."""
    known_prev = q_sample(schedule, x_0, t_prev, torch.randn_like(x_0))
    return torch.where(known, known_prev, take(x_t))


# %% check
from ddpm_tutor import SamplingOptions, draw, keep_known, last, linear_schedule, load_checkpoint
from ddpm_tutor.grading.tools import Draw, Probe, a_digit, copied, noise_of, schedule_at

results = ("x_{t_prev}",)
# what is multiplied by 0 in the right one is named nowhere, unless somebody has it in
linear_in = {
    "x_0, where it is known,": "√ᾱ_{t_prev}",
    "eps, where x_0 is known,": "√(1 - ᾱ_{t_prev})",
    "take(x_t), where x_0 is not known,": "",  # 1, as it is
    "take(x_t), where x_0 is known,": "",
    "x_0, where it is not known,": "",
    "eps, where x_0 is not known,": "",
    "x_t, where x_0 is known,": "",
    "x_t, where x_0 is not known,": "",
}


def right(schedule, take, x_t, t, t_prev, x_0, known, eps):
    """The package's own is given what the step has led to."""
    return keep_known(schedule, take(x_t), t_prev, x_0, known, eps)


written_out = (right, keep_known)


def inputs(draw):
    schedule, x_t, t, x_0 = draw.schedule(), draw.noise(), draw.t(), draw.images()
    of_t = (t / schedule.T).to(x_t.dtype).view(-1, 1, 1, 1)

    def take(x_t):
        """No step of Algorithm 2, but it depends on t and x_t, each pixel on other ones as well."""
        return 0.8 * x_t - 0.5 * x_t.roll(1, 3).sin() + of_t

    return {
        "schedule": schedule, "take": take, "x_t": x_t, "t": t,
        "t_prev": (draw.uniform() * t).long().clamp(max=t - 1), "x_0": x_0,
        "known": draw.images() > 0, "eps": draw.noise(),
    }  # fmt: skip


def probe(inpainting_step, inputs):
    """Noise for what the step gives; each input apart where x_0 is known, and where it is not."""
    stepped, known = torch.randn_like(inputs["x_t"]), inputs["known"]
    given = {name: copied(value) for name, value in inputs.items()} | {"take": lambda x: stepped}
    result = inpainting_step(*given.values())
    tensors = {"take(x_t)": stepped} | {name: inputs[name] for name in ("x_0", "eps", "x_t")}
    parts = {}
    for name in linear_in:
        tensor, where = tensors[name.split(",")[0]], known if "not" not in name else ~known
        parts[name] = tensor * where
    schedule, t, t_prev = inputs["schedule"], inputs["t"], inputs["t_prev"]
    at = [f"t = {int(i)}, t_prev = {int(j)}" for i, j in zip(t, t_prev, strict=True)]
    return Probe(result, parts, at, schedule_at(schedule, t, t_prev))


def explain(inpainting_step):
    """Which picture the plain step is given, and how often it is taken."""
    of, asked = inputs(Draw(1, batch=4)), []
    plain = of["take"]

    def take(x):
        asked.append(x.clone())
        return plain(x)

    inpainting_step(*(copied(value) for value in (of | {"take": take}).values()))
    if not asked:
        return "take is never called: no step is taken."
    if len(asked) > 1:
        return f"take is called {len(asked)} times: one step belongs there."
    if asked[0].shape != of["x_t"].shape or not torch.equal(asked[0], of["x_t"]):
        known = next((n for n in ("x_0", "eps") if torch.equal(asked[0], of[n])), "another picture")
        return f"take is given {known}; x_t belongs there, as it is."
    return ""


def picture(inpainting_step):
    """The lower half of a 3, a 5 and a 7 is known; the rest is drawn in 20 steps."""
    model, schedule = load_checkpoint().model, linear_schedule()
    x_0 = torch.cat([a_digit(3), a_digit(5), a_digit(7)])
    known = (torch.arange(32) >= 16).view(1, 1, 32, 1).expand_as(x_0)

    def step(take, x_t, t, t_prev):
        now, before = (torch.full((len(x_t),), time) for time in (t, t_prev))
        return inpainting_step(
            schedule, take, x_t, now, before, x_0, known, noise_of(x_0, seed=t)
        ).to(x_t)

    twenty = SamplingOptions(steps=20)
    states = draw(model, schedule, None, twenty, seed=0, indices=range(3), hook=step)
    return last(states)
