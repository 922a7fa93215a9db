"""The billing calendar."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.core.periods import month_later, period_of, slot_of
from shared.sdrp.money import Cadence

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - drawn as UTC
CADENCES = st.sampled_from([Cadence.WEEKLY, Cadence.MONTHLY])


@given(MOMENTS, CADENCES, st.text())
def test_every_moment_is_in_one_period_and_the_next_begins_where_it_ends(
    moment: datetime, cadence: Cadence, account: str
) -> None:
    slot = slot_of(account, cadence)
    period = period_of(moment, cadence, slot)
    assert period.start <= moment < period.end
    assert period_of(period.start, cadence, slot) == period
    assert period_of(period.end, cadence, slot).start == period.end
    longest = 7 if cadence is Cadence.WEEKLY else 31
    assert timedelta(days=7 if cadence is Cadence.WEEKLY else 28) <= period.end - period.start
    assert period.end - period.start <= timedelta(days=longest)


def test_a_month_later_is_the_same_day_or_the_last() -> None:
    assert month_later(datetime(2026, 1, 31, 9, tzinfo=UTC)) == datetime(2026, 2, 28, 9, tzinfo=UTC)
    assert month_later(datetime(2026, 12, 15, tzinfo=UTC)) == datetime(2027, 1, 15, tzinfo=UTC)
