"""The assignment's own way to train and to sample, as its students write it: the yardstick.

Its network at width 64 (`UNet`), float32, one step after another, nothing hoisted out of the loops.
`python -m tests.yardstick FILE` draws one image with all 1000 steps and saves it as a GIF.
"""

import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn

T = 1000
BETA = torch.linspace(1e-4, 0.02, T)
ALPHA = 1 - BETA
ALPHA_BAR = torch.cumprod(ALPHA, dim=0)


@torch.no_grad()
def sample(
    network: nn.Module, count: int, steps: int = T, device: torch.device | str = "cpu"
) -> list[Tensor]:
    """Algorithm 2, its first `steps` steps: x_t after each of them, (count, 1, 32, 32)."""
    beta, alpha, alpha_bar = (v.to(device) for v in (BETA, ALPHA, ALPHA_BAR))
    x = torch.randn(count, 1, 32, 32, device=device)
    history = []
    for i in range(T - 1, T - 1 - steps, -1):  # index i is the paper's t = i + 1
        z = torch.randn_like(x) if i > 0 else torch.zeros_like(x)
        eps = network(x, torch.full((count,), i + 1, device=device))
        mean = (x - (1 - alpha[i]) / torch.sqrt(1 - alpha_bar[i]) * eps) / torch.sqrt(alpha[i])
        x = mean + torch.sqrt(beta[i]) * z
        history.append(x)
    return history


def train(network: nn.Module, images: Tensor, steps: int, batch_size: int = 128) -> None:
    """Algorithm 1 for `steps` batches of `images`, (N, 1, 32, 32) in [-1, 1], on their device."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    of_t = ALPHA_BAR.to(images.device)
    for step in range(steps):
        x_0 = images[step * batch_size : (step + 1) * batch_size]
        i = torch.randint(0, T, (len(x_0),), device=x_0.device)
        eps = torch.randn_like(x_0)
        alpha_bar = of_t[i][:, None, None, None]
        x_t = torch.sqrt(alpha_bar) * x_0 + torch.sqrt(1 - alpha_bar) * eps
        loss = F.mse_loss(network(x_t, i + 1), eps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    import imageio.v3 as iio

    from ddpm_tutor import UNet

    history = torch.cat(sample(UNet(64).eval(), 1))[:: T // 50]
    frames = ((history.clamp(-1, 1) + 1) * 127.5).byte()[:, 0].numpy()
    iio.imwrite(sys.argv[1], frames, duration=50)
