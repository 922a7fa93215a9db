"""Counts failures by key, in bounded memory."""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable


class Failures:
    """Allows some failures per key within a span of time; then the key must wait until its oldest one has expired."""

    def __init__(self, *, allowed: int, within: float, clock: Callable[[], float], keys: int = 10_000) -> None:
        """At most `keys` keys are remembered: a flood of names must not fill the memory."""
        self._allowed = allowed
        self._within = within
        self._clock = clock
        self._keys = keys
        self._times: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def wait(self, key: Hashable) -> float:
        """Seconds until the next try; 0 when it may be made now."""
        times = self._recent(key)
        return times[0] + self._within - self._clock() if len(times) >= self._allowed else 0.0

    def count(self, key: Hashable) -> None:
        self._times[key] = self._recent(key)
        self._times[key].append(self._clock())
        self._times.move_to_end(key)
        if len(self._times) > self._keys:
            self._times.popitem(last=False)

    def forgive(self, key: Hashable) -> None:
        """Take back the last one that was counted."""
        times = self._times.get(key)
        if times:
            times.pop()

    def _recent(self, key: Hashable) -> deque[float]:
        times = self._times.get(key, deque())
        while times and times[0] <= self._clock() - self._within:
            times.popleft()
        return times
