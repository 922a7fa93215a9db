"""What travels through RabbitMQ: the untouched webhook bytes behind one line of JSON about their receipt.

A message body is `<head as one line of JSON>\\n<raw bytes>`, so that the bytes the platform signed stay readable
in any broker tool and can be proved again years later.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from shared.errors import KessaiError
from shared.sdrp.events import MalformedEvent

VERSION = 1
MAX_COUNT = 2**31 - 1
"""Of tries, and of anything else that is counted in an envelope: what Postgres takes for an integer."""
NO_ENDPOINT = "-"
"""Stands for the endpoint of a message that names none."""


class UnreadableEnvelope(KessaiError):
    """A message on a Kessai queue that no Kessai publisher wrote."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an event could not be applied, as its dead letter states it."""

    reason: str
    error: str
    """Class of the exception, or the rule that refused the event."""
    detail: str = ""

    @classmethod
    def of_unreadable_envelope(cls, error: UnreadableEnvelope) -> "Failure":
        return cls("unreadable_envelope", type(error).__name__, str(error))

    @classmethod
    def of_malformed_event(cls, error: MalformedEvent) -> "Failure":
        return cls(f"malformed:{error.reason}", type(error).__name__, str(error))


class ReplayMark(NamedTuple):
    """On an event that a replay publishes again: which item of which job it is."""

    replay_id: int
    item: int
    rule_again: bool = False
    """Whether an event that waits in a review may be ruled on anew; else what the books hold stands."""


class Envelope(NamedTuple):
    """One accepted webhook. A tuple, as one is made for every webhook: it costs a fifth of a frozen dataclass."""

    receipt_id: UUID
    """Names this receipt, not the event: a redelivered event comes under a new one. Time-ordered (version 7 layout)."""
    endpoint: str
    received_at: datetime
    signature: str
    """The `Siglume-Signature` header, verbatim."""
    key_fingerprint: str
    """Which secret verified it."""
    raw: bytes
    event_id: str | None = None
    """Read by the ingress for people who inspect the queue; the worker trusts only `raw`."""
    type: str | None = None
    traceparent: str | None = None
    attempts: int = 0
    """How often a worker has tried and failed to apply it."""
    failure: Failure | None = None
    replay: ReplayMark | None = None


def encode(envelope: Envelope) -> bytes:
    head: dict[str, Any] = {
        "v": VERSION,
        "receipt_id": envelope.receipt_id,
        "endpoint": envelope.endpoint,
        "received_at": envelope.received_at,
        "signature": envelope.signature,
        "key": envelope.key_fingerprint,
        "event_id": envelope.event_id,
        "type": envelope.type,
    }
    if envelope.traceparent is not None:
        head["traceparent"] = envelope.traceparent
    if envelope.attempts:
        head["attempts"] = envelope.attempts
    if envelope.failure is not None:
        head["failure"] = {
            "reason": envelope.failure.reason,
            "error": envelope.failure.error,
            "detail": envelope.failure.detail,
        }
    if envelope.replay is not None:
        head["replay"] = list(envelope.replay)
    return orjson.dumps(head) + b"\n" + envelope.raw


def decode(body: bytes) -> Envelope:
    """Raises UnreadableEnvelope when the message is not one of ours or of a later version."""
    line, newline, raw = body.partition(b"\n")
    try:
        head = orjson.loads(line)
        if not newline or head["v"] != VERSION:
            raise UnreadableEnvelope("the message is not a Kessai envelope of version 1")
        return Envelope(
            receipt_id=UUID(head["receipt_id"]),
            endpoint=_text(head["endpoint"]),
            received_at=_moment(head["received_at"]),
            signature=_text(head["signature"]),
            key_fingerprint=_text(head["key"]),
            raw=raw,
            event_id=_text_or_none(head["event_id"]),
            type=_text_or_none(head["type"]),
            traceparent=_text_or_none(head.get("traceparent")),
            attempts=_count(head.get("attempts", 0)),
            failure=_failure(head.get("failure")),
            replay=_replay(head.get("replay")),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise UnreadableEnvelope(f"the message is not a Kessai envelope: {type(error).__name__}") from error


def _text(value: object) -> str:
    if type(value) is not str:
        raise TypeError("text is due")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone is no moment")
    return moment if moment.tzinfo is UTC else moment.astimezone(UTC)  # which the ends of the calendar have not


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise TypeError("a count is due")
    return value


def _failure(value: object) -> Failure | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise TypeError("a failure is an object")
    return Failure(reason=_text(value["reason"]), error=_text(value["error"]), detail=_text(value["detail"]))


def _replay(value: object) -> ReplayMark | None:
    if value is None:
        return None
    if not isinstance(value, list) or [type(each) for each in value] != [int, int, bool]:
        raise TypeError("a replay mark is two numbers and a truth value")
    return ReplayMark(_count(value[0]), _count(value[1]), value[2])


def foreign(body: bytes, *, received_at: datetime) -> Envelope:
    """An envelope for a message that came in none; the same bytes get the same receipt, so they are kept once."""
    return Envelope(
        receipt_id=UUID(bytes=sha256(body).digest()[:16]),
        endpoint=NO_ENDPOINT,
        received_at=received_at,
        signature="",
        key_fingerprint="",
        raw=body,
    )
