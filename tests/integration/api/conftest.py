"""The admin API as scripts meet it, in this process, over books of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from aiohttp.test_utils import TestServer

from ingress.console.access.limits import Failures
from ingress.console.access.requests import Frontier
from shared.ledger import api_tokens
from shared.ledger.database import Pool, connected, open_pool
from tests.integration.api.script import Script, console
from tests.integration.console.furnished import let_in
from tests.integration.ledger.books import TestBooks

Line: TypeAlias = Callable[..., Awaitable[Script]]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """As the console reaches the books, with one person of each role: vera reads, otto acts, ada manages."""
    pool = await open_pool(database_url, application="test", size=8, statement_timeout=20.0, keys_only=True)
    await let_in(pool)
    yield pool
    pool.terminate()


@pytest.fixture
async def books(pool: Pool) -> TestBooks:
    return TestBooks(pool)


@pytest.fixture
async def line(pool: Pool) -> AsyncIterator[Line]:
    """`await line("otto")` is a script with a token of otto's; `await line()` has none. One console for all of them."""
    async with AsyncExitStack() as stack:
        servers: list[TestServer] = []

        async def connect(
            name: str | None = None,
            *,
            frontier: Frontier | None = None,
            failures: Failures | None = None,
            approvals: int = 1,
        ) -> Script:
            if not servers:
                servers.append(TestServer(console(pool, frontier=frontier, failures=failures, approvals=approvals).app))
                await servers[0].start_server()
                stack.push_async_callback(servers[0].close)
            token = None
            if name is not None:
                async with connected(pool) as connection:
                    token = await api_tokens.add(
                        connection, name, f"test-{len(await api_tokens.everyone(connection))}", actor="test"
                    )
            script = Script(servers[0], token)
            stack.push_async_callback(script.session.close)
            return script

        yield connect
