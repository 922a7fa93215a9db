"""Makes the plans of replays in the background. Each has a task of this process and its state in the books."""

import asyncio
from collections.abc import Mapping
from typing import Final

import structlog

from shared.errors import KessaiError
from shared.ledger.books import Shop
from shared.ledger.database import Pool
from shared.ledger.replays.plans import BeyondHorizon, NothingToReplay, Plan, PlanCancelled, plan
from shared.ledger.replays.selection import Selection

AT_ONCE: Final = 2
"""Plans that are made at the same time; each has connections and locks of its own."""

REFUSED: Final = (NothingToReplay, BeyondHorizon, PlanCancelled)
"""Errors that the user sees, or caused by cancelling."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")


class TooManyPlans(KessaiError):
    def __init__(self) -> None:
        super().__init__(f"{AT_ONCE} plans are being made already: wait until one is ready, then try again")


class Plans:
    """Makes plans in the background. One that dies with the process, or by an error, is kept as cancelled."""

    def __init__(self, *, books: Pool, handlers: Pool, shops: Mapping[str, Shop]) -> None:
        """`handlers` connects as workers do."""
        self._books = books
        self._handlers = handlers
        self._shops = shops
        self._tasks: set[asyncio.Task[Plan]] = set()

    async def begin(self, selection: Selection, *, actor: str) -> int:
        """Freeze what is meant and go on predicting; returns the plan's id as soon as there is one.

        Raises TooManyPlans, NothingToReplay, BeyondHorizon and what connected() raises.
        """
        if len(self._tasks) >= AT_ONCE:
            raise TooManyPlans
        frozen: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(
            plan(
                self._books,
                self._handlers,
                selection,
                self._shops,
                actor=actor,
                begun=lambda plan_id, _: frozen.set_result(plan_id),
            ),
            name="console: makes a plan",
        )
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        await asyncio.wait((task, frozen), return_when=asyncio.FIRST_COMPLETED)
        return frozen.result() if frozen.done() else (await task).plan_id

    def _ended(self, task: asyncio.Task[Plan]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, REFUSED):
            log.warning("console.plan_failed", error=type(error).__name__)

    async def close(self) -> None:
        """Give up what is not planned yet."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
