"""Groups of dead letters as a person decides on them: what failed, which letters exactly, and what was noted."""

from dataclasses import asdict, dataclass

from shared.ledger import dead_letter_search, discards, notes
from shared.ledger.database import Connection
from shared.ledger.dead_letter_search import DeadLetterGroup, DeadLetterState
from shared.ledger.notes import Note, NoteThing


@dataclass(frozen=True, slots=True)
class NotedGroup(DeadLetterGroup):
    """Dead letters that failed in the same way, and what was last written down of them."""

    version: str | None
    """Of its letters in the state asked for: what a discard or a reopening names; None when any state was."""
    note: Note | None


async def noted_groups(
    connection: Connection, *, state: DeadLetterState | None, limit: int | None = None
) -> list[NotedGroup]:
    """As of one moment, the most frequent first; in any state when none is given."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await dead_letter_search.groups(connection, state=state, limit=limit)
        ids = [each.group_id for each in found]
        versions = {} if state is None else await discards.versions(connection, ids, state=state)
        noted = await notes.last_of(connection, NoteThing.DEAD_LETTER_GROUP, ids)
    return [
        NotedGroup(**asdict(each), version=versions.get(each.group_id), note=noted.get(each.group_id)) for each in found
    ]
