"""What could not be applied, kept with its bytes until a person replays or drops it."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from shared.broker.envelope import NO_ENDPOINT, Envelope, Failure
from shared.ledger.books import Outcome
from shared.ledger.database import Connection
from shared.ledger.incoming import read as read_event
from shared.ledger.replays.items import ItemResult, settle_items
from shared.sdrp.events import is_storable
from shared.sdrp.signature import MAX_HEADER

MAX_TEXT = 1000
"""Characters of any text about a dead letter that the books keep; what its signature covers is kept whole."""
UNREAD = "unread"
"""Kind of a dead letter whose bytes are no event."""

# The same receipt comes again when the broker redelivers it, or when a replay of it fails.
ARCHIVE = """
INSERT INTO kessai.dead_letters AS known (receipt_id, reason, error, detail, endpoint, event_id, type, attempts,
                                          received_at, raw, signature, key_fingerprint, traceparent, kind,
                                          challenge_hash)
SELECT DISTINCT ON (receipt_id) *
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::int[],
            $9::timestamptz[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[])
     AS given (receipt_id, reason, error, detail, endpoint, event_id, type, attempts, received_at, raw, signature,
               key_fingerprint, traceparent, kind, challenge_hash)
ORDER BY receipt_id, attempts DESC
ON CONFLICT ON CONSTRAINT dead_letters_once DO UPDATE
SET reason = excluded.reason, error = excluded.error, detail = excluded.detail,
    attempts = greatest(known.attempts, excluded.attempts), last_seen = now()
RETURNING receipt_id, kind, first_seen = now() AS is_new
"""

# None was applied, so none has a wait. Rows are added, never updated, as by those who apply.
TALLY = """
INSERT INTO kessai.tallies (at, endpoint, kind, outcome, key_fingerprint, deliveries, longest_wait)
SELECT now(), endpoint, kind, 'dead_letter', key_fingerprint, count(*), 0
FROM unnest($1::text[], $2::text[], $3::text[]) AS given (endpoint, kind, key_fingerprint)
GROUP BY endpoint, kind, key_fingerprint
"""

# A claim says how the event ended for whoever looks it up; it is taken over when the event can be applied after all.
CLAIM = """
INSERT INTO kessai.webhook_events (endpoint, event_id, receipt_id, received_at, body_digest, type, kind, outcome,
                                   reason)
SELECT DISTINCT ON (endpoint, event_id) endpoint, event_id, receipt_id, received_at, sha256(raw), type, 'unread',
       'dead_letter', reason
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bytea[])
     AS given (receipt_id, reason, endpoint, event_id, type, received_at, raw)
ORDER BY endpoint, event_id, received_at
ON CONFLICT (endpoint, event_id) DO NOTHING
"""


async def archive(connection: Connection, letters: Sequence[tuple[Envelope, Failure]]) -> None:
    """Keep and count dead letters, each once; name those whose event id could be read among the events too."""
    letters = [_storable_letter(envelope, failure) for envelope, failure in letters]
    read = [_kind_and_challenge(envelope) for envelope, _ in letters]
    async with connection.transaction():
        kept = await connection.fetch(
            ARCHIVE,
            [envelope.receipt_id for envelope, _ in letters],
            [failure.reason for _, failure in letters],
            [failure.error for _, failure in letters],
            [failure.detail for _, failure in letters],
            [envelope.endpoint for envelope, _ in letters],
            [envelope.event_id for envelope, _ in letters],
            [envelope.type for envelope, _ in letters],
            [envelope.attempts for envelope, _ in letters],
            [envelope.received_at for envelope, _ in letters],
            [envelope.raw for envelope, _ in letters],
            [envelope.signature for envelope, _ in letters],
            [envelope.key_fingerprint for envelope, _ in letters],
            [envelope.traceparent for envelope, _ in letters],
            [kind for kind, _ in read],
            [challenge_hash for _, challenge_hash in read],
        )
        await _count_deliveries(connection, letters, {row["receipt_id"]: row["kind"] for row in kept if row["is_new"]})
        await _note_replays(connection, [letter for letter in letters if letter[0].replay is not None])
        named = [(envelope, failure) for envelope, failure in letters if envelope.event_id and envelope.type]
        await connection.execute(
            CLAIM,
            [envelope.receipt_id for envelope, _ in named],
            [failure.reason for _, failure in named],
            [envelope.endpoint for envelope, _ in named],
            [envelope.event_id for envelope, _ in named],
            [envelope.type for envelope, _ in named],
            [envelope.received_at for envelope, _ in named],
            [envelope.raw for envelope, _ in named],
        )


async def _count_deliveries(
    connection: Connection, letters: Sequence[tuple[Envelope, Failure]], kinds: Mapping[UUID, str]
) -> None:
    """What charts are drawn from: receipts that are new, by their kinds. A replay is no delivery."""
    delivered = {envelope.receipt_id: envelope for envelope, _ in letters if envelope.replay is None}
    new = [(delivered[receipt_id], kind) for receipt_id, kind in kinds.items() if receipt_id in delivered]
    await connection.execute(
        TALLY,
        [envelope.endpoint for envelope, _ in new],
        [kind for _, kind in new],
        [envelope.key_fingerprint for envelope, _ in new],
    )


async def _note_replays(connection: Connection, letters: Sequence[tuple[Envelope, Failure]]) -> None:
    """Items of a replay that failed again. A replay begins to count tries anew, so they are added up, once an item."""
    failed = {
        (envelope.replay.replay_id, envelope.replay.item): (envelope, failure)
        for envelope, failure in letters
        if envelope.replay is not None
    }
    if not failed:
        return
    results = [ItemResult(*key, Outcome.DEAD_LETTER, failure.reason) for key, (_, failure) in failed.items()]
    fresh = [failed[key][0] for key in await settle_items(connection, results)]
    await connection.execute(
        """
        UPDATE kessai.dead_letters AS known
        SET attempts = known.attempts + given.attempts
        FROM unnest($1::uuid[], $2::int[]) AS given (receipt_id, attempts)
        WHERE known.receipt_id = given.receipt_id AND known.first_seen < now()
        """,
        [envelope.receipt_id for envelope in fresh],
        [envelope.attempts for envelope in fresh],
    )


def _storable_letter(envelope: Envelope, failure: Failure) -> tuple[Envelope, Failure]:
    """Text that Postgres takes, whoever wrote the message: one strange letter must not keep the others out."""
    kept = envelope._replace(
        endpoint=_key_or_none(envelope.endpoint) or NO_ENDPOINT,
        event_id=_key_or_none(envelope.event_id),
        type=_key_or_none(envelope.type),
        signature=_storable(envelope.signature, longest=MAX_HEADER),
        key_fingerprint=_storable(envelope.key_fingerprint),
        traceparent=_key_or_none(envelope.traceparent),
    )
    return kept, Failure(_storable(failure.reason), _storable(failure.error), _storable(failure.detail))


def _kind_and_challenge(envelope: Envelope) -> tuple[str, str | None]:
    """As far as the bytes can be read; what makes the reading itself fail is why some letters are here."""
    try:
        incoming = read_event(envelope)
    except Exception:
        return UNREAD, None
    return incoming.kind, incoming.challenge_hash


def _storable(text: str, *, longest: int = MAX_TEXT) -> str:
    return text[:longest].replace("\0", "\N{REPLACEMENT CHARACTER}")


def _key_or_none(text: str | None) -> str | None:
    """A key that had to be cut would name another thing."""
    return text if text and is_storable(text) else None
