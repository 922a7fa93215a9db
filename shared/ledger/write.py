"""Writes what was ruled: one statement a table, whatever the size of the batch."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import orjson

from shared.broker.envelope import ReplayMark
from shared.ledger import audit, reviews
from shared.ledger.audit import Act
from shared.ledger.books import OpenReview, Order
from shared.ledger.columns import given, pack
from shared.ledger.database import Connection, TransientConflict
from shared.ledger.facts import OutboxFact
from shared.ledger.incoming import Incoming
from shared.ledger.outbox import SHARDS
from shared.ledger.replays.items import ItemResult, settle_items
from shared.ledger.rulings import Changes, ClaimRow, ReviewRow, Ruling, Tally, evidence
from shared.ledger.transitions import queue_of
from shared.sdrp.classify import MeteredUsageAccepted

REPROCESSED = "reprocessed"
"""Resolution of a review that a new ruling closes."""


async def write(connection: Connection, changes: Changes, *, actor: str, now: datetime) -> None:
    """Write what was ruled, each table at once."""
    if changes.claims:
        await _claim_events(connection, changes.claims)
    if changes.archive:
        await _archive(connection, changes.archive)
    if changes.reruled:
        await _close_reviews(connection, changes.reruled, actor)
    await write_effects(connection, changes, actor=actor)
    if changes.repeats:
        await _count_deliveries(connection, changes.repeats)
    if changes.no_longer_dead:
        await _resolve_dead_letters(connection, changes.no_longer_dead)
    if changes.replayed:
        await settle_items(connection, _results(changes.replayed))
    if changes.tallies:
        await _tally(connection, changes.tallies, now)


async def write_effects(connection: Connection, changes: Changes, *, actor: str) -> None:
    """What the rulings did beyond the claim itself."""
    if changes.orders:
        await _move_orders(connection, changes.orders.values())
    usage = [row for row in changes.moves if isinstance(row.incoming.confirmation, MeteredUsageAccepted)]
    if usage:
        await _book_usage(connection, usage)
    if changes.batches:
        await _book_batches(connection, changes.batches)
    known = await _open_reviews(connection, changes.reviews) if changes.reviews else []
    told = _without(changes.told, [review.told for review in known])
    if told:
        await put_in_outbox(connection, told)
    if changes.moves:
        await _audit_moves(connection, changes.moves, actor)


# An event that was set aside holds its id only until it can be applied, so its row is taken over.
CLAIM_EVENTS = f"""
INSERT INTO kessai.webhook_events AS known (endpoint, event_id, receipt_id, received_at, body_digest, type, kind,
                                            outcome, reason, order_id, occurred_at)
SELECT endpoint, event_id, receipt_id, received_at, decode(digest, 'hex'), type, kind, outcome, reason, order_id,
       occurred_at
FROM {
    given(
        endpoint="text",
        event_id="text",
        receipt_id="uuid",
        received_at="timestamptz",
        digest="text",
        type="text",
        kind="text",
        outcome="text",
        reason="text",
        order_id="text",
        occurred_at="timestamptz",
    )
}
ON CONFLICT (endpoint, event_id) DO UPDATE
SET receipt_id = excluded.receipt_id, received_at = excluded.received_at, body_digest = excluded.body_digest,
    type = excluded.type, kind = excluded.kind, outcome = excluded.outcome, reason = excluded.reason,
    order_id = excluded.order_id, occurred_at = excluded.occurred_at, applied_at = clock_timestamp(),
    deliveries = known.deliveries + (known.receipt_id <> excluded.receipt_id)::int
WHERE known.outcome = 'dead_letter'
"""


async def _claim_events(connection: Connection, claims: Mapping[tuple[str, str], ClaimRow]) -> None:
    """One row an event id. A row that is not ours after all belongs to a worker that committed since we looked."""
    rows = [claims[key] for key in sorted(claims)]
    status = await connection.execute(
        CLAIM_EVENTS,
        *pack(
            [row.incoming.envelope.endpoint for row in rows],
            [row.incoming.event.id for row in rows],
            [row.incoming.envelope.receipt_id.hex for row in rows],
            [row.incoming.envelope.received_at.isoformat() for row in rows],
            [row.incoming.digest.hex() for row in rows],
            [row.incoming.event.type for row in rows],
            [row.incoming.kind for row in rows],
            [row.ruling.outcome for row in rows],
            [row.ruling.reason for row in rows],
            [row.ruling.order.order_id if row.ruling.order else None for row in rows],
            [row.incoming.occurred_at.isoformat() if row.incoming.occurred_at else None for row in rows],
        ),
    )
    if _affected(status) != len(rows):
        raise TransientConflict("another worker claimed an event of this batch first")


ARCHIVE = f"""
INSERT INTO kessai.webhook_archive (receipt_id, received_at, endpoint, event_id, raw, signature, key_fingerprint,
                                    traceparent)
SELECT receipt_id, received_at, endpoint, event_id, convert_to(raw, 'UTF8'), signature, key_fingerprint, traceparent
FROM {
    given(
        receipt_id="uuid",
        received_at="timestamptz",
        endpoint="text",
        event_id="text",
        raw="text",
        signature="text",
        key_fingerprint="text",
        traceparent="text",
    )
}
ON CONFLICT DO NOTHING
"""


async def _archive(connection: Connection, received: Sequence[Incoming]) -> None:
    """JSON is UTF-8 without NUL, so the bytes travel as text and are stored as the bytes they were."""
    envelopes = [incoming.envelope for incoming in received]
    await connection.execute(
        ARCHIVE,
        *pack(
            [envelope.receipt_id.hex for envelope in envelopes],
            [envelope.received_at.isoformat() for envelope in envelopes],
            [envelope.endpoint for envelope in envelopes],
            [incoming.event.id for incoming in received],
            [envelope.raw.decode() for envelope in envelopes],
            [envelope.signature for envelope in envelopes],
            [envelope.key_fingerprint for envelope in envelopes],
            [envelope.traceparent for envelope in envelopes],
        ),
    )


MOVE_ORDERS = f"""
UPDATE kessai.orders
SET state = given.state, requirement_id = given.requirement_id, chain_receipt_id = given.chain_receipt_id,
    paid_at = given.paid_at, updated_at = now()
FROM {given(order_id="text", state="text", requirement_id="text", chain_receipt_id="text", paid_at="timestamptz")}
WHERE orders.order_id = given.order_id
"""


async def _move_orders(connection: Connection, orders: Iterable[Order]) -> None:
    """The orders are locked already, so the order of this update does not matter."""
    moved = list(orders)
    await connection.execute(
        MOVE_ORDERS,
        *pack(
            [order.order_id for order in moved],
            [order.state for order in moved],
            [order.requirement_id for order in moved],
            [order.chain_receipt_id for order in moved],
            [order.paid_at.isoformat() if order.paid_at else None for order in moved],
        ),
    )


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
        [order.amount_minor for _, _, order in used],
        [order.currency for _, _, order in used],
        [incoming.occurred_at or incoming.envelope.received_at for incoming, _, _ in used],
    )


BOOK_BATCHES = """
INSERT INTO kessai.settlement_batches (settlement_batch_id, endpoint, event_id, pricing_band, state, chain_receipt_id,
                                       usage_event_digest, settled_at)
SELECT batch_id, endpoint, event_id, pricing_band, 'settled', receipt, digest, settled_at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
     AS told (batch_id, endpoint, event_id, pricing_band, receipt, digest, settled_at)
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
    )
    if _affected(status) != len(settled):
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
        [orjson.dumps(evidence(review.incoming, review.order)).decode() for review in reviews],
    )
    opened = {tuple(row) for row in rows}
    known = []
    for review in reviews:
        key = (*review.incoming.key, str(review.reason), review.incoming.digest)
        if key in opened:
            opened.remove(key)  # the same review again in this very batch is not another one
        else:
            known.append(review)
    return known


def _without(told: Sequence[OutboxFact], untold: Sequence[OutboxFact]) -> Sequence[OutboxFact]:
    """Facts but for these very ones; others may read the same."""
    silent = {id(fact) for fact in untold}
    return [fact for fact in told if id(fact) not in silent] if silent else told


PUT_IN_OUTBOX = f"""
INSERT INTO kessai.outbox (shard, name, routing_key, subject, body)
SELECT hashtext(subject) & {SHARDS - 1}, name, routing_key, subject, body
FROM {given(name="text", routing_key="text", subject="text", body="text")}
"""


async def put_in_outbox(connection: Connection, told: Sequence[OutboxFact]) -> None:
    """Postgres numbers the rows as they are given, so the outbox keeps their order."""
    await connection.execute(
        PUT_IN_OUTBOX,
        *pack(
            [fact.name for fact in told],
            [fact.routing_key for fact in told],
            [fact.subject for fact in told],
            [fact.body for fact in told],
        ),
    )


AUDIT_MOVES = f"""
INSERT INTO kessai.audit (actor, action, subject, endpoint, event_id, from_state, to_state)
SELECT actor, 'order.moved', order_id, endpoint, event_id, from_state, to_state
FROM {given(actor="text", order_id="text", endpoint="text", event_id="text", from_state="text", to_state="text")}
"""


async def _audit_moves(connection: Connection, moves: Sequence[ClaimRow], actor: str) -> None:
    moved = [(row, row.ruling.order) for row in moves if row.ruling.order is not None]
    await connection.execute(
        AUDIT_MOVES,
        *pack(
            [actor] * len(moved),
            [order.order_id for _, order in moved],
            [order.endpoint for _, order in moved],
            [row.incoming.event.id for row, _ in moved],
            [row.ruling.moved_from for row, _ in moved],
            [order.state for _, order in moved],
        ),
    )


COUNT_DELIVERIES = """
UPDATE kessai.webhook_events AS known
SET deliveries = deliveries + repeated.times
FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::int[]) AS given (endpoint, event_id, times)
      ORDER BY endpoint, event_id) AS repeated
WHERE known.endpoint = repeated.endpoint AND known.event_id = repeated.event_id
"""


async def _count_deliveries(connection: Connection, repeats: Mapping[tuple[str, str], int]) -> None:
    keys = sorted(repeats)
    await connection.execute(
        COUNT_DELIVERIES, [key[0] for key in keys], [key[1] for key in keys], [repeats[key] for key in keys]
    )


# Other bytes under the same event id stay open, unless it is they that were handed over again: what they meant is not
# known.
RESOLVE_DEAD_LETTERS = """
WITH given AS (
    SELECT *
    FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) AS given (endpoint, event_id, digest, receipt_id)
)
UPDATE kessai.dead_letters AS letter
SET state = 'resolved', closed_at = now()
FROM (
    SELECT dead_letter_id
    FROM given
    JOIN kessai.dead_letters AS of_event USING (endpoint, event_id)
    WHERE sha256(of_event.raw) = given.digest
    UNION
    SELECT dead_letter_id
    FROM given
    JOIN kessai.dead_letters USING (receipt_id)
) AS resolved
WHERE letter.dead_letter_id = resolved.dead_letter_id AND letter.state = 'open'
"""


async def _resolve_dead_letters(connection: Connection, no_longer_dead: Sequence[Incoming]) -> None:
    await connection.execute(
        RESOLVE_DEAD_LETTERS,
        [incoming.envelope.endpoint for incoming in no_longer_dead],
        [incoming.event.id for incoming in no_longer_dead],
        [incoming.digest for incoming in no_longer_dead],
        [incoming.envelope.receipt_id for incoming in no_longer_dead],
    )


async def _close_reviews(connection: Connection, reruled: Sequence[tuple[OpenReview, ClaimRow]], actor: str) -> None:
    """The events that waited in them came to something else after all."""
    endings = [reviews.Ending(review.review_id, row.ruling) for review, row in reruled]
    await reviews.close(connection, endings, by=actor, resolution=REPROCESSED)
    await audit.record_all(connection, [_new_ruling(review, row, actor) for review, row in reruled])


def _new_ruling(review: OpenReview, row: ClaimRow, actor: str) -> Act:
    endpoint, event_id = row.incoming.key
    return Act(
        actor=actor,
        action="review.resolved",
        subject=reviews.subject(review.review_id),
        endpoint=endpoint,
        event_id=event_id,
        detail={"resolution": REPROCESSED, "outcome": row.ruling.outcome, "reason": row.ruling.reason},
    )


def _results(replayed: Mapping[ReplayMark, Ruling]) -> list[ItemResult]:
    return [ItemResult(mark.replay_id, mark.item, ruling.outcome, ruling.reason) for mark, ruling in replayed.items()]


TALLY = """
INSERT INTO kessai.tallies (at, endpoint, kind, outcome, key_fingerprint, deliveries, longest_wait)
SELECT $1, *
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::float8[])
"""


async def _tally(connection: Connection, tallies: Mapping[tuple[str, str, str, str], Tally], now: datetime) -> None:
    """Rows are added, never updated: counting must not make two workers wait for each other."""
    keys = list(tallies)
    await connection.execute(
        TALLY,
        now,
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
        [key[3] for key in keys],
        [tallies[key].deliveries for key in keys],
        [tallies[key].longest_wait for key in keys],
    )


def _affected(status: str) -> int:
    """Rows of a command tag such as `INSERT 0 12`."""
    return int(status.rpartition(" ")[2])
