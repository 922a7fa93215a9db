"""Forgets what the merchant no longer wants kept, beside the other roles; does nothing unless it was told how long."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from shared.errors import KessaiError
from shared.ledger.database import Pool, connected
from shared.ledger.retention import Keep, prune_alone
from shared.observe.admin import READY, Readiness

PERIOD_SECONDS = 6 * 3600.0

log = structlog.get_logger("kessai.worker")


class Retention:
    """One worker at a time: whoever holds the lock prunes, the others come back later."""

    def __init__(self, pool: Pool, keep: Keep) -> None:
        self._pool = pool
        self._keep = keep

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self._prune()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), PERIOD_SECONDS)

    async def _prune(self) -> None:
        """Housekeeping must not take a worker down with it."""
        try:
            async with connected(self._pool) as connection:
                pruned = await prune_alone(connection, self._keep, now=datetime.now(UTC))
        except KessaiError as error:
            log.warning("retention.failed", error=str(error))
            return
        if pruned is not None and (pruned.months or pruned.claims or pruned.facts):
            log.info("retention.pruned", months=pruned.months, claims=pruned.claims, facts=pruned.facts)

    def readiness(self) -> Readiness:
        return READY
