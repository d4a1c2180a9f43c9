# %% [markdown]
# # Eq. 10 · What μ_θ has to predict, given x_t
#
# **Where:** §3.2, between Eq. 9 and Eq. 11
#
# **Symbols:** L_{t-1}, C, E, σ_t², x_0, x_t, ε, μ_θ, α_t, ᾱ_t, β_t, t
#
# **Function:** p_mean, q_posterior
#
# **Lesson:** 4, From Eq. 7 to Eq. 11; 3, Whose step back is best?
#
# **Exercise:** 8
#
# **Mistakes:** bracket
#
# **See:** eq 7, eq 9
#
#     L_{t-1} - C = E_{x_0,ε}[ 1/(2σ_t²) ·
#         ‖1/√α_t (x_t - β_t/√(1-ᾱ_t) ε) - μ_θ(x_t, t)‖² ]      (10)
#
# This is Eq. 9 with μ̃_t multiplied out. x_0 is gone from it. What is left of the
# target is x_t, which the network is given, and ε, which it is not.
#
# So the only thing left to learn about μ̃_t is ε. That is the whole reason for
# Eq. 11, and for a network that predicts noise.

# %% [markdown]
# ## How much of the target is known already?
#
# Take the laziest μ_θ there is: x_t/√α_t. It has never seen a digit, and says that
# there is no noise to take out.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, load_checkpoint, load_digits, normal, p_mean,
    predict_x_0, q_posterior, q_sample, reverse_variance, stream, to_bits,
    to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, find_bug, say, show_curves, show_download, show_images,
    show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
t = torch.cat([torch.arange(2, 18), torch.arange(18, 1001, 8)]).to(where)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where).double()
x_0 = x_0.expand(len(t), -1, -1, -1)
eps = normal(x_0.shape, stream(seed, "eq 10"), where).double()
x_t = q_sample(schedule, x_0, t, eps)
target = p_mean(schedule, x_t, t, eps)  # with the true ε
lazy = p_mean(schedule, x_t, t, torch.zeros_like(eps))
missed = ((target - lazy) ** 2).mean(dim=(1, 2, 3))
missed = missed / target.var(dim=(1, 2, 3))

# %%
at = 51  # t = 298
ask_choice(
    "At t = 298, how much of the target's variance does x_t/√α_t get right?",
    [
        ("28 %", "It has no part of ε right, and yet: look at how small the factor before ε is. "
         "At t = 298 it is 0.008."),
        ("85 %", "The factor before ε is 0.008 at t = 298, and what is missed goes with its "
         "square."),
        ("99.99 %", "Yes. A network for μ_θ would spend itself on copying x_t. All that counts "
         "is in the last hundredth of a percent."),
    ],
    answer=2 if missed[at] < 2e-4 else 1,
)

# %%
show_images(
    torch.stack([target[at], lazy[at],
                 100 * (lazy[at] - target[at])]).float(),
    "They look the same. A hundred times the difference is noise.",
    ["target", "x_t/√α_t", "100 × difference"],
)
print(f"missed at t = 298: {100 * missed[at]:.4f} % of the variance")
assert t[at] == 298 and missed[at] < 2e-4

# %% [markdown]
# ## From Eq. 9, line by line
#
# Eq. 7 is μ̃_t = a x_0 + b x_t. Put in x_0' = (x_t - √(1-ᾱ_t) ε)/√ᾱ_t:
#
#     1   a x_0' + b x_t;  a = √ᾱ_{t-1} β_t/(1-ᾱ_t), b = √α_t (1-ᾱ_{t-1})/(1-ᾱ_t)
#     2   (a/√ᾱ_t + b) x_t - a √(1-ᾱ_t)/√ᾱ_t ε            sorted
#     3   a/√ᾱ_t = β_t/(√α_t (1-ᾱ_t))                     as √ᾱ_t = √α_t √ᾱ_{t-1}
#     4   a/√ᾱ_t + b = (β_t + α_t - ᾱ_t)/(√α_t (1-ᾱ_t))   as α_t ᾱ_{t-1} = ᾱ_t
#     5              = 1/√α_t                             as β_t + α_t = 1
#     6   1/√α_t (x_t - β_t/√(1-ᾱ_t) ε)                   3 and 5 in 2
#
# Lines 3 to 5 are about numbers of the schedule: at all 1000 t. The others are about
# pictures: our digit, at 139 of the t.

# %%
every_t = torch.arange(1, schedule.T + 1, device=where)
alpha, beta, bar = (v[every_t] for v in
                    (schedule.alpha, schedule.beta, schedule.alpha_bar))
before = schedule.alpha_bar[every_t - 1]
a = before.sqrt() * beta / (1 - bar)
b = alpha.sqrt() * (1 - before) / (1 - bar)
x_0_again = predict_x_0(schedule, x_t, t, eps)
of = [v[t - 1].view(-1, 1, 1, 1) for v in (a, b, alpha, beta, bar)]
A, B, alpha_t, beta_t, bar_t = of
line_1, _ = q_posterior(schedule, x_t, x_0_again, t)  # Eq. 7
line_2 = (A / bar_t.sqrt() + B) * x_t - A * ((1 - bar_t) / bar_t).sqrt() * eps
line_6 = (x_t - beta_t / (1 - bar_t).sqrt() * eps) / alpha_t.sqrt()
sides = {
    "1 = 2": (line_1, line_2),
    "3": (a / bar.sqrt(), beta / (alpha.sqrt() * (1 - bar))),
    "4": (a / bar.sqrt() + b,
          (beta + alpha - bar) / (alpha.sqrt() * (1 - bar))),
    "4 = 5": (a / bar.sqrt() + b, alpha.rsqrt()),
    "2 = 6": (line_2, line_6),
    "6 = Eq. 7 with x_0": (line_6, q_posterior(schedule, x_t, x_0, t)[0]),
}

# %%
rows = [(name, f"{left.numel():,}", f"{(left - right).abs().max():.0e}")
        for name, (left, right) in sides.items()]
show_table("Both sides",
           ["line", "numbers compared", "largest difference"], rows)
assert all((a - b).abs().max() < 1e-9 for a, b in sides.values())

# %% [markdown]
# ## Is that good enough?
#
# Eq. 10 divides by 2σ_t², and σ_t is as small as what is missed. So here is the term
# of the bound for the lazy mean and for the network's, in bits of the whole digit.

# %%
with torch.no_grad():
    eps_theta = model(x_t.float(), t, None).double()
variance = reverse_variance(schedule, t)
def bits(mean):  # Eq. 10, σ_t² = β̃_t
    return to_bits(((target - mean) ** 2 / (2 * variance)).sum(dim=(1, 2, 3)))

terms = {"x_t/√α_t": bits(lazy),
         "network": bits(p_mean(schedule, x_t, t, eps_theta))}
show_curves("L_{t-1} in bits", {
    name: zip(t.tolist(), v.tolist(), strict=True)
    for name, v in terms.items()}, log=True)
width = t.diff(append=t.new_tensor([1001]))  # how many t each stands for
sums = {name: (width * v).sum().item() for name, v in terms.items()}
say(f"Over all t: {sums['x_t/√α_t']:,.0f} bits by the lazy mean, {sums['network']:,.0f} by the "
    f"network. Sent as it is, the digit takes {8 * 784:,}.")
assert sums["x_t/√α_t"] > 3 * sums["network"]
assert (terms["x_t/√α_t"] > terms["network"]).all()

# %% [markdown]
# ## What people get wrong
#
# The bracket. 1/√α_t stands before all of it. `x_t - β_t/√(1-ᾱ_t)/√α_t ε` leaves x_t
# unscaled: at each step it is too small by √α_t, at most 1 in 100. A thousand steps
# make that √ᾱ_T. Drawn with fifty steps each:

# %%
from ddpm_tutor import SamplingOptions, last

bug = find_bug("bracket")
options = SamplingOptions(steps=50)
shown = [last(bug.draw(trained, None, options, wrong=wrong,
                       seed=seed, indices=range(3)))
         for wrong in (False, True)]
show_images(torch.cat(shown), "right, and without the bracket",
            ["right"] * 3 + ["no bracket"] * 3)
no_bracket = x_t - beta_t / (1 - bar_t).sqrt() / alpha_t.sqrt() * eps_theta
cost = (width * bits(no_bracket)).sum().item()
say(f"There are digits all the same, as the network sees each x_t and makes up for much of it. But "
    f"the terms of Eq. 10 take {cost:,.0f} bits now, and {sums['network']:,.0f} with the bracket.")
assert cost > sums["network"] + 1000
