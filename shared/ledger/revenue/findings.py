"""Which differences are there between statements and books in a span of time? Read from the books, judged by the rules.

Queries bring what may differ, and more of it; `differences.py` says what does.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TypeVar

from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.revenue.batches import StatedBatch
from shared.ledger.revenue.differences import (
    Booked,
    Day,
    Difference,
    ToldBatch,
    Waiting,
    of_batch,
    of_days,
    of_order,
    of_row,
    of_unlisted,
)
from shared.ledger.revenue.money import Sums
from shared.ledger.revenue.usage import StatedUsage
from shared.ledger.transitions import OrderState
from shared.sdrp.money import InvalidAmount, parse_minor

PAGE = 1000
"""Batches that are fetched at once."""
READ_WHOLE_TABLES = """
SET LOCAL enable_seqscan = on;
SET LOCAL enable_hashjoin = on;
SET LOCAL enable_mergejoin = on
"""
"""Connections of workers find rows by their keys only, which a comparison of months must not."""


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on, before `until`, in the statements of one endpoint, as far as they are complete."""

    endpoint: str
    since: datetime
    until: datetime
    """Not after `compared_until`."""
    compared_until: datetime
    """What happened before then both sides had the time to tell."""
    complete_as_of: datetime
    """What the statements listed by then is in the books."""

    @property
    def arguments(self) -> tuple[str, datetime, datetime]:
        return self.endpoint, self.since, self.until


async def find_differences(connection: Connection, span: Span) -> list[Difference]:
    """Within a transaction."""
    await connection.execute(READ_WHOLE_TABLES)
    return [
        *await _of_rows(connection, span),
        *await _of_lone_usage(connection, span),
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
       booked.pricing_band, booked.accepted_at
FROM kessai.statement_usage AS stated
LEFT JOIN kessai.metered_usage AS booked
    ON booked.endpoint = stated.endpoint AND booked.requirement_id = stated.paired_with
WHERE stated.endpoint = $1 AND stated.created_at >= $2 AND stated.created_at < $3
  AND (stated.disputed IS NOT NULL
       OR stated.provider_gross_amount_minor - stated.protocol_fee_minor <> stated.provider_receivable_minor
       OR (stated.paired_with IS NULL AND (stated.requirement_id IS NOT NULL OR stated.challenge_hash IS NOT NULL))
       OR booked.amount_minor <> stated.provider_gross_amount_minor
       OR booked.currency <> stated.currency
       OR booked.pricing_band <> stated.plan_type)
ORDER BY stated.created_at, stated.metered_usage_id
"""


async def _of_rows(connection: Connection, span: Span) -> list[Difference]:
    rows = await connection.fetch(ROWS, *span.arguments)
    return [found for row in rows for found in of_row(_part(row, StatedUsage, "stated"), _booked(row))]


def _booked(row: Row) -> Booked | None:
    return None if row["accepted_at"] is None else Booked(*(row[name] for name in Booked._fields))


# Usage that a webhook told of and no row names: listed by itself, or among the rows of its day that name no payment.
LONE = """
SELECT requirement_id, order_id, amount_minor, currency, pricing_band, accepted_at
FROM kessai.metered_usage AS booked
WHERE endpoint = $1 AND accepted_at >= $2 AND accepted_at < $3
  AND NOT EXISTS (SELECT FROM kessai.statement_usage AS stated
                  WHERE stated.endpoint = booked.endpoint AND stated.paired_with = booked.requirement_id)
"""
LONE_BY_DAY = f"""
SELECT (accepted_at AT TIME ZONE 'UTC')::date AS day, currency, pricing_band, count(*) AS payments,
       sum(amount_minor) AS gross
FROM ({LONE}) AS lone
GROUP BY 1, 2, 3
"""
NAMELESS_BY_DAY = """
SELECT (created_at AT TIME ZONE 'UTC')::date AS day, currency, plan_type AS pricing_band, count(*) AS payments,
       sum(provider_gross_amount_minor) AS gross
FROM kessai.statement_usage
WHERE endpoint = $1 AND created_at >= $2 AND created_at < $3
  AND paired_with IS NULL AND requirement_id IS NULL AND challenge_hash IS NULL
GROUP BY 1, 2, 3
"""

DayKey = tuple[date, str, str]


async def _of_lone_usage(connection: Connection, span: Span) -> list[Difference]:
    stated = _by_day(await connection.fetch(NAMELESS_BY_DAY, *span.arguments))
    booked = _by_day(await connection.fetch(LONE_BY_DAY, *span.arguments))
    waiting = await _waiting(connection, span, stated)
    days = [Day(*key, each, booked.get(key, Sums()), waiting.get(key, Waiting())) for key, each in stated.items()]
    by_itself = sorted(booked.keys() - stated.keys())
    return [*of_days(days), *await _unlisted(connection, span, by_itself)]


def _by_day(rows: Iterable[Row]) -> dict[DayKey, Sums]:
    return {
        (row["day"], row["currency"], row["pricing_band"]): Sums(row["payments"], gross=row["gross"]) for row in rows
    }


async def _unlisted(connection: Connection, span: Span, days: Sequence[DayKey]) -> list[Difference]:
    if not days:
        return []
    rows = await connection.fetch(
        f"""
        SELECT lone.*
        FROM ({LONE}) AS lone
        JOIN unnest($4::date[], $5::text[], $6::text[]) AS given (day, currency, pricing_band)
            USING (currency, pricing_band)
        WHERE (accepted_at AT TIME ZONE 'UTC')::date = day
        ORDER BY accepted_at, requirement_id
        """,
        *span.arguments,
        [day for day, _, _ in days],
        [currency for _, currency, _ in days],
        [band for _, _, band in days],
    )
    return [of_unlisted(Booked(*(row[name] for name in Booked._fields))) for row in rows]


# A webhook of usage that waits in a review of its own, or was rejected there, explains the statement's row.
WAITING = """
SELECT state, received_at, evidence #>> '{event,amount_minor}' AS amount, evidence #>> '{event,currency}' AS currency,
       evidence #>> '{event,pricing_band}' AS pricing_band
FROM kessai.reviews
WHERE endpoint = $1 AND received_at >= $2 AND received_at < $3 AND (state = 'open' OR resolution = 'reject')
  AND evidence #>> '{event,settlement_status}' = 'pending_settlement'
"""


async def _waiting(connection: Connection, span: Span, days: Mapping[DayKey, Sums]) -> dict[DayKey, Waiting]:
    """Of the days on which rows name no payment."""
    found: dict[DayKey, Waiting] = {}
    if not days:
        return found
    for row in await connection.fetch(WAITING, *span.arguments):
        amount = _amount(row["amount"])
        key = (row["received_at"].astimezone(UTC).date(), (row["currency"] or "").upper(), row["pricing_band"])
        if amount is not None and key in days:
            waits = found.get(key, Waiting())
            name = "open" if row["state"] == "open" else "rejected"
            found[key] = waits._replace(**{name: getattr(waits, name).plus(Sums(1, gross=amount))})
    return found


def _amount(text: str | None) -> Decimal | None:
    try:
        return None if text is None else parse_minor(text)
    except InvalidAmount:
        return None


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
           sum(provider_receivable_minor) AS receivable
    FROM kessai.statement_usage AS listed
    WHERE listed.settlement_batch_id = ids.settlement_batch_id
) AS rows
"""


async def _of_batches(connection: Connection, span: Span) -> AsyncIterator[Difference]:
    cursor = await connection.cursor(BATCHES, *span.arguments)
    while rows := await cursor.fetch(PAGE):
        for row in rows:
            stated = _stated(row)
            is_whole = stated is not None and stated.first_stated_at <= span.complete_as_of
            rows_of = _sums(row) if is_whole else None
            for found in of_batch(stated, _told(row), rows_of, compared_until=span.compared_until):
                yield found


def _sums(row: Row) -> Sums:
    return Sums(row["rows"], *(row[name] for name in ("gross", "fee", "receivable"))) if row["rows"] else Sums()


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
  AND batch.money IN ('settled', 'uncollectible', 'written_off') AND NOT batch.orders_due
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
