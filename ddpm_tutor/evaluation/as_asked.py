"""Are drawn digits those that were asked for? What is read, beside the labels.

A drawing may look right and still be of another class. Only digits that the classifier is sure of
are counted.
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

SURE = 0.9  # the probability that the classifier gives to a class that it is sure of
# of right drawings at least so many are read as asked: of the shipped weights' 98 in 100
RIGHT_SHARE = 0.9
RARE = 1e-3  # a chance below which right drawings are not read so
CLASSES = 10
PLAIN = 0.8  # of digits that follow a rule before it is named
ENOUGH = 16  # digits of which by chance some are as asked, in five of six cases
AGAINST = ("away_from_the_label", "guidance_swapped")
FEW = 4  # digits, or labels asked for twice: with fewer no rule is seen
Rule = Literal["shifted", "renamed", "one", "none"]


@dataclass(frozen=True)
class Asked:
    """Labels, and what was read of those digits that can be read surely."""

    labels: tuple[int, ...]
    read: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.read)

    @property
    def as_asked(self) -> int:
        """How many are read as asked."""
        return sum(a == b for a, b in self.pairs)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(zip(self.labels, self.read, strict=True))

    @property
    def is_missed(self) -> bool:
        """Whether so few are read as asked that right drawings hardly ever are."""
        count = len(self)
        chance = sum(
            math.comb(count, k) * RIGHT_SHARE**k * (1 - RIGHT_SHARE) ** (count - k)
            for k in range(self.as_asked + 1)
        )
        return count > 0 and chance < RARE

    @property
    def seen(self) -> tuple[str, ...]:
        """The names of mistakes that would have shown in these."""
        return AGAINST if len(self) >= FEW and not self.is_missed else ()

    @property
    def shift(self) -> int:
        """By how much most digits are higher than their labels, 1 to 9, after 9 comes 0."""
        return Counter((b - a) % CLASSES for a, b in self.pairs).most_common(1)[0][0]

    @property
    def rule(self) -> Rule:
        """What digits that are not those asked for follow.

        "shifted" all by the same, "renamed" each label to another digit, "one" digit for all
        labels; "none": they come by chance, or keep away from what was asked.
        """
        count = len(self)
        several = len(set(self.labels)) > 1
        if several and Counter(self.read).most_common(1)[0][1] > PLAIN * count:
            return "one"
        shifted = sum((b - a) % CLASSES == self.shift for a, b in self.pairs)
        if self.shift and shifted > PLAIN * count and len(set(self.labels)) >= FEW:
            return "shifted"
        counts = Counter(self.pairs)
        repeated = [n for n, times in Counter(self.labels).items() if times > 1]
        most = [max(t for (a, _), t in counts.items() if a == n) for n in repeated]
        rest = sum(a in repeated for a in self.labels)
        if len(repeated) >= FEW and sum(most) > PLAIN * rest:
            return "renamed"
        return "none"

    @property
    def says(self) -> str:
        """What digits that are not those asked for follow, in a sentence."""
        match self.rule:
            case "one":
                digit = Counter(self.read).most_common(1)[0][0]
                return f"Whatever is asked for, a {digit} comes: is one label given to all?"
            case "shifted":
                up = self.shift <= CLASSES // 2
                by = self.shift if up else CLASSES - self.shift
                way = ("higher", "9 gives 0") if up else ("lower", "0 gives 9")
                rest = f", and {way[1]}" if by == 1 else ""
                return f"Each digit is {by} {way[0]} than its label{rest}: count labels from 0."
            case "renamed":
                return "Each label gives one digit, but another: two tables of names differ."
        if not self.as_asked and len(self) >= ENOUGH:
            return "None is, where by chance one in ten would be: the label is kept away from."
        if self.as_asked < 0.3 * len(self):
            return "One in ten would be so by chance."
        return "That is more than by chance, and too few: the label counts too little."

    @property
    def causes(self) -> tuple[str, ...]:
        """The names of what may have been done wrong, the likeliest first."""
        if self.rule in ("shifted", "renamed"):
            return ("label_names",)
        ignored = ("label_ignored",) if self.rule == "one" else ("label_ignored", "label_order")
        # of what these two drew, none was read as asked
        return (*AGAINST, *ignored) if not self.as_asked and self.rule == "none" else ignored


def asked_for(labels: Tensor, classes: Tensor, doubt: Tensor) -> Asked:
    """What was asked for and read.

    Args:
        labels: (n,) 0 to 9, or -1 for none. classes: (n,) the classes that were read.
        doubt: (n,) one less their probabilities.
    """
    counts = (labels >= 0) & (doubt < 1 - SURE)
    return Asked(tuple(labels[counts].tolist()), tuple(classes[counts].tolist()))
