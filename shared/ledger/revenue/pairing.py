"""Which accepted usage is it that a statement lists? Known only where the row itself names the payment.

A row is paired by its requirement, or by its challenge where it names no requirement, and with usage of its own
endpoint only. A row that names neither is never paired.
"""

from collections.abc import Iterable, Sequence

from shared.ledger.columns import given, pack
from shared.ledger.database import Connection
from shared.ledger.revenue.conditions import FINAL_MONEY
from shared.ledger.revenue.usage import StatedUsage


def _pairs(source: str, *, endpoint: str) -> str:
    """SQL for the usage that each row of `source` may be paired with.

    Either way has a key of its own, as one condition for both would be no key to Postgres. The limits make it look each
    row up: without statistics it would rather read all usage for each page.
    """
    return f"""
    WITH given AS MATERIALIZED ({source}), named AS (
        SELECT metered_usage_id, requirement_id
        FROM given
        WHERE requirement_id IS NOT NULL
        UNION ALL
        SELECT metered_usage_id, orders.requirement_id
        FROM given
        JOIN kessai.challenges USING (challenge_hash)
        JOIN kessai.orders USING (order_id)
        WHERE given.requirement_id IS NULL
    )
    SELECT named.metered_usage_id, booked.requirement_id
    FROM named
    CROSS JOIN LATERAL (SELECT requirement_id
                        FROM kessai.metered_usage
                        WHERE endpoint = {endpoint} AND requirement_id = named.requirement_id
                        LIMIT 1) AS booked
    LEFT JOIN LATERAL (SELECT true AS is_taken
                       FROM kessai.statement_usage
                       WHERE endpoint = {endpoint} AND paired_with = named.requirement_id
                       LIMIT 1) AS taken ON true
    WHERE is_taken IS NULL
    ORDER BY named.metered_usage_id
    """


PAIRS_OF_PAGE = _pairs(
    f"SELECT * FROM {given(metered_usage_id='text', requirement_id='text', challenge_hash='text')}", endpoint="$6"
)


async def pair(connection: Connection, endpoint: str, rows: Sequence[StatedUsage]) -> list[StatedUsage]:
    """The rows, those paired that the books hold the webhook of; one usage is one row's only."""
    lone = [row for row in rows if row.is_linked and row.paired_with is None]
    if not lone:
        return list(rows)
    found = await connection.fetch(
        PAIRS_OF_PAGE,
        *pack(
            [row.metered_usage_id for row in lone],
            [row.requirement_id for row in lone],
            [row.challenge_hash for row in lone],
        ),
        endpoint,
    )
    pairs = _one_to_one((row["metered_usage_id"], row["requirement_id"]) for row in found)
    return [
        row._replace(paired_with=pairs[row.metered_usage_id]) if row.metered_usage_id in pairs else row for row in rows
    ]


PAIRS_THAT_WAITED = _pairs(
    """
    SELECT metered_usage_id, requirement_id, challenge_hash
    FROM kessai.statement_usage
    WHERE endpoint = $1 AND paired_with IS NULL AND (requirement_id IS NOT NULL OR challenge_hash IS NOT NULL)
    """,
    endpoint="$1",
)
PAIR = f"""
WITH paired AS (
    UPDATE kessai.statement_usage AS stated
    SET paired_with = given.requirement_id
    FROM unnest($1::text[], $2::text[]) AS given (metered_usage_id, requirement_id)
    WHERE stated.metered_usage_id = given.metered_usage_id
    RETURNING stated.settlement_batch_id
)
UPDATE kessai.statement_batches
SET orders_due = true
WHERE settlement_batch_id IN (SELECT settlement_batch_id FROM paired)
  AND money IN {FINAL_MONEY} AND NOT orders_due
"""


async def pair_late(connection: Connection, endpoint: str) -> int:
    """Pair rows whose webhook came after them, and let the end of their batches be told to its orders; how many."""
    found = await connection.fetch(PAIRS_THAT_WAITED, endpoint)
    pairs = _one_to_one((row["metered_usage_id"], row["requirement_id"]) for row in found)
    if pairs:
        await connection.execute(PAIR, list(pairs), list(pairs.values()))
    return len(pairs)


def _one_to_one(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each usage for the first row that names it: two rows for one payment are a difference."""
    taken: set[str] = set()
    kept: dict[str, str] = {}
    for usage_id, requirement_id in pairs:
        if requirement_id not in taken:
            taken.add(requirement_id)
            kept[usage_id] = requirement_id
    return kept
