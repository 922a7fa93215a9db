"""The books as a stream: every row of one kind, as they stood at one moment."""

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from ingress.api.inputs import Input, Since, Until, invalid
from ingress.api.operation import Bytes
from ingress.api.problems import Fault
from ingress.console.api.call import Call
from ingress.console.api.operation import AnyOperation, read
from ingress.console.api.orders import BY
from ingress.console.exporter import MEDIA_TYPES
from shared.ledger.export_lines import ExportFormat
from shared.ledger.exports import By, Export, ExportRequest, NoTimeOfPayment


class ExportParams(Input):
    what: Export
    form: ExportFormat
    since: Since = None
    until: Until = None
    by: Annotated[By, Field(description=BY)] = By.REGISTERED


async def export(call: Call, params: ExportParams) -> web.StreamResponse:
    """Raises Refused, and what Exporter.send raises."""
    try:
        wanted = ExportRequest(params.what, params.form, params.since, params.until, params.by)
    except NoTimeOfPayment as error:
        raise invalid([Fault("by", str(error))]) from None
    return await call.services.exporter.send(
        call.request, wanted, filename=f"{wanted.what}.{wanted.form}", actor=call.actor, token=call.holder.label
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "export",
        "/exports/{what}.{form}",
        "Every order, event, review, dead letter or audited act. since and until mean the time at which it was "
        "registered, received, opened or done; of orders also the time at which they were paid.",
        ExportParams,
        Bytes(tuple(MEDIA_TYPES.values())),
        export,
    ),
)
