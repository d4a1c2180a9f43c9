"""Calling a function of somebody's project as its author would: with a t for each picture or one
for all, torch's tensors or NumPy's arrays, pictures or points.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from ddpm_tutor.grading.project_arguments import CALL_SECONDS, CannotCall, Piece, all_arguments
from ddpm_tutor.grading.project_files import TookTooLong, time_limit
from ddpm_tutor.grading.project_stand_ins import NOT_INSTALLED, is_stood_in, of_a_stand_in
from ddpm_tutor.grading.recorded_chance import Chance, recording, tensor_of

BATCH = 5  # unlike the sides of a picture, so that wrong broadcasting stops
RESULTS = ("prev_sample", "sample", "x_t", "xt", "mean", "x", "out", "pred", "loss", "pred_xstart")


@dataclass(frozen=True)
class Form:
    """How a function wants its arguments."""

    shape: tuple[int, ...]  # of one picture
    t: str  # "each": (B,); "one": (1,) for a picture; "number": a whole number
    numpy: bool = False


def forms_for(piece: Piece) -> Iterator[Form]:
    """The ways to call it, the usual one first."""
    place = piece.place
    usual = (place.channels, place.size, place.size)
    shapes = dict.fromkeys([usual, (3, place.size, place.size), (2,), (place.size,)])
    for shape in shapes:
        for numpy in (False, True):
            for t in ("each", "one", "number"):
                yield Form(shape, t, numpy)


@dataclass(frozen=True)
class Called:
    """What came of a call."""

    results: tuple[Tensor, ...]  # the tensors among what was returned, that of the picture first
    chance: Chance


class CallFailed(Exception):
    """The learner's function has stopped with an error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


FormT = TypeVar("FormT")
OrderT = TypeVar("OrderT")
Result = TypeVar("Result")


def first_that_works(
    forms: Iterable[FormT], orders: Sequence[OrderT], attempt: Callable[[FormT, OrderT], Result]
) -> Result:
    """What comes of the first way of calling that works: in each form, the arguments in each order.

    Raises:
        CannotCall: there is no way at all.
        CallFailed: none works; or one did not come to an end.
    """
    first: CallFailed | None = None
    for form in forms:
        for order in orders:
            try:
                return attempt(form, order)
            except CallFailed as failed:
                first = first or failed
                if isinstance(failed.error, TookTooLong):
                    raise
            except CannotCall:
                if order == orders[0]:
                    raise
                break
    assert first is not None
    raise first


def as_it_answers(piece: Piece, attempt: Callable[[], Result]) -> Result:
    """What comes of an attempt where the network answers as many channels as it is asked about; or,
    where that stops, twice as many: with a variance that is learned.

    Raises:
        CannotCall, CallFailed: neither works; this is why the first does not.
    """
    network = piece.place.network
    assert network is not None
    network.learns_variance = False
    try:
        return attempt()
    except CallFailed as first:
        if isinstance(first.error, TookTooLong):
            raise
        network.learns_variance = True
        try:
            return attempt()
        except (CallFailed, CannotCall):
            network.learns_variance = False
        raise


def call(
    piece: Piece,
    supply: Mapping[str, Any],
    form: Form,
    seed: int = 0,
    order: int = 0,
    *,
    grad: bool = False,
    seconds: float = CALL_SECONDS,
) -> Called:
    """Calls a function once.

    Args:
        supply: what there is to give, by role.
        order: which of the orders to take, where names of arguments are not known.

    Raises:
        CannotCall: it is not known what to give for an argument.
        CallFailed: it has stopped.
    """
    place = piece.place
    supply = {n: converted(v, form) for n, v in supply.items()} | {"numpy": form.numpy}
    ways = list(all_arguments(piece.function, piece.kind, supply, place))
    if order >= len(ways):
        raise CannotCall("no other order of its arguments is left")
    given = ways[order]
    place.chance.events.clear()
    try:
        with recording(place.chance, seed), time_limit(seconds), torch.set_grad_enabled(grad):
            result = piece.function(**given)
            if hasattr(result, "__next__"):
                result = list(result)
    except (Exception, SystemExit, TookTooLong) as error:
        if of_a_stand_in(error):
            raise CannotCall(NOT_INSTALLED) from error
        raise CallFailed(error) from error
    if is_stood_in(result):
        raise CannotCall(NOT_INSTALLED)
    found = tuple(tensors_in(result))
    return Called(found, Chance(list(place.chance.events)))


def converted(value: Any, form: Form) -> Any:
    """A value as a form wants it."""
    if isinstance(value, Tensor) and form.numpy:
        return value.numpy()
    return value


def t_in(form: Form, t: Tensor) -> Any:
    """t (B,) as a form wants it; one number of it where that is all it takes."""
    if form.t == "number":
        return int(t[0])
    return t if form.t == "each" else t[:1]


def tensors_in(result: Any) -> Iterator[Tensor]:
    """The tensors among what was returned."""
    if isinstance(result, Mapping):
        first = [result[name] for name in RESULTS if name in result]
        rest = [value for name, value in result.items() if name not in RESULTS]
        for value in [*first, *rest]:
            yield from tensors_in(value)
    elif isinstance(result, tuple | list):
        for value in result:
            yield from tensors_in(value)
    elif (found := tensor_of(result)) is not None:
        yield found
    else:
        for name in RESULTS:
            if (found := tensor_of(getattr(result, name, None))) is not None:
                yield found


def on_pictures(
    piece: Piece, supply: Mapping[str, Any], t: Tensor, form: Form, seed: int = 0, order: int = 0
) -> tuple[list[Tensor], list[Tensor]]:
    """Calls a function on pictures (B, ...) at their t (B,), all at once or one by one.

    Returns:
        The tensors it returned, and the normal numbers that it drew, each of the shape of the
        pictures or with one row for each of them.
    """
    if form.t == "each":
        done = call(piece, {**supply, "t": t}, form, seed, order)
        normals = done.chance.normals()
        return list(done.results), normals
    rows: list[tuple[Tensor, ...]] = []
    drawn: list[list[Tensor]] = []
    for i in range(len(t)):
        one = {
            n: v[i : i + 1] if isinstance(v, Tensor) and v.ndim else v for n, v in supply.items()
        }
        one |= {"t": t_in(form, t[i : i + 1]), "t_int": int(t[i])}
        done = call(piece, one, form, seed + i, order)
        rows.append(done.results)
        drawn.append(done.chance.normals())
    return [joined(column) for column in zip(*rows, strict=False)], [
        joined(column) for column in zip(*drawn, strict=False)
    ]


def joined(column: Sequence[Tensor]) -> Tensor:
    """Results of single pictures as those of a batch."""
    return torch.cat([value if value.ndim > 1 else value.reshape(1, -1) for value in column])


def working_form(
    piece: Piece, make: Callable[[Form], tuple[Mapping[str, Any], Tensor]]
) -> tuple[Form, int, BaseException | None]:
    """The first way to call a function that gives something of the pictures' shape; which order of
    its arguments that is; and what stopped a t for each picture, if something did.

    Raises:
        CannotCall: it is not known what to give.
        CallFailed: every way stops; this is the error of the usual one.
    """
    first: BaseException | None = None
    for form in forms_for(piece):
        supply, t = make(form)
        for order in range(6):
            try:
                results, _ = on_pictures(piece, supply, t, form, order=order)
            except CallFailed as failed:
                first = first or failed.error
                if isinstance(failed.error, TookTooLong):
                    raise
                continue
            except CannotCall:
                if order == 0:
                    raise
                break
            wanted = (len(t), *form.shape)
            if any(result.shape == wanted for result in results):
                return form, order, first
            first = first or ValueError(f"it returns {shapes_in(results)}, not {wanted}")
    assert first is not None
    raise CallFailed(first)


def shapes_in(results: Sequence[Tensor]) -> str:
    """The shapes of some results, in words."""
    return " and ".join(str(tuple(result.shape)) for result in results) or "no tensor"


def pictures(form: Form, seed: int, count: int = BATCH) -> Tensor:
    """Random pictures in [-0.9, 0.9], (B, ...): no guess of them is clipped."""
    generator = torch.Generator().manual_seed(seed)
    return 1.8 * torch.rand((count, *form.shape), generator=generator) - 0.9


def noise(form: Form, seed: int, count: int = BATCH) -> Tensor:
    """Noise from N(0, I), (B, ...)."""
    return torch.randn((count, *form.shape), generator=torch.Generator().manual_seed(seed))


def as_images(value: Tensor) -> Tensor:
    """(B, C, H, W) of pictures or points: exercises take nothing else."""
    flat = value.detach().cpu()
    return flat if flat.ndim == 4 else flat.reshape(len(flat), 1, 1, -1)
