# %% [markdown]
# # Eq. 1 · The reverse chain: what is learned
#
# **Where:** §2
#
# **Symbols:** T, t, x_t, x_{t-1}, p_θ, p(x_T), μ_θ, Σ_θ, N
#
# **Function:** p_step, p_mean, sample
#
# **Lesson:** 4, Algorithm 2; 4, One step, taken apart; 8, Why a thousand steps?
#
# **Exercise:** 8, 9
#
# **Mistakes:** no_noise, starts_late
#
# **See:** eq 11
#
#     p_θ(x_0:T) = p(x_T) Π_{t=1..T} p_θ(x_{t-1} | x_t)
#     p_θ(x_{t-1} | x_t) = N(x_{t-1}; μ_θ(x_t, t), Σ_θ(x_t, t))      (1)
#
# Start from pure noise, p(x_T) = N(0, I). Then go step by step; each is a bell curve around
# a mean that the network computes. Why a bell curve? If the steps of q are small, the way
# back is nearly one, too. And a bell curve is easy to draw from.

# %% [markdown]
# ## What is learned?
#
# Eq. 1 has three parts: p(x_T), the mean μ_θ, and the variance Σ_θ.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, draw, last, load_checkpoint,
    load_digits, normal, p_mean, p_step, q_sample, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, find_bug, say, show_download, show_images,
)

where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where)
generator = stream(seed, "eq 1")
t = torch.tensor([300], device=where)
x_t = q_sample(schedule, x_0, t, normal(x_0.shape, generator, where))
with torch.no_grad():
    eps_theta = model(x_t, t, None).float()
mu_theta = p_mean(schedule, x_t, t, eps_theta)  # by Eq. 11
ask_choice(
    "Which of them does the paper's network learn?",
    [
        ("all three", "p(x_T) is N(0, I) from the start: q ends there whatever the picture "
         "was. And Σ_θ is fixed, too (§3.2)."),
        ("mean and variance", "That came a year later (Nichol and Dhariwal 2021). Here "
         "Σ_θ is σ_t² I with σ_t² = β_t or β̃_t, fixed (§3.2)."),
        ("the mean alone", "Yes. p(x_T) is N(0, I), and Σ_θ is σ_t² I, fixed (§3.2)."),
    ],
    answer=2,
)

# %% [markdown]
# ## One step is a bell curve
#
# The same x_300, and a thousand steps back from it. Only z differs. So their mean is μ_θ,
# and their std is σ_300 = √β_300.

# %%
z = normal((1000, 1, 32, 32), generator, where)
many, eps = x_t.expand_as(z), eps_theta.expand_as(z)
steps = p_step(schedule, many, t.expand(1000), eps, z)
sigma = schedule.beta[300].sqrt().item()
std = (steps - mu_theta).std().item()
off = (steps.mean(0) - mu_theta[0]).abs().mean().item()
print(f"std {std:.4f}, σ_300 {sigma:.4f}; their mean is off by {off:.4f}")
assert abs(std / sigma - 1) < 0.01 and off < sigma / 20
amplified = 5 * (steps[:2] - mu_theta)
show_images(torch.cat([x_t, mu_theta, steps[:1], amplified]),
            "A step from x_300, and five times what z has changed",
            captions=["x_300", "μ_θ", "x_299", "5 σ z", "5 σ z, other z"])

# %% [markdown]
# ## Does it matter where the chain starts?
#
# p(x_T) is N(0, I): `torch.randn`. Somebody types `torch.rand`, whose numbers lie between
# 0 and 1. The network has never seen such an x_1000.

# %%
rand = torch.rand((4, 1, 32, 32), generator=stream(seed, "rand"))
labels = None if model.num_classes is None else torch.tensor([0, 1, 4, 8])
def drawn(x_T, method):
    options = SamplingOptions(steps=50, method=method)
    return last(draw(model, schedule, labels, options, seed=seed,
                     indices=range(4), x_T=x_T))

images = {(start, method): drawn(x_T, method)
          for method in ("ddpm", "ddim")
          for start, x_T in (("randn", None), ("rand", rand))}
apart = {method: (images["randn", method] - images["rand", method])
         .square().mean().sqrt().item() for method in ("ddpm", "ddim")}
ask_choice(
    "Which sampler minds more: Eq. 1, or DDIM, which adds no noise on the way?",
    [
        ("Eq. 1, for it needs the right p(x_T)", "Each of its steps adds fresh noise z. After "
         "some hundreds of them hardly anything is left of x_T."),
        ("DDIM, for it has nothing but x_T", "Yes. All that its picture can come from is x_T. "
         "In Eq. 1 the fresh noise z of each step takes its place."),
        ("both as much, for both begin there",
         "One of them adds fresh noise at each step, and so forgets x_T."),
    ],
    answer=int(apart["ddim"] > apart["ddpm"]),
)

# %%
for (start, method), pictures in images.items():
    show_images(pictures, f"{method} from torch.{start}")
say(f"The pictures from rand differ from those from randn by {apart['ddpm']:.2f} a pixel in "
    f"Eq. 1, and by {apart['ddim']:.2f} in DDIM.")
assert apart["ddim"] > 2 * apart["ddpm"]

# %% [markdown]
# ## What people get wrong
#
# To go from mean to mean, without z. It looks like the most probable path. But p_θ is a
# bell curve in a thousand dimensions: nearly all its draws are far from the mean. So x_t
# gets too calm, and every seed ends in nearly the same thin digit.

# %%
bug = find_bug("no_noise")
for wrong, title in ((False, "Eq. 1"), (True, "without z")):
    chain = bug.draw(trained, labels, SamplingOptions(steps=50), wrong=wrong,
                     seed=seed, indices=range(4))
    show_images(last(chain), title)
