"""How does a call reach the books? By one piece of work, done again when others were in its way."""

from asyncio import sleep
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from shared.ledger.database import Connection, Pool, TransientConflict, connected
from shared.ledger.effects import NotLookedFor

T = TypeVar("T")

TRIES: Final = 3
"""Of one transaction that others were in the way of."""
RAN_INTO_OTHERS: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""What waited too long for others would wait as long again; this will not."""


async def in_books(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """What commits or changes nothing. Raises KessaiError."""
    for tries_left in reversed(range(TRIES)):
        try:
            async with connected(pool) as connection:
                return await work(connection)
        except TransientConflict as error:
            helps = isinstance(error, NotLookedFor) or isinstance(error.__cause__, RAN_INTO_OTHERS)
            if not tries_left or not helps:
                raise
            await sleep(0.05)
    raise AssertionError("the last try returns or raises")
