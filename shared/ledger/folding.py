"""Makes few rows of many: tallies are added a few rows a batch, so that counting makes nobody wait, and folded later.

What is folded sums up to what it was before, in one transaction: whoever reads meanwhile sees the one or the other.
"""

from datetime import datetime, timedelta
from typing import Final

from shared.ledger.database import Connection

LOOSE_FOR: Final = timedelta(minutes=5)
"""How long deliveries stay as they were written: longer than a batch takes from its stamp to its commit."""
ROWS_AT_ONCE: Final = 20_000

MINUTES = """
WITH loose AS (
    DELETE FROM kessai.tallies
    WHERE tally_id IN (SELECT tally_id FROM kessai.tallies WHERE NOT is_folded AND at < $1 ORDER BY at LIMIT $2)
    RETURNING at, endpoint, kind, outcome, key_fingerprint, deliveries, longest_wait
), folded AS (
    INSERT INTO kessai.tallies AS known (at, endpoint, kind, outcome, key_fingerprint, deliveries, longest_wait,
                                         is_folded)
    SELECT date_trunc('minute', at), endpoint, kind, outcome, key_fingerprint, sum(deliveries), max(longest_wait), true
    FROM loose
    GROUP BY 1, 2, 3, 4, 5
    ON CONFLICT (at, endpoint, kind, outcome, key_fingerprint) WHERE is_folded DO UPDATE
    SET deliveries = known.deliveries + excluded.deliveries,
        longest_wait = greatest(known.longest_wait, excluded.longest_wait)
)
SELECT count(*) FROM loose
"""
GROUPS = """
WITH loose AS (
    DELETE FROM kessai.dead_letter_tallies
    WHERE tally_id IN (SELECT tally_id FROM kessai.dead_letter_tallies WHERE NOT is_folded LIMIT $1)
    RETURNING state, group_id, letters
), folded AS (
    INSERT INTO kessai.dead_letter_tallies AS known (state, group_id, letters, is_folded)
    SELECT state, group_id, sum(letters), true
    FROM loose
    GROUP BY state, group_id
    ON CONFLICT (state, group_id) WHERE is_folded DO UPDATE SET letters = known.letters + excluded.letters
)
SELECT count(*) FROM loose
"""


async def fold_alone(connection: Connection, *, now: datetime) -> int:
    """Fold what is old enough, and return how many rows that were; none when somebody else is at it."""
    async with connection.transaction():
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock(1801810805, 2)"):
            return 0
        minutes: int = await connection.fetchval(MINUTES, now - LOOSE_FOR, ROWS_AT_ONCE)
        groups: int = await connection.fetchval(GROUPS, ROWS_AT_ONCE)
        return minutes + groups
