"""Where random numbers come from: CPU generators, each named by a seed and what it is for.

Noise is drawn on the CPU whatever the device, so that one seed gives one picture everywhere.
"""

import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ddpm_tutor.science.checks import check_device, check_indices, check_kind, is_whole, said
from ddpm_tutor.science.prefetch import prefetch

BLOCK_SIZE = 2**22  # numbers drawn at once, and copied to a device at once: 16 MB
VECTOR = 16  # torch fills a tensor of so many, or a multiple, as it fills several in turn

# one generator for a batch, or one for each of its images
Generators = torch.Generator | Sequence[torch.Generator] | None


def stream(seed: int, purpose: str, index: int = 0) -> torch.Generator:
    """The generator number `index` of those that `seed` gives for `purpose`.

    Image 5 of seed 0 starts from the same noise whether it is drawn alone, among ten, or on
    another device; training step 900 draws the same t and eps in a run that was interrupted.

    Args:
        seed: a whole number, 0 or more.
        purpose: a word that says what the numbers are for.
        index: a whole number, 0 or more: of the image, or the step.

    Raises:
        TypeError: a name is neither text nor a number. ValueError: the seed is none.

    Example:
        >>> torch.equal(normal((1,), stream(0, "a"), "cpu"), normal((1,), stream(0, "a"), "cpu"))
        True
    """
    for name, number in (("seed", seed), ("index", index)):
        if not is_whole(number) or number < 0:
            raise ValueError(f"{name} must be a whole number, 0 or more, not {number!r}")
    check_kind(purpose, str, "purpose", "a word that says what the numbers are for")
    base = np.random.SeedSequence([int(seed), zlib.crc32(purpose.encode())]).generate_state(1)[0]
    # torch seeds its Mersenne twister with 32 bits: counting up from the base never repeats one
    return torch.Generator().manual_seed((int(base) + int(index)) % 2**32)


def streams(seed: int, purpose: str, indices: Sequence[int]) -> list[torch.Generator]:
    """One generator for each of `indices`."""
    check_indices(indices)
    return [stream(seed, purpose, index) for index in indices]


def normal(shape: Sequence[int], generator: Generators, device: torch.device | str) -> Tensor:
    """Noise from N(0, I) of `shape` (B, ...), drawn on the CPU, then moved to `device`.

    Args:
        shape: (B, ...), the sizes.
        generator: a CPU generator, one for each of B, or None for torch's own.
        device: where the noise shall be.

    Raises:
        TypeError: the generator is none. ValueError: the shape, or the number of generators, is
            none.

    Example:
        >>> normal((2, 1, 32, 32), stream(0, "noise"), "cpu").shape
        torch.Size([2, 1, 32, 32])
    """
    shape = checked_shape(shape)
    if isinstance(device, str):
        check_device(device)
    if generator is None or isinstance(generator, torch.Generator):
        return torch.randn(shape, generator=generator).to(device)
    check_one_an_image(generator, shape)
    return torch.stack([torch.randn(tuple(shape[1:]), generator=g) for g in generator]).to(device)


def checked_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape as a tuple.

    Raises:
        TypeError: it is none. ValueError: a size is no whole number from 0 on.
    """
    if not isinstance(shape, Sequence):
        raise TypeError(f"shape must be sizes such as (4, 1, 32, 32), not {said(shape)}")
    if not all(is_whole(size) and size >= 0 for size in shape):
        raise ValueError(f"shape must be whole numbers such as (4, 1, 32, 32), not {tuple(shape)}")
    return tuple(map(int, shape))


def check_one_an_image(generators: Sequence[torch.Generator], shape: Sequence[int]) -> None:
    """Refuses a number of generators that is not that of the images.

    Raises:
        ValueError: it is another.
    """
    if not isinstance(generators, Sequence):
        raise TypeError(f"generator must be a generator, as of stream, not {said(generators)}")
    if not shape or len(generators) != shape[0]:
        raise ValueError(f"{len(generators)} generators for a batch of {[*shape, 0][0]}")


def normals(
    shape: Sequence[int], generator: Generators, device: torch.device | str, count: int
) -> Iterator[Tensor]:
    """What `count` calls of `normal` give in turn: the same numbers, sooner on a GPU.

    There a thread draws the noise of many steps at once while the GPU computes.
    """
    device = torch.device(device)
    one = torch.Size(shape)[1:].numel()
    # from a generator that is not an image's own, somebody else may draw in between
    private = generator is not None and not isinstance(generator, torch.Generator)
    if device.type != "cuda" or not private or one % VECTOR:
        for _ in range(count):
            yield normal(shape, generator, device)
        return
    for block in prefetch(blocks(shape, generator, count)):
        yield from block.pin_memory().to(device, non_blocking=True)


def blocks(shape: Sequence[int], generator: Generators, count: int) -> Iterator[Tensor]:
    """The noise of `count` steps, that of some steps at a time: (steps, *shape), on the CPU."""
    most = max(1, BLOCK_SIZE // torch.Size(shape).numel())
    for start in range(0, count, most):
        steps = min(most, count - start)
        if generator is None or isinstance(generator, torch.Generator):
            yield torch.randn((steps, *shape), generator=generator)
        else:
            check_one_an_image(generator, shape)
            of_image = [torch.randn((steps, *shape[1:]), generator=g) for g in generator]
            yield torch.stack(of_image, dim=1)
