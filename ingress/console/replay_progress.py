"""How far is a replay? Read from the books once a second, however many people watch it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from ingress.console.formats import count, span
from shared.ledger.database import Pool, connected
from shared.ledger.replays import items, jobs
from shared.ledger.replays.jobs import Replay, ReplayState

EVERY: Final = 1.0
"""Seconds between two reads."""
UNTAKEN_SECONDS: Final = 5.0
"""Seconds after which the page says that no worker has taken up the job."""
WATCHED: Final = frozenset({ReplayState.PLANNING, ReplayState.RUNNING})
"""The states in which a replay changes by itself."""


class ReplayProgress:
    """Remembers what it read of each job for a second."""

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._known: dict[int, tuple[float, dict[str, Any]]] = {}
        self._reading = asyncio.Lock()
        self.is_over = asyncio.Event()
        """Set when the console ends: streams end with it."""

    async def read(self, replay_id: int) -> dict[str, Any]:
        """What a page shows of the job. Raises ReplayNotFound and what connected() raises."""
        async with self._reading:
            self._forget()
            known = self._known.get(replay_id)
            if known is None:
                known = self._known[replay_id] = self._clock(), await self._load(replay_id)
            return known[1]

    async def _load(self, replay_id: int) -> dict[str, Any]:
        async with connected(self._pool) as connection:
            job = await jobs.find(connection, replay_id)
            planned = await items.count_predicted(connection, replay_id) if _is_planning(job) else 0
        return progress_of(job, planned=planned, now=datetime.now(UTC))

    def forget(self, replay_id: int) -> None:
        """Call it when somebody has acted on the job: what was read is out of date."""
        self._known.pop(replay_id, None)

    def _forget(self) -> None:
        old = [name for name, (at, _) in self._known.items() if self._clock() - at >= EVERY * 0.9]
        for name in old:
            del self._known[name]


def progress_of(job: Replay, *, planned: int, now: datetime) -> dict[str, Any]:
    """A job as a small JSON object: numbers for the bar, and the texts beside it. `planned` counts events."""
    done = planned if _is_planning(job) else job.done
    return {
        "state": job.state,
        "is_over": job.state not in WATCHED,
        "done": done,
        "total": job.total,
        "texts": {
            "done": count(done),
            "in_flight": count(job.in_flight),
            "failed": count(job.failed),
            "left": _left(job, now),
            "notice": _notice(job, now),
            **{f"came-{outcome}": count(number) for outcome, number in job.results.items()},
        },
    }


def _is_planning(job: Replay) -> bool:
    return job.state is ReplayState.PLANNING


def _left(job: Replay, now: datetime) -> str:
    """By the pace so far."""
    if job.state is not ReplayState.RUNNING or not job.done or job.started_at is None:
        return "–"
    passed = (now - job.started_at).total_seconds()
    return f"about {span(round(passed / job.done * (job.total - job.done)))}"


def _notice(job: Replay, now: datetime) -> str:
    is_untaken = job.state is ReplayState.RUNNING and job.seen_at is None and job.started_at is not None
    if is_untaken and (now - (job.started_at or now)).total_seconds() > UNTAKEN_SECONDS:
        return "No worker has taken it up yet: is kessai worker dead-letters running?"
    if job.state is ReplayState.RUNNING and not job.in_flight and job.sent < job.canary:
        return "The canary goes first."
    return ""
