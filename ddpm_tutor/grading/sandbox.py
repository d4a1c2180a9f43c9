"""The check of a learner's file, in a process of its own: whatever happens there, we go on.

The process is `python -m ddpm_tutor.grading.sandbox EXERCISE FILE FOLDER`. Its verdict comes
back in a file, so that what the learner's code prints is only ever print.
"""

import faulthandler
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ddpm_tutor.course.exercise import Exercise, read_answer, read_exercise
from ddpm_tutor.errors import TutorError
from ddpm_tutor.grading.verdict import Verdict

MAX_SECONDS = 20.0  # for the learner's code; a right answer takes under one
MAX_START_SECONDS = 120.0  # for Python and torch to load, on a slow machine
MAX_MEMORY = 2 * 1024**3  # bytes beyond what torch itself takes
MAX_PRINTED = 2000  # characters of what the code printed
VERDICT, TRACE, READY = "verdict.json", "trace.txt", "ready"


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
    source = read_answer(path)
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
                code = child.wait(MAX_START_SECONDS + 2 * seconds)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                child.kill()
                child.wait()
        words = (folder / "printed").read_text(encoding="utf-8", errors="replace")
        return Checked(verdict_in(folder, path, source, code), words[:MAX_PRINTED].strip(), source)


def verdict_in(folder: Path, path: Path, source: str, code: int | None) -> Verdict:
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
    if "Timeout" in trace or code is None:
        return Verdict("stopped", "It does not come to an end: it was stopped here.", line)
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
    limit_memory()
    # a loop without an end is stopped from outside the interpreter, which says where it was
    with open(Path(folder) / TRACE, "w") as trace:
        faulthandler.enable(trace)
        seconds = float(os.environ["DDPM_TUTOR_SECONDS"])
        faulthandler.dump_traceback_later(seconds, exit=True, file=trace)
        (Path(folder) / READY).touch()
        verdict = judge(exercise, source, Path(path))
        faulthandler.cancel_dump_traceback_later()
        faulthandler.disable()
        (Path(folder) / VERDICT).write_text(verdict.to_json(), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)  # threads that the learner's code has left do not keep us


if __name__ == "__main__":
    main(*sys.argv[1:])
