# %% [markdown]
# # Eq. 15 · The estimate of x_0
#
# **Where:** §4.3, under "Progressive lossy compression"
#
# **Symbols:** x_0, x̂_0, x_t, t, ᾱ_t, ε_θ
#
# **Function:** predict_x_0, predict_eps, exact_posterior_mean
#
# **Lesson:** 2, Going back, if you knew the noise; 2, Why not jump to the guess?;
# 4, The guess of x_0; 8, The best guess is a softmax
#
# **Exercise:** 5
#
# **Mistakes:** x_0_no_root, x_0_not_rescaled, x_0_sign
#
# **See:** eq 4
#
#     x_0 ≈ x̂_0 = (x_t - √(1 - ᾱ_t) ε_θ(x_t, t)) / √ᾱ_t      (15)
#
# Eq. 4 has three unknowns: x_0, x_t and the noise. Who knows x_t and is told what the
# noise is also knows x_0. The network says the noise, so at any t there is an estimate
# of the finished picture.
#
# The paper needs it for what a receiver would see halfway (Fig. 5, 6). Sampling uses it
# too: Eq. 11 is Eq. 7 with x̂_0 for x_0, and it is x̂_0 that code clips.

# %% [markdown]
# ## There and back
#
# Take x̂_0 and ε_θ, both from one call of the network at t, and put them into Eq. 4 with
# that same t.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, exact_posterior_mean, last,
    load_checkpoint, load_digits, normal, predict_x_0, q_sample, stream,
    to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, find_bug, say, show_download, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule.to(where)
digits = load_digits(progress=show_download)
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1]).to(where)
steps = (10, 100, 200, 400, 600, 800, 1000)
t = torch.tensor(steps, device=where)
eps = normal((len(t), 1, 32, 32), stream(seed, "eq 15"), where)
x_t = q_sample(schedule, x_0.expand(len(t), -1, -1, -1), t, eps).double()
with torch.no_grad():
    eps_theta = model(x_t.float(), t, None).double()
x_0_hat = predict_x_0(schedule, x_t, t, eps_theta)  # Eq. 15
again = q_sample(schedule, x_0_hat, t, eps_theta)  # Eq. 4
off = (again - x_t).abs().max().item()
ask_choice(
    "What comes out?",
    [
        ("x_t, but cleaner: the network has seen through some of the noise",
         "It has, but all that it saw as noise is put back."),
        ("x_t itself, if the network is right about the noise, and else another picture",
         "Any nonsense for ε_θ gives x_t back. Eq. 15 is Eq. 4 solved for x_0, whatever "
         "stands for the noise."),
        ("x_t itself, to the last digit, however wrong the network is",
         "Yes. x̂_0 and ε_θ say the same thing in two ways: a split of x_t into picture and "
         "noise. What can be wrong is the split."),
    ],
    answer=2,
)
print(f"largest difference from x_t: {off:.0e}")
assert off < 1e-9

# %% [markdown]
# ## Where it comes from, line by line
#
#     x_t               = √ᾱ_t x_0 + √(1 - ᾱ_t) ε           (4)
#     √ᾱ_t x_0          = x_t - √(1 - ᾱ_t) ε
#     x_0               = (x_t - √(1 - ᾱ_t) ε) / √ᾱ_t
#
# With the true noise that is exact. Now ε_θ for ε, and the difference of the two lines:
#
#     x̂_0 - x_0         = √(1 - ᾱ_t)/√ᾱ_t · (ε - ε_θ)
#
# So an error in the noise is multiplied by a number that grows with t. Both in numbers:

# %%
def rms(x):  # of each picture
    return x.square().mean(dim=(1, 2, 3)).sqrt()

exact = predict_x_0(schedule, x_t, t, eps.double())
factor = ((1 - schedule.alpha_bar[t]) / schedule.alpha_bar[t]).sqrt()
in_eps, in_x_0 = rms(eps - eps_theta), rms(x_0_hat - x_0)
show_table("An error in the noise, and in the picture (RMS)",
           ["t", "of ε_θ", "times", "of x̂_0"],
           [(step, f"{a:.4f}", f"{b:.3g}", f"{c:.3f}") for step, a, b, c in
            zip(steps, in_eps.tolist(), factor.tolist(), in_x_0.tolist(),
                strict=True)])
print(f"with the true noise: off by {(exact - x_0).abs().max():.0e}")
assert torch.allclose(factor * in_eps, in_x_0) and factor[-1] > 150
say("At t = 1000 the factor is 157, and yet the estimate is no worse than a guess: the network "
    f"that ships knows its noise to {in_eps[-1]:.4f} there, since its layers give v and not ε. A "
    "network that gives ε has to hit as well, or is clipped.")

# %% [markdown]
# ## An estimate of what?
#
# Many digits could have become this x_t. The least squared error is at their mean,
# each weighted by how well it fits. For known digits Bayes' rule gives that mean
# exactly. We take 5,000 others (fewer, where there are not so many).

# %%
known = to_unit_range(digits.train_images[:5000]).to(where)
mean = exact_posterior_mean(schedule, x_t, t, known.double())
late = slice(3, None)  # t = 400 and more: there the 5,000 are enough
show_images(torch.cat([x_t[late], x_0_hat[late], mean[late]]).float(),
            "x_t, x̂_0 of the network, the mean by Bayes' rule",
            captions=[f"t = {step}" for step in steps[late]] * 3)
to_mean = rms(x_0_hat - mean)
print("RMS from x̂_0   " + "".join(f"{step:>8}" for step in steps[late]))
print("to the mean    " + "".join(f"{v:8.2f}" for v in to_mean[late]))
print("to the digit   " + "".join(f"{v:8.2f}" for v in in_x_0[late]))
assert (to_mean[5:] < in_x_0[5:]).all() and in_x_0[0] < 0.1
say("From much noise x̂_0 is that mean: a blur, and no digit. It is the best answer and a bad "
    "drawing. With less noise fewer digits fit, and it becomes one of them.")

# %% [markdown]
# ## What people get wrong
#
# The roots. `(x_t - (1 - ᾱ_t) ε_θ) / ᾱ_t` has variances where standard deviations
# belong. At small t it leaves nearly all of the noise in: 1 - ᾱ_t is far less than its
# root. At large t it is so large that only clipping keeps it in [-1, 1].
#
# And to take x̂_0 at t = 1000 for a drawing: Fig. 10 says how good that is.

# %%
labels = None if model.num_classes is None else torch.tensor([2, 3, 5, 7])
bug = find_bug("x_0_no_root")
options = SamplingOptions(steps=20)
drawn = []
for wrong, title in ((False, "Eq. 15"), (True, "without its roots")):
    chain = bug.draw(trained, labels, options, wrong=wrong,
                     seed=seed, indices=range(4))
    drawn.append(last(chain).cpu())
    show_images(drawn[-1], title)
assert (drawn[0] - drawn[1]).square().mean().sqrt() > 0.1
