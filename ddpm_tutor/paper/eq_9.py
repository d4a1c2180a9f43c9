# %% [markdown]
# # Eq. 9 · Eq. 8, written in x_0 and ε
#
# **Where:** §3.2, between Eq. 8 and Eq. 10
#
# **Symbols:** L_{t-1}, C, E, σ_t², μ̃_t, μ_θ, x_0, ε, x_t, ᾱ_t, t
#
# **Function:** q_sample, q_posterior
#
# **Lesson:** 3, Where does the loss come from?; 2, Going back, if you knew the noise
#
# **Exercise:** 2, 5
#
# **See:** eq 4, eq 7, eq 8
#
#     L_{t-1} - C = E_{x_0,ε}[ 1/(2σ_t²) · ‖μ̃_t(x_t, x_0') - μ_θ(x_t, t)‖² ]  (9)
#
#     x_t = √ᾱ_t x_0 + √(1-ᾱ_t) ε,     x_0' = 1/√ᾱ_t (x_t - √(1-ᾱ_t) ε)
#
# (The paper writes x_0' out, and x_t(x_0, ε) for x_t.) Nothing is new in value. x_t is
# made from a picture and a draw of noise, so the mean over q becomes one over x_0 and
# ε: two things that can simply be drawn.
#
# Then x_0 is written in x_t and ε. That looks like a detour. It pays in Eq. 10.

# %% [markdown]
# ## Is x_0' a guess?
#
# x_0' has the form of Eq. 15, the estimate of x_0. In Eq. 15 the noise is the
# network's. Here it is not.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, distance_of_means, load_checkpoint, load_digits, normal,
    p_mean, per_picture, predict_x_0, q_posterior, q_sample,
    reverse_variance, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
t = torch.tensor([50, 300, 500, 700, 950], device=where)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where)
x_0 = x_0.expand(len(t), -1, -1, -1)
eps = normal(x_0.shape, stream(seed, "eq 9"), where)
x_t = q_sample(schedule, x_0, t, eps)
bracket = predict_x_0(schedule, x_t, t, eps)  # x_0', with the true ε
ask_choice(
    "At t = 950 the digit in x_t cannot be seen. What does x_0' look like there?",
    [
        ("a grey blur", "So looks the network's estimate. Here the very ε that x_t was made "
         "with is taken out again."),
        ("the digit, noisy", "All of the noise is known, so none of it stays."),
        ("the digit, sharp", "Yes. Whoever trains has drawn ε, and knows all of it. The digit "
         "in x_t is faint, and dividing by √ᾱ_t brings it back to full size."),
    ],
    answer=2 if (bracket - x_0).abs().max() < 0.01 else 0,
)

# %%
with torch.no_grad():
    eps_theta = model(x_t, t, None)
guess = predict_x_0(schedule, x_t, t, eps_theta)  # Eq. 15: an estimate
show_images(
    torch.cat([x_t, bracket, guess]),
    "x_t; x_0' of Eq. 9; the estimate of Eq. 15",
    [f"x_{i}" for i in t.tolist()] + ["x_0'"] * 5 + ["with ε_θ"] * 5,
)
rms = [(v - x_0).square().mean(dim=(1, 2, 3)).sqrt().tolist()
       for v in (bracket, guess)]
show_table("Distance from x_0, a pixel",
           ["t", "x_0' (Eq. 9)", "estimate (Eq. 15)"],
           [*zip(t.tolist(), *rms, strict=True)])
assert max(rms[0]) < 1e-4 < rms[1][0] and rms[1][-1] > 0.1
say("x_0' is x_0, to the last float32 digits. In Eq. 9 there is nothing of the network but μ_θ.")

# %% [markdown]
# ## From Eq. 8, line by line
#
#     1   E_q ‖μ̃_t(x_t, x_0) - μ_θ(x_t, t)‖² / (2σ_t²)          Eq. 8, without C
#     2   E_{x_0,ε} ‖μ̃_t(x_t(x_0, ε), x_0) - μ_θ‖² / (2σ_t²)    by Eq. 4
#     3   E_{x_0,ε} ‖μ̃_t(x_t(x_0, ε), x_0') - μ_θ‖² / (2σ_t²)   as x_0' = x_0
#
# Line 1 to 2 is a change of how x_t is drawn: step by step (Eq. 2), or in one jump. A
# mean can be checked by drawing: 48 times each, at t = 20. Line 2 to 3 holds draw by
# draw.

# %%
from ddpm_tutor import q_step

n, step = 48, 20
noise = stream(seed, "eq 9, line by line")
clean = x_0[:1].expand(n, -1, -1, -1).double()
at = torch.full((n,), step, device=where)
walked = clean
for s in range(1, step + 1):  # Eq. 2, twenty times
    walked = q_step(schedule, walked, torch.full_like(at, s),
                    normal(clean.shape, noise, where))
drawn = normal(clean.shape, noise, where).double()
jumped = q_sample(schedule, clean, at, drawn)  # Eq. 4, once
variance = reverse_variance(schedule, at)

# %%
with torch.no_grad():
    said = [model(x.float(), at, None).double() for x in (walked, jumped)]
line_1, line_2 = (
    per_picture(distance_of_means(schedule, clean, x, at, e, variance))
    for x, e in zip((walked, jumped), said, strict=True))
again = predict_x_0(schedule, jumped, at, drawn)  # x_0'
mu_tilde, _ = q_posterior(schedule, jumped, again, at)
mu_theta = p_mean(schedule, jumped, at, said[1])
line_3 = per_picture((mu_tilde - mu_theta) ** 2 / (2 * variance))

# %%
error = [(line.std() / n**0.5).item() for line in (line_1, line_2)]
show_table("L_19 of this digit, nats", ["line", "mean", "± std error"], [
    (1, line_1.mean().item(), error[0]), (2, line_2.mean().item(), error[1]),
    (3, line_3.mean().item(), error[1])])
gap = (line_2 - line_3).abs().max()
print(f"line 2 and 3, largest difference: {gap:.0e}")
assert gap < 1e-9
apart = abs(line_1.mean() - line_2.mean())
assert apart < 5 * (error[0] ** 2 + error[1] ** 2) ** 0.5

# %% [markdown]
# ## What people get wrong
#
# ε stands twice in Eq. 9: in x_t and in x_0'. It is one draw. Whoever draws anew for
# the second place takes noise out of x_t that is not in it. (`fresh_noise` and
# `fresh_target` in exercise 6 are this slip in a training step.)

# %%
other = normal(x_0.shape, stream(seed, "eq 9, drawn anew"), where)
not_x_0 = predict_x_0(schedule, x_t, t, other)
show_images(not_x_0, "x_0' with another ε than that of x_t",
            [f"t = {i}" for i in t.tolist()])
off = (not_x_0 - x_0).square().mean(dim=(1, 2, 3)).sqrt()
by_rule = (2 * (1 / schedule.alpha_bar[t] - 1)).sqrt()  # of two noises
show_table("Distance from x_0, a pixel",
           ["t", "measured", "√(2 (1-ᾱ_t)/ᾱ_t)"],
           [*zip(t.tolist(), off.tolist(), by_rule.tolist(), strict=True)])
assert torch.allclose(off.double(), by_rule.double(), rtol=0.15)
