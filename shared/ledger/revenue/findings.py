"""Which differences are there between statements and books in a span of time? Read from the books, judged by the rules.

Queries bring what may differ, and more of it; `differences.py` says what does.
"""

from collections.abc import AsyncIterator
from typing import TypeVar

from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.revenue.batches import StatedBatch
from shared.ledger.revenue.conditions import FINAL_MONEY, has_unit_of
from shared.ledger.revenue.differences import Booked, Difference, Listed, ToldBatch, Unit, of_batch, of_order, of_row
from shared.ledger.revenue.money import Sums
from shared.ledger.revenue.nameless import of_lone_usage
from shared.ledger.revenue.spans import Span
from shared.ledger.revenue.usage import StatedUsage
from shared.ledger.transitions import OrderState

PAGE = 1000
"""Batches that are fetched at once."""
READ_WHOLE_TABLES = """
SET LOCAL enable_seqscan = on;
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on
"""
"""Connections of workers find rows by their keys only, which a comparison of months must not."""


async def find_differences(connection: Connection, span: Span) -> list[Difference]:
    """Within a transaction that may read whole tables."""
    return [
        *await _of_rows(connection, span),
        *await of_lone_usage(connection, span),
        *[found async for found in _of_batches(connection, span)],
        *await _of_orders(connection, span),
    ]


Part = TypeVar("Part", StatedUsage, StatedBatch, ToldBatch)


def _columns(row: type[Part], alias: str) -> str:
    return ", ".join(f"{alias}.{name} AS {alias}_{name}" for name in row._fields)


def _part(row: Row, type_: type[Part], alias: str) -> Part:
    return type_.from_row({name: row[f"{alias}_{name}"] for name in type_._fields})


ROWS = f"""
SELECT {_columns(StatedUsage, "stated")}, booked.requirement_id, booked.order_id, booked.amount_minor, booked.currency,
       booked.pricing_band, booked.accepted_at, batch.currency AS batch_currency, batch.token_symbol AS batch_token
FROM kessai.statement_usage AS stated
LEFT JOIN kessai.metered_usage AS booked
    ON booked.endpoint = stated.endpoint AND booked.requirement_id = stated.paired_with
LEFT JOIN kessai.statement_batches AS batch USING (settlement_batch_id)
WHERE stated.endpoint = $1 AND stated.created_at >= $2 AND stated.created_at < $3
  AND (stated.disputed IS NOT NULL
       OR stated.provider_gross_amount_minor - stated.protocol_fee_minor <> stated.provider_receivable_minor
       OR (stated.paired_with IS NULL AND (stated.requirement_id IS NOT NULL OR stated.challenge_hash IS NOT NULL))
       OR booked.amount_minor <> stated.provider_gross_amount_minor
       OR booked.currency <> stated.currency
       OR booked.pricing_band <> stated.plan_type
       OR NOT {has_unit_of("stated", "batch")})
ORDER BY stated.created_at, stated.metered_usage_id
"""


async def _of_rows(connection: Connection, span: Span) -> list[Difference]:
    rows = await connection.fetch(ROWS, *span.arguments)
    return [
        found
        for row in rows
        for found in of_row(
            _part(row, StatedUsage, "stated"), _booked(row), Unit(row["batch_currency"], row["batch_token"])
        )
    ]


def _booked(row: Row) -> Booked | None:
    return None if row["accepted_at"] is None else Booked(*(row[name] for name in Booked._fields))


# Rows of another currency or token than their batch's are added to nothing: each is a difference of its own.
BATCHES = f"""
SELECT {_columns(StatedBatch, "stated")}, {_columns(ToldBatch, "told")}, rows.*
FROM (
    SELECT settlement_batch_id
    FROM kessai.statement_batches
    WHERE endpoint = $1 AND dated_at >= $2 AND dated_at < $3
    UNION ALL
    SELECT settlement_batch_id
    FROM kessai.settlement_batches AS told
    WHERE endpoint = $1 AND coalesce(settled_at, booked_at) >= $2 AND coalesce(settled_at, booked_at) < $3
      AND NOT EXISTS (SELECT FROM kessai.statement_batches AS stated
                      WHERE stated.settlement_batch_id = told.settlement_batch_id)
) AS ids
LEFT JOIN kessai.statement_batches AS stated USING (settlement_batch_id)
LEFT JOIN kessai.settlement_batches AS told USING (settlement_batch_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS rows, sum(provider_gross_amount_minor) AS gross, sum(protocol_fee_minor) AS fee,
           sum(provider_receivable_minor) AS receivable, array_agg(DISTINCT listed.currency) AS currencies
    FROM kessai.statement_usage AS listed
    WHERE listed.settlement_batch_id = ids.settlement_batch_id
      AND {has_unit_of("listed", "stated")}
) AS rows
"""


async def _of_batches(connection: Connection, span: Span) -> AsyncIterator[Difference]:
    cursor = await connection.cursor(BATCHES, *span.arguments)
    while rows := await cursor.fetch(PAGE):
        for row in rows:
            stated = _stated(row)
            is_whole = stated is not None and stated.first_stated_at <= span.complete_as_of
            rows_of = _listed(row) if is_whole else None
            for found in of_batch(stated, _told(row), rows_of, compared_until=span.compared_until):
                yield found


def _listed(row: Row) -> Listed:
    if not row["rows"]:
        return Listed()
    return Listed(Sums(row["rows"], *(row[name] for name in ("gross", "fee", "receivable"))), tuple(row["currencies"]))


def _stated(row: Row) -> StatedBatch | None:
    return None if row["stated_endpoint"] is None else _part(row, StatedBatch, "stated")


def _told(row: Row) -> ToldBatch | None:
    return None if row["told_booked_at"] is None else _part(row, ToldBatch, "told")


ORDERS = f"""
SELECT {_columns(StatedUsage, "stated")}, {_columns(StatedBatch, "batch")}, orders.order_id, orders.state
FROM kessai.statement_batches AS batch
JOIN kessai.statement_usage AS stated USING (settlement_batch_id)
JOIN kessai.metered_usage AS booked
    ON booked.endpoint = stated.endpoint AND booked.requirement_id = stated.paired_with
JOIN kessai.orders USING (order_id)
WHERE batch.endpoint = $1 AND batch.dated_at >= $2 AND batch.dated_at < $3
  AND batch.money IN {FINAL_MONEY} AND NOT batch.orders_due
  AND orders.state <> batch.money
ORDER BY orders.order_id
"""


async def _of_orders(connection: Connection, span: Span) -> list[Difference]:
    """Orders that have heard what became of their batch, and say something else."""
    found = []
    for row in await connection.fetch(ORDERS, *span.arguments):
        stated, batch = _part(row, StatedUsage, "stated"), _part(row, StatedBatch, "batch")
        difference = of_order(row["order_id"], OrderState(row["state"]), stated, batch)
        found += [difference] if difference else []
    return found
