"""May this login be tried now? Counts failures by name and by address; what is counted is bounded, too."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable

LONGEST_NAME = 65
"""Characters by which a name is counted: one more than a name may have."""


class Failures:
    """So many failures of one key within so many seconds, then no more tries until the oldest is as old."""

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


class LoginLimits:
    """Slows guessing down. A try is counted before its hash is compared, so that a burst is counted whole."""

    def __init__(
        self,
        *,
        a_name: int = 10,
        an_address: int = 30,
        within: float = 900.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """So many failures within so many seconds."""
        self._names = Failures(allowed=a_name, within=within, clock=clock)
        self._addresses = Failures(allowed=an_address, within=within, clock=clock)

    def try_now(self, name: str, address: str) -> float:
        """0 when the try may be made, and then it is counted; else the seconds to wait."""
        name = name[:LONGEST_NAME]
        wait = max(self._names.wait(name), self._addresses.wait(address))
        if wait <= 0:
            self._names.count(name)
            self._addresses.count(address)
        return max(wait, 0.0)

    def succeeded(self, name: str, address: str) -> None:
        self._names.forgive(name[:LONGEST_NAME])
        self._addresses.forgive(address)
