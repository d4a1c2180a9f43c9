"""A diagnosis: the measures of drawn digits, beside those of what known mistakes draw.

What each mistake's drawings measure was found once, by `assets/measure_symptoms.py`, and ships as
`symptoms.json`, with some of the drawings in `symptoms.png`. Each group of mistakes is taken for a
Gaussian in standardised measures. Mistakes whose drawings cannot be told apart are one group, and
those that draw as well as the right equations are in the group of these.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpm_tutor.evaluation.scores import Share
from ddpm_tutor.evaluation.symptoms import Measures
from ddpm_tutor.files import bundled

RIGHT = "right"  # the name of the cause that is none
PICTURED = 6  # digits of each group that ship
# networks differ, and ways to draw: a group's mean is known no better than to this share of the
# spread of all groups, however many digits there are
FLOOR = 0.15


@dataclass(frozen=True)
class Scale:
    """How a measure is compared: after `change`, which makes equal ratios equal distances."""

    says: str  # of a picture that has much of it, in words
    says_less: str
    change: Callable[[Tensor], Tensor] = lambda value: value


def log_above(least: float) -> Callable[[Tensor], Tensor]:
    """The logarithm of a measure, of which less than `least` is nothing."""
    return lambda value: (value + least).log()


SCALES = {
    "background": Scale("a bright background", "a dark background"),
    "spread": Scale("an uneven background", "an even background", log_above(0.01)),
    "noise": Scale("noise left in it", "no noise left", log_above(0.01)),
    "black": Scale("many black pixels", "few black pixels"),
    "white": Scale("many white pixels", "few white pixels"),
    "grey": Scale("many grey pixels", "few grey pixels"),
    "mean": Scale("bright pictures", "dark pictures"),
    "top": Scale("bright strokes", "faded strokes"),
    "smooth": Scale("neighbouring pixels alike", "neighbouring pixels unrelated"),
    "ink": Scale("thick strokes", "little drawn"),
    "confidence": Scale(
        "clearly read as digits", "not read as any digit", lambda value: -(1.003 - value).log()
    ),
    "strange": Scale("unlike any real digit", "much like real digits", log_above(0.1)),
    "likeness": Scale("each unlike the others", "all much the same", log_above(0.1)),
}


@dataclass(frozen=True)
class Group:
    """Causes whose drawings look the same, and what they measure."""

    causes: tuple[str, ...]  # the names of mistakes, the most typical first; or RIGHT
    mean: Tensor  # (k,) of the scaled measures of one digit
    spread: Tensor  # (k,) their standard deviation from digit to digit

    @property
    def name(self) -> str:
        return self.causes[0]


@dataclass(frozen=True)
class Table:
    """What the drawings of all causes measure."""

    groups: tuple[Group, ...]
    unit: Tensor  # (k,) the spread of the means of all causes: what a distance is counted in
    sureness: float  # below 1 where the Gaussians are surer than they should be
    measured: dict[str, Any]  # how often it was right, by how many digits there were


@dataclass(frozen=True)
class Suspect:
    """A group, and how likely it is."""

    group: Group
    probability: float
    distance: float  # root mean square of its standardised differences: about 1 where it is meant
    speaks: tuple[str, ...]  # the measures that speak most for it rather than for the next, in words


def scaled(found: Measures) -> Tensor:
    """The measures that are compared, (n, k), each on its scale; NaN where there is none."""
    return torch.stack([s.change(getattr(found, name)) for name, s in SCALES.items()], dim=1)


def load_table() -> Table:
    """The table that ships."""
    return table_of(json.loads((bundled("assets") / "symptoms.json").read_text(encoding="utf-8")))


def table_of(written: dict[str, Any]) -> Table:
    """A table from what its file holds."""
    groups = [
        Group(tuple(g["causes"]), *(torch.tensor(g[k], dtype=torch.float64) for k in ("mean", "spread")))
        for g in written["groups"]
    ]
    unit = torch.tensor(written["unit"], dtype=torch.float64)
    return Table(tuple(groups), unit, written["sureness"], written["measured"])


def load_pictures() -> dict[str, Tensor]:
    """Some drawings of each group, by its name: (PICTURED, 1, 28, 28) uint8."""
    written = json.loads((bundled("assets") / "symptoms.json").read_text(encoding="utf-8"))
    with Image.open(bundled("assets") / "symptoms.png") as picture:
        pixels = torch.from_numpy(np.array(picture.convert("L")))
    rows = pixels.view(-1, 28, PICTURED, 28).transpose(1, 2)  # (groups, PICTURED, 28, 28)
    names = [group["causes"][0] for group in written["groups"]]
    return {name: row[:, None] for name, row in zip(names, rows, strict=True)}


def surprise(group: Group, unit: Tensor, values: Tensor) -> Tensor:
    """How far (n, k) scaled measures are from a group: (k,) squared standardised differences.

    And the logarithm of the variance each is standardised by, (k,).
    """
    known = ~values.isnan().any(0)
    mean = values.nanmean(0)
    variance = (group.spread.square() / len(values)) + (FLOOR * unit).square()
    far = (mean - group.mean).square() / variance
    return torch.where(known, torch.stack([far, variance.log()]), torch.zeros(()))


def suspects(table: Table, found: Measures) -> list[Suspect]:
    """The groups that digits like these may come from, the likeliest first.

    Every group counts as equally likely beforehand. The probabilities are as sure as `sureness`
    lets them be: with held-out drawings it is set so that they are right as often as they say.
    """
    values = scaled(found)
    parts = [surprise(group, table.unit, values) for group in table.groups]  # each (2, k)
    logs = torch.stack([-0.5 * part.sum() for part in parts])
    probabilities = (logs * table.sureness).softmax(0)
    order = probabilities.argsort(descending=True).tolist()
    listed = []
    for place, number in enumerate(order):
        other = order[1] if place == 0 else order[0]
        # what makes it likelier than the other, measure by measure
        gain = 0.5 * (parts[other].sum(0) - parts[number].sum(0))
        words = reasons(table.groups[number], table.groups[other], gain)
        count = max(1, int((~values.isnan().any(0)).sum()))
        listed.append(
            Suspect(
                table.groups[number], float(probabilities[number]),
                math.sqrt(float(parts[number][0].sum()) / count), words,
            )
        )  # fmt: skip
    return listed


def reasons(group: Group, other: Group, gain: Tensor, most: int = 3) -> tuple[str, ...]:
    """What speaks for a group rather than for the other, in words; the strongest first."""
    said = []
    for number in gain.argsort(descending=True).tolist()[:most]:
        if float(gain[number]) < 0.5:
            break
        scale = list(SCALES.values())[number]
        more = float(group.mean[number]) > float(other.mean[number])
        said.append(scale.says if more else scale.says_less)
    return tuple(said)


# --- making the table


def group_of(causes: Sequence[str], drawn: dict[str, Tensor]) -> Group:
    """The group of some causes, from the scaled measures of what each drew, (n, k)."""
    values = torch.cat([drawn[cause] for cause in causes])
    mean = values.nanmean(0)
    spread = (values - mean).square().nanmean(0).sqrt()
    return Group(tuple(causes), mean, spread)


def unit_of(drawn: dict[str, Tensor]) -> Tensor:
    """The spread of the means of all causes, (k,)."""
    return torch.stack([values.nanmean(0) for values in drawn.values()]).std(0)


def apart(a: Group, b: Group, unit: Tensor, digits: int) -> float:
    """How well two groups can be told apart by so many digits: Bhattacharyya's distance.

    A chance of error of at most exp(-distance) / 2, for Gaussians.
    """
    u, v = (g.spread.square() / digits + (FLOOR * unit).square() for g in (a, b))
    middle = (u + v) / 2
    far = (a.mean - b.mean).square() / middle / 8 + 0.5 * (middle / (u * v).sqrt()).log()
    return float(far.nansum())
