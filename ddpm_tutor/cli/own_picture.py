"""A picture that a command is given: a file of one's own, the pad, or a digit of the data."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from ddpm_tutor.cli.shared_options import find_digits
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.files import check_target, set_aside
from ddpm_tutor.screen.console import written
from ddpm_tutor.screen.keyboard import in_notebook, is_terminal

if TYPE_CHECKING:
    from torch import Tensor

    from ddpm_tutor.storage.digits import Digits


def is_digit(word: str) -> bool:
    """Whether the word stands for a digit of the data, and not for a file."""
    return word in set("0123456789")


def given_picture(console: Console, word: str, seed: int, data: Path | None) -> "Tensor":
    """The picture that `word` names, (1, 1, 32, 32) in [-1, 1]: a file, or a digit of the data."""
    if is_digit(word):
        digits = find_digits(data)
        console.print(Text(f"A {word} of these digits: {digits.origin}", "dim"), soft_wrap=True)
        return one_of(digits, int(word), seed, 0)[None]
    return own_picture(console, Path(word))


def own_picture(console: Console, path: Path) -> "Tensor":
    """The digit in a picture file, (1, 1, 32, 32) in [-1, 1]; shows it, and says what was done."""
    import torch

    from ddpm_tutor.pictures.own_digit import read_own_digit
    from ddpm_tutor.science.pixels import to_unit_range
    from ddpm_tutor.screen.images import render_images

    digit = read_own_digit(path)
    both = torch.cat([digit.before, digit.image])
    console.print(render_images(both, console, ["your picture", "as MNIST's"]))
    console.print(Text(f"{path}: {digit.done}.", "dim"))
    if digit.doubt:
        console.print(Text(digit.doubt, "yellow"))
    return to_unit_range(digit.image)


def one_of(digits: "Digits", label: int | None, seed: int, number: int) -> "Tensor":
    """A digit of the data, (1, 32, 32) in [-1, 1], of this label if one is given."""
    import torch

    from ddpm_tutor.science.noise import stream
    from ddpm_tutor.science.pixels import to_unit_range

    same = digits.train_images if label is None else digits.of_class(label)
    pick = int(torch.randint(len(same), (1,), generator=stream(seed, "real digit", number)))
    return to_unit_range(same[pick])


def draw_picture(console: Console, path: Path) -> None:
    """Lets the learner draw on the pad, and saves it as a PNG; an earlier file is kept.

    Raises:
        UsageError: nobody can draw here, or the name is of another kind of file.
        TutorError: nothing was drawn, or it cannot be written.
    """
    from ddpm_tutor.pictures.picture_files import with_ending, write_picture
    from ddpm_tutor.screen.drawing_pad import draw_on_pad

    with_ending(path, [".png"])
    moves = console.is_terminal and not console.is_dumb_terminal and not in_notebook()
    if not (is_terminal(sys.stdin) and moves):
        raise UsageError(
            "To draw takes a terminal with keys. Elsewhere, draw in any program and name its file."
        )
    check_target(path)
    picture = draw_on_pad(console)
    if picture is None:
        raise TutorError("Nothing was drawn, and nothing is saved.")
    if path.exists():
        kept = set_aside(path, ".png")
        console.print(written(kept, "Your earlier picture is kept"), soft_wrap=True)
    write_picture(path, picture)
    console.print(written(path, "Drawing saved"), soft_wrap=True)
