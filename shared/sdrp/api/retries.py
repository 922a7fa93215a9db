"""When is a call made again, and after how long?

Made again: after 429, and where no connection came about, because then nothing was done; after 5xx, a connection that
broke and a try that took too long only where asking twice does no more than asking once (`Request.repeatable`): reads,
what a nonce makes unique, and what sets a state. Never after any other answer. Waits grow, are drawn at random so that
a fleet does not return in step, and are never shorter than `Retry-After`. A call that could not be made again within
its deadline fails at once.
"""

import random
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt, stop_before_delay

from shared.sdrp.api.errors import SiglumeApiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds, and how often."""

    attempts: int = 5
    connect: float = 5.0
    """For a connection."""
    attempt: float = 15.0
    """For one try, or between two pieces of a stream."""
    deadline: float = 60.0
    """For a call, all tries and waits included."""
    stream: float = 3600.0
    """For an export, from its beginning to its end."""
    first_wait: float = 0.5
    longest_wait: float = 10.0

    def wait(self, attempt: int, retry_after: float | None) -> float:
        """Seconds after the failed try of this number, counted from 1."""
        ceiling = min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
        drawn = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, protects nothing
        return drawn + (retry_after or 0.0)


def retrying(patience: Patience, *, holds_for: int) -> AsyncRetrying:
    """Calls a function until it succeeds; raises the last error as it is."""

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
