"""Everything computes on a device that is not the CPU: on the pretended one, and on real ones."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from shallow import layers
from test_exercises import RIGHT, answer
from test_lessons import AS_IT_IS, SHORT
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.course.exercise import Exercise, all_exercises
from ddpm_tutor.course.lesson import Lesson, all_lessons, parameters
from ddpm_tutor.grading.judge import judge
from ddpm_tutor.grading.known_mistakes import Bug, bugs
from ddpm_tutor.grading.verdict import Verdict
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.sampling import SamplingOptions
from ddpm_tutor.storage import film_strip
from ddpm_tutor.storage.checkpoints import load_checkpoint

pytestmark = pytest.mark.slow
Tutor = Callable[..., str]
COMPUTING = [lesson for lesson in all_lessons() if "device" in parameters(lesson)]


@pytest.fixture
def tutor(device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tutor:
    """Runs `ddpm-tutor` with these arguments in this process; what it shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DDPM_TUTOR_DATA", raising=False)
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: refused at once
    monkeypatch.setenv("COLUMNS", "80")

    def run(*words: str) -> str:
        done = CliRunner().invoke(app, ["--debug", *words])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0, done.output
        return done.output

    return run


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next to no layers: the tests of drawing and training use all."""
    monkeypatch.setattr(LeanUNet, "layers", layers)


@pytest.mark.parametrize("lesson", COMPUTING, ids=lambda lesson: lesson.path.stem)
def test_every_lesson_runs(
    tutor: Tutor, shallow: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lesson: Lesson
) -> None:
    for name, value in {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    settings, saved = SHORT.get(lesson.number, AS_IT_IS)
    words = [word for setting in settings for word in ("--set", setting)]
    shown = tutor("lesson", str(lesson.number), "--no-pause", *words)
    assert "Lesson done" in shown and "\x1b" not in shown
    if saved:
        with Image.open(tmp_path / "outputs" / saved) as image:
            assert min(image.size) > 60


@pytest.mark.parametrize(
    "words", [["--digit", "7"], ["--count", "2", "--sampler", "ddim"]], ids=["7", "all"]
)
@pytest.mark.parametrize("direction", ["denoise", "noise", "roundtrip"])
def test_films_run_in_every_direction(
    tutor: Tutor, request: pytest.FixtureRequest, tmp_path: Path, direction: str, words: list[str]
) -> None:
    if "--count" in words:
        request.getfixturevalue("shallow")
    tutor("gif", "--direction", direction, "--steps", "4", "--out", "film.gif", *words)
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames >= 5


def test_the_picture_is_that_of_the_cpu(tutor: Tutor, tmp_path: Path, in_float32: None) -> None:
    words = ["sample", "--all-digits", "-n", "1", "--steps", "4", "--guidance", "1.5", "--npz"]
    tutor(*words, "there.npz")
    tutor(*words, "here.npz", "--device", "cpu")
    there, here = (np.load(tmp_path / f"{name}.npz")["images"] for name in ("there", "here"))
    assert abs(there.astype(int) - here.astype(int)).max() <= 2
    tutor("sample", "--unconditional", "-n", "2", "--steps", "2", "--sampler", "ddim")


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_every_known_mistake_draws(tutor: Tutor, shallow: None, device: str, bug: Bug) -> None:
    loaded = load_checkpoint(device=device)
    how = dict(seed=0, indices=[0])
    *_, state = bug.draw(loaded, torch.tensor([7]), SamplingOptions(steps=3, guidance=1.5), **how)
    assert state.x_t.device.type == device and state.x_t.isfinite().all()


def test_weights_are_scored(tutor: Tutor, shallow: None, tiniest_mnist: Path) -> None:
    words = ["evaluate", "-n", "100", "--steps", "2", "--json", "--data", str(tiniest_mnist)]
    shown = tutor(*words)
    report = json.loads(shown[shown.index("{") :])
    assert report["cards"]["shipped"]["validation"]["mean"] > 0


KINDS = {
    "unet with labels, adam": ["--width", "4"],
    "unet without labels, middle": [
        "--width",
        "4",
        "--unconditional",
        "--weighting",
        "logit-normal",
    ],
    "lean with labels, muon": ["--network", "lean", "--width", "32", "--optimizer", "muon"],
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_it_trains_and_goes_on_and_what_it_learned_draws_anywhere(
    tutor: Tutor, device: str, tmp_path: Path, tiniest_mnist: Path, monkeypatch, kind: list[str]
) -> None:
    monkeypatch.setattr(film_strip, "STEPS", 2)
    words = ["train", "--batch-size", "11", "--data", str(tiniest_mnist), "--run-dir", "run", *kind]
    shown = tutor(*words, "--epochs", "1")
    assert f"device    {device}: " in shown
    (line,) = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    first = json.loads(line)
    assert first["step"] == 2 and 0 < first["train_loss"] < 10
    tutor(*words, "--epochs", "2", "--resume")
    assert len((tmp_path / "run" / "log.jsonl").read_text().splitlines()) == 2
    what = "--unconditional" if "--unconditional" in kind else "--all-digits"
    weights = ["--checkpoint", "run/weights.safetensors", "--steps", "2", "-n", "1"]
    for where in ("auto", "cpu"):
        tutor("sample", what, *weights, "--device", where)


def test_info_times_a_step(tutor: Tutor, device: str) -> None:
    shown = " ".join(tutor("info").split())
    assert f"auto is {device}" in shown and f"one step, {device}" in shown
    assert "ms for one image" in shown


@pytest.mark.parametrize("exercise", all_exercises(), ids=lambda exercise: exercise.path.stem)
def test_exercises_are_judged_there_too(device: str, exercise: Exercise) -> None:
    def judged(source: str) -> Verdict:
        return judge(exercise, source, Path(f"{exercise.name}.py"), pictures=False)

    verdict = judged(exercise.solved())
    assert verdict.passed and device in verdict.devices and "cpu" in verdict.devices
    seen_there = [m for m in exercise.mistakes if m.when == "device" or m.name == "float64"]
    one_other = next(mistake for mistake in exercise.mistakes if mistake not in seen_there)
    for mistake in [*seen_there, one_other]:  # the others: as on the CPU, test_exercises.py
        verdict = judged(exercise.with_code(mistake.code))
        assert verdict.mistake == mistake.name, mistake.name
        assert verdict.passed == (mistake.name == "float64"), mistake.name  # with a note
        # what is wrong on the CPU is not tried where an index out of range would end it all
        there = verdict.passed or mistake.when == "device"
        assert (device in verdict.devices) == there, mistake.name


@pytest.mark.parametrize(("number", "body"), RIGHT)
def test_every_right_way_is_right_there_too(device: str, number: int, body: str) -> None:
    verdict = answer(number, body)
    assert verdict.passed and device in verdict.devices, verdict
