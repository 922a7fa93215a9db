"""How long may a sender keep a connection? aiohttp's server with deadlines and a cap on connections.

aiohttp bounds neither the time that headers take nor the time that a body takes. Here every connection notes when the
first byte of the request now arriving came in, and one sweep over all connections ends those that are late. So no
request needs a timer, and the usual request costs one reading of the clock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiohttp import StreamReader, web
from aiohttp.http_exceptions import LineTooLong

from ingress.webhooks import replies
from shared.sdrp.signature import MAX_HEADER

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.ingress")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
OnAnswer = Callable[[int, str], None]
"""Called with (status, reason) of each answer that no handler gave."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one sender may take of this process."""

    request_seconds: float = 10.0
    """From the first byte of a request to its last; also how long a new connection may stay silent."""
    idle_seconds: float = 75.0
    """Between two requests of a connection; longer than the usual proxy keeps its side open."""
    connections: int = 4096
    header_bytes: int = MAX_HEADER
    """Of the request line, and of each header field."""


class SlowRequest(TimeoutError):
    """The request now being read did not arrive in time."""


class WebhookServer(web.Server):
    """Passes each request to `handler`, and ends connections that are late.

    Must be made inside a running event loop.
    """

    def __init__(self, handler: Handler, *, limits: Limits, on_answer: OnAnswer) -> None:
        super().__init__(handler)
        self.limits = limits
        self.on_answer = on_answer
        self.draining = False
        self._sweep_every = min(0.5, limits.request_seconds / 4)
        self._sweeper = self._loop.call_later(self._sweep_every, self._sweep)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._loop)

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    def pre_shutdown(self) -> None:
        self.draining = True
        super().pre_shutdown()

    async def shutdown(self, timeout: float | None = None) -> None:
        await super().shutdown(timeout)
        self._sweeper.cancel()

    def _sweep(self) -> None:
        now = self._loop.time()
        for connection in self.connections:
            if isinstance(connection, Connection):
                connection.end_if_late(now)
        self._sweeper = self._loop.call_later(self._sweep_every, self._sweep)


class Connection(web.RequestHandler):
    """One client connection within the server's limits."""

    __slots__ = ("_arriving", "_arriving_since", "_has_received", "_server", "_unread_since")

    def __init__(self, server: WebhookServer, loop: asyncio.AbstractEventLoop) -> None:
        limits = server.limits
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle_seconds,
            access_log=None,  # type: ignore[arg-type]  # None means no access log to aiohttp
            max_line_size=limits.header_bytes,
            max_field_size=limits.header_bytes,
            lingering_time=min(2.0, limits.request_seconds),
            auto_decompress=False,  # the signature covers the bytes as sent
        )
        self._server = server
        self._has_received = False
        self._arriving: StreamReader | None = None
        """Body of the latest request, until it is whole."""
        self._arriving_since: float | None = loop.time()
        """When the request now arriving began; at first, when the connection was opened."""
        self._unread_since: float | None = None
        """Since when the client does not read our answers."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self._server.open_connections > self._server.limits.connections:
            self._refuse(replies.BUSY, "connection_cap")

    def data_received(self, data: bytes) -> None:
        if data:
            self._has_received = True
            if self._arriving_since is None:
                self._arriving_since = self._loop.time()
        super().data_received(data)
        if self._messages:
            self._arriving = self._messages[-1][1]
        if self._arriving is not None and self._arriving.is_eof():
            self._arriving = self._arriving_since = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_since = self._loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread_since = None

    def end_if_late(self, now: float) -> None:
        allowed = self._server.limits.request_seconds
        if self._unread_since is not None and now - self._unread_since > allowed and self.transport is not None:
            self.transport.abort()
        elif self._arriving_since is not None and now - self._arriving_since > allowed:
            self._arriving_since = None
            self._end_late_request()

    def _end_late_request(self) -> None:
        if self._arriving is not None:
            self._arriving.set_exception(SlowRequest())  # the reader of the body answers 408
        elif self._waiter is None:
            self.close()  # an earlier request is still being answered; then the connection closes
        elif self._has_received:
            self._refuse(replies.TOO_SLOW, "slow_headers")
        else:
            self.force_close()

    def _refuse(self, answer: replies.Answer, reason: str) -> None:
        """Answer without a request, and close."""
        self._server.on_answer(int(answer.status), reason)
        if self.transport is not None:
            self.transport.write(answer.close.bytes_for("POST"))
        self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answers a request that aiohttp refused, or a fault of ours. The message may quote it and is not sent."""
        if status >= 500:
            log.error("webhook.failed", exc_info=exc)
            answer, reason = replies.BROKEN, "internal"
        elif isinstance(exc, LineTooLong):
            answer, reason = replies.HEADERS_TOO_LARGE, "headers_too_large"
        else:
            answer, reason = replies.BAD_REQUEST, "bad_http"
        self._server.on_answer(int(answer.status), reason)
        return answer.close
