"""Makes the screens of the README: a step of some lessons and entries of the paper, as a learner
sees it at 80 columns.

    python assets/screens.py [8 9 paper]

Each lesson runs up to the step; its questions get the answers that stand beside it, and
those after them none.
"""

import contextlib
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.terminal_theme import TerminalTheme

import ddpm_tutor
from ddpm_tutor.classroom.session import Session
from ddpm_tutor.classroom.stepper import Stepper
from ddpm_tutor.cli.paper import links_of
from ddpm_tutor.course.lesson import Lesson, find_lesson
from ddpm_tutor.course.paper import find_entry
from ddpm_tutor.files import replacing
from ddpm_tutor.storage.digits import load_offline_digits

FOLDER = Path(__file__).resolve().parent / "readme"
SCREENS = {  # lesson: the title of a step, and what the learner types when asked, in turn
    1: ("What is left at the end?", ["0.5"]),
    2: ("Going back, if you knew the noise", []),
    3: ("Train", []),
    4: ("What if we leave the noise out?", ["b", "c"]),
    5: ("One noise, ten labels", ["10"]),
    6: ("Mend it", ["a"]),
    7: ("Which digit is it?", ["3.3"]),
    8: ("What a perfect network draws", ["b"]),
    9: ("The way back", []),
    10: ("One error, many sizes", []),
}
ENTRY = "eq 7"  # of the paper: its first page
THEME = TerminalTheme(
    (24, 26, 31),
    (222, 224, 228),
    [(60, 63, 70), (240, 113, 120), (152, 195, 121), (229, 192, 123),
     (97, 175, 239), (198, 120, 221), (86, 182, 194), (210, 212, 218)],
    [(92, 99, 112), (240, 113, 120), (152, 195, 121), (229, 192, 123),
     (97, 175, 239), (198, 120, 221), (86, 182, 194), (255, 255, 255)],
)  # fmt: skip
# rich's own format fetches a font; this one takes what the reader's machine has
SVG = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
    font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
    font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def make_screen(lesson: Lesson, command: str, title: str, answers: list[str], **shown: Any) -> None:
    """Runs a lesson, or an entry, to the step called `title` and saves what that step shows."""
    step = next(i for i, s in enumerate(lesson.steps, start=1) if s.title == title)
    # with colours, but no terminal: the frames of progress bars would all be recorded
    console = Console(file=io.StringIO(), record=True, width=80, color_system="truecolor")

    remaining = iter(answers)

    def ask(prompt: str) -> str:
        answer = next(remaining, "")
        console.print(f"{prompt}{answer}", markup=False, highlight=False)
        return answer

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        session = Session(console, ask=ask)
        stepper = Stepper(lesson, session, keys=lambda: "q", **shown)
        stepper.run(step)
    name = command.replace(" ", "_")
    svg = console.export_svg(
        title=f"ddpm-tutor {command}",
        theme=THEME,
        code_format=SVG,
        unique_id=name.replace("_", "-"),
    )
    path = FOLDER / f"{name}.svg"
    with replacing(path) as temporary:
        temporary.write_text(svg, encoding="utf-8")
    print(path, f"{len(svg) / 1000:.0f} kB")


if __name__ == "__main__":
    # no image of MNIST comes into this repository
    ddpm_tutor.load_digits = lambda **options: load_offline_digits()
    for number, (title, answers) in SCREENS.items():
        if not sys.argv[1:] or str(number) in sys.argv[1:]:
            make_screen(find_lesson(str(number)), f"lesson {number}", title, answers)
    if not sys.argv[1:] or "paper" in sys.argv[1:]:
        entry = find_entry(ENTRY)
        page, links = entry.to_read(), links_of(entry)
        make_screen(page, f"paper {ENTRY}", page.steps[0].title, [], below={1: links})
