"""Prints the revenue report, and the check of a batch's CSV export, for people."""

from typing import TYPE_CHECKING

from deploy.cli.output import print_table, say, when
from shared.ledger.revenue.lines import HEADINGS, figures, report_lines
from shared.ledger.revenue.money import plain
from shared.plurals import counted

if TYPE_CHECKING:
    from shared.ledger.revenue.csv_check import CsvCheck
    from shared.ledger.revenue.report import Report

MAX_DIFFERENCES = 20
"""Rows of a table of differences; the JSON has all of them."""


def print_report(report: "Report") -> None:
    """Print the amounts, the differences and the conclusion."""
    say(f"{report.period.name}: {when(report.period.since)} to {when(report.period.until)}, amounts in minor units")
    print_table([heading.removesuffix("_minor") for heading in HEADINGS], report_lines(report), empty="no money moved")
    if report.differences:
        print_table(
            ("differs", "about", "in doubt", "currency", "standing", "review"),
            [
                (
                    *(each.difference.reason, each.difference.about, plain(each.difference.stake)),
                    *(each.difference.currency, each.standing, each.review_id),
                )
                for each in report.differences[:MAX_DIFFERENCES]
            ],
            empty="",
        )
    if len(report.differences) > MAX_DIFFERENCES:
        say(f"and {counted(len(report.differences) - MAX_DIFFERENCES, 'further difference')}: --json lists all of them")
    for each in report.summaries:
        if each.booked is not None and each.differs:
            stated = (
                f"was {plain(each.stated)} at {when(each.stated_at)}; the sum of the books was {plain(each.booked)}"
            )
            say(f"Siglume's own sum of {each.kind} {each.token_symbol} at {each.endpoint} {stated}")
    say(_verdict(report))


def _verdict(report: "Report") -> str:
    if report.not_compared:
        names = ", ".join(report.not_compared)
        return f"not compared: the statements of {names} were never read completely; run `kessai reconcile run`"
    if report.compared_until is None:
        return "nothing to compare: no endpoint has metered money"
    until = min(report.compared_until, report.period.until)
    if report.is_explained:
        return f"all is explained up to {when(until)}"
    return f"unexplained: statements and webhooks differ, compared up to {when(until)}; see `kessai reviews list`"


def print_check(check: "CsvCheck") -> None:
    """Print the rows that differ, the sums of each side and the conclusion."""
    print_table(
        ("usage", "field", "in the file", "in the books"),
        [(row.metered_usage_id, row.field, row.file, row.books) for row in check.rows[:MAX_DIFFERENCES]],
        empty="every row of the file is in the books with the same values" if not check.differing else "",
    )
    if check.differing > MAX_DIFFERENCES:
        say(f"and {counted(check.differing - MAX_DIFFERENCES, 'further difference')}: --json lists all of them")
    print_table(
        ("side", "payments", "gross", "fee", "receivable"),
        [
            ("file", *figures(check.file)),
            ("books", *figures(check.books)),
            ("batch", *("not stated" if amount is None else amount for amount in check.batch.as_json().values())),
        ],
        empty="",
    )
    verdict = "the file agrees with the books" if check.agrees else "the file DIFFERS from the books"
    if check.agrees and None in check.batch:
        verdict += ", as far as the batch states values to compare"
    say(f"batch {check.settlement_batch_id}: {verdict}")
