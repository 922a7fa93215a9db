"""Do the books agree with what was acknowledged? Nothing lost, nothing twice, nothing that was not sent."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import psycopg
from psycopg.rows import TupleRow

from tests.faults.recovery.load import APPLIED, DEAD_LETTER, REVIEW, Load, Order, Webhook
from tests.given import ENDPOINT

Thing = TypeVar("Thing")

PAID, UNSETTLED, PENDING = "paid", "fulfilled_unsettled", "pending"


@dataclass(frozen=True, slots=True)
class Row:
    """One event as the books tell it."""

    outcome: str
    reason: str | None
    deliveries: int


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that an effect leaves behind."""

    events: Mapping[str, Row]
    archive: Counter[tuple[str, bytes]]
    """Event id and bytes."""
    orders: Mapping[str, tuple[str, int]]
    """State and amount."""
    moves: Counter[str]
    """Orders, once for each move in the audit."""
    facts: Counter[tuple[str, str]]
    """Name and subject of what the outbox holds."""
    waiting_facts: int
    reviews: Counter[tuple[str, str]]
    """Event id and reason."""
    letters: Counter[bytes]
    usage: Counter[str]
    """Orders."""
    batches: Counter[str]

    def effects(self) -> tuple[object, ...]:
        """All but how often something was delivered and told: what another delivery must not change."""
        events = {event_id: (row.outcome, row.reason) for event_id, row in self.events.items()}
        told = (self.facts, self.reviews, self.letters, self.usage, self.batches)
        return events, self.archive, self.orders, self.moves, *told


def read_books(url: str) -> Books:
    """All of it at one moment."""
    with psycopg.connect(url) as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")

        def rows(query: str) -> list[TupleRow]:
            return connection.execute(query.encode()).fetchall()

        def count(query: str) -> Counter[str]:
            return Counter(row[0] for row in rows(query))

        events = rows("SELECT endpoint, event_id, outcome, reason, deliveries FROM kessai.webhook_events")
        assert {row[0] for row in events} <= {ENDPOINT}, "somebody else's events"
        return Books(
            events={row[1]: Row(*row[2:]) for row in events},
            archive=Counter(map(_pair, rows("SELECT event_id, raw FROM kessai.webhook_archive"))),
            orders={
                row[0]: (row[1], row[2]) for row in rows("SELECT order_id, state, amount_minor FROM kessai.orders")
            },
            moves=count("SELECT subject FROM kessai.audit WHERE action = 'order.moved'"),
            facts=Counter(map(_pair, rows("SELECT name, subject FROM kessai.outbox"))),
            waiting_facts=len(rows("SELECT FROM kessai.outbox WHERE published_at IS NULL")),
            reviews=Counter(map(_pair, rows("SELECT event_id, reason FROM kessai.reviews"))),
            letters=Counter(row[0] for row in rows("SELECT raw FROM kessai.dead_letters")),
            usage=count("SELECT order_id FROM kessai.metered_usage"),
            batches=count("SELECT settlement_batch_id FROM kessai.settlement_batches"),
        )


def _pair(row: TupleRow) -> TupleRow:
    return row[0], row[1]


def violations(load: Load, acknowledged: Counter[Webhook], books: Books) -> list[str]:
    """Each broken promise in a line; `acknowledged` counts the 204s of each webhook of the load."""
    events = {webhook.event_id: webhook for webhook in load.webhooks if webhook.event_id}
    mine = [webhook for webhook in acknowledged if webhook.event_id]
    applied = [webhook for webhook in mine if webhook.fate == APPLIED]
    return [
        *_told("acknowledged and lost", {webhook.event_id for webhook in mine} - books.events.keys()),
        *_told("in the books and never sent", books.events.keys() - events.keys()),
        *_told("another outcome than its own", _other_fates(mine, books)),
        *_told("a 204 that is not counted", _uncounted(acknowledged, books)),
        *_differ("archived bytes", Counter((webhook.event_id, webhook.raw) for webhook in mine), books.archive),
        *_differ("moves", Counter(webhook.subject for webhook in applied if "order" in webhook.fact), books.moves),
        *_differ("facts", Counter((webhook.fact, webhook.subject) for webhook in mine if webhook.fact), books.facts),
        *([f"{books.waiting_facts} facts wait"] if books.waiting_facts else []),
        *_differ("reviews", _explained_reviews(mine), books.reviews),
        *_differ("metered usage", _subjects(applied, "order.fulfilled_unsettled"), books.usage),
        *_differ("settlement batches", _subjects(applied, "batch.settled"), books.batches),
        *_letters(acknowledged, books),
        *_orders(load, applied, books),
    ]


def _other_fates(mine: Iterable[Webhook], books: Books) -> set[str]:
    """Events of one subject come in any order: together they have the fates that they should."""
    expected: defaultdict[str, Counter[str]] = defaultdict(Counter)
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for webhook in mine:
        expected[webhook.subject][webhook.fate] += 1
        if webhook.event_id in books.events:
            found[webhook.subject][books.events[webhook.event_id].outcome] += 1
    return {subject for subject in expected if expected[subject] != found[subject]}


def _uncounted(acknowledged: Counter[Webhook], books: Books) -> set[str]:
    """Each 204 is a receipt that a worker has seen, the repeated ones too."""
    return {
        webhook.event_id
        for webhook, times in acknowledged.items()
        if webhook.event_id in books.events and books.events[webhook.event_id].deliveries < times
    }


def _explained_reviews(mine: Iterable[Webhook]) -> Counter[tuple[str, str]]:
    return Counter((webhook.event_id, "unknown_challenge_hash") for webhook in mine if webhook.fate == REVIEW)


def _subjects(applied: Iterable[Webhook], fact: str) -> Counter[str]:
    return Counter(webhook.subject for webhook in applied if webhook.fact == fact)


def _letters(acknowledged: Counter[Webhook], books: Books) -> Iterator[str]:
    """One dead letter for each receipt; a receipt whose 204 was lost on the way is one more."""
    due = Counter({webhook.raw: times for webhook, times in acknowledged.items() if webhook.fate == DEAD_LETTER})
    yield from _told("a dead letter lost", due - books.letters)
    yield from _told("a dead letter that the load does not explain", books.letters.keys() - due.keys())


def _orders(load: Load, applied: Iterable[Webhook], books: Books) -> Iterator[str]:
    paid = {webhook.subject for webhook in applied}
    expected = {
        order.order_id: (_state(order) if order.order_id in paid else PENDING, order.amount_minor)
        for order in load.orders
    }
    yield from _told("an order in another state", {key for key in expected if books.orders.get(key) != expected[key]})
    due = sum(order.amount_minor for order in load.orders if order.is_paid and order.order_id in paid)
    booked = sum(amount for state, amount in books.orders.values() if state == PAID)
    if due != booked:
        yield f"{due} yen of distinct payments were acknowledged, {booked} are booked"


def _state(order: Order) -> str:
    return PAID if order.is_paid else UNSETTLED


def _differ(what: str, expected: Counter[Thing], found: Counter[Thing]) -> Iterator[str]:
    yield from _told(f"{what} missing", (expected - found).elements())
    yield from _told(f"{what} too many", (found - expected).elements())


def _told(what: str, which: Iterable[object]) -> Iterator[str]:
    some = sorted(map(repr, which))
    if some:
        yield f"{what}: {len(some)}, e.g. {some[0][:200]}"
