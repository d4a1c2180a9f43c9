# %% [markdown]
# # Lesson 2 · The closed form
#
# **Goal:** at the end you can jump from a clean picture to any noise level in
# one line, and say what the network will be asked to do.
#
# **You need:** lesson 1.
#
# **Paper:** §2, 3.2, 4.3 · Eq. 2, 4, 15
#
# **Time:** 15 min
#
# Training will need millions of noisy pictures, at every noise level. Walking
# there step by step takes up to 1000 steps each. There is a shortcut.

# %% [markdown]
# ## Setting up
#
# The same data and the same schedule as in lesson 1, but another digit.

# %% tags=["parameters"]
digit = 3  # which digit to look at
seed = 0  # another seed: another picture, other noise

# %%
from time import perf_counter

import torch

from ddpm_tutor import (
    linear_schedule, load_checkpoint, load_digits, normal, predict_x_0,
    q_sample, q_step, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, save_grid, say, show_curves, show_download,
    show_images, show_table, so_far, track,
)

schedule = linear_schedule()
digits = load_digits(progress=show_download)
print(digits.source)
generator = stream(seed, "lesson 2")
same = digits.of_class(digit)
five = to_unit_range(same[torch.arange(seed, seed + 5) % len(same)])
x_0 = five[:1]  # (1, 1, 32, 32)
show_images(five, f"x_0, and four others that are a {digit}")

# %% [markdown]
# ## Two steps at once
#
# Write two steps of Eq. 2 into each other:
#
#     x_2 = √α_2 (√α_1 x_0 + √β_1 ε_1) + √β_2 ε_2
#         = √(α_2 α_1) x_0  +  √(α_2 β_1) ε_1 + √β_2 ε_2
#
# The last two terms are a sum of two independent bell curves. Such a sum is a
# bell curve again, and its variance is the sum of theirs: `α_2 β_1 + β_2`.
#
# Is that something simple? Put in `β = 1 - α`:
#
#     α_2 (1 - α_1) + (1 - α_2) = 1 - α_1 α_2

# %%
alpha, beta = schedule.alpha, schedule.beta
by_steps = alpha[2] * beta[1] + beta[2]
in_one = 1 - alpha[1] * alpha[2]
print(f"two steps: {by_steps:.12f}   in one: {in_one:.12f}")

# %% [markdown]
# ## Three steps, and then all
#
# They are equal. Do it once more with a third step, and it stays true. So for
# any t, with `ᾱ_t = α_1 α_2 ... α_t`:
#
#     x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε          ε ~ N(0, I)          (4)
#
# This is the *closed form*: one ε stands for the noise of all t steps. The paper
# writes it as `q(x_t | x_0) = N(x_t; √ᾱ_t x_0, (1 - ᾱ_t) I)`.

# %%
by_steps = alpha[3] * (alpha[2] * beta[1] + beta[2]) + beta[3]
in_one = 1 - schedule.alpha_bar[3]
print(f"three steps: {by_steps:.12f}   in one: {in_one:.12f}")

noise = 0.0  # its variance after each step, by Eq. 2 alone
for t in range(1, schedule.T + 1):
    noise = alpha[t] * noise + beta[t]
in_one = 1 - schedule.alpha_bar[1000]
print(f"1000 steps:  {noise:.12f}   in one: {in_one:.12f}")

# %% [markdown]
# ## Check it on real pictures
#
# Theory is good, a check is better. We take 300 copies of the digit and walk
# each of them all 1000 steps. Then we make 300 others by one jump, and compare
# the two clouds, on the way at t = 300 and at the end.

# %%
many = x_0.expand(300, -1, -1, -1)
walked, x_t, started = {}, many, perf_counter()
for step in track(range(1, 1001), 1000, "Walking"):
    t = torch.full((300,), step)
    x_t = q_step(schedule, x_t, t, normal(many.shape, generator, "cpu"))
    if step in (300, 1000):
        walked[step] = x_t
print(f"1000 steps took {perf_counter() - started:.2f} s")

# %%
def jump(step):
    t = torch.full((300,), step)
    return q_sample(schedule, many, t, normal(many.shape, generator, "cpu"))

started = perf_counter()
jumped = {step: jump(step) for step in walked}
print(f"two jumps took {perf_counter() - started:.4f} s")

rows = []
for step in walked:
    clouds, a = (walked[step], jumped[step]), schedule.alpha_bar[step]
    means = [x.mean() for x in clouds] + [a.sqrt() * x_0.mean()]
    spreads = [x.std(dim=0).mean() for x in clouds] + [(1 - a).sqrt()]
    rows.append((step, *(f"{v:.3f}" for v in means + spreads)))
show_table("300 pictures: their mean, and the std over copies", [
    "t", "mean, walked", "jumped", "Eq. 4", "std, walked", "jumped", "Eq. 4",
], rows)

# %% [markdown]
# ## The same cloud?
#
# Mean and spread agree. Are the two clouds the same all over? How far is a walked
# picture from a jumped one, on average? And how far are two made in the same way? If
# both ways draw from one distribution, there is no difference. That difference is
# called the *energy distance*.
#
# By chance it is never exactly 0. So we jump to t = 300 five times, and measure how
# far each is from 300 steps. Then we jump to another t instead.
#
# Then press `c` to change it. Try `other = 299`, and say first whether the distance
# will stand out from chance.

# %% tags=["change"]
other = 250  # the t that we jump to in place of 300, from 1 to 1000

# %%
generator = stream(seed, "clouds")  # the same noise for each t tried
def energy(a, b):
    a, b = a.flatten(1), b.flatten(1)
    within = torch.pdist(a).mean() + torch.pdist(b).mean()
    return (2 * torch.cdist(a, b).mean() - within).item()

near = max(abs(energy(walked[300], jump(300))) for _ in range(5))
far = energy(walked[300], jump(other))
ask_choice(
    "Jump to this other t instead of 300. Does the distance stand out from chance?",
    [
        ("no, it is about as small", "Only a few steps more or less can hide in chance."),
        ("yes, but it is less than ten times as large",
         "A step changes each of 1024 pixels a little, and that adds up."),
        ("yes, it is more than ten times as large", "So many steps are seen at once."),
    ],
    answer=2 if far > 10 * near else 1 if far > 2 * near else 0,
)

# %%
found = so_far("the same cloud", f"{other}", far)
show_table("Energy distance of one jump from 300 steps",
           ["to t =", "distance"],
           [("300, the largest of 5", near), *found.items()])
say("What is left at t = 300 is chance: 300 steps and one jump make the same cloud.")

# %% [markdown]
# ## Two factors
#
# Eq. 4 multiplies the picture by one factor and the noise by another. Both are
# known beforehand, for every t.

# %%
ask_number(
    "ᾱ_500 is 0.079. By what factor is x_0 multiplied at t = 500?",
    schedule.alpha_bar[500].sqrt(),
    tolerance=0.02,
    why="That is √ᾱ_500. A little more than a quarter of the picture is left, under "
        "noise of standard deviation √(1 - ᾱ_500) = 0.96.",
    part="11.2 a",
    points=1,
)
show_curves("The factors of Eq. 4", {
    "of the picture": enumerate(schedule.alpha_bar.sqrt().tolist()),
    "of the noise": enumerate((1 - schedule.alpha_bar).sqrt().tolist()),
})

# %% [markdown]
# ## Any t, at once
#
# Now t = 0, 100, ..., 900 as in lesson 1, but by Eq. 4, in one call.

# %%
t = torch.arange(0, 1000, 100)
eps = normal((10, 1, 32, 32), generator, "cpu")
x_t = q_sample(schedule, x_0.expand(10, -1, -1, -1), t, eps)
show_images(x_t, "x_t", [f"t = {step}" for step in t.tolist()])
ask_choice(
    "Is the picture at t = 400 the one at t = 300 with more noise?",
    [
        ("no, each has noise of its own",
         "Yes. Each came from x_0 by one jump. No picture here knows of the others."),
        ("yes, after 100 more steps of noise",
         "So it was in lesson 1. Here no step is taken at all."),
        ("yes, with the same ε, only more of it",
         "Then one ε would serve for all. But normal((10, 1, 32, 32)) draws ten."),
    ],
    answer=0,
    part="11.2 b, the images",
    points=1,
)

# %% [markdown]
# ## A training batch
#
# While it trains, the network will see many noisy digits at once, a *batch*.

# %%
ask_choice(
    "A batch has 32 pictures. How should t be chosen for them?",
    [
        ("one t for the whole batch, drawn anew for each batch",
         "Then each step of training would see one noise level only, and its loss would "
         "jump with t."),
        ("a t of its own for each picture, drawn from 1 to T",
         "Yes. Any t is equally likely, so one batch holds low and high noise levels. "
         "Eq. 4 makes them all in one go."),
        ("t = 1 for the first picture, t = 2 for the second, and so on",
         "Then the noise levels above 32 would never be trained."),
    ],
    answer=1,
    part="11.2 c, d",
    points=1,
)

# %%
batch = to_unit_range(digits.train_images[:32])  # (32, 1, 32, 32)
batch_t = torch.randint(1, schedule.T + 1, (32,), generator=generator)
batch_eps = normal(batch.shape, generator, "cpu")
batch_x_t = q_sample(schedule, batch, batch_t, batch_eps)
order = batch_t.argsort()
_ = save_grid(batch_x_t[order], "lesson 2 batch", 8)  # sorted by t
few = order[:30:6]
show_images(batch_x_t[few], "five of the batch, sorted by t",
            [f"t = {t}" for t in batch_t[few].tolist()])

# %% [markdown]
# ## What is the network's task?
#
# You have `x_0`, you drew t and ε, and you computed `x_t`. The trained network is
# to go the other way: from pure noise at t = 1000 down to a digit, one step at a
# time. What does it have to see for that while it trains?

# %%
ask_choice(
    "How does a training step use one of these noisy pictures?",
    [
        ("the network walks it back to t = 0, and the result is compared with x_0",
         "That is sampling: up to 1000 calls of the network. One call is enough to learn "
         "from, as we know what is in x_t."),
        ("the network gets x_t and t, and its answer is compared with the ε we drew",
         "Yes. We drew ε ourselves, so we know the right answer for every pixel. Each noise "
         "level is learned by itself, in any order; the walk back comes later."),
        ("the network gets x_t, t and ε, and its answer is compared with x_0",
         "With ε at hand nothing is left to learn: Eq. 4 can be solved for x_0."),
        ("the network gets x_{t-1}, and its answer is compared with x_t",
         "That is the way into noise. Eq. 2 goes it, and needs no network."),
    ],
    answer=1,
    part="11.2 b, the training",
    points=1,
)

# %% [markdown]
# ## Going back, if you knew the noise
#
# So the network is given `x_t` and t, and is to name ε. Is the noise worth
# knowing? Eq. 4 has three quantities: `x_0`, `x_t` and `ε`. Any two give the third.
# Knowing the noise, you get the picture back exactly:
#
#     x_0 = (x_t - √(1 - ᾱ_t) ε) / √ᾱ_t          (15)
#
# In the paper's Eq. 15 the noise that the network predicts stands for `ε`. We try it
# with the true noise, on the noisiest picture of the batch.

# %%
worst = batch_t.argmax()
one = slice(worst, worst + 1)
x_t = batch_x_t[one]
back = predict_x_0(schedule, x_t, batch_t[one], batch_eps[one])
error = (back - batch[one]).abs().max()
print(f"t = {batch_t[worst]}, largest error {error:.6f}")
show_images(torch.cat([x_t, back]), "x_t and what comes back", ["x_t", "x_0"])

# %% [markdown]
# ## If you knew it almost
#
# A network does not know the noise. Say that what it gives is off by 5 % of the noise's
# size, the same at every t. From it follows a guess of `x_0` (Eq. 15). How far off is
# that? From black to white it is 2.
#
# Then press `c` to change the error. Try `off = 0.5`, and say first where the guess
# will be off by more than 2.

# %% tags=["change"]
off = 0.05  # the error in ε, as a share of the noise's size, from 0 to 10

# %%
noise, times = stream(seed, "almost"), (10, 300, 500, 700, 1000)
errors, pictures = [], []
for step in times:
    t = torch.tensor([step])
    eps, more = (normal(x_0.shape, noise, "cpu") for _ in range(2))
    x_t = q_sample(schedule, x_0, t, eps)
    guess = predict_x_0(schedule, x_t, t, eps + off * more)
    errors.append((guess - x_0).square().mean().sqrt().item())
    pictures.append(guess)
large = [error > 2 for error in errors]
ask_choice(
    "With this error in ε, at which t is the guess of x_0 off by more than 2?",
    [
        ("at no t at all", "The factor in Eq. 15 is √(1 - ᾱ_t) / √ᾱ_t: at t = 1000 it is 157."),
        ("at small t only", "There √(1 - ᾱ_t) is small: the noise hardly matters."),
        ("at large t only",
         "Eq. 15 multiplies the error by √(1 - ᾱ_t) / √ᾱ_t, and √ᾱ_t is tiny there."),
        ("at small and large t",
         "At t = 10 Eq. 15 leaves a twentieth of the error, or less. So it must be huge."),
    ],
    answer=2 if any(large) and not all(large) else 3 if all(large) else 0,
)

# %%
found = so_far("almost", f"off = {off}", errors)
a = schedule.alpha_bar[list(times)]
factors = ((1 - a) / a).sqrt().tolist()
show_table("How far the guess of x_0 is off (RMS)",
           ["t", "Eq. 15: times", *found],
           zip(times, factors, *found.values(), strict=True))
show_images(torch.cat(pictures), f"the guesses with off = {off}",
            [f"t = {step}" for step in times])

# %% [markdown]
# ## Why not jump to the guess?
#
# At t = 1000 that guess is off by some four times the way from black to white. Yet in
# the film of lesson 1 the guess there was a calm blur. That network is built for it:
# its layers do not give ε, but v, a mix of ε and `x_0` (Salimans and Ho 2022; lesson 3).
# From v comes
#
#     x_0 = √ᾱ_t x_t - √(1 - ᾱ_t) v
#
# Nothing is divided by `√ᾱ_t`: an error in v stays as small as it is. (A network that
# gives ε itself has to live with Eq. 15.) Could sampling jump to this guess?

# %%
ask_choice(
    "At t = 1000 the guess is a blur. Why not a digit?",
    [
        ("the network is too small: a better one would name the digit",
         "x_1000 does not tell which digit it was. No network can know it."),
        ("many digits fit x_1000 alike, and their mean has the least squared error",
         "Yes. Training punishes the square of the error, so the best answer is the mean of "
         "all digits that may be under this noise: it is nearer than nearly any one. But it is "
         "no digit. Hence the small steps back: after each, fewer digits fit."),
        ("the error is multiplied by √(1 - ᾱ_t) / √ᾱ_t, as in the step before",
         "Here it is not: there is no √ᾱ_t to divide by."),
    ],
    answer=1,
)

# %%
model = load_checkpoint().model
rows, guesses = [], []
for step in (300, 500, 1000):
    t = torch.tensor([step])
    x_t = q_sample(schedule, x_0, t, normal(x_0.shape, generator, "cpu"))
    with torch.no_grad():
        guess = predict_x_0(schedule, x_t, t, model(x_t, t))
    error = (guess - x_0).square().mean().sqrt().item()
    rows.append((f"t = {step}", error))
    guesses.append(guess)

some = to_unit_range(digits.train_images[:1000])
mean = some.mean(dim=0, keepdim=True)
rows.append(("mean", (mean - x_0).square().mean().sqrt().item()))
show_images(torch.cat([*guesses, mean]),
            "guesses of x_0, and the mean of 1,000 digits: errors (RMS)",
            [f"{name}: {error:.2f}" for name, error in rows])
others = (some - x_0).square().mean().sqrt().item()
print(f"error of one of these digits, on average: {others:.2f}")

# %% [markdown]
# ## Recap
#
# - Eq. 2, t times, is one jump: `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε` (Eq. 4).
# - It makes a training batch in one line, with a random t for each picture.
# - The network's task: given `x_t` and `t`, predict `ε`.
# - If you know the noise, you know the picture (Eq. 15). An error of 5 % in the
#   noise becomes 0.002 in the picture at t = 10, and about 8 at t = 1000.
# - From much noise the best guess of `x_0` is a mean of digits, and no digit. So
#   sampling does not jump to it, but goes back in small steps.
#
# Lesson 3 trains it.
