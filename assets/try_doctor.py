"""How often `ddpm-tutor doctor` is right, on drawings that neither its table nor its groups know.

    python assets/measure_symptoms.py draw --seed 2 --count 16 --work DIR
    python assets/try_doctor.py --work DIR --seeds 2 [--data DIR]

Prints the confusions of the README, and writes the numbers into `symptoms.json`. The table is made
of seeds 0 and 1; any other seed will do here, and more than one. Of too short a training there are
only the drawings of those two, on the film strip: so it is not tried.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import torch
from measure_symptoms import (
    APART,
    ASSETS,
    RIGHT_WAYS,
    Drawn,
    Measuring,
    drawn_of,
    offline,
    save_table,
)
from torch import Tensor

from ddpm_tutor.evaluation.diagnosis import FAR, RIGHT, Table, load_table, suspects
from ddpm_tutor.storage.digits import read_mnist

COUNTS = (1, 4, 16)
SETS = 60  # of right digits, of each number of them
UNKNOWN = "none that is known"
LEVELS = ((0.9, 1.01), (0.7, 0.9), (0.5, 0.7), (0.0, 0.5))


@dataclass(frozen=True)
class Answer:
    """What the doctor said of some digits of a known cause."""

    truth: str  # the name of the group
    count: int
    said: str
    probability: float

    @property
    def is_right(self) -> bool:
        return self.said == self.truth


def answer(table: Table, truth: str, images: Tensor, measuring: Measuring) -> Answer:
    first = suspects(table, measuring(images))[0]
    said = UNKNOWN if first.distance > FAR else first.group.name
    return Answer(truth, len(images), said, first.probability)


def answers(table: Table, drawn: Drawn, measuring: Measuring) -> list[Answer]:
    """What is said of sets of 1, 4 and 16 digits of each cause, as many as there are."""
    of = {cause: group.name for group in table.groups for cause in group.causes}
    return [
        answer(table, of[cause], images[start : start + count], measuring)
        for cause, images in drawn.items()
        for count in COUNTS
        for start in range(0, len(images) - count + 1, count)
    ]


def false_alarms(table: Table, pool: Tensor, measuring: Measuring) -> dict[str, list[int]]:
    """How often right digits are not said to look right, of how many sets, by their size."""
    found = {}
    for count in COUNTS:
        sets = [pool[i : i + count] for i in range(0, len(pool) - count + 1, count)][:SETS]
        wrong = sum(not answer(table, RIGHT, images, measuring).is_right for images in sets)
        found[str(count)] = [wrong, len(sets)]
    return found


def right_pools(work: Path, seeds: list[int], data: Path | None) -> Drawn:
    """Right digits, by how they came about, in no particular order."""
    pools = {"drawn": offline(torch.tensor([i for i in range(2000) if i % APART > max(seeds)]))}
    if data is not None:
        pools["real"] = read_mnist(data).validation_images[:3840]
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(0))
    pools = {name: pool[order[order < len(pool)]] for name, pool in pools.items()}
    for name in RIGHT_WAYS:
        if parts := [
            drawn for seed in seeds if (drawn := drawn_of(work, seed, True).get(name)) is not None
        ]:
            pools[name] = torch.cat(parts)
    return pools


def by_count(found: list[Answer]) -> dict[str, list[int]]:
    """How often the right group was named, of how many sets, by the number of digits."""
    sets = {n: [a for a in found if a.count == n] for n in COUNTS}
    return {str(n): [sum(a.is_right for a in these), len(these)] for n, these in sets.items()}


def by_level(found: list[Answer]) -> list[list[float]]:
    """How often it was right where it was so sure: from, to, right, of how many."""
    levels = []
    for low, high in LEVELS:
        these = [a for a in found if a.said != UNKNOWN and low <= a.probability < high]
        levels.append([low, min(high, 1.0), sum(a.is_right for a in these), len(these)])
    return levels


def confusions(found: list[Answer], count: int) -> str:
    """What was said of so many digits, in Markdown: a row for each group that was confused."""
    rows, whole = [], []
    for truth in dict.fromkeys(a.truth for a in found):
        said = Counter(a.said for a in found if a.truth == truth and a.count == count)
        wrong = ", ".join(f"{n} × {name}" for name, n in said.most_common() if name != truth)
        if wrong:
            rows.append(f"| {truth} | {said[truth]} of {said.total()} | {wrong} |")
        elif said:
            whole.append(truth)
    head = ["| group of | right | taken for |", "| --- | --- | --- |"]
    return "\n".join([*head, *rows, f"\nRight in all {count}s: {', '.join(whole)}."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="where the drawings are kept")
    parser.add_argument("--seeds", type=int, nargs="+", default=[2], help="of the drawings")
    parser.add_argument("--data", type=Path, help="a torchvision root with MNIST")
    given = parser.parse_args()
    table, measuring = load_table(), Measuring()
    parts = [drawn_of(given.work, seed) for seed in given.seeds]
    drawn = {c: torch.cat([p[c] for p in parts if c in p]) for p in parts for c in p}
    found = answers(table, drawn, measuring)
    pools = right_pools(given.work, given.seeds, given.data)
    measured = {
        "seeds": given.seeds,
        "right": by_count(found),
        "sure": by_level(found),
        "false_alarms": {n: false_alarms(table, pool, measuring) for n, pool in pools.items()},
    }
    print(json.dumps(measured, indent=1))
    for count in COUNTS[1:]:
        print(f"\n{count} digits\n\n{confusions(found, count)}")
    written = json.loads((ASSETS / "symptoms.json").read_text(encoding="utf-8"))
    save_table({**written, "measured": measured})


if __name__ == "__main__":
    main()
