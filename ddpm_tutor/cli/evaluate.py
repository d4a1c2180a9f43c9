"""The command that scores weights: how good are the digits they draw, beside real ones?"""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from ddpm_tutor.cli.bits import evaluate_bits
from ddpm_tutor.cli.sample import drawn_chunks
from ddpm_tutor.cli.shared_options import (
    CheckpointOption,
    DataOption,
    Device,
    DeviceOption,
    GuidanceOption,
    Sampler,
    SamplerOption,
    SeedOption,
    StepsOption,
    a_path,
    given,
    open_checkpoint,
    take_device,
)
from ddpm_tutor.errors import UsageError
from ddpm_tutor.files import check_target, fingerprint_of, replacing
from ddpm_tutor.screen.console import make_console, written

if TYPE_CHECKING:
    from ddpm_tutor.evaluation.scorecard import Card, Drawn
    from ddpm_tutor.evaluation.scores import Share

FOLDER = Path("evaluation")
SCORES = "scores.json"  # in that folder: what --json prints
IN_TERMINAL = 5  # of the worst digits


def evaluate(
    ctx: typer.Context,
    n: Annotated[
        int, typer.Option("-n", "--count", min=100, max=5000, help="Digits to draw and score.")
    ] = 1000,
    bits: Annotated[
        bool,
        typer.Option(
            "--bits", help="Draw nothing: how many bits does a real digit take? The bound of Eq. 5."
        ),
    ] = False,
    seed: SeedOption = 0,
    guidance: GuidanceOption = 1.0,
    sampler: SamplerOption = Sampler.ddpm,
    steps: StepsOption = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print the scores as JSON.")] = False,
    out: Annotated[
        Path, typer.Option(callback=a_path, help="Folder for the pictures and scores.json.")
    ] = FOLDER,
    checkpoint: CheckpointOption = None,
    data: DataOption = None,
    device: DeviceOption = Device.auto,
) -> None:
    """Score the digits that a model draws, beside real ones."""
    console = make_console(stderr=as_json)
    if bits:
        if drawing := given(ctx, "guidance", "sampler", "steps", "out"):
            raise UsageError(f"--bits draws nothing: leave out {drawing[0]}.")
        evaluate_bits(console, n, seed, checkpoint, data, device, as_json)
        return
    with console.status("Loading the model ..."):
        import torch

        from ddpm_tutor.classroom.session import Session, using
        from ddpm_tutor.evaluation.classifier import load_classifier
        from ddpm_tutor.evaluation.scorecard import load_real_digits, measure, real_card
        from ddpm_tutor.science.sampling import SamplingOptions
        from ddpm_tutor.screen.console import going_on_without
        from ddpm_tutor.screen.scorecard import REAL, save_pictures
        from ddpm_tutor.storage.checkpoints import weights_file
        from ddpm_tutor.storage.digits import find_mnist

        networks = {"shipped": open_checkpoint(None, device, steps)}
        if checkpoint is not None:
            networks = {"yours": open_checkpoint(checkpoint, device, steps), **networks}
        classifier, real, mnist = load_classifier(), load_real_digits(), find_mnist(data)
    check_target(out / "grid.png")  # better to fail now than after the drawing
    options = SamplingOptions(method=sampler.value, steps=steps, guidance=guidance)
    evaluated: dict[str, Drawn] = {}
    for name, network in networks.items():
        take_device(console, network, device, n, options)
        with using(Session(console=console)):
            asked = torch.arange(n) % 10 if network.conditional else None
            bar = f"Drawing {n:,} digits ({name})"
            how = options if network.conditional else dataclasses.replace(options, guidance=1.0)
            chunks = drawn_chunks(network, asked, n, how, seed, bar)
            images = torch.cat(list(chunks))
        with console.status(f"Scoring ({name}) ..."):
            evaluated[name] = measure(network, images, asked, classifier.model, real, mnist)
    with console.status("Scoring real digits ..."):
        cards = {name: drawn.card for name, drawn in evaluated.items()}
        cards[REAL] = real_card(classifier.model, real, n)
        first = next(iter(evaluated.values()))  # the pictures are of the weights asked for
        pictures: list[Path] = []
        with going_on_without(console, "some of the pictures"):
            for path in save_pictures(first, mnist, out):
                pictures.append(path)

    settings: dict[str, Any] = {"n": n, "steps": steps, "sampler": sampler.value, "seed": seed}
    if first.asked is not None:
        settings["guidance"] = guidance
    report = {
        **settings,
        "checkpoint": str(checkpoint) if checkpoint else "shipped",
        "weights": fingerprint_of(weights_file(checkpoint)),
        "classifier": plain(classifier.test),
        "cards": {name: plain(card) for name, card in cards.items()},
        "pictures": [str(path) for path in pictures],
    }
    text = json.dumps(report, indent=2)
    with going_on_without(console, "the scores"), replacing(out / SCORES) as temporary:
        temporary.write_text(f"{text}\n", encoding="utf-8")
        pictures.append(out / SCORES)
    if as_json:
        typer.echo(text)
    else:
        show(console, settings, cards, classifier.test, first, pictures)


def show(
    console: Console,
    settings: dict[str, Any],
    cards: "dict[str, Card]",
    classifier: "Share",
    drawn: "Drawn",
    pictures: list[Path],
) -> None:
    """The scorecard on the screen."""
    from ddpm_tutor.screen.images import render_images
    from ddpm_tutor.screen.scorecard import by_digit, captions, scorecard, worst_first

    how = ", ".join(f"{name} {value}" for name, value in settings.items())
    console.print(Text(how, style="bold"))
    console.print(scorecard(cards))
    if drawn.card.validation is None:
        console.print(Text("For the rest, name a folder that holds MNIST/raw: --data DIR", "dim"))
    console.print(Text("\nRead as asked, digit by digit, %", style="bold"))
    console.print(by_digit(cards))
    reads = f"The classifier reads {classifier} % of MNIST's {classifier.of:,} test digits right."
    console.print(Text(reads, "dim"))
    worst = worst_first(drawn)[:IN_TERMINAL]
    console.print(
        Text(f"\nThe worst ({next(iter(cards))}), and what they are read as", style="bold")
    )
    console.print(render_images(drawn.images[worst], console, captions(drawn, worst)))
    for path in pictures:
        console.print(written(path), soft_wrap=True)


def plain(value: Any) -> Any:
    """A card and what is in it as JSON can hold it; a share with its value and interval."""
    from ddpm_tutor.evaluation.scores import Share

    if isinstance(value, Share):
        low, high = value.interval
        return {**dataclasses.asdict(value), "value": value.value, "low": low, "high": high}
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value
