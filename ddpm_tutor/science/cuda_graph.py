"""Work of a GPU that is recorded once and then replayed.

A step of sampling is some hundred small operations. For few images Python takes longer to ask for
each than the GPU takes to do it, so the GPU waits. A CUDA graph holds them all, and asks for all of
them at once.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ddpm_tutor.errors import first_sentence

log = logging.getLogger(__name__)

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
            chosen = function
            if inputs[0].device.type == "cuda":
                chosen = recorded(function, inputs, record_on_cuda)
        return chosen(*inputs)

    return call


def recorded(function: Function, inputs: Sequence[Tensor], record: Record) -> Function:
    """`function` recorded for such inputs, if that works; else `function` itself."""
    # the plain result comes first: the recording may hold on to what the function leaves, such as
    # gradients
    expected = [output.clone() for output in function(*inputs)]
    try:
        replay = Replay(function, inputs, record)
        replay.forget()
        if all(map(agree, replay(*inputs), expected)):
            return replay
        log.warning("a recording gave something else than the plain function; it is not used")
    except Exception as error:  # whatever the device does not like, the plain function does
        log.warning("no recording: %s", first_sentence(error))
    return function


def agree(a: Tensor, b: Tensor) -> bool:
    """Whether two results differ by no more than `TOLERANCE` of their size."""
    a, b = a.float(), b.float()
    return bool((a - b).norm() <= TOLERANCE * b.norm())


class Replay:
    """A recorded function. Its inputs are copied to where the recording finds them."""

    def __init__(self, function: Function, inputs: Sequence[Tensor], record: Record) -> None:
        self.function = function  # what it closes over has to live as long as the recording
        self.inputs = [given.clone() for given in inputs]
        self.replay, self.outputs = record(function, self.inputs)

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        for place, given in zip(self.inputs, inputs, strict=True):
            place.copy_(given, non_blocking=True)
        self.replay()
        return tuple(output.clone() for output in self.outputs)  # the next call overwrites them

    def forget(self) -> None:
        """Leaves nothing of the last results: a replay that does nothing would pass for right."""
        for output in self.outputs:
            output.fill_(float("nan"))


def record_on_cuda(
    function: Function, inputs: Sequence[Tensor]
) -> tuple[Callable[[], object], tuple[Tensor, ...]]:
    """Records a CUDA graph, as PyTorch's documentation says.

    Raises:
        RuntimeError: it cannot be done. From then on nothing is recorded in this process, since a
            recording that broke off can leave PyTorch's memory in disorder.
    """
    device = inputs[0].device
    if device in broken:
        raise RuntimeError("an earlier recording failed")
    with torch.cuda.device(device):
        before = torch.cuda.current_stream()
        # one for all recordings: libraries keep memory of their own for each stream
        beside = streams.setdefault(device, torch.cuda.Stream())
        beside.wait_stream(before)
        with torch.cuda.stream(beside):
            for _ in range(WARM_UPS):
                function(*inputs)
        before.wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, stream=beside, capture_error_mode="thread_local"):
                outputs = function(*inputs)
        except Exception:
            broken.add(device)
            torch.cuda.set_stream(before)  # where a capture breaks off, PyTorch does not go back
            raise

    def replay() -> None:
        with torch.cuda.device(device):
            graph.replay()

    return replay, outputs


streams: dict[torch.device, torch.cuda.Stream] = {}

broken: set[torch.device] = set()
