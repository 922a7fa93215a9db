"""What happens next? A queue of acts by the time when they are due, then in the order in which they were planned."""

import heapq
from collections.abc import Callable
from datetime import datetime
from itertools import count
from typing import NamedTuple


class Planned(NamedTuple):
    """The number orders two acts that are due at the same time."""

    at: datetime
    number: int
    act: Callable[[], None]


class Timers:
    """No act is ever cancelled: it checks the state that it finds, and does nothing when it is too late."""

    def __init__(self) -> None:
        self._planned: list[Planned] = []
        self._numbers = count()

    def plan(self, at: datetime, act: Callable[[], None]) -> None:
        heapq.heappush(self._planned, Planned(at, next(self._numbers), act))

    @property
    def next_at(self) -> datetime | None:
        return self._planned[0].at if self._planned else None

    def pop(self) -> Planned:
        """The first. Raises IndexError when nothing is planned."""
        return heapq.heappop(self._planned)
