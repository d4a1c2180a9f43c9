# %% [markdown]
# # Eq. 6 · The posterior: a bell curve between x_t and x_0
#
# **Where:** §2
#
# **Symbols:** q, x_t, x_{t-1}, x_0, μ̃_t, β̃_t, N
#
# **Function:** q_posterior, beta_tilde
#
# **Lesson:** 4, If you knew the picture; 8, The step back, by Bayes
#
# **Exercise:** 7
#
# **See:** eq 2, eq 4
#
#     q(x_{t-1} | x_t, x_0) = N(x_{t-1}; μ̃_t(x_t, x_0), β̃_t I)      (6)
#
# q goes from picture to noise. This is q asked backwards: where was the chain at t - 1, if
# one knows both where it is and where it began? Given x_0 the answer is a bell curve at any
# t, small steps or large. Eq. 7 says which. Without x_0 it is no bell curve, and nobody
# can write it down. That is what the network is for.

# %% [markdown]
# ## Throw and sort
#
# One pixel with x_0 = 0.6. Let many chains run to t = 300, and keep those that happen to be
# near x_300 = 0.5. Where were they at t = 299? Nothing but Eq. 2 and Eq. 4 is used.

# %% tags=["parameters"]
x_0 = 0.6  # the pixel, from -1 to 1
t = 300  # from 200 to 1000
seed = 0

# %%
import torch

from ddpm_tutor import (
    beta_tilde, linear_schedule, normal, q_posterior, q_sample, q_step,
    stream,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_curves, show_table,
)

schedule, generator = linear_schedule(), stream(seed, "eq 6")
chains = 1_000_000
pixel = torch.full((chains, 1, 1, 1), x_0)
step = torch.full((chains,), t)
eps = normal(pixel.shape, generator, "cpu")
x_prev = q_sample(schedule, pixel, step - 1, eps)
x_t = q_step(schedule, x_prev, step, normal(eps.shape, generator, "cpu"))
near = (x_t - 0.5).abs() < 0.01
were = x_prev[near].double()
sigma = beta_tilde(schedule, torch.tensor([t])).sqrt().item()
step_noise = schedule.beta[t].sqrt().item()
ask_choice(
    "How much do these x_{t-1} scatter, beside the noise √β_t of one step?",
    [
        ("more than that", "They would if only x_t were known, and the step's noise were all the "
         "doubt there is. x_0 is known as well."),
        ("about as much", "Yes. x_t tells where they were up to the noise of one "
         "step. x_0 tells a little more, the more the smaller t is: β̃_t < β_t."),
        ("hardly at all", "One step of noise hides them from each other. Only at t = 1, where "
         "x_{t-1} is x_0 itself, is there no doubt."),
    ],
    answer=1,
)
say(f"{len(were):,} chains came there. Their std: {were.std():.4f}. √β̃_t is {sigma:.4f}, √β_t "
    f"is {step_noise:.4f}.")
assert abs(were.std().item() / sigma - 1) < 0.05 and sigma < step_noise

# %%
at = torch.full((1, 1, 1, 1), 0.5)
mean = q_posterior(schedule, at, torch.full_like(at, x_0), step[:1])[0].item()
places = torch.linspace(mean - 4 * sigma, mean + 4 * sigma, 33).tolist()
width = places[1] - places[0]
inside = [((were - p).abs() < width / 2).double().mean() for p in places]
counts = [(share / width).item() for share in inside]
curve = torch.distributions.Normal(mean, sigma)
bell = curve.log_prob(torch.tensor(places)).exp().tolist()
show_curves(f"x_{t - 1}, where x_{t} = 0.5", {
    "Eq. 6": list(zip(places, bell, strict=True)),
    "the chains": list(zip(places, counts, strict=True)),
}, f"x_{t - 1}")
print(f"mean of the chains {were.mean():.4f}, by Eq. 7 {mean:.4f}")
assert abs(were.mean().item() - mean) < 0.006

# %% [markdown]
# ## Without x_0 it is no bell curve
#
# Let x_0 be black or white, as likely: -1 or 1. Now nobody tells which. At t = 300 a step is
# small, and the answer is still nearly a bell curve. Take one huge step in place of all
# of them, and it is two humps.

# %%
grid = torch.linspace(-3, 3, 601, dtype=torch.float64)
def density(mean, std, at):
    return torch.distributions.Normal(mean, std).log_prob(at).exp()

def back(alpha_bar_before, alpha, at):  # q(x_{t-1} | x_t = at), on the grid
    spread = (1 - alpha_bar_before).sqrt().clamp(min=0.02)
    prior = sum(density(sign * alpha_bar_before.sqrt(), spread, grid)
                for sign in (-1, 1))
    at = torch.tensor(at, dtype=torch.float64)
    step = density(alpha.sqrt() * grid, (1 - alpha).sqrt(), at)
    posterior = prior * step
    return posterior / posterior.sum() / (grid[1] - grid[0])

def humps(y):
    higher = (y[1:-1] > y[:-2]) & (y[1:-1] > y[2:])
    return int((higher & (y[1:-1] > 0.01 * y.max())).sum())

# %%
alpha_bar = schedule.alpha_bar
small = back(alpha_bar[299], schedule.alpha[300], 0.1)
huge = back(alpha_bar[20], alpha_bar[600] / alpha_bar[20], 0.1)
show_curves("Where it was, seen from x_t = 0.1", {
    name: list(zip(grid.tolist(), curve.tolist(), strict=True))[::10]
    for name, curve in (("a step to 299", small), ("a leap to 20", huge))
}, "x")
print(f"humps: {humps(small)} and {humps(huge)}")
assert humps(small) == 1 and humps(huge) == 2

# %% [markdown]
# ## What people get wrong
#
# To ask: "if q(x_{t-1} | x_t, x_0) is known, what is p_θ for?" It is known to whoever knows
# x_0. In training that is so, and it is the target. When drawing, x_0 is what one wants.
# p_θ has to say where to step without it, for all pictures that x_t may have come from.

# %%
t_ = torch.tensor([300])
x_t = torch.full((1, 1, 1, 1), 0.1)
means = {x: q_posterior(schedule, x_t, torch.full_like(x_t, x), t_)[0].item()
         for x in (-1.0, 1.0)}
show_table("Where x_300 = 0.1, the mean of x_299 is", ["if x_0 was", ""],
           list(means.items()))
signal, noise = alpha_bar[300].sqrt(), 1 - alpha_bar[300]
guess = torch.tanh(signal * 0.1 / noise)  # the mean of x_0, by Bayes
x_0_hat = torch.full_like(x_t, guess)
middle = q_posterior(schedule, x_t, x_0_hat, t_)[0].item()
say(f"Not knowing which, the best x_0 to put in is its mean, {guess:.2f}. That gives {middle:.4f}, "
    "between the two.")
assert means[-1.0] < middle < means[1.0]
