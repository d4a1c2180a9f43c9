# %% [markdown]
# # Fig. 10 · How good the estimate of x_0 is, as sampling goes on
#
# **Where:** App. D; it belongs to §4.3, "Progressive generation"
#
# **Symbols:** x̂_0, x_t, t
#
# **Function:** draw, score, read_digits
#
# **Lesson:** 4, The guess of x_0; 4, Which are as good?
#
# **Exercise:** 9
#
# **Mistakes:** jump
#
# **See:** eq 15, table 1
#
# The paper draws CIFAR-10 pictures and stops the chain at many t. At each it takes x̂_0
# (Eq. 15) for the result, and scores it: Inception Score and FID, two curves over the
# steps taken.
#
# Fig. 6 shows such pictures; this figure puts numbers to them. Large features come first,
# details last. So somewhere on the way the scores have come nearly as far as they will,
# long before the chain ends. We do the same with digits: 80 of them, and what the
# classifier sees instead of the Inception network.

# %% [markdown]
# ## When is it as good as at the end?

# %% tags=["parameters"]
seed = 0  # other noise
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, difference, draw, load_checkpoint,
    load_classifier, load_real_digits, read_digits, score, to_uint8,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_curves, show_images, show_table, track,
)

# %%
where = choose_device(device, cpu_seconds=10)
trained = load_checkpoint(device=where)
reader, real = load_classifier(where).model, load_real_digits()
asked = torch.arange(80) % 10
chain = draw(trained.model, trained.schedule, asked.to(where),
             SamplingOptions(steps=20), seed=seed, indices=range(80))
estimates, noisy = {}, {}  # by t, from 1000 down to 0
for state in track(chain, 21, "Drawing 80 digits"):
    estimates[state.t], noisy[state.t] = state.x_0_hat, state.x_t

# %%
def scores_of(images):
    return score(read_digits(reader, to_uint8(images)), asked, real)

found = {t: scores_of(x_0_hat) for t, x_0_hat in estimates.items()}
end = found[0]
good = [t for t, s in found.items() if not difference(
    end.read_as_asked, s.read_as_asked).is_clear]
first = max(good)
ask_choice(
    "Down from t = 1000: at which t can the classifier first read x̂_0 about as well as the "
    "finished digits?",
    [
        ("between 1000 and 800", "There x_t tells next to nothing: x̂_0 is much the same blur for "
         "all digits with one label."),
        ("between 650 and 350", "Yes. Which digit it is is settled halfway. What follows are "
         "edges."),
        ("between 100 and 0", "By then nothing changes that a reader of digits would see."),
    ],
    answer=0 if first >= 800 else 2 if first <= 100 else 1,
)
rows = [(t, str(found[t].read_as_asked),
         f"{found[t].frechet.mean:.1f} ± {found[t].frechet.error:.1f}",
         str(found[t].coverage))
        for t in (1000, 800, 700, 600, 500, 400, 300, 200, 100, 0)]
show_table("x̂_0 at t, of 80 digits", [
    "t", "read as asked, %", "Fréchet distance", "coverage, %"], rows)
assert 350 <= first <= 650

# %% [markdown]
# ## The figure
#
# From left to right as sampling goes: steps taken, out of 1000. Above is the Fréchet
# distance (FID is that distance in what the Inception network sees), below the share
# that is read as asked.

# %%
show_curves("Fréchet distance of x̂_0, less is better", {
    "": [(1000 - t, s.frechet.mean) for t, s in found.items()],
}, "steps taken", log=True)
show_curves("read as asked, %", {
    "": [(1000 - t, 100 * s.read_as_asked.value) for t, s in found.items()],
}, "steps taken")
few = (1000, 700, 600, 500, 300, 0)
show_images(torch.cat([estimates[t][[3, 5]] for t in few]).cpu(),
            "a 3 and a 5", [f"t = {t}" for t in few for _ in range(2)])
assert found[1000].frechet.mean > 20 * found[300].frechet.mean
assert found[1000].frechet.mean > 30 * end.frechet.mean

# %% [markdown]
# ## What the last steps do
#
# From t = 300 on the scores hardly move. Do the pictures? How far is x̂_0 from the end,
# pixel by pixel, and how many pixels are neither black nor white?

# %%
rows = []
for t in (600, 300, 200, 100):
    x = estimates[t]
    far = (x - estimates[0]).square().mean().sqrt().item()
    grey = (x.abs() < 0.9).float().mean().item()
    rows.append((t, f"{far:.3f}", f"{100 * grey:.1f} %"))
ends = (estimates[0].abs() < 0.9).float().mean().item()
show_table("x̂_0 against the finished digits",
           ["t", "RMS", f"grey ({100 * ends:.1f} % at the end)"], rows)
greys = [float(grey[:-2]) for _, _, grey in rows]
assert greys == sorted(greys, reverse=True) and float(rows[1][1]) > 0.1
say("They get sharper to the end. But what settles is the width of edges and single grey "
    "pixels, and a classifier does not look at those. On photographs it is texture that comes so "
    "late, and a score that looks at texture goes on improving.")

# %% [markdown]
# ## What people get wrong
#
# To score x_t in place of x̂_0. Halfway x_t is snow to any reader, though the digit is
# settled: the chain carries it under its noise.
#
# And to conclude that one call will do. `jump` draws x̂_0 at t = 1000, where all that
# has one label looks alike: the first row of the first table.

# %%
of_x_t = {t: scores_of(noisy[t]) for t in (500, 300, 100)}
show_table("The same chain at t, read as asked, %", ["t", "x_t", "x̂_0"],
           [(t, str(s.read_as_asked), str(found[t].read_as_asked))
            for t, s in of_x_t.items()])
show_images(torch.cat([noisy[300][:2], estimates[300][:2]]).cpu(),
            "t = 300", ["x_t", "x_t", "x̂_0", "x̂_0"])
better = difference(found[500].read_as_asked, of_x_t[500].read_as_asked)
assert better.is_clear and better.value > 0.5
