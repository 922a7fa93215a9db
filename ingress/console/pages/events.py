"""What became of each webhook: by outcome, kind and endpoint, and one event with its bytes."""

from datetime import datetime
from uuid import UUID

from aiohttp import web

from ingress.console.sections import Section, page
from ingress.console.visit import PAGE_ROWS, Visit, not_found
from shared.ledger.books import Outcome
from shared.ledger.browse import dead_letters as letter_pages
from shared.ledger.browse import events as event_pages

KINDS = ("standard_settled", "metered_usage_accepted", "metered_batch_settled", "unknown", "ignored", "unread")
SHOWN = 20
"""Dead letters on the page of one event."""


async def list_events(visit: Visit) -> web.Response:
    outcome, kind, endpoint = visit.chosen("outcome", Outcome), visit.asked("kind"), visit.asked("endpoint")
    before = visit.before(datetime.fromisoformat, UUID)
    async with visit.books() as connection:
        found = await event_pages.newest(
            connection, limit=PAGE_ROWS, before=before, outcome=outcome, kind=kind, endpoint=endpoint
        )
    return visit.page(
        "events/list.html",
        found=found,
        outcomes=list(Outcome),
        kinds=KINDS,
        outcome=outcome,
        kind=kind,
        endpoint=endpoint,
    )


async def show(visit: Visit) -> web.Response:
    endpoint, event_id = visit.asked("endpoint") or "", visit.asked("id") or ""
    async with visit.books() as connection:
        event = await event_pages.find(connection, endpoint, event_id)
        if event is None:
            raise not_found(f"No event {event_id} came to {endpoint or 'any endpoint'}")
        return visit.page(
            "events/show.html",
            event=event,
            archived=await event_pages.archived(connection, event.receipt_id, event.received_at),
            letters=await letter_pages.of_event(connection, endpoint, event_id, limit=SHOWN),
        )


SECTION = Section("Events", "/events", (page("/events", list_events), page("/events/show", show)))
