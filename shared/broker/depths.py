"""How much waits in a queue, and does anyone consume it? Over AMQP, so that no management plugin is needed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from aiormq.connection import Connection
from aiormq.exceptions import ChannelNotFoundEntity
from yarl import URL

from shared.broker.wire import call
from shared.errors import BrokerUnavailable

TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Depth:
    messages: int
    """Messages that no consumer has been given."""
    consumers: int


@asynccontextmanager
async def connected(url: str, *, name: str = "kessai cli", timeout: float = TIMEOUT) -> AsyncIterator[Connection]:
    """`timeout` is in seconds, for each step. Raises BrokerUnavailable."""
    connection = Connection(URL(url).update_query(name=name))
    await call("connect to RabbitMQ", connection.connect(), timeout=timeout)
    try:
        yield connection
    finally:
        with suppress(BrokerUnavailable):
            await call("close the connection to RabbitMQ", connection.close(), timeout=timeout)


async def depth_of(queue: str, connection: Connection, *, timeout: float = TIMEOUT) -> Depth | None:
    """None when there is no such queue. `timeout` is in seconds. Raises BrokerUnavailable."""

    async def read_depth() -> Depth:
        channel = await connection.channel(publisher_confirms=False)
        declared = await channel.queue_declare(queue, passive=True)
        await channel.close()
        return Depth(declared.message_count or 0, declared.consumer_count or 0)

    try:
        return await call(f"check queue {queue}", read_depth(), timeout=timeout)
    except BrokerUnavailable as error:
        if isinstance(error.__cause__, ChannelNotFoundEntity):
            return None
        raise
