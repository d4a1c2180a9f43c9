# %% [markdown]
# # Exercise 18 · Bits per dimension
#
# **Lesson:** 6
#
# **Paper:** Eq. 5, Table 1

# %% start
import math

import torch
from torch import Tensor


def bits_per_dim(terms: Tensor) -> Tensor:
    """The bound of each picture, all terms of Eq. 5 together, in bits for each of its pixels.

        L = L_T + L_{T-1} + ... + L_1 + L_0

    This is how papers state it: in bits, not nats, and divided by the number of the pixels. A bit
    is log 2 nats. A picture of MNIST has 28×28 pixels. The network sees it with a black border of
    2 around, as 32×32. The border is no part of the picture, so that it does not count as pixels;
    but what is spent on it is spent for the picture, and counts.

    terms      (T + 1, B, 1, 32, 32), nats of each pixel: terms[0] is L_0, terms[T] is L_T, and
               terms[i] is L_i, the step from t = i + 1 to t = i
    returns    (B,), the bits/dim of each picture
    """
    ...


# %% [markdown] hint
# The bound of a picture is a sum, over all the terms and over all the pixels. Which dimensions of
# `terms` go, and which one stays?


# %% hint
def bits_per_dim(terms):
    nats = terms.sum(dim=...)  # (B,)
    ...


# %% [markdown] hint
# The batch stays, and nothing else. Now two divisions: one changes nats to bits, the other one a
# picture to a pixel.


# %% hint
def bits_per_dim(terms):
    nats = terms.sum(dim=(0, 2, 3, 4))  # (B,)
    return nats / ... / (28 * 28)


# %% solution
def bits_per_dim(terms):
    nats = terms.sum(dim=(0, 2, 3, 4))  # (B,)
    return nats / math.log(2) / (28 * 28)


# %% mistake mean_over_t
def bits_per_dim(terms):
    """The terms are averaged; the bound (Eq. 5) is their sum.

    All of them have to be sent, one after the other. The mean would be a thousandth of the cost.
    """
    return terms.mean(0).sum(dim=(1, 2, 3)) / math.log(2) / 784


# %% mistake times_t
def bits_per_dim(terms):
    """It is multiplied by the number of terms once more: the sum is all there is.

    T times comes in where one term, or the mean of some, stands for all. Here all are given.
    """
    return len(terms) * terms.sum(dim=(0, 2, 3, 4)) / math.log(2) / 784


# %% mistake one_term
def bits_per_dim(terms):
    """One term stands for all: L_0 alone."""
    return terms[0].sum(dim=(1, 2, 3)) / math.log(2) / 784


# %% mistake nats
def bits_per_dim(terms):
    """These are nats: divide by log 2 = 0.69, too. There are more bits than nats."""
    return terms.sum(dim=(0, 2, 3, 4)) / 784


# %% mistake times_log_2
def bits_per_dim(terms):
    """It is multiplied by log 2: nats are divided by it. There are more bits than nats."""
    return terms.sum(dim=(0, 2, 3, 4)) * math.log(2) / 784


# %% mistake log2_of_nats
def bits_per_dim(terms):
    """This is the logarithm of the nats; to change the unit, they are divided by log 2.

    Nats are a logarithm already: -log p.
    """
    return torch.log2(terms.sum(dim=(0, 2, 3, 4))) / 784


# %% mistake padded
def bits_per_dim(terms):
    """It is divided by 32×32 = 1,024 pixels: a picture of MNIST has 28×28 = 784.

    It looks a quarter better so, without a bit less being sent. Beside other papers' numbers it
    would be wrong.
    """
    return terms.sum(dim=(0, 2, 3, 4)) / math.log(2) / 1024


# %% mistake padded_nats
def bits_per_dim(terms):
    """Two slips: it is divided by 1,024 pixels, where 784 belong, and it is in nats.

    To average over the pixels of 32×32 divides by 1,024, too.
    """
    return terms.sum(dim=(0, 2, 3, 4)) / 1024


# %% mistake side
def bits_per_dim(terms):
    """It is divided by 28: that is one side. The picture has 28×28 = 784 pixels."""
    return terms.sum(dim=(0, 2, 3, 4)) / math.log(2) / 28


# %% mistake bits_of_a_picture
def bits_per_dim(terms):
    """These are the bits of the whole picture: divide by its 784 pixels."""
    return terms.sum(dim=(0, 2, 3, 4)) / math.log(2)


# %% mistake nats_of_a_picture
def bits_per_dim(terms):
    """These are the nats of the whole picture: divide by log 2 and by its 784 pixels."""
    return terms.sum(dim=(0, 2, 3, 4))


# %% mistake border_cut
def bits_per_dim(terms):
    """The border is cut off. It counts as no pixels, but what is spent on it counts.

    The network sends 32×32 pixels. Only if it were sure of the border would that cost nothing, and
    it is not quite: the shipped one spends 0.17 bits/dim on it.
    """
    inside = terms[..., 2:-2, 2:-2]
    return inside.sum(dim=(0, 2, 3, 4)) / math.log(2) / 784


# %% mistake no_prior
def bits_per_dim(terms):
    """L_T is missing, the last of the terms, terms[T].

    It is tiny on the schedule of the paper, but it is part of the bound, and on a short schedule
    it is much: x_T is no pure noise then.
    """
    return terms[:-1].sum(dim=(0, 2, 3, 4)) / math.log(2) / 784


# %% mistake no_decoder
def bits_per_dim(terms):
    """L_0 is missing, the first of the terms: it is the decoder's, and half of the bits.

    Without it nothing says which of the 256 shades a pixel has.
    """
    return terms[1:].sum(dim=(0, 2, 3, 4)) / math.log(2) / 784


# %% mistake steps_alone
def bits_per_dim(terms):
    """L_0 and L_T are missing: these are the steps between alone.

    To sum from t = 2 to T, as Eq. 5 does, leaves two terms that stand beside the sum.
    """
    return terms[1:-1].sum(dim=(0, 2, 3, 4)) / math.log(2) / 784


# %% mistake ends_alone
def bits_per_dim(terms):
    """These are L_0 and L_T alone: the steps between, L_1 to L_{T-1}, are missing."""
    return (terms[0] + terms[-1]).sum(dim=(1, 2, 3)) / math.log(2) / 784


# %% mistake negative
def bits_per_dim(terms):
    """The sign is wrong: the terms are costs already, L_0 is -log p. Add them up as they are."""
    return -terms.sum(dim=(0, 2, 3, 4)) / math.log(2) / 784


# %% mistake batch_averaged
def bits_per_dim(terms):
    """It is averaged over the pictures; the bits/dim of each of them are asked for.

    From the single ones follows how sure the mean is: their spread over the root of their number.
    """
    return (terms.sum(dim=(0, 2, 3, 4)) / math.log(2) / 784).mean()


# %% mistake batch_summed
def bits_per_dim(terms):
    """All pictures are summed up; the bits/dim of each of them are asked for."""
    return terms.sum() / math.log(2) / 784


# %% mistake of_terms
def bits_per_dim(terms):
    """The pictures are summed up, and the terms stay: (T + 1,). It is to be (B,).

    Dimension 0 is that of the terms, dimension 1 that of the pictures.
    """
    return terms.sum(dim=(1, 2, 3, 4)) / math.log(2) / 784


# %% mistake map
def bits_per_dim(terms):
    """The pixels are not summed up: this is a map (B, 1, 32, 32), and one number is asked for."""
    return terms.sum(0) / math.log(2) / 784


# %% mistake map_of_bits
def bits_per_dim(terms):
    """This is a map, the bits of each pixel: sum it up over the picture, and divide by 784."""
    return terms.sum(0) / math.log(2)


# %% check
from itertools import product

from ddpm_tutor import bits_per_dim as of_nats
from ddpm_tutor import per_picture
from ddpm_tutor.grading.tools import Probe, fit

results = ("bits/dim",)
written_out = (of_nats,)
T = 6  # steps of what is probed
ONCE = 1 / (784 * math.log(2))  # what belongs before each nat
PARTS = ("L_0", "L_1 + ... + L_{T-1}", "L_T")
BORDER = " on the border"
linear_in = dict.fromkeys([*PARTS, *(part + BORDER for part in PARTS)], "1 / (784 log 2)")
# how many times what is right people have, and why; what is right comes first
UNITS = ((1, ""), (math.log(2), "it is in nats"), (math.log(2) ** 2, "log 2 is multiplied by"))
PIXELS = (
    (1, ""),
    (784 / 1024, "it is divided by 1,024 pixels, where 784 belong"),
    (28, "it is divided by 28, where 28×28 belong"),
    (784, "it is not divided by the 784 pixels"),
)
TERMS = (
    (1, ""),
    (1 / (T + 1), "the T + 1 terms are averaged, where their sum belongs"),
    (1 / T, "it is divided by T, where the sum of the terms belongs"),
    (T / (T + 1), "it is T times the mean, where the sum of the T + 1 terms belongs"),
    (T, "it is multiplied by T, where the sum is all there is"),
)


def right(terms):
    return of_nats(per_picture(terms.sum(0)))


def inputs(draw):
    """Terms of different sizes, as they are: L_0 is large, and so are the first steps."""
    draw.height, draw.width, draw.T = 32, 32, 6 if draw.T == 1000 else 9  # told beside the numbers
    terms = draw.noise(draw.T + 1, draw.batch, 1, 32, 32).abs()
    sizes = draw.to(torch.tensor([1.0, *(0.5 / i for i in range(1, draw.T)), 0.2]))
    return {"terms": terms * sizes.view(-1, 1, 1, 1, 1)}


def probe(bits_per_dim, inputs):
    """What each of the terms is multiplied by, in 64 pictures with other terms each."""
    numbers = torch.Generator().manual_seed(0)
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[2:-2, 2:-2] = True
    sums = torch.rand(2, T + 1, 64, 1, 1, 1, generator=numbers, dtype=torch.float64)
    terms = torch.where(inside, sums[0] / 784, sums[1] / 240)
    result = bits_per_dim(terms.clone())
    parts = [part for s in sums.flatten(2) for part in (s[0], s[1:-1].sum(0), s[-1])]
    given = {name: part.view(1, -1) for name, part in zip(linear_in, parts, strict=True)}
    return Probe(result.reshape(1, -1), given, [""])


def explain(bits_per_dim):
    """Which slips lead to these numbers, several at once."""
    found = fit(probe(bits_per_dim, {}))
    if found is None:
        return (
            "It is no sum of the terms, each as often as it is there. Is a logarithm taken of the "
            "sum, or a term multiplied by its index?"
        )
    times = {name: value.item() / ONCE for name, value in found.items()}
    added = times.pop("") * ONCE
    missing = [name for name, value in times.items() if abs(value) < 1e-3]
    kept = [value for value in times.values() if abs(value) >= 1e-3]
    if not kept or max(kept) - min(kept) > 1e-3 * abs(max(kept)):
        return ""
    slips = [f"{added:.4g} is added"] if abs(added) > 1e-6 else []
    slips += [f"{name} is missing" for name in missing if BORDER not in name]
    if [name + BORDER for name in PARTS] == missing[-3:] and len(missing) < 6:
        slips.append("what is spent on the border is missing")
    for (unit, a), (pixels, b), (terms, c) in product(UNITS, PIXELS, TERMS):
        if abs(unit * pixels * terms / kept[0] - 1) < 1e-3:
            slips += [slip for slip in (a, b, c) if slip]
            says = "; and ".join(slips)
            return f"{says[:1].upper()}{says[1:]}."
    right_one = "the sum of all nats, divided by 784 and by log 2"
    slips.append(f"it is {kept[0]:.4g} times what is right, {right_one}")
    says = "; and ".join(slips)
    return f"{says[:1].upper()}{says[1:]}."
