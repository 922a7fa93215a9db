"""Broker tests run on uvloop, as the programs do."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from deploy.local.stack import Stack
from shared.broker import topology
from shared.errors import BrokerUnavailable
from tests.integration.broker import rabbit


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def declared_url(request: pytest.FixtureRequest, amqp_url: str) -> AsyncIterator[str]:
    """A virtual host with Kessai's topology in it."""
    await topology.declare(amqp_url)
    yield amqp_url
    if "stack" in request.fixturenames:
        await _recovered(request.getfixturevalue("private_stack"), amqp_url)


async def _recovered(stack: Stack, url: str) -> None:
    """Wait until every queue serves again.

    RabbitMQ 3.10 loses its dead-letter workers for good, those of other queues too, when queues are deleted while
    they recover.
    """
    await asyncio.to_thread(stack.up, ["rabbitmq"])

    async def so() -> bool:
        try:
            await topology.verify(url)
        except BrokerUnavailable:
            return False
        return True

    await rabbit.eventually(so, within=30)
    await asyncio.sleep(0.5)
