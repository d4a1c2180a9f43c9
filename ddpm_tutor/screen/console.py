"""The one way to make a console, and what is said on it of a picture that could not be made."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.text import Text

from ddpm_tutor.errors import first_sentence
from ddpm_tutor.screen.keyboard import in_notebook, is_terminal


def make_console(
    *, stderr: bool = False, quiet: bool = False, file: TextIO | None = None
) -> Console:
    """A console on stdout, on stderr, or on `file`.

    Colours come to a terminal, and where FORCE_COLOR asks for them. Lines that are drawn over, and
    whatever else moves the cursor, come to a terminal alone: in a log or in the output of a
    notebook's cell each frame of a progress bar would stay.
    """
    into_cells = None if file in (None, sys.stdout) else False  # what goes to a file does not
    console = Console(stderr=stderr, quiet=quiet, file=file, force_jupyter=into_cells)
    if console.is_jupyter:  # a lesson file that runs as a notebook
        return console
    colors = console.color_system
    if is_terminal(file or (sys.stderr if stderr else sys.stdout)):
        if not in_notebook():
            return console
        colors = "256"  # the kernel sets TERM to a terminal of 16, and notebooks show more
    return Console(
        stderr=stderr,
        quiet=quiet,
        file=file,
        force_jupyter=into_cells,
        color_system=colors,  # type: ignore[arg-type]
        force_terminal=False,
        force_interactive=False,
    )


def can_write(text: str, encoding: str) -> bool:
    """Whether these characters can be written in this encoding."""
    try:
        text.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return True


def written(path: Path, what: str = "Saved", more: str = "") -> Text:
    """The line that tells where a file was written, such as "GIF saved: digit_7.gif".

    Print it with `soft_wrap`: a path that is broken, or cut, cannot be copied or read by a script.
    """
    return Text.assemble((f"{what}: ", "dim"), (str(path), "bold green"), (more, "dim"))


@contextmanager
def going_on_without(console: Console, picture: str) -> Iterator[None]:
    """Says in one line that a picture could not be made, and goes on: the work is worth more."""
    try:
        yield
    except Exception as error:  # of matplotlib, a font, the disk, the memory
        reason = first_sentence(error)
        console.print(Text(f"Continuing without {picture}: {reason}.", "yellow"), soft_wrap=True)
