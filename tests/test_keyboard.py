"""Keys as terminals send them, a pad to draw on, Ctrl-Z, and whether anybody is there to type."""

import contextlib
import io
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from ddpm_tutor.cli import lesson as lesson_command
from ddpm_tutor.cli.app import app
from ddpm_tutor.errors import TutorError
from ddpm_tutor.screen import keyboard
from ddpm_tutor.screen.drawing_pad import Pad, draw_on_pad
from ddpm_tutor.screen.keyboard import in_notebook, is_terminal, keys_of, read_key, showing_keys

on_a_terminal = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pty")


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\r", ["\r"]),
        ("\n", ["\r"]),
        ("\r\r", ["\r", "\r"]),
        ("nn", ["n", "n"]),
        ("QbB ", ["q", "b", "b", " "]),
        ("\x04", ["q"]),
        ("é?ж", ["é", "?", "ж"]),
        ("\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        ("\x1bOA\x1bOB\x1bOC\x1bOD", ["up", "down", "right", "left"]),  # application mode
        ("\x1bOM", ["\r"]),  # Enter of its number pad
        ("\x1b[5~\x1b[6~", ["page up", "page down"]),
        ("\x1b[1;2C\x1b[1;5D\x1b[6;5~\x1bO5C", ["right", "left", "page down", "right"]),
        ("\x1b", ["\x1b"]),
        ("\x1b\x1b[Cb", ["\x1b", "right", "b"]),
        # Home, End, Delete, F1 (three ways), F12, Shift-Tab, Alt-b, the mouse, a paste's brackets
        ("\x1b[H\x1b[F\x1bOF\x1b[3~\x1b[11~\x1bOP\x1b[[A\x1b[24~\x1b[Z", []),
        ("\x1bb\x1b[<0;10;12M\x1b[200~\x1b[201~q", ["q"]),
    ],
)
def test_keys_are_told_apart(sent: str, keys: list[str]) -> None:
    assert keys_of(sent) == keys


@given(st.text(max_size=30))
def test_every_key_is_a_character_or_a_name(sent: str) -> None:
    names = {"up", "down", "left", "right", "page up", "page down"}
    for key in keys_of(sent):
        assert key in names or len(key.encode("utf-32-le")) <= 12  # "İ" is two when it is small


@given(st.lists(st.sampled_from(["\r", "b", "é", "\x1b[A", "\x1bOD", "\x1b[6~", "\x1b[1;5C"])))
def test_keys_that_come_together_are_the_keys_one_by_one(sent: list[str]) -> None:
    assert keys_of("".join(sent)) == [keys_of(one)[0] for one in sent]


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """A terminal in place of stdin; types into it as soon as `read_key` waits."""
    import pty
    import termios

    learner, terminal = pty.openpty()
    ready = termios.tcgetattr(terminal)
    real_read = os.read
    to_type: list[bytes] = []

    def read(fd: int, count: int) -> bytes:
        if fd == terminal and to_type:
            os.write(learner, to_type.pop(0))
        return real_read(fd, count)

    monkeypatch.setattr(os, "read", read)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(keyboard, "REST_SECONDS", 0.5)
    with open(terminal, encoding="utf-8") as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        yield to_type.append
        assert termios.tcgetattr(terminal) == ready  # as it was
        keyboard.forget_keys()
    os.close(learner)


@on_a_terminal
def test_keys_are_read_one_by_one(typing) -> None:
    typing(b"\rB\x1b[C\x1b[24~q")
    assert [read_key() for _ in range(4)] == ["\r", "b", "right", "q"]


@on_a_terminal
@pytest.mark.parametrize(
    ("parts", "keys"),
    [
        ((b"\x1b", b"[C"), ["right"]),
        ((b"x\x1b[1;", b"5C"), ["x", "right"]),
        ((b"\xc3", b"\xa9b"), ["é", "b"]),
        ((b"\xf0\x9f", b"\x98", b"\x80"), ["😀"]),
    ],
)
def test_a_key_may_come_in_parts(typing, monkeypatch, parts, keys: list[str]) -> None:
    for part in parts:
        typing(part)
    # what is typed in the next read is on its way already
    monkeypatch.setattr(keyboard.select, "select", lambda *waiting: waiting)
    assert [read_key() for _ in keys] == keys and not keyboard._waiting


@on_a_terminal
def test_a_lone_escape_does_not_wait_for_more(typing, monkeypatch) -> None:
    monkeypatch.setattr(keyboard, "REST_SECONDS", 0.01)
    typing(b"\x1b")
    assert read_key() == "\x1b"


@on_a_terminal
def test_a_key_that_means_nothing_is_passed_over(typing) -> None:
    typing(b"\x1b[3~")
    typing(b"b")
    assert read_key() == "b"


@on_a_terminal
def test_what_came_with_a_key_is_no_answer_and_no_key_after_a_question(typing) -> None:
    typing(b"\r1000\r")
    typing(b"q")
    assert read_key() == "\r"
    with showing_keys(True):
        assert not select.select([sys.stdin], [], [], 0)[0]
    assert read_key() == "q"


@on_a_terminal
def test_the_pad_draws_what_is_typed_and_gives_the_terminal_back(typing) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, height=24)
    typing(b" \x1b[C\x1b[C\x1b[C")  # the pen down, and six pixels to the right
    typing(b"\x1b[<0;4;3M\x1b[<32;4;1")  # the mouse in the corner, and down; in two reads
    typing(b"2M\x1b[<0;4;12m\x1a")
    typing(b"\r")
    picture = draw_on_pad(console)
    assert picture is not None and picture.shape == (320, 320)
    small = picture[4::8, 4::8]
    rows, columns = small.nonzero()
    assert (rows.min(), rows.max()) == (19, 21) and columns.max() - columns.min() == 8  # undone
    shown = screen.getvalue()
    assert "\x1b[?1002h" in shown and shown.index("\x1b[?1002h") < shown.index("\x1b[?1002l")
    assert "█" in shown and "Enter" in shown


@on_a_terminal
def test_a_pad_that_is_left_or_empty_is_no_drawing(typing) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=42, height=22)
    for sent in (b" q", b" \x1b", b"\r", b" c\r"):
        typing(sent)
        assert draw_on_pad(console) is None
    small = Console(file=console.file, force_terminal=True, width=41, height=22)
    with pytest.raises(TutorError, match="42 columns and 22 lines"):
        draw_on_pad(small)


def test_the_mouse_draws_and_rubs_out_where_it_is() -> None:
    pad = Pad()
    for report in ("\x1b[<0;12;8M", "\x1b[<32;22;8M", "\x1b[<0;22;8m", "\x1b[<35;30;20M"):
        pad.press(report)
    rows, columns = pad.pixels.nonzero()
    assert {rows.min(), rows.max()} <= {10, 11, 12, 13, 14} and 12 in rows  # line 8 of the screen
    assert columns.min() <= 10 and columns.max() >= 20  # columns 12 to 22
    pad.press("\x1b[<64;12;8M")  # the wheel
    before = pad.pixels.copy()
    pad.press("\x1b[<0;70;8M")  # beside the pad
    pad.press("\x1b[<32;12;20M")
    assert (pad.pixels == before).all()
    for report in ("\x1b[<2;12;8M", "\x1b[<34;22;8M", "\x1b[<2;22;8m"):
        pad.press(report)
    assert not pad.pixels.any()
    pad.press("u")
    assert (pad.pixels == before).all()


@given(
    st.lists(
        st.one_of(
            st.sampled_from([*"uxc ", "up", "down", "left", "right", "\x1a", "ж"]),
            st.builds(
                "\x1b[<{};{};{}{}".format,
                st.integers(0, 99), st.integers(0, 300), st.integers(0, 300), st.sampled_from("Mm"),
            ),
        ),
        max_size=30,
    )
)  # fmt: skip
def test_nothing_that_is_typed_breaks_the_pad(keys: list[str]) -> None:
    pad = Pad()
    for key in keys:
        pad.press(key)
    assert len(pad.lines().plain.splitlines()) == 22 and pad.done is None
    assert {len(line) for line in pad.lines("'.#").plain.splitlines()} == {42}


@on_a_terminal
def test_a_terminal_that_is_gone_reads_as_quit(typing, monkeypatch) -> None:
    def gone(fd: int, count: int) -> bytes:
        raise OSError("hung up")

    monkeypatch.setattr(os, "read", gone)
    assert read_key() == "q"


@on_a_terminal
def test_a_terminal_that_sends_lines_is_read_by_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nBack\n q\n"))
    assert [read_key() for _ in range(4)] == ["\r", "b", "q", "q"]


# the shell's part: starts the rest as a job of its own on this terminal, and minds it
SHELL = """
import fcntl, os, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal = __import__("signal")
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
def echo():
    modes = termios.tcgetattr(0)[3]
    return bool(modes & termios.ECHO), bool(modes & termios.ICANON)
job = os.fork()
if job == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1]])
_, status = os.waitpid(job, os.WUNTRACED)
os.tcsetpgrp(0, os.getpgrp())
print("shell:", "stopped" if os.WIFSTOPPED(status) else status, *echo(), flush=True)
os.tcsetpgrp(0, job)
os.killpg(job, signal.SIGCONT)
_, status = os.waitpid(job, 0)
os.tcsetpgrp(0, os.getpgrp())
print("shell:", status, *echo(), flush=True)
"""
JOB = """
import sys, termios
from ddpm_tutor.screen.keyboard import read_key, showing_keys
with showing_keys(False):
    print("waiting", flush=True)
    print("key:", read_key(), flush=True)
    modes = termios.tcgetattr(0)[3]
    print("shown:", bool(modes & termios.ECHO), flush=True)
"""


@pytest.mark.slow
@on_a_terminal
def test_ctrl_z_gives_the_shell_its_terminal_and_comes_back_to_the_key() -> None:
    import pty

    learner, terminal = pty.openpty()
    shell = subprocess.Popen(
        [sys.executable, "-c", SHELL, JOB], stdin=terminal, stdout=terminal, stderr=terminal,
        start_new_session=True, env=os.environ | {"TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    shown = ""

    def until(words: str) -> None:
        nonlocal shown
        end = time.monotonic() + 30
        while words not in shown:
            assert select.select([learner], [], [], end - time.monotonic())[0], shown
            shown += os.read(learner, 4096).decode()

    try:
        until("waiting")
        time.sleep(0.3)  # it is waiting for the key
        os.write(learner, b"\x1a")
        until("shell: stopped True True")  # typing shows, and by lines
        time.sleep(0.3)
        os.write(learner, b"b")
        until("shown: False")  # and as it was for the lesson
        until("shell: 0 True True")
        assert "key: b" in shown
    finally:
        shell.send_signal(signal.SIGKILL)
        shell.wait()
        os.close(learner)


KERNEL = {"JPY_PARENT_PID": "1"}
IPYKERNEL = {"TERM": "xterm-color", "CLICOLOR_FORCE": "1", "GIT_PAGER": "cat"}
JUPYTERLAB_TERMINAL = {"TERM": "xterm", "JUPYTER_SERVER_ROOT": "/", "JUPYTER_SERVER_URL": "http://"}
VSCODE_TERMINAL = {"TERM": "xterm-256color", "TERM_PROGRAM": "vscode", "VSCODE_INJECTION": "1"}


PROMPT = """
import fcntl, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from ddpm_tutor.cli import doctor_symptoms, lesson
from ddpm_tutor.screen.console import make_console
try:
    {}
except KeyboardInterrupt:
    print("Stopped.")
"""


@pytest.mark.slow
@on_a_terminal
@pytest.mark.parametrize(
    ("asks", "prompt"),
    [
        ("lesson.asking(make_console())('Your number: ')", "Your number: "),
        ("doctor_symptoms.chosen(make_console(), ())", "to leave: "),
    ],
)
def test_what_is_said_after_ctrl_c_does_not_stand_on_the_prompts_line(
    asks: str, prompt: str
) -> None:
    import pty

    learner, terminal = pty.openpty()
    command = [sys.executable, "-c", PROMPT.format(asks)]
    job = subprocess.Popen(command, stdin=terminal, stdout=terminal, start_new_session=True)
    os.close(terminal)
    seen, pressed = "", False
    with contextlib.suppress(OSError):  # the end of a terminal
        while sent := os.read(learner, 1000):
            seen += sent.decode()
            if prompt in seen and not pressed:
                time.sleep(0.2)  # until it reads
                os.write(learner, b"\x03")
                pressed = True
    job.wait()
    os.close(learner)
    assert re.search(rf"{prompt}(\^C)?\r\nStopped\.", seen), seen


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in (*KERNEL, *IPYKERNEL):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize(
    ("environment", "cell"),
    [(KERNEL, True), (IPYKERNEL, True), (JUPYTERLAB_TERMINAL, False), (VSCODE_TERMINAL, False)],
)
def test_a_notebooks_cell_is_known_and_a_terminal_beside_it_is_none(
    outside, environment: dict[str, str], cell: bool
) -> None:
    for name, value in environment.items():
        outside.setenv(name, value)
    assert in_notebook() is cell


@pytest.mark.parametrize(
    ("environment", "pause", "there"),
    [({}, None, True), (KERNEL, None, False), (KERNEL, True, True), ({}, False, False)],
)
def test_a_learner_is_there_at_a_terminal_or_where_it_is_said(
    outside, environment: dict[str, str], pause: bool | None, there: bool
) -> None:
    for name, value in environment.items():
        outside.setenv(name, value)
    outside.setattr(lesson_command, "is_terminal", lambda stream: True)
    assert lesson_command.learner_is_there(pause) is there
    outside.setattr(lesson_command, "is_terminal", lambda stream: stream is sys.stdout)
    assert not lesson_command.learner_is_there(pause)


def test_a_stream_that_is_closed_or_was_never_there_is_no_terminal() -> None:
    with open(os.devnull) as stream:
        pass
    assert not is_terminal(stream) and not is_terminal(None)


def test_without_a_learner_a_lesson_says_so_and_runs_straight_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.py").write_text("# %% [markdown]\n# # Small\n\n# %%\nprint('ran')\n")
    run = CliRunner().invoke(app, ["lesson", "small.py", "--trust"])
    assert run.exit_code == 0 and "No keys can be typed here" in run.output
    assert "ran" in run.output
    asked = CliRunner().invoke(app, ["lesson", "small.py", "--trust", "--no-pause"])
    assert asked.exit_code == 0 and "No keys" not in asked.output


@pytest.mark.slow
@on_a_terminal
def test_a_lesson_in_a_notebooks_terminal_does_not_wait(tmp_path: Path) -> None:
    """As `!ddpm-tutor lesson` in a cell: a terminal, an environment, and nobody who types."""
    import pty

    (tmp_path / "small.py").write_text("# %% [markdown]\n# # Small\n\n# %%\nprint('ran')\n")
    learner, terminal = pty.openpty()
    lesson = subprocess.Popen(
        [sys.executable, "-m", "ddpm_tutor", "lesson", "small.py", "--trust"],
        cwd=tmp_path, stdin=terminal, stdout=terminal, stderr=terminal,
        env=os.environ | KERNEL | IPYKERNEL | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    os.close(terminal)
    shown = b""
    try:
        while select.select([learner], [], [], 60)[0]:
            try:
                part = os.read(learner, 4096)
            except OSError:  # Linux, where the last process has gone
                break
            if not part:
                break
            shown += part
        assert lesson.wait(30) == 0
    finally:
        lesson.kill()
        os.close(learner)
    assert b"No keys can be typed here" in shown and b"ran" in shown
    for draws_over in (b"\x1b[?25l", b"\x1b[2K", b"\x1b[1A"):
        assert draws_over not in shown
