"""How far are the statements of an endpoint's account read? One row a list; a sync goes on where it was left."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.ledger.database import Connection

_LOCK_CLASS = 1801810806
"""First half of the advisory lock of an endpoint's statements; the classes before it are in lookup.py and outbox.py."""
_RUN_LOCK_CLASS = 1801810807
"""Likewise of a whole run, which lasts for many transactions."""


class List(StrEnum):
    USAGE = "usage"
    BATCHES = "batches"


@dataclass(frozen=True, slots=True)
class Sync:
    """A run through one list."""

    endpoint: str
    what: List
    cursor: str | None
    """Of the page that comes next; None: the first one."""
    begun_at: datetime | None
    """None when no run is under way."""
    complete_as_of: datetime | None
    """When the last complete run began: what the list held by then is in the books. None before the first."""
    completed_at: datetime | None
    whole_as_of: datetime | None
    """When the last run began that read every page; None before the first."""


async def take_turn(connection: Connection, endpoint: str) -> bool:
    """Whether this connection may read and compare the endpoint's statements; it may until it is given back."""
    taken = await connection.fetchval("SELECT pg_try_advisory_lock($1, hashtext($2))", _RUN_LOCK_CLASS, endpoint)
    return bool(taken)


async def hold(connection: Connection, endpoint: str) -> None:
    """Let nobody else change what statements say of this endpoint until the transaction ends.

    Taken before any other lock: a page of usage and one of batches must see each other, or an order that both speak of
    would be forgotten.
    """
    await connection.execute("SELECT pg_advisory_xact_lock($1, hashtext($2))", _LOCK_CLASS, endpoint)


async def resume(connection: Connection, endpoint: str, what: List, *, now: datetime) -> Sync:
    """The run under way, or a new one that begins now: fetch the page of its cursor next."""
    row = await connection.fetchrow(
        """
        INSERT INTO kessai.statement_syncs AS known (endpoint, what, begun_at)
        VALUES ($1, $2, $3)
        ON CONFLICT (endpoint, what) DO UPDATE SET begun_at = coalesce(known.begun_at, excluded.begun_at)
        RETURNING endpoint, what, cursor, begun_at, complete_as_of, completed_at, whole_as_of
        """,
        endpoint,
        what,
        now,
    )
    assert row is not None  # noqa: S101 - it was just written
    return Sync(**{**dict(row), "what": what})


async def advance(
    connection: Connection, endpoint: str, what: List, *, cursor: str | None, next_cursor: str | None, now: datetime
) -> bool:
    """Note that the page of `cursor` is in the books; False when the run is elsewhere by now, and stays there.

    Without a next cursor the run is complete.
    """
    if next_cursor is None:
        return await _complete(connection, endpoint, what, cursor, now, is_whole=True)
    moved = await connection.fetchval(
        """
        UPDATE kessai.statement_syncs
        SET cursor = $4
        WHERE endpoint = $1 AND what = $2 AND begun_at IS NOT NULL AND cursor IS NOT DISTINCT FROM $3
        RETURNING true
        """,
        endpoint,
        what,
        cursor,
        next_cursor,
    )
    return bool(moved)


async def finish(connection: Connection, endpoint: str, what: List, *, now: datetime) -> bool:
    """End a run that has read all that can have changed, wherever its cursor stands; False when none is under way."""
    row = await connection.fetchrow(
        "SELECT cursor FROM kessai.statement_syncs WHERE endpoint = $1 AND what = $2 AND begun_at IS NOT NULL",
        endpoint,
        what,
    )
    return row is not None and await _complete(connection, endpoint, what, row["cursor"], now, is_whole=False)


async def restart(connection: Connection, endpoint: str, what: List) -> None:
    """Forget a run whose cursor the platform no longer knows: the next one begins at the first page."""
    await connection.execute(
        "UPDATE kessai.statement_syncs SET cursor = NULL, begun_at = NULL WHERE endpoint = $1 AND what = $2",
        endpoint,
        what,
    )


async def complete_as_of(connection: Connection, endpoint: str) -> datetime | None:
    """What both lists held by then is in the books; None before both were read to their end."""
    complete: datetime | None = await connection.fetchval(
        """
        SELECT min(complete_as_of)
        FROM kessai.statement_syncs
        WHERE endpoint = $1 AND complete_as_of IS NOT NULL
        HAVING count(*) = 2
        """,
        endpoint,
    )
    return complete


async def note_compared(connection: Connection, endpoint: str, *, now: datetime) -> None:
    """Both sides were compared, at that time."""
    await connection.execute("UPDATE kessai.statement_syncs SET compared_at = $2 WHERE endpoint = $1", endpoint, now)


async def compared_at(connection: Connection, endpoint: str) -> datetime | None:
    """When both sides were compared last; None before the first time."""
    compared: datetime | None = await connection.fetchval(
        "SELECT min(compared_at) FROM kessai.statement_syncs WHERE endpoint = $1", endpoint
    )
    return compared


async def _complete(
    connection: Connection, endpoint: str, what: List, cursor: str | None, now: datetime, *, is_whole: bool
) -> bool:
    done = await connection.fetchval(
        """
        UPDATE kessai.statement_syncs
        SET cursor = NULL, begun_at = NULL, complete_as_of = begun_at, completed_at = $4,
            whole_as_of = CASE WHEN $5 THEN begun_at ELSE whole_as_of END
        WHERE endpoint = $1 AND what = $2 AND begun_at IS NOT NULL AND cursor IS NOT DISTINCT FROM $3
        RETURNING true
        """,
        endpoint,
        what,
        cursor,
        now,
        is_whole,
    )
    return bool(done)
