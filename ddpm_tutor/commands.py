"""How a command of the package is typed, for the learner to copy."""

import os
import re
import shlex
from pathlib import Path


def command(*words: object) -> str:
    """`ddpm-tutor` with these words, each quoted where the shell would take it for something else.

    A `Path` is taken for no option and no home folder, whatever it begins with.
    """
    return " ".join(["ddpm-tutor", *(quoted(as_word(word)) for word in words)])


def as_word(word: object) -> str:
    """A word as the command line is to see it."""
    if isinstance(word, Path) and str(word).startswith(("-", "~")):
        return os.path.abspath(word)
    return str(word)


def quoted(word: str) -> str:
    """A word as a shell is to see it: cmd and PowerShell on Windows, else sh."""
    if os.name != "nt":
        return shlex.quote(word)
    # in a name of a file, which holds no " there, double quotes do for both
    return word if re.fullmatch(r"[\w+=:,./\\-]+", word) else f'"{word}"'
