"""Webhook events, the newest first, and the bytes they came as."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from shared.ledger.books import Outcome
from shared.ledger.browse.slices import Key, Shelf, Slice, Wanted, take_slice
from shared.ledger.database import Connection

COMMON_KIND: Final = "standard_settled"
"""Most events are of this kind and applied: neither costs an index, the rest is found by one."""


@dataclass(frozen=True, slots=True)
class ListedEvent:
    endpoint: str
    event_id: str
    receipt_id: UUID
    received_at: datetime
    type: str
    kind: str
    outcome: str
    reason: str | None
    order_id: str | None
    occurred_at: datetime | None
    applied_at: datetime
    deliveries: int
    """How often the platform delivered it."""


@dataclass(frozen=True, slots=True)
class Archived:
    """One delivery as it came."""

    receipt_id: UUID
    received_at: datetime
    raw: bytes
    key_fingerprint: str
    traceparent: str | None


_COLUMNS: Final = (
    "endpoint, event_id, receipt_id, received_at, type, kind, outcome, reason, order_id, occurred_at, applied_at, "
    "deliveries"
)
_SHELF: Final = Shelf("kessai.webhook_events", _COLUMNS, (("received_at", "timestamptz"), ("receipt_id", "uuid")))


async def newest(
    connection: Connection,
    *,
    limit: int,
    before: Key | None = None,
    outcome: str | None = None,
    kind: str | None = None,
    endpoint: str | None = None,
) -> Slice[ListedEvent]:
    wanted = Wanted()
    is_rare_outcome = outcome is not None and outcome != Outcome.APPLIED
    is_rare_kind = kind is not None and kind != COMMON_KIND
    if is_rare_outcome:
        wanted.by_index("outcome = {} AND outcome <> 'applied'", outcome)
    elif outcome is not None:
        wanted.by_look("outcome = {}", outcome)
    if is_rare_kind and not is_rare_outcome:
        wanted.by_index(f"kind = {{}} AND kind <> '{COMMON_KIND}'", kind)
    elif kind is not None:
        wanted.by_look("kind = {}", kind)
    if endpoint is not None:
        wanted.by_look("endpoint = {}", endpoint)
    return await take_slice(connection, _SHELF, wanted, _listed, before=before, limit=limit)


async def find(connection: Connection, endpoint: str, event_id: str) -> ListedEvent | None:
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM kessai.webhook_events WHERE endpoint = $1 AND event_id = $2", endpoint, event_id
    )
    return None if row is None else _listed(row)


async def of_order(connection: Connection, order_id: str, *, limit: int) -> list[ListedEvent]:
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM kessai.webhook_events
        WHERE order_id = $1
        ORDER BY received_at DESC, receipt_id DESC
        LIMIT $2
        """,
        order_id,
        limit,
    )
    return [_listed(row) for row in rows]


async def archived(connection: Connection, receipt_id: UUID, received_at: datetime) -> Archived | None:
    """None once retention has dropped the month."""
    row = await connection.fetchrow(
        """
        SELECT receipt_id, received_at, raw, key_fingerprint, traceparent
        FROM kessai.webhook_archive
        WHERE receipt_id = $1 AND received_at = $2
        """,
        receipt_id,
        received_at,
    )
    return None if row is None else Archived(**dict(row))


def _listed(row: asyncpg.Record) -> ListedEvent:
    return ListedEvent(**dict(row))
