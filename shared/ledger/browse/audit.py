"""Who did what, the newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from shared.ledger.audit import BY_PEOPLE
from shared.ledger.browse.slices import Key, Shelf, Slice, Wanted, take_slice
from shared.ledger.database import Connection


@dataclass(frozen=True, slots=True)
class Act:
    audit_id: int
    at: datetime
    actor: str
    action: str
    subject: str
    endpoint: str | None
    event_id: str | None
    from_state: str | None
    to_state: str | None
    detail: dict[str, Any] | None


_SHELF: Final = Shelf(
    "kessai.audit",
    "audit_id, at, actor, action, subject, endpoint, event_id, from_state, to_state, detail",
    (("audit_id", "bigint"),),
)


async def newest(
    connection: Connection,
    *,
    limit: int,
    before: Key | None = None,
    moves_too: bool = False,
    actor: str | None = None,
    subject: str | None = None,
) -> Slice[Act]:
    """`moves_too`: also the moves of orders, of which every payment makes one."""
    wanted = Wanted()
    if not moves_too:
        wanted.by_index(BY_PEOPLE)
    if subject is not None and not moves_too:
        wanted.by_index("subject = {}", subject)
    elif subject is not None:
        wanted.by_look("subject = {}", subject)
    if actor is not None:
        wanted.by_look("actor = {}", actor)
    return await take_slice(connection, _SHELF, wanted, _made, before=before, limit=limit)


def _made(row: asyncpg.Record) -> Act:
    values = dict(row)
    detail = values.pop("detail")
    return Act(**values, detail=orjson.loads(detail) if detail else None)
