"""The connection to RabbitMQ: aiormq's, with the frames that every message costs taken off before it sees them.

aiormq reads a frame with three awaits, builds objects of it and hands it to a second task; that costs more than all
the rest of a publish or a delivery. `aiormq.Connection` accepts a transport factory, and ours returns a stream whose
protocol cuts the incoming bytes into frames: confirms, returns and deliveries go straight to a `Listener`, everything
else to aiormq, which keeps what is intricate and rare (handshake, authentication, TLS, heartbeats, channels, RPC).
Outgoing frames are whole writes on the shared transport, so that both writers may take turns.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

from aiormq.abc import AbstractChannel
from aiormq.connection import Connection, SSLContextProvider, TransportFactory
from aiormq.exceptions import AMQPError, InvalidFrameError
from yarl import URL

from shared.broker import frames
from shared.errors import BrokerUnavailable

T = TypeVar("T")
CHANNEL = 1
CLOSE_TIMEOUT = 3.0
"""Seconds for closing a connection in order."""
HEARTBEAT_SECONDS = 10
WRITE_BUFFER_LIMIT = 8 * 1024 * 1024
"""Bytes that may wait for the socket before `Wire.is_congested`."""


class Listener(Protocol):
    def take(self, kind: int, data: bytes, at: int, end: int) -> bool:
        """Offered the payload `data[at:end]` of each frame on our channel; False leaves it to aiormq."""

    def lost(self, reason: str) -> None:
        """Called once, as soon as the connection or its channel is of no more use."""


class Wire(asyncio.StreamReaderProtocol):
    """Cuts the byte stream into frames and sorts them."""

    def __init__(self, listener: Listener, loop: asyncio.AbstractEventLoop) -> None:
        self.reader = asyncio.StreamReader(loop=loop)
        super().__init__(self.reader, loop=loop)
        self.transport: asyncio.Transport | None = None
        self.is_congested = False
        self.is_tapped = False
        """Set once aiormq's handshake is over."""
        self.blocked_because: str | None = None
        self.is_lost = False
        self._loop_time = loop.time
        self._listener = listener
        self._rest = b""
        self._heartbeat_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its base class
        self.transport.set_write_buffer_limits(high=WRITE_BUFFER_LIMIT)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        self.is_congested = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self.is_congested = False
        super().resume_writing()

    def eof_received(self) -> bool | None:
        self.lose("RabbitMQ closed the connection")
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lose(f"the connection to RabbitMQ broke: {type(exc).__name__}" if exc else "the connection was closed")
        super().connection_lost(exc)

    def lose(self, reason: str) -> None:
        if not self.is_lost:
            self.is_lost = True
            self._listener.lost(reason)

    def data_received(self, data: bytes) -> None:
        self._rest = self._sort(self._rest + data if self._rest else data)
        self._feed_heartbeat()

    def _sort(self, data: bytes) -> bytes:
        """Hand on every whole frame; return the unfinished rest."""
        at, have = 0, len(data)
        take, unpack = self._listener.take, frames.FRAME_HEAD.unpack_from
        while have - at >= frames.FRAME_OVERHEAD:
            kind, channel, size = unpack(data, at)
            if kind not in frames.FRAME_KINDS:
                self.reader.feed_data(data[at:])  # not AMQP 0-9-1: aiormq raises the error for it
                return b""
            end = at + frames.FRAME_OVERHEAD + size
            if end > have:
                break
            if channel != CHANNEL or not take(kind, data, at + frames.PAYLOAD_AT, end - 1):
                self._pass_on(kind, data, at, end)
            at = end
        return data[at:]

    def _pass_on(self, kind: int, data: bytes, at: int, end: int) -> None:
        self.reader.feed_data(data[at:end])
        if kind != frames.METHOD:
            return
        payload = at + frames.PAYLOAD_AT
        arguments = payload + frames.METHOD_INDEX.size
        match frames.METHOD_INDEX.unpack_from(data, payload)[0]:
            case frames.CONNECTION_BLOCKED:
                self.blocked_because = frames.read_text(data, arguments) or "an alarm"
            case frames.CONNECTION_UNBLOCKED:
                self.blocked_because = None
            case frames.CHANNEL_CLOSE | frames.CONNECTION_CLOSE:
                code, text = frames.read_close(data, arguments)
                self.lose(f"RabbitMQ closed the channel: {text} ({code})")
            case frames.BASIC_CANCEL:
                self.lose("RabbitMQ cancelled the consumer: its queue was deleted or moved")

    def _feed_heartbeat(self) -> None:
        """Show aiormq that the peer lives: it counts only frames it sees, and a busy broker sends no heartbeats."""
        now = self._loop_time()
        if self.is_tapped and now - self._heartbeat_at >= 1.0:
            self._heartbeat_at = now
            self.reader.feed_data(frames.HEARTBEAT_FRAME)


class _TappedTransport(TransportFactory):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, url: URL, **kwargs: object) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        secured = kwargs["ssl_context_provider"] if url.scheme == "amqps" else None
        context = await secured.get_context() if isinstance(secured, SSLContextProvider) else None
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(lambda: self._wire, str(url.host), url.port or 0, ssl=context)
        return self._wire.reader, asyncio.StreamWriter(transport, self._wire, self._wire.reader, loop)


class Link:
    """One open connection with one channel."""

    def __init__(
        self, connection: Connection, channel: AbstractChannel, wire: Wire, transport: asyncio.Transport
    ) -> None:
        self.channel = channel
        self.wire = wire
        self.frame_max: int = connection.connection_tune.frame_max or 131072
        self.write = transport.write
        self._connection = connection
        self._transport = transport

    @classmethod
    async def open(cls, url: str, *, name: str, listener: Listener, confirms: bool, timeout: float) -> "Link":
        """Connect and open the channel within `timeout` seconds. Raises BrokerUnavailable."""
        wire = Wire(listener, asyncio.get_running_loop())
        address = URL(url)
        address = address.update_query({"heartbeat": HEARTBEAT_SECONDS} | dict(address.query) | {"name": name})
        connection = Connection(address, transport_factory=_TappedTransport(wire))
        try:
            channel = await call("connect to RabbitMQ", _open_channel(connection, confirms=confirms), timeout=timeout)
        except BaseException:
            wire.lose("the connection could not be opened")
            await _shut(connection, wire)
            raise
        wire.is_tapped = True
        assert wire.transport is not None  # noqa: S101 - connected above
        return cls(connection, channel, wire, wire.transport)

    async def close(self) -> None:
        """Close the connection in order if RabbitMQ answers, and drop it in any case."""
        self.wire.lose("closed")
        await _shut(self._connection, self.wire)

    def drop(self, reason: str) -> None:
        """Give the connection up at once."""
        self.wire.lose(reason)
        self._transport.abort()


async def _open_channel(connection: Connection, *, confirms: bool) -> AbstractChannel:
    await connection.connect()
    return await connection.channel(CHANNEL, publisher_confirms=confirms)


async def _shut(connection: Connection, wire: Wire) -> None:
    try:
        with suppress(BrokerUnavailable):  # it is given up either way
            await call("close the connection to RabbitMQ", connection.close(), timeout=CLOSE_TIMEOUT)
    finally:
        if wire.transport is not None:
            wire.transport.abort()


async def call(doing: str, call_of_aiormq: Coroutine[Any, Any, T], *, timeout: float) -> T:
    """The result of a call to the broker. Raises BrokerUnavailable, at the latest after `timeout` seconds.

    The call is a task of its own: aiormq's calls may wait for a dead connection even while they are cancelled,
    and it ends those on a connection that it declares stuck with a CancelledError, though we were not cancelled.
    """
    pending = asyncio.ensure_future(call_of_aiormq)
    try:
        await asyncio.wait((pending,), timeout=timeout)
    finally:
        if not pending.done():
            pending.cancel()
            pending.add_done_callback(_consume_exception)
    if not pending.done():
        raise BrokerUnavailable(f"cannot {doing}: no answer within {timeout:g} s")
    try:
        return pending.result()
    except asyncio.CancelledError as error:
        raise BrokerUnavailable(f"cannot {doing}: the connection is stuck") from error
    except (AMQPError, OSError, RuntimeError, EOFError) as error:
        raise BrokerUnavailable(f"cannot {doing}: {_describe(error)}") from error


def _describe(error: Exception) -> str:
    """A message for the error. aiormq drops the reason of a refusal, so the most frequent one is put back here."""
    if isinstance(error, InvalidFrameError) and "Connection.OpenOk" in str(error):
        return "RabbitMQ refuses the virtual host: is it there, and may this user enter it?"
    return f"{type(error).__name__}: {error}"


def _consume_exception(pending: asyncio.Future[Any]) -> None:
    """Read the exception of a call that nothing awaits any more, so that asyncio does not warn about it."""
    if not pending.cancelled():
        pending.exception()
