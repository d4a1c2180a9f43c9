"""A device that is not the CPU, on any machine: "pretend".

It computes on the CPU, and refuses what CUDA refuses: tensors of two devices in one operation, a
CPU generator for numbers drawn on the device, NumPy without a copy to the CPU. What CUDA allows it
allows: copies between devices, CPU tensors without dimensions as operands of pointwise operations,
and CPU tensors as indices of a tensor on the device (not the other way round). So code that has
only ever run on one device stops here at the line at which it would stop on a GPU.

Products of less precision (`torch.autocast`) can be asked for, and stay as they are.

It rests on torch's Python backend for the dispatch key PrivateUse1. A tensor on the device is a
wrapper around one on the CPU, and every operation comes by `__torch_dispatch__`.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import torch
from torch.utils import backend_registration

NAME = "pretend"
aten = torch.ops.aten
# indices may be on the CPU, whatever they index: TensorAdvancedIndexingUtils.h of ATen moves them
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default,
            aten._unsafe_index.Tensor, aten._index_put_impl_.default}  # fmt: skip
# these take a number from the CPU, too
TAKE_NUMBERS = {aten.masked_fill.Tensor, aten.masked_fill_.Tensor} | INDEXING
COPIES = {aten.copy_.default, aten._to_copy.default}


class PretendTensor(torch.Tensor):
    """A tensor on the device; `inner` is the one on the CPU that holds its numbers."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "PretendTensor":
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, layout=inner.layout, device=torch.device(NAME, 0),
        )  # fmt: skip
        made.inner = inner
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return dispatched(func, args, kwargs or {})

    # torch copies what it knows of a tensor, and not what Python has added
    @property
    def data(self) -> torch.Tensor:
        return torch.Tensor.data.__get__(self)

    @data.setter
    def data(self, value: "PretendTensor") -> None:
        torch.Tensor.data.__set__(self, value)
        self.inner = value.inner

    def numpy(self, *, force: bool = False) -> Any:
        if not force:
            raise TypeError(
                f"can't convert {NAME}:0 device type tensor to numpy. Use Tensor.cpu() to copy the "
                "tensor to host memory first."
            )
        return self.inner.detach().numpy()

    def __format__(self, how: str) -> str:
        return format(self.inner, how)

    def tolist(self) -> Any:
        return self.inner.tolist()

    def __repr__(self, **words: Any) -> str:
        return f"{self.inner!r} on {NAME}"

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Saved as the CPU tensor it is: it comes back on the CPU, as with map_location="cpu"."""
        return self.inner.detach().__reduce_ex__(protocol)


class Operation(NamedTuple):
    """What `dispatched` needs to know of one of torch's operations."""

    written: tuple[tuple[int, str], ...]  # the arguments that it changes: place and name
    returns: tuple[bool, ...]  # whether each result is one of them
    reshapes: bool  # it changes the shape of its first argument in place, as unsqueeze_ does
    takes_numbers: bool  # tensors without dimensions may be on the CPU


@cache
def known(func: Any) -> Operation:
    arguments = enumerate(func._schema.arguments)
    written = tuple((i, a.name) for i, a in arguments if a.alias_info and a.alias_info.is_write)
    tags = func.tags
    returns = tuple(bool(r.alias_info and r.alias_info.is_write) for r in func._schema.returns)
    return Operation(
        written,
        returns,
        torch.Tag.inplace_view in tags,
        torch.Tag.pointwise in tags or func in TAKE_NUMBERS,
    )


def on_the_cpu(value: Any) -> Any:
    if isinstance(value, PretendTensor):
        return value.inner
    if isinstance(value, list | tuple):
        return type(value)(map(on_the_cpu, value))
    return value


def on_the_device(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return PretendTensor(value)
    if isinstance(value, list | tuple):
        return type(value)(map(on_the_device, value))
    return value


def dispatched(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Does `func` on the CPU where a device would not refuse it, and puts the result in place."""
    operation, where = known(func), kwargs.get("device")
    refuse_mixtures(func, operation, args, kwargs)
    inner = {name: on_the_cpu(value) for name, value in kwargs.items()}
    if where is not None:
        inner |= {"device": torch.device("cpu"), "pin_memory": False}
    result = func(*map(on_the_cpu, args), **inner)
    if operation.reshapes:
        args[0].data = PretendTensor(args[0].inner)
    for i, name in operation.written:  # `out` may have been given another shape
        out = args[i] if i < len(args) else kwargs.get(name)
        if isinstance(out, PretendTensor) and out.shape != out.inner.shape:
            out.data = PretendTensor(out.inner)
    if any(operation.returns):
        changed = (args[i] if i < len(args) else kwargs[name] for i, name in operation.written)
        results = result if isinstance(result, list | tuple) else [result]
        pairs = zip(operation.returns, results, strict=True)
        put = [next(changed) if mine else on_the_device(value) for mine, value in pairs]
        return put[0] if len(put) == 1 else tuple(put)
    if where is not None and torch.device(where).type != NAME:
        return result
    return on_the_device(result)


def refuse_mixtures(
    func: Any, operation: Operation, args: Sequence[Any], kwargs: dict[str, Any]
) -> None:
    """Stops as CUDA stops.

    Raises:
        RuntimeError: tensors are on two devices, or numbers are to be drawn by a CPU generator.
    """
    if func in COPIES:
        return
    generator = kwargs.get("generator")
    if generator is not None and generator.device.type != NAME:
        raise RuntimeError(f"Expected a '{NAME}' device type for generator but found 'cpu'")
    looked_at = [*args, *kwargs.values()]
    if func in INDEXING:
        indices = looked_at.pop(1)
        if not isinstance(args[0], PretendTensor) and any(
            isinstance(index, PretendTensor) for index in indices
        ):
            raise RuntimeError(
                "indices should be either on cpu or on the same device as the indexed tensor (cpu)"
            )
    changed = [args[i] for i, _ in operation.written if i < len(args)]
    for value in looked_at:
        for one in value if isinstance(value, list | tuple) else [value]:
            if not isinstance(one, torch.Tensor) or isinstance(one, PretendTensor):
                continue
            if one.ndim > 0 or not operation.takes_numbers or any(one is v for v in changed):
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two "
                    f"devices, {NAME}:0 and cpu! (in {func})"
                )


def copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> Any:
    """What torch's own code calls for a copy between two devices, past `__torch_dispatch__`."""
    one, other = (t.inner if isinstance(t, PretendTensor) else t for t in (source, target))
    other.copy_(one)
    return target


class Module:
    """What torch asks of the module of a device, `torch.pretend`."""

    is_initialized = staticmethod(lambda: True)
    is_available = staticmethod(lambda: True)
    current_device = staticmethod(lambda: 0)
    device_count = staticmethod(lambda: 1)
    _is_in_bad_fork = staticmethod(lambda: False)
    manual_seed_all = staticmethod(lambda seed: None)
    get_amp_supported_dtype = staticmethod(lambda: [torch.bfloat16, torch.float16])


def empty(size: Sequence[int], **how: Any) -> PretendTensor:
    how["device"], how["pin_memory"] = torch.device("cpu"), False
    return PretendTensor(aten.empty.memory_format(size, **how))


def empty_strided(size: Sequence[int], stride: Sequence[int], **how: Any) -> PretendTensor:
    how["device"], how["pin_memory"] = torch.device("cpu"), False
    return PretendTensor(aten.empty_strided.default(size, stride, **how))


def why_not() -> str:
    """Why this torch cannot pretend; "" where it can."""
    if not hasattr(backend_registration, "_setup_privateuseone_for_python_backend"):
        return f"torch {torch.__version__} has no backends in Python"
    return ""


_libraries: list[torch.library.Library] = []  # what they register lasts as long as they do


def set_up() -> None:
    """Lets this process know the device; more than once is as good as once.

    It must come before the first backward pass: autograd counts the devices then.
    """
    if _libraries or why_not():
        return
    backend_registration._setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    library = torch.library.Library("aten", "IMPL")
    library.impl("empty.memory_format", empty, "PrivateUse1")
    library.impl("empty_strided", empty_strided, "PrivateUse1")
    library.impl("_copy_from", copy_from, "PrivateUse1")
    others = torch.library.Library("_", "IMPL")
    others.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    _libraries.extend([library, others])
