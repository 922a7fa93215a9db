"""Is a server of pages or calls ready, and can it reach the books?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from shared.errors import KessaiError
from shared.ledger.database import Pool, connected
from shared.observe.admin import Readiness

CHECK_EVERY = 5.0
"""Seconds between two checks of the books."""


@dataclass(slots=True)
class Health:
    """What /readyz answers. Without Postgres it is degraded, not failing: the pages that say so stay reachable."""

    is_listening: bool = False
    books_away_because: str | None = None

    def readiness(self) -> Readiness:
        failing = {} if self.is_listening else {"listening": "not listening"}
        degraded = {"postgres": self.books_away_because} if self.books_away_because is not None else {}
        return Readiness(failing, degraded)


@asynccontextmanager
async def checking(health: Health, pool: Pool, log: structlog.stdlib.BoundLogger) -> AsyncIterator[None]:
    """Keep `health` up to date while the context is open."""
    task = asyncio.create_task(_keep_checking(health, pool, log), name="checks the books")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _keep_checking(health: Health, pool: Pool, log: structlog.stdlib.BoundLogger) -> None:
    while True:
        before = health.books_away_because
        try:
            async with connected(pool) as connection:
                await connection.execute("SELECT FROM kessai.users LIMIT 1")
            health.books_away_because = None
        except Exception as error:  # one that was not foreseen must not end the checks
            health.books_away_because = str(error) if isinstance(error, KessaiError) else type(error).__name__
        if (before is None) != (health.books_away_because is None):
            log.warning("books", away=health.books_away_because)
        await asyncio.sleep(CHECK_EVERY)
