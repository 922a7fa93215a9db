"""What waits for a person's decision: by queue and reason, and one review with both sides next to each other."""

from enum import StrEnum

from aiohttp import web

from ingress.console.sections import Section, page
from ingress.console.visit import PAGE_ROWS, Visit, not_found
from shared.ledger.browse import events as event_pages
from shared.ledger.browse import reviews as review_pages
from shared.ledger.evidence import beside
from shared.ledger.transitions import ReviewQueue, ReviewReason


class ReviewState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


ANY = "any"


async def list_reviews(visit: Visit) -> web.Response:
    """Open ones, unless others are asked for."""
    is_any = visit.asked("state") == ANY
    state = None if is_any else visit.chosen("state", ReviewState) or ReviewState.OPEN
    queue, reason, endpoint = visit.chosen("queue", ReviewQueue), visit.asked("reason"), visit.asked("endpoint")
    before = visit.before(int)
    async with visit.books() as connection:
        found = await review_pages.newest(
            connection, limit=PAGE_ROWS, before=before, state=state, queue=queue, reason=reason, endpoint=endpoint
        )
    return visit.page(
        "reviews/list.html",
        found=found,
        states=[*ReviewState, ANY],
        queues=list(ReviewQueue),
        reasons=list(ReviewReason),
        state=state or ANY,
        queue=queue,
        reason=reason,
        endpoint=endpoint,
    )


async def show(visit: Visit) -> web.Response:
    review_id = visit.number("review_id")
    async with visit.books() as connection:
        found = await review_pages.find(connection, review_id)
        if found is None:
            raise not_found(f"There is no review {review_id}")
        review, evidence = found
        return visit.page(
            "reviews/show.html",
            review=review,
            has_order=evidence.get("order") is not None,
            said=beside(evidence.get("event") or {}, evidence.get("order")),
            archived=await event_pages.archived(connection, review.receipt_id, review.received_at),
        )


SECTION = Section("Reviews", "/reviews", (page("/reviews", list_reviews), page("/reviews/{review_id}", show)))
