"""Which span of time does a person mean? A month, a week, a day, a year, or from then to then; in UTC. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from shared.errors import KessaiError

_MONTH = re.compile(r"([0-9]{4})-([0-9]{2})", re.ASCII)
_WEEK = re.compile(r"([0-9]{4})-W([0-9]{2})", re.ASCII)
_YEAR = re.compile(r"[0-9]{4}", re.ASCII)
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


EARLIEST: Final = 1970
"""Year before which nobody was paid; clocks and zones move a moment without leaving the calendar."""


class InvalidPeriod(KessaiError):
    """No span of time that we understand."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:60]!r} is no period: write 2026-11 (a month), 2026-W47 (an ISO week), 2026-11-20, 2026, or "
            f"SINCE..UNTIL as in 2026-11-01..2026-11-15, the end not included; {EARLIEST} is the first year"
        )


class Period(NamedTuple):
    name: str
    since: datetime
    until: datetime
    """Not part of it."""

    @classmethod
    def parse(cls, text: str) -> "Period":
        """Raises InvalidPeriod."""
        name = text.strip()
        try:
            since, until = _span(name)
        except (ValueError, OverflowError):
            raise InvalidPeriod(text) from None
        if since >= until or since.year < EARLIEST:
            raise InvalidPeriod(text)
        return cls(name, since, until)


def _span(name: str) -> tuple[datetime, datetime]:
    """Raises ValueError, OverflowError."""
    if week := _WEEK.fullmatch(name):
        monday = datetime.fromisocalendar(int(week[1]), int(week[2]), 1).replace(tzinfo=UTC)
        return monday, monday + timedelta(weeks=1)
    if month := _MONTH.fullmatch(name):
        first = datetime(int(month[1]), int(month[2]), 1, tzinfo=UTC)
        return first, (first + timedelta(days=31)).replace(day=1)
    if _YEAR.fullmatch(name):
        return datetime(int(name), 1, 1, tzinfo=UTC), datetime(int(name) + 1, 1, 1, tzinfo=UTC)
    if _DAY.fullmatch(name):
        day = _moment(name)
        return day, day + timedelta(days=1)
    since, dots, until = name.partition("..")
    if not dots:
        raise ValueError(name)
    return _moment(since), _moment(until)


def _moment(text: str) -> datetime:
    given = datetime.fromisoformat(text.strip())
    return given.astimezone(UTC) if given.tzinfo else given.replace(tzinfo=UTC)
