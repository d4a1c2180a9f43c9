"""Figures: the same whatever the user's settings are, and never the end of the work."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
import torch
from typer.testing import CliRunner

from ddpm_tutor.classroom.session import Session, show, using
from ddpm_tutor.cli.app import app
from ddpm_tutor.pictures.figures import figure, loss_curve, own_settings, save_figure_as, sheet
from ddpm_tutor.storage import film_strip
from ddpm_tutor.storage.film_strip import load_film_strip

# settings that would stop a figure, or change how it looks
SETTINGS = {
    "LaTeX, which is not here": {"text.usetex": True},
    "a font that is not here": {"font.family": "No Such Font", "font.size": 30},
    "a style": {"axes.facecolor": "black", "lines.linewidth": 9, "axes.grid": True},
    "another format": {"savefig.format": "pdf", "savefig.dpi": 30, "savefig.bbox": "tight"},
    "see-through": {"savefig.transparent": True, "savefig.facecolor": "red"},
}
each_setting = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def draw_all(folder: Path) -> list[bytes]:
    """The pictures that we draw, as they are on disk: as a lesson, a training, a scorecard do."""
    folder.mkdir()
    with figure(4, 2, columns=2) as (picture, (left, right)):
        left.plot([1, 2, 3], label="one")
        left.legend()
        left.set(xlabel="t", title="A title")
        picture.colorbar(right.imshow([[0, 1], [2, 3]]))
    with using(Session(out=folder)):
        show(picture, "of a lesson")
    curve = loss_curve([(1, 0.1), (2, 0.01)], [(1, 0.2)])
    save_figure_as(folder / "loss.png", curve, dpi=120)
    digits = torch.zeros(3, 1, 32, 32, dtype=torch.uint8)
    save_figure_as(folder / "sheet.png", sheet(digits, ["a", "b"], columns=2), dpi=150)
    return [path.read_bytes() for path in sorted(folder.iterdir())]


def test_a_sheet_says_what_its_rows_are() -> None:
    digits = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    result = sheet(digits, ["1.5 apart", "2.5 apart"], 2, ["drawn", "nearest"])
    said = [[text.get_text() for text in axis.texts] for axis in result.axes]
    assert said == [["drawn"], [], ["nearest"], []]
    assert [axis.get_title() for axis in result.axes] == ["1.5 apart", "2.5 apart", "", ""]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        return draw_all(tmp_path_factory.mktemp("plain") / "pictures")


@each_setting
def test_settings_in_force_change_no_picture(settings, expected, tmp_path) -> None:
    with matplotlib.rc_context(settings):
        assert draw_all(tmp_path / "pictures") == expected
    assert len(expected) == 3


@each_setting
def test_the_users_settings_are_as_they_were(settings) -> None:
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        with pytest.raises(ZeroDivisionError), own_settings():
            assert matplotlib.rcParams["font.size"] == 10
            assert not matplotlib.rcParams["text.usetex"]
            _ = 1 / 0
        assert dict(matplotlib.rcParams) == before


# torch is loaded once; each case is a process that has not imported matplotlib yet
CASES = """
import hashlib, os, sys
from pathlib import Path
from ddpm_tutor.pictures.figures import loss_curve, save_figure_as

def draw(case, file, content, variables):
    folder = Path(case).absolute()
    folder.mkdir()
    os.chdir(folder)
    (folder / file).write_bytes(content)
    os.environ.update({name: value.format(folder) for name, value in variables.items()})
    names = ("MPLBACKEND", "MATPLOTLIBRC")
    before = [os.environ.get(name) for name in names]
    save_figure_as(folder / "loss.png", loss_curve([(1, 0.1), (2, 0.01)], [(1, 0.2)]), dpi=120)
    assert Path.cwd() == folder and [os.environ.get(name) for name in names] == before
    if "cell" in case:
        import matplotlib.pyplot  # what the user does next works as well

notebook = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
here = "matplotlibrc"
cases = {
    "plain": ("other", b"", {}),
    "in a notebook's cell": ("other", b"", notebook),
    "nonsense for a backend": ("other", b"", {"MPLBACKEND": "nonsense"}),
    "LaTeX": (here, b"text.usetex: True", {}),
    "another backend": (here, b"backend: Qt5Agg", {}),
    "nonsense": (here, b"nonsense\\nfigure.dpi: much\\n::\\n", {}),
    "Latin-1": (here, b"font.family: caf\\xe9", {}),
    "Latin-1 in a notebook's cell": (here, b"font.family: caf\\xe9", notebook),
    "elsewhere": ("rc", b"font.family: caf\\xe9", {"MATPLOTLIBRC": "{}/rc"}),
    "in its folder": (here, b"text.usetex: True", {"MPLCONFIGDIR": "{}"}),
    "no folder for it": ("file", b"", {"MPLCONFIGDIR": "{}/file"}),
}
for case, how in cases.items():
    assert "matplotlib" not in sys.modules
    child = os.fork()
    if not child:
        draw(case, *how)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, case
    print(case, hashlib.md5((Path(case) / "loss.png").read_bytes()).hexdigest(), sep=": ")
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_nothing_that_matplotlib_finds_when_it_is_imported_changes_a_picture(tmp_path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MPL", "MATPLOTLIB"))}
    done = subprocess.run(
        [sys.executable, "-c", CASES],
        cwd=tmp_path,
        env=environment | {"OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases = dict(line.split(": ") for line in done.stdout.splitlines())
    assert len(cases) == 11 and len(set(cases.values())) == 1, cases


# A picture that cannot be made


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """Runs a command in an empty folder, without MNIST and without a network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DDPM_TUTOR_DATA", raising=False)
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))

    def run(line: str) -> str:
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == 0, done.output
        return done.output

    return run


TRAIN = "train --network unet --width 4 --batch-size 11 --device cpu --data tiniest"


@pytest.mark.slow
def test_a_picture_that_cannot_be_made_never_ends_a_training(
    commands, tiniest_mnist, tmp_path, monkeypatch
):
    monkeypatch.setattr(film_strip, "STEPS", 2)
    assert tiniest_mnist == tmp_path / "tiniest"
    run = tmp_path / "runs" / "mnist"
    for name in ("loss.png", "film_strip.gif"):
        (run / name).mkdir(parents=True)  # a file cannot take the place of a folder
    said = commands(f"{TRAIN} --epochs 1")
    assert "Continuing without loss.png: " in said and "loss.png is a folder" in said
    assert "Continuing without a row of the film strip: " in said
    assert len((run / "log.jsonl").read_text().splitlines()) == 1
    (run / "film_strip.npz").write_bytes(b"no strip")
    said = commands(f"{TRAIN} --epochs 2 --resume")
    assert "Continuing without the earlier film strip: " in said
    assert len((run / "log.jsonl").read_text().splitlines()) == 2
    for name in ("loss.png", "film_strip.gif"):
        (run / name).rmdir()
    assert "Continuing without" not in commands(f"{TRAIN} --epochs 3 --resume")
    assert (run / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert load_film_strip(run / "film_strip.npz").epochs == [2, 3]


def test_scores_are_shown_where_a_picture_cannot_be_made(commands, tmp_path):
    (tmp_path / "evaluation" / "worst.png").mkdir(parents=True)
    said = commands("evaluate -n 100 --steps 2 --device cpu")
    assert "Continuing without some of the pictures: " in said
    assert "Fréchet distance" in said and "Saved: evaluation/grid.png" in said


def test_symbols_in_a_figure_are_typeset_in_its_picture_alone(tmp_path: Path) -> None:
    from ddpm_tutor.pictures.figures import as_mathtext, save_figure_as

    for text, wanted in {
        "q(x_100), from x_T": "q($x_{100}$), from $x_{T}$",
        "L_simple (Eq. 14)": r"$L_{\mathrm{simple}}$ (Eq. 14)",
        "ᾱ_t, x̂_0 and β̃": r"$\bar{α}_{t}$, $\hat{x}_{0}$ and $\tilde{β}$",
        "x_0_hat of a_name": "x_0_hat of a_name",
        "already $x_t$": "already $x_t$",
    }.items():
        assert as_mathtext(text) == wanted
    with figure() as (drawn, (axis,)):
        axis.plot([1, 2], [1, 2], label="x̂_0")
        axis.set(title="q(x_100)", xlabel="ᾱ_t, σ_t²")
        axis.legend()
    save_figure_as(tmp_path / "a.png", drawn, dpi=60)
    assert axis.get_title() == "q(x_100)"  # as `in_words` says it
