# %% [markdown]
# # Fig. 5 · Rate and distortion
#
# **Where:** §4.3
#
# **Symbols:** x_0, x̂_0, x_t
#
# **Function:** progressive_coding, draw
#
# **Lesson:** 7, Rate and distortion; 7, What the receiver sees
#
# **Exercise:** 5, 16
#
# **See:** alg 3, alg 4, eq 15, table 4
#
#     distortion over T - t       rate over T - t       distortion over rate
#
# Three panels, of CIFAR-10's test pictures. The rate is what has been sent by t, in
# bits/dim. The distortion is the RMSE of x̂_0, in shades of 0 to 255.
#
# The third panel leaves t out: what is seen for so many bits. It falls steeply at
# once, and then has a long flat tail. In the tail are most of the bits.

# %% [markdown]
# ## What does a halving cost?
#
# A message of n numbers that have nothing to do with each other: to know each twice as
# exactly takes one bit each, so n bits. Turn that round: how many bits a halving of
# the RMSE takes says how many numbers are still being told.

# %% tags=["parameters"]
seed = 0  # other digits, other noise
each = 2  # pictures of each digit, from 1 to 100
device = "auto"  # auto, cpu, cuda or mps

# %%
import math

import numpy as np
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, draw, last, load_checkpoint,
    load_digits, progressive_coding, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, figure, say, show, show_curves, show_download,
    show_images, show_table, track,
)

# %%
trained = load_checkpoint(device=choose_device(device))
model, schedule = trained.model, trained.schedule
digits = load_digits(progress=show_download)
of_each = [digits.of_class(d) for d in range(10)]
x_0 = to_unit_range(torch.cat([
    images[torch.arange(seed * each, (seed + 1) * each) % len(images)]
    for images in of_each]))
times = sorted({*range(50, 1001, 50), *(round(1.25 ** k) for k in range(17))},
               reverse=True)
sending = progressive_coding(model, schedule, x_0, times=times,
                             generator=stream(seed, "fig 5"))
moments = list(track(sending, len(times) + 1, "Sending"))
bits = [m.bits.mean().item() for m in moments[:-1]]  # until x_1: without L_0
rmse = [m.rmse(x_0).mean().item() for m in moments[:-1]]

# %%
def bits_at(shades):  # read off the curve
    logs = np.log(rmse)[::-1]
    return float(np.interp(math.log(shades), logs, bits[::-1]))

halvings = {(s, s / 2): bits_at(s / 2) - bits_at(s)
            for s in (40, 20, 10, 5, 2.5)}
costs = list(halvings.values())
ask_choice(
    "From 40 to 20 shades off takes some bits. And from 5 to 2.5?",
    [
        ("as many as from 40 to 20",
         "So it would be if the same numbers were told all along. At first "
         "there are few: where the strokes run. Then every pixel."),
        ("twice as many, or fewer", "The numbers that are told would hardly grow: but each "
         "stroke has an edge, and each pixel of the edge a shade."),
        ("more than twice as many", "Yes. At first a few tens of numbers say it all: where "
         "strokes run. At last each pixel of an edge must be told by itself."),
    ],
    answer=2 if costs[3] > 2 * costs[0] else 1 if costs[3] > 1.2 * costs[0] else 0,
)
show_table("Halvings", ["from RMSE", "to", "bits"], [
    (f"{a:g}", f"{b:g}", f"{cost:.0f}") for (a, b), cost in halvings.items()])
assert costs[4] > costs[0] and all(cost > 0 for cost in costs)

# %% [markdown]
# ## The three panels

# %%
steps = [1000 - m.t for m in moments[:-1]]
with figure(10, 3, columns=3) as (picture, (one, two, three)):
    one.plot(steps, rmse)
    one.set(xlabel="T - t", title="distortion (RMSE)")
    two.plot(steps, [b / 784 for b in bits])
    two.set(xlabel="T - t", title="rate (bits/dim)")
    three.plot([b / 784 for b in bits], rmse)
    three.set(xlabel="rate (bits/dim)", title="distortion (RMSE)")
show(picture, "paper fig 5")
early = bits_at(rmse[0] / 4)
say(f"A quarter of the first distortion is reached after {early:.0f} of {bits[-1]:.0f} bits. "
    f"The other {bits[-1] - early:.0f} are for what is left.")
assert early < bits[-1] / 2

# %% [markdown]
# ## With the tail drawn out
#
# On such axes the tail hides the digit. Let the bits grow by a factor at each step to
# the right, and look at what is there.

# %%
show_curves("RMSE by bits", {"": [(b, r) for b, r in zip(
    bits, rmse, strict=True) if b >= 1]}, "bits", log_x=True)
k = 3 * each  # a 3
for budgets in ((2, 5, 10, 20), (50, 100, 200, 400)):
    shown = [[m for m in moments[:-1] if m.bits[k] <= b][-1] for b in budgets]
    show_images(torch.stack([m.x_0_hat[k] for m in shown]), "x̂_0", [
        f"{m.bits[k]:.0f} bits: {m.rmse(x_0)[k]:.0f} off" for m in shown])

# %% [markdown]
# ## What people get wrong
#
# x̂_0 is blurred while much is open. "A sharp picture would be nearer." The receiver can
# draw one: x_0 ~ p_θ(x_0 | x_t). The paper names it too, but measures x̂_0. x̂_0 is the
# mean of all such draws. A draw is as far from the mean as x_0 is, in another
# direction. So it is about √2 times as far from x_0.

# %%
now = next(m for m in moments if m.t == 500)
drawn = last(draw(model, schedule, None, SamplingOptions(steps=10),
                  t_start=500, x_t=now.x_t.float(), seed=seed,
                  indices=range(len(x_0)))).cpu()
of_draw = now._replace(x_0_hat=drawn).rmse(x_0).mean().item()
of_mean = now.rmse(x_0).mean().item()
three = torch.stack([x_0[k], now.x_0_hat[k].float(), drawn[k]])
show_images(three, "t = 500", ["x_0", "x̂_0", "a draw"])
print(f"RMSE of x̂_0 {of_mean:.1f}, of a draw {of_draw:.1f}: "
      f"{of_draw / of_mean:.2f} times; √2 = 1.41")
assert of_draw > 1.1 * of_mean
