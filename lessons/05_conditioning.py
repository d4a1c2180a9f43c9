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
# 50 or 25 of the 1000 steps, evenly spread, with σ² = β̃ and the guess of `x_0`
# kept in [-1, 1], as in lesson 4.

# %% tags=["parameters"]
seed = 0
steps = 50  # of the 1000
each = 10  # pictures of each digit, at least 2
train_steps = 100  # of a small network with labels
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    LeanUNet, TrainingConfig, TrainingState, UNet, choose_device, draw,
    drop_labels, last, load_checkpoint, load_classifier, load_digits,
    losses_by_t, read_digits, stream, to_uint8, train,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, frames_of, note, save_film, save_grid, show,
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
# table with one row for each digit, called an *embedding*. The assignment's U-Net
# has such a table too. The first C numbers of a row are added to a map of C
# channels, wherever the time encoding is: after every `Down` and every `Up`.
#
# There are eleven rows. The last is the *null label*: no digit in particular.

# %%
unet = UNet(64, num_classes=10)  # the assignment's, now with labels
print("the U-Net's table:", tuple(unet.label_embedding.weight.shape))
rows = model.label_embedding.weight
show(rows, "the label embedding of the shipped weights")
likeness = torch.cosine_similarity(rows[4], rows[9], dim=0)
print(f"likeness of 4 and 9: {likeness:.2f} (1 is equal, 0 unrelated)")
print("So rows need not be alike for digits that look alike.")
ask_choice(
    "Why is the label (like t) added at every level, not just at the input?",
    [
        ("because t and the label would otherwise be mixed up",
         "They are added to each other, and the network still tells them apart."),
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
# ## Training with labels
#
# The network is told the label too: `ε_θ(x_t, t, label)`. But a tenth of the
# labels, at random, is replaced by the null label. So the same weights also learn
# to draw without being told what.

# %%
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
label = digits.train_labels[:1000]
given = drop_labels(label, 0.1, 10, stream(seed, "dropout"))
print("labels:", label[:16].tolist())
print("given: ", given[:16].tolist())
print(f"null: {(given == 10).float().mean():.1%}")

# %% [markdown]
# ## Train it
#
# The loop of lesson 3, now with labels: a small network for a few seconds. Then
# the log of the shipped weights, which saw all 55,000 digits many times.

# %%
torch.manual_seed(seed)
config = TrainingConfig(
    epochs=1, batch_size=64, lr=2e-3, lr_schedule="one-cycle",
    warmup_steps=20, ema_decay=0.9, seed=seed,
)
n = train_steps * config.batch_size
enough = -(-n // len(digits.train_images))  # passes over the digits
images = digits.train_images.repeat(enough, 1, 1, 1)[:n]
labels = digits.train_labels.repeat(enough)[:n]
start = TrainingState.start(LeanUNet(32, num_classes=10).to(where), config)
loop, steps_of_it = train(start, schedule, images, labels, config), []
for step in track(loop, len(images) // config.batch_size, "Training"):
    steps_of_it.append(step.loss)
    note(f"loss {step.loss:.4f}")
for name, part in (("first", slice(10)), ("last", slice(-10, None))):
    ten = steps_of_it[part]
    print(f"mean of the {name} {len(ten)} losses: {sum(ten) / len(ten):.4f}")

# %%
log = trained.training["log"]
rows = [(e["epoch"], f"{e['train_loss']:.4f}",
         f"{e['validation']['mean']:.4f}",
         f"{e['validation_unlabelled']['mean']:.4f}")
        for e in log if e["epoch"] in (1, 2, 5, 10, 20) or e is log[-1]]
show_table("The shipped weights",
           ["epoch", "train", "validation", "without labels"], rows)

# %% [markdown]
# ## Does the label help?
#
# The same weights, the same noise, on pictures never trained on: the loss with
# the right label, without one, and with a wrong one. What do you expect?

# %%
images = digits.validation_images[:1000]
labels = digits.validation_labels[:1000]
told = {"right": labels, "none": None, "wrong": (labels + 1) % 10}
by_t = {}
for name in track(told, 3, "Losses"):
    _, by_t[name] = losses_by_t(model, schedule, images, told[name])
loss = {name: each_t.mean().item() for name, each_t in by_t.items()}
in_order = loss["right"] < loss["none"] < loss["wrong"]
ask_choice(
    "Put the losses in order, the smallest first.",
    [
        ("right label, no label, wrong label",
         "Yes. A label says what to expect. A wrong one is worse than none."),
        ("no label, right label, wrong label",
         "Then the label would do harm even when it is right."),
        ("right label, wrong label, no label",
         "Then any label would help, even a wrong one."),
    ],
    answer=0 if in_order else 2,
)

# %%
rows = []
for name, each_t in by_t.items():
    more = each_t - by_t["right"]  # the same noise, so only the label differs
    error = (more.diff().square().mean() / 2 / len(more)).sqrt()
    gap = "" if name == "right" else f"{more.mean():.5f} ± {error:.5f}"
    rows.append((name, f"{loss[name]:.4f}", gap))
show_table(f"Validation loss, {len(images)} pictures",
           ["label", "loss", "more than with the right one"], rows)

# %% [markdown]
# ## A 3, please
#
# `draw` is Algorithm 2, here on 50 steps, with the label handed to the network
# at each step. Ten pictures, ten different noises, one label.
#
# Are they what we asked for? We let the classifier read them: a small network that
# comes with the package. It was trained on real digits only.

# %%
reader = load_classifier(where)
print(f"reads {reader.test} % of {reader.test.of:,} test digits correctly")

def read(pictures):
    return read_digits(reader.model, to_uint8(pictures)).classes

label = torch.full((10,), 3)
chain = draw(model, schedule, label, seed=seed, indices=range(10),
             steps=steps)
threes = last(track(chain, steps + 1, "Drawing"))
ask_number(
    "You asked for ten pictures of a 3. How many are read as a 3?",
    (read(threes) == 3).sum(),
    tolerance=1,
    why="The label decides the digit, the noise decides the handwriting.",
    part="11.8 e",
    points=1,
)

# %%
show_images(threes, "ten times a 3")

# %% [markdown]
# ## One noise, ten labels
#
# Now the other way round: the same `x_T` and the same noises z for all ten
# pictures. Only the label differs. Do the ten have something in common?

# %%
label = torch.arange(10)
pictures = {}
for name, indices in (("one noise", [0] * 10), ("ten noises", range(10))):
    chain = draw(model, schedule, label, seed=seed, indices=indices,
                 steps=steps)
    pictures[name] = last(track(chain, steps + 1, "Drawing"))
    apart = torch.pdist(pictures[name].flatten(1)).mean()
    print(f"ten labels, {name}: mean distance {apart:.1f}")
show_images(pictures["one noise"], "one noise, ten labels")

# %% [markdown]
# ## All ten digits
#
# Ten of every digit, a row for each. The classifier says how many are what we
# asked for.

# %%
label = torch.arange(10).repeat_interleave(each)
chain = draw(model, schedule, label, seed=seed, indices=range(len(label)),
             steps=steps)
drawn = last(track(chain, steps + 1, "Drawing")).cpu()
right = read(drawn) == label
ask_number(
    "Of every hundred, how many are read as asked?",
    100 * right.float().mean(),
    tolerance=4,
    why="ddpm-tutor evaluate counts a thousand.",
    part="11.8 f",
    points=1,
)

# %%
_ = save_grid(drawn, "lesson 5 all digits", columns=each)
show_images(drawn[::each], "one of each", [str(i) for i in range(10)])
if not right.all():
    wrong = (~right).nonzero().flatten()[:5]
    taken = read(drawn)[wrong].tolist()
    names = [f"{a}, not {b}" for a, b in zip(taken, label[wrong].tolist(),
                                             strict=True)]
    show_images(drawn[wrong], "read as", names)

# %%
ask_choice(
    "In the saved grid, what do the pictures of one row share?",
    [
        ("the noise", "Each picture has noise of its own. That was the step before."),
        ("the label", "Yes. One row, one label, different noises, different handwritings."),
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
# are both. (It is not quite fair: the null label had a tenth of the training.) We
# draw as many without labels, and take the measures of `ddpm-tutor evaluate`:
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
turn = torch.arange(len(label)).view(10, each).T.flatten()  # 0 to 9 in turn
real, rows = load_real_digits(), []

def row(name, scores):
    frechet = f"{scores.frechet.mean:.1f} ± {scores.frechet.error:.1f}"
    return (name, frechet, str(scores.coverage), str(scores.precision))

for name, some in (("with", drawn[turn]), ("without", free)):
    scores = score(read_digits(reader.model, to_uint8(some)), None, real)
    rows.append(row(name, scores))
found = real_card(reader.model, real, len(label)).scores
rows.append(row("real digits", found))

# %%
ask_choice(
    "Which is better, with labels or without?",
    [
        ("with labels: the loss is lower, and you get the digit you ask for",
         "Yes. The losses above say so. The measures of the pictures are below."),
        ("without: it is freer", "It draws the same kinds of digits. You just can't "
         "choose."),
        ("without labels the digits look real, with labels they do not",
         "Compare the precision of the two."),
    ],
    answer=0,
    part="11.8 h",
    points=1,
)

# %%
show_table(f"{len(label)} digits each",
           ["labels", "Fréchet", "coverage, %", "precision, %"], rows)

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
# ours minus 1.)
#
# We count how many are read as asked. And we measure variety: the distance
# between two drawings for one label, in what the classifier sees of them (its 64
# features). Real digits are there to compare.

# %%
rows, asked = [], torch.arange(10).repeat_interleave(8)
varieties, drawings = {}, {}

def variety(found, of):
    clouds = [found.features[of == c] for c in range(10)]
    return sum(torch.pdist(c).mean() for c in clouds).item() / 10

for w in (0.0, 0.5, 1.0, 2.0, 5.0):
    chain = draw(model, schedule, asked, seed=seed, indices=range(80),
                 guidance=w, steps=25)
    pictures = last(track(chain, 26, f"w = {w:g}")).cpu()
    found = read_digits(reader.model, to_uint8(pictures))
    right = (found.classes == asked).float().mean()
    varieties[w] = variety(found, asked)
    rows.append((f"{w:g}", f"{right:.0%}", f"{varieties[w]:.1f}"))
    drawings[w] = pictures[4::8]

# %%
ask_choice(
    "More guidance, from w = 1 to w = 5. What becomes of the variety?",
    [
        ("it grows", "That would need pictures which are less typical of their label."),
        ("it shrinks",
         "Yes. Drawings for one label get more alike: all are pulled to what is typical "
         "of it."),
        ("it stays", "Compare the two rows in the table."),
    ],
    answer=1 if varieties[5.0] < 0.95 * varieties[1.0] else 2,
)

# %%
some = digits.validation_images[:400]
found = read_digits(reader.model, some)
rows.append(("real", f"{(found.classes == labels[:400]).float().mean():.0%}",
             f"{variety(found, labels[:400]):.1f}"))
show_table("Guidance", ["w", "read as asked", "variety"], rows)

# %% [markdown]
# ## Can you read x_T?
#
# Here is a tempting idea: the first noise `x_T` decides the digit, so train a
# classifier on `x_T`. We draw 300 digits *without* a label, and let the classifier
# above say what they became. Then we fit a linear classifier from `x_T` to that,
# on 200 of them, and try it on the other 100.
#
# To be fair to it, it may try `x_600`, `x_400`, ... as well.

# %%
chain = draw(model, schedule, None, seed=seed, indices=range(300),
             steps=25)
seen = {}
for moment in track(chain, 26, "Drawing 300"):
    if moment.t in (1000, 600, 400, 200, 0):
        seen[moment.t] = moment.x_t.cpu().flatten(1)
became = read(moment.x_t).cpu()
targets = torch.nn.functional.one_hot(became, 10).float()

def accuracy(x):
    x = x - x[:200].mean(dim=0)
    ridge = x[:200].T @ x[:200] + 100 * torch.eye(1024)
    weights = torch.linalg.solve(ridge, x[:200].T @ targets[:200])
    return ((x[200:] @ weights).argmax(dim=1) == became[200:]).float().mean()

# %%
ask_choice(
    "Can x_T be classified?",
    [
        ("yes: the digit follows from x_T",
         "It would in DDIM. In Algorithm 2 every step adds fresh noise, which buries "
         "what x_T held."),
        ("no: the digit is decided by the noise of all the steps, not by x_T",
         "Yes. See the first row below. The same classifier finds much in x_200. So it "
         "would have found something in x_T, if it were there."),
    ],
    answer=1,
    part="11.9 b",
    points=1,
)

# %%
rows = [(f"x_{t}", f"{accuracy(x):.0%}") for t, x in seen.items()]
most = became[:200].bincount(minlength=10).argmax()
always = (became[200:] == most).float().mean()
rows.append((f"always saying {most}", f"{always:.0%}"))
show_table("Of 100 digits, read correctly from", ["", "share"], rows)

# %% [markdown]
# ## Three kinds of randomness
#
# There are two other famous ways to draw pictures with a network.
#
# - A GAN (*generative adversarial network*) draws one vector z from N(0, I). One
#   call of its generator makes the picture.
# - A VAE (*variational autoencoder*) draws one vector z too. One call of its
#   decoder makes the picture. (In training its encoder adds noise to z as well.)
#
# In both you can walk through z and see the picture change smoothly.

# %%
ask_choice(
    "Which of the three draws fresh noise while it makes a picture?",
    [
        ("the GAN", "It draws one z before its one call. All chance is in that z."),
        ("the VAE", "Its decoder draws nothing: one z, one call."),
        ("DDPM", "Yes. It draws x_T, and a fresh z at every step: T pictures full of "
         "noise. (DDIM is like the other two: its only chance is x_T.)"),
    ],
    answer=2,
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
# - Guidance exaggerates what the label changes: pictures are as asked, and vary
#   less (Ho and Salimans 2022).
# - The digit is decided by the noise of all steps; `x_T` can't be classified.
#
# You have been through the heart of the paper. (Left out: coding, most of §4.3,
# and interpolation, §4.4.) Now break things: every parameter has a `--set`, and
# the package is short enough to read in an evening.
