# %% [markdown]
# # Lesson 4 · Ancestral sampling
#
# **Goal:** at the end you can write Algorithm 2 from memory, say what each of
# its parts is for, and what breaks without it.
#
# **You need:** lessons 1 to 3.
#
# **Paper:** §2, 3.2, 4.3 · Eq. 6, 7, 11, Alg. 2
#
# **Time:** 25 min
#
# We have a network that names the noise in a picture. Now we start from
# nothing but noise, and walk back.

# %% [markdown]
# ## Setting up
#
# We use the weights that come with the package. Name your own with
# `--set checkpoint=runs/mnist/weights.safetensors`: each step measures what they do.
#
# In some steps we tell them which digit to draw, by a *label* (lesson 5). Each says so.
# Weights trained without labels are never told, and draw any digit.

# %% tags=["parameters"]
checkpoint = ""  # empty: the shipped weights
seed = 0  # another seed: another picture, other noise
chain_steps = 1000  # of the longest chain, from 10 to 1000; divides 1000
steps = 50  # where many are drawn, from 10 to 1000; divides 1000
each = 8  # digits of each kind, where they are counted, from 1 to 100
device = "auto"  # auto, cpu, cuda or mps

# %%
from pathlib import Path
import torch
from ddpm_tutor import (
    TutorError, choose_device, load_checkpoint, load_digits, normal, stream,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, say, show_download, show_images, show_table,
    so_far, track,
)

# %%
where = choose_device(device)
digits = load_digits(progress=show_download)
print(f"{digits.source}; on {where}")
trained = load_checkpoint(Path(checkpoint) if checkpoint else None, where)
model, schedule = trained.model, trained.schedule.to(where)
generator = stream(seed, "lesson 4")
if not all(n > 9 and 1000 % n == 0 for n in (steps, chain_steps)):
    raise TutorError("steps, chain_steps: 10 or more, and they divide 1000.")

def labels_if_taken(labels):  # None for weights that take no labels
    return labels.to(where) if trained.conditional else None

# %% [markdown]
# ## If you knew the picture
#
# Say that you know both `x_t` and `x_0`. Two bell curves then speak of `x_{t-1}`: Eq. 4
# says where it came from `x_0`, Eq. 2 where it had to be to become `x_t`. Their product
# is a bell curve again, `q(x_{t-1} | x_t, x_0) = N(x_{t-1}; μ̃_t, β̃_t I)` (Eq. 6, 7):
#
#     μ̃_t = (√ᾱ_{t-1} β_t x_0 + √α_t (1 - ᾱ_{t-1}) x_t) / (1 - ᾱ_t)
#     β̃_t = (1 - ᾱ_{t-1}) / (1 - ᾱ_t) · β_t
#
# The mean is a mix of both. How much of each?
#
# Then press `c` to change t. Try `t_here = 20`, and say first what will become of the
# weight of `x_0`.

# %% tags=["change"]
t_here = 500  # from 1 to 1000

# %%
from ddpm_tutor import q_posterior
zero, one = torch.tensor([[0.0], [1.0]], device=where).split(1)
def weights(t):  # of x_0 and of x_t, and √β̃_t
    step = torch.tensor([t], device=where)
    coef_x_0, _ = q_posterior(schedule, zero, one, step)
    coef_x_t, variance = q_posterior(schedule, one, zero, step)
    return coef_x_0.item(), coef_x_t.item(), variance.item()**0.5

weight = weights(t_here)[0]
tried = map(int, so_far("weight", f"{t_here}", t_here))
rows = [(t, *weights(t)) for t in sorted({1, 2, 10, 100, 500, 1000, *tried})]

# %%
ask_choice(
    "At this t, what is the weight of x_0 in μ̃_t?",
    [
        ("more than 0.5", "Then two such steps would lead to x_0, or nearly so. For that t "
         "must be next to 0."),
        ("0.02 to 0.5", "Then some 50 such steps would lead to x_0, or fewer. For that t must "
         "be small."),
        ("less than 0.02", "Then one step is short: it stays close to x_t."),
    ],
    answer=2 if weight < 0.02 else 1 if weight <= 0.5 else 0,
)
show_table("Eq. 7", ["t", "weight of x_0", "weight of x_t", "√β̃_t"], rows)
say("The last step, t = 1, lands on x_0, and its β̃ is 0.")

# %% [markdown]
# ## A guess will do
#
# We don't know `x_0`. Many pictures could have become this `x_t`. Each has its own
# bell curve (Eq. 6), and the true step back is a *mixture* of them all.
#
# But the network predicts the noise, and Eq. 15 makes of it `x̂_0`, the *estimate* of
# `x_0`, our guess. A squared error is least at the mean. So `x̂_0` is the mean of all
# those pictures, as far as the network has learned it. And Eq. 7 is linear in `x_0`:
# the mean of all the `μ̃_t` is `μ̃_t` of the mean. With `x̂_0` in Eq. 7 we have the mean
# of the mixture.
#
# And its shape? Take one pixel. It may be black, `x_0 = -1`, or white, `x_0 = 1`.
# That makes two bells, `√β̃_t` wide, with their centres twice the weight of `x_0`
# apart.

# %%
ask_choice(
    "At t = 500, what does the mixture of the two bells look like?",
    [
        ("two humps, one for black and one for white",
         "For that their centres would have to be some widths apart. Compare."),
        ("one hump, nearly a bell curve",
         "Yes. The centres nearly coincide, beside the width."),
        ("flat: anything between black and white",
         "Two bells so near each other make no plateau. Compare."),
    ],
    answer=1,
)

# %%
for t, weight, _, width in rows:
    if t in (2, 500):
        print(f"t = {t}: centres {2 * weight:.4f} apart, width {width:.4f}")
say("So a small step may be drawn from one bell curve. At t = 2 the centres are far "
    "apart, but there x_t itself shows whether the pixel is black or white.")

# %% [markdown]
# ## From Eq. 7 to Eq. 11
#
# Write Eq. 7 as `a x_0 + b x_t`. Put in `(x_t - √(1 - ᾱ_t) ε) / √ᾱ_t` for `x_0` (Eq. 15).
# How much of `x_t`, and how much of ε? Use `ᾱ_t = α_t ᾱ_{t-1}` and `α_t + β_t = 1`:
#
#     of x_t:  b + a / √ᾱ_t = (α_t (1 - ᾱ_{t-1}) + β_t) / (√α_t (1 - ᾱ_t))
#                           = (α_t - ᾱ_t + β_t) / (√α_t (1 - ᾱ_t))
#                           = 1 / √α_t
#     of ε:    -a √(1 - ᾱ_t) / √ᾱ_t = -β_t / (√α_t √(1 - ᾱ_t))
#
# Together, and no `x_0` in it any more:
#
#     μ_θ(x_t, t) = (x_t - β_t / √(1 - ᾱ_t) · ε_θ(x_t, t)) / √α_t          (11)
#
# Do both ways agree? We try numbers, at every t.

# %%
from ddpm_tutor import p_mean, predict_x_0
t = torch.arange(1, schedule.T + 1, device=where)
noisy, eps = (normal((1000, 1, 4, 4), generator, where) for _ in range(2))
guess = predict_x_0(schedule, noisy, t, eps)
by_eq_7, _ = q_posterior(schedule, noisy, guess, t)
by_eq_11 = p_mean(schedule, noisy, t, eps)
largest = (by_eq_7 - by_eq_11).abs().max()
print(f"largest difference over all t: {largest:.1e}")

# %% [markdown]
# ## Algorithm 2
#
#     1  x_T ~ N(0, I)
#     2  for t = T, ..., 1 do
#     3    z ~ N(0, I) if t > 1, else z = 0
#     4    x_{t-1} = 1/√α_t (x_t - (1 - α_t)/√(1 - ᾱ_t) ε_θ(x_t, t)) + σ_t z
#     5  end for
#     6  return x_0
#
# Line 4 is written out here once; later you choose it among others. (`1 - α_t` is `β_t`,
# and `σ_t = √β_t`.)

# %%
ask_choice(
    "Line 4 mixes three ingredients. Where does each of them come from?",
    [
        ("all three from x_t: the network makes ε_θ of it, and then z",
         "Two do. z is drawn, and knows nothing of x_t."),
        ("x_t from the step before, ε_θ from the network, z from chance",
         "Yes. Line 4 is the mean of Eq. 11, made of x_t and ε_θ, plus fresh noise."),
        ("x_t from Eq. 4, ε_θ from the network, z from the training",
         "Eq. 4 needs x_0, and while sampling nobody has it. And z is drawn anew."),
    ],
    answer=1,
    part="11.6 b",
    points=1,
)

# %% [markdown]
# ## One step, taken apart
#
# We put noise on fifty 5s, up to t = 300, and tell the network that they are 5s. One
# step of Algorithm 2 takes a little noise out, then puts a little in. The variance over
# all pixels of the fifty tells what that does to the spread.

# %%
from ddpm_tutor import p_step, q_sample, to_unit_range
fives = digits.of_class(5)
fives = fives[torch.arange(seed, seed + 50) % len(fives)]
x_0 = to_unit_range(fives).to(where)  # (50, 1, 32, 32)
t = torch.full((50,), 300, device=where)
noise, z = (normal(x_0.shape, generator, where) for _ in range(2))
x_300 = q_sample(schedule, x_0, t, noise)
fives = labels_if_taken(torch.full((50,), 5))
with torch.no_grad():
    eps_300 = model(x_300, t, fives)
mean = p_mean(schedule, x_300, t, eps_300)
x_299 = p_step(schedule, x_300, t, eps_300, z)  # the mean, and σ z

# %%
ask_choice(
    "The noise is predicted well. Which has the smaller variance, x_300 or the mean of "
    "the step back?",
    [
        ("the mean", "Yes. Noise is taken out of it."),
        ("x_300", "Then taking noise out would add spread."),
        ("neither", "Then σ z on top would make x_299 noisier than x_300."),
    ],
    answer=0,
)

# %%
target = q_sample(schedule, x_0, t - 1, noise)  # the same noise, up to 299
rows = [("x_300", x_300), ("mean", mean), ("x_299 = mean + σ z", x_299),
        ("the 5s with noise up to 299", target)]
show_table("Spread", ["", "variance"],
           [(name, x.var().item()) for name, x in rows])
before_z, after_z = (abs(x.var() - target.var()) for x in (mean, x_299))
ratio = (x_299 - mean).std() / (x_300 - mean).std()
say("The mean is too narrow, and σ z makes up for it: x_299 is nearly as wide as it "
    f"should be. {ratio:.0f} times as much is put in as taken out, and yet the noise gets "
    "less. What is taken out is part of x_300. What is put in has nothing to do with it, "
    "so only the squares add up."
    if after_z < before_z else "Here σ z does not bring x_299 nearer to what it should be"
    + (": the noise is predicted so badly that the mean is wider than x_300."
       if mean.var() > x_300.var() else "."))

# %% [markdown]
# ## One step, in pictures
#
# What is taken out and put in is too little to see. For the first 5 it is shown here
# 100 and 10 times as large.

# %%
put_in, taken_out = x_299 - mean, x_300 - mean
first = [x_300, eps_300, 100 * taken_out, 10 * put_in, x_299]
show_images(torch.stack([x[0] for x in first]), "one step",
            ["x_300", "ε_θ", "out, x100", "in, x10", "x_299"])

# %% [markdown]
# ## Write line 4
#
# Which of these formulas is line 4? They all look plausible. The wrong ones are
# what people write by mistake, and each computes something else.
#
# Don't look back. Choose, then the cell below puts the tensors of the last step
# into all of them, and into a fourth: the right one with `ᾱ` at t - 1, off by one.

# %%
ask_choice(
    "Which is line 4 of Algorithm 2? (α, β, ᾱ, σ at the present t)",
    [
        ("(x_t - √(1-ᾱ) ε_θ) / √ᾱ  +  σ z",
         "Without σ z that is Eq. 15. It jumps to a guess of x_0 in one go."),
        ("(x_t - √β ε_θ) / √(1-β)  +  σ z",
         "That undoes Eq. 2 as if ε_θ were the noise of this step. But it is the "
         "noise of all t steps together."),
        ("(x_t - β/√(1-ᾱ) ε_θ) / √α  +  σ z",
         "Yes. A little of the noise is taken out, and fresh noise is put in."),
    ],
    answer=2,
    part="11.6 d",
    points=2,
)

# %%
beta, alpha, alpha_bar = (v[300].float() for v in (
    schedule.beta, schedule.alpha, schedule.alpha_bar))
before, sigma = schedule.alpha_bar[299].float(), beta.sqrt()
def mu(at):  # with ᾱ at this t
    return (x_300 - beta / (1 - at).sqrt() * eps_300) / alpha.sqrt()

formulas = {
    "a": (x_300 - (1 - alpha_bar).sqrt() * eps_300) / alpha_bar.sqrt()
         + sigma * z,
    "b": (x_300 - beta.sqrt() * eps_300) / (1 - beta).sqrt() + sigma * z,
    "c": mu(alpha_bar) + sigma * z,
    "off by one": mu(before) + sigma * z,
}
what = ("jumps to the guess of x_0", "takes all noise for this step's",
        "line 4", "takes out a little too much")
rows = [(name, says, (x - x_299).abs().max().item(), x.var().item())
        for (name, x), says in zip(formulas.items(), what, strict=True)]
show_table("Against p_step", ["", "what it does", "largest difference",
                              "variance"], rows)
too_much = ((1 - schedule.alpha_bar[2]) / (1 - schedule.alpha_bar[1])).sqrt()
say("The off-by-one hides at t = 300. At t = 2 it takes out "
    f"{too_much:.2f} times as much as it should, at t = 1 it divides by 0.")

# %% [markdown]
# ## All thousand steps
#
# Ten digits at once, from t = 1000 down to 0. The labels ask for 0 to 9. We keep
# `x_t` at every tenth step, and the network's guess of `x_0` beside it.
#
# Here are the first five hundred steps. How much of a digit will be there?

# %%
from itertools import islice
from ddpm_tutor import SamplingOptions, draw, last
labels = labels_if_taken(torch.arange(10))
chain = draw(model, schedule, labels, SamplingOptions(steps=chain_steps),
             seed=seed, indices=range(10))
half, states = chain_steps // 2, []
for state in track(islice(chain, half + 1), half + 1, "First half"):
    if state.t % 10 == 0:
        states.append(state)

# %%
ask_choice(
    "Half of the steps are done. What is x_500?",
    [
        ("half a digit, half noise", "By Eq. 4 the digit's share of the variance is ᾱ, and "
         "that is no straight line."),
        ("mostly noise, with a trace of a digit",
         "Yes. By Eq. 4 the digit's share of the variance is ᾱ."),
        ("a digit with a little noise on it", "By Eq. 4 the digit's share of the variance "
         "is ᾱ. That is large at small t only."),
    ],
    answer=1,
)

# %%
print(f"ᾱ_500 = {schedule.alpha_bar[500]:.3f}")
show_images(states[-1].x_t[:5].cpu(), f"x_{states[-1].t}, the first five")
spread = states[-1].x_t.std()
say(f"Its std is {spread:.2f}. " + (
    "That of a digit with noise up to 500 is about 1 too." if 0.8 < spread < 1.25 else
    "That of a digit with noise up to 500 is about 1: with these weights the chain leaves "
    "the path, and there is no digit to be traced."))

# %% [markdown]
# ## The other half
#
# And the steps from 500 down to 0.

# %%
for state in track(chain, chain_steps - half, "Second half"):
    if state.t % 10 == 0:
        states.append(state)
history = {state.t: state.x_t.cpu() for state in states
           if state.t % 100 == 0}
digits_drawn = history.pop(0)
show_images(digits_drawn[:5], "x_0, the first five")

# %%
ask_choice(
    "history[t] holds ten digits at one t, (10, 1, 32, 32). We make rows of ten for a "
    "sheet. Which gives rows that show one digit on its way?",
    [
        ("torch.stack(..., dim=0)",
         "That is (t, digit, ...): along a row are the ten digits, all at the same t."),
        ("torch.stack(..., dim=1)",
         "Yes. That is (digit, t, ...). Down a column are the ten digits at one t."),
        ("torch.cat(...)", "That is (100, 1, 32, 32), and the first ten have the same t."),
    ],
    answer=1,
    part="11.6 e",
    points=1,
)

# %%
from ddpm_tutor.classroom.tools import sheet, show
by_digit = torch.stack([*list(history.values())[1:], digits_drawn], dim=1)
names = [f"t = {t}" for t in [*list(history)[1:], 0]]
show(sheet(by_digit.flatten(0, 1), names, columns=10), "lesson 4 history")
show_images(by_digit[7][1::2], "number 7 on its way", names[1::2])

# %% [markdown]
# ## The guess of x_0
#
# With every prediction of the noise comes a guess of `x_0` (Eq. 15). What is the best
# it can be at t = 1000, where nothing can be seen?
#
# Eq. 15 divides by `√ᾱ_t`, and so makes the smallest errors of `ε_θ` huge there. The
# shipped network computes the combination `v = √ᾱ_t ε - √(1 - ᾱ_t) x_0`, from which ε
# follows. Near t = 1000 that is `-x_0`, nearly, and so its guess stays calm there
# (Salimans and Ho 2022).

# %%
ask_choice(
    "A well trained network sees x_1000. Which guess of x_0 has the least squared error?",
    [
        ("a blurred digit", "Yes. It is the mean of all digits with that label: "
         "there a squared error is least."),
        ("nothing but noise", "The noise in x_1000 tells nothing of x_0. What is "
         "left is what the network knows beforehand."),
        ("a sharp digit", "Which of all the 7s? Nothing in x_1000 tells. So it must "
         "not decide yet."),
    ],
    answer=0,
)

# %%
from itertools import pairwise
guesses = {state.t: state.x_0_hat.cpu() for state in states
           if state.t % 200 == 0}
show_images(torch.stack([guesses[t][7] for t in history if t in guesses]),
            "the guess of x_0, number 7", [f"t = {t}" for t in guesses])
kinds = [digits.of_class(digit) for digit in range(10)]
if not trained.conditional:  # no label: all digits are one kind
    kinds = [digits.train_images] * 10
means = torch.stack([to_unit_range(kind).mean(dim=0) for kind in kinds])
def rms(x):
    return x.square().mean().sqrt().item()

far, final = (rms(guesses[t] - means) for t in (1000, 0))
print("RMS distance from the mean of all such digits: "
      f"{far:.2f} at t = 1000, {final:.2f} at t = 0")
magnified = schedule.alpha_bar[1000] ** -0.5
say("At t = 1000 the guess is that mean, nearly: a blurred digit." if far < final / 2
    else "At t = 1000 the guess of this network is no blurred digit: an error in ε_θ is "
    f"{magnified:.0f} times as large in it.")
change, a, b = max((rms(guesses[a] - guesses[b]), a, b)
                   for a, b in pairwise(guesses))
say(f"It changes most from {a} to {b}: by {change:.2f} (RMS).")

# %% [markdown]
# ## A film
#
# The way down as a film: `x_t` on the left, the guess of `x_0` on the right. It is
# number 3, counted from 0. Which of the two is the first to show what it becomes?

# %%
from ddpm_tutor.classroom.tools import frames_of, save_film
of_one = (state._replace(x_t=state.x_t[3:4], x_0_hat=state.x_0_hat[3:4])
          for state in states)
_ = save_film(frames_of(of_one, schedule), "lesson 4 denoising")

# %% [markdown]
# ## The last step
#
# In line 3, z = 0 at t = 1. But `σ_1 = √β_1` is not 0. Why add no noise there?

# %%
ask_choice(
    "Why is z = 0 at t = 1?",
    [
        ("noise would drive x_0 out of the minimum", "Nothing is minimised while sampling."),
        ("the network can't predict noise at t = 1", "It can, and is asked to: ε_θ(x_1, 1)."),
        ("it would only stay in the picture",
         "Yes. After the last step no network looks any more."),
    ],
    answer=2,
    part="11.6 a",
    points=1,
)

# %%
say("Before, z gives x_{t-1} the spread that the network expects next. After t = 1 "
    "nothing comes next: the mean is shown (Section 3.3). β̃_1 = 0 says so too.")
t = torch.ones_like(t)
x_1 = q_sample(schedule, x_0, t, z)
with torch.no_grad():
    eps_1 = model(x_1, t, fives)
added = p_step(schedule, x_1, t, eps_1, z) - p_mean(schedule, x_1, t, eps_1)
print(f"p_step adds at t = 1: {added.abs().max():.1f}")
sigma = schedule.beta[1] ** 0.5
print(f"σ_1 = {sigma:.2f} would be {sigma * 127.5:.1f} of 255 shades")

# %% [markdown]
# ## Which σ?
#
# The paper allows two choices for the size of the noise: `σ_t² = β_t`, or
# `σ_t² = β̃_t` of Eq. 7. The first is best if the data were N(0, I), the second if
# there were only one picture (Section 3.2). How different are they?

# %%
from ddpm_tutor import beta_tilde
times = torch.tensor([2, 3, 5, 10, 100, 1000], device=where)
ratio = (beta_tilde(schedule, times) / schedule.beta[times]).sqrt()
ask_number(
    "At t = 2, how large is √β̃_t as a share of √β_t?",
    ratio[0],
    tolerance=0.15,
    why="They differ in the last few steps only. The paper found that both "
        "work equally well (Section 3.2).",
)
rows = [(t.item(), schedule.beta[t].item() ** 0.5, r.item())
        for t, r in zip(times, ratio, strict=True)]
show_table("σ_t", ["t", "√β_t", "√β̃_t / √β_t"], rows)

# %% [markdown]
# ## Skip most steps
#
# A thousand calls take long. But Eq. 7, 11 and 15 never ask that two levels be
# neighbours: all they need is ᾱ before and after. So keep a few levels, evenly
# spread, say `t_i = 0, 100, 200, ..., 1000`. A long step from `t_i` to `t_{i-1}` has
#
#     α_i' = ᾱ at t_i / ᾱ at t_{i-1}          β_i' = 1 - α_i'
#
# The product of these α' up to i is ᾱ at `t_i` again. So the network, told `t_i`, sees
# what it was trained on, and Algorithm 2 runs with α' and β' as it stands. `respaced`
# gives α', β' and the `t_i` (Nichol and Dhariwal 2021).
#
# Then press `c` to change it. Try `kept = 50`, and say first what will become of β'.

# %% tags=["change"]
kept = 10  # steps of the 1000, from 2 to 1000

# %%
from ddpm_tutor import respaced
short, times = respaced(schedule, kept)
level = schedule.alpha_bar[times.to(where)]
ours = 1 - level[1:] / level[:-1]
largest = (short.beta[1:] - ours).abs().max()
print(f"β' by the formula and by respaced: {largest:.0g} apart at most")
rows, middle = [], (kept + 1) // 2
early = max(min(2, kept), kept // 5)  # from t = 200, if many are kept
for i in sorted({early, middle, kept}):
    at = torch.tensor([i], device=where)
    weight, _ = q_posterior(short, zero, one, at)
    width = beta_tilde(short, at).sqrt().item()
    rows.append((f"{times[i]} to {times[i - 1]}", short.beta[i].item(),
                 2 * weight.item(), width, short.beta[i].item()**0.5))

# %%
ask_number(
    "β_500 is 0.01. Take the long step down from t = 500, or from the next t kept. What is its β'?",
    short.beta[middle],
    tolerance=0.15,
    why=f"So many small β in one: {times[middle] - times[middle - 1]}.",
)

# %%
found = so_far("skip", f"{kept}", rows)
show_table("Three of the steps, by how many there are",
           ["steps", "step", "β'", "centres apart", "√β̃'", "√β'"],
           [(n, *row) for n, rows_of in found.items() for row in rows_of])
way, _, apart, narrow, wide = rows[0]
say("The last step has no β̃': it lands on the guess of x_0." if not narrow else
    f"From {way} the bells of black and white lie {apart / narrow:.1f} widths apart"
    + (", and one bell stands for them only where x_t tells which. That is the price."
       if apart > 2 * narrow else ": nearly one bell.")
    + f" And √β' is {wide / narrow:.1f} times √β̃' there.")

# %% [markdown]
# ## Clip the guess, never x_t
#
# A long step leans on the guess of `x_0`, which may leave [-1, 1], where pictures
# live. The authors' code *clips* it: values beyond are set to -1 or 1.
#
# A common mistake looks alike: clamping `x_t` itself to [-1, 1] after each step. But
# `x_t` is meant to be noisy, with values up to 4.
#
# We take 25 steps in three ways, with the same noise, and ask for 0 to 4.

# %%
from ddpm_tutor import Equations, to_uint8

def clamped(*inputs):  # line 4 with the mistake
    return p_step(*inputs).clamp(-1, 1)

ways = {"not clipped": (False, p_step), "guess clipped": (True, p_step),
        "x_t clamped": (False, clamped)}
label, chains = labels_if_taken(torch.arange(5)), []
for name, (clip, step) in ways.items():
    how = SamplingOptions(steps=25, variance="beta", clip=clip)
    chain = draw(model, schedule, label, how, seed=seed, indices=range(5),
                 equations=Equations(p_step=step))
    chains.append(list(track(chain, 26, name)))

# %%
ask_choice(
    "x_t is clamped to [-1, 1] after every step. What becomes of the black "
    "background?",
    [
        ("it turns a little grey",
         "Yes. Clamping cuts the noise off on one side only, the side below -1. "
         "So the mean is pushed up."),
        ("it stays black, at -1",
         "Then clamping would cut both sides alike. But black is -1, right at the edge."),
        ("it gets a little noisy", "Clamping takes noise away: the noise below -1 is cut off."),
    ],
    answer=0,
)

# %%
pictures, rows = [chain[-1].x_t.cpu() for chain in chains], []
for name, chain, drawn in zip(ways, chains, pictures, strict=True):
    guess = max(s.x_0_hat.abs().max().item() for s in chain[:-1])
    edge = to_uint8(drawn)[:, :, :4].float()  # upper four lines: background
    rows.append((name, guess, edge.mean().item()))
show_table("25 steps", ["", "largest |guess|", "background, of 255"], rows)
grey, black = rows[2][2], rows[0][2]
say(f"Clamping x_t made the background a little grey: {grey:.0f} of 255, not {black:.0f}."
    if black < 20 and grey > black + 2 else
    "With these weights the background is grey already where nothing is clamped.")
change = (pictures[0] - pictures[1]).abs().mean()
say(f"Clipping the guess changed a pixel of the pictures by {change:.2f} in the mean, of a "
    "range of 2.")
show_images(torch.stack([drawn[3] for drawn in pictures]), "3", [*ways])

# %% [markdown]
# ## Ten runs from one x_T
#
# Start ten times from the very same noise `x_T`, and ask for a 4 each time. Will
# the ten pictures be the same?
#
# We do so with five `x_T`, and compare pictures from one with those from another.
# Each run takes 50 of the 1000 steps, with `σ² = β̃'` and the guess clipped. That is
# what `draw` does wherever steps are skipped.

# %%
ask_choice(
    "Ten runs start from the same x_T. How alike are the ten pictures?",
    [
        ("equal, pixel by pixel", "Then x_T and the label would decide everything. Look."),
        ("one 4, with small differences",
         "Then x_T would decide the shape, and only the details would vary. Look."),
        ("as different as from ten x_T", "Yes. Compare the two mean distances below."),
    ],
    answer=2,
    part="11.7 a",
    points=1,
)

# %%
x_T = normal((5, 1, 32, 32), stream(seed, "one x_T"), where)
label = labels_if_taken(torch.full((50,), 4))
chain = draw(model, schedule, label, SamplingOptions(steps=steps), seed=seed,
             indices=range(50), x_T=x_T.repeat_interleave(10, dim=0))
runs = last(track(chain, steps + 1, "Five times ten runs")).cpu()
runs = runs.view(5, 10, 1, 32, 32)  # (x_T, run, 1, 32, 32)

def mean_distance(groups):  # between two pictures of a group
    return torch.stack([torch.pdist(g.flatten(1)) for g in groups]).mean()

one_x_T, other_x_T = mean_distance(runs), mean_distance(runs.transpose(0, 1))
print("Mean distance between two pictures (root of summed squares)")
print(f"from one x_T: {one_x_T:.1f}, from different x_T: {other_x_T:.1f}")
say("x_T hardly counts." if one_x_T > 0.9 * other_x_T else
    "With these weights x_T still counts.")
show_images(runs[0, :5], "five of ten runs from one x_T")

# %% [markdown]
# ## Ten runs compared
#
# The same weights, the same label, the same `x_T`: ten times the network is called first
# with the very same input.

# %%
ask_choice(
    "Why do ten runs from one x_T differ?",
    [
        ("each step adds a fresh z, which buries x_T",
         "Yes. The z are many, and together far larger than what is left of x_T."),
        ("the network has dropout, so it guesses anew each time",
         "It has none, and it is in eval mode."),
        ("rounding errors, which grow from step to step",
         "Rounding is far too small to turn one 4 into another."),
    ],
    answer=0,
    part="11.7 b",
    points=1,
)
say("Algorithm 2 walks the forward chain backwards. In that chain x_T and x_0 share next "
    f"to nothing: ᾱ_T = {schedule.alpha_bar[-1]:.5f}.")

# %% [markdown]
# ## What if we leave the noise out?
#
# What if no noise is added? Where would you change Algorithm 2? Predict what comes
# out of well trained weights, then see. There is no label here: any digit may come.

# %%
ask_choice(
    "Which change makes it add no noise?",
    [
        ("line 1: start from zeros, not from N(0, I)",
         "Then only the start would be without noise. Line 4 adds the rest."),
        ("line 3: z = 0 at every t",
         "Yes. Or leave out σ_t z in line 4. Each step is then the mean alone. The start "
         "is still random."),
        ("line 4: leave out the term with ε_θ",
         "That is the noise to be taken out. Without it, nothing is denoised."),
    ],
    answer=1,
    part="11.7 c",
    points=1,
)
ask_choice(
    "Eight samples, each from another x_T, no noise added. What comes out?",
    [
        ("eight clean digits of many kinds",
         "Then x_T alone would bring the variety. Look."),
        ("eight blurs, each the mean of all digits",
         "The mean of each step is not the mean of all pictures. Look."),
        ("eight thin digits, nearly all the same", "Yes. The next step says why."),
    ],
    answer=2,
    part="11.7 d",
    points=1,
)

# %%
def mean_alone(schedule, x_t, t, eps, z, variance):  # line 4 without σ z
    return p_mean(schedule, x_t, t, eps)

no_noise = {}
how = SamplingOptions(steps=steps, clip=False)
chain = draw(model, schedule, None, how, seed=seed, indices=range(8),
             equations=Equations(p_step=mean_alone))
for state in track(chain, steps + 1, "Without noise"):
    no_noise[state.t] = state.x_t.cpu()
show_images(no_noise[0][:4], "four of the eight samples without noise")

# %% [markdown]
# ## What the noise is for
#
# How many pixels of these eight are bright, and how far is one picture from another?
# Beside them are eight real digits. Then look at the spread of `x_t`: here, and in
# the forward process at the same t.

# %%
real = to_unit_range(digits.train_images[:500])
for name, eight in (("without noise", no_noise[0]), ("real", real[:8])):
    print(f"{name}: {(eight > 0).float().mean():.0%} bright, "
          f"mean distance {mean_distance(eight[None]):.1f}")
thin = (no_noise[0] > 0).float().mean() < 0.8 * (real > 0).float().mean()
alike = mean_distance(no_noise[0][None]) < 0.8 * mean_distance(real[None])
say("So they are thin, and all alike." if thin and alike else
    "Well trained weights draw thin digits that are all alike. "
    + ("These are alike, but not thin." if alike else "These weights don't."))

# %%
rows = []
for t in [t for t in no_noise if t in (900, 700, 500, 300, 100)]:
    noise = normal(real.shape, generator, "cpu")
    at = torch.full((500,), t)
    noisy = q_sample(schedule.to("cpu"), real, at, noise)
    rows.append((t, no_noise[t].std().item(), noisy.std().item()))
ask_choice(
    "What does the noise z do in Algorithm 2?",
    [
        ("it only makes the pictures more varied",
         "Compare the spreads: without z the network gets an x_t unlike all that it was "
         "trained on."),
        ("it keeps the spread of x_t as in training",
         "Yes. Each mean shrinks the spread; the fresh noise restores it."),
        ("it hides the errors that the network makes",
         "What is missing without it is no small error. Compare the spreads."),
    ],
    answer=1,
    part="11.7 e",
    points=1,
)

# %%
show_table("std of x_t", ["t", "without noise", "forward process"], rows)
calm = all(without < 0.5 * forward for t, without, forward in rows if t > 400)
say("The network was never shown so calm an x_t. With it the chain slides to the "
    "emptiest pictures there are." if calm and thin else
    "The network was never shown so calm an x_t, and with these weights no digit comes of it: "
    f"std {no_noise[0].std():.2f} in the end, {real.std():.2f} in real ones." if calm else
    "With well trained weights x_t is far too calm without z. Here it is not.")

# %% [markdown]
# ## The right way without noise
#
# A sampler without noise is possible. But then the step itself must be another
# one. Take the guess `x̂_0` of Eq. 15, and go to the point at an earlier time s that
# has the *same* noise `ε_θ` (DDIM, Song et al. 2020):
#
#     x_s = √ᾱ_s x̂_0 + √(1 - ᾱ_s) ε_θ          for any s < t
#
# That is Eq. 4 with the guess and `ε_θ` in it. No β is there, so s may be t - 1 or far off:
# many steps can be skipped. And `x_T` and the label decide everything.
#
# We ask for 0 to 4, from the same `x_T`, in 5, 10 and 50 steps. Then press `c` to change
# it. Try `eta = 1.0`: noise again. Say first how alike the drawings will be.

# %% tags=["change"]
eta = 0.0  # noise in each step, from 0 to 1; 1 is Algorithm 2 with β̃'

# %%
from ddpm_tutor import sample
at, noise = torch.full((500,), 500), normal(real.shape, generator, "cpu")
forward_500 = q_sample(schedule.to("cpu"), real, at, noise).std()
label = labels_if_taken(torch.arange(5))
x_T = normal((5, 1, 32, 32), stream(seed, "ddim"), where)
made, noise = {}, stream(seed, "eta")
for n in (5, 10, 10, 50):
    how = SamplingOptions(method="ddim", steps=n, clip=True, eta=eta)
    spread = {}
    chain = sample(model, schedule, x_T, how, label=label, generator=noise)
    for state in track(chain, n + 1, f"DDIM, {n} steps"):
        spread[state.t] = state.x_t.std().item()
    made.setdefault(n, []).append(state.x_t.cpu())
change = (made[10][0] - made[50][0]).flatten(1).norm(dim=1).mean()

# %%
ask_choice(
    "With this eta they draw from one x_T, in 10 steps and in 50. How alike are the two?",
    [
        ("equal, pixel by pixel",
         "Longer steps follow the way less exactly, even without noise. Compare."),
        ("nearly equal, not quite",
         "Then both go the same way, one in longer steps. For that hardly any chance may be "
         "left on it."),
        ("clearly different",
         "Then it is not x_T alone that counts, but the noise on the way as well. (Or the "
         "weights are poor.)"),
    ],
    answer=1 if 0 < change < other_x_T / 4 else 0 if change == 0 else 2,
)

# %%
row = (f"{torch.equal(*made[10])}", f"{change:.1f}", f"{spread[500]:.2f}")
two = torch.cat([made[n][0][2:3] for n in (5, 50)])
found = so_far("eta", f"{eta}", (row, two))
names = [f"{name}: {n} steps" for name in found for n in (5, 50)]
show_images(torch.cat([two for _, two in found.values()]),
            "number 2, by eta, in 5 steps and in 50", names)
show_table("From one x_T: 10 steps twice, and 10 against 50",
           ["eta", "twice: equal", "10 to 50: moves by", "std of x_500"],
           [(name, *row) for name, (row, _) in found.items()])
print(f"two 4s of Algorithm 2 lie {other_x_T:.1f} apart; "
      f"std of x_500, forward: {forward_500:.2f}")

# %% [markdown]
# ## How many steps?
#
# We draw each digit equally often, with 10 steps in three ways: Algorithm 2 with `σ² = β'`,
# with `σ² = β̃'`, and DDIM. Then with more steps, once. Which are as good as real ones?
# The classifier (a small network that reads digits) judges:
#
# - *as asked*: how many it reads as the digit that was asked for;
# - *precision*: how many lie as near to a real digit as real digits lie to each other,
#   in what the classifier sees of them;
# - *coverage*: how many real digits have a drawn one so near.

# %%
ask_choice(
    "Do we need all 1000 steps?",
    [
        ("no: far fewer give as good digits",
         "Yes. At neighbouring t the network is asked nearly the same, so most calls "
         "tell little that is new."),
        ("no: stop at t = 200 and show x_200",
         "Look at x_200 in the history: noise of size √0.34 = 0.58 lies over it."),
        ("yes: each removes noise of its own",
         "Neighbouring steps ask the network nearly the same."),
    ],
    answer=0,
    part="11.6 g",
    points=1,
)

# %%
from ddpm_tutor import load_classifier, load_real_digits, read_digits, score
reader, real = load_classifier(where).model, load_real_digits()
found, examples = {}, []
wanted = torch.arange(10 * each) % 10
asked = wanted if trained.conditional else None
ways = {"σ² = β'": {"variance": "beta"},
        "σ² = β̃'": {"variance": "beta_tilde"}, "DDIM": {"method": "ddim"}}
for n, name in (*((10, name) for name in ways), (steps, "σ² = β̃'")):
    how = SamplingOptions(steps=n, **ways[name])
    chain = draw(model, schedule, labels_if_taken(wanted), how, seed=seed,
                 indices=range(10 * each))
    drawn = last(track(chain, n + 1, f"{n} steps, {name}")).cpu()
    found[n, name] = score(read_digits(reader, to_uint8(drawn)), asked, real)
    examples.append(drawn[2])
show_images(torch.stack(examples), "number 2",
            [f"{n}, {name}" for n, name in found])

# %% [markdown]
# ## Which are as good?
#
# So few digits tell only so much. For precision and coverage the table has how many
# points more they are than those of real digits, and a 95 % interval. Where the interval
# holds 0, chance alone may make such a difference.
#
# More precision than real digits is no triumph. Real handwriting has its odd ones, far
# from all others. Who draws only the usual gets more precision, and less coverage.

# %%
from ddpm_tutor import difference, real_card
card = real_card(reader, real, 10 * each).scores
rows, verdicts = [], []
far = {way: scores.frechet.mean > 10 * card.frechet.mean  # off as a whole
       for way, scores in found.items()}
for (n, name), scores in found.items():
    more = [difference(scores.precision, card.precision),
            difference(scores.coverage, card.coverage)]
    worse = far[n, name] or any(d.value < 0 and d.is_clear for d in more)
    verdicts.append(f"{n} steps, {name}: " + (
        "worse than real digits" if worse else
        f"no worse than real digits, as far as {10 * each} can tell"))
    right = scores.read_as_asked  # None for weights without labels
    rows.append((f"{n}, {name}", f"{100 * right.value:.0f}" if right else "-",
                 *map(str, more)))
show_table(f"{10 * each} digits each: points more than real digits "
           f"(precision {100 * card.precision.value:.0f} %, "
           f"coverage {100 * card.coverage.value:.0f} %)",
           ["steps", "as asked, %", "precision", "coverage"], rows)
poor = all(far.values())
say("\n".join(verdicts) + (
    "\nWith these weights it is not a matter of steps. In what the classifier sees, they all "
    "lie more than 10 times as far from real digits as real digits do (in the Fréchet "
    "distance of lesson 5). Precision alone would not tell: the classifier knows nothing but "
    "digits, and takes much for one, even noise." if poor else ""))

# %% [markdown]
# ## Sharing the way down to t
#
# When is the picture decided? Four runs share `x_T` and all noises down to some t,
# and part ways there (the paper's Fig. 7). We do that with five chains. No label
# tells them what to draw.
#
# To share down to t = 1000 is to share `x_T` alone. To share down to 200 is to
# share all but the last 200 of the thousand.

# %%
ask_choice(
    "What decides which digit Algorithm 2 draws?",
    [
        ("x_T, where they all start",
         "Share x_T alone, and the runs differ as strangers do: see the next step."),
        ("the z of the middle steps",
         "Yes. The next step measures which they are."),
        ("the z of the last few steps",
         "They are small, and what they change is small: see the next step."),
    ],
    answer=1,
    part="11.6 f",
    points=1,
)

# %%
short, times = respaced(schedule, steps)
def way_down(x, start, noise, name):  # Algorithm 2, with σ² = β̃'
    levels = {start: x}
    with torch.no_grad():
        for i in track(range(start, 0, -1), start, name):
            at = torch.full((len(x),), i, device=where)
            eps = model(x, times.to(where)[at])
            z = normal(x.shape, noise, where)
            x = levels[i - 1] = p_step(short, x, at, eps, z, "beta_tilde")
    return levels  # each x on the way

noise = stream(seed, "shared")
x_T = normal((5, 1, 32, 32), noise, where)
shared = way_down(x_T, steps, noise, "Shared")

# %% [markdown]
# ## Where they part
#
# From each of five levels on the four runs have noises of their own. Where does the
# digit become the same?

# %%
rows, ends = [], {}
a, b = torch.combinations(torch.arange(4)).T  # the pairs of runs
for t in (1000, 800, 600, 400, 200):
    start, apart = steps * t // 1000, stream(seed, "apart", t)
    x = shared[start].repeat_interleave(4, 0)
    x = way_down(x, start, apart, f"Parted at {t}")[0]
    ends[t] = x.view(5, 4, 1, 32, 32).cpu()  # (chain, run, ...)
    read = read_digits(reader, to_uint8(x)).classes.view(5, 4)
    alike = (read[:, a] == read[:, b]).float().mean()
    rows.append((t, mean_distance(ends[t]).item(), f"{alike:.0%}"))
    if t == 1000:  # two runs of different chains
        strangers = mean_distance(ends[t].transpose(0, 1)).item()
        other = (read[:, None] == read).float()  # (chain, chain, run)
        by_chance = (other.sum() - 20) / 80  # less each run beside itself

# %%
names = ["shared to 800"] * 2 + ["shared to 200"] * 3
show_images(torch.cat([ends[800][0, :2], ends[200][0, :3]]),
            "runs of one chain", names)
show_table("Two runs of one chain", ["shared down to t", "mean distance",
                                     "the same digit"], rows)
near = {t: distance / strangers for t, distance, _ in rows}
still_free = min((t for t in near if near[t] > 0.8), default=0)
decided = max((t for t in near if near[t] < 0.5), default=1000)
say(f"Two runs of different chains lie {strangers:.1f} apart, and {by_chance:.0%} show the "
    "same digit, by chance. " + (
        f"So most is decided between {still_free} and {decided}, by the z there."
        if near[800] > 0.8 and near[200] < 0.5 and still_free > decided
        else "With these weights it is not decided between 800 and 200 alone."))

# %% [markdown]
# ## What T costs
#
# The paper takes T = 1000 (Section 4). What would more cost?

# %%
ask_choice(
    "You take T = 2000 instead of 1000. What becomes twice as expensive?",
    [
        ("training and drawing", "A training step still looks at one t for "
         "each picture."),
        ("a training step", "It still looks at one t for each picture. There are more t "
         "to draw from, that is all."),
        ("a digit drawn", "Yes. Each step is a call of the network, one after another. "
         "(Unless it skips.)"),
    ],
    answer=2,
    part="11.6 c",
    points=2,
)

# %%
import time
from ddpm_tutor import guided_eps
calls = []
def counted(*inputs):  # the network's prediction, and one more call
    calls.append(inputs)
    return guided_eps(*inputs)

for n in (25, 50):
    calls.clear()
    began = time.perf_counter()
    chain = draw(model, schedule, None, SamplingOptions(steps=n), seed=seed,
                 indices=[0], equations=Equations(guided_eps=counted))
    _ = last(track(chain, n + 1, f"{n} steps")).cpu()  # waits for a GPU
    print(f"{n} steps: {len(calls)} calls of the network, "
          f"{time.perf_counter() - began:.2f} s")
say("The calls are what counts: seconds also depend on what else the computer does.")

# %% [markdown]
# ## See the picture, name the bug
#
# Whoever writes Algorithm 2 gets line 4 wrong once, and each mistake has a face of
# its own. Here is one. All else is the same: the network, `x_T`, the noise.

# %%
from ddpm_tutor.classroom.tools import find_bug, show_runs
names = ["sign", "no_noise", "jump"]
pick = torch.randint(3, (1,), generator=stream(seed, "bug"))
bug = find_bug(names[pick])
label, runs = labels_if_taken(torch.tensor([0, 3])), {}
for wrong, title in ((False, "line 4 as it is"), (True, "with the mistake")):
    chain = bug.draw(trained, label, SamplingOptions(steps=steps),
                     wrong=wrong, seed=seed, indices=range(2))
    states = track(chain, steps + 1, "Sampling")
    runs[title] = list(frames_of(states, schedule))
show_runs(runs)

say("Line 4 as it is draws no good digits with these weights either, so the mistake may not "
    "show. How each looks with the shipped ones: ddpm-tutor gif --bug sign, no_noise or jump."
    if poor else "What is there too much of, or too little?")
def reply(name):  # to whoever says that it is this one
    so = "Yes. " if name == bug.name else "Not here. "
    return so + find_bug(name).mistake.leads_to

# %%
ask_choice(
    "Which mistake was made in line 4?",
    [
        ("ε_θ is added, not taken out", reply("sign")),
        ("σ_t z is left out at every t", reply("no_noise")),
        ("the mean is the guess of x_0", reply("jump")),
    ],
    answer=names.index(bug.name),
)
say("There are more of them: ddpm-tutor gif --bug list.")

# %% [markdown]
# ## Recap
#
# - Knowing `x_0`, the step back is a bell curve (Eq. 6, 7). Its mean is linear in
#   `x_0`, so the network's guess may stand there, and that is Eq. 11. The true step
#   back is a mixture, a bell curve only where steps are small.
# - Algorithm 2: mean plus fresh noise, T times; no noise at t = 1.
# - The fresh noise keeps the spread of `x_t` right. Without it well trained weights
#   slide to the emptiest pictures there are.
# - With them the z decide the picture, most of all those of the middle steps, and
#   `x_T` hardly counts. DDIM is the deterministic step that works.
# - A drawing costs T calls, a training step one, whatever T is. Both samplers can skip
#   steps with the same network, but one bell curve fits a long step less well.
#
# Lesson 5: drawing the digit you ask for.
