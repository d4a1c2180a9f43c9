"""What goes to others must say nothing of the machine that it was made on."""

import re
import tempfile
from pathlib import Path

from ddpm_tutor.files import bundled


def check_private(text: str, *folders: Path) -> None:
    """That a page, a notebook or a hand-in names no folder of this machine, and no proxy."""
    text = re.sub(r"base64,[\w+/=]+", "", text)
    places = [*folders, Path.home(), Path.cwd(), bundled("lessons").parent]
    for place in (*map(str, places), tempfile.gettempdir(), "127.0.0.1", "/home/", "proxy"):
        at = text.find(place)
        assert at < 0, text[max(0, at - 80) : at + 80]
