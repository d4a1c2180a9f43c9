# %% [markdown]
# # The bound
#
# Questions on what is minimised, and on bits: Eq. 3, 5, 8, 13, 16.

# %% tags=["parameters"]
seed = 0  # other numbers

# %%
import math

import torch

from ddpm_tutor import (
    bits_per_dim, kl_gaussians, linear_schedule, load_digits, log_decoder,
    normal, prior_nats, stream, to_bits, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, pick, say, show_download, show_table,
)

schedule = linear_schedule()

# %% [markdown]
# ## Eq. 3 · The gap
#
# **Lesson:** 6
#
# Let z be 0 or 1, and let x have been seen. Eq. 3 then is E_q[-log2 p(x, z) + log2 q(z)],
# for any guess q of z.

# %%
rng = stream(seed, "the gap")
joint = pick(((0.1, 0.3), (0.05, 0.2), (0.06, 0.3), (0.2, 0.6), (0.02, 0.48)), rng)  # p(x, z)
q = pick((0.6, 0.7, 0.8, 0.9), rng)  # q(z = 0), which all of these p would have small
exact = -math.log2(sum(joint))
def bound(q):
    return sum(w * (math.log2(w) - math.log2(p)) for w, p in zip((q, 1 - q), joint, strict=True))

true = bound(q)
best = joint[0] / sum(joint)
ask_choice(
    f"p(x, z) is {joint[0]} at z = 0 and {joint[1]} at z = 1, so -log2 p(x) = {exact:.2f}. You "
    f"guess q(z = 0) = {q}. What is the bound?",
    [
        (f"{true:.2f}", f"Yes. It is never below {exact:.2f}. It is exact at q = p(z | x), which "
         f"has p(z = 0 | x) = {best:.2f}. The gap is the KL divergence from there."),
        (f"{exact ** 2 / true:.2f}", "It is below -log2 p(x); an upper bound never is."),
        (f"{exact:.2f}", f"That takes q = p(z | x), and p(z = 0 | x) is {best:.2f}, not {q}."),
    ],
    answer=0,
)
show_table("The bound, in bits", ["q(z = 0)", "bound", "gap"], [
    (f"{w:.2f}", f"{bound(w):.4f}", f"{bound(w) - exact:.4f}")
    for w in sorted({0.05, best, q, 0.95})])
assert true > exact - 1e-9 and abs(bound(best) - exact) < 1e-9

# %% [markdown]
# ## Eq. 5 · L_T of a chain that is too short
#
# **Lesson:** 6
#
# L_T compares what is left of the picture in x_T with pure noise.

# %%
rng = stream(seed, "l_t of a chain that is too short")
T = pick(range(100, 281, 20), rng)
digits = load_digits(progress=show_download)
k = pick(range(len(digits.validation_images)), rng)
x_0 = to_unit_range(digits.validation_images[k : k + 1]).double()

def L_T(steps):  # in bits, of all 1024 pixels
    return to_bits(prior_nats(linear_schedule(steps), x_0)).sum().item()

ask_choice(
    f"β goes from 0.0001 to 0.02 in T = {T} steps, and ᾱ_T is "
    f"{linear_schedule(T).alpha_bar[-1]:.3f}. "
    "How large is L_T of a digit, all 1024 pixels together?",
    [
        (f"about {L_T(T):.2g} bits", "Yes. A pixel is nearly -1 or 1, so it costs about ᾱ_T / 2 "
         "nats, and there are 1024. No training makes that less: nothing in L_T is learned."),
        (f"about {L_T(1000):.2g} bits", "So little it is with T = 1000, where ᾱ_T is 0.00004."),
        (f"about {L_T(T) / 1024:.2g} bits", "That is one pixel. There are 1024."),
    ],
    answer=0,
)
show_table("L_T of this digit", ["T", "ᾱ_T", "bits"], [
    (s, f"{linear_schedule(s).alpha_bar[-1]:.5f}", f"{L_T(s):.4g}")
    for s in sorted({100, T, 1000})])

# %% [markdown]
# ## Eq. 5 · Bits per dimension
#
# **Lesson:** 6
#
# A bound of a whole picture is shared out among its pixels.

# %%
rng = stream(seed, "bits per dimension")
nats = 10 * pick(range(40, 161), rng)
true = bits_per_dim(torch.tensor([float(nats)])).item()
ask_choice(
    f"L of a digit of 28 by 28 pixels is {nats} nats. How many bits per dimension is that?",
    [
        (f"{true:.2f}", f"Yes. {nats} / (784 · ln 2). A nat is 1 / ln 2 = 1.44 bits."),
        (f"{nats / 784:.2f}", "That is nats per dimension. Divide by ln 2 = 0.69 as well."),
        (f"{nats / 784 * math.log(2):.2f}", "That multiplies by ln 2. But a nat is more than a "
         "bit: there are more bits than nats."),
        (f"{nats / math.log(2) / 1024:.2f}", "That counts 1024 pixels. The frame around the 28 by "
         "28 is always black: no part of the digit."),
    ],
    answer=0,
)
say(f"Computed by bits_per_dim: {true:.4f}.")
assert abs(true - nats / 784 / math.log(2)) < 1e-3

# %% [markdown]
# ## Eq. 8 · Two bells of one width
#
# **Lesson:** 6
#
# The terms L_1 to L_{T-1} are KL divergences between two bell curves.

# %%
rng = stream(seed, "two bells of one width")
apart = pick((0.5, 1.0, 1.5, 3.0, 4.0, 5.0), rng)
sigma = pick((0.1, 0.2, 0.5), rng)
true = apart ** 2 / 2
ask_choice(
    f"Two bell curves have σ = {sigma}, and their means are {apart * sigma:g} apart. What is the "
    "KL divergence, in nats?",
    [
        (f"{true:g}", f"Yes: distance² / (2σ²), and the distance is {apart:g} σ. So a mean twice "
         "as far off costs four times as much."),
        (f"{apart:g}", "That is their distance in units of σ. Square it, and halve it."),
        (f"{(apart * sigma) ** 2 / 2:.3g}", "That forgets to divide by σ²: the same distance is "
         "much between two thin bells, and little between two wide ones."),
    ],
    answer=0,
)
v, mean = torch.tensor(sigma ** 2), torch.tensor(0.0)
exact = kl_gaussians(mean, v, mean + apart * sigma, v).item()
x = sigma * normal((200_000,), rng, "cpu")
ratio = ((x - apart * sigma) ** 2 - x ** 2) / (2 * sigma ** 2)  # log of one density over the other
say(f"By kl_gaussians: {exact:.3f}. The mean of log p/q over 200,000 draws of p: "
f"{ratio.mean():.3f}.")
assert abs(exact - true) < 1e-3 and abs(ratio.mean().item() - true) < 0.05 * true

# %% [markdown]
# ## Eq. 8 · The same mean, another width
#
# **Lesson:** 6

# %%
rng = stream(seed, "the same mean, another width")
times = pick(range(2, 13), rng)
true = 0.5 * (1 / times - 1 + math.log(times))
turned = 0.5 * (times - 1 - math.log(times))
ask_choice(
    f"Two bell curves have one mean. The variance of p_θ is {times} times that of q. How large is "
    "KL(q || p_θ), in nats?",
    [
        (f"{true:.2f}", f"Yes: (1/{times} - 1 + ln {times}) / 2. A width that is too large costs, "
         "but not much."),
        ("0", "That takes the same width as well. Eq. 8 has a constant C: this is it."),
        (f"{turned:.2f}", "That is KL(p_θ || q), the other way round: it is what a p_θ costs that "
         "is too narrow by as much."),
    ],
    answer=0,
)
one, zero = torch.tensor(1.0), torch.tensor(0.0)
show_table("KL(q || p_θ), one mean", ["variance of p_θ over that of q", "nats"], [
    (f"{r:.3g}", f"{kl_gaussians(zero, one, zero, torch.tensor(r)).item():.4f}")
    for r in (1 / times, 1.0, float(times))])
assert abs(kl_gaussians(zero, one, zero, times * one).item() - true) < 1e-4

# %% [markdown]
# ## Eq. 13 · The chance of the right shade
#
# **Lesson:** 6
#
# A shade of 256 is a bin, 2/255 = 0.0078 wide. The last bell curve is cut into bins.

# %%
rng = stream(seed, "the chance of the right shade")
sigma = pick(range(5, 21), rng) / 1000
shade = pick(range(60, 200), rng)
middle = torch.tensor(shade / 127.5 - 1, dtype=torch.float64)
variance = torch.tensor(sigma ** 2, dtype=torch.float64)
true = log_decoder(middle, middle, variance).exp().item()
height = 1 / (sigma * math.sqrt(2 * math.pi))
ask_choice(
    f"The mean is just in the middle of the right bin, and σ_1 = {sigma}. What is the probability "
    "of the right shade?",
    [
        (f"{true:.2f}", "Yes: the area of the bell curve within half a bin of its middle, "
         f"0.0039. That is {1 / 255 / sigma:.2f} σ. However sure the network is, σ_1 is fixed."),
        ("1.00", "The mean is right, but the bell curve is wider than the bin: the shades beside "
         "it get their share."),
        (f"{height:.0f}", "That is the height of the bell curve. A density may be above 1. A "
         "probability is an area: height times width."),
    ],
    answer=0,
)
x = middle + sigma * normal((100_000,), rng, "cpu").double()
hit = ((x * 127.5 + 127.5).round() == shade).double().mean().item()
say(f"100,000 draws from the bell curve, rounded to shades: {hit:.3f} are right. Eq. 13: "
f"{true:.3f}.")
assert abs(hit - true) < 0.02

# %% [markdown]
# ## Eq. 13 · A black pixel
#
# **Lesson:** 6
#
# The outer bins are open: black is all that lies below -1 + 1/255.

# %%
rng = stream(seed, "a black pixel")
sigma, share = pick(range(8, 13), rng) / 1000, pick(range(3), rng)
mean = (pick((-0.96, -0.95, -0.94), rng), -1.0, pick((-1.05, -1.04, -1.03), rng))[share]
black = torch.tensor(-1.0, dtype=torch.float64)
of_mean = torch.tensor(mean, dtype=torch.float64)
variance = torch.tensor(sigma ** 2, dtype=torch.float64)
true = log_decoder(black, of_mean, variance).exp().item()
at_edge = log_decoder(black, black, variance).exp().item()
ask_choice(
    f"A pixel is black, -1. The mean of the last step is {mean:g}, and σ_1 = {sigma}. What is the "
    "probability of black?",
    [
        ("nearly 0", "Yes. Black ends at -0.996, and that is more than two σ below the mean."
         if share == 0 else "A mean below the edge is no harm: all that is below belongs to "
         "black."),
        (f"about {at_edge:.2f}", "Yes. More than half of the curve is below -0.996. The rest goes "
         "to the next shades." if share == 1 else "So it is with the mean just at -1."),
        ("nearly 1", "Yes. The bin is open, so all of the curve is in it. A mean below -1 is the "
         "best one." if share == 2 else "That takes a mean some σ below the edge, at -0.996."),
    ],
    answer=share,
)
show_table(f"Probability of black, σ_1 = {sigma}", ["mean", "probability"], [
    (f"{m:g}", f"{log_decoder(black, torch.tensor(m, dtype=torch.float64), variance).exp():.4f}")
    for m in sorted({-1.03, mean, -1.0, -0.96})])
assert (true < 0.05, 0.5 < true < 0.8, true > 0.95)[share]

# %% [markdown]
# ## Eq. 16 · What a perfect network pays
#
# **Lesson:** 7
#
# Let there be four pictures only, and let p_θ be perfect in every step.

# %%
rng = stream(seed, "what a perfect network pays")
chances = pick(((0.5, 0.25, 0.125, 0.125), (0.7, 0.1, 0.1, 0.1), (0.4, 0.4, 0.1, 0.1),
                (0.85, 0.05, 0.05, 0.05), (0.6, 0.2, 0.1, 0.1), (0.5, 0.3, 0.1, 0.1),
                (0.8, 0.1, 0.05, 0.05), (0.4, 0.3, 0.2, 0.1), (0.55, 0.15, 0.15, 0.15)), rng)
H = -sum(p * math.log2(p) for p in chances)
listed = ", ".join(map(str, chances))
ask_choice(
    f"Their chances are {listed}. The chain ends in pure noise. How many bits is L, on average?",
    [
        (f"{H:.2f}", "Yes: H, the entropy of the data. All the KL divergences are 0, and Eq. 16 "
         "has nothing else left. No code takes less."),
        ("2.00", "That is log2 4, right if all four were equally likely. Who knows the chances "
         "gives short names to what comes often."),
        ("0.00", "The network knows which pictures there are, but not which one was drawn. To say "
         "that takes bits."),
        (f"{-math.log2(max(chances)):.2f}", "So many the likeliest one takes. The others take "
         "more."),
    ],
    answer=0,
)
drawn = torch.multinomial(torch.tensor(chances), 50_000, replacement=True, generator=rng)
paid = -torch.tensor(chances).log2()[drawn].mean().item()
say(f"50,000 pictures drawn, each paid with -log2 of its chance: {paid:.3f} bits on average.")
assert abs(paid - H) < 0.03
