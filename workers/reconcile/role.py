"""Reads the platform's statements every so often and compares them with the books: `kessai worker reconcile`.

An endpoint has one run at a time, whoever does it. A platform that is away is waited for: the run goes on where it was.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import structlog

from shared.broker.backoff import Backoff
from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.ledger.revenue import syncs
from shared.ledger.revenue.exposure import WARNING
from shared.observe.admin import Readiness
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import ProviderClient
from shared.sdrp.api.errors import SiglumeApiError
from shared.sdrp.api.retries import Patience
from shared.sdrp.api.transport import Transport
from shared.stopping import wait_or_stop
from workers.database import RetryingDatabase
from workers.reconcile.metrics import ReconcileMetrics
from workers.reconcile.reading import Clock
from workers.reconcile.restoring import restored
from workers.reconcile.result import Reconciled
from workers.reconcile.turn import ReconcilesElsewhere, reconcile

FIRST_RETRY: Final = 5.0
LONGEST_RETRY: Final = 900.0
"""Seconds between two tries while the platform is away, at most; what it asks for comes on top."""
ELSEWHERE_SECONDS: Final = 60.0
"""Until somebody looks again whether another's run is over."""
AT_ONCE: Final = 2
"""Endpoints whose statements are read at once: each keeps a connection for as long as Siglume takes to answer."""

log = structlog.get_logger("kessai.worker")


def _now() -> datetime:
    return datetime.now(UTC)


class Reconcile:
    """Keeps every endpoint's statements read and compared, until stopped."""

    def __init__(
        self,
        *,
        books: RetryingDatabase,
        providers: Mapping[str, Access],
        every: float,
        metrics: ReconcileMetrics,
        clock: Clock = _now,
        warning: Decimal = WARNING,
        patience: Patience | None = None,
        first_retry: float = FIRST_RETRY,
    ) -> None:
        """`books` has AT_ONCE connections that no other role uses. `every` and `first_retry` are in seconds.

        `warning` is the share of a threshold from which on its buyer is told of.
        """
        turns = asyncio.Semaphore(AT_ONCE)
        self._books = books
        self._metrics = metrics
        self._endpoints = [
            _Endpoint(
                name,
                books=books,
                access=access,
                patience=patience,
                every=every,
                warning=warning,
                backoff=Backoff(first=first_retry, limit=min(every, LONGEST_RETRY)),
                metrics=metrics,
                clock=clock,
                turns=turns,
            )
            for name, access in providers.items()
        ]

    async def run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as tasks:
            for endpoint in self._endpoints:
                tasks.create_task(endpoint.run(stop))

    def readiness(self) -> Readiness:
        degraded = {f"statements of {each.name}": each.failing for each in self._endpoints if each.failing is not None}
        if self._books.down_because is not None:
            degraded["database"] = self._books.down_because
        return Readiness(degraded=degraded)


class _Endpoint:
    def __init__(
        self,
        name: str,
        *,
        books: RetryingDatabase,
        access: Access,
        patience: Patience | None,
        every: float,
        warning: Decimal,
        backoff: Backoff,
        metrics: ReconcileMetrics,
        clock: Clock,
        turns: asyncio.Semaphore,
    ) -> None:
        self.name: Final = name
        self.failing: str | None = None
        """Why the last run did not come to its end, in words."""
        self._shown_from: datetime | None = None
        """The time of the comparison whose results the gauges were restored from."""
        self._books = books
        self._access = access
        self._patience = patience
        self._every = every
        self._warning = warning
        self._backoff = backoff
        self._metrics = metrics
        self._clock = clock
        self._turns = turns
        metrics.expect(name)

    async def run(self, stop: asyncio.Event) -> None:
        """A stop breaks a run off: the next one goes on from there."""
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            turn = asyncio.create_task(self._turn())
            await asyncio.wait((turn, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not turn.done():
                turn.cancel()
                await asyncio.wait((turn,))
                return
            await wait_or_stop(stop, turn.result())

    async def _turn(self) -> float:
        """Seconds until the next one."""
        try:
            async with self._turns:
                pause = await self._books.run(self._until_due)
                return pause or await self._reconcile()
        except ReconcilesElsewhere:
            return min(ELSEWHERE_SECONDS, self._every)
        except SiglumeApiError as error:
            return (error.retry_after or 0.0) + self._failed(error)
        except KessaiError as error:
            return self._failed(error)
        except Exception as error:  # whatever is wrong here must not end the roles beside it
            log.exception("reconcile.fault", endpoint=self.name)
            return self._failed(error)

    async def _until_due(self, connection: Connection) -> float:
        compared_at = await syncs.compared_at(connection, self.name)
        if compared_at is None:
            return 0.0
        pause = max(0.0, self._every - (self._clock() - compared_at).total_seconds())
        self._metrics.compared(self.name, compared_at)
        if self._shown_from is None or (pause and compared_at != self._shown_from):
            found = await restored(connection, self.name)
            if found is not None:
                self._metrics.found(found)
            self._shown_from = compared_at
        return pause

    async def _reconcile(self) -> float:
        began, result = time.perf_counter(), Reconciled(self.name)
        async with Transport(self._access, patience=self._patience) as transport:
            client = ProviderClient(transport)

            async def work(connection: Connection) -> None:
                await reconcile(connection, client, result, clock=self._clock, warning=self._warning)

            try:
                await self._books.run(work)
            finally:
                self._metrics.did(result)
        self._note(result, time.perf_counter() - began)
        return self._every

    def _note(self, result: Reconciled, seconds: float) -> None:
        self.failing = None
        self._backoff.reset()
        self._metrics.finished(result, seconds)
        for note in result.notes:
            log.warning("reconcile.note", endpoint=self.name, note=note)
        for (unit, beside), amount in result.unexplained.items():
            log.warning("reconcile.unexplained", endpoint=self.name, unit=unit, beside=beside, amount_minor=str(amount))
        exposed = result.exposed
        tell = log.warning if any(exposed.counts.values()) else log.info
        tell(
            "reconcile.exposure",
            endpoint=self.name,
            warning=exposed.warning,
            paused=exposed.paused,
            buyers=list(exposed.nearest),
        )
        log.info(
            "reconcile.finished",
            endpoint=self.name,
            seconds=round(seconds, 3),
            read={str(what): read.rows for what, read in result.lists.items()},
            orders={str(state): orders for state, orders in result.moved.items()},
            differences=result.compared.differences,
            opened=result.compared.opened,
            closed=result.compared.closed,
        )

    def _failed(self, error: Exception) -> float:
        self.failing = str(error) if isinstance(error, KessaiError) else f"a fault of Kessai: {type(error).__name__}"
        self._metrics.failed(self.name)
        pause = self._backoff.next()
        log.warning("reconcile.failed", endpoint=self.name, error=self.failing, again_in_seconds=round(pause, 1))
        return pause
