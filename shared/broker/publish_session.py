"""One connection that publishes: its confirms, the ids it gives, what is about to be written.

Publishes of one event-loop turn leave in one write; confirms are read straight off the wire; one timer for the whole
connection, not one a publish, ends those that wait too long.
"""

import asyncio
from collections.abc import Callable
from uuid import uuid4

from shared.broker import frames
from shared.broker.breaker import Breaker
from shared.broker.confirms import Confirms
from shared.broker.errors import InFlightFull, Unroutable
from shared.broker.wire import CHANNEL, Link
from shared.errors import BrokerUnavailable

SILENT_TIMEOUTS = 3
"""A connection with publishes in flight and no confirm for this many timeouts is given up."""
MAX_FORMS = 1000
"""Routing keys are few; a caller that invents them must not fill the memory."""

Form = tuple[str, str, str | None, bool]
"""Exchange, routing key, message type, mandatory: what publishes of a kind have in common."""


class PublishSession:
    """Lives and dies with its connection; the publisher makes the next one."""

    def __init__(
        self, timeout: float, max_in_flight: int, breaker: Breaker, on_lost: Callable[["PublishSession", str], None]
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.confirms = Confirms(self.loop)
        self._timeout = timeout
        self._max_in_flight = max_in_flight
        self._breaker = breaker
        self._on_lost = on_lost
        self._link: Link | None = None
        self._id_prefix = uuid4().hex[: frames.ID_PREFIX_LENGTH].encode()
        self._forms: dict[Form, frames.PublishForm] = {}
        self._out: list[bytes] = []
        self._ended = asyncio.Event()
        self._opened_at = self.loop.time()
        self._has_confirm = False
        self._silent_since = self.loop.time()
        self._sweeper: asyncio.TimerHandle | None = None
        self._returned_because = ""

    async def open(self, url: str, name: str) -> None:
        self._link = await Link.open(url, name=name, listener=self, confirms=True, timeout=max(self._timeout, 5.0))
        self._sweep()

    @property
    def is_lost(self) -> bool:
        return self._ended.is_set()

    async def last(self) -> float:
        """Wait for the connection's end; how many seconds it was there."""
        await self._ended.wait()
        return self.loop.time() - self._opened_at

    async def close(self) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._link is not None:
            await self._link.close()

    def refusal(self) -> BrokerUnavailable | None:
        """Why nothing may be sent just now, if so."""
        wire = self._open_link.wire
        if wire.blocked_because is not None:
            return BrokerUnavailable(f"RabbitMQ blocks publishers ({wire.blocked_because}): free its memory or disk")
        if wire.is_congested or len(self.confirms) >= self._max_in_flight:
            return InFlightFull(f"{len(self.confirms)} publishes wait for RabbitMQ already: try again in a moment")
        return None

    @property
    def _open_link(self) -> Link:
        if self._link is None:
            raise BrokerUnavailable("cannot publish: not connected to RabbitMQ")
        return self._link

    def send(self, body: bytes, key: Form) -> asyncio.Future[None]:
        form = self._forms.get(key) or self._pack_form(key)
        tag, confirmed = self.confirms.register()
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out += form.parts(tag, body)
        return confirmed

    def _pack_form(self, key: Form) -> frames.PublishForm:
        exchange, routing_key, message_type, must_route = key
        form = frames.PublishForm.pack(
            channel=CHANNEL,
            frame_max=self._open_link.frame_max,
            id_prefix=self._id_prefix,
            exchange=exchange,
            routing_key=routing_key,
            message_type=message_type,
            mandatory=must_route,
        )
        if len(self._forms) >= MAX_FORMS:
            self._forms.clear()
        self._forms[key] = form
        return form

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._link is not None and not self.is_lost:
            self._link.write(b"".join(out))

    async def drain(self, timeout: float) -> None:
        deadline = self.loop.time() + timeout
        while len(self.confirms) and not self.is_lost and self.loop.time() < deadline:
            await asyncio.sleep(0.005)

    def take(self, kind: int, data: bytes, at: int, end: int) -> bool:
        if kind != frames.METHOD:
            if kind == frames.HEADER:
                self._refuse_returned(frames.read_message_id(data, at, end))
            return True  # the only content a publisher hears is that of returned messages
        arguments = at + 4
        match frames.METHOD_INDEX.unpack_from(data, at)[0]:
            case frames.BASIC_ACK:
                tag, bits = frames.read_tag_and_bits(data, arguments)
                self.confirms.settle(tag, multiple=bits & 1 == 1)
                self._has_confirm = True
                if self._breaker.failures:
                    self._breaker.succeeded()
            case frames.BASIC_NACK:
                tag, bits = frames.read_tag_and_bits(data, arguments)
                refused = BrokerUnavailable("RabbitMQ could not store the message: see its log")
                self.confirms.settle(tag, multiple=bits & 1 == 1, error=refused)
                self._has_confirm = True  # one full queue refuses; the broker itself is well
            case frames.BASIC_RETURN:
                self._returned_because = frames.read_close(data, arguments)[1]
            case _:
                return False
        return True

    def _refuse_returned(self, message_id: bytes) -> None:
        tag = frames.tag_of_message_id(message_id, id_prefix=self._id_prefix)
        if tag is not None:
            reason = f"RabbitMQ returned the message ({self._returned_because}): run `kessai topology apply`"
            self.confirms.refuse(tag, Unroutable(reason))

    def lost(self, reason: str) -> None:
        if self._ended.is_set():
            return
        self._ended.set()
        if self._sweeper is not None:
            self._sweeper.cancel()
        self._on_lost(self, reason)
        self.confirms.fail_all(BrokerUnavailable(f"no confirm: {reason}"))

    def _sweep(self) -> None:
        """Every twentieth of a timeout: end what waits too long; give up a connection without confirms."""
        if self.is_lost:
            return
        now = self.loop.time()
        overdue = BrokerUnavailable(f"RabbitMQ did not confirm within {self._timeout:g} s")
        expired = self.confirms.expire(before=now - self._timeout, error=overdue)
        if expired:
            self._breaker.failed(now=now, times=expired)
        self.confirms.mark(now=now)
        if self._has_confirm or not len(self.confirms) or self._open_link.wire.blocked_because is not None:
            self._has_confirm, self._silent_since = False, now
        elif now - self._silent_since > SILENT_TIMEOUTS * self._timeout:
            self._open_link.drop("RabbitMQ has stopped confirming")
            return
        self._sweeper = self.loop.call_later(self._timeout / 20, self._sweep)
