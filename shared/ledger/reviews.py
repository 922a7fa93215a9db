"""What waits for a person's decision, who holds it, and how it ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.errors import KessaiError
from shared.ledger import audit, claims
from shared.ledger.changes import Ruling
from shared.ledger.conditions import Conditions
from shared.ledger.database import Connection
from shared.ledger.slices import REVIEWS
from shared.remedies import Remedy


class ReviewNotFound(KessaiError):
    remedy = Remedy.LIST_REVIEWS

    def __init__(self, review_id: int) -> None:
        super().__init__(f"no review {review_id}")


class ReviewChanged(KessaiError):
    """Somebody else acted since the person looked; nothing was done."""

    remedy = Remedy.READ_REVIEW_AGAIN

    def __init__(self, review_id: int, what: str) -> None:
        super().__init__(f"review {review_id} {what}")


class ReviewTaken(KessaiError):
    remedy = Remedy.TAKE_REVIEW_OVER

    def __init__(self, review_id: int, holder: str) -> None:
        super().__init__(f"review {review_id} is assigned to {holder}")
        self.holder = holder


@dataclass(frozen=True, slots=True)
class RecordedReview:
    review_id: int
    queue: str
    reason: str
    state: str
    version: int
    """Counts its changes: whoever acts says which one they saw."""
    assignee: str | None
    endpoint: str
    event_id: str | None
    """None when no event is behind it, but a difference between the platform's statements and the books."""
    receipt_id: UUID | None
    received_at: datetime | None
    about: str | None
    """What differs then: `batch:<id>`, `usage:<id>`, ..."""
    order_id: str | None
    challenge_hash: str | None
    opened_at: datetime
    closed_at: datetime | None
    closed_by: str | None
    resolution: str | None
    why: str | None
    proposed: dict[str, Any] | None
    """A decision that waits for a second person: resolution, order_id, accept_mismatch, why, by, at."""
    suggested: dict[str, Any] | None
    """A decision that the platform's evidence leads to, and that a person may take: resolution, order_id, why."""

    @property
    def place(self) -> int:
        return self.review_id


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Which reviews to list; None leaves it open."""

    queue: str | None = None
    state: str | None = None
    reason: str | None = None
    assignee: str | None = None
    endpoint: str | None = None
    order_id: str | None = None
    challenge_hash: str | None = None
    since: datetime | None = None
    """Opened at this time or later."""
    until: datetime | None = None
    """Opened before this time."""
    event_id: str | None = None


class Ending(NamedTuple):
    """A review that ends, and what its event came to."""

    review_id: int
    ruling: Ruling


_COLUMNS = (
    "review_id, queue, reason, state, version, assignee, endpoint, event_id, receipt_id, received_at, "
    "about, order_id, challenge_hash, opened_at, closed_at, closed_by, resolution, why, proposed, suggested"
)


async def newest(
    connection: Connection,
    wanted: ReviewFilter | None = None,
    *,
    limit: int,
    before: int | None = None,
    down_to: int | None = None,
) -> list[RecordedReview]:
    """The newest first. `before` is the `review_id` that the last page ended with, `down_to` the last to look at."""
    wanted = wanted or ReviewFilter()
    asked = Conditions()
    asked.add_if_given("queue = {}", wanted.queue)
    asked.add_if_given("state = {}", wanted.state)
    if wanted.state == "open":
        asked.add("state = 'open'")  # says that the partial indexes serve, whatever the parameter is
    asked.add_if_given("reason = {}", wanted.reason)
    asked.add_if_given("assignee = {}", wanted.assignee)
    asked.add_if_given("endpoint = {}", wanted.endpoint)
    asked.add_if_given("event_id = {}", wanted.event_id)
    asked.add_if_given("order_id = {}", wanted.order_id)
    asked.add_if_given("challenge_hash = {}", wanted.challenge_hash)
    asked.add_if_given("opened_at >= {}", wanted.since)
    asked.add_if_given("opened_at < {}", wanted.until)
    query = REVIEWS.newest(_COLUMNS, asked, limit=limit, before=before, down_to=down_to)
    rows = await connection.fetch(query, *asked.values)
    return [_recorded(dict(row)) for row in rows]


async def find(connection: Connection, review_id: int) -> tuple[RecordedReview, dict[str, Any]]:
    """A review and its evidence: what the platform says beside what the books say. Raises ReviewNotFound.

    `platform` of it is what the platform said when it was asked about this review.
    """
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, evidence, platform FROM kessai.reviews WHERE review_id = $1", review_id
    )
    if row is None:
        raise ReviewNotFound(review_id)
    values = dict(row)
    evidence: dict[str, Any] = orjson.loads(values.pop("evidence"))
    platform = values.pop("platform")
    if platform is not None:
        evidence["platform"] = orjson.loads(platform)
    return _recorded(values), evidence


async def lock_open(connection: Connection, review_id: int, *, version: int | None) -> RecordedReview:
    """Keep everybody else off an open review until the transaction ends.

    `version` is the one that the person saw, None when they do not say. Raises ReviewNotFound, ReviewChanged.
    """
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM kessai.reviews WHERE review_id = $1 FOR UPDATE", review_id)
    if row is None:
        raise ReviewNotFound(review_id)
    review = _recorded(dict(row))
    if review.state != "open":
        raise ReviewChanged(review_id, _how_closed(review))
    if version is not None and version != review.version:
        raise ReviewChanged(review_id, await _how_changed(connection, review, version))
    return review


async def claim(
    connection: Connection, review_id: int, *, actor: str, take_over: bool = False, version: int | None = None
) -> RecordedReview:
    """Take a review; it is one's own already, or nobody's, or taken over. Raises ReviewTaken, ReviewChanged."""
    async with connection.transaction():
        review = await lock_open(connection, review_id, version=version)
        if review.assignee == actor:
            return review
        if review.assignee is not None and not take_over:
            raise ReviewTaken(review_id, review.assignee)
        detail = {"taken_from": review.assignee} if review.assignee else None
        return await _assign(connection, review, actor, actor=actor, action="review.claimed", detail=detail)


async def release(connection: Connection, review_id: int, *, actor: str, version: int | None = None) -> RecordedReview:
    """Give a review back; nothing happens when nobody holds it. Raises ReviewTaken, ReviewChanged."""
    async with connection.transaction():
        review = await lock_open(connection, review_id, version=version)
        if review.assignee is None:
            return review
        if review.assignee != actor:
            raise ReviewTaken(review_id, review.assignee)
        return await _assign(connection, review, None, actor=actor, action="review.released")


async def _assign(
    connection: Connection,
    review: RecordedReview,
    assignee: str | None,
    *,
    actor: str,
    action: str,
    detail: Mapping[str, Any] | None = None,
) -> RecordedReview:
    row = await connection.fetchrow(
        f"""
        UPDATE kessai.reviews
        SET assignee = $2, version = version + 1
        WHERE review_id = $1
        RETURNING {_COLUMNS}
        """,
        review.review_id,
        assignee,
    )
    assert row is not None  # noqa: S101 - it is locked
    await record(connection, review, actor=actor, action=action, detail=detail)
    return _recorded(dict(row))


async def propose(connection: Connection, review: RecordedReview, proposed: Mapping[str, Any] | None) -> RecordedReview:
    """Let a locked review wait for a second person, or for nobody any more."""
    row = await connection.fetchrow(
        f"""
        UPDATE kessai.reviews
        SET proposed = $2, version = version + 1
        WHERE review_id = $1
        RETURNING {_COLUMNS}
        """,
        review.review_id,
        None if proposed is None else orjson.dumps(proposed).decode(),
    )
    assert row is not None  # noqa: S101 - it is locked
    return _recorded(dict(row))


async def close(
    connection: Connection, endings: Sequence[Ending], *, by: str, resolution: str, why: str | None = None
) -> None:
    """Close locked reviews and settle the claims of their events, each table at once. Raises NotLookedFor."""
    await connection.execute(
        """
        UPDATE kessai.reviews
        SET state = 'closed', closed_at = now(), closed_by = $3, resolution = $4, why = $5, proposed = NULL,
            version = version + 1, order_id = coalesce(ended.order_id, reviews.order_id)
        FROM unnest($1::bigint[], $2::text[]) AS ended (review_id, order_id)
        WHERE reviews.review_id = ended.review_id
        """,
        [ending.review_id for ending in endings],
        [ending.ruling.order.order_id if ending.ruling.order else None for ending in endings],
        by,
        resolution,
        why,
    )
    await claims.settle(connection, {ending.review_id: ending.ruling for ending in endings})


async def record(
    connection: Connection,
    review: RecordedReview,
    *,
    actor: str,
    action: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write down what somebody did to a review."""
    await audit.record(
        connection,
        actor=actor,
        action=action,
        subject=subject(review.review_id),
        endpoint=review.endpoint,
        event_id=review.event_id,
        detail=detail,
    )


def subject(review_id: int) -> str:
    """As the audit names a review."""
    return f"review:{review_id}"


def _recorded(row: Mapping[str, Any]) -> RecordedReview:
    given = row["receipt_id"]
    receipt_id = None if given is None else UUID(int=given.int)  # the driver's own kind of UUID has no JSON form
    decided = {name: None if row[name] is None else orjson.loads(row[name]) for name in ("proposed", "suggested")}
    return RecordedReview(**{**row, "receipt_id": receipt_id, **decided})


def _how_closed(review: RecordedReview) -> str:
    at = _moment(review.closed_at) if review.closed_at else "some time"
    return f"was closed by {review.closed_by or 'Kessai'} with {review.resolution} at {at}"


async def _how_changed(connection: Connection, review: RecordedReview, seen: int) -> str:
    """Who did what last, for somebody who saw an earlier version."""
    acts = await audit.newest(connection, audit.ActFilter(subject=subject(review.review_id)), limit=20)
    last = next((act for act in acts if act.action in _DONE), None)
    if last is None or seen > review.version:
        return f"is at version {review.version}, not {seen}"
    return f"was {_DONE[last.action]} by {last.actor} at {_moment(last.at)}"


_DONE = {
    "review.claimed": "claimed",
    "review.released": "released",
    "review.proposed": "given a proposal",
    "review.withdrawn": "freed of its proposal",
    "review.changed": "given other evidence",
    "review.suggested": "given a suggestion",
}


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z"
