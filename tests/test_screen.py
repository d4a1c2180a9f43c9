"""The one way to make a console: colours as asked for, lines drawn over on terminals alone."""

import io
import re
import sys
from pathlib import Path

import pytest
from rich.progress import Progress

import ddpm_tutor
from ddpm_tutor.screen import console as screen
from ddpm_tutor.screen.console import make_console

MOVES = re.compile(r"\x1b\[(?!\d*(;\d+)*m)|\r")  # any sequence but one of colours
SET = ("NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS")


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A terminal of 256 colours outside of any notebook, and nothing asked for."""
    for name in (*SET, "JPY_PARENT_PID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


def drawn_on(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a command leaves on such a stdout: a spinner, a bar, a line in colour."""
    monkeypatch.setattr(sys, "stdout", stream)
    console = make_console()
    with console.status("Loading ..."):
        pass
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        for _ in bar.track(range(20)):
            pass
    console.print("done", style="green")
    return stream.getvalue()


def test_a_terminal_has_colours_and_bars(plain) -> None:
    text = drawn_on(Terminal(), plain)
    assert MOVES.search(text) and "\x1b[32mdone" in text


def test_a_file_has_neither(plain) -> None:
    assert drawn_on(io.StringIO(), plain) == "done\n"


@pytest.mark.parametrize("name", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_colours_that_are_asked_for_come_to_a_file_and_nothing_that_moves(plain, name) -> None:
    plain.setenv(name, "1")
    plain.setenv("TTY_INTERACTIVE", "1")
    assert drawn_on(io.StringIO(), plain) == "\x1b[32mdone\x1b[0m\n"


def test_no_color_is_stronger(plain) -> None:
    plain.setenv("FORCE_COLOR", "1")
    plain.setenv("NO_COLOR", "1")
    assert drawn_on(io.StringIO(), plain) == "done\n"


def test_a_notebooks_cell_has_256_colours_and_nothing_that_moves(plain) -> None:
    plain.setenv("JPY_PARENT_PID", "1")
    plain.setenv("TERM", "xterm-color")
    assert drawn_on(Terminal(), plain) == "\x1b[32mdone\x1b[0m\n"
    assert make_console(file=Terminal()).color_system == "256"


def test_columns_are_honoured_everywhere(plain) -> None:
    plain.setenv("COLUMNS", "57")
    for stream in (io.StringIO(), Terminal()):
        assert make_console(file=stream).width == 57


def test_every_console_of_the_package_is_made_in_one_place() -> None:
    package = Path(ddpm_tutor.__file__).parent
    own = Path(screen.__file__)
    for path in package.rglob("*.py"):
        if path != own:
            assert not re.search(r"\bConsole\(|=Console\b", path.read_text("utf-8")), path
