"""How is one webhook received? Read the body, verify the signature, parse the event, publish, answer 204.

Nothing is answered 204 before the sink holds it durably, and nothing that a sender can send ends in a 5xx: signed bytes
that are no event are published as a dead letter, because sending the same bytes again could not help.
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
from ingress.webhooks.rate_limited_log import RateLimitedLog
from ingress.webhooks.receipts import receipt_id
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
    """Ends the request with `answer`; `reason` is for our metrics and log only."""

    def __init__(self, answer: replies.Answer, reason: str) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifiedWebhook:
    """A body whose signature a live secret of the endpoint has verified."""

    endpoint: Endpoint
    raw: bytes
    header: bytes
    verified: Verified
    now: float
    """Unix seconds of receipt."""


class WebhookHandler:
    """Takes a webhook from request to reply, as a low-level handler of aiohttp."""

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
        self.replace_endpoints(endpoints)
        self._sink = sink
        self._metrics = metrics
        self._max_body = max_body
        self._max_unfinished = max_unfinished
        self._unfinished_bytes = 0
        self._clock = clock
        self._random = Random()  # noqa: S311 - for receipt ids, which guard nothing
        self._refusals = RateLimitedLog()
        self._malformed = RateLimitedLog()  # separate, so that strangers cannot silence it
        self.in_flight = 0
        """Webhooks that wait for the sink now."""

    def replace_endpoints(self, endpoints: Mapping[str, Endpoint]) -> None:
        """Use these from the next webhook on; a request that has begun is verified with either."""
        self._endpoints = {PATH + name: endpoint for name, endpoint in endpoints.items()}

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        endpoint = self._endpoint_of(request.raw_path)
        try:
            if endpoint is None:
                raise Refused(replies.NOT_FOUND, "unknown_endpoint")
            webhook = await self.authenticate(request, endpoint)
            reason = await self._publish_event(webhook, traceparent=request.headers.get(TRACEPARENT))
        except Refused as refused:
            return self._refuse(refused, endpoint).to(request)
        self._metrics.answered(endpoint.name, "204", reason)
        return replies.ACCEPTED.to(request)

    async def authenticate(self, request: web.BaseRequest, endpoint: Endpoint) -> VerifiedWebhook:
        """Read the body and verify its signature. Raises Refused."""
        header = _check_headers(request, max_body=self._max_body)
        content = request.content
        raw = content.read_nowait() if content.is_eof() else await self._read_body(request)
        if len(raw) > self._max_body:
            raise Refused(replies.TOO_LARGE, "body_too_large")
        now = self._clock()
        try:
            verified = verify(raw, header, secrets=endpoint.live_secrets(now), now=now)
        except SignatureRefused as refused:
            raise Refused(replies.UNAUTHENTICATED, f"signature_{refused.reason}") from None
        self._metrics.verified(endpoint.name, verified.fingerprint)
        return VerifiedWebhook(endpoint, raw, header, verified, now)

    def _endpoint_of(self, target: str) -> Endpoint | None:
        return self._endpoints.get(target) or self._endpoints.get(target.partition("?")[0])

    async def _read_body(self, request: web.BaseRequest) -> bytes:
        """Read a body that comes in pieces, within the size limits; the connection keeps the deadline."""
        if request.headers.get(hdrs.EXPECT, "").lower() == "100-continue" and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = bytearray()
        try:
            while piece := await request.content.readany():
                body += piece
                self._unfinished_bytes += len(piece)
                if len(body) > self._max_body:
                    raise Refused(replies.TOO_LARGE, "body_too_large")
                if self._unfinished_bytes > self._max_unfinished:
                    raise Refused(replies.BUSY, "unfinished_bodies")
        except SlowRequest:
            raise Refused(replies.TOO_SLOW, "slow_body") from None
        except (web.RequestPayloadError, ConnectionError, RuntimeError):
            # Broken chunking, or the sender hung up and will not read this answer.
            raise Refused(replies.BAD_REQUEST, "broken_body") from None
        finally:
            self._unfinished_bytes -= len(body)
        return bytes(body)

    async def _publish_event(self, webhook: VerifiedWebhook, *, traceparent: str | None) -> str:
        """Publish the event; the reason to count the answer under. Raises Refused."""
        try:
            event = parse(webhook.raw)
        except MalformedEvent as malformed:
            failure = Failure.of_malformed_event(malformed)
            envelope = self._envelope(webhook, traceparent, event_id=malformed.event_id, failure=failure)
            await self._publish(envelope, DEAD, DEAD_LETTER)
            self._malformed.write(
                "webhook.malformed",
                now=webhook.now,
                endpoint=webhook.endpoint.name,
                reason=failure.reason,
                receipt_id=str(envelope.receipt_id),
            )
            return failure.reason
        envelope = self._envelope(webhook, traceparent, event_id=event.id, type_=event.type)
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
        webhook: VerifiedWebhook,
        traceparent: str | None,
        *,
        event_id: str | None,
        type_: str | None = None,
        failure: Failure | None = None,
    ) -> Envelope:
        return Envelope(
            receipt_id=receipt_id(now=webhook.now, random=self._random),
            endpoint=webhook.endpoint.name,
            received_at=datetime.fromtimestamp(webhook.now, UTC),
            signature=webhook.header.decode("ascii"),  # a verified header is printable ASCII
            key_fingerprint=webhook.verified.fingerprint,
            raw=webhook.raw,
            event_id=event_id,
            type=type_,
            traceparent=traceparent if traceparent and WELL_FORMED_TRACEPARENT.fullmatch(traceparent) else None,
            failure=failure,
        )

    def _refuse(self, refused: Refused, endpoint: Endpoint | None) -> replies.Answer:
        name = endpoint.name if endpoint else UNKNOWN_ENDPOINT
        status = int(refused.answer.status)
        self._metrics.answered(name, str(status), refused.reason)
        self._refusals.write("webhook.refused", now=self._clock(), endpoint=name, status=status, reason=refused.reason)
        return refused.answer


def _check_headers(request: web.BaseRequest, *, max_body: int) -> bytes:
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
