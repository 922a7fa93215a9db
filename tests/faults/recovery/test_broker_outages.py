"""RabbitMQ goes away under load and comes back: 503 at the door meanwhile, and then everything goes on by itself."""

import asyncio
import time
from collections.abc import Callable

import pytest

from deploy.local.stack import Stack
from tests.faults.recovery.programs import Pulse
from tests.faults.recovery.scene import Scene

pytestmark = pytest.mark.timeout(300)

WRITTEN_DOWN_SECONDS = 5.0
"""RabbitMQ 3.10 writes down a queue's first term some three seconds late: killed before that, the queue never finds a
leader again until somebody triggers an election (rabbitmq-server issue 10070)."""


async def test_rabbitmq_that_is_restarted(scene: Scene, stack: Stack) -> None:
    await survives_without_rabbitmq(scene, stack, stack.stop)


async def test_rabbitmq_that_is_killed(scene: Scene, stack: Stack) -> None:
    await asyncio.sleep(WRITTEN_DOWN_SECONDS)
    await survives_without_rabbitmq(scene, stack, stack.kill)


async def survives_without_rabbitmq(scene: Scene, stack: Stack, end: Callable[[str], None]) -> None:
    await scene.open()
    async with scene.platform.sending(), Pulse().felt(*scene.programs) as pulse:
        await scene.platform.until(0.4)
        await asyncio.to_thread(end, "rabbitmq")
        gone = time.monotonic()
        await scene.platform.until_answered(503, 100)
        assert scene.platform.last_acknowledged_try < gone
        await asyncio.to_thread(stack.start, "rabbitmq")
        await scene.platform.until(1.0)
        await scene.settled()
    await scene.check()
    assert pulse.silent == []
    assert scene.platform.statuses.keys() == {204, 503}
    assert all(seconds is not None and int(seconds) > 0 for seconds in scene.platform.retry_after)
