"""What do the books hold of an order's attempts at payment? Read, locked, begun and written down."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.errors import KessaiError
from shared.ledger import audit, challenges, orders
from shared.ledger.books import Order, Row
from shared.ledger.checkout_states import Attempt, nonce_of
from shared.ledger.database import Connection
from shared.ledger.orders import NewOrder, OrderNotFound
from shared.ledger.transitions import OrderState


class OrderNotPayable(KessaiError):
    def __init__(self, order: Order) -> None:
        super().__init__(f"order {order.order_id!r} is {order.state}: only a pending order can be paid")
        self.order = order


class ChallengeTaken(KessaiError):
    """The platform gave a session the challenge of another order."""


@dataclass(frozen=True, slots=True)
class Stand:
    """An order, its newest attempt, and the time by the clock of the books."""

    order: Order
    attempt: Attempt | None
    now: datetime


@dataclass(frozen=True, slots=True)
class ReturnUrls:
    """Where the buyer goes from the platform's page."""

    success: str
    cancel: str


async def stand(connection: Connection, order_id: str) -> Stand:
    """As it is, without waiting for anybody. Raises OrderNotFound."""
    row = await connection.fetchrow(
        """
        SELECT orders.order_id AS id, endpoint, amount_minor, currency, orders.state AS order_state, requirement_id,
               chain_receipt_id, paid_at, newest.*, clock_timestamp() AS clock
        FROM kessai.orders
        LEFT JOIN LATERAL (
            SELECT *
            FROM kessai.checkout_attempts
            WHERE checkout_attempts.order_id = orders.order_id
            ORDER BY attempt DESC
            LIMIT 1
        ) AS newest ON true
        WHERE orders.order_id = $1
        """,
        order_id,
    )
    if row is None:
        raise OrderNotFound(order_id)
    order = Order.from_row({**dict(row), "order_id": row["id"], "state": row["order_state"]})
    return _stand(order, row)


async def lock(connection: Connection, order_id: str, attempt: int | None = None) -> Stand:
    """An order that others must wait for, and its newest attempt or that one. An order that is over may not be paid.

    Raises OrderNotFound, and OrderNotPayable where no attempt is named.
    """
    locked = await connection.fetchrow("SELECT * FROM kessai.orders WHERE order_id = $1 FOR UPDATE", order_id)
    if locked is None:
        raise OrderNotFound(order_id)
    order = Order.from_row(locked)
    if attempt is None and order.state is not OrderState.PENDING:
        raise OrderNotPayable(order)
    # A statement of its own: one that waited for the lock would show the attempts from before it.
    row = await connection.fetchrow(
        """
        SELECT newest.*, clock_timestamp() AS clock
        FROM (VALUES (1)) AS always
        LEFT JOIN LATERAL (
            SELECT *
            FROM kessai.checkout_attempts
            WHERE order_id = $1 AND attempt = coalesce($2, attempt)
            ORDER BY attempt DESC
            LIMIT 1
        ) AS newest ON true
        """,
        order_id,
        attempt,
    )
    return _stand(order, row)


async def begin(connection: Connection, at: Stand, urls: ReturnUrls | None, *, lease: timedelta, actor: str) -> Attempt:
    """The next attempt of a locked order that has no active one."""
    number = 1 if at.attempt is None else at.attempt.attempt + 1
    row = await connection.fetchrow(
        """
        INSERT INTO kessai.checkout_attempts (order_id, attempt, nonce, begun_by, tries, leased_until, success_url,
                                              cancel_url)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        RETURNING *
        """,
        *(at.order.order_id, number, nonce_of(at.order.order_id, number), actor),
        *(int(urls is not None), at.now + lease),
        *((urls.success, urls.cancel) if urls is not None else (None, None)),
    )
    begun = of_row(row)
    await record(connection, at, begun, "checkout.begun", actor=actor)
    return begun


async def register(connection: Connection, order: Order, challenge_hash: str, *, actor: str, now: datetime) -> bool:
    """Whether a challenge is new to the books; what was paid for it before is applied. Raises ChallengeTaken."""
    taken_by = await challenges.order_of(connection, challenge_hash)
    if taken_by == order.order_id:
        return False
    if taken_by is not None:
        raise ChallengeTaken(
            f"challenge {challenge_hash!r} belongs to order {taken_by!r}, so no session of order {order.order_id!r} "
            "can have it: compare the two orders"
        )
    new = NewOrder(order.order_id, order.amount_minor, order.currency, order.endpoint, challenge_hash)
    await orders.register(connection, [new], actor=actor, now=now)
    return True


async def record(
    connection: Connection,
    at: Stand,
    attempt: Attempt,
    action: str,
    *,
    actor: str,
    detail: Mapping[str, Any] | None = None,
    from_state: str | None = None,
) -> None:
    await audit.record(
        connection,
        actor=actor,
        action=action,
        subject=at.order.order_id,
        endpoint=at.order.endpoint,
        detail={"attempt": attempt.attempt, "nonce": attempt.nonce, **(detail or {})},
        from_state=from_state,
        to_state=attempt.state,
    )


def _stand(order: Order, row: Row | None) -> Stand:
    if row is None:
        raise AssertionError("a join with a row of its own has one")
    return Stand(order, None if row["attempt"] is None else Attempt.from_row(row), row["clock"])


def of_row(row: Row | None) -> Attempt:
    if row is None:
        raise AssertionError("nobody deletes an attempt")
    return Attempt.from_row(row)
