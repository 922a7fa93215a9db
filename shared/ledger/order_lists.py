"""Orders as people and scripts look through them: by when they were registered, or by when they were paid."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.ledger.conditions import Conditions
from shared.ledger.database import Connection
from shared.ledger.exports import By
from shared.ledger.orders import RecordedOrder, recorded
from shared.ledger.slices import ORDERS, PAYMENTS, Place, Slice, take_slice
from shared.ledger.transitions import OrderState


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """Which orders to list; None leaves it open."""

    by: By = By.REGISTERED
    """Which of their times the list follows, and `since` and `until` speak of."""
    since: datetime | None = None
    until: datetime | None = None
    """Not included."""
    state: OrderState | None = None
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class PaidOrder(RecordedOrder):
    """An order among others by their payments."""

    audit_id: int
    """Of its payment."""

    @property
    def place(self) -> tuple[datetime, Any]:
        assert self.order.paid_at is not None  # noqa: S101 - the list holds no other
        return self.order.paid_at, self.audit_id


async def newest(
    connection: Connection,
    wanted: OrderFilter,
    *,
    limit: int,
    before: Place = None,
    down_to: Place = None,
) -> list[RecordedOrder]:
    """The newest first. `before` is the place that the last page ended with, `down_to` the last one to look at.

    No index knows states: it would cost every payment a write, for a list that few people read.
    """
    is_paid = wanted.by is By.PAID
    shelf, time = (PAYMENTS, "audit.paid_at") if is_paid else (ORDERS, "created_at")
    asked = Conditions()
    asked.add_if_given(f"{time} >= {{}}", wanted.since)
    asked.add_if_given(f"{time} < {{}}", wanted.until)
    asked.add_if_given("state = {}", wanted.state)
    asked.add_if_given("orders.endpoint = {}", wanted.endpoint)
    columns = "orders.*, audit_id" if is_paid else "*"
    rows = await connection.fetch(
        shelf.newest(columns, asked, limit=limit, before=before, down_to=down_to), *asked.values
    )
    found = [recorded(row) for row in rows]
    if not is_paid:
        return found
    return [
        PaidOrder(each.order, each.created_at, each.updated_at, row["audit_id"])
        for each, row in zip(found, rows, strict=True)
    ]


async def look(
    connection: Connection, wanted: OrderFilter, *, limit: int, before: Place = None
) -> Slice[RecordedOrder]:
    """A page of such orders, looked for no further than a page may."""
    found = await take_slice(
        connection,
        PAYMENTS if wanted.by is By.PAID else ORDERS,
        lambda limit, before, down_to: newest(connection, wanted, limit=limit, before=before, down_to=down_to),
        limit=limit,
        before=before,
        is_bounded=wanted.state is not None or wanted.endpoint is not None,
    )
    ends = wanted.since is not None and found.older is not None and found.older[0] < wanted.since
    return Slice(found.rows) if ends else found
