# %% [markdown]
# # Eq. 14 · The loss that the paper trains with
#
# **Where:** §3.4
#
# **Symbols:** L_simple, E, t, ε, ε_θ, ᾱ_t, x_0
#
# **Function:** loss_simple, validation_loss, vlb_weight
#
# **Lesson:** 3, Drop the weight; 6, What L_simple leaves out; 6, Two losses, one network
#
# **Exercise:** 6
#
# **See:** eq 12, alg 1
#
#     L_simple(θ) = E_{t,x_0,ε}[ ‖ε - ε_θ(√ᾱ_t x_0 + √(1-ᾱ_t) ε, t)‖² ]      (14)
#
# Eq. 12 without its weight, and the mean over all t in place of a sum. An error counts
# the same at every t. It is no longer a bound on anything.
#
# The weight was largest at small t, so small t count for less now. The paper's pictures
# gain by that: FID 3.17 in place of 13.51 (Table 2). Its bound loses a little: 3.75
# bits/dim in place of 3.70 (Table 1).

# %% [markdown]
# ## Where does the loss come from?
#
# t ≤ 100 is a tenth of all t. There x_t is a digit with a little grain.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, decoder_nats, load_checkpoint, load_digits, normal,
    p_mean, per_picture, predict_x_0, q_sample, reverse_variance,
    step_nats, stream, to_bits, to_unit_range, vlb_weight,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_curves, show_download, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
t = torch.cat([torch.arange(2, 18), torch.arange(18, 1001, 4)]).to(where)
width = t.diff(append=t.new_tensor([1001]))  # how many t each stands for
which = (torch.arange(len(t)) + seed) % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[which]).to(where).double()
eps = normal(x_0.shape, stream(seed, "eq 14"), where).double()
x_t = q_sample(schedule, x_0, t, eps)
with torch.no_grad():
    eps_theta = model(x_t.float(), t, None).double()
sigma_2 = reverse_variance(schedule, t)  # β̃_t
simple = (eps - eps_theta).square().mean(dim=(1, 2, 3))  # a pixel
weight = vlb_weight(schedule, t, sigma_2).flatten()
def up_to(i, v):  # the share of the sum over all t that comes from 2 to i
    return ((width * v)[t <= i].sum() / (width * v).sum()).item()

share = [up_to(100, v) for v in (simple, weight * simple)]

# %%
ask_choice(
    "How much of L_simple comes from t ≤ 100, with the trained network?",
    [
        ("a tenth", "That would be so if all t were equally hard. Small noise is hard to tell "
         "from the picture's own shades."),
        ("about half", "Yes. Little noise is hard to tell from the picture's own shades, so the "
         "error is largest there. In L it is nearly all: the weight is largest there, too."),
        ("nearly all", "So it is in L, by the weight of Eq. 12. Without the weight the other t "
         "have their say."),
    ],
    answer=min(range(3), key=lambda k: abs(share[0] - (0.1, 0.5, 0.95)[k])),
)
show_table("From t ≤ 100", ["of L_simple (Eq. 14)", "of L (Eq. 12)"],
           [[f"{v:.0%}" for v in share]])
assert 0.3 < share[0] < 0.7 < share[1]

# %% [markdown]
# ## From Eq. 12, and from Eq. 13 at t = 1
#
#     t > 1:  1   L_{t-1}/w_t = ‖ε - ε_θ‖²               Eq. 12, w_t its weight
#     t = 1:  2   x_0 - μ_θ(x_1, 1) = (ε_θ - ε) √β_1/√α_1   Eq. 11 at t = 1
#             3   L_0 ≈ ‖x_0 - μ_θ‖²/(2β_1) + const      bins as flat (Eq. 13)
#             4       = ‖ε - ε_θ‖²/(2α_1) + const        2 in 3
#
# So t = 1 is one more of the same kind, with bins taken as flat and the open ends of
# black and white left out. How much that is, is seen for grey pixels and for all.

# %%
line_1 = per_picture(step_nats(schedule, x_0, x_t, t, eps_theta, sigma_2))
gap_1 = (line_1 / weight / 1024 / simple - 1).abs().max().item()
one = torch.ones(16, dtype=torch.long, device=where)
clean, noise = x_0[:16], eps[:16]
x_1 = q_sample(schedule, clean, one, noise)
with torch.no_grad():
    said = model(x_1.float(), one, None).double()
beta_1, alpha_1 = schedule.beta[1], schedule.alpha[1]
left = clean - p_mean(schedule, x_1, one, said)
gap_2 = (left - (said - noise) * (beta_1 / alpha_1).sqrt()).abs().max().item()
const = torch.log((2 * torch.pi * beta_1).sqrt() / (2 / 255))  # a bin's width
line_3 = left**2 / (2 * beta_1) + const
line_4 = (noise - said) ** 2 / (2 * alpha_1) + const
gap_4 = (line_3 - line_4).abs().max().item()

# %%
exact = decoder_nats(schedule, clean, x_1, said, beta_1)  # Eq. 13
grey = clean.abs() < 0.95
show_table("L_0, bits a pixel", ["pixels", "Eq. 13", "line 4"], [
    (name, *(to_bits(v[of].mean()).item() for v in (exact, line_4)))
    for name, of in (("grey", grey), ("all", grey | ~grey))])
print(f"lines 1, 2, 4 hold up to {gap_1:.0e}, {gap_2:.0e}, {gap_4:.0e}")
assert gap_1 < 1e-5 and gap_2 < 1e-9 and gap_4 < 1e-6
off = [(exact - line_4)[of].mean().abs() for of in (grey, ~grey)]
assert off[0] < 0.1 < off[1]

# %% [markdown]
# ## What the small t are for
#
# One digit, noised to five t, and the network's estimate of x_0 from each (Eq. 15).
# Below it: how much of L, and of L_simple, belongs to the steps that are still to come.

# %%
times = [500, 300, 100, 50, 10]
at = torch.tensor(times, device=where)
digit = x_0[:1].expand(5, -1, -1, -1)
noisy = q_sample(schedule, digit, at,
                 normal(digit.shape, stream(seed, "small t"), where))
with torch.no_grad():
    guess = predict_x_0(schedule, noisy, at, model(noisy.float(), at, None))
to_come = [[up_to(i, v) for i in times] for v in (weight * simple, simple)]
show_images(torch.cat([noisy, guess]).float(), "x_t, and the estimate of x_0",
            [f"t = {i}" for i in times]
            + [f"L: {v:.0%} left" for v in to_come[0]])
rows = zip(times, *to_come, strict=True)
show_table("Still to come", ["t", "of L", "of L_simple"],
           [(i, f"{a:.0%}", f"{b:.0%}") for i, a, b in rows])
say("At t = 50 the digit is there, for any eye. Most of L is still ahead. That is what the "
    "bound pays for, and the eye does not: L_simple moves the network's care to larger t.")
assert to_come[0][3] > 0.5 and to_come[0][3] > to_come[1][3]
show_curves("A pixel's error", {
    name: zip(t.tolist(), v.tolist(), strict=True) for name, v in
    {"L_simple": simple, "L, in nats": weight * simple}.items()}, log=True)

# %% [markdown]
# ## What people get wrong
#
# They read a loss as a likelihood. Take two networks, each worse than ours at ten t:
# the first at t = 2 to 11, the second at t = 502 to 511, by 0.1 in the squared error of
# each pixel. L_simple is the same for both.

# %%
rows = []
for first in (2, 502):
    ten = torch.arange(first, first + 10, device=where)
    w = vlb_weight(schedule, ten, reverse_variance(schedule, ten))
    w = w.sum().item()
    rows.append((f"{first} to {first + 9}", 10 * 0.1 / schedule.T,
                 to_bits(torch.tensor(0.1 * w * 1024)).item()))
show_table("What it adds", ["worse at t", "to L_simple", "to L, bits"], rows)
assert rows[0][1] == rows[1][1] and rows[0][2] > 20 * rows[1][2]
mean = (width * simple).sum() / width.sum()
say(f"And it is a mean over pixels here: {mean:.3f}. The paper's ‖...‖² is a sum, 1024 times that. "
    "Which it is changes nothing but the step size of plain gradient descent.")
