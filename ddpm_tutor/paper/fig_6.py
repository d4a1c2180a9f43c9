# %% [markdown]
# # Fig. 6 · Pictures on their way: x̂_0 over time
#
# **Where:** §4.3, more of it in Fig. 14
#
# **Symbols:** x̂_0, x_t, ε_θ
#
# **Function:** sample, draw, predict_x_0
#
# **Lesson:** 4, The guess of x_0; 4, A film
#
# **Exercise:** 5, 9
#
# **See:** alg 2, alg 4, eq 15
#
#     for t = T, ..., 1:
#         show x̂_0 = (x_t - √(1 - ᾱ_t) ε_θ(x_t, t)) / √ᾱ_t      (Eq. 15)
#         x_{t-1} by Algorithm 2
#
# Each row is one chain, from left to right. What is shown is not its x_t, which is
# noise for long, but what the network takes to be under the noise.
#
# So a row tells what the network settles when: where the object is, what it is, its
# edges. Nothing in the loss asks for an order.

# %% [markdown]
# ## The figure, with digits
#
# Six chains without a label, 40 steps each. Four of them are shown.

# %% tags=["parameters"]
seed = 0  # other digits
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch
import torch.nn.functional as F

from ddpm_tutor import (
    SamplingOptions, choose_device, draw, load_checkpoint,
    load_classifier, read_digits, to_uint8,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, sheet, show, show_images, show_table, track,
)

# %%
trained = load_checkpoint(device=choose_device(device))
options = SamplingOptions(steps=40)
chain = draw(trained.model, trained.schedule, None, options, seed=seed,
             indices=range(6))
states = {s.t: s for s in track(chain, 41, "Drawing")}
x_0 = states[0].x_t.cpu()
shown = [1000, 800, 700, 600, 500, 400, 300, 200, 100, 0]
rows = torch.stack([states[t].x_0_hat.cpu() for t in shown], dim=1)[:4]
show(sheet(rows.flatten(0, 1), [f"t = {t}" for t in shown]), "paper fig 6")
for number in range(2):
    show_images(rows[number, [0, 3, 5, 9]], f"chain {number + 1}",
                ["t = 1000", "t = 600", "t = 400", "t = 0"])

# %% [markdown]
# ## What is settled first?
#
# We cut each picture in three: what is coarse (blocks of 8×8 pixels, each at its
# mean), what is finer than that, and what is finest (finer than blocks of 2×2).
#
# The first guess is at 0, the end at 1: how far has each part come at t? We take the
# squared distance to the end.

# %%
def parts(x):
    def blocks(n):
        return F.interpolate(F.avg_pool2d(x, n), scale_factor=n)
    return {"coarse": blocks(8), "finer": blocks(2) - blocks(8),
            "finest": x - blocks(2)}

start, ends = parts(states[1000].x_0_hat.cpu()), parts(x_0)
share = {}  # t -> how far each part has come
for t, state in states.items():
    now = parts(state.x_0_hat.cpu())
    share[t] = {k: 1 - ((now[k] - end).square().sum()
                        / (start[k] - end).square().sum()).item()
                for k, end in ends.items()}
when = {k: next(t for t in states if share[t][k] > 0.5) for k in ends}
ask_choice(
    "The coarse part has come half of its way at some t. When has the finest part?",
    [
        ("later, at a smaller t", "Yes. Noise hides fine things first, so on the way back "
         "they are the last to be drawn."),
        ("at the same t", "It gets clear like a picture that comes into focus: the blur "
         "shrinks, and edges are the last to be sharp."),
        ("earlier, at a larger t", "Then there would be edges before it is known where the "
         "stroke runs."),
    ],
    answer=0 if when["finest"] < when["coarse"] else 1,
)
show_table("How far it has come", ["t", *ends], [
    (t, *(f"{v:.2f}" for v in share[t].values())) for t in shown])
print("half of the way:", when)
say("Large things come first and details last, as in the paper. The order comes from the noise, "
    "which hides fine things first.")
assert when["finest"] < when["coarse"] and when["finest"] < when["finer"]

# %% [markdown]
# ## What is it, and when does one know?

# %%
reader = load_classifier().model
end = read_digits(reader, to_uint8(x_0)).classes
read = {t: read_digits(reader, to_uint8(states[t].x_0_hat)).classes
        for t in states}
show_table("x̂_0 is read as", ["t", *(f"chain {k + 1}" for k in range(6))],
           [(t, *read[t].tolist()) for t in shown])
decided = [max(t for t in states if all(
    read[s][k] == end[k] for s in states if s <= t)) for k in range(6)]
say("It is read as at the end from t = " + ", ".join(map(str, decided)) + " on.")
assert min(decided) < 1000

# %% [markdown]
# ## What people get wrong
#
# "x̂_0 at large t is the picture that this chain will draw." It is the mean of all that
# the chain may still draw: a grey blur at t = 1000, much the same in every chain. And
# the film of x_t is another film: noise, and at the end a digit.

# %%
def apart(x):  # RMS difference between two chains
    return torch.pdist(x.flatten(1).cpu()).mean().item() / 32

show_images(torch.cat([states[t].x_t[:1] for t in (1000, 600, 400, 0)]),
            "x_t of chain 1", ["t = 1000", "t = 600", "t = 400", "t = 0"])
far = {t: apart(states[t].x_0_hat) for t in (1000, 600, 0)}
print("between two x̂_0:", *(
    f"{d:.2f} at t = {t}" for t, d in far.items()), sep="  ")
assert far[1000] < 0.3 * far[0]
