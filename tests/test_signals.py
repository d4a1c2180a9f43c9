"""What asks a command to end is obeyed: Ctrl-C, the end of a job, a closed terminal.

The commands run in processes that have loaded torch already.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch
from forks import end_of, forked
from survivor import command

from ddpm_tutor.cli import signals
from ddpm_tutor.cli.signals import signals_by_name, signals_to
from ddpm_tutor.errors import Stopped, notice

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork"),
]
TRAIN = ["train", "--width", "4", "--batch-size", "8", "--run-dir", "run", "--device", "cpu"]
ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """An empty folder to work in, with nobody's progress and nothing to download from."""
    folder = tmp_path / "place"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DDPM_TUTOR_DATA", raising=False)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    return folder


def started(
    words: list[str], terminal: str | None = None, ignored: tuple[int, ...] = ()
) -> ForkServerProcess:
    """The command in a process of its own, here; what it says goes into out and err."""
    return forked(command, words, Path.cwd(), dict(os.environ), terminal, ignored)


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def steps_in(folder: Path) -> int:
    """The step of the last save."""
    return torch.load(folder / "state.pt", weights_only=True)["step"]


def said(name: str) -> str:
    return Path(name).read_text()


@pytest.mark.parametrize(("number", "code"), ENDS.items(), ids=[n.name for n in ENDS])
def test_a_training_is_saved_after_the_step(tiny_mnist, number, code) -> None:
    words = [*TRAIN, "--data", str(tiny_mnist), "--epochs", "50"]
    child = started(words)
    wait_until(lambda: Path("run/film_strip.gif").exists())
    time.sleep(0.2)
    os.kill(child.pid, number)
    assert end_of(child) == code
    assert "Stopped and saved" in said("out") and "Traceback" not in said("err")
    assert steps_in(Path("run")) > 0
    assert [path.name for path in Path("run").glob(".*")] == [".lock"]


def test_a_closed_terminal_stops_and_saves_a_training(tiny_mnist) -> None:
    ours, theirs = os.openpty()
    words = [*TRAIN, "--data", str(tiny_mnist), "--epochs", "50"]
    child = started(words, os.ttyname(theirs))
    wait_until(lambda: Path("run/film_strip.gif").exists())
    time.sleep(0.5)
    os.close(ours)
    assert end_of(child) == 129
    assert steps_in(Path("run")) > 0


def test_a_hangup_that_is_ignored_stays_so(tiny_mnist) -> None:
    words = [*TRAIN, "--data", str(tiny_mnist), "--epochs", "50"]
    child = started(words, ignored=(signal.SIGHUP,))  # as nohup does
    wait_until(lambda: Path("run/film_strip.gif").exists())
    os.kill(child.pid, signal.SIGHUP)
    time.sleep(0.5)
    assert child.is_alive()
    os.kill(child.pid, signal.SIGTERM)
    assert end_of(child) == 143 and "Terminated." in said("err")


def children_of(pid: int) -> list[int]:
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in file.read_text().split()] if file.exists() else []


# the film strip of a training takes most of the time of so small a one
SHORT_FILM = """
from ddpm_tutor.cli import main
from ddpm_tutor.storage import film_strip
film_strip.STEPS = 2
main()
"""


@pytest.mark.parametrize("who", ["torchrun", "the second process"])
def test_several_processes_stop_after_the_same_step(tiny_mnist, tmp_path, who) -> None:
    if who != "torchrun" and not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        pytest.skip("this system does not tell whose child a process is")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    words = [*TRAIN, "--data", str(tiny_mnist), "--epochs", "500"]
    script = tmp_path / "short_film.py"
    script.write_text(SHORT_FILM)
    process = subprocess.Popen(
        [*torchrun, "--standalone", script, *words],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: Path("run/film_strip.gif").exists())
    time.sleep(0.5)
    target = process.pid if who == "torchrun" else max(children_of(process.pid))
    os.kill(target, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert out.count("Stopped and saved") == 1, out + err
    assert "Connection closed" not in err and "has no attribute" not in err
    assert steps_in(Path("run")) > 0
    assert [path.name for path in Path("run").glob(".*")] == [".lock"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda n: n.name)
def test_half_an_npz_is_removed(place, number) -> None:
    child = started(["sample", "--digit", "3", "-n", "500", "--npz", "x.npz", "--device", "cpu"])
    wait_until(lambda: list(place.glob(".x-*.npz")))
    time.sleep(0.3)
    os.kill(child.pid, number)
    assert end_of(child) == ENDS[number]
    assert said("err") == f"{signal.strsignal(number)}.\n"
    assert {path.name for path in place.iterdir()} == {"out", "err"}


def test_an_evaluation_leaves_no_pictures_behind(place) -> None:
    child = started(["evaluate", "--device", "cpu"])
    wait_until(lambda: (place / "evaluation").exists())
    time.sleep(0.3)
    os.kill(child.pid, signal.SIGTERM)
    assert end_of(child) == 143
    assert not list((place / "evaluation").iterdir())


def test_a_check_leaves_neither_process_nor_folder_behind(place, tmp_path, monkeypatch) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    assert end_of(started(["exercise", "start", "2"])) == 0
    (file,) = place.glob("exercises/*.py")
    file.write_text("import os, time\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(99)\n")
    child = started(["exercise", "check", "2"])
    wait_until(lambda: Path("pid").exists() and said("pid"))
    sandbox = int(said("pid"))
    os.kill(child.pid, signal.SIGTERM)
    assert end_of(child) == 143
    with pytest.raises(ProcessLookupError):
        os.kill(sandbox, 0)
    assert not list(temporary.iterdir())


def test_an_import_that_a_signal_broke_is_no_error() -> None:
    with pytest.raises(Stopped) as raised, signals_by_name():
        with pytest.raises(Stopped):  # as where an extension is initialised
            signal.raise_signal(signal.SIGTERM)
        raise ImportError("half a module")
    assert raised.value.code == 143


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_library_swallows_comes_again(number, monkeypatch) -> None:
    monkeypatch.setattr(signals, "LOST", 0.1)
    monkeypatch.setattr(signals, "AT_ONCE", 0.05)
    with pytest.raises((KeyboardInterrupt, Stopped)), signals_by_name():
        with pytest.raises((KeyboardInterrupt, Stopped)):  # as a bare `except:` in an import
            signal.raise_signal(number)
        with pytest.raises((KeyboardInterrupt, Stopped)):
            wait_until(lambda: False)
        wait_until(lambda: False)


def test_a_signal_that_somebody_sees_to_does_not_come_again(monkeypatch) -> None:
    monkeypatch.setattr(signals, "LOST", 0.05)
    with signals_by_name():
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as pressed:
            notice(pressed)
        time.sleep(0.2)
    with signals_by_name(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)  # and then the command ends by itself
    time.sleep(0.2)


def test_a_second_hangup_does_not_disturb_the_tidying_up() -> None:
    tidied = []
    with pytest.raises(Stopped) as raised, signals_by_name():
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            tidied.append(1)
    assert raised.value.code == 129 and tidied


def test_signals_are_handed_back() -> None:
    before = [signal.getsignal(number) for number in ENDS]
    with signals_to(lambda number, frame: None):
        assert all(signal.getsignal(number) not in before for number in ENDS)
    assert [signal.getsignal(number) for number in ENDS] == before
