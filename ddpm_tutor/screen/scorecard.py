"""The scorecard on the screen, and its pictures."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from torch import Tensor

from ddpm_tutor.evaluation.scorecard import Card, Drawn
from ddpm_tutor.evaluation.scores import Share, difference
from ddpm_tutor.pictures.figures import save_figure_as, sheet
from ddpm_tutor.pictures.grids import enlarged, grid
from ddpm_tutor.pictures.picture_files import write_picture
from ddpm_tutor.storage.digits import Digits

IN_GRID = 100  # digits in the picture of all
WORST = 20  # in that of the worst
NEAREST = 10  # in that of those nearest to a training image
DPI = 150
REAL = "real digits"  # the card that the others are held against
MEANING = {
    "read as asked": "A classifier reads the digit that was asked for.",
    "Fréchet distance": "From the features of these digits to those of the training digits. "
    "Real test digits are not at 0: the fewer, the further. (Heusel et al. 2017)",
    "coverage": "Training digits with one of these near: are all kinds there? (Naeem et al. 2020)",
    "precision": "Digits near a training digit: do they look real? More than real digits have is "
    "no triumph: the odd ones are missing. And the classifier knows nothing but digits: noise may "
    "pass for one, as coverage and distance then tell. (Kynkäänniemi et al. 2019)",
    "nearest": "Pixel distance to the nearest training image. Too near are those that are nearer "
    "than 99 in 100 real test digits: copies would be.",
    "validation loss": "Error of the predicted noise on held-out digits. (Eq. 14)",
}

NOTE = (
    "↑ more is better, ↓ less is better, as far as real digits. In brackets the 95 % interval; ± "
    "is one standard error. A difference whose interval holds 0 may be chance."
)


def scorecard(cards: Mapping[str, Card]) -> RenderableType:
    """The measures, a column for each card, one of which is `REAL`; then what they mean."""
    names = [
        "read as asked, % ↑",
        "  more than real",
        "Fréchet distance ↓",
        "  times real",
        "coverage, % ↑",
        "  more than real",
        "precision, % ↑",
        "  more than real",
        "nearest: median",
        "  too near, % ↓",
        "validation loss ↓",
        "  without labels",
    ]
    columns = [measures(card, cards[REAL]) for card in cards.values()]
    if len(cards) > 2:  # a difference takes two lines, so that 80 characters are enough
        columns = [[re.sub(r" (?=\([-+])", "\n", cell) for cell in column] for column in columns]
    table = columned(["", *cards], zip(names, *columns, strict=True))
    meaning = Table.grid(padding=(0, 2))
    for name, text in MEANING.items():
        meaning.add_row(Text(name, style="dim"), Text(text, style="dim"))
    return Group(table, Text(), Text(NOTE), Text(), meaning)


def measures(card: Card, real: Card) -> list[str]:
    """The column of a card."""
    scores, near = card.scores, card.nearness
    frechet, of_real = scores.frechet, real.scores.frechet

    def more(share: Share | None, of_real: Share | None) -> str:
        if card is real:
            return ""
        return str(difference(share, of_real)) if share and of_real else "-"

    return [
        str(scores.read_as_asked) if scores.read_as_asked else "-",
        more(scores.read_as_asked, real.scores.read_as_asked),
        f"{frechet.mean:.2f} ± {frechet.error:.2f}",
        f"{frechet.mean / of_real.mean:.2f}",
        str(scores.coverage),
        more(scores.coverage, real.scores.coverage),
        str(scores.precision),
        more(scores.precision, real.scores.precision),
        f"{near.median:.2f}" if near else "needs MNIST",
        str(near.below) if near else "needs MNIST",
        str(card.validation or "-"),
        str(card.validation_unlabelled or "-"),
    ]


def by_digit(cards: Mapping[str, Card]) -> RenderableType:
    """For each digit, how many that were asked to be it are read so; or else how many are it."""
    columns = []
    for card in cards.values():
        counts = [f"{count} read as it" for count in card.scores.read_as]
        columns.append([str(s) for s in card.scores.by_digit] or counts)
    return columned(["digit", *cards], zip(map(str, range(10)), *columns, strict=True))


def columned(names: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose first column names the rows."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for i, name in enumerate(names):
        table.add_column(name, justify="right" if i else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def worst_first(drawn: Drawn) -> Tensor:
    """The numbers of the digits, (n,), the least convincing first.

    Convincing is what the classifier takes for the class asked for, or for any class at all.
    """
    probability = drawn.reading.probabilities.amax(1)
    if drawn.asked is not None:
        probability = drawn.reading.probabilities.gather(1, drawn.asked[:, None])[:, 0]
    return probability.argsort()


def captions(drawn: Drawn, numbers: Tensor) -> list[str]:
    """What was asked and what is read, for the digits of these numbers."""
    read = drawn.reading.classes
    if drawn.asked is None:
        return [f"read {read[i]}" for i in numbers]
    return [f"{drawn.asked[i]}, read {read[i]}" for i in numbers]


def save_pictures(drawn: Drawn, mnist: Digits | None, out: Path) -> Iterator[Path]:
    """Writes the first digits, the worst, and those nearest to a training image, with that one."""
    (out / "nearest.png").unlink(missing_ok=True)  # of an earlier run, when there was MNIST
    write_picture(out / "grid.png", enlarged(grid(drawn.images[:IN_GRID], columns=10), 2))
    yield out / "grid.png"
    worst = worst_first(drawn)[:WORST]
    save_figure_as(out / "worst.png", sheet(drawn.images[worst], captions(drawn, worst)), DPI)
    yield out / "worst.png"
    if drawn.near is not None and mnist is not None:
        numbers = drawn.near.distances.argsort()[:NEAREST]
        pairs = [drawn.images[numbers], mnist.train_images[drawn.near.numbers[numbers]]]
        titles = [f"{d:.1f} apart" for d in drawn.near.distances[numbers].tolist()]
        figure = sheet(torch.cat(pairs), titles, len(numbers), ["drawn", "nearest\nreal one"])
        save_figure_as(out / "nearest.png", figure, DPI)
        yield out / "nearest.png"
