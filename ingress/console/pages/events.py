"""The list of events by outcome, kind and endpoint, and the page of one event with its bytes."""

from uuid import UUID

from aiohttp import web

from ingress.console import cursors
from ingress.console.sections import Section, page
from ingress.console.visit import PAGE_ROWS, Visit, not_found
from shared.ledger import dead_letter_search, events, receipts, reviews
from shared.ledger.books import Outcome
from shared.ledger.dead_letter_search import DeadLetterFilter
from shared.ledger.events import USUAL_KIND, EventFilter, EventNotFound
from shared.ledger.proved_receipts import prove_receipts
from shared.ledger.replays.selection import Source
from shared.ledger.reviews import ReviewFilter
from shared.ledger.slices import EVENTS, take_slice

KINDS = ("standard_settled", "metered_usage_accepted", "metered_batch_settled", "unknown", "ignored", "unread")
SHOWN = 20
"""The most dead letters and reviews on the page of one event."""


async def list_events(visit: Visit) -> web.Response:
    wanted = EventFilter(
        outcome=visit.chosen("outcome", Outcome), kind=visit.query("kind"), endpoint=visit.query("endpoint")
    )
    async with visit.books() as connection:
        found = await take_slice(
            connection,
            EVENTS,
            lambda limit, before, down_to: events.search(
                connection, wanted, limit=limit, before=before, down_to=down_to
            ),
            limit=PAGE_ROWS,
            before=visit.before(cursors.moment, UUID),
            is_bounded=not _has_index(wanted),
        )
    return visit.page(
        "events/list.html",
        found=found,
        outcomes=list(Outcome),
        kinds=KINDS,
        outcome=wanted.outcome,
        kind=wanted.kind,
        endpoint=wanted.endpoint,
    )


def _has_index(wanted: EventFilter) -> bool:
    """Whether the search must be bounded: the common outcome and kind have no index, the rare ones have."""
    is_rare = wanted.outcome not in (None, Outcome.APPLIED) or wanted.kind not in (None, USUAL_KIND)
    return is_rare or wanted == EventFilter()


async def show(visit: Visit) -> web.Response:
    endpoint, event_id = visit.query("endpoint") or "", visit.query("id") or ""
    of_event = DeadLetterFilter(endpoint=endpoint, event_id=event_id)
    async with visit.books() as connection:
        try:
            event = await events.find(connection, event_id, endpoint=endpoint)
        except EventNotFound:
            raise not_found(f"No event {event_id} came to {endpoint or 'any endpoint'}") from None
        kept = await receipts.of_event(connection, endpoint, event_id)
        letters = await dead_letter_search.search(connection, of_event, limit=SHOWN)
        return visit.page(
            "events/show.html",
            event=event,
            receipts=list(zip(kept, prove_receipts(endpoint, kept, visit.services.secrets), strict=True)),
            proves=bool(visit.services.secrets),
            decisive=next((each for each in kept if each.receipt_id == event.receipt_id), None),
            letters=letters,
            reviews=await reviews.newest(connection, ReviewFilter(endpoint=endpoint, event_id=event_id), limit=SHOWN),
            source=Source.DEAD_LETTERS if any(each.state == "open" for each in letters) else Source.ARCHIVE,
        )


SECTION = Section("Events", "/events", (page("/events", list_events), page("/events/show", show)))
