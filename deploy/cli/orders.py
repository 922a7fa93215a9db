"""`kessai orders`: the merchant's orders, registered before the buyer pays."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.books import actor, with_books
from deploy.cli.endpoint_names import require_name
from deploy.cli.file_format import FileFormat
from deploy.cli.options import ALL, AsJson, Limit, NoteText, OnlyEndpoint, at_most, state_or_all, states_and_all
from deploy.cli.output import print_fields, print_json, print_table, printable, say, when
from deploy.cli.times import Since, Until
from shared.endpoints import DEFAULT_ENDPOINT
from shared.ledger.transitions import OrderState
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.books import Order
    from shared.ledger.database import Connection
    from shared.ledger.orders import Registered

app = typer.Typer(name="orders", help="Register, import, list and cancel the merchant's orders.", no_args_is_help=True)


class CurrencyCode(StrEnum):
    JPY = "JPY"
    USD = "USD"


NO_PAYMENT = "so no payment can reach the order"

OrderId = Annotated[str, typer.Argument(metavar="ORDER_ID", help="The merchant's own id of the order.")]
AmountMinor = Annotated[
    int, typer.Option(min=1, callback=at_most(2**53 - 1), help="Amount in minor units: yen, or US cents.")
]
OfCurrency = Annotated[CurrencyCode, typer.Option(case_sensitive=False, help="JPY or USD.")]
ChallengeHash = Annotated[
    str | None,
    typer.Option(
        metavar="HASH", help="sha256:... of the challenge that the buyer pays; it links the payment to the order."
    ),
]
Endpoint = Annotated[str, typer.Option(help="The endpoint whose payments may pay the order.")]
InState = Annotated[
    OrderState | None,
    typer.Option(
        "--state",
        parser=state_or_all(OrderState),
        metavar=states_and_all(OrderState),
        show_default=ALL,
        help="Only orders in this state.",
    ),
]
File = Annotated[str, typer.Argument(metavar="FILE", help="File of CSV or JSON lines; - is standard input.")]
Form = Annotated[FileFormat | None, typer.Option("--format", help="Format of the file; by its name when omitted.")]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Import the good lines even when there are bad lines.")]


@app.command()
def add(
    order_id: OrderId,
    amount_minor: AmountMinor,
    currency: OfCurrency,
    challenge_hash: ChallengeHash = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    as_json: AsJson = False,
) -> None:
    """Register an order. A payment that arrived before it is applied at once."""
    from shared.ledger import orders

    order = orders.NewOrder(order_id, amount_minor, currency.value, endpoint, challenge_hash)
    require_name(endpoint, unknown=NO_PAYMENT)

    async def work(connection: "Connection") -> "tuple[Registered, dict[str, Any]]":
        done = await orders.register(connection, [order], actor=actor(), now=datetime.now(UTC))
        return done, await _whole(connection, order_id)

    done, registered = with_books(work)
    if as_json:
        print_json(registered)
        return
    typer.echo(f"order {order_id} is {'registered' if done.new else 'registered already'}: {_summary(registered)}")
    if done.applied or done.reviewed:
        say(f"payments that waited for it: {done.applied} applied, {done.reviewed} to review")


@app.command()
def show(order_id: OrderId, as_json: AsJson = False) -> None:
    """Show one order: its state, and which payment paid it when."""
    order = with_books(lambda connection: _whole(connection, order_id))
    if as_json:
        print_json(order)
    else:
        print_fields(order | {"challenge_hashes": ", ".join(order["challenge_hashes"]) or None})


@app.command("list")
def list_orders(
    limit: Limit = 50,
    state: InState = None,
    endpoint: OnlyEndpoint = None,
    since: Since = None,
    until: Until = None,
    as_json: AsJson = False,
) -> None:
    """List the newest orders and their states. --since and --until compare the time when an order was registered."""
    from shared.ledger.order_lists import OrderFilter, newest

    wanted = OrderFilter(state=state, endpoint=endpoint, since=since, until=until)
    listed = with_books(lambda connection: newest(connection, wanted, limit=limit))
    found = [each.order for each in listed]
    if as_json:
        print_json([_fields(order) for order in found])
        return
    print_table(
        ("order", "state", "amount", "currency", "endpoint", "requirement", "chain receipt", "paid"),
        [
            (
                o.order_id,
                o.state,
                o.amount_minor,
                o.currency,
                o.endpoint,
                o.requirement_id,
                o.chain_receipt_id,
                o.paid_at,
            )
            for o in found
        ],
        empty="no orders yet: register one with `kessai orders add`"
        if wanted == OrderFilter()
        else "no order fits all of these filters: omit one of them",
    )


@app.command()
def timeline(order_id: OrderId, as_json: AsJson = False) -> None:
    """Show all that happened to an order: when, by whom, and how long each step took."""
    from shared.ledger.timeline import timeline

    steps = with_books(lambda connection: timeline(connection, order_id))
    if as_json:
        print_json(steps)
        return
    print_table(
        ("time", "after", "what", "who", "details"),
        [(step.at, _lasted(step.after), step.what, step.who, _details(step.detail)) for step in steps],
        empty="",
    )


@app.command()
def note(order_id: OrderId, text: NoteText, as_json: AsJson = False) -> None:
    """Add a note to an order; `kessai orders timeline` shows it."""
    from shared.ledger import notes

    kept = with_books(lambda connection: notes.add(connection, notes.NoteThing.ORDER, order_id, text, author=actor()))
    if as_json:
        print_json(kept)
    else:
        typer.echo(printable(f"note {kept.note_id} is kept with order {order_id}"))


@app.command()
def cancel(order_id: OrderId, as_json: AsJson = False) -> None:
    """Cancel a pending order. A payment that arrives later opens a review."""
    from shared.ledger import orders

    order = with_books(lambda connection: orders.cancel(connection, order_id, actor=actor(), now=datetime.now(UTC)))
    if as_json:
        print_json(_fields(order))
    else:
        typer.echo(f"order {order_id} is cancelled")


@app.command("import")
def import_orders(
    file: File,
    form: Form = None,
    endpoint: Endpoint = DEFAULT_ENDPOINT,
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Register the orders of a file with order_id, amount_minor, currency and, optionally, challenge_hash and endpoint.

    The whole file is checked first: when it has a bad line, nothing is imported. Importing a file again is harmless.

    Exit code 1 when the file has a bad line, unless --skip-bad is given.
    """
    from deploy.cli.order_import import import_file

    require_name(endpoint, unknown=NO_PAYMENT)
    done = import_file(file, form or _format_of(file), endpoint=endpoint, skip_bad=skip_bad)
    if as_json:
        print_json(done)
        return
    skipped = f", {counted(done.skipped, 'bad line')} skipped" if done.skipped else ""
    typer.echo(f"{counted(done.new, 'order')} registered, {done.known:,} known already{skipped}")
    if done.applied or done.reviewed:
        typer.echo(f"payments that waited for them: {done.applied} applied, {done.reviewed} to review")


def _format_of(file: str) -> FileFormat:
    suffix = file.lower().rpartition(".")[2]
    forms = {"csv": FileFormat.CSV, "jsonl": FileFormat.JSONL, "ndjson": FileFormat.JSONL}
    if suffix not in forms:
        raise typer.BadParameter(f"the name of {file} does not show its format: add --format csv or --format jsonl")
    return forms[suffix]


async def _whole(connection: "Connection", order_id: str) -> dict[str, Any]:
    from shared.ledger import challenges, orders

    order = await orders.find(connection, order_id)
    return _fields(order) | {"challenge_hashes": await challenges.hashes_of(connection, order_id)}


def _fields(order: "Order") -> dict[str, Any]:
    return {
        "order_id": order.order_id,
        "state": order.state,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
        "requirement_id": order.requirement_id,
        "chain_receipt_id": order.chain_receipt_id,
        "paid_at": order.paid_at,
        "endpoint": order.endpoint,
    }


def _details(detail: Mapping[str, Any]) -> str:
    """Return the details that are known; `--json` prints all fields."""
    known = {name: when(value) if isinstance(value, datetime) else value for name, value in detail.items()}
    return ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)


def _lasted(seconds: float | None) -> str | None:
    """Format a duration in its two largest units, as `2 d 3 h`; below a minute in seconds."""
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds:.3f} s"
    minutes, hours, days = int(seconds // 60 % 60), int(seconds // 3600 % 24), int(seconds // 86400)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {int(seconds % 60)} s"


def _summary(order: Mapping[str, Any]) -> str:
    hashes = len(order["challenge_hashes"])
    found_by = f"{hashes} challenge{'s' if hashes > 1 else ''}" if hashes else "no challenge, so no payment can find it"
    return f"{order['state']}, {order['amount_minor']} {order['currency']}, {found_by}"
