"""The books as a file for a spreadsheet or a program; who took which is on record."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, TypeVar

from aiohttp import web

from ingress.console.days import begin_of, end_of
from ingress.console.forms import in_words
from ingress.console.sections import Section, act
from ingress.console.visit import Failed, Visit
from shared.errors import KessaiError
from shared.ledger import audit
from shared.ledger.export_lines import ExportFormat
from shared.ledger.exports import By, Export, NoTimeOfPayment, Page, stream
from shared.ledger.roles import Role

E = TypeVar("E", bound=StrEnum)
TYPES: Final = {ExportFormat.CSV: "text/csv", ExportFormat.JSONL: "application/jsonl"}


async def export(visit: Visit) -> web.StreamResponse:
    """A POST, since it is written down; the file comes as it is read, in pages."""
    form = await visit.form()
    what, form_ = _member(Export, visit.request.match_info["what"]), _member(ExportFormat, form.get("form", ""))
    since, last = begin_of(form.get("since")), begin_of(form.get("until"))
    by = _member(By, form.get("by") or By.REGISTERED)
    if by is By.PAID and what is not Export.ORDERS:
        raise Failed(404, "There is no such export", in_words(NoTimeOfPayment(what)))
    if visit.services.exports.locked():
        raise Failed(503, "Others are taking files just now", "Try again when they are done.", retry_after=30)
    response = web.StreamResponse(headers=_headers(what, form_))
    try:
        async with visit.services.exports, visit.books() as connection:
            await audit.record(
                connection,
                actor=visit.person.actor,
                action="export.taken",
                subject=f"export:{what}",
                detail={"format": form_, "since": since, "until": last, **({"by": by} if by is By.PAID else {})},
            )
            await _copy(visit, response, stream(connection, what, form_, since=since, until=end_of(last), by=by))
    except (KessaiError, ConnectionError):
        if not response.prepared or visit.request.transport is None:
            raise
        visit.request.transport.abort()  # half a file must not look whole
    return response


async def _copy(visit: Visit, response: web.StreamResponse, file: AsyncGenerator[Page, None]) -> None:
    async with aclosing(file) as pages:
        async for page in pages:
            if not response.prepared:  # an error before it has a page of its own
                await response.prepare(visit.request)
            await response.write(page.data)


def _headers(what: Export, form: ExportFormat) -> dict[str, str]:
    name = f"kessai-{what}-{datetime.now(UTC):%Y%m%d-%H%M%S}.{form}"
    return {
        "Content-Type": f"{TYPES[form]}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}"',
    }


def _member(kind: type[E], text: str) -> E:
    """Raises Failed."""
    try:
        return kind(text)
    except ValueError:
        raise Failed(404, "There is no such export", "Use the buttons below a list.") from None


SECTION = Section("Exports", "/exports", (act("/exports/{what}", export, needs=Role.VIEWER),), is_in_menu=False)
