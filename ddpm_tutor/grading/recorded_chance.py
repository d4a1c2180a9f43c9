"""What a function draws by chance, and what it asks a network: recorded while it runs.

Most code draws its noise itself. To say what it did with it, one has to know what it drew: every
normal and whole number is noted, torch's and NumPy's, and so is each question to the network, in
the order in which they come. A GPU that is asked for is the CPU.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

NORMAL = {torch.randn, torch.randn_like, torch.normal, Tensor.normal_}
UNIFORM = {torch.rand, torch.rand_like, Tensor.uniform_}
WHOLE = {torch.randint, torch.randint_like, Tensor.random_}


@dataclass(frozen=True)
class Normal:
    """Numbers from N(0, I) that were drawn."""

    values: Tensor


@dataclass(frozen=True)
class Whole:
    """Whole numbers that were drawn, from `low` to `high` - 1."""

    values: Tensor
    low: int
    high: int


@dataclass(frozen=True)
class Asked:
    """A question to the network, and its answer."""

    x: Tensor
    told: Tensor  # the t that it was told, (B,), as it came
    others: tuple[Any, ...]  # labels and the like
    answer: Tensor
    numbers: dict[int, Tensor] = field(default_factory=dict)  # all that may be t, by their places
    values: Tensor | None = None  # what it has said of the variance, where that is learned
    in_numpy: bool = False  # it was asked with NumPy's arrays, that have no gradients


@dataclass(frozen=True)
class Uniform:
    """Numbers from 0 to 1 that were drawn."""

    values: Tensor


Event = Normal | Whole | Uniform | Asked


@dataclass
class Chance:
    """What has happened."""

    events: list[Event] = field(default_factory=list)

    def normals(self, shape: torch.Size | None = None) -> list[Tensor]:
        """The normal numbers that were drawn, those of one shape."""
        found = [event.values for event in self.events if isinstance(event, Normal)]
        return [v for v in found if shape is None or v.shape == shape]

    def asked(self) -> list[Asked]:
        """The questions to the network."""
        return [event for event in self.events if isinstance(event, Asked)]

    def wholes(self) -> list[Whole]:
        """The whole numbers that were drawn."""
        return [event for event in self.events if isinstance(event, Whole)]


class Recording(TorchFunctionMode):
    """Notes what torch draws, and computes on the CPU."""

    def __init__(self, chance: Chance) -> None:
        super().__init__()
        self.chance = chance

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = {name: on_cpu(value) for name, value in (kwargs or {}).items()}
        if func in (Tensor.cuda, Tensor.pin_memory):
            return args[0]
        if func is Tensor.to:
            args = tuple(on_cpu(value) for value in args)
        result = func(*args, **kwargs)
        if func in NORMAL:
            values = result.detach().clone()
            mean, std = (*args[0 if func is torch.normal else 1 :], 0.0, 1.0)[:2]
            if func in (torch.normal, Tensor.normal_):
                mean, std = kwargs.get("mean", mean), kwargs.get("std", std)
                values = (values - mean) / std
            self.chance.events.append(Normal(values))
        elif func in UNIFORM:
            self.chance.events.append(Uniform(result.detach().clone()))
        elif func in WHOLE:
            low, high = bounds(func, args, kwargs)
            self.chance.events.append(Whole(result.detach().clone(), low, high))
        return result


def on_cpu(value: Any) -> Any:
    """The CPU in place of a device that may not be there."""
    is_device = isinstance(value, torch.device) and value.type not in ("cpu", "meta")
    is_name = isinstance(value, str) and value.split(":")[0] in ("cuda", "mps")
    return torch.device("cpu") if is_device or is_name else value


def bounds(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, int]:
    """From where to where whole numbers are drawn."""
    given = [a for a in (args[1:] if func is not torch.randint else args)]
    numbers = [int(a) for a in given if isinstance(a, int | np.integer) or is_number(a)]
    if "high" in kwargs:
        return int(kwargs.get("low", numbers[0] if numbers else 0)), int(kwargs["high"])
    low = int(kwargs["low"]) if "low" in kwargs else None
    if low is not None:
        return low, numbers[0] if numbers else 0
    return (0, numbers[0]) if len(numbers) == 1 else (numbers[0], numbers[1]) if numbers else (0, 0)


def is_number(value: Any) -> bool:
    """Whether it is a tensor of a single number."""
    return isinstance(value, Tensor) and value.numel() == 1


class RecordedGenerator(np.random.Generator):
    """A generator of NumPy's that notes what it draws."""

    chance = Chance()  # that of the trial that runs

    def note(self, values: Any) -> Any:
        self.chance.events.append(Normal(torch.as_tensor(np.array(values, dtype=float))))
        return values

    def standard_normal(self, *given: Any, **named: Any) -> Any:
        return self.note(super().standard_normal(*given, **named))

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        z = self.note(super().standard_normal(np.shape(loc) if size is None else size))
        return loc + scale * z

    def integers(self, low: Any, high: Any = None, *given: Any, **named: Any) -> Any:
        values = super().integers(low, high, *given, **named)
        ends = (0, int(low)) if high is None else (int(low), int(high))
        self.chance.events.append(Whole(torch.as_tensor(np.array(values)), *ends))
        return values


def new_generator(seed: Any = None) -> RecordedGenerator:
    """In the place of `np.random.default_rng`."""
    return RecordedGenerator(np.random.PCG64(0 if seed is None else seed))


@contextmanager
def recording(chance: Chance, seed: int = 0) -> Iterator[Chance]:
    """Records into `chance` what is drawn inside."""
    generator = new_generator(seed)
    before, RecordedGenerator.chance = RecordedGenerator.chance, chance
    places = {
        "randn": lambda *shape: generator.standard_normal(shape or None),
        "standard_normal": generator.standard_normal,
        "normal": generator.normal,
        "randint": lambda low, high=None, size=None, dtype=int: generator.integers(low, high, size),
        "default_rng": new_generator,
    }
    kept = {name: getattr(np.random, name) for name in places}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        try:
            for name, function in places.items():
                setattr(np.random, name, function)
            with Recording(chance):
                yield chance
        finally:
            RecordedGenerator.chance = before
            for name, function in kept.items():
                setattr(np.random, name, function)


Answer = Callable[[Tensor, Tensor, tuple[Any, ...]], Tensor]


class Network(nn.Module):
    """Stands in for the learner's network: it answers what it is told to, and notes the question.

    It takes x, t, and whatever else there is, in any order, as tensors or as NumPy's arrays.
    """

    def __init__(self, chance: Chance, channels: int = 1, size: int = 8) -> None:
        super().__init__()
        self.chance = chance
        self.answer: Answer = lambda x, told, others: torch.zeros_like(x)
        self.t_at: int | None = None  # where it is told t, if that had to be found out
        self.learns_variance = False  # then twice the channels are answered
        self.scale = nn.Parameter(torch.ones(()))
        # what some code asks a network about
        self.channels = self.in_channels = self.out_dim = self.out_channels = channels
        self.image_size = self.sample_size = size
        self.self_condition = self.self_cond = self.random_or_learned_sinusoidal_cond = False
        self.num_classes, self.device, self.dtype = 10, torch.device("cpu"), torch.float32

    def forward(self, *given: Any, **named: Any) -> Any:
        before = len(self.chance.events)
        inputs = [*given, *named.values()]
        arrays = [(i, tensor_of(v)) for i, v in enumerate(inputs)]
        tensors = [(i, v) for i, v in arrays if v is not None]
        if not tensors:
            raise TypeError("the network is given no picture")
        place, x = max(tensors, key=lambda pair: pair[1].numel() * pair[1].is_floating_point())
        rest = [(i, v) for i, v in tensors if i != place and v.numel() <= max(len(x), 1)]
        floats = [pair for pair in rest if pair[1].is_floating_point()]
        named_t = [
            len(given) + i
            for i, n in enumerate(named)
            if n in ("t", "time", "timestep", "timesteps")
        ]
        told_at = next((i for i in named_t), (floats or rest)[0][0] if rest else None)
        if not named_t and self.t_at in dict(rest):
            told_at = self.t_at
        told = dict(tensors)[told_at].flatten() if told_at is not None else torch.empty(0)
        others = tuple(v for i, v in enumerate(inputs) if i not in (place, told_at))
        reply = self.answer(x.detach(), told.detach(), others).to(x.dtype)
        numbers = {i: value.detach().flatten().clone() for i, value in rest}
        values = of_variance(reply) if self.learns_variance else None
        in_numpy = isinstance(inputs[place], np.ndarray)
        asked = Asked(
            x.detach().clone(), told.detach().clone(), others, reply, numbers, values, in_numpy
        )
        del self.chance.events[before:]  # what the answer itself was drawn with
        self.chance.events.append(asked)
        result = reply * self.scale
        if values is not None:  # by them the answer itself does not change with `scale`
            result = torch.cat([result, values], dim=1)
        if in_numpy:
            return result.detach().numpy()
        result.sample = result  # type: ignore[attr-defined]  # as the networks of diffusers answer
        return result


def of_variance(reply: Tensor) -> Tensor:
    """What a network that learns its variance says of it: anything from -1 to 1, for each pixel."""
    generator = torch.Generator().manual_seed(reply.numel())
    return 2 * torch.rand(reply.shape, generator=generator).to(reply.dtype) - 1


def tensor_of(value: Any) -> Tensor | None:
    """An array of numbers as a tensor; None where it is none."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray | np.generic | int | float) and not isinstance(value, bool):
        try:
            return torch.as_tensor(np.asarray(value))
        except TypeError:
            return None
    return None
