"""Why a result has another shape than it should, and why shapes do not meet."""

import re
from itertools import permutations

from torch import Tensor

from ddpm_tutor.grading.trials import Draw, Outcome, alike

MAX_AXES = 5  # of a result whose axes are tried in every order

SHAPE_IT = "shape it (B, 1, 1, 1), with `.view(-1, 1, 1, 1)`"


def another_shape(name: str, expected: Tensor, mine: Tensor) -> str:
    """What is to be said of a result of another shape, and how it may have come about."""
    says = f"{name} has the shape {tuple(mine.shape)}; it should be {tuple(expected.shape)}."
    if how := rearranged(expected, mine):
        if how == "turned":
            return f"{says} The numbers are right, but the axes stand in another order: turn them."
        if how == "repeated":
            return f"{says} The numbers are right, but repeated: leave out `expand` or `repeat`."
        if mine.ndim > expected.ndim and 1 not in mine.shape:
            return (
                f"{says} The numbers are right, but on an axis too many: `stack` makes a new one,"
                " `torch.cat` joins along one that is there."
            )
        return f"{says} The numbers are right: only their shape is to change."
    if mine.ndim == expected.ndim and (axes := lined_up(expected, mine)):
        return (
            f"{says} One number for each picture was lined up with axis {axes[0]}, where it makes"
            f" {mine.shape[axes[0]]} of one: {SHAPE_IT}."
        )
    return says


def rearranged(expected: Tensor, mine: Tensor) -> str:
    """How the numbers stand, where all are there: "cut" otherwise, "turned" so that the axes have
    another order, or "repeated"; else "".
    """
    fits = [a == b or a == 1 for a, b in zip(expected.shape, mine.shape, strict=False)]
    if mine.ndim == expected.ndim and all(fits):
        same = alike(Outcome({"": expected.expand_as(mine)}), Outcome({"": mine}))
        return "repeated" if same else ""
    if mine.numel() != expected.numel() or mine.ndim > MAX_AXES:
        return ""
    for order in permutations(range(mine.ndim)):
        turned = mine.permute(order)
        if alike(Outcome({"": turned.reshape(expected.shape)}), Outcome({"": expected})):
            in_place = list(order) == sorted(order) or turned.shape != expected.shape
            return "cut" if in_place else "turned"
    return ""


def lined_up(expected: Tensor, mine: Tensor) -> list[int]:
    """Axes that should have one number, and have as many as there are pictures."""
    batch = expected.shape[0]
    axes = range(1, expected.ndim)
    return [i for i in axes if expected.shape[i] == 1 and mine.shape[i] == batch > 1]


def shapes_that_do_not_meet(complaint: str, draw: Draw) -> str:
    """What to say of an error where (B,) met pictures (B, 1, H, W); "" of any other."""
    sizes = re.search(
        r"size of tensor a \((\d+)\) must match the size of tensor b \((\d+)\)", complaint
    )
    if sizes is None:
        return ""
    a, b = sorted(map(int, sizes.groups()), key=lambda size: size != draw.batch)
    if a != draw.batch or b not in (draw.height, draw.width) or b == a:
        return ""
    return (
        f"A number for each picture, (B,), meets pictures (B, 1, H, W): {SHAPE_IT}. ({complaint})"
    )
