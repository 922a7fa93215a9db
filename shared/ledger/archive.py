"""What came to the door, read again from its kept bytes."""

from datetime import datetime
from uuid import UUID

from shared.broker.envelope import Envelope
from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.incoming import Incoming, read
from shared.ledger.reviews import RecordedReview


async def find(connection: Connection, receipt_id: UUID, received_at: datetime) -> Incoming | None:
    """A receipt as today's classifier reads it; None when its bytes are no longer kept. Raises MalformedEvent."""
    row = await connection.fetchrow(
        "SELECT * FROM kessai.webhook_archive WHERE receipt_id = $1 AND received_at = $2", receipt_id, received_at
    )
    return None if row is None else from_row(row)


async def of_review(connection: Connection, review: RecordedReview) -> Incoming | None:
    """What a review is about; None when its bytes are no longer kept, or when no event is behind it."""
    if review.receipt_id is None or review.received_at is None:
        return None
    return await find(connection, review.receipt_id, review.received_at)


def from_row(row: Row) -> Incoming:
    """A row that has every column of the archive. Raises MalformedEvent."""
    return read(
        Envelope(
            receipt_id=row["receipt_id"],
            endpoint=row["endpoint"],
            received_at=row["received_at"],
            signature=row["signature"],
            key_fingerprint=row["key_fingerprint"],
            raw=row["raw"],
            event_id=row["event_id"],
            traceparent=row["traceparent"],
        )
    )
