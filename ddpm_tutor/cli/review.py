"""The command that asks questions again, before they are forgotten."""

import os
import secrets
import sys
import tempfile
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from ddpm_tutor.cli.lesson import asking, learner_is_there
from ddpm_tutor.cli.shared_options import MAX_SEED, DataOption, Device
from ddpm_tutor.cli.welcome import open_progress
from ddpm_tutor.commands import command
from ddpm_tutor.errors import TutorError
from ddpm_tutor.screen.console import make_console
from ddpm_tutor.screen.keyboard import NEXT, read_key, showing_keys

if TYPE_CHECKING:
    from ddpm_tutor.classroom.session import Session
    from ddpm_tutor.course.review import Item
    from ddpm_tutor.learner.progress import Progress, Review

SECONDS_A_DAY = 24 * 60 * 60


def review(
    count: Annotated[int, typer.Option(min=1, help="How many questions, at most.")] = 5,
    everything: Annotated[
        bool, typer.Option("--all", help="Ask also what is not due yet, or not learned yet.")
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=MAX_SEED, help="The same seed asks the same; by default it is by chance."
        ),
    ] = None,
    device: Annotated[Device, typer.Option(help="Device to compute on.")] = Device.auto,
    data: DataOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="For authors: say whether the questions are in order.")
    ] = False,
) -> None:
    """Ask questions again, with other numbers, before you forget the answers."""
    if check:
        check_questions()
        return
    console = make_console(file=sys.stdout)
    progress = open_progress(console)
    random = Random(secrets.randbits(32) if seed is None else seed)
    chosen = chosen_items(progress, everything, random)
    if not chosen:
        say_why_none(console, progress)
        return
    if data is not None:
        os.environ["DDPM_TUTOR_DATA"] = str(data)  # where load_digits() looks
    there = learner_is_there()
    with showing_keys(False) if there else nullcontext():
        answers = ask_each(console, chosen[:count], random, device, there)
    if there:
        say_result(console, answers, 0 if everything else len(chosen) - len(answers))


def chosen_items(
    progress: "Progress", everything: bool, random: Random
) -> "list[tuple[Item, Review]]":
    """What is due, in the order in which it is asked; with `everything` the rest after it."""
    from ddpm_tutor.course.review import all_items
    from ddpm_tutor.learner.progress import Review, at, now
    from ddpm_tutor.learner.reviews import due_items, in_order, learned

    due = in_order(due_items(progress, at(now())), progress, random)
    if not everything:
        return due
    known = {item.key: (item, review) for item, review in learned(progress)}
    taken = {item.key for item, _ in due}
    others = [known.get(item.key, (item, Review())) for item in all_items()]
    return due + in_order([pair for pair in others if pair[0].key not in taken], progress, random)


def ask_each(
    console: Console,
    chosen: "list[tuple[Item, Review]]",
    random: Random,
    device: Device,
    there: bool,
) -> "list[tuple[Item, bool]]":
    """Asks one question after the other; each answer is kept as it comes.

    Returns:
        each question that was answered or skipped, and whether rightly.
    """
    with console.status(Text("Opening the review ...")):
        from ddpm_tutor.classroom.questions import Leave
        from ddpm_tutor.classroom.session import Session
        from ddpm_tutor.learner.reviews import answered
        from ddpm_tutor.science.devices import choose_device

        if device != Device.auto:
            choose_device(device.value)  # better to fail now
    answers: list[tuple[Item, bool]] = []

    def keep(item: "Item", before: "Review", question: str, right: bool, text: str) -> bool:
        answers.append((item, right))
        answered(item, before, right)
        return True

    with tempfile.TemporaryDirectory(prefix="ddpm-tutor-review-") as pictures:
        session = Session(console, Path(pictures), ask=asking(console) if there else None)
        for number, (item, before) in enumerate(chosen, start=1):
            session.on_answer = partial(keep, item, before)
            console.print()
            title = f"{number} of {len(chosen)} · {item.heading}"
            console.print(Rule(Text(title, style="bold"), align="left", style="cyan"))
            try:
                ask_one(session, item, random, device)
            except Leave:
                break
            say_place(console, item)
            if there and not goes_on(console, last=number == len(chosen)):
                break
    return answers


def ask_one(session: "Session", item: "Item", random: Random, device: Device) -> None:
    """Asks a question, with numbers that `random` gives."""
    from ddpm_tutor.classroom.stepper import Stepper
    from ddpm_tutor.course.lesson import parameters
    from ddpm_tutor.screen.prose import PROSE_WIDTH, Prose, without_title

    settings = item.settings(random)
    if "device" in parameters(item.page):
        settings["device"] = device.value
    session.again = Random(random.random())
    if prose := without_title(item.prose):
        width = min(session.console.width, PROSE_WIDTH)
        session.console.print(Padding(Prose(prose), (1, 0, 0, 0)), width=width)
    Stepper(item.page, session, settings=settings).ask_alone(item.before, item.cell)


def say_place(console: Console, item: "Item") -> None:
    """Where that is taught."""
    console.print(Text.assemble("Read it again: ", (command(*item.place), "bold")))


def goes_on(console: Console, last: bool) -> bool:
    """Waits for a key after a question; whether the learner wants another one."""
    if last:
        return True
    console.print()
    console.print(
        Text.assemble(
            ("Enter", "bold cyan"), (" next  ", "dim"), ("q", "bold cyan"), (" quit", "dim")
        )
    )
    while (key := read_key()) not in NEXT:
        if key == "q":
            return False
    return True


def say_result(console: Console, answers: "list[tuple[Item, bool]]", waiting: int) -> None:
    """How it went, what to read again, and how many questions are still due."""
    console.print()
    if not answers:
        console.print(Text("Nothing was answered. Come back with: ddpm-tutor review"))
        return
    right = sum(right for _, right in answers)
    console.print(Text(f"{right} of {len(answers)} right.", "bold"))
    missed = [item for item, right in answers if not right]
    if missed:
        again = Table.grid(padding=(0, 2))  # a long heading goes on below itself
        for item in missed:
            again.add_row("", Text(command(*item.place), "bold", no_wrap=True), Text(item.heading))
        console.print(again)
        console.print(Text("What was missed comes again tomorrow, with other numbers."))
    if waiting:
        console.print(Text.assemble(f"{waiting} more: ", ("ddpm-tutor review", "bold cyan")))


def say_why_none(console: Console, progress: "Progress") -> None:
    """Why nothing is asked, and what to do."""
    from ddpm_tutor.cli.welcome import next_lesson
    from ddpm_tutor.course.lesson import all_lessons
    from ddpm_tutor.learner.progress import at, now
    from ddpm_tutor.learner.reviews import due_at, learned

    known = [due for _, review in learned(progress) if (due := due_at(review))]
    if known:
        seconds = (min(known) - at(now())).total_seconds()
        days = max(1, round(seconds / SECONDS_A_DAY))
        when = "tomorrow" if days == 1 else f"in {days} days"
        console.print(Text(f"Nothing is due. The next question is due {when}."))
        console.print(
            Text.assemble("Ask all the same: ", (command("review", "--all"), "bold cyan"))
        )
        return
    console.print(Text("Nothing to ask yet. A review asks what you have met in lessons, again."))
    say, lesson = next_lesson(all_lessons(), progress) or ("Begin with", all_lessons()[0])
    typed = command("lesson", lesson.number)
    console.print(Text.assemble(f"{say}: ", (typed, "bold cyan")))


def check_questions() -> None:
    """Says what is not in order in the questions of review, and of what gives answers away.

    Raises:
        TutorError: something is not.
    """
    from ddpm_tutor.course.lesson import all_lessons
    from ddpm_tutor.course.options_lint import problems_of_all, tells_of
    from ddpm_tutor.course.paper import all_entries
    from ddpm_tutor.course.questions import questions
    from ddpm_tutor.course.review import review_pages
    from ddpm_tutor.course.review_lint import problems_of_review

    mine = review_pages()
    others = [*all_lessons(), *(entry.page for entry in all_entries())]
    made = [question for page in mine for question in questions(page)]
    fixed = [question for page in others for question in questions(page)]
    found = [f"{page.path.name}: {each}" for page in mine for each in problems_of_review(page)]
    found += problems_of_all(fixed) + problems_of_all(made, dealt=True)
    if found:
        raise TutorError("\n".join(found))
    typer.echo(f"In order: {len(made)} questions made for review.")
    typer.echo(f"Lessons and entries: {len(fixed)} questions. {tells_of(fixed)}")
