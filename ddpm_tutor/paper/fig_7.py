# %% [markdown]
# # Fig. 7 · Several pictures from one x_t
#
# **Where:** §4.3; its CelebA-HQ faces share one latent a block
#
# **Symbols:** x_t, x_0, x̂_0, p_θ, z
#
# **Function:** draw, q_sample, predict_x_0
#
# **Lesson:** 4, Sharing the way down to t; 4, Where they part
#
# **Exercise:** 2, 9
#
# **See:** alg 2, eq 4, eq 15
#
#     x_t ~ q(x_t | x_0);   then x_0 ~ p_θ(x_0 | x_t), again and again
#
# x_t is frozen, and Algorithm 2 goes on from it with other noise z each time. What the
# pictures share was in x_t already. What differs was still open.
#
# From a small t all but fine details is shared; from a large one, only what is large.

# %% [markdown]
# ## One x_t, sixteen pictures
#
# A digit gets noise up to t. From there we go back, without a label.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, draw, last, load_checkpoint,
    load_classifier, load_digits, normal, predict_x_0, q_sample,
    read_digits, stream, to_uint8, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table, track,
)

# %%
where = choose_device(device)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule.to(where)
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where)
eps = normal(x_0.shape, stream(seed, "fig 7"), where)

def noisy(t):
    return q_sample(schedule, x_0, torch.tensor([t], device=where), eps)

def pictures(t, count=4):
    return last(draw(model, schedule, None, SamplingOptions(steps=t // 50),
                     t_start=t, x_t=noisy(t).expand(count, -1, -1, -1),
                     seed=seed, indices=range(count))).cpu()

drawn = {t: pictures(t, 16 if t == 500 else 4)
         for t in track((250, 500, 750), 3, "Going back")}

# %%
reader = load_classifier().model
for t, some in drawn.items():
    read = read_digits(reader, to_uint8(some[:4])).classes.tolist()
    show_images(torch.cat([noisy(t).cpu(), some[:3]]), f"one x_{t}",
                [f"x_{t}", *(f"read as {c}" for c in read[:3])])

def apart(x):  # RMS difference between two of them
    return torch.pdist(x.flatten(1)).mean().item() / 32

spread = {t: apart(some) for t, some in drawn.items()}
print("two of them differ by", *(
    f"{s:.2f} at t = {t}" for t, s in spread.items()), sep="  ")
assert spread[250] < spread[500] < 1.5 * spread[750]

# %% [markdown]
# ## Their mean
#
# The network also makes one guess of x_0 from x_500: x̂_0, by Eq. 15. Trained on squared
# error, it must answer with a mean: E(x_0 | x_t). So we draw sixteen pictures from one
# x_500, and take their mean.

# %%
t = torch.tensor([500], device=where)
with torch.no_grad():
    eps_theta = model(noisy(500), t, None)
x_0_hat = predict_x_0(schedule, noisy(500), t, eps_theta).clamp(-1, 1).cpu()
mean = drawn[500].mean(dim=0, keepdim=True)

def off(a, b):
    return (a - b).square().mean().sqrt().item()

one = sum(off(d, x_0_hat) for d in drawn[500]) / 16
ask_choice(
    "Which is nearest to the mean of the sixteen?",
    [
        ("x̂_0, the guess of Eq. 15", "Yes. That is what x̂_0 is: the mean of Fig. 7. So it is "
         "blurred where they differ."),
        ("x_0, from which x_500 was made", "The network does not know it. It knows x_500, from "
         "which other digits could have led as well."),
        ("the first of the sixteen", "It is one of sixteen, and sharp. A mean of different "
         "sharp pictures is not."),
    ],
    answer=0,
)
nearest = {"x_0": off(x_0.cpu(), mean), "x̂_0": off(x_0_hat, mean),
           "one of them": one}
four = torch.cat([x_0.cpu(), drawn[500][:1], mean, x_0_hat])
show_images(four, "t = 500", ["x_0", "one of them", "mean of 16", "x̂_0"])
print("from the mean of 16:", *(
    f"{name} {d:.2f}" for name, d in nearest.items()), sep="  ")
assert nearest["x̂_0"] == min(nearest.values())

# %% [markdown]
# ## What is shared, in numbers
#
# The variance of the pictures from one x_t, over that of real digits: the share of a
# digit that is still open at t.

# %%
real = to_unit_range(digits.validation_images[:500])
of_real = real.var(dim=0).sum().item()
still = {t: s.var(dim=0).sum().item() / of_real for t, s in drawn.items()}
show_table("Still open", ["t", "ᾱ_t", "open"], [
    (t, f"{schedule.alpha_bar[t]:.3f}", f"{v:.2f}")
    for t, v in still.items()])
noise = 1 - schedule.alpha_bar[500].item()
say(f"At t = 500 noise is {100 * noise:.0f} % of the power of x_t, and {100 * still[500]:.0f} % "
    "of what digits can differ in is open. To an eye x_500 is noise. But a stroke has many "
    "pixels, and together they tell where it is.")
assert still[250] < still[500] < noise

# %% [markdown]
# ## What people get wrong
#
# "x_t and the labels fix the picture, as a seed does." They do without z: DDIM (η = 0).
# Algorithm 2 adds noise at each step, and from one x_t it draws many pictures. Who
# draws Fig. 7 with DDIM gets one picture four times.

# %%
without_z = SamplingOptions(method="ddim", steps=10)
same = last(draw(model, schedule, None, without_z, t_start=500,
                 x_t=noisy(500).expand(4, -1, -1, -1), seed=seed,
                 indices=range(4))).cpu()
show_images(same, "from one x_500, without z")
print(f"they differ by {apart(same):.0e}; with z by {spread[500]:.2f}")
assert apart(same) < 1e-2 < spread[500]
