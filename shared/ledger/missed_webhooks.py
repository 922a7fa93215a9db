"""Payments whose webhook is missing: has it come after all, has a person decided, and the review that is opened."""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from shared.ledger import outbox
from shared.ledger.books import Order
from shared.ledger.database import Connection
from shared.ledger.decisions import Case, Resolution
from shared.ledger.facts import difference_found
from shared.ledger.hosted_sessions import StatedSession, beside_order
from shared.ledger.reviews import RecordedReview
from shared.ledger.transitions import ReviewReason, queue_of

REASON: Final = ReviewReason.MISSED_WEBHOOK


def heard_sql(endpoint: str, order_id: str, requirement_id: str, challenge_hash: str) -> str:
    """Whether the order has that payment, or the order's own endpoint has an event of it in a review.

    A copy that came to another endpoint is no webhook of the order's shop: it can only be a mismatch there. Bytes that
    contradict earlier ones under their event id may be impossible to count.
    """
    return f"""
    (EXISTS (SELECT FROM kessai.orders AS paid
             WHERE paid.order_id = {order_id}
               AND (paid.requirement_id = {requirement_id}
                    OR {requirement_id} IS NULL AND paid.state NOT IN ('pending', 'cancelled')))
     OR EXISTS (SELECT FROM kessai.reviews AS of_event
                WHERE of_event.endpoint = {endpoint} AND of_event.challenge_hash = {challenge_hash}
                  AND of_event.event_id IS NOT NULL AND of_event.reason <> '{ReviewReason.EVENT_ID_CONFLICT}'))
    """


IS_HEARD = f"SELECT {heard_sql('$1', '$2', '$3::text', '$4::text')}"


async def is_heard(
    connection: Connection, endpoint: str, order_id: str, requirement_id: str | None, challenge_hash: str | None
) -> bool:
    return bool(await connection.fetchval(IS_HEARD, endpoint, order_id, requirement_id, challenge_hash))


async def is_dead_letter(connection: Connection, endpoint: str, challenge_hash: str | None) -> bool:
    """Whether an event of that payment waits among the dead letters, to be replayed or discarded."""
    return bool(
        await connection.fetchval(
            """
            SELECT EXISTS (SELECT FROM kessai.dead_letters
                           WHERE endpoint = $1 AND challenge_hash = $2 AND state = 'open')
            """,
            endpoint,
            challenge_hash,
        )
    )


async def find_spender(connection: Connection, endpoint: str, requirement_id: str) -> str | None:
    """The order that a payment requirement has paid."""
    spent_on: str | None = await connection.fetchval(
        "SELECT subject FROM kessai.audit WHERE endpoint = $1 AND requirement_id = $2", endpoint, requirement_id
    )
    return spent_on


def about(session_id: str) -> str:
    """What the review of a session is about."""
    return f"session:{session_id}"


async def was_decided(connection: Connection, endpoint: str, session_id: str) -> bool:
    """Whether a review of this session is closed: what a person has answered is not asked again."""
    decided = await connection.fetchval(
        "SELECT true FROM kessai.reviews WHERE endpoint = $1 AND about = $2 AND state = 'closed' LIMIT 1",
        endpoint,
        about(session_id),
    )
    return bool(decided)


async def was_rejected(connection: Connection, endpoint: str, challenge_hash: str) -> bool:
    """Whether a person has rejected the payment of a challenge, and nobody has anything of it left to decide.

    The rejection of a copy that came to another endpoint, or of bytes that contradict earlier ones under their event
    id, says nothing of the payment. While either waits for a decision, a person may still count it.
    """
    rejected = await connection.fetchval(
        """
        SELECT coalesce(bool_or(endpoint = $1 AND resolution = $3 AND reason <> $4), false)
               AND NOT coalesce(bool_or(state = 'open'), false)
               AND NOT EXISTS (SELECT FROM kessai.dead_letters WHERE challenge_hash = $2 AND state = 'open')
        FROM kessai.reviews
        WHERE challenge_hash = $2
        """,
        endpoint,
        challenge_hash,
        Resolution.REJECT,
        ReviewReason.EVENT_ID_CONFLICT,
    )
    return bool(rejected)


async def reject_challenge(connection: Connection, order_id: str, challenge_hash: str) -> None:
    """Let no webhook of this challenge move its locked order by itself: the money may have been sent back."""
    await connection.execute(
        "UPDATE kessai.orders SET rejected_challenges = array_append(rejected_challenges, $2) WHERE order_id = $1",
        order_id,
        challenge_hash,
    )


async def case_of(
    connection: Connection, review: RecordedReview, evidence: Mapping[str, Any], order: Order | None
) -> Case:
    """What the books hold of a payment without a webhook, for the decision on its review."""
    session = StatedSession.shown(evidence["session"])
    spent_on = None
    if session.requirement_id is not None:
        spent_on = await find_spender(connection, review.endpoint, session.requirement_id)
    return Case(
        *(REASON, None, order, {}),
        spent_on=spent_on,
        session=session,
        challenge_hash=review.challenge_hash,
        is_heard=await is_heard(
            connection, review.endpoint, review.order_id or "", session.requirement_id, review.challenge_hash
        ),
    )


async def open_review(
    connection: Connection, order: Order, challenge_hash: str | None, session: StatedSession, *, now: datetime
) -> None:
    """Open a review of a payment without a webhook, unless one is open, and write the fact that says so."""
    session = session.believed(now)
    evidence = beside_order(session, order, challenge_hash)
    review_id = await connection.fetchval(
        """
        INSERT INTO kessai.reviews (queue, reason, endpoint, about, about_at, body_digest, order_id, challenge_hash,
                                    evidence)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb)
        ON CONFLICT (endpoint, about, reason) WHERE about IS NOT NULL AND state = 'open' DO NOTHING
        RETURNING review_id
        """,
        *(queue_of(REASON), REASON, order.endpoint, about(session.session_id), session.paid_at or now),
        hashlib.sha256(orjson.dumps(evidence, option=orjson.OPT_SORT_KEYS)).digest(),
        *(order.order_id, challenge_hash, orjson.dumps(evidence).decode()),
    )
    if review_id is not None:
        told = difference_found(REASON, about(session.session_id), review_id, order.order_id, order.endpoint, now)
        await outbox.put(connection, [told])
