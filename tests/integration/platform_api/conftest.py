"""A platform for each test, and a transport to it."""

from collections.abc import AsyncIterator

import pytest

from shared.sdrp.api.transport import Transport
from tests.integration.platform_api.platform import Platform, platform, transport


@pytest.fixture
async def there() -> AsyncIterator[Platform]:
    async with platform() as running:
        yield running


@pytest.fixture
async def connected(there: Platform) -> AsyncIterator[Transport]:
    async with transport(there) as opened:
        yield opened
