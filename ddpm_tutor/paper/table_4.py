# %% [markdown]
# # Table 4 · Bits sent so far, and how far off the picture is
#
# **Where:** §4.3, printed before App. A
#
# **Symbols:** x̂_0, x_t, L_{t-1}, L_0
#
# **Function:** progressive_coding, coding_times
#
# **Lesson:** 7, Rate and distortion; 7, The paper's split
#
# **Exercise:** 16, 18
#
# **See:** alg 3, alg 4, eq 15, fig 5
#
#     rate at t = (L_T + L_{T-1} + ... + L_t) / D,   in bits
#     distortion at t = √(|x_0 - x̂_0(x_t)|² / D),    in shades of 0 to 255
#
# The table stands behind Fig. 5: CIFAR-10's test pictures, after every hundredth step
# of Alg. 4. D is the number of pixels (here 28·28; there three colours each).
#
# Read down the rows: so much was sent by then, and so far off was what the receiver saw.

# %% [markdown]
# ## Where do the bits go?
#
# A digit of each kind goes through the chain, and its bits are counted, not sent. We
# take some 40 of the 1000 steps; the bits of those between lie on a line.

# %% tags=["parameters"]
seed = 0  # other digits, other noise
each = 1  # pictures of each digit, from 1 to 100
device = "auto"  # auto, cpu, cuda or mps

# %%
from itertools import pairwise

import torch

from ddpm_tutor import (
    choose_device, load_checkpoint, load_digits, progressive_coding,
    stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_number, say, show_download, show_images, show_table, track,
)

# %%
trained = load_checkpoint(device=choose_device(device))
digits = load_digits(progress=show_download)
of_each = [digits.of_class(d) for d in range(10)]
x_0 = to_unit_range(torch.cat([
    images[torch.arange(seed * each, (seed + 1) * each) % len(images)]
    for images in of_each]))
times = sorted({*range(1, 1000, 100), 1000, *range(50, 1000, 100), *(
    round(1.2 ** k) for k in range(28))}, reverse=True)
sending = progressive_coding(trained.model, trained.schedule, x_0,
                             times=times, generator=stream(seed, "table 4"))
moments = list(track(sending, len(times) + 1, "Sending"))
at = {m.t: m for m in moments}
rate = {t: m.bits.mean().item() / 784 for t, m in at.items()}
rmse = {t: m.rmse(x_0).mean().item() for t, m in at.items()}
ask_number(
    "Of all bits sent until x_1 has come, how many in 100 came in the last hundred steps?",
    100 * (1 - rate[101] / rate[1]),
    tolerance=6,
    why="In the paper it is 93: (1.77581 - 0.11994) / 1.77581. A step's bits are the error of "
        "x̂_0 against the noise that the step takes out, and at small t there is hardly any.",
)

# %%
paper = {
    901: (.00000, 67.60125), 801: (.00013, 60.97170), 701: (.00081, 54.18826),
    601: (.00282, 46.12765), 501: (.00716, 38.03236), 401: (.01507, 30.80948),
    301: (.02866, 24.43656), 201: (.05415, 18.47482), 101: (.11994, 12.02277),
    1: (1.77581, .95136)}
rows = [(1001 - t, t, f"{bits:.5f}", f"{off:.2f}", f"{rate[t]:.5f}",
         f"{rmse[t]:.2f}") for t, (bits, off) in paper.items()]
columns = ["step", "t", "CIFAR-10: bits/dim", "RMSE", "here: bits/dim",
           "RMSE"]
show_table("The paper, and this network", columns, rows)
assert all(rate[a] < rate[b] for a, b in pairwise(paper))
assert rate[101] < rate[1] / 4 and rmse[101] < rmse[901] / 3

# %% [markdown]
# ## The same rows, as pictures

# %%
k = 2 * each  # a 2
for some in ((901, 701, 501, 401), (301, 201, 101, 1)):
    show_images(torch.stack([at[t].x_0_hat[k] for t in some]), "x̂_0",
                [f"{at[t].bits[k]:,.1f} bits" for t in some])
seen = rmse[901] - rmse[101]
say(f"The first 900 steps take the RMSE from {rmse[901]:.0f} to {rmse[101]:.0f} for "
    f"{784 * rate[101]:.0f} bits a digit. The last hundred take it to {rmse[1]:.1f}, for "
    f"{784 * (rate[1] - rate[101]):.0f} more.")

# %% [markdown]
# ## Does it add up?
#
# The last row is not the end: x_0 is still to come, for L_0. With it the rate is the
# bound, Eq. 5. In the paper 1.78 + 1.97 = 3.75 bits/dim: the NLL of Table 1, at most.

# %%
L_0 = rate[0] - rate[1]
show_table("bits/dim", ["", "paper", "here"], [
    ("until x_1, the rate", "1.78", f"{rate[1]:.2f}"),
    ("L_0", "1.97", f"{L_0:.2f}"),
    ("together, the bound", "3.75", f"{rate[0]:.2f}")])
assert rmse[0] == 0 and rate[0] < 3 * L_0

# %% [markdown]
# ## What people get wrong
#
# A rate is not what one step takes: it is what all steps so far have taken. And the
# distortion is that of x̂_0, not of x_t, which is under noise nearly to the end.
#
# Of many pictures: is it the mean of their RMSEs, or the root of the mean square? The
# paper gives it for one picture. The second is never the smaller one.

# %%
rows = []
for t in (801, 501, 101):
    before = at[times[times.index(t) - 1]]
    one = (at[t].bits - before.bits).mean().item() / (before.t - t) / 784
    root = at[t].rmse(x_0).square().mean().sqrt().item()
    of_x_t = at[t]._replace(x_0_hat=at[t].x_t).rmse(x_0).mean().item()
    rows.append((t, f"{rate[t]:.5f}", f"{one:.5f}", f"{rmse[t]:.1f}",
                 f"{root:.1f}", f"{of_x_t:.1f}"))
    assert one < rate[t] and rmse[t] <= root + 1e-6 and root < of_x_t
show_table("Right, and mistaken for it", [
    "t", "rate", "one step", "RMSE", "root of the mean", "of x_t"], rows)
