"""What became of each webhook event."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from shared.errors import KessaiError
from shared.ledger.books import Outcome
from shared.ledger.conditions import Conditions, endpoints_in
from shared.ledger.database import Connection
from shared.ledger.slices import EVENTS
from shared.sdrp.events import CONFIRMED

USUAL_KIND = "standard_settled"
"""Of most events: what `webhook_events_rare_kinds` and `webhook_events_rare_types` leave out."""

Place: TypeAlias = tuple[datetime, UUID]
"""Where an event stands in a list: when it was received, and the receipt."""


class EventNotFound(KessaiError):
    def __init__(self, event_id: str) -> None:
        super().__init__(f"no event {event_id!r} in the books: it never came, or it still waits in the queue")


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    endpoint: str
    event_id: str
    type: str
    kind: str
    outcome: str
    reason: str | None
    order_id: str | None
    occurred_at: datetime | None
    received_at: datetime
    applied_at: datetime
    deliveries: int
    """How often the platform delivered it."""
    receipt_id: UUID
    """The delivery that decided."""

    @property
    def place(self) -> Place:
        return self.received_at, self.receipt_id


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: those for which everything that is given holds."""

    outcome: str | None = None
    kind: str | None = None
    type: str | None = None
    endpoint: str | None = None
    order_id: str | None = None
    event_id: str | None = None
    challenge_hash: str | None = None
    """Events of the order that it pays, and those that a review or a dead letter keeps under it."""
    reason: str | None = None
    since: datetime | None = None
    """When they were received; the end is not included."""
    until: datetime | None = None


_COLUMNS = """endpoint, event_id, type, kind, outcome, reason, order_id, occurred_at, received_at, applied_at,
       deliveries, receipt_id"""
_AT_ANY_ENDPOINT = f"endpoint = ANY ({endpoints_in('kessai.webhook_events')})"

_OF_CHALLENGE = """
(endpoint, event_id) IN (
    SELECT paying.endpoint, paying.event_id
    FROM kessai.challenges
    JOIN kessai.webhook_events AS paying USING (order_id)
    WHERE challenge_hash = {0}
    UNION
    SELECT endpoint, event_id FROM kessai.reviews WHERE challenge_hash = {0}
    UNION
    SELECT endpoint, event_id FROM kessai.dead_letters WHERE challenge_hash = {0} AND event_id IS NOT NULL
)
"""


async def search(
    connection: Connection,
    wanted: EventFilter,
    *,
    limit: int,
    before: Place | None = None,
    down_to: Place | None = None,
) -> list[RecordedEvent]:
    """The newest events, by receipt; `before` is the place of the last one of the page before.

    `down_to` is the place of the last event to look at.

    An index leads to an order, an id, a challenge, a reason, a span of time, and to every outcome, kind and type but
    the usual one. By a rare endpoint alone events are read from the newest on until `limit` of them are found.
    """
    asked = _conditions(wanted)
    query = EVENTS.newest(_COLUMNS, asked, limit=limit, before=before, down_to=down_to)
    return [RecordedEvent(**dict(row)) for row in await connection.fetch(query, *asked.values)]


def _conditions(wanted: EventFilter) -> Conditions:
    where = Conditions()
    where.add_if_given("outcome = {}", wanted.outcome)
    if wanted.outcome not in (None, Outcome.APPLIED):
        where.add("outcome <> 'applied'")  # says that the partial index serves, whatever the parameter is
    where.add_if_given("kind = {}", wanted.kind)
    if wanted.kind not in (None, USUAL_KIND):
        where.add(f"kind <> '{USUAL_KIND}'")
    where.add_if_given("type = {}", wanted.type)
    if wanted.type not in (None, CONFIRMED):
        where.add(f"type <> '{CONFIRMED}'")
    where.add_if_given("endpoint = {}", wanted.endpoint)
    where.add_if_given("order_id = {}", wanted.order_id)
    where.add_if_given("event_id = {}", wanted.event_id)
    if wanted.event_id is not None and wanted.endpoint is None:
        where.add(_AT_ANY_ENDPOINT)
    where.add_if_given(_OF_CHALLENGE, wanted.challenge_hash)
    where.add_if_given("reason = {}", wanted.reason)
    where.add_if_given("received_at >= {}", wanted.since)
    where.add_if_given("received_at < {}", wanted.until)
    return where


async def find(connection: Connection, event_id: str, *, endpoint: str | None = None) -> RecordedEvent:
    """The event of this id; the newest when several endpoints know it. Raises EventNotFound."""
    found = await search(connection, EventFilter(event_id=event_id, endpoint=endpoint), limit=1)
    if not found:
        raise EventNotFound(event_id)
    return found[0]
