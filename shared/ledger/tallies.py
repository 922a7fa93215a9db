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


class KeyUse(NamedTuple):
    """Deliveries that one key vouched for at one endpoint."""

    endpoint: str
    key_fingerprint: str
    first_used: datetime
    """Of the last 30 days; to the minute, once its minute is folded."""
    last_used: datetime
    day: int
    """Deliveries in the last 24 hours; then in 7 and in 30 days."""
    week: int
    month: int


async def by_key(connection: Connection) -> list[KeyUse]:
    """Every key that vouched for a delivery within 30 days, by endpoint, the one used last first."""
    rows = await connection.fetch(
        """
        SELECT endpoint, key_fingerprint, min(at) AS first_used, max(at) AS last_used,
               coalesce(sum(deliveries) FILTER (WHERE at > now() - interval '24 hours'), 0)::bigint AS day,
               coalesce(sum(deliveries) FILTER (WHERE at > now() - interval '7 days'), 0)::bigint AS week,
               sum(deliveries)::bigint AS month
        FROM kessai.tallies
        WHERE at > now() - interval '30 days' AND key_fingerprint <> ''  -- no key vouched for what no door wrote
        GROUP BY endpoint, key_fingerprint
        ORDER BY endpoint, last_used DESC
        """
    )
    return [KeyUse(*row) for row in rows]
