"""Who did what: what people did, or every move of an order, too."""

from aiohttp import web

from ingress.console.sections import Section, page
from ingress.console.visit import PAGE_ROWS, Visit
from shared.ledger.browse import audit as audit_pages

PEOPLE, EVERYTHING = "people", "everything"


async def list_acts(visit: Visit) -> web.Response:
    actor, subject = visit.asked("actor"), visit.asked("subject")
    show = EVERYTHING if visit.asked("show") == EVERYTHING else PEOPLE
    before = visit.before(int)
    async with visit.books() as connection:
        found = await audit_pages.newest(
            connection, limit=PAGE_ROWS, before=before, moves_too=show == EVERYTHING, actor=actor, subject=subject
        )
    return visit.page(
        "audit/list.html", found=found, actor=actor, subject=subject, show=show, shows=[PEOPLE, EVERYTHING]
    )


SECTION = Section("Audit", "/audit", (page("/audit", list_acts),))
