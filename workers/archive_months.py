"""Keeps the raw archive's months ready, so that no webhook lands in the catch-all partition."""

import asyncio
from contextlib import suppress

import structlog

from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.observe.admin import READY, Readiness
from workers.books import PatientBooks

PERIOD_SECONDS = 6 * 3600.0
RETRY_SECONDS = 300.0
"""Pause after a failure, which costs nothing meanwhile: the catch-all takes what comes."""

log = structlog.get_logger("kessai.worker")


class ArchiveMonths:
    """Runs beside every role: whichever worker looks first makes the month, the others find it there."""

    def __init__(self, books: PatientBooks) -> None:
        self._books = books

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            done = await self._ensure()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PERIOD_SECONDS if done else RETRY_SECONDS)

    async def _ensure(self) -> bool:
        """Housekeeping must not take a worker down with it."""
        try:
            await self._books.commit(ensure_months, held=0)
        except KessaiError as error:
            log.warning("archive.month_not_ready", error=str(error))
            return False
        return True

    def readiness(self) -> Readiness:
        return READY


async def ensure_months(connection: Connection) -> None:
    """This month and the next, in UTC; one worker at a time."""
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(1801810805, 0)")
        await connection.execute(
            """
            SELECT kessai.ensure_archive_month((now() AT TIME ZONE 'UTC' + make_interval(months => ahead))::date)
            FROM generate_series(0, 1) AS ahead
            """
        )
