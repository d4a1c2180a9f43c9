# %% [markdown]
# # Lesson 8 · What a perfect network would do
#
# **Goal:** at the end you can say what the network is for, what a perfect one
# would draw, and when a real one does the same.
#
# **You need:** lessons 1 to 4.
#
# **Paper:** §2, 3.2 · Eq. 2, 4, 6, 11, 14 · Alg. 2
#
# **Time:** 30 min
#
# If q is known, what is p_θ for? If the network names all of the noise, why not
# jump? If it learned these digits, why does it draw others? Here are worlds so small
# that the best answer to "what noise is in here?" can be computed, with no network.

# %% [markdown]
# ## Setting up
#
# The second part has a cloud of points. It can be `moons`, `spiral` or `digit`, the outline
# of a digit. To have that: `ddpm-tutor lesson 8 --set cloud=digit`.

# %% tags=["parameters"]
cloud = "moons"  # moons, spiral or digit
digit = 3  # whose outline cloud=digit takes
known = 10_000  # how many digits the exact denoiser knows, from 100 to 50,000
count = 100  # digits to measure, from 10 to 100; a fifth as many are drawn
train_steps = 1000  # of a small network, on ten digits, from 1 to 10,000
seed = 0  # another seed: another cloud, other digits, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
from itertools import pairwise
from math import pi

import torch
import torch.nn.functional as F
from torch import nn

from ddpm_tutor import (
    ExactNoisePredictor, SamplingOptions, TutorError, choose_device, draw,
    exact_eps, exact_posterior_mean, langevin_step, last, linear_schedule,
    load_checkpoint, load_digits, log_density, normal, p_step,
    posterior_weights, predict_eps, predict_x_0, q_posterior, q_sample,
    respaced, sample, score_from_eps, stream, time_encoding, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, figure, frames_of, save_film, say, show,
    show_curves, show_download, show_images, show_table, so_far, track,
)

# %%
if cloud not in ("moons", "spiral", "digit"):
    raise TutorError(f"cloud is moons, spiral or digit, not {cloud}.")
if digit not in range(10) or known < 100 or not 10 <= count <= 100:
    raise TutorError("digit is from 0 to 9, known is 100 or more, and "
                     "count from 10 to 100.")
digits = load_digits(progress=show_download)
print(digits.source)
schedule, generator = linear_schedule(), stream(seed, "lesson 8")

# %% [markdown]
# ## A world of two points
#
# Let a picture be one pixel, and either -1 or 1, each as likely. By Eq. 4 `x_t` is
# `√ᾱ_t x_0` plus noise of variance `1 - ᾱ_t`. So we know its density, exactly. It is
# half a bell curve around `-√ᾱ_t`, and half of one around `√ᾱ_t`:
#
#     q(x_t) = ½ N(x_t; -√ᾱ_t, 1 - ᾱ_t) + ½ N(x_t; √ᾱ_t, 1 - ᾱ_t)
#
# `q` below takes any world that is made of a few bells, each with its middle, width
# and share. A point is a bell of width 0.
#
# Then press `c` to move the points. Try `place = 3.0`, for -3 and 3, and say first
# until when there will be two humps.

# %% tags=["change"]
place = 1.0  # of the one point, from 0.1 to 3; the other is at minus that

# %%
grid = torch.linspace(-5, 5, 1001).double()  # where densities are taken
def bell(x, mean, variance):
    return (-(x - mean) ** 2 / (2 * variance)).exp() / (
        2 * pi * variance).sqrt()

def q(t, world):  # q(x_t) at each x of the grid, (1001,)
    middle, width, share = torch.tensor(world).double()
    a = schedule.alpha_bar[t]
    variance = a * width ** 2 + 1 - a
    return bell(grid[:, None], a.sqrt() * middle, variance) @ share

two_points = ((-1, 1), (0, 0), (0.5, 0.5))  # middles, widths, shares
world = ((-place, place), *two_points[1:])
humps = [t for t in range(1, 1001) if q(t, world).argmax() != 500]
ask_number(
    "With the points there, up to which t does q(x_t) have two humps?",
    max(humps, default=0),
    tolerance=75,
    why="Two equal bells have one hump when their middles are no further apart than twice "
        "their width. With points at -1 and 1 that is √ᾱ_t = √(1 - ᾱ_t), so ᾱ_t = ½; with "
        "±a it is ᾱ_t = 1 / (1 + a²).",
)

# %%
x_0 = (torch.randint(2, (100_000,), generator=generator) * 2.0 - 1) * place
edges = torch.linspace(-5, 5, 101)
with figure(8, 2.6, columns=2) as (picture, axes):
    for axis, t in zip(axes, (100, 400), strict=True):
        noise = normal(x_0.shape, generator, "cpu")
        x_t = q_sample(schedule, x_0, torch.full((100_000,), t), noise)
        drawn = torch.histogram(x_t, edges, density=True).hist
        middles = (edges[:-1] + edges[1:]) / 2
        axis.plot(middles, drawn, ".", label="drawn")
        axis.plot(grid, q(t, world), label="exact")
        axis.set(title=f"q(x_{t})", xlabel="x_t")
        axis.legend()
show(picture, "lesson 8 two points")
found = so_far("two points", f"±{abs(place):g}", max(humps, default=0))
show_table("Two humps", ["points at", "up to t"], list(found.items()))

# %% [markdown]
# ## The step back, by Bayes
#
# Eq. 6 is the step back if you know `x_0`. And if you don't? By Bayes' rule
#
#     q(x_{t-1} | x_t) = q(x_t | x_{t-1}) q(x_{t-1}) / q(x_t)
#
# The first factor is Eq. 2, a bell curve. The second is known in our world. So here
# one can really step back. One can also go from t to any s before it: then
# `ᾱ_t / ᾱ_s` stands where `α_t` stood.
#
# Then press `c` to change s. Try `s = 250`, and say first what the shape will be.

# %% tags=["change"]
s = 10  # where the step ends, from 1 to 399

# %%
def back(s, t, x_t, world):  # q(x_s | x_t) at each x_s of the grid
    a = schedule.alpha_bar[t] / schedule.alpha_bar[s]  # α_t for s = t - 1
    found = bell(x_t, a.sqrt() * grid, 1 - a) * q(s, world)
    return found / found.sum(dim=-1, keepdim=True)

if not 1 <= s < 400:
    raise ValueError("s must be from 1 to 399")
step_to_s = back(s, 400, 0.3, two_points)
rises = step_to_s.diff().sign()
rises = rises[rises != 0]  # 1 upwards, -1 downwards
tops = int(((rises[:-1] > 0) & (rises[1:] < 0)).sum())
ask_choice(
    "You are at x_400 = 0.3, and go to x_s in one step. What shape is q(x_s | x_400)?",
    [
        ("it has one top", "So it is as long as the noise in x_s still covers the gap between "
         "the two points."),
        ("it has two tops", "So it is where x_s tells the two points apart. x_400 = 0.3 may have "
         "come from either, from 1 somewhat more often."),
        ("it is a narrow bell at 1", "1 is more probable. But noise "
         "large enough to lead from -1 to 0.3 is not rare at t = 400."),
    ],
    answer=1 if tops > 1 else 0,
)

# %%
def curve(found):  # from -2 to 2
    height = (found / found.max()).round(decimals=3)
    return list(zip(grid.tolist(), height.tolist(), strict=True))[300:701]

for to, step in ((399, back(399, 400, 0.3, two_points)), (s, step_to_s)):
    found = so_far("the step back", f"to x_{to}", curve(step))
show_curves("From x_400 = 0.3, highest point at 1", found, "x_s")
below = step_to_s[grid < 0].sum()
say(f"The step to x_399 looks like a bell. That to x_{s} ends below 0 with probability {below:.2f}"
    + (", and has two tops. No bell can say so." if tops > 1 else ", and has one top."))

# %% [markdown]
# ## Why a thousand steps?
#
# So `p_θ` may be a bell curve where steps are small. How small? We take a world of
# three bells (drawn below), and go from t = 1000 to 0 in n steps. For each step we
# ask how many nats are lost if a bell stands for q. The best is the one with q's own
# mean and variance:
#
#     KL( q(x_s | x_t) || N(mean, variance) ),   the mean over all x_t
#
# The sum over the steps is the loss of the whole way.

# %%
three_bells = ((-1.2, 0.2, 1.0), (0.1, 0.3, 0.08), (0.3, 0.5, 0.2))
def lost(s, t, world):  # nats
    some = slice(0, None, 8)  # of the x_t
    p = back(s, t, grid[some, None], world)  # (126, 1001)
    mean = p @ grid
    variance = p @ grid ** 2 - mean ** 2
    best = bell(grid, mean[:, None], variance[:, None]) * 0.01
    log_ratio = p.clamp(min=1e-300).log() - best.clamp(min=1e-300).log()
    return (q(t, world)[some] @ (p * log_ratio).sum(dim=1)).item() * 0.08

in_steps = {}
for n in (1, 10, 30, 100):
    times = torch.linspace(0, 1000, n + 1).long().tolist()
    in_steps[n] = sum(lost(s, t, three_bells) for s, t in pairwise(times))

# %%
ratio = in_steps[10] / in_steps[100]
ask_choice(
    "A hundred steps in place of ten. What becomes of the sum of the KLs?",
    [
        ("about the same",
         "There are ten times as many, but each is far less than a tenth: see the table."),
        ("about a tenth", "Then each would be a hundredth of what it was. It is less."),
        ("far less still", f"Yes. It is a {ratio:.0f}th: a step ten times as "
         "short is nearer to a bell by far more than ten times."),
    ],
    answer=2 if ratio > 20 else 1 if ratio > 3 else 0,
)
rows = [(n, nats, nats / n) for n, nats in in_steps.items()]
show_table("Bells in place of q", ["steps", "nats, all", "nats, each"], rows)

# %%
curves = {}
for t in (1, 200, 600):
    height = q(t, three_bells).round(decimals=3)
    curves[f"q(x_{t})"] = zip(grid.tolist(), height.tolist(), strict=True)
show_curves("The world of three bells, at three t", curves, "x_t")

# %% [markdown]
# ## Algorithm 2, with no network
#
# Back to the two points. What is the best `ε_θ(x_t, t)` there? The one with the least
# squared error (Eq. 14), and that is the mean of all ε that may be in `x_t`. By Eq. 4
# it follows from the mean of `x_0`, for which Bayes gives -1 and 1 their probabilities.
# `exact_eps` computes it, and Algorithm 2 needs nothing else.
#
# First in one single step, from t = 1000 to 0. It subtracts all the noise, as exactly
# as can be known. 4,000 starts `x_T`: where do they end?

# %%
two = torch.tensor([-1.0, 1.0])
def algorithm_2(n, count=4000):  # x at each of the n steps, (n + 1, count)
    short, _ = respaced(schedule, n)
    x = normal((count,), generator, "cpu")
    states = [x]
    for i in range(n, 0, -1):
        t = torch.full((count,), i)
        z = normal(x.shape, generator, "cpu")
        x = p_step(short, x, t, exact_eps(short, x, t, two), z, "beta_tilde")
        states.append(x)
    return torch.stack(states)

in_one = algorithm_2(1)[-1]
ask_choice(
    "Where do they end?",
    [
        ("all near 0, in the middle",
         "Yes. x_1000 says next to nothing, so the guess is the mean of -1 and 1. That is the "
         "best guess, and no picture. So one does not jump."),
        ("half at -1 and half at 1", "So the data are. But each ends at a mean of both."),
        ("spread evenly from -1 to 1", "Their guesses would have to differ. At t = 1000 all "
         "x_t say the same: next to nothing."),
    ],
    answer=0 if in_one.abs().max() < 0.2 else 2,
)

# %%
rows = []
for n in (1, 2, 5, 10, 50):
    ends = algorithm_2(n)[-1]
    near = (ends.abs() - 1).abs() < 0.1
    rows.append((n, f"{near.float().mean():.0%}",
                 f"{(ends > 0).float().mean():.0%}"))
show_table("Where 4,000 end",
           ["steps", "within 0.1 of -1 or 1", "above 0"], rows)

# %% [markdown]
# ## A step that is no bell
#
# There is another way. From Bayes we know the whole `q(x_0 | x_t)`, not only its mean.
# So *draw* an `x_0` from it, and take Eq. 6 with that one:
#
#     q(x_s | x_t) = the mean of q(x_s | x_t, x_0) over q(x_0 | x_t)
#
# That is the true step back, of any length, and no bell.

# %%
def true_step(short, x_t, t):
    weights = posterior_weights(short, x_t, t, two)  # (count, 2)
    picked = torch.multinomial(weights, 1, generator=generator)[:, 0]
    mean, variance = q_posterior(short, x_t, two[picked], t)
    return mean + variance.sqrt() * normal(x_t.shape, generator, "cpu")

x_T = normal((4000,), generator, "cpu")
ends = true_step(respaced(schedule, 1)[0], x_T, torch.ones(4000).long())
right = ((ends.abs() - 1).abs() < 1e-5).float().mean().item()
ask_choice(
    "How many such steps are needed?",
    [
        ("a thousand: each must be small", "A step must be small to be a bell. This one need "
         "not be a bell."),
        ("about ten, as with Algorithm 2", "That was what bells needed. These steps are q itself."),
        ("one: straight from x_T to x_0",
         "Yes. To draw from q(x_0 | x_T) is to draw a picture at once."),
    ],
    answer=2 if right == 1 else 1,
)

# %%
print(f"in one step: {right:.0%} at -1 or 1, "
      f"{(ends > 0).float().mean():.0%} of all at 1")
say("Then why not do that? To draw from q(x_0 | x_T) one needs the probability of every picture: "
    "that is the task we began with. A mean can be learned, by a squared error. This is what p_θ "
    "is for: it takes many small steps, and each is a bell of which only the mean must be known.")

# %% [markdown]
# ## Paths
#
# Here are all thousand steps of Algorithm 2, and 4,000 paths. At the end half of them
# are at -1, and half at 1. Until when does a path still change sides?

# %%
paths = algorithm_2(1000)  # (1001, 4000), t = 1000 first
elsewhere = (paths > 0) != (paths[-1] > 0)  # not on the side where it ends
crossed = torch.where(elsewhere, torch.arange(1000, -1, -1)[:, None], 1000)
ask_number(
    "At which t does a path cross 0 for the last time? The median of all:",
    crossed.min(dim=0).values.float().median(),
    tolerance=100,
    why="For long x_t says little of where it will end, and for the last few hundred steps it "
        "hardly ever changes. It is decided in between, as digits were in lesson 4.",
)

# %%
with figure(8, 3.4) as (picture, (axis,)):
    ts = torch.arange(1000, -1, -1)
    for path in paths[:, :4].T:
        axis.plot(ts[::8], path[::8])
    axis.set(title="Four paths: from x_1000, right, to x_0", xlabel="t")
show(picture, "lesson 8 paths")

# %% [markdown]
# ## A cloud
#
# Now `x_0` has two numbers, and is one of 400 points in the plane. As a picture they
# are two pixels each; to look at them we draw them all on one sheet.

# %%
def sheet_of(points, size=48, reach=1.5):  # points (n, 2) as one image
    at = ((points / reach + 1) / 2 * size).long()
    x, y = at[((at >= 0) & (at < size)).all(dim=1)].T
    count = torch.zeros(size, size)
    count.index_put_((size - 1 - y, x), torch.ones(len(x)), accumulate=True)
    return (count[None, None] / 2).clamp(max=1) * 2 - 1  # (1, 1, size, size)

# %%
u = torch.rand(400, generator=generator)
if cloud == "moons":
    side = torch.arange(400) % 2 * 2.0 - 1
    x, y = (pi * u).cos() - 0.5, (pi * u).sin() - 0.25
    points = (side * torch.stack([x, y])).T / 1.7
if cloud == "spiral":
    turn = (0.1 + 0.9 * u).sqrt()
    angle = 3 * pi * turn
    points = (turn * torch.stack([angle.cos(), angle.sin()])).T
if cloud == "digit":
    same = to_unit_range(digits.of_class(digit))
    image = same[seed % len(same)][None]
    ink = (F.interpolate(image, scale_factor=3, mode="bilinear") > 0).float()
    rim = ink + F.max_pool2d(-ink, 3, 1, 1) > 0  # ink beside black
    row, column = rim[0, 0].nonzero()[(u * rim.sum()).long()].T
    points = torch.stack([column - 48, 48 - row]).T / 36
points = points + 0.02 * normal((400, 2), generator, "cpu")
show_images(sheet_of(points, 32), f"the cloud: {cloud}")

# %% [markdown]
# ## The best guess is a softmax
#
# Which point did `x_t` come from? Eq. 4 says how probable this `x_t` is for each. So
# Bayes gives each point n a weight, and the best guess of `x_0` is the weighted mean:
#
#     weight n  =  softmax over n of -|x_t - √ᾱ_t point n|² / (2 (1 - ᾱ_t))
#
# In lesson 4 this mean was what a network should learn. Here it is four lines.
# (`exact_posterior_mean` does the same for many points.)

# %%
def guess(x_t, t):  # the mean of x_0, (B, 2)
    a = schedule.alpha_bar[t]
    squares = torch.cdist(x_t, a.sqrt().float() * points) ** 2
    return (-squares / (2 * (1 - a))).softmax(dim=1).float() @ points

def forward(t):  # an x_t from each of the points
    noise = normal(points.shape, generator, "cpu")
    return q_sample(schedule, points, torch.full((400,), t), noise)

def alike(x_t, t):  # among how many points the weight is shared
    w = posterior_weights(schedule, x_t, torch.full((400,), t), points)
    return (-torch.xlogy(w, w).sum(dim=1)).exp().median().item()

levels = {t: forward(t) for t in (1000, 600, 300, 100, 20)}
x_t, at = levels[300], torch.full((400,), 300)
exact = exact_posterior_mean(schedule, x_t, at, points)
assert (guess(x_t, 300) - exact).abs().max() < 1e-3

# %%
ask_choice(
    "400 different x_1000, and the best guess of x_0 for each. What do the guesses look like?",
    [
        ("like the cloud itself", "For that each x_1000 would have to tell which point it was."),
        ("like noise, as wide as x_1000", "A mean of points of the cloud is never outside of it."),
        ("like a line through the cloud", "They hardly differ at all: see the pictures."),
        ("like one point, in the middle", "Yes. All 400 points have nearly the same weight. With "
         "less noise the guesses part, and become the cloud."),
    ],
    answer=3 if guess(levels[1000], 1000).std(dim=0).max() < 0.05 else 2,
)

# %%
names = [f"t = {t}" for t in levels]
show_images(torch.cat([sheet_of(x) for x in levels.values()]), "x_t", names)
show_images(torch.cat([sheet_of(guess(x, t)) for t, x in levels.items()]),
            "the best guesses of x_0, and how many points share the weight",
            [f"{alike(x, t):.0f}" for t, x in levels.items()])

# %% [markdown]
# ## The score
#
# Where is `q(x_t)` denser? The *score* says in which direction, and how steeply:
# it is the gradient of `log q(x_t)`. For one bell of the mixture it would be
# `-(x_t - √ᾱ_t point) / (1 - ᾱ_t)`, and that is `-ε / √(1 - ᾱ_t)`. For the mixture it is
# the mean of these, with the weights of Bayes:
#
#     score  =  -ε_θ / √(1 - ᾱ_t),   with the best ε_θ
#
# To predict the noise is to know which way the data are. We take the score at 225
# places, and ask where it points: at the middle of the cloud, or at the nearest of
# its points? (Both times `√ᾱ_t`, as all of `x_t` shrinks.) A cosine of 1 is straight
# at it. The dots in the figure are draws of `x_t`.

# %%
line = torch.linspace(-1.5, 1.5, 15)
places = torch.cartesian_prod(line, line)  # (225, 2)
def score(x, t):
    at = torch.full((len(x),), t)
    return score_from_eps(schedule, at, exact_eps(schedule, x, at, points))

def aim(t):  # mean cosines
    scaled = schedule.alpha_bar[t].sqrt().float() * points
    nearest = scaled[torch.cdist(places, scaled).argmin(dim=1)]
    return [F.cosine_similarity(score(places, t), to - places).mean().item()
            for to in (scaled.mean(dim=0), nearest)]

x = levels[300].double().requires_grad_()
density = log_density(schedule, x, torch.full((400,), 300), points)
(gradient,) = torch.autograd.grad(density.sum(), x)
difference = (gradient - score(x.detach(), 300)).abs().max()
print(f"gradient of log q against -ε / √(1 - ᾱ): {difference:.0e} apart")

# %%
aims = {t: aim(t) for t in (400, 100, 20)}
at_middle, at_nearest = aims[400]
ask_choice(
    "At t = 400, where do the arrows point?",
    [
        ("at the nearest point of the cloud", "At small t they do. At large t all points count "
         "nearly alike."),
        ("at the middle of the cloud", "Yes. There the best guess of x_0 is the middle, and the "
         "arrow points at √ᾱ_t times the guess."),
        ("each in another direction: x_t is noise", "x_t is noise, but the score is a "
         "function of it, the same each time."),
    ],
    answer=1 if at_middle > max(0.9, at_nearest) else 0,
)
show_table("How straight the arrows point", [
    "t", "at the middle", "at the nearest"],
    [(t, *cosines) for t, cosines in aims.items()])

# %%
with figure(9, 3.2, columns=3) as (picture, axes):
    for axis, t in zip(axes, (400, 100, 20), strict=True):
        arrow = score(places, t) * (1 - schedule.alpha_bar[t])
        axis.scatter(*forward(t).T, s=2, color="tab:orange")
        axis.quiver(*places.T, *arrow.T, angles="xy", width=0.005)
        axis.set(title=f"t = {t}", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6))
show(picture, "lesson 8 score")

# %% [markdown]
# ## Following the score
#
# Langevin dynamics is a walk that follows the score, and is shaken on its way:
#
#     x  ←  x + δ/2 · score + √δ z,   z ~ N(0, I)
#
# Take many small steps with one score, and x becomes a draw from its density, from
# wherever it began (Song and Ermon 2019). Line 4 of Algorithm 2 looks much like it
# (Section 3.2).
#
# We begin with noise, and take 300 such steps. The score is always that of t = 200.

# %%
x = normal((400, 2), generator, "cpu")
delta = 0.1 * (1 - schedule.alpha_bar[200].item())
for _ in range(300):
    z = normal(x.shape, generator, "cpu")
    x = langevin_step(x, score(x, 200), delta, z)
def from_cloud(x):  # mean distance to the nearest point
    return torch.cdist(x, points).min(dim=1).values.mean().item()

walked, noisy = from_cloud(x), from_cloud(forward(200))
ask_choice(
    "What have the 400 x become?",
    [
        ("a cloud with noise, as x_200 has", "Yes. The score is that of q(x_200), and so are "
         "the draws. More steps would only draw others."),
        ("the cloud itself, sharp", "The score does not know that less noise is wanted: it is "
         "that of q(x_200)."),
        ("a dot where q(x_200) is highest", "Without z they would be. The noise "
         "keeps them moving."),
    ],
    answer=0 if abs(walked / noisy - 1) < 0.4 else 1,
)
show_images(torch.cat([sheet_of(x), sheet_of(forward(200))]),
            "after the walk", ["300 steps", "x_200, by Eq. 4"])
print(f"mean distance to the nearest point: {walked:.3f}, "
      f"x_200 by Eq. 4: {noisy:.3f}")

# %% [markdown]
# ## Langevin beside Algorithm 2
#
# Put the score into line 4, in place of `ε_θ`:
#
#     x_{t-1} = (x_t + β_t · score) / √α_t + σ_t z          (11, Alg. 2)
#
# With `σ_t² = β_t` that is a Langevin step of size `δ = β_t`, but with *twice* as much
# of the score. One half keeps `q(x_t)` as it is. The other, with `1/√α_t`, leads on to
# `q(x_{t-1})`.
#
# Langevin alone can get there, too: let t fall from 1000 to 1, with a step or more at
# each (*annealed*). Both get n calls of the score, and δ is a fifth of `1 - ᾱ_t`.

# %%
def both(n):
    short, times = respaced(schedule, n)
    a = b = normal((400, 2), generator, "cpu")
    for i in range(n, 0, -1):
        t, z = torch.full((400,), i), normal(a.shape, generator, "cpu")
        eps = exact_eps(short, a, t, points)
        a = p_step(short, a, t, eps, z, "beta_tilde")
        delta = 0.2 * (1 - short.alpha_bar[i]).item()
        b = langevin_step(b, score(b, int(times[i])), delta, z)
    return a, b

results = {n: both(n) for n in (20, 100)}
near = [from_cloud(x) for x in results[100]]
ask_choice(
    "With 100 calls of the score each, which is nearer to the cloud?",
    [
        ("Algorithm 2", "Yes. Half of its step does nothing but lead to the next t."),
        ("both the same", "The score is the same, and not the step. One "
         "of the two steps knows that the noise is about to become less."),
        ("Langevin", "It follows the score, at each t. But the walk takes time to catch up "
         "with a density that changes with t."),
    ],
    answer=0 if near[0] < 0.8 * near[1] else 2 if near[1] < 0.8 * near[0] else 1,
)

# %%
clouds = [sheet_of(x) for pair in results.values() for x in pair]
show_images(torch.cat(clouds), "20 calls, and 100 calls",
            ["Algorithm 2", "Langevin"] * 2)
show_table("Mean distance to the nearest point",
           ["calls", "Algorithm 2", "Langevin"],
           [(n, *map(from_cloud, pair)) for n, pair in results.items()])

# %% [markdown]
# ## The cloud condenses
#
# A film of it: 400 points, all thousand steps, `x_t` on the left and the guess of `x_0`
# on the right. `ExactNoisePredictor` is called as a network is, so `sample` takes it.

# %%
perfect = ExactNoisePredictor(schedule, points)
x_T = normal((400, 2), generator, "cpu")
chain = sample(perfect, schedule, x_T, generator=generator)
states = [state for state in track(chain, 1001, "Condensing")
          if state.t % 5 == 0]
film = (state._replace(x_t=sheet_of(state.x_t, 80),
                       x_0_hat=sheet_of(state.x_0_hat, 80))
        for state in states)
_ = save_film(frames_of(film, schedule), "lesson 8 condensing")

# %% [markdown]
# ## On digits
#
# A digit is a point as well, in a room of 1,024 dimensions. The training digits are a
# cloud there. So their best guess is the same softmax, over the distances to all of
# them. Here is a digit that is *not* among them, and what each makes of it: the exact
# denoiser, and the network that ships.

# %%
where = choose_device(device, cpu_seconds=15)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule.to(where)
order = torch.randperm(len(digits.train_images), generator=generator)[:known]
train = to_unit_range(digits.train_images[order]).to(where)
held_out = torch.randperm(len(digits.validation_images), generator=generator)
unseen = to_unit_range(digits.validation_images[held_out[:count]]).to(where)
own = train[:count]
print(f"the exact denoiser knows {len(train):,} digits")

# %%
def predictions(x_0, t):  # x_t, its noise, and ε by both
    at = torch.full((len(x_0),), t, device=where)
    eps = normal(x_0.shape, generator, where)
    x_t = q_sample(schedule, x_0, at, eps)
    with torch.no_grad():
        return x_t, eps, exact_eps(schedule, x_t, at, train), model(x_t, at)

guesses = []
for t in (700, 400, 200):
    x_t, _, *both_eps = predictions(unseen[:1], t)
    at = torch.tensor([t], device=where)
    guesses += [predict_x_0(schedule, x_t, at, eps) for eps in both_eps]
for name, of in (("the exact guess", 0), ("the network's", 1)):
    show_images(torch.cat([unseen[:1], *guesses[of::2]]).cpu(), name,
                ["x_0", "t = 700", "t = 400", "t = 200"])
most = posterior_weights(schedule, x_t, at, train).max()
say(f"In the exact guess at t = 200 one of the digits that it knows has {most:.0%} of the weight.")

# %% [markdown]
# ## Who is better?
#
# Now the error in ε (Eq. 14), over digits that the exact denoiser knows, and over
# as many that it has never seen. On those that it knows no network can be better.

# %%
errors = {}
for t in (50, 200, 400, 700):
    for x_0, name in ((own, "known"), (unseen, "unseen")):
        _, eps, *both_eps = predictions(x_0, t)
        errors[t, name] = [(eps - e).square().mean().item() for e in both_eps]
exact_unseen, network_unseen = errors[200, "unseen"]
ask_choice(
    "On digits that neither has seen, at t = 200: which has the smaller error?",
    [
        ("both about the same", "They are, at t = 700. At t = 200 much of the digit can be "
         "seen, and it is none of those that are known."),
        ("the network", "Yes. The exact denoiser pulls every digit to the nearest that it "
         "knows. The network has learned how strokes look, not which digits there are."),
        ("the exact denoiser", "It is the best for the digits that it knows. For it there are "
         "no others in the world."),
    ],
    answer=1 if network_unseen < 0.8 * exact_unseen else
    2 if exact_unseen < 0.8 * network_unseen else 0,
)

# %%
def by(name, t):
    return [f"{error:.4f}" for error in errors[t, name]]

show_table("Error in ε", ["t", "known: exact", "network", "unseen: exact",
                          "network"],
           [(t, *by("known", t), *by("unseen", t))
            for t in (50, 200, 400, 700)])
mnist = digits.source.startswith("MNIST")
gap = errors[200, "unseen"][1] / errors[200, "known"][1]
say(("The network was trained on all of the known ones, and on none of the others. "
     if mnist else "In MNIST's place stand digits that this network drew itself. ")
    + ("It does about as well on both." if 0.8 < gap < 1.25 else
       f"On the others its error at t = 200 is {gap:.2f} times as large.")
    + ("" if mnist else " So it is with MNIST's, too: those that it was trained on, and others."))

# %% [markdown]
# ## What a perfect network draws
#
# Put the exact denoiser of 1,000 digits into Algorithm 2. No network, nothing is
# trained. (100 of the 1000 steps.)

# %%
few = train[:1000]
how = SamplingOptions(steps=100)
def nearest(images, among):  # distance (RMS over pixels), and to which
    apart = torch.cdist(images.flatten(1), among.flatten(1)) / 32
    return apart.min(dim=1)

chain = draw(ExactNoisePredictor(schedule, few), schedule, None, how,
             seed=seed, indices=range(count // 5))
copies = last(track(chain, 101, "No network"))
distance, which = nearest(copies, few)
ask_choice(
    "What does it draw?",
    [
        ("blurs: means of many digits", "At large t its guess is a blur. But as x_t gets "
         "clearer, one weight grows, and the others go to nothing."),
        ("copies of the thousand", "Yes. In the end each x_t has one point next to it, and the "
         "guess is that point."),
        ("new digits, as the network does", "For new ones it would have to give a guess that is "
         "none of the thousand, at small t. It never does."),
    ],
    answer=1 if distance.max() < 0.1 else 2,
)

# %%
show_images(copies[:4].cpu(), "drawn with the exact denoiser")
show_images(few[which[:4]].cpu(), f"the nearest of the {len(few):,}")
print(f"distance to the nearest: {distance.mean():.3f} on average; "
      f"{len(which.unique())} different ones among {len(copies)}")

# %% [markdown]
# ## And the network?
#
# The loss of Eq. 14 is least for the exact denoiser. So a network that is large enough,
# and trained for long enough, copies! Does ours? We draw some digits with it. How far
# are they from the nearest training digit? And how far are digits that were held out?

# %%
chain = draw(model, schedule, None, SamplingOptions(steps=50), seed=seed,
             indices=range(count // 5))
ours = last(track(chain, 51, "The network")).to(where)
every = to_unit_range(digits.train_images).to(where)
of_ours = nearest(ours, every).values.mean().item()
of_unseen = nearest(unseen, every).values.mean().item()
show_table("Distance to the nearest", ["digits", "among", "distance"], [
    ("exact denoiser", f"{len(few):,}", f"{distance.mean():.3f}"),
    ("the network", f"{len(every):,}", f"{of_ours:.3f}"),
    ("held out", f"{len(every):,}", f"{of_unseen:.3f}")])
weights = sum(p.numel() for p in model.parameters())
pixels = 55_000 * 28 * 28
print(f"{weights / 1e6:.1f} million weights; MNIST's training digits have "
      f"{pixels / 1e6:.0f} million pixels")
say(("So it does not copy." if of_ours > 0.5 * of_unseen else
     "Here its digits are nearer to those than new ones are.")
    + ("" if mnist else " (In MNIST's place stand digits that it drew before. Among MNIST's "
       "55,000 it is the same.)"))

# %%
ask_choice(
    "Why does the network not copy?",
    [
        ("it cannot hold so many digits, one by one", "Yes. It has far fewer weights than "
         "there are pixels, and has seen each digit fewer than a hundred times. What it can "
         "hold is what they have in common, and that goes for new digits as well."),
        ("the fresh noise z keeps it from copying", "The exact denoiser was drawn with fresh "
         "noise, too, and copies."),
        ("Algorithm 2 mixes what the network knows", "The exact denoiser went through the same "
         "Algorithm 2, and copies."),
        ("its loss makes copies expensive", "It does not: a network that copies would have a "
         "smaller training loss than ours."),
    ],
    answer=0 if of_ours > 0.5 * of_unseen else 2,
)

# %% [markdown]
# ## When would it copy?
#
# When it has room for all that it is shown. Here is a small network of three layers.
# We train it twice, for the same number of steps: on ten digits, and on a thousand.
# It guesses `x_0`. By Eq. 4 its guess of the noise follows.

# %%
class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(1024 + 64, 512), nn.SiLU(), nn.Linear(512, 512),
            nn.SiLU(), nn.Linear(512, 1024))

    def guess(self, x_t, t):  # of x_0
        seen = torch.cat([x_t.flatten(1), time_encoding(t, 64)], dim=1)
        return self.layers(seen).view_as(x_t)

    def forward(self, x_t, t, label=None):  # the noise that belongs to it
        return predict_eps(schedule, x_t, t, self.guess(x_t, t))

# %%
def learn(images, what):
    torch.manual_seed(seed)
    small = Small().to(where)
    adam = torch.optim.Adam(small.parameters())
    for step in track(range(train_steps), train_steps, what):
        rate = 2e-3 * min(step / 50, 1 - step / train_steps)
        adam.param_groups[0]["lr"] = rate  # grows, then falls to 0
        picked = torch.randint(len(images), (64,), generator=generator)
        t = torch.randint(1, 1001, (64,), generator=generator).to(where)
        x_0 = images[picked.to(where)]
        eps = normal(x_0.shape, generator, where)
        x_t = q_sample(schedule, x_0, t, eps)
        loss = F.mse_loss(small.guess(x_t, t), x_0)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return small

trained_on = {n: learn(train[:n], f"On {n:,} digits")
              for n in (10, len(few))}

# %% [markdown]
# ## Ten digits, learned by heart
#
# Here is what the one draws that was trained on ten, in 50 steps.

# %%
chain = draw(trained_on[10], schedule, None, SamplingOptions(steps=50),
             seed=seed, indices=range(count // 5))
drawn, ten = last(chain), train[:10]
distance, which = nearest(drawn, ten)
show_images(drawn[:4].cpu(), "drawn by the one that saw ten")
show_images(ten[which[:4]].cpu(), "the nearest of the ten")
same = (distance < 0.1).sum().item()
print(f"{same} of {len(drawn)} are within 0.1 of one of the ten")
say("So it copies. It has seen each of them "
    f"{64 * train_steps / 10:,.0f} times." if same > len(drawn) / 2 else
    "It has not learned them by heart. More steps would do it: --set train_steps=3000")

# %%
def error(small, images, t):
    at = torch.full((count,), t, device=where)
    x_0 = images[torch.arange(count, device=where) % len(images)]
    eps = normal(x_0.shape, generator, where)
    x_t = q_sample(schedule, x_0, at, eps)
    with torch.no_grad():
        return (small(x_t, at) - eps).square().mean().item()

rows = [(f"trained on {n:,}", error(small, train[:n], 200),
         error(small, unseen, 200)) for n, small in trained_on.items()]
new_10, new_1000 = (new for _, _, new in rows)
ask_choice(
    "Now give both digits that they have not seen. At t = 200, which has the larger error?",
    [
        ("the one that was trained on ten", "Yes. To it there are ten digits in the world, as "
         "to the exact denoiser of ten. The other had to find what a thousand have in common."),
        ("the one that was trained on a thousand", "On its own digits, yes. On new ones see the "
         "table."),
        ("neither: they have as many weights", "As many, but they hold something else: ten "
         "pictures, or what a thousand have in common."),
    ],
    answer=0 if new_10 > 1.1 * new_1000 else 1 if new_1000 > 1.1 * new_10 else 2,
)
show_table("Error in ε at t = 200", ["", "own digits", "unseen"], rows)

# %% [markdown]
# ## Recap
#
# - With q known, `q(x_{t-1} | x_t)` follows by Bayes. It is a bell only if the step is
#   short. So p_θ is one, and takes many steps (Section 3.2).
# - The best ε_θ (Eq. 14) belongs to the mean of `x_0` given `x_t`: for known data a
#   softmax over distances. One jump to it ends between pictures.
# - `score = -ε_θ / √(1 - ᾱ_t)`. Line 4 of Algorithm 2 is a Langevin step, and as much of
#   the score again, which leads on to t - 1.
# - Algorithm 2 is the method, and needs only some ε_θ. With the exact one there is no
#   network, and it draws copies of the data.
# - New digits come from what the network cannot do: hold all digits one by one.
#   With ten it can, and copies.
#
# That is why it matters how many pictures a network is trained on, and for how long.
