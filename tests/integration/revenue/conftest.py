"""Books of the test's own, and the statements of their endpoint."""

from collections.abc import AsyncIterator

import pytest

from shared.ledger.database import Pool, open_pool
from tests.integration.ledger.books import TestBooks
from tests.integration.revenue.accounts import Accounts


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database_url, application="test", size=8, statement_timeout=20.0, keys_only=True)
    yield pool
    pool.terminate()


@pytest.fixture
async def books(pool: Pool) -> TestBooks:
    return TestBooks(pool)


@pytest.fixture
async def accounts(books: TestBooks) -> Accounts:
    return Accounts(books)
