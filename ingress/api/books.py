"""How does a call reach the books? By one piece of work, done again when others were in its way."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from shared.ledger.database import Connection, Pool, retry_conflicts, run
from shared.ledger.effects import NotLookedFor

T = TypeVar("T")

TRIES: Final = 3
"""Of one transaction that others were in the way of."""
RAN_INTO_OTHERS: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""What waited too long for others would wait as long again; this will not."""


async def in_books(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """What commits or changes nothing. Raises KessaiError."""
    return await retry_conflicts(lambda: run(pool, work), tries=TRIES, retry_if=_may_pass)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, NotLookedFor) or isinstance(error.__cause__, RAN_INTO_OTHERS)
