"""Runs one unit of work of a call on the books, and repeats it after conflicts with other transactions."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import asyncpg

from shared.ledger.database import Connection, Pool, retry_conflicts, run
from shared.ledger.effects import NotLookedFor

T = TypeVar("T")

TRIES: Final = 3
"""How often a transaction is tried when it conflicts with others."""
RAN_INTO_OTHERS: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""The conflicts after which another try helps; a lock timeout would only be waited for again."""


async def in_books(pool: Pool, work: Callable[[Connection], Awaitable[T]]) -> T:
    """Run work that commits or changes nothing. Raises KessaiError."""
    return await retry_conflicts(lambda: run(pool, work), tries=TRIES, retry_if=_may_pass)


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, NotLookedFor) or isinstance(error.__cause__, RAN_INTO_OTHERS)
