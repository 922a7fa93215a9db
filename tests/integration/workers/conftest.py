"""Workers of the test's own, on a database and a virtual host that nobody else has."""

from collections.abc import AsyncIterator

import pytest

from shared.broker import topology
from shared.broker.publisher import Publisher
from shared.ledger.database import Pool
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.conftest import books, pool
from tests.integration.workers.bench import Bench

__all__ = ["bench", "books", "pool"]


@pytest.fixture
async def bench(pool: Pool, books: TestBooks, amqp_url: str) -> AsyncIterator[Bench]:
    """Everything a role needs, with the topology declared."""
    await topology.declare(amqp_url)
    async with (
        Publisher(amqp_url, name="test", timeout=5) as publisher,
        Bench(amqp_url, pool, books, publisher) as bench,
    ):
        yield bench
