# %% [markdown]
# # Exercise 13 · Label dropout
#
# **Lesson:** 5
#
# **Part:** 11.8 c, d
#
# **Paper:** Ho and Salimans 2022, Algorithm 1

# %% start
import torch
from torch import Tensor


def drop_labels(label: Tensor, share: float, null_label: int, u: Tensor) -> Tensor:
    """Drops labels at random: each becomes the null label with probability `share`.

        the null label where u < share, the label as it was elsewhere

    label       (B,) whole numbers
    share       the probability that a label is dropped, such as 0.1; p_uncond in the paper
    null_label  the label that says "no label": 10, say, where the digits are 0 to 9
    u           (B,) random numbers, uniform in [0, 1), one for each label
    returns     (B,) whole numbers, a new tensor
    """
    ...


# %% [markdown] hint
# `u < share` is True with probability `share`, for each label on its own.


# %% hint
def drop_labels(label, share, null_label, u):
    dropped = ...  # (B,) of True and False
    ...


# %% [markdown] hint
# `torch.where(condition, a, b)` takes a where the condition holds, and b elsewhere.


# %% hint
def drop_labels(label, share, null_label, u):
    dropped = u < share
    return torch.where(dropped, ..., ...)


# %% solution
def drop_labels(label, share, null_label, u):
    dropped = u < share
    return torch.where(dropped, null_label, label)


# %% mistake kept
def drop_labels(label, share, null_label, u):
    """It is the wrong way round: where u < share the label stays, and all others are dropped.

    With a share of 0.1 the network sees nine in ten pictures without their label.
    """
    return torch.where(u < share, label, null_label)


# %% mistake zero
def drop_labels(label, share, null_label, u):
    """The labels are set to 0. But 0 is a digit; "no label" is the null label.

    The network would learn that a tenth of everything is a zero.
    """
    return torch.where(u < share, 0, label)


# %% mistake minus_one
def drop_labels(label, share, null_label, u):
    """The labels are set to -1; "no label" is the null label, which the embedding has a row for."""
    return torch.where(u < share, -1, label)


# %% mistake whole_batch
def drop_labels(label, share, null_label, u):
    """One number decides for the whole batch; each label has its own.

    One batch in ten is then without any label, and the loss jumps there. Which of the
    two is meant gets asked: runwayml/stable-diffusion, issue 8.
    """
    return torch.where(u[0] < share, null_label, label)


# %% mistake wrong_way
def drop_labels(label, share, null_label, u):
    """Labels are dropped where u > 1 - share, where u is large; it is to be where u < share.

    As many are dropped, but not those that the caller's u picks.
    """
    return torch.where(u > 1 - share, null_label, label)


# %% mistake removed
def drop_labels(label, share, null_label, u):
    """The dropped labels are taken out of the tensor; as many have to come back as went in."""
    return label[u >= share]


# %% mistake in_place
def drop_labels(label, share, null_label, u):
    """The result is right, but label was changed in place.

    The labels of the data are gone: after some epochs all are dropped.
    """
    label[u < share] = null_label
    return label


# %% mistake floats
def drop_labels(label, share, null_label, u):
    """The labels have become floats; an embedding takes whole numbers."""
    dropped = (u < share).float()
    return dropped * null_label + (1 - dropped) * label


# %% mistake on_the_cpu device
def drop_labels(label, share, null_label, u):
    """A tensor is made on the CPU: with labels on a GPU this stops.

    Use `torch.full_like(label, null_label)`, or the number itself.
    """
    return torch.where(u < share, torch.full((len(label),), null_label), label)


# %% mistake ten
def drop_labels(label, share, null_label, u):
    """10 is written out for the null label; take `null_label`, which need not be 10.

    A network for other classes has another one.
    """
    return torch.where(u < share, 10, label)


# %% mistake a_tenth
def drop_labels(label, share, null_label, u):
    """0.1 is written out for the probability; take `share`, which the caller chooses."""
    return torch.where(u < 0.1, null_label, label)


# %% mistake own_numbers
def drop_labels(label, share, null_label, u):
    """The random numbers are drawn anew; they are given, as u.

    As many labels would be dropped, but a run could not be repeated. Here the caller draws them.
    """
    return torch.where(torch.rand(len(label), device=label.device) < share, null_label, label)


# %% mistake exact_count
def drop_labels(label, share, null_label, u):
    """Exactly share · B labels are dropped; each is to be dropped on its own, where its u < share.

    How many that is, is left to chance too; it is right on average.
    """
    count = int(share * len(label))
    result = label.clone()
    result[u.argsort()[:count]] = null_label
    return result


# %% mistake first_ones
def drop_labels(label, share, null_label, u):
    """The first labels of the batch are dropped; it is those where u < share."""
    result = label.clone()
    result[: int(share * len(label))] = null_label
    return result


# %% mistake other_share
def drop_labels(label, share, null_label, u):
    """Labels are dropped where u < 1 - share, which is the probability to keep one.

    With a share of 0.1 the network sees one in ten pictures with its label.
    """
    return torch.where(u < 1 - share, null_label, label)


# %% mistake all
def drop_labels(label, share, null_label, u):
    """All labels are dropped, whatever u is."""
    return torch.full_like(label, null_label)


# %% mistake none
def drop_labels(label, share, null_label, u):
    """No label is dropped: the labels come back as they were.

    `label[u < share]` makes a copy: what is written into that copy is lost. A mask that was made
    and had no effect was in lucidrains/DALLE2-pytorch, issue 235.
    """
    return label.clone()


# %% mistake mask
def drop_labels(label, share, null_label, u):
    """What comes back is the mask, True and False; it is to choose between null label and label."""
    return u < share


# %% mistake added
def drop_labels(label, share, null_label, u):
    """The null label is added to the label; it is to take its place."""
    return label + null_label * (u < share)


# %% mistake zeros_elsewhere
def drop_labels(label, share, null_label, u):
    """Where u is not below share stands 0; there the label is to stay."""
    return torch.where(u < share, null_label, 0)


# %% mistake other_null
def drop_labels(label, share, null_label, u):
    """The label is one more than the null label, which says "no label" itself; it has no row."""
    return torch.where(u < share, null_label + 1, label)


# %% check
results = ("label",)


def right(label, share, null_label, u):
    """The package's own draws u itself."""
    return torch.where(u < share, null_label, label)


def inputs(draw):
    batch, draw.batch = draw.batch, 40 + draw.batch
    label, u = draw.labels(), draw.uniform()
    u[3] = 0.5  # share itself in one case: there < and <= part
    return {"label": label, "share": 0.1 + 0.1 * batch, "null_label": 10 + batch, "u": u}


def explain(drop_labels):
    """Up to which u labels are dropped, and what they become."""
    label, u = torch.full((1000,), 3), torch.arange(1000) / 1000
    result = drop_labels(label, 0.3, 12, u)
    dropped = result != label
    if result.shape != label.shape or not dropped.any():
        return ""
    if torch.equal(dropped, u < 0.3) and len(others := result[dropped].unique()) == 1:
        return f"With null_label = 12, a dropped label becomes {others.item()}; 12 belongs there."
    if torch.equal(dropped, u > 0.3):
        return (
            "It is the wrong way round: you drop a label where u > share; u < share belongs there."
        )
    last = int(dropped.nonzero().max())
    if dropped[: last + 1].all():
        return (
            f"With share = 0.3 you drop a label where u <= {last / 1000:g}; u < 0.3 belongs there."
        )
    return ""
