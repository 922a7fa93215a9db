"""A worker that dies between its commit and its acknowledgements: RabbitMQ delivers everything once more."""

import asyncio
from collections.abc import Callable

import pytest

from tests.faults.recovery.load import DEAD_LETTER
from tests.faults.recovery.proxy import Proxy
from tests.faults.recovery.scene import Scene

pytestmark = pytest.mark.timeout(300)


async def until(question: Callable[[], bool], *, within: float = 60.0) -> None:
    async with asyncio.timeout(within):
        while not question():
            await asyncio.sleep(0.05)


async def test_what_was_committed_and_never_acknowledged_comes_again_and_changes_nothing(scene: Scene) -> None:
    async with Proxy(scene.amqp_url).listening() as lossy, Proxy(scene.amqp_url).listening() as honest:
        lossy.loses_acks = True
        scene.confirmations.amqp_url = lossy.url
        await scene.open()
        async with scene.platform.sending():
            pass
        await scene.settled()
        once = await asyncio.to_thread(scene.books)
        receipts = sum(times for webhook, times in scene.platform.acknowledged.items() if webhook.fate != DEAD_LETTER)
        assert lossy.lost_acks > 0
        assert (lossy.delivered, lossy.redelivered) == (receipts, 0)

        await scene.confirmations.kill()
        scene.confirmations.amqp_url = honest.url
        await scene.confirmations.start()
        await until(lambda: honest.redelivered >= receipts)
        await scene.check()
        assert (honest.delivered, honest.redelivered) == (receipts, receipts)
        assert (await asyncio.to_thread(scene.books)).effects() == once.effects()
