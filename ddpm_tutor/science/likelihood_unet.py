"""The lean network with what a low bound needs: an eye for fine shades, and a learned variance."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_tutor.science.lean_unet import LeanUNet, start_at_zero

# of the waves that x_t is also seen through: 2, 4, ... wavelengths in -1..1, down to 16 of the 256
# shades. Finer ones drown in the noise of t = 1, which is 1.3 shades wide
SCALES = (3, 4, 5)


class LikelihoodUNet(LeanUNet):
    """`LeanUNet` made for the bound (Eq. 5).

    At small t the noise is a shade or two of grey, and an input in -1..1 hardly shows it. So x_t is
    seen through sin and cos of 2^n pi x_t as well (Kingma et al. 2021). A second result for each
    pixel is the v of `learned_variance` (Nichol and Dhariwal 2021); it starts at 0.
    """

    learned_variance = True

    def __init__(self, width: int = 64, num_classes: int | None = None) -> None:
        super().__init__(width, num_classes)
        self.stem = nn.Conv2d(4 * (1 + 2 * len(SCALES)), width, 3, padding=1)
        self.out = nn.Conv2d(width, 8, 3, padding=1)
        start_at_zero(self.out)

    def grown(self, lean: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights for this network that predict what those of a `LeanUNet` do, with beta-tilde_t.

        Args:
            lean: its state, of the same width and with labels as here.
        """
        mine, weights = self.state_dict(), dict(lean)
        for name in ("stem.weight", "out.weight", "out.bias"):
            weights[name] = torch.zeros_like(mine[name])
            weights[name][tuple(slice(size) for size in lean[name].shape)] = lean[name]
        return weights

    def seen(self, x_t: Tensor) -> Tensor:
        x = F.pixel_unshuffle(x_t, 2)  # (B, 4, 16, 16)
        angles = [2**n * math.pi * x for n in SCALES]
        return torch.cat([x, *(wave(a) for a in angles for wave in (torch.sin, torch.cos))], dim=1)

    def forward(
        self, x_t: Tensor, t: Tensor, label: Tensor | None = None, both: bool = False
    ) -> Tensor:
        """The predicted noise; with `both`, a second channel is the v of the learned variance."""
        self.check(x_t, t, label)
        results = self.layers(x_t, self.modulations(t, label))
        eps = self.noise(results, x_t, t)
        return torch.cat([eps, results[:, 1:].to(eps.dtype)], dim=1) if both else eps
