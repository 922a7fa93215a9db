"""What could not be applied: by the error that is shared, one by one, and one dead letter with its bytes."""

from aiohttp import web

from ingress.console import cursors
from ingress.console.forms import FRESH, Returned
from ingress.console.messages import explained
from ingress.console.sections import Section, act, page
from ingress.console.visit import PAGE_ROWS, Tone, Visit, not_found
from shared.ledger import dead_letter_search, discards, notes, receipts
from shared.ledger.database import Connection
from shared.ledger.dead_letter_search import (
    DeadLetterFilter,
    DeadLetterNotFound,
    DeadLetterState,
    GroupNotFound,
)
from shared.ledger.discards import CannotReopen, DeadLetterElsewhere, GroupChanged, NothingSelected, Selection
from shared.ledger.noted_groups import noted_groups
from shared.ledger.notes import InvalidNote, NoteThing
from shared.ledger.proved_receipts import prove_receipts
from shared.ledger.slices import DEAD_LETTERS, take_slice
from shared.ledger.text import InvalidWhy

ANY = "any"
GROUPS = 200
"""On the page of groups, the largest first."""
EXAMPLES = 10
"""Dead letters on the page of one group."""
DISCARD, REOPEN = "discard", "reopen"


def _state(visit: Visit) -> DeadLetterState | None:
    """The groups of open dead letters, unless another state is chosen."""
    if visit.query("state") == ANY:
        return None
    return DeadLetterState(visit.chosen("state", DeadLetterState) or DeadLetterState.OPEN)


async def list_groups(visit: Visit) -> web.Response:
    state = _state(visit)
    async with visit.books() as connection:
        groups = await noted_groups(connection, state=state, limit=GROUPS)
    return visit.page(
        "dead_letters/groups.html",
        groups=groups,
        largest=max((group.count for group in groups), default=0),
        state=state or ANY,
        states=[*DeadLetterState, ANY],
    )


async def show_group(visit: Visit) -> web.Response:
    return await _group_page(visit, visit.request.match_info["group_id"])


async def _group_page(visit: Visit, group_id: str, *, back: Returned = FRESH, status: int = 200) -> web.Response:
    async with (
        visit.books() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),  # who decides on all must have seen them
    ):
        try:
            totals = await dead_letter_search.totals(connection, group_id)
        except GroupNotFound:
            raise not_found(f"There is no group {group_id[:40]}") from None
        wanted = DeadLetterFilter(group_id=group_id, state=DeadLetterState.OPEN if totals.open else None)
        letters = await dead_letter_search.search(connection, wanted, limit=EXAMPLES)
        _, raw = await dead_letter_search.find(connection, letters[0].dead_letter_id)
        noted = await notes.of(connection, NoteThing.DEAD_LETTER_GROUP, group_id)
        versions = {
            state: (await discards.versions(connection, [group_id], state=state)).get(group_id)
            for state in (DeadLetterState.OPEN, DeadLetterState.DISCARDED)
        }
    return visit.page(
        "dead_letters/group.html",
        status=status,
        back=back,
        group_id=group_id,
        totals=totals,
        versions=versions,
        letters=letters,
        example=letters[0],
        raw=raw,
        notes=noted,
    )


async def list_letters(visit: Visit) -> web.Response:
    state = _state(visit)
    wanted = DeadLetterFilter(
        state=state, group_id=visit.query("group"), reason=visit.query("reason"), endpoint=visit.query("endpoint")
    )
    async with visit.books() as connection:
        found = await take_slice(
            connection,
            DEAD_LETTERS,
            lambda limit, before, down_to: dead_letter_search.search(
                connection, wanted, limit=limit, before=before, down_to=down_to
            ),
            limit=PAGE_ROWS,
            before=visit.before(cursors.moment, cursors.number),
            is_bounded=_is_bounded(wanted),
        )
    return visit.page(
        "dead_letters/list.html", found=found, wanted=wanted, states=[*DeadLetterState, ANY], state=state or ANY
    )


def _is_bounded(wanted: DeadLetterFilter) -> bool:
    """Groups have an index, and few letters are open or discarded."""
    is_few = wanted.state in (DeadLetterState.OPEN, DeadLetterState.DISCARDED)
    return not is_few and wanted.group_id is None and wanted != DeadLetterFilter()


async def show(visit: Visit) -> web.Response:
    return await _letter_page(visit, visit.number("dead_letter_id"))


async def _letter_page(visit: Visit, letter_id: int, *, back: Returned = FRESH, status: int = 200) -> web.Response:
    async with visit.books() as connection:
        try:
            letter, raw = await dead_letter_search.find(connection, letter_id)
        except DeadLetterNotFound:
            raise not_found(f"There is no dead letter {letter_id}") from None
        receipt, verdict = None, None
        if raw is not None:
            endpoint, receipt = await receipts.of_dead_letter(connection, letter_id)
            secrets = visit.services.secrets
            verdict = prove_receipts(endpoint, [receipt], secrets)[0].verdict if secrets else None
    return visit.page(
        "dead_letters/show.html",
        status=status,
        back=back,
        letter=letter,
        raw=raw,
        receipt=receipt,
        verdict=verdict,
    )


async def discard_group(visit: Visit) -> web.Response:
    return await _move_group(visit, DISCARD)


async def reopen_group(visit: Visit) -> web.Response:
    return await _move_group(visit, REOPEN)


async def _move_group(visit: Visit, what: str) -> web.Response:
    """All of the group that the person saw, or none."""
    group_id, form = visit.request.match_info["group_id"], await visit.form()
    chosen = Selection(group_id=group_id, version=form.get("version", ""))
    try:
        async with visit.books() as connection:
            ids = await _move(connection, visit, what, chosen, form.get("why", ""))
    except InvalidWhy as error:
        return await _group_page(visit, group_id, back=Returned(what, form, {"why": explained(error)}), status=400)
    except (NothingSelected, GroupChanged, CannotReopen) as error:
        back = Returned(what, form, {"": explained(error)})
        return await _group_page(visit, group_id, back=back, status=409)
    return visit.to(f"/dead-letters/groups/{group_id}", message=_moved(what, len(ids)))


async def discard_letter(visit: Visit) -> web.Response:
    return await _move_letter(visit, DISCARD)


async def reopen_letter(visit: Visit) -> web.Response:
    return await _move_letter(visit, REOPEN)


async def _move_letter(visit: Visit, what: str) -> web.Response:
    letter_id, form = visit.number("dead_letter_id"), await visit.form()
    try:
        async with visit.books() as connection:
            await _move(connection, visit, what, Selection([letter_id]), form.get("why", ""))
    except DeadLetterNotFound:
        raise not_found(f"There is no dead letter {letter_id}") from None
    except InvalidWhy as error:
        return await _letter_page(visit, letter_id, back=Returned(what, form, {"why": explained(error)}), status=400)
    except DeadLetterElsewhere as error:
        message = f"Dead letter {letter_id} is {error.state} by now. Nothing was changed."
        return visit.to(f"/dead-letters/{letter_id}", message=message, tone=Tone.REFUSED)
    except CannotReopen as error:
        return visit.to(f"/dead-letters/{letter_id}", message=explained(error), tone=Tone.REFUSED)
    return visit.to(f"/dead-letters/{letter_id}", message=_moved(what, 1))


async def _move(connection: Connection, visit: Visit, what: str, chosen: Selection, why: str) -> list[int]:
    move = discards.discard if what == DISCARD else discards.reopen
    return await move(connection, chosen, actor=visit.person.actor, why=why)


def _moved(what: str, number: int) -> str:
    letters = "1 dead letter is" if number == 1 else f"{number:,} dead letters are"
    return f"{letters} {'discarded; their bytes stay' if what == DISCARD else 'open again'}."


async def note_group(visit: Visit) -> web.Response:
    group_id, form = visit.request.match_info["group_id"], await visit.form()
    try:
        async with visit.books() as connection:
            await notes.add(
                connection, NoteThing.DEAD_LETTER_GROUP, group_id, form.get("body", ""), author=visit.person.actor
            )
    except InvalidNote as error:
        return await _group_page(visit, group_id, back=Returned("note", form, {"body": explained(error)}), status=400)
    return visit.to(f"/dead-letters/groups/{group_id}", message="The note is saved.")


SECTION = Section(
    "Dead letters",
    "/dead-letters",
    (
        page("/dead-letters", list_groups),
        page("/dead-letters/list", list_letters),
        page("/dead-letters/groups/{group_id}", show_group),
        act("/dead-letters/groups/{group_id}/discard", discard_group),
        act("/dead-letters/groups/{group_id}/reopen", reopen_group),
        act("/dead-letters/groups/{group_id}/note", note_group),
        page("/dead-letters/{dead_letter_id}", show),
        act("/dead-letters/{dead_letter_id}/discard", discard_letter),
        act("/dead-letters/{dead_letter_id}/reopen", reopen_letter),
    ),
)
