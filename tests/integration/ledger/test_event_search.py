"""Events are found by whatever a person knows of them, page by page, and their kept deliveries with them."""

from datetime import timedelta

import asyncpg
import pytest

from shared.broker.envelope import Failure
from shared.ledger import dead_letters, events, receipts
from shared.ledger.database import connected
from shared.ledger.events import EventFilter
from shared.ledger.incoming import read
from shared.ledger.slices import EVENTS
from tests.given import NOW, challenge_hash, envelope, incoming, new_order, payment, settlement, usage
from tests.integration.ledger.books import TestBooks

REFUSED = Failure("handler_error", "KeyError")


@pytest.fixture
async def busy_books(books: TestBooks) -> TestBooks:
    """An event of each outcome, a minute apart."""
    await books.register(new_order("order-1"), new_order("order-2", 200))
    await books.apply(
        *(
            incoming(raw, received_at=NOW + timedelta(minutes=minute))
            for minute, raw in enumerate(
                (
                    payment("paid", "order-1"),
                    usage("used", "order-2"),
                    settlement("settled"),
                    payment("stray", "order-3"),
                    payment("again", "order-1"),
                )
            )
        )
    )
    async with connected(books.pool) as connection:
        dead = envelope(payment("dead", "order-1"), endpoint="tea_shop", received_at=NOW + timedelta(minutes=5))
        await dead_letters.archive(connection, [(dead, REFUSED)])
    await books.rows("UPDATE kessai.dead_letters SET challenge_hash = $1", challenge_hash("order-1"))
    return books


async def found(books: TestBooks, wanted: EventFilter, *, limit: int = 100) -> list[str]:
    async with connected(books.pool) as connection:
        return [event.event_id for event in await events.search(connection, wanted, limit=limit)]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (EventFilter(), ["dead", "again", "stray", "settled", "used", "paid"]),
        (EventFilter(outcome="applied"), ["settled", "used", "paid"]),
        (EventFilter(outcome="review"), ["stray"]),
        (EventFilter(outcome="dead_letter"), ["dead"]),
        (EventFilter(kind="metered_usage_accepted"), ["used"]),
        (EventFilter(kind="standard_settled", endpoint="siglume"), ["again", "stray", "paid"]),
        (EventFilter(type="direct_payment.confirmed", endpoint="tea_shop"), ["dead"]),
        (EventFilter(type="direct_payment.spent"), []),
        (EventFilter(order_id="order-1"), ["again", "paid"]),
        (EventFilter(event_id="dead"), ["dead"]),
        (EventFilter(event_id="dead", endpoint="siglume"), []),
        (EventFilter(reason="unknown_challenge_hash"), ["stray"]),
        (EventFilter(challenge_hash=challenge_hash("order-1")), ["dead", "again", "paid"]),
        (EventFilter(challenge_hash=challenge_hash("order-3")), ["stray"]),
        (EventFilter(challenge_hash="sha256:nobody's"), []),
        (EventFilter(since=NOW + timedelta(minutes=1), until=NOW + timedelta(minutes=3)), ["settled", "used"]),
        (EventFilter(order_id="order-1", outcome="duplicate", since=NOW, kind="standard_settled"), ["again"]),
        (EventFilter(event_id="%", reason="' OR true --"), []),
    ],
)
async def test_everything_that_is_given_holds(busy_books: TestBooks, wanted: EventFilter, ids: list[str]) -> None:
    assert await found(busy_books, wanted) == ids


async def test_pages_hold_each_event_once_even_of_one_moment(books: TestBooks) -> None:
    await books.apply(*(payment(f"evt-{number}", f"order-{number}") for number in range(7)))
    seen: list[str] = []
    async with connected(books.pool) as connection:
        page = await events.search(connection, EventFilter(outcome="review"), limit=3)
        while page:
            seen += [event.event_id for event in page]
            page = await events.search(connection, EventFilter(outcome="review"), limit=3, before=page[-1].place)
    assert sorted(seen) == sorted(f"evt-{number}" for number in range(7))


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (EventFilter(outcome="review"), "webhook_events_not_applied"),
        (EventFilter(kind="unknown"), "webhook_events_rare_kinds"),
    ],
)
async def test_a_plan_for_any_value_still_uses_the_partial_index(
    database_url: str, wanted: EventFilter, index: str
) -> None:
    """Postgres drops the values from a plan that is used often, and with them what proves that the index serves."""
    asked = events._conditions(wanted)
    query = EVENTS.newest("event_id", asked, limit=50)
    given = ", ".join(repr(value) for value in asked.values)
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off")
        await connection.execute(f"PREPARE search AS {query}")
        plan = await connection.fetch(f"EXPLAIN EXECUTE search ({given})")
    finally:
        await connection.close()
    assert any(index in line[0] for line in plan), plan


async def kept(books: TestBooks, event_id: str, endpoint: str = "siglume") -> list[receipts.Receipt]:
    async with connected(books.pool) as connection:
        return await receipts.of_event(connection, endpoint, event_id)


async def test_deliveries_with_bytes_of_their_own_are_kept_verbatim(books: TestBooks) -> None:
    await books.register(new_order())
    first, repeated = incoming(payment()), incoming(payment())
    other = incoming(payment(amount_minor=1), received_at=NOW + timedelta(seconds=1))
    await books.apply(first, repeated, other)
    found = await kept(books, "evt-1")
    assert [(each.receipt_id, each.raw, each.signature, each.kept_in) for each in found] == [
        (each.envelope.receipt_id, each.envelope.raw, each.envelope.signature, "archive") for each in (first, other)
    ]


async def test_conflicting_bytes_that_come_again_are_listed_each_time(books: TestBooks) -> None:
    """Nothing but the archive knows of the second delivery: the review names the first."""
    await books.register(new_order())
    deliveries = [
        incoming(payment(amount_minor=amount), received_at=NOW + timedelta(minutes=minute))
        for minute, amount in enumerate((1200, 1, 1, 2))
    ]
    for delivery in deliveries:
        await books.apply(delivery)
    await books.apply(deliveries[2])  # the broker delivers it again
    assert [each.receipt_id for each in await kept(books, "evt-1")] == [
        delivery.envelope.receipt_id for delivery in deliveries
    ]


async def test_a_dead_letter_keeps_its_delivery_and_names_it_once_when_it_is_applied(books: TestBooks) -> None:
    await books.register(new_order())
    dead = envelope(payment())
    async with connected(books.pool) as connection:
        await dead_letters.archive(connection, [(dead, REFUSED)])
    assert [(each.receipt_id, each.kept_in) for each in await kept(books, "evt-1")] == [
        (dead.receipt_id, "dead_letters")
    ]
    await books.apply(read(dead))
    assert [(each.receipt_id, each.kept_in) for each in await kept(books, "evt-1")] == [(dead.receipt_id, "archive")]
