"""`doctor` of code: the functions of a learner's own project, each tried in a sandbox."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ddpm_tutor.commands import command
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.screen.prose import Sentence

if TYPE_CHECKING:
    from ddpm_tutor.grading.project_files import Source
    from ddpm_tutor.grading.project_verdict import Examined, Finding

ENDINGS = (".py", ".ipynb")
MARKS = {
    "right": ("✓ ", "bold green"), "mistake": ("✗ ", "bold red"), "differs": ("✗ ", "bold red"),
    "failed": ("✗ ", "bold red"), "not called": ("? ", "bold yellow"),
}  # fmt: skip
TITLES = {
    "schedule": "schedule", "q_sample": "q_sample", "loss": "loss", "predict_x_0": "guess of x_0",
    "posterior": "posterior", "step": "reverse step", "sampler": "sampling loop",
    "time_encoding": "time encoding", "gather": "picking by t", "guidance": "guidance",
    "together": "together",
}  # fmt: skip
LEFT_OUT = 3  # lines that are named


def look_at_code(console: Console, path: Path, maps: Sequence[str]) -> None:
    """Tries what is in a file, and says of each piece how it does.

    Raises:
        UsageError: it is no code, or --map names what there is not.
        TutorError: it cannot be read, or nothing in it is a piece of a diffusion model.
        Exit: with 1, where something is wrong, or nothing could be tried.
    """
    mapped = read_maps(maps)
    with console.status(Text(f"Trying {path} in a sandbox ...")):
        from ddpm_tutor.grading.project_sandbox import examine_file

        examined, source = examine_file(path, mapped)
    console.print(
        Text.assemble(
            (f"{path}: ", "bold"),
            (examined.convention or "no schedule to go by", "dim"),
        ),
        soft_wrap=True,
    )
    show_what_was_run(console, examined, source)
    for finding in examined.findings:
        if len(alike(examined, finding)) == 1:
            show(console, path, source, finding)
    show_untried(console, examined, source)
    show_missing(console, path, examined)
    show_count(console, examined)
    if examined.stopped:
        raise TutorError(f"{path}: {examined.stopped}")
    if not examined.findings:
        raise TutorError(
            f"{path} has no function with a usual name, such as q_sample, p_sample or betas.\n"
            f"Say which is which: {mapping(path, 'q_sample')}"
        )
    untried = all(finding.state == "not called" for finding in examined.findings)
    if untried or any(finding.is_fault for finding in examined.findings):
        raise typer.Exit(1)


def read_maps(maps: Sequence[str]) -> dict[str, str]:
    """What the learner calls each piece, by the piece.

    Raises:
        UsageError: it is not worded so, or there is no such piece.
    """
    pieces = [name for name in TITLES if name not in ("schedule", "together")]
    known = [*pieces, "betas"]
    found = {}
    for words in maps:
        piece, is_there, name = words.partition("=")
        if not is_there or not name.strip():
            raise UsageError(f"--map takes PIECE=NAME, such as q_sample=my_noise, not {words!r}.")
        if piece.strip() not in known:
            raise UsageError(f"--map knows no {piece.strip()!r}. Choose from {', '.join(known)}.")
        found[piece.strip()] = name.strip()
    return found


def mapping(path: Path, piece: str) -> str:
    """The command that says what a piece is called."""
    return command("doctor", path, "--map", f"{piece}=NAME")


def show_what_was_run(console: Console, examined: "Examined", source: "Source") -> None:
    """That the file was run, and what of it was not."""
    said = "Run in a sandbox, as far as it defines things: nothing is trained or written."
    if examined.stood_in:
        said += f" Not installed here, and stood in for: {', '.join(examined.stood_in)}."
    inside(console, Text(said, "dim"))
    for line, why in examined.left_out[:LEFT_OUT]:
        inside(console, Text(f"Left out: {source.where(line)}: {why}", "dim"))
    if (more := len(examined.left_out) - LEFT_OUT) > 0:
        inside(console, Text(f"Left out: {more} more.", "dim"))
    for words in examined.failed:
        inside(console, Text(words, "yellow"))


def show(console: Console, path: Path, source: "Source", finding: "Finding") -> None:
    """How a piece did, and where to go on."""
    from ddpm_tutor.cli.doctor import show_leads

    title = TITLES[finding.kind]
    where = f" ({source.where(finding.line)})" if finding.line else ""
    if finding.state == "right":
        words = finding.says if finding.kind == "schedule" else finding.name + where
        console.print(Sentence(Text.assemble(MARKS["right"], (f"{title}: ", "bold"), words)))
    else:
        head = Text.assemble(
            MARKS[finding.state], (f"{title}: ", "bold"), finding.name, (where, "dim")
        )
        console.print(Sentence(head))
        inside(console, Sentence(Text(finding.says, "bold" if finding.is_fault else "")))
    for words in (finding.numbers, finding.leads_to):
        if words:
            inside(console, Sentence(Text(words)))
    for note in finding.notes:
        inside(console, Sentence(Text(note, "dim" if finding.state == "right" else "")))
    if finding.is_fault and finding.exercise:
        from ddpm_tutor.grading.causes import cause_of

        show_leads(console, cause_of(finding.exercise, finding.mistake))


def alike(examined: "Examined", finding: "Finding") -> "list[Finding]":
    """The pieces that were not tried for the same reason; a finding of another kind by itself."""
    if finding.state != "not called":
        return [finding]
    return [f for f in examined.findings if (f.state, f.says) == (finding.state, finding.says)]


def show_untried(console: Console, examined: "Examined", source: "Source") -> None:
    """The pieces of which several were not tried for one reason: that is said once."""
    groups = {f.says: alike(examined, f) for f in examined.findings}
    for says, group in groups.items():
        if len(group) == 1:
            continue
        names = [
            f"{TITLES[f.kind]} {f.name}" + (f" ({source.where(f.line)})" if f.line else "")
            for f in group
        ]
        head = Text.assemble(("not tried: ", "bold"), ", ".join(names))
        console.print(asked(head))
        inside(console, Sentence(Text(says)))


def show_count(console: Console, examined: "Examined") -> None:
    """How many pieces are right, wrong and untried, where there are several."""
    states = [finding.state for finding in examined.findings]
    wrong = sum(finding.is_fault for finding in examined.findings)
    untried = states.count("not called")
    if len(states) > 1:
        words = [f"{states.count('right')} right", f"{wrong} wrong"]
        words += [f"{untried} not tried"] if untried else []
        console.print(Text(f"{', '.join(words)}.", "bold"))


def show_missing(console: Console, path: Path, examined: "Examined") -> None:
    """What was not found, and how to name it."""
    if not examined.missing or examined.stopped or not examined.findings:
        return
    console.print(
        asked(Text(f"Not found by a usual name: {', '.join(examined.missing.values())}."))
    )
    first = next(iter(examined.missing))
    piece = "betas" if first == "schedule" else first
    inside(console, Text(f"If it is there: {mapping(path, piece)}", "dim"))


def asked(words: Text) -> Table:
    """Words behind a question mark, all their lines."""
    table = Table.grid(padding=(0, 1))
    table.add_row(Text("?", "bold yellow"), Sentence(words))
    return table


def inside(console: Console, what: Sentence | Text) -> None:
    """Prints a little to the right."""
    console.print(Padding(what, (0, 0, 0, 2)))
