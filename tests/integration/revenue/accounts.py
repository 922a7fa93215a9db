"""The metered books as tests use them: statements come in, orders hear of it, differences become reviews."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from shared.ledger.database import connected
from shared.ledger.revenue import comparing, settling, statements, syncs
from shared.ledger.revenue.comparing import Compared
from shared.ledger.revenue.statements import Applied
from shared.ledger.revenue.syncs import List, Sync
from shared.sdrp.api.batches import SettlementBatch
from shared.sdrp.api.usage import ProviderUsageEvent
from tests.given import ENDPOINT, NOW, new_order, usage
from tests.integration.ledger.books import TABLES, TestBooks

REVENUE_TABLES = (
    *(*TABLES, "statement_syncs", "statement_summaries", "statement_exposures"),
    *("statement_batches", "statement_usage"),
)
LATER = NOW + timedelta(hours=3)
"""Of a sync: what the books hold at NOW is out of its patience."""


@dataclass
class Accounts:
    books: TestBooks

    async def fulfil(self, *order_ids: str, amount: int = 200) -> None:
        """Orders whose micro usage was accepted."""
        await self.books.register(*(new_order(order_id, amount) for order_id in order_ids))
        await self.books.apply(
            *(usage(f"evt-{order_id}", order_id, amount_minor=str(amount)) for order_id in order_ids)
        )

    async def used(self, order_id: str, *, at: datetime) -> None:
        """Let the webhook of an order's usage say another time."""
        await self.books.rows("UPDATE kessai.metered_usage SET accepted_at = $2 WHERE order_id = $1", order_id, at)

    async def usage_page(
        self,
        *rows: ProviderUsageEvent,
        cursor: str | None = None,
        then: str | None = "more",
        at: datetime = LATER,
        endpoint: str = ENDPOINT,
    ) -> Applied:
        async with connected(self.books.pool) as connection:
            return await statements.apply_usage_page(connection, endpoint, rows, then, cursor=cursor, stated_at=at)

    async def batch_page(
        self,
        *rows: SettlementBatch,
        cursor: str | None = None,
        then: str | None = "more",
        at: datetime = LATER,
        endpoint: str = ENDPOINT,
    ) -> Applied:
        async with connected(self.books.pool) as connection:
            return await statements.apply_batch_page(connection, endpoint, rows, then, cursor=cursor, stated_at=at)

    async def resume(self, what: List, *, at: datetime = LATER) -> Sync:
        async with connected(self.books.pool) as connection:
            return await syncs.resume(connection, ENDPOINT, what, now=at)

    async def settle(self, *, limit: int = 1000) -> int:
        """Tell the orders until none is left; how many moved."""
        moved, more = 0, True
        while more:
            async with connected(self.books.pool) as connection:
                told = await settling.settle_orders(connection, ENDPOINT, now=NOW, limit=limit)
            moved, more = moved + told.moved.total(), told.more
        return moved

    async def compare(self, **how: Any) -> Compared:  # noqa: ANN401 - as `comparing.compare` takes it
        async with connected(self.books.pool) as connection:
            return await comparing.compare(connection, ENDPOINT, now=NOW, **how)

    async def sync(
        self,
        usage_rows: Sequence[ProviderUsageEvent] = (),
        batches: Sequence[SettlementBatch] = (),
        *,
        at: datetime = LATER,
    ) -> Compared:
        """Both lists from their first page to their last, and all that follows from them."""
        await self.books.rows("UPDATE kessai.settlement_batches SET booked_at = $1", NOW)  # not the time of the test
        for what in List:
            await self.resume(what, at=at)
        await self.batch_page(*batches, then=None, at=at)
        await self.usage_page(*usage_rows, then=None, at=at)
        await self.settle()
        compared = await self.compare()
        await self.settle()
        return compared

    async def state(self, order_id: str = "order-1") -> str:
        return (await self.books.order(order_id)).state

    async def differences(self) -> list[tuple[str, str]]:
        """Reason and thing of every open review of a difference."""
        rows = await self.books.rows(
            "SELECT reason, about FROM kessai.reviews WHERE about IS NOT NULL AND state = 'open' ORDER BY review_id"
        )
        return [(row["reason"], row["about"]) for row in rows]

    async def evidence(self, about: str) -> dict[str, Any]:
        found: dict[str, Any] = orjson.loads(
            await self.books.value("SELECT evidence FROM kessai.reviews WHERE about = $1 AND state = 'open'", about)
        )
        return found

    async def everything(self) -> dict[str, Sequence[str]]:
        return await self.books.everything(*REVENUE_TABLES)
