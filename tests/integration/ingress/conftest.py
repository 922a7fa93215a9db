"""An ingress of the test's own: the real server on uvloop, in this process, before a real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import pytest
import uvloop

from deploy.local.ports import free_ports
from ingress.webhooks.app import Listen, serve
from shared.settings import Settings
from tests.integration.ingress.wire import SECRET
from tests.servers import listening


@dataclass(frozen=True, slots=True)
class Ingress:
    port: int
    admin_port: int
    amqp_url: str


@asynccontextmanager
async def open_ingress(amqp_url: str, **environment: str) -> AsyncIterator[Ingress]:
    port, admin_port = free_ports(2)
    settings = Settings.from_env({"KESSAI_AMQP_URL": amqp_url, "SIGLUME_WEBHOOK_SECRET": SECRET, **environment})
    stops: list[Callable[[], object]] = []

    async def serve_until_stopped() -> None:
        stop = asyncio.Event()
        stops.append(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
        await serve(settings, Listen(port=port, admin_port=admin_port), stop=stop)

    # A thread with a uvloop of its own, the loop that `kessai ingress` runs on; the test's client keeps another.
    serving = asyncio.create_task(asyncio.to_thread(uvloop.run, serve_until_stopped()))
    try:
        await listening(port, serving)
        yield Ingress(port, admin_port, amqp_url)
    finally:
        for stop in stops:
            stop()
        await serving


@pytest.fixture
async def ingress(amqp_url: str) -> AsyncIterator[Ingress]:
    """With default settings."""
    async with open_ingress(amqp_url) as opened:
        yield opened


@pytest.fixture
async def hasty_ingress(amqp_url: str) -> AsyncIterator[Ingress]:
    """Gives a sender one second."""
    async with open_ingress(amqp_url, KESSAI_BODY_DEADLINE="1") as opened:
        yield opened
