# %% [markdown]
# # Fig. 15 · The training pictures nearest to drawn ones
#
# **Where:** App. D
#
# **Symbols:** x_0
#
# **Function:** draw, read_digits, ExactNoisePredictor
#
# **Lesson:** 8, And the network?; 8, When would it copy?
#
# **See:** table 1
#
# Does the network draw, or does it remember? The paper puts drawn pictures side by side
# with the training pictures nearest to each: a column of drawn ones, then the neighbours.
# If it had learned pictures by heart, each row would show one picture again and again.
#
# There are two ways to say "nearest": in the pixels, and in what a network sees (for the
# paper the Inception network, here the classifier). The second finds copies that the
# first would miss, as you will see. Fig. 12 is the same with faces.

# %% [markdown]
# ## How near is too near?
#
# A distance says nothing without one to compare it with. Digits that were held out of
# training cannot be copies. How near do they come to the training digits?

# %% tags=["parameters"]
seed = 0  # other noise, other digits
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    ExactNoisePredictor, SamplingOptions, choose_device, draw, last,
    load_checkpoint, load_classifier, load_digits, normal, read_digits,
    sample, stream, to_uint8, to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, say, show_download, show_images, show_table, track,
)

# %%
where = choose_device(device, cpu_seconds=10)
trained = load_checkpoint(device=where)
schedule = trained.schedule
digits = load_digits(progress=show_download)
mnist = digits.source.startswith("MNIST")
known = to_unit_range(digits.train_images)  # (N, 1, 32, 32)
unseen = to_unit_range(digits.validation_images[:200])
chain = draw(trained.model, schedule, (torch.arange(20) % 10).to(where),
             SamplingOptions(steps=25), seed=seed, indices=range(20))
drawn = last(track(chain, 26, "Drawing 20 digits")).cpu()

# %%
squares = known.square().sum(dim=(1, 2, 3))
def nearest(images, k=1):  # their distances, and which: (B, k) each
    product = images.flatten(1) @ known.flatten(1).T
    which = (squares - 2 * product).topk(k, largest=False).indices
    rest = (images[:, None] - known[which]).flatten(2)  # (B, k, 1024)
    return rest.norm(dim=2), which

of_drawn, of_unseen = nearest(drawn)[0], nearest(unseen)[0]
ask_choice(
    "How far is a drawn digit from its nearest training digit, beside a held-out one?",
    [
        ("far nearer: what it draws it has seen",
         "Then the first row of the table would be far below the second, and the pictures in "
         "the next step would be pairs."),
        ("about as near: neither copied nor odd",
         "Yes. In that sense a drawn digit is one more digit, not one of the "
         "old ones."),
        ("far further: it makes things up",
         "Then they would look strange, too. Compare the medians."),
    ],
    answer=1 if 0.7 < of_drawn.median() / of_unseen.median() < 1.4
    else 0 if of_drawn.median() < of_unseen.median() else 2,
)
show_table(f"Distance to the nearest of {len(known):,} training digits",
           ["", "median", "nearest", "furthest"],
           [(name, *(f"{v:.1f}" for v in (d.median(), d.min(), d.max())))
            for name, d in (("20 drawn", of_drawn), ("held out", of_unseen))])
say("So it is as near as any digit is to others." if mnist else
    "The digits that you have are themselves drawn by this network, and it was not trained on "
    "them. For the true question get MNIST; by ddpm-tutor evaluate the median of 1,000 drawn "
    "digits is 8.55 there, and that of real test digits 8.79.")
assert of_drawn.min() > 0.5 * of_unseen.quantile(0.01)

# %% [markdown]
# ## The figure, in pixels
#
# On the left a drawn digit, then its nearest three.

# %%
few = drawn[[2, 5, 8]]
_, which = nearest(few, 3)
def rows_of(which):
    rows = torch.cat([few[:, None], known[which]], dim=1)
    return rows.flatten(0, 1)  # (12, 1, 32, 32)

names = ["drawn", "nearest", "second", "third"] * 3
show_images(rows_of(which), "nearest in pixels", names, columns=4)

# %% [markdown]
# ## The figure, in what a network sees
#
# Now the distance is between the 64 numbers that the classifier makes of a digit. It
# does not see where a stroke is to the pixel, but which shape it has. (Among the first
# 2,000 training digits: reading takes time.)

# %%
reader = load_classifier(where).model
def seen(images):
    return read_digits(reader, to_uint8(images)).features  # (B, 64)

features = seen(known[:2000])
which = torch.cdist(seen(few), features).topk(3, largest=False).indices
show_images(rows_of(which), "nearest in features", names, columns=4)

# %% [markdown]
# ## What copying would look like
#
# A perfect learner of too few digits does copy. Eq. 14 is least, on known digits, at a
# noise that Bayes' rule gives, without any training. We draw by it, with 300 digits
# known.

# %%
copier = ExactNoisePredictor(schedule.to("cpu"), known[:300])
x_T = normal((4, 1, 32, 32), stream(seed, "fig 15"), "cpu")
copies = last(sample(copier, schedule.to("cpu"), x_T,
                     SamplingOptions(steps=20),
                     generator=stream(seed, "fig 15 z")))
of_copies, which = nearest(copies)
show_images(torch.cat([copies, known[which[:, 0]]]),
            "drawn from 300 known digits, and their nearest",
            ["drawn"] * 4 + ["nearest"] * 4, columns=4)
print("distances: " + ", ".join(f"{d:.2f}" for d in of_copies[:, 0]))
assert of_copies.max() < 0.3 * of_unseen.median()
say("That is the row that one looks for in Fig. 15, and does not find. So what keeps our "
    "network from copying is that it is not perfect: it learns what digits have in common before "
    "it could learn each one.")

# %% [markdown]
# ## What people get wrong
#
# To trust the pixels alone. Take a training digit and move it by two pixels: a copy, as
# anybody would say. In pixels it is further off than a stranger.

# %%
originals = known[:100]
moved = originals.roll(2, dims=-1)
apart = (moved - originals).flatten(1).norm(dim=1)
by_pixels = torch.cdist(moved.flatten(1), known[:2000].flatten(1)).argmin(1)
found = (by_pixels == torch.arange(100)).float().mean()
by_features = torch.cdist(seen(moved), features).argmin(dim=1)
found_there = (by_features == torch.arange(100)).float().mean()
print(f"a copy moved by 2 pixels: {apart.median():.1f} from its original")
print(f"a held-out digit:         {of_unseen.median():.1f} from its nearest")
print(f"original is the nearest: {found:.0%} by pixels, "
      f"{found_there:.0%} by features, of {len(features):,}")
assert apart.median() > of_unseen.median() and found_there > 2 * found
