"""What became of each webhook event."""

from dataclasses import dataclass
from datetime import datetime

from shared.errors import KessaiError
from shared.ledger.database import Connection


class EventNotFound(KessaiError):
    def __init__(self, event_id: str) -> None:
        super().__init__(f"no event {event_id!r} in the books: it never came, or it still waits in the queue")


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    endpoint: str
    event_id: str
    type: str
    kind: str
    outcome: str
    reason: str | None
    order_id: str | None
    occurred_at: datetime | None
    received_at: datetime
    applied_at: datetime
    deliveries: int
    """How often the platform delivered it."""


_COLUMNS = "endpoint, event_id, type, kind, outcome, reason, order_id, occurred_at, received_at, applied_at, deliveries"


async def newest(connection: Connection, *, limit: int, outcome: str | None = None) -> list[RecordedEvent]:
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM kessai.webhook_events
        WHERE $2::text IS NULL OR outcome = $2
        ORDER BY received_at DESC, receipt_id DESC
        LIMIT $1
        """,
        limit,
        outcome,
    )
    return [RecordedEvent(**dict(row)) for row in rows]


# The key begins with the endpoint: an id alone is looked up at each endpoint in turn, however many events there are.
FIND = f"""
WITH RECURSIVE doors AS (
    (SELECT endpoint FROM kessai.webhook_events ORDER BY endpoint LIMIT 1)
    UNION ALL
    SELECT (SELECT endpoint FROM kessai.webhook_events WHERE endpoint > doors.endpoint ORDER BY endpoint LIMIT 1)
    FROM doors
    WHERE endpoint IS NOT NULL
)
SELECT {_COLUMNS}
FROM doors
JOIN kessai.webhook_events USING (endpoint)
WHERE event_id = $1 AND ($2::text IS NULL OR endpoint = $2)
ORDER BY received_at DESC
LIMIT 1
"""


async def find(connection: Connection, event_id: str, *, endpoint: str | None = None) -> RecordedEvent:
    """The event of this id; the newest when several endpoints know it. Raises EventNotFound."""
    row = await connection.fetchrow(FIND, event_id, endpoint)
    if row is None:
        raise EventNotFound(event_id)
    return RecordedEvent(**dict(row))
