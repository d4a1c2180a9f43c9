"""Lesson 10 claims what its numbers show; here the steps that ask no network, or a few times."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch

from ddpm_tutor.classroom.session import Session, using
from ddpm_tutor.course.lesson import compile_cell, find_lesson, new_namespace
from ddpm_tutor.screen.console import make_console


def after_steps(titles: list[str], seed: int, out: Path, **settings: Any) -> tuple[Any, str]:
    """The variables of lesson 10 after these steps alone, and what they show in one line."""
    lesson, file = find_lesson("10"), io.StringIO()
    namespace = new_namespace(lesson)
    with using(Session(make_console(file=file), out)), redirect_stdout(file):
        for step in lesson.steps:
            for cell in step.code if step.title in ["Setting up", *titles] else ():
                body, value = compile_cell(cell, lesson.path)
                exec(body, namespace)
                if cell.is_parameters:
                    namespace |= {"seed": seed, "device": "cpu", **settings}
                elif value:
                    eval(value, namespace)
    return namespace, " ".join(file.getvalue().split())


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Digits that ship, and no network."""
    monkeypatch.setenv("DDPM_TUTOR_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")


@pytest.mark.parametrize("seed", [0, 5])
def test_names_errors_and_schedules(seed: int, tmp_path: Path) -> None:
    named = ["One guess, many names", "What is v?", "One error, many sizes"]
    schedules = ["Another schedule", "The cosine schedule", "Why a cap, why s?"]
    found, shown = after_steps([*named, *schedules], seed, tmp_path, n=8)
    assert found["alike"][1] > 0.99  # v at t = 900 and the picture, swapped
    eps, x_0, v, score = found["spread"]
    assert v < 30 and min(eps, x_0) > 1000 and score > eps
    assert [found["drowned"](found[name]) for name in ("linear", "cosine")] == [327, 65]
    assert "It is" not in shown and "√β_1" in shown
    assert [round(row[1], 1) for row in found["rows"]] == [2.8, 31.6, 1000.0]


def test_a_network_must_be_told_its_own_t(tmp_path: Path) -> None:
    named = ["Another schedule", "Steps of another schedule"]
    found, _ = after_steps(named, 5, tmp_path, n=4)
    right = found["right"]
    assert right["even in t"] >= 75 and right["cosine"] >= 75 > right["not mapped"]
    # what it leaves behind is noise: neighbours differ more
    rough = {k: v.diff(dim=3).square().mean() for k, v in found["ways"].items()}
    assert rough["not mapped"] > 1.5 * rough["cosine"]
    assert 0.6 < found["share"] < 0.9  # of the noise at cosine's t = 500, where it is told 500


def test_the_best_first_step_of_a_flow_is_the_mean(tmp_path: Path) -> None:
    found, shown = after_steps(["Straight paths"], 0, tmp_path)
    assert torch.allclose(found["one_step"], found["mean"].expand(20, 1, 16, 16), atol=1e-5)
    assert "✓ b) 20 times the same blur" in shown
