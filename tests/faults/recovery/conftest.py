"""A shop of each test's own, with real programs to break."""

from collections.abc import AsyncIterator

import pytest

from tests.faults.recovery.load import load
from tests.faults.recovery.scene import Scene
from tests.programs import Kessai


@pytest.fixture
async def scene(kessai: Kessai, database_url: str, amqp_url: str) -> AsyncIterator[Scene]:
    """Prepared, and not open yet. Takes metered payments."""
    takes_metered = Kessai({**kessai.environment, "KESSAI_ALLOW_METERED_PAYMENTS": "true"}, kessai.folder)
    scene = Scene(takes_metered, database_url=database_url, amqp_url=amqp_url, load=load())
    await scene.prepare()
    try:
        yield scene
    finally:
        scene.end()
