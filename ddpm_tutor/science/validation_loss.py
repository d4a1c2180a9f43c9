"""The validation loss: L_simple on held-out images, with its standard error."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ddpm_tutor.science.checks import (
    check_fits,
    check_labels,
    check_network_images,
    check_whole,
    classes_of,
    device_of,
    own_steps,
)
from ddpm_tutor.science.diffusion import losses_simple
from ddpm_tutor.science.memory import in_parts_that_fit
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.pixels import to_unit_range
from ddpm_tutor.science.schedule import Schedule


@dataclass(frozen=True)
class Estimate:
    """A mean and its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.error:.4f}"


@torch.no_grad()
def losses_by_t(
    model: nn.Module,
    schedule: Schedule,
    images: Tensor,
    labels: Tensor | None = None,
    batch_size: int = 500,
) -> tuple[Tensor, Tensor]:
    """The loss of each image at a t of its own, spread so that every t comes equally often.

    Noise and t are the same in every call: two networks are compared on the same task.

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        images: (N, 1, 32, 32) uint8.
        labels: (N,) classes, or None for no labels.
        batch_size: images at once.

    Returns:
        t: (N,) rising from 1 to T; losses: (N,), the mean squared error of the noise at that t.

    Raises:
        TypeError: the model is no network. ValueError: the images, labels or the schedule do
            not fit it.

    Example:
        >>> times, losses = losses_by_t(model, schedule, images, label)
        >>> times.tolist(), losses.shape
        ([1, 501], torch.Size([2]))
    """
    device = device_of(model)
    check_fits(model, schedule)
    check_network_images(model, images)
    check_labels(labels, len(images), classes_of(model), "labels")
    check_whole(batch_size, "batch_size")
    schedule = schedule.to(device)
    n = len(images)
    t = torch.arange(n) * schedule.T // n + 1  # (N,)
    losses: list[Tensor] = []
    for start in range(0, n, batch_size):
        part = slice(start, start + batch_size)
        x_0 = to_unit_range(images[part]).to(device)
        eps = normal(x_0.shape, stream(0, "validation", start), device)
        inputs = [x_0, t[part].to(device), eps]
        if labels is not None:
            inputs.append(labels[part].to(device))

        def losses_of(some: range, inputs: list[Tensor] = inputs) -> Iterator[Tensor]:
            part = [v[some.start : some.stop] for v in inputs]
            with own_steps():
                losses = losses_simple(model, schedule, *part).cpu()
            yield losses

        losses += in_parts_that_fit(losses_of, range(len(x_0)), batch_size)
    return t, torch.cat(losses)


def validation_loss(
    model: nn.Module, schedule: Schedule, images: Tensor, labels: Tensor | None = None
) -> Estimate:
    """L_simple on held-out images (Eq. 14), t stratified over 1..T, with its standard error.

    The loss changes slowly with t, so neighbours in t differ by chance alone: half their mean
    squared difference is the variance within a stratum (von Neumann 1941).

    Args:
        model: the noise predictor, called `model(x_t, t, label)`.
        schedule: the noise schedule; its fields are (T + 1,).
        images: (N, 1, 32, 32) uint8, two or more.
        labels: (N,) classes, or None for no labels.

    Raises:
        TypeError: the model is no network. ValueError: the images, labels or the schedule do
            not fit it.

    Example:
        >>> validation_loss(model, schedule, images, label).mean > 0
        True
    """
    check_network_images(model, images)
    if len(images) < 2:
        raise ValueError("images must be two or more: one alone shows no spread")
    _, losses = losses_by_t(model, schedule, images, labels)
    variance = losses.diff().square().mean() / 2
    return Estimate(losses.mean().item(), (variance / len(losses)).sqrt().item())
