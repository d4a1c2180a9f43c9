"""What goes into a pipe keeps its lines: a path that is broken or cut is no path any more."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.checkpoints import save_checkpoint


@pytest.fixture
def deep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose path is wider than a terminal of 80 columns, with small weights in it."""
    folder = tmp_path.joinpath(*["a folder with a long name"] * 4)
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    save_checkpoint(folder / "small.safetensors", UNet(4, 10), {})
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(folder))
    monkeypatch.setenv("DDPM_TUTOR_DATA", "")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)
    return folder


def lines_of(*words: object) -> list[str]:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_the_line_of_a_saved_file_holds_its_whole_path(deep: Path, tiniest_mnist: Path) -> None:
    small = ("--checkpoint", deep / "small.safetensors", "--steps", 1, "--device", "cpu")
    data = tiniest_mnist.rename(deep / "mnist")
    shown = lines_of(
        "gif", "--digit", 7, *small, "--direction", "noise", "--data", data, "--out", deep / "7.gif"
    )
    assert any(line.startswith("Digits: ") and line.endswith(f"from {data}") for line in shown)
    assert any(line.startswith(f"GIF saved: {deep / '7.gif'}   72 frames") for line in shown)
    shown = lines_of(
        "sample", "--digit", 7, "-n", 1, *small, "--out", deep / "7.png", "--npz", deep / "7.npz"
    )
    assert [f"Saved: {deep / '7.png'}", f"Saved: {deep / '7.npz'}"] == shown[-2:]


def test_info_has_a_line_for_each_fact(deep: Path) -> None:
    weights = deep / "small.safetensors"
    shown = lines_of("info", "--checkpoint", weights, "--device", "cpu")
    facts = dict(line.split("  ", 1) for line in shown)
    assert facts["weights"].strip() == str(weights)
    assert facts["progress in"].strip().startswith(str(deep))
    assert len({len(line) - len(line.split("  ", 1)[1].lstrip()) for line in shown}) == 1


def test_exercise_start_tells_the_whole_path(deep: Path) -> None:
    shown = lines_of("exercise", "start", 1, "--folder", deep)
    assert f"Written: {deep / 'ex1_one_step.py'}" in shown
