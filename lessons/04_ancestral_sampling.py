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
# `--set checkpoint=runs/mnist/weights.safetensors`.
#
# They can also be told which digit to draw, by a *label* (lesson 5). In some
# steps we tell them, in others not. Each says so.

# %% tags=["parameters"]
checkpoint = ""  # empty: the shipped weights
seed = 0  # another seed: another picture, other noise
chain_steps = 1000  # of the longest chains; divides 1000, as 500, 200 or 100
steps = 100  # where many are drawn; divides 1000
device = "auto"  # auto, cpu, cuda or mps

# %%
import time
from itertools import pairwise
from pathlib import Path
import torch

from ddpm_tutor import (
    SamplingOptions, TutorError, beta_tilde, choose_device, ddim_step, draw,
    for_sampling, last, linear_schedule, load_checkpoint, load_classifier,
    load_digits, load_real_digits, normal, p_mean, p_step, predict_eps,
    predict_x_0, q_posterior, q_sample, read_digits, real_card, respaced,
    sample, score, stream, to_uint8, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, find_bug, frames_of, save_film, sheet, show,
    show_download, show_images, show_table, track,
)

# %%
where = choose_device(device)
print(f"computing on {where}")
trained = load_checkpoint(Path(checkpoint) if checkpoint else None, where)
model, schedule = trained.model, trained.schedule.to(where)
generator = stream(seed, "lesson 4")
if not all(n > 0 and 1000 % n == 0 for n in (steps, chain_steps)):
    raise TutorError("steps and chain_steps must divide 1000, as 100 does.")

# %% [markdown]
# ## If you knew the picture
#
# Say that you know both `x_t` and `x_0`. Then the step before, `x_{t-1}`, is drawn
# from a bell curve with a known mean and variance (Eq. 6, 7). The paper writes it
# `q(x_{t-1} | x_t, x_0) = N(x_{t-1}; μ̃_t, β̃_t I)`:
#
#     μ̃_t = (√ᾱ_{t-1} β_t x_0 + √α_t (1 - ᾱ_{t-1}) x_t) / (1 - ᾱ_t)
#     β̃_t = (1 - ᾱ_{t-1}) / (1 - ᾱ_t) · β_t
#
# The mean is a mix of both. How much of each?

# %%
rows = []
for t in (1, 2, 10, 100, 500, 1000):
    zero, one = torch.tensor([[0.0], [1.0]], device=where).split(1)
    step = torch.tensor([t], device=where)
    coef_x_0, _ = q_posterior(schedule, zero, one, step)
    coef_x_t, variance = q_posterior(schedule, one, zero, step)
    rows.append((t, coef_x_0.item(), coef_x_t.item(), variance.item()))

# %%
ask_number(
    "At t = 500, what is the weight of x_0 in μ̃_t?",
    dict((row[0], row[1]) for row in rows)[500],
    tolerance=0.05,
    why="One step is short: it stays close to x_t. The last one alone lands on x_0.",
)
show_table("μ̃_t and β̃_t", ["t", "weight of x_0", "of x_t", "β̃_t"], rows)

# %% [markdown]
# ## From the posterior to Eq. 11
#
# We don't know `x_0`. But the network guesses the noise, and Eq. 15 makes a guess
# of `x_0` from it. Put that guess into Eq. 7, tidy up, and this comes out:
#
#     μ_θ(x_t, t) = (x_t - β_t / √(1 - ᾱ_t) · ε_θ(x_t, t)) / √α_t          (11)
#
# No `x_0` in it any more. We check that both ways agree, at every t.

# %%
t = torch.arange(1, schedule.T + 1, device=where)
noisy, eps = (normal((1000, 1, 4, 4), generator, where) for _ in range(2))
guess = predict_x_0(schedule, noisy, t, eps)
by_eq_7, _ = q_posterior(schedule, noisy, guess, t)
by_eq_11 = p_mean(schedule, noisy, t, eps)
difference = (by_eq_7 - by_eq_11).abs().max()
print(f"largest difference over all t: {difference:.1e}")

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
# Line 4 is the mean of Eq. 11 plus noise of size `σ_t = √β_t`. (`1 - α_t` is
# `β_t`.) We take one such step apart, on a 5 of the data at t = 300, and tell the
# network that it is a 5.

# %%
digits = load_digits(progress=show_download)
print(digits.source)
same = digits.of_class(5)
x_0 = to_unit_range(same[seed % len(same)])[None].to(where)
t = torch.tensor([300], device=where)
x_300 = q_sample(schedule, x_0, t, normal(x_0.shape, generator, where))
five = torch.tensor([5], device=where) if trained.conditional else None
with torch.no_grad():
    eps_300 = model(x_300, t, five)
mean = p_mean(schedule, x_300, t, eps_300)
z = normal(x_0.shape, generator, where)
x_299 = p_step(schedule, x_300, t, eps_300, z)

# %%
ask_choice(
    "The mean, or x_300: which has the smaller std?",
    [
        ("the mean", "Yes. Noise was taken out of it. Then σ z brings the spread back, nearly: "
         "see the last line."),
        ("x_300", "Then taking noise out would add spread."),
        ("neither: they are equal", "Then x_299, with σ z on top, would be noisier than x_300."),
    ],
    answer=0 if mean.std() < x_300.std() else 1,
)
parts = {"x_300": x_300, "ε_θ": eps_300, "mean": mean, "z": z}
parts["x_299"] = x_299
rows = [(k, v.mean().item(), v.std().item()) for k, v in parts.items()]
show_table("One step of Algorithm 2", ["", "mean", "std"], rows)
show_images(torch.cat(list(parts.values())), "its parts", list(parts))
sigma = schedule.beta[300] ** 0.5
print(f"σ_300 = {sigma:.4f}, √(std(mean)² + σ_300²) = "
      f"{(mean.var() + sigma**2).sqrt():.3f}")

# %%
ask_choice(
    "Which three ingredients make x_{t-1}?",
    [
        ("x_t, the predicted noise, fresh noise",
         "Yes. Take out some of the predicted noise, rescale, add fresh noise."),
        ("x_0, x_t and fresh noise",
         "That is Eq. 6, for one who knows x_0. While sampling nobody does."),
        ("x_T, the predicted noise and the label",
         "x_T is only the start. The step needs the present x_t."),
    ],
    answer=0,
    part="11.6 b",
    points=1,
)

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
rows = [(name, (x - x_299).abs().max().item(), x.std().item())
        for name, x in formulas.items()]
show_table("Against p_step", ["formula", "largest difference", "std"], rows)
too_much = ((1 - schedule.alpha_bar[2]) / (1 - schedule.alpha_bar[1])).sqrt()
print("The off-by-one hides at t = 300. At t = 2 it takes out "
      f"{too_much:.2f} times as much as it should, at t = 1 it divides by 0.")

# %% [markdown]
# ## All thousand steps
#
# Ten digits at once, from t = 1000 down to 0. The labels ask for 0 to 9. We keep
# `x_t` at every hundredth step, and the network's guess of `x_0` beside it.

# %%
labels = torch.arange(10, device=where) if trained.conditional else None
chain = draw(model, schedule, labels, SamplingOptions(steps=chain_steps),
             seed=seed, indices=range(10))
history, guesses = {}, {}
for state in track(chain, chain_steps + 1, "Sampling"):
    if state.t % 100 == 0:
        history[state.t] = state.x_t.cpu()
        guesses[state.t] = state.x_0_hat.cpu()
digits_drawn = history.pop(0)
show(digits_drawn, "ten digits")

# %%
by_digit = torch.stack([*list(history.values())[1:], digits_drawn], dim=1)
ask_choice(
    "by_digit is laid out in rows of ten pictures. What is along a row?",
    [
        ("the ten digits, all at the same t",
         "dim=1 puts the times second. The ten digits are down a column."),
        ("one digit at t = 900, 800, ..., 0",
         "Yes. And down a column are the ten digits, all at the same t."),
        ("one digit, as its training goes on", "The weights never change here."),
    ],
    answer=1,
    part="11.6 e",
    points=1,
)

# %%
one, names = 7, [f"t = {t}" for t in history]
show(sheet(by_digit.flatten(0, 1), [*names[1:], "t = 0"], columns=10),
     "lesson 4 history")
row = torch.stack([x_t[one] for x_t in history.values()])
show_images(row, "one digit on its way", names)

# %% [markdown]
# ## What it takes x_0 for
#
# On that way the network guessed the noise at every step, and so `x_0` too
# (Eq. 15). Here is what it took `x_0` for, at the same t as above.
#
# What did it see in the pure noise at t = 1000? And where does the guess change
# most?

# %%
ask_choice(
    "x_1000 is nothing but noise. What does the guess of x_0 look like there?",
    [
        ("like noise", "The network takes nearly all of x_1000 for noise. What is left "
         "is what it knows beforehand."),
        ("like a blurred digit",
         "Yes. Where nothing can be seen, the least squared error is that of the mean, "
         "here of all digits with that label."),
        ("like a sharp digit", "Which of all the 7s? Nothing in x_1000 tells. So it must "
         "not decide yet."),
    ],
    answer=1,
)

# %%
row = torch.stack([guesses[t][one] for t in history])
show_images(row, "the guess of x_0", names)
kinds = [digits.of_class(digit) for digit in range(10)]
if not trained.conditional:  # no label: all digits are one kind
    kinds = [digits.train_images] * 10
means = torch.stack([to_unit_range(kind).mean(dim=0) for kind in kinds])
print("How far the ten guesses are from the mean of all such digits (RMS):")
for t in (1000, 0):
    print(f"t = {t}: {(guesses[t] - means).square().mean().sqrt():.2f}")
rows = [(f"{a} to {b}", (guesses[a] - guesses[b]).abs().mean().item())
        for a, b in pairwise(guesses)]
show_table("How the guess changes", ["t", "mean change"], rows)

# %% [markdown]
# ## The last step
#
# In line 3, z = 0 at t = 1. But `σ_1` is not 0. Why add no noise there?

# %%
ask_choice(
    "Why is z = 0 at t = 1?",
    [
        ("noise would drive x_0 out of the minimum", "Nothing is minimised while sampling."),
        ("the network can't predict noise at t = 1", "It can, and is asked to: ε_θ(x_1, 1)."),
        ("it would only stay in the picture",
         "Yes. Earlier, z gives x_{t-1} the spread that the network expects. After the "
         "last step no network looks any more: the mean is shown (Section 3.3)."),
    ],
    answer=2,
    part="11.6 a",
    points=1,
)

# %%
t = torch.tensor([1], device=where)
x_1 = q_sample(schedule, x_0, t, z)
with torch.no_grad():
    eps_1 = model(x_1, t, five)  # told that it is a 5
added = p_step(schedule, x_1, t, eps_1, z) - p_mean(schedule, x_1, t, eps_1)
print(f"p_step adds at t = 1: {added.abs().max():.1f}")
sigma = schedule.beta[1] ** 0.5
print(f"σ_1 = {sigma:.2f}: {sigma * 127.5:.1f} of 255 shades of grey")
sigma = (1 - schedule.alpha_bar[20]) ** 0.5
print(f"A last step from t = 20 to 0 would leave {sigma * 127.5:.1f} shades.")

# %% [markdown]
# ## Which σ?
#
# The paper allows two choices for the size of the noise: `σ_t² = β_t`, or
# `σ_t² = β̃_t` of Eq. 7. The first is best if the data were N(0, I), the second if
# there were only one picture (Section 3.2). How different are they?

# %%
times = torch.tensor([2, 3, 5, 10, 100, 1000], device=where)
ratio = (beta_tilde(schedule, times) / schedule.beta[times]).sqrt()
ask_number(
    "At t = 100, how large is √β̃_t as a share of √β_t?",
    ratio[4],
    tolerance=0.05,
    why="They differ in the last few steps only. The paper found that both "
        "work equally well (Section 3.2). With fewer steps they part, as we shall see.",
)
rows = [(t.item(), schedule.beta[t].item() ** 0.5, r.item())
        for t, r in zip(times, ratio, strict=True)]
show_table("σ_t", ["t", "√β_t", "√β̃_t / √β_t"], rows)

# %% [markdown]
# ## Clip the guess, never x_t
#
# To save time we will often take only some of the 1000 steps, evenly spread:
# Algorithm 2 on a shorter schedule. Then each step leans more on the network's
# guess of `x_0`, which may leave [-1, 1], where pictures live. The authors' code
# *clips* the guess: values beyond are set to -1 or 1.
#
# A common mistake looks alike: clamping `x_t` itself to [-1, 1] after each step.
# But `x_t` is meant to be noisy, with values up to 4.
#
# We run 50 steps in three ways, with the same noise, and ask for 0 to 4.

# %%
short, times = respaced(schedule, 50)
x_T = normal((5, 1, 32, 32), stream(seed, "clip"), where)
label = torch.arange(5, device=where) if trained.conditional else None

beyond = {}  # how far the guess leaves [-1, 1], by t

def run(clip, clamp):
    noise, x = stream(seed, "clip", 1), x_T
    for i in track(range(50, 0, -1), 50, "Drawing"):
        at = torch.full((5,), i, device=where)
        eps = model(x, times.to(where)[at], label)
        guess = predict_x_0(short, x, at, eps)
        if clip:
            out, top = (guess.abs() > 1).float().mean(), guess.abs().max()
            beyond[times[i].item()] = f"{out:.0%}", top.item()
            eps = predict_eps(short, x, at, guess.clamp(-1, 1))
        x = p_step(short, x, at, eps, normal(x.shape, noise, where))
        x = x.clamp(-1, 1) if clamp else x
    return x

# %%
ask_choice(
    "x_t is clamped to [-1, 1] after every step. What becomes of the black "
    "background?",
    [
        ("it turns a little grey",
         "Yes. Clamping cuts the noise off on one side only, the side below -1. "
         "So the mean is pushed up."),
        ("it stays black, as it should be",
         "Then clamping would cut both sides alike. But black is -1, right at the edge."),
        ("it gets noisy", "Clamping takes noise away: the least of all three, see below."),
    ],
    answer=0,
)

# %%
ways = {"nothing clipped": (False, False), "the guess clipped": (True, False),
        "x_t clamped": (False, True)}
rows = []
with torch.no_grad():
    for name, how in ways.items():
        drawn = run(*how).cpu()
        saved = to_uint8(drawn).float()  # from 0, black, to 255, white
        edge = saved[:, :, :4]  # the upper four lines: background
        rows.append((name, drawn.abs().max().item(), edge.mean().item(),
                     edge.std().item()))
        show_images(drawn, name)
show_table("50 steps", ["", "largest |x_0|", "background, of 255",
                        "its noise, of 255"], rows)
rows = [(t, *beyond[t]) for t in (1000, 800, 600, 400, 200, 20)]
show_table("The guess, before it is clipped",
           ["t", "pixels clipped", "largest |guess|"], rows)
print("Many pixels, but by little: here clipping changes little.")

# %% [markdown]
# ## Ten runs from one x_T
#
# Start ten times from the very same noise `x_T`, and ask for a 4 each time. Will
# the ten pictures be the same?
#
# We do so with five `x_T`, and compare pictures from one with those from another.
# To save time each run takes 100 of the 1000 steps, with `σ² = β̃` and the guess
# clipped.

# %%
ask_choice(
    "Ten runs start from the same x_T. How alike are the ten pictures?",
    [
        ("equal, pixel by pixel", "Then x_T and the label would decide everything. Look."),
        ("nearly equal: the same 4 with small differences",
         "Then x_T would decide the shape, and only the details would vary. Look."),
        ("as different as from ten x_T",
         "Yes. To the eye they are, and the two mean distances below hardly differ."),
    ],
    answer=2,
    part="11.7 a",
    points=1,
)

# %%
x_T = normal((5, 1, 32, 32), stream(seed, "one x_T"), where)
label = torch.full((50,), 4, device=where) if trained.conditional else None
chain = draw(model, schedule, label, SamplingOptions(steps=steps), seed=seed,
             indices=range(50), x_T=x_T.repeat_interleave(10, dim=0))
runs = last(track(chain, steps + 1, "Five times ten runs"))
runs = runs.view(5, 10, 1, 32, 32)  # (x_T, run, 1, 32, 32)

def mean_distance(groups):  # between two pictures of a group, and its error
    each = torch.stack([torch.pdist(g.flatten(1)).mean() for g in groups])
    return f"{each.mean():.1f} ± {each.std() / len(each) ** 0.5:.1f}"

print("Mean distance between two pictures (root of summed squares)")
print(f"from one x_T:       {mean_distance(runs)}")
print(f"from different x_T: {mean_distance(runs.transpose(0, 1))}")
show_images(runs[0], "ten runs from one x_T")

# %%
ask_choice(
    "Why do ten runs from one x_T differ?",
    [
        ("each step adds a fresh z, which buries x_T",
         "Yes. Algorithm 2 walks the forward chain backwards, and in that chain x_T and "
         "x_0 share next to nothing: ᾱ_T = 0.00004."),
        ("the network has dropout, so it guesses anew each time",
         "It has none, and it is in eval mode."),
        ("rounding errors, which grow from step to step",
         "Rounding is far too small to turn one 4 into another."),
    ],
    answer=0,
    part="11.7 b",
    points=1,
)

# %% [markdown]
# ## What if we leave the noise out?
#
# What if no noise is added? Where would you change Algorithm 2? Predict what comes
# out, then see. There is no label here: any digit may come.
#
# We watch the spread of `x_t`, and beside it the spread that the forward process
# has at the same t.

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
        ("eight thin digits of a few kinds", "Yes. Why? Compare the two spreads."),
    ],
    answer=2,
    part="11.7 d",
    points=1,
)

# %%
x_t = normal((8, 1, 32, 32), stream(seed, "no noise"), where)
real, rows = to_unit_range(digits.train_images[:500]), []
short, times = respaced(schedule, chain_steps)
quick = for_sampling(model, times.tolist()[:0:-1], 8)  # the same network
with torch.no_grad():
    for i in track(range(chain_steps, 0, -1), chain_steps, "Without noise"):
        at, t = torch.full((8,), i, device=where), times[i - 1].item()
        eps = quick(x_t, times.to(where)[at])
        x_t = p_step(short, x_t, at, eps, torch.zeros_like(x_t))  # at t now
        if t in (900, 700, 500, 300, 100):
            eps = normal(real.shape, generator, "cpu")
            all_t = torch.full((len(real),), t)
            noisy = q_sample(linear_schedule(), real, all_t, eps)
            rows.append((t, x_t.std().item(), noisy.std().item()))
show_table("std of x_t", ["t", "without noise", "forward process"], rows)
show(x_t.cpu(), "eight samples without noise")

# %%
ask_choice(
    "What does the noise z do in Algorithm 2?",
    [
        ("it makes the pictures varied, but one could leave it out",
         "You saw what happens: nearly all variety is gone, and the strokes are thin."),
        ("it keeps the spread of x_t as in training",
         "Yes. Each mean shrinks the spread; the fresh noise restores it."),
        ("it hides the errors that the network makes",
         "What you saw without it is no small error: the std is far too low."),
    ],
    answer=1,
    part="11.7 e",
    points=1,
)

# %% [markdown]
# ## The right way without noise
#
# A sampler without noise is possible. But then the step itself must be another
# one. Take the guess `x̂_0` of Eq. 15, and go to the point at t - 1 that has the
# *same* noise `ε_θ` (DDIM, Song et al. 2020):
#
#     x_{t-1} = √ᾱ_{t-1} x̂_0 + √(1 - ᾱ_{t-1}) ε_θ
#
# Now `x_T` and the label decide everything, and many steps can be skipped. We ask
# for 0 to 4, from the same `x_T`, in 5, 10 and 50 steps, each twice.

# %%
label = torch.arange(5, device=where) if trained.conditional else None
x_T = normal((5, 1, 32, 32), stream(seed, "ddim"), where)
spread, made = {}, {}
for n in (5, 10, 50):
    for run in (1, 2):
        how = SamplingOptions(method="ddim", steps=n, clip=True)
        chain = sample(model, schedule, x_T, how, label=label)
        for state in track(chain, n + 1, f"DDIM, {n} steps"):
            spread[state.t] = state.x_t.std().item()
        made[n, run] = state.x_t.cpu()

# %%
ask_number(
    "Without noise, std(x_500) fell to about 0.1. What is it with DDIM?",
    spread[500],
    tolerance=0.1,
    why="The spread stays as in the forward process. So the network sees what it "
        "was trained on.",
)
for n in (5, 10, 50):
    show_images(made[n, 1], f"DDIM, {n} steps")
    print(f"twice the same: {torch.equal(made[n, 1], made[n, 2])}")
change = (made[10, 1] - made[50, 1]).flatten(1).norm(dim=1).mean()
print(f"distance from 10 steps to 50: {change:.1f}")
print(f"between two 4s of Algorithm 2: {mean_distance(runs)}")

# %% [markdown]
# ## How many steps?
#
# We ask for 80 digits, eight of each kind. With 10 steps we draw them in three
# ways: Algorithm 2 with `σ² = β`, with `σ² = β̃`, and DDIM; with 100 steps in the
# first way only. The package's classifier, a small network of its own, says how
# many are read as asked.
#
# A blot can be read too. So we also ask how many lie as near to a real digit as
# real digits lie to each other, in what the classifier sees of them. That is the
# *precision*. In brackets is its 95 % interval. Where two intervals overlap, 80
# digits are too few to tell which is better.

# %%
reader, real, rows = load_classifier(where).model, load_real_digits(), []
wanted = torch.arange(80) % 10
label = wanted.to(where) if trained.conditional else None
ways = {"σ² = β": {"variance": "beta"}, "σ² = β̃": {"variance": "beta_tilde"},
        "DDIM": {"method": "ddim"}}
for n, name in (*((10, name) for name in ways), (steps, "σ² = β")):
    how = SamplingOptions(steps=n, **ways[name])
    chain = draw(model, schedule, label, how, seed=seed, indices=range(80))
    drawn = last(track(chain, n + 1, f"{n} steps, {name}")).cpu()
    found = read_digits(reader, to_uint8(drawn))
    scores = score(found, wanted, real)
    rows.append((n, name, scores.read_as_asked, scores.precision))
    show_images(drawn[:5], f"{n} steps, {name}")

# %%
card = real_card(reader, real, 80)
rows.append(("", "real digits", card.scores.read_as_asked,
             card.scores.precision))
show_table("Fewer steps",
           ["steps", "sampler", "as asked, %", "precision, %"], rows)
for n in (1000, 10):
    short, _ = respaced(schedule, n)
    late = torch.tensor([n // 5], device=where)  # at t = 200
    ratio = (short.beta[late] / beta_tilde(short, late)).sqrt().item()
    print(f"with {n} steps, at t = 200, √β is {ratio:.2f} times √β̃")

# %%
ask_choice(
    "Do we need all 1000 steps?",
    [
        ("no: far fewer give as good digits",
         "Yes. Real digits score about the same, so more steps have little left to gain. "
         "Only σ² = β with 10 steps stands out: a long step with it puts back more noise "
         "than it should."),
        ("no: stop at t = 200 and show x_200",
         "Look at x_200 in the history: noise of size √0.34 = 0.58 lies over it."),
        ("yes: each removes noise of its own",
         "Neighbouring steps ask the network nearly the same. DDIM made do with 10."),
    ],
    answer=0,
    part="11.6 g",
    points=1,
)

# %% [markdown]
# ## Sharing the way down to t
#
# When is the picture decided? Four runs share `x_T` and all noises down to some t,
# and part ways there (the paper's Fig. 7). That is one chain; we take five. No
# label tells them what to draw.
#
# To share down to t = 1000 is to share `x_T` alone. To share down to 200 is to
# share all but the last 200 steps. Where does the digit become the same?

# %%
ask_choice(
    "What decides which digit Algorithm 2 draws?",
    [
        ("x_T, the start",
         "Share x_T alone, and the runs differ as strangers do: see the first row below."),
        ("the z of the middle steps",
         "Yes. Shared down to 800, they differ about as strangers do; down to 200, "
         "most show one digit. It is decided in between: see the table below."),
        ("the z of the last few steps",
         "They are small. Share all but those, and mostly details differ: see the last "
         "row below."),
    ],
    answer=1,
    part="11.6 f",
    points=1,
)

# %%
rows, stride = [], schedule.T // steps
for down_to in (1000, 800, 600, 400, 200):
    shared, apart = stream(seed, "shared"), stream(seed, "apart", down_to)
    x = normal((5, 1, 32, 32), shared, where).repeat_interleave(4, 0)
    with torch.no_grad():
        for i in track(range(1000, 0, -stride), steps, f"To {down_to}"):
            t = torch.full((20,), i, device=where)
            z = normal((5, 1, 32, 32), shared, where).repeat_interleave(4, 0)
            if i <= down_to:
                z = normal((20, 1, 32, 32), apart, where)
            eps = model(x, t)
            x = ddim_step(  # with eta = 1 it is Algorithm 2 with σ² = β̃
                schedule, x, t, t - stride, eps, eta=1.0, z=z)
    chains = x.view(5, 4, 1, 32, 32)  # (chain, run, 1, 32, 32)
    if down_to == 1000:
        strangers = mean_distance(chains.transpose(0, 1))
    read = read_digits(reader, to_uint8(x)).classes.view(5, 4)
    a, b = torch.combinations(torch.arange(4)).T  # the pairs of runs
    alike = (read[:, a] == read[:, b]).float().mean()
    rows.append((down_to, mean_distance(chains), f"{alike:.0%}"))
    show_images(chains[0], f"one chain, shared down to t = {down_to}")

# %%
show_table("Two runs of one chain",
           ["shared down to t", "mean distance", "read as one digit"], rows)
print(f"Two runs of different chains: mean distance {strangers},")
print("and one digit about once in ten, by chance")

# %% [markdown]
# ## A film
#
# A digit appearing, as a GIF: `x_t` on the left, the guess of `x_0` on the
# right. We ask for a 3, so the first guess is the mean of all 3s. Watch it become
# one of them, before `x_t` does.

# %%
label = torch.tensor([3]) if trained.conditional else None
chain = draw(model, schedule, label, SamplingOptions(steps=chain_steps),
             seed=seed, indices=[0])
frames = frames_of(track(chain, chain_steps + 1, "Filming"), schedule)
_ = save_film(frames, "lesson 4 denoising")

# %% [markdown]
# ## What T costs
#
# A training step costs the same whatever T is (lesson 3). And sampling?

# %%
ask_choice(
    "You double T to 2000 and take every step. What does drawing a digit cost?",
    [
        ("the same, as in training", "Every step is a call of the network, one after "
         "another."),
        ("twice as much", "Yes. Sampling costs T calls. Training steps stay as they were."),
        ("a little more: each step is easier", "A call costs the same, however little "
         "noise it takes out."),
    ],
    answer=1,
    part="11.6 c",
    points=2,
)

# %%
took = {50: [], 100: []}  # seconds
for _ in track(range(3), 3, "Drawing"):
    for n, times in took.items():
        began = time.perf_counter()
        chain = draw(model, schedule, label, SamplingOptions(steps=n),
                     seed=seed, indices=[0])
        _ = last(chain).cpu()  # .cpu() waits for a GPU to be done
        times.append(time.perf_counter() - began)
for n, times in took.items():  # the quickest was disturbed least
    print(f"{n} steps take {min(times):.2f} s, the quickest of three times")

# %% [markdown]
# ## See the picture, name the bug
#
# Whoever writes Algorithm 2 gets line 4 wrong once, and each mistake has a face of
# its own. Here one was made on purpose. All else is the same: the network, `x_T`,
# the noise.
#
# There are more of them: `ddpm-tutor gif --bug list`.

# %%
names = ["sign", "no_noise", "jump"]
pick = torch.randint(3, (1,), generator=stream(seed, "bug"))
bug = find_bug(names[pick])
label = torch.arange(5) if trained.conditional else None
for wrong, title in ((False, "line 4 as it is"), (True, "with the mistake")):
    chain = bug.draw(trained, label, SamplingOptions(steps=steps),
                     wrong=wrong, seed=seed, indices=range(5))
    show_images(last(track(chain, steps + 1, "Sampling")), title)

def reply(name):  # to whoever says that it is this one
    leads_to = find_bug(name).mistake.leads_to
    return ("Yes. " if name == bug.name else "Not here. ") + leads_to

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

# %% [markdown]
# ## Recap
#
# - Knowing `x_0`, the step back is a bell curve (Eq. 6, 7). With the network's
#   guess of `x_0` in it, its mean is Eq. 11.
# - Algorithm 2: mean plus fresh noise, T times; no noise at t = 1.
# - The fresh noise keeps the spread of `x_t` right. Without it all slides to the
#   emptiest pictures there are.
# - The z decide the picture, most of all those of the middle steps; `x_T` hardly
#   counts. DDIM is the deterministic step that works, and it can skip.
#
# Lesson 5: drawing the digit you ask for.
