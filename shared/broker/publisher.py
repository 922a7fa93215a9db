"""Publishing that is over only when RabbitMQ has the message safe."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import structlog

from shared.broker.backoff import Backoff
from shared.broker.breaker import Breaker
from shared.broker.publish_session import Form, PublishSession
from shared.errors import BrokerUnavailable

STEADY_AFTER = 5.0
"""Seconds after which a connection counts as good, so that the next loss begins with a short wait again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message to publish."""

    body: bytes
    exchange: str
    routing_key: str
    message_type: str | None = None
    """AMQP's `type` property, at most 255 bytes; never what a sender wrote."""
    must_route: bool = True


class Publisher:
    """A connection of its own that publishes persistent messages and awaits their confirms.

    It reconnects by itself; meanwhile every publish is refused at once.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        timeout: float = 5.0,
        max_in_flight: int = 2048,
        breaker: Breaker | None = None,
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`prepare` runs whenever RabbitMQ is there again, before anything is published to it: one that came back
        empty would close the connection at the first message. It may raise BrokerUnavailable."""
        self._url = url
        self._name = name
        self._timeout = timeout
        self._max_in_flight = max_in_flight
        self._breaker = breaker or Breaker()
        self._prepare = prepare
        self._session: PublishSession | None = None
        self._down_because = "not connected to RabbitMQ yet"
        self._keeper: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Begin to connect and wait for the end of the first try; `ready` has its result."""
        self._keeper = asyncio.create_task(self._keep_connected(), name=f"{self._name}: connection")
        await self._tried.wait()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def ready(self) -> bool:
        """True when a publish would go out now."""
        session = self._session
        return session is not None and session.refusal() is None and not self._breaker.is_open

    @property
    def in_flight(self) -> int:
        return 0 if self._session is None else len(self._session.confirms)

    @property
    def down_because(self) -> str | None:
        """Why there is no connection; None when there is one."""
        return self._down_because if self._session is None else None

    async def publish(self, body: bytes, *, exchange: str, routing_key: str, must_route: bool = True) -> None:
        """Return once RabbitMQ has confirmed the message.

        Raises Unroutable when no queue would hold it (unless not `must_route`), InFlightFull when nothing was sent
        for want of room, BrokerUnavailable when there is no confirm: then it is unknown whether RabbitMQ has it.
        """
        await self._send(body, (exchange, routing_key, None, must_route))

    async def publish_many(self, messages: Sequence[Outgoing]) -> list[BrokerUnavailable | None]:
        """Publish in the order given; one outcome for each message, None where it was confirmed."""
        outcomes: list[BrokerUnavailable | None] = []
        window = max(1, self._max_in_flight // 2)
        for start in range(0, len(messages), window):
            outcomes += await self._publish_window(messages[start : start + window])
        return outcomes

    async def _publish_window(self, messages: Sequence[Outgoing]) -> list[BrokerUnavailable | None]:
        sent: list[asyncio.Future[None] | BrokerUnavailable] = []
        for each in messages:
            try:
                sent.append(
                    self._send(each.body, (each.exchange, each.routing_key, each.message_type, each.must_route))
                )
            except BrokerUnavailable as error:
                sent.append(error)
        waiting = [one for one in sent if isinstance(one, asyncio.Future)]
        if waiting:
            await asyncio.wait(waiting)
        return [_outcome(one) for one in sent]

    def _send(self, body: bytes, form: Form) -> asyncio.Future[None]:
        session = self._session
        if session is None:
            raise BrokerUnavailable(f"cannot publish: {self._down_because}")
        refusal = session.refusal()
        if refusal is not None:
            raise refusal
        if self._breaker.is_open and not self._breaker.allows(now=session.loop.time()):
            raise BrokerUnavailable("cannot publish: RabbitMQ has stopped confirming; the next try is due soon")
        return session.send(body, form)

    async def close(self) -> None:
        """Wait for the confirms still due, at most `timeout` seconds, then disconnect."""
        session, self._session = self._session, None
        self._down_because = "the publisher is closed"
        if session is not None:
            await session.drain(self._timeout)
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None

    async def _keep_connected(self) -> None:
        backoff = Backoff()
        while True:
            try:
                if await self._connect_once() > STEADY_AFTER:
                    backoff.reset()
            except BrokerUnavailable as error:
                self._down_because = str(error)
                log.warning("broker.unavailable", connection=self._name, error=self._down_because)
            except Exception as error:  # nobody but this task would connect again
                self._down_because = f"connecting to RabbitMQ failed: {type(error).__name__}"
                log.exception("broker.connection_failed", connection=self._name)
            finally:
                self._tried.set()
            await asyncio.sleep(backoff.next())

    async def _connect_once(self) -> float:
        """Connect and wait for the connection's end; the seconds it lasted. Raises BrokerUnavailable."""
        session = PublishSession(self._timeout, self._max_in_flight, self._breaker, self._forget)
        try:
            await session.open(self._url, self._name)
            if self._prepare is not None:
                await self._prepare()
            self._begin(session)
            return await session.last()
        finally:
            if self._session is session:
                self._session = None
            await session.close()

    def _begin(self, session: PublishSession) -> None:
        if session.is_lost:
            return
        self._session = session
        self._breaker.succeeded()
        self._tried.set()
        log.info("broker.connected", connection=self._name)

    def _forget(self, session: PublishSession, reason: str) -> None:
        if self._session is session:
            self._session = None
            self._down_because = reason
            log.warning("broker.lost", connection=self._name, reason=reason)


def _outcome(sent: asyncio.Future[None] | BrokerUnavailable) -> BrokerUnavailable | None:
    if isinstance(sent, BrokerUnavailable):
        return sent
    error = sent.exception()
    if error is not None and not isinstance(error, BrokerUnavailable):
        raise error
    return error
