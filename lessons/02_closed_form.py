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
# Training will need noisy pictures at random t, millions of them. Walking
# there step by step would take forever. There is a shortcut.

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
    ask_choice, ask_number, sheet, show, show_download, show_table, track,
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
# This is the *closed form*. It is the most used line of the whole paper, which
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
walked, x_t = {}, many
for step in track(range(1, 1001), 1000, "Walking"):
    t = torch.full((300,), step)
    x_t = q_step(schedule, x_t, t, normal(many.shape, generator, "cpu"))
    if step in (300, 1000):
        walked[step] = x_t

# %%
jumped, rows = {}, []
for step, by_steps in walked.items():
    t = torch.full((300,), step)
    jumped[step] = q_sample(schedule, many, t,
                            normal(many.shape, generator, "cpu"))
    for way, x in (("steps", by_steps), ("one jump", jumped[step])):
        spread = x.std(dim=0).mean().item()
        rows.append((step, way, x.mean().item(), spread))
    alpha_bar = schedule.alpha_bar[step]
    says = (alpha_bar.sqrt() * x_0.mean(), (1 - alpha_bar).sqrt())
    rows.append((step, "Eq. 4 says", *(v.item() for v in says)))
show_table("300 pictures", ["t", "way", "mean", "std over copies"], rows)

# %% [markdown]
# ## The same cloud?
#
# Mean and spread agree. But are the two clouds of pictures the same all over?
# Measure a distance between them: how far is a walked picture from a jumped one,
# on average? And how far are two pictures made in the same way? If both ways
# draw from one distribution, there is no difference. That difference is called
# the *energy distance*.
#
# For comparison: a cloud jumped to t = 250 instead. Can the distance tell it?

# %%
def energy(a, b):
    a, b = a.flatten(1), b.flatten(1)
    within = torch.pdist(a).mean() + torch.pdist(b).mean()
    return (2 * torch.cdist(a, b).mean() - within).item()

early = q_sample(schedule, many, torch.full((300,), 250),
                 normal(many.shape, generator, "cpu"))
near, far = (energy(walked[300], x) for x in (jumped[300], early))
ask_choice(
    "Jump to t = 250 instead of 300. How much larger does the distance get?",
    [
        ("about twice as large", "Then chance would hide fifty steps. It does not."),
        ("more than five times as large",
         "Yes. Two clouds from one distribution differ by chance alone, and may even come "
         "out below 0. Fifty steps of noise are far more than that."),
        ("it stays: nobody can see fifty steps",
         "Not in one picture, perhaps. But 300 pictures tell."),
    ],
    answer=2 if far < 1.5 * abs(near) else 1 if far > 5 * abs(near) else 0,
)

# %%
rows = [("one jump to t = 300", near), ("one jump to t = 250", far)]
show_table("Energy distance to 300 steps", ["cloud", "distance"], rows)

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
    why="Little more than a quarter of the picture's amplitude is left, under noise of "
        "0.96.",
    part="11.2 a",
    points=1,
)
eps = normal((10, 1, 32, 32), generator, "cpu")
x_t = q_sample(schedule, x_0.expand(10, -1, -1, -1), t, eps)
show(x_t, "x_t at ten noise levels", [f"t = {step}" for step in t.tolist()])
ask_choice(
    "How did the picture at t = 300 come about?",
    [
        ("from the one at t = 200, by 100 more steps",
         "So it was in lesson 1. Here each picture has noise of its own."),
        ("from x_0, by one jump", "Yes. No picture of this row knows of the others."),
        ("by taking noise out of the one at t = 400",
         "Nothing takes noise out yet. That is lesson 4."),
    ],
    answer=1,
    part="11.2 b, the images",
    points=1,
)

# %% [markdown]
# ## A training batch
#
# This is what the network will see while it trains: different digits, each with
# a noise level. How should the t of each picture be chosen?

# %%
ask_choice(
    "The batch has 32 pictures. How is t chosen for them?",
    [
        ("one t for the whole batch",
         "Then a gradient step would see one noise level only, and the loss would "
         "jump from step to step."),
        ("a t of its own for each picture, any of 1 to T equally likely",
         "Yes. One batch holds low and high noise levels. Eq. 4 makes each in one go, "
         "and nobody walks a chain."),
        ("t = 1 for the first picture, 2 for the second, and so on",
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
titles = [f"t = {step}" for step in batch_t.tolist()]
show(sheet(batch_x_t, titles, columns=8), "lesson 2 batch")
order = batch_t.argsort()[::3]
show(batch_x_t[order], "every third of the batch, sorted by t",
     [titles[i] for i in order])

# %% [markdown]
# ## Going back, if you knew the noise
#
# Eq. 4 has three quantities: `x_0`, `x_t` and `ε`. Any two give the third.
# Knowing the noise, you get the picture back exactly:
#
#     x_0 = (x_t - √(1 - ᾱ_t) ε) / √ᾱ_t          (15)
#
# In the paper's Eq. 15 the network's guess of the noise stands for `ε`. We try it
# with the true noise, on the noisiest picture of the batch.

# %%
worst = batch_t.argmax()
one = slice(worst, worst + 1)
x_t = batch_x_t[one]
back = predict_x_0(schedule, x_t, batch_t[one], batch_eps[one])
error = (back - batch[one]).abs().max()
print(f"t = {batch_t[worst]}, largest error {error:.6f}")
show(torch.cat([x_t, back]), "x_t and what comes back", ["x_t", "x_0"])

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
        ("at large t",
         "Yes. √ᾱ_t is tiny there, and dividing by it magnifies the error."),
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
# You have `x_0`, you drew t and ε, and you computed `x_t`. Nothing else is needed
# to train a network. What can it learn from that?

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
    part="11.2 b, the training",
    points=1,
)

# %% [markdown]
# ## And then?
#
# The network gets `x_t` and `t`. It must say which noise `ε` is in there. From
# that and Eq. 15 follows a guess of `x_0`. At large t the guess is poor. That is
# why sampling will not trust it at once, but walk back in small steps.

# %% [markdown]
# ## Recap
#
# - Eq. 2, t times, is one jump: `x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε` (Eq. 4).
# - It makes a training batch in one line, with a random t for each picture.
# - If you know the noise, you know the picture (Eq. 15). A small error in the
#   noise is multiplied by `√(1 - ᾱ_t) / √ᾱ_t`: 0.04 at t = 10, 157 at t = 1000.
# - The network's task: given `x_t` and `t`, predict `ε`.
#
# Lesson 3 trains it.
