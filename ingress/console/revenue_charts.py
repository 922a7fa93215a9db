"""How does a page show the revenue? Pure: makes rows, alarms and charts of a report, its series and exposures."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from ingress.console.alarms import Alarm, Urgency
from ingress.console.charts import Chart, Row, Series, Shares, of_calendar, shares, stacked
from ingress.console.formats import amount, figure, span, words
from shared.ledger.revenue.explanations import Explained, Standing
from shared.ledger.revenue.exposure import Exposure
from shared.ledger.revenue.money import Money, Sums, total
from shared.ledger.revenue.reach import SETTLING_TIME
from shared.ledger.revenue.report import Currency, Report
from shared.ledger.revenue.series import KINDS, STANDARD, Course, Grain, Window
from shared.plurals import counted

BUYERS: Final = 20
"""That are shown by themselves, the nearest to their threshold."""
GRACE: Final = timedelta(minutes=15)
"""What a run may take beyond its time before anybody is warned; also the longest pause after a platform was away."""
FORMS: Final = {Grain.HOUR: "%H:%M", Grain.DAY: "%d %b", Grain.WEEK: "%d %b", Grain.MONTH: "%b %y"}
IN_REVIEW: Final = "standard_in_review"
NAMES: Final = {STANDARD: "Standard payments", IN_REVIEW: "Standard in review"}
MEANINGS: Final = {
    STANDARD: "paid one by one",
    IN_REVIEW: "reported as paid; a person must decide",
    Money.SETTLED: "received on the chain: revenue",
    Money.UNSETTLED: "expected, not received yet",
    Money.PAST_DUE: "late: somebody must act",
    Money.UNCOLLECTIBLE: "given up: it cannot be collected",
    Money.WRITTEN_OFF: "given up by a decision",
}


class Read(NamedTuple):
    """How far the statements of an endpoint are read."""

    endpoint: str
    as_of: datetime | None
    """What they listed by then is in the books; None when they were never read to their end."""
    is_late: bool

    @classmethod
    def of(cls, endpoint: str, as_of: datetime | None, *, every: timedelta, now: datetime) -> "Read":
        return cls(endpoint, as_of, as_of is None or now - as_of > every + GRACE)


class Line(NamedTuple):
    """One kind of money."""

    kind: str
    name: str
    meaning: str
    sums: Sums
    is_metered: bool
    """Standard orders have no fee in the books."""


def lines(currency: Currency) -> list[Line]:
    """Each kind by itself, every band and token of it together."""
    bands = currency.bands.values()
    standard = {STANDARD: currency.standard, IN_REVIEW: currency.standard_in_review}
    metered = {kind: total(band.kinds[kind] for band in bands) for kind in Money}
    return [
        *(Line(kind, NAMES[kind], MEANINGS[kind], sums, is_metered=False) for kind, sums in standard.items()),
        *(
            Line(kind, words(kind).capitalize(), MEANINGS[kind], sums, is_metered=True)
            for kind, sums in metered.items()
        ),
    ]


def alarms(report: Report, read: Sequence[Read], *, now: datetime) -> list[Alarm]:
    """What is not explained, and what cannot be, the most urgent first."""
    return [*_of_money(report), *_of_statements(read, now)]


def _of_money(report: Report) -> Iterator[Alarm]:
    amounts = [amount(each.unexplained, name) for name, each in sorted(report.currencies.items()) if each.unexplained]
    open_ = [each for each in report.differences if each.standing is Standing.UNEXPLAINED]
    if amounts:
        what = ", ".join(amounts)
        advice = (
            f"{counted(len(open_), 'difference')} without a review, listed below: {_opening(open_, report.as_of)}"
            if open_
            else "No difference accounts for it: read the statements anew with kessai reconcile run --whole; what "
            "stays then is a fault of Kessai."
        )
        yield Alarm(Urgency.NOW, f"{what} unexplained: statements and webhooks differ.", advice, "#differences")
    elif open_:
        what = counted(len(open_), "difference")
        yield Alarm(Urgency.NOW, f"{what} of unknown amount unexplained.", "See what differs below.", "#differences")


def _opening(open_: Sequence[Explained], as_of: datetime) -> str:
    """How they get reviews: a comparison covers a limited time, and a day may pass until the next one."""
    oldest = min(each.difference.at for each in open_)
    if oldest >= as_of - SETTLING_TIME + timedelta(days=1):
        return "the next comparison opens them; kessai reconcile run does it at once."
    return (
        f"comparisons cover {SETTLING_TIME.days} days; "
        f"kessai reconcile run --since {oldest:%Y-%m-%d} opens them at once."
    )


def _of_statements(read: Sequence[Read], now: datetime) -> Iterator[Alarm]:
    for each in read:
        if each.as_of is None:
            yield Alarm(
                Urgency.SOON,
                f"The statements of {each.endpoint} were never read completely, so nothing is compared.",
                "Give Kessai a token for them (SIGLUME_AUTH_TOKEN, or provider_auth_token_file of the endpoint), then "
                "run kessai reconcile run, or the worker role reconcile.",
            )
        elif each.is_late:
            yield Alarm(
                Urgency.SOON,
                f"The statements of {each.endpoint} were last read {span((now - each.as_of).total_seconds())} ago: "
                "nothing newer is compared.",
                "Is kessai worker reconcile running? kessai reconcile run reads them at once, and says what is wrong.",
            )


def by_urgency(differences: Sequence[Explained]) -> list[Explained]:
    """What nobody explains first, then what waits for a person; the largest of each first."""
    order = list(Standing)
    return sorted(differences, key=lambda each: (order.index(each.standing), -each.difference.stake))


def reasons_in_review(differences: Sequence[Explained]) -> list[str]:
    return sorted({each.difference.reason for each in differences if each.standing is Standing.IN_REVIEW})


def over_time(course: Course, window: Window) -> Mapping[str, Chart]:
    """By currency; bars of money that stand upon one another, in floats: the texts beside them are exact."""
    times = window.steps
    axis = of_calendar(times, FORMS[window.grain])
    return {
        name: stacked(
            times,
            [_series(kind, kinds[kind], name) for kind in KINDS],
            axis=axis,
            written=_roughly,
        )
        for name, kinds in course.items()
    }


def _series(kind: str, amounts: Sequence[Decimal], currency: str) -> Series:
    divisor = 100 if currency == "USD" else 1
    values = [float(each) / divisor for each in amounts]
    return Series(kind, values, [figure(each, currency) for each in amounts])


def _roughly(value: float) -> str:
    """For an axis: `250`, `1.5k`, `20M`."""
    for whole, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= whole:
            return f"{value / whole:,.2f}".rstrip("0").rstrip(".") + unit
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def of_buyers(found: Sequence[Exposure], warning: Decimal) -> Shares:
    """Of the nearest to their thresholds."""
    return shares(
        [
            Row(
                each.buyer_period_ref or "unknown",
                each.level(warning),
                float(each.amount / each.threshold),
                f"{each.buyer_period_ref}: {_of(each)}",
            )
            for each in found[:BUYERS]
        ],
        warning=float(warning),
    )


def _of(each: Exposure) -> str:
    currency = each.currency or "?"
    return f"{amount(each.amount, currency)} of {amount(each.threshold, currency)}"
