"""The checkout API as a shop's own system meets it, over books of the test's own and beside a simulated Siglume."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest
import pytest_asyncio

from deploy.sandbox.sandbox import Options, Sandbox
from shared.ledger import checkout_clients
from shared.ledger.database import Pool, connected
from tests.given import ENDPOINT
from tests.integration.checkout.servers import CheckoutServers, System
from tests.integration.ledger.books import TestBooks
from tests.integration.ledger.conftest import books, pool

__all__ = ["books", "pool"]


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """Its clock stands at the time when the test began."""
    async with Sandbox(Options()) as found:
        yield found


@pytest.fixture
async def token(pool: Pool) -> str:
    async with connected(pool) as connection:
        return await checkout_clients.add(connection, "shop", ENDPOINT, actor="test")


@pytest.fixture
async def servers(pool: Pool, sandbox: Sandbox) -> AsyncIterator[CheckoutServers]:
    async with AsyncExitStack() as stack:
        yield CheckoutServers(pool, sandbox, stack)


@pytest.fixture
async def system(servers: CheckoutServers, token: str) -> System:
    """The shop's backend, with a token."""
    return await servers.open(token)


async def lease_over(books: TestBooks) -> None:
    """As if whoever went to Siglume had been away for too long."""
    await books.rows("UPDATE kessai.checkout_attempts SET leased_until = now() - interval '1 second'")


async def trust_over(books: TestBooks, since: timedelta = timedelta(seconds=1)) -> None:
    """As if what is known of the sessions were old."""
    await books.rows("UPDATE kessai.checkout_attempts SET trusted_until = now() - $1::interval", since)
