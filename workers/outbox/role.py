"""`kessai worker outbox`: publishes committed facts to the merchant's exchange, in order for each subject.

At least once: a crash between the confirm and the commit publishes again, so subscribers dedupe by `fact_id`. Several
relays share the work by shards; while one holds a shard, its lock keeps the others off.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from shared.broker.errors import Unroutable
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.topology import ORDERS, REVIEWS
from shared.errors import BrokerUnavailable
from shared.ledger import outbox
from shared.ledger.database import Connection, TransientConflict
from shared.ledger.outbox import WaitingFact
from shared.observe.admin import Readiness
from shared.stopping import wait_or_stop
from workers.database import RetryingDatabase
from workers.outbox.metrics import OutboxMetrics
from workers.readiness import of_publisher

PAGE = 500
"""Facts of one shard that one transaction relays at most."""
PAGE_SECONDS = 10.0
"""Facts not published after this wait for the next round: Postgres ends transactions that stay idle for too long."""
IDLE_SECONDS = 0.2
"""Pause before the next read of the outbox when there was nothing to relay."""

log = structlog.get_logger("kessai.worker")


class Outbox:
    """Relays facts until stopped."""

    def __init__(self, *, books: RetryingDatabase, publisher: Publisher, metrics: OutboxMetrics) -> None:
        self._books = books
        self._publisher = publisher
        self._metrics = metrics
        self._broker_down_because: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                relayed = await self._books.run(self.relay_round)
            except TransientConflict as conflict:  # the facts wait where they are, and so can we
                log.warning("outbox.in_the_way", error=str(conflict))
                relayed = 0
            if not relayed:
                await wait_or_stop(stop, IDLE_SECONDS)

    def readiness(self) -> Readiness:
        return of_publisher(self._books, self._broker_down_because)

    async def relay_round(self, connection: Connection) -> int:
        """Relay a page of every shard that has facts and that no other relay holds; the number of facts published."""
        relayed = 0
        for shard in await outbox.waiting_shards(connection):
            async with connection.transaction():
                if not await outbox.lock_shard(connection, shard):
                    continue
                facts = await outbox.take(connection, shard, limit=PAGE)
                published = await self._publish(facts)
                await outbox.mark_published(connection, [fact.outbox_id for fact in published])
            relayed += len(published)
        oldest = await outbox.oldest_waiting(connection)
        self._metrics.lag((datetime.now(UTC) - oldest).total_seconds() if oldest else 0)
        return relayed

    async def _publish(self, facts: Sequence[WaitingFact]) -> list[WaitingFact]:
        """The facts that RabbitMQ confirmed; nothing of a subject overtakes an earlier fact of it."""
        began = time.perf_counter()
        published: list[WaitingFact] = []
        for wave in waves(facts):
            outcomes = await self._publisher.publish_many([message for fact in wave for message in messages(fact)])
            self._log_missing_queues(outcomes)
            failure = next((outcome for outcome in outcomes if is_refusal(outcome)), None)
            self._note(failure)
            if failure is not None:
                published += _confirmed(wave, outcomes)
                break
            published += wave
            if time.perf_counter() - began > PAGE_SECONDS:
                break
        self._metrics.relayed(time.perf_counter() - began)
        for name, count in Counter(fact.name for fact in published).items():
            self._metrics.published(name, count)
        return published

    def _log_missing_queues(self, outcomes: Sequence[BrokerUnavailable | None]) -> None:
        missing = next((outcome for outcome in outcomes if isinstance(outcome, Unroutable)), None)
        if missing is not None:
            log.error("outbox.review_queue_missing", error=str(missing))

    def _note(self, failure: BrokerUnavailable | None) -> None:
        down = str(failure) if failure is not None else None
        if down and not self._broker_down_because:
            log.warning("outbox.broker_unavailable", error=down)
        self._broker_down_because = down


def waves(facts: Sequence[WaitingFact]) -> list[list[WaitingFact]]:
    """Facts that may be published at once: each wave has a subject at most once, in the order of the facts."""
    found: list[list[WaitingFact]] = []
    seen: Counter[str] = Counter()
    for fact in facts:
        if seen[fact.subject] == len(found):
            found.append([])
        found[seen[fact.subject]].append(fact)
        seen[fact.subject] += 1
    return found


def messages(fact: WaitingFact) -> list[Outgoing]:
    """Every fact goes to the merchant's exchange, with or without subscribers; reviews go to their queues as well."""
    fact_message = Outgoing(fact.body.encode(), ORDERS, fact.routing_key, message_type=fact.name, must_route=False)
    if not fact.name.startswith("review."):
        return [fact_message]
    return [fact_message, Outgoing(fact.body.encode(), REVIEWS, fact.routing_key, message_type=fact.name)]


def is_refusal(outcome: BrokerUnavailable | None) -> bool:
    """A review without a queue counts as published: the books hold the review, and orders must not wait."""
    return outcome is not None and not isinstance(outcome, Unroutable)


def _confirmed(wave: Sequence[WaitingFact], outcomes: Sequence[BrokerUnavailable | None]) -> list[WaitingFact]:
    remaining = iter(outcomes)
    outcomes_by_fact = [[next(remaining) for _ in messages(fact)] for fact in wave]
    return [fact for fact, refusals in zip(wave, outcomes_by_fact, strict=True) if not any(map(is_refusal, refusals))]
