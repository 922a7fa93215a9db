"""A stall of the test's own, on real books."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.conftest import books, pool
from tests.integration.sweep.stall import Stall, open_stall
from tests.integration.workers.conftest import bench

__all__ = ["bench", "books", "pool"]


@pytest_asyncio.fixture
async def stall(books: TestBooks) -> AsyncIterator[Stall]:
    """Its clock stands at the time when the test began."""
    async with open_stall(books) as found:
        yield found
