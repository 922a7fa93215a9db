"""What takes long to add up is added up beside the pages, once for all who ask: a page waits a moment, no longer.

What was found is shown again for as long as it is cheap to remember: twenty times the time that it took, and for long
enough that a page which asks for several things and comes back finds all of them.
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
"""Each holds a snapshot of the books, and a connection, until it is done."""
PATIENCE: Final = 0.1
"""Seconds that a page waits."""
SHARE: Final = 20
"""How many times as long as it took a result is shown again: so little of a core goes into one question."""
LEAST: Final = 3.0
"""Seconds for which any result is shown again: a page that waits comes back after one."""
OLDEST: Final = 300.0
"""Seconds after which any result is too old."""
FAILURE_SHOWN: Final = 5.0
"""Seconds for which a failure is told to whoever asks."""
MOST: Final = 48
"""Results that are remembered, and questions that wait."""


class TooManyQuestions(TransientConflict):
    def __init__(self) -> None:
        super().__init__("So much is being added up already that this would wait for long")


@dataclass(frozen=True, slots=True)
class RevenueTerms:
    """What the merchant decided on how money is watched."""

    exposure_warning: Decimal = WARNING
    """Share of a buyer's threshold from which on people are warned."""
    reconcile_every: timedelta = timedelta(hours=1)
    """How often statements are read."""


@dataclass(slots=True)
class _Answer:
    task: asyncio.Task[Any]
    until: float | None = None
    """When it is too old to be shown; None while it is not there yet."""


class Reckoning:
    """Remembers what it was asked, and asks the books again when that is old."""

    def __init__(self, pool: Pool, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        """`pool` is for work that may take long: pages need the others."""
        self._pool = pool
        self._patience = patience
        self._clock = clock
        self._answers: dict[tuple[object, ...], _Answer] = {}
        self._room = asyncio.Semaphore(AT_ONCE)

    def report(self, period: Period, endpoint: str | None) -> asyncio.Task[Report]:
        return self._ask(
            ("report", period, endpoint),
            lambda connection: revenue(connection, period, endpoint=endpoint, now=datetime.now(UTC)),
        )

    def course(self, window: Window, endpoint: str | None) -> asyncio.Task[Course]:
        return self._ask(("course", window, endpoint), lambda connection: course(connection, window, endpoint=endpoint))

    def exposures(self, endpoint: str | None) -> asyncio.Task[list[Exposure]]:
        return self._ask(("exposures", endpoint), lambda connection: exposures(connection, endpoint=endpoint))

    async def are_there(self, *tasks: asyncio.Task[Any]) -> bool:
        """Whether all of them are done, after a moment at most."""
        _, open_ = await asyncio.wait(tasks, timeout=self._patience)
        return not open_

    def _ask(self, question: tuple[object, ...], work: Callable[[Connection], Awaitable[T]]) -> asyncio.Task[T]:
        """Others may wait for the same task: await it shielded; it raises what connected() does.

        Raises TooManyQuestions.
        """
        self._forget()
        known = self._answers.get(question)
        if known is None:
            if len(self._answers) >= MOST:
                raise TooManyQuestions
            task = asyncio.create_task(self._work(question, work), name=f"console: adds up {question[0]}")
            task.add_done_callback(_heard)
            known = self._answers[question] = _Answer(task)
        return known.task

    async def _work(self, question: tuple[object, ...], work: Callable[[Connection], Awaitable[T]]) -> T:
        async with self._room:
            began, answer = self._clock(), self._answers[question]
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
        """What is too old; of what is not, the oldest when there is no room."""
        now = self._clock()
        for question, answer in list(self._answers.items()):
            is_old = answer.until is not None and answer.until < now
            if answer.task.done() and (is_old or len(self._answers) >= MOST):
                del self._answers[question]

    async def close(self) -> None:
        tasks = [answer.task for answer in self._answers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _heard(task: asyncio.Task[Any]) -> None:
    """Somebody hears of a failure even if nobody waits for it any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("console.not_added_up", what=task.get_name(), error=type(error).__name__)
