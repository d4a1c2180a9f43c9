"""Python files in percent format, read and cut into cells as Jupytext and VS Code do it.

A cell starts at a line `# %%` or `#%%`. It is prose where that line says `[markdown]` or `[md]`
(PyCharm writes `#%% md`), neither prose nor code where it says `[raw]`, and else code. Nothing
here needs torch, so that lists are quick.
"""

import io
import re
import tokenize
from dataclasses import dataclass
from pathlib import Path

from ddpm_tutor.errors import TutorError

MARKER = re.compile(r"\s*#\s*%%+(?:\s(?P<rest>.*))?")
KIND = re.compile(r"\[(markdown|md|raw)\]|^(md|raw)$")
PROSE = ("markdown", "md")
TAGS = re.compile(r"""\btags["']?\s*[=:]\s*\[([^]]*)\]""")
QUOTED = re.compile(r"""\s*[rR]?(\"{3}|'{3})(?P<text>.*)\1\s*""", re.DOTALL)


@dataclass(frozen=True)
class Cell:
    """A cell of prose or code."""

    kind: str  # "markdown", "code" or "raw"
    title: str  # what else its first line says
    source: str  # prose without its comment marks, or code
    line: int  # where the source starts in the file, from 1

    @property
    def is_parameters(self) -> bool:
        """Whether it holds what --set changes: it has the tag "parameters"."""
        return self._has_tag("parameters")

    @property
    def is_change(self) -> bool:
        """Whether it holds what the learner may change at this step: it has the tag "change"."""
        return self._has_tag("change")

    def _has_tag(self, name: str) -> bool:
        found = TAGS.search(self.title)
        return bool(found and re.search(rf"""["']{name}["']""", found[1]))


def read_source(path: Path) -> str:
    """The text of a Python file, as Python reads it: with or without a byte order mark.

    Raises:
        TutorError: it cannot be read, or is no text.
    """
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # reading might never end
            raise TutorError(f"Cannot read {path}: it is a pipe or a device.")
        content = path.read_bytes()
    except OSError as error:
        raise TutorError(f"Cannot read {path}: {error.strerror}.") from error
    if b"\0" in content or content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise TutorError(
            f"Cannot read {path}: it is in UTF-16, as PowerShell's > writes it, or no text at all. "
            "Save it as UTF-8."
        )
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        text = content.decode(encoding)
    except (SyntaxError, ValueError, LookupError) as error:
        raise TutorError(
            f"Cannot read {path}: it is not in UTF-8 ({error}). Save it as UTF-8."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def cut(text: str) -> list[Cell]:
    """The cells of a file; none where no line starts one.

    Code above the first marker is a cell as well; blank lines and comments there, such as
    Jupytext's header, are none.
    """
    lines = text.split("\n")  # as Python counts them; splitlines() would see more
    markers = [(i, found) for i, line in enumerate(lines) if (found := MARKER.fullmatch(line))]
    if not markers:
        return []
    starts = [i for i, _ in markers]
    cells = above(lines[: starts[0]])
    for (start, found), end in zip(markers, [*starts[1:], len(lines)], strict=True):
        rest = (found["rest"] or "").strip()
        said = KIND.search(rest)
        kind = said[1] or said[2] if said else "code"
        body, title = "\n".join(lines[start + 1 : end]), " ".join(KIND.sub("", rest).split())
        if kind in PROSE:
            cells.append(Cell("markdown", title, uncommented(body), start + 2))
        else:
            cells.append(Cell(kind, title, body.rstrip(), start + 2))
    return cells


def above(lines: list[str]) -> list[Cell]:
    """What stands above the first marker, from its first line of code on."""
    for i, line in enumerate(lines):
        if line.strip() and not line.lstrip().startswith("#"):
            return [Cell("code", "", "\n".join(lines[i:]).rstrip(), i + 1)]
    return []


def uncommented(body: str) -> str:
    """Prose out of its comment marks, or of the string that holds it."""
    if quoted := QUOTED.fullmatch(body):
        return quoted["text"].strip("\n")
    return "\n".join(re.sub(r"^\s*# ?", "", line) for line in body.split("\n")).strip("\n")
