"""When to stop calling a broker that does not answer. Pure: the caller passes the time."""

from dataclasses import dataclass


@dataclass(slots=True)
class Breaker:
    """Opens after `threshold` failures in a row, lets one probe through a `cool_down` (seconds), closes on success."""

    threshold: int = 5
    cool_down: float = 1.0
    failures: int = 0
    retry_at: float | None = None
    """When the next probe may go; None while closed."""

    @property
    def is_open(self) -> bool:
        return self.retry_at is not None

    def allows(self, *, now: float) -> bool:
        """True when a call may go out. While open, a True answer is the one probe of this cool-down."""
        if self.retry_at is None:
            return True
        if now < self.retry_at:
            return False
        self.retry_at = now + self.cool_down
        return True

    def succeeded(self) -> None:
        self.failures = 0
        self.retry_at = None

    def failed(self, *, now: float, times: int = 1) -> None:
        self.failures += times
        if self.failures >= self.threshold:
            self.retry_at = now + self.cool_down
