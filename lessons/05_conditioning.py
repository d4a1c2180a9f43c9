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
# The shipped weights were trained with labels. Name your own, if they were too, with
# `--set checkpoint=runs/mnist/weights.safetensors`. Fresh ones draw worse digits:
# each step says what it finds in yours.
#
# To save time the experiments take 40 of the 1000 steps, evenly spread, with
# `σ² = β̃'` and the guess of `x_0` kept in [-1, 1], as in lesson 4.

# %% tags=["parameters"]
checkpoint = ""  # empty: the shipped weights
seed = 0
steps = 40  # of the 1000, from 2 to 1000
each = 10  # pictures of each digit, from 2 to 100
held_out = 1000  # pictures never trained on, for the losses, from 20 to 5000
train_steps = 100  # of a small network with labels, from 1 to 10,000
device = "auto"  # auto, cpu, cuda or mps

# %%
from pathlib import Path
import torch

from ddpm_tutor import (
    TutorError, choose_device, load_checkpoint, load_digits, losses_by_t,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, note, say, show, show_download, show_images,
    show_table, so_far, track,
)

# %%
where = choose_device(device)
trained = load_checkpoint(Path(checkpoint) if checkpoint else None, where)
if not trained.conditional:
    raise TutorError("These weights were trained without labels, and this "
                     "lesson is about labels. Leave out --set checkpoint.")
model, schedule = trained.model, trained.schedule
digits = load_digits(progress=show_download)
print(f"{digits.source}; on {where}")

# %% [markdown]
# ## A label is a vector
#
# Like t, the label becomes a vector. This one is not computed but learned: a
# table with one row for each digit, called an *embedding*. The assignment's table
# has ten rows. Ours has an eleventh, the *null label*: no digit in particular.
#
# A 4 and a 9 look alike. Are their rows alike too?
#
# Then press `c` to change them. Try `label_2 = 10`, the null label, and say first
# how alike the two will be.

# %% tags=["change"]
label_1 = 4  # from 0 to 10
label_2 = 9  # another, from 0 to 10

# %%
if not {label_1, label_2} <= {*range(11)}:
    raise ValueError("label_1 and label_2 must be from 0 to 10")
rows = model.label_embedding.weight.detach()
show(rows, "the label embedding of these weights")
two = rows[label_1], rows[label_2]
cosine = torch.cosine_similarity(*two, dim=0).item()
ask_number(
    "How alike are the rows of these two labels? (1 is equal, 0 unrelated)",
    cosine,
    tolerance=0.2,
    why="The rows of two digits that look alike need not be alike.",
)

# %%
by_chance = rows.shape[1] ** -0.5  # as far from 0 as random rows are
tried = so_far("rows", f"{label_1} and {label_2}", cosine)
show_table("How alike", ["rows", "cosine"],
           [(names, f"{value:.2f}") for names, value in tried.items()])
say(f"Random rows of {rows.shape[1]} numbers are unrelated, give or take {by_chance:.2f}. "
    + f"Those of {label_1} and {label_2} "
    + ("began so and have stayed so. The network must tell them apart, not find them alike."
       if abs(cosine) < 3 * by_chance else "are further from 0 than chance would have it."))

# %% [markdown]
# ## At every level
#
# In the assignment's U-Net the first C numbers of a row are added to a map of C
# channels, wherever the time encoding is: after every `Down` and every `Up`.

# %%
from ddpm_tutor import UNet
unet = UNet(64, num_classes=10)  # with our null label as well
print("its table:", tuple(unet.label_embedding.weight.shape))
ask_choice(
    "Why is the label (like t) added at every level, not just at the input?",
    [
        ("because t and the label would otherwise be mixed up",
         "They are added to each other, and the network still tells them apart."),
        ("because attention, at coarse levels only, needs it",
         "Attention lets places of a picture look at each other. It needs no label of its "
         "own, and the fine levels use the label without it."),
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
# Each picture of the data has its label. One network is to draw the digit that we
# ask for, and any digit where we ask for none. How would you train it?

# %%
ask_choice(
    "What changes in Algorithm 1 when the network is trained with labels?",
    [
        ("Only the input of the network.",
         "Yes. The rest of the algorithm stays as it is, line by line."),
        ("The loss: it compares labels, too.",
         "Nothing predicts labels. The loss still compares two noises (Eq. 14)."),
        ("Its input, and x_0: one digit a batch.",
         "They need not. Each picture brings its own label, so any mix will do."),
    ],
    answer=0,
    part="11.8 c, d",
    points=1,
)

# %%
from ddpm_tutor import drop_labels, stream
say("The network is told the label too: ε_θ(x_t, t, label). But a tenth of the labels, at "
    "random, is replaced by the null label. So the same weights also learn to draw without "
    "being told what.")
label = digits.train_labels[:1000]
given = drop_labels(label, 0.1, 10, stream(seed, "dropout"))
print("labels:", label[:16].tolist())
print("given: ", given[:16].tolist())
print(f"10, the null label: {(given == 10).float().mean():.1%}")

# %% [markdown]
# ## Train it
#
# The loop of lesson 3, now with labels: a small network, for a short time. We ask it
# at once: how much larger is its loss if it is told a wrong label? Then we throw it
# away, and go on with the weights that saw all digits many times.

# %%
from ddpm_tutor import LeanUNet, TrainingConfig, TrainingState, train
torch.manual_seed(seed)
config = TrainingConfig(epochs=1, batch_size=64, lr=2e-3,
                        lr_schedule="cosine", warmup_steps=20, seed=seed)
some = torch.arange(64 * train_steps) % len(digits.train_images)
start = TrainingState.start(LeanUNet(32, num_classes=10).to(where), config)
loop, losses = train(start, schedule, digits.train_images[some],
                     digits.train_labels[some], config), []
for step in track(loop, train_steps, "Training"):
    losses.append(step.loss)
    note(f"loss {step.loss:.4f}")

def mean_and_error(more):  # of losses, which come in the order of t
    return more.mean(), (more.diff().square().mean() / 2 / len(more)).sqrt()

images = digits.validation_images[:held_out // 2]
right = digits.validation_labels[:held_out // 2]
_, with_right = losses_by_t(start.model, schedule, images, right)
_, with_wrong = losses_by_t(start.model, schedule, images, (right + 1) % 10)
costs, error = mean_and_error(with_wrong - with_right)
first, now = (sum(ten) / len(ten) for ten in (losses[:10], losses[-10:]))

# %%
ask_choice(
    "So short a training: does the small network listen to the label by now?",
    [
        ("no: it has only learned what noise looks like",
         "A wrong label would then change its loss no more than chance does. See ± below."),
        ("yes, a little: it is some of what it has learned",
         "Yes. First it learns what all digits have in common."),
        ("yes: the label is most of what it has learned",
         "Then a wrong label would cost it most of that."),
    ],
    answer=0 if costs <= 2 * error else 1 if costs < (first - now) / 2 else 2,
)
print(f"loss: first {first:.4f}, now {now:.4f}. A wrong label costs it "
      f"{costs:.5f} ± {error:.5f}")

# %%
log = trained.log
rows = [(e["epoch"], f"{e['train_loss']:.4f}",
         f"{e['validation']['mean']:.4f}")
        for e in log if e["epoch"] in (1, 5, 20) or e is log[-1]]
if log:
    show_table("The weights we go on with",
               ["epoch", "train", "validation"], rows)
say("The training loss is a mean over an epoch. The validation loss, of the averaged weights "
    "at its end, can be the lower one." if log else "These weights came without a log.")

# %% [markdown]
# ## Does the label help?
#
# The same weights, the same noise, on pictures never trained on: the loss with
# the right label, without one, and with a wrong one.
#
# The mean over all t would hide something. So we take small, middle and large t
# apart. After ± is the standard error.

# %%
images = digits.validation_images[:held_out]
labels = digits.validation_labels[:held_out]
told = {"right": labels, "none": None, "wrong": (labels + 1) % 10}
by_t = {}
for name in track(told, 3, "Losses"):
    t, by_t[name] = losses_by_t(model, schedule, images, told[name])

# %%
ask_choice(
    "At which t does the right label take most off the loss of well trained weights?",
    [
        ("at small t: there the details are drawn",
         "One can see what it is, so the label tells little that is new."),
        ("in the middle: there the shape is settled",
         "Yes. The digit can't be seen for sure, and how it looks still counts."),
        ("at large t: there little else is known",
         "True, but x_t is nearly all noise, so naming the noise is easy: there is little "
         "loss to save."),
    ],
    answer=1,
)

# %%
bands = {"1 to 200": t <= 200, "201 to 800": (t > 200) & (t <= 800),
         "801 to 1000": t > 800, "all": t > 0}
loss, more = {}, {}
for band, at in bands.items():
    loss[band] = by_t["right"][at].mean()
    more[band] = [mean_and_error((by_t[name] - by_t["right"])[at])
                  for name in ("none", "wrong")]
rows = [(band, f"{loss[band]:.5f}",
         *(f"{extra:.5f} ± {error:.5f}" for extra, error in more[band]))
        for band in bands]
show_table(f"Loss, {len(images)} pictures",
           ["t", "right label", "more without", "more with a wrong"], rows)
clear = [extra > 2 * error for extra, error in more["all"]]
saved = {band: pair[0][0].item() for band, pair in more.items()}
best = max(list(bands)[:3], key=saved.get)
say("Over all t the loss is higher without a label, and with a wrong one too."
    if all(clear) else "Over all t a wrong label raises the loss. Without one it is not "
    "clearly higher." if clear[1] else "Over all t a wrong label does not clearly raise "
    "the loss: these weights hardly listen." + (
        " Any label will do, a wrong one too." if clear[0] else
        " Without any label it is even lower." if saved["all"] < -2 * more["all"][0][1]
        else ""))
say(f"The right label saves most at t = {best}: {saved[best]:.5f} of "
    f"{loss[best] + saved[best]:.5f}." if clear[1] and saved[best] > 0 else
    "They have not learned what a label says, so the question was about others.")

# %% [markdown]
# ## A 3, please
#
# `draw` is Algorithm 2, here on 40 steps, with the label handed to the network
# at each step. Ten pictures, ten different noises, one label.
#
# Are they what we asked for? We let the classifier read them: a small network that
# comes with the package. It was trained on real digits only.

# %%
from ddpm_tutor import (
    SamplingOptions, draw, last, load_classifier, read_digits, to_uint8,
)
reader = load_classifier(where)
print(f"it reads {reader.test} % of {reader.test.of:,} test digits correctly")

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
    why="The label decides the digit, the noise decides the handwriting."
        if (read(threes) == 3).sum() >= 8 else
        "The label alone does not do it: see what these weights draw.",
    part="11.8 e",
    points=1,
)

# %%
show_images(threes, "ten times a 3, and what each is read as",
            [str(c) for c in read(threes).tolist()])

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
    why="Pictures with nothing in common would give about 0, equal pictures 100. "
        + ("The noise has its say, but most of the distance comes with the label alone."
           if apart["one noise"] > 0.5 * apart["ten noises"] else
           "In these weights the noise has more say than the label."),
)
for name, distance in apart.items():
    print(f"ten labels, {name}: mean distance {distance:.1f}")
show_images(pictures["one noise"], "one noise, ten labels")

# %% [markdown]
# ## All ten digits
#
# Equally many of every digit, saved as a grid. The classifier says how many are what we
# asked for. We name the noises `x_T`: they will be needed again.

# %%
from ddpm_tutor import normal
from ddpm_tutor.classroom.tools import save_grid
label = torch.arange(10).repeat_interleave(each)
n = len(label)
x_T = normal((n, 1, 32, 32), stream(seed, "x_T"), where)
chain = draw(model, schedule, label, how,
             seed=seed, indices=range(n), x_T=x_T)
drawn = last(track(chain, steps + 1, "Drawing")).cpu()
right = read(drawn) == label
ask_number(
    "Of every hundred, how many are read as asked?",
    100 * right.float().mean(),
    tolerance=4,
    why=("The label is told at every step, so it is hard to miss. "
         if right.float().mean() > 0.9 else
         "These weights miss it often: they have not learned the label well. ")
        + "(ddpm-tutor evaluate counts a thousand.)",
    part="11.8 f",
    points=1,
)

# %%
ask_choice(
    "In the grid, what do the pictures of one row share?",
    [
        ("the label", "Yes. One row, one label, different noises, different handwritings."),
        ("the noise", "Each picture has noise of its own. That was the step before."),
        ("both", "Then the ten would be the same picture."),
    ],
    answer=0,
    part="11.8 g",
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
             seed=seed, indices=range(n), x_T=x_T)
free = last(track(chain, steps + 1, "Without labels")).cpu()
turn = torch.arange(n).view(10, each).T.flatten()  # 0 to 9 in turn
from ddpm_tutor import load_real_digits, read_features, score
real = load_real_digits()
some = torch.randperm(5000, generator=stream(seed, "real"))[:n]
found = {
    "with labels": read_digits(reader.model, to_uint8(drawn[turn])),
    "real, ten of each": read_features(reader.model, real.test_features[:n]),
    "without labels": read_digits(reader.model, to_uint8(free)),
    "real, at random": read_features(reader.model, real.test_features[some]),
}
scores = {name: score(reading, None, real) for name, reading in found.items()}

# %%
ask_choice(
    "Say the loss is lower with the right label. Which then draws better digits?",
    [
        ("with labels: a lower loss means better pictures",
         "Not that alone. The loss is lower because the network is told more. How the "
         "pictures look has to be measured on pictures."),
        ("without: no label narrows what it draws",
         "Compare the coverage: are there kinds of digits that the labels leave out?"),
        ("the loss can't say: measure the pictures",
         "Yes. The loss is lower because the network is told more. Whether the pictures "
         "are better, the table says. And with labels you can ask for a digit."),
    ],
    answer=2,
    part="11.8 h",
    points=1,
)

# %%
from ddpm_tutor import difference
rows = [(name, f"{s.frechet.mean:.2f} ± {s.frechet.error:.2f}", s.coverage,
         s.precision) for name, s in scores.items()]
show_table(f"{n} digits each",
           ["", "Fréchet", "coverage, %", "precision, %"], rows)
told, free_of_it = scores["with labels"], scores["without labels"]
verdicts = []
for name, of_told, of_free in (
        ("Coverage", told.coverage, free_of_it.coverage),
        ("Precision", told.precision, free_of_it.precision)):
    more = difference(of_told, of_free)
    so = "so labels help" if more.value > 0 else "so labels do harm"
    verdicts.append(f"{name}, with labels minus without: {more} points, "
                    + (so if more.is_clear else "which may be chance"))
say(". ".join(verdicts) + "." + (
    " But by the Fréchet distance both are far from real digits. Precision alone would not "
    "tell: the classifier knows nothing but digits, and takes much for one, even noise."
    if told.frechet.mean > 5 * scores["real, ten of each"].frechet.mean
    and free_of_it.frechet.mean > 5 * scores["real, at random"].frechet.mean else ""))

# %% [markdown]
# ## What guidance does
#
# The network makes two predictions: with the label, and with the null label.
# *Classifier-free guidance* exaggerates their difference (Ho and Salimans 2022):
#
#     ε = ε(no label) + w · (ε(label) - ε(no label))
#
# w = 0 ignores the label, w = 1 is the plain conditional network. Then press `c` to change
# it. Try `w = 1.0`, and say first what comes of it. (They write 1 + w for our w.)
#
# Why does it work? The best prediction of the noise points down the slope of log p.
# With Bayes' rule, `p(x_t | label) ∝ p(x_t) p(label | x_t)`:
#
#     ε(no label) = -√(1 - ᾱ_t) ∇ log p(x_t)
#     ε(label) - ε(no label) = -√(1 - ᾱ_t) ∇ log p(label | x_t)
#     together:  ε = -√(1 - ᾱ_t) ∇ log [p(x_t) · p(label | x_t)^w]

# %% tags=["change"]
w = 5.0  # from 0 to 20; --guidance in the commands, g in exercise 14

# %%
if not 0 <= w <= 20:
    raise ValueError("w must be from 0 to 20.")
ask_number(
    "One picture is a 2 with probability 0.9, another with 0.6. By p(2 | x) alone the "
    "first is favoured 1.5 times. How many times with this w?",
    1.5**w,
    tolerance=round(max(0.2, 1.5**w / 8), 1),
    why="1.5 to the power of w. With a large w pictures that are a 2 beyond doubt are "
        "favoured, and odd ones, which could be something else, die out.",
)

# %%
colours = torch.tensor([-1.0, 1.0])  # of x_0, one pixel: black or white
fits = torch.tensor([0.3, 0.9])  # p(label | x_0) of the two
a = schedule.alpha_bar[500].float().cpu()
x = torch.linspace(-2, 2, 9, requires_grad=True)  # x_t
eps = (x[:, None] - a.sqrt() * colours) / (1 - a).sqrt()  # for each x_0
bell = torch.exp(-eps**2 / 2)  # how likely x_t is from each

def best(weight):  # the mean of ε over what x_0 may have been
    return (eps * bell * weight).sum(1) / (bell * weight).sum(1)

guided = best(1) + w * (best(fits) - best(1))
p, p_label = bell.sum(1), (bell * fits).sum(1) / bell.sum(1)
slope, = torch.autograd.grad((p.log() + w * p_label.log()).sum(), x)
off = (guided + (1 - a).sqrt() * slope).abs().max()
favoured = 1.5**w
odd = 100 / (1 + favoured)  # of the two pictures, if p(x) is the same
row = (f"{favoured:.3g}", f"{odd:.2g} %", f"{off:.0e}")
tried = so_far("guidance", f"{w}", row)
show_table("Two pictures; and both sides of the last line, for one pixel",
           ["w", "times favoured", "share of the other", "sides differ by"],
           [(name, *row) for name, row in tried.items()])

# %% [markdown]
# ## Guidance
#
# Now with digits. We have drawn them with w = 1, and without labels: that is w = 0.
# From the same noises we draw them with w = 5.
#
# We count how many are read as asked, and how sure of it the classifier is: the
# mean of its p(label | picture). And we measure variety: the distance between two
# drawings for one label, in what the classifier sees of them (its 64 features), a
# mean over the ten labels. After ± is the standard error of its change. Real digits
# are there to compare.

# %%
chain = draw(model, schedule, label,
             SamplingOptions(guidance=5.0, steps=steps),
             seed=seed, indices=range(n), x_T=x_T)
guided = last(track(chain, steps + 1, "w = 5")).cpu()
drawings = {"0": free, "1": drawn, "5": guided}
readings = {w: read_digits(reader.model, to_uint8(pictures))
            for w, pictures in drawings.items()}
readings["real"] = read_features(reader.model, real.test_features)

def variety(reading, of):  # of each digit, (10,)
    clouds = [reading.features[of == c] for c in range(10)]
    return torch.stack([torch.pdist(cloud).mean() for cloud in clouds])

of = {w: label for w in drawings} | {"real": torch.arange(5000) % 10}
varieties = {w: variety(reading, of[w]) for w, reading in readings.items()}
change = varieties["5"] - varieties["1"]
twice_error = 2 * change.std() / len(change) ** 0.5

# %%
ask_choice(
    "More guidance, from w = 1 to w = 5. What becomes of the variety?",
    [
        ("it grows", "That would need pictures which are less typical of their label."),
        ("it stays", "Compare the change from w = 1 in the table with twice its error."),
        ("it shrinks", "Yes. Odd drawings die out, and those for one label get more alike."),
    ],
    answer=2 if change.mean() < -twice_error else
    0 if change.mean() > twice_error else 1,
)

# %%
from ddpm_tutor import share
rows = []
for w, reading in readings.items():
    as_asked = share(reading.classes == of[w]).value
    sure = reading.probabilities.gather(1, of[w][:, None]).mean()
    more = varieties[w] - varieties["1"]
    rows.append((w, f"{100 * as_asked:.1f}", f"{sure:.3f}",
                 f"{varieties[w].mean():.1f}", "" if w == "1" else
                 f"{more.mean():.2f} ± {more.std() / len(more) ** 0.5:.2f}"))
show_table(f"Guidance, {n} digits each (real: 5000)",
           ["w", "as asked, %", "how sure", "variety", "from w = 1"], rows)
hits = {w: readings[w].classes == label for w in ("1", "5")}  # same noises
gained = (hits["5"] & ~hits["1"]).sum().item()
lost = (hits["1"] & ~hits["5"]).sum().item()
say((f"From w = 1 to w = 5, {gained} of {n} become what was asked, and {lost} no longer are."
     if gained or lost else f"All {n} are as asked, with w = 1 and with w = 5."
     if hits["1"].all() else f"Of {n}, the same ones are as asked with w = 1 and with w = 5.")
    + " The variety "
    + ("shrinks for sure." if change.mean() < -twice_error else
       "grows for sure." if change.mean() > twice_error else
       "does not change for sure: see ±."))
twos = [drawings[w][label == 2][:5] for w in ("1", "5")]
show_images(torch.cat(twos), "asked for a 2",
            ["w = 1"] * len(twos[0]) + ["w = 5"] * len(twos[1]))

# %% [markdown]
# ## Can you read x_T?
#
# Here is a tempting idea: the first noise `x_T` decides the digit, so train a
# classifier on `x_T`. We have drawn digits *without* a label, and the classifier
# above says what they became. We fit a linear classifier from `x_T` to that.
#
# Its test is as kind as can be: the same `x_T` once more, now with other z. We do
# the same with DDIM (lesson 4), on a quarter of them. DDIM has no z, so its second
# run draws the same pictures again.

# %%
became = {("ddpm", 1): found["without labels"].classes}
for method, run in (("ddpm", 2), ("ddim", 1), ("ddim", 2)):
    m = n if method == "ddpm" else n // 4
    other = SamplingOptions(method=method, steps=steps)
    chain = draw(model, schedule, None, other, seed=seed, x_T=x_T[:m],
                 indices=range(run * n, run * n + m))
    pictures = last(track(chain, steps + 1, f"{method}, run {run}"))
    became[method, run] = read(pictures)

def answers(x, targets):  # of a linear classifier, fitted to x and targets
    one_hot = torch.nn.functional.one_hot(targets, 10).float()
    weights = torch.linalg.pinv(x) @ one_hot
    return (x @ weights).argmax(dim=1)

# %%
ask_choice(
    "Can a classifier tell from x_T which digit Algorithm 2 will draw?",
    [
        ("no: the noises z of the steps decide the digit", "Yes. See the first row below: "
         "it knows what each x_T became in the first run, and the second is another draw."),
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
chance = pairs.float().mean().item()
rows.append(("chance", "", f"{100 * chance:.1f}"))
show_table("Digits read correctly from x_T, %",
           ["", "first run (learned)", "second run"], rows)
say("The first run is known by heart: 1024 weights for each digit fit so few x_T exactly.")
low, high = rows[0][2].interval
say("Nearly all that these weights draw is read as one digit, so there is nothing that x_T "
    "could tell." if chance > 0.9 else
    "Of Algorithm 2 the second run is read no better than chance, as far as "
    f"{n} can tell." if low <= chance <= high else
    "The second run of Algorithm 2 is off from chance. By chance alone one seed in twenty "
    "is: try another.")

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
    "You keep the first noise, z or x_T, and draw again. Who draws the same picture?",
    [
        ("only the GAN", "The VAE too. Its encoder adds noise in training, but its decoder "
         "draws nothing: one z, one picture."),
        ("GAN and VAE", "Yes. All their chance is in one z. DDPM draws a fresh z at "
         "every step as well, T pictures full of noise. (DDIM does not: it is like the other "
         "two.)"),
        ("all three", "DDPM does not. To get its picture again you would have to keep the z "
         "of every step."),
    ],
    answer=1,
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
# Ten digits appear at once, each on request, with a little guidance, as a film.
# Outside this lesson it is `ddpm-tutor gif`, and one digit is
# `ddpm-tutor gif --digit 7`.
#
# Then five of them twice, from the same noises: with w = 1 and with w = 5.

# %%
from ddpm_tutor.classroom.tools import frames_of, save_film
chain = draw(model, schedule, torch.arange(10),
             SamplingOptions(guidance=1.5, steps=3 * steps), seed=seed,
             indices=range(10))
frames = frames_of(track(chain, 3 * steps + 1, "Filming"), schedule)
_ = save_film(frames, "lesson 5 all ten digits")

# %%
from ddpm_tutor.classroom.tools import show_runs
runs = {}
for w in (1, 5):
    chain = draw(model, schedule, torch.arange(5),
                 SamplingOptions(guidance=w, steps=steps), seed=seed,
                 indices=range(5))
    frames = track(chain, steps + 1, f"w = {w}")
    runs[f"w = {w}"] = list(frames_of(frames, schedule))
show_runs(runs)

# %% [markdown]
# ## Recap
#
# - A label is a learned vector, handed to every level like t.
# - A tenth of the labels is dropped in training, so one network predicts with
#   and without (Alg. 1). Well trained weights have a lower loss with the right label
#   (Eq. 14), most of all at middle t, and a higher one with a wrong label.
# - Guidance exaggerates the label, at each t: `p(x_t) · p(label | x_t)^w` (Ho, Salimans 2022).
#   Well trained weights then draw pictures that are surer, and more alike.
# - Without a label the noise of all the steps decides the digit (Alg. 2), so `x_T`
#   can't be classified. The dice of a GAN or a VAE fall once, those of DDPM T times.
#
# You have been through the heart of the paper. Lesson 6 takes up the bound in full
# and bits/dim (Eq. 3, 5, 13), lesson 7 lossy coding and Eq. 16 (§4.3), lesson 8 Langevin
# dynamics (§3.2), lesson 9 the mixing of two pictures (§4.4), lesson 10 what came after.
# And break things: every lesson has parameters to change, and the package is short
# enough to read in an evening.
