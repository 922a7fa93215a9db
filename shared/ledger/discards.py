"""Dead letters that nobody will replay are closed, or opened again, with who did it and why.

Their bytes stay until retention deletes them; then they cannot be opened again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson

from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.ledger.dead_letter_search import DeadLetterNotFound, DeadLetterState
from shared.ledger.text import require_why
from shared.remedies import Remedy


class NothingSelected(KessaiError):
    """A selection without a dead letter: most likely a mistake, so nothing is done."""


class DeadLetterElsewhere(KessaiError):
    def __init__(self, dead_letter_id: int, state: str, *, needed: str) -> None:
        super().__init__(
            f"dead letter {dead_letter_id} is {state}, not {needed}: nothing is changed; leave it out and try again"
        )
        self.state = state


class CannotReopen(KessaiError):
    def __init__(self, dead_letter_id: int, deleted_at: datetime) -> None:
        super().__init__(
            f"dead letter {dead_letter_id} cannot be opened again: its bytes were deleted on {deleted_at:%Y-%m-%d}, so "
            "that nothing is left to replay; nothing is changed: name the ids of the others"
        )


class GroupChanged(KessaiError):
    """Its letters are not those that the person saw: what they did not see is not decided on."""

    remedy = Remedy.READ_GROUP_AGAIN

    def __init__(self, group_id: str, now: int, state: str) -> None:
        super().__init__(
            f"group {group_id[:64]!r} is not as you saw it: letters came or left, and {now:,} "
            f"{'is' if now == 1 else 'are'} {state} by now; nothing is changed"
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters by their ids, or all of a group that are in the state that the act needs."""

    ids: Sequence[int] = ()
    group_id: str | None = None
    version: str = ""
    """Of the group as it was seen, by `versions`: which letters, not only how many."""


async def versions(connection: Connection, group_ids: Sequence[str], *, state: DeadLetterState) -> dict[str, str]:
    """Which letters of each group are in this state, as one short text; a group without any is left out.

    Read it in one snapshot with what is shown of the group.
    """
    rows = await connection.fetch(
        f"""
        SELECT group_id, {VERSION} AS version
        FROM kessai.dead_letters
        WHERE state = $1 AND group_id = ANY ($2::text[])
        GROUP BY group_id
        """,
        state,
        group_ids,
    )
    return {row["group_id"]: row["version"] for row in rows}


async def discard(connection: Connection, chosen: Selection, *, actor: str, why: str) -> list[int]:
    """Close open dead letters for good, all or none; returns their ids.

    Raises InvalidWhy, NothingSelected, GroupChanged, DeadLetterNotFound, DeadLetterElsewhere.
    """
    return await _move(connection, chosen, DeadLetterState.OPEN, DeadLetterState.DISCARDED, actor=actor, why=why)


async def reopen(connection: Connection, chosen: Selection, *, actor: str, why: str) -> list[int]:
    """Open discarded dead letters again, all or none; returns their ids.

    Raises CannotReopen when the bytes of one are deleted, and what `discard` raises.
    """
    return await _move(connection, chosen, DeadLetterState.DISCARDED, DeadLetterState.OPEN, actor=actor, why=why)


async def _move(
    connection: Connection, chosen: Selection, old: DeadLetterState, new: DeadLetterState, *, actor: str, why: str
) -> list[int]:
    stated = require_why(why)
    async with connection.transaction():
        ids = await _lock(connection, chosen, old)
        if new is DeadLetterState.OPEN:
            await _require_bytes(connection, ids)
        await connection.execute(MOVE, ids, new)
        await connection.execute(AUDIT, ids, actor, _ACTIONS[new], old, new, orjson.dumps({"why": stated}).decode())
    return ids


async def _require_bytes(connection: Connection, ids: Sequence[int]) -> None:
    deleted = await connection.fetchrow(
        """
        SELECT dead_letter_id, raw_deleted_at
        FROM kessai.dead_letters
        WHERE dead_letter_id = ANY ($1::bigint[]) AND raw_deleted_at IS NOT NULL
        ORDER BY dead_letter_id
        LIMIT 1
        """,
        ids,
    )
    if deleted is not None:
        raise CannotReopen(deleted["dead_letter_id"], deleted["raw_deleted_at"])


_ACTIONS = {DeadLetterState.DISCARDED: "dead_letter.discarded", DeadLetterState.OPEN: "dead_letter.reopened"}

# Locked in the order in which the archive writes them, so that the two wait for each other instead of deadlocking.
LOCK_IDS = """
SELECT dead_letter_id, state
FROM kessai.dead_letters
WHERE dead_letter_id = ANY ($1::bigint[])
ORDER BY receipt_id
FOR UPDATE
"""
# Any letter that comes or goes makes it another; the index of groups alone is read.
VERSION: Final = """left(encode(sha256(convert_to(
    string_agg(dead_letter_id::text, ',' ORDER BY dead_letter_id), 'UTF8')), 'hex'), 16)"""
LOCK_GROUP = f"""
WITH letters AS MATERIALIZED (
    SELECT dead_letter_id
    FROM kessai.dead_letters
    WHERE group_id = $1 AND state = $2
    ORDER BY receipt_id
    FOR UPDATE
)
SELECT coalesce(array_agg(dead_letter_id ORDER BY dead_letter_id), '{{}}') AS ids, {VERSION} AS version
FROM letters
"""
MOVE = """
UPDATE kessai.dead_letters
SET state = $2, closed_at = CASE WHEN $2 = 'open' THEN NULL ELSE now() END
WHERE dead_letter_id = ANY ($1::bigint[])
"""
AUDIT = """
INSERT INTO kessai.audit (actor, action, subject, endpoint, event_id, from_state, to_state, detail)
SELECT $2, $3, 'dead_letter:' || dead_letter_id, endpoint, event_id, $4, $5,
       $6::jsonb || jsonb_build_object('group_id', group_id)
FROM kessai.dead_letters
WHERE dead_letter_id = ANY ($1::bigint[])
ORDER BY dead_letter_id
"""


async def _lock(connection: Connection, chosen: Selection, needed: DeadLetterState) -> list[int]:
    """The ids of what is chosen, each in the state needed, ascending."""
    if chosen.group_id is not None:
        return await _lock_group(connection, chosen.group_id, chosen.version, needed)
    rows = await connection.fetch(LOCK_IDS, sorted(set(chosen.ids)))
    states = {row["dead_letter_id"]: row["state"] for row in rows}
    if not chosen.ids:
        raise NothingSelected("no dead letter is named: give ids, or a group")
    for dead_letter_id in sorted(set(chosen.ids)):
        if dead_letter_id not in states:
            raise DeadLetterNotFound(dead_letter_id)
        if states[dead_letter_id] != needed:
            raise DeadLetterElsewhere(dead_letter_id, states[dead_letter_id], needed=needed)
    return sorted(states)


async def _lock_group(connection: Connection, group_id: str, seen: str, needed: DeadLetterState) -> list[int]:
    (group,) = await connection.fetch(LOCK_GROUP, group_id, needed)
    ids: list[int] = group["ids"]
    if not ids:
        raise NothingSelected(f"group {group_id!r} has no {needed} dead letters: choose another group or state")
    if group["version"] != seen:
        raise GroupChanged(group_id, len(ids), needed)
    return ids
