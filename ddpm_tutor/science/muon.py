"""Muon: an optimizer that moves a weight matrix equally far in all directions.

A gradient is dominated by a few directions, and so are the steps of Adam. Muon replaces the matrix
by the nearest orthogonal one, so that rare directions are learned as fast (Jordan et al. 2024).
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

MOMENTUM = 0.95
BETAS = 0.9, 0.999  # of Adam, for what is no matrix
MIN_SIDE = 32  # rows or columns; with fewer there are too few directions to balance
# a step is then about as large as one of Adam's at the same rate (Liu et al. 2025)
STEP_SIZE = 0.2


class Muon(torch.optim.Optimizer):
    """Muon for large matrices, convolutions among them, and AdamW for all else, at one rate.

    torch.optim.Muon is for matrices alone and came with torch 2.9.

    Args:
        parameters: those with at least `MIN_SIDE` rows and columns, the first dimension being the
            rows, count as matrices.
        lr: as for AdamW.
        weight_decay: as in AdamW, of both kinds.
        dtype: of the matrix products that find the orthogonal matrix: bfloat16 where that
            is fast.
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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a saved state, that of an earlier version of this package too."""
        states = {key: renamed(state) for key, state in state_dict["state"].items()}
        super().load_state_dict({**state_dict, "state": states})

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
                state["momentum_buffer"] = torch.zeros_like(p)
            momentum_buffer = state["momentum_buffer"].lerp_(p.grad, 1 - MOMENTUM)
            direction = p.grad.lerp(momentum_buffer, MOMENTUM).flatten(1)  # (rows, columns)
            directions.setdefault(direction.shape, []).append((p, direction))
        for shape, same in directions.items():
            found = orthogonal(torch.stack([direction for _, direction in same]), self.dtype)
            for (p, _), direction in zip(same, found, strict=True):
                p.add_(direction.view_as(p), alpha=-lr * STEP_SIZE * max(shape) ** 0.5)

    def step_rest(self, parameters: list[nn.Parameter], lr: float) -> None:
        """A step of Adam (Kingma and Ba 2014)."""
        for p in parameters:
            assert p.grad is not None
            state = self.state[p]
            if not state:
                state.update(step=0, exp_avg=torch.zeros_like(p), exp_avg_sq=torch.zeros_like(p))
            state["step"] += 1
            state["exp_avg"].lerp_(p.grad, 1 - BETAS[0])
            state["exp_avg_sq"].lerp_(p.grad.square(), 1 - BETAS[1])
            mean, mean_square = (
                state[name] / (1 - beta ** state["step"])
                for name, beta in zip(("exp_avg", "exp_avg_sq"), BETAS, strict=True)
            )
            p.addcdiv_(mean, mean_square.sqrt() + 1e-8, value=-lr)


def renamed(state: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a parameter, by the names of today."""
    of_adam = "square" in state
    names = {"average": "exp_avg" if of_adam else "momentum_buffer", "square": "exp_avg_sq"}
    return {names.get(name, name): value for name, value in state.items()}


def is_matrix(parameter: Tensor) -> bool:
    """Whether it has `MIN_SIDE` rows and columns; a convolution has a row for each channel out."""
    return parameter.ndim > 1 and min(parameter.flatten(1).shape) >= MIN_SIDE


def orthogonal(matrices: Tensor, dtype: torch.dtype) -> Tensor:
    """About the nearest matrices with orthogonal rows, or columns where these are fewer.

    Five steps of a Newton-Schulz iteration with the coefficients of Jordan et al. 2024, which
    bring all singular values between 0.7 and 1.2; that is near enough.

    Args:
        matrices: (N, rows, columns).
        dtype: of the matrix products.

    Returns:
        (N, rows, columns), of the matrices' own dtype.
    """
    x: Tensor = matrices.to(dtype)
    upright = x.shape[1] > x.shape[2]
    if upright:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return (x.mT if upright else x).to(matrices.dtype)
