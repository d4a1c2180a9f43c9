"""What stands in for packages that a project imports and that are not installed."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

NOT_INSTALLED = "it needs a package that is not installed here"


class StandIn:
    """Anything of a package that is not installed: it can be called, read, entered, derived from,
    and does nothing.
    """

    def __init__(self, name: str = "") -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)

    def __call__(self, *given: Any, **named: Any) -> Any:
        if self.__name__ in KNOWN and given and not isinstance(given[0], StandIn):
            return KNOWN[self.__name__](*given)
        if self.__name__ == "trange":
            return Passing(range(*given))
        if self.__name__ == "tqdm":
            return Passing(*given[:1])
        return given[0] if len(given) == 1 and callable(given[0]) and not named else StandIn()

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        others = [b for b in bases if isinstance(b, type)]
        first = next(b for b in bases if isinstance(b, StandIn)) is self
        is_module = any(issubclass(b, nn.Module) for b in others)
        return (StandInBase,) if first and not is_module else ()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __getitem__(self, key: Any) -> "StandIn":
        return StandIn()

    def __enter__(self) -> "StandIn":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __bool__(self) -> bool:
        return False


class StandInBase(nn.Module):
    """The base of classes that derive from one of an absent package: a module with what a
    LightningModule has besides, as far as that is of use without training.
    """

    device = torch.device("cpu")
    current_epoch = global_step = global_rank = 0
    logger = trainer = StandIn()

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def save_hyperparameters(self, *_: Any, **__: Any) -> None:
        """Keeps the arguments of the constructor that calls it."""
        caller = inspect.currentframe()
        given = dict(caller.f_back.f_locals) if caller and caller.f_back else {}
        named = {name: v for name, v in given.items() if name not in ("self", "__class__")}
        self.hparams = SimpleNamespace(**named)

    def log(self, *_: Any, **__: Any) -> None: ...

    log_dict = log


def reduced(x: Tensor, pattern: str = "", how: str = "mean") -> Any:
    """einops' `reduce`, as losses use it: "b ... -> b"."""
    return getattr(x.flatten(1), how)(1)


def rearranged(x: Tensor, pattern: str = "") -> Any:
    """einops' `rearrange`, where it adds sides of length 1: "b -> b 1 1 1"."""
    before, _, after = (side.split() for side in pattern.partition("->"))
    added = after[len(before) :]
    if after[: len(before)] != before or set(added) - {"1", "()"}:
        return StandIn("rearrange")
    return x.reshape(*x.shape, *[1] * len(added))


def gathered(values: Tensor, t: Tensor, x_shape: Sequence[int] = (1, 1, 1, 1)) -> Tensor:
    """The entry of each t, shaped to be multiplied with pictures."""
    return values[t].reshape(len(t), *[1] * (len(x_shape) - 1))


def default(value: Any, other: Any) -> Any:
    """A value, or where it is None another, or what that makes."""
    if value is not None:
        return value
    return other() if callable(other) else other


# what common packages have of small functions, without which little of a project can be tried
KNOWN: dict[str, Callable[..., Any]] = {
    "reduce": reduced, "rearrange": rearranged, "mean_flat": reduced,
    "default": default, "exists": lambda value: value is not None,
    "noise_like": lambda shape, *_: torch.randn(shape),
    "gather": gathered, "extract": gathered, "extract_into_tensor": gathered,
}  # fmt: skip


def of_a_stand_in(error: BaseException) -> bool:
    """Whether an error is that a stand-in cannot be computed with."""
    return StandIn.__name__ in str(error) or __name__ in str(error)


def is_stood_in(result: Any) -> bool:
    """Whether something of an absent package is what was returned, or is among it."""
    if isinstance(result, Mapping):
        result = list(result.values())
    among = result if isinstance(result, tuple | list) else [result]
    return any(isinstance(value, StandIn) for value in among)


class Passing:
    """A progress bar that shows nothing."""

    def __init__(self, things: Any = ()) -> None:
        self.things = things

    def __iter__(self) -> Iterator[Any]:
        return iter(self.things)

    def __len__(self) -> int:
        return len(self.things)

    def __enter__(self) -> "Passing":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class StandInModule(ModuleType):
    """A module of a package that is not installed."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(name)


class StandInFinder(MetaPathFinder, Loader):
    """Finds, last of all, the packages that a project imports and that are not there."""

    def __init__(self, names: set[str], found: list[str]) -> None:
        self.names, self.found = names, found

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top = fullname.split(".")[0]
        if top not in self.names or (top in sys.modules and top not in self.found):
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        top = spec.name.split(".")[0]
        if top not in self.found:
            self.found.append(top)
        return StandInModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass
