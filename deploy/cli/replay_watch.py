"""Shows a replay's progress until it ends."""

import asyncio
import time
from typing import TYPE_CHECKING

from deploy.cli.books import commit, open_books
from deploy.cli.show import say

if TYPE_CHECKING:
    from rich.progress import Progress

    from shared.ledger.database import Pool
    from shared.ledger.replays.jobs import Replay

LOOK_SECONDS = 0.5
UNTAKEN_SECONDS = 5.0
"""After which it is told that no worker has taken the job up."""


def follow(plan_id: int) -> "Replay":
    """The job as it ended. Raises ReplayNotFound; KeyboardInterrupt leaves the job running."""
    try:
        return asyncio.run(_follow(plan_id))
    except KeyboardInterrupt:
        say(f"the job goes on: kessai replay status {plan_id} --watch, or kessai replay pause {plan_id}")
        raise


async def _follow(plan_id: int) -> "Replay":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    async with open_books() as pool:
        with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
            return await _until_ended(pool, plan_id, progress)


async def _until_ended(pool: "Pool", plan_id: int, progress: "Progress") -> "Replay":
    from shared.ledger.replays import jobs

    task = progress.add_task("replay", total=None)
    began, told = time.monotonic(), False
    while True:
        job = await commit(pool, lambda connection: jobs.find(connection, plan_id))
        label = f"{job.state}, {job.failed:,} failed" if job.failed else str(job.state)
        progress.update(task, total=job.total, completed=job.done, description=label)
        if job.state in jobs.ENDED or job.state is jobs.ReplayState.PLANNED:
            return job
        if job.seen_at is None and not told and time.monotonic() - began > UNTAKEN_SECONDS:
            told = True
            say("no worker has taken the job up yet: is `kessai worker dead-letters` running?")
        await asyncio.sleep(LOOK_SECONDS)
