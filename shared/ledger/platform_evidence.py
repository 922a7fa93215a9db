"""What the platform says of open reviews: which are to be asked about, with which sessions, and what came of it.

A review is leased while the platform is asked, by moving the time of the next question; nobody at the desk notices.
What was found is written only onto the version of the review that it was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from shared.backoff import exponential
from shared.ledger import reviews
from shared.ledger.books import Order, Row
from shared.ledger.database import Connection
from shared.ledger.reviews import RecordedReview
from shared.ledger.suggestions import Suggestion
from shared.ledger.transitions import ReviewReason

ACTOR: Final = "worker:reviews"
LEASE: Final = timedelta(minutes=5)
"""After which a review is asked about again whose worker died."""
FIRST_PAUSE: Final = timedelta(minutes=30)
LONGEST_PAUSE: Final = timedelta(hours=8)
ASKS: Final = 6
"""Questions about one review at most, each after twice the pause: over some sixteen hours."""
MAY_BE: Final = 5
"""Sessions at most that may be that of a payment whose challenge no order has."""


class Leased(NamedTuple):
    review_id: int
    asks: int
    """Before this one."""


@dataclass(frozen=True, slots=True)
class OurSession:
    """A session that the books keep, with its order."""

    session_id: str
    challenge_hash: str
    order: Order
    is_guess: bool = False
    """It is like the payment, and that is all: only an equal challenge makes it the one."""


async def lease(connection: Connection, endpoints: Sequence[str], *, now: datetime, limit: int) -> list[Leased]:
    """Open reviews that are to be asked about, the new ones first; no other worker gets them meanwhile."""
    rows = await connection.fetch(LEASE_REVIEWS, endpoints, now, now + LEASE, limit, 2 * ASKS)
    return [Leased(row["review_id"], row["asks"] - 1) for row in rows]


LEASE_REVIEWS = """
WITH never AS (
    SELECT review_id
    FROM kessai.reviews
    WHERE state = 'open' AND ask_at IS NULL AND endpoint = ANY ($1::text[])
    ORDER BY review_id
    LIMIT $4
    FOR UPDATE SKIP LOCKED
), again AS (
    SELECT review_id
    FROM kessai.reviews
    WHERE state = 'open' AND ask_at <= $2 AND ask_at < 'infinity' AND asks < $5 AND endpoint = ANY ($1::text[])
    ORDER BY ask_at
    LIMIT $4
    FOR UPDATE SKIP LOCKED
)
UPDATE kessai.reviews
SET ask_at = $3, asks = asks + 1
FROM (SELECT review_id FROM never UNION ALL SELECT review_id FROM again LIMIT $4) AS due
WHERE reviews.review_id = due.review_id
RETURNING reviews.review_id, asks
"""


async def give_back(connection: Connection, leased: Leased, *, until: datetime) -> None:
    """The platform was away: that was no question."""
    await connection.execute(
        "UPDATE kessai.reviews SET ask_at = $2, asks = $3 WHERE review_id = $1 AND state = 'open'",
        *(leased.review_id, until, leased.asks),
    )


def next_ask(asks: int, now: datetime) -> datetime | None:
    """When the platform is asked about a review again, after this many requests; None for never."""
    return now + exponential(FIRST_PAUSE, asks - 1, limit=LONGEST_PAUSE) if asks < ASKS else None


_OURS = """
SELECT checkout_attempts.session_id, checkout_attempts.challenge_hash, orders.*
FROM kessai.checkout_attempts
JOIN kessai.orders USING (order_id)
"""
BY_HASH = f"""
{_OURS}
WHERE order_id = (SELECT order_id FROM kessai.challenges WHERE challenge_hash = $2)
  AND checkout_attempts.challenge_hash = $2 AND endpoint = $1 AND session_id IS NOT NULL
"""
BY_ORDER = f"""
{_OURS}
WHERE order_id = $2 AND endpoint = $1 AND session_id IS NOT NULL
ORDER BY attempt DESC
LIMIT 1
"""
BY_LIKENESS = f"""
{_OURS}
WHERE endpoint = $1 AND session_id IS NOT NULL AND checkout_attempts.state IN ('open', 'paid')
  AND orders.state = 'pending'
  AND amount_minor = $2 AND currency = $3 AND (look_at IS NULL OR look_at < 'infinity')
  AND opened_at BETWEEN $4::timestamptz - interval '1 day' AND $4::timestamptz + interval '5 minutes'
ORDER BY opened_at DESC
LIMIT {MAY_BE}
"""


async def sessions_of(
    connection: Connection, review: RecordedReview, *, amount_minor: int | None, currency: str | None
) -> list[OurSession]:
    """The session of a review's challenge, else of its order; of an unknown challenge, those that it may be of.

    Only what the platform answers tells which of the latter it is.
    """
    rows: list[Any] = []
    if review.challenge_hash is not None:
        rows = await connection.fetch(BY_HASH, review.endpoint, review.challenge_hash)
    if not rows and review.order_id is not None:
        rows = await connection.fetch(BY_ORDER, review.endpoint, review.order_id)
    is_lost = review.reason == ReviewReason.UNKNOWN_CHALLENGE_HASH and amount_minor is not None
    is_guess = not rows and is_lost and review.received_at is not None
    if is_guess:
        rows = await connection.fetch(BY_LIKENESS, review.endpoint, amount_minor, currency, review.received_at)
    return [OurSession(row["session_id"], row["challenge_hash"], Order.from_row(row), is_guess) for row in rows]


# Each part finds its rows by an index of its own; of an OR a planner may make a search through all that are unpaired.
USAGE = """
WITH stated AS (
    SELECT * FROM kessai.statement_usage WHERE endpoint = $1 AND paired_with = $2
    UNION ALL
    SELECT * FROM kessai.statement_usage WHERE endpoint = $1 AND paired_with IS NULL AND requirement_id = $2
    UNION ALL
    SELECT * FROM kessai.statement_usage WHERE endpoint = $1 AND paired_with IS NULL AND challenge_hash = $3
)
SELECT metered_usage_id, plan_type, status, currency, provider_gross_amount_minor, protocol_fee_minor,
       provider_receivable_minor, settlement_batch_id, requirement_id, challenge_hash, stated_at
FROM stated
ORDER BY created_at DESC
LIMIT 1
"""
BATCH = """
SELECT settlement_batch_id, status, money, plan_type, currency, provider_gross_amount_minor, chain_receipt_id,
       settled_at, failure_reason_label, support_reference, stated_at
FROM kessai.statement_batches
WHERE endpoint = $1 AND settlement_batch_id = $2
"""


async def stated(
    connection: Connection, review: RecordedReview, *, requirement_id: str | None, batch_id: str | None
) -> dict[str, object]:
    """What statements in the books say already of the payment or the batch of a review."""
    found: dict[str, object] = {}
    if requirement_id is not None or review.challenge_hash is not None:
        usage = await connection.fetchrow(USAGE, review.endpoint, requirement_id, review.challenge_hash)
        found |= {} if usage is None else {"usage": _shown(usage)}
        batch_id = batch_id or (usage["settlement_batch_id"] if usage is not None else None)
    if batch_id is not None:
        batch = await connection.fetchrow(BATCH, review.endpoint, batch_id)
        found |= {} if batch is None else {"batch": _shown(batch)}
    return found


async def attach(
    connection: Connection,
    review: RecordedReview,
    platform: Mapping[str, object],
    suggestion: Suggestion | None,
    *,
    ask_at: datetime | None,
) -> None:
    """Keep what the platform says with an open review, and what follows from it.

    Evidence changes nothing that a person decides on, so only another suggestion makes another version. Raises
    ReviewChanged when somebody acted since the review was read.
    """
    async with connection.transaction():
        known = await reviews.lock_open(connection, review.review_id, version=review.version)
        suggested = None if suggestion is None else asdict(suggestion)
        is_new = suggested != known.suggested
        await connection.execute(
            """
            UPDATE kessai.reviews
            SET platform = $2::jsonb, suggested = $3::jsonb, ask_at = coalesce($4::timestamptz, 'infinity'),
                version = version + $5
            WHERE review_id = $1
            """,
            review.review_id,
            orjson.dumps(platform).decode(),
            None if suggested is None else orjson.dumps(suggested).decode(),
            ask_at,
            int(is_new),
        )
        if is_new:
            await reviews.record(connection, review, actor=ACTOR, action="review.suggested", detail=suggested)


def _shown(row: Row) -> dict[str, object]:
    values: Mapping[str, Any] = dict(row)  # type: ignore[call-overload]
    return {name: value if value is None or isinstance(value, str) else _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else format(value, "f")
