"""The library as it is found: its docstrings say what goes in, and their examples run."""

import doctest
import inspect
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch

from ddpm_tutor import api

FUNCTIONS = {
    name: getattr(api, name) for name in api.__all__ if inspect.isfunction(getattr(api, name))
}


@pytest.fixture(scope="module")
def shared() -> dict[str, Any]:
    """The names that the examples share; see `ddpm_tutor.api`."""
    schedule, generator = api.linear_schedule(), api.stream(0, "examples")
    known = api.load_offline_digits()
    images, t = known.train_images[:2], torch.tensor([250, 750])
    x_0 = api.to_unit_range(images)
    eps = api.normal(x_0.shape, generator, "cpu")
    return vars(api) | {
        "torch": torch,
        "schedule": schedule,
        "generator": generator,
        "images": images,
        "label": torch.tensor([3, 5]),
        "x_0": x_0,
        "t": t,
        "eps": eps,
        "x_t": api.q_sample(schedule, x_0, t, eps),
        "tau": torch.tensor([0.2, 0.8]),
        "model": api.UNet(4, num_classes=10),
        "lean": api.LeanUNet(32),
        "few": api.SamplingOptions(steps=2),
        "config": api.TrainingConfig(epochs=1, batch_size=2),
        "reader": api.load_classifier().model,
        "real": api.load_real_digits(),
        "twenty": api.UnseenDigits(known.train_images[:20], known.train_labels[:20], "", False),
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_says_what_goes_in(name: str) -> None:
    told = inspect.getdoc(FUNCTIONS[name]) or ""
    arguments = told.partition("Args:\n")[2].partition("\n\n")[0]
    for parameter in inspect.signature(FUNCTIONS[name]).parameters:
        assert re.search(rf"(^ +|, |; ){parameter}\b[^:\n]*: ", arguments, re.M), parameter


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_public_function_has_an_example_that_runs(
    name: str,
    shared: dict[str, Any],
    tiny_mnist: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tiny_mnist)
    monkeypatch.setenv("DDPM_TUTOR_DATA", str(tiny_mnist))
    told = inspect.getdoc(FUNCTIONS[name]) or ""
    example = doctest.DocTestParser().get_doctest(told, dict(shared), name, None, None)
    assert 1 <= len(example.examples) <= 4
    assert "Example:\n    >>>" in told
    wrong: list[str] = []
    doctest.DocTestRunner(verbose=False).run(example, out=wrong.append)
    assert wrong == []


def test_the_names_that_people_look_for_are_at_the_top() -> None:
    for name in ("save_gif", "save_png", "grid", "Checkpoint", "Estimate", "Reading", "Share"):
        assert name in api.__all__
    assert api.__all__ == sorted(set(api.__all__))
    everything: dict[str, Any] = {}
    exec("from ddpm_tutor import *", everything)
    assert {*api.__all__} <= {*everything}
    for name, function in FUNCTIONS.items():
        for kind in parts(inspect.signature(inspect.unwrap(function)).return_annotation):
            if getattr(kind, "__module__", "").startswith("ddpm_tutor"):
                assert kind.__name__ in api.__all__, name


def parts(annotation: Any) -> list[Any]:
    """A type, and those that it is made of."""
    return [annotation, *(kind for part in get_args(annotation) for kind in parts(part))]
