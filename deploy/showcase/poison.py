"""Poison messages that did not come from an ingress; a worker that trusted them would stop."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from deploy.sending.events import build, dump
from deploy.sending.kinds import Kind
from deploy.showcase.scene import fate
from shared.broker.envelope import Envelope, encode
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.topology import CONFIRMATION, EVENTS

SCENE, TITLE = "poison", "poison put on the queue"
EACH = 4


@dataclass(frozen=True, slots=True)
class Poison:
    """One message, the bytes that its dead letter must keep, and its outcome."""

    message: bytes
    kept: bytes
    fate: str


def poison_messages(run: str, now: datetime) -> list[Poison]:
    return [message for number in range(EACH) for message in _one_of_each(f"{run}_{SCENE}_{number}", now)]


def fates(messages: list[Poison]) -> Counter[str]:
    return Counter(message.fate for message in messages)


async def publish(messages: list[Poison], amqp_url: str) -> None:
    """Publish them to the queue of the confirmations. Raises BrokerUnavailable."""
    async with Publisher(amqp_url, name="kessai demo") as publisher:
        outgoing = [Outgoing(each.message, exchange=EVENTS, routing_key=CONFIRMATION) for each in messages]
        for refused in await publisher.publish_many(outgoing):
            if refused is not None:
                raise refused


def _one_of_each(key: str, now: datetime) -> list[Poison]:
    foreign = f"not one of ours: {key}".encode()
    no_event = f'["{key}"]'.encode()
    event = dump(build(Kind.STANDARD_SETTLED, key=key, at=now))
    return [
        Poison(foreign, foreign, fate("dead letter", "unreadable_envelope")),
        Poison(_enveloped(no_event, now), no_event, fate("dead letter", "malformed:not_an_object")),
        Poison(_enveloped(event, now, signature="\0"), event, fate("dead letter", "unacceptable_row")),
    ]


def _enveloped(raw: bytes, now: datetime, *, signature: str = "t=0") -> bytes:
    """A signature with a NUL is text that Postgres always refuses."""
    return encode(Envelope(uuid4(), "siglume", now, signature, "0" * 12, raw))
