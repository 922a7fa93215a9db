"""A confirmation as the books take it in: parsed and classified."""

import hashlib
from datetime import UTC, datetime
from typing import Final, NamedTuple

from shared.broker.envelope import Envelope
from shared.sdrp.classify import Confirmation, MeteredBatchSettled, MeteredUsageAccepted, StandardSettled, classify
from shared.sdrp.events import Event, ignored_because, parse

_PAYMENTS: Final = (StandardSettled, MeteredUsageAccepted)  # a union would be built anew at every isinstance


class Incoming(NamedTuple):
    """One delivery of one event."""

    envelope: Envelope
    event: Event
    digest: bytes
    """SHA-256 of the raw bytes: the same event id under another digest is a conflict."""
    occurred_at: datetime | None
    ignored: str | None
    """Why the event has no effect by contract, when it has none."""
    confirmation: Confirmation | None
    """None when ignored."""

    @property
    def key(self) -> tuple[str, str]:
        return self.envelope.endpoint, self.event.id

    @property
    def challenge_hash(self) -> str | None:
        """Of the payment that it confirms, if it is one."""
        confirmation = self.confirmation
        return confirmation.challenge_hash if isinstance(confirmation, _PAYMENTS) else None

    @property
    def requirement(self) -> tuple[str, str] | None:
        """Endpoint and id of the payment requirement that it confirms, if it is a payment."""
        confirmation = self.confirmation
        return (self.envelope.endpoint, confirmation.requirement_id) if isinstance(confirmation, _PAYMENTS) else None

    @property
    def settlement_batch_id(self) -> str | None:
        """Of the batch whose settlement it confirms, if it is one."""
        confirmation = self.confirmation
        return confirmation.settlement_batch_id if isinstance(confirmation, MeteredBatchSettled) else None

    @property
    def kind(self) -> str:
        return "ignored" if self.confirmation is None else self.confirmation.KIND


def read(envelope: Envelope) -> Incoming:
    """Raises MalformedEvent: bytes that no retry will ever make readable."""
    event = parse(envelope.raw)
    ignored = ignored_because(event)
    confirmation = None if ignored else classify(event)
    return Incoming(
        envelope=envelope,
        event=event,
        digest=hashlib.sha256(envelope.raw).digest(),
        occurred_at=parse_time(event.occurred_at),
        ignored=ignored,
        confirmation=confirmation,
    )


def parse_time(text: str | None) -> datetime | None:
    """An ISO 8601 time as the platform writes it, in UTC when it names no zone; None when it is no time."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is UTC:
            return time
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
