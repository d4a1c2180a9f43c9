"""Lessons and exercises from elsewhere: found, checked and named by what they are."""

import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from test_documents import examples
from test_lessons import GOOD
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.cli.page import site_subjects
from ddpm_tutor.course.courses import own_course, read_course
from ddpm_tutor.course.exercise import all_exercises, find_exercise, read_exercise
from ddpm_tutor.course.lesson import all_lessons, read_lesson
from ddpm_tutor.grading import sandbox as checking
from ddpm_tutor.grading.judge import judge
from ddpm_tutor.learner.progress import Bookmark, load_progress, progress_file
from ddpm_tutor.pages.site import index_page

EXERCISE = examples("CONTRIBUTING.md")[1]
ASKED = GOOD.replace("Lesson 9 · A small one", "Lesson 1 · My subject")  # 2 points, for 1 a
LESSON = ASKED.replace(', part="1 a", points=2', "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and a learner without progress."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("DDPM_TUTOR_COURSE", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def course(folder: Path) -> Path:
    """A course of two lessons and an exercise that earns the points of the first."""
    put(folder.parent / "my course/lessons/01_my_subject.py", ASKED)
    put(
        folder.parent / "my course/lessons/02_next.py",
        LESSON.replace("Lesson 1 · My subject", "Lesson 2 · The next"),
    )
    put(folder.parent / "my course/exercises/02_my_function.py", of_course(EXERCISE))
    return Path("..", "my course")


def of_course(text: str) -> str:
    """The exercise of the guide as exercise 2 of a course, for the points of its lesson 1."""
    text = text.replace("Exercise 26", "Exercise 2").replace("**Lesson:** 4", "**Lesson:** 1")
    return text.replace("11.6 e", "1 a")


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.fixture
def tutor(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs a command in this process and checks its exit code; what it printed."""

    def in_here(exercise, path, seconds=0.0):
        source = checking.read_answer(path, exercise)
        return checking.Checked(judge(exercise, source, path, pictures=False), "", source)

    monkeypatch.setattr(checking, "check", in_here)

    def run(*words: object, code: int = 0) -> str:
        done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == code, done.output
        return done.output

    return run


def printed(shown: str, word: str) -> list[str]:
    """The words of the last command that was printed and has `word` in it."""
    lines = [line for line in shown.splitlines() if re.search(rf"ddpm-tutor .*{word}", line)]
    return shlex.split(lines[-1].split("ddpm-tutor", 1)[1])


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


def test_every_file_of_the_package_is_listed() -> None:
    own = own_course()
    assert own.left_out == () and len(own.exercises) == len(all_exercises()) >= 25
    assert [lesson.path for lesson in own.lessons] == [lesson.path for lesson in all_lessons()]


def test_a_course_is_listed_with_its_points(
    tutor, course: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = tutor("lessons", "--course", course)
    assert "Lessons of my course" in shown and "0 of 2" in shown and "Points: 0 of 2" in shown
    assert "Forward noising" in shown and "Points: 0 of 42" in shown
    assert printed(shown, "exercise --course") == ["exercise", "--course", str(course)]
    assert "lesson 1 --course '../my course'" in shown
    listed = tutor("exercise", "--course", course)
    assert "Exercises of my course" in listed and re.search(r"2 +My function +1 +1 a +2", listed)
    monkeypatch.setenv("DDPM_TUTOR_COURSE", str(course))
    assert "Lessons of my course" in tutor("lessons")
    # the variable names it in the next command as well; and both have a lesson 1
    welcome = tutor()
    assert welcome == tutor("--course", course)
    assert "my course" in welcome and "Begin with:    ddpm-tutor lesson 1\n" in welcome
    assert "Begin with:    ddpm-tutor lesson 1 --course ''" in welcome
    assert "Write it:      ddpm-tutor exercise\n" in welcome
    monkeypatch.delenv("DDPM_TUTOR_COURSE")
    assert printed(tutor("--course", course), "exercise") == ["exercise", "--course", str(course)]
    passed = f"0 of {len(all_exercises())} passed"
    assert passed in tutor(*printed(tutor("lessons", "--course", ""), "exercise"))


def test_a_lesson_of_a_course_is_opened_and_left_by_commands_that_work(tutor, course: Path) -> None:
    said = tutor("lesson", "1", "--course", course, "--no-pause", code=2)
    assert "did not come with ddpm-tutor" in said and "--trust" in said
    shown = tutor("lesson", "1", "--course", course, "--no-pause", "--trust", "--set", "seed=4")
    assert "university" not in shown  # its parts are none of that assignment
    following = printed(shown, "lesson")
    assert following == ["lesson", "2", "--course", str(course)]
    assert "1 · My function" not in shown and "2\xa0My\xa0function" not in shown
    assert printed(shown, "exercise") == ["exercise", "start", "2", "--course", str(course)]
    shown = tutor(*following, "--no-pause", "--trust")
    assert printed(shown, "lessons") == ["lessons", "--course", str(course)]
    # opened by its file it is the same lesson, and of the same course
    by_file = tutor("lesson", course / "lessons/02_next.py", "--no-pause", "--trust")
    assert printed(by_file, "lessons") == printed(shown, "lessons")
    assert "In the paper" not in by_file
    assert "02_closed_form.py: in order" in tutor("lesson", "2", "--course", "", "--check")


def test_a_course_is_written_as_notebooks_and_as_pages(tutor, folder: Path, course: Path) -> None:
    put(course / "lessons/03_bad.py", "1 +")
    left_out = tutor("notebook", "--all", "--course", course, code=1)
    assert "Left out: " in left_out and "03_bad.py" in left_out
    assert {p.name for p in folder.iterdir()} == {"01_my_subject.ipynb", "02_next.ipynb"}
    assert "My subject" in (folder / "01_my_subject.ipynb").read_text(encoding="utf-8")
    for words in (["1"], ["--all"]):
        said = tutor("page", *words, "--course", course, code=2)
        assert "did not come with ddpm-tutor" in said and "--trust" in said
    tutor("page", "2", "--course", course, "--trust")
    assert "The next" in (folder / "02_next.html").read_text(encoding="utf-8")
    subjects = site_subjects(read_course(course))
    # as `lessons` does it: those of the course, then those that came along
    assert [s.file for s in subjects[:3]] == ["01_my_subject", "02_next", "lesson_1"]
    assert [bool(subject.entry) for subject in subjects].index(True) == 2 + len(all_lessons())
    contents = index_page({s.file: s.lesson for s in subjects if not s.entry}, "my course")
    own = contents.index("The lessons of ddpm-tutor")
    assert contents.index("Lessons of my course") < contents.index('href="02_next.html"') < own
    assert own < contents.index('href="lesson_1.html"')


def test_what_a_course_has_not_is_that_of_the_package(tutor, course: Path) -> None:
    shown = tutor("lesson", "99", "--course", course, code=2)
    assert "my course has 1, 2." in shown and "Choose from 1, 2, 3" in shown
    assert "03_training.py: in order" in tutor("lesson", "3", "--course", course, "--check")
    assert "ex3_noisy_batch.py" in tutor("exercise", "start", "3", "--course", course)


def test_an_exercise_of_a_course_from_start_to_points(tutor, folder: Path, course: Path) -> None:
    file = course / "exercises/02_my_function.py"
    assert "Hint 1 of 2" in tutor("exercise", "hint", file)
    check = printed(tutor("exercise", "start", file), "check")
    assert check == ["exercise", "check", "2", "--course", str(course), "--watch"]
    answer = Path("exercises/my course/ex2_my_function.py")
    text = answer.read_text(encoding="utf-8")
    assert text.startswith('"""Exercise 2 of my course · My function')
    assert printed(text, "check") == check[:-1]
    assert "is there already" in tutor("exercise", "start", file, code=1)
    # before foreign code runs, the learner is asked
    assert "an exercise runs its code" in tutor(*check[:-1], code=2)
    assert "still a gap" in tutor(*check[:-1], "--trust", code=1)
    answer.write_text(text.split("\nfrom")[0] + "\n" + read_exercise(file).solved(), "utf-8")
    assert "--give-up" in tutor("exercise", "solution", file, code=2)
    shown = tutor("exercise", "check", file, "--trust")
    assert "It earns part 1 a of my course (2 points)." in shown and "All done." in shown
    assert "Points: 2 of 2" in tutor("lessons", "--course", course)
    assert "x_t - beta" in tutor("exercise", "solution", "2", "--course", course)
    # the package's exercise 2 is another one, and so is its file
    progress = load_progress()
    assert not progress.exercise("ex2_closed_form").passed
    assert all(not lesson.answers for key, lesson in progress.lessons.items() if key[0] != "e")
    # by its own file an answer is known for what it is
    assert "Add --course" in tutor("exercise", "check", answer, code=2)
    assert "is right" in tutor("exercise", "check", answer, "--course", course, "--trust")
    tutor("exercise", "reset", file)
    assert "..." in answer.read_text(encoding="utf-8") and file.is_file()


def test_an_exercise_of_the_package_never_earns_from_elsewhere(tutor, folder: Path) -> None:
    """The guide's exercise names a part of the assignment."""
    file = put(folder.parent / "26_my_function.py", EXERCISE)
    answer = put(Path("exercises", folder.parent.name, "ex26_my_function.py"), "")
    answer.write_text(read_exercise(file).solved(), encoding="utf-8")
    assert "earns" not in tutor("exercise", "check", file, "--trust")
    assert not any(lesson.answers for lesson in load_progress().lessons.values())


def test_an_answer_that_somebody_handed_in_stays_out_of_the_progress(tutor, folder: Path) -> None:
    handed_in = put(folder / "students/anna/ex2.py", find_exercise("2").solved())
    shown = tutor("exercise", "check", handed_in)
    assert "is right" in shown and "Not kept in your progress" in shown
    assert not progress_file().exists()
    tutor("exercise", "check", "2", "--folder", "students/anna", code=1)  # another name
    # whose it is can be said; and what one has started is one's own
    assert "Together with" in tutor(*printed(shown, "--progress"))
    tutor("exercise", "start", "students/ben/ex1.py")
    mine = put(folder / "students/ben/ex1.py", find_exercise("1").solved())
    assert "Not kept in your progress." in tutor("exercise", "check", mine, "--no-progress")
    assert "earns" not in tutor("exercise", "check", mine, "--no-progress")
    assert "It earns part" in tutor("exercise", "check", mine)


BAD: dict[str, str | bytes] = {
    "50_empty.py": "",
    "51_latin.py": b"# %% [markdown]\n# # Lesson 51 \xff",
    "52_syntax.py": "# %% [markdown]\n# # Lesson 52 · A\n# %%\nif:\n",
    "53_blank.py": "# %%\n",
    "54_deep.py": "# %% [markdown]\n# # Lesson 54 · A\n# %%\nx = " + "(" * 9000 + ")" * 9000,
    "55_untitled.py": "# %% [markdown]\n# no heading\n",
    "56_no_check.py": of_course(EXERCISE).split("# %% check")[0],
    "57_no_lesson.py": of_course(EXERCISE).replace("**Lesson:**", "Lesson"),
    "58_no_python.py": of_course(EXERCISE).replace("# %% start\n", "# %% start\ndef (:\n"),
    "59_no_function.py": of_course(EXERCISE).replace("# %% check", "# %% check\n1 +"),
}


@pytest.mark.parametrize("part", ["lessons", "exercises", ""])
def test_a_bad_file_is_named_and_keeps_nothing_else_back(
    tutor, course: Path, part: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, content in BAD.items():
        put(course / part / name, content)
    (course / part / "60_folder.py").mkdir()
    (course / part / "61_dangling.py").symlink_to("nowhere")
    names = [*BAD, "60_folder.py", "61_dangling.py"]
    if hasattr(os, "mkfifo"):
        os.mkfifo(course / part / "62_pipe.py")
        names.append("62_pipe.py")
    put(course / part / "02_twice.py", of_course(EXERCISE) if part == "exercises" else LESSON)
    for words in (["lessons"], ["exercise"]):
        done = CliRunner().invoke(app, [*words, "--course", str(course)])
        assert done.exit_code == 1, done.output
        assert "of my course" in done.output and "Unexpected" not in done.output
        for name in [*names, "twice.py" if part == "exercises" else "02_"]:
            assert re.search(rf"Left out: .*{name}", done.output), name
    for name in names[::4]:
        number = name.split("_")[0]
        for words in (["lesson", number, "--check"], ["exercise", "hint", number]):
            done = CliRunner().invoke(app, [*words, "--course", str(course)])
            assert done.exit_code in (1, 2) and "Unexpected" not in done.output, done.output


def test_content_is_told_by_what_it_is_wherever_it_lies(tutor, course: Path) -> None:
    for file in [*(course / "lessons").iterdir()]:
        file.rename(course / file.name)
    shutil.move(course / "exercises/02_my_function.py", course / "lessons/02_my_function.py")
    found = read_course(course)
    assert [lesson.title for lesson in found.lessons] == ["My subject", "The next"]
    assert [exercise.title for exercise in found.exercises] == ["My function"]
    # a command that is printed names the file, as there are two of that number
    put(course / "exercises/02_more.py", of_course(EXERCISE))
    shown = tutor("lessons", "--course", course, code=1)
    assert "02_more.py has the number of 02_my_function.py" in shown


@pytest.mark.parametrize(("text", "points"), [('"x"', 0), ("1e999", 0), ("[]", 0), ("2.5", 2.5)])
def test_points_that_are_no_number_are_none(tutor, course: Path, text: str, points: float) -> None:
    odd = ASKED.replace("points=2", f"points={text}")
    file = put(course / "lessons/01_my_subject.py", odd)
    shown = tutor("lessons", "--course", course)
    assert f"0 of {points:g}" in shown if points else "of my course" in shown
    check = tutor("lesson", file, "--check", code=0 if points else 1)
    assert ("points are not a number" in check) == (points == 0)


def test_a_course_that_is_not_there_is_refused(
    tutor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no folder gone" in tutor("lessons", "--course", "gone", code=2)
    assert "holds no lessons" in tutor("exercise", "--course", ".", code=2)
    say = tutor("--course", "x", "lesson", "1", code=2)
    assert printed(say, "--course") == ["lesson", "...", "--course", "x"]
    monkeypatch.setenv("DDPM_TUTOR_COURSE", "gone")
    assert "no folder gone" in tutor("lesson", "1", code=2)
    assert "no folder gone" in tutor() and "Forward noising" in tutor()  # the welcome goes on
