# %% [markdown]
# # Fig. 9 · Mixing at several depths, from coarse to fine
#
# **Where:** App. D; §4.4 speaks of it
#
# **Symbols:** x̄_t, x_t, x_0, λ, ᾱ_t, ε, z
#
# **Function:** interpolate, interpolate_at
#
# **Lesson:** 9, The way back; 9, One noise or two
#
# **Exercise:** 2, 9
#
# **See:** fig 8, fig 7, eq 4
#
#     a row for each t:   x_0 | λ = 0 | λ = 0.1, ..., 0.9 | λ = 1 | x_0'
#
# Fig. 8 again, for nine t from 1000 down to 0. λ = 0 and 1 are not the sources: they
# went through noise as well (the paper calls them Rec., reconstructions).
#
# At t = 0 it is a mix of pixels. The larger t, the more is drawn anew. At t = 1000
# nothing of the sources is left.

# %% [markdown]
# ## Five depths
#
# A step for every 50 of t. Both pictures have one ε, and all λ of a row one z.

# %% tags=["parameters"]
seed = 0  # other pictures, other noise
first = 3  # one of the two digits, from 0 to 9
second = 7  # the other, from 0 to 9
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, draw, interpolate, interpolate_at, last,
    load_checkpoint, load_digits, normal, stream, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, sheet, show, show_download, show_images, show_table,
    track,
)

# %%
where = choose_device(device)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule.to(where)
digits = load_digits(progress=show_download)

def one_of(digit):
    images = digits.of_class(digit)
    i = seed % len(images)
    return to_unit_range(images[i : i + 1]).to(where)

a, b = one_of(first), one_of(second)
share = torch.linspace(0, 1, 5, device=where)  # λ
weight = share.view(-1, 1, 1, 1)
rows = {0: ((1 - weight) * a + weight * b).cpu()}
for t in track((250, 500, 750, 1000), 4, "Mixing"):
    options = SamplingOptions(steps=t // 50)
    rows[t] = last(interpolate(model, schedule, a, b, t, share, options,
                               seed=seed)).cpu()

# %%
def apart(x, y):
    return (x - y).square().mean().sqrt().item()

along = {t: apart(x[0], x[-1]) for t, x in rows.items()}

# %%
ask_choice(
    "In the row of t = 1000 λ goes from 0 to 1. What changes along it?",
    [
        ("a 3 becomes a 7, little by little",
         "Nothing of the two is left to tell: √ᾱ_1000 is 0.006."),
        ("each picture is another digit", "Where would they differ? ε and z are the same for "
         "all λ, and the sources are gone."),
        ("nothing that one could see", "Yes. x̄_1000 is the one ε, whatever λ is. It is a "
         "digit that has to do with neither."),
    ],
    answer=2 if along[1000] < 0.15 else 1,
)
sources = {t: torch.cat([a.cpu(), x, b.cpu()]) for t, x in rows.items()}
titles = ["source", *(f"λ = {s:.2f}" for s in share.tolist()), "source"]
order = sorted(rows, reverse=True)
show(sheet(torch.cat([sources[t] for t in order]), titles, columns=7,
           rows_are=[f"t = {t}" for t in order]), "paper fig 9")
for t in order:
    show_images(rows[t][[0, 1, 3, 4]], f"t = {t}",
                ["λ = 0", "1/4", "3/4", "1"])
assert along[1000] < 0.15

# %% [markdown]
# ## How much of the sources is left?
#
# The ends of a row, beside the sources that they come from; and beside each other.

# %%
ends = {t: (apart(x[:1], a.cpu()) + apart(x[-1:], b.cpu())) / 2
        for t, x in rows.items()}
show_table("RMS differences", ["t", "√ᾱ_t", "end to source", "end to end"], [
    (t, f"{schedule.alpha_bar[t].sqrt():.3f}", f"{ends[t]:.2f}",
     f"{along[t]:.2f}") for t in order])
say("Up from t = 0 the ends leave the sources. In the end they are one picture: then nothing in "
    "x̄_t tells which source it was.")
assert ends[0] == 0 < ends[250] < ends[1000] and ends[250] < along[250]

# %% [markdown]
# ## What people get wrong
#
# The paper has another digit, or face, for each λ in its top row: "novel samples". Who
# gets one picture five times looks for a slip. "x_T decides what is drawn, so the two
# sources need noises of their own." With two ε, x̄_1000 goes from one to the other.

# %%
generator = stream(seed, "fig 9")
two = [normal(a.shape, generator, where).expand(5, -1, -1, -1)
       for _ in range(2)]
T = torch.full((5,), 1000, device=where)
both = [x.expand(5, -1, -1, -1) for x in (a, b)]
x_T = interpolate_at(schedule, *both, T, share, *two)
tops = {}
kinds = {"two ε, one z": [0] * 5, "two ε, five z": range(5)}
for name, numbers in kinds.items():
    tops[name] = last(draw(model, schedule, None, SamplingOptions(steps=20),
                           x_T=x_T, seed=seed, indices=numbers)).cpu()
    show_images(tops[name][[0, 1, 3, 4]], name,
                ["λ = 0", "1/4", "3/4", "1"])
by_x_T, by_z = (apart(x[0], x[-1]) for x in tops.values())
print(f"end to end: {by_x_T:.2f} with one z, {by_z:.2f} with z of their own")
say("The start decides little, the z of the steps decide most. So novel samples are a matter of "
    "z: whoever keeps it for all λ gets one picture, and sees what λ alone does."
    if by_x_T < by_z / 2 else "Here the start decides much as well.")
print("std of x̄_1000:", *(f"{x.std():.2f}" for x in x_T))
assert x_T[2].std() < 0.8 and by_z > along[1000]
