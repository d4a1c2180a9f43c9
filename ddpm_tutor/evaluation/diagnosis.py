"""A diagnosis: the measures of drawn digits, beside those of what known mistakes draw.

What each mistake's drawings measure was found once, by `assets/measure_symptoms.py`, and ships as
`symptoms.json`, with some of the drawings in `symptoms.png`. In each measure a group of mistakes is
taken for a Student's t distribution: like a Gaussian, but not so sure of what is far off. Mistakes
whose drawings cannot be told apart are one group, and those that draw as well as the right
equations are in the group of these.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpm_tutor.evaluation.as_asked import Asked, asked_for
from ddpm_tutor.evaluation.classifier import load_classifier
from ddpm_tutor.evaluation.scorecard import load_real_digits
from ddpm_tutor.evaluation.symptoms import (
    Measures,
    inside,
    measures,
    same_pictures,
    step_of_noise,
)
from ddpm_tutor.files import bundled
from ddpm_tutor.science.schedule import linear_schedule

RIGHT = "right"  # the name of the cause that is none
PICTURED = 6  # digits of each group that ship
# networks differ, and ways to draw: a group's mean is known no better than to this share of the
# spread of all groups, however many digits there are
FLOOR = 0.3
DEGREES = 4  # of freedom of Student's t
# before anything is seen: right is as likely as so many groups of mistakes
RIGHT_COUNTS = 6.0


@dataclass(frozen=True)
class Scale:
    """How a measure is compared: after `change`, which makes equal ratios equal distances."""

    says: str  # of pictures that have much of it
    says_less: str
    least: float | None = None  # by its logarithm, where less than this is nothing
    percent: bool = True  # whether it is shown as a share

    def change(self, value: Tensor) -> Tensor:
        """The measure as it is compared: by its logarithm, equal ratios are equal distances."""
        return value if self.least is None else (value + self.least).log()

    def words(self, changed: float) -> str:
        """A measure that was changed, as it is shown."""
        value = changed if self.least is None else max(0.0, math.exp(changed) - self.least)
        if math.isnan(value):
            return "-"
        return f"{100 * value:.0f} %" if self.percent else f"{value:.2f}"


SCALES = {
    "background": Scale("a bright background", "a dark background"),
    "spread": Scale("an uneven background", "an even background", 0.01, percent=False),
    "noise": Scale("noise left in it", "no noise left", 0.01, percent=False),
    "black": Scale("many black pixels", "few black pixels"),
    "white": Scale("many white pixels", "few white pixels"),
    "grey": Scale("many grey pixels", "few grey pixels"),
    "mean": Scale("bright pictures", "dark pictures"),
    "top": Scale("bright strokes", "faded strokes"),
    "specks": Scale("single specks", "no specks", 0.003),
    "smooth": Scale("neighbouring pixels alike", "neighbouring pixels unrelated", percent=False),
    "ink": Scale("thick strokes", "little drawn"),
    "doubt": Scale("a reader in doubt", "a reader that is sure", 0.003),
    "strange": Scale("unlike any real digit", "much like real digits", 0.1, percent=False),
    "variety": Scale("each unlike the others", "all much the same", 0.1, percent=False),
}
# those that are shown, and what they are called
SHOWN = {
    "background": "background, 0 is black",
    "noise": "noise left (x_T has 1)",
    "black": "black pixels",
    "white": "white pixels",
    "grey": "grey pixels",
    "top": "the strokes' shade",
    "strange": "distance to a real digit",
    "variety": "distance to each other",
}
STRANGE = 3.5  # distance from real digits beyond which to read is to guess
NOISY = 0.1  # noise left beyond which it matters that resizing blurs it
BLURRED = 0.5  # how sure such digits may be, of what those are that were not resized
NOISE = 0.015  # left, from which it is said
BLANK = 8  # of 255, the most that a pixel of a picture with nothing in it differs from another
SHADES = ((32, "black"), (223, "grey"), (255, "white"))  # up to so bright
SAME = 0.5  # distance of a picture with nothing in it from others that are as empty
FAR = 2.0  # distance from a group beyond which digits are not of it: 10 in 387 had 1.4 and more


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
    sureness: float  # below 1, as measures that depend on one another say the same twice
    measured: dict[str, Any]  # how often it was right, by how many digits there were


@dataclass(frozen=True)
class Suspect:
    """A group, and how likely it is."""

    group: Group
    probability: float
    log: float  # of its likelihood, before it is made as sure as it may be
    distance: float  # root mean square of its standardised differences: about 1 where it is meant
    speaks: tuple[str, ...]  # what speaks most for it rather than for the next, in words


def scaled(found: Measures) -> Tensor:
    """The measures that are compared, (n, k), each on its scale; NaN where there is none."""
    return torch.stack([s.change(getattr(found, name)) for name, s in SCALES.items()], dim=1)


def load_table() -> Table:
    """The table that ships."""
    return table_of(json.loads((bundled("assets") / "symptoms.json").read_text(encoding="utf-8")))


def table_of(written: dict[str, Any]) -> Table:
    """A table from what its file holds."""
    groups = [
        Group(
            tuple(g["causes"]),
            *(torch.tensor(g[k], dtype=torch.float64) for k in ("mean", "spread")),
        )
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


def log_likelihood(surprise: Tensor) -> Tensor:
    """The logarithm of Student's t, (k,), less a constant, from what `surprise` gives, (2, k)."""
    return -0.5 * ((DEGREES + 1) * (surprise[0] / DEGREES).log1p() + surprise[1])


def before_of(table: Table) -> Tensor:
    """The logarithm of how likely each group is before anything is seen, but for a constant."""
    right = [math.log(RIGHT_COUNTS) * (RIGHT in group.causes) for group in table.groups]
    return torch.tensor(right, dtype=torch.float64)


def suspects(table: Table, found: Measures) -> list[Suspect]:
    """The groups that digits like these may come from, the likeliest first.

    Every group of mistakes counts as equally likely beforehand, and right as `RIGHT_COUNTS` of
    them. The probabilities are as sure as `sureness` lets them be: with held-out drawings it was
    set so that they are right about as often as they say.
    """
    values = scaled(found)
    parts = [surprise(group, table.unit, values) for group in table.groups]  # each (2, k)
    each = torch.stack([log_likelihood(part) for part in parts])  # (groups, k)
    logs = each.sum(1)
    probabilities = (logs * table.sureness + before_of(table)).softmax(0)
    order = probabilities.argsort(descending=True).tolist()
    listed = []
    for place, number in enumerate(order):
        other = order[1] if place == 0 else order[0]
        # what makes it likelier than the other, measure by measure
        gain = each[number] - each[other]
        words = reasons(table.groups[number], table.groups[other], gain)
        count = max(1, int((~values.isnan().any(0)).sum()))
        listed.append(
            Suspect(
                table.groups[number], float(probabilities[number]), float(logs[number]),
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


@dataclass(frozen=True)
class Diagnosis:
    """What was found in drawn digits."""

    found: Measures
    suspects: tuple[Suspect, ...]  # the likeliest first
    right: Group
    pictures: Tensor  # (PICTURED, 1, 28, 28) uint8, of the likeliest
    right_pictures: Tensor  # the same of what the right equations draw
    same: int  # of the pictures that are nearly another one
    odd: tuple[str, ...]  # in what the digits are furthest from right ones, in words
    notes: tuple[str, ...]  # what the numbers say whatever the mistake is
    blank: str = ""  # what is seen where nothing is drawn: "every pixel is black"; else ""
    empty: int = 0  # how many other pictures have nothing in them, and are left out
    asked: Asked | None = None  # the labels beside what is read, if they are known and it can be

    @property
    def likeliest(self) -> Suspect:
        return self.suspects[0]

    @property
    def looks_right(self) -> bool:
        fine = RIGHT in self.likeliest.group.causes and not self.is_unknown and not self.blank
        return fine and not self.is_collapsed and not self.is_not_as_asked

    @property
    def is_not_as_asked(self) -> bool:
        """Whether these are digits, but others than the labels say."""
        return self.asked is not None and self.asked.is_missed

    @property
    def is_collapsed(self) -> bool:
        """Whether it is one picture again and again."""
        return len(self.found) >= 4 and self.same >= len(self.found) / 2

    @property
    def is_no_digit(self) -> bool:
        """Whether what is drawn is so far from real digits that to read it is to guess."""
        return not self.blank and float(self.found.strange.median()) >= STRANGE

    @property
    def is_unknown(self) -> bool:
        """Whether nothing that is known draws such digits, and the likeliest is but the nearest."""
        return self.likeliest.distance > FAR

    @property
    def is_named(self) -> bool:
        """Whether the likeliest is a mistake, and more than the nearest."""
        is_near = not self.is_unknown and (not self.blank or self.likeliest.distance < SAME)
        return RIGHT not in self.likeliest.group.causes and is_near

    def others(self, least: float) -> list[Suspect]:
        """Those behind the likeliest that have at least this probability."""
        return [suspect for suspect in self.suspects[1:] if suspect.probability >= least]

    @property
    def verdict(self) -> str:
        """What it is, and how sure that is, in a sentence."""
        percent = f"{100 * self.likeliest.probability:.0f}"
        sure = "over 99 %" if percent == "100" else f"{percent} %"
        if self.blank:
            is_black = self.blank.endswith("black")
            nan = " NaN are saved as black, too: print x.isfinite().all() after each step."
            known = " The mistakes known here that draw it:" if self.is_named else ""
            return f"Nothing is drawn: {self.blank}.{nan if is_black else ''}{known}"
        if self.looks_right:
            return f"Looks right ({sure}){self.but}."
        if self.is_collapsed and RIGHT in self.likeliest.group.causes:
            return "One picture again and again: is the seed set anew, or one x_T used for all?"
        if self.asked and self.is_not_as_asked and not self.is_named and not self.is_unknown:
            read = f"{self.asked.as_asked} of {len(self.asked)} are read as asked"
            return f"Good digits, but not those asked for: {read}."
        if self.is_unknown:
            return "Not right, and like no mistake that is known here."
        many = len(self.likeliest.group.causes) > 1
        untold = ", which of these the pictures do not tell" if many else ""
        return f"Likeliest of the mistakes known here ({sure}){untold}:"

    @property
    def but(self) -> str:
        """What digits that look right have nevertheless, in words; "" where there is nothing."""
        but = ["the noise that is left"] if float(self.found.noise.median()) > NOISE else []
        but += ["the pictures that are the same"] if self.same else []
        return f", but for {' and '.join(but)}" if but else ""

    def rows(self) -> list[tuple[str, list[str]]]:
        """Some measures: their name, and yours, the likeliest mistake's, and right ones'."""
        mine, theirs, right = (
            dict(zip(SCALES, values.tolist(), strict=True))
            for values in (
                scaled(self.found).nanmean(0),
                self.likeliest.group.mean,
                self.right.mean,
            )
        )
        rows = []
        for name, words in SHOWN.items():
            scale = SCALES[name]
            rows.append((words, [scale.words(values[name]) for values in (mine, theirs, right)]))
        return rows


def diagnose(images: Tensor, labels: Tensor | None = None, is_resized: bool = False) -> Diagnosis:
    """Measures drawn digits, and compares them with what is known.

    Args:
        images: (n, 1, 32, 32) uint8.
        labels: (n,) the digits that were asked for, -1 for none.
        is_resized: whether they were made smaller or larger, which blurs noise: where there is much
            of it, less is sure then.
    """
    empty = empty_among(images)
    some_empty = 0 if bool(empty.all()) else int(empty.sum())
    if some_empty:  # what is to be said of these is that; the rest is about the others
        images, labels = images[~empty], None if labels is None else labels[~empty]
    found = measures(images, load_classifier().model, load_real_digits().training_features)
    table = load_table()
    is_blurred = is_resized and float(found.noise.median()) > NOISY
    if is_blurred:
        table = replace(table, sureness=table.sureness * BLURRED)
    listed = suspects(table, found)
    pictures = load_pictures()
    right = next(group for group in table.groups if RIGHT in group.causes)
    asked = None
    if labels is not None and float(found.strange.median()) < STRANGE:
        asked = asked_for(labels, found.classes, found.doubt)
    notes = remarks(images, found)
    if is_blurred:
        notes.append("Resizing blurs noise: which noise it was, an array (.npz) tells better.")
    if asked and not (asked.is_missed and RIGHT in listed[0].group.causes):  # that is the verdict
        notes.append(f"Read as asked: {asked.as_asked} of {len(asked)}.")
    return Diagnosis(
        found, tuple(listed), right, pictures[listed[0].group.name], pictures[right.name],
        same_pictures(images), oddities(table, right, found), tuple(notes),
        what_is_blank(images), some_empty, asked,
    )  # fmt: skip


def empty_among(images: Tensor) -> Tensor:
    """Which pictures (n, 1, H, W) uint8 have one shade alone: (n,) booleans."""
    low, high = inside(images).flatten(1).aminmax(dim=1)
    return high - low <= BLANK


def what_is_blank(images: Tensor) -> str:
    """What is seen in pictures (n, 1, H, W) uint8 of one shade each, in words; "" of others."""
    if not bool(empty_among(images).all()):
        return ""
    means = inside(images).flatten(1).mean(1).tolist()
    shades = {next(name for most, name in SHADES if mean <= most) for mean in means}
    return f"every pixel is {shades.pop()}" if len(shades) == 1 else "each picture has one shade"


def oddities(table: Table, right: Group, found: Measures, most: int = 3) -> tuple[str, ...]:
    """In what digits are furthest from right ones, and how far, in words; the furthest first."""
    values = scaled(found)
    far = surprise(right, table.unit, values)[0].sqrt()
    mean, said = values.nanmean(0), []
    for number in far.argsort(descending=True).tolist()[:most]:
        if float(far[number]) < 2:
            break
        scale = list(SCALES.values())[number]
        mine, theirs = float(mean[number]), float(right.mean[number])
        words = scale.says if mine > theirs else scale.says_less
        said.append(f"{words} ({scale.words(mine)}; right ones {scale.words(theirs)})")
    return tuple(said)


def remarks(images: Tensor, found: Measures) -> list[str]:
    """What is to be said of some measures whatever the mistake is."""
    said = []
    noise = float(found.noise.median())
    t = step_of_noise(linear_schedule(), noise)
    if noise > 0.9:
        said.append("Noise: as much as in x_t near t = T, where nothing else is left (Eq. 4).")
    elif noise > NOISE:
        said.append(
            f"Noise of {noise:.2f} is left, as much as x_t has at t = {t} (Eq. 4). Is t = 1 the "
            "last step, and is z = 0 in it?"
        )
    count, is_blank = len(found), bool(what_is_blank(images))
    if (same := same_pictures(images)) and not is_blank:
        said.append(
            f"{same} of {count} pictures {'is' if same == 1 else 'are'} the same as another one: "
            "is the seed set anew, so that the noise comes again?"
        )
    height = float(found.height.median())
    if noise < 0.03 and 21.5 < height < 24.5:
        said.append(
            f"The digits are {height:.0f} pixels high, MNIST's 20: 28x28 was stretched to 32x32, "
            "where a border of 2 belongs."
        )
    sure = found.doubt < 0.1
    counts = found.classes[sure].bincount(minlength=10).tolist()
    names = ", ".join(f"{number} × {digit}" for digit, number in enumerate(counts) if number)
    if names and float(found.strange.median()) < STRANGE and not is_blank:
        said.append(f"Read as digits: {names}.")
    if count < 4:
        said.append(f"So few tell little ({count}): bring 16.")
    return said


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
