"""`kessai worker confirmations`: from RabbitMQ's deliveries to one transaction a batch, and back to the acks."""

import asyncio
from collections.abc import Mapping, Sequence

from shared.broker.consume_session import Delivery
from shared.broker.consumer import LARGEST, BatchConsumer
from shared.broker.publisher import Publisher
from shared.broker.topology import CONFIRMATIONS_QUEUE, REPLAYS_QUEUE
from shared.ledger.books import Shop
from shared.ledger.incoming import Incoming
from shared.observe.admin import Readiness
from workers.confirmations.applier import Applier
from workers.confirmations.failed_event_publisher import FailedEventPublisher
from workers.confirmations.failed_events import UnknownEndpoint, dead_letter_poison, retry_or_dead_letter
from workers.confirmations.metrics import ConfirmationMetrics
from workers.confirmations.prepare import Poison, prepare
from workers.database import RetryingDatabase
from workers.readiness import of_consumers

REPLAY_BATCH = 50
"""Replays are handled in small batches, so that live traffic waits for at most one of them."""

LANES = 2
"""Consumers of the live queue in one process: while Postgres commits the batch of one, the other rules on the next."""


class Confirmations:
    """Consumes confirmations and replays until stopped."""

    def __init__(
        self,
        amqp_url: str,
        *,
        books: RetryingDatabase,
        shops: Mapping[str, Shop],
        publisher: Publisher,
        metrics: ConfirmationMetrics,
        batch_size: int,
        largest: int = LARGEST,
        drain_timeout: float = 20.0,
    ) -> None:
        """`largest`: bytes that a message may have. `drain_timeout`: seconds for what is in hand after a stop."""
        self._books = books
        self._applier = Applier(books, shops, metrics)
        self._shops = shops
        self._publish_failed = FailedEventPublisher(publisher, metrics)
        self._consumers = [
            BatchConsumer(
                amqp_url,
                queue=queue,
                batch_size=size,
                largest=largest,
                prepare=prepare,
                handle=self.handle,
                name=f"kessai worker {queue}",
                ready=books.until_ready,
                drain_timeout=drain_timeout,
            )
            for queue, size in (
                *((CONFIRMATIONS_QUEUE, batch_size) for _ in range(LANES)),
                (REPLAYS_QUEUE, min(REPLAY_BATCH, batch_size)),
            )
        ]
        metrics.watch(held=lambda: sum(consumer.in_hand for consumer in self._consumers))

    async def run(self, stop: asyncio.Event) -> None:
        """Raises ConsumerStuck when the process is better started anew."""
        async with asyncio.TaskGroup() as group:
            for consumer in self._consumers:
                group.create_task(consumer.run(stop))

    def readiness(self) -> Readiness:
        return of_consumers(self._books, self._consumers)

    async def handle(self, deliveries: Sequence[Delivery[Incoming | Poison]]) -> None:
        """Return when every delivery has its outcome: in the books, in a retry queue, or among the dead letters."""
        prepared = [delivery.prepared for delivery in deliveries]
        known, unknown = self._by_endpoint([each for each in prepared if isinstance(each, Incoming)])
        refused = [*await self._applier.apply(known), *unknown]
        poison = [each for each in prepared if isinstance(each, Poison)]
        failed = [retry_or_dead_letter(incoming, error) for incoming, error in refused]
        failed += [dead_letter_poison(each) for each in poison]
        if failed:
            await self._publish_failed(failed)

    def _by_endpoint(self, batch: Sequence[Incoming]) -> tuple[list[Incoming], list[tuple[Incoming, Exception]]]:
        """Events of configured endpoints, and the others with their error: a shop's policy must not be guessed."""
        known = [incoming for incoming in batch if incoming.envelope.endpoint in self._shops]
        if len(known) == len(batch):
            return known, []
        unknown = [incoming for incoming in batch if incoming.envelope.endpoint not in self._shops]
        return known, [(incoming, _unknown(incoming.envelope.endpoint)) for incoming in unknown]


def _unknown(endpoint: str) -> UnknownEndpoint:
    return UnknownEndpoint(f"no endpoint {endpoint!r} here: give the worker the KESSAI_CONFIG of the ingress")
