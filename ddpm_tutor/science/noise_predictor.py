"""What the two networks share: how they are called, and how a time step becomes numbers."""

import torch
from torch import Tensor, nn


def time_encoding(t: Tensor, channels: int) -> Tensor:
    """Sinusoidal encoding of the time step: all sines, then all cosines (paper, Section 4).

    Args:
        t: (B,) integers, the time steps.
        channels: an even number of channels.

    Returns:
        (B, channels) in [-1, 1], float32. The sine number i turns once every
        2 pi * 10,000^(2i / channels) steps.
    """
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
    learned_variance = False  # whether it gives sigma_t^2 as well, when called with both=True

    def __init__(self, width: int, num_classes: int | None) -> None:
        super().__init__()
        self.width, self.num_classes = width, num_classes

    def label_or_null(self, label: Tensor | None, t: Tensor) -> Tensor:
        """The labels (B,), or the null label for each image of the batch of t (B,).

        Raises:
            ValueError: the network takes no labels.
        """
        if label is None and self.num_classes is not None:
            label = torch.full_like(t, self.num_classes)
        if label is None:
            raise ValueError("this network was trained without labels")
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
