"""Lessons and exercises from elsewhere: found, checked and named by what they are."""

import shutil
from pathlib import Path

import pytest

from ddpm_tutor.course.exercise import all_exercises, read_exercise
from ddpm_tutor.course.lesson import all_lessons, read_lesson
from ddpm_tutor.learner.progress import Bookmark, load_progress


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and a learner without progress."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("COLUMNS", "80")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def test_content_of_the_package_is_named_as_ever() -> None:
    """So that progress keeps that was made with an earlier version."""
    assert [lesson.key for lesson in all_lessons()[:2]] == ["01_forward_noising", "02_closed_form"]
    assert all_exercises()[1].key == "ex2_closed_form"


def test_a_file_from_elsewhere_never_earns_what_the_real_one_does(folder: Path) -> None:
    """Not even as a copy, whose answers may have been changed."""
    real = all_lessons()[0]
    copied = read_lesson(Path(shutil.copy(real.path, folder)))
    Bookmark(copied.key).answered("11.2 b", True)
    assert copied.path.name == real.path.name and copied.key != real.key
    assert load_progress().lesson(real.key).answers == {}
    assert load_progress().lesson(copied.key).answers == {"11.2 b": True}
    exercise = all_exercises()[1]
    assert read_exercise(Path(shutil.copy(exercise.path, folder))).key != exercise.key


def test_a_file_keeps_its_progress_where_it_is_moved_or_corrected(folder: Path) -> None:
    real = all_lessons()[0]
    copied = read_lesson(Path(shutil.copy(real.path, folder)))
    moved = folder / "moved" / copied.path.name
    moved.parent.mkdir()
    text = copied.path.read_text(encoding="utf-8")
    moved.write_text(text.replace("**Time:** ", "**Time:** about "), encoding="utf-8")
    assert read_lesson(moved).key == copied.key
    moved.write_text(text.replace("**Goal:** ", "**Goal:** not the same: "), encoding="utf-8")
    assert read_lesson(moved).key != copied.key
