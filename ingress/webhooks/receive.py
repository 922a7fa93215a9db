"""What happens to one webhook at the door? Raw body, signature, a glance at the event, RabbitMQ's confirm, 204.

Nothing is answered 204 before the sink has it for good, and nothing that a sender can send ends in a 5xx: signed bytes
that are no event take the same road to the dead letters, since the same bytes sent again could not do better.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Protocol

from aiohttp import hdrs, web
from multidict import istr

from ingress.webhooks import replies
from ingress.webhooks.connection import SlowRequest
from ingress.webhooks.metrics import UNKNOWN_ENDPOINT, IngressMetrics
from ingress.webhooks.receipts import receipt_id
from ingress.webhooks.sparse_log import SparseLog
from shared.broker.envelope import Envelope, Failure, encode
from shared.broker.errors import InFlightFull
from shared.broker.topology import CONFIRMATION, DEAD, DEAD_LETTER, EVENTS
from shared.endpoints import Endpoint
from shared.errors import BrokerUnavailable
from shared.sdrp.events import MalformedEvent, parse
from shared.sdrp.signature import SignatureRefused, Verified, verify

PATH = "/webhooks/"
SIGNATURE = istr("Siglume-Signature")
TRACEPARENT = istr("traceparent")
WELL_FORMED_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
"""W3C Trace Context, version 00; anything else is left out rather than passed on."""


class Sink(Protocol):
    """Where accepted webhooks go. Returns once the message is held durably; else raises BrokerUnavailable."""

    async def publish(self, body: bytes, *, exchange: str, routing_key: str) -> None: ...


class Refused(Exception):
    """Ends the road with `answer`; `reason` is for our metrics and log only."""

    def __init__(self, answer: replies.Answer, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Authentic:
    """Bytes that a live secret of the endpoint vouches for."""

    endpoint: Endpoint
    raw: bytes
    header: bytes
    verified: Verified
    now: float
    """Unix seconds of receipt."""


class Reception:
    """The road of a webhook from request to reply, as a low-level handler of aiohttp."""

    def __init__(
        self,
        *,
        endpoints: Mapping[str, Endpoint],
        sink: Sink,
        metrics: IngressMetrics,
        max_body: int,
        max_unfinished: int = 64 * 1024 * 1024,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`max_body` and `max_unfinished` are bytes: of one body, and of all bodies that are still arriving."""
        self.renew(endpoints)
        self._sink = sink
        self._metrics = metrics
        self._max_body = max_body
        self._max_unfinished = max_unfinished
        self._unfinished = 0
        self._clock = clock
        self._random = Random()  # noqa: S311 - for receipt ids, which guard nothing
        self._refusals = SparseLog()
        self._set_aside = SparseLog()  # of its own: strangers must not be able to silence it
        self.in_flight = 0
        """Webhooks that wait for the sink now."""

    def renew(self, endpoints: Mapping[str, Endpoint]) -> None:
        """From the next webhook on; what has begun is verified with either."""
        self._doors = {PATH + name: endpoint for name, endpoint in endpoints.items()}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        endpoint = self._endpoint_of(request.raw_path)
        try:
            if endpoint is None:
                raise Refused(replies.NOT_FOUND, "unknown_endpoint")
            authentic = await self.authenticate(request, endpoint)
            reason = await self._hand_over(authentic, traceparent=request.headers.get(TRACEPARENT))
        except Refused as refused:
            return self._refuse(refused, endpoint).to(request)
        self._metrics.answered(endpoint.name, "204", reason)
        return replies.ACCEPTED.to(request)

    async def authenticate(self, request: web.BaseRequest, endpoint: Endpoint) -> Authentic:
        """The body, once a live secret vouches for it. Raises Refused."""
        header = _admissible(request, max_body=self._max_body)
        content = request.content
        raw = content.read_nowait() if content.is_eof() else await self._arrived(request)
        if len(raw) > self._max_body:
            raise Refused(replies.TOO_LARGE, "body_too_large")
        now = self._clock()
        try:
            verified = verify(raw, header, secrets=endpoint.live_secrets(now), now=now)
        except SignatureRefused as refused:
            raise Refused(replies.UNAUTHENTICATED, f"signature_{refused.reason}") from None
        self._metrics.verified(endpoint.name, verified.fingerprint)
        return Authentic(endpoint, raw, header, verified, now)

    def _endpoint_of(self, target: str) -> Endpoint | None:
        return self._doors.get(target) or self._doors.get(target.partition("?")[0])

    async def _arrived(self, request: web.BaseRequest) -> bytes:
        """The rest of a body that comes in pieces, under the caps; the connection keeps the deadline."""
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        try:
            while piece := await request.content.readany():
                body += piece
                self._unfinished += len(piece)
                if len(body) > self._max_body:
                    raise Refused(replies.TOO_LARGE, "body_too_large")
                if self._unfinished > self._max_unfinished:
                    raise Refused(replies.BUSY, "unfinished_bodies")
        except SlowRequest:
            raise Refused(replies.TOO_SLOW, "slow_body") from None
        except (web.RequestPayloadError, ConnectionError, RuntimeError):
            # Broken chunking, or the sender hung up and nobody reads this answer.
            raise Refused(replies.BAD_REQUEST, "broken_body") from None
        finally:
            self._unfinished -= len(body)
        return bytes(body)

    async def _hand_over(self, authentic: Authentic, *, traceparent: str | None) -> str:
        """Returns when the sink holds it for good: as what. Raises Refused."""
        try:
            event = parse(authentic.raw)
        except MalformedEvent as malformed:
            failure = Failure.of_malformed_event(malformed)
            envelope = self._envelope(authentic, traceparent, event_id=malformed.event_id, failure=failure)
            await self._publish(envelope, DEAD, DEAD_LETTER)
            self._set_aside.tell(
                "webhook.set_aside",
                now=authentic.now,
                endpoint=authentic.endpoint.name,
                reason=failure.reason,
                receipt_id=str(envelope.receipt_id),
            )
            return failure.reason
        envelope = self._envelope(authentic, traceparent, event_id=event.id, type_=event.type)
        await self._publish(envelope, EVENTS, CONFIRMATION)
        return "accepted"

    async def _publish(self, envelope: Envelope, exchange: str, routing_key: str) -> None:
        began = time.perf_counter()
        self.in_flight += 1
        try:
            await self._sink.publish(encode(envelope), exchange=exchange, routing_key=routing_key)
        except InFlightFull:
            raise Refused(replies.BUSY, "in_flight_full") from None
        except BrokerUnavailable:
            raise Refused(replies.UNCONFIRMED, "unconfirmed") from None
        finally:
            self.in_flight -= 1
        self._metrics.published(time.perf_counter() - began)

    def _envelope(
        self,
        authentic: Authentic,
        traceparent: str | None,
        *,
        event_id: str | None,
        type_: str | None = None,
        failure: Failure | None = None,
    ) -> Envelope:
        return Envelope(
            receipt_id=receipt_id(now=authentic.now, random=self._random),
            endpoint=authentic.endpoint.name,
            received_at=datetime.fromtimestamp(authentic.now, UTC),
            signature=authentic.header.decode("ascii"),  # a verified header is printable ASCII
            key_fingerprint=authentic.verified.fingerprint,
            raw=authentic.raw,
            event_id=event_id,
            type=type_,
            traceparent=traceparent if traceparent and WELL_FORMED_TRACEPARENT.fullmatch(traceparent) else None,
            failure=failure,
        )

    def _refuse(self, refused: Refused, endpoint: Endpoint | None) -> replies.Answer:
        name = endpoint.name if endpoint else UNKNOWN_ENDPOINT
        status = int(refused.answer.status)
        self._metrics.answered(name, str(status), refused.reason)
        self._refusals.tell("webhook.refused", now=self._clock(), endpoint=name, status=status, reason=refused.reason)
        return refused.answer


def _admissible(request: web.BaseRequest, *, max_body: int) -> bytes:
    """The signature header of a request whose body is worth reading. Raises Refused."""
    headers = request.headers
    if request.method != "POST":
        raise Refused(replies.METHOD_NOT_ALLOWED, "method")
    if hdrs.CONTENT_ENCODING in headers and not _is_identity(headers.getall(hdrs.CONTENT_ENCODING)):
        raise Refused(replies.ENCODED, "content_encoding")
    if int(headers.get(hdrs.CONTENT_LENGTH, 0)) > max_body:
        raise Refused(replies.TOO_LARGE, "content_length")
    signatures = headers.getall(SIGNATURE, ())
    if len(signatures) != 1:
        raise Refused(replies.UNAUTHENTICATED, "signature_repeated" if signatures else "signature_missing")
    return signatures[0].encode("utf-8", "surrogateescape")  # aiohttp decoded it that way: these are the bytes sent


def _is_identity(codings: Sequence[str]) -> bool:
    return all(coding.strip().lower() == "identity" for coding in codings)
