"""`kessai worker reviews`: attaches the platform's data to each open review, and suggests a decision that it supports.

The queues of reviews only wake this role: the books are the truth, and are also polled for reviews whose notice was
dropped.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import structlog

from shared.broker.consume_session import Delivery
from shared.broker.consumer import BatchConsumer
from shared.broker.topology import REVIEW_QUEUES, REVIEWS
from shared.errors import KessaiError
from shared.ledger import platform_evidence
from shared.ledger.platform_evidence import Leased
from shared.observe.admin import Readiness
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.transport import Transport
from shared.stopping import wait_or_stop
from workers.database import RetryingDatabase
from workers.platform_sessions import PATIENCE, PlatformAway, backoff
from workers.readiness import of_consumers
from workers.reviews.evidence import Evidence, EvidenceTerms, Gathered
from workers.reviews.metrics import ReviewMetrics

PER_MINUTE: Final = 60
"""The most reviews of an endpoint about which one worker calls the platform."""
IDLE_SECONDS: Final = 30.0
"""Between two polls of the books when no notice came."""
ALONE_SECONDS: Final = 600.0
"""Until a review is asked about again that the platform failed for, while it may answer for others."""
NOTICES: Final = 100
"""The most notices that are taken from a queue at once."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.worker")


class Reviews:
    """Gathers evidence until stopped."""

    def __init__(
        self,
        amqp_url: str,
        *,
        books: RetryingDatabase,
        accesses: Mapping[str, Access],
        terms: EvidenceTerms,
        metrics: ReviewMetrics,
        per_minute: int = PER_MINUTE,
        idle: float = IDLE_SECONDS,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        drain_timeout: float = 20.0,
    ) -> None:
        """`accesses` has the merchant's token of each endpoint; when it is empty, nothing is consumed."""
        self._books = books
        self._accesses = accesses
        self._terms = terms
        self._metrics = metrics
        self._gap = 60.0 / per_minute
        self._idle = idle
        self._clock = clock
        self._noticed = asyncio.Event()
        self._away: dict[str, str] = {}
        """Why the platform is unavailable, by endpoint."""
        for endpoint in accesses:
            metrics.expect(endpoint)
        self._consumers = [
            BatchConsumer(
                amqp_url,
                queue=f"{REVIEWS}.{queue}",
                batch_size=NOTICES,
                prepare=_nothing,
                handle=self._notice,
                name=f"kessai worker reviews {queue}",
                ready=books.until_ready,
                drain_timeout=drain_timeout,
            )
            for queue in (REVIEW_QUEUES if accesses else ())
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Raises ConsumerStuck when the process should be restarted."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            group.create_task(stop.wait())  # a role that ends before it ends the worker
            for consumer in self._consumers:
                group.create_task(consumer.run(stop))
            for endpoint, access in self._accesses.items():
                transport = await stack.enter_async_context(Transport(access, patience=PATIENCE, connections=1))
                evidence = Evidence(MerchantClient(transport), self._terms, self._books, self._clock)
                group.create_task(self._gather_until(stop, _EndpointState(endpoint, evidence)))

    def readiness(self) -> Readiness:
        """A platform that is away only degrades the worker, which retries."""
        away = {f"siglume of {endpoint}": why for endpoint, why in self._away.items()}
        return Readiness(degraded={**of_consumers(self._books, self._consumers).degraded, **away})

    async def _notice(self, _: Sequence[Delivery[None]]) -> None:
        self._noticed.set()

    async def _gather_until(self, stop: asyncio.Event, state: "_EndpointState") -> None:
        while not stop.is_set():
            self._noticed.clear()
            try:
                pause = await self._gather_next(state)
            except KessaiError as error:
                log.error("reviews.failed", endpoint=state.endpoint, error=str(error))
                pause = None
            except Exception:  # whatever is wrong here must not end the roles beside it
                log.exception("reviews.fault", endpoint=state.endpoint)
                pause = None
            if pause is None:
                await self._wait_for_notice(stop)
            else:
                await wait_or_stop(stop, pause)

    async def _wait_for_notice(self, stop: asyncio.Event) -> None:
        """Until a notice comes, or it is time to read the books without one."""
        waits = [asyncio.create_task(event.wait()) for event in (stop, self._noticed)]
        await asyncio.wait(waits, timeout=self._idle, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _gather_next(self, state: "_EndpointState") -> float | None:
        """Ask about the next review; seconds until the one after it may be, None when none is due."""
        now, endpoint = self._clock(), state.endpoint
        due = await self._books.run(
            lambda connection: platform_evidence.lease(connection, [endpoint], now=now, limit=1)
        )
        if not due:
            return None
        (leased,) = due
        try:
            done = await state.evidence.gather(leased)
        except PlatformAway as away:
            self._metrics.gathered(endpoint, Gathered.AWAY)
            return await self._put_off(state, leased, away)
        except KessaiError:
            raise
        except Exception:  # it is leased: other reviews come first before it is retried
            log.exception("review.fault", review_id=leased.review_id, endpoint=endpoint)
            self._metrics.gathered(endpoint, Gathered.FAULT)
            return self._gap
        state.failed.clear()
        state.pauses = 0
        self._away.pop(endpoint, None)
        self._metrics.gathered(endpoint, done)
        log.info("review.evidence", review_id=leased.review_id, endpoint=endpoint, done=done)
        return self._gap

    async def _put_off(self, state: "_EndpointState", leased: Leased, away: PlatformAway) -> float:
        """Seconds until the next review: the platform counts as away when it fails for all, or for a second one."""
        log.warning("reviews.platform_away", endpoint=state.endpoint, error=str(away))
        self._away[state.endpoint] = str(away)
        state.failed.add(leased.review_id)
        is_away = away.is_of_all or len(state.failed) > 1
        seconds = max(away.retry_after or 0.0, backoff(state.pauses) if is_away else ALONE_SECONDS)
        until = self._clock() + timedelta(seconds=seconds)
        await self._books.run(lambda connection: platform_evidence.give_back(connection, leased, until=until))
        if not is_away:
            return self._gap
        state.pauses += 1
        return seconds


@dataclass(slots=True)
class _EndpointState:
    """One endpoint, and how the platform has answered of late."""

    endpoint: str
    evidence: Evidence
    failed: set[int] = field(default_factory=set)
    """Reviews for which the platform failed since it last answered."""
    pauses: int = 0
    """Pauses since then because the platform was unavailable."""


def _nothing(_body: bytes, _headers: Mapping[str, Any]) -> None:
    """A notice only wakes the role; its content is not used."""
