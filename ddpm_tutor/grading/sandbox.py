"""The check of a learner's file, in a process of its own: whatever happens there, we go on.

The process is `python -m ddpm_tutor.grading.sandbox EXERCISE FILE FOLDER`. Its verdict comes
back in a file, so that what the learner's code prints is only ever print.
"""

import faulthandler
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, Protocol, TextIO

from ddpm_tutor.course.exercise import Exercise, read_answer, read_exercise
from ddpm_tutor.errors import TutorError
from ddpm_tutor.grading.verdict import Verdict

MAX_SECONDS = 20.0  # of computing, for the learner's code; a right answer takes under one
WAITING = 6  # times as long on the clock: a busy machine is slow, and what sleeps does not compute
MAX_START_SECONDS = 120.0  # for Python and torch to load, on a slow machine
MAX_MEMORY = 2 * 1024**3  # bytes beyond what torch itself takes
MAX_PRINTED = 2000  # characters of what the code printed
# the signal that says so; Windows has none, and there the clock has to do
COMPUTED: int = getattr(signal, "SIGPROF", 0)
VERDICT, TRACE, READY = "verdict.json", "trace.txt", "ready"


class Kept(Protocol):
    """What a process leaves as text: a verdict, or what was found in somebody's project."""

    def to_json(self) -> str: ...


@dataclass(frozen=True)
class Checked:
    """A verdict, and what the learner's code printed on the way."""

    verdict: Verdict
    printed: str
    source: str  # what was checked


def check(exercise: Exercise, path: Path, seconds: float = MAX_SECONDS) -> Checked:
    """Checks the learner's file.

    Raises:
        TutorError: the file cannot be read.
    """
    source = read_answer(path, exercise)
    with tempfile.TemporaryDirectory(prefix="ddpm-tutor-") as name:
        folder = Path(name)
        (folder / "answer.py").write_text(source, encoding="utf-8")
        command = [sys.executable, "-P", "-m", __name__, str(exercise.path), str(path), name]
        environment = os.environ | {"PYTHONUTF8": "1", "DDPM_TUTOR_SECONDS": str(seconds)}
        with open(folder / "printed", "wb") as printed:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=printed, stderr=printed, env=environment
            )
            try:
                code = child.wait(MAX_START_SECONDS + 2 * WAITING * seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                child.kill()
                child.wait()
        words = (folder / "printed").read_text(encoding="utf-8", errors="replace")
        return Checked(
            verdict_in(folder, path, source, code, seconds), words[:MAX_PRINTED].strip(), source
        )


def verdict_in(
    folder: Path, path: Path, source: str, code: int | None, seconds: float = MAX_SECONDS
) -> Verdict:
    """The verdict that the process left in `folder`; or what its end tells, where it left none."""
    try:
        return Verdict.from_json((folder / VERDICT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        pass
    if not (folder / READY).exists():
        raise TutorError(
            "The check could not start: Python or torch did not load.\nTry: ddpm-tutor info"
        )
    trace = (folder / TRACE).read_text(encoding="utf-8", errors="replace")
    # the innermost call comes first
    lines = re.findall(rf'File "{re.escape(str(path))}", line (\d+)', trace)
    line = int(lines[0]) if lines else None
    if code is not None and -code == COMPUTED:
        says = f"It took longer than {seconds:g} s of computing, and was stopped here."
        return Verdict("stopped", f"{says} A right answer takes under 1 s: does a loop end?", line)
    if "Timeout" in trace or code is None:
        says = f"It was not done after {WAITING * seconds:g} s, and was stopped here."
        return Verdict("stopped", f"{says} Does it wait for something?", line)
    if line is None:
        ends = [i for i, text in enumerate(source.splitlines(), 1) if "_exit" in text]
        line = ends[0] if ends else None
    says = "Your code ended Python itself, in the middle of the check."
    if code < 0:
        says = f"Python was ended by the system (signal {-code}); too much memory, perhaps."
    return Verdict("ended", says, line)


def limit_memory() -> None:
    """A list that grows and grows is to stop here, not to take the machine along."""
    try:
        import resource

        with open("/proc/self/status") as status:
            taken = next(int(line.split()[1]) for line in status if line.startswith("VmData"))
        limit = taken * 1024 + MAX_MEMORY
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        if most != resource.RLIM_INFINITY:
            limit = min(limit, most)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))
    except (ImportError, OSError, StopIteration, ValueError):
        pass  # not Linux: the time limit has to do


def limit_time(seconds: float, trace: TextIO) -> None:
    """Stops this process after so many seconds of computing, from outside the interpreter, and
    leaves in `trace` where it was.
    """
    import torch

    faulthandler.enable(trace)
    faulthandler.dump_traceback_later(WAITING * seconds, exit=True, file=trace)
    if COMPUTED:
        torch.set_num_threads(1)  # the time of all threads is counted
        faulthandler.register(COMPUTED, trace, all_threads=False, chain=True)
        signal.setitimer(signal.ITIMER_PROF, seconds)


def leave(verdict: Kept, folder: str) -> None:
    """Puts a verdict, whole, where it is looked for."""
    begun = Path(folder) / f"{VERDICT}.begun"
    begun.write_text(verdict.to_json(), encoding="utf-8")
    begun.replace(Path(folder) / VERDICT)


def main(exercise_file: str, path: str, folder: str) -> None:
    """The process: judges the file and leaves the verdict in `folder`."""
    import torch

    from ddpm_tutor.grading.judge import judge
    from ddpm_tutor.grading.trials import devices_at_hand

    for device in devices_at_hand():
        # drivers and threads take their memory now, not under the limit
        torch.ones(1000, 1000, device=device) @ torch.ones(1000, 1000, device=device)
    exercise = read_exercise(Path(exercise_file))
    source = (Path(folder) / "answer.py").read_text(encoding="utf-8")

    def verdict() -> Verdict:
        return judge(exercise, source, Path(path), first=lambda found: leave(found, folder))

    end_with(verdict, folder, float(os.environ["DDPM_TUTOR_SECONDS"]))


def end_with(judge: Callable[[], Kept], folder: str, seconds: float) -> NoReturn:
    """Judges within the limits, leaves the verdict in `folder`, and ends this process."""
    limit_memory()
    with open(Path(folder) / TRACE, "w") as trace:
        limit_time(seconds, trace)
        (Path(folder) / READY).touch()
        verdict = judge()
        faulthandler.cancel_dump_traceback_later()
        faulthandler.disable()
        leave(verdict, folder)
    sys.stdout.flush()
    os._exit(0)  # threads that the learner's code has left do not keep us


if __name__ == "__main__":
    main(*sys.argv[1:])
