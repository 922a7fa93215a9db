"""Deletes what the merchant no longer wants kept."""

from datetime import UTC, datetime

import structlog

from shared.ledger.database import Pool, connected
from shared.ledger.retention import Keep, prune_alone
from workers.housekeeping import Housekeeping

PERIOD_SECONDS = 6 * 3600.0

log = structlog.get_logger("kessai.worker")


def retention(pool: Pool, keep: Keep) -> Housekeeping:
    """One worker at a time: the one that holds the lock prunes, and the others try later."""

    async def run_once() -> float:
        async with connected(pool) as connection:
            pruned = await prune_alone(connection, keep, now=datetime.now(UTC))
        if pruned is not None and (pruned.months or pruned.dead_letters or pruned.claims or pruned.facts):
            log.info(
                "retention.pruned",
                months=pruned.months,
                dead_letters=pruned.dead_letters,
                claims=pruned.claims,
                facts=pruned.facts,
            )
        return PERIOD_SECONDS

    return Housekeeping("retention", run_once)
