"""Where random numbers come from: CPU generators, each named by a seed and what it is for.

Noise is drawn on the CPU whatever the device, so that one seed gives one picture everywhere.
"""

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

# one generator for a batch, or one for each of its images
Generators = torch.Generator | Sequence[torch.Generator] | None


def stream(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """The generator number `index` of those that `seed` gives for `purpose`.

    Image 5 of seed 0 starts from the same noise whether it is drawn alone, among ten, or on
    another device; training step 900 draws the same t and eps in a run that was interrupted.
    """
    base = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(1)[0]
    # torch seeds its Mersenne twister with 32 bits: counting up from the base never repeats one
    return torch.Generator().manual_seed((int(base) + index) % 2**32)


def streams(seed: int, purpose: str, indices: Sequence[int]) -> list[torch.Generator]:
    """One generator for each of `indices`."""
    return [stream(seed, purpose, index) for index in indices]


def normal(shape: Sequence[int], generator: Generators, device: torch.device | str) -> Tensor:
    """Noise from N(0, I) of `shape` (B, ...), drawn on the CPU, then moved to `device`."""
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(tuple(shape), generator=generator).to(device)
    if len(generator) != shape[0]:
        raise ValueError(f"{len(generator)} generators for a batch of {shape[0]}")
    return torch.stack([torch.randn(tuple(shape[1:]), generator=g) for g in generator]).to(device)
