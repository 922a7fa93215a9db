"""Where does an event go that could not be applied? To a retry queue, or to the dead letters."""

from dataclasses import dataclass

from shared.broker.envelope import Envelope, Failure, encode
from shared.broker.publisher import Outgoing
from shared.broker.topology import DEAD, DEAD_LETTER, RETRY_TIERS
from shared.endpoint_tables import ENDPOINT_NAME
from shared.errors import KessaiError
from shared.ledger.database import BlockedByLock, TransientConflict, UnacceptableRow
from shared.ledger.incoming import Incoming
from workers.confirmations.prepare import Poison


class UnknownEndpoint(KessaiError):
    """The ingress serves an endpoint that is missing in this worker's settings, so its policy is unknown."""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that could not be applied, and the message that takes it to a retry or to the dead letters."""

    outgoing: Outgoing
    endpoint: str
    event_id: str | None
    failure: Failure
    retry_in: int | None
    """Seconds until it is tried again; None for a dead letter."""


def retry_or_dead_letter(incoming: Incoming, error: Exception) -> FailedEvent:
    """To the next retry queue where a later try may succeed and one is left; otherwise to the dead letters.

    An event that a lock blocks never becomes a dead letter: it stays in the last tier until the lock is released.
    """
    envelope = incoming.envelope
    failure = _failure(error)
    last = len(RETRY_TIERS) - 1
    if _may_succeed_later(error, envelope) and (envelope.attempts <= last or isinstance(error, BlockedByLock)):
        tried = min(envelope.attempts, last)
        tier = RETRY_TIERS[tried]
        later = envelope._replace(attempts=tried + 1)
        outgoing = Outgoing(encode(later), exchange="", routing_key=tier.queue)
        return FailedEvent(outgoing, envelope.endpoint, incoming.event.id, failure, tier.seconds)
    return dead_letter(envelope, failure)


def _may_succeed_later(error: Exception, envelope: Envelope) -> bool:
    """Another transaction may be in the way, or an endpoint of this name may be configured soon."""
    if isinstance(error, UnknownEndpoint):
        return ENDPOINT_NAME.fullmatch(envelope.endpoint) is not None
    return isinstance(error, TransientConflict)


def dead_letter_poison(poison: Poison) -> FailedEvent:
    return dead_letter(poison.envelope, poison.failure)


def dead_letter(envelope: Envelope, failure: Failure) -> FailedEvent:
    dead = envelope._replace(attempts=envelope.attempts + 1, failure=failure)
    outgoing = Outgoing(encode(dead), exchange=DEAD, routing_key=DEAD_LETTER)
    return FailedEvent(outgoing, envelope.endpoint, envelope.event_id, failure, None)


def _failure(error: Exception) -> Failure:
    name = type(error.__cause__ or error).__name__
    match error:
        case TransientConflict():
            return Failure("retries_exhausted", name, str(error))
        case UnknownEndpoint():
            return Failure("unknown_endpoint", name, str(error))
        case UnacceptableRow():
            return Failure("unacceptable_row", name)
        case _:
            return Failure("handler_error", name)
