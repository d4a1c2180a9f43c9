"""Flow matching: straight paths from noise to pictures (Lipman et al. 2023, Liu et al. 2023).

The share of noise is tau, from 0 (a picture) to 1 (noise), so that time runs as in the paper. Many
papers count the other way round. tau is a tensor (B,) of float; images are (B, 1, H, W) in [-1, 1].
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from ddpm_tutor.science.checks import (
    check_alike,
    check_kind,
    check_labels,
    check_share,
    is_whole,
    length,
    own_steps,
)
from ddpm_tutor.science.diffusion import check_prediction, per_image
from ddpm_tutor.science.lean_unet import LeanUNet

TIME_SCALE = 1000  # the network's encoding of time tells 1 from 1000, not 0.001 from 1


def straight_path(x_0: Tensor, tau: Tensor, eps: Tensor) -> Tensor:
    """x_tau = (1 - tau) x_0 + tau eps, on the straight line from the picture to the noise.

    Args:
        x_0: (B, 1, H, W) images in [-1, 1].
        tau: (B,) shares of noise, from 0 to 1.
        eps: noise from N(0, I), shaped like the images.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a share is
            not from 0 to 1.

    Example:
        >>> straight_path(x_0, torch.tensor([0.0, 1.0]), eps)[1].equal(eps[1])
        True
    """
    check_alike(x_0=x_0, eps=eps)
    check_share(tau, max(length(x_0), length(eps)))
    share = per_image(tau, x_0)
    return (1 - share) * x_0 + share * eps


def flow_target(x_0: Tensor, eps: Tensor) -> Tensor:
    """The velocity dx_tau / dtau = eps - x_0: the same all along the line.

    Args:
        x_0: (B, 1, H, W) images in [-1, 1].
        eps: noise from N(0, I), shaped like the images.

    Raises:
        TypeError: something is no tensor. ValueError: a kind, shape or device is another.

    Example:
        >>> flow_target(x_0, eps).equal(eps - x_0)
        True
    """
    check_alike(x_0=x_0, eps=eps)
    return eps - x_0


def flow_x_0(x_tau: Tensor, tau: Tensor, velocity: Tensor) -> Tensor:
    """The picture at the end of the line: x_tau - tau velocity.

    Args:
        x_tau: (B, 1, H, W) images with that share of noise.
        tau: (B,) shares of noise, from 0 to 1.
        velocity: the predicted velocity, shaped like x_tau.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a share is
            not from 0 to 1.

    Example:
        >>> x_tau = straight_path(x_0, tau, eps)
        >>> flow_x_0(x_tau, tau, flow_target(x_0, eps)).allclose(x_0, atol=1e-6)
        True
    """
    check_alike(x_tau=x_tau, velocity=velocity)
    check_share(tau, max(length(x_tau), length(velocity)))
    return x_tau - per_image(tau, x_tau) * velocity


def flow_velocity(
    model: LeanUNet, x_tau: Tensor, tau: Tensor, label: Tensor | None = None
) -> Tensor:
    """The layers of a lean network, taken for the velocity at x_tau, shaped like it.

    Args:
        model: a `LeanUNet`, whose layers give the velocity.
        x_tau: (B, 1, H, W) images with that share of noise.
        tau: (B,) shares of noise, from 0 to 1.
        label: (B,) classes, or None for no label.

    Raises:
        TypeError: the model is no LeanUNet. ValueError: the images, tau or the label do not
            fit.

    Example:
        >>> flow_velocity(lean, x_t, tau).shape
        torch.Size([2, 1, 32, 32])
    """
    check_kind(model, LeanUNet, "model", "a LeanUNet")
    check_alike(x_tau=x_tau)
    check_share(tau, len(x_tau))
    check_labels(label, len(x_tau), model.num_classes, null=True, inner=True)
    return model.layers(x_tau, model.modulations(TIME_SCALE * tau, label))


def flow_loss(
    velocity: Callable[[Tensor, Tensor], Tensor], x_0: Tensor, tau: Tensor, eps: Tensor
) -> Tensor:
    """The mean squared error of the velocity, over images and pixels (Liu et al. 2023, Eq. 1).

    Args:
        velocity: velocity(x_tau, tau) is the network's.
        x_0: (B, 1, H, W) images in [-1, 1].
        tau: (B,) shares of noise, from 0 to 1.
        eps: noise from N(0, I), shaped like the images.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a share is
            not from 0 to 1.

    Example:
        >>> float(flow_loss(lambda x_tau, tau: eps - x_0, x_0, tau, eps))
        0.0
    """
    found, target = velocity(straight_path(x_0, tau, eps), tau), flow_target(x_0, eps)
    check_prediction(found, target)
    return F.mse_loss(found, target)


def flow_step(x_tau: Tensor, tau: Tensor, tau_next: Tensor, velocity: Tensor) -> Tensor:
    """Euler's step along the velocity from tau to tau_next, (B,) each.

    Args:
        x_tau: (B, 1, H, W) images with that share of noise.
        tau: (B,) shares of noise, from 0 to 1.
        tau_next: (B,) shares of noise to go to, from 0 to 1.
        velocity: the predicted velocity, shaped like x_tau.

    Raises:
        TypeError: something is no tensor. ValueError: a kind or shape is another, or a share is
            not from 0 to 1.

    Example:
        >>> flow_step(x_t, tau, tau / 2, eps).shape
        torch.Size([2, 1, 32, 32])
    """
    check_alike(x_tau=x_tau, velocity=velocity)
    check_share(tau, len(x_tau))
    check_share(tau_next, len(x_tau), "tau_next")
    return x_tau + per_image(tau_next - tau, x_tau) * velocity


@torch.no_grad()
def flow_sampling(
    velocity: Callable[[Tensor, Tensor], Tensor], x_1: Tensor, steps: int
) -> Iterator[tuple[float, Tensor]]:
    """From noise to pictures in equal steps of Euler.

    Args:
        velocity: velocity(x_tau, tau) is the network's.
        x_1: (B, 1, H, W) noise from N(0, I).
        steps: how many, 1 or more.

    Yields:
        (tau, x_tau) for tau = 1, ..., 0: steps + 1 of them.

    Raises:
        ValueError: at the first state asked for, when `steps` < 1.

    Example:
        >>> [tau for tau, x in flow_sampling(lambda x_tau, tau: -x_tau, eps, steps=2)]
        [1.0, 0.5, 0.0]
    """
    if not is_whole(steps) or steps < 1:
        raise ValueError(f"steps must be 1 or more, a whole number, not {steps}")
    check_alike(x_1=x_1)
    x = x_1
    yield 1.0, x
    for i in range(steps, 0, -1):
        tau, tau_next = (
            torch.full((len(x),), share / steps, device=x.device) for share in (i, i - 1)
        )
        with own_steps():
            x = flow_step(x, tau, tau_next, velocity(x, tau))
        yield (i - 1) / steps, x
