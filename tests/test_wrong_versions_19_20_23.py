"""Wrong versions of exercises 19, 20 and 23, as learners write them: is each told what is wrong?

As in test_wrong_versions_8_to_14.py, each stands with the known mistake that it is taken for, or
with words of its verdict; "" is where nothing is named yet.
"""

from typing import Any

import pytest
import torch
from test_wrong_versions_8_to_14 import told

from ddpm_tutor.course.exercise import find_exercise
from ddpm_tutor.science.schedule import cosine_schedule, linear_schedule

# what wrong versions begin with
OF_19 = """
    a = schedule.alpha_bar[t].to(x_t.dtype)[:, None]
    x, p = x_t.flatten(1), data.flatten(1)
    squares = ((x[:, None] - a.sqrt()[:, None] * p) ** 2).sum(2)
"""
OF_20 = """
    a = schedule.alpha_bar[t].to(eps.dtype).view(-1, 1, 1, 1)
"""
OF_23 = """
    t, s = torch.arange(T + 1, dtype=torch.float64) / T, 0.008
    f = torch.cos((t + s) / (1 + s) * math.pi / 2) ** 2
    f = f / f[0]
    beta = torch.cat([torch.zeros(1, dtype=torch.float64), 1 - f[1:] / f[:-1]]).clamp(max=0.999)
"""
END_19 = "    return (w @ p).view(x_t.shape)"
END_23 = "    return beta, torch.cumprod(1 - beta, 0)"

WRONG = [
    (19, "cdist, and no square", """
    a = schedule.alpha_bar[t].to(x_t.dtype)[:, None]
    p = data.flatten(1)
    w = torch.stack([
        (-torch.cdist(x[None], b.sqrt() * p)[0] / (2 * (1 - b))).softmax(0)
        for x, b in zip(x_t.flatten(1), a)
    ])
    return (w @ p).view(x_t.shape)
    """, "not_squared"),
    (19, "the bracket of 2 σ²", OF_19 + "    w = (-squares / 2 * (1 - a)).softmax(1)\n" + END_19,
     "times_variance"),
    (19, "the variance twice", OF_19 + "    w = (-squares / (2 * (1 - a) ** 2)).softmax(1)\n"
     + END_19, "what |...|² is divided by is"),
    (19, "β_t for the variance", OF_19 + "    w = (-squares * (1 - a) / 2).softmax(1)\n"
     "    b = schedule.beta[t].to(x_t.dtype)[:, None]\n"
     "    w = (-squares / (200 * b)).softmax(1)\n" + END_19, "what |...|² is divided by is"),
    (19, "ᾱ_t for the variance", OF_19 + "    w = (-squares / (2 * a)).softmax(1)\n" + END_19,
     "what |...|² is divided by is"),
    (19, "no variance", OF_19 + "    w = (-squares / 2).softmax(1)\n" + END_19,
     "what |...|² is divided by is 2"),
    (19, "the noise is missing, and p_n is faded twice",
     OF_19.replace("a.sqrt()", "(a * a)") + "    w = (-squares / (2 * (1 - a))).softmax(1)\n"
     + END_19, "what p_n is multiplied by is"),
    (19, "no fading and no 2", OF_19.replace("a.sqrt()[:, None] * p", "p")
     + "    w = (-squares / (1 - a)).softmax(1)\n" + END_19,
     "and what |...|² is divided by is 0.6036 (= 1 - ᾱ_t)"),
    (19, "√(1 - ᾱ_t) for √ᾱ_t", OF_19.replace("a.sqrt()", "(1 - a).sqrt()")
     + "    w = (-squares / (2 * (1 - a))).softmax(1)\n" + END_19, "what p_n is multiplied by is"),
    (19, "absolute differences", OF_19.replace(") ** 2).sum", ").abs()).sum")
     + "    w = (-squares / (2 * (1 - a))).softmax(1)\n" + END_19, "no softmax of"),
    (19, "weights of 1 / distance", OF_19 + "    w = 1 / squares\n"
     "    w = w / w.sum(1, keepdim=True)\n" + END_19, "no softmax of"),
    (19, "the plain mean", OF_19 + "    w = torch.full_like(squares, 1 / len(data))\n" + END_19,
     "All pictures have the same weight"),
    (19, "divided by N", OF_19 + "    w = (-squares / (2 * (1 - a))).softmax(1) / len(data)\n"
     + END_19, "add up to 0.1429"),
    (19, "the noise that is left is added", OF_19
     + "    w = (-squares / (2 * (1 - a))).softmax(1)\n"
     "    return ((w @ p) + (x - a.sqrt() * (w @ p)) * 0.1).view(x_t.shape)",
     "x_t itself is in the result"),
    (19, "clipped", OF_19 + "    w = (-squares / (2 * (1 - a))).softmax(1)\n"
     "    return (w @ p).view(x_t.shape).clamp(-0.1, 0.1)", "Is something clipped"),
    (19, "sigmoids", OF_19 + "    w = (-squares / (2 * (1 - a))).sigmoid()\n" + END_19,
     "not_divided"),
    (19, "the batch is averaged", OF_19 + "    w = (-squares / (2 * (1 - a))).softmax(1)\n"
     "    return (w @ p).mean(0).expand(x.shape).reshape(x_t.shape)",
     "x_t of one picture gets into the others"),
    (19, "not shaped", OF_19 + "    w = (-squares / (2 * (1 - a))).softmax(1)\n    return w @ p",
     "only their shape is to change"),
    (19, "exp, in float64", OF_19 + "    w = (-squares.double() / (2 * (1 - a.double()))).exp()\n"
     "    w = (w / (w.sum(1, keepdim=True) + 1e-8)).to(x_t.dtype)\n" + END_19, "add up to"),
    (19, "exp and 1e-8", OF_19 + "    w = (-squares / (2 * (1 - a))).exp()\n"
     "    w = w / (w.sum(1, keepdim=True) + 1e-8)\n" + END_19, "add up to"),
    (20, "plus", OF_20 + "    return eps / (1 - a) ** 0.5", "sign"),
    (20, "the variance, and plus", OF_20 + "    return eps / (1 - a)",
     "by 1.085 (= 1 / (1 - ᾱ_t)) where -1.042"),
    (20, "½ of the root", OF_20 + "    return -eps / (1 - a) / 2", "you multiply eps by"),
    (20, "α_t for ᾱ_t", OF_20.replace("alpha_bar", "alpha") + "    return -eps / (1 - a).sqrt()",
     "one_step"),
    (20, "times the variance", OF_20 + "    return -eps * (1 - a)",
     "by -0.9214 (= -(1 - ᾱ_t)) where"),
    (20, "from x_0", OF_20 + "    return -(eps - a.sqrt() * eps) / (1 - a)",
     "you multiply eps by"),
    (20, "both sizes", OF_20 + "    return -eps / (a.sqrt() * (1 - a).sqrt())",
     "you multiply eps by"),
    (20, "t in 0..1", "    a = (1 - t / schedule.T).to(eps.dtype).view(-1, 1, 1, 1)\n"
     "    return -eps / (1 - a).sqrt()", "you multiply eps by"),
    (20, "ᾱ_T for all", OF_20.replace("[t]", "[-1]").replace(".view(-1, 1, 1, 1)", "")
     + "    return -eps / (1 - a).sqrt()", "by -1 where -100"),
    (20, "a small number against zero", OF_20 + "    return -eps / ((1 - a).sqrt() + 1e-2)",
     "you multiply eps by"),
    (20, "normalised", OF_20 + "    return -eps / eps.flatten(1).norm(dim=1).view(-1, 1, 1, 1)",
     "by -0.1637 where -1.042"),
    (20, "in place", OF_20 + "    eps /= -(1 - a).sqrt()\n    return eps", "changed in place"),
    (23, "s = 0.08 in the sum only", OF_23.replace("t + s", "t + 0.08") + END_23,
     "The shift s is 0.08, where 0.008 belongs; and it is divided by 1.008"),
    (23, "s = 0.08", OF_23.replace("0.008", "0.08") + END_23, "s_ten_times"),
    (23, "s = 0.08, and no square", OF_23.replace("0.008", "0.08").replace(") ** 2", ")") + END_23,
     "The shift s is 0.08, where 0.008 belongs; and the cosine is not squared"),
    (23, "no s, and no cap", OF_23.replace("0.008", "0").replace("0.999", "1") + END_23,
     "The shift s = 0.008 is missing; and the largest β is not cut to 0.999"),
    (23, "0.99", OF_23.replace("0.999", "0.99") + END_23, "The largest β is cut to 0.99, where"),
    (23, "the paper's largest β", OF_23.replace("0.999", "0.02") + END_23, "β is cut to 0.02"),
    (23, "π", OF_23.replace(" / 2)", ")") + END_23, "The angle goes to π"),
    (23, "squared inside", OF_23.replace("/ 2) ** 2", "/ 2 ** 2)") + END_23,
     "The angle goes to π / 4, where it is π / 2; and the cosine is not squared"),
    (23, "t / (T + 1)", OF_23.replace("/ T,", "/ (T + 1),") + END_23, "over_one_more"),
    (23, "linspace to T, over T + 1, no cap", OF_23.replace("/ T,", "/ (T + 1),")
     .replace("0.999", "1") + END_23, "divided by T + 1"),
    (23, "linspace to T + 1, over T", OF_23.replace("/ T,", "* (T + 1) / T / T,") + END_23,
     "T goes up to T + 1"),
    (23, "α for ᾱ", OF_23 + "    return beta, 1 - beta", "What stands for ᾱ is 1 - β_t"),
    (23, "the product of β", OF_23 + "    return beta, beta.cumprod(0)", "the product of β"),
    (23, "ᾱ from the formula", OF_23 + "    return beta, f", "only_beta_capped"),
    (23, "ᾱ from the formula, no cap", OF_23.replace("0.999", "1") + "    return beta, f",
     "The largest β is not cut to 0.999"),
    (23, "upside down", OF_23.replace("f[1:] / f[:-1]", "f[:-1] / f[1:]") + END_23,
     "it has to be from 0 to 1"),
    (23, "α for β", OF_23.replace("1 - f[1:] / f[:-1]", "f[1:] / f[:-1]") + END_23,
     "This is f(t) / f(t - 1)"),
    (23, "f for β", OF_23 + "    return f, beta", "This is ᾱ in the place of β"),
    (23, "one too few", OF_23 + "    return beta[1:], torch.cumprod(1 - beta[1:], 0)", "no_zero"),
    (23, "no normalising", OF_23 + "    g = f * math.cos(0.008 / 1.008 * math.pi / 2) ** 2\n"
     "    g[-1] = g[-2] / 1000\n    return beta, g", "not_normalised"),
    (23, "a Schedule", "    from ddpm_tutor import Schedule\n" + OF_23
     + "    return Schedule(beta, 1 - beta, torch.cumprod(1 - beta, 0))",
     "It is to return beta and"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("number", "body", "named"),
    [(number, body, named) for number, _, body, named in WRONG],
    ids=[f"{number}: {what}" for number, what, *_ in WRONG],
)
def test_what_is_wrong_is_named(number: int, body: str, named: str) -> None:
    verdict = told(number, body)
    assert not verdict.passed
    assert verdict.mistake == named or (named and named in verdict.says), verdict


def test_the_package_does_not_do_the_work() -> None:
    for number, body in (
        (19, "from ddpm_tutor import exact_posterior_mean as mean\n"
             "return mean(schedule, x_t, t, data)"),
        (19, "from ddpm_tutor import posterior_weights\n"
             "return (posterior_weights(schedule, x_t, t, data) @ data.flatten(1)).view_as(x_t)"),
        (20, "from ddpm_tutor import score_from_eps as score\nreturn score(schedule, t, eps)"),
        (23, "from ddpm_tutor import cosine_schedule as of_package\n"
             "found = of_package(T)\nreturn found.beta, found.alpha_bar"),
    ):  # fmt: skip
        assert "does the work here" in told(number, body).says


def test_other_right_ways_pass() -> None:
    for number, body in (
        (
            19,
            """
    means = []
    for x, i in zip(x_t, t):
        a = schedule.alpha_bar[i]
        logs = torch.stack([-((x - a.sqrt() * p) ** 2).sum() / (2 * (1 - a)) for p in data])
        w = (logs - logs.max()).exp()
        means.append(((w / w.sum()).to(x.dtype).view(-1, 1, 1, 1) * data).sum(0))
    return torch.stack(means)
    """,
        ),
        (
            19,
            """
    a = schedule.alpha_bar[t].to(x_t.dtype)[:, None]
    x, p = x_t.flatten(1) / a.sqrt(), data.flatten(1)
    w = (-a * ((x[:, None] - p) ** 2).sum(2) / (2 * (1 - a))).softmax(1)
    return torch.einsum("bn,nchw->bchw", w, data)
    """,
        ),
        (
            20,
            """
    a = schedule.alpha_bar[t]
    return torch.einsum("b,bchw->bchw", -(1 / (1 - a)).sqrt().to(eps.dtype), eps)
    """,
        ),
        (
            23,
            """
    f = [math.cos((t / T + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(T + 1)]
    beta = [0.0] + [min(1 - f[t] / f[t - 1], 0.999) for t in range(1, T + 1)]
    alpha_bar = [1.0]
    for b in beta[1:]:
        alpha_bar.append(alpha_bar[-1] * (1 - b))
    return torch.tensor(beta, dtype=torch.float64), torch.tensor(alpha_bar, dtype=torch.float64)
    """,
        ),
        (
            23,
            """
    x = torch.linspace(0, T + 1, T + 1, dtype=torch.float64)
    f = torch.cos((x / (T + 1) + 0.008) / 1.008 * torch.pi * 0.5) ** 2
    f = f / f[0]
    beta = torch.clip(1 - f[1:] / f[:-1], 0, 0.999)
    beta = torch.nn.functional.pad(beta, (1, 0))
    return beta, torch.cumprod(1 - beta, dim=0)
    """,
        ),
    ):
        verdict = told(number, body)
        assert verdict.passed and not verdict.notes, verdict


def mistaken(number: int, name: str) -> Any:
    """The function of a known mistake."""
    exercise = find_exercise(str(number))
    return exercise.load(exercise.mistake(name).code)


def test_what_is_said_of_the_score_is_so() -> None:
    schedule, t = linear_schedule(), torch.tensor([1, 1000])
    eps = torch.ones(2, 1, 1, 1, dtype=torch.float64)
    right = mistaken(20, "float64")(schedule, t, eps).flatten()
    assert right[0].item() == pytest.approx(-100) and right[1].item() == pytest.approx(-1, abs=1e-4)
    of_variance = mistaken(20, "variance")(schedule, t, eps).flatten()
    assert (of_variance / right)[0].item() == pytest.approx(100)
    every, ones = torch.arange(1, 1001), torch.ones(1000, 1, 1, 1, dtype=torch.float64)
    longer = mistaken(20, "one_step")(schedule, every, ones) / mistaken(20, "float64")(
        schedule, every, ones
    )
    assert 10 < longer.max() < 10.5 and longer[0].item() == pytest.approx(1)
    assert bool((longer[1:] > 1).all())


def test_what_is_said_of_the_cosine_schedule_is_so() -> None:
    exercise = find_exercise("23")
    beta, alpha_bar = exercise.load(exercise.solution)(1000)
    assert torch.equal(beta, cosine_schedule(1000).beta)
    assert 20_000 < alpha_bar[-1].item() ** -0.5 < 20_500  # by what the first guess is multiplied
    assert 8 < mistaken(23, "s_ten_times")(1000)[0][1:].div(beta[1:]).max() < 8.5
    of_no_s = mistaken(23, "no_s")(1000)[0]
    assert of_no_s[1].sqrt() < 2 / 255 / 4 < beta[1].sqrt()
    assert bool((mistaken(23, "not_squared")(1000)[1][1:-1] > alpha_bar[1:-1]).all())
    assert bool((mistaken(23, "over_one_more")(1000)[1][1:] > alpha_bar[1:]).all())
    assert mistaken(23, "not_divided")(1000)[0].min() < 0
    assert mistaken(23, "not_capped")(1000)[1][-1] == 0
    assert mistaken(23, "one_late")(1000)[1][1] == 1
    assert mistaken(23, "beta_is_one_minus_f")(1000)[1][200] < 0.01 < 0.89 < alpha_bar[200]


def test_what_is_said_of_the_posterior_mean_is_so() -> None:
    """Of ten digits, with the pictures of exercise 19."""
    exercise = find_exercise("19")
    digits = exercise.namespace(exercise.check)
    draw, right = digits["picture"], digits["right"]
    wanted = draw(right)
    data = torch.cat([digits["a_digit"](digit) for digit in range(10)])
    off = {
        name: (draw(mistaken(19, name)) - wanted).square().mean((1, 2, 3))
        for name in ("nearest", "mean_of_squares", "not_squared", "faded_mean", "not_halved")
    }
    assert off["nearest"][2] > 0.01  # at t = 900 the nearest is not the mean
    plain = data.mean(0, keepdim=True)
    for name in ("mean_of_squares", "not_squared"):  # a blur of all ten
        blur = (draw(mistaken(19, name)) - plain).square().mean((1, 2, 3))
        assert bool((blur[:2] < off[name][:2]).all())
    assert draw(mistaken(19, "underflow")).isnan().any()
    assert draw(mistaken(19, "not_divided")).abs().max() < 1e-6  # grey
    assert draw(mistaken(19, "faded_mean"))[2].abs().max() < 0.2
