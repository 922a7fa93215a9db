"""What would each decision on a review do? By the very rules of `resolve`, without a lock and without a change."""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.ledger import archive, reviews
from shared.ledger.books import Order, Shop
from shared.ledger.database import Connection
from shared.ledger.decisions import Answer, Case, Decision, Resolution, choices, decide
from shared.ledger.incoming import Incoming
from shared.ledger.lookup import find_batches, find_spent, has_effect
from shared.ledger.missed_webhooks import case_of
from shared.ledger.reviews import RecordedReview
from shared.ledger.transitions import OF_SESSIONS, ReviewReason
from shared.sdrp.events import MalformedEvent


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that may be done with a review."""

    resolution: Resolution
    answer: Answer | None
    """None where it depends on the order that is named."""


async def foresee(connection: Connection, review: RecordedReview, shops: Mapping[str, Shop]) -> list[Choice]:
    """What is worth trying on an open review, and what it would come to as the books stand now."""
    case = await _case(connection, review)
    order_id = case.order.order_id if case.order else review.order_id
    return [
        Choice(resolution, _answer(resolution, case, shops))
        for resolution in choices(review.reason, challenge_hash=review.challenge_hash, order_id=order_id)
    ]


def _answer(resolution: Resolution, case: Case, shops: Mapping[str, Shop]) -> Answer | None:
    if resolution is Resolution.LINK_ORDER:
        return None
    return decide(Decision(resolution, "?"), case, shops)


async def _case(connection: Connection, review: RecordedReview) -> Case:
    reason = ReviewReason(review.reason)
    if reason in OF_SESSIONS:
        _, evidence = await reviews.find(connection, review.review_id)
        row = await connection.fetchrow("SELECT * FROM kessai.orders WHERE order_id = $1", review.order_id)
        return await case_of(connection, review, evidence, None if row is None else Order.from_row(row))
    try:
        incoming = await archive.of_review(connection, review)
    except MalformedEvent:
        incoming = None
    if incoming is None:
        return Case(reason, None, None, {})
    batch_id = incoming.settlement_batch_id
    order, is_rejected = await _order_of(connection, incoming)
    spent = await find_spent(connection, [incoming])
    return Case(
        reason,
        incoming,
        order,
        await find_batches(connection, [batch_id]) if batch_id else {},
        spent_on=spent.get(incoming.requirement) if incoming.requirement else None,
        is_rejected=is_rejected,
        has_effect=await has_effect(connection, incoming),
    )


async def _order_of(connection: Connection, incoming: Incoming) -> tuple[Order | None, bool]:
    """The order of its challenge, and whether a person has rejected the payment of that challenge."""
    row = await connection.fetchrow(
        """
        SELECT orders.*, coalesce(challenge_hash = ANY (rejected_challenges), false) AS is_rejected
        FROM kessai.challenges
        JOIN kessai.orders USING (order_id)
        WHERE challenge_hash = $1
        """,
        incoming.challenge_hash,
    )
    return (None, False) if row is None else (Order.from_row(row), row["is_rejected"])
