# %% [markdown]
# # What the network learns
#
# Questions on the loss, and on the picture that a prediction stands for: Eq. 12, 14, 15.

# %% tags=["parameters"]
seed = 0  # other numbers
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, linear_schedule, load_checkpoint, load_digits, loss_simple,
    normal, predict_x_0, q_sample, schedule_from_beta, stream,
    to_unit_range, vlb_weight,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, pick, say, show_download, show_images, show_table,
)

schedule = linear_schedule()
digits = load_digits(progress=show_download)

def some_digits(count, rng):  # validation digits one after the other, from any on
    first = pick(range(len(digits.validation_images) - count), rng)
    return to_unit_range(digits.validation_images[first : first + count])

# %% [markdown]
# ## Eq. 14 · A network that says nothing
#
# **Lesson:** 3

# %%
rng = stream(seed, "a network that says nothing")
t = pick([*range(150, 221), *range(300, 401)], rng)  # elsewhere, options are nearly the same
bar = schedule.alpha_bar[t].item()
ask_choice(
    f"A network answers 0 in every pixel. What is its loss at t = {t}, where ᾱ_t = {bar:.2f}?",
    [
        ("about 1", "Yes. It is compared with ε as it was drawn, and E ε² is 1 at every t. That is "
         "why each curve of a training begins near 1, or below."),
        (f"about {1 - bar:.2f}", "That is 1 - ᾱ_t, the noise as it is in x_t. The target is the ε "
         "before its factor."),
        (f"about {bar:.2f}", "That is ᾱ_t, the share of the picture. The loss of this network does "
         "not see the picture at all."),
    ],
    answer=0,
)
x_0 = some_digits(64, rng)
loss = loss_simple(lambda x_t, t, label: torch.zeros_like(x_t), schedule, x_0,
                   torch.full((64,), t), normal(x_0.shape, rng, "cpu")).item()
say(f"Measured on 64 digits: {loss:.3f}.")
assert abs(loss - 1) < 0.03

# %% [markdown]
# ## Eq. 14 · A network that is too timid
#
# **Lesson:** 3

# %%
rng = stream(seed, "a network that is too timid")
share = pick(range(30, 91, 5), rng) / 100
ask_choice(
    f"A network finds the noise, but says only {share} of it: ε_θ = {share} ε. What is its loss?",
    [
        (f"{(1 - share) ** 2:.3f}", f"Yes. It is off by {1 - share:.2f} ε, and that is squared."),
        (f"{1 - share:.3f}", "It is off by so much. The loss is the mean of the square."),
        (f"{1 - share ** 2:.3f}", f"That is what variance its answer lacks. The loss squares the "
         f"difference: {1 - share:.2f} ε."),
    ],
    answer=0,
)
x_0, t = some_digits(64, rng), torch.randint(1, 1001, (64,), generator=rng)
eps = normal(x_0.shape, rng, "cpu")
loss = loss_simple(lambda x_t, t, label: share * eps, schedule, x_0, t, eps).item()
say(f"Measured on 64 digits, each at a t of its own: {loss:.4f}.")
assert abs(loss - (1 - share) ** 2) < 0.01

# %% [markdown]
# ## Eq. 14 · Where the noise is hard to find
#
# **Lesson:** 3

# %%
rng = stream(seed, "where the noise is hard to find")
small, large = pick(range(5, 31), rng), pick(range(300, 901), rng)
where = choose_device(device)
model = load_checkpoint().model.to(where)
on = schedule.to(where)
x_0 = some_digits(4, rng).to(where)
eps = normal(x_0.shape, rng, where)
with torch.no_grad():
    at_small, at_large = (loss_simple(
        model, on, x_0, torch.full((4,), t, device=where), eps).item() for t in (small, large))
ratio = at_small / at_large
ask_choice(
    f"The network that comes with this tutor: is its loss larger at t = {small} or at t = {large}?",
    [
        (f"at t = {small}, more than three times", "Yes. In a picture with so little noise it is "
         "hard to say which grey is noise. At large t nearly all is noise, so x_t is nearly the "
         "answer."),
        (f"at t = {large}, more than three times", "There x_t is nearly all noise: whoever says "
         "x_t is nearly right. The picture is hard to see there, but Eq. 14 asks for the noise."),
        ("they differ by less than three times", "At large t x_t is nearly the answer. At small t "
         "the noise hides in the picture."),
    ],
    answer=0 if ratio > 3 else 1 if ratio < 1 / 3 else 2,
)
show_table("Eq. 14 on 4 digits", ["t", "loss"], [
    (small, f"{at_small:.4f}"), (large, f"{at_large:.4f}")])

# %% [markdown]
# ## Eq. 15 · One pixel, back to x_0
#
# **Lesson:** 2

# %%
rng = stream(seed, "one pixel, back to x_0")
picture, noise = pick(((0.8, 0.6), (0.6, 0.8), (0.96, 0.28), (0.5, 0.866)), rng)
x_0 = pick((-1.0, -0.5, 0.0, 0.5, 1.0), rng)
eps = pick((-1.0, -0.5, 0.5, 1.0), rng)
x_t = picture * x_0 + noise * eps
ask_number(
    f"√ᾱ_t = {picture} and √(1 - ᾱ_t) = {noise}. A pixel of x_t is {x_t:.3f}, and its noise is "
    f"ε = {eps}. What was this pixel of x_0?",
    x_0,
    tolerance=0.02,
    why=f"Take the noise out, then undo the factor: ({x_t:.3f} - {noise} · {eps}) / {picture}.",
)
one, at = schedule_from_beta(torch.tensor([1 - picture ** 2])), torch.tensor([1])
back = predict_x_0(one, torch.full((1, 1, 1, 1), x_t), at, torch.full((1, 1, 1, 1), eps))
say(f"Eq. 15, computed: {back.item():.3f}.")
assert abs(back.item() - x_0) < 0.01

# %% [markdown]
# ## Eq. 15 · A small error in ε
#
# **Lesson:** 2

# %%
rng = stream(seed, "a small error in eps")
t, off = pick(range(300, 801, 20), rng), pick((0.05, 0.1, 0.2), rng)
bar = schedule.alpha_bar[t].item()
true = off * ((1 - bar) / bar) ** 0.5
ask_choice(
    f"At t = {t} is √ᾱ_t = {bar ** 0.5:.3f}. ε_θ is off by {off} in a pixel. How far off is x_0 "
    "there?",
    [
        (f"{true:.2g}", f"Yes. {off} · √(1 - ᾱ_t) / √ᾱ_t. At large t a small error in ε is a "
         "large one in x_0: the picture is a small part of x_t."),
        (f"{off * (1 - bar) ** 0.5:.2g}", "So much noise is left in x_t. Then Eq. 15 divides by "
         "√ᾱ_t, and the error with it."),
        (f"{off * bar ** 0.5:.2g}", "That multiplies by √ᾱ_t. Eq. 15 divides by it."),
    ],
    answer=0,
)
x_0 = some_digits(1, rng)
eps, at = normal(x_0.shape, rng, "cpu"), torch.tensor([t])
x_t = q_sample(schedule, x_0, at, eps)
guess = predict_x_0(schedule, x_t, at, eps + off)
show_images(torch.cat([x_0, x_t, guess]), "ε is off by the same in each pixel",
            captions=["x_0", f"x_{t}", "guess of x_0"])
by = (guess - x_0).abs().mean().item()
say(f"Measured: the guess is off by {by:.3f} in each pixel.")
assert abs(by - true) < 0.01 * true + 1e-3

# %% [markdown]
# ## Eq. 12 · The weight that Eq. 14 leaves out
#
# **Lesson:** 3, 6
#
# In the bound the squared error has the weight β_t² / (2 σ_t² α_t (1 - ᾱ_t)). Let
# σ_t² be β_t.

# %%
rng = stream(seed, "the weight that eq. 14 leaves out")
early, late = pick(range(5, 21), rng), pick(range(500, 801), rng)
sigma_2 = schedule.beta.view(-1, 1, 1, 1, 1)
weight = {t: vlb_weight(schedule, torch.tensor([t]), sigma_2[t]).item()
          for t in (early, late)}
ratio = weight[early] / weight[late]
ask_choice(
    f"Which error weighs more in the bound, one at t = {early} or one at t = {late}?",
    [
        (f"at t = {early}, {ratio:.0f} times", "Yes. There 1 - ᾱ_t is tiny, and it stands below. "
         "Eq. 14 leaves the weight out, so training looks more at large t than the bound would."),
        (f"at t = {late}, {ratio:.0f} times", "β_t is larger there. But 1 - ᾱ_t has grown even "
         "more, and it stands below."),
        ("both the same", "So it is in Eq. 14, which leaves the weight out."),
        (f"at t = {late}, {(schedule.beta[late] / schedule.beta[early]).item():.0f} times",
         "That is the ratio of the two β_t. The weight also has 1 - ᾱ_t below."),
    ],
    answer=0 if ratio > 1 else 1,
)
show_table("Weights of Eq. 12", ["t", "β_t", "1 - ᾱ_t", "weight"], [
    (t, f"{schedule.beta[t]:.5f}", f"{1 - schedule.alpha_bar[t]:.4f}", f"{weight[t]:.4f}")
    for t in (early, late)])
assert ratio > 3
