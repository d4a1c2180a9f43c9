# %% [markdown]
# # Eq. 11 · The mean of the step back, from the predicted noise
#
# **Where:** §3.2, between Eq. 10 and Eq. 12
#
# **Symbols:** x_t, α_t, ᾱ_t, β_t, ε_θ
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
# ε_θ is all the noise in x_t. The factor before it says how much of that is taken
# out at once.

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
factor = schedule.beta / (1 - schedule.alpha_bar).sqrt()
most = factor[1:].max().item()
ask_choice(
    "Of all the noise that ε_θ sees, how much does one step take out, at most?",
    [
        ("about 2 in 100, at t = 1000", "Yes. The other 98 stay for later steps."),
        ("about half, at t = 500", "No step takes half. Print `factor` to see: press p."),
        ("all of it, at t = 1", "At t = 1 the factor is 0.01. There is hardly any noise left "
         "in x_1: ε_θ has size 1, the noise in x_1 has size √(1 - ᾱ_1) = 0.01. So it is all "
         "of the noise, yet a hundredth of ε_θ."),
    ],
    answer=0,
)
show_table(
    "What a step takes out",
    ["t", "β_t/√(1 - ᾱ_t)", "1/√α_t"],
    [(i, factor[i].item(), schedule.alpha[i].rsqrt().item())
     for i in (1, 2, 50, 300, 1000)],
)
assert factor[1:].argmax() == schedule.T - 1 and 0.01 < most < 0.03

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
