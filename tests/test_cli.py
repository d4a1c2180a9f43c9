"""The commands, run as a user runs them: in an empty folder, and where it matters in a process."""

import io
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from forks import end_of, forked
from PIL import Image
from rich.console import Console
from survivor import command
from typer.testing import CliRunner, Result

from ddpm_tutor.cli.app import app
from ddpm_tutor.cli.lesson import say_goodbye
from ddpm_tutor.cli.train import print_epoch, say_fact
from ddpm_tutor.course.exercise import all_exercises
from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.course.questions import questions
from ddpm_tutor.files import fingerprint_of
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.science.validation_loss import Estimate
from ddpm_tutor.storage import film_strip
from ddpm_tutor.storage.checkpoints import load_checkpoint, save_checkpoint
from ddpm_tutor.storage.loss_files import read_losses
from ddpm_tutor.storage.training_run import EpochReport

TUTOR = [sys.executable, "-m", "ddpm_tutor"]


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """An empty folder to work in."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A user without progress, without MNIST and without a network."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DDPM_TUTOR")}
    nowhere = "http://127.0.0.1:9"  # the discard port: refused at once
    return environment | {
        "HOME": str(tmp_path / "home"),
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "COLUMNS": "80",
        "PYTHONUNBUFFERED": "1",
    }


@pytest.fixture
def tutor(empty: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch):
    """Runs `ddpm-tutor` with these arguments in this process and checks its exit code."""
    for name, value in (environment | {"DDPM_TUTOR_DATA": ""}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(empty)

    def run(*arguments: str, code: int = 0) -> Result:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == code, done.output
        assert isinstance(done.exception, SystemExit | None), done.exception
        return done

    return run


@pytest.fixture
def tutor_process(empty: Path, environment: dict[str, str]):
    """The same in a process of its own."""

    def run(*arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*TUTOR, *arguments],
            cwd=empty,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.mark.slow
def test_help_and_lists_do_not_load_torch(empty: Path, environment: dict[str, str]) -> None:
    script = """
import sys
from ddpm_tutor.cli import main
for words in ([], ["--help"], ["lessons"], ["gif", "--help"], ["edit", "--help"], ["--version"]):
    sys.argv = ["ddpm-tutor", *words]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, (words, stop.code)
heavy = {"torch", "torchvision", "matplotlib", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_help_is_the_same_without_docstrings(empty: Path, environment: dict[str, str]) -> None:
    script = """
from typer.testing import CliRunner
from ddpm_tutor.cli.app import app
names = [c.name for c in app.registered_commands]
for words in ([], ["exercise"], ["exercise", "check"], *([name] for name in names)):
    print(CliRunner().invoke(app, [*words, "--help"]).output)
"""
    told = [
        subprocess.run(
            [sys.executable, *flags, "-c", script], cwd=empty, env=environment,
            capture_output=True, text=True, check=True,
        ).stdout
        for flags in ([], ["-OO"])
    ]  # fmt: skip
    assert told[0] == told[1] and "Step through a lesson." in told[0]


def test_the_welcome_says_where_to_begin(tutor) -> None:
    shown = tutor().stdout
    assert "ddpm-tutor lesson 1" in shown and "ddpm-tutor gif --digit 7" in shown
    assert "Conditioning" in shown


def test_the_list_shows_every_lesson(tutor) -> None:
    shown = tutor("lessons").stdout
    assert all(lesson.title in shown for lesson in all_lessons())
    assert "§2, 3.3" in shown and "15 min" in shown
    assert f"0 of {len(all_exercises())}" in shown and "Points: 0 of 42, 42 to go." in shown
    assert "0 of 0" not in shown  # of a lesson without points


def keep_progress(environment: dict[str, str], **lessons: dict[str, object]) -> None:
    """Writes a file of progress in which lesson 1 is called l1, and so on."""
    stems = {f"l{lesson.number}": lesson.path.stem for lesson in all_lessons()}
    kept = {stems[name]: state for name, state in lessons.items()}
    path = Path(environment["XDG_DATA_HOME"]) / "ddpm-tutor" / "progress.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"version": 3, "lessons": kept}))


DONE = {"finished": True}
LAST = all_lessons()[-1]


@pytest.mark.parametrize(
    ("lessons", "says"),
    [
        ({}, "Begin with: ddpm-tutor lesson 1"),
        ({"l1": DONE}, "Next: ddpm-tutor lesson 2"),  # a point of lesson 1 is missing
        ({"l1": DONE, "l4": {"step": 3}}, "Go on with: ddpm-tutor lesson 4"),
        ({f"l{n}": DONE for n in range(1, 6)}, "Next: ddpm-tutor lesson 6"),
        ({f"l{lesson.number}": DONE for lesson in all_lessons()}, ""),
    ],
)
def test_the_welcome_and_the_list_send_the_learner_to_the_same_lesson(
    tutor, environment: dict[str, str], lessons: dict[str, dict[str, object]], says: str
) -> None:
    keep_progress(environment, **lessons)
    for shown in (tutor().stdout, tutor("lessons").stdout):
        words = " ".join(shown.split())
        assert says in words
        assert says or not re.search(r"(Begin|Next|Go on).*: ddpm-tutor lesson", words)


def test_the_list_says_how_missing_points_are_earned(tutor, environment: dict[str, str]) -> None:
    steps = {q.part: q.step for lesson in all_lessons() for q in questions(lesson)}
    right = {q.part: True for q in questions(all_lessons()[1]) if q.part != "11.2 a"}
    keep_progress(environment, l1=DONE, l2=DONE | {"answers": right})
    shown = tutor("lessons").stdout
    assert "each a part of the assignment of 42 points" in shown
    assert f"11.9 c  ddpm-tutor lesson 1 --from {steps['11.9 c']}" in shown
    assert f"11.2 a  ddpm-tutor lesson 2 --from {steps['11.2 a']}" in shown
    assert "or exercises 1 and 2: ddpm-tutor exercise start 1" in shown
    assert "11.4" not in shown  # of a lesson that is not done
    keep_progress(environment, **{f"l{n}": DONE for n in range(1, 6)})
    assert f"and {len([part for part in steps if part]) - 6} more" in tutor("lessons").stdout


def test_a_lesson_ends_with_its_exercises(tutor) -> None:
    for number, says in ((2, "2 The closed form; 3"), (3, "4 "), (5, "12 ")):
        console = Console(file=io.StringIO(), width=200)
        say_goodbye(console, all_lessons()[number - 1], [], finished=True, options=[])
        shown = console.file.getvalue()  # type: ignore[attr-defined]
        assert f"Exercises of this lesson: {says}" in shown
        assert f"ddpm-tutor exercise start {says.split()[0]}" in shown
        assert ("ddpm-tutor lesson 3" in shown) == (number == 2)


def test_a_lesson_beyond_the_assignment_ends_with_its_exercises(tutor) -> None:
    """They earn no points."""
    console = Console(file=io.StringIO(), width=200)
    say_goodbye(console, all_lessons()[5], [], finished=True, options=[])
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Exercises of this lesson: 15 The KL of two Gaussians; 16 A step of the bound" in shown
    assert "ddpm-tutor exercise start 15" in shown


def test_a_lesson_runs_on_real_mnist(mnist_root: Path, tutor, empty: Path) -> None:
    root = str(mnist_root.resolve())
    shown = tutor("lesson", "2", "--no-pause", "--data", root, "--seed", "3").stdout
    assert "\nMNIST\n" in shown and "Lesson done" in shown


def read_digit(picture: np.ndarray) -> int:
    """What a 32x32 picture shows, by its nearest neighbours among the offline digits."""
    from ddpm_tutor.storage.digits import load_offline_digits

    known = load_offline_digits()
    images, labels = known.train_images.flatten(1).float(), known.train_labels
    distances = (images - torch.from_numpy(picture.reshape(1, -1)).float()).norm(dim=1)
    return int(labels[distances.topk(5, largest=False).indices].mode().values)


@pytest.mark.slow
def test_gif_draws_the_digit_asked_for(tutor, empty: Path) -> None:
    done = tutor("gif", "--digit", "7", "--steps", "100")
    assert "digit_7.gif" in done.stdout
    frames = imageio.imread(empty / "digit_7.gif")
    assert 40 <= len(frames) <= 100
    last = frames[-1][36 : 36 + 256 : 8, 16 : 16 + 256 : 8, 0]
    assert read_digit(last) == 7
    first = frames[0][36 : 36 + 256 : 8, 16 : 16 + 256 : 8, 0]
    assert first.std() > 80  # noise, clipped to what can be shown


def test_gif_takes_all_steps_where_none_are_said(tutor, empty: Path, monkeypatch) -> None:
    times = []

    def layers(self: LeanUNet, x_t: torch.Tensor, *others: object) -> torch.Tensor:
        times.append(1)
        return 0 * x_t

    monkeypatch.setattr(LeanUNet, "layers", layers)
    tutor("gif", "--digit", "7")
    assert len(times) == 1000 and 40 <= len(imageio.imread(empty / "digit_7.gif")) <= 100


@pytest.mark.parametrize("direction", ["noise", "roundtrip"])
def test_gif_goes_the_other_way_too(tutor, empty: Path, direction: str) -> None:
    words = ["--direction", direction, "--steps", "30", "--out", "a/b.gif"]
    done = tutor("gif", "--digit", "1", *words)
    frames = imageio.imread(empty / "a" / "b.gif")
    start = frames[0][36 : 36 + 256 : 8, 16 : 16 + 256 : 8, 0]
    assert read_digit(start) == 1  # a real digit, or here one of the offline ones
    if direction == "roundtrip":
        assert re.search("offline +drawn anew", done.stdout) and "real" not in done.stdout


def test_gif_of_all_ten(tutor, empty: Path) -> None:
    tutor("gif", "--steps", "10", "--sampler", "ddim", "--guidance", "1")
    assert len(imageio.imread(empty / "digits.gif")) == 11


def test_sample_writes_the_arrays_of_the_contract(tutor, empty: Path) -> None:
    tutor("sample", "--all-digits", "-n", "2", "--steps", "5", "--npz", "s.npz", "--seed", "4")
    arrays = np.load(empty / "s.npz")
    assert arrays["images"].dtype == np.uint8 and arrays["images"].shape == (20, 32, 32)
    assert arrays["labels"].dtype == np.int64
    assert arrays["labels"].tolist() == [d for d in range(10) for _ in range(2)]
    assert arrays["seed"] == 4
    with Image.open(empty / "samples.png") as picture:
        assert picture.size == (2 * (2 * 34 - 2), 2 * (10 * 34 - 2))


def test_sample_without_labels(tutor, empty: Path) -> None:
    tutor(
        "sample", "--unconditional", "-n", "3", "--steps", "5", "--npz", "s.npz", "--out", "o.png"
    )
    arrays = np.load(empty / "s.npz")
    assert arrays["labels"].tolist() == [-1, -1, -1] and (empty / "o.png").is_file()


def test_the_same_seed_draws_the_same_picture_alone_or_in_a_batch(tutor, empty: Path) -> None:
    tutor("sample", "--digit", "3", "-n", "3", "--steps", "20", "--npz", "three.npz")
    tutor("sample", "--digit", "3", "-n", "1", "--steps", "20", "--npz", "one.npz")
    three, one = (np.load(empty / f"{n}.npz")["images"].astype(int) for n in ("three", "one"))
    assert abs(three[0] - one[0]).max() <= 2  # float32 sums in another order
    assert abs(three[0] - three[1]).max() > 50


def test_info_tells_what_there_is(tutor) -> None:
    shown = tutor("info").stdout
    for word in ("torch", "device", "no MNIST", "weights.safetensors", "ms for one image"):
        assert word in shown


@pytest.fixture
def short_film(monkeypatch: pytest.MonkeyPatch) -> None:
    """The film strip of a training takes most of the time of so small a one."""
    monkeypatch.setattr(film_strip, "STEPS", 2)


TRAIN = ["train", "--epochs", "1", "--width", "4", "--batch-size", "32", "--run-dir", "run"]


@pytest.mark.slow
def test_train_writes_a_checkpoint_that_draws(
    tutor, empty: Path, tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film_strip, "STEPS", 4)
    shown = tutor(*TRAIN, "--data", str(tiny_mnist)).stdout
    assert "440 for training, 40 for validation" in shown and "1 epoch, batches of 32" in shown
    assert re.search(r"epoch 1/1 +train \d\.\d{4} +validation \d\.\d{4} ± 0\.\d{4}", shown)
    run = empty / "run"
    (line,) = (run / "log.jsonl").read_text().splitlines()
    log = json.loads(line)
    assert log["epoch"] == 1 and log["images_seen"] == 13 * 32 and log["train_loss"] > 0
    with Image.open(run / "loss.png") as picture:
        assert picture.size[0] > 400
    with np.load(run / "film_strip.npz") as strip:
        assert strip["epochs"].tolist() == [0, 0.25, 0.5, 1]
        assert strip["images"].shape == (4, 20, 32, 32)
    assert len(imageio.imread(run / "film_strip.gif", index=None)) == 4
    with Image.open(run / "film_strip.png") as picture:
        assert picture.size[0] > 600
    tutor("gif", "--digit", "7", "--checkpoint", "run/weights.safetensors", "--steps", "5")
    tutor(
        "sample",
        "--digit",
        "2",
        "-n",
        "2",
        "--checkpoint",
        "run/weights.safetensors",
        "--steps",
        "5",
    )
    assert (empty / "digit_7.gif").is_file() and (empty / "samples.png").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--run-dir", "run"], "run already holds a run.\nGo on with --resume"),
        (["--run-dir", "weights"], "weights already holds weights.safetensors"),
        (["--run-dir", "none", "--resume"], "No run to resume in none"),
        (["--with-my-code", ".", "--weighting", "vlb"], "trains on Eq. 14"),
    ],
)
def test_train_refuses_a_folder_before_it_loads_torch(
    tutor, empty: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    for name in "run/state.pt", "run/log.jsonl", "weights/weights.safetensors":
        (empty / name).parent.mkdir(exist_ok=True)
        (empty / name).write_text("{}")
    # the first that `train` imports of what loads torch; now that would be an ImportError
    monkeypatch.setitem(sys.modules, "ddpm_tutor.science.devices", None)
    assert says in tutor("train", *words, code=1 if "--run-dir" in words else 2).stderr


def test_the_lines_of_a_training_fit_a_terminal_and_are_a_log(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    held_out, bits = Estimate(0.0218, 0.0002), Estimate(1.8, 0.01)
    for epoch, of_bits in (1, bits), (100, None):
        report = EpochReport(epoch, 1, 1, 0.5, held_out, held_out, 1234, 12345, "CPU", of_bits)
        print_epoch(console, report, 100)
    say_fact(console, "from", f"2,000 offline digits (no MNIST: {20 * 'why '}said)")
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    first = "epoch 1/100  train 0.5000  validation 0.0218 ± 0.0002  12345 images/s  1234 s"
    assert lines[:2] == [first, f"{'':13}without labels 0.0218 ± 0.0002  1.8000 ± 0.0100 bits/dim"]
    assert lines[4].startswith("from      2,000") and lines[5].startswith("          why")
    (tmp_path / "log.txt").write_text(shown, encoding="utf-8")
    losses = read_losses(tmp_path / "log.txt")
    assert losses.train == [(1, 0.5), (100, 0.5)] and losses.unit == "epoch"
    assert losses.validation == [(1, 0.0218), (100, 0.0218)]


@pytest.mark.slow
def test_train_refuses_to_write_over_a_run(
    tutor, empty: Path, tiniest_mnist: Path, short_film: None
) -> None:
    tutor(*TRAIN, "--data", str(tiniest_mnist))
    before = (empty / "run" / "weights.safetensors").read_bytes()
    assert "--resume" in tutor(*TRAIN, "--data", str(tiniest_mnist), code=1).stderr
    other = tutor(*TRAIN, "--lr", "0.5", "--resume", "--data", str(tiniest_mnist), code=1).stderr
    assert "lr = 0.0001" in other
    assert (empty / "run" / "weights.safetensors").read_bytes() == before


@pytest.mark.slow
def test_an_interrupted_training_is_saved_and_goes_on_to_the_same_end(
    tutor, empty: Path, environment: dict[str, str], tiny_mnist: Path, short_film: None
) -> None:
    # bit for bit the same it is on a CPU: a GPU adds up in another order each time
    words = [*TRAIN, "--data", str(tiny_mnist), "--epochs", "2", "--device", "cpu"]
    straight = [w if w != "run" else "straight" for w in words]
    tutor(*straight)
    child = forked(command, words, empty, environment)
    said = empty / "out"
    while not (said.exists() and "\nepoch 1/" in said.read_text()):
        assert child.is_alive()
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGINT)
    assert end_of(child) == 130 and "--resume" in said.read_text()
    tutor(*words, "--resume")
    ours, theirs = (
        load_checkpoint(empty / name / "weights.safetensors").model.state_dict()
        for name in ("run", "straight")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_a_training_killed_before_its_first_epoch_can_be_resumed(
    empty: Path, tutor, environment: dict[str, str], tiny_mnist: Path, short_film: None
) -> None:
    words = [*TRAIN, "--data", str(tiny_mnist)]
    child = forked(command, words, empty, environment)
    while not (empty / "run" / "state.pt").exists():
        assert child.is_alive()
        time.sleep(0.01)
    child.kill()
    assert end_of(child) == -signal.SIGKILL
    assert "epoch 1/1" in tutor(*words, "--resume").stdout


def in_two_processes(words: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What two processes say that have the variables of torchrun; test_signals.py has it itself."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "a test",
              "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}  # fmt: skip
    children = [
        forked(command, words, folder, environment | shared | {"RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    ]
    said = [(folder / name) for name in ("out", "err")]
    assert [end_of(child) for child in children] == [0, 0], said[1].read_text()
    return said[0].read_text()


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 101])  # a chunk for both; an odd one out in the last round
def test_two_processes_draw_what_one_does(
    tutor, empty: Path, environment: dict[str, str], count: int
) -> None:
    words = ["sample", "--digit", "4", "-n", str(count), "--steps", "2", "--npz"]
    tutor(*words, "one.npz")
    said = in_two_processes([*words, "two.npz"], empty, environment)
    assert said.count("Saved: two.npz") == 1  # only the first process speaks
    one, two = (np.load(empty / f"{name}.npz") for name in ("one", "two"))
    assert two["images"].shape == (count, 32, 32)
    assert (two["labels"] == 4).all() and two["seed"] == 0
    # other numbers of images at once are rounded otherwise, in bfloat16 the more so
    difference = abs(one["images"].astype(int) - two["images"].astype(int))
    assert difference.mean() < 1 and difference.mean(axis=(1, 2)).max() < 10
    assert abs(one["images"].astype(int)[1:] - two["images"].astype(int)[:-1]).mean() > 10


@pytest.mark.slow
def test_two_processes_train_what_one_does(
    tutor, empty: Path, environment: dict[str, str], tiny_mnist: Path, short_film: None
) -> None:
    words = [*TRAIN, "--data", str(tiny_mnist), "--unconditional"]
    tutor(*words)
    said = in_two_processes([w if w != "run" else "two" for w in words], empty, environment)
    assert said.count("epoch 1/1") == 1  # only the first process speaks
    one_log, two_log = (
        json.loads((empty / name / "log.jsonl").read_text()) for name in ("run", "two")
    )
    assert two_log["train_loss"] == pytest.approx(one_log["train_loss"], rel=0.02)
    ours, theirs = (
        load_checkpoint(empty / name / "weights.safetensors").model.state_dict()
        for name in ("run", "two")
    )
    # bfloat16 rounds other sums in halves of a batch than in whole ones
    assert all(torch.allclose(ours[name], theirs[name], atol=3e-3) for name in ours)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["gif", "--digit", "10"], 2, "--digit"),
        (["gif", "--digit", "x"], 2, "--digit"),
        (["gif", "--direction", "up"], 2, "'up' is not one of"),
        (["gif", "--digit", "7", "--steps", "0"], 2, "--steps"),
        (["gif", "--digit", "7", "--steps", "1001"], 2, "--steps"),
        (["gif", "--digit", "7", "--seed", "-1"], 2, "--seed"),
        (["gif", "--digit", "7", "--count", "0"], 2, "--count"),
        (["gif", "--digit", "7", "--checkpoint", "none.safetensors"], 1, "ddpm-tutor train"),
        (["gif", "--digit", "7", "--direction", "noise", "--data", "."], 1, "No MNIST in ."),
        (["sample"], 2, "--all-digits"),
        (["sample", "--digit", "3", "--unconditional"], 2, "Say what to draw"),
        (["sample", "--digit", "-1"], 2, "--digit"),
        (["sample", "--digit", "3", "--count", "0"], 2, "--count"),
        (["sample", "--digit", "3", "-n", "1000000"], 2, "100000"),
        (["sample", "--digit", "3", "--guidance", "nan"], 2, "--guidance"),
        (["sample", "--unconditional", "--guidance", "3"], 2, "with --unconditional there is none"),
        (["sample", "--digit", "3", "--seed", str(2**63)], 2, "--seed"),
        (["sample", "--digit", "3", "--out", "."], 1, ". is a folder"),
        (["sample", "--digit", "3", "--out", "/dev/null"], 1, "is a pipe or a device"),
        (["sample", "--digit", "3", "--out", "file/grid.png"], 1, "Cannot make the folder file"),
        (["sample", "--digit", "3", "--npz", "file/a.npz"], 1, "Cannot make the folder file"),
        (["gif", "--digit", "7", "--out", "file/7.gif"], 1, "Cannot make the folder file"),
        (["gif", "--digit", "7", "--out", "7" * 300], 1, "Choose a shorter name"),
        (
            ["gif", "--digit", "7", "--checkpoint", "."],
            1,
            "the folder holds no weights.safetensors",
        ),
        (["evaluate", "-n", "1000000"], 2, "5000"),
        (["evaluate", "--steps", "1001"], 2, "--steps"),
        (["lesson", "99"], 2, "Choose from 1, 2, 3, 4, 5"),
        (["lesson", "99"], 2, f"ddpm-tutor lesson {LAST.number}  ({LAST.title})"),
        (["lesson", "forward"], 2, "ddpm-tutor lesson 1  (Forward noising)"),
        (["lesson", "4_sampling.py"], 2, "ddpm-tutor lesson 4  (Ancestral sampling)"),
        (["lesson", "none.py"], 2, "No lesson file none.py"),
        (["lesson", "1", "--no-pause", "--out", "file"], 1, "Cannot make the folder file"),
        (["lesson", "1", "--seed", "-1"], 2, "--seed"),
        (["lesson", "1", "--set", "digit=10"], 2, "digit must be from 0 to 9"),
        (["lesson", "1", "--set", "digit=many"], 2, "digit must be a whole number"),
        (["lesson", "1", "--set", "seed=-1"], 2, "seed must be from 0"),
        (["lesson", "1", "--set", "colour=1"], 2, "It has: digit, seed, device"),
        (["lesson", "1", "--set", "digit"], 2, "NAME=VALUE"),
        (["lesson", "1", "--from", "99"], 2, "there is no step 99"),
        (["train", "--width", "7"], 2, "multiple of 4"),
        (["train", "--width", "30", "--network", "lean"], 2, "multiple of 32"),
        (["train", "--epochs", "0"], 2, "--epochs"),
        (["train", "--lr", "nan"], 2, "--lr"),
        (["train", "--weight-decay", "inf"], 2, "--weight-decay"),
        (["train", "--batch-size", "0"], 2, "--batch-size"),
        (["train", "--run-dir", "file"], 1, "Cannot make the folder file"),
        (["train", "--data", "nowhere"], 1, "No MNIST in nowhere"),
        (["train", "--resume", "--run-dir", "none"], 1, "No run to resume"),
        (["nonsense"], 2, "nonsense"),
    ],
)
def test_mistakes_get_a_short_answer(
    tutor, empty: Path, words: list[str], code: int, says: str
) -> None:
    (empty / "file").touch()
    done = tutor(*words, code=code)
    assert says in done.stderr
    assert not re.search("Input should|Value error", done.stderr)  # pydantic's words
    made = [path.name for path in empty.rglob("*") if path.name not in ("file", ".lock", "mnist")]
    assert made in ([], ["runs"])


def test_what_is_like_no_lesson_is_taken_for_none(tutor) -> None:
    assert "Is it this one?" not in tutor("lesson", "mine.py", code=2).stderr


def test_a_folder_that_may_not_be_written_to(tutor, empty: Path) -> None:
    (empty / "closed").mkdir(mode=0o555)
    if os.access(empty / "closed", os.W_OK):
        pytest.skip("this user may write anywhere")
    for words in (
        ["gif", "--digit", "7", "--out", "closed/7.gif"],
        ["sample", "--digit", "7", "--npz", "closed/7.npz"],
        ["evaluate", "--out", "closed"],
        ["train", "--run-dir", "closed"],
        ["train", "--run-dir", "closed/run"],
        ["lesson", "1", "--no-pause", "--out", "closed"],
    ):
        said = tutor(*words, code=1).stderr
        assert "closed" in said and "Cannot" in said and "Unexpected" not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there(tutor) -> None:
    assert "This machine has: cpu" in tutor("gif", "--device", "cuda", code=2).stderr


def test_weights_without_labels_draw_no_digit_on_request(tutor, empty: Path) -> None:
    save_checkpoint(empty / "plain.safetensors", UNet(4), {})
    done = tutor("gif", "--digit", "7", "--checkpoint", "plain.safetensors", code=1)
    assert "without labels" in done.stderr
    tutor(
        "sample", "--unconditional", "-n", "1", "--steps", "2", "--checkpoint", "plain.safetensors"
    )


def test_weights_of_a_short_schedule_say_how_many_steps_they_know(tutor, empty: Path) -> None:
    save_checkpoint(empty / "short.safetensors", UNet(4), {}, linear_beta=(50, 1e-4, 0.4))
    draw = ["sample", "--unconditional", "-n", "1", "--checkpoint", "short.safetensors"]
    assert "Add: --steps 50" in tutor(*draw, code=2).stderr
    tutor(*draw, "--steps", "50")


def test_out_that_is_a_folder(tutor, empty: Path) -> None:
    (empty / "digit_7.gif").mkdir()
    done = tutor("gif", "--digit", "7", "--steps", "1", code=1)
    assert "is a folder" in done.stderr


@pytest.mark.slow
def test_a_terminal_of_ascii_and_no_home_will_do(
    tutor_process, environment: dict[str, str]
) -> None:
    environment |= {"PYTHONIOENCODING": "ascii", "LANG": "C", "LC_ALL": "C"}
    environment |= {"HOME": "/proc/nowhere", "XDG_DATA_HOME": "", "XDG_CACHE_HOME": ""}
    assert "ddpm-tutor lesson 1" in tutor_process().stdout
    assert "Lesson done." in tutor_process("lesson", "1", "--no-pause").stdout


def test_a_narrow_terminal_without_colours_will_do(tutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its lessons: test_other_devices.py."""
    for name, value in {"COLUMNS": "40", "NO_COLOR": "1", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    assert "ddpm-tutor lesson 1" in tutor().stdout and "\x1b" not in tutor("lessons").stdout


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(("shell", "code"), [(">&-", 0), ("| true", 1), ("> /dev/full", 1)])
def test_an_output_that_takes_nothing(
    empty: Path, environment: dict[str, str], shell: str, code: int
) -> None:
    command = f"set -o pipefail; {sys.executable} -m ddpm_tutor lessons {shell}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert done.returncode == code and "Traceback" not in done.stderr


def assert_interrupted(code: int | None, said: str, folder: Path) -> None:
    """Ctrl-C has ended a command, which has left no part of a file."""
    assert code == 130 and said == "Interrupted.\n"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert not [file for file in files if file.name.startswith(".") or not file.stat().st_size]


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(empty: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        [*TUTOR, "gif"],
        cwd=empty,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # what a terminal does
    )
    time.sleep(4)  # loading, or at work
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert_interrupted(process.returncode, said, empty)


# and what is in the folder as soon as they are at work
INTERRUPTED = [
    (["sample", "--digit", "3", "-n", "500", "--npz", "x.npz"], ".x-*.npz"),
    (["evaluate"], "evaluation"),
    (["lesson", "3"], "out"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "at_work"), INTERRUPTED, ids=[w[0] for w, _ in INTERRUPTED])
def test_ctrl_c_at_work_leaves_nothing_half_written(
    empty: Path, environment: dict[str, str], words: list[str], at_work: str
) -> None:
    child = forked(command, words, empty, environment)
    while not [f for f in empty.glob(at_work) if f.name != "out" or f.stat().st_size]:
        assert child.is_alive()
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(child.pid, signal.SIGINT)
    code, said = end_of(child), (empty / "err").read_text()
    for name in ("out", "err"):
        (empty / name).unlink()
    assert_interrupted(code, said, empty)


@pytest.mark.slow
def test_ctrl_c_ends_a_notebook_that_runs(empty: Path, environment: dict[str, str]) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cell = "# %%\nimport pathlib\nimport time\npathlib.Path('begun').touch()\ntime.sleep(60)\n"
    (empty / "long.py").write_text("# %% [markdown]\n# # Long\n\n" + cell)
    child = forked(command, ["notebook", "long.py", "--run", "--trust"], empty, environment)
    while not (empty / "begun").exists():
        assert child.is_alive()
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGINT)
    assert end_of(child) == 130 and (empty / "err").read_text().endswith("Interrupted.\n")
    assert {path.name for path in empty.iterdir()} == {"long.py", "begun", "out", "err"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pressed", "code", "says"),
    [(True, 130, "Interrupted.\n"), (False, 1, "Unexpected ImportError: half a module")],
)
def test_an_import_that_ctrl_c_broke_is_no_error(
    empty: Path, environment: dict[str, str], pressed: bool, code: int, says: str
) -> None:
    broken = f"""
import signal
from ddpm_tutor.cli.app import app
@app.command()
def broken():
    try:
        if {pressed}: signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        pass  # as where an extension is initialised
    raise ImportError("half a module")
app(["broken"])
"""
    done = subprocess.run(
        [sys.executable, "-c", broken], cwd=empty, env=environment, capture_output=True, text=True
    )
    assert done.returncode == code and done.stderr.startswith(says)


BROKEN = {
    "no Python": ("# %%\ndef (\n", "broken.py, line 2: invalid syntax"),
    "no literal": ('# %% tags=["parameters"]\nseed = open("ran", "w")\n', "is not a literal"),
}


@pytest.mark.parametrize(("text", "says"), BROKEN.values(), ids=BROKEN)
def test_a_broken_lesson_file_is_not_run(tutor, empty: Path, text: str, says: str) -> None:
    (empty / "broken.py").write_text(text)
    words = ["lesson", "broken.py", "--no-pause", "--trust", "--set", "seed=1"]
    assert says in tutor(*words, code=1).stderr
    assert not (empty / "ran").exists()


def test_figures_of_a_stranger_are_shown_or_left_out(tutor, empty: Path) -> None:
    odd = {"log": [{"images_seen": "many", "validation": {"mean": "\x1b[31m", "error": [1]}}]}
    save_checkpoint(empty / "odd.safetensors", UNet(4), odd)
    shown = tutor("info", "--checkpoint", "odd.safetensors").stdout
    assert "trained on" in shown and "\x1b" not in shown


class Terminal:
    """A learner's terminal: types keys, and reads the screen until something shows."""

    def __init__(self, words: list[str], folder: Path, environment: dict[str, str]) -> None:
        self.unread = ""
        self.file, self.other_end = os.openpty()
        environment = environment | {"TERM": "xterm-256color"}
        self.child = forked(command, words, folder, environment, os.ttyname(self.other_end))

    def close_other_end(self) -> None:
        """It is the child's alone from then on; before, it would be gone when we close it."""
        if self.other_end >= 0:
            os.close(self.other_end)
            self.other_end = -1

    def until(self, text: str, seconds: float = 60) -> str:
        """Reads up to the next `text` on the screen; what was read, without colours."""
        deadline = time.monotonic() + seconds
        while text not in self.unread:
            assert time.monotonic() < deadline, f"no {text!r} in: {self.unread}"
            if select.select([self.file], [], [], 0.2)[0]:
                try:
                    data = os.read(self.file, 1 << 16).decode(errors="replace")
                except OSError:
                    raise AssertionError(f"ended without {text!r}: {self.unread}") from None
                self.close_other_end()
                self.unread += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data)
        read, _, self.unread = self.unread.partition(text)
        return read + text

    def type(self, keys: str) -> None:
        time.sleep(0.3)  # keys typed while the tutor is busy are dropped, on purpose
        os.write(self.file, keys.encode())

    def wait(self) -> int | None:
        """The exit code."""
        self.close_other_end()
        with open(os.devnull, "wb") as sink:
            while True:
                try:
                    data = os.read(self.file, 1 << 16)
                except OSError:
                    break
                sink.write(data)
                if not data:
                    break
        return end_of(self.child)


@pytest.fixture
def lesson_in_a_terminal(empty: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    terminal = Terminal(["lesson", "1"], empty, environment)
    yield terminal
    terminal.child.kill()
    os.close(terminal.file)


@pytest.mark.slow
def test_stepping_in_a_real_terminal(
    lesson_in_a_terminal: Terminal, tutor, empty: Path, environment: dict[str, str]
) -> None:
    terminal, steps = lesson_in_a_terminal, len(all_lessons()[0].steps)
    terminal.until(f"1 of {steps}")
    terminal.until("q quit")
    terminal.type("\r")
    terminal.until("q quit")
    terminal.type("\r")
    assert "▀▀▀▀" in terminal.until("q quit")  # a digit, in half-blocks
    terminal.type("s")
    assert "ddpm_tutor/storage/digits.py" in terminal.until("q quit")
    terminal.type("p")
    terminal.until(">>>")
    terminal.type("image.shape\r")
    terminal.until("torch.Size([1, 32, 32])")
    terminal.type("\x04")
    terminal.until("Back to the lesson.")
    terminal.until("q quit")
    terminal.type("?")
    assert "with the lesson's variables" in terminal.until("q quit")
    terminal.type("b")
    assert f"2 of {steps}" in terminal.until("q quit")
    terminal.type("\r")
    terminal.until(f"3 of {steps}")
    terminal.until("q quit")
    terminal.type("q")
    terminal.until("Go on with")
    assert terminal.wait() == 0
    assert f"step 3 of {steps}" in tutor("lessons").stdout

    asked = Terminal(["lesson", "1"], empty, environment)
    asked.until(f"You left at step 3 of {steps}")
    asked.type("q")
    assert asked.wait() == 0

    again = Terminal(["lesson", "1"], empty, environment)
    again.until(f"You left at step 3 of {steps}")
    again.type("\r")
    assert f"3 of {steps}" in again.until("q quit")
    again.type("\x03")
    assert again.wait() == 130


ASKING = """\
# %% [markdown]
# # A lesson that asks

# %%
from ddpm_tutor.classroom.tools import ask_number
exit = "a variable of the lesson"

# %% [markdown]
# ## Ask

# %%
ask_number("How many?", 3, tolerance=0, why="So it is.")
"""


SLOW = ASKING.replace("ask_number(", 'import time\nprint("busy")\ntime.sleep(2)\nask_number(')


@pytest.mark.slow
def test_ctrl_c_stops_a_step_and_what_is_typed_too_early_is_dropped(
    empty: Path, environment: dict[str, str]
) -> None:
    (empty / "slow.py").write_text(SLOW)
    terminal = Terminal(["lesson", "slow.py", "--trust"], empty, environment)
    terminal.until("q quit")
    terminal.type("\r")
    terminal.until("busy")
    terminal.type("\x03")
    terminal.until("Stopped. r runs this step again")
    terminal.until("q quit")
    terminal.type("r")
    terminal.until("busy")
    terminal.type("rpx")
    shown = terminal.until("to skip)")
    assert "rpx" not in shown
    terminal.type("3\r")
    assert terminal.until("So it is.").lstrip(" :").startswith("3")  # nothing before it, and seen
    terminal.until("q quit")
    terminal.type("q")
    assert terminal.wait() == 0


@pytest.mark.slow
def test_exit_leaves_the_interactive_python_and_nothing_else(
    empty: Path, environment: dict[str, str]
) -> None:
    (empty / "asking.py").write_text(ASKING)
    terminal = Terminal(["lesson", "asking.py"], empty, environment)
    terminal.until("Run it? Type yes: ")
    terminal.type("yes\r")
    terminal.until("q quit")
    terminal.type("p")
    terminal.until(">>>")
    terminal.type("exit()\r")
    assert "exit()" in terminal.until("Back to the lesson.")  # it shows
    terminal.until("q quit")
    terminal.type("\r")
    terminal.until("Enter to skip")
    terminal.type("3\r")
    terminal.until("So it is.")
    terminal.until("q quit")
    terminal.type("\r")
    assert terminal.wait() == 0


@pytest.mark.slow
def test_a_lesson_from_elsewhere_is_not_run_unasked(
    tutor, empty: Path, environment: dict[str, str]
) -> None:
    file = empty / "stranger.py"
    file.write_text("# %% [markdown]\n# # Hello\n\n# %%\nopen('ran', 'w').close()\n")
    refused = tutor("lesson", "stranger.py", "--no-pause", code=2)
    assert str(file) in refused.stderr and "--trust" in refused.stderr
    terminal = Terminal(["lesson", "stranger.py"], empty, environment)
    assert "stranger.py" in terminal.until("Run it? Type yes: ")
    terminal.type("\r")
    terminal.until("Not run.")
    assert terminal.wait() == 1
    assert not (empty / "ran").exists()
    tutor("lesson", "stranger.py", "--check", code=1)
    assert not (empty / "ran").exists()
    tutor("lesson", "stranger.py", "--no-pause", "--trust")
    assert (empty / "ran").exists()


EVALUATE = ["evaluate", "-n", "100", "--steps", "2", "--json"]


def test_evaluate_scores_the_shipped_weights_without_mnist(tutor, empty: Path) -> None:
    report, again, other = (
        json.loads(tutor(*EVALUATE, "--device", "cpu", "--seed", seed).stdout) for seed in "001"
    )
    assert (report["n"], report["steps"], report["sampler"]) == (100, 2, "ddpm")
    ours, real = report["cards"]["shipped"], report["cards"]["real digits"]
    assert sum(digit["of"] for digit in ours["scores"]["by_digit"]) == 100
    right = ours["scores"]["read_as_asked"]
    assert right["low"] < right["value"] < right["high"] and right["of"] == 100
    # two steps are too few: better than noise, not as good as real digits
    for measure in ("coverage", "precision"):
        assert 0.1 < ours["scores"][measure]["value"] < real["scores"][measure]["value"]
    assert ours["scores"]["frechet"]["mean"] > 2 * real["scores"]["frechet"]["mean"]
    assert ours["nearness"] is None and ours["validation"] is None  # they need MNIST
    assert report["pictures"] == ["evaluation/grid.png", "evaluation/worst.png"]
    assert all((empty / path).stat().st_size > 1000 for path in report["pictures"])
    # the same for the same seed
    assert report["cards"] == again["cards"]
    others = other["cards"]["shipped"]
    assert others["scores"]["frechet"] != ours["scores"]["frechet"]
    assert other["cards"]["real digits"] == real


def test_evaluate_shows_own_weights_beside_the_shipped_ones(
    tutor, empty: Path, tiny_mnist: Path
) -> None:
    torch.manual_seed(0)
    save_checkpoint(empty / "mine.safetensors", UNet(width=4), {})  # untrained, without labels
    out = empty / "a folder with a long name" / "and one more of the kind" / "and another"
    pictures = [out / f"{name}.png" for name in ("grid", "worst", "nearest")]
    shown = tutor(
        *EVALUATE[:-1], "--checkpoint", "mine.safetensors", "--data", str(tiny_mnist),
        "--out", str(out),
    ).stdout  # fmt: skip
    *lines, grid, worst, nearest, scores = shown.splitlines()
    assert "…" not in shown and max(map(len, lines)) <= 80
    assert [grid, worst, nearest] == [f"Saved: {path}" for path in pictures]
    assert scores == f"Saved: {out / 'scores.json'}"
    kept = json.loads((out / "scores.json").read_text())
    assert (
        kept["weights"] == fingerprint_of(empty / "mine.safetensors") and "yours" in kept["cards"]
    )
    header = next(line for line in shown.splitlines() if "yours" in line)
    assert header.index("yours") < header.index("shipped") < header.index("real digits")
    times = next(line for line in shown.splitlines() if "times real" in line)
    yours, shipped, real = (float(number) for number in times.split()[-3:])
    assert yours > 2 * shipped > 2 * real  # untrained; drawn in two steps; real
    validation = next(line for line in shown.splitlines() if "validation loss" in line)
    assert len(re.findall(r"\d\.\d{4} ± \d\.\d{4}", validation)) == 2
    for measure in ("read as asked, % ↑", "Fréchet distance ↓", "precision, % ↑"):
        assert measure in shown  # which way is better
    assert all(path.is_file() for path in pictures)


BITS = ["evaluate", "--bits", "-n", "100", "--device", "cpu"]


def test_evaluate_counts_the_bits_of_held_out_digits(tutor, empty: Path, tiny_mnist: Path) -> None:
    torch.manual_seed(0)
    save_checkpoint(empty / "mine.safetensors", UNet(width=4), {})
    mine = [*BITS, "--checkpoint", "mine.safetensors", "--data", str(tiny_mnist)]
    report = json.loads(tutor(*mine, "--json").stdout)
    assert (report["n"], report["checkpoint"]) == (100, "mine.safetensors")
    assert report["digits"].startswith("the test digits of")
    assert [b["variance"] for b in report["bounds"][:2]] == ["beta_tilde", "beta_tilde"]
    for bound in report["bounds"]:
        steps = [part["mean"] for part in bound["steps"]]
        assert sum(steps) + bound["L_T"]["mean"] == pytest.approx(bound["bits_per_dim"]["mean"])
        assert steps[0] == pytest.approx(bound["L_0"]["mean"])
        # nothing has been learned: about the 8 bits of no idea at all
        assert bound["bits_per_dim"]["mean"] > 6 and bound["bits_per_dim"]["error"] > 0
        assert 0 < bound["border"]["mean"] < bound["bits_per_dim"]["mean"]
    assert "--steps" in tutor(*BITS, "--steps", "20", code=2).stderr
    assert not (empty / "evaluation").exists()


def test_evaluate_shows_the_bits_of_a_learned_variance(
    tutor, empty: Path, tiny_mnist: Path
) -> None:
    save_checkpoint(empty / "mine.safetensors", LikelihoodUNet(width=32), {})
    for file in (tiny_mnist / "MNIST" / "raw").glob("t10k*"):
        file.unlink()
    mine = ["--checkpoint", "mine.safetensors", "--data", str(tiny_mnist)]
    shown = tutor(*BITS, *mine).stdout
    assert "…" not in shown and max(map(len, shown.splitlines())) <= 80
    for part in ("L_T", "L_0", "5 to 2", "1000 to 401", "learned", "not MNIST's"):
        assert part in shown, part
    assert "PixelCNN" not in shown
    assert "40 digits: held out of" in shown and "no more than 40" in shown  # of 480


def test_evaluate_refuses_what_it_cannot_do(tutor, empty: Path) -> None:
    assert "100" in tutor("evaluate", "-n", "99", code=2).stderr
    (empty / "file").write_text("")
    assert "file" in tutor("evaluate", "--out", "file", code=1).stderr
    assert "No MNIST" in tutor("evaluate", "--data", ".", code=1).stderr
    assert not (empty / "evaluation").exists()
