"""`doctor` alone: what looks wrong, in words and small pictures, and where each leads."""

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ddpm_tutor.errors import Stopped
from ddpm_tutor.screen.keyboard import in_notebook, is_terminal, read_key, showing_keys
from ddpm_tutor.screen.prose import Sentence

if TYPE_CHECKING:
    from ddpm_tutor.grading.complaints import Complaint

KEYS = "123456789"  # one a symptom
PICTURES = 3  # of each mistake
ASK = "What do you see? A number, or q to leave: "
THEN = (
    "With your pictures:  ddpm-tutor doctor samples.png  (or .npz, .pt, a folder)\n"
    "With your losses:    ddpm-tutor doctor loss.csv  (or .jsonl, .json, .txt)\n"
    "With your code:      ddpm-tutor doctor my_code.py  (or .ipynb)"
)


def ask_for_symptom(console: Console) -> None:
    """Shows the symptoms, and what one of them leads to; where no key can be typed, all do."""
    with console.status("Looking ..."):
        from ddpm_tutor.grading.complaints import COMPLAINTS
    asks = is_terminal(sys.stdin) and console.is_terminal and not in_notebook()
    if not asks:
        for number, each in enumerate(COMPLAINTS, 1):
            console.print(Text(f"\n{number}  {each.title}", "bold"))
            explain(console, each)
        console.print(Text(f"\n{THEN}", "dim"))
        return
    show_list(console, COMPLAINTS)
    complaint = chosen(console, COMPLAINTS)
    if complaint:
        console.print(Text(f"\n{complaint.title}", "bold"))
        show_pictures(console, complaint)
        explain(console, complaint)
        console.print(Text(f"\n{THEN}", "dim"))


def show_list(console: Console, complaints: "tuple[Complaint, ...]") -> None:
    """The symptoms, with a picture of each that has one."""
    import torch

    from ddpm_tutor.evaluation.diagnosis import load_pictures
    from ddpm_tutor.grading.complaints import picture_of
    from ddpm_tutor.screen.images import render_images

    pictures = load_pictures()
    shown = [(number, picture_of(c, pictures)) for number, c in enumerate(complaints, 1)]
    seen = [(number, picture) for number, picture in shown if picture is not None]
    images = torch.cat([picture[:1] for _, picture in seen])
    console.print(render_images(images, console, [str(number) for number, _ in seen], 0.5))
    for number, complaint in enumerate(complaints, 1):
        console.print(Text.assemble((f" {number} ", "bold cyan"), f" {complaint.title}"))


def chosen(console: Console, complaints: "tuple[Complaint, ...]") -> "Complaint | None":
    """The symptom whose number is typed; None where the learner leaves."""
    console.print(Text(ASK), end="")
    with showing_keys(False):
        while True:
            try:
                key = read_key()
            except (KeyboardInterrupt, Stopped):
                console.print()  # what is said of it does not stand on the prompt's line
                raise
            if key in KEYS[: len(complaints)]:
                console.print(Text(key, "bold cyan"))
                return complaints[int(key) - 1]
            if key in ("q", "escape", "\r", "\x1b"):
                console.print()
                return None


def show_pictures(console: Console, complaint: "Complaint") -> None:
    """Some drawings of each of the mistakes that look so."""
    import torch

    from ddpm_tutor.evaluation.diagnosis import load_pictures
    from ddpm_tutor.grading.complaints import groups_of
    from ddpm_tutor.screen.images import render_images

    found = groups_of(complaint, load_pictures())
    if found:
        images = torch.cat([pictures[:PICTURES] for pictures in found.values()])
        captions = [name for name in found for _ in range(PICTURES)]
        console.print(render_images(images, console, captions, 0.4))


def explain(console: Console, complaint: "Complaint") -> None:
    """The checks that a symptom leads to, one after the other, and what to type for each."""
    from ddpm_tutor.grading.causes import find_cause

    for name in complaint.causes:
        cause = find_cause(name)
        said = Text.assemble((f"{name}: ", "bold cyan"), cause.what)
        console.print(Padding(Sentence(said), (0, 0, 0, 3)))
    for check in complaint.checks:
        console.print(Padding(Sentence(f"· {check}"), (0, 0, 0, 3)))
    leads: dict[str, str] = {}
    for name in complaint.causes:
        for what, words in find_cause(name).leads().items():
            leads.setdefault(words, what)
    for words, what in list(leads.items())[:4]:
        console.print(
            Padding(Text.assemble((f"{what:9}", "dim"), (words, "bold cyan")), (0, 0, 0, 3))
        )
