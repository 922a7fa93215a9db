"""How far is a job? Looked up once a second, however many people watch it."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from ingress.console.shown import count, span
from shared.ledger.database import Pool, connected
from shared.ledger.replays import items, jobs
from shared.ledger.replays.jobs import Replay, ReplayState

EVERY: Final = 1.0
"""Seconds between two looks."""
UNTAKEN_SECONDS: Final = 5.0
"""After which it is told that no worker has taken the job up."""
WATCHED: Final = frozenset({ReplayState.PLANNING, ReplayState.RUNNING})
"""In the other states nothing moves by itself."""


class Watch:
    """Remembers the last look at each job while somebody watches."""

    def __init__(self, pool: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._clock = clock
        self._known: dict[int, tuple[float, dict[str, Any]]] = {}
        self._looking = asyncio.Lock()
        self.is_over = asyncio.Event()
        """Set when the console ends: streams end with it."""

    async def look(self, replay_id: int) -> dict[str, Any]:
        """What a page shows of the job. Raises ReplayNotFound and what connected() raises."""
        async with self._looking:
            self._forget()
            known = self._known.get(replay_id)
            if known is None:
                known = self._known[replay_id] = self._clock(), await self._ask(replay_id)
            return known[1]

    async def _ask(self, replay_id: int) -> dict[str, Any]:
        async with connected(self._pool) as connection:
            job = await jobs.find(connection, replay_id)
            planned = await items.count_predicted(connection, replay_id) if _is_planning(job) else 0
        return told(job, planned=planned, now=datetime.now(UTC))

    def forget(self, replay_id: int) -> None:
        """Somebody acted on it: what was known is no longer so."""
        self._known.pop(replay_id, None)

    def _forget(self) -> None:
        old = [name for name, (at, _) in self._known.items() if self._clock() - at >= EVERY * 0.9]
        for name in old:
            del self._known[name]


def told(job: Replay, *, planned: int, now: datetime) -> dict[str, Any]:
    """A job as one small JSON: numbers for the bar, texts for what stands beside it. `planned` is in events."""
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
