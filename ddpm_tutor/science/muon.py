"""Muon: an optimizer that moves a weight matrix equally far in all directions.

A gradient is dominated by a few directions, and so are the steps of Adam. Muon replaces the matrix
by the nearest orthogonal one, so that rare directions are learned as fast (Jordan et al. 2024).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS = 0.9, 0.999  # of Adam, for what is no matrix
SMALLEST = 32  # rows or columns; with fewer there are too few directions to balance
# a step is then about as large as one of Adam's at the same rate (Liu et al. 2025)
SIZE_OF_STEP = 0.2


class Muon(torch.optim.Optimizer):
    """Muon for large matrices, convolutions among them, and AdamW for all else, at one rate.

    torch.optim.Muon is for matrices alone and came with torch 2.9.

    Args:
        parameters: those with at least `SMALLEST` rows and columns, the first dimension being the
            rows, count as matrices.
        lr: as for AdamW.
        weight_decay: as in AdamW, of both kinds.
        dtype: of the products that find the orthogonal matrix: bfloat16 where that is fast.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        parameters = list(parameters)
        groups = [
            {"params": [p for p in parameters if is_matrix(p)], "matrices": True},
            {"params": [p for p in parameters if not is_matrix(p)], "matrices": False},
        ]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Moves every parameter that has a gradient."""
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            for p in parameters:
                p.mul_(1 - group["lr"] * group["weight_decay"])
            (self.step_matrices if group["matrices"] else self.step_rest)(parameters, group["lr"])

    def step_matrices(self, parameters: list[nn.Parameter], lr: float) -> None:
        """A step along the orthogonal matrix nearest to the average gradient, each equally long."""
        directions: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = {}
        for p in parameters:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state["average"] = torch.zeros_like(p)
            average = state["average"].lerp_(p.grad, 1 - MOMENTUM)
            direction = p.grad.lerp(average, MOMENTUM).flatten(1)  # (rows, columns)
            directions.setdefault(direction.shape, []).append((p, direction))
        for shape, same in directions.items():
            found = orthogonal(torch.stack([direction for _, direction in same]), self.dtype)
            for (p, _), direction in zip(same, found, strict=True):
                p.add_(direction.view_as(p), alpha=-lr * SIZE_OF_STEP * max(shape) ** 0.5)

    def step_rest(self, parameters: list[nn.Parameter], lr: float) -> None:
        """A step of Adam (Kingma and Ba 2014)."""
        for p in parameters:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state.update(step=0, average=torch.zeros_like(p), square=torch.zeros_like(p))
            state["step"] += 1
            state["average"].lerp_(p.grad, 1 - BETAS[0])
            state["square"].lerp_(p.grad.square(), 1 - BETAS[1])
            average, square = (
                state[name] / (1 - beta ** state["step"])
                for name, beta in zip(("average", "square"), BETAS, strict=True)
            )
            p.addcdiv_(average, square.sqrt() + 1e-8, value=-lr)


def is_matrix(parameter: Tensor) -> bool:
    """Whether it has `SMALLEST` rows and columns; a convolution has a row for each channel out."""
    return parameter.ndim > 1 and min(parameter.flatten(1).shape) >= SMALLEST


def orthogonal(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """About the nearest matrices with orthogonal rows, or columns where these are fewer.

    Five steps of a Newton-Schulz iteration with the coefficients of Jordan et al. 2024, which
    bring all singular values between 0.7 and 1.2; that is near enough.

    Args:
        matrices: (N, rows, columns).
        dtype: of the products.

    Returns:
        (N, rows, columns), of the matrices' own dtype.
    """
    x = matrices.to(dtype)
    upright = x.shape[1] > x.shape[2]
    if upright:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return (x.mT if upright else x).to(matrices.dtype)
