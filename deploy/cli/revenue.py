"""`kessai revenue`: what came in, what is still expected or lost, and whether statements and webhooks agree."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from deploy.cli.batch_csv import fetched, opened, pages
from deploy.cli.books import with_books
from deploy.cli.revenue_words import say_check, show_report
from deploy.cli.show import AsJson, print_json, print_table

app = typer.Typer(
    name="revenue",
    help="What came in, what is expected or lost, and whether it is all explained.",
    no_args_is_help=True,
)


class ReportFormat(StrEnum):
    TABLE = "table"
    CSV = "csv"
    JSON = "json"


OfPeriod = Annotated[
    str, typer.Option("--period", help="2026-11, 2026-W47, 2026-11-20, 2026, or SINCE..UNTIL; in UTC.")
]
OfEndpoint = Annotated[str | None, typer.Option("--endpoint", help="Only this endpoint.")]
Form = Annotated[ReportFormat, typer.Option("--format", help="A table for people, CSV or JSON for programs.")]
All = Annotated[bool, typer.Option("--all", help="Also buyers who are far from their threshold.")]
BatchId = Annotated[str, typer.Argument(metavar="BATCH_ID", help="The settlement batch that the file is of.")]
File = Annotated[
    str | None,
    typer.Argument(
        metavar="FILE", help="The platform's CSV export; - is standard input. Without one Siglume is asked for it."
    ),
]


@app.command()
def report(
    period: OfPeriod, endpoint: OfEndpoint = None, form: Form = ReportFormat.TABLE, as_json: AsJson = False
) -> None:
    """Standard revenue, and micro and nano money by how far it is; `unexplained` is zero when all is well."""
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
            show_report(found)


@app.command()
def exposure(endpoint: OfEndpoint = None, every: All = False, as_json: AsJson = False) -> None:
    """Buyers whose micro and nano payments near the amount at which the platform takes no more of them."""
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
        empty="nobody is near a threshold" if found and not every else "no buyer owes anything that statements list",
    )


@app.command("check-csv")
def check_csv(batch_id: BatchId, file: File = None, as_json: AsJson = False) -> None:
    """Compare the CSV export of a batch with the books; exits with 1 when they differ."""
    from shared.ledger.revenue import csv_check

    with fetched(batch_id) if file is None else opened(file) as source:
        rows = pages(batch_id, file or "Siglume's export", source)
        check = with_books(lambda connection: csv_check.check_csv(connection, batch_id, rows), tries=1)
    if as_json:
        print_json(check.as_json())
    else:
        say_check(check)
    if not check.agrees:
        raise typer.Exit(1)
