"""What waits for a person's decision."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from shared.errors import KessaiError
from shared.ledger.database import Connection


class ReviewNotFound(KessaiError):
    def __init__(self, review_id: int) -> None:
        super().__init__(f"no review {review_id}: see `kessai reviews list`")


@dataclass(frozen=True, slots=True)
class RecordedReview:
    review_id: int
    queue: str
    reason: str
    state: str
    endpoint: str
    event_id: str
    order_id: str | None
    challenge_hash: str | None
    opened_at: datetime
    closed_at: datetime | None
    resolution: str | None


_COLUMNS = (
    "review_id, queue, reason, state, endpoint, event_id, order_id, challenge_hash, opened_at, closed_at, resolution"
)


async def newest(
    connection: Connection, *, limit: int, queue: str | None = None, state: str | None = None
) -> list[RecordedReview]:
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM kessai.reviews
        WHERE ($2::text IS NULL OR queue = $2) AND ($3::text IS NULL OR state = $3)
        ORDER BY review_id DESC
        LIMIT $1
        """,
        limit,
        queue,
        state,
    )
    return [RecordedReview(**dict(row)) for row in rows]


async def find(connection: Connection, review_id: int) -> tuple[RecordedReview, dict[str, Any]]:
    """A review and its evidence: what the event says beside what the order says. Raises ReviewNotFound."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, evidence FROM kessai.reviews WHERE review_id = $1",
        review_id,
    )
    if row is None:
        raise ReviewNotFound(review_id)
    values = dict(row)
    evidence: dict[str, Any] = orjson.loads(values.pop("evidence"))
    return RecordedReview(**values), evidence
