"""Postgres goes away under load and comes back: the door does not notice, and not one delivery is spent."""

import asyncio
from collections.abc import Callable

import pytest

from deploy.local.stack import Stack
from tests.faults.recovery.load import DEAD_LETTER
from tests.faults.recovery.programs import Pulse
from tests.faults.recovery.proxy import Proxy
from tests.faults.recovery.scene import Scene

pytestmark = pytest.mark.timeout(300)

AWAY_SECONDS = 3.0


async def test_postgres_that_is_restarted(scene: Scene, stack: Stack) -> None:
    await survives_without_postgres(scene, stack, stack.stop)


async def test_postgres_that_is_killed(scene: Scene, stack: Stack) -> None:
    await survives_without_postgres(scene, stack, stack.kill)


async def survives_without_postgres(scene: Scene, stack: Stack, end: Callable[[str], None]) -> None:
    async with Proxy(scene.amqp_url).listening() as proxy:
        scene.confirmations.amqp_url = proxy.url
        await scene.open()
        async with scene.platform.sending(), Pulse().felt(*scene.programs) as pulse:
            await scene.platform.until(0.2)
            acknowledged = scene.platform.acknowledged.total()
            await asyncio.to_thread(end, "postgres")
            await scene.confirmations.told("worker.holding")
            await asyncio.sleep(AWAY_SECONDS)
            assert scene.platform.acknowledged.total() > acknowledged
            await asyncio.to_thread(stack.start, "postgres")
            await scene.confirmations.told("worker.resumed")
            await scene.platform.until(1.0)
            await scene.settled()
        await scene.check()
        receipts = sum(times for webhook, times in scene.platform.acknowledged.items() if webhook.fate != DEAD_LETTER)
        assert (proxy.delivered, proxy.redelivered) == (receipts, 0)
        assert pulse.silent == []
        assert scene.platform.statuses.keys() == {204}
