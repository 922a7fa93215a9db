"""The admin API as scripts meet it, in this process, over books of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from aiohttp.test_utils import TestServer

from ingress.api.failures import Failures
from ingress.console.access.origins import OriginPolicy
from ingress.console.exporter import EXPORTS_AT_ONCE
from shared.ledger import api_tokens
from shared.ledger.database import Pool, connected
from tests.integration.api.client import ApiClient, console
from tests.integration.console.conftest import pool
from tests.integration.ledger.books import TestBooks

__all__ = ["books", "connect", "pool"]

Connect: TypeAlias = Callable[..., Awaitable[ApiClient]]


@pytest.fixture
async def books(pool: Pool) -> TestBooks:
    return TestBooks(pool)


@pytest.fixture
async def connect(pool: Pool) -> AsyncIterator[Connect]:
    """`await connect("otto")` has a token of otto, `await connect()` has none. All use one console."""
    async with AsyncExitStack() as stack:
        servers: list[TestServer] = []

        async def connect(
            name: str | None = None,
            *,
            origins: OriginPolicy | None = None,
            failures: Failures | None = None,
            approvals: int = 1,
            exports_at_once: int = EXPORTS_AT_ONCE,
        ) -> ApiClient:
            if not servers:
                made = console(
                    pool, origins=origins, failures=failures, approvals=approvals, exports_at_once=exports_at_once
                )
                servers.append(TestServer(made.app))
                await servers[0].start_server()
                stack.push_async_callback(servers[0].close)
            token = None
            if name is not None:
                async with connected(pool) as connection:
                    token = await api_tokens.add(
                        connection, name, f"test-{len(await api_tokens.everyone(connection))}", actor="test"
                    )
            client = ApiClient(servers[0], token)
            stack.push_async_callback(client.session.close)
            return client

        yield connect
