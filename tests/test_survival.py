"""A training that is killed at any moment leaves a whole checkpoint and goes on to the same end.

`DDPM_TUTOR_KILLS=100 python -m pytest tests/test_survival.py -s` kills more often, and says when.
"""

import dataclasses
import os
import random
import shutil
import signal
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
import torch
from forks import end_of, forked
from survivor import (
    CPU,
    SETTINGS,
    enter_run,
    train,
    train_copied,
    train_in_a_terminal,
    train_stopped,
)

from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import remove_leftovers
from ddpm_tutor.storage.checkpoints import load_checkpoint
from ddpm_tutor.storage.training_run import FolderBusy, Run, read_epoch

KILLS = int(os.environ.get("DDPM_TUTOR_KILLS", "12"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork"),
]


def killed_after(child: ForkServerProcess, seconds: float) -> bool:
    """Lets a process live for so long; whether it was killed before it had come to its end."""
    child.join(seconds)
    if child.exitcode is not None:
        assert child.exitcode == 0
        return False
    child.kill()
    child.join()
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
def straight(made_once, one_thread) -> Path:
    """A run that nobody disturbed."""
    if not made_once.exists():
        train(made_once)
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


def test_killed_at_random_moments_it_comes_to_the_same_end(tmp_path, straight):
    folder, chance = tmp_path / "killed", random.Random(KILLS)
    kills, during_a_save, steps, ends = 0, 0, [0], 0
    while kills < KILLS:
        child = forked(train, folder)
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
    train(folder)
    assert_same_run(folder, straight)
    assert hidden(folder) == [".lock"]
    inside = sum(step % 5 != 0 for step in steps)
    print(f"{kills} kills, {during_a_save} during a save, {inside} inside an epoch")


def in_order(copies: Path) -> list[Path]:
    """The copies that `train_copied` has made, the first moment first."""
    return sorted(copies.iterdir(), key=lambda copy: int(copy.name))


def test_killed_at_whatever_moment_of_a_save(tmp_path, straight):
    train(tmp_path / "before", steps=7)
    shutil.copytree(tmp_path / "before", tmp_path / "whole")
    assert end_of(forked(train_copied, tmp_path / "whole", tmp_path / "copies")) == 0
    left = in_order(tmp_path / "copies")
    steps = [Run.resume(folder, SETTINGS, CPU).state.step for folder in left]
    assert len(left) > 12 and steps == sorted(steps) and {7, 8} == set(steps)
    for folder in left:
        load_checkpoint(folder / "weights.safetensors")
    print(f"{len(left)} moments")
    # one process is really killed, when the state is in place and the weights are not
    moment = steps.index(8) + 1
    shutil.copytree(tmp_path / "before", tmp_path / "killed")
    assert end_of(forked(train_stopped, tmp_path / "killed", moment, "killed")) == 9
    killed, copy = ([len(hidden(f)), *sorted(p.name for p in f.iterdir() if p.name[0] != ".")]
                    for f in (tmp_path / "killed", left[moment - 1]))  # fmt: skip
    assert killed == copy
    train(tmp_path / "killed")
    assert_same_run(tmp_path / "killed", straight)


def test_a_disk_that_is_full_at_whatever_moment_of_a_save(tmp_path, straight):
    train(tmp_path / "before", steps=7)
    moment, code = 0, 1
    while code:  # the last time, the save has fewer moments than that and is done
        moment += 2  # an error takes the same way from each
        folder = tmp_path / str(moment)
        shutil.copytree(tmp_path / "before", folder)
        code = end_of(forked(train_stopped, folder, moment, "disk full"))
        assert code in (0, 1) and moment < 50
        assert hidden(folder) == [".lock"]
        assert Run.resume(folder, SETTINGS, CPU).state.step in (7, 8)
        load_checkpoint(folder / "weights.safetensors")
    assert moment > 12
    train(folder)
    assert_same_run(folder, straight)


def test_a_run_killed_in_its_first_save_is_no_dead_end(tmp_path):
    assert end_of(forked(train_copied, tmp_path / "run", tmp_path / "copies")) == 0
    left = in_order(tmp_path / "copies")
    assert len(left) > 12
    for folder in left:
        train(folder, steps=1)
        assert (folder / "weights.safetensors").exists() and hidden(folder) == [".lock"]


def test_signals_and_a_pulled_terminal_leave_a_whole_run(tmp_path, straight):
    folder, slowly = tmp_path / "run", 0.1  # 3 seconds: nobody is done before the signals have come
    for number in (signal.SIGTERM, signal.SIGINT):
        child = forked(train, folder, None, slowly)
        wait_for(folder / "state.pt")
        time.sleep(0.2)
        os.kill(child.pid, number)
        assert end_of(child) in (-number, 1)  # Python makes an exception of Ctrl-C
    ours, theirs = os.openpty()
    before = (folder / "state.pt").stat().st_mtime_ns
    child = forked(train_in_a_terminal, os.ttyname(theirs), folder, slowly)
    while (folder / "state.pt").stat().st_mtime_ns == before:  # until it is at work
        assert child.is_alive()
        time.sleep(0.01)
    os.close(ours)
    assert end_of(child) == -signal.SIGHUP
    train(folder)
    assert_same_run(folder, straight)


@pytest.mark.parametrize("place", [200, 50_000, -2000])
def test_a_state_with_another_bit_is_not_gone_on_with(tmp_path, place):
    train(tmp_path / "run", steps=1)
    file = tmp_path / "run" / "state.pt"
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    with pytest.raises(TutorError, match=r"state\.pt is damaged"):
        Run.resume(tmp_path / "run", SETTINGS, CPU)


def test_two_trainings_in_one_folder_the_second_is_refused(tmp_path):
    run = Run.start(tmp_path / "run", SETTINGS, CPU)
    said = tmp_path / "said"
    with run.exclusive():
        assert end_of(forked(enter_run, run.folder, said)) == 0
        assert "Another process is training in" in said.read_text()
    assert end_of(forked(enter_run, run.folder, said)) == 0 and said.read_text() == "in"


def test_the_lock_of_a_dead_process_is_not_in_the_way(tmp_path):
    folder = tmp_path / "run"
    child = forked(train, folder)
    wait_for(folder / ".lock")
    os.kill(child.pid, signal.SIGKILL)
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
        pytest.raises(FolderBusy, match="Another process is training"),
        other.exclusive(),
    ):
        pass
