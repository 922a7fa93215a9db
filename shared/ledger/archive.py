"""What came to the door, read again from its kept bytes."""

from datetime import datetime
from uuid import UUID

from shared.broker.envelope import Envelope
from shared.ledger.books import Row
from shared.ledger.database import Connection
from shared.ledger.incoming import Incoming, read


async def find(connection: Connection, receipt_id: UUID, received_at: datetime) -> Incoming | None:
    """A receipt as today's classifier reads it; None when its bytes are no longer kept. Raises MalformedEvent."""
    row = await connection.fetchrow(
        "SELECT * FROM kessai.webhook_archive WHERE receipt_id = $1 AND received_at = $2", receipt_id, received_at
    )
    return None if row is None else from_row(row)


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
