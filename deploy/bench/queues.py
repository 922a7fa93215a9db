"""What lies in `kessai.confirmations`, and how does a backlog get there? Over AMQP, as any client sees it."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TypeVar

import aiormq
from aiormq.abc import AbstractChannel

from deploy.bench import traffic
from ingress.webhooks.receipts import receipt_id
from shared.broker.envelope import Envelope, encode
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.topology import CONFIRMATION, CONFIRMATIONS_QUEUE, EVENTS
from shared.errors import BrokerUnavailable
from shared.sdrp.signature import SigningSecret

CHUNK = 2000
"""Messages in flight at once."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Depth:
    ready: int
    """Messages that no consumer has been handed."""
    consumers: int


def depth(amqp_url: str) -> Depth:
    return asyncio.run(_on_channel(amqp_url, _read_depth))


def purge(amqp_url: str) -> None:
    asyncio.run(_on_channel(amqp_url, lambda channel: channel.queue_purge(CONFIRMATIONS_QUEUE)))


def server_version(amqp_url: str) -> str:
    return asyncio.run(_server_version(amqp_url))


def publish_backlog(
    amqp_url: str, *, first: int, count: int, secret: str, endpoint: str, say: Callable[[int], None]
) -> None:
    """The envelopes of events `first` ... `first + count - 1`, each confirmed. Raises BrokerUnavailable."""
    asyncio.run(_publish(amqp_url, _envelopes(first, count, SigningSecret.from_text(secret), endpoint), say))


def envelope_of(number: int, *, secret: SigningSecret, endpoint: str) -> Envelope:
    """Event `number` as the ingress would have written it, received now."""
    now = time.time()
    raw, signature = traffic.signed(number, secret=secret, now=now)
    return Envelope(
        receipt_id=receipt_id(now=now, random=Random(number)),  # noqa: S311 - names receipts
        endpoint=endpoint,
        received_at=datetime.fromtimestamp(now, UTC),
        signature=signature,
        key_fingerprint=secret.fingerprint,
        raw=raw,
        event_id=traffic.event_id(number),
        type="direct_payment.confirmed",
    )


async def _on_channel(amqp_url: str, use: Callable[[AbstractChannel], Awaitable[T]]) -> T:
    connection = await aiormq.connect(amqp_url)
    try:
        return await use(await connection.channel())
    finally:
        await connection.close()


async def _server_version(amqp_url: str) -> str:
    connection = await aiormq.connect(amqp_url)
    try:
        return str(connection.server_properties.get("version", "unknown"))
    finally:
        await connection.close()


async def _read_depth(channel: AbstractChannel) -> Depth:
    declared = await channel.queue_declare(CONFIRMATIONS_QUEUE, passive=True)
    return Depth(ready=declared.message_count or 0, consumers=declared.consumer_count or 0)


async def _publish(amqp_url: str, envelopes: Iterator[Envelope], say: Callable[[int], None]) -> None:
    done = 0
    async with Publisher(amqp_url, name="kessai bench", timeout=60.0, max_in_flight=2 * CHUNK) as publisher:
        while chunk := [
            Outgoing(encode(envelope), exchange=EVENTS, routing_key=CONFIRMATION)
            for envelope in itertools.islice(envelopes, CHUNK)
        ]:
            outcomes = await publisher.publish_many(chunk)
            if (failed := next((outcome for outcome in outcomes if outcome is not None), None)) is not None:
                raise BrokerUnavailable(
                    "the backlog could not be published completely: see the broker's log"
                ) from failed
            say(done := done + len(chunk))


def _envelopes(first: int, count: int, secret: SigningSecret, endpoint: str) -> Iterator[Envelope]:
    for number in range(first, first + count):
        yield envelope_of(number, secret=secret, endpoint=endpoint)
