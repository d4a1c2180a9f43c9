# %% [markdown]
# # Exercise 12 · The label in the U-Net
#
# **Lesson:** 5
#
# **Part:** 11.8 a, b
#
# **Paper:** not in the paper; the assignment's conditional U-Net

# %% start
import torch
from torch import Tensor, nn

from ddpm_tutor import time_encoding


def informed(x: Tensor, t: Tensor, label: Tensor, embedding: nn.Embedding) -> Tensor:
    """A feature map that has been told the time and the label.

        x + encoding of t + first C channels of the embedding of the label

    x          (B, C, H, W), a feature map of the U-Net; C is 128 or 256 or ...
    t          (B,) whole numbers, the time steps
    label      (B,) whole numbers, the labels
    embedding  embedding(label) is (B, 256), or as many channels as the widest feature map has
    returns    (B, C, H, W) in the dtype of x: each pixel of a picture gets the same numbers added

    `time_encoding(t, channels)` of exercise 4 is at hand.
    """
    ...


# %% [markdown] hint
# C is `x.shape[1]`. Both encodings become (B, C), and are added.


# %% hint
def informed(x, t, label, embedding):
    channels = x.shape[1]
    encoding = ...  # (B, C)
    return x + ...


# %% [markdown] hint
# Of the embedding only the first C columns are used: `[:, :channels]`.


# %% hint
def informed(x, t, label, embedding):
    channels = x.shape[1]
    encoding = time_encoding(t, channels) + embedding(label)[:, :channels]
    return x + ...


# %% [markdown] hint
# (B, C) has to become (B, C, 1, 1): two new axes behind. And the dtype has to be that of x.


# %% hint
def informed(x, t, label, embedding):
    channels = x.shape[1]
    encoding = time_encoding(t, channels) + embedding(label)[:, :channels]
    return x + encoding[:, :, None, None].to(...)


# %% solution
def informed(x, t, label, embedding):
    channels = x.shape[1]
    encoding = time_encoding(t, channels) + embedding(label)[:, :channels]
    return x + encoding[:, :, None, None].to(x.dtype)


# %% mistake no_time
def informed(x, t, label, embedding):
    """The time is missing: only the label is added.

    The network would not know how much noise to look for.
    """
    return x + embedding(label)[:, : x.shape[1], None, None].to(x.dtype)


# %% mistake no_label
def informed(x, t, label, embedding):
    """The label is missing: only the time is added.

    The network draws what it likes, whatever you ask for.
    """
    return x + time_encoding(t, x.shape[1])[:, :, None, None].to(x.dtype)


# %% mistake last_channels
def informed(x, t, label, embedding):
    """These are the last C channels of the embedding; the first C were asked for.

    It could be trained as well. But weights that were trained with the first can't be used so.
    """
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, -x.shape[1] :]
    return x + encoding[:, :, None, None].to(x.dtype)


# %% mistake multiplied
def informed(x, t, label, embedding):
    """The encodings are multiplied with x; they are to be added."""
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return x * encoding[:, :, None, None].to(x.dtype)


# %% mistake product
def informed(x, t, label, embedding):
    """The two encodings are multiplied with each other; both are to be added."""
    encoding = time_encoding(t, x.shape[1]) * embedding(label)[:, : x.shape[1]]
    return x + encoding[:, :, None, None].to(x.dtype)


# %% mistake label_for_t
def informed(x, t, label, embedding):
    """The time encoding is given the label in place of t."""
    encoding = time_encoding(label, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return x + encoding[:, :, None, None].to(x.dtype)


# %% mistake one_label
def informed(x, t, label, embedding):
    """One label is used for the whole batch; each picture has its own."""
    encoding = time_encoding(t, x.shape[1]) + embedding(label[:1])[:, : x.shape[1]]
    return x + encoding[:, :, None, None].to(x.dtype)


# %% mistake in_place
def informed(x, t, label, embedding):
    """The result is right, but x was changed in place (`+=`, `add_` and the like).

    The skip connection may need it as it was, and gradients do.
    """
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return x.add_(encoding[:, :, None, None].to(x.dtype))


# %% mistake no_broadcast
def informed(x, t, label, embedding):
    """(B, C) meets a feature map (B, C, H, W): give it two more axes, (B, C, 1, 1).

    As it is, PyTorch lines B up with the rows H and C with the columns W.
    """
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return x + encoding.to(x.dtype)


# %% mistake without_x
def informed(x, t, label, embedding):
    """x is missing in the sum: what comes back is the encoding alone.

    The network would forget the picture at this point.
    """
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return encoding[:, :, None, None].expand_as(x).to(x.dtype)


# %% mistake subtracted
def informed(x, t, label, embedding):
    """The encodings are subtracted from x; they are to be added."""
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return x - encoding[:, :, None, None].to(x.dtype)


# %% mistake mean
def informed(x, t, label, embedding):
    """The mean of the two encodings is added; it is to be their sum."""
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return x + (encoding / 2)[:, :, None, None].to(x.dtype)


# %% mistake t_for_label
def informed(x, t, label, embedding):
    """The embedding is given t in place of the label; it has a row for each label."""
    encoding = time_encoding(t, x.shape[1]) + embedding(t)[:, : x.shape[1]]
    return x + encoding[:, :, None, None].to(x.dtype)


# %% mistake one_time
def informed(x, t, label, embedding):
    """One t is used for the whole batch; each picture has its own."""
    encoding = time_encoding(t[:1], x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return x + encoding[:, :, None, None].to(x.dtype)


# %% mistake joined
def informed(x, t, label, embedding):
    """The encoding is joined to x as more channels; it is to be added, channel by channel.

    The layer behind takes C channels, not 2C.
    """
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return torch.cat([x, encoding[:, :, None, None].expand_as(x).to(x.dtype)], dim=1)


# %% mistake wide_time
def informed(x, t, label, embedding):
    """The time encoding is made for the embedding's width and cut off; make it for C channels.

    The first C of a wide one are sines alone, of other frequencies: the cosines stand behind them.
    """
    encoding = time_encoding(t, embedding.embedding_dim) + embedding(label)
    return x + encoding[:, : x.shape[1], None, None].to(x.dtype)


# %% mistake scale
def informed(x, t, label, embedding):
    """x is multiplied by 1 + encoding; the encoding is to be added to it."""
    encoding = time_encoding(t, x.shape[1]) + embedding(label)[:, : x.shape[1]]
    return x * (1 + encoding[:, :, None, None].to(x.dtype))


# %% mistake all_channels
def informed(x, t, label, embedding):
    """The embedding has more channels than x: only its first C columns are added, `[:, :C]`."""
    encoding = time_encoding(t, x.shape[1]) + embedding(label)
    return x + encoding[:, :, None, None].to(x.dtype)


# %% mistake half_and_half
def informed(x, t, label, embedding):
    """Half of the channels get the time, the other half the label; each channel gets both."""
    half = x.shape[1] // 2
    encoding = torch.cat([time_encoding(t, half), embedding(label)[:, :half]], dim=1)
    return x + encoding[:, :, None, None].to(x.dtype)


# %% check
from torch import nn

from ddpm_tutor import UNet, time_encoding
from ddpm_tutor.grading.tools import Probe, refuse_other_rows

results = ("x",)
linear_in = {"x": "", "the encoding of t": "", "the embedding of the label": ""}


def right(x, t, label, embedding):
    """As the U-Net does it."""
    unet = UNet(width=4, num_classes=10)
    unet.label_embedding = embedding
    return x + unet.encoding(t, label, x.shape[1])[:, :, None, None]


def inputs(draw):
    embedding = nn.Embedding(11, 24)
    embedding.weight.data = torch.randn(11, 24, generator=draw.generator)
    x = draw.noise(draw.batch, 8 if draw.width == 8 else 12, draw.height, draw.width)
    embedding = embedding.to(draw.device)
    embedding.register_forward_pre_hook(lambda _, given: refuse_other_rows(embedding, *given))
    return {"x": x, "t": draw.t(), "label": draw.labels(), "embedding": embedding}


def probe(informed, inputs):
    """Where the encodings come in as they should, how much of each there is in the sum."""
    x, t, label = inputs["x"], inputs["t"], inputs["label"]
    channels = x.shape[1]
    encodings = {
        "the encoding of t": time_encoding(t, channels),
        "the embedding of the label": inputs["embedding"](label)[:, :channels],
    }
    given = {name: value[:, :, None, None].expand_as(x) for name, value in encodings.items()}
    at = [f"t = {int(i)}, label {int(y)}" for i, y in zip(t, label, strict=True)]
    return Probe(informed(**inputs), {"x": x} | given, at)
