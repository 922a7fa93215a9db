"""Where does an event go that could not be applied? To a later try, or to the dead letters."""

from dataclasses import dataclass

from shared.broker.envelope import Envelope, Failure, encode
from shared.broker.publisher import Outgoing
from shared.broker.topology import DEAD, DEAD_LETTER, RETRY_TIERS
from shared.endpoint_tables import ENDPOINT_NAME
from shared.errors import KessaiError
from shared.ledger.database import TransientConflict, UnacceptableRow
from shared.ledger.incoming import Incoming
from workers.confirmations.prepare import Poison


class UnknownEndpoint(KessaiError):
    """The door serves an endpoint that this worker was not told of: it cannot know what the shop allows."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """An event on its way out of the batch."""

    outgoing: Outgoing
    endpoint: str
    event_id: str | None
    failure: Failure
    retry_in: int | None
    """Seconds until it is tried again; None for a dead letter."""


def route(incoming: Incoming, error: Exception) -> SetAside:
    """What time may mend waits longer from tier to tier; the rest, and what outlived every tier, is a dead letter."""
    envelope = incoming.envelope
    failure = _failure(error)
    if _may_pass(error, envelope) and envelope.attempts < len(RETRY_TIERS):
        tier = RETRY_TIERS[envelope.attempts]
        later = envelope._replace(attempts=envelope.attempts + 1)
        outgoing = Outgoing(encode(later), exchange="", routing_key=tier.queue)
        return SetAside(outgoing, envelope.endpoint, incoming.event.id, failure, tier.seconds)
    return bury(envelope, failure)


def _may_pass(error: Exception, envelope: Envelope) -> bool:
    """Another worker may be in the way, or know an endpoint of this name before long."""
    if isinstance(error, UnknownEndpoint):
        return ENDPOINT_NAME.fullmatch(envelope.endpoint) is not None
    return isinstance(error, TransientConflict)


def bury_poison(poison: Poison) -> SetAside:
    return bury(poison.envelope, poison.failure)


def bury(envelope: Envelope, failure: Failure) -> SetAside:
    dead = envelope._replace(attempts=envelope.attempts + 1, failure=failure)
    outgoing = Outgoing(encode(dead), exchange=DEAD, routing_key=DEAD_LETTER)
    return SetAside(outgoing, envelope.endpoint, envelope.event_id, failure, None)


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
