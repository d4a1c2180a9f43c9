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
    if rearranged(expected, mine):
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


def rearranged(expected: Tensor, mine: Tensor) -> bool:
    """Whether all the numbers are there, with the axes in another order, or cut otherwise."""
    if mine.numel() != expected.numel() or mine.ndim > MAX_AXES:
        return False
    wanted = Outcome({"": expected})
    orders = permutations(range(mine.ndim))
    reshaped = (mine.permute(order).reshape(expected.shape) for order in orders)
    return any(alike(Outcome({"": one}), wanted) for one in reshaped)


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
