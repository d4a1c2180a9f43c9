# %% [markdown]
# # Eq. 3 · The bound: what training may lower
#
# **Where:** §2
#
# **Symbols:** L, E, q, p_θ, p(x_T), x_0, x_t, x_{t-1}, T
#
# **Function:** estimate_bound
#
# **Lesson:** 6, A bound in its place; 6, How far off is the bound?
#
# **See:** eq 1, eq 2, eq 17
#
#     E[-log p_θ(x_0)] ≤ E_q[ -log p_θ(x_0:T) / q(x_1:T | x_0) ]
#       = E_q[ -log p(x_T) - Σ_{t≥1} log p_θ(x_{t-1} | x_t) / q(x_t | x_{t-1}) ]
#       = L      (3)
#
# What probability does the model give to a picture? That is a sum over all paths that end
# there: too many. Walk from the picture into noise instead, as q does, and ask of that path
# how likely it is under p_θ and under q. The mean of -log of the ratio is never below what
# we want to know. So whoever lowers it lowers a ceiling.

# %% [markdown]
# ## A world in which all is known
#
# One pixel, drawn from N(0, 1), and three steps with large betas. The best step back has
# the mean √α_t x_t. Its variance is w β_t; choose w. Then -log p_θ(x_0) is a formula, and
# the bound is a mean over walks.

# %% tags=["parameters"]
w = 0.6  # the variance of a step back, in β_t, from 0.1 to 10
x_0 = 0.5  # the pixel, from -1 to 1
seed = 0

# %%
import math

import torch

from ddpm_tutor import normal, q_step, schedule_from_beta, stream
from ddpm_tutor.classroom.tools import ask_choice, say, show_table

toy = schedule_from_beta(torch.tensor([0.1, 0.3, 0.5]))
alpha, beta, T = toy.alpha, toy.beta, toy.T
def nats(x, mean, variance):  # -log N(x; mean, variance)
    return 0.5 * ((2 * math.pi * variance).log() + (x - mean) ** 2 / variance)

one, pixel = torch.tensor([1.0, x_0], dtype=torch.float64)
def exact(w):  # -log p_θ(x_0): bell curves all the way
    variance = one  # of x_T
    for t in range(T, 0, -1):
        variance = alpha[t] * variance + w * beta[t]
    return nats(pixel, 0, variance).item()

# %%
walks, generator = 100_000, stream(seed, "eq 3")
x = {0: pixel.expand(walks).view(-1, 1, 1, 1)}
for t in range(1, T + 1):
    eps = normal(x[0].shape, generator, "cpu").double()
    x[t] = q_step(toy, x[t - 1], torch.full((walks,), t), eps)

def bound(w):  # Eq. 3: the mean over the walks, and its standard error
    terms = nats(x[T], 0, one)
    for t in range(1, T + 1):
        terms = terms + nats(x[t - 1], alpha[t].sqrt() * x[t], w * beta[t])
        terms = terms - nats(x[t], alpha[t].sqrt() * x[t - 1], beta[t])
    return terms.mean().item(), terms.std().item() / walks**0.5

# %% [markdown]
# ## Where does it touch?

# %%
rows = [(v, exact(v), *bound(v)) for v in (w, 0.3, 1.0, 2.0)]
ask_choice(
    "At which w is the bound no bound any more, but exact?",
    [
        ("where -log p_θ(x_0) is lowest", "Another question: which model likes this x_0 best? "
         "The gap is about the path, not the end."),
        ("nowhere: a bound is a bound", "It is never below. It may well be equal."),
        ("only at w = 1, for these data",
         "Yes. Data from N(0, 1) stay N(0, 1) at every t, so the walks look the same "
         "forwards and back, and w = 1 is q itself read backwards. The gap is "
         "KL(q(x_1:T | x_0) || p_θ(x_1:T | x_0)), and that is 0."),
    ],
    answer=2,
)
show_table("nats", ["w", "-log p_θ(x_0)", "L by Eq. 3", "±"],
           [(v, f"{e:.4f}", f"{b:.4f}", f"{s:.4f}") for v, e, b, s in rows])
assert all(b > e - 4 * s - 1e-9 for _, e, b, s in rows)
assert abs(rows[2][1] - rows[2][2]) < 1e-5 < rows[1][2] - rows[1][1]

# %% [markdown]
# ## Why never below?
#
# The mean of the ratio itself is exact: E_q[p_θ(x_0:T) / q(x_1:T | x_0)] = p_θ(x_0). The
# logarithm bends downwards, so the mean of logarithms is below the logarithm of the mean
# (Jensen's inequality). With the minus it is above. Try two ratios: 0.5 and 2.5.

# %%
ratios = torch.tensor([0.5, 2.5])
say(f"-log of the mean: {-ratios.mean().log():.3f}. Mean of -log: {-ratios.log().mean():.3f}.")
assert -ratios.log().mean() > -ratios.mean().log()

# %% [markdown]
# ## What people get wrong
#
# To compare two models by their bounds as if they were likelihoods. Part of a lower L may
# be a smaller gap. Here are two models of the toy.
#
# Also often forgotten: L is a *sum* over t. The mean over t, which training code prints,
# is T times less.

# %%
compared = [rows[0], rows[2]]
show_table("nats", ["w", "-log p_θ(x_0)", "L"],
           [(v, f"{e:.4f}", f"{b:.4f}") for v, e, b, _ in compared])
likelier = min(compared, key=lambda row: row[1])[0]
lower = min(compared, key=lambda row: row[2])[0]
say(f"The likelier model of this x_0 is w = {likelier}. The lower bound is that of w = {lower}.")
