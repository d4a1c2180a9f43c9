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
    """Replaces a random share of the labels by the null label, which says "no label".

        the null label where u < share, the label elsewhere

    label       (B,) whole numbers
    share       of the labels to be dropped, such as 0.1
    null_label  stands for no label: 10, where the digits are 0 to 9
    u           (B,) random numbers, uniform in [0, 1), one for each label
    returns     (B,) whole numbers, a new tensor
    """
    ...


# %% [markdown] hint
# `u < share` is True for just about that share of the labels.


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
    """The share is kept, and all others are dropped.

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

    One batch in ten is then without any label, and the loss jumps there.
    """
    return torch.where(u[0] < share, null_label, label)


# %% mistake wrong_way
def drop_labels(label, share, null_label, u):
    """Dropped is where u is large, u > 1 - share. As often, but here it is where u < share.

    The same share is dropped, but others than the caller's u say.
    """
    return torch.where(u > 1 - share, null_label, label)


# %% mistake removed
def drop_labels(label, share, null_label, u):
    """The dropped labels are gone: as many labels as pictures have to come back."""
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


# %% check
results = ("label",)


def right(label, share, null_label, u):
    """The package's own draws u itself."""
    return torch.where(u < share, null_label, label)


def inputs(draw):
    batch, draw.batch = draw.batch, 40 + draw.batch
    label, u = draw.labels(), draw.uniform()
    return {"label": label, "share": 0.1 + 0.1 * batch, "null_label": 10 + batch, "u": u}
