"""`kessai revenue`: reports revenue, and whether statements and webhooks agree."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from deploy.cli.batch_csv import fetched, opened, pages
from deploy.cli.books import with_books
from deploy.cli.options import AsJson, OnlyEndpoint
from deploy.cli.output import print_json, print_table
from deploy.cli.revenue_output import print_check, print_report

app = typer.Typer(
    name="revenue",
    help="Report revenue, and whether statements and webhooks agree.",
    no_args_is_help=True,
)


class ReportFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


OfPeriod = Annotated[
    str, typer.Option("--period", help="Period in UTC: 2026-11, 2026-W47, 2026-11-20, 2026, or SINCE..UNTIL.")
]
Form = Annotated[ReportFormat, typer.Option("--format", help="A table for people; CSV or JSON for programs.")]
All = Annotated[bool, typer.Option("--all", help="List also buyers who are far from their threshold.")]
BatchId = Annotated[str, typer.Argument(metavar="BATCH_ID", help="The settlement batch of the file.")]
File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE", help="Siglume's CSV export; - is standard input. Requested from Siglume when omitted."
    ),
]


@app.command()
def report(
    period: OfPeriod, endpoint: OnlyEndpoint = None, form: Form = ReportFormat.TABLE, as_json: AsJson = False
) -> None:
    """Print standard revenue, and micro and nano money by its state; `unexplained` is 0 when both sides agree."""
    from shared.ledger.revenue.lines import csv_lines
    from shared.ledger.revenue.periods import Period
    from shared.ledger.revenue.report import revenue

    span = Period.parse(period)
    found = with_books(lambda connection: revenue(connection, span, endpoint=endpoint, now=datetime.now(UTC)))
    match ReportFormat.JSON if as_json else form:
        case ReportFormat.JSON:
            print_json(found.as_json())
        case ReportFormat.CSV:
            sys.stdout.buffer.write(csv_lines(found))
        case ReportFormat.TABLE:
            print_report(found)


@app.command()
def exposure(endpoint: OnlyEndpoint = None, every: All = False, as_json: AsJson = False) -> None:
    """List buyers who approach the amount from which Siglume takes no more micro and nano payments of them."""
    from shared.ledger.revenue.exposure import Level, exposures
    from shared.ledger.revenue.money import plain
    from shared.settings import Settings

    warning = Settings.from_env().exposure_warning
    found = with_books(lambda connection: exposures(connection, endpoint=endpoint))
    shown = [each for each in found if every or each.level(warning) is not Level.FINE]
    if as_json:
        print_json([each.as_json(warning) for each in shown])
        return
    print_table(
        ("level", "exposure", "threshold", "past due", "currency", "band", "token", "buyer", "endpoint"),
        [
            (
                *(each.level(warning), plain(each.amount), plain(each.threshold), plain(each.past_due), each.currency),
                *(each.pricing_band, each.token_symbol, each.buyer_period_ref, each.endpoint),
            )
            for each in shown
        ],
        empty="no buyer is near a threshold"
        if found and not every
        else "no statement lists an amount that a buyer owes",
    )


@app.command("check-csv")
def check_csv(batch_id: BatchId, file: File = None, as_json: AsJson = False) -> None:
    """Compare the CSV export of a batch with the books.

    Exit code 1 when they differ.
    """
    from shared.ledger.revenue import csv_check

    with fetched(batch_id) if file is None else opened(file) as source:
        rows = pages(batch_id, file or "Siglume's export", source)
        check = with_books(lambda connection: csv_check.check_csv(connection, batch_id, rows), tries=1)
    if as_json:
        print_json(check.as_json())
    else:
        print_check(check)
    if not check.agrees:
        raise typer.Exit(1)
