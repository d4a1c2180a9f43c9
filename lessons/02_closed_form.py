# %% [markdown]
# # Lesson 2 · The closed form
#
# **Goal:** at the end you can jump from a clean picture to any noise level in
# one line, and say what the network will be asked to do.
#
# **You need:** lesson 1.
#
# **Paper:** §2, 3.2 · Eq. 2, 4, 15
#
# **Time:** 15 min
#
# Training will need noisy pictures at random t, millions of them. Walking
# there step by step would take forever. There is a short cut.

# %% [markdown]
# ## Setting up
#
# The same digits as before, and the same schedule.

# %% tags=["parameters"]
digit = 3  # which digit to look at
seed = 0  # another seed: another picture, other noise

# %%
import torch

from ddpm_tutor import (
    linear_schedule, load_digits, normal, predict_x_0, q_sample, q_step,
    stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, save_grid, show, show_download, show_table, track,
)

schedule = linear_schedule()
digits = load_digits(progress=show_download)
print(digits.source)
generator = stream(seed, "lesson 2")
same = digits.of_class(digit)
x_0 = to_unit_range(same[seed % len(same)])[None]  # (1, 1, 32, 32)
show(x_0, "x_0")

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
# Is that something simple? Compare it with `1 - α_1 α_2`.

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
# This is the *closed form*. It is the most used line of the whole paper.

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
# Theory is good, a check is better. We noise 500 copies of the digit to
# t = 300, once by 300 steps and once by one jump. Then we compare the two
# clouds of 500 pictures.

# %%
many = x_0.expand(500, -1, -1, -1)
walked = many
for step in track(range(1, 301), 300, "Walking"):
    t = torch.full((500,), step)
    walked = q_step(schedule, walked, t, normal(many.shape, generator, "cpu"))

# %%
t = torch.full((500,), 300)
jumped = q_sample(schedule, many, t, normal(many.shape, generator, "cpu"))
rows = [(name, x.mean().item(), x.std(dim=0).mean().item())
        for name, x in (("300 steps", walked), ("one jump", jumped))]
alpha_bar = schedule.alpha_bar[300]
by_eq_4 = (alpha_bar.sqrt() * x_0.mean(), (1 - alpha_bar).sqrt())
rows.append(("Eq. 4 says", *(v.item() for v in by_eq_4)))
show_table("500 pictures, t = 300", ["way", "mean", "std over copies"], rows)

# %% [markdown]
# ## Are the mean pictures really equal?
#
# Take the mean of each 500, pixel by pixel. The two mean pictures differ a
# little. Two sets of 500 random pictures always do. The question is: by more
# than chance? The mean of 500 noises has the spread `std / √500`, and the
# difference of two such means √2 times that.

# %%
spread = (2 / 500) ** 0.5 * jumped.std(dim=0).mean()
expected = (2 / torch.pi) ** 0.5 * spread  # mean size, for a bell curve
measured = (walked.mean(dim=0) - jumped.mean(dim=0)).abs().mean()
print(f"by chance alone: {expected:.4f}   measured: {measured:.4f}")

# %% [markdown]
# ## Any t, at once
#
# Now all ten noise levels come from one call: a batch of ten copies of `x_0`,
# each with its own t.

# %%
t = torch.arange(0, 1000, 100)
ask_number(
    "What is √ᾱ_500, the factor in front of x_0 at t = 500?",
    schedule.alpha_bar[500].sqrt(),
    tolerance=0.1,
    why="Only a quarter of the picture's amplitude is left, under noise of 0.96.",
    part="11.2 a",
    points=1,
)
eps = normal((10, 1, 32, 32), generator, "cpu")
x_t = q_sample(schedule, x_0.expand(10, -1, -1, -1), t, eps)
show(x_t, "x_t at ten noise levels", [f"t = {step}" for step in t.tolist()])

# %% [markdown]
# ## A training batch
#
# This is what the network will see while it trains: different digits, and for
# each picture a t of its own, drawn uniformly from 1 to T. One small batch
# holds every noise level. The network never walks along a chain.

# %%
batch = to_unit_range(digits.train_images[:32])  # (32, 1, 32, 32)
t = torch.randint(1, schedule.T + 1, (32,), generator=generator)
eps = normal(batch.shape, generator, "cpu")
x_t = q_sample(schedule, batch, t, eps)
order = t.argsort()
save_grid(x_t[order], "lesson 2 batch", columns=8)
show(x_t[order][::3], "every third of the batch, sorted by t",
     [f"t = {step}" for step in t[order][::3].tolist()])

# %% [markdown]
# ## Going back, if you knew the noise
#
# Eq. 4 has three quantities: `x_0`, `x_t` and `ε`. Any two give the third.
# Knowing the noise, you get the picture back exactly:
#
#     x_0 = (x_t - √(1 - ᾱ_t) ε) / √ᾱ_t          (15)
#
# We try it on the noisiest picture of the batch.

# %%
worst = t.argmax()
one = slice(worst, worst + 1)
back = predict_x_0(schedule, x_t[one], t[one], eps[one])
print(f"t = {t[worst]}, largest error {(back - batch[one]).abs().max():.6f}")
show(torch.cat([x_t[one], back]), "x_t and what comes back", ["x_t", "x_0"])

# %% [markdown]
# ## If you knew it almost
#
# A network will only *guess* the noise. Say that its guess is off by 5 % of
# the noise's size, the same at every t. How far off is `x_0`?
#
# In Eq. 15 the error is multiplied by `√(1 - ᾱ_t) / √ᾱ_t`.

# %%
ask_choice(
    "Where does a 5 % error in ε hurt the estimate of x_0 most?",
    [
        ("at small t", "There √(1 - ᾱ_t) is small: the noise hardly matters."),
        ("the same at all t", "Then √(1 - ᾱ_t) / √ᾱ_t would not depend on t. It does."),
        ("at large t", "√ᾱ_t is tiny there, and dividing by it magnifies the error."),
    ],
    answer=2,
)

# %%
rows, pictures = [], []
for step in (10, 100, 300, 500, 700, 900):
    t = torch.tensor([step])
    eps = normal(x_0.shape, generator, "cpu")
    wrong = eps + 0.05 * normal(x_0.shape, generator, "cpu")
    x_t = q_sample(schedule, x_0, t, eps)
    estimate = predict_x_0(schedule, x_t, t, wrong)
    rows.append((step, (estimate - x_0).square().mean().sqrt().item()))
    pictures.append(estimate)
assert [r[1] for r in rows] == sorted(r[1] for r in rows)
show_table("A 5 % error in ε", ["t", "error of x_0 (RMS)"], rows)
show(torch.cat(pictures), "estimates of x_0", [f"t = {r[0]}" for r in rows])

# %% [markdown]
# ## So what is the network's task?
#
# It gets `x_t` and `t`. It shall say which noise `ε` is in there. From that
# and Eq. 15 follows a guess of `x_0`. At large t the guess is poor, and that
# is why sampling will not trust it at once, but walk back in small steps.

# %%
ask_choice(
    "How do noisy pictures at random t train the model?",
    [
        ("The model learns to make the picture noisier, as Eq. 2 does.",
         "Adding noise needs no learning: Eq. 2 does it."),
        ("The model sees x_t and t, and learns to name the noise that was added.",
         "Yes. We drew ε ourselves, so we know the right answer for every pixel."),
        ("The model learns to tell t from the picture.",
         "It is told t. What it does not know is which part of x_t is noise."),
    ],
    answer=1,
    part="11.2 b",
    points=2,
)

# %% [markdown]
# ## Recap
#
# - Eq. 2, t times, is one jump: `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε` (Eq. 4).
# - It makes a training batch in one line, with a random t for each picture.
# - Who knows the noise knows the picture (Eq. 15). A small error in the noise
#   grows by `√(1 - ᾱ_t) / √ᾱ_t`: little at small t, enormous at large t.
# - The network's task: given `x_t` and `t`, predict `ε`.
#
# Lesson 3 trains it.
