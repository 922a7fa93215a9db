"""Events, their outcomes, and the deliveries that are kept of them."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from ingress.api.inputs import Input, Paged, Since, Text, Until
from ingress.api.operation import Listed, Thing
from ingress.console import cursors
from ingress.console.api.call import Call, Page
from ingress.console.api.operation import AnyOperation, read
from shared.ledger import events, receipts
from shared.ledger.books import Outcome
from shared.ledger.database import Connection
from shared.ledger.events import EventFilter, RecordedEvent
from shared.ledger.proof import signed_at
from shared.ledger.proved_receipts import ProvedReceipt, prove_receipts
from shared.ledger.receipts import NoReceiptKept, Receipt


@dataclass(frozen=True, slots=True)
class ShownReceipt:
    """One delivery whose bytes are kept."""

    receipt_id: UUID
    received_at: datetime
    kept_in: Literal["archive", "dead_letters"]
    key_fingerprint: str
    """The fingerprint of the secret that verified it at the ingress."""
    signed_at: datetime | None
    raw_bytes: int


@dataclass(frozen=True, slots=True)
class WholeEvent(RecordedEvent):
    """An event, and which of its deliveries are kept."""

    receipts: list[ShownReceipt]


class EventsParams(Paged):
    outcome: Outcome | None = None
    kind: Text | None = None
    type: Text | None = None
    endpoint: Text | None = None
    order_id: Text | None = None
    event_id: Text | None = None
    challenge_hash: Text | None = None
    reason: Text | None = None
    since: Since = None
    until: Until = None


class OfEvent(Input):
    endpoint: Text
    event_id: Text


async def list_events(call: Call, params: EventsParams) -> Page[RecordedEvent]:
    wanted = EventFilter(**params.model_dump(exclude={"limit", "cursor"}))
    before = call.place(params.cursor, cursors.moment, UUID)
    found = await call.books(
        lambda connection: events.search(connection, wanted, limit=params.limit + 1, before=before)
    )
    return call.page(found, params.limit, lambda event: event.place)


async def show_event(call: Call, params: OfEvent) -> WholeEvent:
    async def work(connection: Connection) -> WholeEvent:
        event = await events.find(connection, params.event_id, endpoint=params.endpoint)
        kept = await receipts.of_event(connection, event.endpoint, event.event_id)
        return WholeEvent(**asdict(event), receipts=[_shown(receipt) for receipt in kept])

    return await call.books(work)


async def list_receipts(call: Call, params: OfEvent) -> Page[ShownReceipt]:
    return Page((await show_event(call, params)).receipts)


async def verify_event(call: Call, params: OfEvent) -> Page[ProvedReceipt]:
    async def work(connection: Connection) -> tuple[RecordedEvent, list[Receipt]]:
        event = await events.find(connection, params.event_id, endpoint=params.endpoint)
        return event, await receipts.of_event(connection, event.endpoint, event.event_id)

    event, kept = await call.books(work)
    if not kept:
        raise NoReceiptKept(event.event_id, event.received_at)
    return Page(prove_receipts(event.endpoint, kept, call.services.secrets))


def _shown(receipt: Receipt) -> ShownReceipt:
    return ShownReceipt(
        receipt_id=receipt.receipt_id,
        received_at=receipt.received_at,
        kept_in=receipt.kept_in,
        key_fingerprint=receipt.key_fingerprint,
        signed_at=signed_at(receipt.signature),
        raw_bytes=len(receipt.raw),
    )


OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    read(
        "listEvents",
        "/events",
        "The newest events, by receipt, and how each ended; since and until speak of their receipt.",
        EventsParams,
        Listed(RecordedEvent),
        list_events,
    ),
    read(
        "showEvent",
        "/events/{endpoint}/{event_id}",
        "One event: what it was, how it ended and why, and which of its deliveries are kept.",
        OfEvent,
        Thing(WholeEvent),
        show_event,
    ),
    read(
        "listReceipts",
        "/events/{endpoint}/{event_id}/receipts",
        "The deliveries of an event that are kept, the oldest first; on one page.",
        OfEvent,
        Listed(ShownReceipt),
        list_receipts,
    ),
    read(
        "verifyEvent",
        "/events/{endpoint}/{event_id}/proofs",
        "Prove again that the deliveries that are kept carry their signatures, with the secrets that the console was "
        "given; on one page.",
        OfEvent,
        Listed(ProvedReceipt),
        verify_event,
    ),
)
