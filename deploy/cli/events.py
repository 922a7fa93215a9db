"""`kessai events`: what became of each webhook event."""

from dataclasses import asdict
from typing import Annotated

import typer

from deploy.cli.books import with_books
from deploy.cli.show import AsJson, Limit, print_fields, print_json, print_table
from shared.ledger.books import Outcome

app = typer.Typer(name="events", help="What became of each webhook event.", no_args_is_help=True)

EventId = Annotated[str, typer.Argument(metavar="EVENT_ID", help="Its id, as the platform gave it.")]
Endpoint = Annotated[str | None, typer.Option(help="The endpoint it came to, should several know the id.")]
OfOutcome = Annotated[Outcome | None, typer.Option("--outcome", help="Only events that ended so.")]


@app.command("list")
def list_events(limit: Limit = 50, outcome: OfOutcome = None, as_json: AsJson = False) -> None:
    """The newest events and how each ended."""
    from shared.ledger import events

    found = with_books(lambda connection: events.newest(connection, limit=limit, outcome=outcome))
    if as_json:
        print_json(found)
        return
    print_table(
        ("received", "endpoint", "event", "kind", "outcome", "reason", "order", "deliveries"),
        [(e.received_at, e.endpoint, e.event_id, e.kind, e.outcome, e.reason, e.order_id, e.deliveries) for e in found],
        empty="no events in the books: `kessai send standard_settled` sends one, `kessai doctor` tells what is missing",
    )


@app.command()
def show(event_id: EventId, endpoint: Endpoint = None, as_json: AsJson = False) -> None:
    """One event: what it was, how it ended and why."""
    from shared.ledger import events

    event = asdict(with_books(lambda connection: events.find(connection, event_id, endpoint=endpoint)))
    if as_json:
        print_json(event)
    else:
        print_fields(event)
