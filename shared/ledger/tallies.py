"""How many deliveries came to what, minute by minute? What charts are drawn from."""

from datetime import datetime
from typing import NamedTuple

from shared.ledger.database import Connection


class Minute(NamedTuple):
    """What one minute's deliveries came to, of one outcome."""

    at: datetime
    """Its beginning."""
    outcome: str
    deliveries: int
    longest_wait: float
    """Seconds from receipt to commit."""


async def by_minute(connection: Connection, *, since: datetime) -> list[Minute]:
    """Every minute from the one of `since` on that had deliveries, by outcome, the oldest first."""
    rows = await connection.fetch(
        """
        SELECT date_trunc('minute', at) AS minute, outcome, sum(deliveries)::bigint AS deliveries,
               max(longest_wait) AS longest_wait
        FROM kessai.tallies
        WHERE at >= date_trunc('minute', $1::timestamptz)
        GROUP BY 1, 2
        ORDER BY 1, 2
        """,
        since,
    )
    return [Minute(*row) for row in rows]
