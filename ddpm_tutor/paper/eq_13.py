# %% [markdown]
# # Eq. 13 · The last step gives each of 256 shades a probability
#
# **Where:** §3.3
#
# **Symbols:** p_θ, x_0, μ_θ, σ_t², δ±, N
#
# **Function:** log_decoder, decoder_nats
#
# **Lesson:** 6, The last step; 6, See where they go
#
# **Exercise:** 17
#
# **See:** eq 5
#
#     p_θ(x_0 | x_1) = Π_i ∫ N(x; μ_θ^i(x_1, 1), σ_1²) dx,
#                          from x = δ-(x_0^i) to δ+(x_0^i),  i = 1 to D
#
#     δ±(x) = x ± 1/255, but δ+(1) = ∞ and δ-(-1) = -∞      (13)
#
# A pixel has one of 256 shades, 2/255 apart on the scale from -1 to 1. The last bell
# curve is cut into 256 bins. How much of it lies in a bin is the probability of that
# shade. Π: the D pixels are independent, given x_1.
#
# So the bound counts bits of a real picture, with no noise added to it. For pictures
# to look at nothing is drawn here: μ_θ(x_1, 1) is shown.

# %% [markdown]
# ## How sure can it be?
#
# σ_1 = √β_1 = 0.01. Let the mean be just in the middle of a grey shade's bin.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch
from torch.distributions import Normal

from ddpm_tutor import (
    choose_device, decoder_nats, load_checkpoint, load_digits, log_decoder,
    normal, p_mean, q_sample, reverse_variance, stream, to_bits,
    to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_curves, show_download, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
shades = torch.linspace(-1, 1, 256, dtype=torch.float64, device=where)
sigma_2 = schedule.beta[1]
p = log_decoder(shades, shades[100], sigma_2).exp()
ask_choice(
    "How many of the 256 shades get a probability above 1 in 100?",
    [
        ("1", "The bin is 2/255 = 0.0078 wide, and the bell curve's σ_1 is 0.01: the right shade "
         "gets less than a third."),
        ("7", "Yes. Three to each side of the right one. However sure the network is, it says "
         "the shade to within a few only: σ_1 is fixed."),
        ("40", "That would be a σ_1 of some 0.1. It is 0.01, little more than one bin."),
    ],
    answer=[1, 7, 40].index(int((p > 0.01).sum())),
)
show_table("The mean at shade 100", ["shade", "probability", "bits"], [
    (s, f"{p[s].item():.4f}", -p[s].log2().item()) for s in range(96, 105)])
print(f"All 256 together: {p.sum().item():.12f}")
assert abs(p.sum() - 1) < 1e-9 and (p > 0.01).sum() == 7

# %% [markdown]
# ## Why are the two outer bins open?
#
# A bell curve never ends. With closed bins, what lies below -1 - 1/255 or above
# 1 + 1/255 would belong to no shade. Here is the sum of the 256 probabilities, with
# open and with closed outer bins, for means near the black end.

# %%
means = torch.linspace(-1.03, -0.97, 61, dtype=torch.float64, device=where)
opened = torch.stack(
    [log_decoder(shades, m, sigma_2).exp().sum() for m in means])
half = 1 / 255
curve = Normal(means[:, None], sigma_2.sqrt())
closed = (curve.cdf(shades + half) - curve.cdf(shades - half)).sum(dim=1)
show_curves("Sum of the 256 probabilities", {
    "open": zip(means.tolist(), opened.tolist(), strict=True),
    "closed": zip(means.tolist(), closed.tolist(), strict=True),
}, "mean")
at_black = closed[30].item()  # the mean is -1
say(f"With the mean at black, closed bins keep {at_black:.0%} and lose the rest. Open ones keep "
    "all, so a mean below -1 is as good as black, or better.")
assert (opened - 1).abs().max() < 1e-9 and 0.6 < at_black < 0.7

# %% [markdown]
# ## L_0 of a real digit
#
# x_1 has noise of size 0.01. The network finds it, μ_θ(x_1, 1) is the picture without
# it, and Eq. 13 has a probability for each true shade. The map shows the bits: black
# for none, white for 5 or more.

# %%
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where).double()
t = torch.ones(1, dtype=torch.long, device=where)
x_1 = q_sample(schedule, x_0, t,
               normal(x_0.shape, stream(seed, "eq 13"), where).double())
with torch.no_grad():
    eps_theta = model(x_1.float(), t, None).double()
mean = p_mean(schedule, x_1, t, eps_theta)
bits = to_bits(decoder_nats(schedule, x_0, x_1, eps_theta, sigma_2))
by_hand = Normal(mean, sigma_2.sqrt())
upper = torch.where(x_0 > 0.999, 1.0, by_hand.cdf(x_0 + half))
lower = torch.where(x_0 < -0.999, 0.0, by_hand.cdf(x_0 - half))
shown = torch.cat([x_0, x_1, mean, (bits / 2.5 - 1).clamp(-1, 1)])
show_images(shown.float().cpu(), "The last step",
            ["x_0", "x_1", "μ_θ(x_1, 1)", "bits"])
visible = upper - lower > 1e-6  # where float64 can take the difference
error = (bits + (upper - lower).log2())[visible].abs().max().item()
print(f"log_decoder and Eq. 13 as it stands: {error:.0e} bits apart at most")
assert visible.any() and error < 1e-6

# %%
kinds = {"black": x_0 < -0.999, "grey": x_0.abs() <= 0.999,
         "white": x_0 > 0.999}
show_table("L_0 of this digit, border and all",
           ["pixels", "how many", "bits each", "bits"], [
    (name, int(kind.sum()), bits[kind].mean().item(), bits[kind].sum().item())
    for name, kind in kinds.items() if kind.any()])
narrow = to_bits(decoder_nats(schedule, x_0, x_1, eps_theta,
                              reverse_variance(schedule, t))).sum()
print(f"All: {bits.sum():.0f} bits. With σ_1² = β̃_2, narrower: {narrow:.0f}")

# %% [markdown]
# ## What people get wrong
#
# They take the density in place of the integral. It is no probability: where σ_1 is
# small it is above 1, and its bits are below 0. Or they subtract the two ends of a bin
# in float32, where both round to the same number: log 0. Exercise 17 names both
# (`density`, `underflow`).

# %%
density = -to_bits(by_hand.log_prob(x_0)).sum().item()
single = Normal(mean.float(), sigma_2.sqrt().float())
x = x_0.float()
upper = torch.where(x > 0.999, 1.0, single.cdf(x + half))
lower = torch.where(x < -0.999, 0.0, single.cdf(x - half))
lost = int((upper - lower <= 0).sum())
in_float32 = -(upper - lower).log2().sum().item()
show_table("L_0 of this digit", ["", "bits"], [
    ("Eq. 13", f"{bits.sum().item():.0f}"),
    ("density for integral", f"{density:.0f}"),
    ("Eq. 13 in float32", "infinite" if lost else f"{in_float32:.0f}")])
far = torch.tensor(0.2, device=where)  # the mean; the pixel is 0
far_off = to_bits(-log_decoder(0 * far, far, sigma_2)).item()
as_is = Normal(far, sigma_2.sqrt().float())
difference = (as_is.cdf(0 * far + half) - as_is.cdf(0 * far - half)).item()
print(f"20 σ_1 off: {far_off:.0f} bits; the difference is {difference}")
say("By logarithms a pixel that is 20 σ_1 off takes a few hundred bits. The difference in float32 "
    "is 0, its bits infinite, and then so is the whole bound.")
assert difference == 0 and density < 0 < bits.sum().item()
assert 200 < far_off < 350
