"""What a user names: folders at home, names with brackets and blanks, commands to be copied."""

import io
import re
import shlex
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import typer
from rich.console import Console
from typer.testing import CliRunner

from ddpm_tutor import commands
from ddpm_tutor.classroom.session import Session, note, track, using
from ddpm_tutor.cli import lesson as lesson_command
from ddpm_tutor.cli.app import app
from ddpm_tutor.cli.shared_options import a_path
from ddpm_tutor.cli.train import run_results
from ddpm_tutor.commands import command
from ddpm_tutor.course.exercise import all_exercises, find_exercise
from ddpm_tutor.files import bundled
from ddpm_tutor.grading import sandbox as checking
from ddpm_tutor.grading.judge import judge
from ddpm_tutor.learner.progress import exercise_passed
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.checkpoints import save_checkpoint
from ddpm_tutor.storage.training_run import Run, RunSettings

QUICK = ["--steps", "1", "--device", "cpu"]
ODD = ["a[/b]", "a[red]b", "my 'work' & \"more\"", "-dash", "~tilde", "[/]"]
LESSON = """# %% [markdown]
# # My own lesson

# %% tags=["parameters"]
digit = 7

# %% [markdown]
# # The end

# %%
digit
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, and a learner without progress, data and a network."""
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("DDPM_TUTOR_DATA", "")  # a lesson's --data would stay
    monkeypatch.setenv("COLUMNS", "80")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def tutor(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a command in this process and checks its exit code; what it printed."""

    def check(exercise, path, seconds=0.0):
        source = checking.read_answer(path)
        return checking.Checked(judge(exercise, source, path), "", source)

    monkeypatch.setattr(checking, "check", check)

    def run(*words: str, code: int = 0) -> str:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == code, (words, done.output)
        return done.output

    return run


def printed(shown: str, word: str = "") -> list[str]:
    """The words of the last command that was printed, and has `word` in it."""
    lines = [line for line in shown.splitlines() if re.search(rf"ddpm-tutor .*{word}", line)]
    assert lines, shown
    program, *words = shlex.split(lines[-1][lines[-1].index("ddpm-tutor ") :])
    assert program == "ddpm-tutor"
    return words


def solve(number: int, path: Path) -> None:
    """The learner's file with the solution in it, which passes."""
    exercise = find_exercise(str(number))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(exercise.solved(), encoding="utf-8")


def parameters() -> Iterator[tuple[str, str, typing.Any, typing.Any]]:
    """Command, name, type and typer's description of each option and argument of all commands."""

    def commands_of(app: typer.Typer) -> Iterator[typing.Any]:
        for group in app.registered_groups:
            yield from commands_of(group.typer_instance)
        yield from (each.callback for each in app.registered_commands)
        yield app.registered_callback.callback

    for function in commands_of(app):
        for name, hint in typing.get_type_hints(function, include_extras=True).items():
            for info in getattr(hint, "__metadata__", ()):
                yield function.__name__, name, typing.get_args(hint)[0], info


def test_whatever_names_a_file_takes_a_tilde() -> None:
    text = {  # names it a file?
        "bug": False, "settings": False, "start_from": True, "name": True, "what": False,
        "picture": True, "other": True, "keep": False, "course": True, "student": False,
        "group": False, "maps": False,
    }  # fmt: skip
    seen = set()
    for function, name, kind, info in parameters():
        kinds = {kind, *typing.get_args(kind)}
        seen.add(function)
        if Path in kinds or (kinds & {str, list[str]} and text[name]):
            assert info.callback is a_path, (function, name)
    assert {"gif", "sample", "train", "evaluate", "info", "lesson", "start", "reset"} <= seen


def test_a_tilde_is_the_home_folder(tutor, folder: Path) -> None:
    home = folder.parent / "HOME"
    tutor("sample", "--digit", "3", "-n", "1", *QUICK, "--out=~/3.png", "--npz=~/3.npz")
    tutor("exercise", "start", "2", "--folder=~/hw")
    tutor("exercise", "check", "~/hw/ex2_closed_form.py", code=1)
    save_checkpoint(home / "own.safetensors", UNet(4, 10), {})
    tutor("gif", "--digit", "3", *QUICK, "--out=~/3.gif", "--checkpoint=~/own.safetensors")
    saves = "import torch\nfrom ddpm_tutor.classroom.tools import save_grid\n"
    (home / "mine.py").write_text(
        f"{LESSON}\n# %%\n{saves}save_grid(torch.ones(1, 1, 8, 8), 'one')"
    )
    tutor("lesson", "~/mine.py", "--no-pause", "--trust", "--out=~/pictures")
    train = ["train", "--run-dir=~/run"]
    assert f"No MNIST in {home}" in tutor(*train, "--data=~/none", code=1)
    assert f"No run to resume in {home / 'run'}" in tutor(*train, "--resume", code=1)
    assert {"3.png", "3.npz", "3.gif", "hw", "pictures"} <= {path.name for path in home.iterdir()}
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_what_a_user_typed_is_never_markup(tutor, folder: Path, name: str) -> None:
    def said(*words: str, code: int = 0) -> str:
        shown = tutor(*words, code=code)
        assert name in shown
        return shown

    option = f"--folder={name}"
    said("exercise", "start", "1", option)
    said("exercise", "start", "1", option, code=1)
    said("exercise", "check", "1", option, code=1)
    said("exercise", "check", "2", option, code=1)  # there is none
    said("exercise", "reset", "1", option)
    solve(1, folder / name / "ex1_one_step.py")
    tutor("exercise", "check", "1", option)
    said("sample", "--digit=3", "-n1", *QUICK, f"--out={name}/1.png", f"--npz={name}/1.npz")
    said("gif", "--digit=3", *QUICK, f"--out={name}.gif")
    said("gif", f"--checkpoint={name}", code=1)
    said("gif", f"--with-my-code={name}", *QUICK, code=1)
    tutor("gif", f"--bug={name}", code=2)
    said("train", f"--data={name}", code=1)
    said("train", f"--run-dir={name}", "--resume", code=1)
    tutor("lesson", "1", "--set", f"{name}=1", code=2)
    lesson = folder / name / "mine.py"
    lesson.write_text(LESSON)
    tutor("lesson", str(lesson), "--no-pause", "--trust", f"--out={name}/pictures")
    tutor("lesson", f"{name}.py", "--no-pause", code=2)
    tutor("gif", f"--device={name}", code=2)
    tutor("--", name, code=2)


def test_no_bar_and_no_question_takes_text_for_markup(
    tutor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with using(Session(console)):
        for _ in track([1], 1, "drawing a[/b]"):
            note("loss a[red]b")
    assert "drawing a[/b]" in screen.getvalue()
    asking = """from ddpm_tutor.classroom.questions import ask_number
ask_number("How many [/b]?", 1, tolerance=0, why="[/b]", part="[/b]", points=1)
"""
    (folder / "asks [red].py").write_text(f"{LESSON}\n# %%\n{asking}")
    monkeypatch.setattr(lesson_command, "learner_is_there", lambda pause=None: True)
    keys = iter("\r\r\rq")
    monkeypatch.setattr(lesson_command, "read_key", lambda: next(keys))
    shown = tutor("lesson", "asks [red].py", "--trust")
    assert "How many [/b]?" in shown and "Question [/b], 1 point" in shown


@pytest.mark.parametrize("name", [*ODD, "exercises"])
def test_the_commands_that_an_exercise_prints_work(tutor, folder: Path, name: str) -> None:
    place = folder / name
    start = tutor("exercise", "start", "5", f"--folder={name}")
    check = printed(start)
    assert check.pop() == "--watch"
    hint = printed(tutor(*check, code=1))
    for _ in find_exercise("5").hints:
        shown = tutor(*hint)
    reset = printed(tutor(*printed(shown, "--give-up")), "reset")
    tutor(*reset)
    assert (place / "ex5_estimate_of_x_0.1.py").exists() and len(list(place.iterdir())) == 2
    (place / "ex5_estimate_of_x_0.py").unlink()
    tutor(*printed(tutor(*check, code=1)))  # there is none: start
    tutor(*printed(tutor("exercise", "start", "5", f"--folder={name}", code=1)))  # reset
    solve(5, place / "ex5_estimate_of_x_0.py")
    following = printed(tutor(*check))
    assert "start" in following
    tutor(*following)
    assert (place / "ex6_training_step.py").exists()
    tutor("exercise", "reset", *check[2:])
    solve(5, place / "ex5_estimate_of_x_0.py")
    assert printed(tutor(*check)) == ["exercise", "check", *following[2:]]  # begun by now


@pytest.mark.parametrize("name", [*ODD, "exercises"])
def test_the_file_itself_says_how_to_check_it(
    tutor, folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tutor("exercise", "start", "5", f"--folder={name}")
    text = (folder / name / "ex5_estimate_of_x_0.py").read_text()
    if "in the folder of this file" in text:
        monkeypatch.chdir(folder / name)
    assert "a gap to fill" in tutor(*printed(text), code=1)


def test_an_exercise_file_may_have_any_name(tutor, folder: Path) -> None:
    name = '5 """my\' \\N.py'
    check = printed(tutor("exercise", "start", name))[:-1]
    assert check == ["exercise", "check", name]
    assert "a gap to fill" in tutor(*check, code=1)
    # bytes that are no letters, as Python keeps them in a name
    compile(find_exercise("5").starter(Path("ex5\udcff.py")).encode(), "ex5", "exec")


@pytest.mark.slow
def test_when_all_is_done_the_command_draws(
    tutor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for exercise in all_exercises():
        path = folder / "my work" / f"{exercise.name}.py"
        solve(exercise.number, path)
        exercise_passed(exercise, path.read_text(encoding="utf-8"))
    draw = printed(tutor("exercise", "check", str(path), "--progress"), "gif")
    assert "Yours: " in tutor(*draw, *QUICK)
    path = folder / "my work" / f"{find_exercise('14').name}.py"  # one that a drawing uses
    path.write_text(path.read_text() + "\n# changed\n")
    elsewhere = tutor("gif", "--with-my-code", "my work", *QUICK, "--digit=7")
    assert "has changed since it passed" in elsewhere
    assert "is right" in tutor(*printed(elsewhere, "check"))
    # the list does not know where the files are, and says so
    draw = printed(tutor("exercise"), "gif")
    monkeypatch.chdir(folder / "my work")
    assert "Yours: " in tutor(*draw, *QUICK)
    Path("exercises").symlink_to(".")
    assert "Yours: " in tutor(*printed(tutor("exercise"), "gif"), *QUICK)


@pytest.mark.slow
def test_weights_with_odd_names_are_drawn_with_as_printed(tutor, folder: Path) -> None:
    save_checkpoint(folder / "my [b] weights", UNet(4), {})
    say = tutor("gif", "--digit", "7", "--checkpoint", "my [b] weights", code=1)
    tutor(*printed(say), *QUICK)
    for conditional in (True, False):
        run = Run.start(Path(f"run '{conditional}'"), RunSettings(width=4, conditional=conditional),
                        torch.device("cpu"))  # fmt: skip
        run.save()
        tutor(*printed(run_results(conditional, run)["Draw with it:"]), *QUICK)
        tutor(*printed(run_results(conditional, run)["Score it:"]), *QUICK, "-n", "100")


def test_a_lesson_is_gone_on_with_as_it_was_begun(
    tutor, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lesson_command, "learner_is_there", lambda pause=None: True)
    monkeypatch.setattr(lesson_command, "read_key", lambda: "q")
    (folder / "my [b] lesson.py").write_text(LESSON)
    begun = ["lesson", "my [b] lesson.py", "--set", "digit=3", "--out", "my pictures", "--trust"]
    assert printed(tutor(*begun)) == begun
    assert printed(tutor("lesson", "1", "--from=2", "--seed=5")) == ["lesson", "1", "--seed", "5"]


def test_a_folder_that_is_called_tilde_is_not_taken_for_home(tutor, folder: Path) -> None:
    start = ["exercise", "start", str(folder / "~" / "ex5.py")]
    assert "a gap to fill" in tutor(*printed(tutor(*start))[:-1], code=1)
    line = command("exercise", "check", Path("~", "ex5.py"))
    assert "a gap to fill" in tutor(*printed(line), code=1)


FILES = [*bundled("lessons").glob("*.py"), *bundled("exercises").glob("*.py")]
WRITTEN = {
    words
    for file in FILES
    for words in re.findall(r"`ddpm-tutor ([^`]+)`", file.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("line", sorted(WRITTEN))
def test_commands_in_lessons_and_exercises_are_commands(line: str) -> None:
    name, *words = shlex.split(line)
    known = typer.main.get_command(app).commands[name]
    known.make_context(name, words)  # or it says what is wrong


@pytest.mark.skipif(sys.platform == "win32", reason="needs sh")
@pytest.mark.parametrize("name", [*ODD, "$HOME", "a\nb", "ä ö"])
def test_a_shell_reads_what_was_meant(name: str) -> None:
    line = command("exercise", "check", Path(name) / "ex.py").replace("ddpm-tutor", "printf '%s|'")
    words = subprocess.run(["sh", "-c", line], capture_output=True, text=True).stdout.split("|")
    assert (
        words[:2] == ["exercise", "check"]
        and Path(words[2]).absolute() == Path(name, "ex.py").absolute()
    )
    assert not words[2].startswith(("-", "~"))


def test_windows_has_other_quotes(monkeypatch: pytest.MonkeyPatch) -> None:
    windows = types.SimpleNamespace(name="nt", path=commands.os.path)
    monkeypatch.setattr(commands, "os", windows)
    assert command("gif", "--out", r"C:\work\7.gif") == r"ddpm-tutor gif --out C:\work\7.gif"
    assert command("gif", "--out", r"R & D\7.gif") == r'ddpm-tutor gif --out "R & D\7.gif"'
