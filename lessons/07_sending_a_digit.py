# %% [markdown]
# # Lesson 7 · Sending a digit
#
# **Goal:** at the end you can say what a receiver sees after 5, 50 and 500 bits
# of a digit, and where the other bits go.
#
# **You need:** lessons 1 to 4, and lesson 6.
#
# **Paper:** §4.3 · Eq. 5, 16 · Alg. 3, 4
#
# **Time:** 25 min
#
# Lesson 6 counted the bits of a digit. A bit is a thing to send. So we send digits
# now, over a narrow line, and look at the other end.

# %% [markdown]
# ## Setting up
#
# Digits that the network was not trained on, a few of each kind. It is not told
# which is which. Where drawn digits stand in for MNIST, what is below 8 of 255 is
# made black, as in lesson 6.

# %% tags=["parameters"]
seed = 0  # another seed: other digits, other noise
each = 3  # pictures of each digit, from 1 to 100
device = "auto"  # auto, cpu, cuda or mps

# %%
import math
import zlib
from fractions import Fraction

import torch
import torch.nn.functional as F

from ddpm_tutor import (
    ReverseProcess, choose_device, coding_times, kl_gaussians,
    load_checkpoint, load_classifier, load_digits, normal,
    progressive_coding, read_digits, stream, to_bits, to_uint8,
    to_unit_range,
)
from ddpm_tutor.classroom.tools import (
    Curves, ask_choice, ask_number, figure, save_moments, say, sheet,
    show, show_curves, show_download, show_images, show_table, so_far, track,
)

# %%
digits = load_digits(progress=show_download)
print(digits.source)
least = 0 if digits.source.startswith("MNIST") else 8

def unseen(digit, start, count):
    same = digits.validation_images[digits.validation_labels == digit]
    same = torch.where(same < least, 0, same)
    return same[torch.arange(start, start + count) % len(same)]

labels = torch.arange(10).repeat_interleave(each)
images = torch.cat([unseen(d, seed * each, each) for d in range(10)])
x_0 = to_unit_range(images)  # (10 * each, 1, 32, 32)
show_images(x_0[::each], "one of each kind")

# %% [markdown]
# ## What is a bit worth?
#
# Every day somebody sends you the weather, as zeros and ones. You have agreed on a
# *code* before: a word for each kind of weather. No word begins another word, so
# that you know where each ends.
#
# It is sunny on half of the days. So sun has the shortest word.

# %%
code = {"sun": "0", "clouds": "10", "rain": "110", "snow": "111"}
p = {"sun": 1 / 2, "clouds": 1 / 4, "rain": 1 / 8, "snow": 1 / 8}
length = {kind: len(word) for kind, word in code.items()}
ask_number(
    "How many bits a day is that, on average?",
    sum(p[kind] * length[kind] for kind in p),
    tolerance=0.1,
    why="1/2 · 1 + 1/4 · 2 + 1/8 · 3 + 1/8 · 3. Four words of two bits would take 2.",
)

# %%
def read(bits, code):
    word, meaning = "", {word: kind for kind, word in code.items()}
    for bit in bits:
        word += bit
        if word in meaning:
            yield meaning[word]
            word = ""

week = ["sun", "rain", "sun", "clouds", "snow"]
bits_of_week = "".join(code[kind] for kind in week)
print(bits_of_week, "->", ", ".join(read(bits_of_week, code)))
rows = [(k, p[k], code[k], length[k], -math.log2(p[k])) for k in p]
show_table("The code", ["", "p", "word", "bits", "-log2 p"], rows)
assert list(read(bits_of_week, code)) == week

# %% [markdown]
# ## Why -log2 p bits?
#
# Once `10` is a word, no other word may begin with 10. A quarter of all long strings
# do. So a word of n bits uses up a share of `2^-n`, and all shares together are 1
# at most.
#
# Give each message as large a share as its probability p. Then `2^-n = p`, which is
# `n = -log2 p`. No code is shorter on average (Shannon 1948). A likelihood is a
# length: that is all that the bits of lesson 6 are.
#
# The receiver must know p to know the code. And if it is wrong? In the mountains
# it snows more often: q. Then press `c` to change that. Try `snow = 0.9`, and say first
# what the old code will cost.

# %% tags=["change"]
snow = 0.5  # how probable it is in the mountains, from 0 to 1

# %%
if not 0 <= snow <= 1:
    raise ValueError("snow is a probability, from 0 to 1")
others = {k: p[k] for k in ("sun", "clouds", "rain")}  # share the rest
q = {k: p[k] / sum(others.values()) * (1 - snow) for k in others}
q["snow"] = snow

def bits_a_day(q, p):  # when the code is made for p
    return sum(-q[k] * math.log2(p[k]) for k in q if q[k])

best, with_p = bits_a_day(q, q), bits_a_day(q, p)
kl = sum(q[k] * math.log2(q[k] / p[k]) for k in q if q[k])
ask_choice(
    "The mountains send q with the old code. How does that compare with q's own code?",
    [
        ("it takes as many bits a day, on average",
         "The words are the same. But only with snow on one day in eight, as in p, are "
         "they right for q."),
        ("it takes more, by less than a bit a day",
         "So it is where q is not far from p. A long word is a loss where it is common."),
        ("it takes more, by a bit a day or more",
         "So it is where it snows on about two days in three, or more. The old code spends three "
         "bits on each of them, q's own code less than one."),
        ("the receiver cannot read it any more",
         "Each word is still in the code. It is read without a fault, only long."),
    ],
    answer=1 if 1e-9 < kl < 1 else 0 if kl < 1 else 2,
)
assert abs(with_p - best - kl) < 1e-12

# %%
found = so_far("a wrong code", f"{snow:g}", [best, with_p, with_p - best, kl])
show_table("Bits a day, by how probable snow is", [
    "snow", "q's own code", "p's code", "more by", "KL(q || p)"],
    [(name, *(f"{bits:.3f}" for bits in row)) for name, row in found.items()])
say("The Kullback-Leibler divergence of lesson 6 is just that: what it costs to send q with a "
    "code made for p.")

# %% [markdown]
# ## Sending a draw
#
# The chain sends `x_{t-1}`, drawn from q. Its pixels are real numbers: written out,
# they have no end. How can that take few bits?
#
# The receiver needs no particular number. Any draw from q will do. So both ends
# make the same long list of draws from p beforehand, with the same seed. The sender
# goes down the list and takes each draw with a chance of `q / (M p)`, where M is the
# largest that `q / p` can be. The first that is taken is a fair draw from q. Only its
# place in the list is sent. (Better ways come nearer to the KL: Harsha et al. 2007.)
#
# We try it 2,000 times, with `p = N(0, 1)` and `q = N(2, 0.2²)`.

# %%
def log_ratio(x):  # ln q(x) / p(x), for q = N(2, 0.2²) and p = N(0, 1)
    return -((x - 2) / 0.2) ** 2 / 2 - math.log(0.2) + x ** 2 / 2

generator = stream(seed, "lesson 7")
shared = normal((2000, 1000), generator, "cpu")  # 2,000 lists, at both ends
log_M = log_ratio(torch.tensor(2 / (1 - 0.2 ** 2)))  # q / p is largest there
chance = torch.rand(shared.shape, generator=generator)
taken = chance.log() < log_ratio(shared) - log_M
place = taken.int().argmax(dim=1)  # the first that is taken: this is sent
received = shared[torch.arange(2000), place]  # the receiver looks it up
one_in = 1 / log_M.exp()  # of the draws is taken, on average
sent = -(one_in.log2() + place * (1 - one_in).log2())  # -log2 p(place)
q_and_p = (torch.tensor(v) for v in (2.0, 0.2 ** 2, 0.0, 1.0))
kl = to_bits(kl_gaussians(*q_and_p))
print(f"received: mean {received.mean():.2f}, std {received.std():.2f}")
print(f"tried {place.float().mean() + 1:.0f} draws, sent {sent.mean():.1f} "
      f"bits; KL(q || p) = {kl:.1f} bits")

# %%
ask_choice(
    "A step of the chain may take 100 bits, for all pixels. Can it be sent like this?",
    [
        ("no: it would have to try some 2^100 draws",
         "Yes. The list doubles with each bit. So nobody sends digits with this chain: we "
         "count the bits that it would take. The paper says so too (Section 4.3): the code "
         "is a way to read Eq. 5, not yet a practical one."),
        ("yes: the sender tries a million draws",
         "A place among a million takes 20 bits. Each bit more doubles the list."),
        ("yes: the sender tries some 100 draws",
         "A place among 100 needs 7 bits, as 2^7 is 128. The other way: 100 bits can name "
         "a place among 2^100."),
    ],
    answer=0,
)

# %% [markdown]
# ## Algorithms 3 and 4
#
# The sender makes `x_T, ..., x_1` from its digit. The receiver knows the network only.
#
#     sender (3)                               receiver (4)
#     send x_T ~ q(x_T | x_0)    by p(x_T)     receive x_T
#     t = T, ..., 2: send
#       x_{t-1} ~ q(x_{t-1} | x_t, x_0)        receive x_{t-1}
#                   by p_θ(x_{t-1} | x_t)
#     send x_0      by p_θ(x_0 | x_1)          receive x_0
#
# At best, each line takes the bits of one term of Eq. 5, as in lesson 6: L_T, then
# each `L_{t-1} = KL(q || p_θ)`, at last `L_0 = -log p_θ(x_0 | x_1)`. Their sum is the
# bound. All the while the receiver sees its best guess of `x_0` (Eq. 15).
#
# We take some 75 of the 1000 steps; those between lie on a line. σ² = β̃.

# %%
where = choose_device(device, cpu_seconds=15)
trained = load_checkpoint(device=where)
model, schedule = trained.model, trained.schedule
times = {*coding_times(1000)[::2], *range(1, 21), 101, 201, 401, 601, 801}
times = sorted(times, reverse=True)
sending = progressive_coding(
    model, schedule, x_0, times=times, generator=generator)
moments = list(track(sending, len(times) + 1, "Sending"))
bits = torch.stack([m.bits for m in moments])  # (moments, N), sent so far
rmse = torch.stack([m.rmse(x_0) for m in moments])  # of what is seen
guesses = torch.stack([m.x_0_hat.float() for m in moments])
at = {m.t: i for i, m in enumerate(moments)}
total = bits[-1].mean().item()
print(f"all {len(x_0)} digits are sent: {total:,.0f} bits each, on average")

# %% [markdown]
# ## Rate and distortion
#
# What has been sent by t is the *rate*. How far the guess is from the digit is the
# *distortion*: the root of the mean squared error (RMSE), in shades of 0 to 255,
# over the 28×28 pixels. The paper's Fig. 5 shows both for photographs.

# %%
share = 100 * bits[at[101]].mean().item() / total
ask_number(
    "At t = 101, 900 of 1000 steps are done. What percentage of the bits was sent?",
    share,
    tolerance=5,
    why="Nearly all bits come with the last hundred steps, and most of them with the very "
        "last ones.",
)

# %%
with figure(8, 3.2, columns=2) as (picture, (left, right)):
    ts = [m.t for m in moments]
    left.plot(ts, bits.mean(dim=1).tolist())
    left.set(title="bits sent (rate)", xlabel="t")
    right.plot(ts, rmse.mean(dim=1).tolist())
    right.set(title="RMSE of the guess (distortion)", xlabel="t")
show(picture, "lesson 7 rate and distortion")
paper = {801: (.00013, 60.97), 601: (.00282, 46.13), 401: (.01507, 30.81),
         201: (.05415, 18.47), 101: (.11994, 12.02), 1: (1.77581, 0.95)}
rows = []
for t in paper:
    rate, error = bits[at[t]].mean().item(), rmse[at[t]].mean().item()
    rows.append((t, f"{rate:,.1f}", f"{rate / 784:.4f}", f"{error:.2f}",
                 f"{paper[t][0]:.4f}", f"{paper[t][1]:.2f}"))
show_table("Here, and CIFAR-10 in the paper (Table 4)", [
    "t", "bits", "bits/dim", "RMSE", "CIFAR: bits/dim", "RMSE"], rows)

# %% [markdown]
# ## What the receiver sees
#
# Now forget t. Stop the line after a number of bits, and look.
#
# Then press `c` to stop elsewhere. Try `stop_at = 30`, and say first what will be seen.

# %% tags=["change"]
stop_at = 100  # bits of a digit, from 1 to 10,000

# %%
def after(budget, values):  # of each digit, when so many bits have come
    last = (bits <= budget).sum(dim=0).clamp(min=1) - 1
    return values[last, torch.arange(len(x_0))]  # (N, ...)

off = after(stop_at, rmse).mean().item()
ask_choice(
    "With this stop_at, what does the receiver see?",
    [
        ("a blur: one cannot tell which digit",
         "Its error is then above 40 shades of 255. That of the first guess is above 50."),
        ("a digit, but with blurred strokes",
         "Its error is then 15 to 40 shades of 255."),
        ("the digit, much as it was sent",
         "Its error is then below 15 shades of 255. What comes later is the exact shade of "
         "each pixel."),
    ],
    answer=2 if off < 15 else 1 if off <= 40 else 0,
)

# %%
one = 5 * each  # the first 5
found = so_far("seen", f"{stop_at} bits", after(stop_at, guesses)[one])
show_images(torch.stack([x_0[one], *found.values()]), "what is seen",
            ["sent", *found])
print(f"RMSE after {stop_at} bits: {off:.1f} shades of 255")

# %% [markdown]
# ## Beside a thumbnail
#
# There is a simpler way to spend bits: a *thumbnail* of n×n pixels, each black or
# white, that the receiver enlarges. It takes n² bits, and no network.

# %%
budgets, sides = (5, 20, 50, 100, 500), (2, 4, 7, 10, 22)
inner, rows, thumbnails = x_0[..., 2:-2, 2:-2], [], []  # 28×28
for budget, n in zip(budgets, sides, strict=True):
    small = F.interpolate(inner, size=(n, n), mode="area").sign()
    large = F.interpolate(small, size=(28, 28), mode="bilinear")
    off = (127.5 * (large - inner)).square().mean(dim=(1, 2, 3)).sqrt()
    thumbnails.append(F.pad(large, (2, 2, 2, 2), value=-1))
    rows.append((budget, after(budget, rmse).mean().item(),
                 n * n, off.mean().item()))
strip = torch.stack([after(b, guesses) for b in budgets], dim=1)  # (N, 5)
show_images(torch.cat([strip[one], *(t[one:one + 1] for t in thumbnails)]),
            "what is seen, then thumbnails",
            [f"{b} bits" for b in (*budgets, *(n * n for n in sides))],
            columns=len(budgets))
show_table("RMSE, all digits", ["bits", "the chain", "bits", "thumbnail"],
           rows)
nearer = sum(chain < other for _, chain, _, other in rows)
say(f"With as many bits the chain is nearer to the digit than the thumbnail in "
    f"{nearer} of 5 rows.")

# %%
titles = [*(f"{b} bits" for b in budgets), f"all {total:,.0f}"]
whole = torch.cat([strip, x_0[:, None]], dim=1)[::each]  # (10, 6, ...)
show(sheet(whole.flatten(0, 1), titles, columns=6), "lesson 7 what is seen")
moments_of_film = torch.logspace(
    math.log10(2), math.log10(bits[-1].max()), 70).tolist()
captions = [f"{b:,.0f} bits" for b in moments_of_film[:-1]] + ["all bits"]
moments_of_film[-1] = math.inf
film = [after(b, guesses)[::each] for b in moments_of_film]
_ = save_moments(film, captions, "lesson 7 sending")

# %% [markdown]
# ## Which digit is it?
#
# To name one of ten digits takes `log2 10 = 3.3` bits. Does the chain name it first,
# and draw it then? We let the classifier of this package read what is seen.

# %%
reader = load_classifier().model
right = {}  # bits -> how many are read right, in %
for budget in (1, 2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 40, 50, 75, 100):
    seen = read_digits(reader, to_uint8(after(budget, guesses))).classes
    right[budget] = 100 * (seen == labels).float().mean().item()
ask_number(
    "After how many bits are more than half of them read right, for the first time?",
    next(b for b in [*right, 1000] if right.get(b, 100) > 50),
    tolerance=4,
    why="Later than 3.3. The first bits do not name the digit. They say a little of "
        "everything at once: about here is a stroke, about there is none.",
)
show_curves("Read right, %", {"": right.items()}, "bits", log_x=True)

# %% [markdown]
# ## A 1 and an 8
#
# Both have 784 pixels, and go through the same steps of the same chain. Does a 1
# take as many bits as an 8? Count until `x_1` has come, without L_0.

# %%
by_kind = bits[at[1]].view(10, each).mean(dim=1)
ratio = (by_kind[8] / by_kind[1]).item()
ask_choice(
    "How many bits does an 8 take, beside a 1?",
    [
        ("about as many: the same number of pixels and steps",
         "A step takes KL(q || p_θ) bits. Where the network's guess is good, that is next "
         "to nothing."),
        ("a little more, by less than a third",
         "An 8 has more strokes that could be elsewhere, and more grey along them."),
        ("a third more, or more than that",
         "Yes. A 1 is soon guessed: one stroke, with a place, a slant and a width."),
        ("fewer: an 8 looks much the same in every hand",
         "In every hand there are two loops, but where their lines run must be sent."),
    ],
    answer=0 if 0.93 < ratio < 1.07 else 3 if ratio < 1 else int(ratio > 4 / 3) + 1,
)

# %%
pair = to_unit_range(torch.cat(
    [unseen(d, (seed + 1) * each, 1) for d in (1, 8)]))
points_of = {"a 1": [], "an 8": []}  # (bits, RMSE), from 1 bit on

def curves_so_far():
    return Curves("RMSE by bits sent", points_of.items(), x_label="bits",
                  log_x=True)

sending = progressive_coding(
    model, schedule, pair, times=times, generator=generator)
for moment in track(sending, len(times) + 1, "Sending",
                    pictures=True, curves=curves_so_far):
    found = moment.bits.tolist(), moment.rmse(pair).tolist()
    for points, *now in zip(points_of.values(), *found, strict=True):
        if now[0] >= 1:
            points.append(now)
show_curves("RMSE by bits sent", points_of, "bits", log_x=True)
rows = [(d, f"{by_kind[d]:,.0f}",
         f"{bits[-1].view(10, each)[d].mean():,.0f}") for d in range(10)]
show_table("Bits until x_1, and all", ["digit", "until x_1", "all"], rows)

# %% [markdown]
# ## The paper's split
#
# On CIFAR-10 the paper counts 1.78 bits/dim until `x_1`, and 1.97 in L_0. At `x_1` the
# RMSE is 0.95 of 255: nobody sees it. So more than half of the bits describe what
# nobody sees (Section 4.3). A model may be poor at that, and still draw well. How is
# it here?

# %%
rate = bits[at[1]].mean().item() / 784
last_step = total / 784 - rate
in_last = 100 * last_step / (rate + last_step)
show_table("bits/dim", ["", "CIFAR-10", "here"], [
    ("until x_1", "1.78", f"{rate:.2f}"), ("L_0", "1.97", f"{last_step:.2f}"),
    ("L_0 in % of all", "53", f"{in_last:.0f}"),
    ("RMSE at x_1", "0.95", f"{rmse[at[1]].mean():.2f}")])
plain = [bytes(i[0, 2:-2, 2:-2].flatten().tolist()) for i in images]
zipped = sum(8 * len(zlib.compress(p, 9)) for p in plain) / len(plain)
print(f"All, here: {total:,.0f} bits a digit. As zip: {zipped:,.0f}.")
say("Down to the last shade, the chain takes "
    + ("fewer bits than zip." if total < 0.9 * zipped else
       "about as many bits as zip, which knows nothing of digits." if total < 1.1 * zipped
       else "more bits than zip.")
    + " What it is good at is what is seen: "
    f"{after(100, rmse).mean():.0f} shades off after 100 bits.")

# %%
mended = ReverseProcess(push_black=True)  # as in lesson 6
*_, x_1, end = progressive_coding(model, schedule, x_0, mended,
                                  times=[1000, 1], generator=generator)
less = (end.bits - x_1.bits).mean().item() / 784  # L_0
still = 100 * less / (rate + less)
ask_choice(
    "Lesson 6 made black pixels nearly free at t = 1. What part of all is L_0 then?",
    [
        ("as large as before: the mend saves bits at each step",
         "It changes the guess at t = 1, and nothing else. The bits until x_1 stay."),
        ("a smaller part, but far from nothing: over a tenth",
         "Yes. The bits until x_1 stay, and L_0 shrinks. It still has the last shades of "
         "grey to send, and those are seen by nobody either."),
        ("next to nothing: L_0 was all black pixels",
         "The grey pixels along the strokes have a last shade, too."),
    ],
    answer=2 if still < 10 else 1 if still < in_last - 5 else 0,
)
print(f"L_0: {last_step:.2f} bits/dim before, {less:.2f} after; "
      f"in % of all: {in_last:.0f} before, {still:.0f} after")

# %% [markdown]
# ## Masks in place of noise
#
# With a little algebra the bound reads (paper, Eq. 16)
#
#     L = KL(q(x_T) || p(x_T)) + H(x_0)
#         + E Σ KL(q(x_{t-1} | x_t) || p_θ(x_{t-1} | x_t))
#
# H is the *entropy* of the data: the bits of a perfect code. Nothing here asks for
# noise. So *mask* instead: let T be the number of pixels, and let step t hide pixel
# t. At T all are hidden. The way back shows pixel t, guessed from those after it.
#
# Our data: one row from the middle of a digit, as T = 7 pixels, ink or none. For
# `p_θ` we count: of the training rows that end like this one, how many have ink
# at t?

# %%
T = 7
def rows_of(images):  # (N, 1, 32, 32) -> (N, 7), is there ink?
    middle = images[:, 0, 15:17, 2:-2].float().mean(dim=1)
    return (middle.view(-1, T, 4).mean(dim=2) > 64).int()

known = rows_of(digits.train_images)

def p_theta(row, t, among=known, extra=1):  # extra: so that nothing is at 0
    alike = among[(among[:, t:] == torch.tensor(row[t:])).all(dim=1), t - 1]
    ink = Fraction(int(alike.sum()) + extra, len(alike) + 2 * extra)
    return ink if row[t - 1] else 1 - ink  # the probability of pixel t

def cost(row, **options):  # the bits of L_{T-1}, ..., L_0
    return [-math.log2(p_theta(row, t, **options)) for t in range(T, 0, -1)]

# %%
row = rows_of(images[5 * each:])[0].tolist()  # of the first 5
signs = "".join(".#"[pixel] for pixel in row)
rows, spent = [(T, "?" * T, "", "")], 0.0
for t, step in zip(range(T, 0, -1), cost(row), strict=True):
    spent += step
    shown = "?" * (t - 1) + signs[t - 1:]
    rows.append((t - 1, shown, f"{step:.3f}", f"{spent:.3f}"))
show_table("Receiving a row", ["t", "x_t", "bits", "so far"], rows)

# %% [markdown]
# ## A diffusion that is autoregressive
#
# `x_T` hides everything, at both ends: L_T = 0. The sender knows the pixel, so that
# a step of q is certain. Its KL in Eq. 5 is `-log2 p_θ(pixel t | the pixels after it)`.
#
# A model that guesses one number after the other, from those before, is called
# *autoregressive*. PixelCNN and language models are. We have just made one.
#
# Lesson 6 had a bound: with noise, the true `-log2 p(x_0)` may be less, by an
# unknown gap. Here there are only 2^7 rows, so we can look.

# %%
every = torch.cartesian_prod(*[torch.tensor([0, 1])] * T).tolist()  # 128 rows
p_of_row = [math.prod(p_theta(r, t) for t in range(1, T + 1)) for r in every]
exact = -math.log2(p_of_row[every.index(row)])
assert sum(p_of_row) == 1  # in fractions: exactly
ask_choice(
    "How large is the gap between the sum of the steps and the true -log2 p(row)?",
    [
        ("larger than with noise: a mask hides more than noise does",
         "How much is hidden does not matter. A gap comes from other ways to the same "
         "x_0, and here there is one way only."),
        ("zero: the sum is the exact likelihood",
         "Yes. By the chain rule, p(row) is the product of the guesses. The gap of Eq. 3 "
         "comes from the many ways x_1, ..., x_T to one x_0. Here there is one way only: "
         "which pixel is hidden when, is known beforehand."),
        ("as with noise: there is one, and nobody knows it",
         "With 128 rows we can compute p of each. And the sum of all of them is 1."),
    ],
    answer=1 if abs(exact - spent) < 1e-9 else 2,
)
print(f"sum of the steps {spent:.6f} bits, -log2 p(row) = {exact:.6f}")

# %% [markdown]
# ## Really sent
#
# With masks there is a practical sender, too: *arithmetic coding*. Start with the
# interval from 0 to 1. For each pixel keep its lower part if there is ink, else the
# upper part, as large as `p_θ` says. After all pixels the interval is as wide as p.
# A number in it is sent, of about `-log2 p` binary places.
#
# The receiver has the same `p_θ`, and sees in which part the number lies.

# %%
def narrowed(low, width, row, t):  # the part of the interval for pixel t
    part = width * p_theta([*row[:t - 1], 1, *row[t:]], t)
    return (low, part) if row[t - 1] else (low + part, width - part)

def send(rows):
    low, width = Fraction(0), Fraction(1)
    for row in rows:
        for t in range(T, 0, -1):
            low, width = narrowed(low, width, row, t)
    places = (width.denominator // width.numerator).bit_length()
    return f"{math.ceil(low * 2 ** places):0{places}b}"

def receive(bits, count):
    number, rows = Fraction(int(bits, 2), 2 ** len(bits)), []
    low, width = Fraction(0), Fraction(1)
    for _ in range(count):
        rows.append([0] * T)
        for t in range(T, 0, -1):
            _, part = narrowed(low, width, [*[1] * t, *rows[-1][t:]], t)
            rows[-1][t - 1] = int(number < low + part)
            low, width = narrowed(low, width, rows[-1], t)
    return rows

# %%
some = rows_of(images[::each]).tolist()  # one row of each kind of digit
line = send(some)
assert receive(line, len(some)) == some
print(line)
print(f"{len(line)} bits for {len(some)} rows of {T} pixels; -log2 p of all: "
      f"{sum(map(sum, map(cost, some))):.2f}")

# %% [markdown]
# ## Another order
#
# One could mask from the other side as well. Which is better? We count the bits
# that a row takes on average over all training rows, with a `p_θ` counted from just
# these, and nothing added.

# %%
kinds, counts = known.unique(dim=0, return_counts=True)
weights = (counts / counts.sum(dtype=torch.float64)).tolist()

def mean_cost(kinds, among):
    costs = [sum(cost(r, among=among, extra=0)) for r in kinds.tolist()]
    return sum(w * c for w, c in zip(weights, costs, strict=True))

left = mean_cost(kinds, known)
right = mean_cost(kinds.flip(1), known.flip(1))
H = -sum(w * math.log2(w) for w in weights)
ask_choice(
    "Masked from the left or from the right: which takes fewer bits, on average?",
    [
        ("from the left: a row is then guessed from its right end",
         "Single pixels cost more or less in another order. Their sum does not."),
        ("from the right: a row is then guessed as one reads",
         "Reading order is a habit. The product of the guesses is p(row) either way."),
        ("neither: both guess as many pixels of a row",
         "Yes. In any order the product of the guesses is p(row), where p_θ can be just "
         "right. A network may find one order easier than another."),
    ],
    answer=2 if abs(left - right) < 1e-9 else int(right < left),
)
assert abs(left - H) < 1e-9 and abs(right - H) < 1e-9

# %%
ink = known.double().mean(dim=0)
alone = -(torch.xlogy(ink, ink) + torch.xlogy(1 - ink, 1 - ink)).sum()
show_table("Bits a row", ["", "bits"], [
    ("masked from the left", left), ("masked from the right", right),
    ("H, the entropy of these rows", H),
    ("each pixel guessed by itself", to_bits(alone).item())])
say("These guesses are just right, so that each KL of Eq. 16 is 0. What is left of it is "
    "H: no code takes fewer bits.")

# %% [markdown]
# ## Recap
#
# - A message of probability p takes `-log2 p` bits; a code made for another p takes
#   more, by their KL. So each term of Eq. 5 is a number of bits.
# - Algorithms 3 and 4 send `x_T, ..., x_0`. The first bits say roughly what is where;
#   after some 100 the digit is seen; most bits describe what nobody sees.
# - An 8 takes more than a 1. L_0 is more than half of all, as in the paper, but much
#   of it can be mended here.
# - Eq. 16 needs no noise. With masks the chain is an autoregressive model: its bits
#   are exact, and arithmetic coding really sends them.
# - So the paper calls a diffusion with noise a generalized order of bits (Section
#   4.3): not pixel after pixel, but the rough before the fine, everywhere at once.
#
# The bits are yours to write: exercises 15 to 18. Lesson 8 asks what the best p_θ would do.
