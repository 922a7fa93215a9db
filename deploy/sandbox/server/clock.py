"""How does time pass? By hand, or by itself; in order either way, and webhooks go out on the way."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

from deploy.sandbox.core.platform import Platform
from deploy.sandbox.core.refusal import invalid
from deploy.sandbox.server.courier import Courier

TICK: Final = 0.2
"""Seconds between two moves of a clock that runs by itself."""
FURTHEST: Final = timedelta(days=3660)


class Clock:
    """Moves the platform to each thing that happens, one after the other. `runs`: with real time, besides by hand."""

    def __init__(self, platform: Platform, courier: Courier, *, runs: bool) -> None:
        self._platform = platform
        self._courier = courier
        self._runs = runs
        self._moving = asyncio.Lock()
        self._running: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._runs:
            self._running = asyncio.create_task(self._run(), name="sandbox: the clock runs")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running

    async def advance(self, by: timedelta, *, wait: bool = True) -> None:
        """`wait` until every webhook that falls into that time has been answered. Raises Refused."""
        if not timedelta(0) <= by <= FURTHEST:
            raise invalid(f"the clock moves forward by up to {FURTHEST.days} days at once")
        async with self._moving:
            target = self._platform.now + by
            while True:
                await self._courier.room()
                due = self._platform.next_at
                if due is not None and due <= target:
                    self._platform.step_to(target)
                    self._courier.kick()
                    await asyncio.sleep(0)
                elif wait and self._courier.is_busy:
                    await self._courier.idle()
                else:
                    break
            self._platform.step_to(target)

    async def _run(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            await self.advance(timedelta(seconds=now - last), wait=False)
            last = now
