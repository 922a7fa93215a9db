"""Applies a batch to the books in one transaction, or finds the events that cannot be applied."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from shared.broker.errors import HoldTooLong
from shared.ledger.apply import apply_batch
from shared.ledger.bisection import bisect
from shared.ledger.books import Shop
from shared.ledger.changes import Changes
from shared.ledger.database import Connection
from shared.ledger.incoming import Incoming
from workers.confirmations.metrics import ConfirmationMetrics
from workers.database import RetryingDatabase

log = structlog.get_logger("kessai.worker")


class _Committed(NamedTuple):
    """One transaction."""

    batch: Sequence[Incoming]
    changes: Changes
    seconds: float
    now: float
    """When it ended, in seconds since 1970."""


class Applier:
    def __init__(self, books: RetryingDatabase, shops: Mapping[str, Shop], metrics: ConfirmationMetrics) -> None:
        self._books = books
        self._shops = shops
        self._metrics = metrics

    async def apply(self, batch: Sequence[Incoming]) -> list[tuple[Incoming, Exception]]:
        """Apply what can be applied; return what cannot, each with its error. Raises HoldTooLong.

        An error of any other kind must cost one event, not the queue behind it.
        """
        committed: list[_Committed] = []

        async def apply_whole(part: Sequence[Incoming]) -> None:
            committed.append(await self._commit(part))

        try:
            return await bisect(batch, apply_whole, is_of_item=lambda error: not isinstance(error, HoldTooLong))
        finally:
            for each in committed:  # here, because an error of counting must not count as an error of the event
                self._count(*each)

    async def _commit(self, batch: Sequence[Incoming]) -> _Committed:
        async def work(connection: Connection) -> Changes:
            return await apply_batch(connection, batch, self._shops, now=datetime.now(UTC))

        began = time.perf_counter()
        changes = await self._books.run(work, held=len(batch))
        return _Committed(batch, changes, time.perf_counter() - began, time.time())

    def _count(self, batch: Sequence[Incoming], changes: Changes, seconds: float, now: float) -> None:
        self._metrics.committed(events=len(batch), seconds=seconds)
        for (endpoint, kind, outcome, reason), events in changes.outcomes.items():
            self._metrics.settled(endpoint=endpoint, kind=kind, outcome=outcome, reason=reason, events=events)
        for incoming in batch:
            if incoming.envelope.replay is None:
                self._metrics.waited(now - incoming.envelope.received_at.timestamp())
        log.info(
            "batch.committed",
            events=len(batch),
            moved=len(changes.moves),
            reviews=len(changes.reviews),
            repeats=changes.repeats.total(),
            seconds=round(seconds, 4),
        )
