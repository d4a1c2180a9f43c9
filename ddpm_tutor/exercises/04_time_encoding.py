# %% [markdown]
# # Exercise 4 · The time encoding
#
# **Lesson:** 3
#
# **Part:** 11.4 b
#
# **Paper:** Section 4, as in Vaswani et al. 2017

# %% start
import torch
from torch import Tensor


def time_encoding(t: Tensor, channels: int) -> Tensor:
    """The time step as sines and cosines: first all sines, then all cosines.

        angle_i = t / 10000^(2i / C)        i = 0, 1, ..., C/2 - 1

    t          (B,) whole numbers, the time steps
    channels   C, an even number
    returns    (B, C) in float32: sin(angle_0), ..., then cos(angle_0), ...
    """
    ...


# %% [markdown] hint
# Make the exponents 2i / C first, (C/2,). `torch.arange(0, channels, 2)` counts in twos.


# %% hint
def time_encoding(t, channels):
    exponent = ...  # (C / 2,)
    angle = ...  # (B, C / 2)
    return torch.cat([..., ...], dim=1)


# %% [markdown] hint
# Every t meets every exponent: `t[:, None]` is (B, 1), and (B, 1) times (C/2,) is (B, C/2).
# What you make has to be on the device of t.


# %% hint
def time_encoding(t, channels):
    exponent = torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:, None] * ...
    return torch.cat([..., ...], dim=1)


# %% [markdown] hint
# To divide by 10000 to some power is to multiply by 10000 to minus that power.


# %% hint
def time_encoding(t, channels):
    exponent = torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), ...], dim=1)


# %% solution
def time_encoding(t, channels):
    exponent = torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% mistake interleaved
def time_encoding(t, channels):
    """Sines and cosines take turns; here all sines come first, then all cosines.

    A network can learn from either. But one that was trained with the one can't read the other.
    Many wonder which it is (huggingface/diffusers #3981, dome272/Diffusion-Models-pytorch #45).
    """
    exponent = torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)


# %% mistake cosines_first
def time_encoding(t, channels):
    """The cosines come first; they belong behind the sines.

    To a network that was trained with the other order this is another t: a large one still drew
    sharp pictures, but not what was asked for (flashinfer-ai/flashinfer #3819).
    """
    exponent = torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.cos(), angle.sin()], dim=1)


# %% mistake multiplied
def time_encoding(t, channels):
    """t is multiplied by 10000 to that power; it has to be divided by it.

    The waves get faster and faster: neighbouring t look like strangers.
    """
    exponent = torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:, None] * 10_000**exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% mistake half_the_exponent
def time_encoding(t, channels):
    """The exponent is i / C; it is 2i / C.

    The slowest wave then turns once in 600 steps, so that t = 1 and t = 600 look alike to it.
    """
    exponent = torch.arange(channels // 2, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% mistake twice_the_exponent
def time_encoding(t, channels):
    """The exponent is 4i / C: `arange(0, C, 2)` counts 2i already, and is doubled once more.

    The exponents run up to 2. The waves of the upper half hardly turn in 1000 steps.
    """
    exponent = 2 * torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% mistake an_angle_for_each_channel
def time_encoding(t, channels):
    """There are C angles where C/2 belong: each gives a sine and a cosine, so you get 2C numbers.

    i runs up to C/2 - 1: `torch.arange(0, channels, 2)` gives the C/2 values of 2i.
    """
    exponent = torch.arange(channels, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% mistake twice_the_angles
def time_encoding(t, channels):
    """i runs up to C - 1, and 2i with it: C angles. They should be C/2, as each gives two numbers.

    i runs up to C/2 - 1: `torch.arange(0, channels, 2)` gives the C/2 values of 2i.
    """
    exponent = 2 * torch.arange(channels, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% mistake inclusive
def time_encoding(t, channels):
    """The exponents run up to 1 itself, as 2i / (C - 2); the last one is 2i / C < 1.

    Both are in use; weights trained with the one can't read the other. The code of Ho et al. has
    2i / (C - 2), and not all take it for right (hojonathanho/diffusion #15).
    """
    exponent = torch.linspace(0, 1, channels // 2, device=t.device)
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% mistake only_sines
def time_encoding(t, channels):
    """Both halves are sines; the second half is cosines.

    A sine alone doesn't tell the rise of a wave from its fall.
    """
    exponent = torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.sin()], dim=1)


# %% mistake one_t
def time_encoding(t, channels):
    """One t is encoded for the whole batch; each picture has its own."""
    exponent = torch.arange(0, channels, 2, device=t.device) / channels
    angle = t[:1, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1).repeat(len(t), 1)


# %% mistake float64
def time_encoding(t, channels):
    """The values are right, but in float64; a network is in float32."""
    exponent = torch.arange(0, channels, 2, device=t.device, dtype=torch.float64) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% mistake on_the_cpu device
def time_encoding(t, channels):
    """The exponents are made on the CPU: with t on a GPU this stops.

    Say `torch.arange(..., device=t.device)`.
    """
    exponent = torch.arange(0, channels, 2) / channels
    angle = t[:, None] * 10_000**-exponent
    return torch.cat([angle.sin(), angle.cos()], dim=1)


# %% check
from ddpm_tutor import time_encoding as right

results = ("encoding",)


def inputs(draw):
    return {"t": draw.t(), "channels": 4 * draw.batch}


def explain(time_encoding):
    """Which exponents are in use: they show in the angles at a small t."""
    small = torch.tensor([1, 2], dtype=torch.float64) / 1000  # no angle goes round
    sine, cosine = time_encoding(small, 8).double().chunk(2, dim=1)  # (2, 4) each
    if not torch.allclose(sine**2 + cosine**2, torch.ones_like(sine), atol=1e-4):
        return ""
    angle = torch.atan2(sine, cosine)
    if not (angle > 0).all():
        return ""
    if not torch.allclose(2 * angle[0], angle[1], rtol=1e-3, atol=0):
        return "The angles are not in proportion to t: at t = 2 each is to be twice that at t = 1."
    angle = angle[0] * 1000  # at t = 1
    right_angle = 10_000 ** (-torch.arange(4, dtype=torch.float64) / 4)
    factor, first = angle[0], torch.atan2(*time_encoding(small[:1], 12).double()[0, [0, 6]]) * 1000
    if torch.allclose(torch.cat([angle / right_angle, first[None]]), factor, rtol=1e-3):
        return f"Each angle is {factor:.4g} times what it should be, t / 10000^(2i / C)."
    exponents = -angle.log() / torch.tensor(10_000.0).log()
    listed = ", ".join(f"{round(exponent, 4) + 0:g}" for exponent in exponents.tolist())
    return (
        f"With 8 channels you divide t by 10000 to the powers {listed};"
        " 0, 0.25, 0.5, 0.75 belong there (= 2i / C)."
    )


def picture(time_encoding):
    """t = 0, 8, ..., 248 from top to bottom, 32 channels from left to right."""
    return time_encoding(torch.arange(0, 256, 8), 32)[None, None]
