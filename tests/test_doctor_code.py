"""`doctor my_code.py`: other people's projects, tried piece by piece in their own conventions."""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from project_shapes import PLANTED, SHAPES
from typer.testing import CliRunner, Result

from ddpm_tutor.cli import doctor_code
from ddpm_tutor.cli.app import app
from ddpm_tutor.errors import TutorError
from ddpm_tutor.grading import project_calls, project_sandbox
from ddpm_tutor.grading.project import examine
from ddpm_tutor.grading.project_ddim import judge_strides
from ddpm_tutor.grading.project_files import Source, read_project, time_limit
from ddpm_tutor.grading.project_match import OF_LEARNED, Transition, learned_sigmas, matched
from ddpm_tutor.grading.project_sandbox import SO_FAR, examined_in
from ddpm_tutor.grading.project_schedule import ARRAYS, canonical, schedule_of
from ddpm_tutor.grading.project_verdict import Examined, Finding
from ddpm_tutor.grading.sandbox import READY, VERDICT
from ddpm_tutor.science.diffusion import Variance, ddim_step, p_step
from ddpm_tutor.science.schedule import linear_schedule, respaced

PIECES = {  # what is to be found in each shape, besides its schedule
    "buffers": "q_sample loss predict_x_0 posterior step sampler sampler time_encoding gather",
    "globals": "q_sample loss step sampler sampler gather",
    "numpy_arrays": "q_sample loss predict_x_0 posterior step sampler gather",
    "annotated": "q_sample loss step gather",
    "scheduler": "q_sample step",
    "noise_images": "q_sample sampler time_encoding",
    "dict_of_schedules": "loss sampler guidance",
    "padded": "q_sample step sampler",
    "handed_dict": "q_sample loss step sampler",
    "numpy_only": "q_sample step sampler",
    "own_network": "q_sample loss step sampler",
    "guided": "q_sample loss sampler guidance",
    "strided": "q_sample loss sampler sampler",
    "learned_variance": "q_sample loss predict_x_0 step step sampler gather",
    "overwritten": "q_sample step step sampler",
}

pytestmark = pytest.mark.filterwarnings("ignore::Warning:project_under_trial")  # of people's code


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, on a screen of 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    yield tmp_path


def examined(text: str, name: str = "my_code.py", **mapped: str) -> Examined:
    """What is found in a file, in this process: the sandbox is tried by itself."""
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    return examine(read_project(path), path, mapped)


def tutor(*words: str, code: int = 0) -> Result:
    done = CliRunner().invoke(app, ["doctor", *words])
    assert done.exit_code == code, done.output
    return done


def told(found: Examined) -> str:
    """All that is said of faults, for a test that fails."""
    return "\n".join(f"{f.state} {f.kind} {f.name}: {f.says} {f.numbers}" for f in found.findings)


def one(found: Examined, kind: str) -> Finding:
    """The finding on a piece."""
    return next(finding for finding in found.findings if finding.kind == kind)


# --- shapes of public code


@pytest.mark.parametrize("shape", SHAPES)
def test_a_right_project_is_cleared(shape: str) -> None:
    found = examined(SHAPES[shape])
    assert {f.state for f in found.findings} == {"right"}, told(found)
    assert [f.kind for f in found.findings] == ["schedule", *PIECES[shape].split()], told(found)
    assert not found.failed


def planted(shape: str, old: str, new: str) -> str:
    """A shape with a mistake in it; a long chain is cut short, to be quick."""
    assert SHAPES[shape].count(old) >= 1
    return SHAPES[shape].replace(old, new, 1).replace("T=1000", "T=50")


@pytest.mark.parametrize(
    ("shape", "old", "new", "kind", "wanted"),
    PLANTED,
    ids=[f"{p[0]}-{p[3]}-{p[4]}" for p in PLANTED],
)
def test_a_planted_mistake_is_named(shape: str, old: str, new: str, kind: str, wanted: str) -> None:
    found = examined(planted(shape, old, new))
    faults = [f for f in found.findings if f.kind == kind and f.is_fault]
    assert any(wanted == f.mistake or wanted in f"{f.says} {f.numbers}" for f in faults), told(
        found
    )


def test_the_numbers_of_a_mistake_are_those_of_the_project() -> None:
    found = one(
        examined(planted("globals", "betas_t * model(x, t)", "2 * betas_t * model(x, t)")), "step"
    )
    assert found.state == "differs"
    assert "you multiply eps by" in found.says and "belongs" in found.says


def test_a_project_of_large_pictures_is_tried_on_small_ones() -> None:
    wide = SHAPES["noise_images"].replace("img_size=8", "img_size=100_000")
    assert wide != SHAPES["noise_images"]
    found = examined(wide)
    assert {f.state for f in found.findings} == {"right"}, told(found)


def test_what_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project_calls, "time_limit", lambda _: time_limit(0.1))
    found = examined(
        SHAPES["globals"] + "\ndef denoise(model, x, t):\n    while True:\n        t\n"
    )
    endless = next(f for f in found.findings if f.name == "denoise")
    assert endless.state == "not called" and "was stopped" in endless.says


@pytest.mark.parametrize(
    ("name", "says"),
    [(VERDICT, "by a mistake of ours"), (SO_FAR, "by a mistake of ours: your code ended Python")],
)
def test_what_stopped_a_trial_is_said(folder: Path, name: str, says: str) -> None:
    left = Examined("", [], stopped="by a mistake of ours")
    (folder / READY).touch()
    (folder / name).write_text(left.to_json(), encoding="utf-8")
    assert examined_in(folder, 0).stopped.removesuffix(" itself.") == says


# --- steps that are left out


def strides(step: Callable[..., torch.Tensor], *, to: Sequence[int]) -> list[Transition]:
    """What a function makes of pictures of noise, from each of some t to the next."""
    x_t, eps, z = torch.randn(3, 4, 1, 8, 8, generator=torch.Generator().manual_seed(1)).double()
    taken = []
    for t, t_prev in pairwise(to):
        ends = torch.full((4,), t), torch.full((4,), t_prev)
        taken.append(Transition(t, x_t, eps, z, step(x_t, *ends, eps, z), t_prev))
    return taken


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_our_own_ddim_is_right_and_its_eta_is_read_off(eta: float) -> None:
    schedule = linear_schedule()
    steps = strides(
        lambda x_t, t, t_prev, eps, z: ddim_step(schedule, x_t, t, t_prev, eps, eta, z),
        to=(900, 700, 400, 50, 0),
    )
    said = judge_strides(schedule, steps, "noise", eta, 0)
    assert said is not None and said.is_right and said.eta == pytest.approx(eta, abs=1e-6)
    other = judge_strides(schedule, steps, "noise", 0.6, 0)
    assert other is not None and other.mistake == "ddim_other_eta"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        (
            "ddim_sigma_kept",
            lambda x_0, eps, z, a, b, s: b**0.5 * x_0 + (1 - b) ** 0.5 * eps + s * z,
        ),
        (
            "ddim_direction_at_t",
            lambda x_0, eps, z, a, b, s: b**0.5 * x_0 + (1 - a - s**2) ** 0.5 * eps + s * z,
        ),
        (
            "ddim_variance",
            lambda x_0, eps, z, a, b, s: b**0.5 * x_0 + (1 - b - s**2) ** 0.5 * eps + s**2 * z,
        ),
        ("ddim_no_direction", lambda x_0, eps, z, a, b, s: b**0.5 * x_0 + s * z),
        (
            "x_0_not_rescaled",
            lambda x_0, eps, z, a, b, s: (a * b) ** 0.5 * x_0 + (1 - b) ** 0.5 * eps,
        ),
    ],
)
def test_a_wrong_step_of_ddim_is_named(name: str, wrong: Callable[..., torch.Tensor]) -> None:
    schedule = linear_schedule()

    def step(
        x_t: torch.Tensor, t: torch.Tensor, t_prev: torch.Tensor, eps: torch.Tensor, z: torch.Tensor
    ) -> torch.Tensor:
        a, b = schedule.alpha_bar[t[0]], schedule.alpha_bar[t_prev[0]]
        s = 0.4 * ((1 - b) / (1 - a) * (1 - a / b)).sqrt()
        return wrong((x_t - (1 - a).sqrt() * eps) / a.sqrt(), eps, z, a, b, s)

    said = judge_strides(schedule, strides(step, to=(900, 700, 400, 50)), "noise", None, 0)
    assert said is not None and said.mistake == name


@pytest.mark.parametrize(
    ("to", "mistake", "note"),
    [(1, "", "leaves noise of 0.01, unseen"), (1000, "ddim_wraps", ""), (300, "ddim_last", "")],
)
def test_where_the_last_step_goes_is_told(to: int, mistake: str, note: str) -> None:
    schedule = linear_schedule()

    def step(
        x_t: torch.Tensor, t: torch.Tensor, t_prev: torch.Tensor, eps: torch.Tensor, z: torch.Tensor
    ) -> torch.Tensor:
        a, b = schedule.alpha_bar[t[0]], schedule.alpha_bar[t_prev[0] or to]
        return b.sqrt() * (x_t - (1 - a).sqrt() * eps) / a.sqrt() + (1 - b).sqrt() * eps

    said = judge_strides(schedule, strides(step, to=(900, 700, 400, 50, 0)), "noise", 0.0, 0)
    assert said is not None and said.mistake == mistake and note in said.note


@pytest.mark.parametrize("name", ["learned", *OF_LEARNED])
def test_a_variance_that_is_learned_is_known(name: str) -> None:
    schedule = linear_schedule()
    x_t, eps, z = torch.randn(3, 4, 1, 8, 8, generator=torch.Generator().manual_seed(2)).double()
    values = 2 * torch.rand(x_t.shape, generator=torch.Generator().manual_seed(3)).double() - 1
    steps = []
    for t in (1000, 700, 400, 50, 1):
        mean = p_step(schedule, x_t, torch.full((4,), t), eps, torch.zeros_like(z))
        sigma = learned_sigmas(schedule, t, 1, values)[name]
        steps.append(Transition(t, x_t, eps, z, mean + sigma * z, values=values))
    found = matched(schedule, steps, "noise", 0, 1)
    assert found is not None and (found.mean, found.noise) == ((0, ""), name)


@pytest.mark.parametrize(
    ("variance", "sigma", "eta"), [("beta", 1, None), ("beta_tilde", 1, 1.0), ("beta", 0, "")]
)
def test_algorithm_2_with_steps_left_out_is_known_by_its_sigma(
    variance: Variance, sigma: int, eta: float | None
) -> None:
    schedule = linear_schedule(400)
    short, at = respaced(schedule, 4)
    count = iter((4, 3, 2, 1))

    def step(x_t: torch.Tensor, t: object, t_prev: object, *noises: torch.Tensor) -> torch.Tensor:
        eps, z = noises
        return p_step(short, x_t, torch.full((4,), next(count)), eps, sigma * z, variance)

    said = judge_strides(schedule, strides(step, to=at.flip(0).tolist()), "noise", None, 0)
    assert said is not None
    if sigma:
        assert said.is_right and said.eta == (None if eta is None else pytest.approx(eta))
    else:
        assert (said.number, said.mistake) == (8, "no_noise")


# --- conventions that are not wrong


@pytest.mark.parametrize(
    ("shape", "old", "new", "kind", "said"),
    [
        ("scheduler", '"epsilon", variance', '"sample", variance', "step", "predicts x_0"),
        ("scheduler", '"epsilon", variance', '"v_prediction", variance', "step", "predicts v"),
        ("buffers", '"pred_noise",\n', '"pred_x0",\n', "loss", "predict x_0"),
        ("globals", 'loss_type="l1"', 'loss_type="l2"', "loss", "predict ε"),
        ("globals", "extract(posterior_variance, t", "extract(betas, t", "step", "σ² = β"),
        ("buffers", 'beta_schedule="cosine"', 'beta_schedule="linear"', "schedule", "linear"),
        ("numpy_arrays", ".clamp(-1., 1.)", "", "step", "σ² = β"),
        (
            "buffers",
            'loss = F.mse_loss(out, target, reduction="none")',
            'loss = F.mse_loss(out, target, reduction="none") * (t + 1).view(-1, 1, 1, 1)',
            "loss",
            "weighted",
        ),
        ("own_network", "self(x_t, ts)", "self(x_t, 0 * ts, ts)", "sampler", "told t from 49"),
        ("own_network", "eps), t), eps)", "eps), 0 * t, t), eps)", "loss", "predict ε"),
        ("own_network", "self(x_t, ts)", "self(x_t, self.alpha_bar[ts])", "sampler", "no t, but"),
        (
            "own_network",
            "(x_0.size(0),), device=x_0.device)",
            "(3,))\n        t = torch.cat([t, self.T - 1 - t])[:len(x_0)]",
            "loss",
            "predict ε",
        ),
        (
            "padded",
            "if i % save_rate == 0 or i == timesteps or i < 8:",
            "if i % 5 == 0:",
            "sampler",
            "predicts ε",
        ),
        ("guided", "torch.rand(len(x)) < 0.1", "torch.rand(1) < 0.1", "loss", "whole batch"),
        ("buffers", "math.pi * 0.5) ** 2", "math.pi * 0.5)", "schedule", "not squared"),
        ("own_network", "def training_loss", "def train_step", "loss", "predict ε"),
        ("own_network", "def sample(self, n)", "def run_sampler(self, n)", "sampler", "t from 49"),
        (
            "own_network",
            "reversed(range(self.T))",
            "reversed(range(self.T - 1))",
            "sampler",
            "one step late",
        ),
        (
            "own_network",
            "return mean + self.beta[t].sqrt() * z",
            "bar, before = self.alpha_bar[t], self.alpha_bar[t - 1] if t else torch.ones(())\n"
            "        x_0 = (x_t - (1 - bar).sqrt() * eps) / bar.sqrt()\n"
            "        return before.sqrt() * x_0 + (1 - before).sqrt() * eps",
            "step",
            "DDIM with η = 0",
        ),
    ],
)
def test_another_convention_is_told_and_not_called_wrong(
    shape: str, old: str, new: str, kind: str, said: str
) -> None:
    assert old in SHAPES[shape]
    found = examined(SHAPES[shape].replace(old, new).replace("T=1000", "T=50"))
    assert not [f for f in found.findings if f.is_fault], told(found)
    assert any(said in f"{f.says} {' '.join(f.notes)}" for f in found.findings if f.kind == kind)


def test_an_object_that_a_class_only_announces_is_handed_to_it() -> None:
    head, tail = SHAPES["own_network"].split("    @torch.no_grad()\n    def sample")
    announced = "class Configs:\n    ddpm: DDPM\n\n    def sample"
    text = (head + announced + tail.replace("self.", "self.ddpm.")).replace("T=1000", "T=50")
    assert one(examined(text), "sampler").state == "right"
    other = text.replace("ddpm: DDPM", "ddpm: DDPM\n    n_steps = 40")  # it may be made otherwise
    assert one(examined(other), "sampler").state == "not called"
    upwards = text.replace("reversed(range(self.ddpm.T))", "range(self.ddpm.T)")
    assert one(examined(upwards), "sampler").mistake == "upwards"


def test_a_step_of_an_optimizer_is_no_loss_where_there_is_another() -> None:
    text = SHAPES["own_network"] + "\n\ndef train_step(model, x_0, optimizer):\n    pass\n"
    kinds = [f.name for f in examined(text.replace("T=1000", "T=50")).findings if f.kind == "loss"]
    assert kinds == ["DDPM.training_loss"]


def test_the_last_entries_of_a_clipped_cosine_schedule_are_not_called_wrong() -> None:
    T = 200
    f = torch.cos((torch.arange(T + 1, dtype=torch.float64) / T + 0.008) / 1.008 * torch.pi / 2)
    alpha_bar = (f / f[0]).square()[1:]
    betas = 1 - alpha_bar / torch.cat([torch.ones(1), alpha_bar[:-1]])
    own = schedule_of({"betas": betas.clamp(max=0.999), "alphas_cumprod": alpha_bar})
    assert own is not None and own.wrong == () and "cosine" in own.in_words()


def test_a_network_taught_x_0_and_taken_for_noise_is_a_mistake() -> None:
    found = examined(planted("own_network", "t), eps)", "t), x_0)"))
    assert one(found, "loss").mistake == "target_x_0"


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("alphas_cumprod", "alpha_bar"), ("alpha_hat", "alpha_bar"), ("a_bar", "alpha_bar"),
        ("ab_t", "alpha_bar"), ("alphabar_t", "alpha_bar"), ("b_t", "beta"),
        ("alphas_cumprod_prev", "alpha_bar_prev"), ("sqrt_alphas_cumprod", "sqrt_alpha_bar"),
        ("sqrtmab", "sqrt_one_minus_alpha_bar"), ("oneover_sqrta", "sqrt_recip_alpha"),
        ("betas", "beta"), ("alphas", "alpha"),
    ],
)  # fmt: skip
def test_arrays_are_known_by_many_names(name: str, meaning: str) -> None:
    assert canonical(name) == meaning and meaning in ARRAYS


@pytest.mark.parametrize(
    ("body", "state", "mistake"),
    [
        ("u + w * (c - u)", "right", ""),
        ("(1 + w) * c - w * u", "right", ""),
        ("c + w * (u - c)", "mistake", "guidance_swapped"),
        ("u + w * c", "mistake", "not_subtracted"),
        ("w * c * c", "differs", ""),
    ],
)
def test_a_function_of_guidance_is_tried(body: str, state: str, mistake: str) -> None:
    found = examined(
        "def cfg(model, x, t, y, w):\n    c = model(x, t, y)\n    u = model(x, t, None)\n"
        f"    return {body}\n"
    )
    said = one(found, "guidance")
    assert (said.state, said.mistake) == (state, mistake), told(found)


# --- names that are not usual


OWN_NAMES = """
import torch
lots = torch.linspace(1e-4, 0.02, 100)
kept = (1 - lots).cumprod(0)

def noise_it(picture, when, grain):
    k = kept[when].view(-1, 1, 1, 1)
    return k.sqrt() * picture + (1 - k).sqrt() * grain
"""


def test_map_names_what_has_another_name() -> None:
    found = examined(OWN_NAMES.replace("noise_it", "blur"), betas="lots", q_sample="blur")
    assert one(found, "q_sample").state == "right", told(found)
    assert "T = 100" in found.convention
    wrong = OWN_NAMES.replace("(1 - k).sqrt()", "(1 - k)").replace("noise_it", "blur")
    assert one(examined(wrong, betas="lots", q_sample="blur"), "q_sample").mistake == "one_root"


def test_map_takes_a_name_of_the_file_alone(folder: Path) -> None:
    Path("my_code.py").write_text(OWN_NAMES, encoding="utf-8")
    said = tutor("my_code.py", "--map", "q_sample=zzz", code=2).stderr
    assert said.startswith("There is no zzz in my_code.py")


def test_a_dict_may_have_numbers_for_keys() -> None:
    found = examined("""
import torch
LABELS = {0: "zero", 1: "one"}

class Diffusion:
    def __init__(self):
        self.kept = (1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(0)
        self.betas = torch.linspace(1e-4, 0.02, 1000)

    def q_sample(self, x_0, t, noise):
        k = self.kept[t].view(-1, 1, 1, 1)
        return k.sqrt() * x_0 + (1 - k).sqrt() * noise
""")
    assert one(found, "q_sample").state == "right", told(found)


def test_what_cannot_be_called_is_not_called_wrong() -> None:
    found = examined(OWN_NAMES.replace("grain)", "grain, a, b, c)"), betas="lots")
    said = one(found, "q_sample")
    assert said.state == "not called" and "`c`" in said.says
    assert examined(OWN_NAMES, q_sample="nothing").failed == [
        "There is no nothing in my_code.py that could be q_sample."
    ]


def test_a_loss_that_goes_backward_itself_beside_a_learned_variance_is_not_judged() -> None:
    right, its = "((noise - eps) ** 2).mean() + 0.001 * vb", "((noise - eps) ** 2).mean()"
    code = SHAPES["learned_variance"]
    assert f"return {right}" in code
    itself = f"(loss := {its}).backward()\n        return loss"
    loss = one(examined(code.replace(f"return {right}", itself)), "loss")
    assert loss.state == "not called" and "return it before backward()" in loss.says


# --- what is said, and the exit code


SHARED = """
import torch

class Sampler:
    def __init__(self, diffusion):
        self.d = diffusion

    def sample(self, model, n):
        x = torch.randn(n, 1, 8, 8)
        for t in reversed(range(40)):
            x = self.d.p_sample(model, x, t)
        return x

class Diffusion:
    def __init__(self):
        self.betas = torch.linspace(1e-4, 0.2, 40)
        self.alphas_bar = (1 - self.betas).cumprod(0)

    def p_sample(self, model, x, t):
        eps = model(x, torch.full((len(x),), t))
        b = self.betas[t]
        mean = (x - b / (1 - self.alphas_bar[t]).sqrt() * eps) / (1 - b).sqrt()
        return mean + b.sqrt() * torch.randn_like(x) if t else mean
"""


def test_a_schedule_is_told_of_the_class_that_makes_it() -> None:
    found = examined(SHARED)
    assert {f.state for f in found.findings} == {"right"}, told(found)
    assert [f.name for f in found.findings] == [
        "Diffusion: betas, alphas_bar", "Diffusion.p_sample", "Sampler.sample"
    ]  # fmt: skip


def test_what_several_pieces_lack_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = examined("def add_noise(x, t, noise): ...\ndef p_sample(model, x, t): ...\n")
    monkeypatch.setattr(project_sandbox, "examine_file", lambda *_: (found, Source("")))
    said = " ".join(tutor("my_code.py", code=1).stdout.split())
    assert said.count("It needs the noise schedule") == said.count("betas=NAME") == 1
    assert "q_sample add_noise (line 1), reverse step p_sample (line 2)" in said


def test_a_long_statement_is_cut_between_words() -> None:
    names = [f"a_name_of_some_length_{i}" for i in range(9)]
    found = examined(f"from torch import {', '.join(names)}\n")
    (line, why), *_ = found.left_out
    assert line == 1 and why.startswith("from torch import") and " ...: ImportError" in why
    assert why.split(" ...")[0].split()[-1].rstrip(",") in names


def test_the_exit_code_is_1_where_something_is_wrong() -> None:
    Path("flat.csv").write_text("\n".join(["loss", *["1.0"] * 200]))
    Path("good.csv").write_text("\n".join(["loss", *(f"{1 / (1 + i):.4f}" for i in range(60))]))
    assert "✗" in tutor("flat.csv", code=1).stdout
    assert "✗" not in tutor("good.csv").stdout
    assert "exit code is 1 where something is wrong" in " ".join(tutor("--help").stdout.split())


# --- files


ANNOTATED = """
from __future__ import annotations
from absent_nn.utils import gather
from absent_typing import Float
from mine.schedules import made
T: Float[int, ""] = 60
alpha_bar = []
alpha_bar.extend((1 - made(T)).cumprod(0).tolist())
betas = made(T)

def q_sample(x0: Float[Later, "b c h w"], t, noise) -> Later:
    bar = gather((1 - betas).cumprod(0), t)
    return bar.sqrt() * x0 + (1 - bar).sqrt() * noise
"""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.py", b"\n", "holds no code"),
        ("broken.py", b"import torch\ndef f(:\n", "broken.py, line 2: this is not Python"),
        ("latin.py", b"a = '\xe9'\n", "not in UTF-8"),
        ("nb.ipynb", b'{"cells": [{"cell_type": "markdown", "source": "x"}]}', "holds no code"),
    ],
)
def test_what_cannot_be_read_gets_a_line(name: str, content: bytes, said: str) -> None:
    Path(name).write_bytes(content)
    error = tutor(name, code=1).stderr
    assert said in error and error.count("\n") <= 2


def test_what_is_no_file_or_no_piece_gets_a_line() -> None:
    Path("folder.py").mkdir()
    assert "is a folder" in tutor("folder.py", code=2).stderr
    assert "There is no none.py" in tutor("none.py", code=2).stderr
    Path("a.py").write_text("x = 1")
    assert "PIECE=NAME" in tutor("a.py", "--map", "q_sample", code=2).stderr
    assert "knows no 'sampel'" in tutor("a.py", "--map", "sampel=f", code=2).stderr
    assert "goes with code" in tutor("--map", "sampler=f", code=2).stderr


def test_a_notebook_is_read_without_what_speaks_to_jupyter() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# My model"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!ls\n", "import torch\n"]},
        {"cell_type": "code", "source": "betas = torch.linspace(1e-4, 0.02, 100)\nT = 100"},
    ]  # fmt: skip
    Path("my.ipynb").write_text(json.dumps({"cells": cells}))
    source = read_project(Path("my.ipynb"))
    assert source.text.splitlines() == [
        "pass", "pass", "import torch", "betas = torch.linspace(1e-4, 0.02, 100)", "T = 100"
    ]  # fmt: skip
    assert (source.where(3), source.where(5)) == ("cell 2, line 3", "cell 3, line 2")
    cells[2]["source"] = "def f(:"
    Path("my.ipynb").write_text(json.dumps({"cells": cells}))
    with pytest.raises(TutorError, match="cell 3, line 1: this is not Python"):
        read_project(Path("my.ipynb"))


def test_a_module_beside_it_is_found_and_an_absent_package_stood_in_for() -> None:
    Path("schedules.py").write_text(
        "import torch\ndef made(n):\n    return torch.linspace(1e-4, 0.1, n)\n"
    )
    found = examined(
        "import wandb_that_is_absent as wandb\nfrom schedules import made\n"
        "betas = made(60)\nwandb.init(project='x')\n"
    )
    assert found.stood_in == ["wandb_that_is_absent"] and "T = 60" in found.convention


def test_a_package_in_src_is_found_and_annotations_need_not_be_there(folder: Path) -> None:
    beside = folder / "src" / "mine"
    beside.mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    (beside / "__init__.py").touch()
    (beside / "schedules.py").write_text(
        "import torch\ndef made(n):\n    return torch.linspace(1e-4, 0.1, n)\n"
    )
    (beside / "ddpm.py").write_text(ANNOTATED)
    found = examined(ANNOTATED, str(beside / "ddpm.py"))
    assert found.stood_in == ["absent_nn", "absent_typing"] and not found.left_out
    assert {f.state for f in found.findings} == {"right"}, told(found)
    assert [f.kind for f in found.findings] == ["schedule", "q_sample"]


def test_what_needs_an_absent_package_is_not_called_wrong() -> None:
    found = examined(
        "import absent_tensors as tf\n\ndef extract(a, t, x_shape):\n"
        "    return tf.reshape(tf.pick(a, t), [5, 1, 1, 1])\n"
    )
    assert one(found, "gather").state == "not called"
    assert "is not installed here" in one(found, "gather").says


def test_a_projects_own_environment_is_not_its_own_code(folder: Path) -> None:
    installed = folder / ".venv" / "site-packages" / "optimizers_of_a_package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("class Adam:\n    def step(self, x): ...\n")
    path = f"import sys\nsys.path.append({str(installed.parent)!r})\n"
    found = examined(f"{path}from optimizers_of_a_package import Adam\nx = 1\n")
    assert not found.findings and not found.left_out


# --- in the sandbox, as a learner does it


ADVERSE = """
import os, sys
import torch
print("x" * 5_000_000)
name = input("who are you?")
os.remove("precious.txt")
gone = os.remove("precious.txt")
gpu = torch.zeros(3).cuda()
sys.exit(3)
left = sys.exit(3)
while True:
    pass

betas = torch.linspace(1e-4, 0.02, 100)
alphas_cumprod = (1 - betas).cumprod(0)

def q_sample(x_start, t, noise):
    os.remove("precious.txt")

class DDPM:
    def __init__(self, n_steps):
        self.betas = torch.linspace(1e-4, 0.02, n_steps)
        self.alphas_cumprod = (1 - self.betas).cumprod(0)

    def add_noise(self, x, t, noise):
        bar = self.alphas_cumprod[t].view(-1, 1, 1, 1)
        return bar.sqrt() * x + (1 - bar) * noise

if __name__ == "__main__":
    os.remove("precious.txt")
"""


@pytest.mark.slow
def test_the_sandbox_lets_nothing_through_and_tells_what_it_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("precious.txt").write_text("mine")
    Path("my_code.py").write_text(ADVERSE)
    said = " ".join(tutor("my_code.py", code=1).stdout.split())
    assert Path("precious.txt").read_text() == "mine"
    assert sorted(path.name for path in Path().iterdir()) == ["my_code.py", "precious.txt"]
    assert "Run in a sandbox" in said and "does not let code change files" in said
    assert "One square root is missing" in said and "DDPM.add_noise" in said
    assert "exercise start 2" in said


@pytest.mark.slow
def test_code_that_ends_python_loses_only_what_comes_after(folder: Path) -> None:
    Path("my_code.py").write_text(
        "import os, torch\nbetas = torch.linspace(1e-4, 0.02, 100)\n"
        "def p_sample(model, x, t):\n    os._exit(0)\n"
    )
    done = tutor("my_code.py", code=1)
    assert "T = 100" in done.stdout and "your code ended Python itself" in done.stderr
    Path("my_code.py").write_text("x = 1\n")
    assert "has no function with a usual name" in tutor("my_code.py", code=1).stderr


def test_every_piece_has_a_title() -> None:
    from ddpm_tutor.grading.project_names import PIECES as KNOWN

    assert set(KNOWN) | {"schedule", "together"} == set(doctor_code.TITLES)
