"""`kessai worker dead-letters`: moves the dead-letter queue into the books, where people can work on it."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog

from shared.broker.consume_session import Delivery
from shared.broker.consumer import LARGEST, BatchConsumer
from shared.broker.envelope import Envelope, Failure, UnreadableEnvelope, decode, foreign
from shared.broker.topology import DEAD_LETTERS_QUEUE, DELIVERY_LIMIT
from shared.ledger import dead_letters
from shared.ledger.bisection import bisect
from shared.ledger.database import Connection, UnacceptableRow
from shared.observe.admin import Readiness
from workers.database import RetryingDatabase
from workers.dead_letters.metrics import DeadLetterMetrics
from workers.readiness import of_consumers

Letter = tuple[Envelope, Failure]

log = structlog.get_logger("kessai.worker")


class DeadLetters:
    """Archives dead letters until stopped."""

    def __init__(
        self,
        amqp_url: str,
        *,
        books: RetryingDatabase,
        metrics: DeadLetterMetrics,
        batch_size: int,
        largest: int = LARGEST,
        drain_timeout: float = 20.0,
    ) -> None:
        self._books = books
        self._metrics = metrics
        self._consumer = BatchConsumer(
            amqp_url,
            queue=DEAD_LETTERS_QUEUE,
            batch_size=batch_size,
            largest=largest,
            prepare=read_letter,
            handle=self.handle,
            name=f"kessai worker {DEAD_LETTERS_QUEUE}",
            ready=books.until_ready,
            drain_timeout=drain_timeout,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Raises ConsumerStuck when the process is better started anew."""
        await self._consumer.run(stop)

    def readiness(self) -> Readiness:
        return of_consumers(self._books, [self._consumer])

    async def handle(self, deliveries: Sequence[Delivery[Letter]]) -> None:
        """Archive them together; one that Postgres refuses is archived as bytes and must not keep the others out."""

        async def archive(batch: Sequence[Delivery[Letter]]) -> None:
            await self._keep([delivery.prepared for delivery in batch])

        for delivery, refusal in await bisect(deliveries, archive, is_of_item=lambda e: isinstance(e, UnacceptableRow)):
            await self._keep([_as_mere_bytes(delivery, refusal)])

    async def _keep(self, letters: Sequence[Letter]) -> None:
        async def work(connection: Connection) -> None:
            await dead_letters.archive(connection, letters)

        began = time.perf_counter()
        await self._books.run(work, held=len(letters))
        self._metrics.committed(time.perf_counter() - began)
        for reason, count in Counter(failure.reason for _, failure in letters).items():
            self._metrics.archived(reason, count)


def _as_mere_bytes(delivery: Delivery[Letter], refusal: Exception) -> Letter:
    """The whole message as bytes, with no field of it trusted."""
    envelope, failure = delivery.prepared
    log.warning("dead_letter.kept_as_bytes", reason=failure.reason, error=type(refusal.__cause__ or refusal).__name__)
    mere = foreign(delivery.body, received_at=datetime.now(UTC))
    return mere._replace(replay=envelope.replay), Failure(failure.reason, failure.error, str(refusal))


def read_letter(body: bytes, headers: Mapping[str, Any]) -> Letter:
    """Never raises: a message that is no envelope of ours is kept, too, as bytes."""
    try:
        envelope = decode(body)
    except UnreadableEnvelope as error:
        return foreign(body, received_at=datetime.now(UTC)), Failure.of_unreadable_envelope(error)
    return envelope, envelope.failure or _failure_of_broker(headers)


def _failure_of_broker(headers: Mapping[str, Any]) -> Failure:
    """The reason for which RabbitMQ itself dead-lettered the message; its header lists the latest death first."""
    deaths = headers.get("x-death")
    latest = deaths[0] if isinstance(deaths, list) and deaths else {}
    reason = str(latest.get("reason", "unknown")) if isinstance(latest, dict) else "unknown"
    detail = f"delivered {DELIVERY_LIMIT} times without being settled" if reason == "delivery_limit" else ""
    return Failure(reason, "RabbitMQ", detail)
