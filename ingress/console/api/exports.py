"""The books as a stream: every row of one kind, as they stood at one moment."""

from contextlib import aclosing
from typing import Annotated, Final

import structlog
from aiohttp import web
from pydantic import Field

from ingress.api.inputs import Input, Since, Until, invalid
from ingress.api.operation import Bytes
from ingress.api.problems import Fault
from ingress.console.api.call import Call
from ingress.console.api.operation import AnyOperation, read
from ingress.console.api.orders import BY
from shared.ledger import audit
from shared.ledger.database import Connection, connected
from shared.ledger.export_lines import ExportFormat
from shared.ledger.exports import By, Export, NoTimeOfPayment, stream

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

MEDIA_TYPES: Final = {ExportFormat.CSV: "text/csv", ExportFormat.JSONL: "application/jsonl"}


class AskedExport(Input):
    what: Export
    form: ExportFormat
    since: Since = None
    until: Until = None
    by: Annotated[By, Field(description=BY)] = By.REGISTERED


async def export(call: Call, asked: AskedExport) -> web.StreamResponse:
    """Begins when Postgres has answered; what breaks after that cuts the connection, so that it looks like no end.

    Raises Refused.
    """
    if asked.by is By.PAID and asked.what is not Export.ORDERS:
        raise invalid([Fault("by", str(NoTimeOfPayment(asked.what)))])
    response = web.StreamResponse(headers={"Content-Disposition": f'attachment; filename="{asked.what}.{asked.form}"'})
    response.content_type = MEDIA_TYPES[asked.form]
    response.charset = "utf-8"
    with call.services.exports.taken():
        await call.books(lambda connection: _record(connection, call, asked))
        try:
            await _copy(call, asked, response)
        except Exception as error:
            if not response.prepared:
                raise
            log.warning("api.export_cut", what=asked.what, error=type(error).__name__)
            if call.request.transport is not None:
                call.request.transport.abort()
    return response


async def _record(connection: Connection, call: Call, asked: AskedExport) -> None:
    """Who took the books, and with which token."""
    span = {"since": asked.since, "until": asked.until, "by": asked.by if asked.by is By.PAID else None}
    await audit.record(
        connection,
        actor=call.actor,
        action="export.taken",
        subject=f"export:{asked.what}",
        detail={"format": asked.form, "token": call.holder.label, **{name: at for name, at in span.items() if at}},
    )


async def _copy(call: Call, asked: AskedExport, response: web.StreamResponse) -> None:
    async with (
        connected(call.services.patient) as connection,
        aclosing(
            stream(connection, asked.what, asked.form, since=asked.since, until=asked.until, by=asked.by)
        ) as pages,
    ):
        async for page in pages:
            if not response.prepared:
                await response.prepare(call.request)
            await response.write(page.data)
    if not response.prepared:  # JSON lines of nothing
        await response.prepare(call.request)
    await response.write_eof()


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "export",
        "/exports/{what}.{form}",
        "Every order, event, review, dead letter or audited act. since and until speak of when it was registered, "
        "received, opened or done; of orders also of when they were paid.",
        AskedExport,
        Bytes(tuple(MEDIA_TYPES.values())),
        export,
    ),
)
