"""What a network says, in a check, of a t or a label that a drawing would stop at.

The networks take one t for all pictures too. A drawing does not: it prepares so many rows of them
as there are pictures, and learners' own functions of other exercises shape t to (B, 1, 1, 1).
"""

from typing import Any

import torch
from torch import Tensor, nn


def refuse_other_numbers(name: str, value: Any, x_t: Tensor) -> None:
    """Refuses a t or a label that is not one whole number for each picture.

    Args:
        name: what to call it.
        x_t: (B, 1, H, W), the pictures.

    Raises:
        TypeError: it is not.
    """
    whole = isinstance(value, Tensor) and value.dtype in (torch.int64, torch.int32)
    if whole and value.shape == x_t.shape[:1]:
        return
    got = f"the {type(value).__name__} {value}"
    if isinstance(value, Tensor):
        got = f"a tensor {tuple(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    raise TypeError(
        f"{name} is to be a tensor (B,) of whole numbers, one for each of the {len(x_t)} pictures; "
        f"it is {got}"
    )


def refuse_other_rows(embedding: nn.Embedding, asked: Tensor) -> None:
    """Refuses what an embedding has no row for: t in the place of the label, say.

    Raises:
        IndexError: it has none.
    """
    if asked.is_meta or not asked.numel() or asked.is_floating_point():
        return
    last = embedding.num_embeddings - 1
    if int(asked.min()) < 0 or int(asked.max()) > last:
        other = next(int(i) for i in asked.flatten() if not 0 <= i <= last)
        raise IndexError(
            f"the embedding has a row for each label, 0 to {last}; it is asked for row {other}"
        )
