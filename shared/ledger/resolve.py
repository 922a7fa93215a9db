"""A person's decision, carried out: locked, ruled, written and told in one transaction, or nothing of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from shared.errors import KessaiError
from shared.ledger import reviews
from shared.ledger.actors import is_same_person
from shared.ledger.books import Shop
from shared.ledger.cases import open_case
from shared.ledger.changes import Changes
from shared.ledger.database import Connection
from shared.ledger.decisions import (
    NEEDS_SECOND,
    Case,
    Decision,
    Refusal,
    Resolution,
    Unchanged,
    Verdict,
    decide,
)
from shared.ledger.effects import write_effects
from shared.ledger.missed_webhooks import reject_challenge
from shared.ledger.reviews import Ending, RecordedReview, ReviewChanged, ReviewTaken
from shared.ledger.rulings import add_effects
from shared.ledger.session_payments import put_session_payment
from shared.ledger.transitions import ReviewReason
from shared.ledger.waiting import Became, apply_waiting
from shared.remedies import Remedy


class CannotResolve(KessaiError):
    """The books allow no such resolution; nothing changed."""

    def __init__(self, review_id: int, resolution: Resolution, why: str, remedy: Remedy | None = None) -> None:
        super().__init__(f"review {review_id} cannot be resolved with {resolution}, and nothing was changed: {why}")
        self.remedy = remedy


class WaitsForApproval(KessaiError):
    def __init__(self, review: RecordedReview, proposed: Mapping[str, Any]) -> None:
        super().__init__(
            f"review {review.review_id} waits for a second person to approve the {proposed['resolution']} "
            f"of {proposed['by']}: approve it or withdraw it first"
        )


class CannotApprove(KessaiError):
    """Nothing is proposed, or by the very person who would approve it."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """What became of a review that was decided on."""

    review_id: int
    resolution: Resolution
    done: Literal["closed", "proposed", "unchanged"]
    outcome: str | None = None
    """Of its event, where one is behind it."""
    reason: str | None = None
    order_id: str | None = None
    order_state: str | None = None
    closed_with_it: int = 0
    """Other reviews of the same challenge, which an order is known for now."""


@dataclass(frozen=True, slots=True)
class People:
    """Who decided, and who had proposed it when two were asked."""

    actor: str
    proposed_by: str | None = None


async def resolve(
    connection: Connection,
    review_id: int,
    decision: Decision,
    *,
    actor: str,
    shops: Mapping[str, Shop],
    now: datetime,
    version: int | None = None,
    approvals: int = 1,
) -> Resolved:
    """Decide on a review. With two `approvals`, what moves money is only proposed.

    Raises ReviewNotFound, ReviewChanged, ReviewTaken, WaitsForApproval, OrderNotFound, CannotResolve.
    """
    async with connection.transaction():
        review, case = await open_case(connection, review_id, decision, version=version)
        if review.proposed is not None:
            raise WaitsForApproval(review, review.proposed)
        if review.assignee not in (None, actor):
            raise ReviewTaken(review_id, str(review.assignee))
        answer = decide(decision, case, shops)
        if isinstance(answer, Refusal):
            raise CannotResolve(review_id, decision.resolution, answer.why, answer.remedy)
        if isinstance(answer, Unchanged):
            return Resolved(review_id, decision.resolution, "unchanged", outcome="review", reason=case.reason)
        if approvals > 1 and decision.resolution in NEEDS_SECOND:
            return await _propose(connection, review, decision, answer, actor=actor, now=now)
        return await _carry_out(connection, review, case, decision, answer, People(actor), now)


async def approve(
    connection: Connection,
    review_id: int,
    *,
    actor: str,
    shops: Mapping[str, Shop],
    now: datetime,
    version: int | None = None,
) -> Resolved:
    """Carry out what another person proposed. Raises CannotApprove and what `resolve` raises."""
    async with connection.transaction():
        seen, _ = await reviews.find(connection, review_id)
        if seen.proposed is None:
            await reviews.lock_open(connection, review_id, version=version)
            raise CannotApprove(f"review {review_id} has no decision that waits for approval: resolve it yourself")
        decision = _decision(seen.proposed)
        review, case = await open_case(connection, review_id, decision, version=version)
        if review.proposed != seen.proposed:
            raise ReviewChanged(review_id, "has another proposal by now")
        _refuse_own(seen.proposed, review_id, actor)
        answer = decide(decision, case, shops)
        if not isinstance(answer, Verdict):
            refusal = answer if isinstance(answer, Refusal) else Refusal("the books say so already")
            raise CannotResolve(review_id, decision.resolution, refusal.why, refusal.remedy)
        people = People(actor, proposed_by=seen.proposed["by"])
        return await _carry_out(connection, review, case, decision, answer, people, now)


async def withdraw(connection: Connection, review_id: int, *, actor: str, version: int | None = None) -> RecordedReview:
    """Take back what was proposed; anybody may. Raises ReviewNotFound, ReviewChanged, CannotApprove."""
    async with connection.transaction():
        review = await reviews.lock_open(connection, review_id, version=version)
        if review.proposed is None:
            raise CannotApprove(
                f"review {review_id} has no decision that waits for approval: there is none to withdraw"
            )
        await reviews.record(connection, review, actor=actor, action="review.withdrawn", detail=review.proposed)
        return await reviews.propose(connection, review, None)


async def _carry_out(
    connection: Connection,
    review: RecordedReview,
    case: Case,
    decision: Decision,
    verdict: Verdict,
    people: People,
    now: datetime,
) -> Resolved:
    ruling, changes = verdict.ruling, Changes()
    if case.incoming is not None:
        add_effects(changes, case.incoming, ruling, now)
    if ruling.review is not None:
        await _refuse_known(connection, review, decision, ruling.review)
    await reviews.close(
        connection,
        [Ending(review.review_id, ruling)],
        by=people.actor,
        resolution=decision.resolution,
        why=decision.why,
    )
    await write_effects(connection, changes, actor=people.actor)
    is_rejected = case.session is not None and decision.resolution is Resolution.REJECT
    if is_rejected and case.order is not None and case.challenge_hash is not None:
        await reject_challenge(connection, case.order.order_id, case.challenge_hash)
    if case.session is not None and ruling.order is not None and ruling.moved_from is not None:
        await put_session_payment(connection, ruling.order, ruling.moved_from, actor=people.actor, now=now)
    await reviews.record(
        connection, review, actor=people.actor, action="review.resolved", detail=_detail(decision, verdict, people)
    )
    further = 0
    if decision.order_id is not None and review.challenge_hash is not None:
        further = await _link(connection, review.challenge_hash, decision.order_id, people.actor, now)
    return Resolved(
        review.review_id,
        decision.resolution,
        "closed",
        outcome=ruling.outcome if review.event_id is not None else None,
        reason=ruling.reason,
        order_id=ruling.order.order_id if ruling.order else review.order_id,
        order_state=ruling.order.state if ruling.order else None,
        closed_with_it=further,
    )


async def _refuse_known(
    connection: Connection, review: RecordedReview, decision: Decision, reason: ReviewReason
) -> None:
    """A review is opened once for one reason: what was decided before is not asked again, and this one stays."""
    known = await connection.fetchval(
        """
        SELECT other.review_id
        FROM kessai.reviews
        JOIN kessai.reviews AS other USING (endpoint, event_id, body_digest)
        WHERE reviews.review_id = $1 AND other.reason = $2
        """,
        review.review_id,
        reason,
    )
    if known is not None:
        raise CannotResolve(
            review.review_id, decision.resolution, f"it would be {reason} today, which review {known} was about already"
        )


async def _link(connection: Connection, challenge_hash: str, order_id: str, actor: str, now: datetime) -> int:
    """Give the challenge to the order, so that a payment cannot be counted for a second one.

    Returns how many other reviews waited for it and are closed now.
    """
    await connection.execute(
        "INSERT INTO kessai.challenges (challenge_hash, order_id) VALUES ($1, $2)", challenge_hash, order_id
    )
    waited = await apply_waiting(connection, [challenge_hash], Became.LINKED, actor=actor, now=now)
    return waited.closed


async def _propose(
    connection: Connection,
    review: RecordedReview,
    decision: Decision,
    verdict: Verdict,
    *,
    actor: str,
    now: datetime,
) -> Resolved:
    proposed = {
        "resolution": decision.resolution,
        "order_id": decision.order_id,
        "accept_mismatch": decision.accept_mismatch,
        "why": decision.why,
        "by": actor,
        "at": now,
    }
    await reviews.propose(connection, review, proposed)
    await reviews.record(
        connection, review, actor=actor, action="review.proposed", detail=_detail(decision, verdict, People(actor))
    )
    order = verdict.ruling.order
    return Resolved(
        review.review_id, decision.resolution, "proposed", order_id=order.order_id if order else review.order_id
    )


def _decision(proposed: Mapping[str, Any]) -> Decision:
    return Decision(
        Resolution(proposed["resolution"]), proposed["why"], proposed["order_id"], proposed["accept_mismatch"]
    )


def _refuse_own(proposed: Mapping[str, Any], review_id: int, actor: str) -> None:
    if is_same_person(proposed["by"], actor):
        raise CannotApprove(
            f"{proposed['by']} proposed the {proposed['resolution']} of review {review_id}: "
            "a second person must approve it"
        )


def _detail(decision: Decision, verdict: Verdict, people: People) -> dict[str, Any]:
    ruling = verdict.ruling
    told = {
        "resolution": decision.resolution,
        "why": decision.why,
        "order": ruling.order.order_id if ruling.order else decision.order_id,
        "outcome": ruling.outcome,
        "reason": ruling.reason,
        "accepted": verdict.accepted,
        "proposed_by": people.proposed_by,
        "approved_by": people.actor if people.proposed_by else None,
    }
    return {name: value for name, value in told.items() if value is not None}
