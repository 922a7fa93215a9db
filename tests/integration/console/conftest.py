"""The console as a person meets it, in this process, over books of the test's own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

import pytest
from aiohttp.test_utils import TestServer

from ingress.console.access.limits import LoginLimits
from ingress.console.access.origins import OriginPolicy
from ingress.console.exporter import EXPORTS_AT_ONCE
from ingress.console.report_cache import ReportCache
from ingress.console.site import Site
from ingress.console.webhook_keys import WebhookKeys
from shared.ledger.database import Pool, open_pool
from shared.sdrp.signature import SigningSecret
from tests.integration.console.browser import Browser, services
from tests.integration.console.furnished import let_in

OpenBrowser: TypeAlias = Callable[..., Awaitable[Browser]]


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """As the console reaches the books, with one person of each role: vera reads, otto acts, ada manages."""
    pool = await open_pool(database_url, application="test", size=8, statement_timeout=20.0, keys_only=True)
    await let_in(pool)
    yield pool
    pool.terminate()


@pytest.fixture
async def open_browser(pool: Pool) -> AsyncIterator[OpenBrowser]:
    """`await open_browser("otto")` is logged in as otto, `await open_browser()` as nobody. All use one console."""
    async with AsyncExitStack() as stack:
        servers: list[TestServer] = []

        async def opened(
            name: str | None = None,
            *,
            origins: OriginPolicy | None = None,
            limits: LoginLimits | None = None,
            approvals: int = 1,
            secrets: Mapping[str, Sequence[SigningSecret]] | None = None,
            webhook_keys: WebhookKeys | None = None,
            reports: ReportCache | None = None,
            exports_at_once: int = EXPORTS_AT_ONCE,
        ) -> Browser:
            if not servers:
                shared = services(
                    pool,
                    origins=origins,
                    limits=limits,
                    approvals=approvals,
                    secrets=secrets,
                    webhook_keys=webhook_keys,
                    reports=reports,
                    exports_at_once=exports_at_once,
                )
                servers.append(TestServer(Site(shared).app))
                await servers[0].start_server()
                stack.push_async_callback(servers[0].close)
            browser = Browser(servers[0])
            stack.push_async_callback(browser.client.session.close)
            if name is not None:
                assert (await browser.log_in(name)).status == 303
            return browser

        yield opened
