"""Writes what was ruled: one statement a table, whatever the size of the batch."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from shared.broker.envelope import ReplayMark
from shared.ledger import audit, reviews
from shared.ledger.audit import Act
from shared.ledger.books import OpenReview
from shared.ledger.changes import Changes, ClaimRow, ReviewRow, Ruling, Tally
from shared.ledger.columns import given, pack
from shared.ledger.database import Connection, TransientConflict, affected
from shared.ledger.effects import NotLookedFor, write_effects
from shared.ledger.incoming import Incoming
from shared.ledger.lookup import find_decided
from shared.ledger.replays.items import ItemResult, settle_items

REPROCESSED = "reprocessed"
"""Resolution of a review that a new ruling closes."""


async def write(connection: Connection, changes: Changes, *, actor: str, now: datetime) -> None:
    """Write what was ruled, each table at once. Raises TransientConflict."""
    if changes.claims:
        await _claim_events(connection, changes.claims)
    if changes.archive:
        await _archive(connection, ARCHIVE, changes.archive)
    if changes.conflicts:
        await _archive(connection, ARCHIVE_CONFLICTS, changes.conflicts)
    if changes.reruled:
        await _close_reviews(connection, changes.reruled, actor)
    known = await write_effects(connection, changes, actor=actor)
    if known:
        await _require_open(connection, known)
    if changes.repeats:
        await _count_deliveries(connection, changes.repeats)
    if changes.no_longer_dead:
        await _resolve_dead_letters(connection, changes.no_longer_dead)
    if changes.replayed:
        await settle_items(connection, _results(changes.replayed))
    if changes.tallies:
        await _tally(connection, changes.tallies, now)


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
    if affected(status) != len(rows):
        raise TransientConflict("another worker claimed an event of this batch first")


def _archiving(*, is_conflict: bool) -> str:
    return f"""
    INSERT INTO kessai.webhook_archive (receipt_id, received_at, endpoint, event_id, raw, signature, key_fingerprint,
                                        traceparent, is_conflict)
    SELECT receipt_id, received_at, endpoint, event_id, convert_to(raw, 'UTF8'), signature, key_fingerprint,
           traceparent, {is_conflict}
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


ARCHIVE = _archiving(is_conflict=False)
ARCHIVE_CONFLICTS = _archiving(is_conflict=True)


async def _archive(connection: Connection, query: str, received: Sequence[Incoming]) -> None:
    """JSON is UTF-8 without NUL, so the bytes travel as text and are stored as the bytes they were."""
    envelopes = [incoming.envelope for incoming in received]
    await connection.execute(
        query,
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


async def _require_open(connection: Connection, known: Sequence[ReviewRow]) -> None:
    """An event must not wait in a review that nobody sees any more. Raises NotLookedFor."""
    decided = await find_decided(connection, sorted({review.incoming.key for review in known}))
    if any(review.key in decided for review in known):
        raise NotLookedFor("a review of this work is decided already")


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
