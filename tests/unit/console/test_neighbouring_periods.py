"""The period before and the one after."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingress.console.neighbouring_periods import neighbours
from shared.ledger.revenue.periods import Period


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        *(("2026-11", "2026-10", "2026-12"), ("2026-12", "2026-11", "2027-01"), ("2026", "2025", "2027")),
        *(("2026-W01", "2025-W52", "2026-W02"), ("2026-W53", "2026-W52", "2027-W01")),
        *(("2026-03-01", "2026-02-28", "2026-03-02"), ("1970", None, "1971"), ("9998-12", "9998-11", "9999-01")),
        ("1970-01-01..1970-01-03", None, "1970-01-03..1970-01-05"),
        ("2026-11-01..2026-11-15", "2026-10-18..2026-11-01", "2026-11-15..2026-11-29"),
        (
            *("2026-11-20T00:00..2026-11-20T06:00", "2026-11-19T18:00:00Z..2026-11-20T00:00:00Z"),
            "2026-11-20T06:00:00Z..2026-11-20T12:00:00Z",
        ),
    ],
)
def test_they_are_as_long_by_the_calendar(name: str, before: str | None, after: str | None) -> None:
    found = [each.name if each else None for each in neighbours(Period.parse(name))]
    assert found == [before, after]


@given(st.dates(date(1970, 1, 5)), st.sampled_from(["day", "week"]))
def test_they_touch(day: date, unit: str) -> None:
    year, week, _ = day.isocalendar()
    period = Period.parse(day.isoformat() if unit == "day" else f"{year:04d}-W{week:02d}")
    before, after = neighbours(period)
    assert before is None or (before.until == period.since and Period.parse(before.name) == before)
    assert after is None or (after.since == period.until and Period.parse(after.name) == after)
