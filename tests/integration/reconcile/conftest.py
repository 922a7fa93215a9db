"""Books of the test's own, and an account whose statements they are compared with."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.ledger.conftest import books, pool
from tests.integration.reconcile.account import Account, account

__all__ = ["books", "pool"]


@pytest.fixture
async def there() -> AsyncIterator[Account]:
    async with account() as found:
        yield found
