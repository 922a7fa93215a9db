"""How much may senders write into our log? A few lines a second, and a count of the rest."""

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.ingress")


class RateLimitedLog:
    """Log lines about requests that were not simply accepted, at most `per_second`; metrics count every one."""

    def __init__(self, *, per_second: int = 10) -> None:
        self._per_second = per_second
        self._second = 0
        self._written = 0
        self._omitted = 0

    def write(self, event: str, *, now: float, **fields: str | int) -> None:
        """`now` is in seconds. The first line after a flood has the number of omitted lines."""
        if int(now) != self._second:
            self._second, self._written = int(now), 0
        if self._written >= self._per_second:
            self._omitted += 1
            return
        self._written += 1
        omitted, self._omitted = self._omitted, 0
        log.info(event, **fields, **({"omitted_before": omitted} if omitted else {}))
