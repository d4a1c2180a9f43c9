# %% [markdown]
# # §3.1 · Nothing in L_T can be learned
#
# **Where:** §3.1, all of it
#
# **Symbols:** L_T, D_KL, q, p(x_T), x_0, T, β_t, ᾱ_t, N
#
# **Function:** prior_nats, schedule_from_beta
#
# **Lesson:** 6, The first term, on real digits; 1, Choose a bad schedule
#
# **Exercise:** 18
#
# **See:** eq 2, eq 4, eq 5
#
#     L_T = D_KL( q(x_T | x_0) ‖ p(x_T) ),     p(x_T) = N(0, I)
#
# L_T is the first term of Eq. 5: how far the end of the forward chain is from the noise
# that sampling starts with. The βs could have been learned. The paper fixes them. Then
# q has no parameters, p(x_T) has none either, and L_T is a constant for training.
#
# A constant is not a zero. The βs must be chosen so that L_T is small: it is the price
# of starting from pure noise.

# %% [markdown]
# ## What if the chain were shorter?
#
# Take the paper's βs, but only the first 500 of them. x_500 is mostly noise, and we
# call it pure noise all the same.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, kl_gaussians, last, load_checkpoint,
    load_digits, loss_simple, normal, per_picture, prior_nats, q_sample,
    sample, schedule_from_beta, stream, to_bits, to_unit_range, up_to,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_curves, show_download, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where).double()
def L_T(chain):  # in bits, of this digit
    return to_bits(per_picture(prior_nats(chain, x_0))).item()

ends = range(100, schedule.T + 1, 20)
by_T = {T: L_T(up_to(schedule, T)) for T in ends}
ask_choice(
    "With all 1000 steps L_T of this digit is a few hundredths of a bit. With the first 500?",
    [
        ("twice as much", "L_T does not go with T, but with ᾱ_T: 0.00004 after 1000 steps, 0.08 "
         "after 500."),
        ("some 60 bits", "Yes. Each pixel takes about ᾱ_T/2 · x_0² nats, and there are 1024."),
        ("over 4,000 bits", "x_500 would have to be a clear picture. Its noise has a std of "
         "0.96."),
    ],
    answer=1 if 30 < by_T[500] < 200 else 2,
)
show_curves("L_T of this digit in bits, if the chain ends at T",
            {"": by_T.items()}, "T", log=True)
assert by_T[1000] < 0.1 and 30 < by_T[500] < 200

# %% [markdown]
# ## Line by line
#
#     1   D_KL( N(√ᾱ_T x_0, 1 - ᾱ_T) ‖ N(0, 1) )         a pixel, by Eq. 4
#     2   ½ (ᾱ_T x_0² - ᾱ_T - log(1 - ᾱ_T))              the KL of two normals
#     3   ½ ᾱ_T x_0²                                     as log(1 - ᾱ) ≈ -ᾱ
#
# Only x_0 and the βs are in it. Line 3 is nearly right because ᾱ_T is tiny.

# %%
bar = schedule.alpha_bar[-1]
zero, one = torch.zeros_like(x_0), torch.ones_like(x_0)
nats = [
    per_picture(kl_gaussians(bar.sqrt() * x_0, (1 - bar) * one, zero, one)),
    per_picture((bar * x_0**2 - bar - torch.log1p(-bar)) / 2),
    per_picture(bar * x_0**2 / 2),
]
per_dim = [to_bits(v).item() / x_0.numel() for v in nats]
show_table("L_T of this digit, bits/dim", ["line", "32 × 32 pixels"],
           [*zip((1, 2, 3), per_dim, strict=True)])
size = x_0.square().mean()
say(f"The paper reports about 0.00001 bits/dim for CIFAR-10. Here x_0² is {size:.2f} on average, "
    "as most pixels are black, at -1. Photographs have more grey, and grey is near 0.")
assert abs(per_dim[0] - per_dim[1]) < 1e-9
assert abs(per_dim[2] / per_dim[0] - 1) < 1e-3 and 1e-5 < per_dim[0] < 4e-5

# %% [markdown]
# ## Constant for training
#
# We ask for the gradient of L_T, and of L_simple at one t, in all weights. Then the
# price of a chain that ends too early: Algorithm 2 started from pure noise at T = 1000,
# 500 and 300, with the same network.

# %%
t = torch.tensor([300], device=where)
eps = normal(x_0.shape, stream(seed, "sec 3.1"), where)
weights = [*model.parameters()]
needed = [w.requires_grad for w in weights]
model.requires_grad_(True)
loss = loss_simple(model, schedule, x_0.float(), t, eps)
prior = prior_nats(schedule, x_0).sum()
gradient = torch.autograd.grad(loss, weights, allow_unused=True)
norm = sum(g.square().sum() for g in gradient if g is not None).sqrt()
for weight, was in zip(weights, needed, strict=True):
    weight.requires_grad_(was)
print(f"L_simple depends on the weights: gradient of norm {norm:.3f}")
print(f"L_T depends on a weight: {prior.requires_grad}")
assert norm > 0 and not prior.requires_grad

# %%
four = normal((4, 1, 32, 32), stream(seed, "sec 3.1, start"), where)
drawn = []
for T in (1000, 500, 300):
    noise = stream(seed, "sec 3.1, chain")
    chain = sample(model, schedule, options=SamplingOptions(steps=40),
                   t_start=T, x_t=four, generator=noise)
    drawn.append(last(chain).cpu())
show_images(torch.cat(drawn), "Pure noise, taken for x_1000, x_500, x_300",
            [f"from x_{T}" for T in (1000, 500, 300) for _ in range(4)],
            columns=4)
bright = [(x > 0).float().mean().item() for x in drawn]
show_table("Bright pixels", ["pure noise taken for", "share", "L_T, bits"], [
    (f"x_{T}", f"{share:.0%}", f"{by_T[T]:.2f}")
    for T, share in zip((1000, 500, 300), bright, strict=True)])
assert bright[2] > bright[0]
say("A real x_300 is dark, as most of a digit is black. Pure noise is not, and the network takes "
    "that for strokes. What L_T counts is this: a start that the forward chain never leads to.")

# %% [markdown]
# ## What people get wrong
#
# They take L_T for 0 with any schedule. Stable Diffusion's has √β rising evenly, from
# β_1 = 0.00085 to β_1000 = 0.012. The same T, and yet a little of the picture is left
# in x_T: above all its mean brightness, which no sampler that starts at N(0, I) gets
# right (Lin et al. 2023).

# %%
root = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64)
theirs = schedule_from_beta(root**2).to(where)
t_end = torch.tensor([1000], device=where)
rows = []
for name, chain in {"the paper's": schedule,
                    "Stable Diffusion's": theirs}.items():
    eps = normal((100, 1, 32, 32), stream(seed, "x_T"), where).double()
    x_T = q_sample(chain, x_0.expand(100, -1, -1, -1), t_end.expand(100), eps)
    bar = chain.alpha_bar[-1].item()
    rows.append((name, f"{bar:.5f}", f"{L_T(chain):.2f}",
                 f"{x_T.mean().item():+.3f}"))
show_table("The end of two chains, for this digit",
           ["schedule", "ᾱ_T", "L_T, bits", "mean of x_T (noise: 0)"], rows)
assert L_T(theirs) > 50 * L_T(schedule)
say("And a bound in bits/dim has L_T in it, small or not: exercise 18 finds it where it is "
    "missing (no_prior).")
