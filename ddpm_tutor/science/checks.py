"""What the public functions ask of what they are given, in one line that says what is wanted.

Each looks once, and cheaply: at kinds, shapes and devices, which takes microseconds, and at the
values of t, since a t out of range on a GPU is an error of the device, after which no computing is
possible in this process. To read them on a GPU is to wait for it, some tens of microseconds. So
this package's own loops, which make their t themselves, say so with `own_steps`, and nobody waits.
What takes a whole chain or a whole data set looks at values, too, before it begins.
"""

import math
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from ddpm_tutor.science.schedule import Schedule

IMAGE_SHAPE = (1, 32, 32)  # of the digits, with their padding
LARGEST = 2.0  # of a pixel: images are in [-1, 1], and drawn ones reach a little further
WHOLE = (torch.int64, torch.int32)  # what torch takes for an index; uint8 it takes for a mask
UNLABELLED = "this network was trained without labels, so it draws no digit on request"


class _Depth(threading.local):
    """How many of `own_steps` this thread is inside of."""

    loops = 0


_depth = _Depth()


@contextmanager
def own_steps() -> Iterator[None]:
    """While t, shares and variances are of this package's own making, and not read on a GPU.

    It is not put around a `yield`: who gets what is yielded may call an equation, too.
    """
    _depth.loops += 1
    try:
        yield
    finally:
        _depth.loops -= 1


def is_read(values: Tensor) -> bool:
    """Whether a check reads these values: on a CPU always, on a GPU where none of our loops runs.

    While a CUDA graph is recorded nothing can be read.
    """
    if values.device.type == "cpu":
        return True
    if values.is_meta or _depth.loops:
        return False
    return values.device.type != "cuda" or not torch.cuda.is_current_stream_capturing()


def said(value: Any) -> str:
    """What was given, in a few words."""
    if isinstance(value, Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    text = repr(value)
    return f"the {type(value).__name__} {text}" if len(text) < 40 else f"a {type(value).__name__}"


def check_kind(value: Any, kind: type | tuple[type, ...], name: str, wanted: str) -> None:
    """Refuses what is of another kind.

    Raises:
        TypeError: it is.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {wanted}, not {said(value)}")


def check_one_of(value: Any, known: Sequence[str | None], name: str) -> None:
    """Refuses a word that is not known.

    Raises:
        ValueError: it is not.
    """
    if value not in known:
        *others, last = [f'"{word}"' for word in known if word is not None]
        raise ValueError(f"{name} is {', '.join(others)} or {last}, not {value!r}")


def check_whole(value: Any, name: str, least: int = 1) -> None:
    """Refuses what is no whole number from `least` on.

    Raises:
        ValueError: it is none.
    """
    if not is_whole(value) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, not {value!r}")


def is_whole(value: Any) -> bool:
    """Whether it is a whole number, of Python's, NumPy's or torch's; 500.0 is one as well."""
    try:
        return bool(int(value) == value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return False


def check_number(
    value: Any, name: str, low: float = -math.inf, high: float = math.inf, above: bool = False
) -> None:
    """Refuses what is no number in low..high; with `above`, low itself as well.

    Raises:
        ValueError: it is none.
    """
    number = isinstance(value, int | float) and low <= value <= high
    if not number or (above and value == low):
        span = f"from {low:g} to {high:g}" if high < math.inf else f"{low:g} or more"
        wanted = "above 0" if above else span if low > -math.inf else "a number"
        raise ValueError(f"{name} must be {wanted}, not {value!r}")


def check_schedule(schedule: "Schedule") -> None:
    """Refuses what is no schedule, such as its T.

    Raises:
        TypeError: it is none.
    """
    if not hasattr(schedule, "alpha_bar"):
        raise TypeError(
            f"schedule must be a Schedule, such as linear_schedule(), not {said(schedule)}"
        )


def check_step(schedule: "Schedule", t: Any, name: str = "t") -> None:
    """Refuses what is no step of `schedule`, such as a t of 0..1.

    Raises:
        ValueError: `t` is not a whole number in 1..T.
    """
    check_schedule(schedule)
    if not is_whole(t) or not 1 <= t <= schedule.T:
        raise ValueError(f"{name} must be a whole number from 1 to {schedule.T}, not {t}")


def length(x: Tensor) -> int:
    """How many there are in a batch; one number alone counts as one."""
    return len(x) if x.ndim else 1


def check_whole_tensor(value: Any, count: int, name: str, what: str = "images") -> None:
    """Refuses what is not one whole number for each of `count`, or one for all.

    Raises:
        TypeError: it is no tensor. ValueError: it holds no whole numbers, or not so many.
    """
    check_kind(value, Tensor, name, "a tensor (B,) of whole numbers")
    if value.dtype not in WHOLE:
        raise ValueError(f"{name} must hold whole numbers, int64, not {said(value)}")
    if value.ndim > 1 or (length(value) != count and 1 not in (length(value), count)):
        raise ValueError(
            f"{name} must be one number for each of {count} {what}, not {tuple(value.shape)}"
        )


def check_t(
    schedule: "Schedule", t: Tensor | int, count: int = 1, least: int = 1, name: str = "t"
) -> None:
    """Refuses steps that are none of `schedule`, or not one for each of `count` images.

    On a GPU this waits for it; see `own_steps`.

    Raises:
        TypeError: t is no tensor and no whole number. ValueError: it has another kind, shape or
            value.
    """
    check_schedule(schedule)
    if isinstance(t, int):
        low = high = t
    else:
        check_whole_tensor(t, count, name)
        where = schedule.alpha_bar.device
        if t.device.type not in ("cpu", where.type):
            raise ValueError(f"{name} is on {t.device}, and the schedule on {where}")
        if not t.numel() or not is_read(t):
            return
        low, high = (int(end) for end in t.aminmax())
    if low < least or high > schedule.T:
        why = ": at t = 0 there is no noise" if least and low == 0 else ""
        raise ValueError(
            f"{name} must be in {least}..{schedule.T}, not {low if low < least else high}{why}"
        )


def check_alike(**images: Tensor) -> None:
    """Refuses what are no floats, or not shaped like the first; any of them may be one for all.

    Raises:
        TypeError: something is no tensor. ValueError: it has another kind, shape or device.
    """
    first: Tensor | None = None
    for name, x in images.items():
        if not isinstance(x, Tensor):
            raise TypeError(f"{name} must be a tensor, not {said(x)}")
        if not x.is_floating_point():
            hint = ": to_unit_range makes them of pixels 0..255" if x.dtype == torch.uint8 else ""
            raise ValueError(f"{name} must be floats, not {said(x)}{hint}")
        if first is None:
            first, first_name = x, name
        elif x.shape != first.shape and (
            x.shape[1:] != first.shape[1:] or 1 not in (length(x), length(first))
        ):
            raise ValueError(
                f"{name} must be shaped like {first_name}, {tuple(first.shape)}, "
                f"not {tuple(x.shape)}"
            )
        elif x.device != first.device:
            raise ValueError(f"{name} is on {x.device}, and {first_name} on {first.device}")


def check_inputs(schedule: "Schedule", t: Tensor, least: int = 1, **images: Tensor) -> None:
    """Refuses what an equation at step t cannot be computed with; see `check_t`, `check_alike`.

    Raises:
        TypeError: something is of another kind. ValueError: a shape, device or t is.
    """
    check_alike(**images)
    check_t(schedule, t, max(map(length, images.values())), least)


def check_share(tau: Tensor, count: int, name: str = "tau") -> None:
    """Refuses what are no shares from 0 to 1, one for each of `count` images.

    On a GPU this waits for it; see `own_steps`.

    Raises:
        TypeError: it is no tensor. ValueError: it has another kind, shape or value.
    """
    check_kind(tau, Tensor, name, "a tensor (B,) of floats")
    if not tau.is_floating_point():
        raise ValueError(f"{name} must be floats from 0 to 1, not {said(tau)}")
    if tau.ndim > 1 or (length(tau) != count and 1 not in (length(tau), count)):
        raise ValueError(
            f"{name} must be one number for each of {count} images, not {tuple(tau.shape)}"
        )
    if is_read(tau) and not bool(((tau >= 0) & (tau <= 1)).all()):
        raise ValueError(f"{name} must be from 0 to 1: it is a share, not a step t")


def check_variance(
    variance: Tensor, x: Tensor | None = None, name: str = "variance", zero: bool = False
) -> None:
    """Refuses what is no variance of images x, (B, 1, 1, 1) or shaped like them.

    On a GPU this waits for it; see `own_steps`.

    Args:
        zero: whether it may be 0.

    Raises:
        TypeError: it is no tensor. ValueError: it has another kind, shape or value.
    """
    check_kind(variance, Tensor, name, "a tensor")
    if not variance.is_floating_point():
        raise ValueError(f"{name} must be floats, not {said(variance)}")
    if x is not None and (
        (variance.ndim != x.ndim and variance.numel() != 1)
        or any(v not in (1, n) and n != 1 for v, n in zip(variance.shape, x.shape, strict=False))
    ):
        raise ValueError(
            f"{name} must be (B, 1, 1, 1), or shaped like the images {tuple(x.shape)}, "
            f"not {tuple(variance.shape)}"
        )
    if variance.numel() and is_read(variance):
        least = variance.amin()
        if bool(least < 0) or (not zero and bool(least == 0)):
            raise ValueError(f"{name} must {'not be below' if zero else 'be above'} 0")


def check_shape(x: Any, name: str) -> None:
    """Refuses what is not shaped like a batch of digits.

    Raises:
        TypeError: it is no tensor. ValueError: it has another shape, or no image.
    """
    check_kind(x, Tensor, name, "a tensor (B, 1, 32, 32)")
    if x.shape[1:] != IMAGE_SHAPE or not len(x):
        raise ValueError(f"{name} must be images (B, 1, 32, 32), not {tuple(x.shape)}")


def check_images(x: Tensor, name: str) -> None:
    """Refuses what is no batch of digits in [-1, 1].

    Raises:
        TypeError: it is no tensor. ValueError: the shape, the kind or the range is another.
    """
    check_shape(x, name)
    if not x.is_floating_point() or not x.abs().max() <= LARGEST:
        raise ValueError(f"{name} must be in [-1, 1], as to_unit_range makes images of 0..255")


def check_pixels(images: Any, name: str = "images", digits: bool = True) -> None:
    """Refuses what are no pixels 0..255, (N, 1, H, W) or, for `digits`, (N, 1, 32, 32).

    Raises:
        TypeError: it is no tensor. ValueError: the kind or the shape is another.
    """
    wanted = "(N, 1, 32, 32)" if digits else "(N, 1, H, W)"
    check_kind(images, Tensor, name, f"a tensor {wanted}")
    check_uint8(images, name)
    fits = images.shape[1:] == IMAGE_SHAPE if digits else images.ndim == 4 and images.shape[1] == 1
    if not fits or not len(images):
        raise ValueError(f"{name} must be {wanted}, not {tuple(images.shape)}")


def check_uint8(images: Tensor, name: str = "images") -> None:
    """Refuses what are no pixels 0..255.

    Raises:
        TypeError: it is no tensor. ValueError: it is of another kind.
    """
    check_kind(images, Tensor, name, "a tensor")
    if images.dtype != torch.uint8:
        hint = ": to_uint8 makes them of [-1, 1]" if images.is_floating_point() else ""
        raise ValueError(f"{name} must be pixels 0..255, uint8, not {said(images)}{hint}")


def check_labels(
    label: Any,
    count: int,
    num_classes: int | None,
    name: str = "label",
    *,
    null: bool = False,
    inner: bool = False,
) -> None:
    """Refuses labels that a network cannot draw, or that are not one for each of `count` images.

    It reads them wherever they are, for it is asked where something long begins.

    Args:
        num_classes: of the network; None for one without labels.
        null: whether the null label, `num_classes`, may be among them.
        inner: it is asked in a loop: on a GPU the values are not read.

    Raises:
        TypeError: it is no tensor. ValueError: the network takes no labels, or not these.
    """
    if label is None:
        return
    if num_classes is None:
        raise ValueError(UNLABELLED)
    check_whole_tensor(label, count, name)
    if label.shape != (count,):
        raise ValueError(f"{name} must be one for each of {count} images, not {tuple(label.shape)}")
    highest = num_classes - (not null)
    if (inner and label.device.type != "cpu") or label.is_meta or not count:
        return
    low, high = (int(end) for end in label.aminmax())
    if low < 0 or high > highest:
        wrong = low if low < 0 else high
        raise ValueError(f"{name} must be in 0 to {highest}, not {wrong}; None draws without")


def check_network_images(model: Any, images: Any) -> None:
    """Refuses what are no pixels 0..255, or of a size that a network is not made for.

    Raises:
        TypeError: it is no tensor. ValueError: the kind or the shape is another.
    """
    check_pixels(images, digits=getattr(model, "image_shape", None) == IMAGE_SHAPE)


def check_network(model: Any, name: str = "model") -> None:
    """Refuses what is no network.

    Raises:
        TypeError: it is none.
    """
    check_kind(model, nn.Module, name, "a network, an nn.Module")


def classes_of(model: Any) -> int | None:
    """How many classes a network knows, None for one without labels; a function may know any."""
    classes: int | None = getattr(model, "num_classes", sys.maxsize)
    return classes


def device_of(model: nn.Module) -> torch.device:
    """Where a network computes.

    Raises:
        TypeError: it is no network.
    """
    if not hasattr(model, "parameters"):
        check_network(model)
    first = next(iter(model.parameters()), None)
    return torch.device("cpu") if first is None else first.device


def check_fits(model: Any, schedule: "Schedule") -> None:
    """Refuses a schedule that is another than the one a network is made for, where it says so.

    Raises:
        TypeError: it is no schedule. ValueError: it is another.
    """
    check_schedule(schedule)
    of_model = getattr(model, "check_schedule", None)
    if of_model:
        of_model(schedule)


def check_device(device: torch.device | str) -> torch.device:
    """The device of that name.

    Raises:
        ValueError: torch finds none here.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).split("\n")[0].split(". ")[0][:80]
        raise ValueError(f"no device {device!r} here ({reason})") from None
    return found


def as_path(path: Any, name: str = "path") -> Path:
    """A path, given as one or as text.

    Raises:
        TypeError: it is neither.
    """
    check_kind(path, (str, os.PathLike), name, "a path")
    return Path(path)


def check_indices(indices: Any) -> None:
    """Refuses what are no numbers of images.

    Raises:
        TypeError: it is no sequence.
    """
    if not hasattr(indices, "__len__") or not isinstance(indices, Iterable):
        raise TypeError(f"indices must be numbers of images, such as range(4), not {said(indices)}")
