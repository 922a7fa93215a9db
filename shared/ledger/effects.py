"""What rulings do to orders, usage, batches, the review desk and the outbox: one statement a table.

Shared by whatever rules: the batches of workers, the registration of an order whose payment came first, a person's
decision.
"""

from collections.abc import Sequence

import asyncpg
import orjson

from shared.ledger import outbox
from shared.ledger.changes import Changes, ClaimRow, ReviewRow
from shared.ledger.columns import given, pack
from shared.ledger.database import Connection, TransientConflict, affected
from shared.ledger.evidence import both_sides
from shared.ledger.facts import OutboxFact
from shared.ledger.payment_money import money_of, paid_with
from shared.ledger.transitions import queue_of
from shared.sdrp.classify import MeteredUsageAccepted


class NotLookedFor(TransientConflict):
    """The books hold what the rulings did not know of: rule again after a thorough look."""


async def write_effects(connection: Connection, changes: Changes, *, actor: str) -> list[ReviewRow]:
    """What the rulings did beyond the claims themselves, each table at once. Raises TransientConflict.

    Returns the reviews that the books held already.
    """
    if changes.moves:
        await _move_orders(connection, changes.moves, actor)
    usage = [row for row in changes.moves if isinstance(row.incoming.confirmation, MeteredUsageAccepted)]
    if usage:
        await _book_usage(connection, usage)
    if changes.batches:
        await _book_batches(connection, changes.batches)
    known = await _open_reviews(connection, changes.reviews) if changes.reviews else []
    told = _without(changes.told, [review.told for review in known])
    if told:
        await outbox.put(connection, told)
    return known


# The orders are locked already, so the order of the update does not matter. That of the audit does: a requirement is
# unique there, and whoever meets must wait instead of deadlocking.
MOVE_ORDERS = f"""
WITH given AS (
    SELECT *
    FROM {
    given(
        order_id="text",
        from_state="text",
        state="text",
        requirement_id="text",
        chain_receipt_id="text",
        paid_at="timestamptz",
        endpoint="text",
        event_id="text",
        paid_minor="numeric",
        paid_currency="text",
    )
}
), moved AS (
    UPDATE kessai.orders
    SET state = given.state, requirement_id = given.requirement_id, chain_receipt_id = given.chain_receipt_id,
        paid_at = given.paid_at, updated_at = now()
    FROM given
    WHERE orders.order_id = given.order_id
)
INSERT INTO kessai.audit (actor, action, subject, endpoint, event_id, from_state, to_state, paid_at, requirement_id,
                          paid_minor, paid_currency)
SELECT $13, 'order.moved', order_id, endpoint, event_id, from_state, state, paid_at, requirement_id, paid_minor,
       paid_currency
FROM given
"""


async def _move_orders(connection: Connection, moves: Sequence[ClaimRow], actor: str) -> None:
    """Move each order and write down what moved it, once each. Raises NotLookedFor."""
    moved = [(row, row.ruling.order) for row in moves if row.ruling.order is not None]
    moved.sort(key=lambda move: move[1].requirement_id or "")
    paid = [paid_with(row.incoming.confirmation, order) for row, order in moved]
    try:
        await connection.execute(
            MOVE_ORDERS,
            *pack(
                [order.order_id for _, order in moved],
                [row.ruling.moved_from for row, _ in moved],
                [order.state for _, order in moved],
                [order.requirement_id for _, order in moved],
                [order.chain_receipt_id for _, order in moved],
                [order.paid_at.isoformat() if order.paid_at else None for _, order in moved],
                [row.incoming.envelope.endpoint for row, _ in moved],
                [row.incoming.event.id for row, _ in moved],
                [str(money.amount_minor) if money else None for money in paid],
                [money.currency if money else None for money in paid],
            ),
            actor,
        )
    except asyncpg.UniqueViolationError as error:
        raise NotLookedFor("a requirement of this work has paid another order") from error


BOOK_USAGE = """
INSERT INTO kessai.metered_usage (endpoint, requirement_id, order_id, event_id, pricing_band, amount_minor, currency,
                                  accepted_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::numeric[], $7::text[],
                     $8::timestamptz[])
ON CONFLICT DO NOTHING
"""


async def _book_usage(connection: Connection, rows: Sequence[ClaimRow]) -> None:
    used = [
        (row.incoming, row.incoming.confirmation, row.ruling.order)
        for row in rows
        if isinstance(row.incoming.confirmation, MeteredUsageAccepted) and row.ruling.order is not None
    ]
    await connection.execute(
        BOOK_USAGE,
        [incoming.envelope.endpoint for incoming, _, _ in used],
        [usage.requirement_id for _, usage, _ in used],
        [order.order_id for _, _, order in used],
        [incoming.event.id for incoming, _, _ in used],
        [usage.pricing_band for _, usage, _ in used],
        [money_of(usage, order).amount_minor for _, usage, order in used],
        [money_of(usage, order).currency for _, usage, order in used],
        [incoming.occurred_at or incoming.envelope.received_at for incoming, _, _ in used],
    )


BOOK_BATCHES = """
INSERT INTO kessai.settlement_batches (settlement_batch_id, endpoint, event_id, pricing_band, state, chain_receipt_id,
                                       usage_event_digest, settled_at, currency, provider_gross_amount_minor,
                                       usage_event_count)
SELECT batch_id, endpoint, event_id, pricing_band, 'settled', receipt, digest, settled_at, currency, gross, usage_count
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[],
            $9::numeric[], $10::bigint[])
     AS told (batch_id, endpoint, event_id, pricing_band, receipt, digest, settled_at, currency, gross, usage_count)
ON CONFLICT DO NOTHING
"""


async def _book_batches(connection: Connection, rows: Sequence[ClaimRow]) -> None:
    settled = [(row.incoming, row.ruling.batch) for row in rows if row.ruling.batch is not None]
    settled.sort(key=lambda pair: pair[1].settlement_batch_id)
    status = await connection.execute(
        BOOK_BATCHES,
        [batch.settlement_batch_id for _, batch in settled],
        [incoming.envelope.endpoint for incoming, _ in settled],
        [incoming.event.id for incoming, _ in settled],
        [batch.pricing_band for _, batch in settled],
        [batch.chain_receipt_id for _, batch in settled],
        [batch.usage_event_digest for _, batch in settled],
        [batch.settled_at for _, batch in settled],
        [batch.currency for _, batch in settled],
        [batch.gross for _, batch in settled],
        [batch.usage_count for _, batch in settled],
    )
    if affected(status) != len(settled):
        raise TransientConflict("another worker booked a settlement batch of this batch first")


OPEN_REVIEWS = """
INSERT INTO kessai.reviews (queue, reason, endpoint, event_id, receipt_id, received_at, body_digest, order_id,
                            challenge_hash, evidence)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::timestamptz[], $7::bytea[],
                     $8::text[], $9::text[], $10::jsonb[])
ON CONFLICT ON CONSTRAINT reviews_once DO NOTHING
RETURNING endpoint, event_id, reason, body_digest
"""


async def _open_reviews(connection: Connection, reviews: Sequence[ReviewRow]) -> list[ReviewRow]:
    """Returns those that the books held already: conflicting bytes may be delivered any number of times."""
    envelopes = [review.incoming.envelope for review in reviews]
    rows = await connection.fetch(
        OPEN_REVIEWS,
        [queue_of(review.reason) for review in reviews],
        [review.reason for review in reviews],
        [envelope.endpoint for envelope in envelopes],
        [review.incoming.event.id for review in reviews],
        [envelope.receipt_id for envelope in envelopes],
        [envelope.received_at for envelope in envelopes],
        [review.incoming.digest for review in reviews],
        [review.order.order_id if review.order else None for review in reviews],
        [review.incoming.challenge_hash for review in reviews],
        [
            orjson.dumps(both_sides(review.incoming, review.order, spent_on=review.spent_on)).decode()
            for review in reviews
        ],
    )
    opened = {tuple(row) for row in rows}
    known = []
    for review in reviews:
        if review.key in opened:
            opened.remove(review.key)  # the same review again in this very batch is not another one
        else:
            known.append(review)
    return known


def _without(told: Sequence[OutboxFact], untold: Sequence[OutboxFact]) -> Sequence[OutboxFact]:
    """Facts but for these very ones; others may read the same."""
    silent = {id(fact) for fact in untold}
    return [fact for fact in told if id(fact) not in silent] if silent else told
