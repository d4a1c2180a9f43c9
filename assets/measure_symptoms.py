"""Measures what `ddpm-tutor doctor` compares with: what known mistakes draw, and how they train.

    python assets/measure_symptoms.py draw --seed 0 --count 16 --work DIR
    python assets/measure_symptoms.py draw --seed 1 --count 8 --work DIR
    python assets/measure_symptoms.py train --work DIR
    python assets/measure_symptoms.py table --work DIR [--data DIR]
    python assets/measure_symptoms.py draw --seed 2 --count 16 --work DIR
    python assets/try_doctor.py --work DIR --seeds 2 [--data DIR]

The first two draw with each mistake, some 20 and 10 minutes of one core, and the third trains with
those that show in a loss, 15 minutes; each goes on where it was stopped. The fourth writes
`symptoms.json`, `symptoms.png` and `loss_curves.json`. The last two try the doctor on drawings that
neither its table nor its groups know, and write down how often it was right.

Drawing by Algorithm 2 takes all 1000 steps, as a step's noise and a mistake in it depend on how
many there are. But the network is asked in only 135 of them: its estimate of x_0, which changes
slowly, stays in between. (The drawings of `EXACT` have another end then, so there it is asked in
each, for four digits a seed. Of others five were compared, and look the same: no_noise,
alpha_for_alpha_bar, always_T, clamped, root_alpha_bar.) DDIM and guidance take 20 steps, half of
the guided digits with a scale of 1.5 and half with 3; what is wrong in Eq. 15 takes 40.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ddpm_tutor.course.exercise import all_exercises
from ddpm_tutor.evaluation.classifier import load_classifier
from ddpm_tutor.evaluation.diagnosis import (
    PICTURED,
    RIGHT,
    SCALES,
    Group,
    Table,
    apart,
    before_of,
    group_of,
    scaled,
    suspects,
    unit_of,
)
from ddpm_tutor.evaluation.scorecard import load_real_digits
from ddpm_tutor.evaluation.symptoms import Measures, measures
from ddpm_tutor.files import bundled, replacing
from ddpm_tutor.grading.drawing import Functions, equations
from ddpm_tutor.grading.known_mistakes import Bug, bugs
from ddpm_tutor.pictures.picture_files import write_picture
from ddpm_tutor.science.diffusion import predict_x_0
from ddpm_tutor.science.noise import stream
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import halved, pad_to_32, to_uint8, to_unit_range
from ddpm_tutor.science.sampling import Equations, SamplingOptions, draw, guided_eps, last
from ddpm_tutor.science.schedule import linear_schedule
from ddpm_tutor.science.unet import UNet
from ddpm_tutor.storage.checkpoints import NUM_CLASSES, load_checkpoint
from ddpm_tutor.storage.digits import load_offline_digits, read_mnist

ASSETS = Path(__file__).parent
FULL = ("p_step", "sample")  # functions whose mistakes depend on how many steps there are
# mistakes that lead x_t to where the network's estimate changes fast
EXACT = ("root_beta", "no_root", "one_z", "off_by_one", "upwards")
FEW = 4  # digits of these
SCALES_OF_GUIDANCE = (1.5, 3.0)
NOT_APART = 1.05  # Bhattacharyya's distance of two groups that are told apart too seldom
AT = 16  # digits
APART = 125  # every so many of the right drawings that ship are taken
# networks with random weights draw now this noise and now that, most often that of the other: they
# are named with it, and no distribution is fitted to them
NAMED_WITH = {"no_step": "fresh_noise"}
# other ways to draw right digits: on these the doctor is tried, the table is not made of them
RIGHT_WAYS = {
    "right_no_labels": SamplingOptions("ddim", 50, guidance=0),
    "right_guided": SamplingOptions("ddim", 50, guidance=3),
    "right_ddim_20": SamplingOptions("ddim", 20),
    "right_250": SamplingOptions(steps=250),
    "right_250_beta": SamplingOptions(steps=250, variance="beta"),
}
EARLY = slice(1, 4)  # moments of the film strip: after a quarter, half, and a whole epoch
STEPS, BATCH, WIDTH = 250, 32, 8  # of a short training
LONGER = 600  # steps of one that has to come to rest

Drawn = dict[str, Tensor]  # by the name of a cause, (n, 1, 32, 32)


class Held:
    """The network, asked anew every few steps; in between its estimate of x_0 stays."""

    def __init__(self) -> None:
        self.left, self.x_0 = 0, torch.empty(0)

    def __call__(
        self, model: NoisePredictor, x_t: Tensor, t: Tensor, label: Tensor | None, guidance: float
    ) -> Tensor:
        i = int(t[0])
        alpha_bar = linear_schedule().alpha_bar[i].float()
        if self.left == 0:
            eps = guided_eps(model, x_t, t, label, guidance)
            self.x_0 = (x_t - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()
            self.left = 10 if i > 200 else 5 if i > 50 else 2
        else:
            eps = (x_t - alpha_bar.sqrt() * self.x_0) / (1 - alpha_bar).sqrt()
        self.left -= 1
        return eps


class Drawing:
    """Draws `count` digits of a seed with each mistake, and keeps them in a folder."""

    def __init__(self, work: Path, seed: int, count: int) -> None:
        self.folder, self.seed, self.count = work / f"seed{seed}", seed, count
        self.folder.mkdir(parents=True, exist_ok=True)
        self.loaded, self.labels = load_checkpoint(), torch.arange(count) % 10

    def all(self) -> None:
        """Everything that is not there yet."""
        self.once("right_held", lambda: self.whole({}))
        self.once("right_ddim", lambda: self.chain(SamplingOptions("ddim", 50)))
        for name, options in RIGHT_WAYS.items():
            self.once(name, lambda options=options: self.chain(options))  # type: ignore[misc]
        self.once("fresh_noise", lambda: self.predicting(lambda x_t, t, eps: 0 * x_t, 60))
        self.once(
            "target_x_0",
            lambda: self.predicting(
                lambda x_t, t, eps: predict_x_0(self.loaded.schedule, x_t, t, eps).clamp(-1, 1), 60
            ),
        )
        self.once("no_step", self.untrained)
        for bug in bugs():
            self.once(bug.name, lambda bug=bug: self.of(bug))  # type: ignore[misc]

    def once(self, name: str, make: Callable[[], Tensor]) -> None:
        path = self.folder / f"{name}.npz"
        if not path.exists():
            images = make().nan_to_num(-1.0)
            with replacing(path) as temporary:
                np.savez_compressed(
                    temporary, images=to_uint8(images).numpy(), floats=images.half().numpy()
                )
            print(name, flush=True)

    def of(self, bug: Bug) -> Tensor:
        """What a mistake draws."""
        function = bug.exercise.function
        if bug.name in EXACT:
            options, part = plain(None), range(FEW)
            return last(
                bug.draw(self.loaded, self.labels[:FEW], options, seed=self.seed, indices=part)
            )
        if function in FULL:
            return self.whole({function: bug.exercise.load(bug.mistake.code)})
        half = self.count // 2
        parts = []
        for scale, part in zip(
            SCALES_OF_GUIDANCE, (range(half), range(half, self.count)), strict=True
        ):
            options = SamplingOptions(steps=40 if function == "predict_x_0" else 20)
            if function == "guided_eps":
                options = replace(options, guidance=scale)
            labels = self.labels[part.start : part.stop]
            states = bug.draw(self.loaded, labels, options, seed=self.seed, indices=part)
            parts.append(last(states))
        return torch.cat(parts)

    def untrained(self) -> Tensor:
        """What networks with random weights draw: four digits each, as no two do the same."""
        parts = []
        for first in range(0, self.count, 4):
            torch.manual_seed(100 * self.seed + first)
            network = UNet(16, NUM_CLASSES).eval().requires_grad_(False)
            part = range(first, first + 4)
            states = draw(
                network, self.loaded.schedule, self.labels[first : first + 4], plain(60),
                seed=self.seed, indices=part,
            )  # fmt: skip
            parts.append(last(states))
        return torch.cat(parts)

    def whole(self, functions: Functions) -> Tensor:
        """All steps of Algorithm 2, with the network held."""
        return self.chain(plain(None), replace(equations(functions), guided_eps=Held()))

    def predicting(self, change: Callable[[Tensor, Tensor, Tensor], Tensor], steps: int) -> Tensor:
        """With another prediction than the network's: change(x_t, t, eps)."""

        def predict(
            model: NoisePredictor, x_t: Tensor, t: Tensor, label: Tensor, w: float
        ) -> Tensor:
            return change(x_t, t, guided_eps(model, x_t, t, label, w))

        return self.chain(plain(steps), Equations(guided_eps=predict))

    def chain(self, options: SamplingOptions, equations: Equations = Equations()) -> Tensor:  # noqa: B008
        return last(
            draw(
                self.loaded.model, self.loaded.schedule, self.labels, options, seed=self.seed,
                indices=range(self.count), equations=equations,
            )
        )  # fmt: skip


def plain(steps: int | None) -> SamplingOptions:
    """Algorithm 2 as the paper has it."""
    return SamplingOptions(steps=steps, clip=False)


# --- trainings


class Trainings:
    """Short trainings of a small plain U-Net, with a mistake each; the loss of each step."""

    def __init__(self, work: Path) -> None:
        self.file = work / "curves.json"
        self.curves = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.images = halved(load_offline_digits().train_images)
        self.exercise = next(e for e in all_exercises() if e.number == 6)

    def all(self) -> None:
        """Everything that is not there yet."""
        self.once("right")
        self.once("right_again", seed=1)
        for name in (
            "target_x_0", "target_x_t", "no_zero_grad", "one_t", "absolute", "root", "squared_mean",
            "summed", "fresh_noise", "clean_input",
        ):  # fmt: skip
            self.once(name, mistake=name)
        self.once("no_step", 40, mistake="no_step")
        self.once("bytes", LONGER, scale=lambda x_0: (x_0 + 1) * 127.5)
        self.once("unit_range", scale=lambda x_0: (x_0 + 1) / 2)
        self.once("t_large", of_t=lambda t: 700 + t % 300)
        self.once("always_T", of_t=lambda t: torch.full_like(t, 1000))
        self.once("t_small", of_t=lambda t: 1 + t % 50)
        for lr, steps in ((0.1, 120), (1.0, 60), (0.01, 150), (1e-6, 80)):
            self.once(f"lr_{lr:g}", steps, lr=lr)

    def once(
        self,
        name: str,
        steps: int = STEPS,
        *,
        lr: float = 2e-3,
        mistake: str = "",
        scale: Callable[[Tensor], Tensor] = lambda x_0: x_0,
        of_t: Callable[[Tensor], Tensor] = lambda t: t,
        seed: int = 0,
    ) -> None:
        if name in self.curves:
            return
        torch.manual_seed(seed)
        model, schedule = UNet(WIDTH, None), linear_schedule()
        model.image_shape = tuple(self.images.shape[1:])  # half as large as it is made for
        optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        code = self.exercise.mistake(mistake).code if mistake else self.exercise.solution
        step = self.exercise.load(code)
        losses = []
        for i in range(steps):
            generator = stream(seed, "doc", i)
            pick = torch.randint(len(self.images), (BATCH,), generator=generator)
            x_0 = scale(to_unit_range(self.images[pick]))
            t = of_t(torch.randint(1, schedule.T + 1, (BATCH,), generator=generator))
            eps = torch.randn(x_0.shape, generator=generator)
            losses.append(float(f"{step(model, optimizer, schedule, x_0, t, eps).item():.3g}"))
        self.curves[name] = losses
        self.file.write_text(json.dumps(self.curves))
        print(name, losses[0], losses[-1], flush=True)


# --- the table


def drawn_of(work: Path, seed: int, ways: bool = False) -> Drawn:
    """All that was drawn with a seed, and right digits that are shown wrong.

    Args:
        ways: whether those of other ways to draw right digits are among them, too.
    """
    found, floats = {}, {}
    for path in sorted((work / f"seed{seed}").glob("*.npz")):
        with np.load(path) as arrays:
            found[path.stem] = torch.from_numpy(arrays["images"])
            floats[path.stem] = torch.from_numpy(arrays["floats"]).float()
    for name in RIGHT_WAYS:
        if not ways:
            found.pop(name, None)
    right = torch.cat([found.pop("right_held"), found.pop("right_ddim")])
    x_0 = floats["right_held"]  # unclipped: some of it lies beyond [-1, 1]
    found["inverted"] = 255 - to_uint8(x_0)
    found["range_grey"] = to_uint8((x_0 + 1) / 2)
    found["negative_cut"] = to_uint8(2 * x_0.clamp(0, 1) - 1)
    found["wrapped"] = ((x_0 + 1) * 127.5).round().to(torch.int32).remainder(256).to(torch.uint8)
    with np.load(bundled("assets") / "film_strip.npz") as arrays:
        strip = torch.from_numpy(arrays["images"][EARLY, 10 * seed : 10 * seed + 10])
    if len(strip[0]):  # of the first seeds; for others see `Drawing.early_ones`
        found["undertrained"] = strip.flatten(0, 1)[:, None]
    found[RIGHT] = torch.cat([right, offline(torch.arange(seed, 2000, APART))])
    return found


def offline(which: Tensor) -> Tensor:
    """Some of the right drawings that ship, (n, 1, 32, 32) uint8."""
    with np.load(bundled("assets") / "offline_digits.npz") as arrays:
        return pad_to_32(torch.from_numpy(arrays["images"]))[which]


class Measuring:
    """Measures pictures, each set once."""

    def __init__(self) -> None:
        self.classifier = load_classifier().model
        self.real = load_real_digits().training_features

    def __call__(self, images: Tensor) -> Measures:
        return measures(images, self.classifier, self.real)

    def all(self, drawn: Drawn) -> Drawn:
        """The scaled measures, (n, k), of each cause."""
        return {cause: scaled(self(images)) for cause, images in drawn.items()}


def grouped(values: Drawn) -> list[list[str]]:
    """Causes that cannot be told apart by `AT` digits together: by the mean distance of groups."""
    unit = unit_of(values)
    alone = {cause: group_of([cause], values) for cause in values}
    between = {
        frozenset(pair): apart(alone[pair[0]], alone[pair[1]], unit, AT)
        for pair in combinations(values, 2)
    }

    def distance(a: list[str], b: list[str]) -> float:
        return sum(between[frozenset((x, y))] for x in a for y in b) / (len(a) * len(b))

    groups = [[cause] for cause in values if cause not in NAMED_WITH]
    while len(groups) > 1:
        a, b = min(combinations(groups, 2), key=lambda pair: distance(*pair))
        if distance(a, b) > NOT_APART:
            break
        groups = [group for group in groups if group not in (a, b)] + [a + b]
    for cause, other in NAMED_WITH.items():
        next(group for group in groups if other in group).append(cause)
    return groups


def central_first(group: list[str], values: Drawn) -> list[str]:
    """The causes of a group, the one nearest to the group's middle first; RIGHT before all."""
    unit = unit_of(values)
    middle = group_of(group, values).mean
    far = {c: float(((values[c].nanmean(0) - middle) / unit).square().nansum()) for c in group}
    return sorted(group, key=lambda cause: (cause != RIGHT, far[cause]))


def fitted(groups: list[list[str]], values: Drawn, sureness: float = 1.0) -> Table:
    """The table of these groups from these measures."""
    found = tuple(
        replace(group_of([c for c in group if c not in NAMED_WITH], values), causes=tuple(group))
        for group in groups
    )
    return Table(found, unit_of(values), sureness, {})


class Trial:
    """What the doctor said of some digits of a known cause."""

    def __init__(
        self, truth: int, count: int, logs: Tensor, before: Tensor, distance: float
    ) -> None:
        self.truth, self.count, self.distance = truth, count, distance
        self.logs, self.before = logs, before  # (groups,) of the likelihoods, and beforehand

    def probabilities(self, sureness: float) -> Tensor:
        return (self.logs * sureness + self.before).softmax(0)

    def said(self, sureness: float) -> int:
        """The group that is named."""
        return int(self.probabilities(sureness).argmax())


def trials(table: Table, drawn: Drawn, measuring: Measuring) -> list[Trial]:
    """Sets of 1, 4 and 16 digits of each cause, as many as there are, put to the doctor."""
    found = []
    for cause, images in drawn.items():
        truth = next(i for i, group in enumerate(table.groups) if cause in group.causes)
        for count in (1, 4, 16):
            for start in range(0, len(images) - count + 1, count):
                found.append(trial(table, images[start : start + count], truth, measuring))
    return found


def trial(table: Table, images: Tensor, truth: int, measuring: Measuring) -> Trial:
    listed = suspects(replace(table, sureness=1.0), measuring(images))
    by_name = {suspect.group.name: suspect for suspect in listed}
    logs = torch.tensor([by_name[group.name].log for group in table.groups])
    return Trial(
        truth, len(images), logs, before_of(table), by_name[table.groups[truth].name].distance
    )


def sureness_of(found: list[Trial]) -> float:
    """How sure the Gaussians may be: what makes held-out truths likeliest."""
    grid = [0.02 * 1.15**i for i in range(30)]

    def cost(sureness: float) -> float:
        by_count = [
            [
                -float(t.probabilities(sureness)[t.truth].clamp(min=1e-9).log())
                for t in found
                if t.count == n
            ]
            for n in (1, 4, 16)
        ]
        return sum(sum(costs) / len(costs) for costs in by_count if costs)

    return min((s for s in grid if s <= 1), key=cost)


def right_of(found: list[Trial], count: int, sureness: float) -> tuple[int, int]:
    """How many trials of so many digits the doctor was right in, and how many there were."""
    these = [t for t in found if t.count == count]
    return sum(t.said(sureness) == t.truth for t in these), len(these)


def false_alarms(table: Table, measuring: Measuring, pool: Tensor) -> dict[str, list[int]]:
    """How often right digits are taken for a mistake's, of how many sets, by how many there are.

    Args:
        pool: (n, 1, 32, 32) uint8, in no particular order; each set is its own part of it.
    """
    right = next(i for i, group in enumerate(table.groups) if RIGHT in group.causes)
    found = {}
    for count in (1, 4, 16, 64):
        sets = [pool[i : i + count] for i in range(0, len(pool) - count + 1, count)][:60]
        listed = [trial(table, images, right, measuring) for images in sets]
        wrong = sum(t.said(table.sureness) != t.truth for t in listed)
        found[str(count)] = [wrong, len(sets)]
    return found


def make_table(work: Path, data: Path | None) -> None:
    """Writes what ships, and prints how often it is right."""
    measuring = Measuring()
    drawn = [drawn_of(work, seed) for seed in (0, 1)]
    values = [measuring.all(d) for d in drawn]
    both = {cause: torch.cat([v[cause] for v in values]) for cause in values[0]}
    groups = [central_first(group, both) for group in grouped(both)]
    groups.sort(key=lambda group: (RIGHT not in group, group[0]))
    tables = [fitted(groups, v) for v in values]
    # each is tried on the drawings of the other seed
    found = trials(tables[0], drawn[1], measuring) + trials(tables[1], drawn[0], measuring)
    sureness = sureness_of(found)
    table = fitted(groups, both, sureness)
    pools = {"drawn": offline(torch.tensor([i for i in range(2000) if i % APART > 1]))}
    if data is not None:
        pools["real"] = read_mnist(data).validation_images[:3840]
    order = torch.randperm(4000, generator=torch.Generator().manual_seed(0))
    pools = {name: pool[order[order < len(pool)]] for name, pool in pools.items()}
    measured = {
        "right": {str(n): right_of(found, n, sureness) for n in (1, 4, 16)},
        "false_alarms": {n: false_alarms(table, measuring, pool) for n, pool in pools.items()},
        "far": round(sorted(t.distance for t in found if t.count > 1)[-10], 2),
    }
    report(groups, found, sureness, measured)
    write(table, {c: torch.cat([d[c] for d in drawn]) for c in drawn[0]}, measured)


def report(
    groups: list[list[str]], found: list[Trial], sureness: float, measured: dict[str, object]
) -> None:
    """Prints the confusions, for the README."""
    print(json.dumps(measured), "sureness", round(sureness, 3))
    for low, high in ((0, 0.3), (0.3, 0.5), (0.5, 0.7), (0.7, 0.9), (0.9, 1.01)):
        said = [t.probabilities(sureness) for t in found]
        these = [
            (int(p.argmax()) == t.truth)
            for p, t in zip(said, found, strict=True)
            if low <= p.max() < high
        ]
        if these:
            print(f"said {low:.1f} to {high:.1f}: right in {sum(these)} of {len(these)}")
    for i, group in enumerate(groups):
        cells = []
        for count in (1, 4, 16):
            these = [t for t in found if t.truth == i and t.count == count]
            wrong = [t.said(sureness) for t in these]
            taken = {groups[w][0]: wrong.count(w) for w in dict.fromkeys(wrong) if w != i}
            cells.append(f"{wrong.count(i)} of {len(these)} {taken or ''}")
        print(f"| {', '.join(group)} | {' | '.join(cells)} |")


def write(table: Table, drawn: Drawn, measured: dict[str, object]) -> None:
    """Writes symptoms.json and symptoms.png."""

    def group(g: Group) -> dict[str, object]:
        numbers = {k: [round(v, 4) for v in getattr(g, k).tolist()] for k in ("mean", "spread")}
        return {"causes": list(g.causes), **numbers}

    written = {
        "measures": list(SCALES),
        "unit": [round(v, 4) for v in table.unit.tolist()],
        "sureness": round(table.sureness, 4),
        "measured": measured,
        "groups": [group(g) for g in table.groups],
    }
    save_table(written)
    rows = [drawn[g.name][:PICTURED, 0, 2:-2, 2:-2] for g in table.groups]
    pixels = torch.stack(rows).transpose(1, 2).reshape(-1, PICTURED * 28)
    write_picture(ASSETS / "symptoms.png", pixels.numpy())


def save_table(written: dict[str, object]) -> None:
    """Writes symptoms.json, a group a line."""
    text = json.dumps(written).replace('{"causes"', '\n{"causes"').replace('"groups"', '\n"groups"')
    (ASSETS / "symptoms.json").write_text(text + "\n", encoding="utf-8")


def write_curves(work: Path) -> None:
    """Writes loss_curves.json."""
    text = json.dumps({"curves": json.loads((work / "curves.json").read_text())})
    (ASSETS / "loss_curves.json").write_text(text.replace('], "', '],\n"') + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("draw", "train", "table"))
    parser.add_argument("--work", type=Path, required=True, help="where to keep what is drawn")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=16, help="digits of each mistake")
    parser.add_argument("--data", type=Path, help="a torchvision root with MNIST")
    given = parser.parse_args()
    if given.what == "draw":
        Drawing(given.work, given.seed, given.count).all()
    elif given.what == "train":
        Trainings(given.work).all()
    else:
        make_table(given.work, given.data)
        write_curves(given.work)


if __name__ == "__main__":
    main()
