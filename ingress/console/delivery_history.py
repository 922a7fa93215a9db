"""The outcomes of deliveries over the last hours and days. Minutes that have passed are read once and kept."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from shared.ledger import tallies
from shared.ledger.database import Pool, connected
from shared.ledger.tallies import Minute

MINUTE: Final = timedelta(minutes=1)
SETTLED_AFTER: Final = 3
"""Minutes after which a minute no longer changes: a batch is dated at its commit, which takes seconds."""
KEPT: Final = 7 * 24 * 60 + 60
"""Minutes that are remembered."""


class Range(StrEnum):
    """The time that a chart covers."""

    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"

    @property
    def length(self) -> timedelta:
        return {"1h": timedelta(hours=1), "24h": timedelta(hours=24), "7d": timedelta(days=7)}[self.value]

    @property
    def step(self) -> timedelta:
        """What one bar of a chart covers: 60, 96 and 84 bars."""
        return {"1h": MINUTE, "24h": timedelta(minutes=15), "7d": timedelta(hours=2)}[self.value]


@dataclass(frozen=True, slots=True)
class Step:
    """Some minutes together."""

    at: datetime
    """Their beginning."""
    deliveries: Mapping[str, int]
    """By outcome."""
    longest_wait: float | None
    """Seconds; None when nothing was delivered."""

    @property
    def total(self) -> int:
        return sum(self.deliveries.values())


class DeliveryHistory:
    """The tallies by minute, kept in memory: a refresh reads only the last minutes.

    One request reads at a time, on a connection of its own; those that wait for it hold none. Minutes are numbered
    since 1970.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._minutes: dict[int, list[Minute]] = {}
        self._known: range = range(0)
        """Minutes that are known for good."""
        self._read_at: datetime | None = None
        self._lock = asyncio.Lock()

    async def steps(self, range_: Range, *, now: datetime) -> list[Step]:
        """The steps of a range up to `now`, the oldest first, the empty ones too; the last one is still going on.

        Raises what connected() raises.
        """
        length, step, current = _minutes(range_.length), _minutes(range_.step), _number(now)
        first = current - current % step - length + step
        async with self._lock:
            if not self._knows(first, now):
                await self._learn(first, current)
                self._read_at = now
            return [_step(self._minutes, start, step) for start in range(first, current + 1, step)]

    def _knows(self, first: int, now: datetime) -> bool:
        """Whether another request read it while this one waited for the lock."""
        return bool(self._known) and self._known.start <= first and self._read_at is not None and now <= self._read_at

    async def _learn(self, first: int, current: int) -> None:
        """Know every minute from the first to the current one."""
        is_continued = bool(self._known) and self._known.start <= first
        since = self._known.stop if is_continued else first
        fresh: defaultdict[int, list[Minute]] = defaultdict(list)
        async with connected(self._pool) as connection:
            for minute in await tallies.by_minute(connection, since=_time(since)):
                fresh[_number(minute.at)].append(minute)
        for number in range(since, current + 1):
            self._minutes.pop(number, None)
        self._minutes |= fresh
        begin = self._known.start if is_continued else first
        self._forget(begin, current - KEPT)
        self._known = range(max(begin, current - KEPT), max(since, current - SETTLED_AFTER))

    def _forget(self, begin: int, before: int) -> None:
        for number in range(begin, before):
            self._minutes.pop(number, None)


def _step(minutes: Mapping[int, Sequence[Minute]], first: int, length: int) -> Step:
    deliveries: defaultdict[str, int] = defaultdict(int)
    longest: float | None = None
    for number in range(first, first + length):
        for row in minutes.get(number, ()):
            deliveries[row.outcome] += row.deliveries
            longest = max(longest or 0.0, row.longest_wait)
    return Step(_time(first), dict(deliveries), longest)


def _number(moment: datetime) -> int:
    return int(moment.timestamp() // 60)


def _time(number: int) -> datetime:
    return datetime.fromtimestamp(number * 60, UTC)


def _minutes(span: timedelta) -> int:
    return span // MINUTE
