"""Who did what to which thing? Written with the act itself, never updated.

Moves and registrations of orders and their checkouts are here too, by the million; what people did beside them is
little and indexed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from shared.ledger.conditions import Conditions
from shared.ledger.database import Connection
from shared.ledger.slices import AUDIT, AUDIT_OF_PEOPLE


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does, to be written down."""

    actor: str
    action: str
    """e.g. `review.resolved`."""
    subject: str
    """The thing: `review:7`; an order by its own id."""
    endpoint: str | None = None
    event_id: str | None = None
    detail: Mapping[str, Any] | None = None
    from_state: str | None = None
    to_state: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedAct:
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

    @property
    def place(self) -> int:
        return self.audit_id


@dataclass(frozen=True, slots=True)
class ActFilter:
    """Which acts to list; None leaves it open."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Before this time."""
    moves_too: bool = False
    """Also moves, registrations and checkouts of orders, of which every payment makes some."""


_COLUMNS = "audit_id, at, actor, action, subject, endpoint, event_id, from_state, to_state, detail"


async def record(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    endpoint: str | None = None,
    event_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
    from_state: str | None = None,
    to_state: str | None = None,
) -> None:
    """Write down an act in the transaction that does it."""
    await record_all(connection, [Act(actor, action, subject, endpoint, event_id, detail, from_state, to_state)])


async def record_all(connection: Connection, acts: Sequence[Act]) -> None:
    """Write down many acts at once, in this order."""
    if not acts:
        return
    await connection.execute(
        """
        INSERT INTO kessai.audit (actor, action, subject, endpoint, event_id, detail, from_state, to_state)
        SELECT *
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::text[], $8::text[])
        """,
        [act.actor for act in acts],
        [act.action for act in acts],
        [act.subject for act in acts],
        [act.endpoint for act in acts],
        [act.event_id for act in acts],
        [None if act.detail is None else orjson.dumps(act.detail).decode() for act in acts],
        [act.from_state for act in acts],
        [act.to_state for act in acts],
    )


async def newest(
    connection: Connection,
    wanted: ActFilter | None = None,
    *,
    limit: int,
    before: int | None = None,
    down_to: int | None = None,
) -> list[RecordedAct]:
    """What people did, the newest first.

    `before` is the `audit_id` that the last page ended with, `down_to` the last one to look at.
    """
    wanted = wanted or ActFilter()
    asked = Conditions()
    asked.add_if_given("actor = {}", wanted.actor)
    asked.add_if_given("action = {}", wanted.action)
    asked.add_if_given("subject = {}", wanted.subject)
    asked.add_if_given("at >= {}", wanted.since)
    asked.add_if_given("at < {}", wanted.until)
    shelf = AUDIT if wanted.moves_too else AUDIT_OF_PEOPLE
    query = shelf.newest(_COLUMNS, asked, limit=limit, before=before, down_to=down_to)
    rows = await connection.fetch(query, *asked.values)
    return [_recorded(dict(row)) for row in rows]


async def of_things(connection: Connection, subjects: Sequence[str], *, limit: int) -> list[RecordedAct]:
    """What people did to these things, the newest first."""
    rows = await connection.fetch(
        f"""
        SELECT {_COLUMNS}
        FROM kessai.audit
        WHERE subject = ANY ($1::text[]) AND {AUDIT_OF_PEOPLE.holds}
        ORDER BY audit_id DESC
        LIMIT $2
        """,
        subjects,
        limit,
    )
    return [_recorded(dict(row)) for row in rows]


def _recorded(row: Mapping[str, Any]) -> RecordedAct:
    """A row of the audit that has every column of an act."""
    detail = row["detail"]
    return RecordedAct(**{**row, "detail": None if detail is None else orjson.loads(detail)})
