"""How many messages are in RabbitMQ's queues? Read every few seconds, however many pages show it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from shared.broker.depths import Depth, connected, depth_of
from shared.broker.topology import CONSUMER_ROLES, RETRY_TIERS
from shared.errors import BrokerUnavailable

READ_EVERY = 5.0
"""Seconds."""
PATIENCE = 2.0
"""Seconds for each step of a read: a page must not wait long for a figure that is only informative."""


@dataclass(frozen=True, slots=True)
class QueueDepth:
    queue: str
    depth: Depth | None
    """None: there is no such queue."""
    worker: str | None
    """The role that must consume it; None where nobody must."""


@dataclass(frozen=True, slots=True)
class Depths:
    queues: tuple[QueueDepth, ...] = ()
    away_because: str | None = None


WATCHED = (
    *CONSUMER_ROLES.items(),
    *((tier.queue, None) for tier in RETRY_TIERS),
)


class Queues:
    """Keeps the answer for some seconds. Requests at the same time share one read."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._lock = asyncio.Lock()
        self._known: Depths | None = None
        self._read_at = 0.0

    async def depths(self) -> Depths:
        async with self._lock:
            if self._known is None or self._clock() - self._read_at >= READ_EVERY:
                self._known = await self._read()
                self._read_at = self._clock()
            return self._known

    async def _read(self) -> Depths:
        try:
            async with connected(self._url, name="kessai console", timeout=PATIENCE) as connection:
                found = [
                    QueueDepth(queue, await depth_of(queue, connection, timeout=PATIENCE), worker)
                    for queue, worker in WATCHED
                ]
        except BrokerUnavailable as error:
            return Depths(away_because=str(error))
        return Depths(tuple(found))
