"""Less at once, where a device has too little memory."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from ddpm_tutor.errors import is_out_of_memory

T = TypeVar("T")


def in_parts_that_fit(
    work: Callable[[range], Iterator[T]],
    numbers: range,
    at_once: int,
    on_fewer: Callable[[int], object] = lambda at_once: None,
) -> Iterator[T]:
    """What `work` yields for `numbers`, `at_once` of them at a time.

    A part for which there is too little memory is started again with half as many, then a quarter,
    and so on; the parts after it are no larger.

    Args:
        on_fewer: told how many are taken at once from now on, when memory was short.

    Raises:
        RuntimeError, MemoryError: there is too little memory for a single one.
    """
    while numbers:
        part = numbers[:at_once]
        try:
            yield from work(part)
        except (RuntimeError, MemoryError) as error:
            if len(part) == 1 or not is_out_of_memory(error):
                raise
            at_once = len(part) // 2
            on_fewer(at_once)
        else:
            numbers = numbers[len(part) :]
