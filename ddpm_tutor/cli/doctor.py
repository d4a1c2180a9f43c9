"""The command that looks at what does not work: drawn digits, a loss, code, or a symptom."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ddpm_tutor.cli.doctor_code import ENDINGS as CODE
from ddpm_tutor.cli.doctor_code import look_at_code
from ddpm_tutor.cli.doctor_losses import look_at_losses
from ddpm_tutor.cli.doctor_symptoms import ask_for_symptom
from ddpm_tutor.cli.shared_options import a_path
from ddpm_tutor.errors import UsageError
from ddpm_tutor.files import check_target
from ddpm_tutor.screen.console import going_on_without, make_console, written
from ddpm_tutor.screen.prose import Sentence

if TYPE_CHECKING:
    from torch import Tensor

    from ddpm_tutor.evaluation.diagnosis import Diagnosis
    from ddpm_tutor.grading.causes import Cause
    from ddpm_tutor.pictures.sheets import Sheet

SHOWN = 6  # digits of a row of the picture, as many as ship of each mistake
IN_A_ROW = 5  # of the screen: at 80 columns
NAMED = 4  # mistakes of a group that are told in full
WORTH_SAYING = 0.1  # the probability of a second suspect that is named
DPI = 150


def doctor(
    what: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            callback=a_path,
            help="Drawn digits (a picture, .npz, .pt, or a folder of pictures), losses (.csv, "
            ".jsonl, .json, .txt) or your code (.py, .ipynb), which is run in a sandbox. "
            "Without it: choose a symptom.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(callback=a_path, help="Picture to write: your digits beside the likeliest."),
    ] = Path("doctor.png"),
    maps: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="PIECE=NAME",
            help="Of code: what a piece is called there, such as q_sample=my_noise. Repeat it.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Say what may be wrong with drawn digits, a loss, or your own code.

    The exit code is 1 where something is wrong (✗), or nothing could be tried; else it is 0.
    """
    console = make_console()
    is_code = what is not None and what.suffix.lower() in CODE
    if maps and not is_code:
        raise UsageError("--map goes with code: ddpm-tutor doctor my_code.py --map PIECE=NAME")
    if what is None:
        ask_for_symptom(console)
    elif is_code:
        look_at_code(console, what, maps or ())
    elif holds_losses(what):
        look_at_losses(console, what)
    else:
        look_at_digits(console, what, out)


def holds_losses(path: Path) -> bool:
    """Whether a file, by its name, is one of losses; or a folder that of a run."""
    from ddpm_tutor.storage.loss_files import ENDINGS

    return path.suffix.lower() in ENDINGS or (path.is_dir() and (path / "log.jsonl").is_file())


def look_at_digits(console: Console, path: Path, out: Path) -> None:
    """Measures drawn digits, and says which known mistake draws such ones.

    Raises:
        Exit: with 1, where something is wrong.
    """
    with console.status("Looking ..."):
        from ddpm_tutor.evaluation.diagnosis import diagnose
        from ddpm_tutor.pictures.picture_files import with_ending
        from ddpm_tutor.pictures.sheets import read_digits_of

        target = check_target(with_ending(out, [".png"]))
        if path.resolve() == target.resolve():
            raise UsageError(f"{path} would be written over. Choose another name with --out.")
        sheet = read_digits_of(path, without=target)  # what was written the last time
        found = diagnose(sheet.images, sheet.labels, sheet.is_resized)
    show_reading(console, path, sheet)
    show_pictures(console, sheet.images, found)
    console.print(numbers(found))
    if sheet.broken:
        show_broken(console, sheet.broken)
    if found.empty:
        show_empty(console, found.empty, len(sheet.images))
    show_verdict(console, found)
    with going_on_without(console, "the picture"):
        save_beside(target, sheet.images, found)
        console.print(written(target), soft_wrap=True)
    if sheet.broken or found.empty or not found.looks_right:
        raise typer.Exit(1)


def show_reading(console: Console, path: Path, sheet: "Sheet") -> None:
    """How the file was read."""
    console.print(Text.assemble((f"{path}: ", "bold"), (sheet.read_as, "dim")), soft_wrap=True)
    for note in sheet.notes:
        console.print(Sentence(Text(note, "yellow")))


def show_broken(console: Console, broken: int) -> None:
    """What is to be said of pictures that are no numbers; the verdict is of the others."""
    says = (
        f"NaN or infinity in {broken} picture{'s' * (broken != 1)}: a division by 1 - ᾱ_0 = 0, a "
        "root of a negative number, or steps that run away. Print x.isfinite().all() after each. "
        "Without these:"
    )
    console.print(Sentence(Text.assemble(("✗ ", "bold red"), says)))


def show_empty(console: Console, empty: int, count: int) -> None:
    """What is to be said of pictures with nothing in them; the verdict is of the others."""
    says = (
        f"{empty} of {count} pictures {'is' if empty == 1 else 'are'} empty. NaN are saved as "
        "black: print x.isfinite().all() after each step. Without the empty ones:"
    )
    console.print(Sentence(Text.assemble(("✗ ", "bold red"), says)))


def show_pictures(console: Console, images: "Tensor", found: "Diagnosis") -> None:
    """A row of the learner's digits, and below it one of the likeliest mistake's."""
    from ddpm_tutor.screen.images import render_images

    rows = {"yours": images[:IN_A_ROW, :, 2:-2, 2:-2]}
    if found.is_named:
        rows[found.likeliest.group.name] = found.pictures[:IN_A_ROW]
    for name, digits in rows.items():
        console.print(render_images(digits, console, [name] * len(digits)))


def numbers(found: "Diagnosis") -> Padding:
    """The measures of the learner's digits, beside those of the likeliest mistake and the right."""
    table = Table.grid(padding=(0, 2))
    likeliest = [found.likeliest.group.name] if found.is_named else []
    for heading in ("", "yours", *likeliest, "right"):
        table.add_column(justify="right" if heading else "left")
    table.add_row(*(Text(word, "dim") for word in ("", "yours", *likeliest, "right")))
    for name, values in found.rows():
        shown = values if likeliest else [values[0], values[2]]
        table.add_row(Text(name), *(Text(value) for value in shown))
    return Padding(table, (0, 0, 0, 2))


def show_verdict(console: Console, found: "Diagnosis") -> None:
    """What is likely wrong, what speaks for it, and where to go on."""
    from ddpm_tutor.grading.causes import find_cause

    for note in found.notes:
        console.print(Sentence(Text(note)))
    best = found.likeliest
    causes = [find_cause(name) for name in best.group.causes]
    if found.looks_right:
        console.print(Text.assemble(("✓ ", "bold green"), (found.verdict, "bold")))
        seen = found.asked.seen if found.asked else ()
        weak = [cause.name for cause in causes if cause.exercise and cause.name not in seen]
        if weak:
            said = "These mistakes draw digits that look as good, and show only in a check: "
            said += f"{', '.join(weak)}."
            console.print(Padding(Sentence(Text(said, "dim")), (0, 0, 0, 2)))
        show_others(console, found)
        return
    console.print(Sentence(Text.assemble(("✗ ", "bold red"), (found.verdict, "bold"))))
    if found.asked and found.is_not_as_asked and not found.is_unknown:
        console.print(Padding(Sentence(found.asked.says), (0, 0, 0, 2)))
        if not found.is_named:
            blamed = [find_cause(name) for name in found.asked.causes]
            show_causes(console, blamed)
            show_leads(console, blamed[0])
            return
    if not found.is_named:
        show_unknown(console, found)
        return
    show_causes(console, causes[:NAMED])
    if causes[NAMED:]:
        others = ", ".join(cause.name for cause in causes[NAMED:])
        console.print(
            Padding(Sentence(Text(f"The same is drawn by {others}.", "dim")), (0, 0, 0, 2))
        )
    if best.speaks and not found.blank:
        said = f"What speaks for it: {', '.join(best.speaks)}."
        console.print(Padding(Sentence(said), (0, 0, 0, 2)))
    show_leads(console, causes[0])
    show_others(console, found)


def show_causes(console: Console, causes: "list[Cause]") -> None:
    """What each of these is."""
    for cause in causes:
        what = Text.assemble((f"{cause.name}: ", "bold cyan"), cause.what)
        console.print(Padding(Sentence(what), (0, 0, 0, 2)))


def show_unknown(console: Console, found: "Diagnosis") -> None:
    """What is to be said of digits that no known mistake draws."""
    from ddpm_tutor.evaluation.diagnosis import RIGHT

    if found.odd:
        odd = f"Furthest from right ones: {', '.join(found.odd)}."
        console.print(Padding(Sentence(odd), (0, 0, 0, 2)))
    if found.is_no_digit:
        said = "None of it looks like a digit. Are these drawn digits, each 28x28 or 32x32?"
        console.print(Padding(Sentence(said), (0, 0, 0, 2)))
    near = next(s for s in found.suspects if RIGHT not in s.group.causes).group.causes
    said = f"Nearest, and perhaps none of yours: {', '.join(near[:NAMED])}."
    console.print(Padding(Sentence(Text(said, "dim")), (0, 0, 0, 2)))
    console.print(Padding(Sentence("By what you see: ddpm-tutor doctor"), (0, 0, 0, 2)))


def show_others(console: Console, found: "Diagnosis") -> None:
    """The suspects behind the likeliest that are worth a line."""
    from ddpm_tutor.evaluation.diagnosis import RIGHT

    for other in found.others(WORTH_SAYING):
        names = other.group.causes
        said = "nothing is wrong" if RIGHT in names else ", ".join(names)
        said = f"Or, with {100 * other.probability:.0f} %: {said}."
        console.print(Padding(Sentence(Text(said, "dim")), (0, 0, 0, 2)))


def show_leads(console: Console, cause: "Cause") -> None:
    """What to look at, and what to type next."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    if cause.check:
        table.add_row("Check", Sentence(cause.check))
    for name, words in cause.leads().items():
        table.add_row(name, Text(words, "bold cyan"))
    console.print(Padding(table, (0, 0, 0, 2)))


def save_beside(target: Path, images: "Tensor", found: "Diagnosis") -> None:
    """Writes the learner's digits, the likeliest mistake's and right ones, row by row."""
    import torch

    from ddpm_tutor.pictures.figures import save_figure_as, sheet

    yours = images[:SHOWN, :, 2:-2, 2:-2]
    blank = torch.zeros((SHOWN - len(yours), *yours.shape[1:]), dtype=torch.uint8)
    rows = {"yours": torch.cat([yours, blank])}
    if found.is_named:
        rows[found.likeliest.group.name] = found.pictures
    rows["right"] = found.right_pictures
    figure = sheet(torch.cat(list(rows.values())), (), SHOWN, list(rows))
    save_figure_as(target, figure, DPI)
