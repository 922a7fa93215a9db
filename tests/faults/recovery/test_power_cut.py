"""Everything dies at once, servers and programs alike, as when a machine loses its power; the relay has died before."""

import asyncio

import pytest

from deploy.local.stack import Stack
from tests.faults.recovery.platform import NO_ANSWER
from tests.faults.recovery.scene import Scene

pytestmark = pytest.mark.timeout(300)

WRITTEN_DOWN_SECONDS = 5.0
"""After which RabbitMQ 3.10 has written new queues down so that they survive its death."""


async def test_after_a_power_cut_everything_goes_on_where_it_was(scene: Scene, stack: Stack) -> None:
    await asyncio.sleep(WRITTEN_DOWN_SECONDS)
    await scene.open()
    async with scene.platform.sending():
        for share in (0.15, 0.3):
            await scene.platform.until(share)
            await scene.outbox.kill()
            await scene.outbox.start()
        await scene.platform.until(0.5)
        await asyncio.gather(
            *(program.kill() for program in scene.programs),
            *(asyncio.to_thread(stack.kill, name) for name in ("postgres", "rabbitmq")),
        )
        await asyncio.to_thread(stack.up)
        await scene.open()
        await scene.platform.until(1.0)
    await scene.check()
    assert scene.platform.statuses.keys() <= {204, 503, NO_ANSWER}
