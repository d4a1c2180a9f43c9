"""Is a loss curve what it should be? What can be said of the numbers alone.

The loss is that of Eq. 14 with the paper's schedule: the squared error of the predicted noise, the
mean over pixels. Its levels were measured, see `assets/measure_symptoms.py`: short trainings with
each known mistake, which ship in `loss_curves.json`, and the log of the weights that ship.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from ddpm_tutor.files import bundled

Points = Sequence[tuple[float, float]]
Kind = Literal[
    "nan", "summed", "diverged", "unmoved", "nothing", "leak", "swings", "rising", "high", "apart",
    "slow", "right", "short", "trained",
]  # fmt: skip

# always predicting zero has a loss of 1, the variance of the noise
NOTHING = 1.0
MILESTONES = (0.1, 0.03, 0.02)
MANY = 100  # a loss that begins above it is a sum, where it is that of Eq. 14
PIXELS = (784, 1024)  # of pictures of 28x28 and of 32x32
BATCHES = (1, 16, 32, 64, 100, 128, 256, 512)  # the usual ones
USUAL_START = 1.4
# a U-Net whose last layer is random begins at 1.2 to 2.2, one whose last layer is zero at 1.0; the
# one that ships, which predicts v, at 0.2 to 0.3
START = (0.75, 2.4)
LEAN_START = (0.15, 0.45)
# the shipped weights end at 0.0157 after 88 epochs
TOO_LOW = 0.012
# the shipped network, which learns fast, came below each in its second and in its ninth epoch of
# 429 steps; trainings on t = T alone, or that compare with x_t, come below 0.03 within 160 steps
TOO_SOON = {0.03: 250, 0.02: 350}
# 0.22 with batches of 32 and a t for each picture, less with larger ones; 0.36 with one t for all
ROUGH = 0.3
FEW = 8  # losses: with fewer nothing is said of how they move
LONG = 3000  # steps after which any training that was tried with no mistake is below HIGH
LONG_EPOCHS = 5
HIGH = 0.06
GAP = 1.3  # times the loss of training that the held-out loss may have


@dataclass(frozen=True)
class Finding:
    """Something to say of a curve."""

    kind: Kind
    says: str
    causes: tuple[str, ...] = ()  # the names of known mistakes of exercises 3 and 6, "lr" among them

    @property
    def is_fault(self) -> bool:
        """Whether something is wrong."""
        return self.kind not in ("right", "short", "trained", "slow")


@dataclass(frozen=True)
class Shape:
    """A curve in a few numbers; its losses are finite, and as if they were means over pixels."""

    count: int
    start: float
    least: float  # of the means of parts
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
    last = points[-1][0]
    if not stopped:
        found += faults([(x, y / times) for x, y in points], shape, unit)
        found += held_out(train, validation)
    if not found:
        found += progress(points, shape, unit, last)
    return found


def not_finite(points: Points, unit: str) -> list[Finding]:
    """Where the losses stop being numbers, and what came before."""
    place = next((i for i, (_, loss) in enumerate(points) if not math.isfinite(loss)), None)
    if place is None:
        return []
    where = f"{unit} {points[place][0]:,.0f}"
    before = [loss for _, loss in points[:place]]
    if not before:
        return [
            Finding(
                "nan",
                f"The loss is {points[place][1]} from the first {unit} on, before any step could do "
                "harm: so it is the data or the equations, not the learning rate. Is there a NaN "
                "in the pictures, a division by 1 - ᾱ_0 = 0 at t = 0, a root of a negative number?",
                ("from_zero",),
            )
        ]
    recent = before[-max(3, len(before) // 5) :]
    peak, before_it = max(before), min(before[: before.index(max(before)) + 1])
    if peak > 3 * before[0]:
        rose = f"it had risen from {before_it:.3g} to {peak:.3g}"
    elif max(before[-3:]) > 3 * min(recent):
        rose = f"it had risen from {min(recent):.3g} to {max(before[-3:]):.3g}"
    else:
        rose = ""
    if rose:
        why = "the learning rate is too high. Take a third of it, warm it up, clip the gradient"
    else:
        rose = f"it was {before[-1]:.3g} just before"
        why = "a single step did it: a learning rate too high, or half precision. Clip the gradient"
    return [Finding("nan", f"The loss is no number from {where} on; {rose}: {why}.", ("lr",))]


def scale_of(values: list[float]) -> tuple[float, list[Finding]]:
    """How many times too large all losses are, and what to say of it; 1 where they are not.

    A network that is random begins at 1 to 2, and so does a sum divided by what it is a sum over.
    """
    start, end = max(values[:2]), level(values[-max(1, len(values) // 10) :])
    if start < MANY:
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
    steps = [abs(b - a) for a, b in zip(logs, logs[1:], strict=False)]
    return Shape(
        count=count,
        start=values[0],
        least=min(means),
        end=means[-1],
        roughness=median(steps) if steps else 0.0,
        falls=len(half) > 2 and half[-1] < 0.93 * half[0],
    )


def level(values: Sequence[float]) -> float:
    """Where some losses lie: their median, which a single one does not move."""
    return median(values)


def faults(points: Points, shape: Shape, unit: str) -> list[Finding]:
    """What is wrong with the way a curve goes; `shape` is its."""
    last = points[-1][0]
    if shape.count < FEW:
        return []
    start, end, least = shape.start, shape.end, shape.least
    if end > 0.5 and end > 2 * least:
        return [
            Finding(
                "diverged",
                f"It fell to {least:.3g} and rose to {end:.3g} again: the steps are too long. Take a "
                "third of the learning rate, and see that the gradients are set to zero.",
                ("no_zero_grad", "lr"),
            )
        ]
    if start > 0.7 and abs(end / start - 1) < 0.1 and least > 0.8 * start:
        zero = abs(start - NOTHING) < 0.08
        says = f"It stays where it began, at {start:.2f}: "
        says += (
            "that is the loss of a network that says zero. Either the weights are not changed, "
            "or there is nothing to learn: the noise to predict is not the one in x_t."
            if zero
            else "the weights are not changed."
        )
        causes = ("no_step", "zero_grad_too_late", "step_too_early", "detached", "lr")
        causes += ("fresh_noise", "clean_input", "other_noise") if zero else ()
        return [Finding("unmoved", says, causes)]
    if start > 0.7 and 0.9 < end < 1.08 and least > 0.9:
        return [
            Finding(
                "nothing",
                f"It falls from {start:.2f} to {end:.2f}, and stays: the loss of a network that has "
                "learned to say zero. There is nothing to learn: the noise to predict is not the "
                "one in x_t, or the network does not see x_t. Or the first steps were so long that "
                "the network has died: try a tenth of the learning rate.",
                ("fresh_noise", "clean_input", "other_noise", "lr"),
            )
        ]
    if end > 0.5 and start > 0.7 and shape.count >= 100:
        return [
            Finding(
                "swings",
                f"It does not come below {least:.2f} in {shape.count:,} {unit}s: each step goes too "
                "far, or along the gradients of all steps before. Set the gradients to zero, take a "
                "smaller learning rate.",
                ("no_zero_grad", "lr"),
            )
        ]
    found = []
    soon = start > 0.7 and unit == "step" and too_soon(points)
    if end < TOO_LOW or soon:
        found.append(too_good(start, end, soon or ""))
    elif shape.roughness > ROUGH:
        found.append(
            Finding(
                "swings",
                f"It jumps by {100 * (math.exp(shape.roughness) - 1):.0f} % from one {unit} to the "
                "next; in batches of 32 with a t for each picture by 24 %. Is one t drawn for the "
                "whole batch, or is a batch very small?",
                ("one_t", "lr"),
            )
        )
    if not found and end > 1.25 * least and end - least > 0.003 and shape.count >= 20:
        found.append(
            Finding(
                "rising",
                f"It was {least:.3g}, and rises again, to {end:.3g}: a learning rate too high, or "
                "one that was raised.",
                ("lr",),
            )
        )
    long_enough = last >= (LONG_EPOCHS if unit == "epoch" else LONG) and unit != "line"
    stays = shape.count >= 100 and not shape.falls and start > 0.7
    if not found and end > HIGH and (long_enough or stays):
        found.append(
            Finding(
                "high",
                f"It stays at {end:.3g}, where 0.03 is usual. Is the prediction compared with x_0, "
                "or by another error, absolute or with a root? Does the network get t? Is the "
                "learning rate far too low?",
                ("target_x_0", "absolute", "root", "lr"),
            )
        )
    return found


def too_soon(points: Points) -> str:
    """Where a curve comes down faster than any that was right; "" where it does not."""
    for value, step in TOO_SOON.items():
        place = first_below(points, value)
        if place is not None and place < step:
            return f"It is below {value:g} at step {place:,.0f}."
    return ""


def too_good(start: float, end: float, soon: str) -> Finding:
    """What to say of a loss that no network can have, or not so soon."""
    if soon:
        says = f"{soon} That is too soon to be true: the weights that ship took more than 400. "
    else:
        says = (
            f"It comes to {end:.2g}. That is too good to be true: the weights that ship have 0.016 "
            "after 88 epochs. "
        )
    if start < 0.3:
        says += f"It begins at {start:.2g}, where saying zero costs 1: is a mean squared?"
        return Finding("leak", says, ("squared_mean",))
    says += "Is the answer in the input, is t always large, is the noise the same in all pictures?"
    return Finding("leak", says, ("target_x_t", "one_noise", "uniform_noise"))


def held_out(train: Points, validation: Points) -> list[Finding]:
    """Whether the loss of validation is far above that of training."""
    ends = [
        [loss for _, loss in points if math.isfinite(loss)] for points in (train, validation)
    ]
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
            "pictures, is validation noised in another way, or scaled in another?",
        )
    ]


def progress(points: Points, shape: Shape, unit: str, last: float) -> list[Finding]:
    """What to say of a curve in which nothing is wrong."""
    found = []
    if START[0] <= shape.start <= START[1]:
        found.append(
            Finding("right", f"It begins at {shape.start:.2f}: about 1 is what zero costs, and a "
                    "network that is random begins there or up to twice as high.")
        )  # fmt: skip
    elif LEAN_START[0] <= shape.start <= LEAN_START[1] and unit != "epoch":
        found.append(
            Finding("right", f"It begins at {shape.start:.2f}. A network of plain layers begins at 1 "
                    "or above; one that predicts v, such as the lean one here, at 0.2 to 0.3.")
        )  # fmt: skip
    passed = [(m, first_below(points, m)) for m in MILESTONES]
    done = [f"{m:g} at {unit} {step:,.0f}" for m, step in passed if step is not None]
    if done:
        found.append(Finding("right", f"It comes below {', '.join(done)}."))
    if shape.count < FEW:
        found.append(
            Finding("short", f"These are {shape.count} losses: too few to see where it goes.")
        )
    elif shape.falls and shape.end > 0.02:
        found.append(Finding("slow", f"At {shape.end:.3g} it still falls: go on training."))
    elif shape.end > MILESTONES[1]:
        found.append(
            Finding("slow", f"It ends at {shape.end:.3g}, where 0.03 and less is usual in time: more "
                    "steps, a higher learning rate, or a larger network.")
        )  # fmt: skip
    else:
        found.append(
            Finding("trained", f"It ends at {shape.end:.3g}, which is what a trained network has.")
        )
    return found


def first_below(points: Points, value: float) -> float | None:
    """Where a smoothed curve first comes below a value."""
    window = max(1, min(20, len(points) // 20))
    losses = [loss for _, loss in points]
    for i in range(window, len(losses) + 1):
        if level(losses[i - window : i]) < value:
            return points[i - 1][0]
    return None


def known_curves() -> dict[str, list[float]]:
    """The loss of each step of short trainings, by the name of the mistake made; "right" is none."""
    text = (bundled("assets") / "loss_curves.json").read_text(encoding="utf-8")
    curves: dict[str, list[float]] = json.loads(text)["curves"]
    return curves
