# %% [markdown]
# # Lesson 6 · How many bits is a digit?
#
# **Goal:** at the end you can compute how probable a picture is to the model, say
# where its bits go, and what such a number does not tell.
#
# **You need:** lessons 1 to 4.
#
# **Paper:** §2, 3.1 to 3.4 · Eq. 3, 5, 8, 12, 13
#
# **Time:** 30 min
#
# The assignment of 42 points is done with lesson 5. This lesson and the next one
# are about the other half of the paper. Where does the loss come from? And how
# good is the model, if one does not look at its digits but asks it how probable
# it holds real ones?

# %% [markdown]
# ## Setting up
#
# The digits are some that were held out of training. Where drawn digits stand in
# for MNIST, their background is not quite black: it has shades of 1 or 2 of 255,
# which nobody sees. In this lesson they would count. So we make everything below
# 8 black in those, as MNIST's background is.

# %% tags=["parameters"]
n = 60  # how many digits to measure, from 2 to 1000
each = 8  # how many pictures of other kinds, from 1 to 100
seed = 0  # another seed: other digits, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
from math import exp, log, pi

import torch

from ddpm_tutor import (
    Bound, ReverseProcess, bits_per_dim, bounds_of, choose_device, chunk_size,
    decoder_nats, distance_of_means, kl_gaussians, linear_schedule,
    load_checkpoint, load_digits, load_offline_digits, log_decoder, mean_of,
    normal, p_mean, per_picture, prior_nats, q_posterior, q_sample, q_step,
    reverse_variance, schedule_from_beta, step_nats, stream, to_bits,
    to_unit_range, vlb_weight,
)
from ddpm_tutor.classroom.tools import (
    PUBLISHED, ask_choice, ask_number, say, sheet, show, show_curves,
    show_download, show_images, show_table, so_far, track,
)

# %%
digits = load_digits(progress=show_download)
print(digits.source)
mnist = digits.source.startswith("MNIST")
def blackened(images):
    return torch.where(images < 8, 0, images)

known, unseen = digits.train_images[:5000], digits.validation_images
if not mnist:
    known, unseen = blackened(known), blackened(unseen)
generator = stream(seed, "lesson 6")
picked = torch.randperm(len(unseen), generator=generator)[:n]
images, n = unseen[picked], len(picked)
x_0 = to_unit_range(images).double()  # (n, 1, 32, 32)
show_images(images[:4], "four of the digits")

# %% [markdown]
# ## A likelihood is a length
#
# Say that a model gives each picture a probability, `p(x_0)`. All of them sum to
# 1, so what it gives to one it takes from others. The more it gives to real
# digits that it has never seen, the better it knows them. This is their
# *likelihood*. A code can be made in which a picture takes `-log2 p(x_0)` bits:
# likely ones are short. Divided by the 784 pixels these are its *bits/dim*.
#
# With no idea at all each of the 256 values of a pixel is as likely: 8 bits.
#
# A first idea: count how often each value occurs in training digits, and take
# that as its probability, for each pixel by itself. This table knows how much is
# black, and nothing of digits.

# %%
def inside(images):  # without the border
    return images[:, :, 2:-2, 2:-2]  # (N, 1, 28, 28)

counts = torch.bincount(inside(known).flatten().long(), minlength=256)
frequency = (counts + 1) / (counts + 1).sum()  # + 1: none is impossible
print(f"black: {100 * frequency[0]:.0f} % of the pixels")
def by_table(images):  # bits/dim of each picture
    return -frequency.log2()[inside(images).long()].mean(dim=(1, 2, 3))

ask_number(
    "How many bits/dim do digits take that the table has not counted?",
    by_table(images).mean(),
    tolerance=0.5,
    why="A black pixel takes -log2 0.81 = 0.3 bits, and the others some 9 each. A table that "
        "cannot draw is four times better than no idea.",
)

# %%
snow = torch.zeros(each, 1, 32, 32, dtype=torch.uint8)
inside(snow)[:] = torch.multinomial(
    frequency, each * 784, replacement=True, generator=generator
).view(each, 1, 28, 28)
print(f"by the table: {by_table(images).mean():.2f} bits/dim")
show_images(snow[:4], "what the table draws")

# %% [markdown]
# ## All paths to one picture
#
# What probability does *our* model give to `x_0`? It draws `x_T` from `N(0, I)`, and
# then T small steps `p_θ(x_{t-1} | x_t)`. Many paths end at x_0, and all count:
#
#     p_θ(x_0) = ∫ p_θ(x_0:T) dx_1:T
#
# For a digit that is an integral over 1000 · 1024 numbers. So take a toy: one
# pixel, drawn from `N(0, 1)`, and T = 2. For such data the best guess of the noise
# makes `√α_t x_t` the mean of a step back. Its variance we choose: `w β_t`, first
# with w = 0.5. Then each x_t is from a bell curve, and the exact answer is a formula.
#
# We check it by drawing: how many of a million draws end near x_0 = 0.5? (A *nat* is
# a bit with the natural logarithm: 1 nat = 1.44 bits.)

# %%
toy = schedule_from_beta(torch.tensor([0.2, 0.5]))
alpha, beta = toy.alpha, toy.beta
one, pixel = torch.tensor([1, 0.5], dtype=torch.float64)
def nats(x, mean, variance):  # -log N(x; mean, variance)
    return 0.5 * ((2 * pi * variance).log() + (x - mean) ** 2 / variance)

def exact(w):  # -log p(x_0)
    variance = one  # of x_2
    for t in (2, 1):
        variance = alpha[t] * variance + w * beta[t]
    return nats(pixel, 0, variance).item()

x = normal((1_000_000,), generator, "cpu")
for t in (2, 1):
    z = normal(x.shape, generator, "cpu")
    x = alpha[t].sqrt() * x + (0.5 * beta[t]).sqrt() * z
density = ((x - pixel).abs() < 0.05).double().mean().item() / 0.1
print(f"-log p(x_0) = {exact(0.5):.3f} nats; by drawing {-log(density):.3f}")

# %% [markdown]
# ## Walk from the picture
#
# No draw would ever hit a given digit. So start there: walk from x_0 into noise,
# as the forward process q does. Each such walk is a path to x_0, read backwards.
# How likely is it under p_θ, and how likely was it under q? The mean of the ratio
# over many walks is what we want, exactly:
#
#     p_θ(x_0) = E_q[ p_θ(x_0:T) / q(x_1:T | x_0) ]

# %%
walks = 100_000
x = {0: pixel.expand(walks).view(-1, 1, 1, 1)}
for t in (1, 2):
    eps = normal(x[0].shape, generator, "cpu").double()
    x[t] = q_step(toy, x[t - 1], torch.full((walks,), t), eps)
def minus_log_ratio(w):  # of each walk, (walks,)
    total = nats(x[2], 0, one)
    for t in (1, 2):
        total += nats(x[t - 1], alpha[t].sqrt() * x[t], w * beta[t])
        total -= nats(x[t], alpha[t].sqrt() * x[t - 1], beta[t])
    return total.flatten()

narrow = minus_log_ratio(0.5)
ratio = (-narrow).exp()
print(f"mean ratio {ratio.mean():.3f}, p(x_0) = {exp(-exact(0.5)):.3f}")
print(f"ratios from {ratio.min():.1g} to {ratio.max():.1g}")

# %% [markdown]
# ## A bound in its place
#
# So one can take the mean of the ratios, and then its -log: call this A. Or one
# takes the -log of each ratio, and then the mean: call this B. We do both for one
# pixel, and then for 1,000 pixels at once, with 100 walks of all of them.

# %%
toy_rows = []
for pixels in (1, 1000):
    walk = narrow.view(-1, pixels).sum(dim=1)
    A = log(len(walk)) - torch.logsumexp(-walk, dim=0).item()
    B = walk.mean().item()
    toy_rows.append((pixels, exact(0.5), A / pixels, B / pixels))
ask_choice(
    "With many walks, which is larger, A or B?",
    [
        ("A", "The logarithm bends down: it is hurt more by a small ratio than helped by a "
         "large one. That is in B, which takes it of each."),
        ("B", "Yes. The logarithm bends down, so a mean of logarithms is below the logarithm "
         "of the mean (Jensen). With the minus, B is above A."),
        ("they agree",
         "They would if all walks had the same ratio. More walks do not make them so."),
    ],
    answer=int(toy_rows[0][3] > toy_rows[0][2]),
)
assert toy_rows[0][3] > toy_rows[0][1]

# %%
show_table("-log p(x_0), nats a pixel",
           ["pixels at once", "exact", "A", "B"], toy_rows)
say("A is exact with one pixel. With 1,000, and 100 walks, it is not: nearly all of the mean "
    "comes from walks so rare that none was seen. B needs no rare walk: it is the mean of a sum. "
    "But it is more than -log p. It is the variational bound, Eq. 3.")

# %% [markdown]
# ## How far off is the bound?
#
#     -log p_θ(x_0) ≤ E_q[ -log p_θ(x_0:T) / q(x_1:T | x_0) ] = L          (3)
#
# Training makes L small, and can do so in two ways. It makes x_0 more probable.
# Or it closes the gap between the two sides, which is
#
#     KL( q(x_1:T | x_0) || p_θ(x_1:T | x_0) )
#
# KL says how many nats are lost if draws of one distribution are coded for
# another; it is 0 only if they are the same. So the gap is how unlike the walks
# from x_0 are to the paths on which the model gets there.
#
# The toy again, with steps back that are narrower or wider: variance `w β_t`.

# %%
rows = []
for w in (0.5, 1.0, 2.0):
    bound = minus_log_ratio(w).mean().item()
    rows.append((w, exact(w), bound, abs(bound - exact(w))))
ask_choice(
    "With which w is the bound exact?",
    [
        ("w = 0.5, narrow steps", "They make x_0 = 0.5 more probable, near the middle as it is. "
         "But the walks of q are wider than such paths: the gap is large."),
        ("w = 1, variance β_t", "Yes. Of data from N(0, 1) every x_t is from N(0, 1). So the walks "
         "look the same in both directions, and w = 1 is q itself, read backwards."),
        ("w = 2, wide steps", "Wider than the walks of q is as wrong as narrower."),
    ],
    answer=min(range(3), key=lambda i: rows[i][3]),
)
assert rows[1][3] < 1e-6 < min(rows[0][3], rows[2][3])

# %%
show_table("The bound of the toy, nats", ["w", "-log p(x_0)", "L", "gap"],
           [(w, *(f"{v:.3f}" for v in values)) for w, *values in rows])
say("Here w = 0.5 has the smallest -log p of this x_0, and w = 1 the smallest L. They are not "
    "the same question.")

# %% [markdown]
# ## Term by term
#
# With Bayes' rule Eq. 3 is sorted into terms (Appendix A):
#
#     L = L_T + L_{T-1} + ... + L_1 + L_0          (5)
#
#     L_T     = KL( q(x_T | x_0) || p(x_T) )
#     L_{t-1} = KL( q(x_{t-1} | x_t, x_0) || p_θ(x_{t-1} | x_t) )
#     L_0     = -log p_θ(x_0 | x_1)
#
# `q(x_{t-1} | x_t, x_0)` is the posterior of lesson 4: where x_{t-1} was, if one
# knows both ends (Eq. 7). All are bell curves, and the KL of two such is a
# formula.

# %%
def mean_back(t):
    return alpha[t].sqrt() * x[t]

t = torch.full((walks,), 2)
mu_tilde, var_tilde = q_posterior(toy, x[2], x[0], t)
terms = {
    "L_2": prior_nats(toy, x[0]),
    "L_1": kl_gaussians(mu_tilde, var_tilde, mean_back(2), 0.5 * beta[2]),
    "L_0": nats(x[0], mean_back(1), 0.5 * beta[1]),
}
rows = [(name, term.mean().item()) for name, term in terms.items()]
by_terms = sum(value for _, value in rows)
rows += [("sum (Eq. 5)", by_terms), ("Eq. 3", narrow.mean().item())]
ask_choice(
    "What is gained by Eq. 5?",
    [
        ("each term needs one x_t alone",
         "Yes. Eq. 3 wants whole walks. But Eq. 4 makes any x_t in one jump, so a term can be "
         "drawn at random and trained by itself: that is Algorithm 1."),
        ("a smaller L than that of Eq. 3",
         "It is the same number, sorted. The table below has both."),
        ("the terms need no network", "All but L_T do: p_θ is in them."),
    ],
    answer=0,
)
assert abs(by_terms - narrow.mean()) < 0.05

# %%
show_table("The toy, w = 0.5, nats", ["", "mean"], rows)

# %% [markdown]
# ## The first term, on real digits
#
# Now the digits, with the paper's schedule and the network that ships. L_T asks
# how far x_1000 is from the noise that sampling starts with.
#
# Then press `c` to change beta_T. Try `beta_T = 0.01`, and say first how many bits it
# will be.

# %% tags=["change"]
beta_T = 0.02  # the last β, from 0.0001 to 0.99

# %%
schedule = linear_schedule()  # the network's own
trial = linear_schedule(beta_T=beta_T)
prior = to_bits(per_picture(prior_nats(trial, x_0)))  # (n,)
ask_choice(
    "With this beta_T, how many bits does L_T take, of a whole digit?",
    [
        ("less than 1 bit", "For that ᾱ_1000 must be below some 0.002: next to nothing of the "
         "digit is left in x_1000."),
        ("1 to 100 bits", "So it is where ᾱ_1000 is some 0.002 to 0.15: a trace of the digit is "
         "left, and sampling starts without one."),
        ("more than 100 bits", "For that ᾱ_1000 must be above some 0.15: the digit can be seen "
         "in x_1000, and sampling starts with plain noise."),
    ],
    answer=0 if prior.mean() < 1 else 1 if prior.mean() <= 100 else 2,
)
assert beta_T != 0.02 or prior.max() < 0.1

# %%
found = so_far("the first term", f"{beta_T:g}", [
    f"{trial.alpha_bar[-1]:.2g}", f"{prior.mean():.3g}",
    f"{prior.min():.3g} to {prior.max():.3g}"])
show_table("L_T of these digits, bits",
           ["beta_T", "ᾱ_1000", "mean", "from, to"],
           [(name, *row) for name, row in found.items()])
say("Nothing in L_T can be learned. With the paper's schedule it is a few hundredths of a bit, so "
    "that the paper leaves it out (Section 3.1).")

# %% [markdown]
# ## The terms between
#
# The two bell curves of `L_{t-1}` have variances that do not depend on the network.
# So what counts is how far their means are apart (Eq. 8). With Eq. 11 in it, that
# is how far the noises are apart, times a weight (Eq. 12):
#
#     L_{t-1} = E[ |μ̃_t - μ_θ|² / 2σ_t² ] + C          (8)
#             = E[ β_t² / (2σ_t² α_t (1 - ᾱ_t)) |ε - ε_θ|² ] + C          (12)
#
# With `σ_t² = β̃_t` both curves are equally wide, and C = 0. Here is one digit,
# computed in three ways: as KL, by Eq. 8 and by Eq. 12.

# %%
where = choose_device(device, cpu_seconds=20)  # a GPU takes longer to start
trained = load_checkpoint(device=where)
model = trained.model
def predicted(x_t, t):
    with torch.no_grad():
        return model(x_t.float().to(where), t.to(where)).cpu().double()

# %%
rows = []
for step in (2, 10, 100, 500, 1000):
    t = torch.tensor([step])
    eps = normal(x_0[:1].shape, generator, "cpu").double()
    x_t = q_sample(schedule, x_0[:1], t, eps)
    eps_theta = predicted(x_t, t)
    given = x_0[:1], x_t, t, eps_theta, reverse_variance(schedule, t)
    eq_12 = vlb_weight(schedule, t, given[-1]) * (eps - eps_theta) ** 2
    kl = step_nats(schedule, *given)
    ways = kl, distance_of_means(schedule, *given), eq_12
    rows.append((step, *(to_bits(per_picture(way)).item() for way in ways)))
show_table("L_{t-1} of one digit, bits",
           ["t", "KL", "Eq. 8", "Eq. 12"], rows)
assert all(max(row[1:]) < min(row[1:]) * (1 + 1e-6) for row in rows)

# %% [markdown]
# ## What L_simple leaves out
#
# `L_simple` is Eq. 12 without its weight (Eq. 14): an error in the noise counts the
# same at every t. In L it does not. How does the weight go with t?

# %%
steps = torch.arange(2, 1001)
sigma_squared = reverse_variance(schedule, steps)  # (999, 1, 1, 1)
weight = vlb_weight(schedule, steps, sigma_squared).flatten()
ask_choice(
    "Where is the weight of Eq. 12 by far the largest?",
    [
        ("at large t, where x_t is nearly noise",
         "There a wrong noise moves the mean far, but σ_t is large as well: the "
         "weight is small."),
        ("in the middle, where the digit takes shape", "There it is about at its smallest."),
        ("at small t, where only the last shades are missing",
         "Yes. σ_t is tiny there, so even a small error is many σ_t wide. Without the weight "
         "these steps count far less."),
    ],
    answer=2 - int(weight.argmax() > 100) - int(weight.argmax() > 900),
)
by_t = zip(steps.tolist(), weight.tolist(), strict=True)
show_curves("The weight of Eq. 12", {"": by_t}, log=True)

# %% [markdown]
# ## Two losses, one network
#
# So the two losses look at different steps. How much of each comes from where?
# The errors here are those of the trained network.

# %%
rows = []
for low, high in ((2, 10), (11, 50), (51, 200), (201, 1000)):
    t = torch.randint(low, high + 1, (4 * n,), generator=generator)
    clean = x_0.repeat(4, 1, 1, 1)
    eps = normal(clean.shape, generator, "cpu").double()
    eps_theta = predicted(q_sample(schedule, clean, t, eps), t)
    error = per_picture((eps - eps_theta) ** 2)  # (4 n,)
    count = high - low + 1
    rows.append((f"{low} to {high}", error.mean().item() * count,
                 (weight[t - 2] * error).mean().item() * count))
sums = [sum(row[i] for row in rows) for i in (1, 2)]
rows = [(name, f"{100 * a / sums[0]:.0f} %", f"{100 * b / sums[1]:.0f} %")
        for name, a, b in rows]
show_table("Where the loss comes from", ["t", "of L_simple", "of L"], rows)
say(f"The first nine of these steps are {rows[0][2]} of these terms of L, and {rows[0][1]} of "
    "L_simple. They take out the last, very little noise. Without the weight the network cares "
    "more for larger t, and the paper's pictures got better (Section 3.4).")

# %% [markdown]
# ## How many bits is a digit?
#
# Now all terms. Each digit gets a few t in every range, close together where the
# terms are large, and one noise for each. That is right on average; ± says how far
# off the mean may be (one standard error). We compute it for four choices of the σ,
# which cost no more than one. For now look at `σ_t² = β̃_t` and, as β̃_1 is 0,
# `σ_1² = β_1`.
#
# The table of frequencies draws snow. This network draws digits. How many bits/dim
# does it take?

# %%
processes = {
    "β_t, β_1": ReverseProcess("beta", "beta_1"),
    "β_t, β̃_2": ReverseProcess("beta", "beta_tilde_2"),
    "β̃_t, β_1": ReverseProcess("beta_tilde", "beta_1"),
    "β̃_t, β̃_2": ReverseProcess("beta_tilde", "beta_tilde_2"),
}
def bounds(images, names, what):
    found = bounds_of(model, trained.schedule, images,
                      [processes[name] for name in names], seed=seed)
    total = -(-len(images) // chunk_size(model))
    parts = zip(*track(found, total, what), strict=True)
    return dict(zip(names, map(Bound.joined, parts), strict=True))

# %%
of_digits = bounds(images, list(processes), "Counting bits")
bound = of_digits["β̃_t, β_1"]
table_bits = by_table(images).mean()
network_bits = bits_per_dim(bound.nats).mean()
ask_number(
    "How many bits/dim is the bound of these digits?",
    network_bits,
    tolerance=0.3,
    why="That is many, for a network that draws so much better than a table. The next steps "
        "find out why.",
)

# %%
def bits(nats, places=2):  # of each picture: mean and its error, in bits/dim
    found = mean_of(bits_per_dim(nats))
    return f"{found.mean:.{places}f} ± {found.error:.{places}f}"

print(f"bits/dim: {table_bits:.2f} by the table, "
      f"{bits(bound.nats)} by the network")
say(f"A digit takes at most {784 * network_bits:,.0f} bits. That is "
    + ("about as much as by the table." if abs(network_bits / table_bits - 1) < 0.15 else
       "less than by the table." if network_bits < table_bits else
       "more than by the table.") + " Where do they go?")

# %% [markdown]
# ## Where do they go?
#
# From x_1000 down to x_100 the network draws what you would call the digit: which
# one, how large, how slanted. From there to x_1 it draws edges and shades. The
# last step, L_0, only says which of the 256 values each pixel has.

# %%
parts = {
    "t = 101 to 1000": bound.between(101, 1000),
    "t = 2 to 100": bound.between(2, 100),
    "t = 1: L_0": bound.decoder,
}
ask_choice(
    "Which takes the most bits?",
    [
        ("t = 101 to 1000: what digit it is",
         "That is what you see first, and 900 steps. But a shape takes few bits: the network "
         "knows already what digits look like, and need only be told which it is."),
        ("t = 2 to 100: edges and shades", "These take many more than the shape. Not the most."),
        ("t = 1: the exact value of pixels",
         "Yes. One step of a thousand takes more than half. Yet between x_1 and x_0 you would "
         "see no difference."),
    ],
    answer=max(range(3), key=lambda i: list(parts.values())[i].mean()),
)

# %%
rows = []
for part in reversed(bound.parts):
    nats_of = bound.between(part[0], part[-1])
    rows.append((f"t = {part[-1]} to {part[0]}" if len(part) > 1 else "L_0",
                 bits(nats_of, 3), to_bits(nats_of).mean().item()))
rows.append(("L", bits(bound.nats, 3), to_bits(bound.nats).mean().item()))
show_table("The bound, from noise to picture",
           ["", "bits/dim", "bits a picture"], rows)

# %% [markdown]
# ## The last step
#
# A pixel has one of 256 values, 2/255 apart. So the last step asks: how much of
# the bell curve `N(μ_θ(x_1, 1), σ_1²)` lies within half of that, to both sides of
# the right value? That is its probability (Section 3.3):
#
#     p_θ(x_0 | x_1) = Π ∫ N(x; μ_θ(x_1, 1), σ_1²) dx,  from x_0 - 1/255
#                                                       to   x_0 + 1/255    (13)
#
# The bin of black, -1, is open below, and that of white is open above. So the 256
# probabilities sum to 1, whatever the mean is. `σ_1 = √β_1 = 0.01`.
#
# Now let a network be quite sure that a pixel is black: its mean is exactly -1.
# Then press `c` to change σ_1. Try `sigma_1 = 0.002`, and say first what it will take.

# %% tags=["change"]
sigma_1 = 0.01  # √β_1, from 0.0001 to 1

# %%
if sigma_1 <= 0:
    raise ValueError("sigma_1 must be above 0.")
variance = schedule.beta[1]
values = torch.linspace(-1, 1, 256, dtype=torch.float64)
def value_bits(value, mean, variance=variance):  # what a value takes
    return to_bits(-log_decoder(value, mean, variance))

assert abs((2 ** -value_bits(values, values[77])).sum() - 1) < 1e-9
some = values[[0, 128, 255]]  # black, grey and white; each is the mean, too
costs = value_bits(some, some, torch.tensor(sigma_1).double() ** 2)
ask_number(
    "With this sigma_1, how many bits does this black pixel take?",
    costs[0],
    tolerance=0.15,
    why="The bin ends 1/255 = 0.0039 above the mean. What of the bell curve is beyond is in the "
        "bins of other values. With σ_1 = 0.01 only 65 % is inside: -log2 0.65 = 0.62. The "
        "network cannot be surer than its σ_1, and that was never learned.",
)

# %%
found = so_far("the last step", f"{sigma_1:g}", costs.tolist())
show_table("Probability and bits, with the mean at the very value",
           ["sigma_1", "black", "grey", "white"],
           [(name, *(f"{100 * 2 ** -c:.0f} %: {c:.2f}" for c in row))
            for name, row in found.items()])

# %% [markdown]
# ## See where they go
#
# So black takes 0.62 bits, where the network is right, and a digit is mostly
# black. Here is L_0 of each pixel: black for 0 bits, white for 4 or more. The
# border of padding is not part of a digit, but takes its bits all the same.

# %%
t = torch.ones(n, dtype=torch.long)
eps = normal(x_0.shape, generator, "cpu").double()
x_1 = q_sample(schedule, x_0, t, eps)
eps_theta = predicted(x_1, t)
kinds = {"black": images == 0, "grey": (images > 0) & (images < 250),
         "white": images >= 250}
def by_kind(L_0):  # a row for each kind of pixel
    L_0 = to_bits(L_0)
    return [(name, kind.sum().item() / n, L_0[kind].mean().item(),
             L_0[kind].sum().item() / n) for name, kind in kinds.items()]

before = decoder_nats(schedule, x_0, x_1, eps_theta, variance)
def as_picture(L_0):
    return (to_bits(L_0) / 2 - 1).clamp(-1, 1)

show_images(torch.cat([x_0[:2], as_picture(before[:2])]), "x_0, and L_0")
show_table("L_0, border and all",
           ["pixels", "in a picture", "bits each", "bits a picture"],
           by_kind(before))
border, far = (to_bits(v).mean().item() for v in (
    bound.border, bound.between(101, 1000)))
say(f"In L the border takes {border:,.0f} bits. All 900 steps from x_1000 to x_100, which settle "
    f"what digit it is, take about {far:,.0f}.")

# %% [markdown]
# ## Mend it
#
# σ_1 is given, 0.01. But the network chooses the mean, and it may be any number.
# Take a pixel that it knows to be black, and look at Eq. 13 again.

# %%
ask_choice(
    "Where should the mean be, for a black pixel to take the fewest bits?",
    [
        ("far below -1", "Yes. All that lies below -1 + 1/255 is black. With the mean 3 σ_1 below "
         "-1 hardly anything is outside."),
        ("a bit above -1", "That puts even more of the bell curve into other bins."),
        ("just at -1", "Then a third of the bell curve is in the bins of other "
         "values, at 0.62 bits."),
    ],
    answer=min((0, -0.03), (2, 0.0), (1, 0.002),
               key=lambda pair: value_bits(values[0], values[0] + pair[1]))[0],
)

# %%
means = torch.linspace(-1.04, -0.98, 61, dtype=torch.float64)
costs = value_bits(values[0].expand(61), means)
by_mean = zip(means.tolist(), costs.tolist(), strict=True)
show_curves("Bits of a black pixel", {"": by_mean}, "mean")

# %% [markdown]
# ## No training needed
#
# A larger noise taken out at t = 1 is a lower mean: one more ε is 0.01 lower,
# as `β_1 / √(1 - ᾱ_1) = 0.01`. So wherever the mean is within a shade of black, we
# add 3 to the predicted noise. It is still a p_θ like any other: this rule sees
# x_1 alone. So its bound is as valid. (Where the pixel was not black after all, it
# will take many more bits.)

# %%
is_dark = p_mean(schedule, x_1, t, eps_theta) < -1 + 2 / 255
after = decoder_nats(schedule, x_0, x_1, eps_theta + 3 * is_dark, variance)
maps = as_picture(torch.stack([before, after]))  # (2, n, 1, 32, 32)
show_images(maps[:, :2].flatten(0, 1), "L_0 before, and after")
whole = torch.cat([x_0[:4], *maps[:, :4]])
show(sheet(whole, [], min(n, 4), rows_are=["digit", "before", "after"]),
     "lesson 6 where the bits go")
show_table("L_0 after",
           ["pixels", "in a picture", "bits each", "bits a picture"],
           by_kind(after))

# %%
processes["mended"] = ReverseProcess("beta_tilde", "beta_1", push_black=True)
of_digits |= bounds(images, ["mended"], "Counting bits")
mended = of_digits["mended"]
print(f"L before: {bits(bound.nats)}, after: {bits(mended.nats)} bits/dim")
say("The network knows as much as before, and draws what it drew: a mean below -1 is black as "
    "well. So a large part of L said nothing about its digits."
    if mended.nats.mean() < bound.nats.mean() else
    "With these digits and this network the mend does not pay.")

# %% [markdown]
# ## The choice of σ, in bits
#
# The paper has two choices for `σ_t²` (Section 3.2). If the data were `N(0, I)`, `β_t`
# would be right, as in the toy. If they were one single picture, `β̃_t` would. By
# their pictures it found both about equally good. And σ_1? With `σ_t² = β_t` the
# authors' code takes `β̃_2` for its square, "to get a better decoder log
# likelihood", as a comment says.

# %%
sigmas = [bits_per_dim(of_digits[name].nats).mean() for name in
          ("β_t, β̃_2", "β̃_t, β̃_2")]
ask_choice(
    "Which takes fewer bits, given a network that has learned digits?",
    [
        ("σ_t² = β_t", "That is right where x_0 is as open as a draw from N(0, I). At small t this "
         "network knows x_0 nearly, and β_t is too wide."),
        ("σ_t² = β̃_t", "Yes. At small t, where most bits are, x_t tells nearly all of x_0. "
         "Then β̃_t is nearly right."),
    ],
    answer=int(sigmas[1] < sigmas[0]),
)

# %%
rows = []
for name, found in of_digits.items():
    rows.append((name, bits(found.nats - found.prior - found.decoder),
                 bits(found.decoder), bits(found.nats)))
show_table("Same network, same predictions, bits/dim",
           ["σ_t², σ_1²", "L_1 + ... + L_{T-1}", "L_0", "L"], rows)
say(f"σ_1² = β̃_2 makes the bell narrower, {schedule.beta[1] ** 0.5:.4f} to "
    f"{reverse_variance(schedule, torch.tensor([1])).item() ** 0.5:.4f}: more of it falls into "
    "the bin. That is what the comment means.")

# %% [markdown]
# ## Beside others
#
# Others have measured MNIST as well, in the same unit, on its test digits. Mind
# that some divide by the 1,024 pixels of a padded picture: that looks better by
# a quarter, and is not.
#
# A network can also be trained on L itself. The paper did so on photographs
# (Table 1): 3.70 bits/dim in place of 3.75 with L_simple. But the pictures were
# worse, by far: an FID of 13.5 in place of 3.2 (lower is better). Our network too
# was trained on it, for two more epochs, its variance as well (arXiv 2102.09672):
# 1.10 bits/dim of MNIST's test digits, in place of 1.91. Its Fréchet distance rose
# from 0.17 ± 0.04 to 0.34 ± 0.08; to the eye its digits are as good.

# %%
rows = [(name, figure) for name, figure in PUBLISHED.items()]
rows.append(("a table of frequencies", f"{table_bits:.2f}"))
rows += [("this network, σ_1² = β_1", f"at most {bits(bound.nats)}"),
         ("  mended", f"at most {bits(mended.nats)}")]
show_table("8-bit MNIST, 28×28", ["", "bits/dim"], rows)
say("The last three rows are of MNIST digits that were held out of training, not of its test "
    "digits. For those: ddpm-tutor evaluate --bits" if mnist else
    "The digits that you have are not MNIST's: the last three rows cannot be compared with the "
    "others.")

# %% [markdown]
# ## Ask about other pictures
#
# A model that gives probabilities can be asked about any picture. Here are some:
#
# - snow, as the table draws it, and noise: each of 256 values as likely
# - digits with their pixels shuffled, in one order for all
# - digits that this network has drawn; the same with a background quite black
# - a picture that is all black

# %%
offline = load_offline_digits().train_images
drawn = offline[torch.randperm(len(offline), generator=generator)[:each]]
noise, mixed = torch.zeros_like(drawn), torch.zeros_like(drawn)
inside(noise).random_(256, generator=generator)
order = torch.randperm(784, generator=generator)
pixels = inside(unseen[:each]).flatten(1)[:, order]
inside(mixed)[:] = pixels.view(-1, 1, 28, 28)
others = {"snow": snow, "noise": noise, "shuffled": mixed, "drawn": drawn,
          "drawn, black": blackened(drawn), "black": torch.zeros_like(drawn)}
show_images(torch.stack([kind[0] for kind in others.values()]), "one of each",
            [*others])

# %% [markdown]
# ## What a likelihood does not say
#
# The mended model is asked about all of them. (Of each it gives a bound: the picture
# takes so many bits at most.)

# %%
found = bounds(torch.cat([*others.values()]), ["mended"], "Counting bits")
split = found["mended"].nats.split(each)
of_kinds = {"digits": mended.nats, **dict(zip(others, split, strict=True))}
listed = ["snow", "digits", "drawn, black", "black"]
ask_choice(
    "To which of these does the network give the highest probability?",
    [
        ("snow, as the table draws it", "To the table snow is as good as a digit. The network "
         "gives it nearly no probability at all."),
        ("the digits of this lesson", "They are what it was trained for. But a stroke can be at a "
         "thousand places, and each has its share of the probability."),
        ("digits that it has drawn, on black", "They are about as probable as those of this "
         "lesson. There is one picture that is far more so."),
        ("the picture that is all black", "Yes. Each single digit is one of very many, and they "
         "share the probability. Yet black is not what it draws: the most probable picture is "
         "not a typical one."),
    ],
    answer=min(range(4), key=lambda i: of_kinds[listed[i]].mean()),
)

# %%
tables = {"digits": images, **others}
rows = [(name, by_table(tables[name]).mean().item(), bits(nats_of))
        for name, nats_of in of_kinds.items()]
show_table("Bits/dim",
           ["pictures", "by the table", "by the network, at most"], rows)
shades = of_kinds["drawn"].mean() - of_kinds["drawn, black"].mean()
say("The mended model is sure that the dark is black. Shades of 1 or 2 of 255, which nobody "
    f"sees, prove it wrong, and take {to_bits(shades):,.0f} bits. What digit it is takes about "
    f"{far:,.0f}. (Whoever is sure and wrong may pay more than the 8 of no idea: see snow.) So "
    "bits/dim say how well a model knows pixels, down to the last shade. Whether its digits "
    "look right they do not say.")

# %% [markdown]
# ## Recap
#
# - `-log p(x_0)` is a length in bits. Of a diffusion model one computes a bound of it:
#   the mean over walks from x_0 (Eq. 3), sorted into terms (Eq. 5).
# - The gap is how unlike q's walks are to the model's own paths to x_0.
# - L_T is nearly 0. L_{t-1} is the error in ε times a weight (Eq. 8, 12). L_simple
#   drops the weight, and so looks less at small t (Eq. 14).
# - L_0 is the area of a bell curve over a bin (Eq. 13). With σ_1 = 0.01 a black
#   pixel takes 0.62 bits, unless its mean is moved beyond -1.
# - σ_t² = β̃_t takes fewer bits than β_t (Section 3.2).
# - Few bits do not mean good pictures, nor good pictures few bits (Table 1).
#
# Lesson 7 sends a digit by these bits, one step at a time.
