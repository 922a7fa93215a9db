"""Consuming in batches: what is there, handled together, acknowledged together.

One consumer a channel and batches in order of arrival make one `basic.ack` with `multiple` right for a whole batch.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

import structlog

from shared.broker.backoff import Backoff
from shared.broker.consume_session import ConsumeSession, Delivery
from shared.broker.errors import ConsumerStuck, HoldTooLong
from shared.errors import BrokerUnavailable
from shared.stopping import wait_or_stop

T = TypeVar("T")
MAX_PREFETCH = 2000
"""What a quorum queue allows one consumer."""
HOLD_BYTES = 256 * 1024 * 1024
"""Of what one consumer is given ahead of its handler, at most, whatever the size of the messages."""
BATCH_BYTES = 2 * 1024 * 1024
"""Of the messages of one batch: read, each takes many times its bytes."""
LARGEST = 256 * 1024
"""Bytes of one message."""
HOLD_LIMIT = 29 * 60.0
"""Seconds a handler may keep a batch; RabbitMQ closes the channel of a delivery unacknowledged for 30 minutes."""

log = structlog.get_logger()


class BatchConsumer(Generic[T]):
    """Hands a queue's messages to `handle`, 1 to `batch_size` at a time, and acknowledges them when it returns.

    `prepare(body, headers)` runs as each message arrives, while `handle` may be waiting for something (but for large
    ones, which wait as mere bytes); it must not raise: what it cannot read it returns as such. When `handle` raises,
    everything in hand goes back to the queue and consuming resumes after a pause. A handler that cannot work for now
    holds its batch (the queue then spends no delivery) and raises HoldTooLong before HOLD_LIMIT. Consuming begins, and
    then resumes, when `ready()` returns: a process that is restarted while its handler could not work would else spend
    a delivery of all it had taken.
    """

    def __init__(
        self,
        url: str,
        *,
        queue: str,
        batch_size: int,
        prepare: Callable[[bytes, Mapping[str, Any]], T],
        handle: Callable[[Sequence[Delivery[T]]], Awaitable[None]],
        name: str = "",
        prefetch: int | None = None,
        largest: int = LARGEST,
        hold_bytes: int = HOLD_BYTES,
        batch_bytes: int = BATCH_BYTES,
        ready: Callable[[], Awaitable[None]] | None = None,
        linger: float = 0.0,
        idle_limit: float = 60.0,
        hold_limit: float = HOLD_LIMIT,
        drain_timeout: float = 20.0,
    ) -> None:
        """`largest`: bytes that a message may have. `hold_bytes`: of all that was delivered and waits; RabbitMQ counts
        messages, so that there are never more than would fit if each were the largest. `batch_bytes`: of one batch,
        unless a single message has more. `linger`: seconds a batch that is not full may wait for company.
        `idle_limit`: seconds without a delivery after which the connection is made anew; when the queue is not empty
        and a fresh connection hears nothing, either, this consumer is stuck. `drain_timeout`: seconds that what is in
        hand may take after a stop."""
        self._url = url
        self._queue = queue
        self._batch_size = batch_size
        self._prepare = prepare
        self._handle = handle
        self._name = name or f"kessai consumer of {queue}"
        self._batch_bytes = batch_bytes
        self._prefetch = min(prefetch or 2 * batch_size, MAX_PREFETCH, max(1, hold_bytes // largest))
        self._ready = ready
        self._linger = linger
        self._idle_limit = idle_limit
        self._hold_limit = hold_limit
        self._drain_timeout = drain_timeout
        self._session: ConsumeSession[T] | None = None
        self._was_silent = False
        self._is_renewing = False
        self._handling = 0
        self.last_consumed: float | None = None
        """`time.monotonic()` when a batch was last acknowledged; None before the first."""

    @property
    def connected(self) -> bool:
        return self._session is not None

    @property
    def in_hand(self) -> int:
        """Messages delivered and not acknowledged yet."""
        waiting = len(self._session.arrived) if self._session is not None else 0
        return waiting + self._handling

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set, then finish what is in hand. Raises ConsumerStuck when that is in vain."""
        consuming = asyncio.create_task(self._consume_until(stop), name=self._name)
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((consuming, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not consuming.done():
                self._notice_stop()
                await asyncio.wait((consuming,), timeout=self._drain_timeout)
        finally:
            stopping.cancel()
            if not consuming.done():
                log.warning("consumer.drain_cut", queue=self._queue, in_hand=self.in_hand)
                consuming.cancel()
                with suppress(asyncio.CancelledError):
                    await consuming
        if consuming.done() and not consuming.cancelled():
            consuming.result()

    def _notice_stop(self) -> None:
        if self._session is not None:
            self._session.changed.set()

    async def _consume_until(self, stop: asyncio.Event) -> None:
        backoff = Backoff()
        await self._until_ready(stop)
        while not stop.is_set():
            try:
                await self._consume_one_connection(stop, backoff)
                continue
            except HoldTooLong as error:
                log.warning("consumer.hold_ended", queue=self._queue, error=str(error))
                await self._until_ready(stop)
            except ConsumerStuck:
                raise
            except BrokerUnavailable as error:
                log.warning("consumer.broker_unavailable", queue=self._queue, error=str(error))
            except Exception:
                log.exception("consumer.handler_failed", queue=self._queue)
            await wait_or_stop(stop, backoff.next())

    async def _until_ready(self, stop: asyncio.Event) -> None:
        if self._ready is None:
            return
        ready, stopped = asyncio.ensure_future(self._ready()), asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait((ready, stopped), return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
        finally:
            ready.cancel()
            stopped.cancel()

    async def _consume_one_connection(self, stop: asyncio.Event, backoff: Backoff) -> None:
        session = ConsumeSession(self._prepare)
        try:
            await session.open(self._url, self._name, queue=self._queue, prefetch=self._prefetch)
            self._session = session
            tell = log.debug if self._is_renewing else log.info
            tell("consumer.started", queue=self._queue, prefetch=self._prefetch)
            self._is_renewing = False
            while not stop.is_set() and await self._wait_for_work(session, stop):
                if await self._handle_batch(session, stop):
                    backoff.reset()
            self._is_renewing = True
            await session.cancel()
            while await self._handle_batch(session, stop):
                pass
        finally:
            self._session = None
            await session.close()

    async def _wait_for_work(self, session: ConsumeSession[T], stop: asyncio.Event) -> bool:
        """False when nothing has come for so long that the connection itself is in doubt.

        RabbitMQ 3.10 may let a consumer of a deleted queue consume from another one of the same name, and then keeps
        every message of it to itself until the connection ends.
        """
        while not session.arrived and not stop.is_set():
            session.check()
            session.changed.clear()
            try:
                await asyncio.wait_for(session.changed.wait(), self._idle_limit)
            except TimeoutError:
                await self._check_not_stuck(session)
                return False
        if self._linger and len(session.arrived) < self._batch_size and not stop.is_set():
            await asyncio.sleep(self._linger)
        return True

    async def _check_not_stuck(self, session: ConsumeSession[T]) -> None:
        depth = await session.depth(self._queue)
        if depth and not session.arrived:
            await asyncio.sleep(min(1.0, self._idle_limit))  # another consumer may just have put something back
            if not session.arrived and not session.is_lost and await session.depth(self._queue):
                self._note_silence(f"{self._queue} holds {depth} messages, but none came for {self._idle_limit:g} s")

    def _note_silence(self, what: str) -> None:
        if self._was_silent:
            raise ConsumerStuck(f"{what}: the process ends so that it can be started anew")
        self._was_silent = True
        log.warning("consumer.silence", queue=self._queue, what=what)

    async def _handle_batch(self, session: ConsumeSession[T], stop: asyncio.Event) -> bool:
        """Handle and acknowledge up to a batch; False when there was nothing."""
        session.check()
        batch = session.next_batch(self._batch_size, self._batch_bytes)
        if not batch:
            return False
        self._handling = len(batch)
        try:
            async with asyncio.timeout(self._hold_limit) as hold:
                await self._handle(batch)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise BrokerUnavailable("something the handler waited for was cancelled from elsewhere") from error
        except TimeoutError as error:
            if not hold.expired():
                raise
            raise ConsumerStuck(
                f"the handler of {self._queue} has not returned for {self._hold_limit:g} s: "
                "the process ends so that it can be started anew"
            ) from error
        finally:
            self._handling = 0
        if stop.is_set():
            await session.cancel()
        session.acknowledge(batch[-1].tag)
        self._was_silent = False
        self.last_consumed = time.monotonic()
        return True
