"""The same predictions in less time: a network made ready for the many calls of one sampling.

On a CPU, for a few images, half of a call goes into putting the weights of each layer in the order
that its arithmetic wants; here that is done once. On CPUs that are fast at bfloat16, convolutions
compute in it, and for many images all matrix products do: they take less time, and half as many
bytes of weights are fetched. On a GPU the network is used as it is; see `graph` for what is quick
there.
"""

import copy
from collections.abc import Sequence
from typing import TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_tutor.science.checks import check_whole, device_of
from ddpm_tutor.science.devices import has_bf16
from ddpm_tutor.science.lean_unet import LeanUNet
from ddpm_tutor.science.likelihood_unet import LikelihoodUNet
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.unet import UNet

ROWS_AT_ONCE = 64  # rows of modulations computed at once: 0.6 MB
# with so many images or more it pays to have all matrix products in bfloat16, and pack no weights
MIN_AUTOCAST = 16


def for_sampling(model: NoisePredictor, times: Sequence[int], batch: int) -> NoisePredictor:
    """A network that predicts as `model` does, in less time, for all `times` of one sampling.

    It is a copy: training `model` further does not change it. On CPUs with bfloat16 its
    predictions differ by under 0.1, on others by rounding (under 1e-5).
    What is not one of our networks, or not on a CPU, comes back as it is.

    Args:
        model: the noise predictor.
        times: the time steps in the order in which they will be asked for.
        batch: images in each call.

    Raises:
        ValueError: there are no steps, or `batch` is not 1 or more.

    Example:
        >>> ready = for_sampling(model, [1000, 500], batch=2)
        >>> ready(x_t, torch.tensor([500, 500])).shape
        torch.Size([2, 1, 32, 32])
    """
    if not len(times):
        raise ValueError("times must hold the steps that will be asked for")
    check_whole(batch, "batch")
    if not is_plain(model) or device_of(model).type != "cpu":
        return model
    return SamplingNetwork(model, times, batch)


def is_plain(model: nn.Module) -> TypeGuard[UNet | LeanUNet]:
    """Whether `model` is one of our networks as we know it.

    A class derived from one may have a `forward` of its own, as may a single network, and a hook
    sees each call: all would be left out by whoever goes round them.
    """
    return type(model) in (UNet, LeanUNet, LikelihoodUNet) and not any(
        part._forward_hooks or part._forward_pre_hooks or "forward" in vars(part)
        for part in model.modules()
    )


class SamplingNetwork(NoisePredictor):
    """See `for_sampling`. All images of a call are at the same time step."""

    def __init__(self, model: UNet | LeanUNet, times: Sequence[int], batch: int) -> None:
        super().__init__(model.width, model.num_classes)
        bf16 = has_bf16(torch.device("cpu"))
        self.autocast = bf16 and batch >= MIN_AUTOCAST
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.model.to(memory_format=torch.channels_last)
        if self.autocast and isinstance(model, LeanUNet):
            normalise_in_float32(self.model)
        if not self.autocast and can_pack():
            pack(self.model, torch.bfloat16 if bf16 else torch.float32)
        self.times, self.place = list(times), {t: i for i, t in enumerate(times)}
        self.label: Tensor | None = None  # what the modulations are for
        self.modulations: dict[int, tuple[Tensor, ...]] = {}  # by time step

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        x_t = x_t.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            return self.model.predict(x_t, t, self.modulations_at(t, label))

    def modulations_at(self, t: Tensor, label: Tensor | None) -> tuple[Tensor, ...]:
        """The network's `modulations`, computed for many of the next time steps at once."""
        now = int(t[0])
        same = label is self.label or (
            label is not None and self.label is not None and torch.equal(label, self.label)
        )
        if not same or now not in self.modulations:
            start, batch = self.place[now], len(t)
            upcoming = self.times[start : start + max(1, ROWS_AT_ONCE // batch)]
            all_t = torch.tensor(upcoming).repeat_interleave(batch)
            all_labels = None if label is None else label.repeat(len(upcoming))
            blocks = self.model.modulations(all_t, all_labels)
            rows = zip(*(block.split(batch) for block in blocks), strict=True)
            self.label, self.modulations = label, dict(zip(upcoming, rows, strict=True))
        return self.modulations[now]


def normalise_in_float32(module: nn.Module) -> None:
    """Lets each group normalization inside `module` take float32.

    On small images in bfloat16 it takes nearly as long as their convolutions; on large ones, as in
    `UNet`, fetching twice as many bytes would take longer still.
    """
    for layer in module.modules():
        if isinstance(layer, nn.GroupNorm):
            layer.register_forward_pre_hook(lambda layer, inputs: (inputs[0].float(),))


def can_pack() -> bool:
    """Whether this torch has the operators of its compiler that the packed layers borrow."""
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name)
        for name in (
            "_reorder_convolution_weight",
            "_convolution_pointwise",
            "_reorder_linear_weight",
            "_linear_pointwise",
        )
    )


def pack(module: nn.Module, dtype: torch.dtype) -> None:
    """Replaces the layers inside `module` by packed ones; convolutions compute in `dtype`.

    A layer of a class derived from torch's is left as it is: it may compute something else.
    """
    for name, child in module.named_children():
        if type(child) is nn.Conv2d and child.padding_mode == "zeros":
            setattr(module, name, PackedConv2d(child, dtype))
        elif type(child) is nn.Linear:
            setattr(module, name, PackedLinear(child.weight, child.bias))
        elif type(child) is nn.MultiheadAttention:
            setattr(module, name, PackedAttention(child))
        else:
            pack(child, dtype)


class PackedConv2d(nn.Module):
    """A convolution that keeps its weights in the order oneDNN wants for an input's shape.

    It computes in `dtype`; what goes in and comes out is float32.
    """

    def __init__(self, conv: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = conv.weight.detach().to(dtype)
        self.bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        self.groups = conv.groups
        self.padding, self.stride, self.dilation = (
            [int(n) for n in numbers] for numbers in (conv.padding, conv.stride, conv.dilation)
        )
        self.packed: dict[torch.Size, Tensor] = {}  # by the shape of the input

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.weight.dtype)
        weight = self.packed.get(x.shape)
        if weight is None:
            weight = torch.ops.mkldnn._reorder_convolution_weight(
                self.weight, self.padding, self.stride, self.dilation, self.groups,
                list(x.shape),
            )  # fmt: skip
            self.packed[x.shape] = weight
        x = torch.ops.mkldnn._convolution_pointwise(
            x, weight, self.bias, self.padding, self.stride, self.dilation, self.groups,
            "none", [], "",
        ).float()  # fmt: skip
        return x


class PackedLinear(nn.Module):
    """A linear layer that keeps its weights in the order oneDNN wants for a number of rows."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = weight.detach(), bias.detach()
        self.packed: dict[int, Tensor] = {}  # by the number of rows

    def forward(self, x: Tensor) -> Tensor:
        rows = x.shape[:-1].numel()
        weight = self.packed.get(rows)
        if weight is None:
            weight = torch.ops.mkldnn._reorder_linear_weight(self.weight, rows)
            self.packed[rows] = weight
        x = torch.ops.mkldnn._linear_pointwise(x, weight, self.bias, "none", [], "")
        return x


class PackedAttention(nn.Module):
    """Self-attention as `nn.MultiheadAttention` with `batch_first` has it, of packed layers."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        assert attention.in_proj_weight is not None and attention.in_proj_bias is not None
        self.heads = attention.num_heads
        self.to_qkv = PackedLinear(attention.in_proj_weight, attention.in_proj_bias)
        self.out = PackedLinear(attention.out_proj.weight, attention.out_proj.bias)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False
    ) -> tuple[Tensor, None]:
        b, n, c = query.shape  # which is the key and the value, too
        qkv = self.to_qkv(query).view(b, n, 3, self.heads, c // self.heads)
        q, k, v = qkv.transpose(1, 3).unbind(2)  # (B, heads, N, C / heads)
        seen = F.scaled_dot_product_attention(q, k, v)
        return self.out(seen.transpose(1, 2).reshape(b, n, c)), None
