"""Stepping one learner through a lesson, one key at a time."""

import code
import contextlib
import inspect
import io
import time
from collections.abc import Callable

from rich.console import RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.rule import Rule
from rich.text import Text

from ddpm_tutor.classroom.session import Session, ends_blank, show, using
from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import (
    Lesson,
    Step,
    compile_cell,
    new_namespace,
    override_parameters,
    shown_source,
)
from ddpm_tutor.errors import Stopped, TutorError, UsageError, is_device_error, line_in
from ddpm_tutor.screen.keyboard import forget_keys, showing_keys
from ddpm_tutor.screen.prose import (
    PROSE_WIDTH,
    Prose,
    folded,
    highlighted,
    used_functions,
    without_title,
)

KEYS = {
    "Enter": "next",
    "b": "back",
    "r": "run again",
    "p": "play",
    "s": "source",
    "?": "help",
    "q": "quit",
}
HELP = """\
Enter  go on to the next step; its code runs as it opens; also Space, →, ↓, Page Down
b      back: the step before, as it was shown; also ←, ↑, Page Up
r      run this step again
p      play: a Python with the lesson's variables; Ctrl-D comes back
s      the source of a function that this step used
?      this help
q      quit; the same command offers to go on from here"""


NEXT = ("\r", " ", "right", "down", "page down")
BACK = ("b", "left", "up", "page up")


class LessonError(TutorError):
    """The lesson's own code failed; says in which line of the lesson file."""


class Stepper:
    """Runs a lesson's steps and keeps what each has shown.

    Args:
        keys: reads one key from the learner, as `read_key` does; None runs straight through.
        settings: parameters to override, as text.
        at_step: told the number of each step when it begins.
    """

    def __init__(
        self,
        lesson: Lesson,
        session: Session,
        *,
        keys: Callable[[], str] | None = None,
        settings: dict[str, str] | None = None,
        at_step: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.lesson, self.session, self.keys, self.at_step = lesson, session, keys, at_step
        self.settings = settings or {}
        self.namespace = new_namespace(lesson)
        self.shown: dict[int, list[RenderableType]] = {}  # step -> what its code displayed

    def run(self, start: int = 1) -> bool:
        """Steps from number `start` to the end; True when the end was reached.

        Raises:
            UsageError: there is no such step.
            LessonError: the lesson's code failed and nobody is there to look into it.
        """
        count = len(self.lesson.steps)
        if not 1 <= start <= count:
            raise UsageError(f"This lesson has steps 1 to {count}; there is no step {start}.")
        with using(self.session):
            self._catch_up(start)
            number = start
            while number <= count:
                self.at_step(number)
                self._present(number)
                move = self._prompt(number) if self.keys else 1
                if move == 0:
                    return False
                number = max(1, number + move)
        return True

    def _catch_up(self, start: int) -> None:
        """Runs the code before step `start` without showing anything."""
        if start == 1:
            return
        working = f"Running the code of steps 1 to {start - 1} first ..."
        self.session.console.print(Text(working, style="dim"))
        self.session.silent = True  # but the progress bars stay
        try:
            for number in range(1, start):
                self._execute(number)
        finally:
            self.session.silent = False

    def _present(self, number: int) -> None:
        """Shows a step; its code runs the first time only."""
        step, console = self.lesson.steps[number - 1], self.session.console
        console.print()
        title = f"{number} of {len(self.lesson.steps)} · {step.title}"
        console.print(Rule(Text(title, style="bold"), align="left", style="cyan"))
        if prose := without_title(step.prose):
            width = min(console.width, PROSE_WIDTH)
            console.print(Padding(Prose(prose), (1, 0, 0, 0)), width=width)
        if number in self.shown:
            for renderable in self.shown[number]:
                console.print(renderable)
        elif step.code:
            self._execute_or_explain(number)

    def _show_code(self, cell: Cell) -> None:
        source = shown_source(cell)
        if source:
            self.session.gap()
            self.session.print(Padding(highlighted(source), (0, 0, 1, 2)))

    def _execute_or_explain(self, number: int) -> None:
        """Runs a step; with a learner present an error is shown and can be looked into."""
        try:
            self._execute(number)
        except LessonError as error:
            if self.keys is None:
                raise
            self.session.print(Panel(Text(str(error)), title="Error", border_style="red"))

    def _execute(self, number: int) -> None:
        """Runs the code cells of a step, showing each before its output."""
        self.session.shown, self.session.thinking = [], 0.0
        started = time.perf_counter()
        try:
            for cell in self.lesson.steps[number - 1].code:
                self._show_code(cell)
                self._run_cell(cell)
        finally:
            self.shown[number] = self.session.shown
            # what comes after rests on this step: it runs again when the learner gets there
            self.shown = {n: shown for n, shown in self.shown.items() if n <= number}
        seconds = time.perf_counter() - started - self.session.thinking
        if seconds >= 1:
            self.session.print(Text(f"ran in {seconds:.1f} s", style="dim", justify="right"))

    def _run_cell(self, cell: Cell) -> None:
        statements, last = compile_cell(cell, self.lesson.path)
        output = _PrintedText(self.session)
        try:
            with contextlib.redirect_stdout(output):
                exec(statements, self.namespace)
                if cell.is_parameters:
                    override_parameters(self.namespace, self.settings)
                value = eval(last, self.namespace) if last else None
        except (TutorError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise LessonError(self._where(error)) from error
        finally:
            output.close()
        if cell.is_parameters and self.settings:
            chosen = ", ".join(f"{name} = {self.namespace[name]!r}" for name in self.settings)
            self.session.print(Text(f"set by you: {chosen}", style="yellow"))
        if value is not None:
            show(value)

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
        step = self.lesson.steps[number - 1]
        blank = ends_blank(self.shown.get(number, []))
        while True:
            if not blank:
                console.print()
            console.print(key_hints())
            key, blank = self.keys(), False
            if key in NEXT:
                return 1
            if key == "q":
                return 0
            if key in BACK and number > 1:
                return -1
            if key in BACK:
                console.print(Text("This is the first step.", style="dim"))
            elif key == "r" and step.code:
                self._execute_or_explain(number)
                blank = ends_blank(self.shown[number])
            elif key == "r":
                console.print(Text("This step has no code to run.", style="dim"))
            elif key == "p":
                self._play()
            elif key == "s":
                self._show_source(step)
            else:
                forget_keys()  # what came with an unknown key, such as a paste, is not for us
                console.print(Panel(Text(HELP), title="Keys", title_align="left", expand=False))

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

    def _show_source(self, step: Step) -> None:
        """Shows a function of the package that the step called; with several, asks which."""
        console = self.session.console
        functions = used_functions((cell.source for cell in step.code), self.namespace)
        if not functions:
            console.print(Text("This step uses no function of the package.", style="dim"))
            return
        names = list(functions)[:9]
        name = names[0]
        if len(names) > 1:
            choices = "\n".join(f"  {i}  {n}" for i, n in enumerate(names, start=1))
            console.print(Text(f"Which one? Any other key goes back.\n{choices}", style="cyan"))
            key = self.keys() if self.keys else ""
            if not (key.isdigit() and 1 <= int(key) <= len(names)):
                return
            name = names[int(key) - 1]
        where = f"{functions[name].__module__.replace('.', '/')}.py"
        console.print(Rule(Text(where), align="left"))
        source = inspect.getsource(functions[name])
        console.print(highlighted(folded(source, console.width)))
        console.print(Rule())


def key_hints() -> Text:
    """The line of keys below a step."""
    hints = Text()
    for key, meaning in KEYS.items():
        hints.append(key, "bold cyan").append(f" {meaning}   ", "dim")
    hints.rstrip()
    return hints


class _PrintedText(io.TextIOBase):
    """Takes what lesson code prints and shows it line by line through the session."""

    def __init__(self, session: Session) -> None:
        self.session, self.rest = session, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            self.session.print(Text(line))
        return len(text)

    def close(self) -> None:
        if self.rest:
            self.session.print(Text(self.rest))
            self.rest = ""
        super().close()
