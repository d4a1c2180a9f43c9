"""Reading a hand-in out of a file that anybody may have made or broken."""

import json
import re
from pathlib import Path

from ddpm_tutor.hand_ins.hand_in import HandIn, NoHandIn, from_data, read_json
from ddpm_tutor.hand_ins.html import DATA as IN_HTML
from ddpm_tutor.hand_ins.markdown import DATA as IN_MARKDOWN

MAX_FILE = 30_000_000  # bytes; a report with its pictures has less than one million
ENDINGS = (".html", ".htm", ".ipynb", ".md", ".json")


def read_hand_in(path: Path) -> HandIn:
    """The hand-in in a file that `ddpm-tutor report` wrote, of any of its four forms.

    Raises:
        NoHandIn: it holds none, or a damaged one, or cannot be read.
    """
    text = read_text(path)
    ending = path.suffix.lower()
    if ending == ".json":
        return read_json(text)
    if ending == ".ipynb":
        return from_data(metadata_of(text))
    if ending == ".md":
        return read_json(last_between(text, f"<!-- {IN_MARKDOWN}\n", "\n-->"))
    return read_json(
        last_between(text, f'<script type="application/json" id="{IN_HTML}">', "</script>")
    )


def read_text(path: Path) -> str:
    """The text of a file of a sensible size.

    Raises:
        NoHandIn: it is none.
    """
    try:
        if not path.is_file():
            raise NoHandIn("it is no file")
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise NoHandIn(f"it cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE:
        raise NoHandIn("it is larger than any hand-in")
    if not data.strip():
        raise NoHandIn("it is empty")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise NoHandIn("it is no text (UTF-8)") from error


def last_between(text: str, before: str, after: str) -> str:
    """What stands last between these two: a name or some code may hold them as well."""
    start = text.rfind(before)
    end = text.find(after, start)
    if start < 0 or end < 0:
        raise NoHandIn("no hand-in of `ddpm-tutor report` is in it, or not the whole of it")
    return text[start + len(before) : end]


def metadata_of(text: str) -> object:
    """The hand-in that a notebook carries.

    Raises:
        NoHandIn: there is none.
    """
    try:
        metadata = json.loads(text)["metadata"]
        return metadata["ddpm_tutor"]
    except (ValueError, RecursionError) as error:
        raise NoHandIn("what it holds is not JSON") from error
    except (KeyError, TypeError, IndexError) as error:
        raise NoHandIn("no hand-in of `ddpm-tutor report` is in it") from error


def hand_ins_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The files in a folder, and in folders in it, that may be hand-ins; and all others."""
    found = sorted(path for path in folder.rglob("*") if not path.is_dir())
    seen = [path for path in found if not hidden(path.relative_to(folder))]
    mine = [path for path in seen if path.suffix.lower() in ENDINGS]
    return mine, [path for path in seen if path not in set(mine)]


def hidden(path: Path) -> bool:
    """Whether it, or a folder that it is in, has a name that begins with a dot."""
    return bool(re.search(r"(^|[/\\])\.", str(path)))
