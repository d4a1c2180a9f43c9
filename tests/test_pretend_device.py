"""The pretended device refuses what CUDA refuses, and allows what it allows.

On a machine with a GPU the same is asked of that. ATen's TensorIterator.cpp says what operands may
be mixed: those without dimensions may be on the CPU; TensorAdvancedIndexing.cpp: indices may be.
"""

import copy
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor, nn


def one_two_three(device: str = "cpu") -> Tensor:
    return torch.tensor([1.0, 2.0, 3.0], device=device)


# of a tensor on the device (x), one of the same numbers on the CPU (c), and the device's name
REFUSED: dict[str, Callable[[Tensor, Tensor, str], object]] = {
    "add": lambda x, c, d: x + c,
    "a number there, a vector here": lambda x, c, d: c + x[0],
    "into a number here": lambda x, c, d: torch.zeros(()).add_(x[0]),
    "in place": lambda x, c, d: x.mul_(c),
    "out": lambda x, c, d: torch.add(x, x, out=c),
    "lerp": lambda x, c, d: c.lerp_(x, 0.5),
    "cat": lambda x, c, d: torch.cat([x, c]),
    "stack": lambda x, c, d: torch.stack([c, x]),
    "where": lambda x, c, d: torch.where(x > 1, x, c),
    "equal": lambda x, c, d: torch.equal(x, c),
    "dot": lambda x, c, d: c @ x,
    "mse_loss": lambda x, c, d: F.mse_loss(x, c),
    "searchsorted": lambda x, c, d: torch.searchsorted(x, c),
    "embedding": lambda x, c, d: F.embedding(torch.tensor([0]), x[:, None]),
    "conv": lambda x, c, d: F.conv1d(x[None, None], c[None, None]),
    "linear here": lambda x, c, d: nn.Linear(3, 1)(x),
    "index there of a tensor here": lambda x, c, d: c[torch.tensor([0], device=d)],
    "mask there of a tensor here": lambda x, c, d: c[x > 1],
    "numpy": lambda x, c, d: x.numpy(),
    "asarray": lambda x, c, d: np.asarray(x),
    "generator": lambda x, c, d: torch.randn(3, generator=torch.Generator(), device=d),
    "generator in place": lambda x, c, d: x.normal_(generator=torch.Generator()),
}


@pytest.mark.parametrize("work", REFUSED.values(), ids=REFUSED)
def test_what_is_refused(device: str, work: Callable[[Tensor, Tensor, str], object]) -> None:
    with pytest.raises((RuntimeError, TypeError)):
        work(one_two_three(device), one_two_three(), device)


ALLOWED: dict[str, Callable[[Tensor], Tensor]] = {
    "a number here": lambda x: torch.tensor(2.0) * x - torch.tensor(1.0),
    "compared with one": lambda x: (x > torch.tensor(2.0)).float(),
    "where": lambda x: torch.where(x > 1, x, torch.tensor(0.0)),
    "masked_fill": lambda x: x.masked_fill(x > 1, torch.tensor(0.0)),
    "addcmul": lambda x: x.addcmul(x, torch.tensor(3.0)),
    "indices here": lambda x: x[torch.tensor([2, 0])],
    "a mask here": lambda x: x[torch.tensor([True, False, True])],
    "copied": lambda x: x.copy_(torch.arange(3)),
    "a place set": lambda x: x.index_put_((torch.tensor([1]),), torch.tensor(9.0)),
    "of another dtype": lambda x: x.to(torch.float64) / 3,
    "made like it": lambda x: torch.full_like(x, 4).add_(torch.ones_like(x)),
    "written into parts": lambda x: (x.split(2)[0].mul_(5), x)[1],
    "written into one of many": lambda x: (x.unbind()[1].fill_(7), x.chunk(3)[2].zero_(), x)[2],
    "out": lambda x: torch.add(x, x, out=torch.empty_like(x)),
    "another shape in place": lambda x: x.unsqueeze_(0).t_().expand(3, 2),
    "several results": lambda x: torch.cat([v.float() for v in x.sort(descending=True)]),
    "drawn here and brought there": lambda x: x + torch.ones(3).to(x.device, non_blocking=True),
}


@pytest.mark.parametrize("work", ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_gives_what_the_cpu_gives(
    device: str, work: Callable[[Tensor], Tensor]
) -> None:
    if device == "mps" and work is ALLOWED["of another dtype"]:
        pytest.skip("it has no float64")
    there, here = work(one_two_three(device)), work(one_two_three())
    assert there.device.type == device and there.dtype == here.dtype
    assert there.stride() == here.stride()
    torch.testing.assert_close(there.cpu(), here)


def test_a_tensor_reads_like_one_of_the_cpu(device: str) -> None:
    x = one_two_three(device)
    assert x.tolist() == [1, 2, 3] and x.sum().item() == 6 and [int(v) for v in x] == [1, 2, 3]
    assert f"{x.mean():.2f}" == "2.00" and list(range(9))[x[1].int() : x[2].int()] == [2]
    assert x.cpu().numpy().tolist() == [1, 2, 3] and type(x.cpu()) is Tensor
    zeros = torch.zeros(2, device=device)
    assert zeros.device == torch.device(device, 0) and torch.zeros_like(x, device="cpu").is_cpu


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(144, 2))


def test_a_network_moves_learns_and_is_copied_and_saved(device: str) -> None:
    ours, theirs = network().to(device).to(memory_format=torch.channels_last), network()
    assert ours[0].weight.is_contiguous(memory_format=torch.channels_last)
    x = torch.randn(5, 1, 8, 8)
    for model in (ours, theirs):
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        for _ in range(3):
            loss = model(x.to(next(model.parameters()).device)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value.cpu(), theirs.state_dict()[name], atol=1e-4, rtol=1e-3)
    twin = copy.deepcopy(ours)
    with torch.no_grad():
        twin[0].weight.zero_()
    assert ours[0].weight.abs().sum() > 0 and isinstance(twin[0].weight, nn.Parameter)
    file = io.BytesIO()
    torch.save({"model": ours.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    saved = torch.load(file, map_location="cpu", weights_only=True)["model"]
    again = network(1).to(device)
    again.load_state_dict(saved)
    assert all(torch.equal(v, again.state_dict()[k]) for k, v in ours.state_dict().items())
    save({name: value.cpu().contiguous() for name, value in ours.state_dict().items()})


def test_products_of_less_precision_can_be_asked_for(device: str) -> None:
    layer = nn.Linear(3, 2).to(device)
    with torch.autocast(device, torch.bfloat16):
        loss = layer(one_two_three(device)).float().sum()
    loss.backward()
    assert layer.weight.grad is not None and layer.weight.grad.device.type == device
