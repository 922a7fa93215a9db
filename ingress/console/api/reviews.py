"""Reviews, and the decisions on them."""

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
"""The most audited acts that are shown with a review."""


@dataclass(frozen=True, slots=True)
class WholeReview(RecordedReview):
    """A review with its evidence, notes, audited acts and possible decisions."""

    evidence: dict[str, Any]
    notes: list[Note]
    acts: list[RecordedAct]
    choices: list[Resolution]


class ReviewsParams(Paged):
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


async def list_reviews(call: Call, params: ReviewsParams) -> Page[RecordedReview]:
    wanted = ReviewFilter(**params.model_dump(exclude={"limit", "cursor"}))
    before = call.number(params.cursor)
    found = await call.books(
        lambda connection: reviews.newest(connection, wanted, limit=params.limit + 1, before=before)
    )
    return call.page(found, params.limit, lambda review: (review.review_id,))


async def show_review(call: Call, params: OfReview) -> WholeReview:
    async def work(connection: Connection) -> WholeReview:
        review, evidence = await reviews.find(connection, params.review_id)
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


async def claim_review(call: Call, params: Claim) -> RecordedReview:
    return await call.books(
        lambda connection: reviews.claim(
            connection, params.review_id, actor=call.actor, take_over=params.take_over, version=params.version
        )
    )


async def release_review(call: Call, params: SeenReview) -> RecordedReview:
    return await call.books(
        lambda connection: reviews.release(connection, params.review_id, actor=call.actor, version=params.version)
    )


async def resolve_review(call: Call, params: Decided) -> Resolved:
    decision = Decision(params.resolution, params.why, params.order_id, params.accept_mismatch)
    now = datetime.now(UTC)
    return await call.books(
        lambda connection: resolve.resolve(
            connection,
            params.review_id,
            decision,
            actor=call.actor,
            shops=call.services.shops,
            now=now,
            version=params.version,
            approvals=call.services.approvals,
        )
    )


async def follow_review(call: Call, params: Followed) -> Resolved:
    now = datetime.now(UTC)
    return await call.books(
        lambda connection: suggested.follow(
            connection,
            params.review_id,
            actor=call.actor,
            why=params.why,
            shops=call.services.shops,
            now=now,
            version=params.version,
            approvals=call.services.approvals,
        )
    )


async def approve_review(call: Call, params: SeenReview) -> Resolved:
    now = datetime.now(UTC)
    return await call.books(
        lambda connection: resolve.approve(
            connection,
            params.review_id,
            actor=call.actor,
            shops=call.services.shops,
            now=now,
            version=params.version,
        )
    )


async def withdraw_review(call: Call, params: SeenReview) -> RecordedReview:
    return await call.books(
        lambda connection: resolve.withdraw(connection, params.review_id, actor=call.actor, version=params.version)
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listReviews",
        "/reviews",
        "The newest reviews, open and closed; since and until speak of when they were opened.",
        ReviewsParams,
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
