"""Publishes events that could not be applied to a retry queue or the dead letters, until RabbitMQ confirms each."""

import asyncio
import time
from collections.abc import Sequence

import structlog

from shared.broker.backoff import Backoff
from shared.broker.errors import HoldTooLong
from shared.broker.publisher import Publisher
from workers.confirmations.failed_events import FailedEvent
from workers.confirmations.metrics import ConfirmationMetrics
from workers.database import HOLD_SECONDS

log = structlog.get_logger("kessai.worker")


class FailedEventPublisher:
    def __init__(self, publisher: Publisher, metrics: ConfirmationMetrics) -> None:
        self._publisher = publisher
        self._metrics = metrics

    async def __call__(self, waiting: Sequence[FailedEvent]) -> None:
        """Return when RabbitMQ has confirmed each one.

        A RabbitMQ that refuses them is no fault of the events: they are held and spend no delivery, like those that
        wait for Postgres. Raises HoldTooLong.
        """
        backoff = Backoff(first=0.1, limit=5.0)
        deadline = time.monotonic() + HOLD_SECONDS
        is_logged = False
        while waiting:
            outcomes = await self._publisher.publish_many([each.outgoing for each in waiting])
            refusals = [outcome for outcome in outcomes if outcome is not None]
            self._count([each for each, outcome in zip(waiting, outcomes, strict=True) if outcome is None])
            waiting = [each for each, outcome in zip(waiting, outcomes, strict=True) if outcome is not None]
            if not waiting:
                return
            if time.monotonic() > deadline:
                raise HoldTooLong(f"{len(waiting)} failed events could not be published: {refusals[0]}")
            if not is_logged:
                log.warning("worker.failed_events_held", events=len(waiting), error=str(refusals[0]))
                is_logged = True
            await asyncio.sleep(backoff.next())

    def _count(self, done: Sequence[FailedEvent]) -> None:
        for each in done:
            log.warning(
                "event.failed",
                endpoint=each.endpoint[:64],
                event_id=each.event_id,
                reason=each.failure.reason,
                error=each.failure.error,
                retry_in=each.retry_in,
            )
            if each.retry_in is None:
                self._metrics.dead_lettered(each.failure.reason)
            else:
                self._metrics.retried(each.failure.error)
