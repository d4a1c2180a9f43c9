# %% [markdown]
# # Lesson 3 · Training the noise predictor
#
# **Goal:** at the end you can say where the loss comes from, write Algorithm 1
# from memory, and judge a loss curve. You will have trained a network.
#
# **You need:** lessons 1 and 2.
#
# **Paper:** §3.2, 3.4, 4, App. B · Eq. 1, 6, 7, 8, 12, 14, Alg. 1
#
# **Time:** 30 min
#
# Lesson 2 ended with the network's task. Now we need the network, a loss, and a
# way to train.

# %% [markdown]
# ## Setting up
#
# `steps` says how long the training in this lesson takes. On two CPU cores
# 500 steps take about a minute. Give it more if you like:
# `--set steps=3000`.

# %% tags=["parameters"]
steps = 500  # training steps, from 1 to 100,000
batch_size = 64  # pictures in each, from 1 to 1000
seed = 0
device = "auto"  # auto, cpu, cuda or mps

# %%
import torch

from ddpm_tutor import choose_device, linear_schedule, load_digits
from ddpm_tutor.classroom.tools import show_download

where = choose_device(device)
schedule = linear_schedule()
digits = load_digits(progress=show_download)
print(f"{digits.source}; on {where}")

# %% [markdown]
# ## The network
#
# We begin with the network of the university assignment. How is it called on a batch
# of 64 pictures, so that Eq. 15 can be used on what comes out?

# %%
from ddpm_tutor.classroom.tools import ask_choice, ask_number

ask_choice(
    "What goes into the network, and what comes out?",
    [
        ("in: 64 noisy pictures and one t; out: 64 pictures of noise",
         "Each picture of a batch has a t of its own, so there are 64 of them."),
        ("in: 64 noisy pictures and 64 numbers t; out: 64 numbers, how strong the noise is",
         "How strong it is follows from t, and t is given. What nobody knows is what "
         "the noise is in each pixel."),
        ("in: 64 noisy pictures and 64 numbers t; out: 64 pictures of noise",
         "Yes. For each pixel it says how much noise is there. The paper writes this "
         "ε_θ(x_t, t), where θ are the weights. The guess of x_0 follows (Eq. 15)."),
        ("in: 64 clean pictures and 64 numbers t; out: 64 pictures of noise",
         "The noise cannot be seen in x_0: it is not there. It is in x_t."),
    ],
    answer=2,
    part="11.4 c",
    points=3,
)

# %%
from ddpm_tutor import UNet

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
# channels: less *where*, more *what*. On the way up it does the opposite. A *skip
# connection* hands each size over from the way down, so that fine detail is not lost
# at the bottom. We ask every block for the shape of what it gives back.

# %%
from ddpm_tutor.classroom.tools import show_table

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
# Press `s` to read their source; all of them fit on a page or two.

# %%
from ddpm_tutor import DoubleConv, Down, SelfAttention, Up

rows = []
for kind in (DoubleConv, Down, SelfAttention, Up):
    found = [block for block in unet.children() if type(block) is kind]
    weights = sum(p.numel() for block in found for p in block.parameters())
    rows.append((kind.__name__, len(found), f"{weights / count:.0%}"))
show_table("Where the weights are", ["block", "how many", "weights"], rows)

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
# A picture at t = 10 and one at t = 900 need very different treatment. So t becomes
# a vector, the *time encoding*, the same for all pixels of a picture.
#
# Multiply the vectors of two times, number by number, and add up. We divide by
# 64, so that equal vectors have 1. Neighbours are alike, distant times less so.

# %%
from ddpm_tutor import time_encoding
from ddpm_tutor.classroom.tools import figure, show, so_far

times = torch.arange(1, 1001)
encoding = time_encoding(times, 128)  # (1000, 128)
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
# ## Why sines, and not t / 1000?
#
# One number would tell t as well. But a layer can only multiply and add. Out of
# t / 1000 it makes a straight line over t, and what the network needs are curves.
# The noise level `√(1-ᾱ_t)`, for one, is 0.01 at t = 1, 0.27 at t = 100 and 0.96
# at t = 500. Out of waves, slow and fast, one layer adds up nearly any curve.
#
# We let one layer do its best, from t / 1000 and from the 128 waves. How far is
# it from that noise level, at the t where it is worst?
#
# Then press `c` to change that. Try `waves = 16`, and say first how far it will be off.

# %% tags=["change"]
waves = 128  # sines and cosines, an even number from 2 to 1000

# %%
level = (1 - schedule.alpha_bar[1:]).sqrt()  # (1000,)
one = torch.ones(1000, 1)  # a layer may also add a constant

def furthest(given):  # how far one layer is off, where it is worst
    given = torch.cat([given, one], dim=1).double()
    layer = torch.linalg.lstsq(given, level[:, None], driver="gelsd").solution
    return ((given @ layer)[:, 0] - level).abs().max().item()

if waves > 1000:
    raise ValueError("waves must be 1000 or fewer, as there are 1000 t")
by_line = furthest(times[:, None] / 1000)
by_waves = furthest(time_encoding(times, waves))
ask_choice(
    "With so many waves, how far is the layer off at worst?",
    [
        ("by more than 0.05", "That is seen with a few waves only, or none."),
        ("by 0.002 to 0.05", "For that the waves must be neither many nor very few."),
        ("by less than 0.002", "So many waves, slow and fast, add up to nearly any curve."),
    ],
    answer=2 if by_waves < 0.002 else 1 if by_waves <= 0.05 else 0,
)

# %%
found = so_far("waves", f"{waves} waves", by_waves)
show_table("One layer: off by up to", ["from", "off"],
           [("t / 1000", by_line), *found.items()])

# %% [markdown]
# ## The step back, if x_0 were known
#
# Sampling will have to go from `x_t` to `x_{t-1}`. Say that we knew `x_0`. Then two
# bell curves tell where `x_{t-1}` is: `x_0` is t - 1 steps away (Eq. 4), and one
# more step must lead to `x_t` (Eq. 2). Bayes' rule multiplies the two. The product
# is a bell curve again, with mean μ̃_t and variance β̃_t:
#
#     q(x_{t-1} | x_t, x_0) = N(x_{t-1}; μ̃_t, β̃_t I)                       (6)
#     μ̃_t = (√ᾱ_{t-1} β_t x_0 + √α_t (1-ᾱ_{t-1}) x_t) / (1-ᾱ_t)
#     β̃_t = β_t (1-ᾱ_{t-1}) / (1-ᾱ_t)                                      (7)
#
# A check on one pixel of a digit: we multiply the two curves point by point.

# %%
from torch.distributions import Normal
from ddpm_tutor import normal, q_posterior, q_sample, stream, to_unit_range

alpha, beta, alpha_bar = schedule.alpha, schedule.beta, schedule.alpha_bar
generator = stream(seed, "lesson 3")
x_0 = to_unit_range(digits.train_images[:1]).double()  # (1, 1, 32, 32)
x, rows = torch.linspace(-8, 8, 400_001).double(), []  # places for x_{t-1}
for t in (2, 300, 1000):
    at = torch.tensor([t])
    x_t = q_sample(schedule, x_0, at, normal(x_0.shape, generator, "cpu"))
    a, b = x_0[0, 0, 16, 16], x_t[0, 0, 16, 16]  # the pixel
    near = Normal(alpha_bar[t - 1].sqrt() * a, (1 - alpha_bar[t - 1]).sqrt())
    then = Normal(alpha[t].sqrt() * x, beta[t].sqrt())
    product = (near.log_prob(x) + then.log_prob(b)).softmax(dim=0)
    mean = (product * x).sum()
    spread = (product * (x - mean) ** 2).sum()
    mu_tilde, variance = q_posterior(schedule, x_t, x_0, at)  # Eq. 7
    rows.append((t, f"{mean:.5f}", f"{mu_tilde[0, 0, 16, 16]:.5f}",
                 f"{spread:.6f}", f"{variance.item():.6f}"))
show_table("One pixel of x_{t-1}, by Bayes' rule and by Eq. 7",
           ["t", "mean", "μ̃_t", "variance", "β̃_t"], rows)

# %% [markdown]
# ## Where does the loss come from?
#
# A network does not know `x_0`. From `x_t` alone it must give a bell curve p_θ, as near
# as it can to that of Eq. 6. The *KL divergence* says how far apart two curves are. If
# they are equally wide, all that counts is the distance of their means:
#
#     p_θ(x_{t-1} | x_t) = N(x_{t-1}; μ_θ(x_t, t), σ_t² I)                  (1)
#     L_{t-1} = ‖μ̃_t - μ_θ‖² / (2 σ_t²)                                     (8)
#
# Now write `x_0 = (x_t - √(1-ᾱ_t) ε) / √ᾱ_t` into μ̃_t (Eq. 10), and the same with the
# network's `ε_θ` into its mean μ_θ (Eq. 11). In the difference `x_t` cancels:
#
#     L_{t-1} = β_t² / (2 σ_t² α_t (1-ᾱ_t)) · ‖ε - ε_θ(x_t, t)‖²           (12)
#
# Are KL, Eq. 8 and Eq. 12 one number? The trained network that comes with this package
# looks at the digit. (With `σ_t² = β̃_t`.)

# %%
from torch.distributions import kl_divergence
from ddpm_tutor import load_checkpoint, p_mean

trained, rows, weights = load_checkpoint(), [], {}
for t in (2, 10, 100, 500, 1000):
    at, eps = torch.tensor([t]), normal(x_0.shape, generator, "cpu").double()
    x_t = q_sample(schedule, x_0, at, eps)
    with torch.no_grad():
        eps_theta = trained.model(x_t.float(), at).double()
    mu_tilde, variance = q_posterior(schedule, x_t, x_0, at)  # Eq. 7
    mu_theta = p_mean(schedule, x_t, at, eps_theta)  # Eq. 11
    curves = [Normal(mu, variance.sqrt()) for mu in (mu_tilde, mu_theta)]
    kl = kl_divergence(*curves).sum()
    eq_8 = ((mu_tilde - mu_theta) ** 2).sum() / (2 * variance)
    weight = beta[t] ** 2 / (2 * variance * alpha[t] * (1 - alpha_bar[t]))
    eq_12 = weight * ((eps - eps_theta) ** 2).sum()
    rows.append([t, *(f"{value.item():.5f}" for value in (kl, eq_8, eq_12))])
    weights[t] = weight.item()
show_table("Three ways to one number", ["t", "KL", "Eq. 8", "Eq. 12"], rows)

# %% [markdown]
# ## Drop the weight
#
# One last move (Section 3.4): the paper leaves out the fraction before ‖...‖².
# What remains is the loss that it trains with, and so do we:
#
#     L_simple(θ) = E ‖ε - ε_θ(√ᾱ_t x_0 + √(1-ᾱ_t) ε, t)‖²                 (14)
#
# E is the mean over all t from 1 to T, all pictures `x_0` and all noise ε. (With their
# weights the terms add up to a bound on how likely the model finds the data,
# `E[-log p_θ(x_0)] ≤ L`, Eq. 3 and 5: that is lesson 6.)

# %%
ask_choice(
    "Eq. 14 leaves the weight of Eq. 12 out. Which t then count for more?",
    [
        ("small t", "For that their weight in Eq. 12 must have been the smallest."),
        ("large t", "Yes. With σ_t² = β̃_t the weight is β_t / (2 α_t (1 - ᾱ_{t-1})): the "
         "noise of one step against all the noise before it. At small t one step is a "
         "large part. Without the weight the other t count for more."),
        ("all the same", "β_t, σ_t² and ᾱ_t all change with t."),
    ],
    answer=1 if weights[2] > 10 * weights[1000] else 0,
)

# %%
show_table("The weight in Eq. 12", ["t", "weight"], list(weights.items()))
print("FID, the distance from real pictures (less is better), in Table 2:")
print("trained on Eq. 12 with its weight: 13.51; on Eq. 14: 3.17")

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
# Read `~` as "is drawn from". Line 5 is Eq. 14, for one draw.

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
# Here are lines 2 to 4, and the inside of line 5, for a batch of ten pictures, each
# with a t of its own.

# %%
from ddpm_tutor.classroom.tools import say, show_images

x_0 = to_unit_range(digits.train_images[:10])  # line 2
t = torch.randint(1, schedule.T + 1, (10,), generator=generator)  # line 3
eps = normal(x_0.shape, generator, "cpu")  # line 4
x_t = q_sample(schedule, x_0, t, eps)
show_images(x_t[:5], "what it is given, the first five",
            [f"t = {i}" for i in t[:5].tolist()])
ask_choice(
    "Line 3, written as torch.randint(1, T, ...): what is the harm?",
    [
        ("none: one t of a thousand hardly counts",
         "It counts where sampling starts: at t = T the network would be asked for "
         "what it never saw."),
        ("t = T is never trained, and sampling starts there",
         "Yes. The second number of randint is never drawn, hence T + 1. It is a common "
         "slip, and no loss curve shows it."),
        ("t = 1 is never trained, and sampling ends there",
         "randint's first number is included."),
    ],
    answer=1,
)

# %% [markdown]
# ## The loss
#
# We take the mean over all pixels in place of the sum ‖...‖²: then its size does not
# depend on how many there are. The trained network looks at the ten pictures of the
# step before. Three things could be called the noise in them. Training made one of
# the differences small.

# %%
with torch.no_grad():
    eps_theta = trained.model(x_t, t)
strength = (1 - alpha_bar[t]).sqrt().float().view(10, 1, 1, 1)
others = {"x_t - x_0": x_t - x_0, "√(1-ᾱ_t) eps": strength * eps, "eps": eps}
ask_choice(
    "Which two values does the loss compare?",
    [
        ("eps_theta with x_t - x_0, all the change",
         "x_t - x_0 also holds a part of the picture: Eq. 4 makes the picture "
         "fainter, by √ᾱ_t."),
        ("eps_theta with √(1-ᾱ_t) eps, as it is in x_t",
         "That is what was added. The network is to say the ε before its factor: the "
         "factor follows from t."),
        ("eps_theta with eps, as it was drawn",
         "Yes. Two pictures of noise, pixel by pixel, of standard deviation 1 at every t."),
    ],
    answer=2,
    part="11.5 b",
    points=1,
)

# %%
print("mean squared difference of eps_theta")
for name, other in others.items():
    print(f"from {name:13} {(eps_theta - other).square().mean():.3f}")

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
         "That trains a network to guess x_0. It can be done, and we try it next, but "
         "it is not Algorithm 1."),
    ],
    answer=1,
    part="11.5 c",
    points=2,
)

# %% [markdown]
# ## Why ε?
#
# A network could also say `x_0`, or the mean of `x_{t-1}`. Each gives the others:
# Eq. 15 makes `x_0` from ε, Eq. 7 makes the mean from `x_0`. So why ε?
#
# A network that merely copies `x_t` has learned nothing. Of which goal would that be
# nearly right? There only a small rest is left to be learned, and is easily missed.
#
# Then press `c` to change t. Try `t_here = 500`, and say first which of ε and `x_0`
# will be nearer to a copy of `x_t`.

# %% tags=["change"]
t_here = 100  # from 1 to 1000

# %%
def copying(goal):  # what the best multiple of x_t leaves over
    rest = goal - (x_t * goal).sum() / (x_t * x_t).sum() * x_t
    return (rest.square().sum() / goal.square().sum()).item()

x_0, left = to_unit_range(digits.train_images[:100]), {}
for step in {10, t_here, 1000}:
    noise, at = stream(seed, "copying"), torch.full((100,), step)
    eps = normal(x_0.shape, noise, "cpu")
    x_t = q_sample(schedule, x_0, at, eps)
    mean, _ = q_posterior(schedule, x_t, x_0, at)
    left[step] = [copying(goal) for goal in (eps, x_0, mean)]
ask_choice(
    "At this t, of which is x_t, times a number, the better copy: of ε or of x_0?",
    [
        ("of ε", "So it is at large t: x_t is mostly noise there."),
        ("of x_0", "So it is at small t: x_t is mostly picture there."),
    ],
    answer=1 if left[t_here][0] > left[t_here][1] else 0,
)

# %%
tried = so_far("copying", f"{t_here}", left[t_here])
left |= {int(step): rests for step, rests in tried.items()}
show_table("What copying leaves over, in squares",
           ["t", "of ε", "of x_0", "of the mean of x_{t-1}"],
           [(step, *(f"{rest:.2%}" for rest in left[step]))
            for step in sorted(left)])
say("The mean of x_{t-1} is nearly a copy at every t: copying leaves "
    f"{100 * max(rest for *_, rest in left.values()):.1g} % of it over at most.")

# %% [markdown]
# ## Try all three
#
# One small network for each goal, from the same first weights, on the same batches,
# for a hundred steps. The lines under the inner `for` are Algorithm 1, `noisy_batch`
# its lines 3 and 4. (`LeanUNet` is the same U, with a ninth of the operations. Each
# takes what its `layers` give for its goal.)

# %%
from ddpm_tutor import LeanUNet, noisy_batch, predict_eps
from ddpm_tutor.classroom.tools import track

class Guesser(torch.nn.Module):
    num_classes = None  # it takes no labels
    def __init__(self, goal):
        super().__init__()
        torch.manual_seed(seed)
        self.goal, self.net = goal, LeanUNet(32)
    def guess(self, x_t, t):
        return self.net.layers(x_t, self.net.modulations(t, None))
    def forward(self, x_t, t, label=None):  # the ε that follows from it
        guess = self.guess(x_t, t)
        if self.goal == "x_0":
            return predict_eps(schedule, x_t, t, guess)
        if self.goal == "mean":  # Eq. 11, solved for ε
            a, b, noise = (v[t].view(-1, 1, 1, 1).float()
                           for v in (alpha, beta, 1 - alpha_bar))
            return (x_t - a.sqrt() * guess) * noise.sqrt() / b
        return guess

# %%
guessers = {goal: Guesser(goal) for goal in ("ε", "x_0", "mean")}
few, pictures = min(100, -(-steps // 5)), digits.train_images
for goal, net in guessers.items():
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    same = stream(seed, "why ε")  # the same numbers for each
    for _ in track(range(few), few, goal):
        chosen = torch.randint(len(pictures), (32,), generator=same)
        x_t, t, eps = noisy_batch(schedule, pictures[chosen], same)
        x_0 = to_unit_range(pictures[chosen])  # what x_t was made from
        mean, _ = q_posterior(schedule, x_t, x_0, t)
        right = {"ε": eps, "x_0": x_0, "mean": mean}[goal]
        loss = (net.guess(x_t, t) - right).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()

# %% [markdown]
# ## Whose step back is best?
#
# Whatever a network guesses, a mean of `x_{t-1}` follows. So Eq. 8 compares all three
# fairly. We ask about digits that none has seen.

# %%
ts = (10, 100, 300, 600, 1000)
x_0 = to_unit_range(digits.validation_images[:100])
off = {goal: [] for goal in guessers}
for step in ts:
    at, eps = torch.full((100,), step), normal(x_0.shape, generator, "cpu")
    x_t = q_sample(schedule, x_0, at, eps)
    mu_tilde, variance = q_posterior(schedule, x_t, x_0, at)
    for goal, net in guessers.items():
        with torch.no_grad():
            mu_theta = p_mean(schedule, x_t, at, net(x_t, at))
        eq_8 = (mu_tilde - mu_theta) ** 2 / (2 * variance)
        off[goal].append(eq_8.mean().item())  # per pixel
first, last_one = (min(off, key=lambda goal: off[goal][i]) for i in (0, -1))
ask_choice(
    "Who is nearest at t = 10, and who at t = 1000?",
    [
        ("at t = 10 the one that guesses ε, at t = 1000 the one that guesses x_0",
         "Yes. Each is good where its goal is no copy of x_t."),
        ("at t = 10 the one that guesses x_0, at t = 1000 the one that guesses ε",
         "There each has to copy x_t, and exactly: what counts is the small rest that "
         "no copy gives."),
        ("at t = 10 and at t = 1000 alike the one that guesses the mean",
         "Eq. 8 asks just for that. But it is a copy at every t, and what counts is the "
         "tiny rest."),
    ],
    answer={("ε", "x_0"): 0, ("x_0", "ε"): 1}.get((first, last_one), 2),
)

# %%
show_table("Eq. 8, per pixel", ["guesses", *(f"t = {step}" for step in ts)],
           [(goal, *(f"{value:.5f}" for value in off[goal])) for goal in off])

# %% [markdown]
# ## So why ε?
#
# - *The mean* is nearly a copy at every t. Here it draws noise.
# - *x_0* is quick to get the large t right, and with them the outline. After so short
#   a training its row may well be the best.
# - *ε* is right at small t, where strokes get their edges, and where Eq. 12 has its
#   largest weights. To copy at large t it learns in time. (The paper tried `x_0` early
#   on, and found the pictures worse, Section 3.2.)
#
# In its Table 2 the mean reached an FID of 13.22, if weighted as in Eq. 8; ε, with
# Eq. 14, 3.17. So it is not that ε alone can work. It is a choice of what to get right
# first. Could one have both?

# %%
from ddpm_tutor import SamplingOptions, draw, last
from ddpm_tutor.classroom.tools import save_grid

def look(model):  # at 5 drawings, in 50 of the 1000 steps (lesson 4)
    chain = draw(model, schedule, None, SamplingOptions(steps=50),
                 seed=seed, indices=range(5))
    return last(track(chain, 51, "Drawing")).nan_to_num().cpu()

drawn = {goal: look(net) for goal, net in guessers.items()}
show_images(torch.cat([five[:1] for five in drawn.values()]),
            "drawn by the network that guesses", list(drawn))
_ = save_grid(torch.cat([*drawn.values()]), "lesson 3 three goals", 5)

# %% [markdown]
# ## Both in one
#
# The lean network has a shortcut from its input to its output. Its layers give the v
# of lesson 2, a mix of ε and `x_0`, and the noise follows from it:
#
#     ε_θ = √(1-ᾱ_t) x_t + √ᾱ_t v          v ≈ √ᾱ_t ε - √(1-ᾱ_t) x_0
#
# The first term is the copy: of all multiples of `x_t` it is the nearest to ε, if the
# mean square of `x_0` is 1. So it is there from the start. And v is ε at small t, and
# `-x_0` at large t, each where it is no copy (Salimans and Ho 2022). Untrained, v is 0.

# %%
ask_choice(
    "An untrained lean network says that the noise is √(1-ᾱ_t) x_t. Where is it "
    "most wrong?",
    [
        ("at small t",
         "Yes. There x_t is nearly all picture, and the noise hides in it. The loss of "
         "this guess is about ᾱ_t."),
        ("at large t", "There x_t is nearly all noise, so x_t is the answer."),
        ("at all t alike", "Then x_t would hold as much noise at every t."),
    ],
    answer=0,
)

# %%
from ddpm_tutor import loss_simple
torch.manual_seed(seed)
fresh = LeanUNet(width=32)
x_0 = to_unit_range(digits.train_images[:8])
eps = normal(x_0.shape, generator, "cpu")
with torch.no_grad():
    for step in (10, 300, 600, 1000):
        loss = loss_simple(fresh, schedule, x_0, torch.full((8,), step), eps)
        left = schedule.alpha_bar[step]
        print(f"t = {step:4}: loss {loss:.4f}, ᾱ_t {left:.4f}")

# %% [markdown]
# ## Ready to train
#
# Now we train a small lean network (width 32) in earnest, on ε. Two words that you
# will meet:
#
# - `lr_schedule="cosine"`: the learning rate rises for a few steps, then falls
#   to zero along a half cosine;
# - `state.ema`, the *averaged weights*: a moving average over the last steps (App.
#   B). These are what one samples from, and what is validated.
#
# The validation loss is measured on pictures that it never trains on.

# %%
ask_number(
    "First a yardstick: what is the loss of a network that always predicts zero?",
    eps.square().mean(),
    tolerance=0.05,
    why="It is the mean of ε², and ε has variance 1. The lean network is below that from the "
        "start, by its shortcut.",
)

# %%
from ddpm_tutor import TrainingConfig, TrainingState, train, validation_loss

def one_pass(pictures, lr):  # that many, and how to train on them
    config = TrainingConfig(
        epochs=1, batch_size=batch_size, lr=lr, lr_schedule="cosine",
        warmup_steps=20, ema_decay=0.99, seed=seed,
    )
    enough = -(-pictures // len(digits.train_images))  # times the data
    images = digits.train_images.repeat(enough, 1, 1, 1)
    return images[-pictures:], config

images, config = one_pass(steps * batch_size, lr=2e-3)
torch.manual_seed(seed)
state = TrainingState.start(LeanUNet(width=32).to(where), config)
held_out = digits.validation_images[:500]
looks = {0: look(state.ema)}  # what it draws, by step
untrained = validation_loss(state.ema, schedule, held_out)
losses, checks, seconds = [], [], 0.0
print(f"untrained: validation loss {untrained}")

# %% [markdown]
# ## Train
#
# Now the whole loop. `train` is Algorithm 1 as a generator: it yields after each step,
# and we note the loss. (Press `s` to read it.) Each row printed is a tenth of the
# training, its bar the validation loss. First a third.

# %%
from itertools import islice
from time import perf_counter

from ddpm_tutor.classroom.tools import note

loop = train(state, schedule, images, None, config)  # nothing has run yet
def go_on(end, tell=True):
    began, left = perf_counter(), max(0, end - state.step)
    for report in track(islice(loop, left), left, "Training"):
        losses.append(report.loss)
        note(f"loss {report.loss:.4f}" if tell else "")
        if report.step % max(1, steps // 10) == 0:
            check = validation_loss(state.ema, schedule, held_out)
            checks.append((report.step, check))
            loss = check.mean
            bar = "█" * round(40 * loss / untrained.mean)
            if tell:
                print(f"step {report.step:4} validation {loss:.4f} {bar}")
    return perf_counter() - began

# %%
seconds += go_on(steps // 3)
looks.setdefault(state.step, look(state.ema))
show_images(looks[state.step], f"what it draws after {state.step} steps")

# %% [markdown]
# ## Two losses
#
# On to two thirds. The *training loss* jumps (see the last line): every batch has
# other t, and some t are harder. The *validation loss* takes every t equally often, always
# with the same noise. So it is much smoother, and a small change in it counts.

# %%
seconds += go_on(2 * steps // 3)
latest = losses[-max(1, steps // 10):]
print(f"training: the last {len(latest)} from {min(latest):.4f} "
      f"to {max(latest):.4f}")

# %% [markdown]
# ## And to the end
#
# By the end the learning rate has fallen to zero. Does the loss go on as it did, or does
# it stay?

# %%
seconds += go_on(steps, tell=False)
final = validation_loss(state.ema, schedule, held_out)
ask_number(
    "It is trained. What is its loss now, on pictures it has never seen?",
    final.mean,
    tolerance=0.003,
    why=f"Untrained it was {untrained.mean:.2f}. Always saying zero costs 1.",
    part="11.5 e",
    points=1,
)

# %%
from ddpm_tutor.classroom.tools import loss_curve

window = min(10, len(losses))
means = torch.tensor(losses).unfold(0, window, 1).mean(dim=1)
smooth = list(enumerate(means.tolist(), start=window))
curve = [(n, check.mean) for n, check in checks]
print(f"{len(losses)} steps in {seconds:.0f} s; the axis is logarithmic")
show(loss_curve(smooth, curve, "step"), "lesson 3 loss")

# %% [markdown]
# ## Is every t equally hard?
#
# The loss is a mean over all t. We take it apart, for your network and for the
# weights that come with the package.

# %%
from ddpm_tutor import losses_by_t

finished = load_checkpoint(device=where)  # the weights of this package
both = [losses_by_t(net, schedule, held_out)
        for net in track((state.ema, finished.model), 2, "Measuring")]
(ts, mine), (_, shipped) = both
ask_choice(
    "You saw that small t are hard before training. And after it?",
    [
        ("large t are the hardest now", "At t = 1000 x_t itself is the answer."),
        ("all t are equally hard now", "See the table. The shipped network's loss has fallen at "
         "small t too, but it is still many times that at large t."),
        ("small t are still the hardest",
         "Yes. A little noise is hard to tell from a stroke's own roughness. (But there are "
         "few such t. Most of the loss lies between 50 and 500.)"),
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
                         "share of its loss"], rows)

# %% [markdown]
# ## The loss has a floor
#
# At small t a little noise cannot be told from a stroke's own roughness, by anybody.
# So no network, and no patience, brings the loss to 0. In the plain background it can
# be told: there all that is not black is noise. Is that so? We ask the shipped weights.
# (To know nothing costs 1.)
#
# Two losses can be compared only over the same t and the same noise levels. With
# another schedule a network has another loss, which says nothing about who draws better.

# %%
x_0 = to_unit_range(digits.validation_images[:100])
plain = torch.nn.functional.max_pool2d(x_0, 3, 1, padding=1) == -1
rows = []  # plain: black, and all eight neighbours as well
for step in (2, 10, 50, 1000):
    at, eps = torch.full((100,), step), normal(x_0.shape, generator, "cpu")
    with torch.no_grad():
        eps_theta = trained.model(q_sample(schedule, x_0, at, eps), at)
    loss = (eps - eps_theta) ** 2
    means = loss[plain].mean(), loss[~plain].mean()
    rows.append((step, *(f"{mean:.4f}" for mean in means)))
show_table("The shipped network's loss, by pixels",
           ["t", "plain background", "in and beside strokes"], rows)

# %% [markdown]
# ## What it draws
#
# Sampling is lesson 4; here is only a look, from the same noise. Compare the two
# losses, and the pictures. (The saved sheet has a row each for yours before, during and
# after the training, and one for theirs.)

# %%
looks.setdefault(state.step, look(state.ema))
best = look(finished.model)
show_images(looks[state.step], f"yours, after {state.step} steps")
show_images(best, "the shipped weights")
theirs = validation_loss(finished.model, schedule, held_out)
own = ", on drawings of its own" if "offline" in digits.source else ""
print(f"yours: loss {final}")
print(f"shipped: loss {theirs}{own}")
_ = save_grid(torch.cat([*looks.values(), best]), "lesson 3 digits", 5)

# %% [markdown]
# ## Has it converged?
#
# At its end your curve was nearly flat. Three things flatten a curve: what is easy has
# been learned, the learning rate falls to zero, or nothing is left to learn. Which is it?
#
# There is a test. Take the trained weights, raise the rate again (to half of what
# it was), and let it fall to zero again, over a fifth as many steps.

# %%
from copy import deepcopy

fifth = max(1, steps // 5)
others, more = one_pass(fifth * batch_size, lr=1e-3)
again = TrainingState.start(deepcopy(state.ema).requires_grad_(), more)
on = train(again, schedule, others, None, more)
for _ in track(on, fifth, "Training on"):
    pass
_, after = losses_by_t(again.ema, schedule, held_out)
fall = mine - after  # of each picture, at the same t and with the same noise
error = fall.std() / len(fall) ** 0.5
ask_choice(
    "What does the validation loss do in this second training?",
    [
        ("it stays, within its error: the network has converged",
         "Then a curve that looks flat would be flat. See the numbers below."),
        ("it falls again: the network had not converged",
         "Yes. A curve that looks flat is not yet the end of learning."),
        ("it rises: the rate throws the weights about, and they stay there",
         "At first it does. Whether the weights come back, the numbers below say."),
    ],
    answer=1 if fall.mean() > 2 * error else 0 if fall.mean() > -2 * error else 2,
    part="11.5 f",
    points=1,
)

# %%
print(f"before {mine.mean():.5f}, after {after.mean():.5f}")
share = fall.mean() / mine.mean()
print(f"a fall of {fall.mean():.5f} ± {error:.5f}, {share:.0%}")

# %% [markdown]
# ## If you had waited
#
# Here is your run beside that of the weights that come with the package: a wider
# network, and more patience. Both losses are without labels; theirs is on MNIST. Both
# axes are logarithmic: there a curve that looked flat still falls. Where it goes up,
# the learning rate was raised again.

# %%
log = finished.log
at = {e["epoch"]: e["validation_unlabelled"]["mean"] for e in log}
end, hours = max(at), sum(e["seconds"] for e in log) / 3600
print(f"yours:   {steps * batch_size:9,} pictures, loss {final.mean:.4f}, "
      f"{seconds:.0f} s")
print(f"shipped: {log[-1]['images_seen']:9,} pictures, loss {at[end]:.4f}, "
      f"{hours:.1f} h on {log[-1]['machine']}")

# %%
from ddpm_tutor.classroom.tools import show_curves

show_curves("validation loss (Eq. 14)", {
    "yours, width 32": [(n * batch_size, loss) for n, loss in curve],
    "shipped, width 64": [(e["images_seen"], at[e["epoch"]]) for e in log],
}, "pictures seen", log=True, log_x=True)

# %% [markdown]
# ## Does a lower loss draw better?
#
# During that training the network drew, again and again, the ten digits, always
# from the same noise. (One can ask it for a digit: lesson 5.) Here are two of them,
# a row each. From which epoch on do you see no difference? The saved sheet has all ten.

# %%
from ddpm_tutor import load_film_strip
from ddpm_tutor.classroom.tools import moment_name, save_strip

strip = load_film_strip()
epochs = (0, 1, 5, 20, end)
drawn = [strip.images[strip.epochs.index(epoch)] for epoch in epochs]
rows = torch.cat([ten[[digit]] for digit in (0, 5) for ten in drawn])
show_images(rows, "0 and 5", [moment_name(epoch) for epoch in epochs] * 2,
            columns=len(epochs))
_ = save_strip(strip)

# %% [markdown]
# ## In numbers
#
# How many of twenty does a classifier read as the digit that was asked for? And
# how far is each from the nearest of 5,000 real ones, in what the classifier
# sees (64 numbers a picture)? The last column is the change since the row above,
# over the same twenty, with its standard error.
#
# A change of less than twice its error may be chance; `ddpm-tutor evaluate` draws a
# thousand.

# %%
from ddpm_tutor import load_classifier, load_real_digits, read_digits

reader, real = load_classifier(where).model, load_real_digits()
rows, before, wanted, nearer = [], None, torch.arange(20) % 10, 1
for epoch in (1, 5, 20, end):
    found = read_digits(reader, strip.images[strip.epochs.index(epoch)])
    nearest = torch.cdist(found.features, real.training_features).amin(dim=1)
    change = "" if before is None else nearest - before
    if before is not None:
        error = change.std() / 20 ** 0.5
        nearer = epoch if change.mean() < -2 * error else nearer
        change = f"{change.mean():+.2f} ± {error:.2f}"
    right, before = (found.classes == wanted).sum(), nearest
    rows.append((moment_name(epoch), f"{at[epoch]:.4f}", f"{right} of 20",
                 f"{nearest.mean():.2f}", change))
others = torch.cdist(real.test_features, real.training_features).amin(dim=1)
rows.append(("other real digits", "", "", f"{others.mean():.2f}", ""))
show_table("The loss, and the pictures",
           ["after", "loss", "read as asked", "nearest", "change"], rows)
say(f"Up to {moment_name(nearer)} a lower loss came with pictures nearer to real ones."
    + ("" if nearer == end else " What came later twenty digits do not show."))

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
    start = TrainingState.start(UNet(width=8).to(where), config)
    loops[T] = train(start, linear_schedule(T), images, None, config)
for _ in track(range(10), 10, "Training"):
    for T, times in took.items():
        began = perf_counter()
        if next(loops[T], None):  # None: `steps` are over
            times.append(perf_counter() - began)
for T, times in took.items():  # the quickest was disturbed least
    print(f"the quickest step at T = {T:4}: {1000 * min(times):.0f} ms")

# %% [markdown]
# ## Appendix: a leaner network
#
# This step is about speed. No later one needs it: you may skip it. A 3×3
# convolution costs `2 · 9 · C_in · C_out · H · W` operations: half the side, or half
# the channels in and out, leaves a quarter. So `LeanUNet` saves where maps are large
# and channels many:
#
# - Its first step folds 2×2 pixels into channels: no map at 32×32.
# - On the way up it narrows a map and its skip at once, and then convolves.
# - Deep down it has 96 and 128 channels, where the assignment's has 256.
# - t scales and shifts the middle of each block (Dhariwal and Nichol 2021).

# %%
from torch.utils.flop_counter import FlopCounterMode

def gflop(net, given):
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        net(*given)
    return flops.get_total_flops() / 1e9

rows, one = [], (two[:1], torch.tensor([10]))
for net in (UNet(64), LeanUNet(64)):
    began = perf_counter()
    with torch.no_grad():
        for _ in range(10):
            net(*one)
    ms = (perf_counter() - began) * 100
    weights = sum(p.numel() for p in net.parameters()) / 1e6
    rows.append((type(net).__name__, f"{weights:.1f} M",
                 f"{gflop(net, one):.2f}", f"{ms:.1f} ms"))
show_table("One call, one picture", ["", "weights", "GFLOP", "here"], rows)

# %% [markdown]
# ## Recap
#
# - If `x_0` were known, Eq. 6 and 7 would give the step back. To come near it is a
#   squared error of means (Eq. 8), which is one of the noise (Eq. 12). Without
#   its weight it is the loss: `E ‖ε - ε_θ(x_t, t)‖²` (Eq. 14).
# - Algorithm 1: a picture, a random t, noise, one jump (Eq. 4), a gradient step.
# - The network is told t by waves. It guesses ε, the right thing at small t.
# - Always saying zero costs 1. The loss falls fast, and then creeps, long after
#   the curve looks flat. Small t are the hardest, and there is a floor.
# - A step costs the same whatever T is: one random t a picture, one call.
#
# For the real thing, leave this running over lunch: `ddpm-tutor train`, or with your
# own step of exercise 6 `ddpm-tutor train --with-my-code exercises`.
# Lesson 4 turns the network into a painter.
