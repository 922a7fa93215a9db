"""Which steps does a chart of the revenue have?"""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.series import Grain, Window

MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 11, 30), timezones=st.just(UTC))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("period", "grain", "steps"),
    [
        *(("2026-11-20", Grain.HOUR, 24), ("2026-11", Grain.DAY, 30), ("2026-W47", Grain.DAY, 7)),
        *(("2026", Grain.WEEK, 53), ("2024", Grain.WEEK, 53), ("2026-01-01..2026-03-04", Grain.DAY, 62)),
        *(("2026-11-20T23:30..2026-11-21T00:30", Grain.HOUR, 2), ("9999-12-01..9999-12-31", Grain.DAY, 30)),
        *(("9999-12-31T22..9999-12-31T23:59", Grain.HOUR, 2), ("1970-01", Grain.DAY, 31)),
    ],
)
def test_a_period_is_looked_at_in_steps_of_a_size_that_can_be_seen(period: str, grain: Grain, steps: int) -> None:
    window = Window.of(Period.parse(period))
    assert window is not None
    assert (window.grain, len(window.steps)) == (grain, steps)


def test_more_than_a_year_is_none() -> None:
    assert Window.of(Period.parse("2025-01-01..2026-11-01")) is None


@given(MOMENTS, st.sampled_from(Grain))
def test_a_step_holds_its_moment_and_the_next_begins_where_it_ends(moment: datetime, grain: Grain) -> None:
    begin = grain.begin(moment)
    assert begin <= moment < grain.following(begin)
    assert grain.begin(grain.following(begin)) == grain.following(begin)
    assert grain.begin(begin) == begin


@given(MOMENTS.filter(lambda moment: moment.year > 1))
def test_a_year_is_twelve_months(moment: datetime) -> None:
    steps = Window.year_to(moment).steps
    assert len(steps) == 12
    assert steps[-1] < moment <= Grain.MONTH.following(steps[-1])
