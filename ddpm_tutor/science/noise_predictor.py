"""What the two networks share: how they are called, and how a time step becomes numbers."""

import torch
from torch import Tensor, nn

from ddpm_tutor.science.checks import (
    UNLABELLED,
    check_alike,
    check_kind,
    check_labels,
    check_whole_tensor,
    is_whole,
)
from ddpm_tutor.science.schedule import Schedule

TOLERANCE = 1e-5  # of alpha_bar: between float32 and float64, and far below any other schedule


def time_encoding(t: Tensor, channels: int) -> Tensor:
    """Sinusoidal encoding of the time step: all sines, then all cosines (paper, Section 4).

    Args:
        t: (B,) integers, the time steps.
        channels: an even number of channels.

    Returns:
        (B, channels) in [-1, 1], float32. The sine number i turns once every
        2 pi * 10,000^(2i / channels) steps.

    Raises:
        TypeError: t is no tensor. ValueError: it holds no whole numbers, or there are no waves.

    Example:
        >>> time_encoding(t, 8).shape
        torch.Size([2, 8])
    """
    check_kind(t, Tensor, "t", "a tensor (B,)")
    if t.ndim != 1:
        raise ValueError(f"t must be (B,), one number for each image, not {tuple(t.shape)}")
    if not is_whole(channels) or channels < 2 or channels % 2:
        raise ValueError(f"channels must be an even number, half sines, half cosines: {channels!r}")
    exponent = torch.arange(0, channels, 2, device=t.device, dtype=torch.float32) / channels
    angle = t[:, None].float() * 10_000**-exponent  # (B, channels / 2)
    return torch.cat([angle.sin(), angle.cos()], dim=1)  # (B, channels)


class NoisePredictor(nn.Module):
    """eps_theta(x_t, t, label): a network that predicts the noise in x_t.

    Args:
        width: channels at the largest size; the other sizes follow from it.
        num_classes: with a number, the network also takes labels. One more label, the "null"
            label `num_classes`, stands for no label.
    """

    # the order of its weights in memory in which it trains fastest
    training_memory_format = torch.contiguous_format
    image_shape: tuple[int, ...] | None = None  # the only one that it takes, if any
    made_for: Tensor | None = None  # (T + 1,) the only alpha_bar that it is right for, if any
    learned_variance = False  # whether it gives sigma_t^2 as well, when called with both=True

    def __init__(self, width: int, num_classes: int | None) -> None:
        super().__init__()
        if num_classes is not None and (type(num_classes) is not int or num_classes < 1):
            raise ValueError(f"num_classes must be a whole number from 1 on, not {num_classes!r}")
        self.width, self.num_classes = width, num_classes

    def check_schedule(self, schedule: Schedule) -> None:
        """Refuses a schedule that is another than the one the network is made for.

        The first part of that one is as good: a chain may begin at any of its steps.

        Raises:
            ValueError: it is another.
        """
        mine, theirs = self.made_for, schedule.alpha_bar
        if mine is None or theirs.is_meta:
            return
        theirs = theirs.to("cpu", mine.dtype)
        known = len(theirs) <= len(mine)
        if not known or not bool((theirs - mine[: len(theirs)]).abs().max() <= TOLERANCE):
            raise ValueError(
                f"a {type(self).__name__} works only with the schedule that it is made for: "
                f"T = {len(mine) - 1}, down to alpha_bar = {float(mine[-1]):.2g}"
            )

    def check_shape(self, x: Tensor, name: str = "x_t") -> None:
        """Refuses images that are no floats, or of a size that the network is not made for.

        Raises:
            TypeError: it is no tensor. ValueError: they are.
        """
        check_alike(**{name: x})
        if self.image_shape is not None and x.shape[1:] != self.image_shape:
            wanted = ", ".join(map(str, self.image_shape))
            raise ValueError(f"{name} must be images (B, {wanted}), not {tuple(x.shape)}")

    def check_weights(self, x: Tensor, name: str = "x_t") -> None:
        """Refuses images that are elsewhere than the network, or of another dtype.

        Raises:
            ValueError: they are.
        """
        weight = next(self.parameters(), x)
        if x.device != weight.device:
            raise ValueError(f"{name} is on {x.device}, and the network on {weight.device}")
        if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
            mine, theirs = (str(v.dtype).removeprefix("torch.") for v in (weight, x))
            raise ValueError(f"{name} must be {mine}, as the network is, not {theirs}")

    def check(self, x_t: Tensor, t: Tensor, label: Tensor | None) -> None:
        """Refuses what the network cannot be called with; see `forward`.

        Raises:
            TypeError: something is of another kind. ValueError: a shape, dtype or value is.
        """
        self.check_shape(x_t)
        self.check_weights(x_t)
        check_whole_tensor(t, len(x_t), "t")
        if t.device.type == "cpu" and t.numel():
            low, high = (int(end) for end in t.aminmax())
            T = high if self.made_for is None else len(self.made_for) - 1
            if low < 1 or high > T:
                known = "1 or more" if self.made_for is None else f"in 1..{T}"
                raise ValueError(f"t must be {known}, not {low if low < 1 else high}")
        check_labels(label, len(x_t), self.num_classes, null=True, inner=True)

    def label_or_null(self, label: Tensor | None, t: Tensor) -> Tensor:
        """The labels (B,), or the null label for each image of the batch of t (B,).

        Raises:
            ValueError: the network takes no labels.
        """
        if label is None and self.num_classes is not None:
            label = torch.full_like(t, self.num_classes)
        if label is None:
            raise ValueError(UNLABELLED)
        return label

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        """The predicted noise, shaped like x_t.

        Args:
            x_t: (B, 1, 32, 32), noisy images.
            t: (B,) integers in 1..T, their time steps.
            label: (B,) integers; None means the null label for all.
        """
        raise TypeError("NoisePredictor is a base class: use UNet or LeanUNet")

    def eps_and_share(
        self, x_t: Tensor, t: Tensor, label: Tensor | None = None, call: nn.Module | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The predicted noise, and the v that `learned_variance` makes a variance of, like x_t.

        v is None for a network that has learned no variance.

        Args:
            call: the module to call instead: the same weights, wrapped for several processes.
        """
        call = call or self
        if not self.learned_variance:
            return call(x_t, t, label), None
        eps, share = call(x_t, t, label, both=True).chunk(2, dim=1)
        return eps, share
