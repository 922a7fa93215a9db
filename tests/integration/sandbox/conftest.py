"""A sandbox whose clock stands, with a shop's webhook behind it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from deploy.sandbox.sandbox import Sandbox
from tests.integration.sandbox.shop import Receiver, options, receiver


@pytest_asyncio.fixture
async def shop() -> AsyncIterator[Receiver]:
    async with receiver() as found:
        yield found


@pytest_asyncio.fixture
async def sandbox(shop: Receiver) -> AsyncIterator[Sandbox]:
    async with Sandbox(options(shop.url)) as found:
        yield found
