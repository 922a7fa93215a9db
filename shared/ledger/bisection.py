"""Finds the items of a batch that cannot be applied, so that the others can."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def bisect(
    batch: Sequence[T], apply: Callable[[Sequence[T]], Awaitable[None]], *, is_of_item: Callable[[Exception], bool]
) -> list[tuple[T, Exception]]:
    """Apply a batch, halved as often as it takes; return the items that cannot be applied, each with its error.

    `is_of_item` is false for errors that halving cannot help; those are raised.
    """
    if not batch:
        return []
    try:
        await apply(batch)
    except Exception as error:
        if not is_of_item(error):
            raise
        if len(batch) == 1:
            return [(batch[0], error)]
        middle = len(batch) // 2
        return [
            *await bisect(batch[:middle], apply, is_of_item=is_of_item),
            *await bisect(batch[middle:], apply, is_of_item=is_of_item),
        ]
    return []
