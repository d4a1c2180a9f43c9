# %% [markdown]
# # Exercise 23 · The cosine schedule
#
# **Lesson:** 10
#
# **Paper:** Nichol and Dhariwal 2021, Eq. 17

# %% start
import math

import torch
from torch import Tensor


def cosine_schedule(T: int) -> tuple[Tensor, Tensor]:
    """β_t and ᾱ_t for t = 0..T, where ᾱ_t falls along a cosine (Nichol and Dhariwal 2021, Eq. 17).

        f(t) = cos((t / T + s) / (1 + s) · π / 2)²         s = 0.008
        β_t  = 1 - f(t) / f(t - 1), or 0.999 where that is more; β_0 = 0
        ᾱ_t  = (1 - β_1) (1 - β_2) ... (1 - β_t);                ᾱ_0 = 1

    ᾱ_t is f(t) / f(0) then, but for the last: f(T) is 0, so that β_T would be 1. Nothing of x_0
    would be left in x_T, and Eq. 11 and 15 would divide by zero. Therefore no β is above 0.999.

    T          how many steps, 1 or more
    returns    beta (T + 1,);  alpha_bar (T + 1,);  both in float64, t = 0 first
    """
    ...


# %% [markdown] hint
# First f, for all t from 0 to T at once: that makes T + 1 numbers, (T + 1,). In float64, as
# 1 - f(t) / f(t - 1) is a small difference.


# %% hint
def cosine_schedule(T):
    t = torch.arange(T + 1, dtype=torch.float64)
    f = ...
    ...


# %% [markdown] hint
# `f[1:]` and `f[:-1]` are f(t) and f(t - 1), for t = 1..T.


# %% hint
def cosine_schedule(T):
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = ...
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    ...


# %% [markdown] hint
# The largest β is cut to 0.999, and ᾱ is made from what is left.


# %% hint
def cosine_schedule(T):
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, ...


# %% solution
def cosine_schedule(T):
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake s_ten_times
def cosine_schedule(T):
    """s is 0.08, and it has to be 0.008: a zero is missing.

    The first steps add up to eight times the noise. A well-known textbook had this slip in print
    (probml/pml2-book #489).
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.08) / 1.08 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake no_s
def cosine_schedule(T):
    """s is missing, or 0: it is 0.008.

    A cosine begins flat. Without s the first noise is far less than the step between two of 256
    shades, so that there is nothing for a network to see.
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos(t / T * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake not_squared
def cosine_schedule(T):
    """The cosine is not squared: f(t) = cos(...)².

    Without the square ᾱ_t falls later, and there is too little noise at every t between 0 and T. It
    was missing in a widely read article, too (lilianweng/lilianweng.github.io #9).
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2)
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake not_divided
def cosine_schedule(T):
    """The division by 1 + s is missing: the angle goes beyond π / 2, and f rises again.

    At the end f(t) is not 0, and at the last steps β_t may be negative: the variance of what?
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake not_capped
def cosine_schedule(T):
    """The largest β is not cut to 0.999: β_T is 1, and ᾱ_T is 0.

    Eq. 15 divides by √ᾱ_T: the first guess of x_0 is infinite, or no number. Why 0.999 is a fair
    question, too: with it that guess is multiplied by 20,000 (openai/guided-diffusion #42).
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = 1 - f[1:] / f[:-1]
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake only_beta_capped
def cosine_schedule(T):
    """β is cut to 0.999, and ᾱ is not made from it: ᾱ_T is still f(T) / f(0), which is 0.

    Beside each other they make no schedule: ᾱ_t is the product of all 1 - β. MONAI computes it anew
    from the β that are cut since Project-MONAI/MONAI #8427.
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    return torch.cat([torch.zeros_like(f[:1]), beta]), f / f[0]


# %% mistake not_normalised
def cosine_schedule(T):
    """ᾱ_t is f(t) itself: it is f(t) / f(0), so that ᾱ_0 is 1.

    The product of all 1 - β needs no such care.
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, f[0] * (1 - beta).cumprod(0)


# %% mistake one_late
def cosine_schedule(T):
    """All is one step late: f(t - 1) stands where f(t) belongs, so that β_1 is 0 and ᾱ_1 is 1.

    At t = 1 there is then no noise, and Eq. 7 and 11 divide by zero. So it came to pictures full of
    NaN (Project-MONAI/GenerativeModels #489).
    """
    t = torch.arange(T + 1, dtype=torch.float64) - 1
    f = torch.cos((t.clamp(min=0) / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake over_one_more
def cosine_schedule(T):
    """t is divided by T + 1: there are T + 1 numbers, but the last is t = T, and T / T is 1.

    There is too little noise at every t. Much code has `linspace(0, T + 1, T + 1) / (T + 1)`; there
    it is right, since the last number is T + 1. But people stop short at it (jannerm/diffuser #68,
    lucidrains/denoising-diffusion-pytorch #19).
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / (T + 1) + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake difference
def cosine_schedule(T):
    """This is β_t = ᾱ_{t-1} - ᾱ_t, the difference; it is 1 less the ratio ᾱ_t / ᾱ_{t-1}.

    β_t is a share of what is still there at t - 1. The two are the same at the start only.
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = ((f[:-1] - f[1:]) / f[0]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake beta_is_one_minus_f
def cosine_schedule(T):
    """This is β_t = 1 - f(t): that is 1 - ᾱ_t, the noise of all t steps together.

    Each step would add it anew, and after 200 of 1,000 steps nothing would be left.
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[0]).clamp(max=0.999)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


# %% mistake no_zero
def cosine_schedule(T):
    """t = 0 is missing: the two are (T,), t = 1 first. Then β_t would be `beta[t - 1]`.

    Here as in all of this course `beta[t]` is β_t, with β_0 = 0 and ᾱ_0 = 1.
    """
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2
    beta = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    return beta, (1 - beta).cumprod(0)


# %% check
from itertools import product

from ddpm_tutor import cosine_schedule as of_package
from ddpm_tutor.grading.tools import a_digit, named, noise_of

results = ("beta", "alpha_bar")
written_out = (of_package,)
shapes = False  # nothing comes in that would be on a device
STEPS = {1: 1000, 2: 2, 3: 50, 4: 10, 5: 4000}  # how many, by the seed of a draw
TRIED = (2, 10, 50, 1000)  # T for which slips are looked for
# what people take for s, the angle, the power, t / T and the cap; what is right comes first
SHIFTS = (
    ("", 0.008),
    *((f"the shift s is {s:g}, where 0.008 belongs", s) for s in (0.08, 0.8, 8e-4, 5e-3, 1e-2)),
    ("the shift s = 0.008 is missing", 0.0),
)
DIVISORS = (
    ("", lambda s: 1 + s),
    ("(t / T + s) is not divided by 1 + s", lambda s: 1),
    ("it is divided by 1.008, which is not 1 + s then", lambda s: 1.008),
)
ANGLES = (("", math.pi / 2), ("the angle goes to π, where it is π / 2", math.pi),
          ("the angle goes to π / 4, where it is π / 2", math.pi / 4),
    ("the angle goes to 2π, where it is π / 2", 2 * math.pi),
          ("the angle is taken in degrees, 90 for π / 2", 90.0))  # fmt: skip
POWERS = (("", 2), ("the cosine is not squared", 1), ("the square is squared once more", 4))
SHARES = (("", lambda t, T: t / T),
          ("t is divided by T + 1", lambda t, T: t / (T + 1)),
          ("t goes up to T + 1, where it is T", lambda t, T: t * (T + 1) / T / T),
    ("t is divided by T - 1", lambda t, T: t / (T - 1)),
          ("all is one step late", lambda t, T: (t - 1).clamp(min=0) / T),
          ("t = 1 stands where t = 0 belongs", lambda t, T: (t + 1) / T))  # fmt: skip
CAPS = (
    ("", 0.999),
    ("the largest β is not cut to 0.999", 1.0),
    *(
        (f"the largest β is cut to {cap:g}, where 0.999 belongs", cap)
        for cap in (0.9999, 0.99, 0.02)
    ),
)


def right(T):
    schedule = of_package(T)
    return schedule.beta, schedule.alpha_bar


def observe(cosine_schedule, T):
    """Both, and their logarithms, in which the first and the last ᾱ count as much as the others."""
    beta, alpha_bar = named(cosine_schedule(T), results).values()
    exact = alpha_bar.double()
    logs = {"log(alpha_bar)": exact.log(), "log(1 - alpha_bar[1:])": (1 - exact[1:]).log()}
    return {"beta": beta, "alpha_bar": alpha_bar} | logs


def inputs(draw):
    draw.T = STEPS.get(draw.seed, draw.T)  # told beside the numbers
    return {"T": draw.T}


def made(T, s, divisor, angle, power, share, cap):
    """The schedule, with what some people put in; alpha_bar is the product of 1 - beta."""
    t = torch.arange(T + 1, dtype=torch.float64)
    f = torch.cos((share(t, T) + s) / divisor(s) * angle) ** power
    beta = (1 - f[1:] / f[:-1]).clamp(max=cap)
    beta = torch.cat([torch.zeros_like(f[:1]), beta])
    return beta, (1 - beta).cumprod(0)


def explain(cosine_schedule):
    """Which slips lead to these numbers, several at once; else what is wrong with them."""
    mine = {T: [v.detach().double() for v in cosine_schedule(T)] for T in TRIED}
    beta, alpha_bar = mine[1000]
    found = slips_in({T: both[0] for T, both in mine.items()})
    if found is not None:
        says = "; and ".join(one for one in [*found, of_alpha_bar(beta, alpha_bar)] if one)
        return f"{says[:1].upper()}{says[1:]}." if says else ""
    right_beta, right_alpha_bar = right(1000)
    if nearly(beta, right_alpha_bar):
        return "This is ᾱ in the place of β: the first result is β, the second ᾱ."
    if nearly(beta[1:-1].clamp(max=0.999), (1 - right_beta[1:-1]).clamp(max=0.999)):
        return "This is f(t) / f(t - 1) in the place of β: it is 1 less that, as α_t is 1 - β_t."
    if beta[0].abs() > 1e-9:
        return f"β_0 is {beta[0].item():.4g}, and it has to be 0: at t = 0 nothing is added yet."
    if nearly(alpha_bar, right_alpha_bar):
        return "ᾱ is right, but β is not: β_t is 1 - ᾱ_t / ᾱ_{t-1}."
    if (beta < 0).any() or (beta > 1).any():
        t = int(((beta < 0) | (beta > 1)).nonzero()[0])
        return f"At t = {t} your β is {beta[t].item():.4g}: it has to be from 0 to 1."
    says = of_alpha_bar(beta, alpha_bar)
    return f"The values of β are none that a known slip leads to; and {says}." if says else ""


def slips_in(beta):
    """The slips that lead to these β, by T, as few as will do; None where none are known to."""
    choices = product(SHIFTS, DIVISORS, ANGLES, POWERS, SHARES, CAPS)
    for slips in sorted(choices, key=lambda one: sum(words != "" for words, _ in one)):
        words, numbers = zip(*slips, strict=True)
        if all(nearly(beta[T], made(T, *numbers)[0]) for T in TRIED):
            return words
    return None


def of_alpha_bar(beta, alpha_bar):
    """What ᾱ is, where it is not the product of 1 - β; or ""."""
    known = {
        "": (1 - beta).cumprod(0),
        "what stands for ᾱ is 1 - β_t, where the product of all 1 - β up to t belongs": 1 - beta,
        "what stands for ᾱ is the product of β, where that of 1 - β belongs": beta.cumprod(0),
        "what stands for ᾱ is the sum of 1 - β, where the product belongs": (1 - beta).cumsum(0),
        "what stands for ᾱ is its root": (1 - beta).cumprod(0).sqrt(),
    }
    found = (says for says, values in known.items() if nearly(alpha_bar, values))
    return next(found, "what stands for ᾱ is not the product of all 1 - β up to t")


def nearly(mine, wanted):
    return mine.shape == wanted.shape and torch.allclose(mine, wanted, rtol=2e-4, atol=1e-7)


def picture(cosine_schedule):
    """A digit at t = 100, 400, 700 and 950 of 1,000."""
    beta, alpha_bar = cosine_schedule(1000)
    kept = alpha_bar[torch.tensor([100, 400, 700, 950])].view(4, 1, 1, 1)
    x_0 = a_digit().repeat(4, 1, 1, 1)
    return kept.sqrt() * x_0 + (1 - kept).sqrt() * noise_of(x_0)
