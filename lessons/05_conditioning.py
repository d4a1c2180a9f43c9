# %% [markdown]
# # Lesson 5 · Conditioning
#
# **Goal:** at the end you can make the model draw the digit you ask for, and
# say what guidance does.
#
# **You need:** lessons 1 to 4.
#
# **Paper:** Ho and Salimans 2022
#
# **Time:** 20 min
#
# So far the model may draw whatever it likes. Now we tell it what.

# %% [markdown]
# ## Setting up
#
# The shipped weights were trained with labels. To save time the experiments take
# 50 of the 1000 steps, evenly spread, with the guess of `x_0` kept in [-1, 1],
# as in lesson 4.

# %% tags=["parameters"]
seed = 0
steps = 50  # of the 1000
each = 10  # pictures of each digit
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    choose_device, draw, drop_labels, last, load_checkpoint, load_classifier,
    load_digits, read_digits, stream, to_uint8, validation_loss,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, frames_of, save_film, save_grid, show,
    show_download, show_images, show_table, track,
)
from ddpm_tutor.science.evaluation import load_real_digits, real_card, score

where = choose_device(device)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule
digits = load_digits(progress=show_download)
print(digits.source)

# %% [markdown]
# ## A label is a vector
#
# Like t, the label becomes a vector. This one is not computed but learned: a
# table with one row for each digit. It goes wherever the time encoding goes, at
# every level of the network. So every block knows which digit is wanted, from
# the rough shape at 4×4 to the fine strokes.
#
# There are eleven rows. The last is the *null label*: no digit in particular.
# The rows need not be alike for digits that look alike.

# %%
rows = model.label_embedding.weight
show(rows, "the label embedding")
likeness = torch.cosine_similarity(rows[4], rows[9], dim=0)
print(f"likeness of 4 and 9: {likeness:.2f} (1 is equal, 0 unrelated)")

# %% [markdown]
# ## Training with labels
#
# Algorithm 1 stays as it is. Only the network is told the label too:
# `ε_θ(x_t, t, label)`. And for a tenth of the pictures, at random, the label is
# replaced by the null label. So the same weights also learn to draw without
# being told what.

# %%
label = digits.train_labels[:1000]
given = drop_labels(label, 0.1, 10, stream(seed, "dropout"))
print("labels:", label[:16].tolist())
print("given: ", given[:16].tolist())
print(f"null: {(given == 10).float().mean():.1%}")
ask_choice(
    "What changes in Algorithm 1 when the network is trained with labels?",
    [
        ("The loss also compares the label with a predicted one.",
         "Nothing predicts labels. The loss still compares two noises (Eq. 14)."),
        ("Only the network's input: it is told the label, or the null label.",
         "Yes. The rest of the algorithm stays as it is, line by line."),
        ("Each digit gets a network of its own.",
         "One network draws all ten. The strokes they share are learned once."),
    ],
    answer=1,
    part="11.8 c, d",
    points=1,
)

# %% [markdown]
# ## Does the label help?
#
# The same weights, the same noise, on pictures never trained on: the loss with
# the right label, without one, and with a wrong one. What do you expect?

# %%
images = digits.validation_images[:1000]
labels = digits.validation_labels[:1000]
told = {"right": labels, "none": None, "wrong": (labels + 1) % 10}
losses = {}
for name in track(told, 3, "Losses"):
    losses[name] = validation_loss(model, schedule, images, told[name])
by_loss = sorted(losses, key=lambda name: losses[name].mean)
ask_choice(
    "Put the losses in order, the smallest first.",
    [
        ("right label, no label, wrong label",
         "A label says what to expect. A wrong one is worse than none."),
        ("no label, right label, wrong label",
         "Then the label would do harm even when it is right."),
        ("right label, wrong label, no label",
         "Then any label would help, even a wrong one."),
    ],
    answer=[["right", "none", "wrong"], ["none", "right", "wrong"],
            ["right", "wrong", "none"]].index(by_loss),
)

# %%
rows = [(name, str(loss)) for name, loss in losses.items()]
show_table("Validation loss", ["label", "loss ± standard error"], rows)

# %% [markdown]
# ## A 3, please
#
# `draw` is Algorithm 2, here on 50 steps, with the label handed to the network
# at each step. Ten
# pictures, ten different noises, one label.

# %%
label = torch.full((10,), 3)
chain = draw(model, schedule, label, seed=seed, indices=range(10),
             steps=steps)
show_images(last(track(chain, steps + 1, "Drawing")), "ten times a 3")

# %% [markdown]
# ## One noise, ten labels
#
# Now the other way round: the same `x_T` and the same noises z for all ten
# pictures. Only the label differs. What stays the same?

# %%
label = torch.arange(10)
chain = draw(model, schedule, label, seed=seed, indices=[0] * 10,
             steps=steps)
show_images(last(track(chain, steps + 1, "Drawing")), "one noise, ten labels")

# %%
ask_choice(
    "Why is the label (like t) added at every level, not just at the input?",
    [
        ("to use more memory", "It costs next to none: one number a channel."),
        ("so that every level can act on it: the rough shape and the strokes",
         "Yes. Added only at the input, it would fade among many convolutions."),
        ("because the levels have different labels", "The label is the same; each level "
         "has its own use for it."),
    ],
    answer=1,
    part="11.8 a, b",
    points=1,
)

# %% [markdown]
# ## A reader
#
# Are these the digits we asked for? We need somebody who reads them: a small
# classifier that comes with the package. It was trained on real digits only, and
# never saw a drawn one.

# %%
reader = load_classifier(where)
print(f"reads {reader.test} % of {reader.test.of:,} real test digits rightly")

def read(pictures):
    return read_digits(reader.model, to_uint8(pictures)).classes

# %%
label = torch.full((10,), 3)
chain = draw(model, schedule, label, seed=seed, indices=range(10),
             steps=steps)
threes = last(track(chain, steps + 1, "Drawing"))
ask_number(
    "You asked for ten pictures of a 3. How many are read as a 3?",
    (read(threes) == 3).sum(),
    tolerance=1,
    why="The label decides the digit, the noise decides its hand.",
    part="11.8 e",
    points=1,
)

# %% [markdown]
# ## All ten digits
#
# Ten of every digit, a row for each. The reader says how many are what we asked
# for. Have a guess before you look.

# %%
label = torch.arange(10).repeat_interleave(each)
chain = draw(model, schedule, label, seed=seed, indices=range(len(label)),
             steps=steps)
drawn = last(track(chain, steps + 1, "Drawing")).cpu()
right = read(drawn) == label
_ = save_grid(drawn, "lesson 5 all digits", columns=each)
show_images(drawn[::each], "one of each", [str(i) for i in range(10)])
ask_number(
    "Of every hundred, how many are read as asked?",
    100 * right.float().mean(),
    tolerance=4,
    why="The rest are digits that even you might read otherwise. "
        "`ddpm-tutor evaluate` shows the worst.",
    part="11.8 f",
    points=1,
)

# %%
ask_choice(
    "In the saved grid, what do the pictures of one row share?",
    [
        ("the noise", "Each picture has noise of its own. That was the step before."),
        ("the label", "Yes. One row, one label, ten different noises, ten hands."),
        ("label and noise", "Then the ten would be the same picture."),
    ],
    answer=1,
    part="11.8 g",
    points=1,
)

# %% [markdown]
# ## With labels or without?
#
# Which model is better, the conditional or the unconditional one? Our weights
# are both, so the comparison is fair. We draw as many without labels, and take
# the measures of `ddpm-tutor evaluate`:
#
# - *Fréchet distance* to the training digits: small is good. So few pictures
#   are some way off by chance alone, real ones too: see the last row;
# - *coverage*: the share of real digits with a drawn one near. Are all kinds
#   there?
# - *precision*: the share of drawn digits near a real one. Do they look real?

# %%
chain = draw(model, schedule, None, seed=seed, indices=range(len(label)),
             steps=steps)
free = last(track(chain, steps + 1, "Without labels")).cpu()
real, rows, frechet = load_real_digits(), [], []
for name, pictures in (("with", drawn), ("without", free)):
    found = read_digits(reader.model, to_uint8(pictures))
    scores = score(found, None, real)
    frechet.append(scores.frechet.mean)
    rows.append((name, scores.frechet.mean, str(scores.coverage),
                 str(scores.precision)))
found = real_card(reader.model, real, len(label)).scores
rows.append(("real digits", found.frechet.mean, str(found.coverage),
             str(found.precision)))
show_table(f"{len(label)} digits each",
           ["labels", "Fréchet", "coverage, %", "precision, %"], rows)

# %%
ask_choice(
    "Which is better, with labels or without?",
    [
        ("with labels: the loss is lower, and you get the digit you ask for",
         f"Yes. The losses above say so. And the Fréchet distance is {frechet[0]:.1f} "
         f"with labels, {frechet[1]:.1f} without."),
        ("without: it is freer", "It draws the same kinds of digits. You just can't "
         "choose."),
        ("without labels the digits look real, with labels they do not",
         "Compare the precision of the two."),
    ],
    answer=0,
    part="11.8 h",
    points=1,
)

# %% [markdown]
# ## Guidance
#
# The network makes two predictions: with the label, and with the null label.
# Their difference is what the label changes. *Classifier-free guidance*
# exaggerates it (Ho and Salimans 2022):
#
#     ε = ε(no label) + w · (ε(label) - ε(no label))
#
# w = 0 ignores the label. w = 1 is the plain conditional network. (Their w is
# ours minus 1.) What do you expect of larger w?
#
# We count how many are read as asked. And we measure variety: the distance
# between two drawings of one digit, in what the reader sees of them (its 64
# features). Real digits are there to compare.

# %%
rows, label = [], torch.arange(10).repeat_interleave(8)
varieties = {}

def variety(found, of):
    clouds = [found.features[of == c] for c in range(10)]
    return sum(torch.pdist(c).mean() for c in clouds).item() / 10

for w in (0.0, 0.5, 1.0, 2.0, 5.0):
    chain = draw(model, schedule, label, seed=seed, indices=range(80),
                 guidance=w, steps=25)
    pictures = last(track(chain, 26, f"w = {w:g}")).cpu()
    found = read_digits(reader.model, to_uint8(pictures))
    right = (found.classes == label).float().mean()
    varieties[w] = variety(found, label)
    rows.append((f"{w:g}", f"{right:.0%}", varieties[w]))
    if w in (1.0, 5.0):
        show_images(pictures[4::8], f"w = {w:g}")

# %%
ask_choice(
    "More guidance, from w = 1 to w = 5. What becomes of the variety?",
    [
        ("it grows", "That would need pictures which are less typical of their label."),
        ("it shrinks",
         "The ten are more alike: all are pulled to what is typical of the label."),
        ("it stays", "Compare the two rows in the table."),
    ],
    answer=1 if varieties[5.0] < 0.95 * varieties[1.0] else 2,
)

# %%
some = digits.validation_images[:400]
found = read_digits(reader.model, some)
rows.append(("real", f"{(found.classes == labels[:400]).float().mean():.0%}",
             variety(found, labels[:400])))
show_table("Guidance", ["w", "read as asked", "variety"], rows)

# %% [markdown]
# ## Can you read x_T?
#
# Here is a tempting idea: the first noise `x_T` decides the digit, so train a
# classifier on `x_T`. We draw 300 digits *without* a label, let the reader say
# what they became, and fit a linear classifier from `x_T` to that.

# %%
chain = draw(model, schedule, None, seed=seed, indices=range(300),
             steps=25)
x_T, became = None, None
for moment in track(chain, 26, "Drawing 300"):
    x_T = moment.x_t.cpu().flatten(1) if x_T is None else x_T
became = read(moment.x_t)
targets = torch.nn.functional.one_hot(became, 10).float()
fit, check = slice(0, 200), slice(200, 300)
ridge = x_T[fit].T @ x_T[fit] + 100 * torch.eye(1024)
weights = torch.linalg.solve(ridge, x_T[fit].T @ targets[fit])

# %%
guess = (x_T[check] @ weights).argmax(dim=1)
accuracy = (guess == became[check]).float().mean()
most = became[fit].bincount(minlength=10).argmax()
always = (became[check] == most).float().mean()
on_seen = ((x_T[fit] @ weights).argmax(dim=1) == became[fit]).float().mean()
print(f"on the 200 it was fitted to: {on_seen:.0%}")
print(f"on 100 others: {accuracy:.0%}")
print(f"always saying {most}: {always:.0%}")

# %%
ask_choice(
    "Can x_T be classified?",
    [
        ("yes, with a better classifier",
         "There is nothing to find: ᾱ_T = 0.00004, and every step adds fresh noise."),
        ("no: the digit is decided by the noise of all the steps, not by x_T",
         "Yes. On pictures it has not seen, the classifier is at chance."),
    ],
    answer=1,
    part="11.9 b",
    points=1,
)

# %% [markdown]
# ## Three kinds of randomness
#
# - A GAN draws one vector z, and one call makes the picture. All chance is in z.
# - A VAE draws one vector z too, and its decoder makes the picture. In training
#   its encoder adds noise to z as well.
# - DDPM draws `x_T` *and* a fresh z at every step: T pictures full of noise.
#
# In the first two you can walk through z and see the picture change. Here `x_T`
# alone decides almost nothing. (DDIM brings that back: its only chance is x_T.)

# %%
ask_choice(
    "Where does the randomness of a DDPM sample come from?",
    [
        ("only from x_T, as a GAN's comes from z",
         "That is DDIM. In lesson 4, ten runs from one x_T all differed."),
        ("from x_T and the fresh noise of every step",
         "Yes. Nearly all of what can be seen is decided by the latter."),
        ("from the weights", "They are fixed once training is over."),
    ],
    answer=1,
    part="11.9 a",
    points=1,
)

# %% [markdown]
# ## A film of all ten
#
# Ten digits appear at once, each on request, as a GIF. Outside this lesson it is
# `ddpm-tutor gif`, and one digit is `ddpm-tutor gif --digit 7`.

# %%
chain = draw(model, schedule, torch.arange(10), seed=seed, indices=range(10),
             guidance=1.5, steps=200)
frames = frames_of(track(chain, 201, "Filming"), schedule)
_ = save_film(frames, "lesson 5 all ten digits")

# %% [markdown]
# ## Recap
#
# - A label is a learned vector, handed to every level like t.
# - A tenth of the labels is dropped in training, so one network predicts with
#   and without. The label lowers the loss, a wrong one raises it.
# - Guidance exaggerates what the label changes: more pictures are as asked, and
#   they vary less (Ho and Salimans 2022).
# - The digit is decided by the noise of all steps; `x_T` can't be classified.
#
# You have been through the paper. Now break things: every parameter has a
# `--set`, and the package is short enough to read in an evening.
