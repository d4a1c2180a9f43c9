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

        ε = ε_θ(x_t, t, no label) + w · (ε_θ(x_t, t, label) - ε_θ(x_t, t, no label))

    model       model(x_t, t, label) is the predicted noise (B, 1, H, W); t and label are (B,)
    x_t         (B, 1, H, W);  t (B,);  label (B,) whole numbers
    null_label  a whole number, the label that says "no label"
    guidance    w of lesson 5, the number behind --guidance: 0 leaves the label out, 1 is the
                prediction with the label, more exaggerates what the label changes
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
    """w is one too large: this is Eq. 6 of Ho and Salimans, whose w is one less than ours.

    The label pulls harder than was asked for: strokes get bold, and digits more alike. Two ways of
    counting w are in use, and get confused (huggingface/diffusers, issue 5882;
    threestudio-project/threestudio, issue 127).
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
    """The prediction is multiplied by w; w is to stretch the difference that the label makes.

    With w = 1.5 half as much noise again is taken out as there is.
    """
    return guidance * model(x_t, t, label)


# %% mistake unguided
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The guidance is not used: this is the conditional prediction, w = 1."""
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


# %% mistake not_subtracted draws
def guided_eps(model, x_t, t, label, null_label, guidance):
    """w multiplies the prediction with the label; it is to multiply the difference of the two.

    1 + w times as much noise is taken out as there is. Grain comes of it, and often another digit.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return without + guidance * with_label


# %% mistake away_from_the_label draws
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The difference is the wrong way round: it is with the label minus without.

    It pulls away from the label: any digit may come, but hardly the one you ask for.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return without + guidance * (without - with_label)


# %% mistake plus draws
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The two predictions are added in the bracket; it is their difference.

    1 + 2w times as much noise is taken out as there is. Grain comes of it, and often another
    digit.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return without + guidance * (with_label + without)


# %% mistake unconditional
def guided_eps(model, x_t, t, label, null_label, guidance):
    """This is the prediction without a label alone, w = 0: the label is not used."""
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return without


# %% mistake mean_of_both
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The mean of both predictions is w = 1/2; `guidance` is not used."""
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label))
    return (with_label + without) / 2


# %% mistake null_is_nine
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The null label is one too small: here it is the last digit, not "no label".

    It pulls away from that digit.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, null_label - 1))
    return without + guidance * (with_label - without)


# %% mistake null_is_ten
def guided_eps(model, x_t, t, label, null_label, guidance):
    """10 is written out for the null label; take `null_label`, which need not be 10.

    A network for other classes has another one.
    """
    with_label = model(x_t, t, label)
    without = model(x_t, t, torch.full_like(label, 10))
    return without + guidance * (with_label - without)


# %% mistake int_label
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The null label is one number; the network takes a tensor (B,), one label for each picture.

    Use `torch.full_like(label, null_label)`.
    """
    with_label = model(x_t, t, label)
    return with_label + (1 - guidance) * (model(x_t, t, null_label) - with_label)


# %% mistake other_t
def guided_eps(model, x_t, t, label, null_label, guidance):
    """The prediction without a label is asked for at t = 1; both are at the t of x_t."""
    with_label = model(x_t, t, label)
    without = model(x_t, torch.ones_like(t), torch.full_like(label, null_label))
    return without + guidance * (with_label - without)


# %% check
from ddpm_tutor.grading.tools import Probe, quick_drawing, refuse_other_numbers

results = ("eps",)
linear_in = {"the prediction with the label": "w", "the prediction without": "1 - w"}


def right(model, x_t, t, label, null_label, guidance):
    """The package's own asks the network for its null label, and calls it once for both."""
    without = model(x_t, t, torch.full_like(label, null_label))
    return without + guidance * (model(x_t, t, label) - without)


def inputs(draw):
    x_t, t, network = draw.noise(), draw.t(), draw.network()
    network.num_classes = null_label = 10 - draw.seed % 3  # so that 10, written out, is wrong

    def model(x_t, t, label=None):
        """A function, as in a drawing: it has nothing of a network but its answers."""
        refuse_other_numbers("t", t, x_t)
        if label is not None:
            refuse_other_numbers("the label", label, x_t)
        return network(x_t, t, label)

    return {
        "model": model, "x_t": x_t, "t": t, "label": draw.labels() % null_label,
        "null_label": null_label, "guidance": 0.5 * draw.seed,
    }  # fmt: skip


def probe(guided_eps, inputs):
    """Noise for what the network predicts, another one with a label than without."""
    x_t, null_label, w = inputs["x_t"], inputs["null_label"], inputs["guidance"]
    with_label, without = torch.randn_like(x_t), torch.randn_like(x_t)

    def model(x_t, t, label):
        return torch.where((label == null_label).view(-1, 1, 1, 1), without, with_label)

    eps = guided_eps(**inputs | {"model": model})
    given = {"the prediction with the label": with_label, "the prediction without": without}
    return Probe(eps, given, [f"w = {w:g}"] * len(eps), {"w": torch.full((len(eps),), w)})


def picture(guided_eps):
    """Three digits, drawn with guidance 3."""
    return quick_drawing(guided_eps=guided_eps, guidance=3.0)
