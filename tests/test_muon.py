"""Muon against the singular value decomposition, torch's own Muon, and torch's AdamW."""

import pytest
import torch
from torch import nn

from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.muon import Muon, is_matrix, orthogonal

STEPS = 5


def moved(optimizer_of, shape: tuple[int, ...]) -> torch.Tensor:
    """A weight after some steps along gradients that change from step to step."""
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(shape, generator=generator))
    optimizer = optimizer_of([weight])
    for _ in range(STEPS):
        weight.grad = torch.randn(shape, generator=generator)
        optimizer.step()
    return weight.detach()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(40, 40), (33, 90), (90, 33)])
def test_all_directions_of_a_matrix_become_about_as_long(shape, dtype):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    matrix = u * torch.logspace(0, -1, len(s)) @ v  # one direction counts for ten of the last
    found = u.T @ orthogonal(matrix[None], dtype)[0] @ v.T  # the same directions: it is diagonal
    assert found.diagonal().min() > 0.6 and found.diagonal().max() < 1.3
    assert (found - found.diagonal().diag()).abs().max() < (1e-4 if dtype.itemsize == 4 else 0.1)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch has no Muon before 2.9")
@pytest.mark.parametrize("shape", [(32, 64), (64, 32)])
def test_steps_of_matrices_are_those_of_torchs_muon(shape):
    ours = moved(lambda p: Muon(p, 0.01, 0.1, torch.bfloat16), shape)
    reference = moved(
        lambda p: torch.optim.Muon(p, 0.01, 0.1, adjust_lr_fn="match_rms_adamw"), shape
    )
    still = moved(lambda p: Muon(p, 0.0), shape)
    # both round to bfloat16, in another order
    assert (ours - reference).norm() < 0.03 * (reference - still).norm()


def test_steps_of_all_else_are_those_of_adamw():
    ours = moved(lambda p: Muon(p, 0.01, 0.1), (300,))
    reference = moved(lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1), (300,))
    torch.testing.assert_close(ours, reference)


def test_a_convolution_is_a_matrix_with_a_row_for_each_channel_out():
    flat = moved(lambda p: Muon(p, 0.01), (32, 40 * 9))
    convolution = moved(lambda p: Muon(p, 0.01), (32, 40, 3, 3))
    assert torch.equal(convolution.flatten(1), flat)


def test_what_has_few_rows_or_columns_is_no_matrix():
    rest = {n for n, p in LeanUNet(64, 10).named_parameters() if not is_matrix(p)}
    assert {"label_embedding.weight", "out.weight", "norm.weight", "stem.bias"} <= rest
    assert not any("conv" in name and name.endswith("weight") for name in rest)


def test_a_weight_without_a_gradient_stays():
    weights = [nn.Parameter(torch.ones(shape)) for shape in ((32, 32), (5,))]
    Muon(weights, 0.01, 0.1).step()
    assert all((weight == 1).all() for weight in weights)
