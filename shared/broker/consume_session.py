"""One connection that consumes: what has arrived on it and is not handled yet.

Deliveries are read straight off the wire into a deque, without an object tree or a task for each. Those of a lost
channel are forgotten, never acknowledged on the next.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aiormq.abc import AbstractChannel

from shared.broker import frames
from shared.broker.wire import CHANNEL, Link, call
from shared.errors import BrokerUnavailable

T = TypeVar("T")
RPC_TIMEOUT = 15.0
"""Seconds for each call to the broker."""
CONSUMER_TAG = "kessai"
EAGER_BYTES = 4096
"""A larger message waits as its bytes: what it is read into may take twenty times as much."""


@dataclass(frozen=True, slots=True)
class Delivery(Generic[T]):
    """One message in hand."""

    tag: int
    body: bytes
    prepared: T
    redelivered: bool
    delivery_count: int
    """How often a quorum queue has delivered the message before, as far as it counts; 0 at first."""


@dataclass(frozen=True, slots=True)
class Large:
    """A message that is prepared with its batch."""

    deliver: frames.Deliver
    headers: Mapping[str, Any]
    body: bytes


class ConsumeSession(Generic[T]):
    """Lives and dies with its connection; the consumer makes the next one."""

    def __init__(self, prepare: Callable[[bytes, Mapping[str, Any]], T]) -> None:
        self.arrived: deque[Delivery[T] | Large] = deque()
        self.changed = asyncio.Event()
        self._prepare = prepare
        self._link: Link | None = None
        self._lost_because: str | None = None
        self._failure: Exception | None = None
        self._deliver = frames.Deliver(0, False)
        self._headers: Mapping[str, Any] = frames.NO_HEADERS
        self._missing = 0
        self._is_cancelled = False
        self._pieces: list[bytes] = []

    async def open(self, url: str, name: str, *, queue: str, prefetch: int) -> None:
        self._link = await Link.open(url, name=name, listener=self, confirms=False, timeout=RPC_TIMEOUT)
        await call(f"consume from {queue}", self._consume(self._link.channel, queue, prefetch), timeout=RPC_TIMEOUT)

    async def _consume(self, channel: AbstractChannel, queue: str, prefetch: int) -> None:
        await channel.basic_qos(prefetch_count=prefetch)
        await channel.basic_consume(queue, _never_called, consumer_tag=CONSUMER_TAG)

    async def cancel(self) -> None:
        """Stop the deliveries.

        Done before the last acknowledgements: a quorum queue answers those with deliveries that, once the consumer
        is cancelled, never leave RabbitMQ and count as delivered all the same.
        """
        if self._link is not None and not self._is_cancelled:
            self._is_cancelled = True
            await call("stop consuming", self._link.channel.basic_cancel(CONSUMER_TAG), timeout=RPC_TIMEOUT)

    async def close(self) -> None:
        self.arrived.clear()
        if self._link is not None:
            await self._link.close()

    async def depth(self, queue: str) -> int:
        """Messages that wait in the queue for a consumer."""
        assert self._link is not None  # noqa: S101 - called only while consuming
        declaration = self._link.channel.queue_declare(queue, passive=True)
        answer = await call(f"check {queue}", declaration, timeout=RPC_TIMEOUT)
        return answer.message_count or 0

    @property
    def is_lost(self) -> bool:
        return self._lost_because is not None

    def check(self) -> None:
        """Raise what has ended this connection, if anything."""
        if self._failure is not None:
            raise self._failure
        if self._lost_because is not None:
            raise BrokerUnavailable(self._lost_because)

    def next_batch(self, size: int, most_bytes: int) -> list[Delivery[T]]:
        """The next `size` messages at most, and fewer when they have more bytes; a single one may."""
        batch: list[Delivery[T]] = []
        left = most_bytes
        while self.arrived and len(batch) < size:
            waiting = self.arrived[0]
            left -= len(waiting.body)
            if left < 0 and batch:
                break
            self.arrived.popleft()
            if isinstance(waiting, Large):
                waiting = self._prepared(waiting.deliver, waiting.headers, waiting.body)
            batch.append(waiting)
        return batch

    def acknowledge(self, tag: int) -> None:
        """Settle every delivery up to `tag`, unless their channel is gone: then they come again."""
        if self._link is not None and not self.is_lost:
            self._link.write(frames.ack(CHANNEL, tag, multiple=True))

    def lost(self, reason: str) -> None:
        self._lost_because = reason
        self.changed.set()

    def take(self, kind: int, data: bytes, at: int, end: int) -> bool:
        if kind == frames.METHOD:
            if frames.METHOD_INDEX.unpack_from(data, at)[0] != frames.BASIC_DELIVER:
                return False
            self._deliver = frames.read_deliver(data, at + 4)
            return True
        if kind == frames.HEADER:
            self._missing, self._headers = frames.read_content(data, at, end)
            if self._missing == 0:
                self._arrive(b"")
            return True
        self._missing -= end - at
        if self._missing > 0 or self._pieces:
            self._pieces.append(data[at:end])
            if self._missing <= 0:
                body, self._pieces = b"".join(self._pieces), []
                self._arrive(body)
            return True
        self._arrive(data[at:end])
        return True

    def _arrive(self, body: bytes) -> None:
        if len(body) > EAGER_BYTES:
            self.arrived.append(Large(self._deliver, self._headers, body))
        else:
            try:
                self.arrived.append(self._prepared(self._deliver, self._headers, body))
            except Exception as error:  # raised again by check(), in the task that consumes
                self._failure = self._failure or error
        self.changed.set()

    def _prepared(self, deliver: frames.Deliver, headers: Mapping[str, Any], body: bytes) -> Delivery[T]:
        count = headers.get("x-delivery-count", 0) if headers else 0
        return Delivery(deliver.tag, body, self._prepare(body, headers), deliver.redelivered, int(count))


async def _never_called(_: object) -> None:
    """aiormq wants a callback, but deliveries are taken off the wire before it sees them."""
