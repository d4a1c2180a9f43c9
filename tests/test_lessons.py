"""Every lesson is in order, runs offline, and says the same thing twice."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from ddpm_tutor.course.lesson import Lesson, all_lessons, parameters, read_lesson
from ddpm_tutor.course.lesson_lint import lesson_problems
from ddpm_tutor.course.questions import questions
from ddpm_tutor.learner.points import earned, worth

# the assignment's parts and their points; see its table of contents
PARTS = {
    "11.2": 4, "11.4": 5, "11.5": 7, "11.6": 9, "11.7": 5, "11.8": 6, "11.9": 6,
}  # fmt: skip
# what makes a lesson short enough for a test, and a file that it saves
SHORT = {
    1: ([], "lesson_1_noising_7.gif"),
    2: ([], "lesson_2_batch.png"),
    3: (["steps=20", "batch_size=16"], "lesson_3_loss.png"),
    4: (["chain_steps=20", "steps=10"], "lesson_4_denoising.gif"),
    5: (
        ["steps=4", "each=2", "held_out=40", "train_steps=4"],
        "lesson_5_all_digits.png",
    ),
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


NOTEBOOK = """
import sys, jupytext, nbformat
from nbclient import NotebookClient
text, folder = open(sys.argv[1], encoding="utf-8").read(), sys.argv[2]
notebook = jupytext.reads(text, fmt="py:percent")
client = NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": folder}})
client.execute()
for cell in notebook.cells:
    for output in cell.get("outputs", []):
        print(output.text if "text" in output else output.data["text/plain"])
"""


@pytest.mark.slow
@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.path.stem)
def test_a_lesson_shows_the_same_as_a_command_as_a_script_and_as_a_notebook(
    lesson: Lesson, tmp_path: Path
) -> None:
    settings, saved = SHORT[lesson.number]
    script = tmp_path / lesson.path.name
    script.write_text(shortened(lesson, settings), encoding="utf-8")
    words = [word for setting in settings for word in ("--set", setting)]
    # a GPU adds up in another order each time, and a training's last digit with it
    command = ["-m", "ddpm_tutor", "lesson", str(lesson.number), "--no-pause", "--device", "cpu"]
    nowhere = "http://127.0.0.1:9"  # the discard port: refused at once
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DDPM_TUTOR")} | {
        "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path),
        "http_proxy": nowhere, "https_proxy": nowhere, "COLUMNS": "80", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    ways = {
        "command": [*command, *words],
        "script": [str(script)],
        "notebook": ["-c", NOTEBOOK, str(script), str(tmp_path / "notebook")],
    }
    for name in ways:
        (tmp_path / name).mkdir()
    runs = {
        name: subprocess.Popen(
            [sys.executable, *words],
            cwd=tmp_path / name,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for name, words in ways.items()
    }
    shown = {}
    for name, run in runs.items():
        out, err = run.communicate(timeout=300)
        assert run.returncode == 0, err
        shown[name] = out
    assert "drawn by this package's own model" in shown["command"]
    assert "Lesson done" in shown["command"]
    # the command shows the prose as well, and the notebook the value of a cell's last line
    plain = [line for line in lines_of(shown["script"]) if len(line) <= 76]  # no line that wraps
    computed = numbers_in(shown["script"])
    assert len(plain) > 30 and len(computed) > 10
    assert all_in_order(plain, lines_of(shown["command"]))
    assert all_in_order(computed, numbers_in(shown["notebook"]))
    files = [(tmp_path / name / "outputs" / saved).read_bytes() for name in ways]
    assert files[0] == files[1] == files[2]
    with Image.open(tmp_path / "script" / "outputs" / saved) as image:
        assert min(image.size) > 60


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
