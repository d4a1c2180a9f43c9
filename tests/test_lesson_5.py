"""Lesson 5 claims of any weights what its own numbers show."""

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from rich.console import Console

from ddpm_tutor.classroom.session import Session
from ddpm_tutor.classroom.stepper import Stepper
from ddpm_tutor.course.lesson import find_lesson
from ddpm_tutor.errors import TutorError
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.checkpoints import save_checkpoint

SHORT = {"steps": "4", "each": "2", "held_out": "100", "train_steps": "1", "device": "cpu"}
# what it says of well trained weights, and of others in its place
CLAIMS = {
    "Over all t the loss is higher without a label, and with a wrong one too.":
        "these weights hardly listen",
    "The right label saves most at t = 201 to 800":
        "They have not learned what a label says, so the question was about others.",
    "The label decides the digit, the noise decides the handwriting.":
        "The label alone does not do it",
    "The label is told at every step, so it is hard to miss.":
        "These weights miss it often",
}  # fmt: skip
# what it says of weights that have learned nothing, and of no others
OF_WEAK = [
    "by the Fréchet distance both are far from real digits",
    "is read as one digit, so there is nothing that x_T could tell",
]


def shown_by(folder: Path, **settings: str) -> str:
    """What the lesson shows with these settings, as if the screen had no end on the right."""
    console = Console(file=io.StringIO(), width=80)
    stepper = Stepper(find_lesson("5"), Session(console, out=folder), settings=SHORT | settings)
    assert stepper.run()
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_what_it_says_of_weights_follows_from_their_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DDPM_TUTOR_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: refused at once
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "weak.safetensors", UNet(4, 10), {})
    weak = shown_by(tmp_path, checkpoint=str(tmp_path / "weak.safetensors"))
    assert [claim for claim in CLAIMS if claim in weak] == []
    assert [instead for instead in CLAIMS.values() if instead not in weak] == []
    assert [words for words in OF_WEAK if words not in weak] == []
    trained = shown_by(tmp_path)
    assert [claim for claim in CLAIMS if claim not in trained] == []
    assert [words for words in OF_WEAK if words in trained] == []
    assert "drawn by our model" in trained
    with Image.open(tmp_path / "lesson_5_all_digits.png") as image:
        assert min(image.size) > 60


def test_weights_without_labels_are_refused_in_words(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "unconditional.safetensors", UNet(4), {})
    with pytest.raises(TutorError, match="trained without labels"):
        shown_by(tmp_path, checkpoint=str(tmp_path / "unconditional.safetensors"))
