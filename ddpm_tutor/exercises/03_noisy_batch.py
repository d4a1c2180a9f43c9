# %% [markdown]
# # Exercise 3 · A noisy minibatch
#
# **Lesson:** 2
#
# **Part:** 11.2 c, d
#
# **Paper:** Section 3.3, Algorithm 1, lines 2 to 4

# %% start
import torch
from torch import Generator, Tensor

from ddpm_tutor import Schedule, q_sample


def noisy_batch(
    schedule: Schedule, images: Tensor, generator: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures of the data, noised, each at a random t of its own (Algorithm 1, lines 2 to 4).

        x_0 from the images, in [-1, 1]      t ~ Uniform({1, ..., T})      ε ~ N(0, I)

    schedule   `schedule.T` is T
    images     (B, 1, H, W) uint8, 0 is black and 255 white
    generator  draws the random numbers: torch.randn(..., generator=generator)
    returns    x_t (B, 1, H, W) in float32;  t (B,) whole numbers;  eps, shaped like x_t

    `q_sample(schedule, x_0, t, eps)` of exercise 2 is at hand.
    """
    ...


# %% [markdown] hint
# Three things are needed before `q_sample` can be called: x_0 as floats in [-1, 1], t, and eps.


# %% hint
def noisy_batch(schedule, images, generator):
    x_0 = ...
    t = ...
    eps = ...
    return q_sample(schedule, x_0, t, eps), t, eps


# %% [markdown] hint
# 0 is to become -1, and 255 to become 1. `torch.randint(low, high, size)` never gives `high`.


# %% hint
def noisy_batch(schedule, images, generator):
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, ..., (len(images),), generator=generator)
    eps = ...
    return q_sample(schedule, x_0, t, eps), t, eps


# %% [markdown] hint
# The noise: `torch.randn`, as many numbers as x_0 has.


# %% hint
def noisy_batch(schedule, images, generator):
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
    eps = torch.randn(..., generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% solution
def noisy_batch(schedule, images, generator):
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake never_T
def noisy_batch(schedule, images, generator):
    """t = T never comes: `torch.randint(1, T)` ends at T - 1.

    Sampling starts at T. The network would be asked there for what it has never seen.
    """
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, schedule.T, (len(images),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake from_zero
def noisy_batch(schedule, images, generator):
    """t = 0 comes too: `torch.randint(0, ...)` begins at 0, where there is no noise to predict."""
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(0, schedule.T + 1, (len(images),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake from_zero_to_T_minus_1
def noisy_batch(schedule, images, generator):
    """t is in 0..T-1; it has to be in 1..T.

    `torch.randint(0, T)` counts as Python does, the paper counts from 1.
    """
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(0, schedule.T, (len(images),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake always_1000
def noisy_batch(schedule, images, generator):
    """T is written as 1000: a schedule may have fewer steps, and then it has no such t.

    `schedule.T` is the number of steps.
    """
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, 1001, (len(images),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake one_t
def noisy_batch(schedule, images, generator):
    """One t is drawn for the whole batch; each picture needs its own.

    The loss of a batch then jumps with its t, and the gradient with it.
    """
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, schedule.T + 1, (1,), generator=generator).repeat(len(images))
    eps = torch.randn(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake unit_range
def noisy_batch(schedule, images, generator):
    """x_0 is in [0, 1]: divided by 255. The paper has [-1, 1] (Section 3.3).

    Pictures around a mean of zero end in N(0, I); these keep a grey veil on the way. Others had to
    change it later (DeweiHu/OCT_DDPM #3).
    """
    x_0 = images.float() / 255
    t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake bytes
def noisy_batch(schedule, images, generator):
    """x_0 still goes from 0 to 255: bring it to [-1, 1] first.

    Against such pictures noise of size 1 is nothing: x_t is never noisy. Who does so waits in vain
    for anything but noise (lucidrains/denoising-diffusion-pytorch #20).
    """
    x_0 = images.float()
    t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
    eps = torch.randn(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake uniform_noise
def noisy_batch(schedule, images, generator):
    """The noise is uniform in [0, 1): `torch.rand`. N(0, I) is `torch.randn`, with an n.

    Its mean is one half: every x_t gets brighter, not only noisier. One letter, and it is easily
    missed (acids-ircam/diffusion_models #8, HRI-EU/flow_matching #7).
    """
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
    eps = torch.rand(x_0.shape, generator=generator)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake one_noise
def noisy_batch(schedule, images, generator):
    """All pictures of the batch get the same noise; each needs its own."""
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
    eps = torch.randn(x_0.shape[1:], generator=generator).expand(x_0.shape)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% mistake other_noise
def noisy_batch(schedule, images, generator):
    """The eps that is returned is not the one in x_t: it was drawn a second time.

    The network would be taught to predict a noise that is not there: it learns to say zero.
    """
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, schedule.T + 1, (len(images),), generator=generator)
    x_t = q_sample(schedule, x_0, t, torch.randn(x_0.shape, generator=generator))
    return x_t, t, torch.randn(x_0.shape, generator=generator)


# %% mistake no_generator
def noisy_batch(schedule, images, generator):
    """The generator is not used, so the same seed gives other numbers each time.

    A run that cannot be repeated is hard to mend.
    """
    x_0 = images.float() / 127.5 - 1
    t = torch.randint(1, schedule.T + 1, (len(images),))
    eps = torch.randn(x_0.shape)
    return q_sample(schedule, x_0, t, eps), t, eps


# %% check
from ddpm_tutor import linear_schedule, predict_x_0, q_sample, stream, to_unit_range
from ddpm_tutor import noisy_batch as right
from ddpm_tutor.grading.tools import WrongKind, copied, named
from ddpm_tutor import load_offline_digits

shapes = False  # random numbers come from the CPU
MANY = 4000  # pictures in a batch: every t comes


def inputs(draw):
    images = torch.randint(0, 256, (MANY, 1, 3, 2), generator=draw.generator, dtype=torch.uint8)
    draw.T, draw.batch, draw.height, draw.width = 10 + draw.seed, len(images), 3, 2
    return {"schedule": draw.schedule(), "images": images, "generator": draw.generator}


def observe(noisy_batch, schedule, images, generator):
    """What holds of every right answer, in whatever order it draws its numbers."""
    again = copied(generator)
    x_t, t, eps = named(noisy_batch(schedule, images, generator), ("x_t", "t", "eps")).values()
    repeated = named(noisy_batch(schedule, images, again), ("x_t", "t", "eps"))["x_t"]
    others = named(noisy_batch(schedule, images, stream(1, "other t")), ("x_t", "t", "eps"))["t"]
    if t.shape != (MANY,) and (MANY,) in (x_t.shape, eps.shape):
        raise WrongKind("The order is another: return x_t, t, eps, as the docstring has them.")
    for name, value, shape in (
        ("t", t, (MANY,)),
        ("x_t", x_t, images.shape),
        ("eps", eps, images.shape),
    ):
        if value.shape != shape:
            raise WrongKind(
                f"{name} has the shape {tuple(value.shape)}; it should be {tuple(shape)}."
            )
    # what x_0 must have been, by its own t and eps, as a straight line through the images
    x_0, images = predict_x_0(schedule, x_t, t, eps).flatten(), to_unit_range(images).flatten()
    slope = ((x_0 - x_0.mean()) * images).mean() / ((images - images.mean()) * images).mean()
    middle = x_0.mean() - slope * images.mean()
    off = (x_0 - middle - slope * images).abs().max()
    return {
        "smallest t": t.min(),
        "largest t": t.max(),
        "number of different t": len(t.unique()),
        "mean of eps": to_a_tenth(eps.mean()),
        "std of eps": to_a_tenth(eps.std()),
        "different noises among 20": len(eps[:20].flatten(1).unique(dim=0)),
        "x_0 of a black pixel": to_a_tenth(middle - slope),
        "x_0 of a white pixel": to_a_tenth(middle + slope),
        "x_t is Eq. 4 with its t and eps": bool(off < 0.01 * slope.abs()),
        "t is drawn at random": not torch.equal(t, others),
        "the same seed gives the same": torch.equal(x_t, repeated),
        "x_t": torch.zeros((), dtype=x_t.dtype),  # in float32
    }


def explain(noisy_batch):
    """What becomes of the pictures, where each is made of x_0 and noise, or is x_0 alone."""
    every_byte = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(200, 1, 1, 1)
    x_t, t, eps = noisy_batch(linear_schedule(10, 0.02, 0.3), every_byte, stream(0, "x_0"))
    x_0 = to_unit_range(every_byte)
    noised = q_sample(linear_schedule(10, 0.02, 0.3), x_0, t, x_t.float())
    if torch.allclose(noised, eps.float(), atol=0.01):
        return "x_t and eps have changed places: the order is x_t, t, eps."
    if torch.allclose(x_t.float(), x_0, atol=0.01):
        return "The first result is x_0, without any noise; x_t belongs there."
    if torch.allclose(x_t.float(), eps.float(), atol=0.01):
        return "The first result is eps, the noise alone; x_t belongs there."
    x_0 = predict_x_0(linear_schedule(10, 0.02, 0.3), x_t, t, eps)
    became, off = x_0.mean(0).flatten(), (x_0 - x_0.mean(0)).abs().max()
    if off > 0.01:
        return ""
    if (became.diff() < -0.5).any():
        last = int((became.diff() < -0.5).nonzero()[0])
        return (
            f"A pixel of {last} becomes {became[last]:z.2f} in x_0, and one of {last + 1}"
            f" {became[last + 1]:z.2f}: bytes end at 255 and start again at 0."
            " Say `images.float()` first."
        )
    if (became - to_unit_range(every_byte[:1]).flatten()).abs().max() > 0.02:
        return (
            f"In x_0 a black pixel becomes {became[0]:.4g} and a white one {became[255]:.4g};"
            " -1 and 1 belong there."
        )
    return ""


def to_a_tenth(value):
    """Rounded so far that chance does not show."""
    return (value * 10).round() / 10


def picture(noisy_batch):
    """Three digits of the data, each at its own t."""
    images = load_offline_digits().train_images[:3]
    return noisy_batch(linear_schedule(300), images, stream(2, "picture"))[0]
