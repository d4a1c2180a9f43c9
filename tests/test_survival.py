"""A training that is killed at any moment leaves a whole checkpoint and goes on to the same end."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import remove_leftovers
from ddpm_tutor.science.checkpoints import load_checkpoint
from ddpm_tutor.science.run import Run, RunSettings
from ddpm_tutor.science.training import StepReport, TrainingConfig

CPU = torch.device("cpu")
SETTINGS = RunSettings("unet", 4, True, TrainingConfig(epochs=30, batch_size=20, lr=1e-3))
KILLS = int(os.environ.get("DDPM_TUTOR_KILLS", "12"))

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")


def train(folder: Path, digits) -> None:
    """Starts the run in `folder`, or goes on with it, and saves after every step."""
    started = (folder / "state.pt").exists()
    run = (Run.resume if started else Run.start)(folder, SETTINGS, CPU)
    with run.exclusive():
        for report in run.train(digits):
            if isinstance(report, StepReport):
                run.save()


def in_a_process(folder: Path, digits, seconds: float | None) -> bool:
    """`train` in a process of its own, killed after so many seconds; whether it came to its end."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)
        code = 1
        try:
            train(folder, digits)
            code = 0
        finally:
            os._exit(code)
    deadline = None if seconds is None else time.monotonic() + seconds
    while deadline is None or time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            assert os.waitstatus_to_exitcode(status) == 0
            return True
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(folder / "weights.safetensors").model.state_dict()


def test_killed_at_random_moments_it_comes_to_the_same_end(tmp_path, digits):
    torch.set_num_threads(1)  # the children's arithmetic is to be the same
    train(tmp_path / "straight", digits)
    folder, chance = tmp_path / "killed", random.Random(0)
    kills, steps = 0, []
    while kills < KILLS and not in_a_process(folder, digits, chance.uniform(0.02, 0.25)):
        kills += 1
        if (folder / "state.pt").exists():
            steps.append(Run.resume(folder, SETTINGS, CPU).state.step)
            weights(folder)  # they can be read
    in_a_process(folder, digits, None)
    assert kills > KILLS / 2 and steps == sorted(steps) and steps[-1] > 0
    print(f"killed {kills} times, at steps {steps}")

    straight, killed = weights(tmp_path / "straight"), weights(folder)
    assert all(torch.equal(straight[name], killed[name]) for name in straight)
    states = [
        torch.load(path / "state.pt", weights_only=True) for path in (tmp_path / "straight", folder)
    ]
    for part in ("model", "ema"):
        assert all(torch.equal(states[0][part][n], states[1][part][n]) for n in states[0][part])
    leftovers = [path.name for path in folder.iterdir() if path.name.startswith(".")]
    assert leftovers == [".lock"]


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
    assert not in_a_process(folder, digits, 0.2)
    run = Run.resume(folder, SETTINGS, CPU) if (folder / "state.pt").exists() else None
    if run is None:
        folder.mkdir(exist_ok=True)
        run = Run(folder, SETTINGS, CPU)
    with run.exclusive():
        pass


def test_leftovers_of_a_killed_save_go_and_nothing_else_does(tmp_path):
    names = ["state.pt", ".state-abc12.pt", ".lock", ".hidden", "notes-1.pt", ".other-abc.txt"]
    for name in names:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, ["state.pt"])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        name for name in names if name != ".state-abc12.pt"
    )


def test_a_second_lock_in_the_same_process_says_the_same(tmp_path):
    run = Run.start(tmp_path / "run", SETTINGS, CPU)
    other = Run(tmp_path / "run", SETTINGS, CPU)
    with (
        run.exclusive(),
        pytest.raises(TutorError, match="choose another --run-dir"),
        other.exclusive(),
    ):
        pass
