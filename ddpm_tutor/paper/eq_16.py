# %% [markdown]
# # Eq. 16 · The bound without x_0 in its terms, and masks for noise
#
# **Where:** §4.3, at its end; derived as Eq. 23 to 26 in App. A
#
# **Symbols:** L, p_θ, x_t, D_KL, H
#
# **Function:** progressive_coding
#
# **Lesson:** 7, Masks in place of noise; 7, A diffusion that is autoregressive
#
# **Also:** eq 23, eq 24, eq 25, eq 26
#
# **See:** eq 5, alg 3
#
#     L = KL(q(x_T) || p(x_T))
#         + E_q Σ_{t≥1} KL(q(x_{t-1} | x_t) || p_θ(x_{t-1} | x_t))
#         + H(x_0)                                                    (16)
#
# H is the entropy of the data: what a perfect code takes. Nothing goes below it. The
# rest is what p_θ and the chain lose.
#
# Noise is not in it. Any chain that destroys a picture will do: one that hides a pixel
# a step as well. Then p_θ guesses pixel after pixel: an autoregressive model.

# %% [markdown]
# ## Two chains that are small enough
#
# For real pictures nobody knows q(x_{t-1} | x_t). So we take four pixels, ink or none,
# from the middle row of each digit, and T = 4. All is known then: each q is a table.
#
# One chain hides pixel t at step t. The other flips each pixel with a chance of 0.15.

# %% tags=["parameters"]
seed = 0  # another digit, other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import math
from itertools import pairwise, product

import torch

from ddpm_tutor import (
    choose_device, load_checkpoint, load_digits, progressive_coding,
    stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table,
)

# %%
digits, T = load_digits(progress=show_download), 4
middle = digits.train_images[:, 0, 15:17, 2:-2].float().mean(dim=1)
rows = (middle.view(-1, T, 7).mean(dim=2) > 40).int().tolist()  # (N, 4)
states = ["".join(s) for s in product(".#?", repeat=T)]  # 81 of them
number = {state: i for i, state in enumerate(states)}
q_0 = torch.zeros(len(states), dtype=torch.float64)
for row in rows:
    q_0[number["".join(".#"[pixel] for pixel in row)]] += 1 / len(rows)

def table_of(step):  # step(state) -> {next state: probability}
    table = torch.zeros(len(states), len(states), dtype=torch.float64)
    for state in states:
        for then, p in step(state).items():
            table[number[state], number[then]] += p
    return table

def flip(state):  # "?" stays; the flips never lead there
    ways = [{c: 0.85, ".#?"["#.?".index(c)]: 0.15} if c != "?" else {c: 1.0}
            for c in state]
    return {"".join(c for c, _ in way): math.prod(p for _, p in way)
            for way in product(*(w.items() for w in ways))}

# %%
forward = {  # a table q(x_t | x_{t-1}) for each t
    "masks": [table_of(lambda s, t=t: {s[:t] + "?" + s[t + 1:]: 1.0})
              for t in range(T)],
    "flips": [table_of(flip)] * T}
seen, back = {}, {}  # q(x_t), and q(x_{t-1} | x_t) by Bayes' rule
for name, steps in forward.items():
    seen[name] = [q_0]
    for step in steps:
        seen[name].append(seen[name][-1] @ step)
    back[name] = [
        (before[:, None] * step / after.clamp(min=1e-300)).T
        for (before, after), step in zip(
            pairwise(seen[name]), steps, strict=True)]

# %%
blank = torch.zeros(len(states), dtype=torch.float64)
blank[number["????"]] = 1
even = torch.tensor(["?" not in s for s in states]).double() / 2 ** T
p_T = {"masks": blank, "flips": even}

def mean_log2(weight, ratio):  # E log2, where the weight is not 0
    return (weight * torch.where(weight > 0, ratio, 1).log2()).sum().item()

H = -mean_log2(q_0, q_0)
print(f"H(x_0) = {H:.4f} bits, of {T} pixels")

# %% [markdown]
# ## A perfect p_θ

# %%
def terms(name, p):  # Eq. 16: the first KL, the sum of the others, H
    q_T = seen[name][-1]
    pairs = zip(seen[name][1:], back[name], p, strict=True)
    return (mean_log2(q_T, q_T / p_T[name]), sum(mean_log2(
        after[:, None] * q, q / p_t) for after, q, p_t in pairs), H)

best = {name: terms(name, back[name]) for name in forward}
ask_choice(
    "Let p_θ be just q(x_{t-1} | x_t), in both chains. How large is L?",
    [
        ("H(x_0) with masks, more with flips", "Yes. All is hidden at the end, at both ends: the "
         "first KL is 0. The flips do not quite reach p(x_T), and pay for it."),
        ("H(x_0) with masks and with flips",
         "The flips do not quite reach p(x_T), where each row is as likely as "
         "any other, in four steps. So they pay for the first KL."),
        ("less than H(x_0) with masks", "Nothing goes below the entropy: a KL is never negative."),
    ],
    answer=0 if best["flips"][0] > 1e-6 > abs(best["masks"][0]) else 1,
)
show_table("Bits", ["chain", "KL at T", "KLs of the steps", "H(x_0)", "L"], [
    (name, *(f"{abs(v):.4f}" for v in parts), f"{sum(parts):.4f}")
    for name, parts in best.items()])
assert abs(sum(best["masks"]) - H) < 1e-9 and sum(best["flips"]) > H

# %% [markdown]
# ## The derivation, line by line
#
# Now a poor p_θ: nine parts perfect, one part "all states alike". Each sum is over
# t = 1..T. From Eq. 3, with p for p_θ (the numbers are those of App. A):
#
#     L = E[-log p(x_T) - Σ log p(x_{t-1}|x_t) / q(x_t|x_{t-1})]           (23)
#       = E[-log p(x_T) - Σ log p(x_{t-1}|x_t) / q(x_{t-1}|x_t)
#                             · q(x_{t-1}) / q(x_t)]                       (24)
#       = E[-log p(x_T)/q(x_T) - Σ log p(x_{t-1}|x_t) / q(x_{t-1}|x_t)
#           - log q(x_0)]                                                  (25)
#
# (24) is Bayes' rule. In (25) the q(x_{t-1}) / q(x_t) have cancelled but for the first
# and the last. The means in (25) are Eq. 16.

# %%
poor = {name: [0.9 * q + 0.1 / len(states) for q in back[name]]
        for name in forward}

def lines(name):
    m, q_T = seen[name], seen[name][-1]
    first = -mean_log2(q_T, p_T[name])
    l_23 = l_24 = first
    l_25 = -mean_log2(q_T, p_T[name] / q_T) - mean_log2(q_0, q_0)
    tables = zip(forward[name], back[name], poor[name], strict=True)
    for t, (step, q, p) in enumerate(tables, start=1):
        pair = m[t - 1][:, None] * step  # q(x_{t-1}, x_t)
        ratio = m[t - 1][:, None] / m[t]
        l_23 -= mean_log2(pair, p.T / step)
        l_24 -= mean_log2(pair, p.T / q.T * ratio)
        l_25 -= mean_log2(pair, p.T / q.T)
    return l_23, l_24, l_25, sum(terms(name, poor[name]))

show_table("L in bits", ["chain", "(23)", "(24)", "(25)", "(16)"], [
    (name, *(f"{v:.6f}" for v in lines(name))) for name in forward])
assert all(max(v) - min(v) < 1e-9 and v[0] > H for v in map(lines, forward))

# %% [markdown]
# ## Hidden, or under noise
#
# With masks, a receiver knows some pixels and nothing of the others. With noise it
# knows a little of all. Here is the real chain beside masks, at the same t/T. The
# paper calls this a generalized order of bits: no order of the pixels is like it.

# %%
trained = load_checkpoint(device=choose_device(device))
i = seed % len(digits.validation_images)
x_0 = to_unit_range(digits.validation_images[i : i + 1])
sent = {m.t: m for m in progressive_coding(
    trained.model, trained.schedule, x_0, times=[1000, 750, 500, 250, 1],
    generator=stream(seed, "eq 16"))}
hidden = x_0.repeat(4, 1, 1, 1)
for k, t in enumerate((750, 500, 250, 1)):
    hidden[k].view(-1)[: 1024 * t // 1000] = 0  # the first pixels, in grey
show_images(hidden, "masks", [f"{t}/1000 hidden" for t in (750, 500, 250, 1)])
guesses = torch.cat([sent[t].x_0_hat for t in (750, 500, 250, 1)]).float()
show_images(guesses, "noise: x̂_0", [f"t = {t}" for t in (750, 500, 250, 1)])

# %% [markdown]
# ## What people get wrong
#
# "The KLs are those of Eq. 5." There x_0 stands behind the bar: q(x_{t-1} | x_t, x_0).
# With the perfect p_θ all KLs of Eq. 16 are 0. Those of Eq. 5 are not, for x_0 is
# known to q and not to p_θ. They add up to the same L.

# %%
def eq_5(name, p):  # the KL at T, then that of each step; L_0 is the last
    jump = torch.eye(len(states), dtype=torch.float64)
    found = []
    for t, step in enumerate(forward[name]):
        joint = q_0[:, None, None] * jump[:, :, None] * step[None]
        q = joint / joint.sum(dim=1, keepdim=True).clamp(min=1e-300)
        found.append(mean_log2(joint, q / p[t].T))
        jump = jump @ step
    return mean_log2(q_0[:, None] * jump, jump / p_T[name]), *found[::-1]

columns = ["chain", "Eq. 5: at T", *(f"L_{t}" for t in range(T)[::-1]), "L"]
both = {name: eq_5(name, back[name]) for name in forward}
show_table("Perfect p_θ, bits", columns, [
    (name, *(f"{abs(v):.4f}" for v in kls), f"{sum(kls):.4f}")
    for name, kls in both.items()])
say("With masks, Eq. 5's terms are the bits of each pixel given those after it: the code of an "
    "autoregressive model. Their sum is H(x_0), the chain rule of entropy.")
assert all(abs(sum(both[name]) - sum(best[name])) < 1e-9 for name in forward)
