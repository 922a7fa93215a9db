"""Programs that end by kill -9 under load, again and again: the next one takes up where they were cut off."""

import asyncio

import pytest

from tests.faults.recovery.platform import NO_ANSWER
from tests.faults.recovery.proxy import Proxy
from tests.faults.recovery.scene import Scene

pytestmark = pytest.mark.timeout(300)


async def test_a_worker_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice(scene: Scene) -> None:
    async with Proxy(scene.amqp_url).listening() as proxy:
        scene.confirmations.amqp_url = proxy.url
        await scene.open()
        async with scene.platform.sending():
            for life in range(1, 6):
                await scene.platform.until(life * 0.15)
                await scene.confirmations.kill()
                await asyncio.sleep(0.3)  # for a backlog, in the midst of which the next life ends
                await scene.confirmations.start()
        await scene.check()
        assert proxy.redelivered > 0


async def test_an_ingress_that_is_killed_again_and_again_has_kept_all_that_it_acknowledged(scene: Scene) -> None:
    await scene.open()
    async with scene.platform.sending():
        for life in range(1, 6):
            await scene.platform.until(life * 0.15)
            await scene.ingress.kill()
            await scene.platform.until_answered(NO_ANSWER, 5)
            await scene.ingress.start()
    await scene.check()
    assert scene.platform.statuses.keys() <= {204, 503, NO_ANSWER}
