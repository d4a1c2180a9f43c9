"""Training with a learner's own functions: it is the package's training, line by line."""

import dataclasses
import json
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.course.exercise import find_exercise
from ddpm_tutor.grading.training import OF_TRAINING, train_with
from ddpm_tutor.learner.progress import exercise_passed
from ddpm_tutor.science.training import Diverged, TrainingConfig
from ddpm_tutor.storage import film_strip
from ddpm_tutor.storage.digits import Digits
from ddpm_tutor.storage.training_run import OtherSettings, Run, RunSettings

CPU = torch.device("cpu")
TRAINING = TrainingConfig(epochs=2, batch_size=16, lr=1e-2, lr_schedule="cosine", warmup_steps=1)
EXERCISES = dict(zip(OF_TRAINING, ("3", "6", "13"), strict=True))


def solution(name: str):
    """The function of an exercise, as its solution writes it."""
    exercise, space = find_exercise(EXERCISES[name]), {}
    exec(exercise.solved(), space)
    return space[exercise.function]


@pytest.mark.parametrize(
    ("names", "conditional"),
    [(OF_TRAINING, True), (("training_step",), False), (("noisy_batch",), True)],
)
def test_own_functions_train_the_very_weights_that_the_package_trains(
    tmp_path: Path, digits: Digits, names: tuple[str, ...], conditional: bool
) -> None:
    settings = RunSettings("unet", 4, conditional, TRAINING)
    ours = Run.start(tmp_path / "ours", settings, CPU)
    mine = Run.start(tmp_path / "mine", dataclasses.replace(settings, own_code=True), CPU)
    own = partial(train_with, {name: solution(name) for name in names})
    losses = [
        [report.loss for report in reports if hasattr(report, "loss")]
        for reports in (ours.train(digits), mine.train(digits, algorithm_1=own))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and len(losses[0]) == 4
    for a, b in zip(ours.state.ema.parameters(), mine.state.ema.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-4)  # steps of up to 1e-2 were taken


def test_it_is_the_own_function_that_trains(tmp_path: Path, digits: Digits) -> None:
    run = Run.start(tmp_path, RunSettings("unet", 4, True, TRAINING), CPU)
    before = [p.clone() for p in run.state.model.parameters()]
    asked = []

    def lazy(model, optimizer, schedule, x_0, t, eps):
        asked.append((x_0.shape, t.shape, model(x_0, t).shape))
        optimizer.zero_grad()
        optimizer.step()  # on nothing
        return torch.tensor(0.25)

    reports = list(run.train(digits, algorithm_1=partial(train_with, {"training_step": lazy})))
    assert reports[0].loss == 0.25 and asked[0] == ((16, 1, 32, 32), (16,), (16, 1, 32, 32))
    assert all(map(torch.equal, before, run.state.model.parameters()))


def test_an_infinite_gradient_of_an_own_step_moves_no_weight(tmp_path: Path, digits) -> None:
    run = Run.start(tmp_path, RunSettings("unet", 4, True, TRAINING), CPU)
    before = [p.clone() for p in run.state.model.parameters()]

    def wild(model, optimizer, schedule, x_0, t, eps):
        loss = (model(x_0, t) * math.inf).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    loop = train_with(
        {"training_step": wild}, run.state, run.schedule, digits.train_images,
        digits.train_labels, TRAINING,
    )  # fmt: skip
    with pytest.raises(Diverged):
        next(loop)
    assert all(map(torch.equal, before, run.state.model.parameters()))


def test_a_run_goes_on_with_the_code_it_was_begun_with(tmp_path: Path, digits: Digits) -> None:
    theirs = RunSettings("unet", 4, True, TRAINING)
    mine = dataclasses.replace(theirs, own_code=True)
    own = partial(train_with, {"training_step": solution("training_step")})
    straight = Run.start(tmp_path / "straight", mine, CPU)
    list(straight.train(digits, algorithm_1=own))
    begun = Run.start(tmp_path / "run", mine, CPU)
    for report in begun.train(digits, algorithm_1=own):
        if report.step == 3:
            break
    begun.save()
    with pytest.raises(OtherSettings, match="own_code = True"):
        Run.resume(tmp_path / "run", theirs, CPU)
    resumed = Run.resume(tmp_path / "run", mine, CPU)
    list(resumed.train(digits, algorithm_1=own))
    assert all(
        map(torch.equal, straight.state.model.parameters(), resumed.state.model.parameters())
    )


def test_own_functions_train_on_another_device(tmp_path: Path, digits: Digits, device) -> None:
    training = dataclasses.replace(TRAINING, epochs=1)
    run = Run.start(tmp_path, RunSettings("unet", 4, True, training), torch.device(device))
    own = partial(train_with, {name: solution(name) for name in OF_TRAINING})
    step, *_ = run.train(digits, algorithm_1=own)
    assert 0 < step.loss < 10 and run.state.step == 2


@pytest.fixture
def tutor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a command in this process, in a folder of its own, for a learner without progress."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(film_strip, "STEPS", 2)

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == code, done.output
        return done.output

    return run


def passed(number: str, folder: Path, extra: str = "") -> Path:
    """The learner's file of an exercise, with the solution in it, that has passed."""
    exercise = find_exercise(number)
    path = folder / "exercises" / f"{exercise.name}.py"
    path.parent.mkdir(exist_ok=True)
    gap = "    optimizer.zero_grad()"
    path.write_text(exercise.solved().replace(gap, extra + gap), encoding="utf-8")
    exercise_passed(exercise, path.read_text(encoding="utf-8"))
    return path


QUICK = ["train", "--epochs", "1", "--width", "4", "--batch-size", "200", "--device", "cpu",
         "--run-dir", "run"]  # fmt: skip
MINE = ["--with-my-code", "exercises"]


def test_train_with_my_code(tutor, tmp_path: Path, tiny_mnist: Path) -> None:
    passed("6", tmp_path)
    shown = tutor(*QUICK, *MINE, "--data", str(tiny_mnist))
    assert "Yours: training_step" in shown
    assert "The package's: noisy_batch, drop_labels" in shown
    settings = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))
    assert settings["own_code"] is True
    assert (tmp_path / "run" / "weights.safetensors").is_file()
    refused = tutor(*QUICK, "--resume", "--data", str(tiny_mnist), code=1)
    assert "was started with own_code = True" in refused
    assert "Resume it with --with-my-code" in refused


def test_an_error_in_own_code_names_its_line(tutor, tmp_path: Path, tiny_mnist: Path) -> None:
    path = passed("6", tmp_path, "    1 / (x_0.shape[0] - 200)\n")
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next(i for i, line in enumerate(lines, 1) if "1 / (" in line)
    shown = tutor(*QUICK, *MINE, "--data", str(tiny_mnist), code=1).replace("\n", "")
    assert f"ex6_training_step.py, line {number}: ZeroDivisionError" in shown


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([*MINE, "--weighting", "logit-normal"], 2, "--weighting"),
        (["--with-my-code", "."], 1, "exercises 3, 6, 13"),
        (["--with-my-code", ".", "--unconditional"], 1, "exercises 3, 6, once"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_begun(
    tutor, tmp_path: Path, words: list[str], code: int, says: str
) -> None:
    shown = tutor(*QUICK, *words, code=code)
    assert says in shown and len(shown.strip().splitlines()) <= 4
    assert not (tmp_path / "run").exists()
