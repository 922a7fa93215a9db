"""Which deliveries of an event are kept, with the bytes and the signature that came with them?"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from uuid import UUID

from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.ledger.dead_letter_search import BytesDeleted, DeadLetterNotFound


class NoReceiptKept(KessaiError):
    def __init__(self, event_id: str, received_at: datetime) -> None:
        super().__init__(
            f"no bytes of event {event_id!r} are kept any more: it was received at {received_at:%Y-%m-%d %H:%M}Z, "
            "and the archive of that month is gone; look for it in a backup"
        )


@dataclass(frozen=True, slots=True)
class Receipt:
    """One delivery, verbatim."""

    receipt_id: UUID
    received_at: datetime
    kept_in: Literal["archive", "dead_letters"]
    key_fingerprint: str
    """Of the secret that verified it at the door."""
    signature: str
    """The `Siglume-Signature` header."""
    raw: bytes = field(repr=False)
    traceparent: str | None = None


# The archive has an index of conflicting bytes alone, since one of all events would cost every webhook: the claim and
# the reviews name the other rows. What repeats the bytes of the claim is counted and not kept. A dead letter keeps its
# bytes itself.
OF_EVENT = """
SELECT DISTINCT ON (receipt_id) receipt_id, received_at, kept_in, key_fingerprint, signature, raw, traceparent
FROM (
    SELECT receipt_id, received_at, 'archive' AS kept_in, key_fingerprint, signature, raw, traceparent
    FROM (
        SELECT receipt_id, received_at FROM kessai.webhook_events WHERE endpoint = $1 AND event_id = $2
        UNION
        SELECT receipt_id, received_at FROM kessai.reviews WHERE endpoint = $1 AND event_id = $2
    ) AS named
    JOIN kessai.webhook_archive USING (receipt_id, received_at)
    UNION ALL
    SELECT receipt_id, received_at, 'archive', key_fingerprint, signature, raw, traceparent
    FROM kessai.webhook_archive
    WHERE endpoint = $1 AND event_id = $2 AND is_conflict
    UNION ALL
    SELECT receipt_id, received_at, 'dead_letters', key_fingerprint, signature, raw, traceparent
    FROM kessai.dead_letters
    WHERE endpoint = $1 AND event_id = $2 AND raw IS NOT NULL
) AS kept
ORDER BY receipt_id, kept_in
"""


async def of_event(connection: Connection, endpoint: str, event_id: str) -> list[Receipt]:
    """Every delivery that is kept, the oldest first; none once retention has dropped them."""
    rows = await connection.fetch(OF_EVENT, endpoint, event_id)
    return sorted((Receipt(**dict(row)) for row in rows), key=lambda receipt: receipt.received_at)


async def of_dead_letter(connection: Connection, dead_letter_id: int) -> tuple[str, Receipt]:
    """The endpoint of a dead letter, and what it keeps. Raises DeadLetterNotFound and BytesDeleted."""
    row = await connection.fetchrow(
        """
        SELECT endpoint, receipt_id, received_at, 'dead_letters' AS kept_in, key_fingerprint, signature, raw,
               traceparent, raw_deleted_at
        FROM kessai.dead_letters
        WHERE dead_letter_id = $1
        """,
        dead_letter_id,
    )
    if row is None:
        raise DeadLetterNotFound(dead_letter_id)
    values = dict(row)
    endpoint: str = values.pop("endpoint")
    deleted_at: datetime | None = values.pop("raw_deleted_at")
    if deleted_at is not None:
        raise BytesDeleted(dead_letter_id, deleted_at)
    return endpoint, Receipt(**values)
