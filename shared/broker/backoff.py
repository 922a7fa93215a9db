"""How long to wait before the next try: doubling, with jitter, so that a fleet does not return in step."""

from dataclasses import dataclass, field
from random import Random

from shared.backoff import exponential, jittered


@dataclass(slots=True)
class Backoff:
    """Waits in seconds: between half of and the whole of `first`, twice that, ..., `limit`."""

    first: float = 0.1
    limit: float = 10.0
    random: Random = field(default_factory=Random, repr=False)
    _failures: int = 0

    def next(self) -> float:
        ceiling = exponential(self.first, self._failures, limit=self.limit)
        self._failures += 1
        return jittered(ceiling, self.random.uniform)

    def reset(self) -> None:
        self._failures = 0
