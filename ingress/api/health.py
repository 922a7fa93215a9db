"""Is a server of calls and pages ready, and are the books there?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from shared.errors import KessaiError
from shared.ledger.database import Pool, connected
from shared.observe.admin import Readiness

LOOK_EVERY = 5.0
"""Seconds between two looks whether the books are there."""


@dataclass(slots=True)
class Health:
    """What /readyz says. An absent Postgres is told, not failed: the answer that says so must be reached."""

    is_listening: bool = False
    books_away_because: str | None = None

    def readiness(self) -> Readiness:
        failing = {} if self.is_listening else {"listening": "not listening"}
        degraded = {"postgres": self.books_away_because} if self.books_away_because is not None else {}
        return Readiness(failing, degraded)


@asynccontextmanager
async def looking(health: Health, pool: Pool, log: structlog.stdlib.BoundLogger) -> AsyncIterator[None]:
    """Keep `health` up to date meanwhile."""
    task = asyncio.create_task(_keep_looking(health, pool, log), name="looks for the books")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep_looking(health: Health, pool: Pool, log: structlog.stdlib.BoundLogger) -> None:
    while True:
        before = health.books_away_because
        try:
            async with connected(pool) as connection:
                await connection.execute("SELECT FROM kessai.users LIMIT 1")
            health.books_away_because = None
        except KessaiError as error:
            health.books_away_because = str(error)
        if (before is None) != (health.books_away_because is None):
            log.warning("books", away=health.books_away_because)
        await asyncio.sleep(LOOK_EVERY)
