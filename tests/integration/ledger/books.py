"""The books as tests use them: register, apply, and see every row that stands there afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from shared.ledger import orders
from shared.ledger.apply import apply_batch
from shared.ledger.books import Order, Shop
from shared.ledger.changes import Changes
from shared.ledger.database import Pool, connected
from shared.ledger.incoming import Incoming
from shared.ledger.orders import NewOrder, Registered
from tests.given import ENDPOINT, NOW, incoming

TABLES = (
    *("orders", "challenges", "checkout_attempts", "webhook_events", "webhook_archive", "reviews", "dead_letters"),
    *("settlement_batches", "metered_usage", "outbox", "audit", "dead_letter_tallies"),
)

Row = asyncpg.Record


@dataclass
class TestBooks:
    __test__ = False  # not a class of tests

    pool: Pool
    shops: Mapping[str, Shop] = field(
        default_factory=lambda: {ENDPOINT: Shop(merchant="tea_house", allow_metered_payments=True)}
    )

    async def register(self, *new: NewOrder) -> Registered:
        async with connected(self.pool) as connection:
            return await orders.register(connection, new, actor="test", now=NOW)

    async def cancel(self, order_id: str) -> Order:
        async with connected(self.pool) as connection:
            return await orders.cancel(connection, order_id, actor="test", now=NOW)

    async def apply(self, *deliveries: Incoming | bytes) -> Changes:
        """One batch."""
        batch = [incoming(each) if isinstance(each, bytes) else each for each in deliveries]
        async with connected(self.pool) as connection:
            return await apply_batch(connection, batch, self.shops, now=NOW)

    async def order(self, order_id: str = "order-1") -> Order:
        async with connected(self.pool) as connection:
            return await orders.find(connection, order_id)

    async def rows(self, query: str, *arguments: object) -> list[Row]:
        return await self.pool.fetch(query, *arguments)

    async def row(self, query: str, *arguments: object) -> Row:
        """The only row of a query."""
        (only,) = await self.pool.fetch(query, *arguments)
        return only

    async def value(self, query: str, *arguments: object) -> Any:  # noqa: ANN401 - whatever the query selects
        return await self.pool.fetchval(query, *arguments)

    async def outcome(self, event_id: str) -> tuple[str, str | None, str | None]:
        """Outcome, reason and order of an event."""
        row = await self.row(
            "SELECT outcome, reason, order_id FROM kessai.webhook_events WHERE event_id = $1", event_id
        )
        return row["outcome"], row["reason"], row["order_id"]

    async def reviews(self) -> list[tuple[str, str, str]]:
        """Event, reason and state of each review, in the order in which they were opened."""
        rows = await self.rows("SELECT event_id, reason, state FROM kessai.reviews ORDER BY review_id")
        return [(row["event_id"], row["reason"], row["state"]) for row in rows]

    async def told(self) -> list[tuple[str, str]]:
        """Name and subject of each fact in the outbox, in order."""
        rows = await self.rows("SELECT name, subject FROM kessai.outbox ORDER BY outbox_id")
        return [(row["name"], row["subject"]) for row in rows]

    async def moves(self) -> list[tuple[str, str, str]]:
        """Order, old state and new state of each audited move."""
        rows = await self.rows(
            "SELECT subject, from_state, to_state FROM kessai.audit WHERE action = 'order.moved' ORDER BY audit_id"
        )
        return [(row["subject"], row["from_state"], row["to_state"]) for row in rows]

    async def acts(self) -> list[tuple[str, str, str]]:
        """Actor, action and subject of everything else that is audited, in order."""
        rows = await self.rows(
            "SELECT actor, action, subject FROM kessai.audit WHERE action <> 'order.moved' ORDER BY audit_id"
        )
        return [(row["actor"], row["action"], row["subject"]) for row in rows]

    async def everything(self, *tables: str) -> dict[str, Sequence[str]]:
        """Every row of every table, as text: what must not change when nothing may."""
        return {
            table: [
                row["line"]
                for row in await self.rows(f"SELECT each::text AS line FROM kessai.{table} AS each ORDER BY line")  # noqa: S608
            ]
            for table in tables or TABLES
        }
