"""In which billing period does a moment fall? Each account has its own slot of the week, and of the month."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zlib import crc32

from shared.sdrp.money import Cadence

_WEEK = timedelta(weeks=1)
_A_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_HOURS_OF_A_WEEK = 168
_HOURS_OF_EVERY_MONTH = 28 * 24


class Period(NamedTuple):
    """`end` is not part of it."""

    start: datetime
    end: datetime


def slot_of(account: str, cadence: Cadence) -> timedelta:
    """How long after Monday 00:00 UTC, or after the first of the month, the account's periods begin."""
    hours = _HOURS_OF_A_WEEK if cadence is Cadence.WEEKLY else _HOURS_OF_EVERY_MONTH
    return timedelta(hours=crc32(account.encode()) % hours)


def period_of(moment: datetime, cadence: Cadence, slot: timedelta) -> Period:
    """The weekly or monthly period of that slot which holds the moment."""
    if cadence is Cadence.WEEKLY:
        start = _A_MONDAY + slot + (moment - _A_MONDAY - slot) // _WEEK * _WEEK
        return Period(start, start + _WEEK)
    this_month = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    if moment >= this_month + slot:
        return Period(this_month + slot, _month_after(this_month) + slot)
    return Period(_month_before(this_month) + slot, this_month + slot)


def month_later(moment: datetime) -> datetime:
    """The same day and time of the next month, or its last day where it is shorter."""
    following = _month_after(moment.replace(day=1))
    last_day = (_month_after(following) - timedelta(days=1)).day
    return following.replace(day=min(moment.day, last_day))


def _month_after(first: datetime) -> datetime:
    return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def _month_before(first: datetime) -> datetime:
    return (first - timedelta(days=1)).replace(day=1)
