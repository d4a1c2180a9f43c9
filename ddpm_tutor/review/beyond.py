# %% [markdown]
# # What is made of it
#
# Questions on what the lessons do with the paper: labels and guidance, codes, scores,
# mixtures, other parameterizations.

# %% tags=["parameters"]
seed = 0  # other numbers

# %%
import math

import torch

from ddpm_tutor import (
    exact_posterior_mean, flow_target, flow_x_0, guided_eps, interpolate_at,
    linear_schedule, normal, schedule_from_beta, score_from_eps,
    straight_path, stream, v_from,
)
from ddpm_tutor.classroom.tools import ask_choice, ask_number, pick, say, show_table

schedule = linear_schedule()

def pixel(value):  # a picture of one pixel
    return torch.full((1, 1, 1, 1), float(value))

# %% [markdown]
# ## Lesson 5 · Guidance in one pixel
#
# **Lesson:** 5
#
# The network is asked twice: with the label, and without.

# %%
rng = stream(seed, "guidance in one pixel")
without = pick((-0.6, -0.2, 0.2, 0.6), rng)
with_label = round(without + pick((-0.3, -0.1, 0.1, 0.3), rng), 1)
w = pick((2.0, 3.0, 5.0), rng)
true = without + w * (with_label - without)
ask_number(
    f"In one pixel ε_θ is {without:g} without a label, and {with_label:g} with it. The guidance "
    f"scale is {w:g}. Which ε is used there?",
    true,
    tolerance=0.02,
    why=f"{without:g} + {w:g} · ({with_label - without:.1f}): from the answer without a label, "
        f"{w:g} times as far in the direction in which the label leads.",
)

class Network:  # says these two numbers
    def __call__(self, x_t, t, label):
        return torch.where(label == 10, without, with_label).view(-1, 1, 1, 1)

    def label_or_null(self, label, t):
        return torch.full_like(t, 10)

one = torch.tensor([1])
said = guided_eps(Network(), pixel(0), one, one, w).item()
say(f"Computed by guided_eps, of a network that says these two numbers: {said:.2f}.")
assert abs(said - true) < 1e-5

# %% [markdown]
# ## Lesson 5 · What guidance favours
#
# **Lesson:** 5
#
# Guidance draws as if p(x) were multiplied by p(label | x) to the power of w.

# %%
rng = stream(seed, "what guidance favours")
clear, odd = pick(((0.9, 0.6), (0.9, 0.3), (0.99, 0.66), (0.75, 0.5), (0.75, 0.6)), rng)
w = pick((2, 3, 4), rng)
times = clear / odd
ask_choice(
    f"One picture is a 4 with probability {clear}, another with {odd}. Else they are as likely. "
    f"The guidance scale is {w}. How many times as often is the first drawn?",
    [
        (f"{times ** w:.2f} times", f"Yes: ({clear} / {odd})^{w}. Whatever is no clear 4 dies "
         "out, and with it variety."),
        (f"{times:.2f} times", "So it is with a scale of 1: Bayes' rule, and no guidance."),
        (f"{times * w:.2f} times", f"The logarithm of the ratio is multiplied by {w}. So the "
         f"ratio is taken to the power of {w}."),
    ],
    answer=0,
)
count = 100_000
shares = torch.tensor([clear, odd]).double() ** w
drawn = torch.multinomial(shares, count, replacement=True, generator=rng)
first, second = torch.bincount(drawn, minlength=2).tolist()
say(f"{count:,} drawn with these weights: {first:,} of the first, {second:,} of the other.")
assert abs(first / second / times ** w - 1) < 0.1

# %% [markdown]
# ## Lesson 5 · Random numbers of one picture
#
# **Lesson:** 5
#
# A GAN takes a hundred random numbers for a picture, or so.

# %%
rng = stream(seed, "random numbers of one picture")
T, side = pick((100, 250, 500, 2000), rng), pick((8, 16, 32), rng)
pixels = side * side
ask_choice(
    f"DDPM with T = {T} draws a picture of {side} by {side} pixels. How many random numbers does "
    "that take?",
    [
        (f"{T * pixels:,}", f"Yes: x_T, and z at t = {T} down to 2. T pictures of noise, of "
         f"{pixels} numbers each."),
        (f"{pixels:,}", "That is x_T. Each step but the last adds a z of its own."),
        (f"{T:,}", f"Each z is a picture of noise: {pixels} numbers, not one."),
    ],
    answer=0,
)
taken = sum(normal((side, side), rng, "cpu").numel() for t in range(T, 0, -1))  # x_T; z to t = 2
say(f"Counted while they are drawn: {taken:,}.")
assert taken == T * pixels

# %% [markdown]
# ## Lesson 7 · A code for another weather
#
# **Lesson:** 7
#
# A code gives what has the chance p a word of -log2 p bits.

# %%
rng = stream(seed, "a code for another weather")
p = (1 / 2, 1 / 4, 1 / 8, 1 / 8)
q = pick(((1 / 8, 1 / 8, 1 / 4, 1 / 2), (1 / 4, 1 / 4, 1 / 4, 1 / 4), (0.7, 0.1, 0.1, 0.1),
          (1 / 8, 1 / 2, 1 / 4, 1 / 8)), rng)

def bits(q, p):  # a day with the weather q, by a code made for p
    return -sum(b * math.log2(a) for b, a in zip(q, p, strict=True))

kl, own = bits(q, p) - bits(q, q), bits(q, q)
listed = ", ".join(f"{share:g}" for share in q)
ask_choice(
    "A code is made for weather with the chances 0.5, 0.25, 0.125, 0.125: words of 1, 2, 3, 3 "
    f"bits. Now the chances are {listed}. How many bits a day does it waste?",
    [
        (f"{kl:.2f}", f"Yes: KL(q || p), {bits(q, p):.2f} that it takes, less {own:.2f} that the "
         "best code for q takes. Each step of the chain is paid so."),
        (f"{bits(q, p):.2f}", f"So many it takes. {own:.2f} of them no code can save."),
        ("none: each word can be read", "It can. But long words now stand for what is common."),
    ],
    answer=0,
)
days = torch.multinomial(torch.tensor(q), 100_000, replacement=True, generator=rng)
spent = torch.tensor([1.0, 2.0, 3.0, 3.0])[days].mean().item()
say(f"100,000 days, sent with this code: {spent:.3f} bits a day, and {own:.3f} by q's own.")
assert abs(spent - own - kl) < 0.02

# %% [markdown]
# ## Lesson 8 · From noise to score
#
# **Lesson:** 8
#
# The score is the gradient of log q(x_t).

# %%
rng = stream(seed, "from noise to score")
noise = pick((0.2, 0.4, 0.5, 0.8), rng)  # √(1 - ᾱ_t)
eps = pick((-1.2, -0.6, 0.4, 0.8), rng)
true = -eps / noise
ask_choice(
    f"√(1 - ᾱ_t) = {noise}, and ε_θ = {eps} in a pixel. What is the score there?",
    [
        (f"{true:g}", "Yes: -ε / √(1 - ᾱ_t). It points away from the noise, and the less noise "
         "there is, the steeper the density."),
        (f"{-true:g}", "The score points to where pictures are more likely: against the noise."),
        (f"{-eps * noise:g}", "That multiplies by √(1 - ᾱ_t). Little noise makes narrow bells, "
         "and those are steep: divide."),
    ],
    answer=0,
)
chain = schedule_from_beta([noise ** 2])
said = score_from_eps(chain, torch.tensor([1]), pixel(eps)).item()
say(f"Computed by score_from_eps: {said:.3f}.")
assert abs(said - true) < 1e-4

# %% [markdown]
# ## Lesson 8 · Two points, one guess
#
# **Lesson:** 8
#
# All data are two points, -1 and 1, equally often. An x_t is between them.

# %%
rng = stream(seed, "two points, one guess")
bar, x = pick((0.1, 0.2, 0.3), rng), pick((0.2, 0.3, 0.4, 0.5), rng)
true = math.tanh(bar ** 0.5 * x / (1 - bar))
ask_choice(
    f"ᾱ_t = {bar}, and x_t = {x}. Which guess of x_0 has the least squared error?",
    [
        (f"{true:.2f}", "Yes: the mean of both points, each times its probability given x_t. It "
         "is none of the data. A guess that must not miss by much stays between."),
        ("1.00", "1 is nearer, and right more often than not. But where it is wrong it is off by "
         "2, and that is squared."),
        (f"{x / bar ** 0.5:.2f}", "That is x_t / √ᾱ_t: it takes x_t for a picture without noise."),
    ],
    answer=0,
)
chain, points = schedule_from_beta([1 - bar]), torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
said = exact_posterior_mean(chain, pixel(x), torch.tensor([1]), points).item()
squared = [(f"{g:.2f}", f"{(1 + true) / 2 * (1 - g) ** 2 + (1 - true) / 2 * (1 + g) ** 2:.3f}")
           for g in sorted({0.0, said, 1.0})]
show_table("Mean squared error of a guess", ["guess", "error"], squared)
assert abs(said - true) < 1e-4

# %% [markdown]
# ## Lesson 9 · Two noises, mixed
#
# **Lesson:** 9
#
# Two pictures with noise of their own are mixed: (1 - λ) of one and λ of the other.

# %%
rng = stream(seed, "two noises, mixed")
share = pick((0.2, 0.3, 0.4, 0.5, 0.6, 0.7), rng)
true = math.hypot(1 - share, share)
ask_choice(
    f"λ = {share}, and both noises have the standard deviation 1. And their mix?",
    [
        (f"{true:.2f}", "Yes: √((1 - λ)² + λ²), for the variances add. There is less noise than "
         "the network expects at this t, so one noise for both is better."),
        ("1.00", "So it is if both have the same ε. Of two, one is often up where the other is "
         "down."),
        (f"{true ** 2:.2f}", "That is the variance, (1 - λ)² + λ². The deviation is its root."),
    ],
    answer=0,
)
x = torch.zeros(1, 1, 300, 300)
one, two = (normal(x.shape, rng, "cpu") for _ in range(2))
last = torch.tensor([schedule.T])  # there next to nothing but noise is in x_t
mix = interpolate_at(schedule, x, x, last, torch.tensor([share]), one, two)
say(f"90,000 pixels at t = 1000: {mix.std():.3f}.")
assert abs(mix.std().item() - true) < 0.02

# %% [markdown]
# ## Lesson 10 · v of one pixel
#
# **Lesson:** 10
#
#     v = √ᾱ_t ε - √(1 - ᾱ_t) x_0

# %%
rng = stream(seed, "v of one pixel")
picture, noise = pick(((0.8, 0.6), (0.6, 0.8), (0.96, 0.28), (0.28, 0.96)), rng)
x_0, eps = pick((-1.0, -0.5, 0.5, 1.0), rng), pick((-2.0, -1.0, 1.0, 2.0), rng)
true = picture * eps - noise * x_0
ask_number(
    f"√ᾱ_t = {picture} and √(1 - ᾱ_t) = {noise}. A pixel of x_0 is {x_0:g}, its noise {eps:g}. "
    "What is v there?",
    true,
    tolerance=0.02,
    why=f"{picture} · ({eps:g}) - {noise} · ({x_0:g}). At small t v is nearly ε, at large t nearly "
        "-x_0.",
)
chain = schedule_from_beta([noise ** 2])
said = v_from(chain, pixel(x_0), torch.tensor([1]), pixel(eps)).item()
say(f"Computed by v_from: {said:.3f}.")
assert abs(said - true) < 1e-3

# %% [markdown]
# ## Lesson 10 · Along a straight line
#
# **Lesson:** 10
#
#     x_τ = (1 - τ) x_0 + τ ε,     u = ε - x_0

# %%
rng = stream(seed, "along a straight line")
tau = pick((0.2, 0.4, 0.6, 0.8), rng)
x_0, eps = pick((-1.0, -0.5, 0.5, 1.0), rng), pick((-2.0, -1.5, 1.5, 2.0), rng)
u, x = eps - x_0, (1 - tau) * x_0 + tau * eps
ask_number(
    f"At τ = {tau} a pixel is {x:g}, and the velocity is {u:g}. Where does the line begin: what "
    "is x_0?",
    x_0,
    tolerance=0.02,
    why=f"{x:g} - {tau} · ({u:g}): back along the line, as long as it took to come. Nothing is "
        "divided, so no error grows.",
)
share = torch.tensor([tau])
on_line = straight_path(pixel(x_0), share, pixel(eps))
said = flow_x_0(on_line, share, flow_target(pixel(x_0), pixel(eps))).item()
say(f"Computed by flow_x_0: {said:.3f}.")
assert abs(said - x_0) < 1e-4
