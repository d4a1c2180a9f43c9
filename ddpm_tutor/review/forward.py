# %% [markdown]
# # Into noise
#
# Questions on the forward process: Eq. 2 and Eq. 4.

# %% tags=["parameters"]
seed = 0  # other numbers

# %%
import torch

from ddpm_tutor import (
    cosine_schedule, linear_schedule, load_digits, normal, q_jump,
    q_sample, q_step, schedule_from_beta, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, pick, say, show_download, show_images, show_table,
)

schedule = linear_schedule()
digits = load_digits(progress=show_download)

def a_digit(rng):  # any of the validation digits, (1, 1, 32, 32)
    i = pick(range(len(digits.validation_images)), rng)
    return to_unit_range(digits.validation_images[i : i + 1])

# %% [markdown]
# ## Eq. 2 · What one step keeps
#
# **Lesson:** 1
#
# One step of the forward process makes the picture fainter and adds noise.

# %%
rng = stream(seed, "what one step keeps")
beta = pick(range(15, 31), rng) / 100  # near 1/2, √β is √(1 - β)
kept = (1 - beta) ** 0.5
ask_choice(
    f"A step has β = {beta}. By what is x_{{t-1}} multiplied?",
    [
        (f"by {kept:.2f}", f"Yes. √(1 - β) = √{1 - beta:.2f}. With the root, the variance of "
         f"x_{{t-1}} is multiplied by 1 - β, and β is added: 1 stays 1."),
        (f"by {1 - beta:.2f}", "That is 1 - β, what happens to the variance. The picture itself "
         "is multiplied by its root."),
        (f"by {beta ** 0.5:.2f}", "That is √β, the size of the noise that comes in."),
    ],
    answer=0,
)
x = a_digit(rng)
step, t = schedule_from_beta(torch.tensor([beta])), torch.tensor([1])
after = q_step(step, x, t, normal(x.shape, rng, "cpu"))
without = q_step(step, x, t, torch.zeros_like(x))
show_images(torch.cat([x, without, after]), "One step", captions=["before", "fainter", "with "
"noise"])
by = (without / x).mean().item()
say(f"Measured without the noise: each pixel is multiplied by {by:.3f}.")
assert abs(by - kept) < 1e-4

# %% [markdown]
# ## Eq. 2 · The variance after one step
#
# **Lesson:** 1
#
# Noise of its own, independent of x_{t-1}, comes in at each step.

# %%
rng = stream(seed, "the variance after one step")
beta = pick((0.2, 0.3, 0.4, 0.5), rng)
before = pick((0.2, 0.5, 2.0, 4.0), rng)
true = (1 - beta) * before + beta
ask_choice(
    f"The pixels of x_{{t-1}} have the variance {before}. The step has β = {beta}. And x_t?",
    [
        (f"{true:.2f}", f"Yes. (1 - β) of the old, and β of new: {1 - beta:.1f} · {before} + "
         f"{beta}. So it comes nearer to 1 with each step, from above as from below."),
        (f"{before + beta:.2f}", "That adds the noise, but forgets that the picture is made "
         "fainter. The variance would then grow without end."),
        (f"{(1 - beta) ** 2 * before + beta ** 2:.2f}", "This squares 1 - β and β. But they are "
         "variances already: what is squared is √(1 - β) and √β."),
        (f"{before:.2f}", "Only a variance of 1 stays what it is."),
    ],
    answer=0,
)
x = before ** 0.5 * normal((1, 1, 400, 400), rng, "cpu")
step = schedule_from_beta(torch.tensor([beta]))
x_t = q_step(step, x, torch.tensor([1]), normal(x.shape, rng, "cpu"))
say(f"160,000 pixels: their variance was {x.var():.3f}, and is {x_t.var():.3f} after the step.")
assert abs(x_t.var().item() - true) < 0.05 * true

# %% [markdown]
# ## Eq. 2 · Many steps from nothing
#
# **Lesson:** 1
#
# Take a picture that is 0 everywhere, and a β that is the same in all steps.

# %%
rng = stream(seed, "many steps from nothing")
beta = pick((0.01, 0.02, 0.05), rng)
steps = pick([n for n in range(30, 91, 5)  # where ᾱ, 1 - ᾱ and its root are not nearly the same
              if 0.15 < abs((1 - beta) ** n - 0.5) < 0.35], rng)
true = 1 - (1 - beta) ** steps
ask_choice(
    f"β = {beta}. What variance do the pixels have after {steps} steps?",
    [
        (f"{true:.3f}", f"Yes. 1 - ᾱ, and ᾱ = {1 - beta:.2f}^{steps} = {1 - true:.3f}. Each step "
         "also makes the noise of the steps before a little fainter."),
        (f"{steps * beta:.3f}", f"That is {steps} times β. It would be so if no step made fainter "
         "what is there."),
        (f"{1 - true:.3f}", "That is ᾱ: the share of the picture's variance that is left."),
        (f"{true ** 0.5:.3f}", "That is the standard deviation: the root of it."),
    ],
    answer=0,
)
chain = schedule_from_beta(torch.full((steps,), beta))
x = torch.zeros(1, 1, 100, 100)
for t in range(1, steps + 1):
    x = q_step(chain, x, torch.tensor([t]), normal(x.shape, rng, "cpu"))
say(f"{steps} steps, really taken: the variance of 10,000 pixels is {x.var():.3f}.")
assert abs(x.var().item() - true) < 0.08

# %% [markdown]
# ## Eq. 4 · How much noise is in x_t?
#
# **Lesson:** 2
#
# x_t is a part of the picture and a part of noise. ᾱ_t says how large both are.

# %%
rng = stream(seed, "how much noise is in x_t")
t = pick([*range(150, 231), *range(330, 421)], rng)  # between, two options are nearly the same
bar = schedule.alpha_bar[t].item()
ask_choice(
    f"At t = {t} is ᾱ_t = {bar:.2f}. What is the standard deviation of the noise in x_t?",
    [
        (f"{(1 - bar) ** 0.5:.2f}", f"Yes. √(1 - ᾱ_t) = √{1 - bar:.2f}, the factor before ε."),
        (f"{1 - bar:.2f}", "That is 1 - ᾱ_t, its variance. The factor before ε is the root."),
        (f"{bar ** 0.5:.2f}", "That is √ᾱ_t, the factor of the picture."),
    ],
    answer=0,
)
x_0, eps = a_digit(rng), normal((1, 1, 32, 32), rng, "cpu")
x_t = q_sample(schedule, x_0, torch.tensor([t]), eps)
noise = x_t - bar ** 0.5 * x_0
show_images(torch.cat([x_0, x_t, noise]), "Eq. 4", captions=["x_0", f"x_{t}", "its noise"])
say(f"The noise in these 1024 pixels has the standard deviation {noise.std():.2f}.")
assert abs(noise.std().item() - (1 - bar) ** 0.5) < 0.1

# %% [markdown]
# ## Eq. 4 · A pixel of the background
#
# **Lesson:** 2

# %%
rng = stream(seed, "a pixel of the background")
bar = pick((0.81, 0.64, 0.49, 0.36, 0.25, 0.16, 0.09), rng)
shade, name = pick(((-1, "black, -1"), (1, "white, 1")), rng)
true = shade * bar ** 0.5
ask_number(
    f"A pixel of x_0 is {name}. ᾱ_t is {bar}. What is this pixel of x_t on average?",
    true,
    tolerance=0.02,
    why=f"It is √ᾱ_t times x_0, and the noise has the mean 0. √{bar} = {bar ** 0.5:.1f}.",
)
one = schedule_from_beta(torch.tensor([1 - bar]))  # its ᾱ_1 is this ᾱ
x = torch.full((1, 1, 300, 300), float(shade))
x_t = q_sample(one, x, torch.tensor([1]), normal(x.shape, rng, "cpu"))
say(f"90,000 such pixels, each with noise of its own: their mean is {x_t.mean():.3f}.")
assert abs(x_t.mean().item() - true) < 0.02

# %% [markdown]
# ## Eq. 4 · From x_s on, not from x_0
#
# **Lesson:** 2
#
# Several steps can be jumped at once, also from the middle of the chain.

# %%
rng = stream(seed, "from x_s on")
s = pick(range(150, 251), rng)
t = s + pick(range(120, 251), rng)
bar_s, bar_t = schedule.alpha_bar[s].item(), schedule.alpha_bar[t].item()
kept = (bar_t / bar_s) ** 0.5
ask_choice(
    f"You have x_{s}, with ᾱ_{s} = {bar_s:.2f}, and want x_{t}, with ᾱ_{t} = {bar_t:.2f}. "
    f"By what is x_{s} multiplied?",
    [
        (f"by {kept:.2f}", f"Yes. ᾱ_{t} is the product of all α up to {t}. Those up to {s} are "
         f"already in x_{s}: divide them out, and take the root."),
        (f"by {bar_t ** 0.5:.2f}", f"That is √ᾱ_{t}: the factor from x_0. A part of it is already "
         f"in x_{s}, so x_{t} would be too faint."),
        (f"by {bar_t / bar_s:.2f}", "That is what happens to the variance. The factor is the root "
         "of it."),
    ],
    answer=0,
)
x_s = torch.ones(1, 1, 1, 1)
jumped = q_jump(schedule, x_s, torch.tensor([s]), torch.tensor([t]), torch.zeros_like(x_s))
x = x_s
for step in range(s + 1, t + 1):
    x = q_step(schedule, x, torch.tensor([step]), torch.zeros_like(x))
show_table("A pixel that is 1 at the start, without noise", ["way", "factor"], [
    ("in one jump", f"{jumped.item():.4f}"), (f"in {t - s} steps of Eq. 2", f"{x.item():.4f}")])
assert abs(jumped.item() - kept) < 1e-4 > abs(x.item() - kept)

# %% [markdown]
# ## Eq. 4 · The same β in fewer steps
#
# **Lesson:** 1, 5
#
# The paper's β goes from 0.0001 to 0.02 in T = 1000 steps. That leaves ᾱ_T = 0.00004.

# %%
rng = stream(seed, "the same beta in fewer steps")
T = pick(range(50, 251, 10), rng)
shorter = linear_schedule(T)
left = shorter.alpha_bar[T].item()
ask_choice(
    f"You go from 0.0001 to 0.02 in T = {T} steps instead. What is ᾱ_T?",
    [
        (f"{left:.2f}", f"Yes. β is 0.01 on average, so ᾱ_T is about 0.99^{T}. A sampler would "
         "start from pure noise, which the network has never seen at this T."),
        ("0.00004", "Then the sum of all β would be the same. But there are fewer of them: "
         f"{T} · 0.01 = {T / 100:g}, and not 10."),
        (f"{linear_schedule(3 * T).alpha_bar[-1].item():.3f}", f"That takes {3 * T} such steps."),
        (f"{0.98 ** T:.3f}", "That would be so if β were 0.02 in every step. It ends there."),
    ],
    answer=0,
)
x_0 = a_digit(rng)
ends = [q_sample(s, x_0, torch.tensor([s.T]), normal(x_0.shape, rng, "cpu"))
        for s in (shorter, schedule)]
show_images(torch.cat([x_0, *ends]), "x_T", captions=["x_0", f"T = {T}", "T = 1000"])
assert left > 0.05

# %% [markdown]
# ## Eq. 4 · Half picture, half noise
#
# **Lesson:** 2, 10
#
# At ᾱ_t = 0.5 picture and noise have the same factor.

# %%
rng = stream(seed, "half picture, half noise")
beta_T = pick(range(10, 61), rng) / 1000
name, other = pick((
    (f"β linear from 0.0001 to {beta_T}", linear_schedule(beta_T=beta_T)),
    (f"β linear from 0.0001 to {beta_T}", linear_schedule(beta_T=beta_T)),
    ("the cosine schedule", cosine_schedule()),
), rng)
true = int((other.alpha_bar < 0.5).nonzero()[0])
right = round(true, -1)
early, late = right * 6 // 100 * 10, right * 15 // 100 * 10
middle = 500 if min(abs(right - 500), abs(late - 500)) > 50 else 850
why = ("This schedule was made so: in the middle half is gone." if "cosine" in name else
       "β grows evenly, so -log ᾱ_t is about β_T t² / (2 T). It is 0.69 there.")
ask_choice(
    f"T = 1000, with {name}. At about which t is ᾱ_t = 0.5?",
    [
        (f"t = {right}", f"Yes. At t = {true} it falls below 0.5. {why}"),
        (f"t = {early}", f"There ᾱ_t is {other.alpha_bar[early]:.2f}. The first β are small."),
        (f"t = {late}", f"There ᾱ_t is {other.alpha_bar[late]:.2f} already."),
        (f"t = {middle}", f"At t = {middle} ᾱ_t is {other.alpha_bar[middle]:.2f}: β has grown."),
    ],
    answer=0,
)
show_table("ᾱ_t", ["t", "ᾱ_t"], [
    (t, f"{other.alpha_bar[t]:.3f}") for t in sorted({100, 200, true, 500, 800})])
assert other.alpha_bar[true - 1] >= 0.5 > other.alpha_bar[true]
