"""How long to wait before the next try: doubling, with jitter, so that a fleet does not return in step."""

from dataclasses import dataclass, field
from random import Random


@dataclass(slots=True)
class Backoff:
    """Waits in seconds: between half of and the whole of `first`, twice that, ..., `limit`."""

    first: float = 0.1
    limit: float = 10.0
    random: Random = field(default_factory=Random, repr=False)
    _next: float = 0.0

    def next(self) -> float:
        ceiling = min(max(self._next, self.first), self.limit)
        self._next = ceiling * 2
        return ceiling * self.random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._next = 0.0
