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

# %% tags=["parameters"]
checkpoint = ""  # empty: the shipped weights
seed = 0  # another seed: another picture, other noise
chain_steps = 1000  # of the first chain; divides 1000, as 500, 200 or 100
steps = 250  # of the ten runs and the shared ones; divides 1000
device = "auto"  # auto, cpu, cuda or mps

# %%
import time
from pathlib import Path
import torch

from ddpm_tutor import (
    beta_tilde, choose_device, ddim_step, draw, last, linear_schedule,
    load_checkpoint, load_classifier, load_digits, normal, p_mean, p_step,
    predict_eps, predict_x_0, q_posterior, q_sample, read_digits, respaced,
    sample, stream, to_uint8, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, frames_of, save_film, save_grid, show,
    show_download, show_images, show_table, track,
)
from ddpm_tutor.science.evaluation import load_real_digits, real_card, score

where = choose_device(device)
trained = load_checkpoint(Path(checkpoint) if checkpoint else None, where)
model, schedule = trained.model, trained.schedule.to(where)
generator = stream(seed, "lesson 4")
assert schedule.T % steps == 0, "steps must divide 1000"

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
    of_x_0, _ = q_posterior(schedule, zero, one, step)
    of_x_t, variance = q_posterior(schedule, one, zero, step)
    rows.append((t, of_x_0.item(), of_x_t.item(), variance.item()))
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
# `β_t`.) We take one such step apart, on a real digit at t = 300.

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
parts = {"x_300": x_300, "ε_θ": eps_300, "mean": mean, "z": z}
parts["x_299"] = x_299
rows = [(k, v.mean().item(), v.std().item()) for k, v in parts.items()]
show_table("One step of Algorithm 2", ["", "mean", "std"], rows)
show_images(torch.cat(list(parts.values())), "its parts", list(parts))
print(f"σ_300 = {schedule.beta[300] ** 0.5:.4f}")

# %%
ask_choice(
    "Which three ingredients make x_{t-1}?",
    [
        ("x_t, the predicted noise, and fresh noise",
         "Yes. Take out some of the predicted noise, rescale, add fresh noise."),
        ("x_0, x_t and t", "x_0 is what we are after. Nobody has it while sampling."),
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
# Choose, then the cell below puts the tensors of the last step into all of them,
# and into a fourth: the right one with `ᾱ` at t - 1, off by one.

# %%
ask_choice(
    "Which is line 4 of Algorithm 2? (α, β, ᾱ, σ at the present t)",
    [
        ("(x_t - √(1-ᾱ) ε_θ) / √ᾱ",
         "That is Eq. 15. It jumps to a guess of x_0 in one go."),
        ("(x_t - (1-α)/√(1-ᾱ) ε_θ) / √α  +  σ z",
         "Yes. A little of the noise is taken out, and fresh noise is put in."),
        ("(x_t - √β ε_θ) / √(1-β)  +  σ z",
         "That undoes Eq. 2 as if ε_θ were the noise of this step. But it is the "
         "noise of all t steps together."),
    ],
    answer=1,
    part="11.6 d",
    points=2,
)

# %%
beta, alpha, alpha_bar = (v[300].float() for v in (
    schedule.beta, schedule.alpha, schedule.alpha_bar))
before, sigma = schedule.alpha_bar[299].float(), beta.sqrt()
def b(at):  # with ᾱ at this t
    return (x_300 - (1 - alpha) / (1 - at).sqrt() * eps_300) / alpha.sqrt()

formulas = {
    "a": (x_300 - (1 - alpha_bar).sqrt() * eps_300) / alpha_bar.sqrt(),
    "b": b(alpha_bar) + sigma * z,
    "c": (x_300 - beta.sqrt() * eps_300) / (1 - beta).sqrt() + sigma * z,
    "off by one": b(before) + sigma * z,
}
rows = [(name, (x - x_299).abs().max().item(), x.std().item())
        for name, x in formulas.items()]
show_table("Against p_step", ["formula", "largest difference", "std"], rows)
too_much = ((1 - schedule.alpha_bar[2]) / (1 - schedule.alpha_bar[1])).sqrt()
print("The off-by-one hides at t = 300. At t = 2 it takes out "
      f"{too_much:.2f} times as much as it should.")

# %% [markdown]
# ## All thousand steps
#
# Ten digits at once, from t = 1000 down to 0. We keep `x_t` at every hundredth
# step, and the network's guess of `x_0` beside it.

# %%
labels = torch.arange(10, device=where) if trained.conditional else None
chain = draw(model, schedule, labels, seed=seed, indices=range(10),
             steps=chain_steps)
history, guesses = {}, {}
for moment in track(chain, chain_steps + 1, "Sampling"):
    if moment.t % 100 == 0:
        history[moment.t] = moment.x_t.cpu()
        guesses[moment.t] = moment.x_0.cpu()
digits_drawn = history.pop(0)
show(digits_drawn, "ten digits")

# %%
by_digit = torch.stack([*list(history.values())[1:], digits_drawn], dim=1)
_ = save_grid(by_digit.flatten(0, 1), "lesson 4 history", columns=10)
one, names = 7, [f"t = {t}" for t in history] + ["t = 0"]
row = torch.stack([x[one] for x in (*history.values(), digits_drawn)])
show_images(row, "one digit: x_t", names)
row = torch.stack([guesses[t][one] for t in history])
show_images(row, "the guess of x_0 at the same t", names)

# %%
ask_choice(
    "In the saved grid each row is one digit. What is along a row?",
    [
        ("ten different samples", "Those are the rows."),
        ("the same sample, from t = 900 on the left to t = 0 on the right",
         "Yes. The last few hundred steps change the most, to the eye."),
        ("the same sample with more and more training", "The weights never change here."),
    ],
    answer=1,
    part="11.6 e",
    points=1,
)

# %% [markdown]
# ## The last step
#
# In line 3, z = 0 at t = 1. But `σ_1` is not 0. Why add no noise there?

# %%
ask_choice(
    "Why is z = 0 at t = 1?",
    [
        ("to leave a local minimum", "Nothing is minimised while sampling."),
        ("noise there would only stay in the picture",
         "Yes. Earlier, z gives x_{t-1} the spread that the network expects. After the "
         "last step no network looks any more: the mean is shown (Section 3.3)."),
        ("the network can't predict noise at t = 1", "It can, and is asked to: ε_θ(x_1, 1)."),
    ],
    answer=1,
    part="11.6 a",
    points=1,
)

# %%
t = torch.tensor([1], device=where)
x_1 = q_sample(schedule, x_0, t, z)
with torch.no_grad():
    eps_1 = model(x_1, t, five)
added = p_step(schedule, x_1, t, eps_1, z) - p_mean(schedule, x_1, t, eps_1)
print(f"p_step adds at t = 1: {added.abs().max():.1f}")
sigma = schedule.beta[1] ** 0.5
print(f"σ_1 = {sigma:.2f}: {sigma * 127.5:.1f} of 255 shades of grey")

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
        "work equally well (Section 3.2). With fewer steps they part: see below.",
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
# We run 50 steps in three ways, with the same noise.

# %%
short, times = respaced(schedule, 50)
x_T = normal((5, 1, 32, 32), stream(seed, "clip"), where)
label = torch.arange(5, device=where) if trained.conditional else None

beyond = {}  # the share of the guess that leaves [-1, 1], by t

def run(clip, clamp):
    noise, x = stream(seed, "clip", 1), x_T
    for i in range(50, 0, -1):
        at = torch.full((5,), i, device=where)
        eps = model(x, times.to(where)[at], label)
        guess = predict_x_0(short, x, at, eps)
        if clip:
            outside = (guess.abs() > 1.05).float().mean()
            beyond[times[i].item()] = outside.item()
            eps = predict_eps(short, x, at, guess.clamp(-1, 1))
        x = p_step(short, x, at, eps, normal(x.shape, noise, where))
        x = x.clamp(-1, 1) if clamp else x
    return x

# %%
ask_choice(
    "x_t is clamped to [-1, 1] after every step. What becomes of the black "
    "background?",
    [
        ("black, as it should be", "Black is -1. Look at the mean in the table below."),
        ("it gets noisy", "It has the least noise of all three. See the table below."),
        ("it turns a little grey",
         "Yes. Clamping cuts the noise off on one side only, the side below -1. "
         "So the mean is pushed up."),
    ],
    answer=2,
)

# %%
ways = {"nothing clipped": (False, False), "the guess clipped": (True, False),
        "x_t clamped": (False, True)}
rows = []
with torch.no_grad():
    for name, how in ways.items():
        drawn = run(*how).cpu()
        edge = drawn[:, :, :4]  # the upper four lines: background
        grey = ((edge.mean() + 1) * 127.5).item()
        noise = (edge.std() * 127.5).item()
        rows.append((name, drawn.abs().max().item(), grey, noise))
        show_images(drawn, name)
show_table("50 steps; shades of 255",
           ["", "largest value", "background", "its noise"], rows)
rows = [(t, f"{beyond[t]:.0%}") for t in (1000, 800, 600, 400, 200, 20)]
show_table("How much of the guess is clipped", ["t", "share of pixels"], rows)

# %% [markdown]
# ## Ten runs from one x_T
#
# Start ten times from the very same noise `x_T`, with the same label, and let
# the noises z differ. Will the ten pictures be the same?

# %%
ask_choice(
    "Ten runs start from the same x_T. How alike are the ten pictures?",
    [
        ("equal", "Then z would not matter. It is added in every step."),
        ("nearly equal, with small differences",
         "The fresh z of the first few hundred steps bury what x_T held. See below."),
        ("as different as ten runs from ten different x_T",
         "Yes. To the eye they are, and the two mean distances below agree."),
    ],
    answer=2,
    part="11.7 a",
    points=1,
)

# %%
x_T = normal((1, 1, 32, 32), stream(seed, "one x_T"), where)
label = torch.full((10,), 4, device=where) if trained.conditional else None
runs = draw(model, schedule, label, seed=seed, indices=range(10),
            steps=steps, x_T=x_T.expand(10, -1, -1, -1))
ten = last(track(runs, steps + 1, "Ten runs")).cpu()
others = draw(model, schedule, label, seed=seed + 1, indices=range(10),
              steps=steps)
others = last(track(others, steps + 1, "Ten x_T")).cpu()
for name, x in (("one x_T", ten), ("ten x_T", others)):
    spread = torch.pdist(x.flatten(1)).mean()
    print(f"mean distance between two pictures from {name}: {spread:.1f}")
show_images(ten, "ten runs from one x_T")

# %%
ask_choice(
    "Why do ten runs from one x_T differ?",
    [
        ("because the network has dropout", "It has none, and it is in eval mode."),
        ("because the z of every step are random, and x_T decides next to nothing",
         "Yes. Algorithm 2 walks the forward chain backwards, and in that chain x_T and "
         "x_0 share next to nothing: ᾱ_T = 0.00004."),
        ("because of rounding", "Rounding is far too small to turn one 4 into another."),
    ],
    answer=1,
    part="11.7 b",
    points=1,
)

# %% [markdown]
# ## What if we leave the noise out?
#
# Line 4 without `σ_t z`: always take the mean. That looks like the best guess at
# each step. Predict what comes out, then run it.
#
# We watch the spread of `x_t`, and beside it the spread that the forward process
# has at the same t.

# %%
ask_choice(
    "What has to change in Algorithm 2 to sample without noise?",
    [
        ("line 1: start from zeros", "Then only the start would be without noise. Line 4 "
         "adds the rest."),
        ("line 3: z = 0 in every step, not only at t = 1",
         "Yes. Line 4 is then the mean alone. The start is still random."),
        ("line 4: leave out ε_θ", "That is the noise to be taken out. Without it, nothing "
         "is denoised."),
    ],
    answer=1,
    part="11.7 c",
    points=1,
)
ask_choice(
    "Eight samples, each from another x_T, no noise added. What comes out?",
    [
        ("eight clean, different digits", "So one hopes. Look."),
        ("eight thin digits of only one or two kinds, such as 1 and 9",
         "Yes. The table says why: the spread of x_t dies away."),
        ("eight blurred means of all digits", "The mean of each step is not the mean of "
         "all pictures. Look."),
    ],
    answer=1,
    part="11.7 d",
    points=1,
)

# %%
x_t = normal((8, 1, 32, 32), stream(seed, "no noise"), where)
real, rows = to_unit_range(digits.train_images[:500]), []
with torch.no_grad():
    for i in track(range(1000, 0, -1), 1000, "Without noise"):
        t = torch.full((8,), i, device=where)
        x_t = p_step(schedule, x_t, t, model(x_t, t), torch.zeros_like(x_t))
        if i in (901, 701, 501, 301, 101):
            t = torch.full((len(real),), i - 1)
            eps = normal(real.shape, generator, "cpu")
            noisy = q_sample(linear_schedule(), real, t, eps)
            rows.append((i - 1, x_t.std().item(), noisy.std().item()))
show_table("std of x_t", ["t", "without noise", "forward process"], rows)
show(x_t.cpu(), "eight samples without noise")

# %%
ask_choice(
    "What does the noise z do in Algorithm 2?",
    [
        ("it makes the pictures varied, but one could leave it out",
         "You saw what happens: nearly all variety is gone, and the strokes are thin."),
        ("it keeps the spread of x_t at what the network was trained to see",
         "Yes. Each mean shrinks the spread; the fresh noise restores it."),
        ("it hides the errors of the network", "Nothing is hidden: see the table."),
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
# Its spread stays right. Now `x_T` and the label decide everything, and many
# steps can be skipped.

# %%
label = torch.arange(5, device=where) if trained.conditional else None
x_T = normal((5, 1, 32, 32), stream(seed, "ddim"), where)
for n in (5, 10, 50):
    once, again = (last(sample(model, schedule, x_T, label=label,
                               method="ddim", steps=n, clip=True))
                   for _ in range(2))
    show_images(once, f"DDIM, {n} steps")
    print(f"run twice, the same picture: {torch.equal(once, again)}")
for moment in sample(model, schedule, x_T, label=label, method="ddim",
                     steps=50):
    if moment.t in (900, 700, 500):
        print(f"std of x_{moment.t}: {moment.x_t.std():.2f}")

# %% [markdown]
# ## How many steps?
#
# We draw 80 digits with 10 and with 40 steps, in three ways: Algorithm 2 with
# σ² = β, with σ² = β̃, and DDIM. The package's classifier, a small network of its
# own, says how many are read as asked.
#
# A blot can be read too. So we also ask how many lie as near to a real digit as
# real digits lie to each other, in what the classifier sees of them. That is the
# *precision*.

# %%
reader, real, rows = load_classifier(where).model, load_real_digits(), []
wanted = torch.arange(80) % 10
label = wanted.to(where) if trained.conditional else None
ways = {"σ² = β": {"variance": "beta"}, "σ² = β̃": {"variance": "beta_tilde"},
        "DDIM": {"method": "ddim"}}
for n in (10, 40):
    for name, how in ways.items():
        chain = draw(model, schedule, label, seed=seed, indices=range(80),
                     steps=n, **how)
        drawn = last(track(chain, n + 1, f"{n} steps, {name}")).cpu()
        found = read_digits(reader, to_uint8(drawn))
        right = (found.classes == wanted).sum().item()
        scores = score(found, None, real)
        rows.append((n, name, f"{right} of 80", f"{scores.precision}"))
        if n == 10:
            show_images(drawn[:5], f"{n} steps, {name}")

# %%
card = real_card(reader, real, 80)
rows.append(("", "real digits", f"{card.scores.read_as_asked} %",
             f"{card.scores.precision}"))
show_table("Fewer steps", ["steps", "sampler", "as asked", "precision, %"],
           rows)
for n in (1000, 10):
    short, _ = respaced(schedule, n)
    late = torch.tensor([n // 5], device=where)  # at t = 200
    ratio = (short.beta[late] / beta_tilde(short, late)).sqrt().item()
    print(f"with {n} steps, at t = 200, √β is {ratio:.2f} times √β̃")

# %%
ask_choice(
    "Do we need all 1000 steps?",
    [
        ("yes, each removes its own noise", "DDIM with 50 steps drew fine digits just now."),
        ("no: with the right noise, or DDIM, far fewer come close",
         "Yes. Neighbouring steps ask the network nearly the same question. But a long "
         "step with σ² = β puts back more noise than it should."),
        ("no: stop at t = 200 and show that",
         "Look at x_200 in the history: noise of size √0.34 = 0.58 lies over it."),
    ],
    answer=1,
    part="11.6 g",
    points=1,
)

# %% [markdown]
# ## Sharing the way down to t
#
# When is the picture decided? Five runs share `x_T` and all noises down to some t,
# and part ways there (the paper's Fig. 7).
#
# Down to which t must they share to show the same digit?

# %%
rows, stride = [], schedule.T // steps
for share in (1000, 800, 600, 400, 200):
    shared, apart = stream(seed, "shared"), stream(seed, "apart", share)
    x = normal((1, 1, 32, 32), shared, where).expand(5, -1, -1, -1)
    with torch.no_grad():
        for i in track(range(1000, 0, -stride), steps, f"Shared to {share}"):
            t = torch.full((5,), i, device=where)
            z = normal((1, 1, 32, 32), shared, where).expand(5, -1, -1, -1)
            if i <= share:
                z = normal((5, 1, 32, 32), apart, where)
            eps = model(x, t)
            x = ddim_step(schedule, x, t, t - stride, eps, eta=1.0, z=z)
    rows.append((share, torch.pdist(x.flatten(1)).mean().item()))
    show_images(x, f"shared down to t = {share}")
show_table("How they differ", ["shared down to t", "mean distance"], rows)

# %%
ask_choice(
    "What decides which picture comes out?",
    [
        ("x_T", "Share x_T alone, and the five differ as strangers do: the first row."),
        ("the noises z of all steps, most of all those at the middle t; x_T counts "
         "for little", "Yes. Each z settles a little, from the rough shape to the "
         "strokes."),
        ("the z of the last few steps", "They are tiny: only details differ when the rest "
         "is shared."),
    ],
    answer=1,
    part="11.6 f",
    points=1,
)

# %% [markdown]
# ## A film
#
# A digit appearing, as a GIF: `x_t` on the left, the guess of `x_0` on the
# right. See how early the guess has the rough shape, and how late `x_t` does.

# %%
label = torch.tensor([3]) if trained.conditional else None
chain = draw(model, schedule, label, seed=seed, indices=[0])
frames = frames_of(track(chain, 1001, "Filming"), schedule)
_ = save_film(frames, "lesson 4 denoising")

# %% [markdown]
# ## What T costs
#
# A training step costs the same whatever T is (lesson 3). And sampling?

# %%
ask_choice(
    "You double T to 2000 and take every step. What does drawing a digit cost?",
    [
        ("the same", "Every step is a call of the network, one after another."),
        ("twice as much", "Yes. Sampling costs T calls. Training steps stay as they were."),
    ],
    answer=1,
    part="11.6 c",
    points=2,
)

# %%
for n in (100, 200):
    began = time.perf_counter()
    chain = draw(model, schedule, label, seed=seed, indices=[0], steps=n)
    _ = last(chain).cpu()  # .cpu() waits for a GPU to be done
    print(f"{n} steps take {time.perf_counter() - began:.2f} s")

# %% [markdown]
# ## Recap
#
# - Knowing `x_0`, the step back is a bell curve (Eq. 6, 7). With the network's
#   guess of `x_0` in it, its mean is Eq. 11.
# - Algorithm 2: mean plus fresh noise, T times; no noise at t = 1.
# - The fresh noise keeps the spread of `x_t` right. Without it all slides to the
#   emptiest pictures there are.
# - The z of all steps decide the picture, and `x_T` hardly counts. DDIM is the deterministic
#   step that works, and it can skip.
#
# Lesson 5: drawing the digit you ask for.
