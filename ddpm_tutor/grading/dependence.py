"""How a learner's result depends on what went in: what is left out, mixed, clipped, or no number.

Nothing is asked of the function but that it can be called again, with inputs that are changed a
little. `value(function, inputs)` is the result that is looked at, None where there is none.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ddpm_tutor.grading.trials import comparable, distance

Function = Callable[..., Any]
Value = Callable[[Function, dict[str, Any]], Tensor | None]

SMALL = 1e-4  # times the inputs: nothing that is clipped at 1 is reached any more


def dependence(
    name: str, mine: Function, right: Function, value: Value, inputs: Mapping[str, Any]
) -> str:
    """Whether an input is left out, pictures are mixed, or large numbers are bent; or "".

    Args:
        name: of the result.
    """

    def as_before(function: Function, changed: dict[str, Any], first: int = 0) -> bool:
        """Whether other inputs give the same, from that picture on."""
        before, now = value(function, dict(inputs)), value(function, {**inputs, **changed})
        if before is None or now is None or before.shape != now.shape:
            return False
        return bool((distance(now[first:], before[first:]) <= 1).all())

    batches = {n: v for n, v in inputs.items() if isinstance(v, Tensor) and v.ndim and len(v) > 1}
    rolled = {n: v.roll(1, 0) for n, v in batches.items()}
    unused = [n for n, v in rolled.items() if as_before(mine, {n: v})]
    if unused := [n for n in unused if not as_before(right, {n: rolled[n]})]:
        make = "makes" if len(unused) == 1 else "make"
        return (
            f"{' and '.join(unused)} {make} no difference to {name}: is something left out, or one"
            " taken for all?"
        )
    floats = {n: v for n, v in batches.items() if v.is_floating_point()}
    for n, v in floats.items():
        changed = {n: torch.cat([v[:1] + 1, v[1:]])}
        if not as_before(mine, changed, 1) and as_before(right, changed, 1):
            return f"{n} of one picture gets into the others: each is to be made of its own {n}."
    small = {**inputs, **{n: v * SMALL for n, v in floats.items()}}
    got, expected = value(mine, small), value(right, small)
    if got is None or expected is None or not comparable(got, expected) or not expected.any():
        return ""
    if bool((distance(got, expected) <= 1).all()):
        return (
            f"{name} is right for small numbers, not for large ones: something is clipped, or bent."
        )
    return ""


def no_number(
    name: str, mine: Function, value: Value, inputs: Mapping[str, Any], pictures: Sequence[str]
) -> str:
    """Why there is NaN in a result: whether that goes where none of the `pictures` is negative."""
    says = f"{name} has what is no number (NaN)"

    def stays(positive: Sequence[str]) -> bool:
        found = value(mine, {**inputs, **{n: inputs[n].abs() + 0.1 for n in positive}})
        return found is None or bool(found.isnan().any())

    if not pictures or stays(pictures):
        return f"{says}: 0 / 0, or the root of what is negative?"
    under = [n for n in pictures if stays([other for other in pictures if other != n])] or pictures
    stand = "stands" if len(under) == 1 else "stand"
    return (
        f"{says}, by the root of what is negative: {' and '.join(under)} {stand} under it. Only the"
        " number for each picture belongs there."
    )
