# %% [markdown]
# # Eq. 4 · Any x_t in one jump
#
# **Where:** §2
#
# **Symbols:** q, x_t, x_0, α_t, ᾱ_t, ε, N
#
# **Function:** q_sample
#
# **Lesson:** 2, Three steps, and then all; 2, Check it on real pictures
#
# **Exercise:** 2
#
# **See:** eq 2
#
#     q(x_t | x_0) = N(x_t; √ᾱ_t x_0, (1 - ᾱ_t) I)      (4)
#     x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε
#
# With α_t = 1 - β_t and ᾱ_t = α_1 α_2 ... α_t. Noise on noise is one noise, so t steps of
# Eq. 2 are one step of another size. The second line says the same with ε from N(0, I):
# it is what code computes, and what makes training cheap.

# %% [markdown]
# ## How much is left?
#
# √ᾱ_t is the share of the picture that is left, √(1 - ᾱ_t) the size of the noise.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, linear_schedule, load_digits, normal, q_sample, q_step,
    stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, show_download, show_images, show_table,
)

where = choose_device(device)
schedule = linear_schedule().to(where)
alpha, alpha_bar = schedule.alpha, schedule.alpha_bar
equal = int((alpha_bar.sqrt() >= (1 - alpha_bar).sqrt()).sum())
ask_choice(
    "From which t on is there more noise than picture: √(1 - ᾱ_t) > √ᾱ_t?",
    [
        ("from t = 100 or so", "At t = 100 the picture still has a factor of 0.95."),
        ("from t = 260 or so",
         "Yes. The betas are small at first, but the factors multiply: a quarter of the way, "
         "and both are 0.71."),
        ("from t = 500 or so",
         "It would be so if equal shares went at each step. At t = 500 the picture is down to "
         "0.28, the noise at 0.96."),
    ],
    answer=1,
)
show_table("The two factors", ["t", "√ᾱ_t", "√(1 - ᾱ_t)"],
           [(t, alpha_bar[t].sqrt().item(), (1 - alpha_bar[t]).sqrt().item())
            for t in (1, 100, equal, 500, 1000)])
assert 250 < equal < 270

# %% [markdown]
# ## Line by line
#
# Two steps of Eq. 2, with noises ε_1 and ε_2:
#
#     x_2 = √α_2 (√α_1 x_0 + √β_1 ε_1) + √β_2 ε_2
#
# The factor of x_0 is √(α_2 α_1) = √ᾱ_2. The two noises are independent, so their
# variances add: α_2 β_1 + β_2 = α_2 (1 - α_1) + 1 - α_2 = 1 - α_1 α_2 = 1 - ᾱ_2. The next
# step does the same to the outcome, and so on up to T. In numbers, at each t:

# %%
factor, variance, worst = 1.0, 0.0, 0.0
for t in range(1, schedule.T + 1):
    factor = alpha[t].sqrt() * factor
    variance = alpha[t] * variance + schedule.beta[t]
    off = abs(variance - (1 - alpha_bar[t]))
    worst = max(worst, abs(factor - alpha_bar[t].sqrt()), off)
print(f"largest difference at any t: {float(worst):.0e}")
assert worst < 1e-12

# %% [markdown]
# ## Step by step against one jump
#
# One digit, 200 times: 300 steps of Eq. 2 with noise of their own, and one jump. Both are
# clouds of pictures. They agree in mean and spread, pixel by pixel.

# %%
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where)
generator = stream(seed, "eq 4")
many = x_0.expand(200, -1, -1, -1)
x = many
for step in range(1, 301):
    t = torch.full((200,), step, device=where)
    x = q_step(schedule, x, t, normal(x.shape, generator, where))
t = torch.full((200,), 300, device=where)
jump = q_sample(schedule, many, t, normal(x.shape, generator, where))  # Eq. 4
show_images(torch.stack([x[0], jump[0], x.mean(0), jump.mean(0)]),
            "One of each, and the means of 200",
            captions=["300 steps", "one jump", "mean", "mean"])
off = (x.mean(0) - jump.mean(0)).square().mean().sqrt().item()
by_chance = (2 * (1 - alpha_bar[300]) / 200).sqrt().item()
print(f"their means differ by {off:.3f}; by chance that is {by_chance:.3f}")
stds = [(y - y.mean(0)).std().item() for y in (x, jump)]
print(f"std of the noise: {stds[0]:.3f} and {stds[1]:.3f}")
assert off < 1.2 * by_chance and abs(stds[0] - stds[1]) < 0.01

# %% [markdown]
# ## What people get wrong
#
# 1 - √ᾱ_t for √(1 - ᾱ_t); ᾱ_t without its root; ᾱ_{t-1}, because the list starts at 0. The
# first is the worst. There is hardly any noise early on, just where the fine strokes are.

# %%
right, wrong = (1 - alpha_bar).sqrt(), 1 - alpha_bar.sqrt()
rows = [(t, right[t].item(), wrong[t].item()) for t in (1, 50, 300, 1000)]
show_table("Size of the noise", ["t", "√(1 - ᾱ_t)", "1 - √ᾱ_t"], rows)
assert (right[1:] > wrong[1:]).all() and right[1] > 100 * wrong[1]
