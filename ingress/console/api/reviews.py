"""What waits for a person's decision, and deciding it."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import Field

from ingress.api.inputs import Id, Input, Paged, Since, Text, Until, Version
from ingress.api.operation import Listed, Thing
from ingress.api.problems import CONFLICT
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import AnyOperation, act, read
from ingress.console.api.texts import Why
from shared.ledger import audit, notes, resolve, reviews, suggested
from shared.ledger.audit import ActFilter, RecordedAct
from shared.ledger.database import Connection
from shared.ledger.decisions import Decision, Resolution, choices
from shared.ledger.notes import Note, NoteThing
from shared.ledger.resolve import Resolved
from shared.ledger.reviews import RecordedReview, ReviewFilter
from shared.ledger.transitions import ReviewQueue, ReviewReason, ReviewState

MAX_ACTS: Final = 100
"""Of a review, that are shown with it."""


@dataclass(frozen=True, slots=True)
class WholeReview(RecordedReview):
    """A review, what both sides say, what was noted and done, and what may be decided."""

    evidence: dict[str, Any]
    notes: list[Note]
    acts: list[RecordedAct]
    choices: list[Resolution]


class AskedReviews(Paged):
    queue: ReviewQueue | None = None
    state: ReviewState | None = None
    reason: ReviewReason | None = None
    assignee: Text | None = None
    endpoint: Text | None = None
    order_id: Text | None = None
    challenge_hash: Text | None = None
    since: Since = None
    until: Until = None


class OfReview(Input):
    review_id: Id


class SeenReview(OfReview):
    version: Version


class Claim(SeenReview):
    take_over: Annotated[bool, Field(description="Also when somebody else holds it.")] = False


class Followed(SeenReview):
    why: Annotated[Why | None, Field(description="Else the suggestion's own reason.")] = None


class Decided(SeenReview):
    resolution: Resolution
    why: Why
    order_id: Annotated[Text | None, Field(description="For link-order, and only there.")] = None
    accept_mismatch: Annotated[bool, Field(description="Although the payment does not fit the order.")] = False


async def list_reviews(call: Call, asked: AskedReviews) -> Page[RecordedReview]:
    wanted = ReviewFilter(**asked.model_dump(exclude={"limit", "cursor"}))
    before = call.number(asked.cursor)
    found = await call.books(
        lambda connection: reviews.newest(connection, wanted, limit=asked.limit + 1, before=before)
    )
    return call.page(found, asked.limit, lambda review: (review.review_id,))


async def show_review(call: Call, asked: OfReview) -> WholeReview:
    async def work(connection: Connection) -> WholeReview:
        review, evidence = await reviews.find(connection, asked.review_id)
        of_review = ActFilter(subject=reviews.subject(review.review_id))
        may = choices(review.reason, challenge_hash=review.challenge_hash, order_id=review.order_id)
        return WholeReview(
            **asdict(review),
            evidence=evidence,
            notes=await notes.of(connection, NoteThing.REVIEW, str(review.review_id)),
            acts=await audit.newest(connection, of_review, limit=MAX_ACTS),
            choices=may if review.state == ReviewState.OPEN else [],
        )

    return await call.books(work)


async def claim_review(call: Call, asked: Claim) -> RecordedReview:
    return await call.books(
        lambda connection: reviews.claim(
            connection, asked.review_id, actor=call.actor, take_over=asked.take_over, version=asked.version
        )
    )


async def release_review(call: Call, asked: SeenReview) -> RecordedReview:
    return await call.books(
        lambda connection: reviews.release(connection, asked.review_id, actor=call.actor, version=asked.version)
    )


async def resolve_review(call: Call, asked: Decided) -> Resolved:
    decision = Decision(asked.resolution, asked.why, asked.order_id, asked.accept_mismatch)
    now = datetime.now(UTC)
    return await call.books(
        lambda connection: resolve.resolve(
            connection,
            asked.review_id,
            decision,
            actor=call.actor,
            shops=call.services.shops,
            now=now,
            version=asked.version,
            approvals=call.services.approvals,
        )
    )


async def follow_review(call: Call, asked: Followed) -> Resolved:
    now = datetime.now(UTC)
    return await call.books(
        lambda connection: suggested.follow(
            connection,
            asked.review_id,
            actor=call.actor,
            why=asked.why,
            shops=call.services.shops,
            now=now,
            version=asked.version,
            approvals=call.services.approvals,
        )
    )


async def approve_review(call: Call, asked: SeenReview) -> Resolved:
    now = datetime.now(UTC)
    return await call.books(
        lambda connection: resolve.approve(
            connection,
            asked.review_id,
            actor=call.actor,
            shops=call.services.shops,
            now=now,
            version=asked.version,
        )
    )


async def withdraw_review(call: Call, asked: SeenReview) -> RecordedReview:
    return await call.books(
        lambda connection: resolve.withdraw(connection, asked.review_id, actor=call.actor, version=asked.version)
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listReviews",
        "/reviews",
        "The newest reviews, open and closed; since and until speak of when they were opened.",
        AskedReviews,
        Listed(RecordedReview),
        list_reviews,
    ),
    read(
        "showReview",
        "/reviews/{review_id}",
        "One review: what the platform says beside what the books say, its notes, who did what, and what may be done.",
        OfReview,
        Thing(WholeReview),
        show_review,
    ),
    act(
        "claimReview",
        "/reviews/{review_id}/claim",
        "Take a review, so that nobody else works on it.",
        Claim,
        Thing(RecordedReview),
        claim_review,
        refuses=(CONFLICT,),
    ),
    act(
        "releaseReview",
        "/reviews/{review_id}/release",
        "Give a review back for others to take.",
        SeenReview,
        Thing(RecordedReview),
        release_review,
        refuses=(CONFLICT,),
    ),
    act(
        "resolveReview",
        "/reviews/{review_id}/resolve",
        "Decide on a review; `choices` of it say what may be done.",
        Decided,
        Thing(Resolved),
        resolve_review,
        refuses=(CONFLICT,),
    ),
    act(
        "followReview",
        "/reviews/{review_id}/follow",
        "Decide as the platform's evidence suggests: `suggested` of the review.",
        Followed,
        Thing(Resolved),
        follow_review,
        refuses=(CONFLICT,),
    ),
    act(
        "approveReview",
        "/reviews/{review_id}/approve",
        "Carry out what another person proposed.",
        SeenReview,
        Thing(Resolved),
        approve_review,
        refuses=(CONFLICT,),
    ),
    act(
        "withdrawReview",
        "/reviews/{review_id}/withdraw",
        "Take back what was proposed, by whomever.",
        SeenReview,
        Thing(RecordedReview),
        withdraw_review,
        refuses=(CONFLICT,),
    ),
)
