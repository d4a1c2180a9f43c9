"""The commands of the exercises, as a learner runs them: in a folder, with files and an editor."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.course.exercise import all_exercises, find_exercise, parts
from ddpm_tutor.grading import sandbox as checking
from ddpm_tutor.grading.judge import judge
from ddpm_tutor.grading.known_mistakes import bugs
from ddpm_tutor.grading.sandbox import check
from ddpm_tutor.learner.progress import exercise_passed, load_progress, progress_file


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


@pytest.fixture
def tutor(folder: Path):
    """Runs a command in this process and checks its exit code; what it printed."""

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == code, done.output
        return done.output

    return run


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks in this process: what the process itself is for has tests of its own."""

    def in_here(exercise, path, seconds=0.0):
        source = checking.read_answer(path)
        return checking.Checked(judge(exercise, source, path), "", source)

    monkeypatch.setattr(checking, "check", in_here)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ex2.ipynb", "%%writefile ex2.py"),
        ("ex2.txt", "not a .py file"),
        ("ex2_closed_form.py.bak", "not a .py file"),
        ("ex2_folder", "a folder"),
        ("2/", "a folder"),
        ("ex99.py", "no exercise ex99.py"),
        ("half_of_one.py", "half_of_one.py is no exercise: that has the cells start, solution"),
    ],
)
def test_what_is_no_python_file_is_not_taken_for_another_one(
    tutor, folder: Path, name: str, says: str
) -> None:
    (folder / "ex2_folder").mkdir()
    (folder / "2").mkdir()
    (folder / "half_of_one.py").write_text("# %% start\ndef f(x): ...\n", encoding="utf-8")
    right = solve(2, folder)  # the file that must not be checked in its place
    assert says in tutor("exercise", "check", name, code=2)
    assert not load_progress().exercise("ex2_closed_form").passed and right.exists()


def test_a_number_is_an_exercise_beside_a_folder_of_that_name(tutor, folder: Path, quick) -> None:
    (folder / "2").mkdir()
    solve(2, folder)
    for name in ("2", "ex2", "ex2_closed_form"):
        assert "is right" in tutor("exercise", "check", name)


def solve(number: int, folder: Path) -> Path:
    """The learner's file of an exercise, with the solution in it."""
    exercise = find_exercise(str(number))
    path = folder / "exercises" / f"{exercise.name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(exercise.solved(), encoding="utf-8")
    return path


def passed(number: int, folder: Path) -> Path:
    """The same, and it has passed."""
    path = solve(number, folder)
    exercise_passed(find_exercise(str(number)), path.read_text(encoding="utf-8"))
    return path


def test_from_start_to_solution(tutor, quick, folder: Path) -> None:
    shown = tutor("exercise")
    assert all(exercise.title in shown for exercise in all_exercises())
    total = sum(part.points for part in parts().values())
    assert f"0 of {len(all_exercises())} passed" in shown and f"{total:g} of the 42 points" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert "exercises/ex2_closed_form.py" in tutor("exercise", "start", "2")
    path = folder / "exercises" / "ex2_closed_form.py"
    assert "√ᾱ_t x_0" in path.read_text(encoding="utf-8")
    shown = tutor("exercise", "check", "2", code=1)
    assert "still a gap" in shown and "line 26:" in shown and "hint 2" in shown
    hints = [tutor("exercise", "hint", "2") for _ in range(4)]
    assert [h.splitlines()[0] for h in hints] == [
        f"Hint {n} of 3 · The closed form" for n in (1, 2, 3, 3)
    ]
    assert "--give-up" in tutor("exercise", "solution", "2", code=2)
    wrong = find_exercise("2").mistake("no_root")
    path.write_text(find_exercise("2").with_code(wrong.code), encoding="utf-8")
    shown = tutor("exercise", "check", "exercises/ex2_closed_form.py", code=1)
    assert "The square roots are missing" in shown and "expected" in shown and "yours" in shown
    assert "B = 4" in shown and "x_t[0, 0" in shown
    solve(2, folder)
    shown = tutor("exercise", "check", "2")
    assert (
        "q_sample is right." in shown and "Together with exercise 1 it earns part 11.2 a" in shown
    )
    assert "return alpha_bar.sqrt() * x_0" in tutor("exercise", "solution", "2")
    assert "✓ passed" in tutor(
        "exercise"
    ) and f"Exercises: 1 of {len(all_exercises())} passed" in tutor("lessons")


def test_start_never_writes_over_a_file_and_reset_keeps_it(tutor, folder: Path) -> None:
    tutor("exercise", "start", "3")
    path = folder / "exercises" / "ex3_noisy_batch.py"
    for i in (1, 2):
        path.write_text(f"mine = {i}\n", encoding="utf-8")
        assert "there already" in tutor("exercise", "start", "3", code=1)
        assert path.read_text(encoding="utf-8") == f"mine = {i}\n"
        assert f"ex3_noisy_batch.{i}.py" in tutor("exercise", "reset", "3")
        kept = path.with_name(f"ex3_noisy_batch.{i}.py")
        assert kept.read_text(encoding="utf-8") == f"mine = {i}\n"
        assert "def noisy_batch" in path.read_text(encoding="utf-8")


def test_reset_keeps_a_link_and_what_it_led_to(tutor, folder: Path) -> None:
    (folder / "exercises").mkdir()
    (folder / "cloud").mkdir()
    link = folder / "exercises" / "ex3_noisy_batch.py"
    link.symlink_to(folder / "cloud" / "mine.py")
    (folder / "cloud" / "mine.py").write_text("mine\n")
    assert "mine.1.py" in tutor("exercise", "reset", "3").replace("\n", "")
    assert link.is_symlink() and "def noisy_batch" in (folder / "cloud" / "mine.py").read_text()
    assert (folder / "cloud" / "mine.1.py").read_text() == "mine\n"


def test_points_count_with_those_of_the_lessons(tutor, folder: Path) -> None:
    assert "Points: 0 of 42" in tutor("lessons")
    passed(2, folder)
    assert "Points: 0 of 42" in tutor("lessons")  # with exercise 1 it stands for one part
    passed(1, folder)
    shown = tutor("lessons")
    assert (
        "Points: 1 of 42, 41 to go." in shown and f"Exercises: 2 of {len(all_exercises())}" in shown
    )
    for exercise in all_exercises():
        passed(exercise.number, folder)
    total = sum(part.points for part in parts().values())
    assert f"Points: {total:g} of 42" in tutor("lessons") and "All done" in tutor("exercise")
    assert "train --with-my-code" in tutor("exercise")


def test_an_exercise_without_a_part_is_listed_passes_and_earns_nothing(
    tutor, quick, folder: Path
) -> None:
    assert "earns no points" in tutor("exercise")
    solve(15, folder)
    shown = tutor("exercise", "check", "15")
    assert "kl_gaussians is right." in shown and "earns" not in shown
    assert "✓ passed" in tutor("exercise")
    shown = tutor("lessons")
    assert "Points: 0 of 42" in shown and f"Exercises: 1 of {len(all_exercises())}" in shown
    assert "does not count" in tutor("exercise", "solution", "16", code=2)
    tutor("exercise", "solution", "16", "--give-up")
    solve(16, folder)
    assert "After a reset it counts." in tutor("exercise", "check", "16")
    shown = tutor("exercise")
    assert "✓ solution seen" in shown and "Lesson" in shown and "Points" in shown


def test_what_was_given_up_counts_again_after_a_reset(tutor, quick, folder: Path) -> None:
    tutor("exercise", "start", "13")
    assert "torch.where" in tutor("exercise", "solution", "13", "--give-up")
    assert "solution seen" in tutor("exercise")
    solve(13, folder)
    assert "earns no points" in tutor("exercise", "check", "13")
    assert "Points: 0 of 42" in tutor("lessons")
    tutor("exercise", "reset", "13")
    solve(13, folder)
    assert "It earns part 11.8 c, d" in tutor("exercise", "check", "13")
    assert "Points: 1 of 42" in tutor("lessons")
    tutor("exercise", "reset", "13")  # what has passed stays passed
    assert "✓ passed" in tutor("exercise")


def test_the_checks_are_counted_and_the_first_that_passed_is_kept(tutor, quick, folder) -> None:
    tutor("exercise", "start", "13")
    for _ in range(2):
        tutor("exercise", "check", "13", code=1)
    assert load_progress().exercise("ex13_label_dropout").checks == 2
    solve(13, folder)
    tutor("exercise", "check", "13")
    first = load_progress().exercise("ex13_label_dropout")
    assert (first.checks, first.passed_check) == (3, 3) and first.passed_when
    path = solve(13, folder)
    path.write_text(f"{path.read_text()}# and another\n")
    tutor("exercise", "check", "13")
    again = load_progress().exercise("ex13_label_dropout")
    assert (again.checks, again.passed_check) == (4, 3) and again.passed != first.passed
    assert again.passed_when == first.passed_when


def test_progress_of_an_earlier_version_is_kept(tutor, folder: Path) -> None:
    lesson = {"step": 3, "finished": True, "answers": {"11.2 a": True}}
    path = progress_file()
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"version": 1, "lessons": {"02_closed_form": lesson}}))
    assert load_progress().lesson("02_closed_form").finished
    passed(13, folder)
    progress = load_progress()
    assert progress.lesson("02_closed_form").answers == {"11.2 a": True}
    assert progress.exercise("ex13_label_dropout").counts
    path.write_text(path.read_text().replace('"hints": 0', '"hints": "many"'))
    assert "starts anew" in tutor("exercise") and not load_progress().exercises


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["exercise", "check", "2"], 1, "exercise start 2"),
        (["exercise", "check", "77"], 2, "no exercise 77"),
        (["exercise", "start", "x"], 2, "no exercise x"),
        (["gif", "--bug", "no_such"], 2, "--bug list"),
        (["gif", "--bug", "sign", "--direction", "noise"], 2, "--direction"),
        (["gif", "--bug", "sign", "--with-my-code", "."], 2, "one of"),
        (["gif", "--bug", "one_too_much", "--guidance", "1"], 2, "guidance"),
        (["gif", "--with-my-code", "."], 1, "5, 8, 9, 14"),
        (["gif", "--with-my-code", "--steps", "20"], 2, "belongs here"),
        (["exercise", "2"], 2, "ddpm-tutor exercise start 2"),
    ],
)
def test_mistakes_get_a_short_answer(tutor, words: list[str], code: int, says: str) -> None:
    assert says in tutor(*words, code=code)


def test_files_that_are_no_answer(tutor, folder: Path) -> None:
    path = solve(2, folder)
    path.write_bytes(b"\xff\xfe\x00")
    assert "Cannot read" in tutor("exercise", "check", "2", code=1)
    path.write_bytes(b"#" * 2_000_000)
    assert "larger than any answer" in tutor("exercise", "check", "2", code=1)


LOOP = "    n = 0\n    while True:\n        n += 1\n"
# body, seconds, kind, says, line
HOSTILE = [
    (LOOP, 2.0, "stopped", "longer than 2 s of computing", (11, 12)),
    ("    import time\n    time.sleep(100)\n", 0.5, "stopped", "not done after 3 s", (11, 11)),
    ("    import os\n    os._exit(0)\n", 20.0, "ended", "ended Python", (11, 11)),
    ("    held = []\n    while True:\n        held.append(bytearray(10**11))\n", 20.0,
     "error", "more memory", (12, 12)),
    ("    print('{\"kind\": \"passed\"}')\n    import sys\n    sys.stdout.write('x' * 10_000)\n"
     "    sys.stderr.write('odd')\n    return x_0\n", 20.0, "wrong", "x_0 by 1 where", (0, 0)),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("body", "seconds", "kind", "says", "line"), HOSTILE)
def test_the_check_survives_what_the_code_does(
    folder: Path, body: str, seconds: float, kind: str, says: str, line: tuple[int, int]
) -> None:
    exercise = find_exercise("2")
    path = folder / "ex2.py"
    above = exercise.start.source.split('    """')[0]
    path.write_text("# mine\n" + above + "    x = 1\n" + body, encoding="utf-8")
    found = check(exercise, path, seconds)
    verdict = found.verdict
    assert verdict.kind == kind and says in verdict.says, verdict
    assert line[0] <= (verdict.line or 0) <= line[1]
    assert len(found.printed) <= 2000 and found.printed.startswith('{"kind"') == (kind == "wrong")


@pytest.mark.slow
def test_a_solution_passes_in_a_process_of_its_own(folder: Path) -> None:
    found = check(find_exercise("14"), solve(14, folder))
    assert found.verdict.passed and found.printed == ""


@pytest.mark.slow
def test_watch_checks_on_every_save_until_interrupted(folder: Path) -> None:
    path = solve(13, folder)
    right = path.read_text(encoding="utf-8")
    path.write_text(find_exercise("13").starter(), encoding="utf-8")
    watching = subprocess.Popen(
        [sys.executable, "-m", "ddpm_tutor", "exercise", "check", "13", "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    assert watching.stdout is not None
    shown = ""
    try:
        for wanted, text in (("Watching", right), ("Watching", None)):
            while wanted not in (line := watching.stdout.readline()):
                assert line, watching.communicate()
                shown += line
            if text:
                time.sleep(0.05)
                path.write_text(text, encoding="utf-8")
        watching.send_signal(signal.SIGINT)
        _, err = watching.communicate(timeout=20)
    finally:
        watching.kill()
    assert "still a gap" in shown and "drop_labels is right." in shown
    assert watching.returncode == 130 and "Interrupted" in err and "Traceback" not in err


def test_gif_with_my_code_draws_what_the_package_draws(tutor, folder: Path) -> None:
    for number in (5, 11, 14):
        passed(number, folder)
    words = ["gif", "--digit", "7", "--sampler", "ddim", "--steps", "12", "--out"]
    tutor(*words, "ours.gif")
    shown = tutor(*words, "mine.gif", "--with-my-code", "exercises")
    assert "Yours: predict_x_0, ddim_step, guided_eps" in shown
    ours, mine = (imageio.imread(folder / f"{n}.gif").astype(int) for n in ("ours", "mine"))
    assert ours.shape == mine.shape and np.abs(ours - mine).max() <= 2


def test_gif_says_whose_functions_it_draws_with(tutor, folder: Path) -> None:
    passed(9, folder)
    changed = passed(8, folder)
    changed.write_text(changed.read_text(encoding="utf-8") + "# more\n", encoding="utf-8")
    solve(5, folder)
    words = ["gif", "--digit", "7", "--steps", "4", "--with-my-code", "exercises"]
    shown = tutor(*words)
    assert "Yours: sample" in shown and "The package's: predict_x_0, p_step, guided_eps" in shown
    assert "ex8_reverse_step.py has changed since it passed" in shown
    assert "ex5_estimate_of_x_0.py has not passed yet" in shown


def test_an_error_in_own_code_names_its_line(tutor, folder: Path) -> None:
    exercise = find_exercise("8")
    path = passed(8, folder)
    source = path.read_text(encoding="utf-8").replace(
        "    mean =", "    1 / (eps.shape[2] - 32)\n    mean ="
    )
    path.write_text(source, encoding="utf-8")
    exercise_passed(exercise, source)
    line = next(i for i, text in enumerate(source.splitlines(), 1) if "1 / (" in text)
    shown = tutor("gif", "--steps", "3", "--digit", "1", "--with-my-code", "exercises", code=1)
    assert f"ex8_reverse_step.py, line {line}: ZeroDivisionError" in shown.replace("\n", "")


def test_gif_with_a_bug_shows_right_and_wrong(tutor, folder: Path) -> None:
    listed = tutor("gif", "--bug", "list")
    assert all(bug.name in listed for bug in bugs())
    shown = tutor("gif", "--digit", "7", "--bug", "sign", "--steps", "10", "--count", "1")
    assert "The sign of ε is wrong" in shown and "digit_7_sign.gif" in shown
    frames = imageio.imread(folder / "digit_7_sign.gif").astype(int)
    left, right = (frames[:, 36 : 36 + 256, x : x + 256, 0] for x in (16, 16 + 256 + 16))
    assert np.array_equal(left[0], right[0]) and np.abs(left[-1] - right[-1]).mean() > 50


@pytest.mark.slow
def test_help_does_not_load_torch(folder: Path) -> None:
    script = """
import sys
from ddpm_tutor.cli import main
for words in (["exercise"], ["exercise", "--help"], ["exercise", "start", "1"],
              ["exercise", "hint", "1"]):
    sys.argv = ["ddpm-tutor", *words]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, (words, stop.code)
heavy = {"torch", "torchvision", "matplotlib", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
