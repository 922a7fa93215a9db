"""What could not be applied: by state, group and reason, and one dead letter with its bytes."""

from enum import StrEnum

from aiohttp import web

from ingress.console.sections import Section, page
from ingress.console.visit import PAGE_ROWS, Visit, not_found
from shared.ledger.browse import dead_letters as letter_pages


class LetterState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"
    DISCARDED = "discarded"


ANY = "any"


async def list_letters(visit: Visit) -> web.Response:
    """Open ones, unless others are asked for."""
    is_any = visit.asked("state") == ANY
    state = None if is_any else visit.chosen("state", LetterState) or LetterState.OPEN
    group, reason, endpoint = visit.asked("group"), visit.asked("reason"), visit.asked("endpoint")
    before = visit.before(int)
    async with visit.books() as connection:
        found = await letter_pages.newest(
            connection, limit=PAGE_ROWS, before=before, state=state, group_id=group, reason=reason, endpoint=endpoint
        )
    return visit.page(
        "dead_letters/list.html",
        found=found,
        states=[*LetterState, ANY],
        state=state or ANY,
        group=group,
        reason=reason,
        endpoint=endpoint,
    )


async def show(visit: Visit) -> web.Response:
    letter_id = visit.number("dead_letter_id")
    async with visit.books() as connection:
        found = await letter_pages.find(connection, letter_id)
    if found is None:
        raise not_found(f"There is no dead letter {letter_id}")
    letter, raw = found
    return visit.page("dead_letters/show.html", letter=letter, raw=raw)


SECTION = Section(
    "Dead letters", "/dead-letters", (page("/dead-letters", list_letters), page("/dead-letters/{dead_letter_id}", show))
)
