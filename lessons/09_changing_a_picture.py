# %% [markdown]
# # Lesson 9 · Changing a picture
#
# **Goal:** at the end you can mix two pictures, turn a rough drawing into a digit,
# fill in half of one, and say at which t each of these is decided.
#
# **You need:** lessons 1 to 4; lesson 5 for labels.
#
# **Paper:** §4.4, Fig. 7, 8 · Eq. 2, 4 · Alg. 2
#
# **Time:** 25 min
#
# So far every picture came from nothing but noise. Now we bring one along. Nothing
# is trained for it: all of this lesson is Algorithm 2, begun elsewhere or with a
# change to its steps.

# %% [markdown]
# ## Setting up
#
# The network that ships, digits that it was not trained on, and the classifier of
# this package, which reads what comes out. All chains take a few of the steps, as
# in lesson 4.

# %% tags=["parameters"]
seed = 0  # another seed: other digits, other noise
first = 3  # of the two digits that are mixed, from 0 to 9
second = 7  # the other, from 0 to 9
each = 2  # pictures of each digit, where halves are filled in, from 1 to 100
steps = 20  # of a chain from t = 1000; from 4 to 250
every = 25  # how far one step leads from a smaller t, from 1 to 250
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch
import torch.nn.functional as F

from ddpm_tutor import (
    SamplingOptions, TutorError, choose_device, draw, interpolate_at, last,
    load_checkpoint, load_classifier, load_digits, load_real_digits, normal,
    q_jump, q_sample, read_digits, stream, to_uint8, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, frames_of, save_moments, say, sheet, show,
    show_download, show_images, show_runs, show_table, so_far, track,
)

# %%
if not 4 <= steps <= 250 or each < 1 or every < 1:
    raise TutorError("steps must be from 4 to 250, each and every 1 or more.")
digits = load_digits(progress=show_download)
print(digits.source)
where = choose_device(device, cpu_seconds=20)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule.to(where)
generator = stream(seed, "lesson 9")
reader, real = load_classifier().model, load_real_digits()

def unseen(digit, count=1):  # (count, 1, 32, 32)
    same = digits.validation_images[digits.validation_labels == digit]
    which = torch.arange(seed * count, (seed + 1) * count) % len(same)
    return to_unit_range(same[which]).to(where)

def read(x):  # what each picture is read as
    return read_digits(reader, to_uint8(x)).classes

def rms(x):
    return x.square().mean().sqrt().item()

# %% [markdown]
# ## Begin anywhere
#
# Algorithm 2 goes from `x_T` to `x_0`. But its loop may begin at any t, if it is given
# an `x_t`. And Eq. 4 makes an `x_t` of any picture.
#
#     x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε          (4)
#
# We do that with one digit, at three t. From each x_t we go back four times: the same
# `x_t`, the same network without a label, but other noise z in the steps. That is
# Fig. 7 of the paper. Then two runs from one `x_750` stand beside each other: they
# differ in the seed of z alone.

# %%
def noisy(x_0, t, eps):
    at = torch.full((len(x_0),), t, device=where)
    return q_sample(schedule, x_0, at, eps)

def noise(count=1):
    return normal((count, 1, 32, 32), generator, where)

def back(x_t, t, label=None, eta=None, numbers=None):  # down to x_0
    options = SamplingOptions(steps=max(1, t // every))
    return last(draw(model, schedule, label, options, t_start=t, x_t=x_t,
                     eta=eta, seed=seed, indices=numbers or range(len(x_t))))

def apart(x):  # RMS difference between two of them, on average
    return torch.pdist(x.flatten(1).cpu()).mean().item() / 32

a, b = unseen(first), unseen(second)
eps = noise()
shared = {t: noisy(a, t, eps) for t in (250, 500, 750)}

# %%
four = {t: back(x_t.expand(4, -1, -1, -1), t) for t, x_t in shared.items()}
spread = {t: apart(x) for t, x in four.items()}
ask_number(
    "How much do two pictures from one x_250 differ, in percent of how much two from one "
    "x_750 do?",
    round(100 * spread[250] / spread[750]),
    tolerance=12,
    why="At t = 250 half of the picture's power is still there. What is left to draw is "
        "the edge of the strokes. At t = 750 nearly all of the digit is still open.",
)

# %%
runs, options = {}, SamplingOptions(steps=max(1, 750 // every))
for z in (seed, seed + 1):
    states = draw(model, schedule, None, options, t_start=750,
                  x_t=shared[750], seed=z, indices=[0])
    runs[f"z of seed {z}"] = list(frames_of(states, schedule))
show_runs(runs)

# %%
for t in (250, 750):
    names = [f"x_{t}", *(str(c) for c in read(four[t]).tolist())]
    show_images(torch.cat([shared[t], four[t]]),
                f"t = {t}, and how they are read", names)
print("RMS difference:", *(
    f"{s:.2f} at t = {t}" for t, s in spread.items()), sep="  ")

# %% [markdown]
# ## How much chance?
#
# The noise z makes the four differ. How much of it is there? DDIM adds none. Between
# the two lies `η` (*eta*; equation 16 of Song et al. 2020):
#
#     σ² = η² · (1 - ᾱ_{t-1}) / (1 - ᾱ_t) · (1 - ᾱ_t / ᾱ_{t-1})
#
# η = 0 is DDIM. η = 1 has the variance `β̃_t` of lesson 4, as the four had that we have
# just drawn from x_500. `draw` takes it as `eta=`.
#
# Then press `c` to change η. Try `eta = 0.3`, and say first how much they will differ.

# %% tags=["change"]
eta = 0.0  # from 0 to 1

# %%
x_500 = shared[500].expand(4, -1, -1, -1)
by_eta = {eta: back(x_500, 500, eta=eta), 1.0: four[500]}
differ = {e: apart(x) for e, x in by_eta.items()}
ask_choice(
    "Four times from one x_500, with this η. How much do two of the four differ?",
    [
        ("not at all: all four are the same",
         "For that η must be 0: without z a step is a function of x_t, and x_t "
         "decides all that follows."),
        ("less than half as much as with η = 1", "The less z there is, the less they differ."),
        ("half as much as with η = 1, or more", "For that much chance is needed: σ grows with η."),
    ],
    answer=0 if differ[eta] < 1e-3 else int(differ[eta] >= differ[1.0] / 2) + 1,
)
assert eta or differ[eta] < 1e-3 < differ[1.0]

# %%
for e, x in by_eta.items():
    show_images(x, f"η = {e:g}")
found = so_far("chance", f"{eta:g}", differ[eta]) | {"1": differ[1.0]}
show_table("RMS difference", ["η", "of two pictures"], list(found.items()))

# %% [markdown]
# ## Ghosts
#
# Now two digits. The simplest mix is one of pixels:
#
#     x̄_0 = (1 - λ) x_0 + λ x_0'
#
# λ goes from 0 to 1, in seven pictures. Half way, where only one of the two has ink,
# half of the ink is left.
#
# Then press `c` to change λ. Try `lam = 0.1`, and say first how much will be grey.

# %% tags=["change"]
lam = 0.5  # λ of one picture more, from 0 to 1

# %%
share = torch.linspace(0, 1, 7, device=where)  # λ
weight = share.view(-1, 1, 1, 1)
pixels = (1 - weight) * a + weight * b  # (7, 1, 32, 32)

def grey(x):  # of each hundred pixels with ink, how many are not white?
    return 100 * ((x > -0.8) & (x < 0.5)).sum() / (x > -0.8).sum()

if not 0 <= lam <= 1:
    raise ValueError("lam is a share, from 0 to 1")
mixed = (1 - lam) * a + lam * b  # (1, 1, 32, 32)
print(f"grey in the two digits: {grey(pixels[0::6]):.0f} %")
ask_number(
    "And of the ink in the picture with this λ: how much is grey, in percent?",
    round(grey(mixed).item()),
    tolerance=12,
    why="Half way ink is white only where the two digits cross. Nobody writes like that: the mix "
        "of two digits is no digit. Near 0 and 1 one of the two is whole, and the other gone.",
)

# %%
show_images(pixels[::2], "mixed pixels", ["λ = 0", "1/3", "2/3", "1"])
found = so_far("ghosts", f"λ = {lam:g}", mixed)
found = {"λ = 0": a, **found, "λ = 1": b}
show_images(torch.cat([*found.values()]), "how much of the ink is grey", [
    f"{name}: {grey(x):.0f} %" for name, x in found.items()])

# %% [markdown]
# ## Mixing noisy pictures
#
# The paper mixes further up (Section 4.4, Fig. 8). Both get noise up to t, are mixed
# there, and Algorithm 2 draws a picture from the mix:
#
#     x_t ~ q(x_t | x_0),  x_t' ~ q(x_t | x_0')
#     x̄_t = (1 - λ) x_t + λ x_t'
#     x̄_0 ~ p_θ(x_0 | x̄_t)
#
# (The paper prints `x_0` on the right of the second line. It is a slip, and has been
# copied: labmlai/annotated_deep_learning_paper_implementations, issue 238.)
#
# We take the same ε for both, and for every λ.

# %%
one = torch.full((7,), 500, device=where)
x_bar = interpolate_at(schedule, a.expand(7, -1, -1, -1),
                       b.expand(7, -1, -1, -1), one, share, eps)
ghosts = noisy(pixels, 500, eps)
ask_choice(
    "With one ε for both, what is x̄_t?",
    [
        ("the mix of pixels, with noise on it",
         "Yes. Eq. 4 is linear: (1 - λ) ε + λ ε = ε. So the ghost is still in there."),
        ("a noisy picture of a digit between the two",
         "No network has been asked yet. So far this is a sum of pixels."),
        ("the mix of pixels, with half of the noise",
         "It would be less with two noises, which cancel in part. Here they are one."),
    ],
    answer=0 if rms(x_bar - ghosts) < 1e-5 else 2,
)

# %%
show_images(x_bar[::2], "mixed at t = 500", ["λ = 0", "1/3", "2/3", "1"])
print(f"to the mix of pixels with noise: {rms(x_bar - ghosts):.0e}")
say("So the mix itself does nothing new. The noise hides the ghost, and the way back draws "
    "something in its place. How much is hidden, t says.")

# %% [markdown]
# ## The way back
#
# Now all seven, from four t, as in Fig. 9 of the paper's appendix. The noise z is the
# same for all λ as well, so that what differs along a row is λ alone.

# %%
rows = {"pixels": pixels}
for t in track((125, 250, 500, 750), 4, "Mixing"):
    rows[f"t = {t}"] = back(noisy(pixels, t, eps), t, numbers=[0] * 7)
ends = torch.cat([a, b])
off = {name: rms(x[::6] - ends) for name, x in rows.items()}
other = rms(a - b)
ask_choice(
    "At t = 750, what are the two ends, λ = 0 and λ = 1?",
    [
        ("our two digits, exactly",
         "They have been under noise like all the others. Only their trace in x_750 is left."),
        ("noise, as so little is left of them",
         "The network takes the noise out, whatever is below. It draws digits from x_T."),
        ("our two digits, but for small things",
         "That is so at small t. Compare how far off the ends are."),
        ("digits, but hardly ours any more",
         "Yes. The ends are drawn anew as well, and at t = 750 little holds them."),
    ],
    answer=3 if off["t = 750"] > 0.5 * other else 2,
)

# %%
titles = [f"λ = {s:.2f}" for s in share.tolist()]
whole = torch.cat(list(rows.values())).cpu()
show(sheet(whole, titles, columns=7, rows_are=list(rows)),
     "lesson 9 interpolation")
for name in ("t = 125", "t = 500"):
    show_images(rows[name][::2], name, ["λ = 0", "1/3", "2/3", "1"])

# %%
columns = ["", "ends off by", "grey, 1/3 to 2/3", "read as"]
show_table("Seven mixes each", columns, [
    (name, f"{off[name]:.2f}", f"{grey(x[2:5]):.0f} %",
     " ".join(map(str, read(x).tolist()))) for name, x in rows.items()])
print(f"the two digits differ by {other:.2f}")
low, high = (grey(rows[name][2:5]) for name in ("t = 125", "t = 500"))
say(("At small t the ghost is still there: for λ from 1/3 to 2/3 "
     f"{low:.0f} % of the ink is grey; at t = 500 it is {high:.0f} %. " if low > high + 5 else "")
    + "The larger t, the further off are the ends. So t says how much of the two pictures is "
    "left, and how much is drawn anew. The paper shows t = 500, and faces that turn by and by.")

# %% [markdown]
# ## One noise or two
#
# What if each of the two has its own noise, ε and ε'? We mix them at λ = 1/2.

# %%
eps_a, eps_b = noise(64), noise(64)
ask_number(
    "Both noises have a std of 1. What is the std of (ε + ε') / 2?",
    ((eps_a + eps_b) / 2).std(),
    tolerance=0.04,
    why="Variances add up: (1 + 1) / 4 is 1/2, and its root is 0.71. The two cancel in part.",
)

# %%
halves = torch.full((4,), 0.5, device=where)
at_500 = torch.full((4,), 500, device=where)
of_a, of_b = (x.expand(4, -1, -1, -1) for x in (a, b))
tries = {
    "one": interpolate_at(schedule, of_a, of_b, at_500, halves, eps_a[:4]),
    "two": interpolate_at(schedule, of_a, of_b, at_500, halves, eps_a[:4],
                          eps_b[:4]),
}
made = {name: back(x_t, 500) for name, x_t in tries.items()}
for name, x in made.items():
    show_images(x, f"{name}: std of x_500 {tries[name].std():.2f}",
                [str(c) for c in read(x).tolist()])
say("With two noises x_500 has less noise than any that the network was trained on at t = 500. "
    "Digits come of it all the same. But with one ε its noise is that of t, as in training.")

# %% [markdown]
# ## A rough drawing
#
# A drawing by hand, in blocks. It can be read, but nobody writes a digit like this.
# For one of yours: `ddpm-tutor edit my.png`, or `ddpm-tutor edit my.png --draw`.
#
# How unlike a real digit is it? We take the distance to the nearest of 5,000 real
# digits, in the 64 numbers in which the classifier sees them.

# %%
drawing = """
..............
....######....
..##......##..
..........##..
.........##...
.....####.....
.....####.....
.........##...
..........##..
..........##..
..##......##..
....######....
..............
"""

# %%
blocks = torch.tensor([[2.0 * (c == "#") - 1 for c in line]
                       for line in drawing.split()])
height, width = 2 * blocks.shape[0], 2 * blocks.shape[1]
up, left = (32 - height) // 2, (32 - width) // 2
rough = F.pad(F.interpolate(blocks[None, None], scale_factor=2),
              (left, 32 - width - left, up, 32 - height - up), value=-1.0)
rough = rough.to(where)  # (1, 1, 32, 32)
drawn_as = read(rough).item()

def distances(x):  # of each picture, to the nearest real digit
    features = read_digits(reader, to_uint8(x)).features
    return torch.cdist(features, real.test_features).amin(dim=1)

def unlike(x):
    return distances(x).mean().item()

some = torch.cat([unseen(d, each) for d in range(10)])  # (10 * each, ...)
show_images(rough, f"a drawing, read as a {drawn_as}")
print(f"distance to the nearest real digit: {unlike(rough):.1f}; "
      f"of unseen digits: {unlike(some):.1f}")

# %% [markdown]
# ## Noise, and back
#
# We put noise on the drawing, up to t, and go back (SDEdit, Meng et al. 2022). The
# noise drowns small things first, as in lesson 1: the corners of the blocks go before
# the shape does. What is drowned, the network draws as it knows it.
#
# Six times each, without a label.

# %%
mended = {}
for t in track((200, 400, 600, 800), 4, "Noise and back"):
    mended[t] = back(noisy(rough.expand(6, -1, -1, -1), t, noise(6)), t)
still = {t: (read(x) == drawn_as).sum().item() for t, x in mended.items()}
told = {t: f"Here {n} of 6 are." for t, n in still.items()}
lost = [t for t, n in still.items() if n <= 3]
ask_choice(
    "What is the smallest of these t at which half or fewer are still read as drawn?",
    [
        ("t = 200", f"Two thirds of its power are left, and its shape with it. {told[200]}"),
        ("t = 400", f"The blocks are gone, the shape can still be seen. {told[400]}"),
        ("t = 600", f"The shape is hardly to be seen. {told[600]}"),
        ("t = 800", f"There is next to nothing left to see. {told[800]}"),
    ],
    answer=(200, 400, 600, 800).index(lost[0]) if lost else 3,
)

# %%
for i in range(2):
    along = torch.cat([rough, *(x[i:i + 1] for x in mended.values())])
    show_images(along, f"number {i + 1}",
                ["drawing", *(f"t = {t}" for t in mended)])
columns = ["t", "read as drawn", "off the drawing", "unlike real"]
show_table("Six each", columns, [
    ("drawing", "", "0.00", f"{unlike(rough):.1f}"),
    *((t, f"{still[t]} of 6", f"{rms(x - rough):.2f}", f"{unlike(x):.1f}")
      for t, x in mended.items())])

# %% [markdown]
# ## Told what it is
#
# A label says what noise has drowned. We go up to t = 600 once more, with the same
# noise three times: without a label, with that of the drawing, and with another.

# %%
x_600 = noisy(rough.expand(6, -1, -1, -1), 600, noise(6))
another = (drawn_as + 5) % 10
names = {"no label": None, "the same": drawn_as, "another": another}
by_label = {}
for name, digit in track(names.items(), 3, "Noise and back"):
    label = None if digit is None else torch.full((6,), digit)
    by_label[name] = back(x_600, 600, label)
right = (read(by_label["another"]) == another).sum().item()
print(f"drawn: a {drawn_as}; the other label: {another}")
ask_number(
    "With the other label, how many of the 6 are read as that?",
    right,
    tolerance=1,
    why="The drawing says where strokes run, but not for sure. The label is told at every "
        "step." if right > 3 else "What is left of the drawing is stronger than the label.",
)

# %%
for name, x in by_label.items():
    show_images(x[:4], f"{name}: {rms(x - rough):.2f} off the drawing",
                [str(c) for c in read(x[:4]).tolist()])

# %% [markdown]
# ## Filling in
#
# Now we know the lower half of a digit, and want the upper one (inpainting). The network
# was never trained for that. But after each step we can put the known half in, over
# what was drawn there.
#
# `draw` calls a *hook* in place of each step, if it is given one. `take(x_t)` is the
# plain step, from t to t_prev; what the hook returns is the picture to go on with:
#
#     def hook(take, x_t, t, t_prev):
#         x_prev = take(x_t)
#         known_prev = noisy(x_0, ?, ε)
#         return torch.where(known, known_prev, x_prev)
#
# In the place of `?` belongs a t.

# %%
ask_choice(
    "How noisy must the known half be, when it is put in?",
    [
        ("as at t_prev, where it ends",
         "Yes. Both halves must be an x_{t_prev}: that is all the network knows."),
        ("as at t, where the step began",
         "The step has led to t_prev. A half with the noise of t would be too noisy there: "
         "an easy slip, which grows where steps are long."),
        ("not at all: it is known",
         "Then the network sees a clean half at a t where all it has learned is noisy."),
    ],
    answer=0,
)

# %%
known = (torch.arange(32, device=where) >= 16).view(1, 1, 32, 1)

def put_in(take, x_t, t, t_prev):
    x_prev = take(x_t)
    known_prev = noisy(some, t_prev, noise(len(some)))
    return torch.where(known, known_prev, x_prev)

def filled(hook, steps, what):  # the states of the chain
    chain = draw(model, schedule, None, SamplingOptions(steps=steps),
                 seed=seed, indices=range(len(some)), hook=hook)
    return list(track(chain, steps + 1, what))

plain = filled(put_in, steps, "Filling in")
halved = torch.where(known, some, -1.0)
assert torch.equal(plain[-1].x_t[..., 16:, :], some[..., 16:, :])

# %% [markdown]
# ## The seam
#
# The lower halves are those of the digits, to the last bit. Do the upper ones go with
# them? A stroke that comes to the seam should go on behind it. So we take the pixels
# of ink in the two rows at the seam, and count those that meet no ink in the other
# row, nor beside it.

# %%
def broken(x):  # of each hundred
    rows = x[..., 15, :] > 0, x[..., 16, :] > 0  # (N, 1, 32) each
    near = [F.max_pool1d(r.float(), 3, stride=1, padding=1) > 0 for r in rows]
    lost = (rows[0] & ~near[1]).sum() + (rows[1] & ~near[0]).sum()
    return 100 * (lost / (rows[0].sum() + rows[1].sum())).item()

as_is, torn = broken(some), broken(plain[-1].x_t)
print(f"in the digits themselves: {as_is:.0f} of 100")
ask_number(
    "And with the upper halves that were filled in: how many of 100 meet no ink?",
    round(torn),
    tolerance=6,
    why="Each half is good by itself, but their strokes do not always meet."
        if torn > 1.2 * as_is else "Here the strokes meet about as often as in the digits.",
)

# %%
step_by = 2 * each
show_images(halved[::step_by], "known")
show_images(plain[-1].x_t[::step_by], "filled in")
show_images(some[::step_by], "the digits")
print(f"unlike real digits: filled in {unlike(plain[-1].x_t):.1f}, "
      f"the digits themselves {unlike(some):.1f}")

# %% [markdown]
# ## Why they disagree
#
# In `take(x_t)` the network fits the upper half to the lower one, as far as it can see
# it under the noise. Then the lower half is replaced by another: the right one, but
# with fresh noise, which has nothing to do with what was drawn above. The two halves of
# `x_{t_prev}` have never seen each other. The next step is to bring them together. But
# it is a short one, and then the lower half is replaced again.
#
# *RePaint* gives them time (Lugmayr et al. 2022): after the step it goes back up, from
# t_prev to t, by the forward process, and takes the same step again. Eq. 2 does this
# for one step; for longer ones we need it in one jump:
#
#     x_t = √(ᾱ_t / ᾱ_s) x_s + √(1 - ᾱ_t / ᾱ_s) ε,   s < t

# %%
def repaint(take, x_t, t, t_prev):
    x_prev = put_in(take, x_t, t, t_prev)
    for _ in range(3 if t_prev else 0):
        now, before = (torch.full((len(x_t),), time, device=where)
                       for time in (t, t_prev))
        x_t = q_jump(schedule, x_prev, before, now, noise(len(x_t)))
        x_prev = put_in(take, x_t, t, t_prev)
    return x_prev

resampled = filled(repaint, steps, "RePaint")

# %% [markdown]
# ## Does it mend them?
#
# Each step was taken four times. That is as much work as a chain with four times as
# many steps, each a quarter as long. So to be fair, here is that one as well.
#
# Halves that do not go together make a picture that is unlike any digit. So we take the
# distance to the nearest real ones again, as for the drawing.

# %%
longer = filled(put_in, 4 * steps, "Four times as many steps")
made = {f"{steps} steps": plain, f"{4 * steps} steps": longer,
        f"{steps} steps, each 4 times": resampled}
ends_of = {"digits": some.cpu(), **{
    name: chain[-1].x_t.cpu() for name, chain in made.items()}}
_, _, many, again = map(unlike, ends_of.values())
ask_choice(
    "For the same work, which is nearer to real digits?",
    [
        ("four times as many steps", "More steps give the halves more chances as well. But "
         f"the distance to real digits is {many:.1f}, and {again:.1f} with RePaint."
         if again < many else
         f"Yes. The distance to real digits is {many:.1f}, and {again:.1f} with RePaint."),
        ("each step four times",
         f"Yes. The distance to real digits is {again:.1f}, and {many:.1f} with more steps. "
         "The halves meet at every noise level until they agree."
         if again < many else
         f"Here the distance to real digits is {again:.1f}, and {many:.1f} with more steps."),
    ],
    answer=int(again < many),
)

# %%
same = read(some)
columns = ["", "broken, of 100", "unlike real", "read alike"]
show_table("Upper halves drawn", columns, [
    (name, f"{broken(x):.0f}", f"{unlike(x):.1f}",
     f"{(read(x) == same).sum()} of {len(x)}")
    for name, x in ends_of.items()])
show_images(resampled[-1].x_t[::step_by], "RePaint")
nearer = distances(ends_of[f"{4 * steps} steps"]) - distances(
    resampled[-1].x_t)
error = nearer.std() / len(nearer) ** 0.5
say(f"For the same work RePaint is {nearer.mean().abs():.1f} ± {error:.1f} (one standard error) "
    + ("nearer to real digits" if nearer.mean() > 0 else "further from real digits")
    + (". " if nearer.mean().abs() > 2 * error else ", which may be chance. ")
    + "That not all are read as the digit they come from is no fault: the same lower half may "
    "belong to a 4 or a 9, to a 3 or a 5.")

# %%
show(sheet(torch.cat([x[::each] for x in (halved.cpu(), *ends_of.values())]),
           [], rows_are=["known", *ends_of]), "lesson 9 filling in")
# the known halves, and the guess of the others on the way
film = [torch.where(known, some, s.x_0_hat)[::each].cpu() for s in resampled]
_ = save_moments(film, [f"t = {s.t}" for s in resampled], "lesson 9 repaint")

# %% [markdown]
# ## A 4 becomes a 9
#
# One more change that needs no picture: the label. A chain is asked for 4s. At some t
# we stop, and go on from the same `x_t`, asked for 9s.
#
# A 4 and a 9 share a lot: a loop or a fork above, a stem below. What of the 4 stays?

# %%
def labels(digit):
    return torch.full((6,), digit)

how = SamplingOptions(steps=steps)
chain = draw(model, schedule, labels(4), how, seed=seed, indices=range(6))
states = {s.t: s.x_t for s in track(chain, steps + 1, "Drawing 4s")}
fours, turned = states[0], {}
changes = [t for t in states if t][2::4]  # at some of the t
for t in track(changes, len(changes), "Changing the label"):
    left = [*states].index(0) - [*states].index(t)  # steps that are left
    turned[t] = last(draw(model, schedule, labels(9), SamplingOptions(
        steps=left), t_start=t, x_t=states[t], seed=seed + 1,
        indices=range(6)))
nines = {t: (read(x) == 9).sum().item() for t, x in turned.items()}
print("changed at t =", *changes)

# %%
latest = min((t for t, n in nines.items() if n > 3), default=0)
ask_number(
    "What is the smallest of these t at which more than half still become 9s?",
    latest,
    tolerance=100,
    why="A 4 lacks little to be a 9: the top must close. That can be drawn late, when the "
        "other strokes are long settled. At last what is there is stronger than the label.",
)

# %%
for i in range(2):
    along = {"4 all the way": fours[i]} | {
        f"9 from {t} on": turned[t][i] for t in changes[-4:]}
    show_images(torch.stack([*along.values()]), f"number {i + 1}", [*along])
columns = ["from t", "read as 9", "off the 4"]
show_table("4s that were asked to be 9s", columns, [
    (t, f"{nines[t]} of 6", f"{rms(x - fours):.2f}")
    for t, x in turned.items()])

# %% [markdown]
# ## Recap
#
# - Algorithm 2 may begin at any t, from any x_t (Eq. 4). What noise has drowned is drawn
#   anew, the rest stays: t is the choice between the two.
# - A mix of two x_t with one ε is the mix of pixels under noise (§4.4, Fig. 8). The way
#   back makes a digit of it. With two noises there would be too little noise for t.
# - Noise and back turns a drawing into a digit (SDEdit, Meng et al. 2022).
# - To fill in, put the known part in after each step, with the noise of t_prev. RePaint
#   goes back up and takes the step again, so that the halves agree.
# - A label can change on the way, too. The earlier, the more of the picture follows.
#
# In the package: `interpolate`, `noise_and_back`, `inpaint`, `change_label`. With a picture
# of your own, drawn or photographed: `ddpm-tutor edit my.png`, or `edit my.png --draw`.
