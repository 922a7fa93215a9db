"""A stall of the test's own, on real books."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from shared.sdrp.api.checkout import CheckoutSession
from shared.sdrp.api.clients import MerchantClient
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.conftest import books, pool
from tests.integration.sweep.stall import Answers, Stall, open_stall
from tests.integration.workers.conftest import bench

__all__ = ["bench", "books", "pool"]


@pytest_asyncio.fixture
async def stall(books: TestBooks) -> AsyncIterator[Stall]:
    """Its clock stands at the time when the test began."""
    async with open_stall(books) as found:
        yield found


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    instead: Answers = {}
    ask = MerchantClient.get_checkout_session

    async def answer(client: MerchantClient, session_id: str) -> CheckoutSession:
        if session_id in instead:
            raise instead[session_id]
        return await ask(client, session_id)

    monkeypatch.setattr(MerchantClient, "get_checkout_session", answer)
    return instead
