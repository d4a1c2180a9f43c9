"""Lesson 6 claims what its numbers show, and its asserts hold."""

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console

from ddpm_tutor.classroom.session import Session
from ddpm_tutor.classroom.stepper import Stepper
from ddpm_tutor.course.lesson import find_lesson
from ddpm_tutor.science.bits import push_black
from ddpm_tutor.science.lean_unet import LeanUNet

SHORT = {"n": "4", "each": "2", "device": "cpu"}
# what it says with trained weights, and with a network to which all is black
CLAIMS = {
    "That is about as much as by the table.": "That is more than by the table.",
    "The network knows as much as before": "the mend does not pay",
}


@pytest.fixture
def lesson(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Stepper:
    """Lesson 6, short and on offline digits, not yet run."""
    monkeypatch.setenv("DDPM_TUTOR_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: refused at once
    session = Session(Console(file=io.StringIO(), width=80), out=tmp_path)
    return Stepper(find_lesson("6"), session, settings=SHORT)


def shown_by(lesson: Stepper) -> str:
    """What it shows, as if the screen had no end on the right."""
    assert lesson.run()
    file = lesson.session.console.file
    assert isinstance(file, io.StringIO)
    return " ".join(file.getvalue().split())


def test_the_numbers_are_what_the_words_say(lesson: Stepper) -> None:
    shown = shown_by(lesson)
    found = lesson.namespace
    assert [claim for claim in CLAIMS if claim not in shown] == []
    # the toy: A is exact for one pixel, and for a thousand it is not; the bound is above both
    (_, exact, a, b), (_, _, a_of_many, _) = found["toy_rows"]
    assert abs(a - exact) < 0.02 < 0.05 < a_of_many - exact < b - exact
    # what the lesson writes out is the package's own mend
    given = found["schedule"], found["x_1"], found["t"], found["eps_theta"]
    assert torch.equal(push_black(*given), found["eps_theta"] + 3 * found["is_dark"])
    of_kinds = {name: nats.mean() for name, nats in found["of_kinds"].items()}
    assert min(of_kinds, key=of_kinds.__getitem__) == "black"
    assert of_kinds["shuffled"] > 5 * of_kinds["digits"] and of_kinds["noise"] > 8 * 784 * 0.69
    assert of_kinds["drawn"] > 1.5 * of_kinds["drawn, black"]


def test_of_a_network_that_takes_all_for_black_it_says_what_is_so(
    lesson: Stepper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LeanUNet, "forward", lambda self, x_t, t, label=None: 0 * x_t + 200)
    shown = shown_by(lesson)
    assert [claim for claim in CLAIMS if claim in shown] == []
    assert [instead for instead in CLAIMS.values() if instead not in shown] == []
