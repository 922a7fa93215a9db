"""When is a call to the platform retried, and after how long?

A call is always retried after 429 and after a connection that could not be opened, because then nothing was done. After
5xx, a broken connection and a timeout it is retried only when repeating it does no harm (`Request.repeatable`): reads,
calls that a nonce makes unique, and calls that set a state. No other answer is retried. Waits grow exponentially, have
jitter, and are never shorter than `Retry-After`. A call that cannot be retried within its deadline fails at once.
"""

from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay

from shared.backoff import exponential, jittered
from shared.sdrp.api.errors import SiglumeApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Timeouts of a call in seconds, and how often it is attempted."""

    attempts: int = 5
    connect: float = 5.0
    """Time to open a connection."""
    attempt: float = 15.0
    """Time of one attempt, or between two chunks of a stream."""
    deadline: float = 60.0
    """Time of a call, including all attempts and waits."""
    stream: float = 3600.0
    """Time of a whole export."""
    first_wait: float = 0.5
    longest_wait: float = 10.0

    def wait(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after the failed attempt of this number, counted from 1."""
        return jittered(exponential(self.first_wait, attempt - 1, limit=self.longest_wait)) + (retry_after or 0.0)


def retrying(patience: Patience, *, holds_for: int) -> AsyncRetrying:
    """Calls a function until it succeeds, and raises its last error unchanged."""

    def wait(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        retry_after = error.retry_after if isinstance(error, SiglumeApiError) else None
        return patience.wait(state.attempt_number, retry_after)

    return AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, SiglumeApiError) and error.retryable),
        stop=stop_after_attempt(patience.attempts) | stop_before_delay(patience.deadline + holds_for),
        wait=wait,
        reraise=True,
    )
