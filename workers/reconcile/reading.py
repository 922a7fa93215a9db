"""Reads one list of statements into the books, page by page: each in one transaction with the cursor of the next.

So a run that is broken off anywhere goes on where it was. One whose cursor the platform no longer knows, or whose pages
go in circles, begins anew, once.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from shared.errors import KessaiError
from shared.ledger.database import Connection
from shared.ledger.revenue import reach, statements, syncs
from shared.ledger.revenue.reach import Descent
from shared.ledger.revenue.statements import Applied
from shared.ledger.revenue.syncs import List, Sync
from shared.sdrp.api.batches import SettlementBatch
from shared.sdrp.api.clients import ProviderClient
from shared.sdrp.api.errors import PagesInCircles, SiglumeApiError, UnusableAnswer
from shared.sdrp.api.pages import Page
from shared.sdrp.api.usage import ProviderUsageEvent
from workers.reconcile.result import Reconciled

FORGOTTEN: Final = frozenset({400, 404, 410, 422})
"""Answers to a cursor that is no longer known."""
ONE_BY_ONE: Final = 50
"""Unfinished batches that are asked for by themselves at most; more are found by reading on."""

Clock = Callable[[], datetime]
Watch = Callable[[List, int], None]
"""Hears of each page: how many rows are in the books now."""
T = TypeVar("T", ProviderUsageEvent, SettlementBatch)
A = TypeVar("A", contravariant=True)


class RunElsewhere(KessaiError):
    """Somebody else moves the same run."""


class Apply(Protocol[A]):
    async def __call__(
        self,
        connection: Connection,
        endpoint: str,
        rows: tuple[A, ...],
        next_cursor: str | None,
        *,
        cursor: str | None,
        stated_at: datetime,
    ) -> Applied: ...


@dataclass(frozen=True, slots=True)
class Source(Generic[T]):
    """Where a list comes from, and where its pages go."""

    what: List
    pages: Callable[[str | None], AsyncIterator[Page[T]]]
    """From a cursor on."""
    apply: Apply[T]
    came_about: Callable[[T], datetime | None]
    """When, in the order of the list."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Statements of one endpoint, over one connection to the books."""

    connection: Connection
    endpoint: str
    client: ProviderClient
    clock: Clock
    result: Reconciled
    watch: Watch
    since: datetime | None = None
    whole: bool = False
    """Whether every page is to be read."""

    async def read_usage(self) -> None:
        """Raises SiglumeApiError."""
        oldest = await reach.oldest_unbatched(self.connection, self.endpoint)
        source: Source[ProviderUsageEvent] = Source(
            List.USAGE,
            lambda cursor: self.client.provider_usage_event_pages(cursor=cursor),
            statements.apply_usage_page,
            lambda row: row.created_at,
        )
        await self._read(source, oldest, seen=lambda _: True)

    async def read_batches(self) -> None:
        """Those that are new, and whatever has become of unfinished ones. Raises SiglumeApiError."""
        waiting = await reach.unfinished_batches(self.connection, self.endpoint)

        def seen(rows: tuple[SettlementBatch, ...]) -> bool:
            waiting.difference_update(row.settlement_batch_id for row in rows)
            return len(waiting) <= ONE_BY_ONE

        source: Source[SettlementBatch] = Source(
            List.BATCHES,
            lambda cursor: self.client.provider_settlement_batch_pages(cursor=cursor),
            statements.apply_batch_page,
            lambda row: row.close_at,
        )
        await self._read(source, None, seen=seen)
        await self._read_one_by_one(sorted(waiting)[:ONE_BY_ONE])

    async def _read(
        self, source: Source[T], oldest_waiting: datetime | None, *, seen: Callable[[tuple[T, ...]], bool]
    ) -> None:
        """`seen` is told each page, and says whether the run may end early."""
        for is_last_try in (False, True):
            sync = await syncs.resume(self.connection, self.endpoint, source.what, now=self.clock())
            back_to = reach.read_back_to(sync, oldest_waiting=oldest_waiting, since=self.since)
            try:
                await self._run(source, sync, Descent(None if self.whole else back_to), seen)
            except SiglumeApiError as error:
                if not isinstance(error, UnusableAnswer) and not _is_forgotten(error, sync):
                    raise
                await syncs.restart(self.connection, self.endpoint, source.what)
                if is_last_try or not (isinstance(error, PagesInCircles) or _is_forgotten(error, sync)):
                    raise
                self.result.notes.append(f"{source.what} was read again from its first page: {error}")
            else:
                return

    async def _run(
        self, source: Source[T], sync: Sync, descent: Descent, seen: Callable[[tuple[T, ...]], bool]
    ) -> None:
        read, cursor = self.result.lists[source.what], sync.cursor
        async with aclosing(_ahead(source.pages(cursor), self.clock)) as pages:
            async for asked_at, page in pages:
                applied = await source.apply(
                    self.connection, self.endpoint, page.items, page.next_cursor, cursor=cursor, stated_at=asked_at
                )
                if not applied.is_next:
                    raise RunElsewhere(f"somebody else reads the {source.what} of {self.endpoint}: try again later")
                read.pages += 1
                read.add(applied)
                self.watch(source.what, len(page.items))
                cursor = page.next_cursor
                may_end = seen(page.items)
                if descent.has_passed(map(source.came_about, page.items)) and may_end and cursor is not None:
                    await syncs.finish(self.connection, self.endpoint, source.what, now=asked_at)
                    return

    async def _read_one_by_one(self, batch_ids: list[str]) -> None:
        read = self.result.lists[List.BATCHES]
        for batch_id in batch_ids:
            asked_at = self.clock()
            try:
                batch = await self.client.get_provider_settlement_batch(batch_id)
            except SiglumeApiError as error:
                if error.status != 404:
                    raise
                self.result.notes.append(f"Siglume no longer knows batch {batch_id}, which it listed before")
            else:
                read.add(await statements.apply_batch(self.connection, self.endpoint, batch, stated_at=asked_at))
                self.watch(List.BATCHES, 1)


def _is_forgotten(error: SiglumeApiError, sync: Sync) -> bool:
    return sync.cursor is not None and error.status in FORGOTTEN and not isinstance(error, UnusableAnswer)


async def _ahead(pages: AsyncIterator[Page[T]], clock: Clock) -> AsyncGenerator[tuple[datetime, Page[T]], None]:
    """Each page with the time when it was asked for; the next is fetched while one is booked."""

    async def fetch() -> tuple[datetime, Page[T] | None]:
        return clock(), await anext(pages, None)

    coming = asyncio.create_task(fetch())
    try:
        while True:
            asked_at, page = await coming
            if page is None:
                return
            coming = asyncio.create_task(fetch())
            yield asked_at, page
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError, SiglumeApiError):
            await coming
