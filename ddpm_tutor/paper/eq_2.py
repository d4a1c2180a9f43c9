# %% [markdown]
# # Eq. 2 · The forward chain: one step adds a little noise
#
# **Where:** §2
#
# **Symbols:** q, x_0, x_t, x_{t-1}, β_t, N, T
#
# **Function:** q_step
#
# **Lesson:** 1, One step of noise; 1, Why the two factors fit together
#
# **Exercise:** 1
#
#     q(x_1:T | x_0) = Π_{t=1..T} q(x_t | x_{t-1})
#     q(x_t | x_{t-1}) = N(x_t; √(1 - β_t) x_{t-1}, β_t I)      (2)
#
# Each step makes the picture a little smaller and adds a little noise. A step sees
# the picture before it and nothing else. Nothing is learned: the betas are given.
#
# Nobody draws from a product. It says: do step 1, then step 2, and so on.

# %% [markdown]
# ## Why is the picture made smaller?
#
# Each step adds noise of variance β_t. The factor √(1 - β_t) makes room for it. Leave
# the factor out, and only add.

# %% tags=["parameters"]
seed = 0  # other digits, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, linear_schedule, load_digits, normal, q_step, stream,
    to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_number, say, show_download, show_images, show_table,
)

where = choose_device(device)
schedule = linear_schedule().to(where)
digits = load_digits(progress=show_download)
start = 10 * seed % (len(digits.validation_images) - 10)
x_0 = to_unit_range(digits.validation_images[start : start + 10]).to(where)
generator = stream(seed, "eq 2")

# %%
x, added = x_0, x_0
kept = {0: x_0}
for i in range(1, schedule.T + 1):
    eps = normal(x_0.shape, generator, where)
    t = torch.full((len(x_0),), i, device=where)
    x = q_step(schedule, x, t, eps)  # Eq. 2
    added = added + schedule.beta[i].sqrt().float() * eps
    kept[i] = x
ask_number(
    "What is the std of x_1000 if noise is only added?",
    added.std(),
    tolerance=0.5,
    why="Variances add up. All β_t together are 10.05, and the digit has some 0.3 of its own. "
        "The root of that is over 3. The network would have to cope with every size between.",
)

# %%
show_images(
    torch.cat([kept[t][:1] for t in (0, 100, 300, 1000)] + [added[:1] / 3]),
    "1000 steps of Eq. 2, and what only adding gives (divided by 3)",
    captions=["x_0", "x_100", "x_300", "x_1000", "only added"],
)

# %% [markdown]
# ## The size stays in bounds
#
# Call the mean square of a pixel its power. Eq. 2 turns a power P into
# (1 - β_t) P + β_t: a mixture of P and 1. So it goes to 1, whatever the picture was.

# %%
rows, power = [], x_0.square().mean().item()
for i in range(1, schedule.T + 1):
    beta = schedule.beta[i].item()
    power = (1 - beta) * power + beta
    if i in (1, 100, 300, 1000):
        rows.append((i, power, kept[i].square().mean().item()))
show_table("Power of a pixel", ["t", "by the formula", "of ten digits"], rows)
assert all(abs(formula - seen) < 0.06 for _, formula, seen in rows)
assert abs(kept[1000].std().item() - 1) < 0.05 < added.std().item() - 2

# %% [markdown]
# ## What people get wrong
#
# Two slips look much alike. `β_t · ε`: the variance where its root belongs, so that
# hardly any noise comes. `(1 - β_t) x`: the factor without its root, so that the
# picture shrinks twice as fast. Exercise 1 names both, and some more.

# %%
no_root, twice = x_0.double(), x_0.double()
for i in range(1, schedule.T + 1):
    eps = normal(x_0.shape, generator, where).double()
    beta = schedule.beta[i]
    no_root = (1 - beta).sqrt() * no_root + beta * eps
    twice = (1 - beta) * twice + beta.sqrt() * eps
chains = {"Eq. 2": kept[1000], "β_t ε": no_root, "(1 - β_t) x": twice}
rows = [(name, x.std().item()) for name, x in chains.items()]
show_table("x_1000", ["", "std"], rows)
say("Sampling starts from noise of std 1. A network that was trained on x_1000 of another size "
    "sees at its first step what it has never seen.")
assert no_root.std() < 0.3 and 0.6 < twice.std() < 0.8
