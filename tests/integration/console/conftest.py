"""The console as a person meets it, in this process, over books of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from aiohttp.test_utils import TestServer

from ingress.console.access.limits import LoginLimits
from ingress.console.access.requests import Frontier
from ingress.console.exporter import EXPORTS_AT_ONCE
from ingress.console.keyring import Keyring
from ingress.console.reckoning import Reckoning
from shared.ledger.database import Pool, open_pool
from shared.sdrp.signature import SigningSecret
from tests.integration.console.desk import Desk, site
from tests.integration.console.furnished import let_in

Seat: TypeAlias = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """As the console reaches the books, with one person of each role: vera reads, otto acts, ada manages."""
    pool = await open_pool(database_url, application="test", size=8, statement_timeout=20.0, keys_only=True)
    await let_in(pool)
    yield pool
    pool.terminate()


@pytest.fixture
async def seat(pool: Pool) -> AsyncIterator[Seat]:
    """`await seat("otto")` is otto's desk, logged in; `await seat()` is a stranger's. One console for all of them."""
    async with AsyncExitStack() as stack:
        servers: list[TestServer] = []

        async def sit_down(
            name: str | None = None,
            *,
            frontier: Frontier | None = None,
            limits: LoginLimits | None = None,
            approvals: int = 1,
            secrets: Mapping[str, Sequence[SigningSecret]] | None = None,
            keyring: Keyring | None = None,
            reckoning: Reckoning | None = None,
            exports_at_once: int = EXPORTS_AT_ONCE,
        ) -> Desk:
            if not servers:
                console = site(
                    pool,
                    frontier=frontier,
                    limits=limits,
                    approvals=approvals,
                    secrets=secrets,
                    keyring=keyring,
                    reckoning=reckoning,
                    exports_at_once=exports_at_once,
                )
                servers.append(TestServer(console.app))
                await servers[0].start_server()
                stack.push_async_callback(servers[0].close)
            desk = Desk(servers[0])
            stack.push_async_callback(desk.client.session.close)
            if name is not None:
                assert (await desk.log_in(name)).status == 303
            return desk

        yield sit_down
