"""The books as a file for a spreadsheet or a program; the audit records who exported what."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from aiohttp import web

from ingress.console.days import begin_of, end_of
from ingress.console.exporter import RETRY_AFTER, TooManyExports
from ingress.console.messages import explained
from ingress.console.sections import Section, act
from ingress.console.visit import Failed, Visit
from shared.ledger.export_lines import ExportFormat
from shared.ledger.exports import By, Export, ExportRequest, NoTimeOfPayment
from shared.ledger.roles import Role

E = TypeVar("E", bound=StrEnum)


async def export(visit: Visit) -> web.StreamResponse:
    """This is a POST because it writes an audit record. Raises Failed, and what Exporter.send raises."""
    wanted = _request(visit.request.match_info["what"], await visit.form())
    filename = f"kessai-{wanted.what}-{datetime.now(UTC):%Y%m%d-%H%M%S}.{wanted.form}"
    try:
        return await visit.services.exporter.send(visit.request, wanted, filename=filename, actor=visit.person.actor)
    except TooManyExports as error:
        raise Failed(503, "Others are exporting just now", explained(error), retry_after=RETRY_AFTER) from None


def _request(what: str, form: dict[str, str]) -> ExportRequest:
    """Raises Failed."""
    try:
        return ExportRequest(
            _member(Export, what),
            _member(ExportFormat, form.get("form", "")),
            begin_of(form.get("since")),
            end_of(begin_of(form.get("until"))),
            _member(By, form.get("by") or By.REGISTERED),
        )
    except NoTimeOfPayment as error:
        raise Failed(404, "There is no such export", explained(error)) from None


def _member(kind: type[E], text: str) -> E:
    """Raises Failed."""
    try:
        return kind(text)
    except ValueError:
        raise Failed(404, "There is no such export", "Use the buttons below a list.") from None


SECTION = Section("Exports", "/exports", (act("/exports/{what}", export, needs=Role.VIEWER),), is_in_menu=False)
