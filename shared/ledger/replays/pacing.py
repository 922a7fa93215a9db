"""How does a running replay go on? Pure: what is known of the job in, the next step out."""

from dataclasses import dataclass
from datetime import datetime, timedelta

CHUNK = 500
"""Events that are handed to the broker at once, at most."""
CHUNK_SECONDS = 0.25
"""How much of its rate a job hands over at once: small steps, so that a pause is felt soon."""
MAX_IN_FLIGHT = 2000
"""Events handed over and not handled yet, at most: what a stop can no longer hold back."""
PATIENCE = 30 * 60.0
"""Seconds after which what is in flight counts as lost, as by a purged queue; retries take 11 minutes."""
ENOUGH_TO_JUDGE = 50
"""Beyond the canary, a share of failures is taken of at least so many events: one early failure is no trend."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a job stands, in events."""

    total: int
    sent: int
    """Handed to the broker."""
    in_flight: int
    """Of those sent, what has no result yet."""
    judged_from: int
    """How many were sent before it was last resumed: what became of them is judged no more."""
    failed: int
    """Of those sent since, the dead letters."""
    canary: int
    stop_on_fail: float
    """Share of failures, 0 to 1, beyond which it stops."""
    rate: float | None
    """Events a second; None: as fast as they are handled."""
    waited: float = 0.0
    """Seconds since something was last handed over."""

    @property
    def judged(self) -> int:
        return self.sent - self.judged_from - self.in_flight


@dataclass(frozen=True, slots=True)
class Send:
    events: int


@dataclass(frozen=True, slots=True)
class Wait:
    """For what is in flight."""


@dataclass(frozen=True, slots=True)
class HandOverAgain:
    """From the first event without a result: to be handled twice changes nothing."""


@dataclass(frozen=True, slots=True)
class Stop:
    because: str


@dataclass(frozen=True, slots=True)
class Finish:
    pass


Step = Send | Wait | HandOverAgain | Stop | Finish


def next_step(progress: Progress) -> Step:
    if progress.sent == progress.total and not progress.in_flight:
        return Finish()
    too_many = _too_many_failures(progress)
    if too_many is not None:
        return Stop(too_many)
    goal = min(progress.canary, progress.total) if progress.sent < progress.canary else progress.total
    room = MAX_IN_FLIGHT - progress.in_flight
    must_wait = progress.in_flight and progress.sent in (progress.canary, progress.total)
    if must_wait or room <= 0:
        return HandOverAgain() if progress.waited > PATIENCE else Wait()
    return Send(min(_chunk(progress), goal - progress.sent, room))


def next_due(sent: int, rate: float | None, *, due: datetime | None, now: datetime) -> datetime | None:
    """When the next chunk may follow `sent` events; a late one does not make the others hurry."""
    if rate is None:
        return None
    began = due if due is not None and now - due < timedelta(seconds=1) else now
    return began + timedelta(seconds=sent / rate)


def _too_many_failures(progress: Progress) -> str | None:
    """The canary is judged by itself, and whole; afterwards all that is done is."""
    judging_canary = progress.sent <= progress.canary
    if not progress.failed or (judging_canary and progress.in_flight):
        return None
    judged = progress.judged if judging_canary else max(progress.judged, ENOUGH_TO_JUDGE)
    if judged <= 0 or progress.failed / judged <= progress.stop_on_fail:
        return None
    what = "canary events" if judging_canary else "events"
    return f"{progress.failed} of {progress.judged} {what} failed again: more than {progress.stop_on_fail:.3g} of them"


def _chunk(progress: Progress) -> int:
    if progress.rate is None:
        return CHUNK
    return max(1, min(CHUNK, round(progress.rate * CHUNK_SECONDS)))
