# %% [markdown]
# # Lesson 3 · Training the noise predictor
#
# **Goal:** at the end you can read the network block by block, write
# Algorithm 1 from memory, and judge a loss curve. You will have trained one.
#
# **You need:** lessons 1 and 2.
#
# **Paper:** §3.2, 3.4, 4, App. B · Eq. 14, Alg. 1
#
# **Time:** 25 min
#
# Lesson 2 ended with the network's task. Now we need the network, and a way to
# train it.

# %% [markdown]
# ## Setting up
#
# `steps` says how long the training in this lesson takes. On two CPU cores
# 500 steps take about a minute. Give it more if you like:
# `--set steps=3000`.

# %% tags=["parameters"]
steps = 500  # training steps, at least 1
batch_size = 64  # pictures in each
seed = 0
device = "auto"  # auto, cpu, cuda or mps

# %%
from collections import Counter
from itertools import islice, pairwise
import time
import torch
from torch.utils.flop_counter import FlopCounterMode

from ddpm_tutor import (
    DoubleConv, Down, LeanUNet, SamplingOptions, SelfAttention,
    TrainingConfig, TrainingState, UNet, Up, choose_device, draw, last,
    linear_schedule, load_checkpoint, load_classifier, load_digits,
    load_film_strip, load_real_digits, loss_simple, losses_by_t, normal,
    q_sample, q_step, read_digits, stream, time_encoding, to_unit_range,
    train, validation_loss,
)
from ddpm_tutor.classroom.tools import (
    ask_choice, ask_number, figure, loss_curve, moment_name, note, save_strip,
    show, show_download, show_images, show_table, track,
)

# %%
where = choose_device(device)
schedule = linear_schedule()
digits = load_digits(progress=show_download)
print(f"{digits.source}; computing on {where}")

# %% [markdown]
# ## The network
#
# This tutor follows a university assignment. Here is the assignment's network,
# untrained. Do you remember what it is for?

# %%
ask_choice(
    "What goes into the network, and what comes out?",
    [
        ("x_0 and t go in, the noisy x_t comes out",
         "That is Eq. 4. It needs no network."),
        ("x_t and t go in, the picture x_{t-1} comes out",
         "x_{t-1} is computed afterwards, from the predicted noise (Eq. 11, lesson 4)."),
        ("x_t and t go in, the noise comes out",
         "Yes. For each pixel it says how much noise is there. The paper writes this "
         "ε_θ(x_t, t), where θ are the weights. The guess of x_0 follows (Eq. 15)."),
    ],
    answer=2,
    part="11.4 c",
    points=3,
)

# %%
torch.manual_seed(seed)
unet = UNet(width=64)
two = torch.randn(2, 1, 32, 32)  # in place of two noisy pictures
eps_theta = unet(two, torch.tensor([10, 900]))
count = sum(p.numel() for p in unet.parameters())
print(f"in {tuple(two.shape)}, out {tuple(eps_theta.shape)}")
print(f"{count:,} weights")

# %% [markdown]
# ## Its shape is a U
#
# On the way down it halves the side of the picture three times and makes more
# channels: less *where*, more *what*. On the way up it does the opposite. A
# *skip connection* hands each size over from the way down, so that fine detail
# is not lost at the bottom.
#
# We ask every block for the shape of what it gives back.

# %%
rows = []
def report(name):
    def hook(block, given, out):
        shape = "×".join(str(n) for n in out.shape[1:])
        rows.append((name, type(block).__name__, shape))
    return hook

hooks = [b.register_forward_hook(report(n)) for n, b in unet.named_children()]
_ = unet(two, torch.tensor([10, 900]))
for hook in hooks:
    hook.remove()
show_table("The blocks, as they are called", ["name", "block", "C×H×W"], rows)
called = [name for name, *_ in rows]

# %% [markdown]
# ## Four kinds of blocks
#
# - `DoubleConv`: two 3×3 convolutions. Each pixel sees its neighbours.
# - `Down`: keeps the largest of 2×2 pixels, then convolves.
# - `Up`: doubles the side, puts the skip beside it, then convolves.
# - `SelfAttention`: every pixel looks at every other one. It can connect the two
#   ends of a stroke. Twice the side would be sixteen times as many pairs, so it
#   is used at 8×8 and 4×4 only. (The paper has it at 16×16, Section 4.)
#
# Press `s` to read their source; all of them fit on a page or two. Below is
# where the weights are, and where the time goes: the billions of operations
# (GFLOP) of one call for one picture. Most of both is on the way up. We come
# back to that.

# %%
kinds = (DoubleConv, Down, Up, SelfAttention)
with FlopCounterMode(display=False) as flops, torch.no_grad():
    unet(two[:1], torch.tensor([10]))
total, by_block = flops.get_total_flops(), flops.get_flop_counts()
rows = []
for name in called:
    block = unet.get_submodule(name)
    weights = sum(p.numel() for p in block.parameters())
    cost = sum(by_block[f"UNet.{name}"].values())
    rows.append((name, f"{weights:,}", f"{weights / count:.1%}",
                 f"{cost / 1e9:.2f}", f"{cost / total:.1%}"))
show_table("Weights, and operations of one call for one picture",
           ["block", "weights", "share", "GFLOP", "share"], rows)

# %% [markdown]
# ## Not the picture alone
#
# The network is given a vector too, of sines and cosines, from fast waves to
# very slow ones (Section 4). It is added to the feature map after every `Down`
# and every `Up`.
#
# The formula was made for networks that read texts. There it says at which place
# a word stands. Hence its name, *positional encoding*.

# %%
ask_choice(
    "What does the \"positional\" encoding of this network encode?",
    [
        ("the time step t, and so the share of noise",
         "Yes. One network serves all t, so it must be told which."),
        ("the place of each pixel in the picture",
         "Then it would differ from pixel to pixel. It is one vector per picture."),
        ("the place of the picture in the batch",
         "Then a picture's place in the batch would change what is seen in it."),
    ],
    answer=0,
    part="11.4 b",
    points=2,
)

# %% [markdown]
# ## Telling it the time
#
# A picture at t = 10 and one at t = 900 need very different treatment. So t
# becomes a vector, the *time encoding*.
#
# Multiply the vectors of two times, number by number, and add up. We divide by
# 64, so that equal vectors have 1. Neighbours are alike, distant times less so.

# %%
t = torch.arange(1, 1001)
encoding = time_encoding(t, 128)  # (1000, 128)
with figure(7, 3.6) as (picture, (axis,)):
    waves = axis.imshow(encoding.T, aspect="auto", cmap="RdBu",
                        extent=(1, 1000, 127, 0))
    axis.set(xlabel="t", ylabel="channel", title="Sines, then cosines")
    picture.colorbar(waves)
show(picture, "lesson 3 time encoding")
for other in (501, 510, 550, 1000):
    alike = encoding[499] @ encoding[other - 1] / 64
    print(f"t = 500 and {other:4}: {alike:.2f}")

# %% [markdown]
# ## Why the noise, and not the picture before?
#
# Sampling will need `x_{t-1}` from `x_t`. So why not let the network predict that?
# Because most of `x_{t-1}` is `x_t`: it would have to copy its input, and the little
# that matters would drown. The noise is the part that it must really find.
#
# The paper let it predict ε, or the mean of `x_{t-1}` (Table 2). FID is a distance
# from real pictures: smaller is better. With the weights of Eq. 8 and 12 in the
# loss they are alike: 13.51 and 13.22. Without them (Eq. 14, our loss below), ε
# reaches 3.17, and with the mean the training was unstable.

# %%
x_0 = to_unit_range(digits.train_images[:100])
t = torch.full((100,), 300)
before = q_sample(schedule, x_0, t - 1, torch.randn(x_0.shape))
after = q_step(schedule, before, t, torch.randn(x_0.shape))
copied = (after - before).square().mean() / before.var()
print(f"copying x_300 is wrong about x_299 by {copied:.1%} of its variance")

# %% [markdown]
# ## A leaner network
#
# The assignment's network needs 2.95 billion operations for one picture, and
# sampling calls it 1000 times. The weights that come with this package belong
# to a leaner one. Like the paper's own (App. B) it is built of residual blocks:
# each adds something to what it is given. (At first it adds nothing: the last
# convolution of each block starts at zero.)

# %%
rows = []
for net in (UNet(64), LeanUNet(64)):
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        net(two[:1], torch.tensor([10]))
    started = time.perf_counter()
    with torch.no_grad():
        for _ in range(10):
            net(two[:1], torch.tensor([10]))
    ms = (time.perf_counter() - started) * 100
    weights = sum(p.numel() for p in net.parameters())
    rows.append((type(net).__name__, f"{weights / 1e6:.1f} M",
                 f"{flops.get_total_flops() / 1e9:.2f}", f"{ms:.1f} ms"))
show_table("One call, one picture", ["", "weights", "GFLOP", "here"], rows)

# %% [markdown]
# ## What a convolution costs
#
# Nearly all operations are in convolutions. A 3×3 convolution makes each of its
# outputs from 9 pixels of every input channel, with a product and a sum for each:
#
#     operations = 2 · 9 · C_in · C_out · H · W

# %%
def gflop(side):
    conv = torch.nn.Conv2d(64, 64, 3, padding=1)
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        conv(torch.zeros(1, 64, side, side))
    return flops.get_total_flops() / 1e9

print(f"64 to 64 channels at 32×32: {gflop(32):.4f} GFLOP")
ask_number(
    "The same convolution at 16×16: how many GFLOP?",
    gflop(16),
    tolerance=0.001,
    why="Half the side is a quarter of the pixels. The channels would do the same: "
        "half of them, in and out, and a quarter is left.",
)

# %% [markdown]
# ## Where the saving is
#
# So a lean network works on small maps, and with few channels.
#
# - *Folding.* The first step folds 2×2 pixels into channels: no map at 32×32.
# - *Narrowing first.* On the way up, the assignment's blocks convolve the map
#   and its skip at full width, and narrow later. The lean ones narrow at once.
# - *Fewer channels* deep down: 96 and 128, where the assignment's has 256.
# - *Scale and shift.* t scales and shifts the middle of each block (Dhariwal and
#   Nichol 2021), instead of being added after it. That costs next to nothing.

# %%
def count_in(sides, up):
    def hook(conv, given, out):
        cost = 2 * out[0].numel() * conv.weight[0].numel() / 1e9
        sides[out.shape[-1]] += cost
        sides["the way up"] += cost * up
    return hook

rows, lean = [], LeanUNet(64)
for net in (UNet(64), lean):
    sides = Counter()
    for name, block in net.named_modules():
        if isinstance(block, torch.nn.Conv2d):
            block.register_forward_hook(count_in(sides, "up" in name))
    _ = net(two[:1], torch.tensor([10]))
    rows.append((type(net).__name__, *(sides[n] for n in (32, 16, 8, 4)),
                 sides["the way up"]))
show_table("GFLOP of the convolutions, by the side of the map",
           ["", "32", "16", "8", "4", "on the way up"], rows)
modulation = 2 * lean.to_modulation.weight.numel() / 1e9
print(f"all scales and shifts: {modulation:.3f} GFLOP")

# %% [markdown]
# ## Algorithm 1, line by line
#
#     1  repeat
#     2    x_0 ~ q(x_0)
#     3    t ~ Uniform({1, ..., T})
#     4    ε ~ N(0, I)
#     5    a gradient step on ‖ε - ε_θ(√ᾱ_t x_0 + √(1-ᾱ_t) ε, t)‖²
#     6  until converged
#
# Read `~` as "is drawn from".

# %%
ask_choice(
    "Where does x_0 in line 2 of Algorithm 1 come from?",
    [
        ("from the network", "The network only predicts noise, and only in line 5."),
        ("it is drawn from N(0, I)", "That is ε, in line 4."),
        ("from the training data", "Yes. q(x_0) is the data, here the digits."),
    ],
    answer=2,
    part="11.5 a",
    points=1,
)

# %% [markdown]
# ## Its lines with tensors
#
# Here are lines 2 to 4, and the inside of line 5, for a batch of eight: eight
# pictures, each with a t of its own.

# %%
generator = stream(seed, "lesson 3")
x_0 = to_unit_range(digits.train_images[:8])  # line 2
t = torch.randint(1, schedule.T + 1, (8,), generator=generator)  # line 3
eps = normal(x_0.shape, generator, "cpu")  # line 4
x_t = q_sample(schedule, x_0, t, eps)
show(x_t, "x_t, what the network is given", [f"t = {i}" for i in t.tolist()])
ask_choice(
    "Line 3, written as torch.randint(1, T, ...): which t of 1..T is never trained?",
    [
        ("t = 1", "randint's first number is included."),
        ("t = T", "Yes. randint's second number is not included, hence T + 1 above. It "
         "is a common slip, and sampling starts just there."),
        ("none: all are", "randint(1, T) draws from 1 to T - 1."),
    ],
    answer=1,
)

# %% [markdown]
# ## The loss
#
# Line 5 is the loss of Eq. 14. We take the mean over all pixels, not the sum, so
# that its size does not depend on how many there are. What does it compare?

# %%
ask_choice(
    "Which two values does the loss compare?",
    [
        ("the noise drawn and the noise predicted",
         "Yes. Two pictures of noise, pixel by pixel: ε and ε_θ."),
        ("the picture x_0 and the network's guess of it",
         "That is another loss. In Eq. 14 x_0 only serves to make x_t; it is never "
         "compared."),
        ("the pictures x_t and x_{t-1}", "x_{t-1} is never made: Eq. 4 jumps to x_t."),
    ],
    answer=0,
    part="11.5 b",
    points=1,
)

# %%
def zeros(x_t, t, label):  # a network that says: no noise anywhere
    return torch.zeros_like(x_t)

loss = loss_simple(zeros, schedule, x_0, t, eps)
ask_number(
    "What is the loss of a network that always predicts zero?",
    loss,
    tolerance=0.05,
    why="It is the mean of ε², and ε has variance 1. A network that has learned "
        "anything is below 1.",
)

# %% [markdown]
# ## Write the loop
#
# Algorithm 1 becomes a loop over batches. Each of these loop bodies is something
# that people do write, with new noise ε each time.

# %%
ask_choice(
    "Which loop body is Algorithm 1?",
    [
        ("for t in 1..T:  x = q_step(x, t, ε);  step on |ε - net(x, t)|²",
         "Its target is the noise of the last step alone, but x holds the noise of "
         "all t steps. And it walks the chain: T calls for one picture."),
        ("t random;  x_t = q_sample(x_0, t, ε);  step on |ε - net(x_t, t)|²",
         "Yes. Lines 2 to 5, a batch at a time."),
        ("t random;  x_t = q_sample(x_0, t, ε);  step on |x_0 - net(x_t, t)|²",
         "That trains a network to guess x_0. It can be done, but it is not "
         "Algorithm 1, and Eq. 11 would need another form."),
    ],
    answer=1,
    part="11.5 c",
    points=2,
)

# %% [markdown]
# ## A head start
#
# The lean network has a shortcut from its input to its output: it starts from the
# guess that the noise is `√(1-ᾱ_t) x_t`. Of all multiples of `x_t` that is the
# nearest to ε, if `x_0` has power 1. Its layers say what to change, weighted by
# `√ᾱ_t` (Salimans and Ho 2022). Untrained, they say nothing yet.

# %%
ask_choice(
    "An untrained lean network says that the noise is √(1-ᾱ_t) x_t. Where is it "
    "most wrong?",
    [
        ("at small t",
         "Yes. There x_t is nearly all picture, and the noise hides in it. The loss of "
         "this guess is about ᾱ_t."),
        ("at large t", "There x_t is nearly all noise, so x_t is the answer."),
        ("the same at all t", "Then x_t would hold as much noise at every t."),
    ],
    answer=0,
)

# %%
torch.manual_seed(seed)
fresh = LeanUNet(width=32)
with torch.no_grad():
    for step in (10, 300, 600, 1000):
        at_t = torch.full((8,), step)
        loss = loss_simple(fresh, schedule, x_0, at_t, eps)
        left = schedule.alpha_bar[step]
        print(f"t = {step:4}: loss {loss:.4f}, ᾱ_t {left:.4f}")

# %% [markdown]
# ## Ready to train
#
# A small lean network (width 32), and two words that you will meet:
#
# - `lr_schedule="cosine"`: the learning rate rises for a few steps, then falls
#   to zero along a half cosine;
# - `state.ema`, the *averaged weights*: a moving average over the last steps (App.
#   B). These are what one samples from, and what is validated.
#
# The validation loss is measured on pictures that it never trains on.

# %%
torch.manual_seed(seed)
small = LeanUNet(width=32).to(where)
config = TrainingConfig(
    epochs=1, batch_size=batch_size, lr=2e-3, lr_schedule="cosine",
    warmup_steps=20, ema_decay=0.99, seed=seed,
)
enough = -(-steps * batch_size // len(digits.train_images))  # passes needed
images = digits.train_images.repeat(enough, 1, 1, 1)[: steps * batch_size]
state = TrainingState.start(small, config)
held_out = digits.validation_images[:500]

def look(model):  # at 5 drawings, in 50 of the 1000 steps (lesson 4)
    chain = draw(model, schedule, None, SamplingOptions(steps=50),
                 seed=seed, indices=range(5))
    return last(track(chain, 51, "Drawing")).cpu()

looks = {0: look(state.ema)}  # what it draws, by step
untrained = validation_loss(state.ema, schedule, held_out)
losses, checks, seconds = [], [], 0.0
print(f"untrained: validation loss {untrained}")

# %% [markdown]
# ## Train
#
# Now the whole loop, for real, on your machine. `train` is Algorithm 1 as a
# generator: it yields after each step, and we note the loss. (Press `s` to read
# it.) Each step sees 64 pictures, each at its own random t.
#
# Each row below is a tenth of the training, its bar the validation loss.

# %%
loop = train(state, schedule, images, None, config)  # nothing has run yet
tenth = max(1, steps // 10)
def go_on(end, tell=True):
    began, count = time.perf_counter(), max(0, end - state.step)
    if not count:
        print(f"already trained to step {state.step}")
    for step in track(islice(loop, count), count, "Training"):
        losses.append(step.loss)
        note(f"loss {step.loss:.4f}" if tell else "")
        if step.step % tenth == 0:
            check = validation_loss(state.ema, schedule, held_out)
            checks.append((step.step, check))
            bar = "█" * round(40 * check.mean / untrained.mean)
            if tell:
                print(f"step {step.step:4} validation {check.mean:.4f} {bar}")
    return time.perf_counter() - began

seconds += go_on(steps // 3)
looks.setdefault(state.step, look(state.ema))
show_images(looks[state.step], f"what it draws after {state.step} steps")

# %% [markdown]
# ## The second third
#
# Do the next rows fall as fast as the first?

# %%
seconds += go_on(2 * steps // 3)
show_images(look(state.ema), f"what it draws after {state.step} steps")

# %% [markdown]
# ## And to the end
#
# By the end the learning rate has fallen to zero. So the weights jump about less
# and less.

# %%
seconds += go_on(steps, tell=False)
final = validation_loss(state.ema, schedule, held_out)
ask_number(
    "It is trained. What is its loss now, on pictures it has never seen?",
    final.mean,
    tolerance=0.005,
    why=f"Untrained it was {untrained.mean:.2f}. Always saying zero costs 1.",
    part="11.5 e",
    points=1,
)

# %%
print(f"{len(losses)} steps of {batch_size} pictures in {seconds:.0f} s")
show_images(look(state.ema), "what it draws now")

# %% [markdown]
# ## The loss curve
#
# The training loss is noisy, because every batch has other t, and some t are
# harder. The validation loss takes every t equally often, always with the same
# noise. So it is much smoother.

# %%
window = min(10, len(losses))
means = torch.tensor(losses).unfold(0, window, 1).mean(dim=1)
smooth = list(enumerate(means.tolist(), start=window))
curve = [(n, check.mean) for n, check in checks]
show(loss_curve(smooth, curve, "step"), "lesson 3 loss")
show_table("Validation loss", ["step", "loss ± standard error"], checks)

# %% [markdown]
# ## Is every t equally hard?
#
# The loss is a mean over all t. We take it apart, for your network and for the
# weights that come with the package.

# %%
trained = load_checkpoint(device=where)
both = [losses_by_t(net, schedule, held_out)
        for net in track((state.ema, trained.model), 2, "Measuring")]
(ts, mine), (_, shipped) = both
ask_choice(
    "You saw that small t are hard before training. And after it?",
    [
        ("large t are the hardest now", "At t = 1000 x_t itself is the answer."),
        ("all t are equally hard now", "Look at the table. At small t the loss has fallen "
         "too, but it is still many times that at large t."),
        ("small t are still the hardest",
         "Yes. A little noise is hard to tell from a stroke's own roughness."),
    ],
    answer=2 if shipped[ts <= 50].mean() > shipped[ts > 800].mean() else 0,
)

# %%
rows = []
for low, high in ((1, 10), (11, 50), (51, 200), (201, 500), (501, 1000)):
    these = (ts >= low) & (ts <= high)
    part_of_it = shipped[these].sum() / shipped.sum()
    rows.append((f"{low} to {high}", mine[these].mean().item(),
                 shipped[these].mean().item(), f"{part_of_it:.0%}"))
show_table("Loss by t", ["t", "your network", "the shipped one",
                         "its share"], rows)

# %% [markdown]
# ## Losses that cannot be compared
#
# So the loss depends on which t are asked for. Say that another schedule had
# only the noise levels of our first 300 steps. The same network, with the same
# predictions, would have another loss. It says nothing about who draws better.

# %%
for most in (1000, 300, 100):
    loss = shipped[ts <= most].mean()
    print(f"the shipped network, t up to {most:4}: loss {loss:.4f}")

# %% [markdown]
# ## What it draws
#
# Sampling is lesson 4; here is only a look. From the same noise: your network
# before, during and after the training, and the shipped weights.
#
# Compare the last two losses, and the pictures.

# %%
looks.setdefault(state.step, look(state.ema))
for step, pictures in looks.items():
    show_images(pictures, f"yours, after {step} steps")
show_images(look(trained.model), "the shipped weights")
theirs = validation_loss(trained.model, schedule, held_out)
own = ", on drawings of its own" if "offline" in digits.source else ""
print(f"yours: loss {final}")
print(f"shipped: loss {theirs}{own}")

# %% [markdown]
# ## Has it converged?
#
# Look at your curve once more, `outputs/lesson_3_loss.png`. At its end it is nearly
# flat.

# %%
log = trained.log
at = {e["epoch"]: e["validation_unlabelled"]["mean"] for e in log}
end = max(at)
ask_choice(
    "Your curve is nearly flat at the end. Has your network converged?",
    [
        ("yes: the loss hardly falls any more",
         "The learning rate is 0 at the end, so it hardly could. That says nothing about "
         "what is left to learn."),
        ("no: a longer training would bring it further down",
         f"Yes. Your curve is flat because the learning rate is 0 at the end, not because "
         f"there is no more to learn. The shipped network fell by another "
         f"{1 - at[end] / at[5]:.0%} after its fifth epoch."),
        ("no: the training loss must reach 0 first",
         "It cannot: part of the noise at small t cannot be known from x_t."),
    ],
    answer=1,
    part="11.5 f",
    points=1,
)

# %% [markdown]
# ## If you had waited
#
# Below is your run beside that of the weights that come with the package: a wider
# network, and more patience. Each validation loss is without labels, like yours;
# theirs is on MNIST.
#
# The training column is a mean over the whole epoch, with the weights as they
# were at each step. That is why it starts so high. Where both losses go up, the
# learning rate was raised again. After epoch 60 training saw the t at which a
# digit takes shape more often; the column gives what an even choice would give.

# %%
mean = sum(losses) / len(losses)
rows = [("yours", f"{steps * batch_size:,}", f"{mean:.4f}", final,
         f"{seconds:.0f} s")]
raised = [b for a, b in pairwise(sorted(at)) if at[b] > 1.01 * at[a]]
shown, so_far = {1, 2, 5, 10, 20, end, *raised, *(n - 1 for n in raised)}, 0.0
for e in log:
    so_far += e["seconds"]
    if e["epoch"] in shown:
        check = e["validation_unlabelled"]
        check = f"{check['mean']:.4f} ± {check['error']:.4f}"
        minutes, hours = f"{so_far / 60:.0f} min", f"{so_far / 3600:.1f} h"
        rows.append((e["epoch"], f"{e['images_seen']:,}",
                     f"{e['train_loss']:.4f}", check,
                     minutes if so_far < 3600 else hours))
show_table("Your run, and the shipped one",
           ["epoch", "pictures", "train", "validation", "time"], rows)
print("the shipped one was trained on:", log[-1]["machine"])

# %%
seen = [n * batch_size for n, _ in curve]
with figure() as (picture, (axis,)):
    axis.loglog(seen, [loss for _, loss in curve],
                marker="o", label="yours, width 32")
    axis.loglog([e["images_seen"] for e in log],
                [e["validation_unlabelled"]["mean"] for e in log],
                marker="o", label="shipped, width 64")
    axis.set(xlabel="pictures seen", ylabel="validation loss (Eq. 14)")
    axis.legend()
show(picture, "lesson 3 both runs")

# %% [markdown]
# ## After the curve looks flat
#
# During that training the network drew, again and again, two of each digit, always
# from the same noise. (One can ask it for a digit: lesson 5.) Below are the three
# that still changed most after epoch 5.

# %%
strip = load_film_strip()
pictures = torch.stack(list(strip.images)).float()  # (moments, 20, 1, 32, 32)
moved = (pictures - pictures[-1]).abs().mean(dim=(2, 3, 4))  # (moments, 20)
moments = [strip.epochs.index(e) for e in (0, 0.25, 1, 5)] + [-1]
names = [moment_name(strip.epochs[i]) for i in moments]
for digit in moved[moments[3]].topk(3).indices.tolist():
    growing = torch.stack([strip.images[i][digit] for i in moments])
    show_images(growing, f"asked for a {digit % 10}", names)
_ = save_strip(strip)

# %% [markdown]
# ## Did they get better?
#
# The table says how many of the twenty a classifier reads as the digit that was
# asked for. And how far each is from the nearest of 5,000 real ones, in what the
# classifier sees (64 numbers a picture). The last row has other real digits.
#
# Twenty say little about small differences; `ddpm-tutor evaluate` draws a
# thousand.

# %%
reader, real = load_classifier(where).model, load_real_digits()
wanted, rows = torch.arange(20) % 10, []
def to_nearest(features):
    apart = torch.cdist(features, real.training_features).amin(dim=1)
    return f"{apart.mean():.2f} ± {apart.std() / len(apart) ** 0.5:.2f}"

for i, epoch in enumerate(strip.epochs):
    if epoch in (1, 2, 5, 10, 20, end):
        found = read_digits(reader, strip.images[i])
        rows.append((moment_name(epoch), f"{at[epoch]:.4f}",
                     f"{(found.classes == wanted).sum()} of 20",
                     to_nearest(found.features)))
rows.append(("real digits", "", "", to_nearest(real.test_features)))
show_table("The loss, and the pictures",
           ["after", "loss", "read as asked", "nearest real one"], rows)

# %% [markdown]
# ## What T costs
#
# More steps T make sampling longer. What do they do to training?

# %%
ask_choice(
    "You halve T to 500. What does a training step cost now?",
    [
        ("half as much", "A step never walks the chain: it jumps to one t by Eq. 4."),
        ("twice as much", "Why would it? One call of the network, as before."),
        ("the same", "Yes. One random t a picture, one call. Only sampling makes T of them."),
    ],
    answer=2,
    part="11.5 d",
    points=1,
)

# %%
loops, took = {}, {500: [], 1000: []}  # seconds of each step
for T in took:
    start = TrainingState.start(LeanUNet(width=32).to(where), config)
    loops[T] = train(start, linear_schedule(T), images, None, config)
for _ in track(range(20), 20, "Training"):
    for T, times in took.items():
        began = time.perf_counter()
        if next(loops[T], None):  # None: `steps` are over
            times.append(time.perf_counter() - began)
for T, times in took.items():  # the quickest was disturbed least
    print(f"the quickest step at T = {T:4}: {1000 * min(times):.0f} ms")

# %% [markdown]
# ## Recap
#
# - The network predicts the noise in `x_t`, told t by a time encoding.
# - Algorithm 1: a picture, a random t, noise, one jump (Eq. 4), and a gradient
#   step on the mean squared error of the noise, L_simple (Eq. 14).
# - Always saying zero costs 1. The loss falls fast, and then creeps, while the
#   pictures still come nearer to real ones. Small t are the hardest.
# - A step costs the same whatever T is.
#
# For the real thing, leave this running over lunch: `ddpm-tutor train`.
# Lesson 4 turns the network into a painter.
