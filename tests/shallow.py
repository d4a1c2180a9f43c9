"""The network that ships, with next to no layers: for tests of all that is around it."""

from torch import Tensor

from ddpm_tutor.science.lean_unet import LeanUNet


def layers(self: LeanUNet, x_t: Tensor, modulations: tuple[Tensor, ...]) -> Tensor:
    """In place of `LeanUNet.layers`: depends on the picture, on t and on the label."""
    return x_t * self.out.bias.mean() + modulations[0].mean(dim=1).view(-1, 1, 1, 1)
