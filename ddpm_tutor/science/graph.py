"""Work of a GPU that is recorded once and then replayed.

A step of sampling is some hundred small operations. For few images Python takes longer to ask for
each than the GPU takes to do it, so the GPU waits. A CUDA graph holds them all, and asks for all of
them at once.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ddpm_tutor.errors import is_out_of_memory

Function = Callable[..., tuple[Tensor, ...]]
# records a function's work on the inputs that it will always find in the same place: gives what
# replays it, and what it then overwrites
Record = Callable[[Function, Sequence[Tensor]], tuple[Callable[[], object], tuple[Tensor, ...]]]

WARM_UPS = 3  # calls before the recording, in which libraries choose their algorithms
# of the size of a result: between two algorithms for one product, and far below any mistake
TOLERANCE = 0.01


def replayed(function: Function) -> Function:
    """A function that gives what `function` does, recorded at its first call on a CUDA device.

    What cannot be recorded, or gives something else when it is replayed, is called as it is.

    Args:
        function: takes tensors, always of the same shapes, and gives tensors. It must do the same
            work in every call: its Python runs only while it is recorded.
    """
    chosen: Function | None = None

    def call(*inputs: Tensor) -> tuple[Tensor, ...]:
        nonlocal chosen
        if chosen is None:
            on_cuda = inputs[0].device.type == "cuda"
            chosen = recorded(function, inputs, record_on_cuda) if on_cuda else function
        return chosen(*inputs)

    return call


def recorded(function: Function, inputs: Sequence[Tensor], record: Record) -> Function:
    """`function` recorded for such inputs, if that works; else `function` itself.

    Raises:
        RuntimeError: there is too little memory.
    """
    try:
        # the plain result comes first: the recording may hold on to what the function leaves, such
        # as gradients
        expected = [output.clone() for output in function(*inputs)]
        replay = Replay(function, inputs, record)
        if all(map(agree, replay(*inputs), expected)):
            return replay
    except Exception as error:  # whatever the device does not like, the plain function does
        if is_out_of_memory(error):
            raise
    return function


def agree(a: Tensor, b: Tensor) -> bool:
    """Whether two results differ by no more than `TOLERANCE` of their size."""
    a, b = a.float(), b.float()
    return bool((a - b).norm() <= TOLERANCE * b.norm())


class Replay:
    """A recorded function. Its inputs are copied to where the recording finds them."""

    def __init__(self, function: Function, inputs: Sequence[Tensor], record: Record) -> None:
        self.inputs = [given.clone() for given in inputs]
        self.replay, self.outputs = record(function, self.inputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        for place, given in zip(self.inputs, inputs, strict=True):
            place.copy_(given, non_blocking=True)
        self.replay()
        return tuple(output.clone() for output in self.outputs)  # the next call overwrites them


def record_on_cuda(
    function: Function, inputs: Sequence[Tensor]
) -> tuple[Callable[[], object], tuple[Tensor, ...]]:
    """Records a CUDA graph, as PyTorch's documentation says."""
    before, beside = torch.cuda.current_stream(), torch.cuda.Stream()
    beside.wait_stream(before)
    with torch.cuda.stream(beside):
        for _ in range(WARM_UPS):
            function(*inputs)
    before.wait_stream(beside)
    graph = torch.cuda.CUDAGraph()
    # what other threads ask of the device meanwhile is not part of it
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        outputs = function(*inputs)
    return graph.replay, outputs
