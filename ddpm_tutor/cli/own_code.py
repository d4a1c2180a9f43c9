"""Drawing and training with other functions: the learner's own, or a known mistake."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ddpm_tutor.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ddpm_tutor.grading.own_functions import OwnCode
    from ddpm_tutor.pictures.films import Frame
    from ddpm_tutor.science.sampling import ChainState, SamplingOptions
    from ddpm_tutor.science.training import StepReport
    from ddpm_tutor.storage.checkpoints import Checkpoint


def show_bugs(console: Console) -> None:
    """The mistakes that --bug can make, by the function that they are made in."""
    with console.status("Looking ..."):
        from ddpm_tutor.grading.known_mistakes import bugs

        known = bugs()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold cyan", no_wrap=True)
    function = ""
    for bug in known:
        if bug.exercise.function != function:
            function = bug.exercise.function
            table.add_row("", Text(f"in {function}, exercise {bug.exercise.number}", "dim"))
        table.add_row(Text(bug.name), Text(bug.mistake.what))
    console.print(table)
    console.print(Text("Draw one: ddpm-tutor gif --digit 7 --bug sign", "dim"))


def check_bug(name: str, guidance: float) -> None:
    """Refuses, before long work, a mistake that there is not or that would not show.

    Raises:
        UsageError: saying which, and why.
    """
    from ddpm_tutor.grading.known_mistakes import find_bug

    if find_bug(name).exercise.function == "guided_eps" and guidance == 1:
        raise UsageError(f"{name} shows only with guidance: leave --guidance 1 out.")


def bug_frames(
    console: Console,
    name: str,
    loaded: "Checkpoint",
    labels: "Tensor | None",
    options: "SamplingOptions",
    seed: int,
    numbers: range,
) -> "list[Frame]":
    """The frames of the right drawing, each beside that of the wrong one."""
    from ddpm_tutor.classroom.session import track
    from ddpm_tutor.grading.known_mistakes import find_bug
    from ddpm_tutor.pictures.films import Frame, frames_of

    bug = find_bug(name)
    console.print(Text.assemble((f"{name}: ", "bold"), bug.mistake.what))
    if bug.mistake.leads_to:
        console.print(Text(bug.mistake.leads_to))
    pair = []
    for wrong, word in ((False, "Right"), (True, "Wrong")):
        states = bug.draw(loaded, labels, options, seed=seed, indices=numbers, wrong=wrong)
        steps = options.steps_of(loaded.schedule.T)
        pair.append(list(frames_of(track(states, steps + 1, word), loaded.schedule)))
    frames = []
    for frame in pair[0]:
        # the wrong one may have left out a state: then the one before it stays
        beside = [other for other in pair[1] if other.t >= frame.t] or pair[1]
        frames.append(Frame(frame.t, frame.x_t, beside[-1].x_t))
    return frames


def own_drawing(
    console: Console,
    folder: Path,
    loaded: "Checkpoint",
    labels: "Tensor | None",
    options: "SamplingOptions",
    seed: int,
    numbers: range,
    passed: Mapping[str, str] | None = None,
) -> "Iterator[ChainState]":
    """Sampling with the learner's functions; says which they are, and which are the package's.

    Args:
        passed: see `own_code`.
    """
    from ddpm_tutor.grading.drawing import draw_with, used_in

    mine = taken_from(console, folder, used_in(options.method), "drawing", passed)
    if "p_step" in mine.functions and options.steps_of(loaded.schedule.T) < loaded.schedule.T:
        say = "Your p_step takes σ² = β. Where steps are skipped the package's takes β̃."
        console.print(Text(say, "dim"))
    return draw_with(
        mine.functions, loaded.model, loaded.schedule, labels, options, seed=seed, indices=numbers
    )


def own_training(
    console: Console, folder: Path, conditional: bool
) -> "Callable[..., Iterator[StepReport]]":
    """What trains as `train` does, with the learner's functions; says which they are."""
    from ddpm_tutor.grading.training import train_with, used_in_training

    mine = taken_from(console, folder, used_in_training(conditional), "training")
    return partial(train_with, mine.functions)


def taken_from(
    console: Console,
    folder: Path,
    names: Sequence[str],
    purpose: str,
    passed: Mapping[str, str] | None = None,
) -> "OwnCode":
    """The learner's functions of these names; says which are theirs, and which the package's."""
    from ddpm_tutor.grading.own_functions import own_code

    mine = own_code(folder, names, purpose, passed)
    theirs = [name for name in names if name not in mine.functions]
    console.print(Text.assemble(("Yours: ", "bold green"), ", ".join(mine.functions)))
    if theirs:
        console.print(Text.assemble(("The package's: ", "dim"), ", ".join(theirs)))
    for line in mine.left_out:
        console.print(Text(line, "yellow"), soft_wrap=True)
    return mine
