"""Which exchanges, queues and bindings Kessai needs in RabbitMQ, and whether they are there.

Arguments are declared with the queues, not set by policy: see deploy/decisions/0001-broker-topology.md.
"""

from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from aiormq.connection import Connection
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from yarl import URL

from shared.broker.wire import call
from shared.errors import BrokerUnavailable, KessaiError

EVENTS = "kessai.events"
DEAD = "kessai.dead"
REVIEWS = "kessai.reviews"
ORDERS = "kessai.orders"
"""The topic exchange that the merchant's own systems subscribe to."""

CONFIRMATION, REPLAY, DEAD_LETTER = "confirmation", "replay", "dead-letter"
"""Routing keys."""

CONFIRMATIONS_QUEUE = "kessai.confirmations"
REPLAYS_QUEUE = "kessai.replays"
DEAD_LETTERS_QUEUE = "kessai.dead-letters"
CONSUMER_ROLES = MappingProxyType(
    {CONFIRMATIONS_QUEUE: "confirmations", REPLAYS_QUEUE: "confirmations", DEAD_LETTERS_QUEUE: "dead-letters"}
)
"""Each queue that must have a consumer, with the worker role that consumes it."""
REVIEW_QUEUES = ("unknown", "metered", "mismatch")

DELIVERY_LIMIT = 20
"""Deliveries that a worker may fail (by dying) before a message is dead-lettered."""
NO_DELIVERY_LIMIT = 1_000_000_000
"""In effect none. RabbitMQ 4 limits to 20 unless told otherwise, and -1 means "none" to it alone: 3.x reads a limit."""
REVIEWS_KEPT = 10_000
TIMEOUT = 15.0
"""Seconds for each step of a declaration or a verification."""

Arguments = Mapping[str, str | int]


class TopologyMismatch(KessaiError):
    """RabbitMQ's exchanges and queues are not what Kessai needs; the message names each and what to do."""


@dataclass(frozen=True, slots=True)
class RetryTier:
    """A queue that nobody consumes: its messages go back to the confirmations when their time is over."""

    queue: str
    seconds: int


RETRY_TIERS = (
    RetryTier("kessai.retry.10s", 10),
    RetryTier("kessai.retry.1m", 60),
    RetryTier("kessai.retry.10m", 600),
)
"""Published to through the default exchange (`exchange=""`), the queue's name being the routing key."""


@dataclass(frozen=True, slots=True)
class Exchange:
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Queue:
    name: str
    arguments: Arguments = field(hash=False)


@dataclass(frozen=True, slots=True)
class Binding:
    exchange: str
    routing_key: str
    queue: str


@dataclass(frozen=True, slots=True)
class Topology:
    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]


def _quorum(**arguments: str | int) -> Arguments:
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    return MappingProxyType({"x-queue-type": "quorum", **named})


def _dead_lettered_to(exchange: str, routing_key: str, **arguments: str | int) -> Arguments:
    """At-least-once dead-lettering needs `reject-publish`: with drop-head it silently becomes at-most-once."""
    return _quorum(
        dead_letter_exchange=exchange,
        dead_letter_routing_key=routing_key,
        dead_letter_strategy="at-least-once",
        overflow="reject-publish",
        delivery_limit=DELIVERY_LIMIT,
        **arguments,
    )


def _review_queue(queue: str) -> Queue:
    """A bounded notice board; the reviews themselves are in the books."""
    arguments = _quorum(max_length=REVIEWS_KEPT, overflow="drop-head", delivery_limit=DELIVERY_LIMIT)
    return Queue(f"{REVIEWS}.{queue}", arguments)


KESSAI = Topology(
    exchanges=(
        Exchange(EVENTS, "direct"),
        Exchange(DEAD, "direct"),
        Exchange(REVIEWS, "topic"),
        Exchange(ORDERS, "topic"),
    ),
    queues=(
        Queue(DEAD_LETTERS_QUEUE, _quorum(overflow="reject-publish", delivery_limit=NO_DELIVERY_LIMIT)),
        Queue(CONFIRMATIONS_QUEUE, _dead_lettered_to(DEAD, DEAD_LETTER)),
        Queue(REPLAYS_QUEUE, _dead_lettered_to(DEAD, DEAD_LETTER)),
        *(
            Queue(tier.queue, _dead_lettered_to(EVENTS, CONFIRMATION, message_ttl=tier.seconds * 1000))
            for tier in RETRY_TIERS
        ),
        *(_review_queue(queue) for queue in REVIEW_QUEUES),
    ),
    bindings=(
        Binding(DEAD, DEAD_LETTER, DEAD_LETTERS_QUEUE),
        Binding(EVENTS, CONFIRMATION, CONFIRMATIONS_QUEUE),
        Binding(EVENTS, REPLAY, REPLAYS_QUEUE),
        *(Binding(REVIEWS, f"review.opened.{queue}", f"{REVIEWS}.{queue}") for queue in REVIEW_QUEUES),
    ),
)


async def ensure(url: str, *, may_declare: bool) -> None:
    """Create what is missing, or only check where Kessai may not create. Raises TopologyMismatch, BrokerUnavailable."""
    await (declare(url) if may_declare else verify(url))


async def declare(url: str, topology: Topology = KESSAI) -> None:
    """Create what is missing. Raises TopologyMismatch where something is there in another form."""
    connection = await _connect(url)
    try:
        problems = [
            *[await _try_exchange(connection, each, passive=False) for each in topology.exchanges],
            *[await _try_queue(connection, each, passive=False) for each in topology.queues],
        ]
        _raise_for(problems)
        await call("bind the queues", _bind(connection, topology.bindings), timeout=TIMEOUT)
    finally:
        await _disconnect(connection)


async def verify(url: str, topology: Topology = KESSAI) -> None:
    """Raises TopologyMismatch unless every exchange and queue is there in the form needed; creates nothing.

    AMQP cannot ask for a binding. A missing one shows itself in the first publish, which is refused as unroutable.
    """
    connection = await _connect(url)
    try:
        problems = [
            *[await _check_exchange(connection, each) for each in topology.exchanges],
            *[await _check_queue(connection, each) for each in topology.queues],
        ]
        _raise_for(problems)
    finally:
        await _disconnect(connection)


def _raise_for(problems: list[str | None]) -> None:
    found = [problem for problem in problems if problem is not None]
    if found:
        raise TopologyMismatch("; ".join(found))


async def _check_exchange(connection: Connection, exchange: Exchange) -> str | None:
    """Checked passively first: an active declaration would create what is missing."""
    missing = await _try_exchange(connection, exchange, passive=True)
    return missing or await _try_exchange(connection, exchange, passive=False)


async def _check_queue(connection: Connection, queue: Queue) -> str | None:
    missing = await _try_queue(connection, queue, passive=True)
    return missing or await _try_queue(connection, queue, passive=False)


async def _try_exchange(connection: Connection, exchange: Exchange, *, passive: bool) -> str | None:
    async def declare_it() -> None:
        channel = await connection.channel(publisher_confirms=False)
        await channel.exchange_declare(exchange.name, exchange_type=exchange.kind, durable=True, passive=passive)
        await channel.close()

    return await _try(f"exchange {exchange.name}", declare_it())


async def _try_queue(connection: Connection, queue: Queue, *, passive: bool) -> str | None:
    async def declare_it() -> None:
        channel = await connection.channel(publisher_confirms=False)
        await channel.queue_declare(queue.name, durable=True, passive=passive, arguments=dict(queue.arguments))
        await channel.close()

    return await _try(f"queue {queue.name}", declare_it())


async def _bind(connection: Connection, bindings: Sequence[Binding]) -> None:
    channel = await connection.channel(publisher_confirms=False)
    for each in bindings:
        await channel.queue_bind(each.queue, each.exchange, each.routing_key)


async def _try(thing: str, declaration: Coroutine[Any, Any, None]) -> str | None:
    try:
        await call(f"check {thing}", declaration, timeout=TIMEOUT)
    except BrokerUnavailable as error:
        return _problem(thing, error)
    return None


def _problem(thing: str, error: BrokerUnavailable) -> str:
    """A message for RabbitMQ's refusal; any other error is an outage and is raised."""
    match error.__cause__:
        case ChannelNotFoundEntity():
            return f"{thing} is missing: run `kessai topology apply`"
        case ChannelPreconditionFailed() as refusal:
            return (
                f"{thing} is there in another form ({refusal}): drain and delete it, then run `kessai topology apply`"
            )
        case _:
            raise error


async def _connect(url: str) -> Connection:
    connection = Connection(URL(url).update_query(heartbeat=20, name="kessai topology"))
    await call("connect to RabbitMQ", connection.connect(), timeout=TIMEOUT)
    return connection


async def _disconnect(connection: Connection) -> None:
    with suppress(BrokerUnavailable):  # all that mattered has been answered
        await call("close the connection to RabbitMQ", connection.close(), timeout=TIMEOUT)
