# %% [markdown]
# # Alg. 1 · Training
#
# **Where:** §3.2, at its end, beside Algorithm 2
#
# **Symbols:** x_0, q, t, T, ε, N, ε_θ, ᾱ_t
#
# **Function:** noisy_batch, training_step, loss_simple
#
# **Lesson:** 3, Algorithm 1, line by line; 3, Its lines with tensors
#
# **Exercise:** 3, 6
#
# **See:** eq 4, eq 12, eq 14
#
#     1  repeat
#     2    x_0 ~ q(x_0)
#     3    t ~ Uniform({1, ..., T})
#     4    ε ~ N(0, I)
#     5    gradient step on ∇_θ ‖ε - ε_θ(√ᾱ_t x_0 + √(1-ᾱ_t) ε, t)‖²
#     6  until converged
#
# A picture, a random t, random noise, and one question to the network: which noise is
# it? No chain is walked. Eq. 4 jumps to x_t, so each step costs one call.
#
# Line 5 is L_simple (Eq. 14) for one draw: Eq. 12 without its weight.

# %% [markdown]
# ## One t for all?
#
# Line 3 draws a t. For a batch of 128 pictures, somebody draws one t and uses it for
# all of them. Others draw 128. Here are the losses of the trained network, each
# picture at a t of its own; from these, a thousand batches of either kind.

# %% tags=["parameters"]
seed = 0  # other pictures, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import copy

import torch
import torch.nn.functional as F

from ddpm_tutor import (
    choose_device, load_checkpoint, load_digits, losses_by_t, normal,
    loss_simple, q_sample, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table,
)

# %%
where = choose_device(device)
trained = load_checkpoint()
model, schedule = trained.model.to(where), trained.schedule.to(where)
digits = load_digits(progress=show_download)
n = len(digits.train_images)
dice = stream(seed, "alg 1")
ts, losses = losses_by_t(model, schedule, digits.train_images[:250])

each = losses[torch.randint(250, (1000, 128), generator=dice)].mean(dim=1)
shared = torch.randint(5, 245, (1000, 1), generator=dice)
near = torch.randint(-5, 5, (1000, 128), generator=dice)  # nearly that t
one = losses[shared + near].mean(dim=1)
ask_choice(
    "What is wrong with one t for the whole batch?",
    [
        ("the loss is too low on average", "Each t comes as often. Compare the means."),
        ("the network learns that one t alone", "The next batch has another t."),
        ("the gradient jumps from batch to batch", "Yes. Right on average, and far from "
         "it each time. At small t the loss is many times that at large t, and all 128 have the "
         "same."),
    ],
    answer=2 if one.std() > 3 * each.std() else 0,
)
show_table("The loss of a batch of 128",
           ["", "mean", "std between batches"], [
    ("a t each", each.mean().item(), each.std().item()),
    ("one t for all", one.mean().item(), one.std().item())])
assert one.std() > 3 * each.std()

# %% [markdown]
# ## One step, with all tensors
#
# Lines 2 to 5 for eight pictures. The network is the trained one.

# %%
which = torch.randint(n, (8,), generator=dice)
x_0 = to_unit_range(digits.train_images[which]).to(where)  # line 2
t = torch.randint(1, schedule.T + 1, (8,), generator=dice)  # line 3
t = t.sort().values.to(where)  # only to look at them in order
eps = normal(x_0.shape, dice, where)  # line 4
x_t = q_sample(schedule, x_0, t, eps)  # the first argument in line 5
with torch.no_grad():
    eps_theta = model(x_t, t, None)
errors = (eps - eps_theta).square().mean(dim=(1, 2, 3))
tensors = {"x_0": x_0, "ε": eps, "x_t": x_t, "ε_θ": eps_theta,
           "ε - ε_θ": eps - eps_theta}
show_table("The tensors of a step", ["", "shape", "mean", "std"], [
    (name, " × ".join(map(str, v.shape)),
     f"{v.mean():+.3f}", f"{v.std():.3f}")
    for name, v in tensors.items()])
four = [0, 2, 4, 6]
rows = x_0, x_t, eps_theta, eps - eps_theta
show_images(torch.cat([v[four] for v in rows]).cpu(),
            "x_0; x_t; ε_θ; what is wrong in ε_θ",
            [f"t = {i}" for i in t[four].tolist()] * 3
            + [f"squared {e:.3f}" for e in errors[four].tolist()])
assert F.mse_loss(eps_theta, eps) < 0.5 and abs(eps.std() - 1) < 0.1
say("The last row is all that the network learns from. Grain in it cannot be learned. A shape "
    "in it can: there it took a stroke for noise, or noise for a stroke.")

# %% [markdown]
# ## The gradient step
#
# Line 5 moves the weights θ by -η g, with g = ∇_θ of the loss. To first order the loss
# of these eight pictures falls by η ‖g‖². We take steps of several lengths from the
# same weights: each should win so many percent of the loss. What does it win?

# %%
student = copy.deepcopy(model).requires_grad_(True)
weights = [*student.parameters()]
loss = loss_simple(student, schedule, x_0, t, eps)
g = torch.autograd.grad(loss, weights, allow_unused=True)
g = [torch.zeros_like(w) if v is None else v
     for w, v in zip(weights, g, strict=True)]
norm_2 = sum(v.square().sum() for v in g).item()
rows = []
for percent in (0.1, 0.3, 1, 3, 10, 30):
    eta = percent / 100 * loss.item() / norm_2
    with torch.no_grad():
        for w, old, v in zip(weights, model.parameters(), g, strict=True):
            w.copy_(old - eta * v)
        after = loss_simple(student, schedule, x_0, t, eps).item()
    won = 100 * (1 - after / loss.item())
    rows.append((f"{eta:.1e}", f"{percent} %", f"{won:.2f} %"))
show_table(f"Loss before: {loss.item():.4f}",
           ["η", "to be won", "won"], rows)
assert 0 < float(rows[0][2][:-2]) < 0.15
say("Short steps win what they should. Long ones win less than promised, or lose: the loss is "
    "curved. Hence small rates, and Adam, which gives each weight a rate of its own.")

# %% [markdown]
# ## What people get wrong
#
# ε drawn twice: once for x_t, and once more for what the network should say
# (`fresh_target` in exercise 6). Nothing crashes. But then the target has nothing to do
# with the picture, and the best answer is 0 everywhere, at a loss of 1.

# %%
again = normal(eps.shape, stream(seed, "drawn again"), where)
table = {
    "the trained network": eps_theta, "always 0": torch.zeros_like(eps)}
show_table("The loss of", ["", "against ε of x_t", "against ε drawn again"], [
    (name, F.mse_loss(said, eps).item(), F.mse_loss(said, again).item())
    for name, said in table.items()])
assert F.mse_loss(eps_theta, again) > 1.5
say("So a loss that settles at 1 means: it has learned that there is nothing to learn. Other "
    "slips keep the loss fine, and only the pictures show them: a t that starts at 0, "
    "pictures in 0..1. Exercises 3 and 6 know them by name.")
