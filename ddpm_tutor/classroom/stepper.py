"""Stepping one learner through a lesson, one key at a time."""

import code
import contextlib
import inspect
import io
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from rich.console import RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from ddpm_tutor.classroom.questions import Leave
from ddpm_tutor.classroom.session import Asked, Session, ends_blank, show, using
from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import (
    Lesson,
    Step,
    bounds,
    changeable,
    check_against,
    compile_cell,
    evens,
    new_namespace,
    override_parameters,
    shown_source,
)
from ddpm_tutor.course.paper import Entry, entries_named
from ddpm_tutor.errors import Stopped, TutorError, UsageError, is_device_error, line_in, notice
from ddpm_tutor.screen.keyboard import BACK, NEXT, forget_keys, showing_keys
from ddpm_tutor.screen.prose import (
    HOLD,
    PROSE_WIDTH,
    Code,
    Prose,
    Sentence,
    duration,
    used_functions,
    without_title,
)
from ddpm_tutor.screen.shown import LETTERS, Printed

HELP = """\
Enter   go on to the next step; its code runs as it opens; also Space, →, ↓, Page Down
b       back: the step before, as it was shown; also ←, ↑, Page Up
r       run this step again
c       change a value of this step, and run it again: say first what will become of it
o       after a question: the replies to the other choices
p       play: a Python with the lesson's variables; Ctrl-D comes back
s       the source of a function that this step used
e       the paper's entry on the equation, algorithm or figure that this step names
Ctrl-L  show this step again, such as after the window has changed its size
Ctrl-C  while a step runs: stop it; here: leave
?       this help
q       quit; the same command offers to go on from here"""
REDRAW = "\x0c"  # Ctrl-L
STOPPED = "Stopped. r runs this step again, from its beginning; Enter goes on without it."
QUICK_SECONDS = 0.1  # stands for the time of a step that nobody has timed yet


class LessonError(TutorError):
    """The lesson's own code failed; says in which line of the lesson file."""


class Stepper:
    """Runs a lesson's steps and keeps what each has shown.

    Args:
        keys: reads one key from the learner, as `read_key` does; None runs straight through.
        settings: parameters to override, as text.
        at_step: told the number of each step when it begins.
        at_end: told when the last step has been shown.
        took: told the title of each step that has run, and the seconds that it took.
        expected: the seconds that steps took earlier, by title.
        below: what stands below the prose of a step, by its number.
        open_entry: lets the learner read an entry of the paper, and come back.
        other_keys: keys that end the sitting, and what they mean; `left_by` is the one pressed.
        named: functions of the package that the first step is about, though it runs none.
    """

    left_by = ""

    def __init__(
        self,
        lesson: Lesson,
        session: Session,
        *,
        keys: Callable[[], str] | None = None,
        settings: dict[str, str] | None = None,
        at_step: Callable[[int], None] = lambda number: None,
        at_end: Callable[[], None] = lambda: None,
        took: Callable[[str, float], None] = lambda title, seconds: None,
        expected: Mapping[str, float] | None = None,
        below: Mapping[int, RenderableType] | None = None,
        open_entry: Callable[[Entry], None] | None = None,
        other_keys: Mapping[str, str] | None = None,
        named: Mapping[str, Any] | None = None,
    ) -> None:
        self.lesson, self.session, self.keys = lesson, session, keys
        self.at_step, self.at_end, self.took = at_step, at_end, took
        self.settings, self.expected = dict(settings or {}), expected or {}
        self.changed: dict[int, dict[str, str]] = {}  # line of a cell -> what the learner changed
        self.below, self.open_entry, self.other_keys = below or {}, open_entry, other_keys or {}
        self.named = named or {}
        self.namespace = new_namespace(lesson)
        self.shown: dict[int, list[RenderableType]] = {}  # step -> what its code displayed
        self.asked: dict[int, list[Asked]] = {}  # step -> its questions

    def run(self, start: int = 1) -> bool:
        """Steps from number `start` to the end; True when the end was seen.

        Raises:
            UsageError: there is no such step.
            LessonError: the lesson's code failed and nobody is there to look into it.
        """
        count = len(self.lesson.steps)
        if not 1 <= start <= count:
            raise UsageError(f"This lesson has steps 1 to {count}; there is no step {start}.")
        seen_all = False
        with using(self.session):
            number = self._catch_up(start)
            while number <= count:
                self.at_step(number)
                try:
                    self._present(number)
                    if number == count and not self._unfinished(count + 1):
                        seen_all = True
                        self.at_end()
                    move = self._prompt(number) if self.keys else 1
                except Leave as chosen:
                    move = chosen.move
                if move == 0:
                    return seen_all
                number = max(1, number + move)
        return True

    def ask_alone(self, before: Iterable[Cell], cell: Cell) -> None:
        """Runs cells without showing anything, and then one that asks a question.

        Raises:
            LessonError: a cell failed.
            Leave: the learner has left the question.
        """
        with using(self.session):
            self.session.silent = True
            try:
                for earlier in before:
                    self._run_cell(earlier)
            finally:
                self.session.silent = False
            self._run_cell(cell)

    def record(self, name: str = "") -> dict[int, list[RenderableType]]:
        """Runs the whole lesson without showing anything but the bars; asks nothing.

        Args:
            name: what stands before the number of the step beside the bar.

        Returns:
            what each step with code has shown, by its number: it can be drawn in another form.

        Raises:
            LessonError: the lesson's code failed.
        """
        session, steps = self.session, self.lesson.steps
        session.recording = True
        seconds = [self.expected.get(step.title, QUICK_SECONDS) for step in steps]
        parts = seconds if self.expected else [1.0] * len(steps)
        with using(session), session.bars.bar("", sum(parts)) as bar:
            for number, part in enumerate(parts, start=1):
                self.at_step(number)
                if bar:
                    bar.change(description=f"{name}step {number} of {len(steps)}")
                    if self.expected:
                        bar.expect(sum(seconds[number - 1 :]))
                self._execute(number)
                if bar:
                    bar.advance(part)
        return self.shown

    def _unfinished(self, before: int) -> int | None:
        """The first step before that number whose code was stopped, or left at a question."""
        steps = enumerate(self.lesson.steps[: before - 1], start=1)
        return next((n for n, step in steps if step.code and n not in self.shown), None)

    def _catch_up(self, start: int) -> int:
        """Runs the code before step `start` without showing anything.

        Returns:
            the step to go on with: an earlier one where the learner stopped the work.
        """
        steps = self.lesson.steps[: start - 1]
        seconds = [self.expected.get(step.title, QUICK_SECONDS) for step in steps]
        if not steps:
            return start
        known = [step.title in self.expected for step in steps if step.code]
        about = f", {'about' if all(known) else 'at least'} {duration(sum(seconds))}"
        working = f"Running the code of steps 1 to {start - 1} first{about * any(known)} ..."
        self.session.console.print(Text(working, style="dim"))
        self.session.silent = True  # but the progress bars stay
        number = 1
        try:
            with self.session.bars.bar("", sum(seconds)) as bar:
                for number in range(1, start):
                    if bar:
                        bar.change(description=f"Step {number} of {start - 1}")
                        if any(known):
                            bar.expect(sum(seconds[number - 1 :]))
                    self._execute(number)
                    if bar:
                        bar.advance(seconds[number - 1])
        except KeyboardInterrupt as pressed:
            if self.keys is None:
                raise
            notice(pressed)
            self.session.bars.clear()
            self.session.console.print(Text(f"Stopped in step {number}: on from there.", "yellow"))
            return number
        finally:
            self.session.silent = False
        return start

    def _present(self, number: int) -> None:
        """Shows a step; its code runs the first time only."""
        step, console = self.lesson.steps[number - 1], self.session.console
        console.print()
        title = f"{number} of {len(self.lesson.steps)} · {step.title}"
        console.print(Rule(Text(title, style="bold"), align="left", style="cyan"))
        if prose := without_title(step.prose):
            width = min(console.width, PROSE_WIDTH)
            console.print(Padding(Prose(prose), (1, 0, 0, 0)), width=width)
        if number in self.below:
            console.print(Padding(self.below[number], (1, 0, 0, 0)))
        if number in self.shown:
            for renderable in self.shown[number]:
                self.session.show_again(renderable)
        elif step.code:
            self._execute_or_explain(number)

    def _show_code(self, cell: Cell) -> None:
        source = shown_source(cell)
        if source:
            self.session.gap()
            kind = "parameters" * cell.is_parameters or "change" * cell.is_change
            self.session.print(Padding(Code(source, kind), (0, 0, 1, 2)))

    def _execute_or_explain(self, number: int) -> None:
        """Runs a step; a learner who is present can look into an error, and stop it by Ctrl-C."""
        try:
            self._execute(number)
        except LessonError as error:
            if self.keys is None:
                raise
            words = Text(str(error))
            if (gap := self._unfinished(number)) is not None:
                words.append(f"\nStep {gap} has not run to its end: go back, and let it.")
            self.session.print(Panel(words, title="Error", border_style="red"))
        except KeyboardInterrupt as pressed:
            if self.keys is None:
                raise
            notice(pressed)
            forget_keys()
            self.session.console.print(Text(STOPPED, "yellow"))

    def _execute(self, number: int) -> None:
        """Runs the code cells of a step, showing each before its output.

        A step that is stopped, or left at a question, has not been shown: it runs when it is
        opened again.
        """
        step, session = self.lesson.steps[number - 1], self.session
        session.shown, session.asked, session.thinking = [], [], 0.0
        # what comes after rests on this step: it runs again when the learner gets there
        self.shown = {n: shown for n, shown in self.shown.items() if n < number}
        started = time.perf_counter()
        try:
            for cell in step.code:
                self._show_code(cell)
                self._run_cell(cell)
        except LessonError:
            self.shown[number] = session.shown
            raise
        self.shown[number], self.asked[number] = session.shown, session.asked
        seconds = time.perf_counter() - started - session.thinking
        if step.code:
            self.took(step.title, seconds)
        if seconds >= 1:
            session.print(Text(f"ran in {seconds:.1f} s", style="dim", justify="right"))

    def _run_cell(self, cell: Cell) -> None:
        statements, last = compile_cell(cell, self.lesson.path)
        output = _PrintedText(self.session)
        try:
            with self.session.bars.clock("Computing"), contextlib.redirect_stdout(output):
                exec(statements, self.namespace)
                override_parameters(self.namespace, chosen := self._chosen(cell))
                value = eval(last, self.namespace) if last else None
        except (TutorError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise LessonError(self._where(error)) from error
        finally:
            output.close()
        if chosen:
            words = ", ".join(f"{name} = {self.namespace[name]!r}" for name in chosen)
            # who reads what is recorded has set nothing
            by = "for this run" if self.session.recording else "by you"
            self.session.print(Text(f"set {by}: {words}", style="yellow"))
        if value is not None:
            show(value)

    def _chosen(self, cell: Cell) -> dict[str, str]:
        """What the learner has set of the names that a cell assigns, as text."""
        if cell.is_parameters:
            return self.settings
        return self.changed.setdefault(cell.line, {})

    def _where(self, error: Exception) -> str:
        """The error, and the line of the lesson file that it came from."""
        line = line_in(error, self.lesson.path)
        where = f", line {line}" if line else ""
        advice = "\nUse the CPU: --device cpu" if is_device_error(error) else ""
        return f"{self.lesson.path.name}{where}: {type(error).__name__}: {error}{advice}"

    def _prompt(self, number: int) -> int:
        """Waits for a key and does what it says; the steps to move by, 0 to stop."""
        console = self.session.console
        assert self.keys is not None
        blank = ends_blank(self.shown.get(number, []))
        while True:
            if not blank:
                console.print()
            console.print(self._key_hints(number))
            key = self.keys()
            if key in NEXT:
                return 1
            if key == "q":
                return 0
            if key in BACK and number > 1:
                return -1
            if key in self.other_keys:
                self.left_by = key
                return 0
            self._do(key, number)
            blank = key in ("r", REDRAW) and ends_blank(self.shown.get(number, []))

    def _do(self, key: str, number: int) -> None:
        """What a key does that leads to no other step."""
        console, step = self.session.console, self.lesson.steps[number - 1]
        if key in BACK:
            console.print(Text("This is the first step.", style="dim"))
        elif key == "r" and step.code:
            self._execute_or_explain(number)
        elif key == "r":
            console.print(Text("This step has no code to run.", style="dim"))
        elif key == "c":
            self._change(number)
        elif key == "o":
            self._show_other_replies(number)
        elif key == "p":
            self._play()
        elif key == "s":
            self._show_source(step)
        elif key == "e" and self.open_entry:
            self._read_entry(number)
        elif key == REDRAW:
            self._present(number)
        else:
            forget_keys()  # what came with an unknown key, such as a paste, is not for us
            console.print(Panel(Text(HELP), title="Keys", title_align="left", expand=False))

    def _change(self, number: int) -> None:
        """Asks for another value of what the step lets one change, and runs the step with it."""
        step, console, ask = self.lesson.steps[number - 1], self.session.console, self.session.ask
        if ask is None or not (known := changeable(self.lesson, step)):
            console.print(Text("This step has nothing to change. p lets you try anything.", "dim"))
            return
        now = dict(known)  # not as a later step has left them
        for cell in step.code:
            chosen = self._chosen(cell).items()
            override_parameters(now, {name: value for name, value in chosen if name in now})
        console.print(Text("  ".join(f"{name} = {value!r}" for name, value in now.items()), "cyan"))
        try:
            typed = ask("Change what? NAME=VALUE, Enter to leave it: ").strip()
        except EOFError:
            typed = ""
        if not typed:
            return
        name, equals, value = (part.strip() for part in typed.removeprefix("set ").partition("="))
        if not equals and len(known) == 1:  # the value alone
            (name,), value = known, name
        setting = {name: value}
        try:
            check_against(known, setting, "This step", bounds(step.code), evens(step.code))
        except UsageError as error:
            console.print(Text(str(error), "yellow"))
            return
        for cell in step.code:
            if name in changeable(self.lesson, Step("", (cell,))):
                self._chosen(cell)[name] = value
        self._execute_or_explain(number)

    def _play(self) -> None:
        """An interactive Python in the lesson's namespace."""
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  (line editing and history)
        banner = "Python with the lesson's variables. Ctrl-D (or exit()) comes back to the lesson."

        def leave() -> None:  # Python's own exit() would close the terminal's input as well
            raise SystemExit

        before = dict(self.namespace)
        self.namespace |= {"exit": leave, "quit": leave}
        try:
            with showing_keys(True):
                code.interact(banner=banner, local=self.namespace, exitmsg="")
        except SystemExit as end:
            if isinstance(end, Stopped):
                raise
        finally:
            for name in ("exit", "quit"):
                self.namespace.pop(name)
                if name in before:
                    self.namespace[name] = before[name]
        self.session.console.print("Back to the lesson.")

    def functions(self, step: Step) -> dict[str, Any]:
        """The package's functions that a step used, as many as can be chosen by a digit."""
        named = self.named if step is self.lesson.steps[0] else {}
        found = used_functions((cell.source for cell in step.code), self.namespace)
        return dict(islice((dict(named) | found).items(), 9))

    def _which(self, names: list[str]) -> str:
        """The one of these names that the learner means; "" for none. One alone is not asked."""
        if len(names) == 1:
            return names[0]
        choices = "\n".join(f"  {i}  {n}" for i, n in enumerate(names, start=1))
        console = self.session.console
        console.print(Text(f"Which one? Any other key goes back.\n{choices}", style="cyan"))
        key = self.keys() if self.keys else ""
        known = key.isdigit() and 1 <= int(key) <= len(names)
        return names[int(key) - 1] if known else ""

    def _entries(self, step: Step) -> dict[str, Entry]:
        """The entries of what a step names of the paper, as many as can be chosen by a digit."""
        if self.open_entry is None:
            return {}
        named = entries_named("\n".join([step.prose, *(cell.source for cell in step.code)]))
        return {f"{entry.name} · {entry.title}": entry for entry in named[:9]}

    def _read_entry(self, number: int) -> None:
        """Opens the paper's entry on what the step names; with several, asks which."""
        console, entries = self.session.console, self._entries(self.lesson.steps[number - 1])
        if not entries:
            console.print(Text("This step names no equation of the paper.", style="dim"))
        elif (name := self._which(list(entries))) and self.open_entry:
            self.open_entry(entries[name])
            self._present(number)

    def _show_source(self, step: Step) -> None:
        """Shows a function of the package that the step called; with several, asks which."""
        console, functions = self.session.console, self.functions(step)
        if not functions:
            console.print(Text("This step uses no function of the package.", style="dim"))
            return
        if not (name := self._which(list(functions))):
            return
        where = f"{functions[name].__module__.replace('.', '/')}.py"
        console.print(Rule(Text(where), align="left"))
        console.print(Code(inspect.getsource(functions[name])))
        console.print(Rule())

    def _show_other_replies(self, number: int) -> None:
        """Shows what the learner would have read after the choices that were not taken."""
        console, unread = self.session.console, self._unread(number)
        if not unread:
            console.print(Text("There are no other choices here.", style="dim"))
        for asked in unread:
            console.print()
            console.print(Sentence(Text(asked.question, style="bold")))
            for i, (option, reply) in enumerate(asked.options):
                if i not in asked.told:
                    console.print(Sentence(Text.assemble((f"{LETTERS[i]}) {option}", "yellow"))))
                    console.print(Sentence(reply))

    def _unread(self, number: int) -> list[Asked]:
        """The questions of a step that have replies which the learner has not read."""
        asked = self.asked.get(number, []) if number in self.shown else []
        return [each for each in asked if len(each.told) < len(each.options)]

    def _key_hints(self, number: int) -> Sentence:
        """The line of keys below a step: those that do something here."""
        step, hints = self.lesson.steps[number - 1], Text()
        keys = {
            "Enter": "next",
            "b": "back" if number > 1 else "",
            "r": "again" if step.code else "",
            "c": "change" if self.session.ask and changeable(self.lesson, step) else "",
            "o": "other replies" if self._unread(number) else "",
            "p": "play",
            "s": "source" if self.functions(step) else "",
            "e": "paper" if self._entries(step) else "",
            **self.other_keys,
            "?": "help",
            "q": "quit",
        }
        for key, meaning in keys.items():
            if meaning:
                hints.append(key, "bold cyan").append(f"{HOLD}{meaning}", "dim").append("  ")
        hints.rstrip()
        return Sentence(hints)


class _PrintedText(io.TextIOBase):
    """Takes what lesson code prints and shows it line by line through the session."""

    def __init__(self, session: Session) -> None:
        self.session, self.rest = session, ""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        """Where it ends up; rich wants to know when the reader of a pipe has gone."""
        return self.session.console.file.fileno()

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.session.print(Printed(line))
        return len(text)

    def close(self) -> None:
        if self.rest:
            self.session.print(Printed(self.rest))
            self.rest = ""
        super().close()
