# %% [markdown]
# # §4 · T, the betas, and how the network is told t
#
# **Where:** §4, before 4.1
#
# **Symbols:** T, β_t, ᾱ_t, L_T, t, ε_θ
#
# **Function:** linear_schedule, prior_nats, time_encoding
#
# **Lesson:** 1, The schedule; 1, T cannot just be cut;
# 3, Telling it the time; 3, Four kinds of blocks
#
# **Exercise:** 4
#
# **Mistakes:** always_T
#
# **See:** eq 4, eq 5
#
#     T = 1000,   β_1 = 0.0001  rising linearly to  β_1000 = 0.02
#
# Two wishes decide this. Each step is to be small beside data in [-1, 1], so that the
# step back is nearly a bell curve too. And after all of them nothing of the picture is
# to be left: the paper has L_T at about 0.00001 bits/dim.
#
# The network is a U-Net with group normalisation, with self-attention where the feature
# map is 16×16. One set of weights serves all t. So t is an input: as sines and cosines,
# as the Transformer is told the place of a word.

# %% [markdown]
# ## L_T, here and there
#
# L_T = KL( q(x_T | x_0) || N(0, I) ) has no weights in it. The betas and the picture
# decide it. The paper's 0.00001 is of CIFAR-10, our pictures are digits.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
from math import log

import torch

from ddpm_tutor import (
    bits_per_dim, choose_device, linear_schedule, load_checkpoint,
    load_digits, normal, per_picture, predict_x_0, prior_nats, q_sample,
    schedule_from_beta, stream, time_encoding, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_curves, show_download, show_images, show_table,
)

# %%
digits = load_digits(progress=show_download)
picked = torch.arange(seed, seed + 10) % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[picked])  # (10, 1, 32, 32)
schedule = linear_schedule()
def L_T(schedule):  # bits a pixel of the ten
    nats = per_picture(prior_nats(schedule, x_0.double()))
    return bits_per_dim(nats, 1024).mean()

ours, left = L_T(schedule).item(), schedule.alpha_bar[-1].item()
ask_choice(
    "The same T and betas, but digits. What is L_T, per pixel?",
    [
        ("some three times as much",
         "Yes. What is left is √ᾱ_T x_0, and a digit's pixels are nearly all at -1 or 1, as "
         "far from 0 as they can be."),
        ("the same 0.00001: only the betas count",
         "x_0 counts too: what is left of it at T is √ᾱ_T x_0. Look at the next step."),
        ("a hundredth of it: digits are simpler",
         "How simple the data are does not enter L_T. How far from 0 they lie does."),
    ],
    answer=0,
)
print(f"ᾱ_1000 = {left:.6f}, L_T = {ours:.6f} bits a pixel")
assert 2e-5 < ours < 4e-5

# %% [markdown]
# ## Where that number comes from
#
# Per pixel, with mean m = √ᾱ_T x_0 and variance 1 - ᾱ_T (Eq. 4):
#
#     KL = (m² + (1 - ᾱ_T) - 1 - ln(1 - ᾱ_T)) / 2
#        = (ᾱ_T x_0² - ᾱ_T - ln(1 - ᾱ_T)) / 2
#        ≈ ᾱ_T x_0² / 2         as -ln(1 - a) ≈ a for a small a
#
# So it is what is left of the picture's square. CIFAR-10's pixels have a mean square of
# about 0.26 in [-1, 1].

# %%
square = x_0.double().square().mean().item()
by_formula = [left * s / 2 / log(2) for s in (square, 0.26)]
show_table("L_T, bits a pixel", ["", "mean of x_0²", "ᾱ_T x_0²/2", "exact"], [
    ("these digits", square, f"{by_formula[0]:.6f}", f"{ours:.6f}"),
    ("CIFAR-10", 0.26, f"{by_formula[1]:.6f}", "about 0.00001"),
])
assert abs(by_formula[0] / ours - 1) < 0.01

# %% [markdown]
# ## Other T, other betas
#
# The paper took T = 1000 without a search, and chose the betas among constant, linear
# and quadratic ones with L_T near 0 (App. B). Here are such, and the same range of betas
# with fewer steps. The picture is x_T of one digit.

# %%
root = torch.linspace(0.0001**0.5, 0.03**0.5, 1000, dtype=torch.float64)
several = {
    "the paper's": schedule, "constant": schedule_from_beta(
        torch.full((1000,), 0.01005)),
    "quadratic": schedule_from_beta(root**2),
    "T = 400": linear_schedule(400), "T = 200": linear_schedule(200),
    "T = 50": linear_schedule(50),
}
rows, ends = [], []
for name, s in several.items():
    noise = normal((1, 1, 32, 32), stream(seed, "sec 4"), "cpu")
    ends.append(q_sample(s, x_0[:1], torch.tensor([s.T]), noise))
    early = (s.alpha_bar[1:] >= 0.5).sum() / s.T  # more picture than noise
    rows.append((name, f"{s.alpha_bar[-1]:.5f}", f"{L_T(s):.5f}",
                 f"{early:.0%}"))
show_table("How they end", ["", "ᾱ_T", "L_T, bits a pixel",
                            "steps with ᾱ > 1/2"], rows)
show_images(torch.cat(ends[3:]), "x_T where T was cut", [*several][3:])
assert all(L_T(several[name]) < 1e-4 for name in ("constant", "quadratic"))
assert L_T(several["T = 200"]) > 1000 * ours
say("Three schedules end in noise, and differ in how long the picture lasts: growing betas leave "
    "more steps to the details. With T cut, and the same betas, x_T still shows the digit. "
    "Sampling, which starts from pure noise, would start where the network was never trained.")

# %% [markdown]
# ## Told another t
#
# ε_θ(x_t, t) is told how much noise there is. It could nearly see that. Does it listen?
# We show it x_400, and tell it all kinds of t. (Eq. 15 has t = 400 in all.)

# %%
where = choose_device(device)
model = load_checkpoint(device=where).model
t = torch.full((10,), 400)
eps = normal(x_0.shape, stream(seed, "t"), "cpu")
x_400 = q_sample(schedule, x_0, t, eps)
told = (100, 200, 300, 350, 400, 450, 500, 600, 800)
errors, estimates = {}, []
for other in told:
    as_told = torch.full((10,), other)
    with torch.no_grad():
        eps_theta = model(x_400.to(where), as_told.to(where), None).cpu()
    errors[other] = (eps_theta - eps).square().mean().item()
    estimates.append(predict_x_0(schedule, x_400, t, eps_theta)[:1])

# %%
show_curves("Squared error of the noise in x_400", {"": errors.items()},
            "t that it was told", log=True)
show_images(torch.cat(estimates)[::2], "its estimate of x_0, told",
            [f"t = {other}" for other in told[::2]])
best = min(errors, key=errors.__getitem__)
assert best == 400 and min(errors[100], errors[800]) > 5 * errors[400]
say("It listens. Told too small a t it leaves noise in the picture, told too large a t it takes "
    "the digit for noise. So a t that is off by one is harmless here, and one that is off by "
    "hundreds is not: the mistake always_T tells it t = 1000 at every step.")

# %% [markdown]
# ## What people get wrong
#
# - T cut, betas kept: see above. If T is a tenth, the betas must be ten times as large.
# - t / 1000 as one number in place of waves: a layer makes only straight lines of it.
# - Attention at every size. All pixels look at all others, so it costs as the fourth
#   power of the side. Hence 16×16 in the paper; 8×8 and 4×4 in the network that ships.
#
# And sines and cosines interleaved, or half_dim - 1 in the exponent: other channels, but
# as good; wrong only for weights that were trained with the others.

# %%
show_table("Pairs of pixels in self-attention", ["feature map", "pairs"],
           [(f"{side}×{side}", f"{side**4:,}") for side in (32, 16, 8, 4)])
ten = linear_schedule(100, 0.001, 0.2)
print(f"T = 100, betas ten times as large: ᾱ_T = {ten.alpha_bar[-1]:.6f}")
waves = time_encoding(torch.tensor([400, 401, 800]), 128)
alike = (waves[0] @ waves[1:].T / 64).tolist()
print(f"the waves of t = 400 and 401 agree to {alike[0]:.3f}, "
      f"of 400 and 800 to {alike[1]:.3f}")
assert ten.alpha_bar[-1] < 1e-4 and alike[0] > alike[1]
