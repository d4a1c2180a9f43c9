"""Every lesson is in order, runs offline, and says the same thing twice."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from ddpm_tutor.course.lesson import Lesson, all_lessons, read_lesson
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
    3: (["steps=20"], "lesson_3_loss.png"),
    4: (["chain_steps=20", "steps=20"], "lesson_4_denoising.gif"),
    5: (["steps=10", "few_steps=5", "each=2", "train_steps=20"], "lesson_5_all_digits.png"),
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


@pytest.mark.parametrize("lesson", all_lessons(), ids=lambda lesson: lesson.path.stem)
def test_every_lesson_runs_offline_and_repeats(lesson: Lesson, tmp_path: Path) -> None:
    settings, saved = SHORT[lesson.number]
    words = [word for setting in settings for word in ("--set", setting)]
    # a GPU adds up in another order each time, and a training's last digit with it
    there = ["--no-pause", "--device", "cpu"]
    command = [sys.executable, "-m", "ddpm_tutor", "lesson", str(lesson.number), *there]
    nowhere = "http://127.0.0.1:9"  # the discard port: refused at once
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DDPM_TUTOR")} | {
        "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path),
        "http_proxy": nowhere, "https_proxy": nowhere, "COLUMNS": "80", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    folders = [tmp_path / name for name in ("once", "again")]
    for folder in folders:
        folder.mkdir()
    runs = [
        subprocess.Popen(
            [*command, *words],
            cwd=folder,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for folder in folders
    ]
    shown = []
    for run in runs:
        out, err = run.communicate(timeout=200)
        assert run.returncode == 0, err
        shown.append(without_times(out))
    assert shown[0] == shown[1]
    assert "drawn by this package's own model" in shown[0] and "Lesson done" in shown[0]
    files = [(folder / "outputs" / saved).read_bytes() for folder in folders]
    assert files[0] == files[1]
    with Image.open(folders[0] / "outputs" / saved) as image:
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
