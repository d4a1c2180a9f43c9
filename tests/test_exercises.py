"""Every exercise: its solution, its hints, its known mistakes, and what the judge says of them."""

import textwrap
from pathlib import Path

import pytest
import torch
from test_documents import examples
from torch import Tensor
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.course.exercise import Exercise, all_exercises, find_exercise, parts, read_exercise
from ddpm_tutor.course.exercise_lint import exercise_problems
from ddpm_tutor.course.lesson import all_lessons
from ddpm_tutor.course.questions import questions
from ddpm_tutor.errors import TutorError, UsageError
from ddpm_tutor.grading.drawing import draw_with, quick_drawing
from ddpm_tutor.grading.judge import judge
from ddpm_tutor.grading.known_mistakes import bugs
from ddpm_tutor.grading.trials import Toy
from ddpm_tutor.grading.verdict import Picture, Verdict
from ddpm_tutor.science.diffusion import p_step
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.sampling import (
    Noises,
    SamplingOptions,
    ancestral_sampling,
    draw,
    guided_eps,
    last,
)
from ddpm_tutor.science.training import drop_labels
from ddpm_tutor.storage.checkpoints import load_checkpoint

EXERCISES = all_exercises()
MISTAKES = [(exercise, mistake) for exercise in EXERCISES for mistake in exercise.mistakes]
each_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.path.stem)


def judged(exercise: Exercise, source: str, pictures: bool = False) -> Verdict:
    return judge(exercise, source, Path(f"{exercise.name}.py"), pictures=pictures)


def answer(number: int, body: str) -> Verdict:
    """The verdict on an exercise's file whose function has this body."""
    exercise = find_exercise(str(number))
    above = exercise.start.source.split('    """')[0]
    return judged(exercise, above + textwrap.indent(textwrap.dedent(body), "    "))


@each_exercise
def test_the_solution_passes(exercise: Exercise) -> None:
    verdict = judged(exercise, exercise.solved())
    assert verdict.passed and verdict.cases >= 5 and "cpu" in verdict.devices


@each_exercise
def test_every_exercise_is_in_order(exercise: Exercise) -> None:
    """Its hints are the solution with gaps and give away more and more, its names are its own."""
    known = {str(lesson.number) for lesson in all_lessons()}
    to_come = [] if exercise.lesson in known else [f"there is no lesson {exercise.lesson}"]
    assert exercise_problems(exercise) == to_come


@each_exercise
def test_what_the_learner_is_given_runs_and_has_one_gap(exercise: Exercise) -> None:
    source = exercise.starter()
    verdict = judged(exercise, source)
    assert verdict.kind == "gap" and verdict.line is not None
    assert source.splitlines()[verdict.line - 1] == "    ..."
    assert exercise.title in source and f"check {exercise.number}" in source
    assert max(map(len, source.splitlines())) <= 100


@each_exercise
def test_every_hint_leaves_a_gap(exercise: Exercise) -> None:
    assert len(exercise.hints) >= 2
    for hint in exercise.hints:
        assert hint.prose and judged(exercise, exercise.with_code(hint.code)).kind == "gap"


@pytest.mark.parametrize(
    ("exercise", "name"),
    [(exercise, mistake.name) for exercise, mistake in MISTAKES],
    ids=[f"{exercise.number}-{mistake.name}" for exercise, mistake in MISTAKES],
)
def test_every_known_mistake_is_recognised(exercise: Exercise, name: str) -> None:
    mistake = exercise.mistake(name)
    verdict = judged(exercise, exercise.with_code(mistake.code))
    assert verdict.mistake == name
    if verdict.passed:  # right values in another dtype, or mixed devices where there is no GPU
        assert name in ("float64", "on_the_cpu")
        assert verdict.notes == [f"{mistake.what} {mistake.leads_to}".strip()]
    else:
        assert name != "float64" and verdict.says == mistake.what
    assert len(mistake.what) <= 110 and mistake.when in ("", "draws", "device")
    if verdict.kind == "wrong" and verdict.line is None and "in place" not in verdict.says:
        assert verdict.rows and len(verdict.columns) == len(verdict.rows[0])


def test_points_are_those_of_the_lessons() -> None:
    asked = {q.part: q.points for lesson in all_lessons() for q in questions(lesson) if q.points}
    assert {exercise.part for exercise in EXERCISES} <= {"", *asked}
    assert [exercise.number for exercise in EXERCISES] == list(range(1, len(EXERCISES) + 1))
    assert all(exercise.part for exercise in EXERCISES[:14])
    assert {part.name: part.points for part in parts().values()}.items() <= asked.items()
    assert {int(e.lesson) for e in EXERCISES} <= {lesson.number for lesson in all_lessons()}


@pytest.mark.slow
@each_exercise
def test_what_is_right_has_a_picture(exercise: Exercise) -> None:
    """It is drawn where a wrong version of the right kind is at hand."""
    checking = exercise.namespace(exercise.check)
    if "picture" in checking:
        with torch.no_grad():
            image = checking["picture"](checking["right"])
        assert image.ndim == 4 and image.isfinite().all() and checking["picture"].__doc__


def test_right_in_the_exercises_is_what_the_package_does() -> None:
    """Where an exercise takes another form than the package's function."""
    label, u = torch.arange(9), torch.rand(9, generator=stream(0, "u"))
    of_13 = find_exercise("13").load(find_exercise("13").solution)
    assert torch.equal(of_13(label, 0.4, 10, u), drop_labels(label, 0.4, 10, stream(0, "u")))
    x_t, t = normal((9, 1, 8, 8), stream(0, "x"), "cpu"), label + 1
    of_14 = find_exercise("14").load(find_exercise("14").solution)
    torch.testing.assert_close(
        of_14(Toy(), x_t, t, label, 10, 1.5), guided_eps(Toy(), x_t, t, label, 1.5)
    )


# other right ways to write it

RIGHT = [
    (2, """
        a = torch.stack([schedule.alpha_bar[int(i)] for i in t]).reshape(len(t), 1, 1, 1)
        return (a ** 0.5 * x_0 + (1 - a) ** 0.5 * eps).type_as(x_0)
    """),
    (2, """
        alpha_bar = schedule.alpha_bar.float()[t][..., None, None, None].to(x_0)
        return alpha_bar.sqrt() * x_0.clone() + torch.sqrt(1 - alpha_bar) * eps
    """),
    (3, """
        eps = torch.empty(images.shape).normal_(generator=generator)
        t = 1 + (torch.rand(images.size(0), generator=generator) * schedule.T).long()
        return q_sample(schedule, 2 * (images / 255) - 1, t, eps), t, eps
    """),
    (4, """
        half = channels // 2
        frequency = torch.exp(-torch.arange(half, device=t.device) / half * 9.210340371976184)
        return torch.cat([torch.sin(t.unsqueeze(1) * frequency),
                          torch.cos(t.unsqueeze(1) * frequency)], -1)
    """),
    (7, """
        def at(v, i):
            return v[i].view(-1, 1, 1, 1)
        s, ab = schedule, schedule.alpha_bar
        v = (1 - at(ab, t - 1)) / (1 - at(ab, t)) * at(s.beta, t)
        m = v / at(s.beta, t) * at(s.alpha, t).sqrt() * x_t
        m = m + at(s.beta, t) * at(ab, t - 1).sqrt() / (1 - at(ab, t)) * x_0
        return m.to(x_t.dtype), v.to(x_t.dtype)
    """),
    (8, """
        from ddpm_tutor import p_mean
        x = p_mean(schedule, x_t, t, eps)
        for i in range(len(x_t)):
            if t[i] > 1:
                x[i] += schedule.beta[t[i]].sqrt() * z[i]
        return x
    """),
    (9, """
        x, moments = x_T, []
        for i in reversed(range(1, schedule.T + 1)):
            moments.append((i, x))
            t = torch.tensor([i] * len(x), device=x.device)
            x = p_step(schedule, x, t, model(x, t), z[i] if i > 1 else torch.zeros_like(x))
        return [*moments, (0, x)]
    """),
    (13, """
        given = [null_label if v < share else int(y) for v, y in zip(u, label)]
        return torch.tensor(given, device=label.device)
    """),
    (14, """
        both = model(torch.cat([x_t, x_t]), torch.cat([t, t]),
                     torch.cat([label, torch.full_like(label, null_label)]))
        a, b = both.chunk(2)
        return guidance * a + (1 - guidance) * b
    """),
    (15, """
        squared = variance_1 + (mean_1 - mean_2) ** 2
        return (variance_2 / variance_1).log() / 2 + squared / (2 * variance_2) - 1 / 2
    """),
    (15, """
        from torch.distributions import Normal, kl_divergence
        one, two = Normal(mean_1, variance_1.sqrt()), Normal(mean_2, variance_2.sqrt())
        return kl_divergence(one, two)
    """),
    (16, """
        from ddpm_tutor import kl_gaussians
        mean, width = q_posterior(schedule, x_t, x_0, t)
        return kl_gaussians(mean, width, p_mean(schedule, x_t, t, eps_theta), variance)
    """),
    (16, """
        beta, a, b = (v[t].view(-1, 1, 1, 1)
                      for v in (schedule.beta, schedule.alpha, schedule.alpha_bar))
        eps = (x_t - b.sqrt() * x_0) / (1 - b).sqrt()
        _, beta_tilde = q_posterior(schedule, x_t, x_0, t)
        ratio = beta_tilde / variance
        nats = beta**2 / (2 * variance * a * (1 - b)) * (eps - eps_theta) ** 2
        return (nats + (ratio - 1 - ratio.log()) / 2).to(x_t.dtype)
    """),
    (17, """
        below, above = ((x_0 - mean + s / 255) / variance ** 0.5 for s in (-1, 1))
        log_ndtr = torch.special.log_ndtr
        from_left = log_ndtr(above) + (1 - (log_ndtr(below) - log_ndtr(above)).exp()).log()
        from_right = log_ndtr(-below) + (1 - (log_ndtr(-above) - log_ndtr(-below)).exp()).log()
        nats = torch.where(below + above > 0, from_right, from_left)
        nats = nats.where(x_0 != -1, log_ndtr(above)).where(x_0 != 1, log_ndtr(-below))
        return -nats / math.log(2)
    """),
    (18, """
        nats = torch.stack([terms[:, i].sum() for i in range(terms.shape[1])])
        return nats / (784 * math.log(2))
    """),
    (21, """
        pairs = zip(x_0, x_0_other, t, share, eps, eps_other)
        mixed = []
        for one, other, i, w, e, e_other in pairs:
            a = schedule.alpha_bar[i].to(one)
            pixels, noise = torch.lerp(one, other, w), torch.lerp(e, e_other, w)
            mixed.append(a.sqrt() * pixels + (1 - a).sqrt() * noise)
        return torch.stack(mixed)
    """),
    (22, """
        m = known.to(x_t.dtype)
        return m * q_sample(schedule, x_0, t_prev, eps) + (1 - m) * take(x_t)
    """),
    (22, """
        x = take(x_t).clone()
        x[known] = q_sample(schedule, x_0, t_prev, eps)[known] if not known.is_meta else 0
        return x
    """),
    (24, """
        ab = schedule.alpha_bar.to(x_0.dtype)[t].reshape(len(t), 1, 1, 1)
        x_t = q_sample(schedule, x_0, t, eps)
        x_0_hat = ab ** 0.5 * x_t - (1 - ab) ** 0.5 * v_theta
        eps_hat = (x_t - ab ** 0.5 * x_0_hat) / (1 - ab) ** 0.5
        return [(ab ** 0.5 * x_t - x_0) / (1 - ab) ** 0.5, x_0_hat, eps_hat]
    """),
    (25, """
        x = torch.stack([torch.lerp(a, e, w) for a, e, w in zip(x_0, eps, tau)])
        wanted = (x - x_0) / tau[:, None, None, None]
        return (model(x, tau * 1000.0) - wanted).square().mean()
    """),
]  # fmt: skip


@pytest.mark.parametrize(("number", "body"), RIGHT)
def test_every_right_way_to_write_it_passes(number: int, body: str) -> None:
    verdict = answer(number, body)
    assert verdict.passed, verdict


# what is wrong in ways of its own

WRONG = [
    ("    return x_0 * 2", "wrong", "you multiply x_0 by 2 where 0.2803 (= √ᾱ_t) belongs", None),
    ("    return None", "wrong", "a `return` missing", None),
    ("    return x_0, eps", "wrong", "It is to return x_t", None),
    ("    return 1.0", "wrong", "returns a plain number; x_t must stay a tensor", None),
    ("    return x_0[:, 0]", "wrong", "x_t has the shape (4, 6, 10); it should be", None),
    ("    return x_0.long()", "wrong", "another dtype", None),
    ("    return x_0.exp()", "wrong", "t and eps make no difference to x_t", None),
    ("    return x_0 + 0.5", "wrong", "you add 0.5 to every pixel", None),
    ("    x_0.zero_()\n    return x_0", "wrong", "x_0 is missing", None),
    ("    eps *= 1.5\n    a = schedule.alpha_bar[t].to(x_0.dtype).view(-1, 1, 1, 1)\n"
     "    return a.sqrt() * x_0 + (1 - a).sqrt() * eps / 1.5", "wrong", "eps was changed", None),
    ("    return x_0 / 0 * torch.nan", "wrong", "no number (NaN)", None),
    ("    a = 1\n    return a / (a - 1)", "error", "ZeroDivisionError", 9),
    ("    import nowhere_to_be_found", "error", "ModuleNotFoundError", 8),
    ("    return q_sample(schedule, x_0, t, eps)", "error", "without an end", 8),
    ("    raise SystemExit(3)", "ended", "ends Python", 8),
    ("    raise NotImplementedError", "gap", "gap", 8),
    ("    return [1, 2][2]", "error", "IndexError", 8),
    ("    return torch.empty(10**15)", "error", "more memory", 8),
    ("    return x_0 +", "syntax", "not Python", 8),
    ("return x_0", "syntax", "not Python", 8),
    ("    return x_0\n\nq_sample = 3", "missing", "no function q_sample", None),
    ("    return x_0\n\nimport sys\nsys.exit()", "ended", "ends Python", 11),
]  # fmt: skip


@pytest.mark.parametrize(("body", "kind", "says", "line"), WRONG)
def test_what_is_wrong_is_said_and_pointed_at(
    body: str, kind: str, says: str, line: int | None
) -> None:
    exercise = find_exercise("2")
    above = exercise.start.source.split('    """')[0]
    verdict = judged(exercise, above + body)
    assert (verdict.kind, verdict.line) == (kind, line) and says in verdict.says, verdict
    if "no sum" in verdict.says or "NaN" in verdict.says:
        assert len(verdict.rows) >= 3 and verdict.columns[-2:] == ["expected", "yours"]


def test_a_loop_that_yields_without_an_end_is_stopped() -> None:
    verdict = answer(9, "while True:\n    yield 1, x_T")
    assert verdict.kind == "wrong" and not verdict.mistake


def test_a_gap_is_told_from_an_index() -> None:
    assert answer(2, "return x_0[..., :1]").kind == "wrong"
    assert answer(2, "x = x_0[...]\nreturn x * ...").kind == "gap"


def test_a_wrong_answer_shows_the_picture_that_it_leads_to() -> None:
    exercise = find_exercise("2")
    verdict = judged(exercise, exercise.with_code(exercise.mistake("no_root").code), pictures=True)
    assert [p.caption for p in verdict.pictures] == ["right"] * 3 + ["yours"] * 3
    assert all(len(p.pixels) == 32 and len(p.pixels[0]) == 32 for p in verdict.pictures)
    assert verdict.shows == "A digit at t = 100, 300 and 500."
    assert judged(exercise, exercise.solved(), pictures=True).pictures == []


def test_a_verdict_travels_as_text() -> None:
    verdict = Verdict("wrong", "so", 3, rows=[["a", 1.5]], pictures=[Picture("p", [[1, 2]])])
    assert Verdict.from_json(verdict.to_json()) == verdict
    for text in ("", "[]", "{}", '{"pictures": [1]}'):
        with pytest.raises(ValueError):
            Verdict.from_json(text)


def test_exercises_are_found_by_number_and_by_file(tmp_path: Path) -> None:
    assert find_exercise("2").name == "ex2_closed_form"
    assert find_exercise("elsewhere/ex2_closed_form.py").number == 2
    for name in ("0", "99", "closed", ""):
        with pytest.raises(UsageError, match="no exercise"):
            find_exercise(name)
    (tmp_path / "03_odd.py").write_text("x = 1\n", encoding="utf-8")
    with pytest.raises(TutorError, match="not an exercise"):
        read_exercise(tmp_path / "03_odd.py")


EXAMPLE = examples("CONTRIBUTING.md")[1]
NUMBER = int(EXAMPLE.split("Exercise ")[1].split()[0])

BROKEN = [
    (f"# # Exercise {NUMBER} · My function", "# # My function", "the first heading"),
    (f"# # Exercise {NUMBER} ·", f"# # Exercise {NUMBER + 1} ·", "the first heading"),
    ("# **Paper:** Eq. 11\n", "", "no **Paper:**"),
    ("# **Lesson:** 4\n", "", "no **Lesson:**"),
    ("# **Lesson:** 4", "# **Lesson:** 99", "no lesson 99"),
    ("# **Part:** 11.6 e", "# **Part:** 12 z", "asks for part 12 z"),
    ("# %% start", "# %% begin", "no cell `# %% start`"),
    ("# %% solution", "# %% answer", "no cell `# %% solution`"),
    ("# %% mistake no_root", "# %% misteak no_root", "a cell can't be called 'misteak no_root'"),
    ("# %% mistake no_root", "# %% mistake", "a cell can't be called 'mistake'"),
    ("# %% mistake no_root", "# %% mistake no_root sometimes", "a cell can't be called"),
    ("# %% mistake float64", "# %% mistake no_root", "`mistake no_root` is there 2 times"),
    ("# %% [markdown] hint\n# Take out", "# %% [markdown]\n# Take out", "this hint has no words"),
    ("    x_t        (B, 1, H, W)\n", "", "what `x_t` is"),
    ("    returns    (B, 1, H, W), the mean", "    gives      (B, 1, H, W), the mean", "returns"),
    ('    """\n    ...\n', '    """\n    a = ...\n    return ...\n', "2 gaps"),
    ("# %% solution\ndef p_mean(", "# %% solution\ndef mean(", "the function is not p_mean("),
    ("# %% solution\ndef p_mean(schedule, x_t,", "# %% solution\ndef p_mean(schedule, x,",
     "the function is not p_mean(schedule, x_t, t, eps)"),
    ("# %% solution\ndef p_mean(", "# %% solution\np_mean = (", "solution, line"),
    ("    return (x_t - ... * eps) / alpha.sqrt()", "    return (x_t + ... * eps) / alpha.sqrt()",
     "hint 2 is not the solution with gaps"),
    ("    return (x_t - ... * eps) / alpha.sqrt()",
     "    return (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()", "hint 2 has no gap"),
    ("ᾱ_t is missing.\n", "ᾱ_t is " + "quite " * 20 + "missing.\n", "over 110"),
    ("# %% mistake float64", "# %% mistake float64 draws", "what it leads to in a picture"),
    (EXAMPLE[EXAMPLE.index("# %% mistake no_root") : EXAMPLE.index("# %% check")], "",
     "there is no mistake"),
    ("import p_mean as right", "import p_mean", "no `right`"),
    ("def inputs(draw)", "def draws(draw)", "no function `inputs(draw)`"),
    ("# %% solution\n", "# %% solution\n" + "# on and on\n" * 9, "at most 10"),
]  # fmt: skip

# in order to look at, and not when it is tried
UNTRUE = [
    ('"x_t": draw.noise(), "t": draw.t()', '"t": draw.t(), "x_t": draw.noise()', "`inputs` gives"),
    ("import p_mean as right", "import q_sample as right", "the solution does not pass"),
    ("import p_mean as right", "import nothing as right", "the cell `check` fails: ImportError"),
    ('"t": draw.t()', '"t": draw.t() + 1000', "`right` fails with"),
    ("    return (x_t - beta / (1 - alpha_bar) * eps) / alpha.sqrt()",
     "    return (x_t - beta / (1 - alpha_bar).sqrt() * eps) / alpha.sqrt()",
     "mistake no_root: it is not recognised, but it passes"),
    ("        v[t].view(-1, 1, 1, 1) for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)\n"
     "    )\n    return (x_t - beta / (1 - alpha_bar).sqrt() * eps)",
     "        v[t].to(x_t.dtype).view(-1, 1, 1, 1)\n"
     "        for v in (schedule.beta, schedule.alpha, schedule.alpha_bar)\n"
     "    )\n    return (x_t - beta / (1 - alpha_bar) * eps)",
     "mistake float64: it is not recognised, but it is taken for no_root"),
]  # fmt: skip


def checked(text: str, folder: Path) -> str:
    """What `exercise --check` says of a file, "" where it is in order."""
    path = folder / f"{NUMBER}_my_function.py"
    path.write_text(text, encoding="utf-8")
    done = CliRunner().invoke(app, ["exercise", "--check", str(path)])
    assert done.exit_code == bool(done.stderr) and "Unexpected" not in done.stderr
    return done.stderr


def test_the_example_of_the_guide_is_in_order(tmp_path: Path) -> None:
    assert checked(EXAMPLE, tmp_path) == ""
    exercise = read_exercise(tmp_path / f"{NUMBER}_my_function.py")
    assert (exercise.number, exercise.title, exercise.part) == (NUMBER, "My function", "11.6 e")
    assert exercise.mistakes[0].leads_to and judged(exercise, exercise.starter()).kind == "gap"


def test_an_exercise_may_go_beyond_the_assignment(tmp_path: Path) -> None:
    assert EXAMPLE.count("# **Part:** 11.6 e\n") == 1
    assert checked(EXAMPLE.replace("# **Part:** 11.6 e\n", ""), tmp_path) == ""
    assert read_exercise(tmp_path / f"{NUMBER}_my_function.py").part == ""


@pytest.mark.parametrize(("before", "after", "says"), BROKEN + UNTRUE)
def test_what_is_not_in_order_is_found(tmp_path: Path, before: str, after: str, says: str) -> None:
    assert EXAMPLE.count(before) >= 1
    assert says in checked(EXAMPLE.replace(before, after), tmp_path)


@pytest.mark.parametrize("text", ["", "x = 1\n", "# %% [markdown]\n", "# %%\n" * 9, "# %% start\n"])
def test_what_is_no_exercise_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    assert "is not an exercise" in checked(text, tmp_path)


def test_the_check_for_authors_stands_alone() -> None:
    done = CliRunner().invoke(app, ["exercise", "--check", "x.py", "check", "2"])
    assert done.exit_code == 2 and "exercise check N" in done.stderr


# drawing with other functions


def solutions(*numbers: int) -> dict:
    exercises = [find_exercise(str(number)) for number in numbers]
    return {e.function: e.load(e.solution) for e in exercises}


@pytest.mark.parametrize(
    ("method", "numbers", "guidance"),
    [("ddim", (5, 11, 14), 1.5), ("ddpm", (5, 14), 1.5), ("ddpm", (9,), 1.5), ("ddim", (9,), 1.0)],
)
def test_right_functions_draw_the_same_picture(
    method: str, numbers: tuple[int, ...], guidance: float, in_float32: None
) -> None:
    loaded, labels = load_checkpoint(), torch.tensor([7, 2])
    options = SamplingOptions(method=method, steps=8, guidance=guidance)
    given = (loaded.model, loaded.schedule, labels, options)
    ours = list(draw(*given, seed=3, indices=[0, 5]))
    mine = list(draw_with(solutions(*numbers), *given, seed=3, indices=[0, 5]))
    assert [m.t for m in mine] == [m.t for m in ours]
    for a, b in zip(mine, ours, strict=True):  # roots are taken in float32 here, there in float64
        torch.testing.assert_close((a.x_t, a.x_0_hat), (b.x_t, b.x_0_hat), atol=1e-4, rtol=1e-4)


def test_the_step_and_the_loop_of_exercises_draw_what_algorithm_2_draws(in_float32: None) -> None:
    loaded, labels = load_checkpoint(), torch.tensor([7])
    options = SamplingOptions(steps=8, variance="beta", clip=False)
    given = (loaded.model, loaded.schedule, labels, options)
    ours = list(draw(*given, seed=3, indices=[0]))
    for numbers in ((8,), (5, 8, 9)):
        mine = draw_with(solutions(*numbers), *given, seed=3, indices=[0])
        for a, b in zip(mine, ours, strict=True):
            torch.testing.assert_close((a.x_t, a.x_0_hat), (b.x_t, b.x_0_hat), atol=1e-4, rtol=1e-4)


def test_noise_is_drawn_in_the_order_of_algorithm_2_whatever_is_asked_for_first() -> None:
    z = Noises(5, (torch.tensor(n) for n in range(100)), keep=True)
    assert [int(z[i]) for i in (3, 5, 4, 1, 3)] == [2, 0, 1, 4, 2]
    assert sorted(z) == [1, 2, 3, 4, 5] and len(z) == 5
    with pytest.raises(KeyError, match="not for 6"):
        z[6]


@pytest.mark.slow
def test_every_bug_draws_something_else() -> None:
    loaded = load_checkpoint()
    labels = torch.tensor([7])
    names = [bug.name for bug in bugs()]
    assert len(names) == len(set(names)) >= 20
    rights: dict[str, Tensor] = {}  # one for all mistakes in an exercise
    for bug in bugs():
        five = SamplingOptions(steps=5, guidance=1.5)
        how = dict(seed=0, indices=[0])
        name = bug.exercise.name
        if name not in rights:
            rights[name] = last(bug.draw(loaded, labels, five, wrong=False, **how))
        right, wrong = rights[name], last(bug.draw(loaded, labels, five, **how))
        assert right.isfinite().all() and wrong.isfinite().all()
        assert not torch.equal(right, wrong), bug.name


def test_a_quick_drawing_takes_the_functions_it_is_given() -> None:
    usual = quick_drawing(steps=4)
    assert usual.shape == (3, 1, 32, 32)
    assert torch.equal(quick_drawing(steps=4, sample=ancestral_sampling), usual)
    assert not torch.equal(quick_drawing(steps=4, p_step=lambda s, x, t, e, z: x), usual)
    with_beta = quick_drawing(steps=4, p_step=lambda s, x, t, e, z: p_step(s, x, t, e, z))
    assert not torch.equal(with_beta, usual)  # a drawing that skips takes beta-tilde
