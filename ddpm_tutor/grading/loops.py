"""The loops over t that learners write: what they yield, and at which t they ask the network."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from torch import Tensor, nn

from ddpm_tutor.grading.trials import WrongKind, in_words

MORE = 5  # moments that are looked at beyond those that there should be


def moments_of(given: Any, T: int) -> dict[str, Any]:
    """The moments (t, x_t) that a loop yields, the last one first, by the names of x_t.

    Raises:
        WrongKind: it yields something else, or nothing.
    """
    if given is None:
        raise WrongKind("Your function returns nothing. Is a `yield` missing?")
    what = f"Your function returns {in_words(given)}; it is to yield pairs: `yield i, x_t`."
    if not isinstance(given, Iterable) or isinstance(given, Tensor):
        raise WrongKind(what)
    moments = list(islice(given, T + 1 + MORE))
    try:
        seen: dict[str, Any] = {"number of moments": len(moments)}
        return seen | {f"x_{int(t)}": x_t for t, x_t in reversed(moments)}
    except (TypeError, ValueError):
        if not isinstance(given, Iterator):
            raise WrongKind(what) from None
        raise WrongKind(
            "What is yielded is no pair (t, x_t), a whole number and a tensor, but"
            f" {in_words(moments[0])}."
        ) from None


def asked_at(model: Callable[..., Tensor]) -> tuple[Callable[..., Tensor], list[int]]:
    """The same network, and the t at which it is asked, as soon as it is."""
    asked: list[int] = []

    def note(given: tuple[Any, ...], named: dict[str, Any]) -> None:
        t = named.get("t", given[1] if len(given) > 1 else None)
        if isinstance(t, Tensor) and t.numel() and not t.is_meta:
            asked.append(int(t.flatten()[0]))

    def noted(*given: Any, **named: Any) -> Tensor:
        note(given, named)
        return model(*given, **named)

    if isinstance(model, nn.Module):
        model.register_forward_pre_hook(lambda _, *both: note(*both), with_kwargs=True)
        return model, asked
    return noted, asked


def steps_in_words(moments: Iterable[tuple[int, Tensor]], asked: list[int], T: int) -> str:
    """What is wrong with the t of a loop that should go from T to 0; "" where nothing is.

    Args:
        asked: what `asked_at` gave; it fills as the loop runs.
    """
    yielded = [int(t) for t, _ in islice(moments, T + 1 + MORE)]
    steps = list(dict.fromkeys(asked))
    down = list(range(T, -1, -1))
    says = []
    if steps != down[:-1]:
        says.append(f"With T = {T} you ask the network at {listed(steps)}; {listed(down[:-1])}")
    if yielded != down:
        says.append(f"With T = {T} you yield {listed(yielded)}; {listed(down)}")
    return " ".join(f"{one} belongs there." for one in says)


def listed(times: list[int]) -> str:
    """ "t = 3, 2, 1"."""
    return f"t = {', '.join(map(str, times))}" if times else "no t"
