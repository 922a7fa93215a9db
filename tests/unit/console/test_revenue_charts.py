"""What the revenue page says of how things stand."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ingress.console.alarms import Urgency
from ingress.console.revenue_charts import Read, alarms, over_time
from shared.ledger.revenue.differences import Booked, of_unlisted
from shared.ledger.revenue.explanations import Explained, Standing
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.reach import SETTLING_TIME
from shared.ledger.revenue.report import Report
from shared.ledger.revenue.series import KINDS, Window

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOVEMBER = Period.parse("2026-11")


@pytest.mark.parametrize(
    ("as_of", "is_late"),
    [(NOW - HOUR, False), (NOW - timedelta(minutes=75), False), (NOW - timedelta(minutes=76), True), (None, True)],
)
def test_statements_are_late_a_while_after_they_should_have_been_read(as_of: datetime | None, is_late: bool) -> None:
    read = Read.of("siglume", as_of, every=HOUR, now=NOW)
    assert read.is_late is is_late
    assert bool(alarms(Report(NOVEMBER, NOW, ["siglume"]), [read], now=NOW)) is is_late


def test_what_no_difference_accounts_for_is_urgent_and_says_what_to_do() -> None:
    report = Report(NOVEMBER, NOW, ["siglume"], compared_until=NOW)
    report.currency("USD").in_doubt[Standing.UNEXPLAINED] = Decimal("0.5")
    (alarm,) = alarms(report, [], now=NOW)
    assert (alarm.urgency, alarm.text) == (
        Urgency.NOW, "0.005 USD unexplained: statements and webhooks differ.",
    )  # fmt: skip
    assert "kessai reconcile run --whole" in alarm.advice


@pytest.mark.parametrize(
    ("ago", "advice"),
    [
        (timedelta(days=9), "the next comparison opens them; kessai reconcile run does it at once"),
        (SETTLING_TIME, "comparisons cover 120 days; kessai reconcile run --since 2026-07-23 opens them at once"),
    ],
)
def test_what_has_no_review_is_said_to_get_one_by_what_goes_back_to_it(ago: timedelta, advice: str) -> None:
    report = Report(NOVEMBER, NOW, ["siglume"], compared_until=NOW)
    report.currency("JPY").in_doubt[Standing.UNEXPLAINED] = Decimal(200)
    for at in (NOW, NOW - ago):
        lone = Booked("req-1", "order-1", Decimal(200), "JPY", "micro", at)
        report.differences.append(Explained(of_unlisted(lone), Standing.UNEXPLAINED))
    (alarm,) = alarms(report, [], now=NOW)
    assert alarm.advice == f"2 differences without a review, listed below: {advice}."


def test_bars_are_of_units_and_their_texts_exact() -> None:
    window = Window.of(Period.parse("2026-11-20..2026-11-23"))
    assert window is not None
    steps = [Decimal(0), Decimal("123456789.125"), Decimal(5)]
    chart = over_time({"USD": dict.fromkeys(KINDS, steps)}, window)["USD"]
    assert [tick.label for tick in chart.ys] == ["0", "2M", "4M", "6M", "8M"]
    assert [texts[0] for _, texts in chart.table] == ["1,234,567.89125", "0.05"]
