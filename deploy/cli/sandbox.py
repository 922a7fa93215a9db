"""`kessai sandbox`: a simulated Siglume platform to develop and test against."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deploy.cli.options import AsJson
from deploy.cli.output import print_json, print_table, say
from deploy.cli.times import span

if TYPE_CHECKING:
    from deploy.sandbox.sandbox import Options, Sandbox

PORT = 8787
"""The official SDK expects a sandbox at this port."""
OWN_INGRESS = "http://127.0.0.1:8080/webhooks/siglume"
"""`kessai ingress` listens at this URL by default."""
DELIVERY_COLUMNS = (
    *("id", "event_id", "event_type", "delivery_status", "response_status", "attempt_count"),
    "next_attempt_at",
)
BATCH_COLUMNS = (
    *("settlement_batch_id", "plan_type", "currency", "status", "provider_receivable_minor", "attempt_count"),
    *("next_attempt_at", "chain_receipt_id"),
)
DECISIONS = ("uncollectible", "written_off", "requeue")

ORIGIN = "Origin of the shop, to which buyers return."
FROZEN = "Stop the clock; only `kessai sandbox advance` moves it."
NAMELESS = "Omit the payment from rows of usage, as documented; newer platforms may name it."
FAULTS = "A fault and its share from 0 to 1, e.g. drop=0.1; 0 switches it off. Lists all faults when omitted."
SECONDS = "Seconds by which the fault delays or ages; those of delay and reorder pass on the sandbox's clock."

Port = Annotated[
    int, typer.Option(min=0, max=65535, help="Port to serve at; 0 picks a free one.", envvar="SIGLUME_SANDBOX_PORT")
]
Merchant = Annotated[str, typer.Option(help="Merchant key of the shop.", envvar="SIGLUME_DIRECT_PAYMENT_MERCHANT")]
Origin = Annotated[str, typer.Option(help=ORIGIN, envvar="SHOP_PUBLIC_ORIGIN")]
WebhookUrl = Annotated[str, typer.Option(help="URL that webhooks are delivered to.", envvar="SHOP_WEBHOOK_URL")]
WebhookSecret = Annotated[
    str, typer.Option(help="Secret that webhooks are signed with.", envvar="SIGLUME_WEBHOOK_SECRET")
]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers that decide on faults.")]
Frozen = Annotated[bool, typer.Option("--frozen", help=FROZEN)]
Nameless = Annotated[bool, typer.Option("--nameless-usage", help=NAMELESS)]

PortOf = Annotated[
    int | None,
    typer.Option(
        "--port",
        min=1,
        max=65535,
        show_default=f"SIGLUME_SANDBOX_PORT, or {PORT}",
        help="Port of the sandbox that runs.",
    ),
]
Span = Annotated[str, typer.Argument(metavar="SPAN", help="Time to advance by: 90s, 15m, 2h, 7d, 4w.")]
Switches = Annotated[list[str] | None, typer.Argument(metavar="FAULT=SHARE", help=FAULTS)]
Times = Annotated[int | None, typer.Option(min=1, help="How often the fault occurs, at most; no limit when omitted.")]
Seconds = Annotated[float | None, typer.Option(min=0, help=SECONDS)]
DiceSeed = Annotated[int | None, typer.Option("--seed", help="Restart the random numbers with this seed.")]
Clear = Annotated[bool, typer.Option("--clear", help="Switch all faults off first.")]
Status = Annotated[str | None, typer.Option(help="Only this status: pending, retrying, delivered or failed.")]
Newest = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many to list at most, the newest first.")]
Redeliver = Annotated[
    str | None, typer.Option(metavar="DELIVERY_ID", help="Deliver this event again, with a new signature.")
]
SessionId = Annotated[str, typer.Argument(metavar="SESSION_ID", help="Checkout session to pay.")]
Buyer = Annotated[str | None, typer.Option(metavar="TOKEN", help="Pay as the buyer with this token.")]
BatchId = Annotated[str | None, typer.Argument(metavar="BATCH_ID", help="Batch to decide on.")]
Decision = Annotated[str | None, typer.Argument(metavar="DECISION", help=f"One of {', '.join(DECISIONS)}.")]

app = typer.Typer(
    name="sandbox",
    help="""Serve a simulated Siglume platform on this machine, and print the variables that a shop must set to use it.

    Without a command, `kessai sandbox` serves until Ctrl-C. The commands control a sandbox that already runs.
    """,
)


@app.callback(invoke_without_command=True)
def sandbox(
    context: typer.Context,
    port: Port = PORT,
    merchant: Merchant = "sandbox_merchant",
    origin: Origin = "http://localhost:3000",
    webhook_url: WebhookUrl = OWN_INGRESS,
    webhook_secret: WebhookSecret = "whsec_sandbox_local",  # noqa: S107 - the official sandbox's
    seed: Seed = 0,
    frozen: Frozen = False,
    nameless: Nameless = False,
) -> None:
    """Serve until Ctrl-C, unless a command follows; its help is that of the group."""
    context.obj = port
    if context.invoked_subcommand is not None:
        return
    from deploy.sandbox.core.platform import Shop
    from deploy.sandbox.sandbox import Options

    shop = Shop(merchant=merchant, origin=origin, webhook_url=webhook_url, webhook_secret=webhook_secret)
    _serve(Options(shop, port=port, runs=not frozen, seed=seed, names_payments=not nameless))


@app.command()
def advance(context: typer.Context, by: Span, port: PortOf = None, as_json: AsJson = False) -> None:
    """Move the clock forward. What falls into that time happens in order, and its webhooks are delivered."""
    try:
        seconds = span(by).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    answer = _ask(context, port, "POST", "/advance", {"seconds": seconds})
    print_json(answer) if as_json else typer.echo(f"the clock is at {answer['now']}")


@app.command()
def faults(
    context: typer.Context,
    switches: Switches = None,
    times: Times = None,
    seconds: Seconds = None,
    seed: DiceSeed = None,
    clear: Clear = False,
    port: PortOf = None,
    as_json: AsJson = False,
) -> None:
    """Make webhooks, the API and settlements fail on purpose, or list the faults."""
    wanted = {
        name: {"share": share, "times": times, "seconds": seconds} for name, share in map(_switch, switches or ())
    }
    if wanted or clear or seed is not None:
        answer = _ask(context, port, "POST", "/faults", {"faults": wanted, "clear": clear, "seed": seed})
    else:
        answer = _ask(context, port, "GET", "/faults")
    found = answer["faults"]
    if as_json:
        print_json(found)
        return
    rows = [(each["fault"], each["share"], each["times"], each["seconds"] or None, each["meaning"]) for each in found]
    print_table(("fault", "share", "times left", "seconds", "what happens"), rows, empty="")


@app.command()
def deliveries(
    context: typer.Context,
    status: Status = None,
    limit: Newest = 50,
    redeliver: Redeliver = None,
    port: PortOf = None,
    as_json: AsJson = False,
) -> None:
    """List the deliveries of webhooks and their answers, or deliver one again."""
    if redeliver is not None:
        found = [_ask(context, port, "POST", f"/deliveries/{_name(redeliver)}/redeliver")]
    else:
        chosen = f"&status={_name(status)}" if status is not None else ""
        found = _ask(context, port, "GET", f"/deliveries?limit={limit}{chosen}")["deliveries"]
    _show(
        found,
        DELIVERY_COLUMNS,
        as_json=as_json,
        empty="no deliveries: pay a session first",
    )


@app.command()
def batches(
    context: typer.Context,
    batch_id: BatchId = None,
    decision: Decision = None,
    port: PortOf = None,
    as_json: AsJson = False,
) -> None:
    """List the settlement batches of micro and nano payments, or decide on one as the platform's operator."""
    if batch_id is None:
        found = _ask(context, port, "GET", "/batches")["batches"]
    elif decision in DECISIONS:
        found = [_ask(context, port, "POST", f"/batches/{_name(batch_id)}/{decision}")]
    else:
        raise typer.BadParameter(f"add a decision on batch {batch_id}: one of {', '.join(DECISIONS)}")
    _show(
        found,
        BATCH_COLUMNS,
        as_json=as_json,
        empty="no batches: pay a micro or nano amount and advance the clock",
    )


@app.command()
def pay(
    context: typer.Context, session_id: SessionId, buyer: Buyer = None, port: PortOf = None, as_json: AsJson = False
) -> None:
    """Pay a checkout session, as its page does."""
    answer = _ask(context, port, "POST", f"/sessions/{_name(session_id)}/pay", {"buyer": buyer})
    if as_json:
        print_json(answer)
    else:
        typer.echo(
            f"{answer['session_id']} is {answer['status']}: {answer['pricing_band']}, {answer['settlement_status']}"
        )


@app.command()
def books(context: typer.Context, port: PortOf = None, as_json: AsJson = False) -> None:
    """Print the simulated platform's own totals by currency, in minor units; --json adds each payment and batch."""
    answer = _ask(context, port, "GET", "/books")
    if as_json:
        print_json(answer)
        return
    names = ("standard_payments", "standard_gross", "metered_payments", "metered_gross", "metered_fee")
    states = ("settled", "unsettled", "past_due", "uncollectible", "written_off")
    rows = [(name.replace("_", " "), *(answer["totals"][code][name] for code in ("JPY", "USD"))) for name in names]
    rows += [
        (f"metered, {name.replace('_', ' ')}", *(answer["totals"][code][name] for code in ("JPY", "USD")))
        for name in states
    ]
    print_table(("minor units", "JPY", "USD"), rows, empty="")


def _serve(options: "Options") -> None:
    from deploy.sandbox.core.refusal import Refused
    from deploy.sandbox.serve import environment, serve
    from shared.sdrp.challenge import InvalidChallenge
    from shared.sdrp.signature import UnusableSecret

    def print_variables(running: "Sandbox") -> None:
        for name, value in environment(running).items():
            typer.echo(f"{name}={shlex.quote(value)}")
        sys.stdout.flush()
        say(f"the sandbox serves at {running.base_url}; Ctrl-C stops it and deletes its state")

    try:
        serve(options, started=print_variables)
    except (Refused, InvalidChallenge, UnusableSecret) as error:
        raise typer.BadParameter(str(error)) from None


def _ask(
    context: typer.Context, port: int | None, method: str, path: str, body: dict[str, object] | None = None
) -> dict[str, Any]:
    from deploy.sandbox.remote import ask

    return ask(context.obj if port is None else port, method, path, body)


def _switch(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    try:
        return name, float(share) if share else 1.0
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no share of a fault: write e.g. drop=0.1") from None


def _name(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _show(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool, empty: str) -> None:
    if as_json:
        print_json(rows)
        return
    headings = tuple(column.replace("_", " ") for column in columns)
    print_table(headings, [tuple(row[column] for column in columns) for row in rows], empty=empty)
