"""How do webhooks get to the merchant? Signed at the moment each is sent, some at once, and the answers are noted."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

import aiohttp

from deploy.sandbox.core.platform import Platform
from deploy.sandbox.core.webhooks import Attempt
from shared.sdrp.signature import SigningSecret, sign

TIMEOUT: Final = aiohttp.ClientTimeout(total=10)


class Courier:
    """Delivers what the platform has due. At most `at_once` are on their way; with 1 the order is exact.

    Signatures carry the real time, not the sandbox's: receivers compare it with their own clock.
    """

    def __init__(self, platform: Platform, *, at_once: int, real_time: Callable[[], float] = time.time) -> None:
        self._platform = platform
        self._at_once = at_once
        self._real_time = real_time
        self._on_their_way: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._at_once),
            timeout=TIMEOUT,
            headers={"User-Agent": "siglume-sandbox", "X-Siglume-Environment": "sandbox"},
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._on_their_way:
            task.cancel()
        await asyncio.gather(*self._on_their_way, return_exceptions=True)
        await self._session.close()

    @property
    def is_busy(self) -> bool:
        return bool(self._on_their_way or self._platform.webhooks.attempts)

    def kick(self) -> None:
        """Send what is due, as far as there is room."""
        due = self._platform.webhooks.attempts
        while due and len(self._on_their_way) < self._at_once:
            task = asyncio.create_task(self._deliver(due.popleft()), name="sandbox: delivers a webhook")
            self._on_their_way.add(task)
            task.add_done_callback(self._arrived)

    async def room(self) -> None:
        """Wait until nothing is kept waiting."""
        while self._platform.webhooks.attempts or len(self._on_their_way) >= self._at_once:
            await self._next_arrival()

    async def idle(self) -> None:
        """Wait until everything that is due has been answered."""
        while self.is_busy:
            await self._next_arrival()

    async def _next_arrival(self) -> None:
        self.kick()
        await asyncio.wait(self._on_their_way, return_when=asyncio.FIRST_COMPLETED)

    def _arrived(self, task: asyncio.Task[None]) -> None:
        self._on_their_way.discard(task)
        if not task.cancelled():
            task.result()
            self.kick()

    async def _deliver(self, attempt: Attempt) -> None:
        attempted_at = self._platform.now
        signature = signature_header(attempt.signed, attempt.secrets, timestamp=int(self._real_time()) - attempt.age)
        headers = {"Content-Type": "application/json", "Siglume-Signature": signature}
        try:
            async with self._session.post(
                attempt.url, data=attempt.sent, headers=headers, allow_redirects=False
            ) as answer:
                status: int | None = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            status = None
        self._platform.webhooks.answered(attempt.delivery_id, status, attempted_at=attempted_at)


def signature_header(raw: bytes, secrets: tuple[SigningSecret, ...], *, timestamp: int) -> str:
    """One `t`, and a `v1` for each secret that is live: the newest first."""
    headers = [sign(raw, secret=secret, timestamp=timestamp) for secret in secrets]
    return ",".join([headers[0], *(header.partition(",")[2] for header in headers[1:])])
