"""The list of reviews, and the page of one review, where a person decides on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from aiohttp import web

from ingress.console import cursors
from ingress.console.decisions import TITLES, consequence, finished
from ingress.console.formats import amount_said
from ingress.console.forms import FRESH, Returned
from ingress.console.messages import explained
from ingress.console.sections import Section, act, page
from ingress.console.visit import PAGE_ROWS, Failed, Visit, not_found
from shared.errors import KessaiError
from shared.ledger import audit, notes, receipts, resolve, reviews, suggested
from shared.ledger.actors import is_same_person
from shared.ledger.decisions import MOVES_MONEY, NEEDS_SECOND, Decision, InvalidDecision, Refusal, Resolution
from shared.ledger.evidence import platform_says, sides
from shared.ledger.foresight import foresee
from shared.ledger.notes import InvalidNote, NoteThing
from shared.ledger.orders import OrderNotFound
from shared.ledger.resolve import CannotApprove, CannotResolve, WaitsForApproval
from shared.ledger.reviews import ReviewChanged, ReviewFilter, ReviewNotFound, ReviewTaken
from shared.ledger.slices import REVIEWS, take_slice
from shared.ledger.suggested import NothingSuggested
from shared.ledger.text import InvalidWhy
from shared.ledger.transitions import OF_SESSIONS, OF_STATEMENTS, ReviewQueue, ReviewReason, ReviewState
from shared.remedies import Remedy

ANY = "any"
MINE = "mine"
ACTS_SHOWN: Final = 100
DECIDE, NOTE = "decide", "note"
_NOT_DECIDED: Final = (ReviewNotFound, ReviewChanged, ReviewTaken, WaitsForApproval, CannotResolve)
_NO_FAMILY: Final = OF_STATEMENTS | OF_SESSIONS | {ReviewReason.EVENT_ID_CONFLICT}
"""About other bytes than the event's, or about no event at all."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A choice as the form shows it."""

    resolution: Resolution
    effect: str
    """What will happen, or why it cannot."""
    is_possible: bool


async def list_reviews(visit: Visit) -> web.Response:
    """The open reviews, unless another state is chosen."""
    is_any = visit.query("state") == ANY
    state = None if is_any else visit.chosen("state", ReviewState) or ReviewState.OPEN
    assignee = visit.query("assignee")
    wanted = ReviewFilter(
        queue=visit.chosen("queue", ReviewQueue),
        state=state,
        reason=visit.query("reason"),
        assignee=visit.person.actor if assignee == MINE else assignee,
        endpoint=visit.query("endpoint"),
    )
    async with visit.books() as connection:
        found = await take_slice(
            connection,
            REVIEWS,
            lambda limit, before, down_to: reviews.newest(
                connection, wanted, limit=limit, before=before, down_to=down_to
            ),
            limit=PAGE_ROWS,
            before=visit.before(cursors.number),
            is_bounded=state is not ReviewState.OPEN and wanted != ReviewFilter(),
        )
    return visit.page(
        "reviews/list.html",
        found=found,
        wanted=wanted,
        assignee=assignee,
        states=[*ReviewState, ANY],
        queues=list(ReviewQueue),
        reasons=list(ReviewReason),
        state=state or ANY,
        can_rule_again=_can_rule_again(wanted),
    )


def _can_rule_again(wanted: ReviewFilter) -> bool:
    """Those of one reason are a family that a newer classifier or shop may know."""
    is_family = wanted.reason is not None and wanted.reason not in _NO_FAMILY and wanted.state == ReviewState.OPEN
    return is_family and wanted.queue is None and wanted.assignee is None


async def show(visit: Visit) -> web.Response:
    return await _page(visit, visit.number("review_id"))


async def _page(
    visit: Visit, review_id: int, *, back: Returned = FRESH, status: int = 200, stale: str | None = None
) -> web.Response:
    """`stale` says what somebody else did since the page was loaded."""
    async with visit.books() as connection:
        try:
            review, evidence = await reviews.find(connection, review_id)
        except ReviewNotFound:
            raise not_found(f"There is no review {review_id}") from None
        kept = await receipts.of_event(connection, review.endpoint, review.event_id) if review.event_id else []
        choices = await foresee(connection, review, visit.services.shops) if review.state == ReviewState.OPEN else []
        noted = await notes.of(connection, NoteThing.REVIEW, str(review_id))
        acts = await audit.newest(connection, audit.ActFilter(subject=reviews.subject(review_id)), limit=ACTS_SHOWN)
    return visit.page(
        "reviews/show.html",
        status=status,
        back=back,
        stale=stale,
        review=review,
        sides=sides(evidence),
        platform=platform_says(evidence),
        amounts={
            "theirs": amount_said(evidence.get("event") or evidence.get("session") or {}),
            "ours": amount_said(evidence.get("order") or {}),
        },
        receipt=next((each for each in kept if each.receipt_id == review.receipt_id), None),
        offers=[
            Offer(each.resolution, *consequence(each, needs_second=_needs_second(visit, each.resolution)))
            for each in choices
        ],
        is_mine=review.assignee == visit.person.actor,
        is_own_proposal=review.proposed is not None and is_same_person(review.proposed["by"], visit.person.actor),
        takes_mismatch=any(
            isinstance(each.answer, Refusal) and each.answer.remedy is Remedy.ACCEPT_MISMATCH for each in choices
        ),
        Resolution=Resolution,
        TITLES=TITLES,
        notes=noted,
        acts=acts,
        can_rule_again=review.state == ReviewState.OPEN and review.reason not in _NO_FAMILY,
    )


def _needs_second(visit: Visit, resolution: Resolution) -> bool:
    return visit.services.approvals > 1 and resolution in NEEDS_SECOND


async def claim(visit: Visit) -> web.Response:
    review_id, form = visit.number("review_id"), await visit.form()
    try:
        async with visit.books() as connection:
            await reviews.claim(
                connection,
                review_id,
                actor=visit.person.actor,
                take_over=form.get("take_over") == "yes",
                version=_version(form),
            )
    except (ReviewNotFound, ReviewChanged, ReviewTaken) as error:
        return await _not_done(visit, review_id, error)
    return visit.to(f"/reviews/{review_id}", message="The review is assigned to you: nobody else can decide on it now.")


async def release(visit: Visit) -> web.Response:
    review_id, form = visit.number("review_id"), await visit.form()
    try:
        async with visit.books() as connection:
            await reviews.release(connection, review_id, actor=visit.person.actor, version=_version(form))
    except (ReviewNotFound, ReviewChanged, ReviewTaken) as error:
        return await _not_done(visit, review_id, error)
    return visit.to(f"/reviews/{review_id}", message="The review is assigned to nobody now.")


async def note(visit: Visit) -> web.Response:
    review_id, form = visit.number("review_id"), await visit.form()
    try:
        async with visit.books() as connection:
            await notes.add(
                connection, NoteThing.REVIEW, str(review_id), form.get("body", ""), author=visit.person.actor
            )
    except InvalidNote as error:
        return await _page(visit, review_id, back=Returned(NOTE, form, {"body": explained(error)}), status=400)
    return visit.to(f"/reviews/{review_id}", message="The note is saved.")


async def decide(visit: Visit) -> web.Response:
    review_id, form = visit.number("review_id"), await visit.form()
    problems = _problems(form)
    if problems:
        return await _page(visit, review_id, back=Returned(DECIDE, form, problems), status=400)
    try:
        decision = _decision(form)
        async with visit.books() as connection:
            done = await resolve.resolve(
                connection,
                review_id,
                decision,
                actor=visit.person.actor,
                shops=visit.services.shops,
                now=datetime.now(UTC),
                version=_version(form),
                approvals=visit.services.approvals,
            )
    except InvalidWhy as error:
        return await _page(visit, review_id, back=Returned(DECIDE, form, {"why": explained(error)}), status=400)
    except InvalidDecision as error:
        return await _page(visit, review_id, back=Returned(DECIDE, form, {"": explained(error)}), status=400)
    except OrderNotFound:
        problems = {"order_id": f"There is no order {form['order_id'][:100]}: check its id, or register it first."}
        return await _page(visit, review_id, back=Returned(DECIDE, form, problems), status=400)
    except _NOT_DECIDED as error:
        return await _not_done(visit, review_id, error, Returned(DECIDE, form))
    return visit.to(f"/reviews/{review_id}", message=finished(done))


def _problems(form: Mapping[str, str]) -> dict[str, str]:
    """What is missing, by field."""
    problems = {}
    if form.get("resolution") not in set(Resolution):
        problems["resolution"] = "Choose a decision."
    if not form.get("why"):
        problems["why"] = "Give a reason; it is kept with the review."
    if form.get("resolution") == Resolution.LINK_ORDER and not form.get("order_id"):
        problems["order_id"] = "Enter the id of the order that the payment is for."
    return problems


def _decision(form: Mapping[str, str]) -> Decision:
    """Fields that do not belong to the choice are left alone. Raises InvalidDecision."""
    resolution = Resolution(form["resolution"])
    return Decision(
        resolution,
        form["why"],
        form["order_id"] if resolution is Resolution.LINK_ORDER else None,
        accept_mismatch=resolution in MOVES_MONEY and form.get("accept_mismatch") == "yes",
    )


async def follow(visit: Visit) -> web.Response:
    review_id, form = visit.number("review_id"), await visit.form()
    try:
        async with visit.books() as connection:
            done = await suggested.follow(
                connection,
                review_id,
                actor=visit.person.actor,
                shops=visit.services.shops,
                now=datetime.now(UTC),
                version=_version(form),
                approvals=visit.services.approvals,
            )
    except (*_NOT_DECIDED, OrderNotFound, NothingSuggested) as error:
        return await _not_done(visit, review_id, error)
    return visit.to(f"/reviews/{review_id}", message=finished(done))


async def approve(visit: Visit) -> web.Response:
    review_id, form = visit.number("review_id"), await visit.form()
    try:
        async with visit.books() as connection:
            done = await resolve.approve(
                connection,
                review_id,
                actor=visit.person.actor,
                shops=visit.services.shops,
                now=datetime.now(UTC),
                version=_version(form),
            )
    except (ReviewNotFound, ReviewChanged, CannotApprove, CannotResolve, OrderNotFound) as error:
        return await _not_done(visit, review_id, error)
    return visit.to(f"/reviews/{review_id}", message=finished(done))


async def withdraw(visit: Visit) -> web.Response:
    review_id, form = visit.number("review_id"), await visit.form()
    try:
        async with visit.books() as connection:
            await resolve.withdraw(connection, review_id, actor=visit.person.actor, version=_version(form))
    except (ReviewNotFound, ReviewChanged, CannotApprove) as error:
        return await _not_done(visit, review_id, error)
    return visit.to(f"/reviews/{review_id}", message="The proposal is withdrawn.")


async def _not_done(visit: Visit, review_id: int, error: KessaiError, back: Returned = FRESH) -> web.Response:
    """The review as it is now, and why nothing was done."""
    return await _page(visit, review_id, back=back, status=409, stale=explained(error))


def _version(form: Mapping[str, str]) -> int:
    """The version that the person saw: nobody decides on what they have not seen. Raises Failed."""
    text = form.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Failed(
            400, "This form does not say which version of the review it is for", "Nothing was changed. Reload the page."
        )
    return int(text)


SECTION = Section(
    "Reviews",
    "/reviews",
    (
        page("/reviews", list_reviews),
        page("/reviews/{review_id}", show),
        act("/reviews/{review_id}/claim", claim),
        act("/reviews/{review_id}/release", release),
        act("/reviews/{review_id}/note", note),
        act("/reviews/{review_id}/decide", decide),
        act("/reviews/{review_id}/follow", follow),
        act("/reviews/{review_id}/approve", approve),
        act("/reviews/{review_id}/withdraw", withdraw),
    ),
)
