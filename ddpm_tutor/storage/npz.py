"""Drawn digits as NumPy arrays on disk, written as they come."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from torch import Tensor

from ddpm_tutor.files import replacing


@contextmanager
def writing_digits(
    path: Path, count: int, labels: Tensor | None, seed: int
) -> Iterator[Callable[[Tensor], None]]:
    """A compressed .npz of `count` digits, of which only a chunk at a time is in memory.

    It holds `images` (count, 32, 32) uint8, `labels` (count,), -1 where there are none, and
    `seed`. It appears at `path` when all is written, or not at all.

    Yields:
        what writes the next chunk of images, (B, 1, 32, 32) uint8 on the CPU.

    Raises:
        TutorError: `path` cannot be written.
    """
    numbers = np.full(count, -1) if labels is None else labels.numpy()
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as box:
        with box.open("images.npy", "w", force_zip64=True) as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": (count, 32, 32)}
            npy.write_array_header_1_0(file, header)

            def write(images: Tensor) -> None:
                file.write(images[:, 0].contiguous().numpy().tobytes())

            yield write
        for name, array in (("labels", numbers), ("seed", np.array(seed))):
            with box.open(f"{name}.npy", "w") as file:
                npy.write_array(file, array)
