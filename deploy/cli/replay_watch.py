"""Waits until a replay ends, and shows its progress meanwhile."""

import asyncio
import time
from enum import StrEnum
from typing import TYPE_CHECKING

from deploy.cli.books import commit, open_books
from deploy.cli.output import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from shared.ledger.database import Pool
    from shared.ledger.replays.jobs import Replay

POLL_SECONDS = 0.5
UNTAKEN_SECONDS = 5.0
"""Seconds after which a message states that no worker has taken the job."""
STALLED_SECONDS = 10.0
"""Seconds without a result after which a message states so."""


def follow(plan_id: int, *, shows_progress: bool) -> "Replay":
    """Return the job as it ended. Raises ReplayNotFound; KeyboardInterrupt leaves the job running."""
    try:
        return asyncio.run(_follow(plan_id, shows_progress=shows_progress))
    except KeyboardInterrupt:
        say(f"the job goes on; see `kessai replay status {plan_id} --watch`, or run `kessai replay pause {plan_id}`")
        raise


async def _follow(plan_id: int, *, shows_progress: bool) -> "Replay":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with open_books() as pool:
        with Progress(*columns, console=console, disable=not (shows_progress and console.is_terminal)) as progress:
            return await _until_ended(pool, plan_id, progress)


async def _until_ended(pool: "Pool", plan_id: int, progress: "Progress") -> "Replay":
    from shared.ledger.replays import jobs

    task = progress.add_task("replay", total=None)
    concerns = Concerns(clock=time.monotonic)
    job = await commit(pool, lambda connection: jobs.find(connection, plan_id))
    while job.state not in jobs.ENDED and job.state is not jobs.ReplayState.PLANNED:
        label = f"{job.state}, {job.failed:,} failed" if job.failed else str(job.state)
        progress.update(task, total=job.total, completed=job.done, description=label)
        await asyncio.sleep(POLL_SECONDS)
        seen = await _read(pool, plan_id)
        job = seen or job
        concern = concerns.about(seen)
        if concern is not None:
            say(concern)
    progress.update(task, total=job.total, completed=job.done, description=str(job.state))
    return job


async def _read(pool: "Pool", plan_id: int) -> "Replay | None":
    """Return None while Postgres is unavailable: waiting goes on through an outage."""
    from shared.errors import DatabaseUnavailable
    from shared.ledger.replays import jobs

    try:
        return await commit(pool, lambda connection: jobs.find(connection, plan_id))
    except DatabaseUnavailable:
        return None


class Concern(StrEnum):
    """A message for a person who waits."""

    AWAY = "Postgres is unavailable: still waiting"
    UNTAKEN = "no worker has taken the job yet: is `kessai worker dead-letters` running?"
    STALLED = "no event has been handled for a while: see the workers' logs, and `kessai doctor`"


class Concerns:
    """Returns each concern once, and again only after the job has moved."""

    def __init__(self, clock: "Callable[[], float]") -> None:
        self._clock = clock
        self._moved_at = clock()
        self._done = 0
        self._reported: set[Concern] = set()

    def about(self, job: "Replay | None") -> Concern | None:
        """`job` is its present state, or None when the books could not be read."""
        if job is not None and (job.done != self._done or job.state != "running"):
            self._moved_at, self._done = self._clock(), job.done
            self._reported.clear()
        concern = self._concern(job, waited=self._clock() - self._moved_at)
        if concern is None or concern in self._reported:
            return None
        self._reported.add(concern)
        return concern

    def _concern(self, job: "Replay | None", *, waited: float) -> Concern | None:
        if job is None:
            return Concern.AWAY
        if job.seen_at is None:
            return Concern.UNTAKEN if waited > UNTAKEN_SECONDS else None
        patience = max(STALLED_SECONDS, 0.0 if job.rate is None else 3 / job.rate)
        return Concern.STALLED if waited > patience else None
