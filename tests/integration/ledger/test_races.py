"""Several workers and the shop at once: nothing is done twice, nothing is stranded, nobody is deadlocked."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import asyncpg

from shared.ledger.database import TransientConflict
from shared.ledger.incoming import Incoming
from shared.ledger.orders import NewOrder, OrderNotPending
from tests.given import challenge_hash, incoming, new_order, payment, settlement
from tests.integration.ledger.books import TestBooks

T = TypeVar("T")

STRANDED = """
SELECT orders.order_id
FROM kessai.orders
JOIN kessai.challenges USING (order_id)
JOIN kessai.reviews USING (challenge_hash)
WHERE orders.state = 'pending' AND reviews.state = 'open' AND reason = 'unknown_challenge_hash'
"""


async def until_through(work: Callable[[], Awaitable[T]]) -> T:
    """Try again while others are in the way, as workers do. A deadlock is none of that: locks are taken in order."""
    for _ in range(20):
        try:
            return await work()
        except TransientConflict as conflict:
            if isinstance(conflict.__cause__, asyncpg.DeadlockDetectedError):
                raise
            await asyncio.sleep(random.uniform(0, 0.02))  # noqa: S311 - no secret
    raise AssertionError("others were in the way twenty times")


async def soon(work: Callable[[], Awaitable[T]]) -> T:
    await asyncio.sleep(random.uniform(0, 0.008))  # noqa: S311 - no secret
    return await until_through(work)


async def test_overlapping_batches_in_opposite_order_have_each_effect_once(books: TestBooks) -> None:
    numbers = range(60)
    await books.register(*(new_order(f"order-{n}") for n in numbers))
    deliveries = [incoming(payment(f"evt-{n}", f"order-{n}")) for n in numbers]
    deliveries += [incoming(payment(f"evt-{n}", f"order-{n}")) for n in numbers]  # delivered again
    deliveries += [incoming(payment(f"evt-x{n}", f"order-{n}", requirement_id=f"req-x{n}")) for n in numbers]
    workers = [_shuffled(deliveries, seed) for seed in range(6)]
    workers[1] = workers[0][::-1]
    await asyncio.gather(*(_work_through(books, pile) for pile in workers))
    assert Counter(order_id for order_id, _, _ in await books.moves()) == {f"order-{n}": 1 for n in numbers}
    names = Counter(name for name, _ in await books.told())
    assert names == {"order.paid": 60, "review.opened": 60}
    assert await books.value("SELECT count(*) FROM kessai.webhook_events") == 120
    assert await books.value("SELECT count(*) FROM kessai.reviews WHERE reason = 'second_payment'") == 60


async def test_one_requirement_pays_one_order_however_workers_meet(books: TestBooks) -> None:
    """Twenty requirements under three challenges each, in batches that cross, beside registrations of late orders."""
    numbers = range(20)
    await books.register(*(new_order(f"{n}-{name}") for n in numbers for name in "ab"))
    deliveries = [
        incoming(payment(f"evt-{n}-{name}", f"{n}-{name}", requirement_id=f"req-{n}"))
        for n in numbers
        for name in "abc"
    ]
    workers = [_shuffled(deliveries, seed) for seed in range(4)]
    workers[1] = workers[0][::-1]
    late = [soon(lambda n=n: books.register(new_order(f"{n}-c"))) for n in numbers]  # type: ignore[misc]
    await asyncio.gather(*(_work_through(books, pile) for pile in workers), *late)
    paid = await books.rows("SELECT requirement_id FROM kessai.orders WHERE state = 'paid'")
    assert sorted(row["requirement_id"] for row in paid) == sorted(f"req-{n}" for n in numbers)
    assert Counter(name for name, _ in await books.told())["order.paid"] == 20
    conflicts = await books.rows("SELECT event_id FROM kessai.reviews WHERE reason = 'requirement_conflict'")
    assert len(conflicts) == 40
    assert not await books.rows(STRANDED)


def _shuffled(deliveries: Sequence[Incoming], seed: int) -> list[Incoming]:
    return random.Random(seed).sample(deliveries, len(deliveries))  # noqa: S311 - no secret


async def _work_through(books: TestBooks, pile: Sequence[Incoming]) -> None:
    for start in range(0, len(pile), 20):
        batch = pile[start : start + 20]
        await until_through(lambda batch=batch: books.apply(*batch))  # type: ignore[misc]  # bound at once


async def test_a_payment_and_its_registration_may_meet_at_any_moment(books: TestBooks) -> None:
    for _ in range(12):
        names = [f"order-{random.getrandbits(40)}" for _ in range(12)]
        meetings = [
            work
            for name in names
            for work in (
                soon(lambda name=name: books.register(new_order(name))),  # type: ignore[misc]
                soon(lambda name=name: books.apply(payment(f"evt-{name}", name))),  # type: ignore[misc]
            )
        ]
        await asyncio.gather(*meetings)
    assert not await books.rows(STRANDED)
    assert await books.value("SELECT count(*) FROM kessai.orders WHERE state = 'paid'") == 144
    assert set(Counter(order_id for order_id, _, _ in await books.moves()).values()) == {1}
    assert Counter(name for name, _ in await books.told())["order.paid"] == 144
    assert await books.value("SELECT count(*) FROM kessai.webhook_events WHERE outcome = 'applied'") == 144
    assert await books.value("SELECT count(*) FROM kessai.reviews WHERE state = 'open'") == 0


async def test_batches_of_payments_and_of_registrations_may_cross(books: TestBooks) -> None:
    """Known orders and unknown ones in one batch, new orders and old ones in one registration."""
    for turn in range(15):
        old, young = f"old-{turn}", f"young-{turn}"
        await books.register(new_order(old))
        further = NewOrder(old, 1200, "JPY", "siglume", challenge_hash(f"{old}-again"))
        batch = [
            incoming(payment(f"evt-{old}", old)),
            incoming(payment(f"evt-{young}", young)),
            incoming(payment(f"evt-{old}-again", old, challenge_hash=challenge_hash(f"{old}-again"))),
        ]
        await asyncio.gather(
            soon(lambda: books.apply(*batch)),  # noqa: B023 - awaited within the turn
            soon(lambda: books.apply(*batch[::-1])),  # noqa: B023
            soon(lambda: books.register(new_order(young), further)),  # noqa: B023
        )
    assert not await books.rows(STRANDED)
    assert await books.value("SELECT count(*) FROM kessai.orders WHERE state = 'paid'") == 30
    assert set(Counter(order_id for order_id, _, _ in await books.moves()).values()) == {1}
    assert not await books.rows("SELECT FROM kessai.reviews WHERE state = 'open'")


async def test_a_cancellation_and_a_payment_may_meet(books: TestBooks) -> None:
    names = [f"order-{n}" for n in range(40)]
    await books.register(*map(new_order, names))

    async def cancelled(name: str) -> bool:
        try:
            await soon(lambda: books.cancel(name))
        except OrderNotPending:
            return False
        return True

    results = await asyncio.gather(
        *(cancelled(name) for name in names),
        *(soon(lambda name=name: books.apply(payment(f"evt-{name}", name))) for name in names),  # type: ignore[misc]
    )
    for name, was_cancelled in zip(names, results, strict=False):
        outcome, reason, _ = await books.outcome(f"evt-{name}")
        state = (await books.order(name)).state
        assert (state, outcome, reason) == (
            ("cancelled", "review", "paid_after_close") if was_cancelled else ("paid", "applied", None)
        )


async def test_conflicting_bytes_from_several_sides_are_told_once(books: TestBooks) -> None:
    await books.apply(*(payment(f"evt-{n}") for n in range(10)))
    conflicts = [payment(f"evt-{n}", amount_minor=1) for n in range(10)]
    await asyncio.gather(*(soon(lambda: books.apply(*conflicts)) for _ in range(6)))
    assert len(await books.rows("SELECT FROM kessai.reviews WHERE reason = 'event_id_conflict'")) == 10
    bodies = await books.rows("SELECT body::json ->> 'fact_id' AS fact_id FROM kessai.outbox")
    assert set(Counter(row["fact_id"] for row in bodies).values()) == {1}


async def test_a_batch_settled_from_several_sides_is_booked_once(books: TestBooks) -> None:
    await asyncio.gather(
        *(soon(lambda n=n: books.apply(settlement(f"evt-{n}"), settlement(f"evt-{n}-b", "batch-2"))) for n in range(6))  # type: ignore[misc]
    )
    outcomes = await books.rows("SELECT outcome, count(*) AS events FROM kessai.webhook_events GROUP BY outcome")
    assert {row["outcome"]: row["events"] for row in outcomes} == {"applied": 2, "duplicate": 10}
    assert [name for name, _ in await books.told()] == ["batch.settled"] * 2


async def test_one_order_registered_from_several_sides_is_one_order(books: TestBooks) -> None:
    await books.apply(payment())
    registered = await asyncio.gather(*(soon(lambda: books.register(new_order())) for _ in range(6)))
    assert sum(each.new for each in registered) == 1
    assert sum(each.applied for each in registered) == 1
    assert await books.moves() == [("order-1", "pending", "paid")]
