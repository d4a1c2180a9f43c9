"""How small networks learned that predict different things: Table 2 of the paper in miniature."""

import json
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ddpm_tutor.files import bundled
from ddpm_tutor.science.training import TrainingConfig


@dataclass(frozen=True)
class PredictorLog:
    """What is known of one network that was trained at half size; see `assets/README.md`."""

    predicts: str  # "eps", "x_0", "v" or "mu"
    weighed_as: str  # what its squared errors count as: one of these, or "L"
    loss: list[float]  # the mean of each `every` steps, as weighed
    eps_errors: list[float]  # of held-out digits, as errors in eps, by equal ranges of t
    frechet: float  # distance of the digits that it draws to real ones of their size
    frechet_error: float  # its standard error
    images: Tensor  # (10, 1, 16, 16) uint8, some of these digits


@dataclass(frozen=True)
class PredictorLogs:
    """All that were trained, in one setting."""

    config: TrainingConfig
    width: int  # of the networks
    steps: int
    every: int  # steps of training to an entry of `loss`
    real_frechet: float  # of as many held-out digits
    networks: list[PredictorLog]

    def of(self, predicts: str, weighed_as: str) -> PredictorLog:
        """The network of that kind.

        Raises:
            KeyError: none was trained.
        """
        for network in self.networks:
            if (network.predicts, network.weighed_as) == (predicts, weighed_as):
                return network
        raise KeyError(f"no network that predicts {predicts}, weighed as {weighed_as}")


def load_predictor_logs() -> PredictorLogs:
    """The logs that ship, made by `assets/train_predictors.py`.

    Example:
        >>> load_predictor_logs().of("v", "v").images.shape
        torch.Size([10, 1, 16, 16])
    """
    folder = bundled("assets")
    known = json.loads((folder / "predictors.json").read_text(encoding="utf-8"))
    with Image.open(folder / "predictors.png") as picture:
        sheet = torch.from_numpy(np.array(picture.convert("L")))
    settings, side = known["settings"], 16
    gap = (sheet.shape[1] - 10 * side) // 9
    networks = []
    for row, found in enumerate(known["networks"]):
        top = row * (side + gap)
        lefts = [column * (side + gap) for column in range(10)]
        images = torch.stack([sheet[top : top + side, at : at + side] for at in lefts])
        frechet, error = found["frechet"]
        networks.append(
            PredictorLog(
                predicts=found["predicts"],
                weighed_as=found["weighed_as"],
                loss=found["loss"],
                eps_errors=found["eps_error_by_t"],
                frechet=frechet,
                frechet_error=error,
                images=images[:, None],
            )
        )
    names = ("batch_size", "lr", "warmup_steps", "seed")
    return PredictorLogs(
        TrainingConfig(**{name: settings[name] for name in names}),
        settings["width"],
        settings["steps"],
        settings["every"],
        settings["real"]["frechet"][0],
        networks,
    )
