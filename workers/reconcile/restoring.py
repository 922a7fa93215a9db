"""What the last run found, as the books hold it: a restart and another process's run must not change the gauges."""

import asyncio
from typing import Final

import asyncpg
import structlog

from shared.ledger.database import Connection
from shared.ledger.revenue.comparing import recount
from shared.ledger.revenue.exposed import kept_exposed
from shared.ledger.revenue.money import Money
from shared.ledger.revenue.totals import Total, kept
from workers.reconcile.result import Reconciled

PATIENCE: Final = 60.0
"""Seconds that counting differences anew may take."""

log = structlog.get_logger("kessai.worker")


async def restored(connection: Connection, endpoint: str) -> Reconciled | None:
    """Differences are counted anew, because the books keep only their reviews; None when that takes too long."""
    try:
        async with asyncio.timeout(PATIENCE):
            compared = await recount(connection, endpoint)
    except (TimeoutError, asyncpg.QueryCanceledError, asyncpg.LockNotAvailableError):
        log.warning("reconcile.not_restored", endpoint=endpoint, seconds=PATIENCE)
        return None
    totals = [
        Total(each.token_symbol, Money(each.kind), each.stated, each.booked)
        for each in await kept(connection, [endpoint])
        if each.booked is not None
    ]
    return Reconciled(endpoint, compared=compared, totals=totals, exposed=await kept_exposed(connection, endpoint))
