"""How much may senders write into our log? A few lines a second, and a count of the rest."""

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.ingress")


class SparseLog:
    """Canonical lines for requests that did not go the usual road, at most `per_second`; metrics count every one."""

    def __init__(self, *, per_second: int = 10) -> None:
        self._per_second = per_second
        self._second = 0
        self._written = 0
        self._untold = 0

    def tell(self, event: str, *, now: float, **facts: str | int) -> None:
        """`now` is in seconds. The first line after a flood says how many were left out."""
        if int(now) != self._second:
            self._second, self._written = int(now), 0
        if self._written >= self._per_second:
            self._untold += 1
            return
        self._written += 1
        untold, self._untold = self._untold, 0
        log.info(event, **facts, **({"untold_before": untold} if untold else {}))
