"""Cells of percent format: read as Jupytext and VS Code read them, from any editor's file."""

from pathlib import Path

import pytest

from ddpm_tutor.classroom.session import Session
from ddpm_tutor.classroom.stepper import Stepper
from ddpm_tutor.course.cells import Cell, cut, read_source
from ddpm_tutor.course.exercise import find_exercise, read_answer, read_exercise
from ddpm_tutor.course.lesson import all_lessons, find_lesson, read_lesson
from ddpm_tutor.errors import TutorError
from ddpm_tutor.files import bundled
from ddpm_tutor.grading.judge import judge

# a file, and its cells: kind, title, source
FILES = {
    "as we write them": (
        "# %% [markdown]\n# # A title\n#\n# text\n\n# %% start\nx = 1\n\n",
        [("markdown", "", "# A title\n\ntext"), ("code", "start", "x = 1")],
    ),
    "without a space": (
        "#%% [markdown]\n#text\n#%%\nx = 1\n#%% two words\ny = 2",
        [("markdown", "", "text"), ("code", "", "x = 1"), ("code", "two words", "y = 2")],
    ),
    "md for markdown": (
        "# %% [md] hint\n# text\n# %%\nx = 1\n",
        [("markdown", "hint", "text"), ("code", "", "x = 1")],
    ),
    "as PyCharm writes them": (
        '#%% md\n# text\n#%%\nx = 1\n#%% md\n"""\n# More\n"""\n#%% raw\nz\n',
        [("markdown", "", "text"), ("code", "", "x = 1"), ("markdown", "", "# More"),
         ("raw", "", "z")],
    ),
    "a title before the kind": (
        "# %% A title [markdown]\n# text\n# %% see [1]\nx = 1\n",
        [("markdown", "A title", "text"), ("code", "see [1]", "x = 1")],
    ),
    "prose in a string": (
        '# %% [markdown]\nr"""\n# text\n\\alpha\n"""\n\n# %% [markdown]\n\'\'\'more\'\'\'\n',
        [("markdown", "", "# text\n\\alpha"), ("markdown", "", "more")],
    ),
    "neither prose nor code": (
        "# %% [raw]\n# something\n# %%\nx = 1\n",
        [("raw", "", "# something"), ("code", "", "x = 1")],
    ),
    "indented": (
        "# %%\nx = 1\n  # %% [markdown]\n  # text\n\t#%%\ny = 2\n",
        [("code", "", "x = 1"), ("markdown", "", "text"), ("code", "", "y = 2")],
    ),
    "more room, and more percent signs": (
        "#  %%   [markdown]   \n# text\n# %%\t\nx = 1\n# %%%% below\ny = 2\n",
        [("markdown", "", "text"), ("code", "", "x = 1"), ("code", "below", "y = 2")],
    ),
    "code above": (
        '#!/usr/bin/env python\n"""Words."""\n\nimport os\n\n# %% [markdown]\n# text\n',
        [("code", "", '"""Words."""\n\nimport os'), ("markdown", "", "text")],
    ),
    "Jupytext's header above": (
        "# ---\n# jupyter:\n#   jupytext:\n#     text_representation: {}\n# ---\n\n# %%\nx = 1\n",
        [("code", "", "x = 1")],
    ),
    "magics are no markers": (
        "# %%\n# %%time\n# %matplotlib inline\nx = 1\n#%%x\n",
        [("code", "", "# %%time\n# %matplotlib inline\nx = 1\n#%%x")],
    ),
    "no marker": ("x = 1\n", []),
    "nothing": ("", []),
}  # fmt: skip


@pytest.mark.parametrize(("text", "cells"), FILES.values(), ids=FILES)
def test_files_are_cut_into_cells(text, cells) -> None:
    assert [(cell.kind, cell.title, cell.source) for cell in cut(text)] == cells
    lines = text.split("\n")
    for cell in cut(text):
        if cell.kind == "code":  # cells know where they stand
            assert lines[cell.line - 1 :][: cell.source.count("\n") + 1] == cell.source.split("\n")


@pytest.mark.parametrize(
    ("title", "is_parameters"),
    [
        ('tags=["parameters"]', True),
        ('A title tags=["more", "parameters"]', True),
        ('{"tags": ["parameters"]}', True),
        ("the parameters", False),
        ('tags=["more"]', False),
    ],
)
def test_the_parameters_are_told_by_their_tag(title, is_parameters) -> None:
    (cell,) = cut(f"# %% {title}\nseed = 0\n")
    assert isinstance(cell, Cell) and cell.is_parameters == is_parameters


# Whatever an editor saves


EDITORS = {
    "Unix": lambda text: text.encode(),
    "Windows": lambda text: text.replace("\n", "\r\n").encode(),
    "Notepad": lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
    "an old Mac": lambda text: text.replace("\n", "\r").encode(),
    "one of another coding, which it says": lambda text: (
        f"# -*- coding: cp1253 -*-\n{text}".replace("√ᾱ", "a").encode("cp1253", "replace")
    ),
}
each_editor = pytest.mark.parametrize("saved", EDITORS.values(), ids=EDITORS)


@each_editor
def test_an_answer_passes_whatever_editor_has_saved_it(saved, tmp_path: Path) -> None:
    exercise = find_exercise("1")
    path = tmp_path / "ex1_one_step.py"
    path.write_bytes(saved(exercise.solved()))
    verdict = judge(exercise, read_answer(path), path, pictures=False)
    assert verdict.passed, verdict


@each_editor
def test_a_lesson_and_an_exercise_are_the_same_whatever_editor_has_saved_them(
    saved, tmp_path: Path
) -> None:
    text = '# %% [markdown]\n# # Lesson 9 · Small\n\n# %% tags=["parameters"]\nx = 1\n'
    path = tmp_path / "09_small.py"
    path.write_bytes(saved(text))
    lesson = find_lesson(str(path))
    assert [len(step.code) for step in lesson.steps] == [1]
    assert lesson.steps[0].code[0].source == "x = 1" and lesson.steps[0].code[0].is_parameters
    path = tmp_path / "01_one_step.py"
    path.write_bytes(saved((bundled("exercises") / path.name).read_text(encoding="utf-8")))
    assert (
        read_exercise(path).check.source.splitlines()[0]
        == (find_exercise("1").check.source.splitlines()[0])
    )


NO_TEXT = {
    "UTF-16 of PowerShell": "x = 1\n".encode("utf-16"),
    "UTF-16 without its mark": "x = 1\n".encode("utf-16-le"),
    "UTF-16 of nothing": "".encode("utf-16"),
    "Latin-1": b"x = 'caf\xe9'\n",
    "an unknown coding": b"# coding: klingon\nx = 1\n",
    "a picture": b"\x89PNG\r\n\x1a\n\0\0",
}


@pytest.mark.parametrize("content", NO_TEXT.values(), ids=NO_TEXT)
@pytest.mark.parametrize("read", [read_source, read_answer, read_lesson, read_exercise])
def test_what_is_no_text_is_refused_in_one_line(read, content, tmp_path: Path) -> None:
    path = tmp_path / "ex1_one_step.py"
    path.write_bytes(content)
    with pytest.raises(TutorError, match=r"Cannot read .* in UTF-.*Save it as UTF-8") as refused:
        read(path)
    assert str(path) in str(refused.value) and len(str(refused.value).splitlines()) == 1


def test_code_above_the_first_marker_runs_first(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("start = 40\n\n# %% [markdown]\n# # Mine\n\n#%%\ntotal = start + 2\n")
    stepper = Stepper(read_lesson(path), Session(silent=True))
    assert stepper.run() and stepper.namespace["total"] == 42


def test_an_exercise_that_does_not_begin_with_prose_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "01_one_step.py"
    original = (bundled("exercises") / path.name).read_text(encoding="utf-8")
    path.write_text(f"import torch\n{original}", encoding="utf-8")
    with pytest.raises(TutorError, match="does not begin with a cell of prose"):
        read_exercise(path)


def test_our_own_lessons_have_no_cell_without_a_kind() -> None:
    cells = [cell for lesson in all_lessons() for cell in cut(read_source(lesson.path))]
    assert {cell.kind for cell in cells} == {"markdown", "code"}
    assert sum(cell.is_parameters for cell in cells) == len(all_lessons())
