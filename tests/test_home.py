"""A user without a home folder, as in a container that runs under a random number."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ddpm_tutor.cli.app import app
from ddpm_tutor.course.exercise import find_exercise
from ddpm_tutor.files import AT_HOME, MAKESHIFT, makeshift_home, user_folder

pwd = pytest.importorskip("pwd", reason="Windows gives everybody a home")
pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has other folders at home")
HOMES = {"none": None, "empty": "", "relative": "here", "under a file": "FILE/home"}


def nobody(user: int) -> None:
    raise KeyError(f"uid not found: {user}")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files, and a user without anything else."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    makeshift_home.cache_clear()
    yield tmp_path / "tmp"
    makeshift_home.cache_clear()


@pytest.mark.parametrize("home", HOMES.values(), ids=HOMES)
def test_what_needs_no_torch_works_and_progress_is_kept_till_the_machine_is_gone(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, home: str | None
) -> None:
    if home is not None:
        (temporary.parent / "file").touch()
        monkeypatch.setenv("HOME", home.replace("FILE", str(temporary.parent / "file")))
    elsewhere = home == "" and os.access("/", os.W_OK)  # an empty one is /, where root may write
    if elsewhere:
        pytest.skip("root has a home there")

    def said(*words: str) -> tuple[str, str]:
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return done.stdout, done.stderr

    for words in ((), ("lessons",), ("exercise",)):
        shown, error = said(*words)
        assert shown and not error
    for number in range(len(find_exercise("2").hints)):
        shown, error = said("exercise", "hint", "2")
        assert f"Hint {number + 1} of" in shown
        assert (str(user_folder("data")) in error) is (number == 0), error  # said once
    (made,) = temporary.iterdir()
    assert made.stat().st_mode & 0o777 == 0o700
    assert user_folder("data") == made / AT_HOME["data"]
    assert user_folder("cache") == made / AT_HOME["cache"]
    assert [path.name for path in temporary.parent.iterdir() if path.name != "file"] == ["tmp"]


@pytest.mark.parametrize("trap", ["link", "open to all", "file"])
def test_what_somebody_else_has_put_there_is_not_used(
    temporary: Path, tmp_path: Path, trap: str
) -> None:
    name = temporary / f"{MAKESHIFT}{os.getuid()}"
    (tmp_path / "theirs").mkdir()
    if trap == "link":
        name.symlink_to(tmp_path / "theirs")
    elif trap == "open to all":
        name.mkdir()
        name.chmod(0o777)
    else:
        name.touch()
    assert makeshift_home() != name and makeshift_home().parent == temporary
    assert makeshift_home() == makeshift_home()
    assert makeshift_home().stat().st_mode & 0o777 == 0o700
    CliRunner().invoke(app, ["exercise", "hint", "2"])
    assert list((tmp_path / "theirs").iterdir()) == []


def test_where_nothing_can_be_written_that_is_said_once(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "file"))
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "file")
    done = CliRunner().invoke(app, ["exercise", "hint", "2"])
    assert done.exit_code == 0 and "Hint 1 of" in done.stdout
    assert "Your progress is not kept." in done.stderr


# of a lesson, what asks for folders: digits from the cache or the network, and a figure
FIGURE = """\
# %% [markdown]
# # A figure

# %%
from ddpm_tutor import load_digits
from ddpm_tutor.classroom.tools import figure, show
with figure() as (result, (axis,)):
    axis.plot(load_digits().train_images[0].float().mean(dim=(0, 1)))
show(result, "curve")
"""


@pytest.mark.slow
def test_matplotlib_and_torch_find_a_home_too(temporary: Path, tmp_path: Path) -> None:
    script = """
import pwd, sys
def nobody(*words):
    raise KeyError("uid not found")
pwd.getpwuid = pwd.getpwnam = nobody
from ddpm_tutor.cli import main
for line in sys.argv[1:]:
    sys.argv = ["ddpm-tutor", *line.split()]
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, (line, stop.code)
import getpass, pathlib
from torch._inductor.runtime.cache_dir_utils import default_cache_dir
print("home:", pathlib.Path.home(), default_cache_dir())
"""
    environment = {k: v for k, v in os.environ.items() if k not in ("USER", "LOGNAME", "LNAME")}
    environment |= {"TMPDIR": str(temporary), "MPLBACKEND": "agg", "http_proxy": "127.0.0.1:9"}
    environment |= {"https_proxy": "127.0.0.1:9", "PYTHONPATH": str(Path(__file__).parents[1])}
    (tmp_path / "figure.py").write_text(FIGURE)
    commands = ["info", "lesson figure.py --no-pause --trust",
                "sample --digit=3 -n1 --steps=2 --out=~/3.png"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script, *commands],
        cwd=tmp_path, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"home: {temporary / MAKESHIFT}{os.getuid()}" in done.stdout
    assert not (tmp_path / "~").exists() and (tmp_path / "outputs" / "curve.png").exists()
