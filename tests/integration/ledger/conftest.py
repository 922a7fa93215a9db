"""Books of the test's own: a clone of the migrated template, reached as the workers reach it."""

from collections.abc import AsyncIterator

import pytest

from shared.ledger.database import Pool, open_pool
from tests.integration.ledger.books import TestBooks


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    pool = await open_pool(database_url, application="test", size=8, statement_timeout=20.0, keys_only=True)
    yield pool
    pool.terminate()


@pytest.fixture
async def books(pool: Pool) -> TestBooks:
    """Of a shop that takes metered payments and checks its merchant."""
    return TestBooks(pool)
