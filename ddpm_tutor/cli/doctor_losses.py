"""`doctor` of a loss: is the curve what it should be?"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from ddpm_tutor.screen.prose import Sentence

if TYPE_CHECKING:
    from ddpm_tutor.storage.loss_files import Losses, Points

MARKS = {True: ("✗ ", "bold red"), False: ("✓ ", "bold green")}
TAUGHT = (3, "Two losses")  # how a curve is read: the number of a lesson, the title of a step
MAX_DRAWN = 2000  # points of a curve


def look_at_losses(console: Console, path: Path) -> None:
    """Reads losses, draws their curve, and says what is to be said of it.

    Raises:
        Exit: with 1, where something is wrong.
    """
    with console.status("Looking ..."):
        from ddpm_tutor.evaluation.loss_curves import judge
        from ddpm_tutor.storage.loss_files import read_losses

        losses = read_losses(path)
        findings = judge(losses.train, losses.validation, losses.unit)
        curves = [("yours", losses.train)] if losses.train else []
        curves += [("yours, validation", losses.validation)] if losses.validation else []
        shipped = shipped_curve(losses)
    count = len(losses.train or losses.validation)
    said = f"{count:,} loss{'es' * (count != 1)}, {losses.read_as}"
    console.print(Text.assemble((f"{path}: ", "bold"), (said, "dim")), soft_wrap=True)
    draw(console, losses, curves, shipped)
    for finding in findings:
        mark = MARKS[finding.is_fault] if finding.kind not in ("slow", "short") else ("· ", "dim")
        console.print(Sentence(Text.assemble(mark, finding.says)))
    if shipped and not any(finding.is_fault for finding in findings):
        where, loss = shipped[-1]
        said = f"The shipped weights had {loss:.3g} after {where:,.0f} {losses.unit}s."
        console.print(Sentence(Text(said, "dim")))
    if any(finding.is_fault for finding in findings):
        show_mistakes(console, [name for finding in findings for name in finding.causes])
    if say := rate_at_end(losses):
        console.print(Sentence(Text(say, "dim")))
    if any(finding.is_fault for finding in findings):
        raise typer.Exit(1)


def draw(
    console: Console,
    losses: "Losses",
    curves: "list[tuple[str, Points]]",
    shipped: "Points",
) -> None:
    """The curves on the screen; where the run's own settings are known, its learning rate too."""
    from ddpm_tutor.screen.curves import Curves

    curves = [(name, thinned(points)) for name, points in curves]
    if shipped:
        curves.append(("that of the shipped weights", shipped))
    if any(loss > 0 and loss != float("inf") for _, points in curves for _, loss in points):
        console.print(Curves("loss", curves, x_label=losses.unit, log=True))
    rates = learning_rates(losses)
    if rates and max(r for _, r in rates) > min(r for _, r in rates):
        console.print(Curves("learning rate", [("", rates)], x_label=losses.unit))


def thinned(points: "Points") -> "Points":
    """So many of the points that the screen can show."""
    return points[:: max(1, len(points) // MAX_DRAWN)]


def shipped_curve(losses: "Losses") -> "Points":
    """The losses of the shipped weights' first training as far as these go, on the same axis.

    They are known at the end of each epoch of 429 steps; where a line may be anything, none.
    """
    from ddpm_tutor.storage.checkpoints import load_checkpoint

    if losses.unit == "line" or not (losses.train or losses.validation):
        return []
    last = max(where for where, _ in losses.train or losses.validation)
    log = load_checkpoint().log
    first = [entry for i, entry in enumerate(log) if entry["epoch"] == i + 1]
    per_epoch = first[0]["step"]
    places = [e["epoch"] * (1 if losses.unit == "epoch" else per_epoch) for e in first]
    points = [(float(x), e["train_loss"]) for x, e in zip(places, first, strict=True)]
    shown = [point for point in points if point[0] <= last]
    return shown if len(shown) > 1 else []


def learning_rates(losses: "Losses") -> "Points":
    """The learning rate at each entry of a run's own log; empty where it is not known."""
    config = config_of(losses.settings)
    if config is None or losses.unit != "epoch" or not losses.train:
        return []
    from ddpm_tutor.science.training import lr_factor

    return [
        (epoch, config.lr * lr_factor(int(epoch / config.epochs * 1000), 1000, config))
        for epoch, _ in losses.train
    ]


def config_of(settings: dict[str, Any]) -> Any:
    """The training that a run's settings ask for; None where they are not known, or nonsense."""
    from dataclasses import fields

    from ddpm_tutor.science.training import TrainingConfig

    known = settings.get("training")
    if not isinstance(known, dict):
        return None
    names = {field.name for field in fields(TrainingConfig)}
    try:
        config = TrainingConfig(**{k: v for k, v in known.items() if k in names})
        return config if config.epochs >= 1 and config.lr > 0 else None
    except (TypeError, ValueError):
        return None


def rate_at_end(losses: "Losses") -> str:
    """What the learner's schedule has to do with the end of the curve; "" where it is not known."""
    rates = learning_rates(losses)
    if not rates:
        return ""
    config = config_of(losses.settings)
    said = f"Your learning rate: {config.lr:g}, {config.lr_schedule}"
    if config.lr_schedule == "constant":
        return f"{said}. A falling one (--lr-schedule cosine) brings the loss down at the end."
    done = losses.train[-1][0]
    if done < config.epochs:
        return f"{said}; after {done:.0f} of {config.epochs} epochs it still is {rates[-1][1]:.2g}."
    return f"{said}; it has fallen to its end, so going on needs a new schedule."


def show_mistakes(console: Console, names: list[str]) -> None:
    """The known mistakes that make such a curve, and where to go on."""
    from ddpm_tutor.cli.doctor import show_causes, show_leads
    from ddpm_tutor.grading.causes import find_cause, lesson_command

    causes = [find_cause(name) for name in dict.fromkeys(names) if name != "lr"]
    show_causes(console, causes)
    if causes:
        show_leads(console, causes[0])
    else:
        read = Text.assemble(("Read  ", "dim"), (lesson_command(*TAUGHT), "bold cyan"))
        console.print(Padding(read, (0, 0, 0, 2)))
