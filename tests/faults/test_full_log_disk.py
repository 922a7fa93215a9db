"""A full log disk costs log lines and nothing else: no event, no worker, no connection."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.stack import Stack
from tests.integration.workers.bench import until
from tests.programs import Kessai

pytestmark = pytest.mark.timeout(180)
FULL = Path("/dev/full")
"""Every write to it fails with ENOSPC."""


async def test_events_are_applied_and_rabbitmq_may_restart_while_no_log_line_can_be_written(
    kessai: Kessai, stack: Stack
) -> None:
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{port}/webhooks/siglume"
    with kessai.role("worker", log=FULL) as worker, kessai.role("ingress", "--port", str(port), log=FULL) as ingress:
        for order in ("before", "after"):
            hash_ = "sha256:" + order.encode().hex().ljust(64, "0")
            assert not kessai(
                *("orders", "add", order, "--amount-minor", "1200", "--currency", "JPY", "--challenge-hash", hash_)
            ).returncode
        assert kessai("send", "--for-order", "before", "--url", url).returncode == 0
        await until(paid(kessai, "before"))

        await asyncio.to_thread(stack.stop, "rabbitmq")
        assert kessai("send", "--for-order", "after", "--url", url).returncode == 1
        await asyncio.to_thread(stack.start, "rabbitmq")

        async def accepted() -> bool:
            ran = await asyncio.to_thread(kessai, "send", "--for-order", "after", "--url", url)
            return ran.returncode == 0

        await until(accepted)
        await until(paid(kessai, "after"))
        assert kessai("dead-letters", "list", "--json").array() == []
        assert worker.process.poll() is None
    assert (worker.process.returncode, ingress.process.returncode) == (0, 0)


def paid(kessai: Kessai, order: str) -> Callable[[], Awaitable[bool]]:
    async def is_paid() -> bool:
        ran = await asyncio.to_thread(kessai, "orders", "show", order, "--json")
        return bool(ran.object()["state"] == "paid")

    return is_paid
