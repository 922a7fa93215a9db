"""The report as files have it: lines for a spreadsheet, JSON for programs."""

from typing import TYPE_CHECKING

import orjson

from shared.ledger.export_lines import csv_rows
from shared.ledger.revenue.money import NOTHING, Money, Sums, plain, total

if TYPE_CHECKING:  # a command that asks no books need not load their driver
    from shared.ledger.revenue.report import Currency, Report

HEADINGS = ("currency", "money", "band", "token", "payments", "gross_minor", "fee_minor", "receivable_minor")

Line = tuple[object, ...]


def report_lines(report: "Report") -> list[Line]:
    """A line a kind of money, currency by currency; `None` where a figure has no meaning."""
    return [line for name, each in sorted(report.currencies.items()) for line in _currency_lines(report, name, each)]


def csv_lines(report: "Report") -> bytes:
    """The same for a spreadsheet; figures stay figures."""
    return csv_rows([HEADINGS, *report_lines(report)])


def json_of(report: "Report") -> bytes:
    """The whole report as programs read it, as `deploy/decisions/0008-metered-books.md` describes it."""
    return orjson.dumps(report.as_json(), option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)


def figures(sums: Sums) -> Line:
    return sums.payments, plain(sums.gross), plain(sums.fee), plain(sums.receivable)


def _currency_lines(report: "Report", name: str, each: "Currency") -> list[Line]:
    lines: list[Line] = [
        (name, "standard", "standard", None, *figures(each.standard)[:2], None, None),
        (name, "in_review", "standard", None, *figures(each.standard_in_review)[:2], None, None),
    ]
    for (band, token), money in sorted(each.bands.items()):
        lines += [(name, kind, band, token, *figures(money.kinds[kind])) for kind in Money]
        lines += [
            (name, f"unsettled, unknown state {status}", band, token, *figures(sums))
            for status, sums in sorted(money.unknown_states.items())
        ]
        if money.received != NOTHING:
            lines.append((name, "received in the period, batches", band, token, *figures(money.received)))
    if len(each.bands) > 1:
        lines += [
            (name, kind, "all", None, *figures(total(band.kinds[kind] for band in each.bands.values())))
            for kind in Money
        ]
    if report.compared_until is not None:
        lines += [
            (name, standing, None, None, None, plain(amount), None, None) for standing, amount in each.in_doubt.items()
        ]
    return lines
