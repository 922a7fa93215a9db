"""Dead letters, the newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from shared.ledger.browse.slices import Key, Shelf, Slice, Wanted, take_slice
from shared.ledger.database import Connection


@dataclass(frozen=True, slots=True)
class ListedLetter:
    dead_letter_id: int
    group_id: str
    """Those of one group failed in the same way."""
    reason: str
    error: str
    detail: str
    kind: str
    endpoint: str
    event_id: str | None
    type: str | None
    challenge_hash: str | None
    state: str
    attempts: int
    received_at: datetime
    first_seen: datetime
    last_seen: datetime
    closed_at: datetime | None
    key_fingerprint: str
    traceparent: str | None


_COLUMNS: Final = (
    "dead_letter_id, group_id, reason, error, detail, kind, endpoint, event_id, type, challenge_hash, state, attempts, "
    "received_at, first_seen, last_seen, closed_at, key_fingerprint, traceparent"
)
_SHELF: Final = Shelf("kessai.dead_letters", _COLUMNS, (("dead_letter_id", "bigint"),))


async def newest(
    connection: Connection,
    *,
    limit: int,
    before: Key | None = None,
    state: str | None = None,
    group_id: str | None = None,
    reason: str | None = None,
    endpoint: str | None = None,
) -> Slice[ListedLetter]:
    wanted = Wanted()
    if state is not None and group_id is not None:
        wanted.by_index("state = {} AND group_id = {}", state, group_id)
    else:
        for name, value in (("state", state), ("group_id", group_id)):
            if value is not None:
                wanted.by_look(f"{name} = {{}}", value)
    for name, value in (("reason", reason), ("endpoint", endpoint)):
        if value is not None:
            wanted.by_look(f"{name} = {{}}", value)
    return await take_slice(connection, _SHELF, wanted, _listed, before=before, limit=limit)


async def find(connection: Connection, dead_letter_id: int) -> tuple[ListedLetter, bytes] | None:
    """A dead letter and its raw bytes."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, raw FROM kessai.dead_letters WHERE dead_letter_id = $1", dead_letter_id
    )
    if row is None:
        return None
    values = dict(row)
    raw: bytes = values.pop("raw")
    return ListedLetter(**values), raw


async def of_event(connection: Connection, endpoint: str, event_id: str, *, limit: int) -> list[ListedLetter]:
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM kessai.dead_letters
        WHERE endpoint = $1 AND event_id = $2
        ORDER BY dead_letter_id DESC
        LIMIT $3
        """,
        endpoint,
        event_id,
        limit,
    )
    return [_listed(row) for row in rows]


def _listed(row: asyncpg.Record) -> ListedLetter:
    return ListedLetter(**dict(row))
