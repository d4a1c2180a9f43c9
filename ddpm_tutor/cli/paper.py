"""The command for readers of the paper: its pieces, alive, by the names the paper gives them."""

import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ddpm_tutor.cli.lesson import learner_is_there, lesson_settings, open_stepper
from ddpm_tutor.cli.shared_options import (
    DataOption,
    LessonDevice,
    LessonSeed,
    a_path,
)
from ddpm_tutor.cli.welcome import open_progress
from ddpm_tutor.commands import command
from ddpm_tutor.errors import UsageError
from ddpm_tutor.files import filling
from ddpm_tutor.screen.console import make_console
from ddpm_tutor.screen.keyboard import showing_keys

if TYPE_CHECKING:
    from ddpm_tutor.course.paper import Entry, Section
    from ddpm_tutor.learner.progress import LessonProgress, Progress

BEFORE, AFTER = "<", ">"  # the keys that lead from entry to entry
SHOWN_FOUND = 30  # places that a search lists


def paper(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WHAT]...",
            help="A piece of the paper: eq 11, 11, alg 2, fig 6, table 1, 3.4, app B. "
            "Or: symbols, ledger, find WORDS. By default the contents.",
        ),
    ] = None,
    pause: Annotated[
        bool | None,
        typer.Option(
            "--pause/--no-pause",
            help="Wait for a key after each step: the default where keys can be typed.",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a parameter of the entry."),
    ] = None,
    seed: LessonSeed = None,
    device: LessonDevice = None,
    out: Annotated[
        Path, typer.Option(callback=a_path, help="Folder for pictures and GIFs.")
    ] = Path("outputs"),
    data: DataOption = None,
) -> None:
    """Read the paper alive: its equations, algorithms, tables and figures."""
    from ddpm_tutor.course.paper import Section, find_own_entry, understood

    first, *rest = what or [""]
    console = make_console(file=sys.stdout)
    if not first:
        say_contents(console, open_progress(console))
    elif first == "symbols":
        say_symbols(console, " ".join(rest))
    elif first == "ledger":
        say_ledger(console, " ".join(rest))
    elif first == "find":
        say_found(console, rest)
    else:
        wanted = understood([first, *rest])
        if isinstance(wanted, Section):
            say_section(console, wanted, open_progress(console))
            if (own := find_own_entry(wanted)) is None:
                return
            wanted = own
        values = lesson_settings(wanted.page, settings or [], seed, device)
        if data is not None:
            os.environ["DDPM_TUTOR_DATA"] = str(data)  # where the entry's load_digits() looks
        read(console, wanted, values, out, learner_is_there(pause))


def read(
    console: Console, entry: "Entry", values: dict[str, str], out: Path, with_keys: bool
) -> None:
    """Steps through an entry, and on to its neighbours as far as the reader wants.

    Args:
        values: parameters to change in the first entry, as text.
        with_keys: whether somebody is there to type.
    """
    from ddpm_tutor.course.paper import neighbours

    reading: Entry | None = entry
    while reading is not None:
        before, after = neighbours(reading)
        left_by = step_through(console, reading, values, out, with_keys, links=True)
        if left_by not in (BEFORE, AFTER):
            console.print()
            if after is not None:
                typed = command("paper", *after.key.split())
                console.print(Text.assemble("Next in the paper: ", (typed, "bold cyan")))
            return
        reading, values = (before if left_by == BEFORE else after), {}
    console.print(Text("The paper's contents: ddpm-tutor paper", "dim"))


def step_through(
    console: Console,
    entry: "Entry",
    values: dict[str, str],
    out: Path,
    with_keys: bool,
    *,
    links: bool = False,
) -> str:
    """Steps through one entry; the key by which the reader left it, if that is one of the links."""
    from ddpm_tutor.learner.progress import Bookmark

    bookmark = Bookmark(entry.progress_name) if with_keys else None
    with showing_keys(False) if bookmark else nullcontext(), filling(out):
        stepper = open_stepper(console, entry.to_read(), entry.name, values, out, bookmark)
        import ddpm_tutor

        stepper.below = {1: links_of(entry)}
        stepper.named = {name: getattr(ddpm_tutor, name) for name in entry.listed("Function")}
        if bookmark and links:
            stepper.other_keys = {BEFORE: "entry before", AFTER: "next entry"}
        stepper.run()
    for path in stepper.session.saved:
        console.print(Text(f"  {path}", "green"), soft_wrap=True)
    return stepper.left_by


def links_of(entry: "Entry") -> RenderableType:
    """The symbols of an entry, and what of this tutor belongs to it."""
    from ddpm_tutor.course.lesson import find_lesson
    from ddpm_tutor.course.paper import find_entry, step_of, symbols
    from ddpm_tutor.course.search import functions
    from ddpm_tutor.screen.prose import HOLD, Sentence

    known = {symbol.symbol: symbol for symbol in symbols()}
    meanings = Table.grid(padding=(0, 2))
    for name in entry.listed("Symbols"):
        symbol = known[name]
        here = symbol.names.get("here", "")
        shape = f"  {symbol.shape}".replace(" ", HOLD) if symbol.shape else ""
        meaning = Sentence(Text.assemble(symbol.meaning, (shape, "dim")))
        meanings.add_row(Text(name, "bold cyan"), meaning, Text(here, "dim"))
    summaries = {name: summary for name, summary, _ in functions()}
    linked: dict[str, list[Text]] = {"In the paper": [Text(entry.page.fact("Where"))]}
    for name in entry.listed("Function"):
        words = Text.assemble((f"{name}()", "bold"), f"  {summaries.get(name, '')}")
        words.no_wrap, words.overflow = True, "ellipsis"  # the rest stands in its source
        linked.setdefault("Function", []).append(words)
    for number, title in entry.lessons:
        step = step_of(find_lesson(str(number)), title)
        typed = command("lesson", number, "--from", step)
        linked.setdefault("Taught in", []).append(Text.assemble((typed, "bold"), f"  {title}"))
    for number in entry.exercises:
        typed = command("exercise", "start", number)
        linked.setdefault("Write it", []).append(Text(typed, "bold"))
    for name in entry.listed("Mistakes"):
        typed = command("gif", "--digit", 7, "--bug", name)
        linked.setdefault("See it wrong", []).append(Text(typed, "bold"))
    for key in entry.listed("See"):
        typed = command("paper", *key.split())
        words = Text.assemble((typed, "bold"), f"  {find_entry(key).title}")
        linked.setdefault("See also", []).append(words)
    rows = Table.grid(padding=(0, 2))
    for label, lines in linked.items():
        for i, line in enumerate(lines):
            rows.add_row(Text("" if i else label, "dim"), line)
    return Padding(Group(meanings, Text(), rows), (0, 0, 0, 2))


def mark_of(entry: "Entry", progress: "Progress") -> Text:
    """A tick for an entry that was read, and one for its question answered rightly."""
    mine: LessonProgress = progress.lesson(entry.progress_name)
    solved = bool(mine.answers) and all(mine.answers.values())
    return Text.assemble(
        ("✓" if mine.finished else "·", "green" if mine.finished else "dim"),
        ("✓" if solved else "·", "green" if solved else "dim"),
    )


def rows_of(section: "Section", progress: "Progress") -> Table:
    """The entries of a section: ticks, name, title, where it is taught, which function it is."""
    from ddpm_tutor.course.paper import all_entries

    there = {entry.key: entry for entry in all_entries()}
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True)
    rows.add_column(no_wrap=True, style="bold", min_width=8)
    rows.add_column(ratio=1)
    rows.add_column(no_wrap=True, style="dim")
    for key in section.entries:
        if (entry := there.get(key)) is None:
            continue
        taught = [f"lesson {number}" for number, _ in entry.lessons[:1]]
        taught += list(entry.listed("Function")[:1])
        rows.add_row(mark_of(entry, progress), entry.name, entry.title, ", ".join(taught))
    return rows


def say_contents(console: Console, progress: "Progress") -> None:
    """The paper's contents, with ticks for what was read and solved."""
    from ddpm_tutor.course.paper import left_out, sections, written

    console.print(Text("Ho, Jain, Abbeel 2020, arXiv 2006.11239, piece by piece", "bold"))
    console.print(Text("First tick: read to its end. Second: its question answered.", "dim"))
    for section in sections():
        console.print(Text(f"{section.name} {section.title}", "cyan"))
        if section.entries:
            console.print(Padding(rows_of(section, progress), (0, 0, 0, 2)))
    names = ", ".join(written(key) for key in left_out())
    console.print(Text(f"Left out: {names}. Asked for by name, each says why.", "dim"))
    console.print()
    for typed, what in {
        command("paper", "eq", 11): "one piece; also 11, alg 2, fig 6, table 1, 3.4, app B",
        command("paper", "symbols"): "each symbol, and its name in five codes",
        command("paper", "ledger"): "where code differs from the text, and what that does",
        command("paper", "find", "clip"): "all places that speak of it",
    }.items():
        console.print(Text.assemble((typed.ljust(27), "bold"), what))


def say_section(console: Console, section: "Section", progress: "Progress") -> None:
    """What a section is about, and its entries, with those of its subsections."""
    from ddpm_tutor.course.paper import find_own_entry, sections
    from ddpm_tutor.screen.prose import Sentence

    console.print(Text(f"{section.name} {section.title}", "bold cyan"))
    console.print(Sentence(section.says))
    parts = [part for part in sections() if part.number.startswith(f"{section.number}.")]
    for part in (section, *parts):
        if part.entries:
            heading = "" if part is section else f"\n{part.name} {part.title}"
            console.print(Text(heading, "cyan"))
            console.print(Padding(rows_of(part, progress), (0, 0, 0, 2)))
    keys = [key for part in (section, *parts) for key in part.entries]
    if keys and find_own_entry(section) is None:
        typed = command("paper", *keys[0].split())
        console.print(Text.assemble("\nOpen the first: ", (typed, "bold cyan")))


def say_found(console: Console, words: list[str]) -> None:
    """The places that speak of these words, each with the command that opens it.

    Raises:
        UsageError: there are no words, or they are nowhere.
    """
    from ddpm_tutor.course.search import search

    if not words:
        raise UsageError("Say what to look for, such as: ddpm-tutor paper find clip")
    found = search(words)
    if not found:
        raise UsageError(
            f"Nothing here speaks of {' '.join(words)!r}. Try fewer words, or a part of one."
        )
    for each in found[:SHOWN_FOUND]:
        open_it = command(*each.place) if each.kind != "function" else f"{each.place[0]}()"
        line = Text.assemble((open_it, "bold"), "  ", each.title.removeprefix(f"{each.place[0]}: "))
        console.print(line, soft_wrap=not console.is_terminal)
        if each.excerpt:
            console.print(Padding(Text(each.excerpt, "dim"), (0, 0, 0, 4)))
    if (more := len(found) - SHOWN_FOUND) > 0:
        console.print(Text(f"and {more} more; with a second word there are fewer", "dim"))


def say_symbols(console: Console, name: str) -> None:
    """Each symbol of the paper with its names in code, or just one.

    Raises:
        UsageError: there is no symbol of that name.
    """
    from ddpm_tutor.course.paper import conventions, symbols
    from ddpm_tutor.screen.prose import HOLD, Sentence

    shown = [symbol for symbol in symbols() if not name or symbol.is_called(name)]
    if not shown:
        keys = ", ".join(symbol.key for symbol in symbols())
        raise UsageError(f"There is no symbol {name!r}. There are: {keys}.")
    for symbol in shown:
        heading = Text.assemble((symbol.symbol, "bold cyan"), f"  {symbol.meaning}")
        console.print(Sentence(heading.append(f"  {symbol.shape}".replace(" ", HOLD), "dim")))
        places: dict[str, list[str]] = {}
        for place, called in symbol.names.items():
            places.setdefault(called, []).append(place)
        names = Table.grid(padding=(0, 2))
        for called, where in places.items():
            names.add_row(Text(called), Sentence(Text(", ".join(where), "dim")))
        console.print(Padding(names, (0, 0, 0, 4)))
    if not name:
        for line in conventions():
            console.print(Sentence(f"· {line}"))


def say_ledger(console: Console, name: str) -> None:
    """Where code differs from the paper's text, with the effect that was measured.

    Raises:
        UsageError: there is no line of that name.
    """
    from ddpm_tutor.course.paper import MEASURED, ledger
    from ddpm_tutor.screen.prose import Sentence

    lines = [line for line in ledger() if name in ("", line.name)]
    if not lines:
        names = ", ".join(line.name for line in ledger())
        raise UsageError(f"The ledger has no line {name!r}. It has: {names}.")
    if not name:
        console.print(Text("Where code differs from the paper's text", "bold"))
        console.print(Sentence(MEASURED))
    for line in lines:
        console.print()
        console.print(Text.assemble((line.name, "bold cyan"), f"  {line.title}"))
        rows = Table.grid(padding=(0, 2))
        rows.add_row(Text("paper", "dim"), Sentence(line.paper))
        rows.add_row(Text("code", "dim"), Sentence(line.code))
        rows.add_row(Text("effect", "dim"), Sentence(line.effect))
        if name and line.how:
            rows.add_row(Text("measured", "dim"), Sentence(line.how))
        if name and line.see:
            typed = command("paper", *line.see.split())
            rows.add_row(Text("see", "dim"), Text(typed, "bold"))
        console.print(Padding(rows, (0, 0, 0, 2)))
