# %% [markdown]
# # Fig. 8 · Two pictures mixed under noise
#
# **Where:** §4.4, faces at t = 500
#
# **Symbols:** x_t, x̄_t, λ, p_θ
#
# **Function:** interpolate, interpolate_at, q_sample
#
# **Lesson:** 9, Mixing noisy pictures; 9, The way back; 9, One noise or two
#
# **Exercise:** 2, 9
#
# **See:** eq 4, alg 2, fig 9
#
#     x_t ~ q(x_t | x_0),   x_t' ~ q(x_t | x_0')
#     x̄_t = (1 - λ) x_t + λ x_t'
#     x̄_0 ~ p_θ(x_0 | x̄_t)
#
# Two pictures get noise up to t, are mixed there, and Algorithm 2 goes back from the
# mix. The noise hides what is wrong with a mix of pixels, and the way back draws
# something in its place. The noise is the same for all λ, so that λ alone changes.
#
# (The paper prints x_0 and x_0' in the second line; its words say x_t.)

# %% [markdown]
# ## The mix of pixels, under noise
#
# We give both pictures one ε. Then, by Eq. 4:
#
#     x̄_t = (1 - λ)(√ᾱ_t x_0 + √(1 - ᾱ_t) ε) + λ (√ᾱ_t x_0' + √(1 - ᾱ_t) ε)
#         = √ᾱ_t ((1 - λ) x_0 + λ x_0') + √(1 - ᾱ_t) ε
#
# So it is the mix of pixels, as noisy as t wants it. Nothing else happens in the mix.

# %% tags=["parameters"]
seed = 0  # other pictures, other noise
first = 3  # one of the two digits, from 0 to 9
second = 7  # the other, from 0 to 9
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    SamplingOptions, choose_device, draw, interpolate, interpolate_at, last,
    load_checkpoint, load_classifier, load_digits, normal, q_sample,
    read_digits, stream, to_uint8, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, say, sheet, show, show_download, show_images,
    show_table,
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
share = torch.linspace(0, 1, 7, device=where)  # λ
eps = normal(a.shape, stream(seed, "fig 8"), where)
t = torch.full((7,), 500, device=where)
seven = [x.expand(7, -1, -1, -1) for x in (a, b, eps)]
x_bar = interpolate_at(schedule, *seven[:2], t, share, seven[2])
ghost = (1 - share.view(-1, 1, 1, 1)) * a + share.view(-1, 1, 1, 1) * b
off = (x_bar - q_sample(schedule, ghost, t, seven[2])).abs().max().item()
print(f"both ways, largest difference: {off:.0e}")
assert off < 1e-5

# %% [markdown]
# ## The way back
#
# 20 steps from t = 500, the same z for all λ.

# %%
options = SamplingOptions(steps=20)
mixed = last(interpolate(model, schedule, a, b, 500, share, options,
                         seed=seed)).cpu()
ghost = ghost.cpu()

def grey(x):  # of a hundred pixels with ink, how many are not white?
    ink = x > -0.8
    return 100 * ((x < 0.5) & ink).sum().item() / ink.sum().item()

middle = {"pixels": grey(ghost[2:5]), "t = 500": grey(mixed[2:5])}
ask_choice(
    "In the middle, is as much of the ink grey as in the mix of pixels?",
    [
        ("yes: the ghost is still in x̄_500", "It is, at 28 % of its strength. But a grey "
         "stroke is nothing that the network has seen: it draws a white one, or none."),
        ("no, more: noise is left over", "The way back ends at t = 0, without noise."),
        ("no, less: no ghost is left",
         "Yes. What the network draws has strokes that are there or not, as in "
         "its training pictures."),
    ],
    answer=2 if middle["t = 500"] < middle["pixels"] else 0,
)
titles = [f"λ = {s:.2f}" for s in share.tolist()]
show(sheet(torch.cat([ghost, mixed]), titles, columns=7,
           rows_are=["pixels", "t = 500"]), "paper fig 8")
for name, x in (("pixels", ghost), ("t = 500", mixed)):
    show_images(x[[0, 2, 4, 6]], name, ["λ = 0", "1/3", "2/3", "1"])

# %%
reader = load_classifier().model
def read(x):
    classes = read_digits(reader, to_uint8(x)).classes
    return " ".join(map(str, classes.tolist()))

show_table("Seven mixes", ["", "grey ink, middle three", "read as"], [
    (name, f"{middle[name]:.0f} %", read(x))
    for name, x in (("pixels", ghost), ("t = 500", mixed))])
ends = (mixed[::6] - ghost[::6]).square().mean().sqrt().item()
became = read(mixed[::6])
same = became == f"{first} {second}"
kept = ("each is still the digit that it was" if same else
        "too little is left at t = 500 to keep every digit what it was")
say(f"The ends, λ = 0 and 1, are the paper's reconstructions: {127.5 * ends:.0f} shades off. They "
    f"are drawn anew as well. A {first} and a {second} are now read as "
    f"{became.replace(' ', ' and ')}: {kept}. The paper's faces turn by and by. A digit has "
    "little between: where one becomes another, it does so at once. For other t see Fig. 9.")
assert middle["t = 500"] < middle["pixels"]

# %% [markdown]
# ## What people get wrong: two noises
#
# The formula lets x_t and x_t' have noises of their own. Then these cancel in part.

# %%
other = normal(a.shape, stream(seed, "the other noise"), where)
half = ((eps + other) / 2).std().item()
ask_number(
    "Both noises have std 1. What is the std of half of their sum, as at λ = 1/2?",
    half,
    tolerance=0.05,
    why="√(1/4 + 1/4) = 0.71. The network is told t = 500, and takes out noise of t = 500.",
)

# %% [markdown]
# ## What people get wrong: the formula as it is printed
#
# With x_0 in place of x_t on the right, x̄_t is the mix of pixels, without noise. Given
# to Algorithm 2 as an x_500, it is far too clean. How much noise does ε_θ see in each?

# %%
middle_one = share[3:4]
two = interpolate_at(schedule, a, b, t[:1], middle_one, eps, other)
given = torch.cat([x_bar[3:4], two, ghost[3:4].to(where)])
names = ["one ε", "two ε", "as printed"]
with torch.no_grad():
    eps_theta = model(given, t[:3], None)
made = last(draw(model, schedule, None, options, t_start=500, x_t=given,
                 seed=seed, indices=[0] * 3)).cpu()
show_images(made, "λ = 1/2, from t = 500", names)
stds = {name: (x.std().item(), e.std().item())
        for name, x, e in zip(names, given, eps_theta, strict=True)}
show_table("At t = 500", ["", "std of x̄_500", "std of ε_θ"], [
    (name, f"{x:.2f}", f"{e:.2f}") for name, (x, e) in stds.items()])
say("It draws something from each of them. But only the first is what it was trained on: noise "
    "of std 1, and that is what it finds.")
assert stds["two ε"][0] < 0.85 * stds["one ε"][0]
assert abs(stds["one ε"][1] - 1) < min(abs(e - 1) for _, e in [
    *stds.values()][1:])
