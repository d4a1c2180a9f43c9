# %% [markdown]
# # §3.2 · Two choices of σ_t², and the link to Langevin dynamics
#
# **Where:** §3.2, its first lines, and beside Eq. 11
#
# **Symbols:** σ_t², β_t, β̃_t, x_0, N, ε_θ
#
# **Function:** reverse_variance, langevin_step, score_from_eps
#
# **Lesson:** 4, Which σ?; 6, The choice of σ, in bits; 8, Langevin beside Algorithm 2
#
# **Mistakes:** variance_for_sigma
#
# **See:** eq 1, eq 7, eq 11
#
#     σ_t² = β_t     best if x_0 ~ N(0, I)
#     σ_t² = β̃_t     best if x_0 is always one and the same point
#
# The step back has a fixed variance σ_t². The paper names the two extreme kinds of data
# that it could suit, takes either, and finds that both draw about as well.
#
# It also says what Algorithm 2 looks like: Langevin dynamics, a walk uphill to where
# data are likely, with noise in each step, and ε_θ for the slope.

# %% [markdown]
# ## Data in between
#
# Real data are neither of the two. Let x_0 be a number from N(0, s²): s = 1 is the
# first kind, s = 0 the second. Two choices that differ by a half at t = 2.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, beta_tilde, choose_device, draw, langevin_step, last,
    load_checkpoint, load_digits, normal, p_mean, p_step, q_posterior,
    q_sample, q_step, score_from_eps, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, find_bug, say, show_curves, show_download, show_images,
    show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
two = torch.tensor([2], device=where)
tilde, beta = beta_tilde(schedule, two).item(), schedule.beta[2].item()
def best(s, t=2):  # the variance of x_{t-1}, once x_t is known
    v = [(a * s**2 + 1 - a).item() for a in schedule.alpha_bar[t - 1 : t + 1]]
    return schedule.beta[t].item() * v[0] / v[1]

way = (best(0.1) - tilde) / (beta - tilde)  # 0 at β̃_t, 1 at β_t
ask_choice(
    "Let the data be narrow, s = 0.1. Which σ_2² is best for them?",
    [
        ("nearly β̃_2", "That holds for s below 0.01, the size of the noise in x_1. s = 0.1 is "
         "ten times that."),
        ("between them", "The best σ_t² goes from one to the other where s is about "
         "as large as the noise in x_t. At t = 2 that is 0.015, far below s."),
        ("nearly β_2", "Yes. The noise in x_2 is 0.015: beside it even a spread of 0.1 is wide. "
         "What counts is not whether data are wide, but whether they are wider than the noise."),
    ],
    answer=2 if way > 0.9 else 1 if way > 0.1 else 0,
)
show_table("Best σ_2² for x_0 ~ N(0, s²)",
           ["s", "σ_2²", "way from β̃_2 to β_2"], [
    (s, f"{best(s):.7f}", f"{(best(s) - tilde) / (beta - tilde):.3f}")
    for s in (0.0, 0.005, 0.01, 0.03, 0.1, 1.0)])
assert abs(best(0) - tilde) < 1e-9 and abs(best(1) - beta) < 1e-9
assert way > 0.9

# %% [markdown]
# ## Line by line
#
# For x_0 ~ N(0, s²), x_t has the variance v_t = ᾱ_t s² + 1 - ᾱ_t (Eq. 4). Then
#
#     1   Var(x_{t-1}) - Cov(x_{t-1}, x_t)²/Var(x_t)   x_{t-1}, once x_t is known
#     2   v_{t-1} - α_t v_{t-1}²/v_t                   by Eq. 2
#     3   β_t v_{t-1}/v_t                              as v_t = α_t v_{t-1} + β_t
#     4   s = 1: β_t.   s = 0: β_t (1-ᾱ_{t-1})/(1-ᾱ_t) = β̃_t
#
# Line 1 is measured here, on 200,000 draws. The others are computed.

# %%
noise, rows, t_draw = stream(seed, "sec 3.2"), [], 10
many = torch.full((200_000,), t_draw, device=where)
alpha = schedule.alpha[t_draw].item()
for s in (0.0, 0.1, 1.0):
    start, first, second = (
        normal((200_000, 1, 1, 1), noise, where).double() for _ in range(3))
    x_prev = q_sample(schedule, s * start, many - 1, first)
    x_t = q_step(schedule, x_prev, many, second)
    pair = torch.cov(torch.stack([x_prev.flatten(), x_t.flatten()]))
    line_1 = (pair[0, 0] - pair[0, 1] ** 2 / pair[1, 1]).item()
    v = [(a * s**2 + 1 - a).item()
         for a in schedule.alpha_bar[t_draw - 1 : t_draw + 1]]
    line_2, line_3 = v[0] - alpha * v[0] ** 2 / v[1], best(s, t_draw)
    rows.append((s, *(f"{x:.7f}" for x in (line_1, line_2, line_3))))
    assert abs(line_1 / line_3 - 1) < 0.02 and abs(line_2 - line_3) < 1e-12
show_table("t = 10", ["s", "line 1, measured", "line 2", "line 3"], rows)
ends = beta_tilde(schedule, many[:1]).item(), schedule.beta[t_draw].item()
print(f"line 4: β̃_10 = {ends[0]:.7f}, β_10 = {ends[1]:.7f}")

# %% [markdown]
# ## What would suit the digits?
#
# Given x_t and the network's μ_θ, the best σ_t² is the mean of (x_{t-1} - μ_θ)². By
# Eq. 7 that is β̃_t + (μ̃_t - μ_θ)². Here it is for 120 digits, each at its own t, as a
# way from β̃_t (0) to β_t (1). Below: 20 steps in place of 1000. The two choices are far
# apart then, and the difference shows.

# %%
digits = load_digits(progress=show_download)
t = torch.arange(2, schedule.T + 1, 8, device=where)[:120]
which = (torch.arange(120) + seed) % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[which]).to(where).double()
x_t = q_sample(schedule, x_0, t, normal(x_0.shape, noise, where).double())
with torch.no_grad():
    eps_theta = model(x_t.float(), t, None).double()
mu_tilde, _ = q_posterior(schedule, x_t, x_0, t)
mu_theta = p_mean(schedule, x_t, t, eps_theta)
over = ((mu_tilde - mu_theta) ** 2).mean(dim=(1, 2, 3))
way = over / (schedule.beta[t] - beta_tilde(schedule, t))
smooth = way.view(-1, 8).mean(dim=1)
show_curves("Best σ_t²: 0 is β̃_t, 1 is β_t", {
    "": zip(t.view(-1, 8)[:, 4].tolist(), smooth.tolist(), strict=True)})
say(f"On average {way.mean():.2f} of the way. So much is known of these digits from x_t, most of "
    "them black at the border, that they are nearer to one known point than to N(0, I).")
assert 0 < way.mean() < 0.5

# %%
drawn = []
for variance in ("beta", "beta_tilde"):
    few = SamplingOptions(steps=20, variance=variance)
    drawn.append(last(draw(model, schedule, None, few,
                           seed=seed, indices=range(4))))
show_images(torch.cat(drawn), "20 steps", ["σ² = β"] * 4 + ["σ² = β̃"] * 4,
            columns=4)
grain = [(x[:, :, :4] + 1).abs().mean().item() for x in drawn]
print(f"off black in the top rows: β {grain[0]:.3f}, β̃ {grain[1]:.3f}")
assert grain[0] > grain[1]

# %% [markdown]
# ## A step of Langevin dynamics
#
# The slope of log q(x_t) is g = -ε_θ/√(1-ᾱ_t). A step of Langevin dynamics goes half of
# β_t along the slope, and adds noise. Line 4 of Algorithm 2 is nearly that:
#
#     Langevin:      y = x_t + β_t/2 · g + √β_t z
#     Algorithm 2:   x_{t-1} = y + β_t/2 · (x_t + g) + (of order β_t²)
#
# The second part leads on to the next level of noise. Where x_t is like N(0, I), at
# large t, the slope is -x_t, and nothing is left of it.

# %%
rows = []
for i in (10, 300, 900):
    at = torch.full((1,), i, device=where)
    eps, z = (normal(x_0[:1].shape, noise, where).double() for _ in range(2))
    x = q_sample(schedule, x_0[:1], at, eps)
    with torch.no_grad():
        eps = model(x.float(), at, None).double()
    beta_i = schedule.beta[i].item()
    slope = score_from_eps(schedule, at, eps)
    step = p_step(schedule, x, at, eps, z)
    walk = langevin_step(x, slope, beta_i, z)
    more = beta_i / 2 * (x + slope)
    sizes = [v.square().mean().sqrt().item()
             for v in (step - x, step - walk, step - walk - more)]
    rows.append((i, *(f"{v:.6f}" for v in sizes)))
    assert sizes[2] < 3 * beta_i * sizes[0] and sizes[1] < sizes[0]
show_table("Size of a pixel's change", [
    "t", "Algorithm 2", "beyond Langevin", "and beyond β/2 (x + g)"], rows)

# %% [markdown]
# ## What people get wrong
#
# σ_t² is a variance: z is multiplied by its root. With β_t itself before z a seventh of
# the noise goes in, or less. x_t gets too calm for the network, and the strokes thin.

# %%
bug = find_bug("variance_for_sigma")
shown = [last(bug.draw(trained, None, SamplingOptions(steps=50), seed=seed,
                       wrong=wrong, indices=range(4)))
         for wrong in (False, True)]
show_images(torch.cat(shown), "σ_t z, and σ_t² z",
            ["σ_t z"] * 4 + ["σ_t² z"] * 4, columns=4)
bright = [(x > 0).float().mean().item() for x in shown]
print(f"bright pixels: {bright[0]:.0%} and {bright[1]:.0%}")
