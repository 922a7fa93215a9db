"""Periodic work beside the roles; its failure never ends a worker."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.errors import KessaiError
from shared.ledger.rights import MissingRight
from shared.observe.admin import READY, Readiness
from shared.stopping import cut_at_stop, wait_or_stop

RETRY_SECONDS = 300.0
"""Pause after a failure: nothing waits for housekeeping."""

log = structlog.get_logger("kessai.worker")


class Housekeeping:
    def __init__(self, name: str, run_once: Callable[[], Awaitable[float]], *, retry: float = RETRY_SECONDS) -> None:
        """`run_once` returns the seconds until its next run; it may raise KessaiError, and runs again after `retry`.

        A stop cancels it at once: what a transaction has not committed is done in a later run.
        """
        self._name = name
        self._run_once = run_once
        self._retry = retry
        self._missing_right: str | None = None

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                pause = await cut_at_stop(stop, self._run_once())
                self._missing_right = None
            except KessaiError as error:
                log.warning("housekeeping.failed", what=self._name, error=str(error))
                self._missing_right = str(error) if isinstance(error, MissingRight) else None
                pause = self._retry
            await wait_or_stop(stop, pause)

    def readiness(self) -> Readiness:
        """Only a missing right counts: everything else passes by itself."""
        return READY if self._missing_right is None else Readiness(degraded={self._name: self._missing_right})
