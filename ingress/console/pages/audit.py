"""The audit: what people did, or also every move of an order."""

from aiohttp import web

from ingress.console import cursors
from ingress.console.sections import Section, page
from ingress.console.visit import PAGE_ROWS, Visit
from shared.ledger import audit
from shared.ledger.audit import ActFilter
from shared.ledger.slices import AUDIT, AUDIT_OF_PEOPLE, take_slice

PEOPLE, EVERYTHING = "people", "everything"


async def list_acts(visit: Visit) -> web.Response:
    actor, subject = visit.query("actor"), visit.query("subject")
    show = EVERYTHING if visit.query("show") == EVERYTHING else PEOPLE
    wanted = ActFilter(actor=actor, subject=subject, moves_too=show == EVERYTHING)
    async with visit.books() as connection:
        found = await take_slice(
            connection,
            AUDIT if wanted.moves_too else AUDIT_OF_PEOPLE,
            lambda limit, before, down_to: audit.newest(
                connection, wanted, limit=limit, before=before, down_to=down_to
            ),
            limit=PAGE_ROWS,
            before=visit.before(cursors.number),
            is_bounded=actor is not None or (subject is not None and wanted.moves_too),
        )
    return visit.page(
        "audit/list.html", found=found, actor=actor, subject=subject, show=show, shows=[PEOPLE, EVERYTHING]
    )


SECTION = Section("Audit", "/audit", (page("/audit", list_acts),))
