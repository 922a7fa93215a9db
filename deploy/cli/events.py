"""`kessai events`: what became of each webhook event."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.bodies import SaveRaw, save
from deploy.cli.books import with_books
from deploy.cli.options import (
    AsJson,
    Limit,
    OnlyChallenge,
    OnlyEndpoint,
    OnlyEvent,
    OnlyKind,
    OnlyOrder,
    OnlyType,
)
from deploy.cli.output import print_fields, print_json, print_table
from deploy.cli.times import Since, Until
from shared.ledger.books import Outcome

if TYPE_CHECKING:
    from shared.ledger.database import Connection
    from shared.ledger.events import RecordedEvent
    from shared.ledger.receipts import Receipt

app = typer.Typer(name="events", help="Show what became of each webhook event.", no_args_is_help=True)

EventId = Annotated[str, typer.Argument(metavar="EVENT_ID", help="Id of the event, as the platform gave it.")]
Endpoint = Annotated[str | None, typer.Option(help="Endpoint of the event, when several endpoints have the id.")]
OfOutcome = Annotated[Outcome | None, typer.Option("--outcome", help="Only events with this outcome.")]
OfReason = Annotated[str | None, typer.Option("--reason", help="Only events whose outcome has this reason.")]


@app.command("list")
def list_events(
    limit: Limit = 50,
    outcome: OfOutcome = None,
    kind: OnlyKind = None,
    type_: OnlyType = None,
    endpoint: OnlyEndpoint = None,
    order: OnlyOrder = None,
    event: OnlyEvent = None,
    challenge_hash: OnlyChallenge = None,
    reason: OfReason = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """List the newest events and their outcomes."""
    from shared.ledger.events import EventFilter, search

    wanted = EventFilter(
        outcome=outcome,
        kind=kind,
        type=type_,
        endpoint=endpoint,
        order_id=order,
        event_id=event,
        challenge_hash=challenge_hash,
        reason=reason,
        since=since,
        until=until,
    )
    found = with_books(lambda connection: search(connection, wanted, limit=limit))
    if as_json:
        print_json(found)
        return
    print_table(
        ("received", "endpoint", "event", "kind", "outcome", "reason", "order", "deliveries"),
        [(e.received_at, e.endpoint, e.event_id, e.kind, e.outcome, e.reason, e.order_id, e.deliveries) for e in found],
        empty="no events in the books: `kessai send standard_settled` sends one, `kessai doctor` shows what is missing"
        if wanted == EventFilter()
        else "no event fits all of these filters: omit one of them",
    )


@app.command()
def show(event_id: EventId, endpoint: Endpoint = None, raw: SaveRaw = None, as_json: AsJson = False) -> None:
    """Show one event: its fields, its outcome with the reason, and which of its deliveries are kept."""
    event, kept = with_books(lambda connection: _whole(connection, event_id, endpoint))
    if raw is not None:
        save(_deciding(event, kept).raw, raw)
        return
    receipts = [_fields(receipt) for receipt in kept]
    if as_json:
        print_json(asdict(event) | {"receipts": receipts})
        return
    print_fields(asdict(event))
    print_table(
        ("receipt", "received", "kept in", "key", "signed", "bytes"),
        [tuple(receipt.values()) for receipt in receipts],
        empty="the bytes of this event are no longer kept",
    )


@app.command()
def verify(event_id: EventId, endpoint: Endpoint = None, as_json: AsJson = False) -> None:
    """Verify the signatures of the kept bytes again.

    Exit code 1 when one does not verify, or when no bytes are kept.
    """
    from deploy.cli.proofs import configured_secrets, print_proofs
    from shared.ledger.proved_receipts import prove_receipts
    from shared.ledger.receipts import NoReceiptKept

    secrets = configured_secrets()
    event, kept = with_books(lambda connection: _whole(connection, event_id, endpoint))
    if not kept:
        raise NoReceiptKept(event.event_id, event.received_at)
    print_proofs(prove_receipts(event.endpoint, kept, secrets), as_json=as_json)


async def _whole(
    connection: "Connection", event_id: str, endpoint: str | None
) -> "tuple[RecordedEvent, list[Receipt]]":
    from shared.ledger import events, receipts

    event = await events.find(connection, event_id, endpoint=endpoint)
    return event, await receipts.of_event(connection, event.endpoint, event.event_id)


def _deciding(event: "RecordedEvent", kept: "list[Receipt]") -> "Receipt":
    """Return the delivery that decided the outcome. Raises NoReceiptKept."""
    from shared.ledger.receipts import NoReceiptKept

    for receipt in kept:
        if receipt.receipt_id == event.receipt_id:
            return receipt
    raise NoReceiptKept(event.event_id, event.received_at)


def _fields(receipt: "Receipt") -> dict[str, Any]:
    from shared.ledger.proof import signed_at

    return {
        "receipt_id": receipt.receipt_id,
        "received_at": receipt.received_at,
        "kept_in": receipt.kept_in,
        "key_fingerprint": receipt.key_fingerprint,
        "signed_at": signed_at(receipt.signature),
        "raw_bytes": len(receipt.raw),
    }
