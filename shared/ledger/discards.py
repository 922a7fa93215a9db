"""Dead letters that nobody will replay: closed, or opened again, with who did it and why. Their bytes stay."""

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.ledger.dead_letter_search import DeadLetterNotFound, DeadLetterState

MAX_WHY = 1000
"""Characters of a stated reason."""


class InvalidWhy(KessaiError):
    def __init__(self) -> None:
        super().__init__(
            f"say why in 1 to {MAX_WHY} characters, not blank, in UTF-8 and without NUL: the audit keeps it"
        )


class NothingSelected(KessaiError):
    """A selection without a dead letter: most likely a mistake, so nothing is done."""


class DeadLetterElsewhere(KessaiError):
    def __init__(self, dead_letter_id: int, state: str, *, needed: str) -> None:
        super().__init__(
            f"dead letter {dead_letter_id} is {state}, not {needed}: nothing is changed; leave it out and try again"
        )
        self.state = state


@dataclass(frozen=True, slots=True)
class Selection:
    """Dead letters by their ids, or all of a group that are in the state that the act needs."""

    ids: Sequence[int] = ()
    group_id: str | None = None


async def discard(connection: Connection, chosen: Selection, *, actor: str, why: str) -> list[int]:
    """Close open dead letters for good, all or none; returns their ids.

    Raises InvalidWhy, NothingSelected, DeadLetterNotFound, DeadLetterElsewhere.
    """
    return await _move(connection, chosen, DeadLetterState.OPEN, DeadLetterState.DISCARDED, actor=actor, why=why)


async def reopen(connection: Connection, chosen: Selection, *, actor: str, why: str) -> list[int]:
    """Open discarded dead letters again, all or none; returns their ids. Raises as `discard` does."""
    return await _move(connection, chosen, DeadLetterState.DISCARDED, DeadLetterState.OPEN, actor=actor, why=why)


async def _move(
    connection: Connection, chosen: Selection, old: DeadLetterState, new: DeadLetterState, *, actor: str, why: str
) -> list[int]:
    if not why.strip() or len(why) > MAX_WHY or "\0" in why or why.encode("utf-8", "ignore").decode() != why:
        raise InvalidWhy
    async with connection.transaction():
        ids = await _lock(connection, chosen, old)
        await connection.execute(MOVE, ids, new)
        await connection.execute(
            AUDIT, ids, actor, _ACTIONS[new], old, new, orjson.dumps({"why": why.strip()}).decode()
        )
    return ids


_ACTIONS = {DeadLetterState.DISCARDED: "dead_letter.discarded", DeadLetterState.OPEN: "dead_letter.reopened"}

# Locked in the order in which the archive writes them, so that the two wait for each other instead of deadlocking.
LOCK_IDS = """
SELECT dead_letter_id, state
FROM kessai.dead_letters
WHERE dead_letter_id = ANY ($1::bigint[])
ORDER BY receipt_id
FOR UPDATE
"""
LOCK_GROUP = """
SELECT dead_letter_id, state
FROM kessai.dead_letters
WHERE group_id = $1 AND state = $2
ORDER BY receipt_id
FOR UPDATE
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
        rows = await connection.fetch(LOCK_GROUP, chosen.group_id, needed)
        if not rows:
            raise NothingSelected(
                f"group {chosen.group_id!r} has no {needed} dead letters: see the others with "
                "`kessai dead-letters groups --state all`"
            )
        return sorted(row["dead_letter_id"] for row in rows)
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
