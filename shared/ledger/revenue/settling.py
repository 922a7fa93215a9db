"""Orders end as the batch that holds their usage: a number of orders at a time, until each order of the batch has.

Only the platform's statements settle an order: its usage stands in a batch that they say is settled with a receipt, or
given up. An order that cannot take it stays as it is. So does an order that its row contradicts, or whose batch the
platform says something else of by now; the comparison makes a review of that, and the order ends once a person accepts
the difference.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from shared.ledger import outbox
from shared.ledger.books import Order, Row
from shared.ledger.columns import given, pack
from shared.ledger.database import Connection
from shared.ledger.decisions import Resolution
from shared.ledger.facts import Settlement, order_settled
from shared.ledger.revenue import syncs
from shared.ledger.revenue.conditions import FINAL_MONEY, has_unit_of
from shared.ledger.revenue.money import FACTS, Money, plain
from shared.ledger.transitions import Move, OrderState, ReviewReason, next_state

ACTOR = "worker:reconcile"
BATCHES_AT_ONCE = 200
ORDERS_AT_ONCE = 1000
"""Of one transaction."""


class Told(NamedTuple):
    moved: Counter[OrderState]
    """Orders, by what they are now."""
    more: bool
    """Whether there may be more orders to tell: call again."""


class _Due(NamedTuple):
    order: Order
    after: Order
    settlement: Settlement


async def settle_orders(connection: Connection, endpoint: str, *, now: datetime, limit: int = ORDERS_AT_ONCE) -> Told:
    """Move orders whose batch is final, at most so many; in order of batches and orders."""
    async with connection.transaction():
        await syncs.hold(connection, endpoint)
        due_batches = await connection.fetch(DUE_BATCHES, endpoint, BATCHES_AT_ONCE)
        batch_ids = [row["settlement_batch_id"] for row in due_batches if row["orders_before"] < limit]
        rows = await connection.fetch(LOCK_ORDERS, batch_ids, limit)
        due = [each for row in rows if (each := _due(row)) is not None]
        await _move(connection, due, now)
        if len(rows) < limit:
            await connection.execute(
                "UPDATE kessai.statement_batches SET orders_due = false WHERE settlement_batch_id = ANY ($1::text[])",
                batch_ids,
            )
        all_told = len(rows) < limit and len(batch_ids) == len(due_batches) < BATCHES_AT_ONCE
        more = not all_told or bool(await connection.fetch(DUE_SINCE_ACCEPTED, endpoint))
    return Told(Counter(each.after.state for each in due), more)


# With how many orders the ones before each may have, as stated: only so many batches are looked into at once.
DUE_BATCHES = """
SELECT settlement_batch_id,
       sum(greatest(usage_event_count, 1)) OVER (ORDER BY settlement_batch_id)
           - greatest(usage_event_count, 1) AS orders_before
FROM (
    SELECT settlement_batch_id, usage_event_count
    FROM kessai.statement_batches
    WHERE endpoint = $1 AND orders_due
    ORDER BY settlement_batch_id
    LIMIT $2
) AS due
ORDER BY settlement_batch_id
"""


def _is_accepted(reason: ReviewReason, of: str, evidence: str = "true") -> str:
    """SQL: whether a person accepted a difference of this reason, about this thing and with this evidence."""
    return f"""
    EXISTS (SELECT
            FROM kessai.reviews AS accepted
            WHERE {of} AND accepted.reason = '{reason}' AND accepted.resolution = '{Resolution.ACCEPT_DIFFERENCE}'
              AND {evidence})
    """


_OF_ROW = "accepted.endpoint = stated.endpoint AND accepted.about = 'usage:' || stated.metered_usage_id"
_OF_BATCH = "accepted.endpoint = batch.endpoint AND accepted.about = 'batch:' || batch.settlement_batch_id"
_ROW_AS_DISPUTED = "accepted.evidence -> 'statement' = stated.disputed::jsonb"
# The review of a batch may also show what its webhook says.
_BATCH_AS_DISPUTED = "accepted.evidence -> 'statement' @> batch.disputed::jsonb"
_UNIT_OF_BATCH = """
    accepted.evidence #>> '{statement,settlement_batch_id}' = batch.settlement_batch_id
    AND accepted.evidence -> 'books'
            = jsonb_build_object('currency', batch.currency, 'token_symbol', batch.token_symbol)
"""
# What was paid never changes on either side. What a row or its batch is disputed by, and the batch that the row stands
# in, may change after a person accepted them, so the evidence of the review must still be true.
MAY_END = f"""
    orders.state = 'fulfilled_unsettled'
    AND (booked.amount_minor = stated.provider_gross_amount_minor AND booked.currency = stated.currency
             AND booked.pricing_band = stated.plan_type
         OR {_is_accepted(ReviewReason.STATEMENT_AMOUNT_MISMATCH, _OF_ROW)})
    AND (stated.disputed IS NULL OR {_is_accepted(ReviewReason.STATEMENT_CONFLICT, _OF_ROW, _ROW_AS_DISPUTED)})
    AND (batch.disputed IS NULL OR {_is_accepted(ReviewReason.STATEMENT_CONFLICT, _OF_BATCH, _BATCH_AS_DISPUTED)})
    AND ({has_unit_of("stated", "batch")}
         OR {_is_accepted(ReviewReason.BATCH_ROWS_MISMATCH, _OF_ROW, _UNIT_OF_BATCH)})
"""

# The limit makes Postgres look each row up: without statistics it would rather read all usage.
DUE_SINCE_ACCEPTED = f"""
UPDATE kessai.statement_batches AS batch
SET orders_due = true
FROM (
    SELECT substr(about, length('usage:') + 1) AS metered_usage_id
    FROM kessai.reviews
    WHERE endpoint = $1 AND about LIKE 'usage:%' AND resolution = '{Resolution.ACCEPT_DIFFERENCE}'
    UNION
    SELECT metered_usage_id
    FROM kessai.statement_batches AS contradicted
    JOIN kessai.statement_usage USING (settlement_batch_id)
    WHERE contradicted.endpoint = $1 AND contradicted.disputed IS NOT NULL
) AS held_back
CROSS JOIN LATERAL (SELECT *
                    FROM kessai.statement_usage
                    WHERE metered_usage_id = held_back.metered_usage_id
                    LIMIT 1) AS stated
JOIN kessai.metered_usage AS booked
    ON booked.endpoint = stated.endpoint AND booked.requirement_id = stated.paired_with
JOIN kessai.orders ON orders.order_id = booked.order_id
WHERE batch.settlement_batch_id = stated.settlement_batch_id
  AND batch.money IN {FINAL_MONEY} AND NOT batch.orders_due AND {MAY_END}
RETURNING batch.settlement_batch_id
"""

LOCK_ORDERS = f"""
SELECT orders.*, stated.metered_usage_id, stated.plan_type, stated.currency AS statement_currency, stated.token_symbol,
       stated.provider_gross_amount_minor, stated.protocol_fee_minor, stated.provider_receivable_minor,
       batch.settlement_batch_id, batch.money, batch.chain_receipt_id AS batch_receipt_id, batch.settled_at
FROM kessai.statement_batches AS batch
JOIN kessai.statement_usage AS stated USING (settlement_batch_id)
JOIN kessai.metered_usage AS booked
    ON booked.endpoint = stated.endpoint AND booked.requirement_id = stated.paired_with
JOIN kessai.orders USING (order_id)
WHERE batch.settlement_batch_id = ANY ($1::text[]) AND {MAY_END}
ORDER BY orders.order_id
LIMIT $2
FOR UPDATE OF orders
"""


def _due(row: Row) -> _Due | None:
    order, money = Order.from_row(row), Money(row["money"])
    following = next_state(order.state, FACTS[money])
    if not isinstance(following, Move):
        return None
    receipt: str | None = row["batch_receipt_id"] if money is Money.SETTLED else None
    amounts = ("provider_gross_amount_minor", "protocol_fee_minor", "provider_receivable_minor")
    settlement = Settlement(
        metered_usage_id=row["metered_usage_id"],
        settlement_batch_id=row["settlement_batch_id"],
        pricing_band=row["plan_type"],
        statement_currency=row["statement_currency"],
        token_symbol=row["token_symbol"],
        **{name: _text(row[name]) for name in amounts},
        settled_at=row["settled_at"] if receipt else None,
    )
    return _Due(order, order._replace(state=following.to, chain_receipt_id=receipt), settlement)


def _text(amount: Decimal) -> str:
    return plain(amount)


async def _move(connection: Connection, due: Sequence[_Due], now: datetime) -> None:
    if not due:
        return
    await connection.execute(
        MOVE_ORDERS,
        *pack(
            [each.order.order_id for each in due],
            [each.order.endpoint for each in due],
            [each.order.state for each in due],
            [each.after.state for each in due],
            [each.after.chain_receipt_id for each in due],
            [each.settlement.metered_usage_id for each in due],
            [each.settlement.settlement_batch_id for each in due],
        ),
        ACTOR,
    )
    await outbox.put(connection, [order_settled(each.after, each.settlement, now) for each in due])


# The orders are locked already. The audit names no requirement here: it is one of the payment, not of its end.
MOVE_ORDERS = f"""
WITH given AS (
    SELECT *
    FROM {
    given(
        order_id="text",
        endpoint="text",
        from_state="text",
        state="text",
        chain_receipt_id="text",
        metered_usage_id="text",
        settlement_batch_id="text",
    )
}
), moved AS (
    UPDATE kessai.orders
    SET state = given.state, chain_receipt_id = given.chain_receipt_id, updated_at = now()
    FROM given
    WHERE orders.order_id = given.order_id
)
INSERT INTO kessai.audit (actor, action, subject, endpoint, from_state, to_state, detail)
SELECT $10, 'order.moved', order_id, endpoint, from_state, state,
       jsonb_build_object('settlement_batch_id', settlement_batch_id, 'metered_usage_id', metered_usage_id)
FROM given
"""
