# %% [markdown]
# # Exercise 15 · The KL of two Gaussians
#
# **Lesson:** 6
#
# **Paper:** Eq. 5

# %% start
import torch
from torch import Tensor


def kl_gaussians(mean_1: Tensor, variance_1: Tensor, mean_2: Tensor, variance_2: Tensor) -> Tensor:
    """KL(N(μ_1, σ_1²) || N(μ_2, σ_2²)) of each pixel by itself, in nats.

        KL = ½ (σ_1² / σ_2² - 1 - log(σ_1² / σ_2²) + (μ_1 - μ_2)² / σ_2²)

    It is what it costs, on average, to send a draw from the first with a code that is made for
    the second. All terms of the bound (Eq. 5) are such costs, but for the last, L_0.

    mean_1, mean_2           (B, 1, H, W), μ_1 and μ_2
    variance_1, variance_2   (B, 1, H, W), σ_1² and σ_2²: variances, not standard deviations
    returns                  (B, 1, H, W), the KL of each pixel
    """
    ...


# %% [markdown] hint
# There are two ways in which two bell curves can differ: in width and in place. The first three
# terms are about the width, and ask for one number only: the ratio of the variances.


# %% hint
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    ratio = ...
    ...


# %% [markdown] hint
# Which one is below? The second: the code is made for it. The same holds for the distance of
# the means, which is measured in widths of the second.


# %% hint
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log() + ...)


# %% solution
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)


# %% mistake reversed
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """This is KL(2 || 1): the two are exchanged, and the KL is not the same both ways.

    The draws come from the first, so that its variance is above, and that of the second below.
    """
    ratio = variance_2 / variance_1
    return 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_1)


# %% mistake ratio_upside_down
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The ratio of the variances is upside down: it is σ_1² / σ_2².

    A first curve that is far wider than the second costs a lot: its draws fall where the code of
    the second has only long words. Upside down that would be cheaper.
    """
    ratio = variance_2 / variance_1
    return 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)


# %% mistake other_variance
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The distance of the means is divided by σ_1²; σ_2² belongs there.

    How bad it is to be off is a matter of the code, which is made for the second.
    """
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_1)


# %% mistake not_halved
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The ½ in front is missing: this is twice the KL.

    It comes from the exponent of the bell curve, which is -½ (x - μ)² / σ².
    """
    ratio = variance_1 / variance_2
    return ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2


# %% mistake log_not_halved
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The logarithm is not halved: log(σ_2 / σ_1) is half of log(σ_2² / σ_1²).

    Books often write the KL with standard deviations. Here variances are given.
    """
    log_ratio = (variance_2 / variance_1).log()
    return log_ratio + (variance_1 + (mean_1 - mean_2) ** 2) / (2 * variance_2) - 0.5


# %% mistake only_ratio_halved
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The ½ halves the part with the variances alone: the brackets are missing.

    The distance of the means is halved, too.
    """
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log()) + (mean_1 - mean_2) ** 2 / variance_2


# %% mistake variance_for_sigma
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The variances are taken for standard deviations, and squared once more.

    `torch.distributions.Normal` takes σ, too: it would have to be given the root.
    """
    ratio = (variance_1 / variance_2) ** 2
    return 0.5 * (ratio - 1 - ratio.log() + ((mean_1 - mean_2) / variance_2) ** 2)


# %% mistake log_sign
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The sign of the logarithm is wrong: it is taken away, or it is log(σ_2² / σ_1²).

    A KL is never below zero. This one is, where the means are the same and the first is narrower.
    """
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 + ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)


# %% mistake no_minus_one
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The -1 is missing: the KL of a curve and itself would be ½, and it is 0.

    Nothing is lost where the code is made for just what is sent.
    """
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)


# %% mistake no_logarithm
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The logarithm is missing: then a second curve that is too wide earns something.

    Where the means are the same and σ_2² is the larger, it is below zero, and a KL never is.
    """
    return 0.5 * (variance_1 / variance_2 - 1 + (mean_1 - mean_2) ** 2 / variance_2)


# %% mistake means_alone
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """This is what the distance of the means costs; that of the widths is missing.

    It is all there is where both variances are the same. Here they are not.
    """
    return (mean_1 - mean_2) ** 2 / (2 * variance_2)


# %% mistake variances_alone
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """This is what the widths cost; the distance of the means is missing."""
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log())


# %% mistake not_squared
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The distance of the means is not squared.

    To be off upwards would cost something, and to be off downwards would earn as much.
    """
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) / variance_2)


# %% mistake not_divided
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The distance of the means is not divided by σ_2².

    To be off by 1 is much to a narrow curve, and nothing to a wide one.
    """
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2)


# %% mistake squares_of_means
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """These are the squares of the means, one less the other: (μ_1 - μ_2)² belongs there."""
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log() + (mean_1**2 - mean_2**2) / variance_2)


# %% mistake second_is_standard
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """This is the KL of the first to N(0, 1): the second is not looked at.

    It stands so in a variational autoencoder, and it gives L_T. In L_{t-1} the second has a mean
    and a variance of its own.
    """
    return 0.5 * (variance_1 + mean_1**2 - 1 - variance_1.log())


# %% mistake cross_entropy
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """This is the whole length of the code: what the first needs in any case is not taken off.

    The KL is the cross-entropy less the entropy, ½ log(2π e σ_1²).
    """
    two_pi = 6.283185307179586
    return 0.5 * ((two_pi * variance_2).log() + (variance_1 + (mean_1 - mean_2) ** 2) / variance_2)


# %% mistake negative
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The sign is wrong: this is -KL, and a KL is never below zero.

    Code of variational autoencoders has -0.5 in front, since there 1 + log σ² comes first.
    """
    ratio = variance_1 / variance_2
    return -0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)


# %% mistake bits
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """These are bits: it is divided by log 2. Nats are asked for."""
    ratio = variance_1 / variance_2
    nats = 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)
    return nats / 0.6931471805599453


# %% mistake log_2
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The logarithm is that to base 2, and the rest is in nats: two units in one sum.

    For bits, divide the whole sum by log 2. Here nats are asked for.
    """
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log2() + (mean_1 - mean_2) ** 2 / variance_2)


# %% mistake log_10
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The logarithm is that to base 10: `log`, the natural one, belongs there."""
    ratio = variance_1 / variance_2
    return 0.5 * (ratio - 1 - ratio.log10() + (mean_1 - mean_2) ** 2 / variance_2)


# %% mistake summed
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The pixels of a picture are summed up; the KL of each pixel is asked for.

    Sum it up later: from a map one sees which pixels cost most.
    """
    ratio = variance_1 / variance_2
    kl = 0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)
    return kl.sum(dim=(1, 2, 3))


# %% mistake averaged
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """It is averaged to one number; the KL of each pixel is asked for.

    The KL of a picture is the sum over its pixels, and no mean.
    """
    ratio = variance_1 / variance_2
    return (0.5 * (ratio - 1 - ratio.log() + (mean_1 - mean_2) ** 2 / variance_2)).mean()


# %% mistake in_place
def kl_gaussians(mean_1, variance_1, mean_2, variance_2):
    """The result is right, but mean_1 was changed in place (`-=`, `sub_` and the like)."""
    ratio = variance_1 / variance_2
    mean_1 -= mean_2
    return 0.5 * (ratio - 1 - ratio.log() + mean_1**2 / variance_2)


# %% check
from ddpm_tutor import kl_gaussians as right
from ddpm_tutor.grading.tools import Draw, Probe, fit

results = ("KL",)
linear_in = dict.fromkeys(("σ_1² / σ_2²", "log(σ_1² / σ_2²)", "(μ_1 - μ_2)² / σ_2²"), "")


def inputs(draw):
    return {
        "mean_1": draw.noise(),
        "variance_1": draw.noise().exp(),
        "mean_2": draw.noise(),
        "variance_2": draw.noise().exp(),
    }


def probe(kl_gaussians, inputs):
    """What each of the three terms is multiplied by: the same in all pixels."""
    result = kl_gaussians(*(value.clone() for value in inputs.values()))
    ratio = inputs["variance_1"] / inputs["variance_2"]
    distance = (inputs["mean_1"] - inputs["mean_2"]) ** 2 / inputs["variance_2"]
    terms = dict(zip(linear_in, (ratio, ratio.log(), distance), strict=True))
    return Probe(result.reshape(1, -1), {n: v.reshape(1, -1) for n, v in terms.items()}, [""])


def explain(kl_gaussians):
    """Which of the two parts is wrong, where there are other terms in it than there should be."""
    of = inputs(Draw(7, batch=5, dtype=torch.float64))
    if fit(probe(kl_gaussians, of)) is not None:
        return ""  # the coefficients say more
    same_means = of | dict.fromkeys(("mean_1", "mean_2"), 0 * of["mean_1"])
    widths, means = (
        torch.allclose(part(kl_gaussians), part(right), rtol=1e-3, atol=1e-4)
        for part in (lambda kl: kl(**same_means), lambda kl: kl(**of) - kl(**same_means))
    )
    if widths and not means:
        return "Where the means are the same it is right. Look at (μ_1 - μ_2)² / σ_2²."
    if means and not widths:
        return "What the means add is right. Look at the ratio of the variances and its logarithm."
    return ""


def picture(kl_gaussians):
    """KL, black 0: from left to right μ_1 goes past μ_2, from top to bottom σ_1 grows past σ_2."""
    mean, log_sigma = torch.linspace(-3, 3, 32), torch.linspace(-1.2, 1.2, 32)
    mean_1, sigma_1 = torch.meshgrid(mean, log_sigma.exp(), indexing="xy")
    mean_1, sigma_1 = (v[None, None].contiguous() for v in (mean_1, sigma_1))
    kl = kl_gaussians(mean_1, sigma_1**2, 0 * mean_1, torch.ones_like(mean_1))
    return kl / 2 - 1
