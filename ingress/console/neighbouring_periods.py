"""Which period comes before and after another? Pure; works on the names that people write for periods."""

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Final

from shared.ledger.revenue.periods import InvalidPeriod, Period

_NAMES: Final[dict[int, Callable[[datetime], str]]] = {
    len("2026"): lambda moment: f"{moment.year:04d}",
    len("2026-11"): lambda moment: f"{moment.year:04d}-{moment.month:02d}",
    len("2026-W47"): lambda moment: "{:04d}-W{:02d}".format(*moment.isocalendar()),
    len("2026-11-20"): lambda moment: moment.date().isoformat(),
}
"""What a period of a calendar is called that holds a moment, by the length of such a name."""


def month_of(moment: datetime) -> Period:
    return Period.parse(_NAMES[7](moment))


def neighbours(period: Period) -> tuple[Period | None, Period | None]:
    """The period before and the period after, of the same calendar length; None where none can be named."""
    since, until = period.since, period.until
    named = _NAMES.get(len(period.name))
    if named is not None:
        return (
            _made(lambda: Period.parse(named(since - timedelta(days=1)))),
            _made(lambda: Period.parse(named(until))),
        )
    length = until - since
    return _made(lambda: _between(since - length, since)), _made(lambda: _between(until, until + length))


def _made(make: Callable[[], Period]) -> Period | None:
    try:
        return make()
    except (InvalidPeriod, OverflowError):
        return None


def _between(since: datetime, until: datetime) -> Period:
    is_of_days = since.time() == until.time() == time()
    named = _NAMES[len("2026-11-20")] if is_of_days else _moment
    return Period.parse(f"{named(since)}..{named(until)}")


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
