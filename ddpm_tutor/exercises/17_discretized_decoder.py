# %% [markdown]
# # Exercise 17 · The discretized decoder
#
# **Lesson:** 6
#
# **Paper:** Eq. 13

# %% start
import math

import torch
from torch import Tensor


def decoder_bits(x_0: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """L_0 of each pixel, -log₂ p_θ(x_0 | x_1): what the very shade of it costs, in bits (Eq. 13).

    A pixel has one of 256 values, -1, -1 + 2/255, ..., 1. Around each lies a bin, from 1/255 below
    to 1/255 above it. The bin of -1 is open downwards, and that of 1 is open upwards. The
    probability of a value is what the Gaussian N(mean, variance) has in its bin:

        p = Φ((x_0 + 1/255 - μ) / σ) - Φ((x_0 - 1/255 - μ) / σ)

    Φ is the cumulative probability of N(0, 1). It has to be right far from the mean, too, where
    both Φ round to 1, or to 0, and their difference to nothing.

    x_0        (B, 1, H, W), pictures with those 256 values
    mean       (B, 1, H, W), μ_θ(x_1, 1)
    variance   (B, 1, 1, 1), σ_1²
    returns    (B, 1, H, W), the bits of each pixel, in the dtype of mean

    torch.special.ndtr(x) is Φ(x), and torch.special.log_ndtr(x) is log Φ(x), right at any x.
    """
    ...


# %% [markdown] hint
# First the two ends of each bin, counted in σ from the mean. The outermost ones are infinitely far
# away: Φ(-∞) is 0 and Φ(∞) is 1.


# %% hint
def decoder_bits(x_0, mean, variance):
    sigma = variance.sqrt()
    low = torch.where(x_0 > -0.999, ..., -math.inf)
    high = ...
    ...


# %% [markdown] hint
# Far above the mean both Φ are nearly 1, and computers cannot tell them apart. Far below both are
# nearly 0, and there computers can: in logarithms, at any distance. The bell curve is the same on
# both sides: what lies between low and high is what lies between -high and -low.


# %% hint
def decoder_bits(x_0, mean, variance):
    sigma = variance.sqrt()
    low = torch.where(x_0 > -0.999, (x_0 - 1 / 255 - mean) / sigma, -math.inf)
    high = torch.where(x_0 < 0.999, (x_0 + 1 / 255 - mean) / sigma, math.inf)
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, ..., ...)
    ...


# %% [markdown] hint
# With a = log Φ(high) and b = log Φ(low), log(Φ(high) - Φ(low)) is a + log(1 - exp(b - a)). All of
# it is in nats. A bit is log 2 of them.


# %% hint
def decoder_bits(x_0, mean, variance):
    sigma = variance.sqrt()
    low = torch.where(x_0 > -0.999, (x_0 - 1 / 255 - mean) / sigma, -math.inf)
    high = torch.where(x_0 < 0.999, (x_0 + 1 / 255 - mean) / sigma, math.inf)
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, -low, high)
    a, b = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return -(a + torch.log1p(-torch.exp(...))) / ...


# %% solution
def decoder_bits(x_0, mean, variance):
    sigma = variance.sqrt()
    low = torch.where(x_0 > -0.999, (x_0 - 1 / 255 - mean) / sigma, -math.inf)
    high = torch.where(x_0 < 0.999, (x_0 + 1 / 255 - mean) / sigma, math.inf)
    low, high = torch.where(low > 0, -high, low), torch.where(low > 0, -low, high)
    a, b = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return -(a + torch.log1p(-torch.exp(b - a))) / math.log(2)


# %% mistake underflow
def decoder_bits(x_0, mean, variance):
    """Near the mean it is right. Far from it the difference rounds to 0, and that has no logarithm.

    A pixel 50 σ off costs about 1,800 bits, not infinitely many. One such pixel would spoil the
    mean of a whole test set. Use log_ndtr, on the side where Φ is small. float64 is no way out:
    above the mean it helps up to 8 σ.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake at_least
def decoder_bits(x_0, mean, variance):
    """The probability is kept from being smaller than 1e-12: no pixel can cost over 40 bits then.

    The code of the paper does so. It is no probability any more, they add up to more than 1; and
    the worse a network is, the more it is spared. Use log_ndtr, where Φ is small.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).clamp(min=1e-12).log2()


# %% mistake one_side
def decoder_bits(x_0, mean, variance):
    """Far above the mean it is wrong: both Φ are nearly 1 there, so log_ndtr is 0 of both.

    Far below it is right. Exchange the sides where low > 0: what lies between low and high is what
    lies between -high and -low.
    """
    sigma = variance.sqrt()
    low = torch.where(x_0 > -0.999, (x_0 - 1 / 255 - mean) / sigma, -math.inf)
    high = torch.where(x_0 < 0.999, (x_0 + 1 / 255 - mean) / sigma, math.inf)
    a, b = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return -(a + torch.log1p(-torch.exp(b - a))) / math.log(2)


# %% mistake not_negated
def decoder_bits(x_0, mean, variance):
    """The sides are exchanged where low > 0, but the ends keep their signs: -high and -low.

    Upside down the bin has less than no probability, and that has no logarithm.
    """
    sigma = variance.sqrt()
    low = torch.where(x_0 > -0.999, (x_0 - 1 / 255 - mean) / sigma, -math.inf)
    high = torch.where(x_0 < 0.999, (x_0 + 1 / 255 - mean) / sigma, math.inf)
    low, high = torch.where(low > 0, high, low), torch.where(low > 0, low, high)
    a, b = torch.special.log_ndtr(high), torch.special.log_ndtr(low)
    return -(a + torch.log1p(-torch.exp(b - a))) / math.log(2)


# %% mistake white_not_turned
def decoder_bits(x_0, mean, variance):
    """The bin of 1 gets log Φ(low), which is what lies below it: above low lies Φ(-low).

    White costs the more, the surer the network is of it.
    """
    sigma = variance.sqrt()
    low, high = (x_0 - 1 / 255 - mean) / sigma, (x_0 + 1 / 255 - mean) / sigma
    from_below = torch.special.log_ndtr(torch.where(low > 0, -low, high))
    rest = torch.special.log_ndtr(torch.where(low > 0, -high, low))
    inner = from_below + torch.log1p(-torch.exp(rest - from_below))
    ends = torch.special.log_ndtr(torch.where(x_0 < 0, high, low))
    return -torch.where(x_0.abs() > 0.999, ends, inner) / math.log(2)


# %% mistake difference_of_logs
def decoder_bits(x_0, mean, variance):
    """log Φ(high) - log Φ(low) is not the logarithm of the difference: it is that of the quotient.

    log(Φ(high) - Φ(low)) is a + log(1 - exp(b - a)), with a and b the two logarithms.
    """
    sigma = variance.sqrt()
    low = torch.where(x_0 > -0.999, (x_0 - 1 / 255 - mean) / sigma, -math.inf)
    high = torch.where(x_0 < 0.999, (x_0 + 1 / 255 - mean) / sigma, math.inf)
    return -(torch.special.log_ndtr(high) - torch.special.log_ndtr(low)) / math.log(2)


# %% mistake approximate
def decoder_bits(x_0, mean, variance):
    """This is the approximation of Φ with tanh: near, but not right, and far out of no use.

    The code of the paper has it, and what was made from that. torch.special.log_ndtr is right at
    any distance.
    """

    def cdf(z):
        return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))

    sigma = variance.sqrt()
    low = cdf((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = cdf((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).clamp(min=1e-12).log2()


# %% mistake logistic
def decoder_bits(x_0, mean, variance):
    """This is a logistic curve (sigmoid), as in PixelCNN++: p_θ is a Gaussian, and Φ belongs here.

    The paper takes the bins from there, and the bell curve from its own process.
    """
    sigma = variance.sqrt()
    low = torch.sigmoid((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.sigmoid((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake bin_of_sigmas
def decoder_bits(x_0, mean, variance):
    """The 1/255 are not divided by σ: the bins reach 1/255 of a σ to each side. Mind the brackets.

    All of x_0 ± 1/255 - μ is to be counted in σ.
    """
    z = (x_0 - mean) / variance.sqrt()
    low = torch.special.ndtr(z - 1 / 255).where(x_0 > -0.999, 0)
    high = torch.special.ndtr(z + 1 / 255).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake twice_as_wide
def decoder_bits(x_0, mean, variance):
    """The bins are twice as wide: 2/255 to each side, where it is 1/255.

    2/255 is the distance of two values. As it is, each bin reaches to the middle of the next ones:
    the probabilities add up to 2, and a pixel seems to cost up to a bit less.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 2 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 2 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake half_as_wide
def decoder_bits(x_0, mean, variance):
    """The bins are half as wide: 1/510 to each side, where it is 1/255.

    Two values are 2/255 apart, as the pictures are in [-1, 1]. As it is there are gaps between the
    bins, and each pixel seems to cost about a bit more.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 510 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 510 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake of_256
def decoder_bits(x_0, mean, variance):
    """The bins are 1/256 to each side, where it is 1/255: 256 values have 255 distances.

    Thin gaps stay between the bins, and the probabilities do not add up to 1.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 256 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 256 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake of_whole_numbers
def decoder_bits(x_0, mean, variance):
    """The bins are ½ to each side: that is right for values 0 to 255, not in [-1, 1]."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 0.5 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 0.5 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake to_the_right
def decoder_bits(x_0, mean, variance):
    """The bins lie above their values, from x_0 to x_0 + 2/255: x_0 belongs in the middle."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 2 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake closed_ends
def decoder_bits(x_0, mean, variance):
    """The bins of -1 and 1 are closed: that of -1 is open downwards, that of 1 upwards.

    What the Gaussian has beyond -1 belongs to black. Most pixels of MNIST are black, and each
    would pay for what is lost there. (x_0 == 0 and x_0 == 255 open nothing: black is -1, white 1.)
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma)
    return -(high - low).log2()


# %% mistake cut_at_the_ends
def decoder_bits(x_0, mean, variance):
    """The bins of -1 and 1 are cut off at -1 and 1: they are open, and go on without an end.

    The Gaussian knows no borders. What it has beyond -1 belongs to black.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr(((x_0 - 1 / 255).clamp(min=-1) - mean) / sigma)
    high = torch.special.ndtr(((x_0 + 1 / 255).clamp(max=1) - mean) / sigma)
    return -(high - low).log2()


# %% mistake white_closed
def decoder_bits(x_0, mean, variance):
    """The bin of 1 is closed: it is open upwards, as that of -1 is open downwards."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma)
    return -(high - low).log2()


# %% mistake black_closed
def decoder_bits(x_0, mean, variance):
    """The bin of -1 is closed: it is open downwards, as that of 1 is open upwards.

    That is black, and most of MNIST is black.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake ends_exchanged
def decoder_bits(x_0, mean, variance):
    """The open ends are exchanged: -1 is open downwards (low is -∞), 1 upwards (high is ∞).

    As it is, black is all from -1 to infinity.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 < 0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 > -0.999, 1)
    return -(high - low).log2()


# %% mistake open_to_the_mean
def decoder_bits(x_0, mean, variance):
    """The ends are opened at 0 and at 255: the values are in [-1, 1], and no pixel is 255.

    What is 0 here is a grey in the middle.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > 0, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 255, 1)
    return -(high - low).log2()


# %% mistake nats
def decoder_bits(x_0, mean, variance):
    """These are nats: the natural logarithm was taken. A bit is log 2 = 0.69 nats."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log()


# %% mistake times_log_2
def decoder_bits(x_0, mean, variance):
    """It is multiplied by log 2: nats are divided by it. There are more bits than nats."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log() * math.log(2)


# %% mistake negative
def decoder_bits(x_0, mean, variance):
    """The sign is wrong: bits are -log₂ p. A probability is at most 1, its logarithm at most 0."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return (high - low).log2()


# %% mistake log_p
def decoder_bits(x_0, mean, variance):
    """This is log p, in nats and below zero: bits are -log₂ p."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return (high - low).log()


# %% mistake probability
def decoder_bits(x_0, mean, variance):
    """This is the probability p; its bits are asked for, -log₂ p."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return high - low


# %% mistake upside_down
def decoder_bits(x_0, mean, variance):
    """Φ of the lower end less Φ of the upper one: that is below zero, and has no logarithm."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(low - high).log2()


# %% mistake variance_for_sigma
def decoder_bits(x_0, mean, variance):
    """It is divided by σ², where σ belongs: take the root of the variance.

    σ is about 0.01, its square 0.0001: the Gaussian would be a needle.
    """
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / variance).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / variance).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake variance_for_sigma_at_least
def decoder_bits(x_0, mean, variance):
    """It is divided by σ², where σ belongs: take the root of the variance.

    It shows less as the probability is kept from being smaller than 1e-12. That is wrong as well.
    """
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / variance).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / variance).where(x_0 < 0.999, 1)
    return -(high - low).clamp(min=1e-12).log2()


# %% mistake mean_clamped
def decoder_bits(x_0, mean, variance):
    """The mean is clamped to [-1, 1]. It may lie beyond, and there it is cheapest for black.

    A mean of -1 leaves a third of the Gaussian outside of the bin of black. 3 σ below, it costs
    next to nothing.
    """
    sigma, mean = variance.sqrt(), mean.clamp(-1, 1)
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2()


# %% mistake density
def decoder_bits(x_0, mean, variance):
    """This is the density at x_0, and no probability: it may be above 1, and its bits below 0.

    A shade is one of 256 values. Its probability is that of its whole bin.
    """
    nats = 0.5 * ((x_0 - mean) ** 2 / variance + (2 * math.pi * variance).log())
    return nats / math.log(2)


# %% mistake flat_bin
def decoder_bits(x_0, mean, variance):
    """This is the density at x_0 times the width of a bin: the ends are closed, the bins flat.

    σ is hardly wider than a bin, so the Gaussian is not flat in it. And what it has beyond -1 and 1
    belongs to black and white.
    """
    nats = 0.5 * ((x_0 - mean) ** 2 / variance + (2 * math.pi * variance).log())
    return (nats - math.log(2 / 255)) / math.log(2)


# %% mistake squared_error
def decoder_bits(x_0, mean, variance):
    """This is the squared error over 2 σ², as in the other terms: L_0 is no KL (Eq. 13)."""
    return (x_0 - mean) ** 2 / (2 * variance)


# %% mistake summed
def decoder_bits(x_0, mean, variance):
    """The pixels of a picture are summed up; the bits of each pixel are asked for.

    Sum them up later: the map shows which pixels cost most.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2().sum(dim=(1, 2, 3))


# %% mistake averaged
def decoder_bits(x_0, mean, variance):
    """It is averaged over the pixels; the bits of each pixel are asked for.

    To average over 32×32 divides by 1,024, besides: MNIST's pictures have 784 pixels.
    """
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2().mean(dim=(1, 2, 3))


# %% mistake averaged_over_all
def decoder_bits(x_0, mean, variance):
    """It is averaged to one number; the bits of each pixel are asked for."""
    sigma = variance.sqrt()
    low = torch.special.ndtr((x_0 - 1 / 255 - mean) / sigma).where(x_0 > -0.999, 0)
    high = torch.special.ndtr((x_0 + 1 / 255 - mean) / sigma).where(x_0 < 0.999, 1)
    return -(high - low).log2().mean()


# %% check
from fractions import Fraction
from itertools import product

from ddpm_tutor import (
    decoder_nats,
    linear_schedule,
    load_checkpoint,
    log_decoder,
    p_mean,
    q_sample,
    reverse_variance,
    to_bits,
)
from ddpm_tutor.grading.tools import Draw, a_digit, copied, noise_of

results = ("bits",)
written_out = (log_decoder, decoder_nats)
FAR = 4  # the seed of the draw whose pixels are 50 to 200 σ off
# what people take for half a bin, for the ends, for σ, and for a bit; what is right comes first
HALF_BINS = ("1/255", "2/255", "1/510", "1/256", "1/128", "1/512", "1/254", "1/127", "4/255")
ENDS = (("", False), ("the bins of -1 and 1 are closed, and they are open", True))
WIDTHS = (
    ("", 1),
    ("it is computed with twice the σ", 2),
    ("it is computed with half the σ", 0.5),
    ("it is computed with σ / √2, as Φ(z) is ½ (1 + erf(z / √2))", 0.5**0.5),
)
UNITS = (("", 1), ("it is in nats", math.log(2)))


def right(x_0, mean, variance):
    return to_bits(-log_decoder(x_0, mean, variance))


def plain(draw):
    """Whether no pixel is so far off that its probability rounds to nothing."""
    return draw.seed != FAR


def inputs(draw):
    """Black, white and greys, at most 2.5 σ from the mean, where a plain difference is exact
    enough in float32; or so far off that it is nothing in float64, too.
    """
    if draw.device == "mps":
        draw.device = "cpu"  # that of Apple has no log_ndtr
    value, off = (draw.images() + 1) / 2, draw.noise().clamp(-2.5, 2.5)
    if not plain(draw):
        off = off.sign() * (50 + 60 * off.abs())
    value = ((value * 2 - 0.5).clamp(0, 1) * 255).round()  # a quarter each is black and white
    sigma = 0.004 * 7.5 ** draw.uniform().view(-1, 1, 1, 1)
    x_0 = value / 127.5 - 1
    return {"x_0": x_0, "mean": x_0 - off * sigma, "variance": sigma**2}


def explain(decoder_bits):
    """Where it is off: far out, by a factor, or in the bins."""
    of_near, of_far = inputs(Draw(1, batch=4)), inputs(Draw(FAR, batch=4))
    near, far = (
        (decoder_bits(*(copied(v) for v in given.values())), right(*given.values()))
        for given in (of_near, of_far)
    )
    mine, wanted = near
    if not nearly(mine, wanted):
        ratio, more = (mine / wanted)[wanted > 0.1], mine - wanted
        if ratio.max() - ratio.min() < 1e-2 * ratio.abs().max():
            return f"Your bits are {ratio.mean().item():.4g} times the right ones."
        if more.max() - more.min() < 1e-2:
            times = 2 ** -more.mean().item()
            return f"The probability is {times:.4g} times what it should be, in all pixels."
        return explain_bins(mine, **of_near)
    mine, wanted = far
    if not mine.isfinite().all():
        return "Near the mean it is right; where a pixel is 50 σ off it is infinite, or no number."
    most = mine.max().item()
    if most < 200:  # that of float32 is 150
        return (
            f"Near the mean it is right; but no pixel can cost over {most:.3g} bits. "
            "Something, such as a `clamp` or `+ 1e-10`, keeps the probability from being small."
        )
    return "Near the mean it is right; where a pixel is 50 σ off it is not."


def explain_bins(mine, x_0, mean, variance):
    """Which slips in the bins lead to these bits, two or three at once: width, ends, σ, unit."""
    nats = 0.5 * ((x_0 - mean) ** 2 / variance + (2 * math.pi * variance).log())
    for width, (unit, log_2) in product((1, 2 / 255, 1 / 255), UNITS):
        if nearly(mine, (nats - math.log(width)) / math.log(2) * log_2):
            says = "This is made of the density at x_0, and not of the probability of a bin"
            return f"{says}; and {unit}." if unit else f"{says}."
    for half, (ends, closed), (width, scale), (unit, log_2) in product(
        HALF_BINS, ENDS, WIDTHS, UNITS
    ):
        sides, sigma = (float(Fraction(half)), -float(Fraction(half))), variance.sqrt() * scale
        high, low = (torch.special.ndtr((x_0 + side - mean).double() / sigma) for side in sides)
        if not closed:
            low, high = low.where(x_0 > -0.999, 0), high.where(x_0 < 0.999, 1)
        if nearly(mine, -(high - low).log2() * log_2):
            bins = f"the bins reach {half} to each side of a value, where 1/255 belongs"
            slips = [bins if half != "1/255" else "", ends, width, unit]
            says = "; and ".join(slip for slip in slips if slip)
            return f"{says[:1].upper()}{says[1:]}."
    return ""


def nearly(mine, wanted):
    return torch.allclose(mine.double(), wanted.double(), rtol=1e-3, atol=1e-3)


def picture(decoder_bits):
    """What each pixel of a 5 and of a 1 costs with the shipped network: black 0 bits, white 8."""
    model, schedule = load_checkpoint().model, linear_schedule()
    t, label = torch.tensor([1, 1]), torch.tensor([5, 1])
    x_0 = torch.cat([a_digit(5), a_digit(1)])
    x_1 = q_sample(schedule, x_0, t, noise_of(x_0))
    mean = p_mean(schedule, x_1, t, model(x_1, t, label))
    variance = reverse_variance(schedule, t).to(x_0.dtype)
    return decoder_bits(x_0, mean, variance) / 8 * 2 - 1
