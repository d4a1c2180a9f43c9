# %% [markdown]
# # Lesson 10 · What came after
#
# **Goal:** at the end you can read a later paper, and say which parts of Ho et al.
# it kept, and which it changed.
#
# **You need:** lessons 1 to 4; guidance is in lesson 5.
#
# **Paper:** §3.2, 3.4 · Eq. 4, 8, 11, 12, 14, 15 · Table 2
#
# **Time:** 35 min
#
# After 2020 nearly every part of the paper was changed by somebody: what the network
# says, the schedule, the steps, the paths. We change one at a time, and measure.

# %% [markdown]
# ## Setting up
#
# Digits that were held out of training, and the network that ships.

# %% tags=["parameters"]
n = 20  # how many digits to measure, from 2 to 1000
most_calls = 80  # of the network, to follow a curve, from 8 to 1000
live_steps = 60  # of a training that is in the log, from 10 to 300
train_steps = 250  # of the two networks trained at the end, from 1 to 10,000
digit = 3  # what these two learn to draw
seed = 0  # another seed: other digits, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import math
from itertools import islice

import torch

from ddpm_tutor import (
    Equations, LeanUNet, Predictor, SamplingOptions, choose_device,
    classifier_gradient, classifier_guided_eps, converted, cosine_schedule,
    ddim_step, doubled, error_weight, euler_step, flow_loss, flow_sampling,
    flow_velocity, halved, last, linear_schedule, load_checkpoint,
    load_classifier, load_digits, load_predictor_logs, noise_to_signal,
    normal, predict_x_0, q_sample, read_digits, respaced, sample, solve_ode,
    stream, to_uint8, to_unit_range, train_predictor, v_from,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, note, say, sheet, show, show_curves,
    show_download, show_images, show_table, so_far, track,
)

# %%
digits = load_digits(progress=show_download)
print(digits.source)
generator = stream(seed, "lesson 10")
held_out = digits.validation_images
picked = torch.randperm(len(held_out), generator=generator)[:n]
n = len(picked)
where = choose_device(device, cpu_seconds=40)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule.to(where)
x_0 = to_unit_range(held_out[picked]).to(where)

def predict(x_t, t, label=None):
    with torch.no_grad():
        return model(x_t, t, label)

def noisy(step):  # x_t of all digits, their t, and their noise
    t = torch.full((n,), step, device=where)
    eps = normal(x_0.shape, generator, where)
    return q_sample(schedule, x_0, t, eps), t, eps

# %% [markdown]
# ## One guess, many names
#
# The network sees x_t and says what the noise is. But by Eq. 4, who knows x_t and the
# noise also knows the picture. And more follows:
#
#     x_0   = (x_t - √(1 - ᾱ_t) ε) / √ᾱ_t          (15)
#     v     = √ᾱ_t ε - √(1 - ᾱ_t) x_0
#     score = -ε / √(1 - ᾱ_t)
#     μ     = (x_t - β_t / √(1 - ᾱ_t) ε) / √α_t          (11)
#
# v mixes noise and picture (Salimans and Ho 2022). The score is the direction in
# which x_t becomes more probable fastest; lesson 8 draws it. Each is x_t times a
# number plus another times a number. So they are one guess, under five names.

# %%
x_t, t, eps = noisy(300)
guess = predict(x_t, t)
written = {"eps": "ε", "x_0": "x_0", "v": "v", "score": "score", "mu": "μ"}
said = {kind: converted(schedule, x_t, t, guess, "eps", kind)
        for kind in written}
for kind, value in said.items():  # and back
    back = converted(schedule, x_t, t, value, kind, "eps")
    assert (back - guess).abs().max() < 1e-2
show_images(torch.stack([x_t[0], *(value[0] for value in said.values())]),
            "one digit at t = 300", ["x_t", *written.values()])

# %% [markdown]
# ## What is v?
#
# `√ᾱ_t` and `√(1 - ᾱ_t)` are the cosine and the sine of one angle: their squares sum
# to 1. So with growing t, x_t goes a quarter of a circle from x_0 to the noise. v is
# the direction in which it moves.
#
# Then press `c` to change t. Try `t_here = 50`, and say first what v will look like.

# %% tags=["change"]
t_here = 900  # from 0 to 1000

# %%
x_t, t, eps = noisy(t_here)
v = v_from(schedule, x_0, t, eps)
def likeness(a, b):  # the cosine of the angle between them
    return (a * b).sum() / (a.norm() * b.norm())

alike = [likeness(v, other).item() for other in (eps, -x_0, x_t)]
ask_choice(
    "At this t, what does v look like most?",
    [
        ("the noise", "That is so at small t: √ᾱ_t is nearly 1 there, and v nearly ε."),
        ("the picture in negative",
         "That is so at large t: √(1 - ᾱ_t) is nearly 1 there, and v nearly -x_0."),
        ("x_t itself", "To say what x_t shows would be no work at all."),
    ],
    answer=max(range(3), key=lambda i: alike[i]),
)

# %%
found = so_far("what is v", f"{t_here}", (x_t[0], v[0], alike))
pairs = [picture for *pair, _ in found.values() for picture in pair]
show_images(torch.stack(pairs), "one digit", [
    f"{name}, t = {t}" for t in found for name in ("x_t", "v")])
show_table("The cosine of v with", ["t", "ε", "-x_0", "x_t"],
           [(t, *(f"{c:.2f}" for c in cosines))
            for t, (*_, cosines) in found.items()])
say("To say v is to say what is hidden: the noise in a clear picture, the picture in noise.")

# %% [markdown]
# ## One error, many sizes
#
# The names are one guess, but their errors are not equally large. If ε is wrong by
# 1, x_0 is wrong by `√(1 - ᾱ_t) / √ᾱ_t`, v by `1 / √ᾱ_t`.
#
# We measure the network's error in ε at several t, and convert it.

# %%
kinds = ("eps", "x_0", "v", "score")
rows = []
for step in (1, 10, 50, 100, 200, 400, 600, 800, 1000):
    x_t, t, eps = noisy(step)
    error = (predict(x_t, t) - eps).square().mean()
    weights = [error_weight(schedule, t[:1], "eps", kind) for kind in kinds]
    rows.append((step, *((error * weight).item() for weight in weights)))
columns = list(zip(*rows, strict=True))[1:]
spread = [max(column) / min(column) for column in columns]
ask_choice(
    "As errors in what are those at different t most alike?",
    [
        ("in ε",
         "At small t little noise is there to be seen, at large t x_t is the noise. The error in "
         "ε falls a thousandfold and more."),
        ("in x_0",
         "At small t the picture is nearly known, at large t it is anybody's guess. That error "
         "rises a thousandfold."),
        ("in v", "Yes. To say v is to say what is hidden, and some part always is. The largest is "
         f"{spread[2]:.0f} times the smallest; in ε it is {spread[0]:,.0f} times."),
        ("in the score", "It is ε, divided by the width of the noise. At small t that is tiny, "
         "which makes a large error larger."),
    ],
    answer=spread.index(min(spread)),
)

# %%
show_table("Mean squared error", ["t", "ε", "x_0", "v", "score"], rows)
show_curves("Mean squared error", {
    written[kind]: [(row[0], row[i + 1]) for row in rows]
    for i, kind in enumerate(kinds[:3])}, log=True)

# %% [markdown]
# ## What to say, and what to weigh
#
# So it does not matter what a trained network says. While it is trained, it does. A
# plain squared error cares for those t where it is large: x_0 for large t, ε for
# small t. And the layers must form what they say. μ is nearly x_t: they have to copy
# it first, dot by dot.
#
# Table 2 of the paper is about this: what to say, and how to weigh the errors. L
# weighs them as the bound does (Eq. 8, 12), L_simple does not (Eq. 14).
#
# We have trained six small networks for you, on MNIST at half size, 16×16: 300 steps
# each, the same seed, the same first weights. Fréchet distance: how far their digits
# are from real ones, by what a classifier sees.

# %%
logs = load_predictor_logs()
four = [("mu", "L"), ("mu", "mu"), ("eps", "L"), ("eps", "eps")]
distances = [logs.of(*which).frechet for which in four]
ask_choice(
    "Which of these four comes nearest to real digits here?",
    [
        ("μ with the weights of L", "It has to copy x_t before it can improve on it, and L asks "
         "most of it at the smallest t."),
        ("μ with a plain error", "μ is nearly x_t, so that it learns to copy. What is left over "
         "in a copy, a thousand steps make large."),
        ("ε with the weights of L", "Then most of what counts is at t of 1 to 10, where no digit "
         "takes shape. They come out as blots."),
        ("ε with a plain error",
         "Yes. As in the paper's Table 2, where this was the best by far."),
    ],
    answer=distances.index(min(distances)),
)

# %%
which = [*four, ("x_0", "x_0"), ("v", "v")]
networks = [logs.of(*one) for one in which]
show_table("300 steps each", ["says", "weighed as", "Fréchet distance"],
           [(written[one.predicts], "L" if one.weighed_as == "L" else "plain",
             f"{one.frechet:.1f} ± {one.frechet_error:.1f}")
            for one in networks])
show(sheet(doubled(torch.cat([one.images for one in networks])), [],
           rows_are=["μ, L", "μ, plain", "ε, L", "ε, plain", "x_0", "v"]),
     "lesson 10 table 2")
say("Table 2 of the paper, FID on CIFAR-10: μ with L 13.2, ε with L 13.5, ε with L_simple 3.2. μ "
    "with a plain error did not train at all.")
nearest = min(networks, key=lambda one: one.frechet).predicts
say("Those that say μ draw snow, and ε with L blots: which of them is worse, a classifier cannot "
    f"say. The other three draw digits. Nearest is {written[nearest]}, where the paper found x_0 "
    "worse than ε (Section 3.2). But this is one short run each, of small pictures.")

# %% [markdown]
# ## One of them, here
#
# The log says how each of them learned. Is it true? We train the one with L_simple
# anew, on the digits that are here, for the first of its 300 steps, and lay both curves
# over each other.

# %%
torch.manual_seed(logs.config.seed)  # the same first weights
live = Predictor("eps", linear_schedule(), logs.width).to(where)
run = train_predictor(live, linear_schedule(), halved(digits.train_images),
                      logs.steps, logs.config)
losses = []
for loss in track(islice(run, live_steps), live_steps, "Training"):
    losses.append(loss)
    note(f"loss {loss:.3f}")

# %%
every = logs.every
here = [sum(losses[i:i + every]) / every
        for i in range(0, live_steps - every + 1, every)]
def curve(means):
    return [(every * (i + 1), mean) for i, mean in enumerate(means)]

show_curves("L_simple at half size", {
    "the log": curve(logs.of("eps", "eps").loss), "here": curve(here)},
    "step", log=True)
say(f"After {every * len(here)} steps the loss is {here[-1]:.2f} here, and "
    f"{logs.of('eps', 'eps').loss[len(here) - 1]:.2f} in the log.")

# %% [markdown]
# ## Another schedule
#
# The schedule says how fast a digit drowns. With the paper's, β grows linearly. How
# long is x_t nothing but noise?
#
# Then press `c` to change beta_T. Try `beta_T = 0.01`, and say first at how many steps.

# %% tags=["change"]
beta_T = 0.02  # the last β, from 0.0001 to 0.99

# %%
linear, cosine = linear_schedule(), cosine_schedule()
trial = linear_schedule(beta_T=beta_T)
def drowned(schedule):  # steps with next to nothing of the picture
    return int((schedule.alpha_bar < 0.01).sum())

ask_number(
    "With this beta_T, at how many of the 1000 steps is ᾱ_t below 0.01?",
    drowned(trial),
    tolerance=100,
    why="That takes a sum of the β up to t, some beta_T · t² / 2000, of more than 4.6. With the "
        "paper's 0.02 that is a third of all steps. They cost as much time as the rest, in "
        "training and in sampling.",
)

# %%
found = so_far("drowned", f"beta_T = {beta_T:g}", trial)
show_curves("ᾱ_t", {name: enumerate(s.alpha_bar.tolist())
                    for name, s in found.items()})
show_table("ᾱ_t is below 0.01", ["", "at steps", "ᾱ_1000"], [
    (name, drowned(s), f"{s.alpha_bar[-1]:.2g}")
    for name, s in found.items()])

# %% [markdown]
# ## The cosine schedule
#
# So Nichol and Dhariwal (2021) choose ᾱ itself, and let β follow:
#
#     ᾱ_t = f(t) / f(0),   f(t) = cos²( (t/T + s) / (1 + s) · π/2 ),   s = 0.008
#     β_t = 1 - ᾱ_t / ᾱ_{t-1},   but at most 0.999

# %%
show_curves("ᾱ_t", {name: enumerate(s.alpha_bar.tolist()) for name, s in (
    ("linear", linear), ("cosine", cosine))})
print(f"ᾱ_t is below 0.01 at {drowned(linear)} steps of the linear one,")
print(f"and at {drowned(cosine)} of the cosine.")

# %% [markdown]
# ## Why a cap, why s?
#
# By the formula without a cap, what is `β_1000`? And what would Eq. 11 do with it?

# %%
def f(t, s):
    return math.cos((t / 1000 + s) / (1 + s) * math.pi / 2) ** 2

ask_number(
    "What is β_1000 of the cosine schedule, without a cap?",
    1 - f(1000, 0.008) / f(999, 0.008),
    tolerance=0.01,
    why="f(1000) is the cosine of a right angle, 0. So ᾱ_1000 = 0, α_1000 = 0, and Eq. 11 and "
        "15 divide by it.",
)

# %%
rows = []
for cap in (0.9, 0.999, 0.999999):
    capped = cosine_schedule(max_beta=cap)
    beta, alpha, alpha_bar = (v[1000].item() for v in (
        capped.beta, capped.alpha, capped.alpha_bar))
    rows.append((str(cap), beta / ((1 - alpha_bar) * alpha) ** 0.5,
                 ((1 - alpha_bar) / alpha_bar) ** 0.5))
show_table("What an error in ε is multiplied by, at t = 1000",
           ["cap", "in μ (Eq. 11)", "in x_0 (Eq. 15)"], rows)
say("The larger the cap, the more a small error grows in the first step. 0.999 keeps "
    f"that in bounds, and changes this one step alone: β_999 is {cosine.beta[999]:.2f}. A network "
    "that says v or x_0 has no such trouble: nothing is divided.")
noises = [(str(s), f"{(1 - f(1, s) / f(0, s)) ** 0.5:.4f}")
          for s in (0, 0.008, 0.08)]
show_table("√β_1: how wide the first noise is", ["s", "√β_1"], noises)
print(f"Two shades of 256 are {2 / 255:.4f} apart.")
say("With s = 0 the first noises are far less than the step between two shades: too little to "
    "be told from the picture. With 0.008 they are about as large. And 0.08, a digit lost in "
    "typing, blurs two shades in the first step.")

# %% [markdown]
# ## Steps of another schedule
#
# A trained network need not be trained again. What it knows is how to read a picture
# with so much noise. So we may walk through other noise levels, if it is told the t
# at which *it* met that much noise. That is what respacing does (`respaced`).
#
# We draw digits in 10 steps of DDIM: evenly in t, then through the noise levels of the
# cosine schedule with t mapped back, and then without that, which is soon forgotten.

# %%
asked = torch.arange(n).to(where) % 10
x_T = normal(x_0.shape, generator, where)
level = linear.alpha_bar[None, 1:] - cosine.alpha_bar[:, None]
same_noise = (level.abs().argmin(dim=1) + 1).to(where)  # cosine's t -> ours
even = respaced(linear, 10)[1].flip(0).tolist()  # 1000, 900, ..., 0
start = int((cosine.alpha_bar > linear.alpha_bar[-1]).sum()) - 1
of_cosine = torch.linspace(start, 0, 11).round().int().tolist()
def draw(told, schedule, times=even, solver="euler"):
    states = solve_ode(told, schedule, x_T, times, solver)
    return [x for _, x in states][-1]

reader = load_classifier(where).model
def read_right(images):  # in percent
    found = read_digits(reader, to_uint8(images)).classes
    return 100 * (found == asked.cpu()).float().mean().item()

# %%
ways = {
    "even in t": draw(lambda x, t: predict(x, t, asked), linear),
    "cosine": draw(lambda x, t: predict(x, same_noise[t], asked),
                   cosine, of_cosine),
    "not mapped": draw(lambda x, t: predict(x, t, asked), cosine, of_cosine),
}
right = {name: read_right(images) for name, images in ways.items()}
t = torch.full((n,), 500, device=where)
eps = normal(x_0.shape, generator, where)
guess = predict(q_sample(cosine.to(where), x_0, t, eps), t)
share = ((guess * eps).mean() / eps.square().mean()).item()
ask_choice(
    "Half way, at cosine's t = 500, ᾱ is 0.49. What does the network think if it is told 500?",
    [
        ("that there is less noise than there is", "Its ᾱ_500 is smaller: it expects more."),
        ("just what is so: 500 is half way in both",
         "t is only a number of a step. What the network has met at 500 is ᾱ = 0.08."),
        ("that there is more noise than there is",
         f"Yes. Its own ᾱ_500 is 0.08: it expects wider noise than there is, and divides by that "
         f"width. So it says {share:.0%} of the ε in the picture, and too little is taken out."),
    ],
    answer=1 + int(torch.sign(cosine.alpha_bar[500] - linear.alpha_bar[500])),
)

# %%
def spelled(times):
    return ", ".join(str(t) for t in (*times[:3], "...", *times[-2:]))

show(sheet(torch.cat([images[:10] for images in ways.values()]), [],
           min(n, 10), list(ways)), "lesson 10 respacing")
show_table(f"Read right, % of {n}", ["10 steps", "t it is told", "right"], [
    ("even in t", spelled(even[:-1]), right["even in t"]),
    ("cosine", spelled(same_noise[of_cosine[:-1]].tolist()), right["cosine"]),
    ("not mapped", spelled(of_cosine[:-1]), right["not mapped"])])
say("Told the wrong t, it leaves noise behind, and the classifier reads fewer of its digits."
    if right["not mapped"] < right["cosine"] else
    "Told the wrong t, its digits are still read. Look at their background.")

# %% [markdown]
# ## DDIM follows a curve
#
# Take `x_t / √ᾱ_t`, so that the digit in it keeps its size, and σ, the width of the
# noise in it. Then one step of DDIM is
#
#     new x/√ᾱ = old x/√ᾱ + (new σ - old σ) · ε_θ,   σ = √((1 - ᾱ) / ᾱ)
#
# A position, a direction, a step along it: that is Euler's method for the equation
# of motion `d(x/√ᾱ) = ε_θ dσ` (equation 14 of Song et al. 2020). So noise fixes a curve, and
# the curve ends in a digit. Steps only follow it, well or badly.

# %%
t, t_next = (torch.full((n,), step, device=where) for step in (600, 500))
x_t, _, _ = noisy(600)
guess = predict(x_t, t)
assert torch.allclose(euler_step(schedule, x_t, t, t_next, guess),
                      ddim_step(schedule, x_t, t, t_next, guess), atol=1e-4)
few = x_T[:4]
def labelled(x, t):
    return predict(x, t, asked[:4])

def path(steps, solver="euler"):  # (t, x_t) from noise to picture
    times = respaced(schedule, steps)[1].flip(0).tolist()
    states = solve_ode(labelled, schedule, few, times, solver)
    return list(track(states, steps + 1, f"{solver}, {steps} steps"))

exact = path(most_calls * 3 // 2, "heun")
inked = exact[-1][1][0].flatten().argmax()  # a pixel that becomes white
dark = exact[-1][1][0].flatten().argmin()
show_curves("Two pixels of x_t on their way", {
    name: [(t, x[0].flatten()[pixel].item()) for t, x in exact]
    for name, pixel in (("becomes white", inked), ("becomes black", dark))})

# %% [markdown]
# ## Look at both ends
#
# Euler takes the direction at the start of a step, though it changes on the way. Heun
# goes there, asks the network again, and takes the mean of both directions. That
# costs two calls a step, and one in the last. Karras et al. (2022) use it.
#
# We compare with more steps of Heun, which we take as exact. What counts is calls.

# %%
errors = {"euler": [], "heun": []}  # (calls, error)
for part in (16, 8, 4, 2, 1):
    double = max(2, most_calls // part // 2)  # steps, the last with one call
    calls = 2 * double - 1
    for solver, steps in (("euler", calls), ("heun", double)):
        found = path(steps, solver)[-1][1]
        apart = (found - exact[-1][1]).square().mean(dim=(1, 2, 3)).sqrt()
        errors[solver].append((calls, apart.median().item()))
(few_euler, *_, many_euler), (few_heun, *_, many_heun) = (
    [off for _, off in found] for found in errors.values())
ask_choice(
    "With 3 calls, and with the most: who ends nearer to the exact end?",
    [
        ("Heun, with few calls and with many",
         "A second look helps where the curve bends gently on the way. Over a long step it looks "
         "at a place to which the curve does not lead."),
        ("Euler, with few calls and with many",
         "It takes twice as many steps. They are shorter, but each is off to the same side of "
         "the bend, and that adds up."),
        (f"Euler with 3 calls, Heun with {calls}",
         "Yes. Twice as many steps, and Euler's error about halves. Heun's falls faster. But it "
         "begins with half as many steps, and these are long."),
        (f"Heun with 3 calls, Euler with {calls}",
         "Then it would pay to look twice in long steps, where the curve bends most, and not in "
         "short ones. It is rather the other way round."),
    ],
    answer=(2 if few_heun >= few_euler else 0) if many_heun < many_euler
    else (1 if few_heun > few_euler else 3),
)

# %%
show_curves("RMS error of the end", errors, "calls of the network",
            log=True, log_x=True)
show_table("RMS error", ["calls", "Euler", "Heun"],
           [(*a, b) for a, (_, b) in zip(*errors.values(), strict=True)])

# %% [markdown]
# ## Straight paths
#
# If curves cost steps, why not train on straight lines? Flow matching does (Lipman
# et al. 2023, Liu et al. 2023): x_0 and ε as in Algorithm 1, and a τ from 0 to 1.
#
#     x_τ = (1 - τ) x_0 + τ ε,   its velocity:   dx_τ / dτ = ε - x_0
#
# A network u learns to say the velocity, by a plain squared error. To draw, start at
# τ = 1 and go `x ← x - Δτ u(x, τ)`. No β, no ᾱ.
#
# Each line is straight. But many cross at one x_τ, and u is their mean. At τ = 1 x_τ
# says nothing of x_0. So what does the *best* u draw in one step from there?

# %%
pictures = to_unit_range(halved(digits.of_class(digit))).to(where)
mean = pictures.mean(dim=0, keepdim=True)
x_1 = normal((20, 1, 16, 16), generator, where)
best = x_1 - mean  # the mean of ε - x_0 over all x_0, where ε = x_1 is known
one_step = x_1 - best
ask_choice(
    "Trained on many pictures of one digit, from 20 different noises: what comes out?",
    [
        ("20 different digits: each noise leads to its own",
         "Which one? At τ = 1 every picture is as likely, and u is the mean over all."),
        ("20 times the same blur, the mean of all pictures",
         "Yes. ε minus the mean velocity ε - E[x_0] is E[x_0]. Not until later does the path "
         "bend towards one picture: steps are still needed."),
        ("20 times noise: one step of this kind is too few",
         "A step of length 1 takes all of the noise out."),
    ],
    answer=1 if (one_step - mean).abs().max() < 1e-4 else 0,
)
show_images(doubled(to_uint8(torch.cat([one_step[:2], pictures[:2]]))),
            "the best first step from two noises; two of the pictures")

# %% [markdown]
# ## Train it
#
# A small lean network, digits of one kind, 32 at a time, at half size: so it is quick.

# %%
def train_small(network, loss_of, what):
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    curve = []
    for step in track(range(train_steps), train_steps, what):
        chosen = torch.randint(len(pictures), (32,), generator=generator)
        x_0 = pictures[chosen.to(where)]
        eps = normal(x_0.shape, generator, where)
        loss = loss_of(network, x_0, eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append((step + 1, loss.item()))
        note(f"loss {curve[-1][1]:.3f}")
    return curve

# %%
def loss_of_flow(network, x_0, eps):
    tau = torch.rand(len(x_0), generator=generator).to(where)
    return flow_loss(lambda x, tau: flow_velocity(network, x, tau),
                     x_0, tau, eps)

torch.manual_seed(seed)
flow = LeanUNet(32).to(where)
flow_curve = train_small(flow, loss_of_flow, "Flow matching")

# %% [markdown]
# ## And one that says the noise
#
# Algorithm 1, the same layers, pictures and steps. (The losses are of other things,
# and cannot be compared.)

# %%
def loss_of_noise(network, x_0, eps):
    t = torch.randint(1, 1001, (len(x_0),), generator=generator).to(where)
    x_t = q_sample(schedule, x_0, t, eps)
    return (network.says(x_t, t) - eps).square().mean()

torch.manual_seed(seed)
noise_net = Predictor("eps", linear_schedule(), 32).to(where)
noise_curve = train_small(noise_net, loss_of_noise, "Noise")
show_curves("Loss", {"of the velocity": flow_curve,
                     "of the noise": noise_curve}, "step", log=True)

# %% [markdown]
# ## 1, 5 and 20 steps
#
# Both draw from the same noise: the flow by its straight steps, the other by DDIM.

# %%
def draw_noise_net(steps):  # DDIM; guesses of x_0 are clipped to [-1, 1]
    options = SamplingOptions("ddim", steps=steps)
    return last(sample(noise_net, schedule, x_1, options))

def draw_flow(steps):
    def velocity(x, tau):
        return flow_velocity(flow, x, tau)
    return list(flow_sampling(velocity, x_1, steps))[-1][1]

drawn = {f"{name}, {steps}": to_uint8(by(steps))
         for name, by in (("flow", draw_flow), ("noise", draw_noise_net))
         for steps in (1, 5, 20)}
rough = {name: (images.float().diff(dim=3) / 127.5).square().mean().item()
         for name, images in drawn.items()}  # how unlike neighbours are
def share_read(images):  # as the digit, in percent
    found = read_digits(reader, doubled(images)).classes
    return 100 * (found == digit).float().mean().item()
ask_choice(
    "What do the two draw in one step?",
    [
        ("the flow a blur, the other snow",
         "Yes. At t = 1000 Eq. 15 makes any error in ε 157 times as large in x_0. A velocity "
         "has no such division."),
        ("both snow", "The flow's one step is x_1 - u, and nothing in it is magnified."),
        ("the flow digits, the other a blur", "Not even the best flow does: see above."),
        ("both a blur", "The flow does. But to get x_0 from ε, Eq. 15 divides by √ᾱ_1000 = 0.006."),
    ],
    answer=0 if rough["noise, 1"] > 2 * rough["flow, 1"] else 3,
)

# %%
show(sheet(doubled(torch.cat([images[:10] for images in drawn.values()])), [],
           rows_are=list(drawn)), "lesson 10 flow")
read = {name: share_read(images) for name, images in drawn.items()}
show_table(f"Read as a {digit}, % of {len(x_1)}",
           ["steps", "flow", "noise, DDIM"],
           [(k, f"{read[f'flow, {k}']:.0f}", f"{read[f'noise, {k}']:.0f}")
            for k in (5, 20)])
lead = min(read[f"flow, {k}"] - read[f"noise, {k}"] for k in (5, 20))
say(f"{len(x_1)} pictures tell a share to ± 20 or so, and both networks have had {train_steps} "
    "steps of training alone. " + ("Here the flow is ahead in both rows." if lead > 30 else
                                   "So this does not tell which of them is ahead."))

# %% [markdown]
# ## You had one all along
#
# Divide x_τ by `√((1 - τ)² + τ²)`. What you get is Eq. 4, with a certain ᾱ. So a flow
# with Gaussian noise is a diffusion with other steps and weights. And the network
# that ships, trained on ε in 2020's way, says velocities as well: ε - x_0.
#
# No training: the same weights, drawn along the straight paths.

# %%
sigmas = noise_to_signal(schedule, torch.arange(1, 1001, device=where))
def velocity(x, tau):
    ratio = (tau[0] / (1 - tau[0])).clamp(max=sigmas[-1])  # noise to signal
    t = (sigmas.log() - ratio.log()).abs().argmin() + 1  # 1000 at tau = 1
    t = t.expand(len(x))
    x_t = x / ((1 - tau[0]) ** 2 + tau[0] ** 2).sqrt()
    eps = predict(x_t, t, asked)
    return eps - predict_x_0(schedule, x_t, t, eps)

straight = list(flow_sampling(velocity, x_T, 10))[-1][1]
show_images(straight[:6], "drawn by the weights that ship, 10 straight steps")
print(f"read right: {read_right(straight):.0f} percent of {n}")

# %% [markdown]
# ## Two kinds of guidance
#
# Lesson 5 made digits clearer with two predictions of one network: with its label,
# and without. Before that, Dhariwal and Nichol (2021) had a classifier push a network
# that knows no labels. By Bayes' rule
#
#     ∇ log p(x_t | y) = ∇ log p(x_t) + ∇ log p(y | x_t)
#
# The first is the score, `-ε / √(1 - ᾱ_t)`. So in terms of noise, for a push of w:
#
#     ε - w √(1 - ᾱ_t) ∇ log p(y | x_t)
#
# They train their classifier on noisy pictures. Ours has seen clean ones only. We show
# it the guess of x_0, and let the gradient go back through the network: less than what
# they did. Lesson 5's guidance is *free* of a classifier: at scale 1 the label alone.

# %%
def by_classifier(_, x_t, t, label, scale):
    gradient, eps = classifier_gradient(
        reader, model, schedule, x_t, t, label)
    return classifier_guided_eps(schedule, t, eps, gradient, scale)

def guided(equations, scale):
    options = SamplingOptions(steps=20, guidance=scale)
    states = sample(model, schedule, x_T, options, label=asked,
                    generator=stream(seed, "guided"), equations=equations)
    *_, end = track(states, 21, f"guidance {scale}")
    return end.x_t

pushed = Equations(guided_eps=by_classifier)
ways = {"no push, no label": guided(Equations(), 0.0)}
ways |= {f"classifier, w = {w}": guided(pushed, w) for w in (1.0, 5.0)}
ways |= {f"free, {w}": guided(Equations(), w) for w in (1.0, 3.0)}
right = {name: read_right(images) for name, images in ways.items()}
ask_choice(
    "Asked for 0 to 9: of which are more read right?",
    [
        ("by the label in the network (free, 1)",
         "Yes. The network has learned of the label at every t, from noisy pictures. The "
         "classifier has not."),
        ("by the classifier's push (w = 5)", "It pushes where the guess of x_0 is a blur, and its "
         "opinion worth little. And what it reads best need not look best."),
        ("as many by the one as by the other",
         "Then a classifier of clean digits would know as much of noisy ones as the network."),
    ],
    answer=2 if abs(right["classifier, w = 5.0"] - right["free, 1.0"]) < 1e-9
    else int(right["free, 1.0"] < right["classifier, w = 5.0"]),
)

# %%
show(sheet(torch.cat([images[:10] for images in ways.values()]), [],
           min(n, 10), list(ways)), "lesson 10 guidance")
show_table(f"Read right, % of {n}", ["guidance", "right"],
           [(name, f"{share:.0f}") for name, share in right.items()])
say("The same classifier pushes and judges here: what it likes is not proven to be good. "
    "Classifier-free guidance needs no second network, and so it is what is used today.")

# %% [markdown]
# ## One call
#
# What would it take to draw in one step? Along one curve of the ODE each x_t leads to
# the same end. The network's guess of x_0 does not: it is a mean over many ends.
#
# A consistency network (Song et al. 2023) is trained until its guesses along a curve
# are all the end. Then one call is enough. How far is ours from that?

# %%
end = exact[-1][1]
rows = []
for t, x_t in exact[:-1:most_calls // 6]:
    times = torch.full((len(x_t),), t, device=where)
    found = predict_x_0(schedule, x_t, times, labelled(x_t, times))
    rows.append((t, (found - end).square().mean().sqrt().item()))
ask_number(
    "At t = 1000, by how much is the guess off the end (RMS, of pixels from -1 to 1)?",
    rows[0][1],
    tolerance=0.15,
    why="There it is the mean of such digits, and near to none of them. A consistency "
        "network would have 0 in each row.",
)
show_table("The guess, beside the end of its curve", ["t", "RMS"], rows)

# %% [markdown]
# ## A map
#
# What the large models of later years changed, and what of this tutor is still true
# in each. Take Stable Diffusion: it draws 512×512×3 numbers. But its network works on
# 64×64×4, the code of a picture, which another network has learned to read and write.

# %%
ask_number(
    "By what factor are there fewer numbers in the code than in the picture?",
    512 * 512 * 3 / (64 * 64 * 4),
    tolerance=3,
    why="The network need not draw what nobody sees: lesson 7 found most of the bits there. "
        "All equations hold for the code as for pixels.",
)
show_table("What came after", ["", "changed", "stays"], [
    ("Latent diffusion, 2022", "x_0 is a code", "Eq. 4, 11, 14; guidance"),
    ("Text to picture", "the label is a text", "label dropout, guidance"),
    ("Transformers (DiT), 2023", "no U-Net", "all but the layers"),
    ("EDM, 2022", "σ for t; Heun; weights", "denoiser, noise"),
    ("Flow (SD 3, Flux), 2024", "path, velocity", "noise, squared error"),
    ("Consistency, 2023", "few steps, trained for", "schedule, noise"),
])

# %% [markdown]
# ## Read a recipe
#
# A paper says: "v-prediction, cosine schedule, 50 steps of DDIM, guidance scale 7.5,
# label dropout 0.1".

# %%
ask_choice(
    "Which of these must be settled before the training begins?",
    [
        ("all five of them, as all are in the recipe",
         "The steps of DDIM and the guidance scale are chosen when one draws. Any number of "
         "them works with the same weights."),
        ("v, the schedule, and label dropout",
         "Yes. They are in the loss: what is said, how much noise, and whether the label is left "
         "out. DDIM and the scale are chosen when one draws."),
        ("v alone: it says what is predicted",
         "The schedule says how noisy the pictures of Algorithm 1 are. And without "
         "label dropout the network never learns to draw without a label."),
    ],
    answer=1,
)

# %% [markdown]
# ## Recap
#
# - ε, x_0, v, the score and μ are one guess (Eq. 4, 11, 15). Their errors are not of
#   one size, and so each cares for other t in training (Eq. 8, 12, 14; Table 2).
# - The cosine schedule chooses ᾱ. A network may walk through other noise levels than
#   its own steps, if it is told its own t for each.
# - DDIM is Euler's method for an ODE; with as many calls Heun's ends nearer, if they
#   are many.
# - Flow matching trains on straight lines. With Gaussian noise it is the same model,
#   with other steps and weights. Many lines cross, so that steps are still needed.
# - A classifier can push where the network knows no label; today the label is dropped
#   at random in training, and one network does both.
