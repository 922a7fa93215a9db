"""Orders, the newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.ledger.books import Order, Row
from shared.ledger.browse.slices import Key, Shelf, Slice, Wanted, take_slice
from shared.ledger.database import Connection
from shared.ledger.transitions import OrderState


@dataclass(frozen=True, slots=True)
class ListedOrder:
    order: Order
    created_at: datetime
    updated_at: datetime


_SHELF: Final = Shelf("kessai.orders", "*", (("created_at", "timestamptz"), ("order_id", "text")))


async def newest(
    connection: Connection,
    *,
    limit: int,
    before: Key | None = None,
    state: OrderState | None = None,
    endpoint: str | None = None,
) -> Slice[ListedOrder]:
    """No index knows states: it would cost every payment a write, for a list that few people read."""
    wanted = Wanted()
    if state is not None:
        wanted.by_look("state = {}", state)
    if endpoint is not None:
        wanted.by_look("endpoint = {}", endpoint)
    return await take_slice(connection, _SHELF, wanted, _listed, before=before, limit=limit)


async def find(connection: Connection, order_id: str) -> ListedOrder | None:
    row = await connection.fetchrow("SELECT * FROM kessai.orders WHERE order_id = $1", order_id)
    return None if row is None else _listed(row)


async def challenges(connection: Connection, order_id: str) -> list[tuple[str, datetime]]:
    """Challenge hashes that a buyer may pay for the order, each with the time of its registration."""
    rows = await connection.fetch(
        "SELECT challenge_hash, created_at FROM kessai.checkout_attempts WHERE order_id = $1 ORDER BY created_at",
        order_id,
    )
    return [(row["challenge_hash"], row["created_at"]) for row in rows]


async def order_of_challenge(connection: Connection, challenge_hash: str) -> str | None:
    order_id: str | None = await connection.fetchval(
        "SELECT order_id FROM kessai.checkout_attempts WHERE challenge_hash = $1", challenge_hash
    )
    return order_id


def _listed(row: Row) -> ListedOrder:
    return ListedOrder(Order.from_row(row), row["created_at"], row["updated_at"])
