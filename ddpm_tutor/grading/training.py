"""Training with other functions in the place of the package's own: a learner's.

The data, their order, the random numbers, the learning rate, the clipping and the averaged weights
are those of any other training; only the lines of Algorithm 1 change.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ddpm_tutor.grading.drawing import Functions
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import to_unit_range
from ddpm_tutor.science.schedule import Schedule
from ddpm_tutor.science.training import (
    StepReport,
    TrainingConfig,
    TrainingState,
    batches,
    check_finite,
    lr_factor,
    on_device,
    steps_per_epoch,
    training_step,
    update_ema,
)

# the functions of exercises that a training is made of; the last only where there are labels
OF_TRAINING = ("noisy_batch", "training_step", "drop_labels")


def used_in_training(conditional: bool) -> tuple[str, ...]:
    """The functions of exercises that a training calls."""
    return OF_TRAINING if conditional else OF_TRAINING[:-1]


class Labelled(nn.Module):
    """A network and the labels of a batch, called as one that takes none: model(x_t, t)."""

    def __init__(self, model: NoisePredictor, label: Tensor) -> None:
        super().__init__()
        self.model, self.label = model, label

    def forward(self, x_t: Tensor, t: Tensor, label: None = None) -> Tensor:
        eps_theta: Tensor = self.model(x_t, t, self.label)
        return eps_theta


def makers(functions: Functions, schedule: Schedule) -> dict[str, Any]:
    """What `batches` draws with, where the functions of exercises 3 and 13 are at hand."""
    places: dict[str, Any] = {}
    if "noisy_batch" in functions:

        def random_batch(
            images: Tensor, T: int, generator: Generator, t_probabilities: None
        ) -> tuple[Tensor, Tensor, Tensor]:
            _, t, eps = functions["noisy_batch"](schedule, images, generator)
            return to_unit_range(images), t, eps  # its x_t follows from them (Eq. 4)

        places["random_batch"] = random_batch
    if "drop_labels" in functions:

        def drop_labels(
            label: Tensor, share: float, null_label: int, generator: Generator
        ) -> Tensor:
            u = torch.rand(len(label), generator=generator)
            dropped: Tensor = functions["drop_labels"](label, share, null_label, u)
            return dropped

        places["drop_labels"] = drop_labels
    return places


def train_with(
    functions: Functions,
    state: TrainingState,
    schedule: Schedule,
    images: Tensor,
    labels: Tensor | None,
    config: TrainingConfig,
    *,
    call: None = None,
    rank: int = 0,
    world_size: int = 1,
) -> Iterator[StepReport]:
    """`train`, with `functions` in place of the package's. See there for the arguments.

    Raises:
        ValueError: there are several processes, or the weighting is not that of Eq. 14.
        Diverged: as in `train`; where the loss alone is too large, the step has been taken.
    """
    if world_size > 1 or config.weighting != "simple":
        raise ValueError("own functions train in one process, and on Eq. 14")
    model, optimizer = state.model, state.optimizer
    device = next(model.parameters()).device
    here = schedule.to(device)
    own_step = functions.get("training_step", training_step)
    total_steps = steps_per_epoch(len(images), config) * config.epochs
    steps = range(state.step, total_steps)
    drawn = batches(
        images, labels, schedule.T, config, model.num_classes, steps,
        **makers(functions, schedule),
    )  # fmt: skip
    norms: list[float] = []

    def clip(*_: Any) -> None:  # between the gradient and the step that own_step makes of it
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.grad_clip)
        norms.append(float(norm))
        check_finite(state.step + 1, 0.0, norms[-1])

    hook = optimizer.register_step_pre_hook(clip)
    try:
        for x_0, t, eps, *label in on_device(drawn, device, rank, world_size):
            for group in optimizer.param_groups:
                group["lr"] = config.lr * lr_factor(state.step, total_steps, config)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=config.bf16):
                asked = Labelled(model, *label) if label else model
                loss = own_step(asked, optimizer, here, x_0, t, eps).detach().item()
            check_finite(state.step + 1, loss, norms[-1])
            state.step += 1
            update_ema(state.ema, model, state.step, config.ema_decay)
            epoch = (state.step - 1) // steps_per_epoch(len(images), config) + 1
            yield StepReport(state.step, epoch, loss, norms[-1])
    finally:
        hook.remove()
