"""Who did what to which thing."""

from typing import Final

from ingress.api.inputs import Paged, Since, Text, Until
from ingress.api.operation import Listed
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import AnyOperation, read
from shared.ledger import audit
from shared.ledger.audit import ActFilter, RecordedAct


class ActsParams(Paged):
    actor: Text | None = None
    action: Text | None = None
    subject: Text | None = None
    since: Since = None
    until: Until = None


async def list_acts(call: Call, params: ActsParams) -> Page[RecordedAct]:
    wanted = ActFilter(**params.model_dump(exclude={"limit", "cursor"}))
    before = call.number(params.cursor)
    found = await call.books(lambda connection: audit.newest(connection, wanted, limit=params.limit + 1, before=before))
    return call.page(found, params.limit, lambda act: (act.audit_id,))


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listActs",
        "/audit",
        "What people did, the newest first; moves and registrations of orders are in the export.",
        ActsParams,
        Listed(RecordedAct),
        list_acts,
    ),
)
