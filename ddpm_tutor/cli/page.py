"""The command that makes pages: lessons and entries for a browser, one file each."""

import inspect
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.cli.courses import CourseOption, chosen_course, say_left_out
from ddpm_tutor.cli.lesson import ask_for_trust, lesson_settings, open_stepper
from ddpm_tutor.cli.shared_options import (
    DataOption,
    Device,
    LessonDevice,
    LessonSeed,
    SettingsOption,
    TrustOption,
    a_path,
)
from ddpm_tutor.commands import command
from ddpm_tutor.errors import TutorError, UsageError, first_line
from ddpm_tutor.files import came_along, check_target, filling, replacing
from ddpm_tutor.screen.console import make_console, written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ddpm_tutor.course.courses import Course
    from ddpm_tutor.course.lesson import Lesson
    from ddpm_tutor.course.paper import Entry
    from ddpm_tutor.pages.page import Link

# seconds of a page that nobody has timed, for the time left: a lesson's and an entry's
LESSON_SECONDS, ENTRY_SECONDS = 60.0, 5.0


# what the pages of a site are called that are of no lesson from elsewhere
TAKEN = re.compile(r"lesson_\d+|(?:eq|alg|fig|table|sec)_\w+|index|symbols|ledger")


@dataclass(frozen=True)
class Subject:
    """What a page is of: a lesson, or an entry of the paper."""

    lesson: "Lesson"
    entry: "Entry | None" = None

    @property
    def file(self) -> str:
        """The name of its page, without the ending."""
        stem = self.lesson.path.stem
        if self.entry is None and came_along(self.lesson.path):
            return f"lesson_{self.lesson.number}"
        taken = self.entry is None and TAKEN.fullmatch(stem)
        return f"my_{stem}" if taken else stem

    @property
    def name(self) -> str:
        """What it is called while it is made."""
        if self.entry is not None:
            return self.entry.name
        return f"lesson {self.lesson.number or self.lesson.path.name}"

    @property
    def typed(self) -> str:
        """The command that opens it in the terminal; no folder of this machine is in it."""
        if self.entry is not None:
            return command("paper", *self.entry.key.split())
        return command("lesson", self.called)

    @property
    def called(self) -> str:
        """The number of a lesson, or the name of its file."""
        mine = came_along(self.lesson.path)
        return str(self.lesson.number) if mine else self.lesson.path.name


def page(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="N",
            help="A lesson's number, a lesson file, or a piece of the paper, such as eq 11.",
            callback=lambda given: [a_path(word) for word in given or []],
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option("--all", help="A site: all lessons, the paper's entries, symbols, ledger."),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=a_path,
            help="The HTML file to write, as lesson_1.html; with --all the folder, as site.",
            show_default=False,
        ),
    ] = None,
    settings: SettingsOption = None,
    seed: LessonSeed = None,
    device: LessonDevice = None,
    data: DataOption = None,
    course: CourseOption = None,
    trust: TrustOption = False,
) -> None:
    """Make a page of a lesson for a browser: one HTML file, or a site."""
    if everything == bool(what):
        raise UsageError(
            f"Say which lesson, or --all: {command('page', 1)}, or {command('page', '--all')}."
        )
    if everything and settings:
        raise UsageError("--set changes one lesson: leave out --all, and name it.")
    if data is not None:
        os.environ["DDPM_TUTOR_DATA"] = str(data)  # where the lesson's load_digits() looks
    console = make_console(file=sys.stdout)
    chosen = chosen_course(course)
    if everything:
        subjects = site_subjects(chosen)
        check_trust(console, subjects, trust)
        name = chosen.name if chosen else ""
        folder = out or Path("site")
        with filling(folder):
            make_site(console, subjects, folder, seed, device, name)
        if chosen and say_left_out([chosen]):
            raise typer.Exit(1)
        return
    subject = find_subject(what or [], chosen)
    values = lesson_settings(subject.lesson, settings or [], seed, device)
    out = check_target(with_html(out or Path(f"{subject.file}.html")))
    check_trust(console, [subject], trust)
    began = time.perf_counter()
    html = recorded_page(console, subject, values)
    say_written(console, out, save(out, html), time.perf_counter() - began)


def check_trust(console: Console, subjects: list[Subject], trust: bool) -> None:
    """Asks before lessons are run that did not come with the package, unless --trust has answered.

    Raises:
        TutorError: one is not to be run.
    """
    for subject in subjects:
        if not trust and subject.entry is None:
            ask_for_trust(console, subject.lesson)


def find_subject(what: list[str], course: "Course | None") -> Subject:
    """The lesson, of the course or of the package, or the entry that these words name.

    Raises:
        UsageError: there is none.
    """
    from ddpm_tutor.course.courses import lesson_called
    from ddpm_tutor.course.paper import Section, find_own_entry, understood

    if len(what) == 1 and (what[0].endswith(".py") or what[0].isdigit()):
        return Subject(lesson_called(what[0], course))
    wanted = understood(what)
    entry = find_own_entry(wanted) if isinstance(wanted, Section) else wanted
    if entry is None:
        raise UsageError(f"{wanted.name} has no page of its own: name one of its equations.")
    return Subject(entry.page, entry)


def with_html(path: Path) -> Path:
    """`path`, which ends in .html; with that ending if it has none."""
    from ddpm_tutor.pictures.picture_files import with_ending

    return with_ending(path, [".html", ".htm"])


def recorded_page(
    console: Console,
    subject: Subject,
    values: dict[str, str],
    *,
    links: "Sequence[Link]" = (),
    before: str = "",
) -> str:
    """Runs a lesson or an entry once, and draws its page.

    Args:
        values: parameters to change, as text; before: what stands before the steps at the bar.

    Raises:
        LessonError: its code failed.
    """
    lesson = subject.entry.to_read() if subject.entry else subject.lesson
    with tempfile.TemporaryDirectory(prefix="ddpm-tutor-page-") as folder:
        stepper = open_stepper(console, lesson, subject.name, values, Path(folder), None)
        from ddpm_tutor.course.lesson import all_lessons
        from ddpm_tutor.pages.live import LiveForward, place_of, ten_digits
        from ddpm_tutor.pages.page import page_of
        from ddpm_tutor.pages.site import links_of
        from ddpm_tutor.storage.digits import load_digits

        stepper.expected = known_seconds(subject)
        shown = stepper.record(before)
        sources = {
            number: {name: inspect.getsource(f) for name, f in stepper.functions(step).items()}
            for number, step in enumerate(lesson.steps, start=1)
        }
        stepper.namespace.clear()  # else the tensors of every page would stay in memory
    digits = None
    if place_of(lesson, shown):
        digits = LiveForward(ten_digits(load_digits(), int(values.get("seed", 0))))
    below = ""
    if subject.entry:
        by_number = {each.number: each for each in all_lessons()}
        below = links_of(subject.entry, by_number, linked=bool(links))
    return page_of(
        lesson,
        shown,
        subject.file,
        subject.typed,
        command("notebook", subject.called),
        digits=digits,
        below=below,
        links=links,
        sources=sources,
    )


def known_seconds(subject: Subject) -> dict[str, float]:
    """The seconds that its steps took when they ran before, by their titles."""
    from ddpm_tutor.learner.progress import load_progress

    name = subject.entry.progress_name if subject.entry else subject.lesson.key
    return dict(load_progress().lesson(name).seconds)


def save(path: Path, html: str) -> int:
    """Writes a page, whole or not at all; how many bytes it has."""
    with replacing(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return len(html.encode())


def say_written(console: Console, path: Path, size: int, seconds: float) -> None:
    """That a page was written, how large it is and how long it took."""
    more = f"  {size / 1e6:.1f} MB, {seconds:.0f} s"
    console.print(written(path, "Page saved", more), soft_wrap=True)


def make_site(
    console: Console,
    subjects: list[Subject],
    folder: Path,
    seed: int | None,
    device: Device | None,
    course: str = "",
) -> None:
    """All pages, and those that lead to them.

    Args:
        course: the name of one whose lessons are among them.

    Raises:
        TutorError: some could not be made; all others are there.
    """
    from ddpm_tutor.pages.site import index_page, ledger_page, symbols_page, unlinked

    needed, began = [expected(subject) for subject in subjects], time.perf_counter()
    pages, broken = dict[str, str](), list[str]()
    for number, subject in enumerate(subjects):
        left = time_left(time.perf_counter() - began, needed, number)
        before = f"{subject.name} ({number + 1} of {len(subjects)}, {left}): "
        started, path = time.perf_counter(), folder / f"{subject.file}.html"
        try:
            values = shared_settings(subject, seed, device)
            links = neighbours(subjects, number)
            html = recorded_page(console, subject, values, links=links, before=before)
            say_written(console, path, save(path, html), time.perf_counter() - started)
            pages[subject.file] = html
        except Exception as error:  # one page stops no other
            broken.append(f"{subject.name}: {first_line(error)}")
            console.print(Text(f"Not made: {broken[-1]}", "red"), soft_wrap=True)
    lessons = {subject.file: subject.lesson for subject in subjects if not subject.entry}
    contents = index_page(lessons, course)
    around = {"symbols": symbols_page(), "ledger": ledger_page(), "index": contents}
    made = pages | around
    for name, html in made.items():
        save(folder / f"{name}.html", unlinked(html, made))
    count = f"  {len(made)} pages"
    console.print(written(folder / "index.html", "Site saved", count), soft_wrap=True)
    if broken:
        raise TutorError("\n".join([f"{len(broken)} of {len(subjects)} pages not made:", *broken]))


def site_subjects(course: "Course | None") -> list[Subject]:
    """What a site has pages of: the lessons of the course and of the package, and the entries."""
    from ddpm_tutor.course.lesson import all_lessons
    from ddpm_tutor.course.paper import all_entries

    lessons = [*(course.lessons if course else ()), *all_lessons()]
    return [*map(Subject, lessons), *(Subject(entry.page, entry) for entry in all_entries())]


def shared_settings(subject: Subject, seed: int | None, device: Device | None) -> dict[str, str]:
    """Seed and device, as far as a lesson has such parameters."""
    from ddpm_tutor.course.lesson import parameters

    known = parameters(subject.lesson)
    return lesson_settings(subject.lesson, [], seed if "seed" in known else None, device)


def neighbours(subjects: list[Subject], number: int) -> "list[Link]":
    """The lesson, or the entry, before it and after it."""
    from ddpm_tutor.pages.page import Link

    found = [Link("index.html", "lessons and paper", "Contents")]
    for at, kind in ((number - 1, "Before"), (number + 1, "Next")):
        other = subjects[at] if 0 <= at < len(subjects) else None
        if other and bool(other.entry) == bool(subjects[number].entry):
            found.append(Link(f"{other.file}.html", other.lesson.steps[0].title, kind))
    return found


def expected(subject: Subject) -> float:
    """The seconds that its page may take."""
    guess = ENTRY_SECONDS if subject.entry else LESSON_SECONDS
    return sum(known_seconds(subject).values()) or guess


def time_left(spent: float, needed: list[float], done: int) -> str:
    """How long the other pages may take, at the pace so far."""
    from ddpm_tutor.screen.prose import duration

    pace = spent / sum(needed[:done]) if done else 1.0
    return f"about {duration(pace * sum(needed[done:]))} left"
