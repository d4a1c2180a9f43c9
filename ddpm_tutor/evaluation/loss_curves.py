"""Is a loss curve what it should be? What can be said of the numbers alone.

The loss is that of Eq. 14 with the paper's schedule: the squared error of the predicted noise, the
mean over pixels. Its levels were measured, see `assets/measure_symptoms.py`: short trainings with
each known mistake, kept in `assets/loss_curves.json`, and the log of the weights that ship.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

Points = Sequence[tuple[float, float]]
Kind = Literal[
    "nan", "summed", "diverged", "unmoved", "nothing", "leak", "swings", "rising", "high", "apart",
    "slow", "right", "short", "trained",
]  # fmt: skip

# always predicting zero has a loss of 1, the variance of the noise
NOTHING = 1.0
MILESTONES = (0.1, 0.03, 0.02)
SUM = 100  # a loss that begins above it is a sum, where it is that of Eq. 14
PIXELS = (784, 1024)  # of pictures of 28x28 and of 32x32
BATCHES = (1, 16, 32, 64, 100, 128, 256, 512)  # the usual ones
USUAL_START = 1.4
# a U-Net whose last layer is random begins at 1.2 to 2.2, one whose last layer is zero at 1.0; the
# one that ships, which predicts v, at 0.2 to 0.3
START = (0.75, 2.4)
LEAN_START = (0.15, 0.45)
# the shipped weights end at 0.0157 after 88 epochs
TOO_LOW = 0.012
# pictures in [0, 1] are half as large, so that there is more noise to see in x_t: with the errors
# that the shipped network makes at such ratios, their loss is 0.0107 where it is 0.0164 else
HALF_SIZE = 0.0107
LOWEST = 0.0145  # a loss that is lower than any right training had
# the shipped network, which learns fast, came below each in its second and in its ninth epoch of
# 429 steps; trainings on t = T alone, or that compare with x_t, come below 0.03 within 160 steps
TOO_SOON = {0.03: 250, 0.02: 350}
# 0.22 with batches of 32 and a t for each picture, less with larger ones; 0.36 with one t for all
ROUGH = 0.3
FEW, MANY = 8, 100  # losses: with fewer nothing is said of how they move, or of where they stay
LONG = 3000  # steps after which any training that was tried with no mistake is below HIGH
LONG_EPOCHS = 5
HIGH = 0.06
# with the root of each batch's mean, or the mean of absolute errors, the shipped network's last
# losses are 0.13 and 0.036, as its squared error is 0.016
ROOT_END = (0.115, 0.16)
MEAN_SIZE = 0.798  # of N(0, 1): sqrt(2 / pi), what an absolute error begins at
NEAR_BYTES = 0.25  # pictures from 0 to 255 came to 0.34 in 600 steps, and hardly fell any more
# below it short right trainings came in 200 steps; those with a root, with an absolute error, with
# pictures in 0..255 and with t below 50 did not
SLOW = 0.13
# how much losses of one batch and the next differ: without a t to differ by, 5 and 7 % where right
# ones have 24 %, in batches of 32
SMOOTH = 0.09
GAP = 1.3  # times the loss of training that the held-out loss may have

UNTOLD = (
    "Others fall as slowly, and the curve does not tell which: an absolute error or a root in "
    "place of the square, pictures from 0 to 255, t that is always small. Look at the line of the "
    "loss, and print x_0.min(), x_0.max(), t.min(), t.max()."
)
IN_UNIT_RANGE = (
    "The weights that ship have 0.016 after 88 epochs; with pictures in [0, 1] in place of [-1, 1] "
    "they would have 0.011. Print x_0.min()."
)


@dataclass(frozen=True)
class Finding:
    """Something to say of a curve."""

    kind: Kind
    says: str
    # names of mistakes of exercises 3 and 6, or of `grading.causes`, the likeliest first; "lr" is
    # the learning rate
    causes: tuple[str, ...] = ()

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong."""
        return self.kind not in ("right", "short", "trained", "slow")


@dataclass(frozen=True)
class Shape:
    """A curve in a few numbers; its losses are finite, and as if they were means over pixels."""

    count: int
    start: float
    least: float  # of the medians of parts
    peak: float  # the largest of all
    end: float
    roughness: float  # median ratio of one loss to the next, as a logarithm
    falls: bool  # whether it still does, in its second half


def judge(train: Points, validation: Points, unit: str) -> list[Finding]:
    """What is to be said of the losses of a training, the gravest first.

    Args:
        train: (step or epoch, loss), NaN and infinity among them; validation: the same, or empty.
        unit: what is counted, "step", "epoch" or "line".
    """
    points = train or validation
    stopped = not_finite(points, unit)
    if stopped and (stopped[0].causes == () or len(points) < FEW):
        return stopped
    values = [loss for _, loss in points if math.isfinite(loss)]
    if not values:
        return stopped
    found = list(stopped)
    times, said = scale_of(values)
    found += said
    shape = shape_of([value / times for value in values])
    if not stopped:
        found += faults([(x, y / times) for x, y in points], shape, unit)
        found += held_out(train, validation)
    if not found:
        found += progress(points, shape, unit)
    return found


def not_finite(points: Points, unit: str) -> list[Finding]:
    """Where the losses stop being numbers, and what came before."""
    place = next((i for i, (_, loss) in enumerate(points) if not math.isfinite(loss)), None)
    if place is None:
        return []
    before = [loss for _, loss in points[:place]]
    if not before:
        says = (
            f"The loss is {points[place][1]} from the first {unit} on, before any step could do "
            "harm: so it is the data or the equations, not the learning rate. Is there a NaN in "
            "the pictures, a division by 1 - ᾱ_0 = 0 at t = 0, a root of a negative number?"
        )
        return [Finding("nan", says, ("from_zero",))]
    if rise := rise_in(before):
        how = f"it had risen from {rise[0]:.3g} to {rise[1]:.3g}: the learning rate is too high. "
        how += "Take a third of it, warm it up, and clip the gradient."
    else:
        how = f"it was {before[-1]:.3g} just before: a single step did it. Clip the gradient, "
        how += "lower the learning rate, or compute in float32 in place of half precision."
    where = f"{unit} {points[place][0]:,.0f}"
    return [Finding("nan", f"The loss is no number from {where} on; {how}", ("lr",))]


def rise_in(losses: list[float]) -> tuple[float, float] | None:
    """Where losses have risen threefold, at any time or at last: from what, and to what."""
    peak = max(losses)
    if peak > 3 * losses[0]:
        return min(losses[: losses.index(peak) + 1]), peak
    recent, last = losses[-max(3, len(losses) // 5) :], max(losses[-3:])
    return (min(recent), last) if last > 3 * min(recent) else None


def scale_of(values: list[float]) -> tuple[float, list[Finding]]:
    """How many times too large all losses are, and what to say of it; 1 where they are not.

    A network that is random begins at 1 to 2, and so does a sum divided by what it is a sum over.
    """
    start, end = max(values[:2]), level(values[-max(1, len(values) // 10) :])
    if start < SUM:
        return 1.0, []
    sums = [(pixels * batch, pixels, batch) for batch in BATCHES for pixels in PIXELS]
    times, pixels, batch = min(sums, key=lambda sum_: abs(math.log(start / sum_[0] / USUAL_START)))
    if not START[0] <= start / times <= START[1]:
        return 1.0, []
    of = f"a picture of {pixels} pixels" if batch == 1 else "a whole batch"
    such = "" if batch == 1 else f" (as {batch} pictures of {pixels} pixels would give)"
    says = (
        f"It begins at {start:,.0f}, {times:,} times {start / times:.2f}: the squared errors of "
        f"{of} are summed{such}, and the loss is their mean. A learning rate means another thing "
        f"for a sum. Divided, it ends at {end / times:.3g}."
    )
    return float(times), [Finding("summed", says, ("summed",))]


def shape_of(values: list[float]) -> Shape:
    """A curve in a few numbers."""
    count = len(values)
    part = max(1, count // 10)
    means = [level(values[i : i + part]) for i in range(0, count - part + 1, part)]
    half = means[len(means) // 2 :]
    logs = [math.log(max(v, 1e-9)) for v in values[count // 5 :]]
    steps = [abs(b - a) for a, b in pairwise(logs)]
    return Shape(
        count=count,
        start=values[0],
        least=min(means),
        peak=max(values),
        end=means[-1],
        roughness=median(steps) if steps else 0.0,
        falls=len(half) > 2 and half[-1] < 0.93 * half[0],
    )


def level(values: Sequence[float]) -> float:
    """Where some losses lie: their median, which a single one does not move."""
    return median(values)


def faults(points: Points, shape: Shape, unit: str) -> list[Finding]:
    """What is wrong with the way a curve goes, the gravest alone; `shape` is its."""
    looks = (
        below_zero, gone_up, unmoved, says_zero, never_low, too_good, jumps, rises, stays_high,
    )  # fmt: skip
    if shape.count >= FEW:
        for look in looks:
            if finding := look(points, shape, unit):
                return [finding]
    return []


def below_zero(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A loss that no mean of squares can be."""
    least = min(loss for _, loss in points)
    if least >= 0:
        return None
    says = (
        f"It comes to {least:.3g}, and a mean of squares is never below 0: is it its logarithm, is "
        "the sign turned round, or is the error not squared?"
    )
    return Finding("leak", says)


def gone_up(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A training that was lost after it had learned."""
    what_to_do = "Take a third of the learning rate, and see that the gradients are set to zero."
    if shape.peak > max(3.0, 3 * shape.start):
        says = f"It rose from {shape.start:.3g} to {shape.peak:.3g}: the steps are too long. "
    elif shape.end > max(0.5, 2 * shape.least):
        says = f"It fell to {shape.least:.3g} and rose to {shape.end:.3g}: the steps are too long. "
    else:
        return None
    return Finding("diverged", says + what_to_do, ("no_zero_grad", "lr"))


def unmoved(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A loss that stays where it began."""
    start = shape.start
    if start <= 0.7 or abs(shape.end / start - 1) >= 0.1 or shape.least <= 0.8 * start:
        return None
    says = f"It stays where it began, at {start:.3g}: the weights are not changed"
    causes: tuple[str, ...] = ("no_step", "zero_grad_too_late", "step_too_early", "detached", "lr")
    if abs(start - NOTHING) < 0.08:
        says += (
            ", or there is nothing to learn. 1 is the loss of a network that says zero: is the "
            "noise to predict the one in x_t?"
        )
        return Finding("unmoved", says, (*causes, "fresh_noise", "clean_input", "other_noise"))
    return Finding("unmoved", f"{says}, or by next to nothing.", causes)


def says_zero(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A loss that falls to 1 and stays."""
    if shape.start <= 0.7 or not 0.9 < shape.end < 1.08 or shape.least <= 0.9:
        return None
    says = (
        f"It falls from {shape.start:.2f} to {shape.end:.2f}, and stays: the network has learned "
        "to say zero. There is nothing to learn: the noise to predict is not the one in x_t, or "
        "the network does not see x_t. Or the first steps were so long that it has died: try a "
        "tenth of the learning rate."
    )
    return Finding("nothing", says, ("fresh_noise", "clean_input", "other_noise", "lr"))


def never_low(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A loss that has not come down after many steps."""
    if shape.end <= 0.5 or shape.start <= 0.7 or shape.count < MANY:
        return None
    says = (
        f"It does not come below {shape.least:.2f} in {shape.count:,} losses: each step goes too "
        "far, or along the gradients of all steps before, or nowhere. Are the gradients set to "
        "zero? Try a tenth of the learning rate, and ten times as much."
    )
    return Finding("swings", says, ("no_zero_grad", "lr"))


def too_good(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A loss that no network can have, or not so soon."""
    soon = too_soon(points) if unit == "step" and shape.start > 0.7 else ""
    if soon:
        says = f"{soon} That is too soon to be true: the weights that ship took more than 400. "
    elif 0.75 * HALF_SIZE < shape.end < TOO_LOW and shape.start > 0.03:
        says = f"It comes to {shape.end:.2g}. {IN_UNIT_RANGE} Or is the answer in the input?"
        return Finding("leak", says, ("unit_range", "target_x_t"))
    elif shape.end < TOO_LOW:
        says = (
            f"It comes to {shape.end:.2g}. That is too good to be true: the weights that ship have "
            "0.016 after 88 epochs. "
        )
    else:
        return None
    if shape.start < 0.3 and unit != "epoch":  # a whole first epoch may well have so little
        says += f"It begins at {shape.start:.2g}, where saying zero costs 1: is a mean squared?"
        return Finding("leak", says, ("squared_mean",))
    causes = ("target_x_t", "one_noise", "uniform_noise")
    if unit == "step" and shape.roughness < SMOOTH:
        says += (
            f"And it hardly jumps, by {percent(shape.roughness)} from one step to the next: in "
            "batches of 32 right losses do by 24 %, those with t near T by 5 to 7, where x_t is "
            "all but the noise itself. Is t always large? Print t.min() and t.max(). Or, with "
            "batches of 128 and more: is the answer in the input?"
        )
        return Finding("leak", says, ("t_large", "target_x_t"))
    says += (
        "Is the answer in the input, is the noise the same in all pictures, is t always large? "
        "Print t.min() and t.max()."
    )
    return Finding("leak", says, causes)


def percent(roughness: float) -> str:
    """A difference of logarithms as a share."""
    return f"{100 * (math.exp(roughness) - 1):.0f} %"


def too_soon(points: Points) -> str:
    """Where a curve comes down faster than any that was right; "" where it does not."""
    for value, step in TOO_SOON.items():
        place = first_below(points, value)
        if place is not None and place < step:
            return f"It is below {value:g} at step {place:,.0f}."
    return ""


def jumps(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A loss that differs much from one batch to the next."""
    if shape.roughness <= ROUGH:
        return None
    says = (
        f"It jumps by {percent(shape.roughness)} from one {unit} to the next; with a t for each "
        "picture by 24 to 29 % in batches of 32, and 42 % in batches of 16. Is one t drawn for the "
        "whole batch, or is a batch very small?"
    )
    return Finding("swings", says, ("one_t", "lr"))


def rises(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A loss that rises again."""
    up = shape.end > 1.25 * shape.least and shape.end - shape.least > 0.003
    if not up or shape.count < 20:
        return None
    says = (
        f"It was {shape.least:.3g}, and rises again, to {shape.end:.3g}: a learning rate too high, "
        "or one that was raised."
    )
    return Finding("rising", says, ("lr",))


def stays_high(points: Points, shape: Shape, unit: str) -> Finding | None:
    """A loss that has stopped falling far above the usual."""
    last = points[-1][0]
    long_enough = last >= (LONG_EPOCHS if unit == "epoch" else LONG) and unit != "line"
    is_flat = abs(shape.end - shape.start) < 0.2 * shape.start  # from the first one that was kept
    stays = shape.count >= MANY and not shape.falls and (shape.start > 0.7 or is_flat)
    if shape.end <= HIGH or not (long_enough or stays):
        return None
    says = f"It stays at {shape.end:.3g}, where 0.03 is usual. "
    if shape.end > NEAR_BYTES:
        says += (
            "So high stays what is trained on pictures from 0 to 255: print x_0.min() and "
            "x_0.max(). Or does the network not see x_t or t, or is the learning rate far off?"
        )
        return Finding("high", says, ("bytes", "lr"))
    causes: tuple[str, ...] = ("target_x_0", "absolute", "root", "lr")
    if long_enough and ROOT_END[0] <= shape.end <= ROOT_END[1]:
        says += f"Its square, {shape.end**2:.2g}, is what a trained network has: is a root taken? "
        causes = ("root", "target_x_0", "lr")
    says += (
        "Is the prediction compared with x_0, or by another error, absolute or with a root? Does "
        "the network get t? Is the learning rate far too low?"
    )
    return Finding("high", says, causes)


def held_out(train: Points, validation: Points) -> list[Finding]:
    """Whether the loss of validation is far above that of training."""
    ends = [[loss for _, loss in points if math.isfinite(loss)] for points in (train, validation)]
    if not all(ends):
        return []
    mine, other = (level(values[-max(1, len(values) // 10) :]) for values in ends)
    if other <= GAP * mine:
        return []
    least = min(ends[1])
    rose = f", and was {least:.3g} before" if other > 1.1 * least else ""
    return [
        Finding(
            "apart",
            f"Validation ends at {other:.3g}{rose}; training at {mine:.3g}. Of 55,000 digits "
            "nothing is learned by heart in 88 epochs: there both ended at 0.016. Are there few "
            "pictures, or is validation noised or scaled in another way?",
        )
    ]


def progress(points: Points, shape: Shape, unit: str) -> list[Finding]:
    """What to say of a curve in which nothing is wrong."""
    found = []
    if unit == "step" and points[0][0] <= 1 and abs(shape.start / MEAN_SIZE - 1) < 0.02:
        says = (
            f"It begins at {shape.start:.2f}, the mean of |ε|: is the error absolute? The mean of "
            "ε² is 1, and that is what saying zero costs."
        )
        found.append(Finding("slow", says, ("absolute",)))
    elif START[0] <= shape.start <= START[1]:
        says = (
            f"It begins at {shape.start:.2f}: saying zero costs 1, and a network that is random "
            "begins there, or up to twice as high."
        )
        found.append(Finding("right", says))
    elif LEAN_START[0] <= shape.start <= LEAN_START[1] and unit != "epoch":
        says = (
            f"It begins at {shape.start:.2f}. A network of plain layers begins at 1 or above; one "
            "that predicts v, such as the lean one here, at 0.2 to 0.3."
        )
        found.append(Finding("right", says))
    passed = [(value, first_below(points, value)) for value in MILESTONES]
    done = [
        f"{value:g} at {unit} {place:,.0f}"
        for value, place in passed
        if place is not None and shape.end < value  # and not by chance, for a moment
    ]
    if done:
        found.append(Finding("right", f"It comes below {', '.join(done)}."))
    return [*found, ending(shape)]


def ending(shape: Shape) -> Finding:
    """What to say of the end of a curve in which nothing is wrong."""
    if shape.count < FEW:
        return Finding(
            "short",
            f"Only {shape.count} loss{'es' * (shape.count != 1)}: too few to see where it goes.",
        )
    if shape.falls and shape.end > MILESTONES[2]:
        says = f"At {shape.end:.3g} it still falls: go on training."
        if shape.end > SLOW and shape.count >= MANY:
            says += f" {UNTOLD}"
        return Finding("slow", says)
    if shape.end > MILESTONES[1]:
        says = (
            f"It ends at {shape.end:.3g}, where 0.03 and less is usual in time: more steps, a "
            "higher learning rate, or a larger network. An absolute error, in place of a squared "
            "one, ends at 0.036."
        )
        return Finding("slow", says)
    if shape.end < LOWEST:
        return Finding("trained", f"It ends at {shape.end:.3g}, lower than usual. {IN_UNIT_RANGE}")
    return Finding("trained", f"It ends at {shape.end:.3g}, which is what a trained network has.")


def first_below(points: Points, value: float) -> float | None:
    """Where a smoothed curve first comes below a value."""
    window = max(1, min(20, len(points) // 20))
    losses = [loss for _, loss in points]
    for i in range(window, len(losses) + 1):
        if level(losses[i - window : i]) < value:
            return points[i - 1][0]
    return None
