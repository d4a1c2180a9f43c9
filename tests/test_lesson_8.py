"""Lesson 8 shows what it says: in each cloud, on other seeds, and of the digits at hand."""

from pathlib import Path

import pytest
import torch
from test_lessons import run_steps
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.course.lesson import find_lesson

LINE = ["Setting up", "A world of two points", "The step back, by Bayes"]
PLANE = ["Setting up", "A cloud", "The best guess is a softmax", "The score"]


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The offline digits, found at once."""
    monkeypatch.delenv("DDPM_TUTOR_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # the discard port: refused at once


def test_a_bell_does_for_short_steps_only(tmp_path: Path) -> None:
    named = [
        *LINE,
        "Why a thousand steps?",
        "Algorithm 2, with no network",
        "A step that is no bell",
    ]
    found = run_steps(find_lesson("8"), named, 5, tmp_path)
    grid, width = found["grid"], 0.01
    for t in (1, 300, 1000):  # densities are densities, and Bayes' rule is consistent
        assert found["q"](t, found["three_bells"]).sum() * width == pytest.approx(1, abs=1e-5)
    q_400 = found["q"](400, found["two_points"]) * width
    joint = q_400 @ found["back"](100, 400, grid[:, None], found["two_points"])
    at_100 = found["q"](100, found["two_points"]) * width
    assert (joint - at_100).abs().sum() < 0.01
    lost = found["in_steps"]
    assert list(lost.values()) == sorted(lost.values(), reverse=True) and found["ratio"] > 30
    assert max(found["humps"]) == int((found["schedule"].alpha_bar >= 0.5).sum()) - 1
    shares = [float(near.rstrip("%")) for _, near, _ in found["rows"]]
    assert shares[:2] == [0, 0] and 20 < shares[2] < 60 and shares[-1] == 100
    assert found["right"] == 1 and abs((found["ends"] > 0).float().mean() - 0.5) < 0.04


@pytest.mark.parametrize(("cloud", "seed"), [("spiral", 5), ("digit", 3)])
def test_every_cloud_is_drawn_again(cloud: str, seed: int, tmp_path: Path) -> None:
    named = [*PLANE, "Following the score", "Langevin beside Algorithm 2"]
    found = run_steps(find_lesson("8"), named, seed, tmp_path, cloud=cloud)
    points = found["points"]
    assert points.shape == (400, 2) and 0.5 < points.abs().max() < 1.3
    assert points.std(dim=0).min() > 0.2
    assert found["difference"] < 1e-9  # of the gradient of log q and the score
    assert abs(found["walked"] / found["noisy"] - 1) < 0.25
    by_algorithm_2, by_langevin = found["near"]
    assert by_algorithm_2 < 0.04 < 0.07 < by_langevin
    shared = [found["alike"](x, t) for t, x in found["levels"].items()]
    assert shared == sorted(shared, reverse=True) and shared[0] > 399 and shared[-1] < 60
    for t, (at_middle, at_nearest) in found["aims"].items():
        assert at_middle > max(0.9, at_nearest) if t == 400 else at_nearest > 0.8
    assert found["aims"][20][1] > found["aims"][20][0]


def test_the_exact_denoiser_is_best_on_what_it_knows_and_copies_it(tmp_path: Path) -> None:
    named = ["Setting up", "On digits", "Who is better?", "What a perfect network draws"]
    settings = {"known": 300, "count": 50, "device": "cpu"}
    found = run_steps(find_lesson("8"), named, 1, tmp_path, **settings)
    for (t, name), (exact, network) in found["errors"].items():
        if name == "known":
            assert exact < network
        elif t < 400:
            assert network < 0.5 * exact
    assert found["distance"].max() < 0.05 and len(found["which"].unique()) > 5


@pytest.mark.slow
def test_a_small_network_learns_ten_digits_by_heart(tmp_path: Path) -> None:
    named = ["Setting up", "On digits", "What a perfect network draws", "When would it copy?"]
    settings = {"known": 200, "count": 10, "device": "cpu", "train_steps": 150}
    found = run_steps(find_lesson("8"), named, 0, tmp_path, **settings)
    small, train = found["trained_on"][10], found["train"]
    t = torch.full((10,), 200)
    eps = torch.randn(10, 1, 32, 32, generator=torch.manual_seed(0))
    errors = []
    for x_0 in (train[:10], found["unseen"][:10]):
        x_t = found["q_sample"](found["schedule"], x_0, t, eps)
        with torch.no_grad():
            errors.append((small(x_t, t) - eps).square().mean().item())
    assert errors[0] < 0.1 * errors[1]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("cloud=rain", "moons, spiral or digit"),
        ("digit=10", "0 to 9"),
        ("known=9", "from 100 to 50,000"),
        ("count=0", "10 to 100"),
    ],
)
def test_what_it_cannot_show_is_said_in_one_line(setting: str, says: str, tmp_path: Path) -> None:
    words = ["lesson", "8", "--no-pause", "--set", setting]
    done = CliRunner().invoke(app, words, env={"XDG_DATA_HOME": str(tmp_path)})
    assert done.exit_code in (1, 2) and says in " ".join(done.stderr.split())
    assert "Traceback" not in done.output
