# %% [markdown]
# # Eq. 17 · Eq. 17 to 22: from Eq. 3 to Eq. 5, line by line
#
# **Where:** Appendix A
#
# **Symbols:** L, E, q, p_θ, p(x_T), x_0, x_t, x_{t-1}, D_KL, T
#
# **Function:** kl_gaussians, q_posterior
#
# **Lesson:** 6, Term by term
#
# **Also:** eq 18, eq 19, eq 20, eq 21, eq 22
#
# **See:** eq 3, eq 6
#
#     L = E_q[ -log p_θ(x_0:T) / q(x_1:T | x_0) ]      (17)
#
# Five lines lead from here to Eq. 5, which is Eq. 22. Each says the same of every single
# walk, or on average. So we compute all six on the same walks.

# %% [markdown]
# ## A world to compute in
#
# One pixel, T = 3, large betas. A step back of p_θ has the mean √α_t x_t and the variance
# w β_t. For any density below, `nats` is its -log.

# %% tags=["parameters"]
w = 0.6  # the variance of a step back, in β_t, from 0.1 to 10
x_0 = 0.5  # the pixel, from -1 to 1
seed = 0

# %%
import math

import torch

from ddpm_tutor import (
    kl_gaussians, normal, q_posterior, q_step, schedule_from_beta, stream,
)
from ddpm_tutor.classroom.tools import ask_choice, say, show_table

toy = schedule_from_beta(torch.tensor([0.1, 0.3, 0.5]))
alpha, beta, alpha_bar, T = toy.alpha, toy.beta, toy.alpha_bar, toy.T
walks, generator = 50_000, stream(seed, "eq 17")
x = {0: torch.full((walks, 1, 1, 1), x_0, dtype=torch.float64)}
for t in range(1, T + 1):
    eps = normal(x[0].shape, generator, "cpu").double()
    x[t] = q_step(toy, x[t - 1], torch.full((walks,), t), eps)

# %%
one = torch.ones((), dtype=torch.float64)
def nats(x, mean, variance):  # -log N(x; mean, variance)
    return 0.5 * ((2 * math.pi * variance).log() + (x - mean) ** 2 / variance)

prior = nats(x[T], 0, one)  # -log p(x_T)
def p(t):  # -log p_θ(x_{t-1} | x_t)
    return nats(x[t - 1], alpha[t].sqrt() * x[t], w * beta[t])

def q(t):  # -log q(x_t | x_{t-1}), Eq. 2
    return nats(x[t], alpha[t].sqrt() * x[t - 1], beta[t])

def q_0(t):  # -log q(x_t | x_0), Eq. 4
    return nats(x[t], alpha_bar[t].sqrt() * x[0], 1 - alpha_bar[t])

def q_back(t):  # -log q(x_{t-1} | x_t, x_0), Eq. 6
    mean, variance = q_posterior(toy, x[t], x[0], torch.full((walks,), t))
    return nats(x[t - 1], mean, variance)

# %% [markdown]
# ## Eq. 17 to 19: sort the factors
#
# Eq. 1 and Eq. 2 are products, so the logarithm is a sum. Then t = 1 is taken out, because
# it will not have a step back of its own.
#
#     L = E_q[ -log p(x_T) - Σ_{t≥1} log p_θ(x_{t-1}|x_t) / q(x_t|x_{t-1}) ] (18)
#     L = E_q[ -log p(x_T) - Σ_{t>1} log p_θ(x_{t-1}|x_t) / q(x_t|x_{t-1})
#              - log p_θ(x_0|x_1) / q(x_1|x_0) ]                             (19)

# %%
lines = {
    "17": prior + sum(p(t) for t in (1, 2, 3)) - sum(q(t) for t in (1, 2, 3)),
    "18": prior + sum(p(t) - q(t) for t in (1, 2, 3)),
    "19": prior + sum(p(t) - q(t) for t in (2, 3)) + p(1) - q(1),
}
apart = max((v - lines["17"]).abs().max().item() for v in lines.values())
print(f"on any one of {walks:,} walks they differ by at most {apart:.0e}")
assert apart < 1e-9

# %% [markdown]
# ## Eq. 20: turn each step of q around
#
# Bayes' rule, with x_0 given everywhere. It is the heart of the proof. Put into Eq. 19:
#
#     q(x_t|x_{t-1}) = q(x_{t-1}|x_t, x_0) q(x_t|x_0) / q(x_{t-1}|x_0)
#
#     L = E_q[ -log p(x_T)
#              - Σ_{t>1} log [ p_θ(x_{t-1}|x_t) / q(x_{t-1}|x_t, x_0)
#                              · q(x_{t-1}|x_0) / q(x_t|x_0) ]
#              - log p_θ(x_0|x_1) / q(x_1|x_0) ]                             (20)

# %%
ask_choice(
    "Why may x_0 be written into q(x_t | x_{t-1})?",
    [
        ("q has no memory", "Yes. Given x_{t-1}, the next step does not depend on x_0: "
         "q(x_t | x_{t-1}, x_0) = q(x_t | x_{t-1}). Turned around it does, and is Eq. 6."),
        ("it makes the bound looser", "Nothing gets looser here: see the numbers. The same "
         "walks give the same sum."),
        ("x_0 is known to the network", "The network never gets x_0. All this is about q."),
    ],
    answer=0,
)
def by_bayes(t):  # the right side of Bayes' rule
    return q_back(t) + q_0(t) - q_0(t - 1)

off = max((q(t) - by_bayes(t)).abs().max().item() for t in (2, 3))
print(f"Bayes' rule at t = 2 and 3: off by {off:.0e}")
lines["20"] = prior + sum(p(t) - by_bayes(t) for t in (2, 3)) + p(1) - q(1)
assert off < 1e-9

# %% [markdown]
# ## Eq. 21: nearly all cancels
#
# In the sum over t the quotients q(x_t|x_0) / q(x_{t-1}|x_0) are a chain: each one's top is
# the next one's bottom. Of all of them q(x_T|x_0) / q(x_1|x_0) is left, and its lower half
# goes with the last term.
#
#     L = E_q[ -log p(x_T) / q(x_T|x_0)
#              - Σ_{t>1} log p_θ(x_{t-1}|x_t) / q(x_{t-1}|x_t, x_0)
#              - log p_θ(x_0|x_1) ]                                          (21)

# %%
lines["21"] = prior - q_0(3) + sum(p(t) - q_back(t) for t in (2, 3)) + p(1)
apart = (lines["21"] - lines["20"]).abs().max().item()
print(f"Eq. 20 and Eq. 21 on any one walk: off by {apart:.0e}")
assert apart < 1e-9

# %% [markdown]
# ## Eq. 22: three kinds of terms
#
# The mean of -log p/q over draws of q is D_KL(q || p). So far all was equal on each walk. Now
# the mean over x_{t-1} is done by a formula, for each x_t.
#
#     L = E_q[ D_KL(q(x_T|x_0) || p(x_T))
#              + Σ_{t>1} D_KL(q(x_{t-1}|x_t, x_0) || p_θ(x_{t-1}|x_t))
#              - log p_θ(x_0|x_1) ]                                          (22)

# %%
mean_T, variance_T = alpha_bar[T].sqrt() * x[0], 1 - alpha_bar[T]
total = kl_gaussians(mean_T, variance_T, 0 * one, one) + p(1)
for t in (2, 3):
    mean, variance = q_posterior(toy, x[t], x[0], torch.full((walks,), t))
    mean_back = alpha[t].sqrt() * x[t]
    kl = kl_gaussians(mean, variance, mean_back, w * beta[t])
    total = total + kl
    scatter = (p(t) - q_back(t)).std().item(), kl.std().item()
    print(f"t = {t}: std of the term {scatter[0]:.2f}, D_KL {scatter[1]:.2f}")
    assert scatter[1] < scatter[0]

# %%
lines["22"] = total
rows = [(f"Eq. {name}", v.mean().item(), v.std().item() / walks**0.5)
        for name, v in lines.items()]
show_table("All six lines, nats", ["", "mean", "± std error"], rows)
say("The mean stays, up to chance. And each term alone scatters less than before. Training takes "
    "one term at a time, so it computes with Eq. 22, that is Eq. 5.")
error = (lines["22"] - lines["17"]).std().item() / walks**0.5
assert abs(rows[-1][1] - rows[0][1]) < 5 * error

# %% [markdown]
# ## What people get wrong
#
# To let the sum of Eq. 22 begin at t = 1. There q(x_0 | x_1, x_0) is no bell curve: x_0 is
# known, its variance β̃_1 is 0, and D_KL to anything wide is infinite. So t = 1 is a term of
# its own, L_0. Code that starts its loop at 1 gets `inf` or, with a clamped logarithm, a
# large number that means nothing.

# %%
mean, variance = q_posterior(toy, x[1], x[0], torch.full((walks,), 1))
print(f"β̃_1 = {variance.max().item():.1e}")
at_1 = kl_gaussians(mean, variance, alpha[1].sqrt() * x[1], w * beta[1])
print(f"D_KL at t = 1: {at_1.mean().item()}")
assert variance.max() < 1e-15
