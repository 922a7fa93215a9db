"""Where a role is tried: its queues within reach, its books beside it, and the role itself running as a task."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self

import aiormq
import orjson
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage
from pamqp.commands import Basic
from prometheus_client import CollectorRegistry

from shared.broker.envelope import Envelope, encode
from shared.broker.publisher import Publisher
from shared.broker.topology import CONFIRMATION, CONFIRMATIONS_QUEUE, EVENTS, ORDERS
from shared.ledger.database import Pool
from shared.observe.database_up import DatabaseUp
from shared.observe.metrics import new_registry
from tests.integration.ledger.books import TestBooks
from workers.confirmations.metrics import ConfirmationMetrics
from workers.confirmations.role import Confirmations
from workers.database import RetryingDatabase
from workers.dead_letters.metrics import DeadLetterMetrics
from workers.dead_letters.role import DeadLetters
from workers.outbox.metrics import OutboxMetrics
from workers.outbox.role import Outbox
from workers.replays.role import Replays


class Running(Protocol):
    async def run(self, stop: asyncio.Event) -> None: ...


class Bench:
    def __init__(self, amqp_url: str, pool: Pool, books: TestBooks, publisher: Publisher) -> None:
        self.amqp_url = amqp_url
        self.pool = pool
        self.books = books
        self.publisher = publisher
        self._connection: AbstractConnection | None = None

    async def __aenter__(self) -> Self:
        self._connection = await aiormq.connect(self.amqp_url)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def channel(self) -> AbstractChannel:
        assert self._connection is not None
        return await self._connection.channel()

    def retrying_database(self) -> RetryingDatabase:
        return RetryingDatabase(self.pool)

    def confirmations(self, *, batch_size: int = 500, registry: CollectorRegistry | None = None) -> Confirmations:
        registry = registry or new_registry()
        return Confirmations(
            self.amqp_url,
            books=RetryingDatabase(self.pool, up=DatabaseUp(registry).watch),
            shops=self.books.shops,
            publisher=self.publisher,
            metrics=ConfirmationMetrics(registry),
            batch_size=batch_size,
        )

    def dead_letters(self) -> DeadLetters:
        return DeadLetters(
            self.amqp_url, books=self.retrying_database(), metrics=DeadLetterMetrics(new_registry()), batch_size=100
        )

    def replays(self) -> Replays:
        return Replays(books=self.retrying_database(), publisher=self.publisher)

    def outbox(self) -> Outbox:
        return Outbox(books=self.retrying_database(), publisher=self.publisher, metrics=OutboxMetrics(new_registry()))

    @asynccontextmanager
    async def running(self, *roles: Running) -> AsyncIterator[None]:
        """A role that fails fails the test."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(role.run(stop)) for role in roles]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def send(self, *messages: Envelope | bytes, exchange: str = EVENTS, routing_key: str = CONFIRMATION) -> None:
        for message in messages:
            body = message if isinstance(message, bytes) else encode(message)
            await self.publisher.publish(body, exchange=exchange, routing_key=routing_key)

    async def give_up(self, queue: str = CONFIRMATIONS_QUEUE) -> None:
        """Take the first message and return it unsettled, again and again, until RabbitMQ gives it up."""
        channel = await self.channel()
        while isinstance((got := await channel.basic_get(queue)).delivery, Basic.GetOk):
            assert got.delivery.delivery_tag is not None
            await channel.basic_nack(got.delivery.delivery_tag, requeue=True)
        await channel.close()

    async def depth(self, queue: str) -> int:
        channel = await self.channel()
        answer = await channel.queue_declare(queue, passive=True)
        await channel.close()
        return answer.message_count or 0

    async def holds(self, queue: str, count: int) -> bool:
        return await self.depth(queue) == count

    async def taken(self, queue: str) -> list[DeliveredMessage]:
        """What lies in a queue now; it is taken out."""
        channel = await self.channel()
        messages = []
        while isinstance((got := await channel.basic_get(queue, no_ack=True)).delivery, Basic.GetOk):
            messages.append(got)
        await channel.close()
        return messages

    @asynccontextmanager
    async def subscribed(self, routing_key: str = "#") -> AsyncIterator[list[dict[str, Any]]]:
        """The facts that the merchant's exchange tells meanwhile, in order of arrival."""
        channel = await self.channel()
        queue = str((await channel.queue_declare(exclusive=True, auto_delete=True)).queue)
        await channel.queue_bind(queue, ORDERS, routing_key)
        heard: list[dict[str, Any]] = []

        async def hear(message: DeliveredMessage) -> None:
            heard.append(orjson.loads(message.body))

        await channel.basic_consume(queue, hear, no_ack=True)
        yield heard
        await channel.close()

    async def events(self, outcome: str | None = None) -> int:
        query = "SELECT count(*) FROM kessai.webhook_events WHERE $1::text IS NULL OR outcome = $1"
        return int(await self.books.value(query, outcome))

    async def letters(self) -> Sequence[Any]:
        return await self.books.rows("SELECT * FROM kessai.dead_letters ORDER BY dead_letter_id")


async def until(question: Callable[[], Awaitable[bool]], *, within: float = 40.0) -> None:
    deadline = time.monotonic() + within
    while not await question():
        assert time.monotonic() < deadline, f"not so within {within:g} s"
        await asyncio.sleep(0.03)
