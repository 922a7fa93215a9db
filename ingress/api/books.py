"""How does a call reach the books? By one piece of work, done again when others were in its way."""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from shared.ledger.database import Connection, Pool, TransientConflict, connected

T = TypeVar("T")

TRIES: Final = 3
"""Of one transaction that others were in the way of."""
RAN_INTO_OTHERS: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


async def in_books(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """What commits or changes nothing. Raises KessaiError."""
    for tries_left in reversed(range(TRIES)):
        try:
            async with connected(pool) as connection:
                return await work(connection)
        except TransientConflict as error:
            if not tries_left or not isinstance(error.__cause__, RAN_INTO_OTHERS):
                raise  # what waited too long would wait as long again
            await sleep(0.05)
    raise AssertionError("the last try returns or raises")
