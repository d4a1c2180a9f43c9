"""A pad on the terminal, to draw a digit on with the keys or the mouse."""

import re

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddpm_tutor.errors import TutorError
from ddpm_tutor.screen.console import can_write
from ddpm_tutor.screen.keyboard import keys_as_they_come

SIDE = 40  # pixels a side: a character is two pixels high
STEP = 2  # pixels that an arrow moves
PEN = 2.0  # pixels from the middle of the pen to its edge: a stroke is a tenth of the side
COLUMNS, LINES = SIDE + 2, SIDE // 2 + 2  # of the window, at least
MOUSE = re.compile(r"\x1b\[<(\d+);(\d+);(\d+)([Mm])")  # button, column, line, pressed or released
MOVED = 32  # added to the number of a button that is held while the mouse moves
MOVES = {"up": (-STEP, 0), "down": (STEP, 0), "left": (0, -STEP), "right": (0, STEP)}
UNDO = ("u", "\x1a")  # Ctrl-Z
LEAVE = ("q", "\x1b")
HALVES = "▀▄█"
HELP = """Draw a digit, large.

mouse   draws; the right
        button rubs out
arrows  move
Space   pen down, pen up
x       rubber down, up
u       undo
c       clear
Enter   done
q       leave"""


class Pad:
    """What is drawn, and where the pen is."""

    def __init__(self) -> None:
        self.pixels: NDArray[np.bool_] = np.zeros((SIDE, SIDE), bool)
        self.row, self.column = SIDE // 2, SIDE // 2
        self.tool: bool | None = None  # of the keys: True draws, False rubs out, None moves
        self.held = False  # a button of the mouse is
        self.done: bool | None = None  # False: left without a drawing
        self.before: list[NDArray[np.bool_]] = []  # each stroke, for undo

    def press(self, key: str) -> None:
        """A key was typed, or the mouse has sent a report."""
        if report := MOUSE.fullmatch(key):
            button, column, line = map(int, report.groups()[:3])
            self.point(button, 2 * (line - 2), column - 2, pressed=report[4] == "M")
        elif key in MOVES:
            down, right = MOVES[key]
            self.go(self.row + down, self.column + right, self.tool)
        elif key in (" ", "x"):
            tool = key == " "
            self.tool = None if self.tool is tool else tool
            if self.tool is not None:
                self.keep()
                self.go(self.row, self.column, self.tool)
        elif key == "c":
            self.keep()
            self.pixels[:] = False
        elif key in UNDO and self.before:
            self.pixels, self.tool = self.before.pop(), None
        elif key == "\r":
            self.done = True
        elif key in LEAVE:
            self.done = False

    def keep(self) -> None:
        """What is drawn now is what undo brings back."""
        self.before.append(self.pixels.copy())

    def point(self, button: int, row: int, column: int, *, pressed: bool) -> None:
        """The mouse: the left button draws, the right one rubs out, also while it moves."""
        moved, which = bool(button & MOVED), button & ~MOVED
        if not pressed or which not in (0, 2):  # the wheel has numbers from 64 on
            self.held = self.held and pressed
            return
        self.tool = None  # that of the keys
        if not moved:
            if not (0 <= row < SIDE and 0 <= column < SIDE):
                return
            self.keep()
            self.row, self.column, self.held = row, column, True
        if self.held:
            self.go(row, column, which == 0)

    def go(self, row: int, column: int, tool: bool | None) -> None:
        """Moves the pen in a straight line, and draws or rubs out on the way."""
        row, column = (min(max(place, 0), SIDE - 1) for place in (row, column))
        if tool is not None:
            count = max(abs(row - self.row), abs(column - self.column), 1)
            y, x = np.mgrid[:SIDE, :SIDE]
            for share in np.linspace(0, 1, count + 1):
                middle_y = self.row + share * (row - self.row) + 0.5
                middle_x = self.column + share * (column - self.column) + 0.5
                near = (y + 0.5 - middle_y) ** 2 + (x + 0.5 - middle_x) ** 2 < PEN**2
                self.pixels[near] = tool
        self.row, self.column = row, column

    def lines(self, glyphs: str = HALVES) -> Text:
        """The pad in its frame, as characters."""
        upper, lower = self.pixels[0::2], self.pixels[1::2]
        drawn = np.where(upper & lower, glyphs[2], np.where(upper, glyphs[0], glyphs[1]))
        drawn = np.where(upper | lower, drawn, " ")
        whole = glyphs == HALVES
        edge = "─" * SIDE if whole else "-" * SIDE
        corners, side = ("┌┐└┘", "│") if whole else ("++++", "|")
        text = Text(f"{corners[0]}{edge}{corners[1]}\n", no_wrap=True)
        for number, row in enumerate(drawn):
            line = Text("".join(row))
            if number == self.row // 2:
                line.plain = line.plain[: self.column] + "+" + line.plain[self.column + 1 :]
                line.stylize("reverse", self.column, self.column + 1)
            text.append_text(Text.assemble(side, line, f"{side}\n"))
        return text.append(f"{corners[2]}{edge}{corners[3]}")

    def picture(self) -> NDArray[np.uint8]:
        """What is drawn, (320, 320), white on black as MNIST's digits are."""
        return (self.pixels * np.uint8(255)).repeat(8, axis=0).repeat(8, axis=1)


def draw_on_pad(console: Console) -> NDArray[np.uint8] | None:
    """A picture, white on black, that somebody draws; None where it was left, or is empty.

    Raises:
        TutorError: the window is too small.
    """
    if console.width < COLUMNS or console.height < LINES:
        raise TutorError(
            f"To draw, the window needs {COLUMNS} columns and {LINES} lines. This one has "
            f"{console.width} and {console.height}."
        )
    pad, glyphs = Pad(), HALVES if can_write(HALVES + "─│┌", console.encoding) else "'.#"
    with keys_as_they_come(console.file) as batches, console.screen(hide_cursor=True) as screen:
        screen.update(beside_help(pad, glyphs))
        for keys in batches:  # what comes at once is drawn at once
            for key in keys:
                pad.press(key)
                if pad.done is not None:
                    return pad.picture() if pad.done and pad.pixels.any() else None
            screen.update(beside_help(pad, glyphs))
    return None


def beside_help(pad: Pad, glyphs: str) -> Table:
    """The pad, and what can be typed beside it, where there is room."""
    both = Table.grid(padding=(0, 2))
    both.add_column(width=COLUMNS, no_wrap=True)
    both.add_column(no_wrap=True)
    state = {True: "the pen is down", False: "the rubber is down", None: ""}[pad.tool]
    both.add_row(pad.lines(glyphs), Text(f"{HELP}\n\n{state}"))
    return both
