"""An order takes the payment that its session tells of: moved, written down and told as its webhook would have it."""

from datetime import datetime

import asyncpg

from shared.ledger import outbox
from shared.ledger.books import Order
from shared.ledger.database import Connection
from shared.ledger.effects import NotLookedFor
from shared.ledger.facts import order_paid
from shared.ledger.payment_money import price_of
from shared.ledger.transitions import OrderState


async def put_session_payment(
    connection: Connection, paid: Order, moved_from: OrderState, *, actor: str, now: datetime
) -> None:
    """Write a locked order as it stands after the move, in the caller's transaction.

    Its webhook finds the same requirement there and is a duplicate. Raises NotLookedFor when another order was paid by
    that requirement meanwhile.
    """
    paid = paid._replace(paid_at=paid.paid_at or now)
    try:
        await connection.execute(MOVE_ORDER, *_values(paid), moved_from, actor)
    except asyncpg.UniqueViolationError as error:
        raise NotLookedFor("the requirement of this session has paid another order") from error
    await outbox.put(connection, [order_paid(paid, now)])


def _values(paid: Order) -> tuple[object, ...]:
    """As `MOVE_ORDER` takes them. A session is taken only when it fits, so what was paid is the order's price."""
    identity = (paid.order_id, paid.state, paid.requirement_id, paid.chain_receipt_id, paid.paid_at, paid.endpoint)
    return *identity, *price_of(paid)


MOVE_ORDER = """
WITH moved AS (
    UPDATE kessai.orders
    SET state = $2, requirement_id = $3, chain_receipt_id = $4, paid_at = $5, updated_at = now()
    WHERE order_id = $1
)
INSERT INTO kessai.audit (actor, action, subject, endpoint, from_state, to_state, paid_at, requirement_id, paid_minor,
                          paid_currency)
VALUES ($10, 'order.moved', $1, $6, $9, $2, $5, $3, $7, $8)
"""
