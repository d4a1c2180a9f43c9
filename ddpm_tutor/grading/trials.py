"""Random inputs for the functions of the exercises, and what came of calling them."""

import copy
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ddpm_tutor.errors import first_line
from ddpm_tutor.science import devices
from ddpm_tutor.science.noise import normal, stream
from ddpm_tutor.science.noise_predictor import NoisePredictor
from ddpm_tutor.science.pixels import to_unit_range
from ddpm_tutor.science.schedule import Schedule, linear_schedule
from ddpm_tutor.storage.digits import load_offline_digits

# how far two right ways to write an equation may part: some take the schedule to float32 first,
# and the nearest of the known mistakes is ten times as far off
TOLERANCE = 5e-4


@dataclass
class Draw:
    """Random inputs for one call, all of one device and dtype; another seed, other numbers."""

    seed: int
    batch: int
    height: int = 8
    width: int = 8
    T: int = 1000
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    generator: torch.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.generator = stream(self.seed, "exercise")

    def __str__(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        return f"B = {self.batch}, {self.height}×{self.width}, T = {self.T}, {dtype}, {self.device}"

    def schedule(self) -> Schedule:
        """The paper's schedule, or a short one whose steps are larger."""
        schedule = linear_schedule(self.T) if self.T == 1000 else linear_schedule(self.T, 0.02, 0.3)
        return schedule.to(self.device)

    def to(self, tensor: Tensor) -> Tensor:
        """On the device, and floats in the dtype, of this draw."""
        tensor = tensor.to(self.dtype) if tensor.is_floating_point() else tensor
        return tensor.to(self.device)

    def noise(self, *shape: int) -> Tensor:
        """(B, 1, H, W) from N(0, I), or another shape."""
        shape = shape or (self.batch, 1, self.height, self.width)
        return self.to(torch.randn(shape, generator=self.generator))

    def images(self) -> Tensor:
        """(B, 1, H, W) in [-1, 1]."""
        shape = (self.batch, 1, self.height, self.width)
        return self.to(2 * torch.rand(shape, generator=self.generator) - 1)

    def t(self) -> Tensor:
        """(B,) in 1..T; the ends are among them where there is room."""
        t = torch.randint(1, self.T + 1, (self.batch,), generator=self.generator)
        if self.batch > 2:
            t[:3] = torch.tensor([self.T // 2, 1, self.T]).roll(self.seed - 1)
        return self.to(t)

    def labels(self) -> Tensor:
        """(B,) in 0..9."""
        return self.to(torch.randint(0, 10, (self.batch,), generator=self.generator))

    def uniform(self) -> Tensor:
        """(B,) in [0, 1)."""
        return self.to(torch.rand(self.batch, generator=self.generator))

    def network(self) -> "Toy":
        """A small network that takes pictures of any size."""
        return Toy().to(self.device, self.dtype)


class Toy(NoisePredictor):
    """A network of a few weights; what it predicts depends on x_t, t and the label.

    It takes what the real ones take, by the same layers, and stops where they stop.
    """

    of_t: Tensor

    def __init__(self) -> None:
        super().__init__(width=1, num_classes=10)
        self.weights = nn.Parameter(torch.tensor([0.7, 0.4, 0.3]))
        self.of_label = nn.Parameter(torch.linspace(-1, 1, 11).sin())
        self.register_buffer("of_t", torch.arange(1001.0).cos())  # a step off shows

    def forward(self, x_t: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        if x_t.ndim != 4:
            raise ValueError(f"the network takes pictures (B, 1, H, W), not {tuple(x_t.shape)}")
        label = self.label_or_null(label, t)
        of_label = F.embedding(label, self.of_label[:, None])  # (B, 1)
        of_label = of_label + 0 * (label + t)[:, None]  # stops where they are not on one device
        bias = self.of_t[t][:, None] * self.weights[1] + of_label  # (B, 1)
        # stops at another dtype or number of channels, as a convolution does that takes far longer
        x = F.linear(x_t.movedim(1, 3), self.weights[:1].view(1, 1)).movedim(3, 1)
        return x + self.weights[2] * x_t.tanh() + bias.view(-1, 1, 1, 1)


def draws(device: str) -> list[Draw]:
    """The inputs that a function is tried on: batches of one and of many, oblong pictures, t = 1
    and t = T, short schedules, both dtypes, another seed each.
    """
    small = [
        Draw(1, batch=4, height=6, width=10),
        Draw(2, batch=1),
        Draw(3, batch=8),  # as many columns as pictures: wrong broadcasting goes unnoticed
        Draw(4, batch=5, height=6, width=4, T=10),
        Draw(5, batch=3, height=32, width=32, T=10, dtype=torch.float64),
    ]
    if device == "mps":  # it has no float64
        small[-1].dtype = torch.float32
    return [replace(draw, device=device) for draw in small]


def devices_at_hand() -> list[str]:
    """Where a function is tried."""
    found = devices.available_devices()[::-1]
    return [device for device in found if not devices.why_unusable(device)]


def shapes_only() -> Draw:
    """Tensors that have a shape and a device but no numbers. What is made on the CPU does not mix
    with them, as it does not on a GPU: so that mistake is found where there is none.
    """
    return Draw(6, batch=4, height=6, width=10, device="meta")


@dataclass(frozen=True)
class Outcome:
    """What came of a call."""

    values: dict[str, Tensor] = field(default_factory=dict)
    error: BaseException | None = None
    changed: tuple[str, ...] = ()  # the arguments that were changed in place
    problem: str = ""  # why there are no values though there was no error

    @property
    def complaint(self) -> str:
        """The error in a line, or ""."""
        return "" if self.error is None else in_a_line(self.error)


def in_a_line(error: BaseException) -> str:
    """ "ValueError: what it says", the first line of it."""
    kind, says = type(error).__name__, first_line(error)
    return kind if says == kind else f"{kind}: {says}".rstrip(": ")


class WrongKind(Exception):
    """A function returned something that is no result at all; the message says what."""


def outcome_of(
    function: Callable[..., Any],
    inputs: Mapping[str, Any],
    names: Sequence[str] = ("result",),
    observe: Callable[..., Any] | None = None,
    seed: int = 0,
) -> Outcome:
    """Calls `function` with a copy of `inputs`, and looks at what came of it.

    Args:
        names: of the tensors that it returns.
        observe: called with the function and the inputs, gives what is to be compared; without
            it, that is what the function returns.
        seed: of PyTorch's own random numbers, which a function may draw though it should not.
    """
    given = {name: copied(value) for name, value in inputs.items()}
    try:
        with torch.random.fork_rng(devices=[]):
            seed_generators(seed)
            if observe is None:
                values = named(function(*given.values()), names)
            else:
                values = named(observe(function, **given), ())
    except WrongKind as error:
        return Outcome(problem=str(error))
    except (Exception, SystemExit) as error:
        traceback.clear_frames(error.__traceback__)  # or all that it had filled stays in memory
        return Outcome(error=error)
    changed = tuple(name for name in inputs if not unchanged(given[name], inputs[name]))
    return Outcome(values, changed=changed)


def seed_generators(seed: int) -> None:
    """Seeds PyTorch's own generators of the CPU and of the GPU, where that is in use.

    `torch.manual_seed` keeps the seed, and a stack trace, for a GPU that nothing has started: 0.2
    ms each time, more where the stack is deep.
    """
    torch.default_generator.manual_seed(seed)
    if devices.is_started():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


def copied(value: Any) -> Any:
    """A copy that a function may spoil."""
    if isinstance(value, torch.Generator):
        return torch.Generator().set_state(value.get_state())
    return copy.deepcopy(value) if isinstance(value, Tensor | Schedule | nn.Module) else value


def unchanged(value: Any, before: Any) -> bool:
    """Whether a tensor or a schedule is as it was; networks and generators may change."""
    if isinstance(value, Schedule):
        fields = ("beta", "alpha", "alpha_bar")
        return all(unchanged(getattr(value, f), getattr(before, f)) for f in fields)
    if not isinstance(value, Tensor) or value.is_meta:
        return True
    return value.shape == before.shape and torch.equal(value, before)


def named(result: Any, names: Sequence[str]) -> dict[str, Tensor]:
    """What a function returned, by name.

    Raises:
        WrongKind: it is nothing that can be compared.
    """
    if isinstance(result, dict):
        return {name: torch.as_tensor(value).detach() for name, value in result.items()}
    if result is None:
        raise WrongKind("Your function returns nothing. Is a `return` missing?")
    given = list(result) if isinstance(result, tuple | list) else [result]
    if len(given) != len(names) or not all(isinstance(value, Tensor) for value in given):
        if len(given) == len(names) and all(isinstance(v, Tensor | float | int) for v in given):
            raise WrongKind(
                f"Your function returns a plain number; {' and '.join(names)} must stay a tensor."
                " Leave out `.item()` or `float()`."
            )
        raise WrongKind(
            f"Your function returns {in_words(result)}. It is to return {' and '.join(names)}"
            f"{', a tensor' if len(names) == 1 else ', each a tensor'}."
            f"{' Take the functions of torch, not of NumPy.' if any_of_numpy(given) else ''}"
        )
    return {name: value.detach() for name, value in zip(names, given, strict=True)}


def any_of_numpy(values: Sequence[Any]) -> bool:
    """Whether one of them is an array of NumPy."""
    return any(type(value).__module__ == "numpy" for value in values)


def in_words(value: Any) -> str:
    """What kind of thing it is: "a tensor (4, 1)", "a tensor, a float", "a list of 44"."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    if isinstance(value, tuple | list) and 0 < len(value) <= 3:
        return ", ".join("a tensor" if isinstance(v, Tensor) else a_kind(v) for v in value)
    if isinstance(value, tuple | list):
        return f"{a_kind(value)} of {len(value)}"
    return a_kind(value)


def a_kind(value: Any) -> str:
    """ "a list", "an int"."""
    kind = type(value).__name__
    return f"an {kind}" if kind[0] in "aeiou" or kind == "ndarray" else f"a {kind}"


def comparable(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have one shape, and both hold whole numbers, or neither."""
    return a.shape == b.shape and a.is_floating_point() == b.is_floating_point()


def kinds_of(outcome: Outcome) -> dict[str, tuple[torch.dtype, torch.device]]:
    """Dtype and device of each value."""
    return {name: (value.dtype, value.device) for name, value in outcome.values.items()}


def distance(a: Tensor, b: Tensor) -> Tensor:
    """How far each number of `a` is from that of `b`: beyond 1, further than right ways part."""
    a, b = a.double().cpu(), b.double().cpu()
    size = b.square().mean().sqrt() if b.numel() else b.sum()
    far = (a - b).abs() / (TOLERANCE * (b.abs() + size) + 1e-12)
    return far.where(a != b, 0.0).nan_to_num(torch.inf).where(~(a.isnan() & b.isnan()), 0.0)


def alike(a: Outcome, b: Outcome) -> bool:
    """Whether two calls did the same: the same error, or the same values and changes. In which
    dtype, and on which device, does not count.
    """
    if a.error is not None or b.error is not None or a.problem or b.problem:
        return (kind_of_error(a), a.problem) == (kind_of_error(b), b.problem)
    if a.changed != b.changed or a.values.keys() != b.values.keys():
        return False
    pairs = [(a.values[name], b.values[name]) for name in a.values]
    return all(
        comparable(x, y) and (x.is_meta or y.is_meta or bool((distance(x, y) <= 1).all()))
        for x, y in pairs
    )


def kind_of_error(outcome: Outcome) -> str:
    """What an error says, whichever numbers it names: those of a product depend on its order. A
    key that is not there does not.
    """
    if isinstance(outcome.error, KeyError):
        return outcome.complaint
    return re.sub(r"\d+", "N", outcome.complaint)


def a_digit(digit: int = 5) -> Tensor:
    """(1, 1, 32, 32) in [-1, 1], one of the offline digits."""
    return to_unit_range(load_offline_digits().of_class(digit)[:1])


def noise_of(x: Tensor, seed: int = 0) -> Tensor:
    """Noise from N(0, I), shaped like x."""
    return normal(x.shape, stream(seed, "picture of an exercise"), "cpu")
