"""The check of code from elsewhere, many files one after another, with no way to one's own things.

Python and torch take seconds to load, a check a tenth of one. So a process loads them once, and
forks for each check: `python -m ddpm_tutor.grading.strangers` reads an order a line and answers
when the check has ended. It sees none of the teacher's settings and progress: its home is an empty
folder. Where processes cannot be forked safely, each check loads torch anew.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddpm_tutor.course.exercise import Exercise, find_exercise, read_exercise
from ddpm_tutor.errors import TutorError
from ddpm_tutor.grading.sandbox import (
    MAX_SECONDS,
    READY,
    WAITING,
    end_with,
    verdict_in,
)
from ddpm_tutor.grading.verdict import Verdict

FORKS = sys.platform == "linux"  # a Mac's libraries do not outlive a fork
KEPT = (  # of the environment: what Python and torch need to load
    "PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH",
    "SYSTEMROOT", "LANG", "LC_ALL", "TZ", "TMPDIR", "TEMP", "TMP",
)  # fmt: skip
MAX_FILE = 1_000_000  # bytes of what a check prints
LOOK_SECONDS = 0.005  # between two looks whether a check has ended


@dataclass(frozen=True)
class Check:
    """How a check of a stranger's code came out."""

    verdict: Verdict
    processor: float  # seconds of computing
    wall: float  # seconds on the clock


class Checker:
    """Checks one file after another, each in a process of its own. Close it, or use `with`."""

    def __init__(self) -> None:
        self.home = tempfile.TemporaryDirectory(prefix="ddpm-tutor-")
        self.server: subprocess.Popen[str] | None = None
        self.closed = False

    def __enter__(self) -> "Checker":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what runs, and removes its folder."""
        self.closed = True
        self.stop()
        self.home.cleanup()

    def stop(self) -> None:
        """Ends the process that forks, and the check that runs in it."""
        server, self.server = self.server, None
        if server is None:
            return
        server.terminate()
        try:
            server.wait(5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        for pipe in (server.stdin, server.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]

    def check(self, exercise: Exercise, path: Path, seconds: float = MAX_SECONDS) -> Check:
        """Checks the file at `path`: it may compute for so many seconds, and wait for six times
        as many.

        Raises:
            TutorError: no check can be started here.
        """
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="ddpm-tutor-") as folder:
            order = [str(exercise.path.resolve()), str(path.resolve()), folder, seconds]
            code, processor = self.ended(order)
            source = path.read_text(encoding="utf-8", errors="replace")
            verdict = verdict_in(Path(folder), Path(path.name), source, code, seconds)
        return Check(verdict, processor, time.perf_counter() - started)

    def ended(self, order: list[Any]) -> tuple[int | None, float]:
        """Has the check done; its exit code, None where it was stopped, and seconds of computing.

        Raises:
            TutorError: the process that forks could not start, or has ended twice.
        """
        for _ in range(2):  # the system may end it, in the place of a child, for want of memory
            if self.closed:
                break
            server = self.server = self.server or self.start()
            assert server.stdin is not None and server.stdout is not None
            try:
                server.stdin.write(json.dumps(order) + "\n")
                server.stdin.flush()
                code, processor = json.loads(server.stdout.readline())
                return code, processor
            except (OSError, ValueError):
                self.stop()
            if (Path(order[2]) / READY).exists():
                return -int(signal.SIGTERM), 0.0
        raise TutorError(
            "No check could start: Python or torch did not load.\nTry: ddpm-tutor info"
        )

    def start(self) -> "subprocess.Popen[str]":
        """The process that forks; it is ready when it answers."""
        home = self.home.name
        names = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_DATA_HOME",
                 "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR")  # fmt: skip
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        environment |= dict.fromkeys(names, home)
        # one thread a check: several run side by side. A GPU does not outlive a fork
        environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONUTF8": "1"}
        return subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            encoding="utf-8", env=environment, cwd=home,
            start_new_session=os.name == "posix",  # Ctrl-C is for us, and we end it
        )  # fmt: skip


def judge_stranger(exercise_file: str, path: str, folder: str, seconds: float) -> None:
    """Judges a file in this process, guarded and within its limits, and ends the process."""
    import torch

    from ddpm_tutor.grading.guard import guard
    from ddpm_tutor.grading.judge import judge

    exercise, file = read_exercise(Path(exercise_file)), Path(path)
    source = file.read_text(encoding="utf-8")
    os.chdir(file.parent)  # what stands beside it can be imported
    torch.set_num_threads(1)
    limit_more(seconds)

    def verdict() -> Verdict:
        lift = guard()
        try:
            return judge(exercise, source, Path(file.name), pictures=False)
        finally:
            lift()

    end_with(verdict, folder, seconds)


def limit_more(seconds: float) -> None:
    """Limits that code cannot lift again: of computing, and of what it may print."""
    try:
        import resource

        most = int(seconds) + 2
        resource.setrlimit(resource.RLIMIT_CPU, (most, most + 1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_FILE, MAX_FILE))
    except (ImportError, OSError, ValueError):
        pass  # Windows: the clock has to do


def fork_and_wait(order: list[Any]) -> tuple[int | None, float]:
    """One check in a fork of this process; its exit code, or None, and its computing."""
    folder, seconds = order[2], order[3]
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setsid()  # a group of its own, so that what it starts ends with it
        printed = os.open(Path(folder) / "printed", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        try:
            judge_stranger(*order)
        finally:
            os._exit(1)

    def end(*_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)

    def end_all(*_: object) -> None:
        end()
        os._exit(1)

    signal.signal(signal.SIGTERM, end_all)
    until = time.monotonic() + 2 * WAITING * seconds
    code = None
    while True:
        ended, status, usage = os.wait4(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            break
        if time.monotonic() > until:
            break
        time.sleep(LOOK_SECONDS)
    end()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if code is None:
        _, _, usage = os.wait4(child, 0)
    return code, usage.ru_utime + usage.ru_stime


def load_and_wait(order: list[Any]) -> tuple[int | None, float]:
    """One check in a new process, where none is forked."""
    started, seconds = time.perf_counter(), order[3]
    command = [sys.executable, "-P", "-m", __name__, *map(str, order)]
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        code: int | None = child.wait(120 + 2 * WAITING * seconds)
    except subprocess.TimeoutExpired:
        code = None
    child.kill()
    child.wait()
    return code, time.perf_counter() - started


def serve() -> None:
    """Checks what is asked for, a line each, until the input ends."""
    done = load_and_wait
    if FORKS:
        import torch

        from ddpm_tutor.grading.judge import judge

        torch.set_num_threads(1)
        for number in ("2", "9"):  # what loads late loads now, once
            known = find_exercise(number)
            judge(known, known.solved(), Path(f"{known.name}.py"), pictures=False)
        done = fork_and_wait
    for line in sys.stdin:
        print(json.dumps(done(json.loads(line))), flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        exercise_file, path, folder, seconds = sys.argv[1:]
        judge_stranger(exercise_file, path, folder, float(seconds))
    serve()
