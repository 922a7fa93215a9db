"""Reads a message as it arrives: as an event, or as one that no retry can apply."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from shared.broker.envelope import Envelope, Failure, UnreadableEnvelope, decode, foreign
from shared.ledger.incoming import Incoming, read
from shared.sdrp.events import MalformedEvent


@dataclass(frozen=True, slots=True)
class Poison:
    """A message that no retry can apply."""

    envelope: Envelope
    failure: Failure


def prepare(body: bytes, _headers: Mapping[str, Any]) -> Incoming | Poison:
    """Never raises: what cannot be read comes back as Poison with its reason."""
    try:
        envelope = decode(body)
    except UnreadableEnvelope as error:
        return Poison(foreign(body, received_at=datetime.now(UTC)), Failure.of_unreadable_envelope(error))
    try:
        return read(envelope)
    except MalformedEvent as error:
        return Poison(envelope, Failure.of_malformed_event(error))
    except Exception as error:  # a fault of ours must cost this one event, not the queue behind it
        return Poison(envelope, Failure("handler_error", type(error).__name__))
