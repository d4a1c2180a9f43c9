"""What moves on the screen: a bar for each loop, a clock where there is none, one at a time."""

import io
import math
import re
import time
from collections.abc import Iterator

import pytest
import torch
from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderResult
from rich.text import Text

from ddpm_tutor.classroom import bars as bars_module
from ddpm_tutor.classroom.bars import Bars
from ddpm_tutor.classroom.session import Session, note, show_download, track, using
from ddpm_tutor.science.sampling import ChainState
from ddpm_tutor.screen.curves import Curves


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session at a terminal where each wait is long."""
    monkeypatch.setattr(bars_module, "PATIENCE", 0.01)
    monkeypatch.setattr(bars_module, "FRAMES_PER_SECOND", 50)
    console = Console(file=io.StringIO(), width=100, height=50, force_terminal=True)
    with using(Session(console)) as session:
        yield session


def seen(session: Session) -> str:
    """All that was drawn, without the codes that move and colour."""
    assert isinstance(session.console.file, io.StringIO)
    return re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", session.console.file.getvalue())


def until(session: Session, words: str) -> None:
    end = time.monotonic() + 20
    while words not in seen(session):
        assert time.monotonic() < end, seen(session)
        time.sleep(0.01)


def test_a_wait_without_a_bar_has_a_clock(session: Session) -> None:
    with session.bars.clock("Computing"):
        until(session, "Computing")
    drawn = seen(session)
    time.sleep(0.1)
    assert seen(session) == drawn and "0 s" in drawn  # and it has gone


def test_a_clock_does_not_come_in_the_middle_of_a_print(session: Session) -> None:
    class Slow:
        def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
            yield Text("first line")
            time.sleep(0.1)  # longer than the clock's patience
            yield Text("second line")

    with session.bars.clock("Computing"):
        session.print(Slow())
        until(session, "Computing")
    assert seen(session).replace("\r", "").startswith("first line\nsecond line\nComputing")


def test_a_short_one_has_none(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars_module, "PATIENCE", 30)
    with session.bars.clock("Computing"):
        pass
    assert seen(session) == ""


def test_the_clock_makes_room_for_a_bar_and_comes_back(session: Session) -> None:
    with session.bars.clock("Computing"):
        until(session, "Computing")
        for i in track(range(3), 3, "Training"):
            note(f"loss {i}")
            until(session, f"loss {i}")
        bar = seen(session).rpartition("loss 2")[0]
        assert "Training" in bar and "2/3" in bar
        assert not session.bars._bars
        session.console.file.truncate(0)  # type: ignore[attr-defined]
        until(session, "Computing")


def test_a_loop_within_a_loop_has_a_bar_of_its_own(session: Session) -> None:
    for _ in track(range(1), 1, "Outer"):
        for _ in track(range(1), 1, "Inner"):
            until(session, "Inner")
        assert len(session.bars._bars) == 1
    assert "Outer" in seen(session) and not session.bars._bars


def test_nothing_moves_while_the_learner_types(session: Session) -> None:
    with session.bars.clock("Computing"):
        until(session, "Computing")
        with session.bars.paused():
            drawn = seen(session)
            time.sleep(0.1)
            assert seen(session) == drawn
        session.console.file.truncate(0)  # type: ignore[attr-defined]
        until(session, "Computing")


def test_a_loop_that_an_error_left_has_no_bar_afterwards(session: Session) -> None:
    loop = track(range(5), 5, "Training")
    with session.bars.bar("Steps", 2) as outer, session.bars.clock("Computing"):
        next(loop)
        assert len(session.bars._bars) == 2
    assert outer and not session.bars._bars
    assert list(loop) == [1, 2, 3, 4]  # and it can go on, unseen


def test_the_clock_says_what_the_network_does(session: Session) -> None:
    with session.bars.clock("Computing"):
        show_download(0, 0)
        until(session, "Looking for MNIST on the network")
        show_download(2_000_000, 9_000_000)
        until(session, "Downloading MNIST: 2.0 MB")


def test_nothing_moves_in_a_file() -> None:
    console = Console(file=io.StringIO(), width=80)
    bars = Bars(console)
    with bars.clock("Computing"), bars.bar("Steps", 2) as bar:
        assert bar is None and not bars.say("Looking")
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]


def chain(count: int) -> Iterator[ChainState]:
    for t in (2, 1, 0):
        yield ChainState(t, torch.zeros(count, 1, 32, 32), torch.ones(count, 1, 32, 32))


def test_x_t_and_the_guess_stand_below_the_bar_of_a_chain(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars_module, "SECONDS_A_PICTURE", 0)
    monkeypatch.setattr(bars_module, "SHARE", math.inf)
    for state in track(chain(9), 3, "Sampling", pictures=True):
        until(session, f"x_t, t = {state.t}")
    assert seen(session).count("guess of x_0") % 3 == 0  # three of each fit into 100 columns
    session.console.file.truncate(0)  # type: ignore[attr-defined]
    session.console.print("after it")
    assert "guess" not in seen(session)


def test_curves_grow_below_the_bar(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars_module, "SECONDS_A_PICTURE", 0)
    monkeypatch.setattr(bars_module, "SHARE", math.inf)
    points: list[tuple[float, float]] = []

    def so_far() -> Curves:
        return Curves("bits sent", [("a 1", points)], x_label="steps")

    for state in track(chain(2), 3, "Sending", pictures=True, curves=so_far):
        until(session, f"x_t, t = {state.t}")
        assert points or "bits sent" not in seen(session)  # no frame around nothing
        points.append((3 - state.t, 7.0 * 10**state.t))  # 700, 70, 7
    shown = seen(session)
    assert "bits sent" in shown and "a 1" in shown
    assert "700 " in shown and " 70 " in shown  # the ends of the axis: of two points at last
    session.console.file.truncate(0)  # type: ignore[attr-defined]
    for _ in track(range(2), 2, "Sending", curves=so_far):  # without pictures of a chain
        until(session, "bits sent")


@pytest.mark.parametrize("size", [(59, 50), (100, 29)])
def test_a_small_window_has_no_room_for_pictures(session: Session, size: tuple[int, int]) -> None:
    session.console.size = ConsoleDimensions(*size)
    curves = Curves("bits sent", [("", [(1, 2), (3, 4)])])
    for _ in track(chain(1), 3, "Sampling", pictures=True, curves=lambda: curves):
        until(session, "Sampling")
    assert "guess" not in seen(session) and "bits sent" not in seen(session)
