# %% [markdown]
# # Exercise 14 · Guidance
#
# **Lesson:** 5
#
# **Part:** 11.8 e
#
# **Paper:** Ho and Salimans 2022, Eq. 6

# %% start
from collections.abc import Callable

import torch
from torch import Tensor


def guided_eps(
    model: Callable[[Tensor, Tensor, Tensor], Tensor],
    x_t: Tensor,
    t: Tensor,
    label: Tensor,
    null_label: int,
    guidance: float,
) -> Tensor:
    """The predicted noise with classifier-free guidance.

        ε = ε_θ(x_t, t, no label) + g · (ε_θ(x_t, t, label) - ε_θ(x_t, t, no label))

    model       model(x_t, t, label) is the predicted noise (B, 1, H, W)
    x_t         (B, 1, H, W);  t (B,);  label (B,) whole numbers
    null_label  a whole number: for a network, the label that says "no label"
    guidance    g: 0 leaves the label out, 1 is the label alone, more exaggerates it
    returns     (B, 1, H, W), the noise to go on with
    """
    ...


# %% [markdown] hint
# Two predictions, one with the label and one with the null label for every picture.


# %% hint
def guided_eps(model, x_t, t, label, null_label, guidance):
    with_label = ...
    without = ...
    ...


# %% [markdown] hint
# `torch.full_like(label, null_label)` has the null label for every picture.


# %% hint
def guided_eps(model, x_t, t, label, null_label, guidance):
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return without + ...


# %% solution
def guided_eps(model, x_t, t, label, null_label, guidance):
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return without + guidance * (with_label - without)


# %% mistake guidance_swapped draws
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The two predictions are swapped: it pulls away from the label, not towards it.

    Any digit may come, but hardly the one you ask for.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return with_label + guidance * (without - with_label)


# %% mistake one_too_much draws
def guided_eps(model, x_t, t, label, null_label, guidance):
    """g is one too large: this is Eq. 6 of Ho and Salimans with w = g, and their w is g - 1.

    The label pulls harder than was asked for: strokes get bold, and digits more alike.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return (1 + guidance) * with_label - guidance * without


# %% mistake only_the_difference draws
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The prediction without a label is missing in front: this is only the difference.

    That is next to no noise to take out, so it all stays.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return guidance * (with_label - without)


# %% mistake only_scaled draws
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The prediction is multiplied by g; g is to stretch the difference that the label makes.

    With g = 1.5 half as much noise again is taken out as there is.
    """
    return guidance * model(x_t, t, label)


# %% mistake unguided
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The guidance is not used: this is the conditional prediction, g = 1."""
    return model(x_t, t, label)


# %% mistake null_is_zero draws
def guided_eps(model, x_t, t, label, null_label, guidance):
    """0 is taken for the null label. But 0 is a digit: it pulls away from zeros.

    A 7 asked for may well come. A 0 comes without any guidance.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.zeros_like(label))
    return without + guidance * (with_label - without)


# %% mistake one_label
def guided_eps(model, x_t, t, label, null_label, guidance):
    """One label is used for the whole batch; each picture has its own."""
    with_label = model(x_t, t, label[:1].expand(len(label)))
    without = model(x_t, t, torch.full_like(label, null_label))
    return without + guidance * (with_label - without)


# %% mistake on_the_cpu device
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The null labels are made on the CPU: with labels on a GPU this stops.

    Use `torch.full_like(label, null_label)`.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full((len(label),), null_label))
    return without + guidance * (with_label - without)


# %% check
from ddpm_tutor.grading.tools import quick_drawing

results = ("eps",)


def right(model, x_t, t, label, null_label, guidance):
    """The package's own asks the network for its null label, and calls it once for both."""
    without = model(x_t, t, torch.full_like(label, null_label))
    return without + guidance * (model(x_t, t, label) - without)


def inputs(draw):
    x_t, t, label = draw.noise(), draw.t(), draw.labels()
    return {
        "model": draw.network(), "x_t": x_t, "t": t, "label": label,
        "null_label": 10, "guidance": 0.5 * draw.seed,
    }  # fmt: skip


def picture(guided_eps):
    """Three digits, drawn with guidance 3."""
    return quick_drawing(guided_eps=guided_eps, guidance=3.0)
