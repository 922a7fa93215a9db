"""What people write down about a thing, for whoever looks at it next."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.errors import KessaiError
from shared.ledger import audit
from shared.ledger.database import Connection
from shared.ledger.text import is_keepable

MAX_BODY = 4000
"""Characters of a note."""


class NoteThing(StrEnum):
    """What a note may be about."""

    DEAD_LETTER_GROUP = "dead_letter_group"
    REVIEW = "review"
    ORDER = "order"
    REPLAY = "replay"


class InvalidNote(KessaiError):
    def __init__(self) -> None:
        super().__init__(f"a note must be 1 to {MAX_BODY} characters of text, not blank and without NUL: write it anew")


class NothingToNote(KessaiError):
    def __init__(self, thing: NoteThing, thing_id: str) -> None:
        super().__init__(f"no {thing.replace('_', ' ')} {thing_id[:255]!r} in the books: check the id")


@dataclass(frozen=True, slots=True)
class Note:
    note_id: int
    at: datetime
    author: str
    body: str


NUMBERED: Final = (NoteThing.REVIEW, NoteThing.REPLAY)
_NUMBER = re.compile("[1-9][0-9]{0,17}", re.ASCII)

_FIND: Final = {
    NoteThing.DEAD_LETTER_GROUP: """
        SELECT FROM kessai.dead_letters
        WHERE state IN ('open', 'resolved', 'discarded') AND group_id = $1
        LIMIT 1
        """,  # every state there is: the index begins with it
    NoteThing.REVIEW: "SELECT FROM kessai.reviews WHERE review_id = $1::text::bigint",
    NoteThing.ORDER: "SELECT FROM kessai.orders WHERE order_id = $1",
    NoteThing.REPLAY: "SELECT FROM kessai.replays WHERE replay_id = $1::text::bigint",
}


async def add(connection: Connection, thing: NoteThing, thing_id: str, body: str, *, author: str) -> Note:
    """Keep a note and that it was written. Raises InvalidNote, NothingToNote."""
    if not is_keepable(body, longest=MAX_BODY):
        raise InvalidNote
    async with connection.transaction():
        if not await _exists(connection, thing, thing_id):
            raise NothingToNote(thing, thing_id)
        row = await connection.fetchrow(
            """
            INSERT INTO kessai.notes (author, thing, thing_id, body)
            VALUES ($1, $2, $3, $4)
            RETURNING note_id, at, author, body
            """,
            author,
            thing,
            thing_id,
            body,
        )
        assert row is not None  # noqa: S101 - an INSERT returns its row
        note = Note(**row)
        await audit.record(
            connection,
            actor=author,
            action="note.added",
            subject=subject_of(thing, thing_id),
            detail={"note_id": note.note_id},
        )
    return note


async def of(connection: Connection, thing: NoteThing, *thing_ids: str) -> list[Note]:
    """The notes of these things, the oldest first."""
    rows = await connection.fetch(
        """
        SELECT note_id, at, author, body
        FROM kessai.notes
        WHERE thing = $1 AND thing_id = ANY ($2::text[])
        ORDER BY note_id
        """,
        thing,
        thing_ids,
    )
    return [Note(**row) for row in rows]


async def find(connection: Connection, thing: NoteThing, thing_id: str) -> list[Note]:
    """As `of`, of one thing that there must be. Raises NothingToNote."""
    if not await _exists(connection, thing, thing_id):
        raise NothingToNote(thing, thing_id)
    return await of(connection, thing, thing_id)


async def last_of(connection: Connection, thing: NoteThing, thing_ids: Sequence[str]) -> dict[str, Note]:
    """The newest note of each of these things that has one."""
    rows = await connection.fetch(
        """
        SELECT DISTINCT ON (thing_id) thing_id, note_id, at, author, body
        FROM kessai.notes
        WHERE thing = $1 AND thing_id = ANY ($2::text[])
        ORDER BY thing_id, note_id DESC
        """,
        thing,
        thing_ids,
    )
    return {row["thing_id"]: Note(row["note_id"], row["at"], row["author"], row["body"]) for row in rows}


def subject_of(thing: NoteThing, thing_id: str) -> str:
    """As the audit names the thing: an order by its own id, as where it moves."""
    return thing_id if thing is NoteThing.ORDER else f"{thing}:{thing_id}"


async def _exists(connection: Connection, thing: NoteThing, thing_id: str) -> bool:
    if not is_keepable(thing_id, longest=255) or (thing in NUMBERED and not _NUMBER.fullmatch(thing_id)):
        return False
    return await connection.fetchrow(_FIND[thing], thing_id) is not None
