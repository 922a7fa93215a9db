"""A real browser before a real console: Chromium from the distribution, which fetches nothing from elsewhere."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, async_playwright

from deploy.local.ports import free_ports
from ingress.console.app import serve
from ingress.serving import ListenAddress
from shared.ledger.database import open_pool
from shared.settings import Settings
from tests.integration.console.furnished import furnish, let_in
from tests.servers import listening

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    program = shutil.which("chromium")
    assert program is not None, "no chromium in PATH: install the package chromium, or run deploy/test, which does"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest.fixture
async def console(database_url: str, amqp_url: str) -> AsyncIterator[str]:
    """The address of a console over furnished books."""
    pool = await open_pool(database_url, application="test", size=2, statement_timeout=20.0)
    await let_in(pool)
    await furnish(pool, letters=70)
    pool.terminate()
    async with serving(database_url, amqp_url) as address:
        yield address


@asynccontextmanager
async def serving(database_url: str, amqp_url: str) -> AsyncIterator[str]:
    """The address of a console as it runs."""
    port, admin_port = free_ports(2)
    settings = Settings.from_env({"KESSAI_DATABASE_URL": database_url, "KESSAI_AMQP_URL": amqp_url})
    stop = asyncio.Event()
    running = asyncio.create_task(serve(settings, ListenAddress(port=port, admin_port=admin_port), stop=stop))
    await listening(port, running)
    yield f"http://127.0.0.1:{port}"
    stop.set()
    await running
