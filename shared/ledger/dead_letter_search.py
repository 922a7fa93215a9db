"""Which dead letters are there? One by one, by what they have in common, and by the error that they share."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from shared.errors import KessaiError
from shared.ledger.conditions import Conditions, endpoints_in
from shared.ledger.database import Connection
from shared.ledger.slices import DEAD_LETTERS
from shared.remedies import Remedy

Place: TypeAlias = tuple[datetime, int]
"""Where a dead letter stands in a list: when it was received, and its id."""


class DeadLetterState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    """Its event was applied after all."""
    DISCARDED = "discarded"
    """Nobody will replay it."""


class DeadLetterNotFound(KessaiError):
    remedy = Remedy.LIST_DEAD_LETTERS

    def __init__(self, dead_letter_id: int) -> None:
        super().__init__(f"no dead letter {dead_letter_id}")


class BytesDeleted(KessaiError):
    def __init__(self, dead_letter_id: int, deleted_at: datetime) -> None:
        super().__init__(
            f"the bytes of dead letter {dead_letter_id} were deleted on {deleted_at:%Y-%m-%d}, as KESSAI_KEEP_RAW_DAYS "
            "demands of closed dead letters; look for them in a backup"
        )


class GroupNotFound(KessaiError):
    remedy = Remedy.LIST_GROUPS

    def __init__(self, group_id: str) -> None:
        super().__init__(f"no dead letters of a group {group_id!r}")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    dead_letter_id: int
    group_id: str
    """Shared by what failed in the same way: reason, error, kind and endpoint are the same."""
    state: str
    reason: str
    error: str
    """Class of the exception, or the rule that refused the event."""
    detail: str
    kind: str
    """As classified; `unread` when the bytes are no event."""
    type: str | None
    endpoint: str
    event_id: str | None
    challenge_hash: str | None
    attempts: int
    received_at: datetime
    first_seen: datetime
    last_seen: datetime
    closed_at: datetime | None
    raw_deleted_at: datetime | None
    """When retention deleted the bytes; None while they are kept."""

    @property
    def place(self) -> Place:
        return self.received_at, self.dead_letter_id


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which dead letters: those for which everything that is given holds."""

    group_id: str | None = None
    state: str | None = None
    reason: str | None = None
    type: str | None = None
    kind: str | None = None
    endpoint: str | None = None
    event_id: str | None = None
    order_id: str | None = None
    """Dead letters that carry a challenge of the order, and those of the events that moved it."""
    challenge_hash: str | None = None
    raw_holds: bytes | None = None
    """Bytes that stand somewhere in the body."""
    since: datetime | None = None
    """When they were received; the end is not included."""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterGroup:
    group_id: str
    reason: str
    error: str
    kind: str
    endpoint: str
    count: int
    first_seen: datetime
    last_seen: datetime
    example_id: int
    """The first of its dead letters."""


@dataclass(frozen=True, slots=True)
class GroupTotals:
    """All of a group, whatever became of it."""

    open: int
    resolved: int
    discarded: int
    first_seen: datetime
    last_seen: datetime


_COLUMNS = """dead_letter_id, group_id, state, reason, error, detail, kind, type, endpoint, event_id, challenge_hash,
       attempts, received_at, first_seen, last_seen, closed_at, raw_deleted_at"""
_AT_ANY_ENDPOINT = f"endpoint = ANY ({endpoints_in('kessai.dead_letters')})"

# Each way to the order has an index of its own, which an OR of them would not use.
_OF_ORDER = """
dead_letter_id IN (
    SELECT dead_letter_id
    FROM kessai.challenges
    JOIN kessai.dead_letters USING (challenge_hash)
    WHERE order_id = {0}
    UNION
    SELECT dead_letter_id
    FROM kessai.webhook_events
    JOIN kessai.dead_letters USING (endpoint, event_id)
    WHERE order_id = {0}
)
"""


async def search(
    connection: Connection,
    wanted: DeadLetterFilter,
    *,
    limit: int,
    before: Place | None = None,
    down_to: Place | None = None,
) -> list[DeadLetter]:
    """The newest dead letters, by receipt; `before` is the place of the last one of the page before.

    `down_to` is the place of the last dead letter to look at.

    An index leads to a group, an event, an order, a challenge and a span of time. By the rest, dead letters are read
    from the newest on until `limit` of them are found: of 100,000 all in some 30 ms, their bodies in 100 ms.
    """
    asked = _conditions(wanted)
    query = DEAD_LETTERS.newest(_COLUMNS, asked, limit=limit, before=before, down_to=down_to)
    return [DeadLetter(**dict(row)) for row in await connection.fetch(query, *asked.values)]


def _conditions(wanted: DeadLetterFilter) -> Conditions:
    where = Conditions()
    where.add_if_given("group_id = {}", wanted.group_id)
    where.add_if_given("state = {}", wanted.state)
    if wanted.group_id is not None and wanted.state is None:
        where.add("state = ANY ({})", list(DeadLetterState))  # the index of groups begins with it
    where.add_if_given("reason = {}", wanted.reason)
    where.add_if_given("type = {}", wanted.type)
    where.add_if_given("kind = {}", wanted.kind)
    where.add_if_given("endpoint = {}", wanted.endpoint)
    where.add_if_given("event_id = {}", wanted.event_id)
    if wanted.event_id is not None and wanted.endpoint is None:
        where.add(_AT_ANY_ENDPOINT)
    where.add_if_given(_OF_ORDER, wanted.order_id)
    where.add_if_given("challenge_hash = {}", wanted.challenge_hash)
    where.add_if_given("position({}::bytea IN raw) > 0", wanted.raw_holds)
    where.add_if_given("received_at >= {}", wanted.since)
    where.add_if_given("received_at < {}", wanted.until)
    return where


# Counted by the tallies; what else is told of a group lies at the ends of an index.
GROUPS = """
SELECT group_id, reason, error, kind, endpoint, count, example.first_seen, newest.last_seen, example_id
FROM (
    SELECT group_id, sum(letters)::bigint AS count
    FROM kessai.dead_letter_tallies
    WHERE state = ANY ($1::text[])
    GROUP BY group_id
    HAVING sum(letters) > 0
) AS counted
CROSS JOIN LATERAL (
    SELECT max(last_seen) AS last_seen
    FROM unnest($1::text[]) AS wanted
    CROSS JOIN LATERAL (
        SELECT last_seen
        FROM kessai.dead_letters AS one
        WHERE one.state = wanted AND one.group_id = counted.group_id
        ORDER BY last_seen DESC
        LIMIT 1
    ) AS last
) AS newest
CROSS JOIN LATERAL (
    SELECT reason, error, kind, endpoint, first_seen, dead_letter_id AS example_id
    FROM unnest($1::text[]) AS wanted
    CROSS JOIN LATERAL (
        SELECT *
        FROM kessai.dead_letters AS one
        WHERE one.state = wanted AND one.group_id = counted.group_id
        ORDER BY dead_letter_id
        LIMIT 1
    ) AS first
    ORDER BY dead_letter_id
    LIMIT 1
) AS example
ORDER BY count DESC, last_seen DESC, group_id
LIMIT $2
"""


async def groups(
    connection: Connection, *, state: str | None = None, limit: int | None = None
) -> list[DeadLetterGroup]:
    """Dead letters by the error that they share, the most frequent first; in any state when none is given."""
    rows = await connection.fetch(GROUPS, list(DeadLetterState) if state is None else [state], limit)
    return [DeadLetterGroup(**dict(row)) for row in rows]


async def totals(connection: Connection, group_id: str) -> GroupTotals:
    """How many dead letters of a group there are in each state. Raises GroupNotFound."""
    row = await connection.fetchrow(
        """
        SELECT count(*) FILTER (WHERE state = 'open') AS open,
               count(*) FILTER (WHERE state = 'resolved') AS resolved,
               count(*) FILTER (WHERE state = 'discarded') AS discarded,
               min(first_seen) AS first_seen, max(last_seen) AS last_seen
        FROM kessai.dead_letters
        WHERE state IN ('open', 'resolved', 'discarded') AND group_id = $1
        """,
        group_id,
    )
    if row is None or row["first_seen"] is None:
        raise GroupNotFound(group_id)
    return GroupTotals(**dict(row))


async def find(connection: Connection, dead_letter_id: int) -> tuple[DeadLetter, bytes | None]:
    """A dead letter and its raw bytes; None once retention has deleted them. Raises DeadLetterNotFound."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, raw FROM kessai.dead_letters WHERE dead_letter_id = $1",
        dead_letter_id,
    )
    if row is None:
        raise DeadLetterNotFound(dead_letter_id)
    values = dict(row)
    raw: bytes | None = values.pop("raw")
    return DeadLetter(**values), raw


async def find_with_bytes(connection: Connection, dead_letter_id: int) -> tuple[DeadLetter, bytes]:
    """Raises DeadLetterNotFound and BytesDeleted."""
    letter, raw = await find(connection, dead_letter_id)
    if raw is None:
        raise BytesDeleted(dead_letter_id, letter.raw_deleted_at or letter.last_seen)
    return letter, raw
