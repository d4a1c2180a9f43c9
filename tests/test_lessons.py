"""Every lesson is in order, runs offline, and says the same thing twice."""

import io
import math
import os
import re
import subprocess
import symtable
import sys
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from forks import end_of, forked
from PIL import Image
from rich.console import Console
from survivor import command
from typer.testing import CliRunner

from ddpm_tutor.classroom.session import Session, using
from ddpm_tutor.classroom.stepper import Stepper
from ddpm_tutor.cli.app import app
from ddpm_tutor.course.cells import Cell
from ddpm_tutor.course.lesson import (
    RANGES,
    Lesson,
    Step,
    all_lessons,
    bounds,
    changeable,
    check_against,
    compile_cell,
    find_lesson,
    new_namespace,
    parameters,
    read_lesson,
)
from ddpm_tutor.course.lesson_lint import lesson_problems
from ddpm_tutor.course.questions import questions
from ddpm_tutor.errors import UsageError
from ddpm_tutor.learner.points import earned, worth
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.screen.console import make_console
from ddpm_tutor.screen.shown import Question
from ddpm_tutor.storage.checkpoints import save_checkpoint
from ddpm_tutor.storage.digits import remember_failure

# the assignment's parts and their points; see its table of contents
PARTS = {
    "11.2": 4, "11.4": 5, "11.5": 7, "11.6": 9, "11.7": 5, "11.8": 6, "11.9": 6,
}  # fmt: skip
# what makes a lesson short enough for a test, and a file that it saves; others run as they are
SHORT: dict[int, tuple[list[str], str]] = {
    1: ([], "lesson_1_noising_7.gif"),
    2: ([], "lesson_2_batch.png"),
    3: (["steps=3", "batch_size=16"], "lesson_3_loss.png"),
    4: (["chain_steps=20", "steps=10", "each=2"], "lesson_4_denoising.gif"),
    5: (
        ["steps=4", "each=2", "held_out=40", "train_steps=4"],
        "lesson_5_all_digits.png",
    ),
    6: (["n=4", "each=2"], "lesson_6_where_the_bits_go.png"),
    7: (["each=1"], "lesson_7_sending.gif"),
    8: (["known=300", "count=10", "train_steps=20"], "lesson_8_condensing.gif"),
    9: (["steps=4", "each=1", "every=125"], "lesson_9_repaint.gif"),
    10: (
        ["n=4", "most_calls=16", "live_steps=10", "train_steps=4"],
        "lesson_10_flow.png",
    ),
}
AS_IT_IS: tuple[list[str], str] = [], ""
NOWHERE = "http://127.0.0.1:9"  # the discard port: refused at once
# what lesson 4 says of well trained weights, and of others in its place
CLAIMS = {
    "x_299 is nearly as wide as it should be": "so badly that the mean is wider than x_300",
    "is that mean, nearly: a blurred digit.": "is no blurred digit: an error in ε_θ is 157 times",
    "Clamping x_t made the background a little grey": "the background is grey already",
    "So they are thin, and all alike.": "These weights don't.",
    "With it the chain slides to": "With well trained weights x_t is far too calm without z",
    "DDIM: no worse than real digits, as far as 20 can tell": "it is not a matter of steps",
    "What is there too much of, or too little?": "Line 4 as it is draws no good digits",
    "So most is decided between": "it is not decided between 800 and 200 alone",
}


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.path.stem)
def test_every_lesson_is_in_order(lesson: Lesson) -> None:
    assert lesson_problems(lesson) == []


def test_the_points_are_those_of_the_assignment() -> None:
    points: Counter[str] = Counter()
    for lesson in all_lessons():
        for question in questions(lesson):
            if question.points:
                points[question.part.split()[0]] += question.points
    assert points == PARTS and sum(points.values()) == 42


def test_points_are_earned_by_right_answers_alone() -> None:
    lesson = all_lessons()[1]
    first, *rest = [q for q in questions(lesson) if q.points]
    assert earned(lesson, {}) == 0
    assert earned(lesson, {first.key: True, rest[0].key: False}) == first.points
    assert earned(lesson, {q.key: True for q in questions(lesson)}) == worth(lesson)


def run_steps(
    lesson: Lesson,
    titles: list[str],
    seed: int,
    out: Path = Path(os.devnull),
    **settings: object,
) -> dict[str, Any]:
    """The variables of a lesson after the code of these steps alone; they save into `out`."""
    session = Session(make_console(file=io.StringIO()), out)
    namespace = new_namespace(lesson)
    with using(session), redirect_stdout(io.StringIO()):
        for step in lesson.steps:
            for cell in step.code if step.title in titles else ():
                exec(compile_cell(cell, lesson.path)[0], namespace)
                if cell.is_parameters:
                    namespace |= {"seed": seed, **settings}
    return namespace


def bound_and_free(cell: Cell) -> tuple[set[str], set[str]]:
    """The variables that a cell binds, and those that it takes from cells before."""
    bound, free = set[str](), set[str]()
    top = symtable.symtable(cell.source, "cell", "exec")
    for symbol in top.get_symbols():
        binds = symbol.is_assigned() or symbol.is_imported()
        (bound if binds else free).add(symbol.get_name())
    inner = list(top.get_children())
    while inner:
        scope = inner.pop()
        free |= {symbol.get_name() for symbol in scope.get_symbols() if symbol.is_global()}
        inner += scope.get_children()
    return bound, free - bound


def cells_before(lesson: Lesson, step: Step) -> list[Cell]:
    """The cells before a step that it needs: those that bind what it uses, and so on."""
    earlier = [cell for one in lesson.steps[: lesson.steps.index(step)] for cell in one.code]
    needed, found = set[str](), list[Cell]()
    for cell in reversed([*earlier, *step.code]):
        bound, free = bound_and_free(cell)
        if cell in step.code or bound & needed:
            needed = needed - bound | free
            found.insert(0, cell)
    return [cell for cell in found if cell not in step.code]


# another value of what a step lets the learner change; steps that compute for long are left out
VALUES = {
    (1, "Signal and noise"): "beta_T = 0.2",
    (1, "T cannot just be cut"): "T = 50",
    (2, "If you knew it almost"): "off = 0.5",
    (3, "Why sines, and not t / 1000?"): "waves = 16",
    (3, "Why ε?"): "t_here = 500",
    (4, "If you knew the picture"): "t_here = 20",
    (4, "Skip most steps"): "kept = 50",
    (5, "A label is a vector"): "label_2 = 10",
    (5, "What guidance does"): "w = 1.0",
    (6, "The first term, on real digits"): "beta_T = 0.005",
    (6, "The last step"): "sigma_1 = 0.002",
    (7, "Why -log2 p bits?"): "snow = 0.9",
    (8, "A world of two points"): "place = 3.0",
    (8, "The step back, by Bayes"): "s = 390",
    (9, "Ghosts"): "lam = 0.1",
    (10, "What is v?"): "t_here = 50",
    (10, "Another schedule"): "beta_T = 0.01",
}


def in_full(value: object) -> str:
    """All of a value: of a large tensor `repr` shows the corners, which are black in any digit."""
    torch.set_printoptions(profile="full")
    try:
        return repr(value)
    finally:
        torch.set_printoptions(profile="default")


def changing(number: int, title: str, *typed: str) -> tuple[Stepper, str]:
    """A step after a learner has changed it by what is typed, and what stood on the screen."""
    lesson = find_lesson(str(number))
    (step,) = (step for step in lesson.steps if step.title == title)
    short = Lesson(lesson.path, (Step("## Before", tuple(cells_before(lesson, step))), step))
    screen, lines = make_console(file=io.StringIO()), iter(typed)
    session = Session(screen, ask=lambda asked: next(lines) if "Change" in asked else "")
    settings = {"device": "cpu"} if "device" in parameters(lesson) else {}
    keys = iter(["\r", *"c" * len(typed), "q"])
    stepper = Stepper(short, session, settings=settings, keys=keys.__next__)
    stepper.run()
    return stepper, screen.file.getvalue()


@pytest.mark.parametrize(("number", "title"), VALUES)
def test_a_step_shows_what_came_of_the_value_that_the_learner_changed_beside_the_first(
    number: int, title: str
) -> None:
    setting = VALUES[number, title]
    stepper, screen = changing(number, title, setting)
    session = stepper.session
    assert f"set by you: {setting}" in screen
    assert any(isinstance(each, Question) for each in stepper.shown[2])  # posed again
    *_, tried = session.tried.values()
    first, *_, last = tried
    assert in_full(tried[first]) != in_full(tried[last])
    shown = Session(Console(file=io.StringIO(), width=80))
    for each in stepper.shown[2]:
        shown.show_again(each)
    assert all(name in shown.console.file.getvalue() for name in tried)


# a value that a step cannot take, and a word of what it says
NONSENSE = {
    (1, "T cannot just be cut"): ("T = 1000000000", "T must be from 2 to 10,000; '1000000000' is"),
    (3, "Why sines, and not t / 1000?"): ("waves = 7", "waves must be an even number; '7' is not."),
    (5, "What guidance does"): ("w = 5000", "w must be from 0 to 20; '5000' is not."),
    (6, "The last step"): ("sigma_1 = -1", "sigma_1 must be from 0.0001 to 1; '-1' is not."),
}


@pytest.mark.parametrize(("number", "title"), NONSENSE)
def test_a_value_that_a_step_cannot_take_is_refused_and_the_next_one_is_taken(
    number: int, title: str
) -> None:
    nonsense, says = NONSENSE[number, title]
    stepper, screen = changing(number, title, nonsense, VALUES[number, title])
    assert says in screen and "─ Error ─" not in screen  # nothing has run with it
    assert any(isinstance(each, Question) for each in stepper.shown[2])


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.path.stem)
def test_a_lesson_says_from_where_to_where_its_numbers_go_and_refuses_others(
    lesson: Lesson,
) -> None:
    cells = [c for s in lesson.steps for c in s.code if c.is_parameters or c.is_change]
    for cell in cells:
        known, ends = changeable(lesson, Step("", (cell,))), bounds([cell])
        for name, default in known.items():
            if isinstance(default, str) or name in RANGES:
                continue
            low, high = (float(end.replace(",", "")) for end in ends[name])
            assert low <= default <= high
            for nonsense in (
                f"{low - 1:g}", f"{high + 1:g}", "-1000000", "1e999", "-1e999", "nan", "", "many",
                "[1]", "None", "True", "9" * 400, "(" * 300,
            ):  # fmt: skip
                with pytest.raises(UsageError, match=f"^{name} must be .* is not.$"):
                    check_against(known, {name: nonsense}, "This step", ends)


def test_bounds_are_of_numbers_alone() -> None:
    known, ends = {"cloud": "moons"}, {"cloud": ("1", "3")}  # "# the figures from 1 to 3"
    check_against(known, {"cloud": "spiral"}, "This step", ends)


def test_lesson_1_measures_when_a_digit_is_lost() -> None:
    named = ["Setting up", "The data", "From -1 to +1", "One step of noise"]
    found = run_steps(all_lessons()[0], [*named, "When is the digit lost?"], 5)
    right, x_0, alpha_bar = found["right"], found["x_0"], found["schedule"].alpha_bar
    signal_is_noise = int((x_0.var() * alpha_bar >= 1 - alpha_bar).sum())
    # it is read long after a pixel is more noise than picture, and for a while after t = 700
    assert signal_is_noise < 200 and right[200] > 85 and right[400] > 60
    assert right[500] >= 50 and right[600] < 50
    assert right[700] > 13 and right[1000] < 13


def test_lesson_1_shows_that_fine_detail_drowns_first_and_slowest_with_a_growing_beta() -> None:
    named = ["Setting up", "The data", "From -1 to +1", "One step of noise"]
    found = run_steps(all_lessons()[0], [*named, "Long and short waves"], 0)
    (_, *shape), (_, *middle), (_, *fine) = found["rows"]
    assert shape[0] > middle[0] > fine[0] and shape[1] > middle[1] > fine[1]
    # times as many steps as with a constant beta: the finer, the more
    ratios = [growing / constant for growing, constant in (shape, middle, fine)]
    assert ratios == sorted(ratios) and ratios[0] > 2 and ratios[-1] > 10
    # the three groups of waves, and the mean, are the whole picture
    whole, *parts = found["parts"].values()
    assert torch.allclose(sum(parts) + whole.mean(), whole, atol=1e-5)


@pytest.mark.parametrize("seed", [0, 5])
def test_lesson_2_shows_that_a_mean_is_nearer_than_a_digit(seed: int) -> None:
    found = run_steps(all_lessons()[1], ["Setting up", "Why not jump to the guess?"], seed)
    errors = [error for _, error in found["rows"]]
    assert errors[0] < errors[1] < errors[2]  # t = 300, 500, 1000
    # at t = 1000 the guess is about the mean; any one digit is further off
    assert abs(errors[2] - errors[3]) < 0.05 and found["others"] > 1.2 * errors[3]


@pytest.mark.parametrize("seed", [0, 5])
def test_lesson_7_really_sends_rows_in_as_many_bits_as_they_are_worth(seed: int) -> None:
    named = ["Setting up", "Masks in place of noise", "A diffusion that is autoregressive"]
    found = run_steps(find_lesson("7"), [*named, "Really sent"], seed)
    assert found["spent"] == pytest.approx(found["exact"], abs=1e-9)
    line, some = found["line"], found["some"]
    assert set(line) == {"0", "1"} and len(some) == 10
    worth_it = sum(sum(found["cost"](row)) for row in some)  # -log2 p of all of them
    assert worth_it < len(line) <= worth_it + 1
    # every row can be sent, alone or with others
    for rows in ([some[0]], [[1, 0, 1, 0, 1, 0, 1]], [[0] * 7, [1] * 7, some[-1]]):
        assert found["receive"](found["send"](rows), len(rows)) == rows


def test_lesson_7_gets_fair_draws_from_a_shared_list() -> None:
    found = run_steps(find_lesson("7"), ["Setting up", "Sending a draw"], 0)
    assert found["received"].mean() == pytest.approx(2, abs=0.02)
    assert found["received"].std() == pytest.approx(0.2, abs=0.01)
    assert torch.allclose(
        found["received"], found["shared"].gather(1, found["place"][:, None])[:, 0]
    )
    # the KL by first principles, in bits: the mean of log2 q / p over draws from q
    ratio = found["log_ratio"](2 + 0.2 * torch.randn(100_000, generator=torch.manual_seed(0)))
    kl = found["kl"].item()
    assert kl == pytest.approx((ratio.mean() / math.log(2)).item(), abs=0.02)
    assert kl < found["sent"].mean() < kl + 3


@pytest.mark.slow
def test_lesson_7_shows_digits_long_before_all_bits_have_come(
    tmp_path: Path, nobody: dict[str, str]
) -> None:
    settings = dict(setting.split("=") for setting in SHORT[7][0])
    settings |= {"seed": "5", "device": "cpu"}
    console = Console(file=io.StringIO(), width=80)
    after: dict[str, dict[str, Any]] = {}  # each step, the variables
    lesson = Stepper(
        find_lesson("7"), Session(console, out=tmp_path), settings=settings,
        took=lambda title, seconds: after.update({title: dict(lesson.namespace)}),
    )  # fmt: skip
    assert lesson.run()
    assert "drawn by our model" in in_one_line(console.file.getvalue())
    found = after["Which digit is it?"]
    bits, rmse, right = found["bits"], found["rmse"], found["right"]
    assert (bits.diff(dim=0) > 0).all() and (rmse[-1] == 0).all()
    assert right[3] < 40 and right[100] > 90
    error = [chain for _, chain, _, _ in found["rows"]]  # after 5, 20, 50, 100 and 500 bits
    assert error == sorted(error, reverse=True) and error[0] > 50 and error[3] < 12
    assert bits[found["at"][101]].mean() < 0.1 * found["total"]
    assert len(found["captions"]) == 70
    with Image.open(tmp_path / SHORT[7][1]) as film:  # moments that look alike are one
        assert 60 <= film.n_frames <= 70


def without_times(shown: str) -> str:
    """What a lesson shows, less how long things took."""
    shown = re.sub(r"ran in .* s\n", "", shown)  # said of steps that take a second or more
    shown = re.sub(r"\d+(\.\d+)? (s|ms)\b", "some time", shown)
    return re.sub(r"[ ─━]+", " ", shown)  # a column is as wide as its times


def lines_of(shown: str) -> list[str]:
    """The lines of what a lesson shows, without the frames around them."""
    lines = (line.strip(" │") for line in without_times(shown).splitlines())
    return [line for line in lines if line]


def numbers_in(shown: str) -> list[str]:
    """The numbers that a lesson shows; a notebook's pictures are drawn in colours."""
    return re.findall(r"-?\d+\.\d+", without_times(re.sub(r"\x1b\[[\d;]*m", "", shown)))


def without_answers(shown: str) -> str:
    """What a script shows, less the answers to its questions: in a notebook nobody has answered."""
    return re.sub(r"(?m)^✓ (?:.+\n)+", "", shown)


def in_one_line(shown: str) -> str:
    """What a lesson shows, as if the screen had no end on the right."""
    return " ".join(shown.split())


def all_in_order(some: list[str], more: list[str]) -> bool:
    """Whether `some` are among `more`, in the same order."""
    remaining = iter(more)
    return all(one in remaining for one in some)


def shortened(lesson: Lesson, settings: list[str]) -> str:
    """The text of a lesson with other parameters, as its reader would change them."""
    text = lesson.path.read_text(encoding="utf-8")
    device = ['device="cpu"'] if "device" in parameters(lesson) else []
    for setting in settings + device:
        name, value = setting.split("=")
        text, count = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value}", text, count=1)
        assert count == 1, name
    return text


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of a user without progress, MNIST and network; this process has it, too."""
    for name in [name for name in os.environ if name.startswith("DDPM_TUTOR")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return dict(os.environ)


def command_for(lesson: Lesson) -> list[str]:
    """The words after `ddpm-tutor` that run a lesson, short."""
    settings, _ = SHORT.get(lesson.number, AS_IT_IS)
    words = [word for setting in settings for word in ("--set", setting)]
    # a GPU adds up in another order each time, and a training's last digit with it
    return ["lesson", str(lesson.number), "--no-pause", "--device", "cpu", *words]


def as_a_notebook(text: str, folder: Path, environment: dict[str, str]) -> str:
    """What a lesson shows in a notebook, which has a process of its own."""
    import jupytext
    from nbclient import NotebookClient

    notebook = jupytext.reads(text, fmt="py:percent")
    place = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, kernel_name="python3", resources=place).execute(env=environment)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(o.text if "text" in o else o.data["text/plain"] for o in outputs)


# What the three forms share is tried with one lesson. The next test runs the others.
IN_ALL_FORMS = [1]
# with all layers and the same settings: test_lesson_5.py, test_lesson_6.py and above
RUN_ELSEWHERE = {5, 6, 7}


@pytest.mark.slow
@pytest.mark.parametrize("number", IN_ALL_FORMS)
def test_a_lesson_shows_the_same_as_a_command_as_a_script_and_as_a_notebook(
    number: int, tmp_path: Path, nobody: dict[str, str]
) -> None:
    lesson, (settings, saved) = find_lesson(str(number)), SHORT[number]
    text = shortened(lesson, settings)
    script = tmp_path / lesson.path.name
    script.write_text(text, encoding="utf-8")
    remember_failure("no network")  # they would load torchvision to ask it for mirrors
    folders = [tmp_path / way for way in ("command", "script", "notebook")]
    for folder in folders:
        folder.mkdir()
    with subprocess.Popen(
        [sys.executable, str(script)], cwd=tmp_path / "script", env=nobody, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as run:  # fmt: skip
        fork = forked(command, command_for(lesson), tmp_path / "command", nobody)
        in_notebook = as_a_notebook(text, tmp_path / "notebook", nobody)
        by_script, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    assert end_of(fork) == 0, (tmp_path / "command" / "err").read_text()
    by_command = (tmp_path / "command" / "out").read_text()
    assert "Lesson done" in by_command
    # the command shows the prose as well, and the notebook the value of a cell's last line
    plain = [line for line in lines_of(by_script) if len(line) <= 76]  # no line that wraps
    computed = numbers_in(without_answers(by_script))
    assert len(plain) > 30 and len(computed) > 10
    assert all_in_order(plain, lines_of(by_command))
    assert all_in_order(computed, numbers_in(in_notebook))
    assert "✓" in by_script and "✓" not in in_notebook
    assert "drawn by our model" in by_command
    files = [(folder / "outputs" / saved).read_bytes() for folder in folders]
    assert files[0] == files[1] == files[2]
    with Image.open(tmp_path / "script" / "outputs" / saved) as image:
        assert min(image.size) > 60


@pytest.mark.slow
@pytest.mark.parametrize(
    "lesson",
    [lesson for lesson in all_lessons() if lesson.number not in {*IN_ALL_FORMS, *RUN_ELSEWHERE}],
    ids=lambda lesson: lesson.path.stem,
)
def test_a_lesson_runs_to_its_end_with_the_weights_that_ship(
    lesson: Lesson, tmp_path: Path, nobody: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, command_for(lesson))
    assert done.exit_code == 0, done.output
    assert "Lesson done" in done.output
    if lesson.number not in SHORT:
        return
    assert "drawn by our model" in done.output
    with Image.open(tmp_path / "outputs" / SHORT[lesson.number][1]) as image:
        assert min(image.size) > 60
    if lesson.number == 4:
        words = in_one_line(done.output)
        assert [claim for claim in CLAIMS if claim not in words] == []


@pytest.mark.parametrize("num_classes", [10, None])
def test_lesson_4_claims_of_weak_weights_only_what_its_numbers_show(
    num_classes: int | None, tmp_path: Path, nobody: dict[str, str]
) -> None:
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "weak.safetensors", UNet(4, num_classes), {})
    settings = dict(setting.split("=") for setting in SHORT[4][0])
    settings |= {"checkpoint": str(tmp_path / "weak.safetensors"), "device": "cpu"}
    console = Console(file=io.StringIO(), width=80)
    lesson = all_lessons()[3]
    assert Stepper(lesson, Session(console, out=tmp_path), settings=settings).run()
    words = in_one_line(console.file.getvalue())
    assert "drawn by our model" in words
    assert [claim for claim in CLAIMS if claim in words] == []
    assert [instead for instead in CLAIMS.values() if instead not in words] == []


GOOD = """\
# %% [markdown]
# # Lesson 9 · A small one
#
# **Goal:** a goal.
#
# **You need:** nothing.
#
# **Paper:** §2 · Eq. 4
#
# **Time:** 1 min

# %% tags=["parameters"]
seed = 0

# %%
from ddpm_tutor.classroom.tools import ask_choice, ask_number
ask_number("How many?", seed, tolerance=0.1, why="So many.", part="1 a", points=2)
ask_choice("Which?", [("this", "No."), ("that", "Yes. That.")], answer=1)
ask_choice("And now?", [("this", "No, no."), ("that", "Yes. That.")], answer=1)

# %% [markdown]
# ## Recap
#
# - That was it (Eq. 4).
"""


def checked(text: str, folder: Path) -> list[str]:
    path = folder / "09_small.py"
    path.write_text(text, encoding="utf-8")
    return lesson_problems(read_lesson(path))


def test_a_lesson_in_order_has_no_problems(tmp_path: Path) -> None:
    assert checked(GOOD, tmp_path) == []
    assert worth(read_lesson(tmp_path / "09_small.py")) == 2


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("# # Lesson 9 · A", "# # A", "first heading"),
        ("# **Paper:** §2 · Eq. 4\n#\n", "", "Paper"),
        ('# %% tags=["parameters"]', "# %%", "parameters"),
        ("seed = 0", "seed = 1 + 1", "not a literal"),
        ("answer=1)\n\n", "answer=1)\n\n# %%\nassert seed == 0\n\n", "right behind its question"),
        ("## Recap", "## The end", "Recap"),
        ("(Eq. 4).\n", ".\n", "cites no equation"),
        ("# **Goal:** a goal.", "# **Goal:** a goal.\n#" + "\n# more" * 12, "lines of prose"),
        ("seed = 0\n", "seed = 0\n\n# %%\n" + "x = 1\n" * 23, "more than 22 lines"),
        ("seed = 0\n", "seed = 0\n\n# %%\nx = " + "1 + " * 30 + "1\n", "wider than 78"),
        (", answer=1)\nask_choice", ")\nask_choice", "it has no answer"),
        ('tolerance=0.1, why="So many.", ', "", "it has no tolerance"),
        ('("this", "No."), ("that", "Yes. That.")', '("this", "No.")', "at least two options"),
        ('("this", "No.")', '("this", "Yes. That.")', "the same reply"),
        ('"And now?"', '"Which?"', "is asked 2 times"),
        ('"And now?"', 'f"And {seed}?"', "not a literal"),
        ("ask_choice(\"Which?\", [(\"this\", \"No.\"), (\"that\", \"Yes. That.\")], answer=1)\n",
         "", "only 2 questions"),
    ],
)  # fmt: skip
def test_the_checker_finds_what_is_not_in_order(
    tmp_path: Path, before: str, after: str, says: str
) -> None:
    assert before in GOOD
    found = checked(GOOD.replace(before, after), tmp_path)
    assert any(says in problem for problem in found), found
