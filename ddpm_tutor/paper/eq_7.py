# %% [markdown]
# # Eq. 7 · The step back, when x_0 is known
#
# **Where:** §2, with Eq. 6
#
# **Symbols:** μ̃_t, β̃_t, x_t, x_0, α_t, ᾱ_t, ᾱ_{t-1}, β_t
#
# **Function:** q_posterior, beta_tilde
#
# **Lesson:** 4, If you knew the picture; 3, The step back, if x_0 were known
#
# **Exercise:** 7
#
# **See:** eq 2, eq 4, eq 6
#
#     μ̃_t(x_t, x_0) = √ᾱ_{t-1} β_t/(1 - ᾱ_t) x_0
#                     + √α_t (1 - ᾱ_{t-1})/(1 - ᾱ_t) x_t
#     β̃_t = (1 - ᾱ_{t-1})/(1 - ᾱ_t) β_t      (7)
#
# Somebody tells you where the chain began (x_0) and where it is now (x_t). Where was it
# one step ago? Between the two: a mixture of both, and a little uncertain. The network
# must learn this step, without being told x_0.

# %% [markdown]
# ## Whom to believe?

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    beta_tilde, choose_device, linear_schedule, load_digits, normal,
    q_posterior, q_sample, q_step, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table,
)

where = choose_device(device)
schedule = linear_schedule().to(where)
alpha, beta, alpha_bar = schedule.alpha, schedule.beta, schedule.alpha_bar
t = torch.arange(1, schedule.T + 1, device=where)
before = alpha_bar[t - 1]  # ᾱ_{t-1}
of_x_0 = before.sqrt() * beta[t] / (1 - alpha_bar[t])
of_x_t = alpha[t].sqrt() * (1 - before) / (1 - alpha_bar[t])
ask_choice(
    "At t = 300, which is larger: the factor of x_0 or that of x_t?",
    [
        ("that of x_t", "Yes, by far. One step changes little, so x_299 is nearly x_300. The "
         "small factor of x_0 pulls it a little towards the picture, 300 times in a row."),
        ("that of x_0", "x_0 is far away: 300 steps of noise lie between. x_t is one step away."),
        ("they are equal", "They would be if both were as far away. x_t is one step off."),
    ],
    answer=0,
)
sigma = beta_tilde(schedule, t).sqrt()
show_table("Eq. 7", ["t", "factor of x_0", "factor of x_t", "√β̃_t", "√β_t"],
           [(i, of_x_0[i - 1].item(), of_x_t[i - 1].item(),
             sigma[i - 1].item(), beta[i].sqrt().item())
            for i in (1, 2, 10, 300, 1000)])

# %%
say("At t = 1 the answer is x_0 itself, for sure: the factor of x_0 is 1 and β̃_1 is 0.")
assert abs(of_x_0[0] - 1) < 1e-12 and of_x_t[299] > 50 * of_x_0[299]

# %% [markdown]
# ## Bayes, line by line
#
# x_{t-1} has two witnesses. Eq. 4 says it is near √ᾱ_{t-1} x_0, with variance 1 - ᾱ_{t-1}.
# Eq. 2 says that √α_t x_{t-1} is near x_t, with variance β_t. Bayes multiplies the two
# bell curves, and the exponents add. A square of x_{t-1} stands in both:
#
#     1/β̃_t     = α_t/β_t + 1/(1 - ᾱ_{t-1})
#     μ̃_t/β̃_t   = √α_t/β_t x_t + √ᾱ_{t-1}/(1 - ᾱ_{t-1}) x_0
#
# Multiply by β̃_t and use α_t + β_t = 1, and it is Eq. 7. At all t from 2 on:

# %%
t, before = t[1:], before[1:]
precision = alpha[t] / beta[t] + 1 / (1 - before)
variance = beta_tilde(schedule, t)
off = {
    "1/β̃_t": precision * variance - 1,
    "of x_0": variance * before.sqrt() / (1 - before) - of_x_0[1:],
    "of x_t": variance * alpha[t].sqrt() / beta[t] - of_x_t[1:],
}
show_table("Largest difference from Eq. 7", list(off),
           [[f"{v.abs().max():.0e}" for v in off.values()]])
assert all(v.abs().max() < 1e-9 for v in off.values())

# %% [markdown]
# ## On a digit
#
# 1000 times: noise a digit to x_299, do one more step, and ask Eq. 7 where x_299 was.

# %%
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[[i] * 1000]).to(where)
generator = stream(seed, "eq 7")
t = torch.full((1000,), 300, device=where)
x_299 = q_sample(schedule, x_0, t - 1, normal(x_0.shape, generator, where))
x_300 = q_step(schedule, x_299, t, normal(x_0.shape, generator, where))
mean, variance = q_posterior(schedule, x_300, x_0, t)
miss = (x_299 - mean) / variance.sqrt()
print(f"(x_299 - μ̃)/√β̃ has mean {miss.mean():.4f} and std {miss.std():.4f}")
rest = 10 * (x_299 - mean)
show_images(torch.stack([v[0] for v in (x_0, x_300, mean, x_299, rest)]),
            "The mean is as near as anybody can say; the rest is noise",
            captions=["x_0", "x_300", "μ̃", "x_299", "10 (x_299 - μ̃)"])
assert miss.mean().abs() < 0.01 and abs(miss.std() - 1) < 0.01

# %% [markdown]
# ## What people get wrong
#
# ᾱ_t in the places of ᾱ_{t-1}: a list that starts at 0 invites it. The factors are then a
# little off at large t, and badly off at small t, where the picture gets its last touch.

# %%
t = torch.tensor([2, 10, 300, 1000], device=where)
wrong = alpha_bar[t].sqrt() * beta[t] / (1 - alpha_bar[t])
wrong_x_t = alpha[t].sqrt()  # (1 - ᾱ_t)/(1 - ᾱ_t) = 1
right = of_x_0[t - 1] + of_x_t[t - 1]
wrong = wrong + wrong_x_t
rows = list(zip(t.tolist(), right.tolist(), wrong.tolist(), strict=True))
show_table("A white pixel, known to be white (x_0 = x_t = 1), becomes",
           ["t", "by Eq. 7", "with the slip"], rows)
say("It grows, at each step. At t = 2 it is half as bright again.")
assert rows[0][2] > 1.4 and abs(rows[0][1] - 1) < 0.01
