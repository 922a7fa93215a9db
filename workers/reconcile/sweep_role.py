"""Sweeps every endpoint: the part of `kessai worker reconcile` that finds webhooks which never came."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Final

import structlog

from shared.errors import KessaiError
from shared.ledger.checkout_states import AttemptFact
from shared.ledger.hosted_sessions import merchant_untold
from shared.ledger.sweep_rules import SweepTerms
from shared.observe.admin import READY, Readiness
from shared.sdrp.api.access import Access
from shared.sdrp.api.clients import MerchantClient
from shared.sdrp.api.transport import Transport
from shared.stopping import wait_or_stop
from workers.database import RetryingDatabase
from workers.platform_sessions import PATIENCE, PlatformAway
from workers.reconcile.metrics import SweepMetrics
from workers.reconcile.sweep import Look, SweptEndpoint, fault_of

IDLE_SECONDS: Final = 5.0
"""Between two questions whose turn it is."""
RETRY_SECONDS: Final = 60.0
NAMED: Final = 5
"""Sessions that failed, at most, that `/readyz` names: the newest."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("kessai.worker")


class Sweep:
    """Sweeps the sessions of every endpoint until stopped."""

    def __init__(
        self,
        books: RetryingDatabase,
        accesses: Sequence[tuple[str, Access, SweepTerms]],
        *,
        per_minute: int,
        metrics: SweepMetrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        idle: float = IDLE_SECONDS,
    ) -> None:
        """`accesses`: each endpoint with its merchant's token, and how its sessions are looked at."""
        self._books = books
        self._accesses = accesses
        self._per_minute = per_minute
        self._metrics = metrics
        self._clock = clock
        self._idle = idle
        self._away: dict[str, str] = {}
        self._unsaid: dict[str, Look] = {}
        """By session."""
        for endpoint, _, _ in accesses:
            metrics.expect(endpoint)

    async def run(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            endpoints = [await self._swept(stack, *each) for each in self._accesses]
            for swept in endpoints:
                if swept.terms.merchant is None:
                    log.warning("sweep.no_merchant", endpoint=swept.endpoint, error=merchant_untold(swept.endpoint))
            while not stop.is_set():
                pause = self._idle
                for swept in endpoints:
                    if not await self._turn(swept, stop):
                        pause = RETRY_SECONDS
                await wait_or_stop(stop, pause)

    def readiness(self) -> Readiness:
        """A platform that is away makes no worker ill: it is asked again."""
        degraded = {f"siglume of {endpoint}": why for endpoint, why in self._away.items()}
        degraded |= {f"session {look.session_id}": look.found for look in self._put_off()[-NAMED:]}
        return Readiness(degraded=degraded) if degraded else READY

    async def _turn(self, swept: SweptEndpoint, stop: asyncio.Event) -> bool:
        """False when the books would not have it."""
        try:
            looks = await swept.turn(stop, self._note)
        except PlatformAway as away:
            log.warning("sweep.platform_away", endpoint=swept.endpoint, error=str(away))
            self._away[swept.endpoint] = str(away)
            return True
        except KessaiError as error:
            log.error("sweep.failed", endpoint=swept.endpoint, error=str(error))
            return False
        except Exception as error:  # whatever is wrong here must not end the roles beside it
            log.exception("sweep.fault", endpoint=swept.endpoint)
            self._away[swept.endpoint] = fault_of(error)
            return False
        if looks is not None:
            self._away.pop(swept.endpoint, None)
        if looks:
            log.info("sweep.turn", endpoint=swept.endpoint, looks=len(looks))
        return True

    def _note(self, look: Look) -> None:
        _log(look)
        self._metrics.looked(look)
        self._unsaid = {each.session_id: each for each in self._put_off() if each.session_id != look.session_id}
        if look.is_unsaid:
            self._unsaid[look.session_id] = look

    def _put_off(self) -> list[Look]:
        """Until they are asked about again."""
        now = self._clock()
        return [look for look in self._unsaid.values() if look.look_again_at is not None and look.look_again_at > now]

    async def _swept(self, stack: AsyncExitStack, endpoint: str, access: Access, terms: SweepTerms) -> SweptEndpoint:
        transport = await stack.enter_async_context(Transport(access, patience=PATIENCE, connections=1))
        return SweptEndpoint(
            MerchantClient(transport),
            endpoint,
            terms,
            self._books.run,
            per_minute=self._per_minute,
            clock=self._clock,
        )


def _log(look: Look) -> None:
    """What nobody would know without the sweep."""
    if look.session_status in (None, AttemptFact.PAID):
        where = {"endpoint": look.endpoint, "order_id": look.order_id, "session_id": look.session_id}
        log.warning("sweep.found", **where, found=look.found)
