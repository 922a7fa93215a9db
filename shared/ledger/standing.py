"""How do things stand now? What is open, what waits, what is newest: each by an index, for a page looked at often."""

from dataclasses import dataclass
from datetime import datetime

from shared.ledger import outbox
from shared.ledger.database import Connection
from shared.ledger.transitions import ReviewQueue

NEWEST_LOOKED_AT = 500
"""Events among which the newest applied one is looked for."""


@dataclass(frozen=True, slots=True)
class OpenReviews:
    queue: str
    reviews: int
    oldest: datetime | None
    """When the one that has waited longest was opened."""


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """Dead letters that failed in the same way."""

    group_id: str
    letters: int
    first_seen: datetime
    last_seen: datetime
    reason: str
    error: str
    kind: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class UnfinishedReplay:
    replay_id: int
    state: str
    source: str
    total: int
    handed_over: int
    started_by: str | None
    why: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    now: datetime
    """By the clock of Postgres, like every time in the books."""
    reviews: list[OpenReviews]
    open_letters: int
    groups: list[OpenGroup]
    """The largest, the largest first."""
    replays: list[UnfinishedReplay]
    oldest_fact: datetime | None
    """When the fact was decided that has waited longest for its relay."""
    newest_event: datetime | None
    newest_applied: datetime | None
    """When it was applied; None when none of the newest events was."""


async def standing(connection: Connection, *, groups: int) -> Standing:
    letters = await _letters(connection, groups)
    newest_event, newest_applied = await _newest(connection)
    return Standing(
        now=await connection.fetchval("SELECT clock_timestamp()"),
        reviews=await _reviews(connection),
        open_letters=letters[0],
        groups=letters[1],
        replays=await unfinished_replays(connection),
        oldest_fact=await outbox.oldest_waiting(connection),
        newest_event=newest_event,
        newest_applied=newest_applied,
    )


REVIEWS = """
SELECT counted.queue, counted.reviews, first.opened_at AS oldest
FROM (
    SELECT queue, count(*) AS reviews, min(review_id) AS oldest
    FROM kessai.reviews
    WHERE state = 'open'
    GROUP BY queue
) AS counted
JOIN kessai.reviews AS first ON first.review_id = counted.oldest
"""


async def _reviews(connection: Connection) -> list[OpenReviews]:
    """Of every queue, the empty ones too."""
    rows = {row["queue"]: row for row in await connection.fetch(REVIEWS)}
    return [
        OpenReviews(queue, rows[queue]["reviews"], rows[queue]["oldest"])
        if queue in rows
        else OpenReviews(queue, 0, None)
        for queue in map(str, ReviewQueue)
    ]


# Counted from the index alone; a letter of each group tells what the group is about.
GROUPS = """
SELECT counted.group_id, letters, counted.first_seen, counted.last_seen, one.*,
       sum(letters) OVER ()::bigint AS all_letters
FROM (
    SELECT group_id, count(*) AS letters, min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM kessai.dead_letters
    WHERE state = 'open'
    GROUP BY group_id
) AS counted
CROSS JOIN LATERAL (
    SELECT reason, error, kind, endpoint
    FROM kessai.dead_letters
    WHERE state = 'open' AND group_id = counted.group_id
    LIMIT 1
) AS one
ORDER BY letters DESC, counted.group_id
LIMIT $1
"""


async def _letters(connection: Connection, groups: int) -> tuple[int, list[OpenGroup]]:
    """How many are open, and the largest groups of them."""
    rows = await connection.fetch(GROUPS, groups)
    found = [
        OpenGroup(**{name: row[name] for name in OpenGroup.__slots__})  # the query's columns by name
        for row in rows
    ]
    return (rows[0]["all_letters"] if rows else 0), found


async def unfinished_replays(connection: Connection) -> list[UnfinishedReplay]:
    rows = await connection.fetch(
        """
        SELECT replay_id, state, source, total, least(next_item - 1, total) AS handed_over, started_by, why
        FROM kessai.replays
        WHERE state IN ('planning', 'running', 'paused', 'stopped')
        ORDER BY replay_id DESC
        LIMIT 20
        """
    )
    return [UnfinishedReplay(**dict(row)) for row in rows]


NEWEST = f"""
SELECT max(received_at) AS event, max(applied_at) FILTER (WHERE outcome = 'applied') AS applied
FROM (
    SELECT received_at, applied_at, outcome
    FROM kessai.webhook_events
    ORDER BY received_at DESC, receipt_id DESC
    LIMIT {NEWEST_LOOKED_AT}
) AS newest
"""


async def _newest(connection: Connection) -> tuple[datetime | None, datetime | None]:
    row = await connection.fetchrow(NEWEST)
    return (None, None) if row is None else (row["event"], row["applied"])
