"""A training that is killed at any moment leaves a whole checkpoint and goes on to the same end.

`DDPM_TUTOR_KILLS=100 python -m pytest tests/test_survival.py -s` kills more often, and says when.
"""

import dataclasses
import errno
import os
import pty
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import remove_leftovers
from ddpm_tutor.science.checkpoints import load_checkpoint
from ddpm_tutor.science.run import Run, RunSettings, read_epoch
from ddpm_tutor.science.training import StepReport, TrainingConfig

CPU = torch.device("cpu")
# five steps an epoch, 30 in all
SETTINGS = RunSettings("unet", 4, True, TrainingConfig(epochs=6, batch_size=8, lr=1e-3))
KILLS = int(os.environ.get("DDPM_TUTOR_KILLS", "12"))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")


def train(folder: Path, digits, steps: int | None = None, pause: float = 0) -> None:
    """Starts the run in `folder`, or goes on with it, so many steps; saves and rests after each."""
    started = (folder / "state.pt").exists()
    run = (Run.resume if started else Run.start)(folder, SETTINGS, CPU)
    with run.exclusive():
        end = None if steps is None else run.state.step + steps
        for report in run.train(digits):
            if isinstance(report, StepReport):
                run.save()
                time.sleep(pause)
                if report.step == end:
                    return


def forked(work: Callable[[], object], fork: Callable[[], int] = os.fork) -> int:
    """Does `work` in a process of its own, which ends with 0, or 1 after an error; its id."""
    child = fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
            work()
            code = 0
        finally:
            os._exit(code)
    return child


def end_of(child: int) -> int:
    """Waits for a process: its exit code, or the negative number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after(child: int, seconds: float) -> bool:
    """Lets a process live for so long; whether it was killed before it had come to its end."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0
            return False
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + 60
    while not file.exists():
        assert time.monotonic() < deadline, f"no {file}"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def one_thread():
    """The arithmetic of all the processes is to be the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("straight") / "run"


@pytest.fixture
def straight(made_once, one_thread, digits) -> Path:
    """A run that nobody disturbed.

    It also makes this process import what PyTorch imports late, once and not in every fork.
    """
    if not made_once.exists():
        train(made_once, digits)
    return made_once


def contents(folder: Path) -> dict[str, object]:
    """All that a run holds, by name, without what a clock says."""
    state = torch.load(folder / "state.pt", weights_only=True)
    weights = load_checkpoint(folder / "weights.safetensors")
    tensors = {f"weights {k}": v for k, v in weights.model.state_dict().items()}
    for part in ("model", "ema"):
        tensors |= {f"{part} {name}": tensor for name, tensor in state[part].items()}
    for number, moments in state["optimizer"]["state"].items():
        tensors |= {f"optimizer {number} {name}": value for name, value in moments.items()}
    logs = state["log"], (folder / "log.jsonl").read_text().splitlines()
    history = [
        [dataclasses.replace(read_epoch(line), seconds=0, images_per_second=0) for line in log]
        for log in logs
    ]
    return {**tensors, "step": state["step"], "images": state["images"], "history": history}


def assert_same_run(one: Path, other: Path) -> None:
    """Bit for bit."""
    ours, theirs = contents(one), contents(other)
    assert ours.keys() == theirs.keys() and len(ours) > 100
    for name, value in ours.items():
        same = torch.equal(value, theirs[name]) if torch.is_tensor(value) else value == theirs[name]
        assert same, name


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_killed_at_random_moments_it_comes_to_the_same_end(tmp_path, digits, straight):
    folder, chance = tmp_path / "killed", random.Random(KILLS)
    kills, during_a_save, steps, ends = 0, 0, [0], 0
    while kills < KILLS:
        child = forked(partial(train, folder, digits))
        if not killed_after(child, chance.uniform(0.02, 1)):
            assert_same_run(folder, straight)
            folder, ends = tmp_path / f"killed {ends}", ends + 1
            steps.append(0)
            continue
        kills += 1
        if (folder / "state.pt").exists():
            during_a_save += hidden(folder) != [".lock"]
            steps.append(Run.resume(folder, SETTINGS, CPU).state.step)
            assert steps[-1] == 1 or steps[-1] >= steps[-2]
            if (folder / "weights.safetensors").exists():
                load_checkpoint(folder / "weights.safetensors")
    train(folder, digits)
    assert_same_run(folder, straight)
    assert hidden(folder) == [".lock"]
    inside = sum(step % 5 != 0 for step in steps)
    print(f"{kills} kills, {during_a_save} during a save, {inside} inside an epoch")


def stopping_at(moment: int, how: str) -> None:
    """Lets the call number `moment` of those that put files in place fail, or end the process."""
    calls: list[int] = []

    def watched(call):
        def instead(*words, **named):
            calls.append(1)
            if len(calls) == moment and how == "killed":
                os._exit(9)
            if len(calls) == moment:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return call(*words, **named)

        return instead

    for name in ("fsync", "replace", "chmod"):
        setattr(os, name, watched(getattr(os, name)))


@pytest.mark.parametrize("how", ["killed", "disk full"])
def test_whatever_moment_of_a_save_it_is(tmp_path, digits, straight, how):
    train(tmp_path / "before", digits, steps=7)
    moment, code = 0, 1
    while code:  # the last time, the save has fewer moments than that and is done
        moment += 1
        folder = tmp_path / str(moment)
        shutil.copytree(tmp_path / "before", folder)

        def disturbed(folder=folder, moment=moment):
            stopping_at(moment, how)
            train(folder, digits, steps=1)

        code = end_of(forked(disturbed))
        assert code in (0, 9 if how == "killed" else 1) and moment < 50
        assert how == "killed" or hidden(folder) == [".lock"]
        assert Run.resume(folder, SETTINGS, CPU).state.step in (7, 8)
        load_checkpoint(folder / "weights.safetensors")
    assert moment > 12
    print(f"{moment - 1} moments")
    train(folder, digits)
    assert_same_run(folder, straight)


def test_a_run_killed_in_its_first_save_is_no_dead_end(tmp_path, digits, straight):
    for moment in range(1, 14):
        folder = tmp_path / str(moment)

        def disturbed(folder=folder, moment=moment):
            stopping_at(moment, "killed")
            train(folder, digits, steps=1)

        assert end_of(forked(disturbed)) == 9
        train(folder, digits, steps=1)
        assert (folder / "weights.safetensors").exists() and hidden(folder) == [".lock"]


def test_signals_and_a_pulled_terminal_leave_a_whole_run(tmp_path, digits, straight):
    folder, terminals = tmp_path / "run", []

    def slowly() -> None:  # 3 seconds at least: no machine is done before the signals have come
        train(folder, digits, pause=0.1)

    def in_a_terminal() -> int:
        child, terminal = pty.fork()
        terminals.append(terminal)
        return child

    for number in (signal.SIGTERM, signal.SIGINT):
        child = forked(slowly)
        wait_for(folder / "state.pt")
        time.sleep(0.2)
        os.kill(child, number)
        assert end_of(child) in (-number, 1)  # Python makes an exception of Ctrl-C
    child = forked(slowly, in_a_terminal)
    time.sleep(0.5)
    os.close(terminals[0])
    assert end_of(child) == -signal.SIGHUP
    train(folder, digits)
    assert_same_run(folder, straight)


@pytest.mark.parametrize("place", [200, 50_000, -2000])
def test_a_state_with_another_bit_is_not_gone_on_with(tmp_path, digits, place):
    train(tmp_path / "run", digits, steps=1)
    file = tmp_path / "run" / "state.pt"
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    with pytest.raises(TutorError, match=r"state\.pt is damaged"):
        Run.resume(tmp_path / "run", SETTINGS, CPU)


def test_two_trainings_in_one_folder_the_second_is_refused(tmp_path, digits):
    run = Run.start(tmp_path / "run", SETTINGS, CPU)
    script = (
        "import sys, torch; from pathlib import Path\n"
        "from tests.test_survival import SETTINGS\n"
        "from ddpm_tutor.science.run import Run\n"
        "with Run(Path(sys.argv[1]), SETTINGS, torch.device('cpu')).exclusive(): print('in')"
    )
    command = [sys.executable, "-c", script, str(run.folder)]
    place = Path(__file__).parents[1]
    with run.exclusive():
        second = subprocess.run(command, capture_output=True, text=True, cwd=place, timeout=60)
        assert "Another process is training in" in second.stderr and second.stdout != "in\n"
    second = subprocess.run(command, capture_output=True, text=True, cwd=place, timeout=60)
    assert second.stdout == "in\n"


def test_the_lock_of_a_dead_process_is_not_in_the_way(tmp_path, digits):
    folder = tmp_path / "run"
    child = forked(lambda: train(folder, digits))
    wait_for(folder / ".lock")
    os.kill(child, signal.SIGKILL)
    assert end_of(child) == -signal.SIGKILL
    with Run(folder, SETTINGS, CPU).exclusive():
        pass


def test_leftovers_of_a_killed_save_go_and_nothing_else_does(tmp_path):
    names = ["state.pt", ".state-abc12_xy.pt", ".lock", ".state-mine.pt", ".other-abc12_xy.pt"]
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, ["state.pt"])
    names.remove(".state-abc12_xy.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_lock_taken_after_another_training_has_saved_is_given_back(tmp_path):
    other = Run.start(tmp_path / "run", SETTINGS, CPU)
    other.save()
    late = Run.resume(tmp_path / "run", SETTINGS, CPU)
    other.save()
    with pytest.raises(TutorError, match="has trained in"), late.exclusive():
        pass
    with Run.resume(tmp_path / "run", SETTINGS, CPU).exclusive():
        pass


def test_a_second_lock_in_the_same_process_says_the_same(tmp_path):
    run = Run.start(tmp_path / "run", SETTINGS, CPU)
    other = Run(tmp_path / "run", SETTINGS, CPU)
    with (
        run.exclusive(),
        pytest.raises(TutorError, match="choose another --run-dir"),
        other.exclusive(),
    ):
        pass
