"""Reads what the platform knows about one review, keeps it, and acts on it as far as the policy allows."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.ledger import archive, platform_evidence, resolve, reviews
from shared.ledger.books import Shop
from shared.ledger.database import Connection
from shared.ledger.hosted_sessions import Payable, StatedSession, beside_order
from shared.ledger.incoming import Incoming
from shared.ledger.missed_webhooks import find_spender
from shared.ledger.platform_evidence import ACTOR, LEASE, Leased, OurSession, next_ask
from shared.ledger.resolve import CannotResolve, WaitsForApproval
from shared.ledger.reviews import RecordedReview, ReviewChanged, ReviewTaken
from shared.ledger.suggestions import SETTLED_BY_EVIDENCE, Asked, ReviewPolicy, Suggestion, suggest
from shared.ledger.transitions import ReviewReason
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.classify import StandardSettled
from shared.sdrp.events import MalformedEvent
from workers.database import RetryingDatabase
from workers.platform_sessions import NotSaid, ask


class Gathered(StrEnum):
    """The result of gathering evidence about a review."""

    CLOSED = "closed"
    """The review was closed before evidence was gathered."""
    CHANGED = "changed"
    """The review was changed meanwhile: evidence is gathered again."""
    ATTACHED = "attached"
    SUGGESTED = "suggested"
    RESOLVED = "resolved"
    AWAY = "away"
    """The platform was unavailable."""
    FAULT = "fault"
    """An error of Kessai itself."""


@dataclass(frozen=True, slots=True)
class EvidenceTerms:
    """The merchant's settings for evidence."""

    policy: ReviewPolicy
    approvals: int
    shops: Mapping[str, Shop]


@dataclass(frozen=True, slots=True)
class _Case:
    """A review as it was when gathering began, with what the books know about it."""

    review: RecordedReview
    incoming: Incoming | None
    ours: list[OurSession]
    stated: dict[str, object]


@dataclass(frozen=True, slots=True)
class _Answer:
    """Our session that the review is about, and the session as the platform states it."""

    ours: OurSession
    session: StatedSession | None


class Evidence:
    """Gathers evidence about the reviews of one endpoint."""

    def __init__(
        self, client: MerchantClient, terms: EvidenceTerms, books: RetryingDatabase, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._terms = terms
        self._books = books
        self._clock = clock

    async def gather(self, leased: Leased) -> Gathered:
        """What became of a leased review. Raises PlatformAway."""
        case = await self._books.run(lambda connection: _case(connection, leased.review_id))
        if case is None:
            return Gathered.CLOSED
        answer = await self._look_up_session(case)
        try:
            return await self._books.run(lambda connection: self._settle(connection, leased, case, answer))
        except ReviewChanged:
            return Gathered.CHANGED  # its lease ends, and evidence is gathered about its newer state

    async def _look_up_session(self, case: _Case) -> _Answer | None:
        """Of sessions that were found by likeness, only one whose challenge it names. Raises PlatformAway."""
        for ours in case.ours:
            try:
                session = await ask(self._client, ours.session_id)
            except NotSaid:
                continue
            is_named = session is not None and session.challenge_hash == case.review.challenge_hash
            if is_named or not ours.is_guess:
                return _Answer(ours, session)
        return None

    async def _settle(self, connection: Connection, leased: Leased, case: _Case, answer: _Answer | None) -> Gathered:
        """Raises ReviewChanged."""
        now = self._clock()
        review = case.review
        suggestion = await self._suggestion(connection, case, answer)
        again = None if suggestion is not None else next_ask(leased.asks + 1, now)
        snapshot = _snapshot(case, answer, now)
        if suggestion is not None and self._may_act(review):
            lease = now + LEASE  # a worker that dies before it has decided leaves the review to the next
            await platform_evidence.attach(connection, review, snapshot, None, ask_at=lease)
            if await self._resolve(connection, review, suggestion, now):
                return Gathered.RESOLVED
        await platform_evidence.attach(connection, review, snapshot, suggestion, ask_at=again)
        return Gathered.ATTACHED if suggestion is None else Gathered.SUGGESTED

    async def _suggestion(self, connection: Connection, case: _Case, answer: _Answer | None) -> Suggestion | None:
        if self._terms.policy is ReviewPolicy.OFF or answer is None or answer.session is None:
            return None
        review, session, order = case.review, answer.session, answer.ours.order
        merchant = self._terms.shops.get(order.endpoint, Shop()).merchant
        spent_on = None
        if session.requirement_id is not None:
            spent_on = await find_spender(connection, order.endpoint, session.requirement_id)
        stated = Asked(session, Payable(order, merchant, review.challenge_hash, spent_on))
        return suggest(ReviewReason(review.reason), case.incoming.confirmation if case.incoming else None, stated)

    def _may_act(self, review: RecordedReview) -> bool:
        """Not where two people must decide, nor while a person works on the review."""
        is_free = review.assignee is None and review.proposed is None
        is_allowed = self._terms.policy is ReviewPolicy.ACT and self._terms.approvals == 1
        return is_allowed and is_free and review.reason in SETTLED_BY_EVIDENCE

    async def _resolve(
        self, connection: Connection, review: RecordedReview, suggestion: Suggestion, now: datetime
    ) -> bool:
        """Take the suggested decision; False when the books do not allow it. Raises ReviewChanged."""
        try:
            done = await resolve.resolve(
                connection,
                review.review_id,
                suggestion.decision,
                actor=ACTOR,
                shops=self._terms.shops,
                now=now,
                version=review.version,
                approvals=self._terms.approvals,
            )
        except (CannotResolve, ReviewTaken, WaitsForApproval):
            return False
        return done.done == "closed"


async def _case(connection: Connection, review_id: int) -> _Case | None:
    """None when the review was closed meanwhile."""
    review, evidence = await reviews.find(connection, review_id)
    if review.state != "open":
        return None
    try:
        incoming = await archive.of_review(connection, review)
    except MalformedEvent:
        incoming = None
    payment = incoming.confirmation if incoming is not None else None
    amount, currency = None, None
    if isinstance(payment, StandardSettled) and isinstance(payment.currency, str):
        amount, currency = _whole_amount(payment.amount), payment.currency
    ours = await platform_evidence.sessions_of(connection, review, amount_minor=amount, currency=currency)
    side = evidence.get("event") or evidence.get("statement") or evidence.get("session") or {}
    stated = await platform_evidence.stated(
        connection,
        review,
        requirement_id=_text(side, "requirement_id") or _text(side, "direct_payment_requirement_id"),
        batch_id=_text(side, "settlement_batch_id"),
    )
    return _Case(review, incoming, ours, stated)


def _snapshot(case: _Case, answer: _Answer | None, now: datetime) -> dict[str, object]:
    """The platform's data in the form that the review keeps."""
    snapshot: dict[str, object] = {"asked_at": now.isoformat(), "session": None, "order": None, **case.stated}
    if answer is None:
        return snapshot
    order = answer.ours.order
    if answer.session is None:
        return snapshot | {"unknown_session_id": answer.ours.session_id, "order": {"order_id": order.order_id}}
    return snapshot | beside_order(answer.session, order, answer.ours.challenge_hash)


def _whole_amount(amount: object) -> int | None:
    """A whole number of minor units; None for anything else."""
    try:
        number = int(str(amount))
    except ValueError:
        return None
    return number if 0 < number < 2**53 else None


def _text(side: Mapping[str, Any], name: str) -> str | None:
    value = side.get(name)
    return value if isinstance(value, str) else None
