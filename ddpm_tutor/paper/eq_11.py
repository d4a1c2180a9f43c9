# %% [markdown]
# # Eq. 11 · The mean of the step back, from the predicted noise
#
# **Where:** §3.2, between Eq. 10 and Eq. 12
#
# **Symbols:** μ_θ, x_t, t, α_t, ᾱ_t, β_t, ε_θ
#
# **Function:** p_mean, q_posterior, predict_x_0
#
# **Lesson:** 4, From Eq. 7 to Eq. 11; 4, Algorithm 2
#
# **Exercise:** 8
#
# **Mistakes:** alpha_for_alpha_bar, no_root, sign
#
# **See:** eq 7, eq 15
#
#     μ_θ(x_t, t) = 1/√α_t · (x_t - β_t/√(1 - ᾱ_t) · ε_θ(x_t, t))      (11)
#
# The step back is a bell curve, and this is its mean. Take a little of the predicted
# noise out of x_t, then make the picture a little larger, by 1/√α_t.
#
# It is no new idea. Eq. 7 has the mean for a known x_0. Put the estimate of x_0
# (Eq. 15) in its place, and Eq. 11 is what is left.

# %% [markdown]
# ## How much of the noise goes in one step?
#
# The noise in x_t has the size √(1 - ᾱ_t). Of that, Eq. 11 takes out β_t/√(1 - ᾱ_t).
# So the share that goes is β_t/(1 - ᾱ_t).

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, last, load_checkpoint,
    load_digits, normal, p_mean, predict_x_0, q_posterior, q_sample,
    stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, find_bug, say, show_download, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
present = (1 - schedule.alpha_bar[1:]).sqrt()  # the noise in x_1 to x_T
factor = schedule.beta[1:] / present
share = factor / present
ask_choice(
    "At which t does one step take out the largest share of the noise that is in x_t?",
    [
        ("at t = 1000", "There the factor before ε_θ is largest, 0.02. But x_1000 is nothing but "
         "noise: 2 in 100 of it go, and the other 98 stay for later steps."),
        ("at t = 500", "There the factor is 0.01, and the noise in x_500 is 0.96. A hundredth of "
         "it goes."),
        ("at t = 1", "Yes: all of it. ᾱ_1 is 1 - β_1, so the share is 1. There is little left to "
         "take, for the noise in x_1 has the size 0.01. At t = 1000 the share is 2 in 100."),
    ],
    answer=2 if share.argmax() == 0 else 0,
)
show_table(
    "What a step takes out",
    ["t", "noise in x_t", "taken out", "share", "1/√α_t"],
    [(i, present[i - 1].item(), factor[i - 1].item(), share[i - 1].item(),
      schedule.alpha[i].rsqrt().item()) for i in (1, 2, 50, 300, 500, 1000)],
)
assert share.argmax() == 0 and abs(share[0] - 1) < 1e-9
assert factor.argmax() == schedule.T - 1 and share[-1] < 0.03

# %% [markdown]
# ## It is Eq. 7 with Eq. 15 put in
#
# On a real digit, with the real network, in float64: both ways at every fifth t.

# %%
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where)
t = torch.arange(5, schedule.T + 1, 5, device=where)
eps = normal((len(t), 1, 32, 32), stream(seed, "eq 11"), where)
x_t = q_sample(schedule, x_0.expand(len(t), -1, -1, -1), t, eps)
with torch.no_grad():
    eps_theta = model(x_t, t, None).double()
x_t = x_t.double()

by_eq_11 = p_mean(schedule, x_t, t, eps_theta)
x_0_hat = predict_x_0(schedule, x_t, t, eps_theta)  # Eq. 15
by_eq_7, _ = q_posterior(schedule, x_t, x_0_hat, t)
largest = (by_eq_11 - by_eq_7).abs().max().item()
say(f"The largest difference in {x_t.numel():,} pixels: {largest:.0e}.")
assert largest < 1e-9

# %%
at = 59  # t = 300
change = by_eq_11[at] - x_t[at]
show_images(
    torch.stack([x_t[at], by_eq_11[at], 20 * change, x_0_hat[at]]).float(),
    "One step hardly shows. Twenty times the change does.",
    captions=["x_300", "μ_θ", "20 (μ_θ - x_300)", "x_0 estimate"],
)

# %% [markdown]
# ## What people get wrong
#
# `β_t / √(1 - α_t)`, without the bar. It looks right, and it is the noise of one step
# where the noise of all t steps belongs. The factor at t = 1000 is then 0.14, not 0.02.

# %%
steps = 100
labels = None if model.num_classes is None else torch.tensor([2, 3, 5, 7])
bug = find_bug("alpha_for_alpha_bar")
options = SamplingOptions(steps=steps)
for wrong, title in ((False, "Eq. 11"), (True, "α_t where ᾱ_t belongs")):
    chain = bug.draw(trained, labels, options, wrong=wrong,
                     seed=seed, indices=range(4))
    show_images(last(chain), title)
