"""Computes slow reports in the background, once for all pages that need them: a page waits only a moment.

A result is reused for twenty times as long as it took, and long enough that a page which needs several results finds
all of them when it is loaded again.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, TypeVar

import structlog

from shared.ledger.database import Connection, Pool, TransientConflict, connected
from shared.ledger.revenue.exposure import WARNING, Exposure, exposures
from shared.ledger.revenue.periods import Period
from shared.ledger.revenue.report import Report, revenue
from shared.ledger.revenue.series import Course, Window, course

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.console")

T = TypeVar("T")

AT_ONCE: Final = 2
"""Reports computed at the same time; each holds a snapshot of the books and a connection until it is done."""
PATIENCE: Final = 0.1
"""Seconds that a page waits for a result."""
SHARE: Final = 20
"""A result is reused for this many times as long as it took, so that one report takes little of a core."""
LEAST: Final = 3.0
"""Seconds for which any result is reused; a page that waits is loaded again after one second."""
OLDEST: Final = 300.0
"""Seconds after which no result is reused."""
FAILURE_SHOWN: Final = 5.0
"""Seconds for which a failure is reported again."""
MOST: Final = 48
"""How many results are kept, those still being computed included."""


class TooManyReports(TransientConflict):
    def __init__(self) -> None:
        super().__init__("Too many reports are being computed")


@dataclass(frozen=True, slots=True)
class RevenueTerms:
    """What the merchant decided on how money is watched."""

    exposure_warning: Decimal = WARNING
    """Share of a buyer's threshold from which people are warned."""
    reconcile_every: timedelta = timedelta(hours=1)
    """How often statements are read."""


@dataclass(slots=True)
class _Entry:
    task: asyncio.Task[Any]
    until: float | None = None
    """The time until which it is reused; None while it is being computed."""


class ReportCache:
    """Keeps reports for a while, and computes them again when they are too old."""

    def __init__(self, pool: Pool, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        """`pool` is for statements that may take long; pages use another one."""
        self._pool = pool
        self._patience = patience
        self._clock = clock
        self._entries: dict[tuple[object, ...], _Entry] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def report(self, period: Period, endpoint: str | None) -> asyncio.Task[Report]:
        return self._task(
            ("report", period, endpoint),
            lambda connection: revenue(connection, period, endpoint=endpoint, now=datetime.now(UTC)),
        )

    def course(self, window: Window, endpoint: str | None) -> asyncio.Task[Course]:
        return self._task(
            ("course", window, endpoint), lambda connection: course(connection, window, endpoint=endpoint)
        )

    def exposures(self, endpoint: str | None) -> asyncio.Task[list[Exposure]]:
        return self._task(("exposures", endpoint), lambda connection: exposures(connection, endpoint=endpoint))

    async def are_done(self, *tasks: asyncio.Task[Any]) -> bool:
        """Whether all of them are done, after waiting a moment at most."""
        _, open_ = await asyncio.wait(tasks, timeout=self._patience)
        return not open_

    def _task(self, key: tuple[object, ...], work: Callable[[Connection], Awaitable[T]]) -> asyncio.Task[T]:
        """Callers share the task, so await it shielded; it raises what connected() raises.

        Raises TooManyReports.
        """
        self._forget()
        known = self._entries.get(key)
        if known is None:
            if len(self._entries) >= MOST:
                raise TooManyReports
            task = asyncio.create_task(self._work(key, work), name=f"console: computes {key[0]}")
            task.add_done_callback(_log_failure)
            known = self._entries[key] = _Entry(task)
        return known.task

    async def _work(self, key: tuple[object, ...], work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._slots:
            began, answer = self._clock(), self._entries[key]
            try:
                async with connected(self._pool) as connection:
                    found = await work(connection)
            except Exception:
                answer.until = self._clock() + FAILURE_SHOWN
                raise
            ended = self._clock()
            answer.until = ended + min(max(SHARE * (ended - began), LEAST), OLDEST)
            return found

    def _forget(self) -> None:
        """Drop the results that are too old, and every result when there are too many."""
        now = self._clock()
        for key, answer in list(self._entries.items()):
            is_old = answer.until is not None and answer.until < now
            if answer.task.done() and (is_old or len(self._entries) >= MOST):
                del self._entries[key]

    async def close(self) -> None:
        tasks = [answer.task for answer in self._entries.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _log_failure(task: asyncio.Task[Any]) -> None:
    """Log a failure even if no page waits for the result any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("console.not_added_up", what=task.get_name(), error=type(error).__name__)
