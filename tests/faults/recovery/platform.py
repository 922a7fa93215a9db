"""Who sends? The platform: it signs each try anew, and whatever gets no 204 is sent again until it does."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiohttp

from deploy.local.ports import LOOPBACK
from shared.sdrp.signature import sign
from tests.faults.recovery.load import Webhook
from tests.given import ENDPOINT, SECRET

SENDERS = 32
RETRY_SECONDS = 0.2
ANSWER_WITHIN = 15.0
"""Seconds; the door itself gives RabbitMQ five."""
NO_ANSWER = 0
"""Stands for the status where there is no answer."""


class Platform:
    """What it has been answered so far."""

    def __init__(self, port: int, webhooks: Sequence[Webhook], *, rate: float) -> None:
        self._url = f"http://{LOOPBACK}:{port}/webhooks/{ENDPOINT}"
        self._webhooks = webhooks
        self._rate = rate
        self.acknowledged: Counter[Webhook] = Counter()
        """How often each webhook got a 204."""
        self.last_acknowledged_try: float = 0.0
        """When the latest try that got a 204 began, on the monotonic clock."""
        self.statuses: Counter[int] = Counter()
        self.retry_after: Counter[str | None] = Counter()
        """What came with each 503."""

    async def until(self, share: float, *, within: float = 120.0) -> None:
        """Return when this share of the webhooks is acknowledged."""
        wanted = share * len(self._webhooks)
        deadline = time.monotonic() + within
        while self.acknowledged.total() < wanted:
            assert time.monotonic() < deadline, f"{self.acknowledged.total()} of {wanted:.0f}: {self.statuses}"
            await asyncio.sleep(0.01)

    async def until_answered(self, status: int, times: int, *, within: float = 60.0) -> None:
        """Return when this answer has come so many times more than now."""
        wanted = self.statuses[status] + times
        deadline = time.monotonic() + within
        while self.statuses[status] < wanted:
            assert time.monotonic() < deadline, f"no {status}: {self.statuses}"
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """Sends meanwhile; when all goes well, goes on until everything is acknowledged."""
        task = asyncio.create_task(self._send_all())
        try:
            yield
            await self.until(1.0)
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _send_all(self) -> None:
        began = time.monotonic()
        due = enumerate(self._webhooks)
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

            async def send_in_turn() -> None:
                for number, webhook in due:
                    await asyncio.sleep(began + number / self._rate - time.monotonic())
                    await self._send(session, webhook)

            await asyncio.gather(*(send_in_turn() for _ in range(SENDERS)))

    async def _send(self, session: aiohttp.ClientSession, webhook: Webhook) -> None:
        began = time.monotonic()
        while (status := await self._try(session, webhook.raw)) != 204:
            self.statuses[status] += 1
            await asyncio.sleep(RETRY_SECONDS)
            began = time.monotonic()
        self.statuses[status] += 1
        self.acknowledged[webhook] += 1
        self.last_acknowledged_try = max(self.last_acknowledged_try, began)

    async def _try(self, session: aiohttp.ClientSession, raw: bytes) -> int:
        headers = {"Siglume-Signature": sign(raw, secret=SECRET, timestamp=int(time.time()))}
        try:
            async with session.post(self._url, data=raw, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return NO_ANSWER
        if answer.status == 503:
            self.retry_after[answer.headers.get("Retry-After")] += 1
        return answer.status
