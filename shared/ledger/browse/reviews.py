"""Reviews, the newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from shared.ledger.browse.slices import Key, Shelf, Slice, Wanted, take_slice
from shared.ledger.database import Connection


@dataclass(frozen=True, slots=True)
class ListedReview:
    review_id: int
    queue: str
    reason: str
    state: str
    endpoint: str
    event_id: str
    receipt_id: UUID
    received_at: datetime
    order_id: str | None
    challenge_hash: str | None
    assignee: str | None
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    resolution: str | None
    why: str | None


_COLUMNS: Final = (
    "review_id, queue, reason, state, endpoint, event_id, receipt_id, received_at, order_id, challenge_hash, assignee, "
    "opened_at, closed_at, closed_by, resolution, why"
)
_SHELF: Final = Shelf("kessai.reviews", _COLUMNS, (("review_id", "bigint"),))


async def newest(
    connection: Connection,
    *,
    limit: int,
    before: Key | None = None,
    state: str | None = None,
    queue: str | None = None,
    reason: str | None = None,
    endpoint: str | None = None,
) -> Slice[ListedReview]:
    wanted = Wanted()
    if state == "open" and reason is not None:
        wanted.by_index("state = 'open' AND reason = {}", reason)
        reason = None
    elif state == "open":
        wanted.by_index("state = 'open'")
    elif state is not None:
        wanted.by_look("state = {}", state)
    if queue is not None:
        wanted.by_index("queue = {}", queue) if state == "open" else wanted.by_look("queue = {}", queue)
    if reason is not None:
        wanted.by_look("reason = {}", reason)
    if endpoint is not None:
        wanted.by_look("endpoint = {}", endpoint)
    return await take_slice(connection, _SHELF, wanted, _listed, before=before, limit=limit)


async def find(connection: Connection, review_id: int) -> tuple[ListedReview, dict[str, Any]] | None:
    """A review and its evidence: what the event says beside what the order says."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS}, evidence FROM kessai.reviews WHERE review_id = $1", review_id)
    if row is None:
        return None
    values = dict(row)
    evidence: dict[str, Any] = orjson.loads(values.pop("evidence"))
    return ListedReview(**values), evidence


async def of_order(connection: Connection, order_id: str, *, limit: int) -> list[ListedReview]:
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM kessai.reviews WHERE order_id = $1 ORDER BY review_id DESC LIMIT $2", order_id, limit
    )
    return [_listed(row) for row in rows]


def _listed(row: asyncpg.Record) -> ListedReview:
    return ListedReview(**dict(row))
