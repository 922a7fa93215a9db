"""How do things stand now? What is open, what waits, what is newest: each by an index, for a page looked at often."""

from dataclasses import dataclass
from datetime import datetime

from shared.ledger import dead_letter_search, outbox
from shared.ledger.database import Connection
from shared.ledger.dead_letter_search import DeadLetterGroup, DeadLetterState
from shared.ledger.revenue.exposed import LastExposed, last_exposed
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
    groups: list[DeadLetterGroup]
    """The largest, the largest first."""
    newest_letter: datetime | None
    """When an open dead letter of any group was last seen."""
    replays: list[UnfinishedReplay]
    oldest_fact: datetime | None
    """When the fact was decided that has waited longest for its relay."""
    newest_event: datetime | None
    newest_applied: datetime | None
    """When it was applied; None when none of the newest events was."""
    exposed: LastExposed | None
    """Buyers near their threshold, as they were counted last."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What of the books an alert needs."""

    now: datetime
    """By the clock of Postgres."""
    open_letters: int
    reviews: list[OpenReviews]
    newest_applied: datetime | None
    """When it was applied; None when none of the newest events was."""


async def backlog(connection: Connection) -> Backlog:
    """Read what waits. It takes some milliseconds: dead letters are counted by their tallies, reviews by an index."""
    _, newest_applied = await _newest(connection)
    row = await connection.fetchrow(
        """
        SELECT clock_timestamp() AS now, coalesce(sum(letters), 0)::bigint AS letters
        FROM kessai.dead_letter_tallies
        WHERE state = 'open'
        """
    )
    assert row is not None  # noqa: S101 - an aggregate always has its row
    return Backlog(row["now"], row["letters"], await _reviews(connection), newest_applied)


async def standing(connection: Connection, *, groups: int) -> Standing:
    newest_event, newest_applied = await _newest(connection)
    letters = await dead_letter_search.groups(connection, state=DeadLetterState.OPEN)
    return Standing(
        now=await connection.fetchval("SELECT clock_timestamp()"),
        reviews=await _reviews(connection),
        open_letters=sum(group.count for group in letters),
        groups=letters[:groups],
        newest_letter=max((group.last_seen for group in letters), default=None),
        replays=await unfinished_replays(connection),
        oldest_fact=await outbox.oldest_waiting(connection),
        newest_event=newest_event,
        newest_applied=newest_applied,
        exposed=await last_exposed(connection),
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
