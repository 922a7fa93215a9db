"""A payment that a person has sent back moves no order, whenever and however its webhook comes."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.ledger import resolve
from shared.ledger.database import connected
from shared.ledger.decisions import Decision, Resolution
from tests.given import NOW, new_order, payment, session
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.desk import ANN, Desk

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def desk(books: TestBooks) -> Desk:
    return Desk(books)


async def while_rejecting(books: TestBooks, review_id: int, work: Callable[[], Awaitable[object]]) -> None:
    """Begin work as a rejection is written, and commit the rejection once the work waits for it."""
    async with connected(books.pool) as connection:
        async with connection.transaction():
            decision = Decision(Resolution.REJECT, "sent back")
            await resolve.resolve(connection, review_id, decision, actor=ANN, shops=books.shops, now=NOW)
            working = asyncio.ensure_future(work())
            async with asyncio.timeout(10):
                while not await books.value(WAITING):
                    await asyncio.sleep(0.01)
        await working


async def test_a_webhook_that_waits_for_its_rejection_to_commit_moves_nothing(books: TestBooks, desk: Desk) -> None:
    """The worker's statement begins before the rejection is committed, and gets the order's lock after it."""
    await books.register(new_order("order-1"), new_order("order-2"))
    review_id = await desk.miss(session())
    batch = [payment("evt-1"), payment("evt-2", "order-2")]
    await while_rejecting(books, review_id, lambda: books.apply(*batch))
    assert await books.outcome("evt-1") == ("review", "rejected_payment", "order-1")
    assert [order_id for order_id, _, _ in await books.moves()] == ["order-2"]
