"""Every difference between statements and books has one review, and a review whose difference is gone is closed.

Run it after each sync that came to its end, once `settle_orders` has no more to do.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

import orjson

from shared.ledger import audit, outbox, reviews
from shared.ledger.audit import Act
from shared.ledger.database import Connection
from shared.ledger.facts import difference_found
from shared.ledger.revenue import clocks, syncs
from shared.ledger.revenue.conditions import FINAL_MONEY
from shared.ledger.revenue.controls import control_totals, residues
from shared.ledger.revenue.differences import Difference
from shared.ledger.revenue.explanations import Explained, Standing, explain
from shared.ledger.revenue.findings import READ_WHOLE_TABLES, find_differences
from shared.ledger.revenue.pairing import pair_late
from shared.ledger.revenue.reach import SETTLING_TIME
from shared.ledger.revenue.settling import ACTOR
from shared.ledger.revenue.spans import Span
from shared.ledger.transitions import OF_STATEMENTS, queue_of

PATIENCE: Final = clocks.APART
"""How long the one side may be late with what the other has said."""
RECONCILED = "reconciled"
"""Resolution of a review whose two sides have come to agree."""


class Compared(NamedTuple):
    until: datetime | None
    """What happened before then was compared; None while the statements were never read to their end."""
    differences: int = 0
    opened: int = 0
    changed: int = 0
    """Reviews whose difference is another by now."""
    closed: int = 0
    paired: int = 0
    """Rows of statements whose webhook came after them: `settle_orders` may have more to do."""
    unexplained: Mapping[str, Decimal] = MappingProxyType({})
    """By currency, what webhooks and statements differ by beyond all differences, in minor units: a fault of ours."""


async def compare(
    connection: Connection,
    endpoint: str,
    *,
    now: datetime,
    since: datetime | None = None,
    patience: timedelta = PATIENCE,
) -> Compared:
    """Compare what statements and webhooks say from the day of `since` on, and let reviews say what differs."""
    async with connection.transaction():
        await syncs.hold(connection, endpoint)
        paired = await pair_late(connection, endpoint)
    found = await _find(connection, endpoint, since, patience)
    if found is None:
        return Compared(None, paired=paired)
    span, explained, unexplained = found
    async with connection.transaction():
        await syncs.hold(connection, endpoint)
        opened = await _open(connection, endpoint, [e.difference for e in explained if _is_new(e)], now)
        changed = await _change(connection, endpoint, [each for each in explained if _is_other(each)])
        closed = await _close(connection, span, [each.difference for each in explained if not _is_of_webhook(each)])
        await syncs.note_compared(connection, endpoint, now=now)
    return Compared(span.until, len(explained), opened, changed, closed, paired, unexplained)


async def recount(connection: Connection, endpoint: str) -> Compared:
    """What a comparison finds now; no review is opened, changed or closed."""
    found = await _find(connection, endpoint, None, PATIENCE)
    if found is None:
        return Compared(None)
    span, explained, unexplained = found
    return Compared(span.until, len(explained), unexplained=unexplained)


async def _find(
    connection: Connection, endpoint: str, since: datetime | None, patience: timedelta
) -> tuple[Span, list[Explained], Mapping[str, Decimal]] | None:
    """What differs and what no difference accounts for, as one snapshot has both: webhooks go on coming meanwhile."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(READ_WHOLE_TABLES)
        span = await span_of(connection, endpoint, since=since and _day(since), at_least=True, patience=patience)
        if span is None:
            return None
        explained = await explain(connection, endpoint, await find_differences(connection, span))
        left = residues(await control_totals(connection, span), explained)
    return span, explained, MappingProxyType({currency: amount for currency, amount in left.items() if amount})


async def span_of(
    connection: Connection,
    endpoint: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    at_least: bool = False,
    patience: timedelta = PATIENCE,
) -> Span | None:
    """What can be compared: since then, or as far back as something can change; `at_least`: since the earlier of both.

    None when nothing can.
    """
    complete = await syncs.complete_as_of(connection, endpoint)
    if complete is None:
        return None
    compared_until = complete - patience
    if since is None or at_least:
        oldest = [since, await _oldest_open(connection, endpoint), await _oldest_held(connection, endpoint)]
        since = _day(min([compared_until - SETTLING_TIME, *(at for at in oldest if at is not None)]))
    end = min(until or compared_until, compared_until)
    dates = await clocks.find_dates(connection, endpoint, since, end)
    return Span(endpoint, since, end, compared_until, complete, dates)


def _day(at: datetime) -> datetime:
    """Its beginning: a difference of a day is always of the whole day, as far as it is over."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


async def _oldest_open(connection: Connection, endpoint: str) -> datetime | None:
    oldest: datetime | None = await connection.fetchval(
        """
        SELECT min(about_at)
        FROM kessai.reviews
        WHERE endpoint = $1 AND about IS NOT NULL AND state = 'open' AND reason = ANY ($2::text[])
        """,
        endpoint,
        list(OF_STATEMENTS),
    )
    return oldest


async def _oldest_held(connection: Connection, endpoint: str) -> datetime | None:
    """When the oldest row or batch was that keeps an order from its end: the order needs the review of what differs."""
    oldest: datetime | None = await connection.fetchval(
        f"""
        SELECT min(least(stated.created_at, batch.dated_at))
        FROM kessai.orders
        JOIN kessai.statement_usage AS stated
            ON stated.endpoint = orders.endpoint AND stated.paired_with = orders.requirement_id
            AND stated.paired_with IS NOT NULL -- where no row names its payment, an index says so at once
        JOIN kessai.statement_batches AS batch USING (settlement_batch_id)
        WHERE orders.endpoint = $1 AND orders.state = 'fulfilled_unsettled'
          AND batch.money IN {FINAL_MONEY} AND NOT batch.orders_due
        """,
        endpoint,
    )
    return oldest


def _is_new(explained: Explained) -> bool:
    return explained.standing is Standing.UNEXPLAINED


def _is_other(explained: Explained) -> bool:
    """Its open review shows sides that are no longer what they were."""
    is_open = explained.is_own and explained.standing is Standing.IN_REVIEW
    return is_open and explained.digest != explained.difference.digest


def _is_of_webhook(explained: Explained) -> bool:
    return not explained.is_own and explained.standing is not Standing.UNEXPLAINED


OPEN = """
INSERT INTO kessai.reviews (queue, reason, endpoint, about, about_at, body_digest, order_id, challenge_hash, evidence)
SELECT queue, reason, $1, about, about_at, digest, order_id, challenge_hash, evidence
FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[], $7::text[], $8::text[], $9::jsonb[])
     WITH ORDINALITY AS given (queue, reason, about, about_at, digest, order_id, challenge_hash, evidence, place)
ORDER BY place
RETURNING review_id, reason, about
"""


async def _open(connection: Connection, endpoint: str, found: Sequence[Difference], now: datetime) -> int:
    if not found:
        return 0
    rows = await connection.fetch(
        OPEN,
        endpoint,
        [queue_of(each.reason) for each in found],
        [each.reason for each in found],
        [each.about for each in found],
        [each.at for each in found],
        [each.digest for each in found],
        [each.order_id for each in found],
        [each.challenge_hash for each in found],
        [_json(each) for each in found],
    )
    ids = {(row["reason"], row["about"]): row["review_id"] for row in rows}
    told = [
        difference_found(each.reason, each.about, ids[each.reason, each.about], each.order_id, endpoint, now)
        for each in found
    ]
    await outbox.put(connection, told)
    return len(rows)


CHANGE = """
UPDATE kessai.reviews
SET evidence = given.evidence, body_digest = given.digest, about_at = given.about_at, proposed = NULL,
    version = version + 1
FROM unnest($1::bigint[], $2::bytea[], $3::jsonb[], $4::bytea[], $5::timestamptz[])
     AS given (review_id, seen, evidence, digest, about_at)
WHERE reviews.review_id = given.review_id AND reviews.state = 'open' AND reviews.body_digest = given.seen
RETURNING reviews.review_id
"""


async def _change(connection: Connection, endpoint: str, others: Sequence[Explained]) -> int:
    """Show the new sides in reviews that are still open with the sides that were found; returns how many.

    A proposed decision was about the old sides, so it is dropped. A review that a person has closed since the snapshot
    keeps what the person saw: the next comparison opens another review of the new sides.
    """
    if not others:
        return 0
    rows = await connection.fetch(
        CHANGE,
        [each.review_id for each in others],
        [each.digest for each in others],
        [_json(each.difference) for each in others],
        [each.difference.digest for each in others],
        [each.difference.at for each in others],
    )
    await audit.record_all(connection, [_act(row["review_id"], endpoint, "review.changed") for row in rows])
    return len(rows)


async def _close(connection: Connection, span: Span, found: Sequence[Difference]) -> int:
    """Reviews of the span whose difference is no more; one whose batch cannot be looked at now stays."""
    rows = await connection.fetch(
        """
        UPDATE kessai.reviews
        SET state = 'closed', closed_at = now(), closed_by = $4, resolution = $5, proposed = NULL, version = version + 1
        WHERE endpoint = $1 AND about IS NOT NULL AND state = 'open' AND about_at >= $2 AND about_at < $3
          AND reason = ANY ($8::text[]) AND (reason, about) NOT IN (SELECT * FROM unnest($6::text[], $7::text[]))
          AND NOT EXISTS (SELECT
                          FROM kessai.statement_batches
                          WHERE settlement_batch_id = coalesce(substring(about FROM '^batch:(.*)$'),
                                                               evidence #>> '{statement,settlement_batch_id}')
                            AND (about LIKE 'batch:%' AND dated_at >= $3 OR about LIKE 'order:%' AND orders_due))
        RETURNING review_id
        """,
        *span.arguments,
        ACTOR,
        RECONCILED,
        [each.reason for each in found],
        [each.about for each in found],
        list(OF_STATEMENTS),
    )
    acts = [_act(row["review_id"], span.endpoint, "review.resolved", resolution=RECONCILED) for row in rows]
    await audit.record_all(connection, acts)
    return len(rows)


def _act(review_id: int, endpoint: str, action: str, **detail: object) -> Act:
    return Act(ACTOR, action, reviews.subject(review_id), endpoint, detail=detail or None)


def _json(difference: Difference) -> str:
    return orjson.dumps(difference.evidence).decode()
