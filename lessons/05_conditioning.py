# %% [markdown]
# # Lesson 5 · Conditioning
#
# **Goal:** at the end you can make the model draw the digit you ask for, and
# say what guidance does.
#
# **You need:** lessons 1 to 4.
#
# **Paper:** Alg. 1, 2 · Ho and Salimans 2022
#
# **Time:** 20 min
#
# Lesson 4 told the model a label now and then. Now we look at how. The paper has
# no labels. Guidance is from a later one: arXiv 2207.12598.

# %% [markdown]
# ## Setting up
#
# The shipped weights were trained with labels. To save time the experiments take
# 50 or 25 of the 1000 steps, evenly spread, with σ² = β̃ and the guess of `x_0`
# kept in [-1, 1], as in lesson 4.

# %% tags=["parameters"]
seed = 0
steps = 50  # of the 1000
few_steps = 25  # of the 1000, where hundreds of pictures are drawn
each = 10  # pictures of each digit, at least 2
train_steps = 100  # of a small network with labels
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import (
    LeanUNet, SamplingOptions, TrainingConfig, TrainingState, UNet,
    choose_device, draw, drop_labels, last, load_checkpoint,
    load_classifier, load_digits, load_real_digits, losses_by_t, normal,
    read_digits, read_features, score, share, stream, to_uint8, train,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, frames_of, note, save_film, save_grid, show,
    show_download, show_images, show_table, track,
)

where = choose_device(device)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule
digits = load_digits(progress=show_download)
print(f"{digits.source}; computing on {where}")

# %% [markdown]
# ## A label is a vector
#
# Like t, the label becomes a vector. This one is not computed but learned: a
# table with one row for each digit, called an *embedding*. In the assignment's
# U-Net the first C numbers of a row are added to a map of C channels, wherever the
# time encoding is: after every `Down` and every `Up`.
#
# The assignment's table has ten rows. Both tables here have an eleventh, the *null
# label*: no digit in particular.
#
# A 4 and a 9 look alike. Are their rows alike too?

# %%
unet = UNet(64, num_classes=10)  # the assignment's, now with labels
print("the U-Net's table:", tuple(unet.label_embedding.weight.shape))
rows = model.label_embedding.weight
show(rows, "the label embedding of the shipped weights")
likeness = {}
for one, other in ((4, 9), (3, 8), (0, 1)):
    cosine = torch.cosine_similarity(rows[one], rows[other], dim=0)
    likeness[one, other] = cosine.item()

# %%
ask_number(
    "How alike are the rows of 4 and 9? (1 is equal, 0 unrelated)",
    likeness[4, 9],
    tolerance=0.2,
    why="Random rows of so many numbers are unrelated, and they have stayed so. The "
        "network must tell a 4 from a 9, not find them alike.",
)
for (one, other), value in likeness.items():
    print(f"{one} and {other}: {value:.2f}")

# %%
ask_choice(
    "Why is the label (like t) added at every level, not just at the input?",
    [
        ("because t and the label would otherwise be mixed up",
         "They are added to each other, and the network still tells them apart."),
        ("because the levels have different labels", "The label is the same; each level "
         "has its own use for it."),
        ("so that each level, coarse or fine, has it at hand",
         "Yes. Added only at the input, it would likely fade among many convolutions."),
    ],
    answer=2,
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
        ("Only the input of the network.",
         "Yes. It is told the label, or the null label. The rest of the algorithm stays "
         "as it is, line by line."),
        ("The loss also compares the label with a predicted one.",
         "Nothing predicts labels. The loss still compares two noises (Eq. 14)."),
        ("Its input, and x_0: all of a batch show one digit.",
         "They need not. Each picture brings its own label, so any mix will do."),
    ],
    answer=0,
    part="11.8 c, d",
    points=1,
)
label = digits.train_labels[:1000]
given = drop_labels(label, 0.1, 10, stream(seed, "dropout"))
print("labels:", label[:16].tolist())
print("given: ", given[:16].tolist())
print(f"10, the null label: {(given == 10).float().mean():.1%}")

# %% [markdown]
# ## Train it
#
# The loop of lesson 3, now with labels: a small network, for a short time. Then
# the log of the shipped weights, which saw all 55,000 digits many times.
#
# There, the training loss is the mean over an epoch. The validation loss is that
# of the averaged weights of lesson 3, at its end. So it can be the lower one.

# %%
torch.manual_seed(seed)
config = TrainingConfig(
    epochs=1, batch_size=64, lr=2e-3, lr_schedule="cosine",
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
log = trained.log
rows = [(e["epoch"], f"{e['train_loss']:.4f}",
         f"{e['validation']['mean']:.4f}")
        for e in log if e["epoch"] in (1, 2, 5, 10, 20) or e is log[-1]]
show_table("The shipped weights", ["epoch", "train", "validation"], rows)

# %% [markdown]
# ## Does the label help?
#
# The same weights, the same noise, on pictures never trained on: the loss with
# the right label, without one, and with a wrong one. What do you expect?
#
# After ± is the standard error.

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
        ("no label, right label, wrong label",
         "Then the label would do harm even when it is right."),
        ("right label, no label, wrong label",
         "Yes. A label says what to expect. A wrong one is worse than none."),
        ("right label, wrong label, no label",
         "Then any label would help, even a wrong one."),
    ],
    answer=1 if in_order else 2,
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
right, none = log[-1]["validation"], log[-1]["validation_unlabelled"]
print(f"in the log: right {right['mean']:.4f}, none {none['mean']:.4f}")

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
how = SamplingOptions(steps=steps)
chain = draw(model, schedule, label, how, seed=seed, indices=range(10))
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
# pictures. Only the label differs. If the ten have something in common, they are
# nearer to each other than ten with noises of their own.

# %%
label = torch.arange(10)
pictures, apart = {}, {}  # apart: the mean distance between two of the ten
for name, indices in (("one noise", [0] * 10), ("ten noises", range(10))):
    chain = draw(model, schedule, label, how, seed=seed, indices=indices)
    pictures[name] = last(track(chain, steps + 1, "Drawing"))
    apart[name] = torch.pdist(pictures[name].flatten(1)).mean().item()

# %%
ask_number(
    "With one noise, how many percent nearer are the ten to each other?",
    100 - 100 * apart["one noise"] / apart["ten noises"],
    tolerance=10,
    why="A little: the noise has its say, but it is the label that makes a 0 or a 1.",
)
for name, distance in apart.items():
    print(f"ten labels, {name}: mean distance {distance:.1f}")
show_images(pictures["one noise"], "one noise, ten labels")

# %% [markdown]
# ## All ten digits
#
# Ten of every digit, saved as a grid. The classifier says how many are what we
# asked for.

# %%
label = torch.arange(10).repeat_interleave(each)
chain = draw(model, schedule, label, how,
             seed=seed, indices=range(len(label)))
drawn = last(track(chain, steps + 1, "Drawing")).cpu()
right = read(drawn) == label
ask_number(
    "Of every hundred, how many are read as asked?",
    100 * right.float().mean(),
    tolerance=4,
    why="The label is told at every step, so it is hard to miss. (ddpm-tutor evaluate "
        "counts a thousand.)",
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
# - *Fréchet distance* of two clouds, drawn digits and training digits, each a
#   point of 64 numbers in which the classifier sees it. Small is good. So few are
#   some way off by chance alone, even real ones. More so if they are not ten of
#   each digit: hence two rows of real ones;
# - *coverage*: the share of real digits with a drawn one near (all kinds there?);
# - *precision*: the share of drawn digits near a real one (do they look real?).
#
# After ± is the standard error, in brackets the range for the truth (95 %).

# %%
chain = draw(model, schedule, None, how,
             seed=seed, indices=range(len(label)))
free = last(track(chain, steps + 1, "Without labels")).cpu()
turn = torch.arange(len(label)).view(10, each).T.flatten()  # 0 to 9 in turn
real, n = load_real_digits(), len(label)
some = torch.randperm(5000, generator=stream(seed, "real"))[:n]
found = {
    "with labels": read_digits(reader.model, to_uint8(drawn[turn])),
    "real, ten of each": read_features(reader.model, real.test_features[:n]),
    "without labels": read_digits(reader.model, to_uint8(free)),
    "real, at random": read_features(reader.model, real.test_features[some]),
}
rows = []
for name, reading in found.items():
    scores = score(reading, None, real)
    frechet = f"{scores.frechet.mean:.2f} ± {scores.frechet.error:.2f}"
    rows.append((name, frechet, scores.coverage, scores.precision))

# %%
ask_choice(
    "Which is better, with labels or without?",
    [
        ("with labels: the loss is lower",
         "Yes. And you get the digit that you ask for. How real they look is below."),
        ("without: no label narrows what it draws",
         "Compare the coverage: it draws no more kinds of digits. You just can't choose."),
        ("without: with labels the digits look less real",
         "Compare the precision of the two: more of the labelled ones look real."),
    ],
    answer=0,
    part="11.8 h",
    points=1,
)

# %%
show_table(f"{n} digits each",
           ["", "Fréchet", "coverage, %", "precision, %"], rows)

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
# features), a mean over the ten labels. After ± is the standard error of its
# change. Real digits are there to compare.

# %%
asked = torch.arange(10).repeat_interleave(8)
as_asked, varieties, drawings = {}, {}, {}

def variety(reading, of):  # of each digit, (10,)
    clouds = [reading.features[of == c] for c in range(10)]
    return torch.stack([torch.pdist(cloud).mean() for cloud in clouds])

for w in ("0", "0.5", "1", "2", "5"):
    guided = SamplingOptions(guidance=float(w), steps=few_steps)
    chain = draw(model, schedule, asked, guided, seed=seed, indices=range(80))
    pictures = last(track(chain, few_steps + 1, f"w = {w}")).cpu()
    reading = read_digits(reader.model, to_uint8(pictures))
    as_asked[w] = (reading.classes == asked).float().mean()
    varieties[w] = variety(reading, asked)
    drawings[w] = pictures[asked == 2][:5]

# %%
ask_choice(
    "More guidance, from w = 1 to w = 5. What becomes of the variety?",
    [
        ("it grows", "That would need pictures which are less typical of their label."),
        ("it stays", "Compare the two rows in the table."),
        ("it shrinks", "Yes. Drawings for one label get more alike."),
    ],
    answer=2 if varieties["5"].mean() < 0.95 * varieties["1"].mean() else 1,
)

# %%
rows, of = [], torch.arange(5000) % 10
reading = read_features(reader.model, real.test_features)
as_asked["real"] = (reading.classes == of).float().mean()
varieties["real"] = variety(reading, of)
for w, each_digit in varieties.items():
    change = each_digit - varieties["1"]
    error = change.std() / len(change) ** 0.5
    rows.append((w, f"{as_asked[w]:.0%}", f"{each_digit.mean():.1f}",
                 "" if w == "1" else f"{change.mean():.1f} ± {error:.1f}"))
show_table("Guidance",
           ["w", "read as asked", "variety", "change from w = 1"], rows)
for w in ("0", "1", "5"):
    show_images(drawings[w], f"w = {w}, asked for a 2")

# %% [markdown]
# ## Can you read x_T?
#
# Here is a tempting idea: the first noise `x_T` decides the digit, so train a
# classifier on `x_T`. From 200 noises we draw digits *without* a label, and let the
# classifier above say what they became. Then we fit a linear classifier from
# `x_T` to that.
#
# Its test is as kind as can be: the same 200 `x_T` once more, now with other z.
# We do the same with DDIM (lesson 4), on 50. DDIM has no z, so its second run
# draws the same pictures again.

# %%
x_T = normal((200, 1, 32, 32), stream(seed, "x_T"), where)
became = {}
for method, n in (("ddpm", 200), ("ddim", 50)):
    for run in (1, 2):
        few = SamplingOptions(method=method, steps=few_steps)
        chain = draw(model, schedule, None, few, seed=seed, x_T=x_T[:n],
                     indices=range(run * n, run * n + n))
        pictures = last(track(chain, few_steps + 1, f"{method}, run {run}"))
        became[method, run] = read(pictures)

def answers(x, targets):  # of a linear classifier, fitted to x and targets
    one_hot = torch.nn.functional.one_hot(targets, 10).float()
    weights = torch.linalg.pinv(x) @ one_hot
    return (x @ weights).argmax(dim=1)

# %%
ask_choice(
    "Can x_T be classified?",
    [
        ("no: the noises z of the steps decide the digit", "Yes. See the first row below: "
         "having learned what each x_T became, it reads the second run no better than by "
         "chance."),
        ("yes: the digit follows from x_T",
         "In DDIM it does. In Algorithm 2 every step adds fresh noise, which buries what "
         "x_T held."),
        ("not by a linear classifier, but by a deep one",
         "This one knows every x_T by heart. A deep one could do no better: two runs from "
         "one x_T give the same digit about as often as any two runs."),
    ],
    answer=0,
    part="11.9 b",
    points=1,
)

# %%
rows = []
for method, name in (("ddpm", "Algorithm 2"), ("ddim", "DDIM")):
    first, second = became[method, 1], became[method, 2]
    says = answers(x_T[: len(first)].cpu().flatten(1), first)
    rows.append((name, share(says == first), share(says == second)))
    print(f"{name}: the same digit in both runs: {share(first == second)} %")
pairs = became["ddpm", 1][:, None] == became["ddpm", 2]  # any two x_T
rows.append(("chance", "", f"{100 * pairs.float().mean():.1f}"))
show_table("Digits read correctly from x_T, %",
           ["", "first run (learned)", "second run"], rows)

# %% [markdown]
# ## Three kinds of randomness
#
# There are two other famous ways to draw pictures with a network.
#
# - A GAN (*generative adversarial network*) draws one vector z from N(0, I). One
#   call of its generator makes the picture.
# - A VAE (*variational autoencoder*) draws one vector z too. One call of its
#   decoder makes the picture. (In training its encoder adds noise to z as well.)

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

# %%
ask_number(
    "How many random numbers go into one 32×32 picture of DDPM (T = 1000), in thousands?",
    schedule.T * 32 * 32 / 1000,
    tolerance=30,
    why="x_T, and z from t = 1000 down to 2: a thousand pictures of noise, of 1024 pixels "
        "each. The z of a GAN or a VAE has a hundred numbers or so.",
)

# %% [markdown]
# ## A film of all ten
#
# Ten digits appear at once, each on request, with a little guidance, as a GIF.
# Outside this lesson it is `ddpm-tutor gif`, and one digit is
# `ddpm-tutor gif --digit 7`.

# %%
chain = draw(model, schedule, torch.arange(10),
             SamplingOptions(guidance=1.5, steps=4 * steps), seed=seed,
             indices=range(10))
frames = frames_of(track(chain, 4 * steps + 1, "Filming"), schedule)
_ = save_film(frames, "lesson 5 all ten digits")

# %% [markdown]
# ## Recap
#
# - A label is a learned vector, handed to every level like t.
# - A tenth of the labels is dropped in training, so one network predicts with
#   and without (Alg. 1). The label lowers the loss (Eq. 14), a wrong one raises it.
# - Guidance exaggerates what the label changes: pictures are as asked, and vary
#   less (Ho and Salimans 2022).
# - Without a label the noise of all the steps decides the digit (Alg. 2), so `x_T`
#   can't be classified. The dice of a GAN or a VAE fall once, those of DDPM T times.
#
# You have been through the heart of the paper. (Left out: coding, most of §4.3,
# and interpolation, §4.4.) Now break things: every parameter has a `--set`, and
# the package is short enough to read in an evening.
