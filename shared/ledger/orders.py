"""Orders as the merchant registers, closes and reads them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from shared.errors import KessaiError
from shared.ledger import audit, outbox
from shared.ledger.audit import Act
from shared.ledger.books import Order, Row
from shared.ledger.database import Connection
from shared.ledger.facts import order_cancelled
from shared.ledger.lookup import lock_hashes
from shared.ledger.text import is_keepable
from shared.ledger.transitions import Fact, Move, OrderState, next_state
from shared.ledger.waiting import Became, apply_waiting
from shared.remedies import Remedy
from shared.sdrp.money import MAX_SAFE_INTEGER, Currency

MAX_TEXT = 255
CHANGED: Final = "order.changed"
"""As the audit names it."""

Place: TypeAlias = tuple[datetime, str]
"""Where an order stands in a list: when it was registered, and its id."""


class InvalidOrder(KessaiError):
    """An order that cannot be registered, and which of its values is wrong."""


class OrderConflict(KessaiError):
    """The books already hold this order, or this challenge, and say otherwise."""


class OrderNotFound(KessaiError):
    remedy = Remedy.ADD_ORDER

    def __init__(self, order_id: str) -> None:
        super().__init__(f"no order {order_id!r} in the books")
        self.order_id = order_id


class OrderNotPending(KessaiError):
    def __init__(self, order: Order) -> None:
        super().__init__(f"order {order.order_id!r} is {order.state}: only a pending order can be cancelled")
        self.order = order


@dataclass(frozen=True, slots=True)
class NewOrder:
    """An order to register, checked as it is made. Raises InvalidOrder."""

    order_id: str
    amount_minor: int
    currency: str
    endpoint: str
    challenge_hash: str | None = None

    def __post_init__(self) -> None:
        for name, text in (("order id", self.order_id), ("challenge hash", self.challenge_hash)):
            if text is not None and not is_keepable(text, longest=MAX_TEXT):
                raise InvalidOrder(
                    f"{name} must be 1 to {MAX_TEXT} characters of text, not blank and without NUL: {text[:40]!r}"
                )
            if text is not None and text != text.strip():  # an event's text is trimmed: it would never be found
                raise InvalidOrder(f"{name} must not begin or end with a blank: {text[:40]!r}")
        if type(self.amount_minor) is not int or not 1 <= self.amount_minor <= MAX_SAFE_INTEGER:
            raise InvalidOrder(f"order {self.order_id!r}: amount_minor must be a whole number from 1 to 2^53-1")
        if self.currency not in set(Currency):
            raise InvalidOrder(f"order {self.order_id!r}: currency must be JPY or USD, not {self.currency[:10]!r}")


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    """An order as the books list it."""

    order: Order
    created_at: datetime
    updated_at: datetime

    @property
    def place(self) -> Place:
        return self.created_at, self.order.order_id


@dataclass(frozen=True, slots=True)
class Registered:
    """What registering a set of orders did."""

    new: int
    known: int
    """Registered before, with the same values."""
    applied: int
    """Payments that had waited for one of these orders and are applied now."""
    reviewed: int
    """Payments that had waited and do not fit their order: their new review says why."""


async def register(connection: Connection, orders: Sequence[NewOrder], *, actor: str, now: datetime) -> Registered:
    """Register orders and apply the payments that waited for them, in one transaction.

    Registering the same order again changes nothing. Raises OrderConflict when the books say otherwise.
    """
    while True:
        try:
            async with connection.transaction():
                return await _register(connection, orders, actor=actor, now=now)
        except _RegisteredMeanwhile:
            continue  # it is known by now, and is locked before its hash


class _RegisteredMeanwhile(Exception):
    """By somebody else, who may hold the order and want our hash: waiting for the order could be for ever."""


async def _register(connection: Connection, orders: Sequence[NewOrder], *, actor: str, now: datetime) -> Registered:
    hashes = sorted({order.challenge_hash for order in orders if order.challenge_hash})
    locked = await _lock_known(connection, orders)
    await lock_hashes(connection, hashes)
    new = await _insert_orders(connection, orders)
    if {order.order_id for order in orders} - locked - {order_id for order_id, _ in new}:
        raise _RegisteredMeanwhile
    await _check_known(connection, orders)
    await _insert_challenges(connection, orders)
    await audit.record_all(connection, [Act(actor, "order.registered", *each) for each in new])
    waited = await apply_waiting(connection, hashes, Became.REGISTERED, actor=actor, now=now)
    return Registered(new=len(new), known=len(orders) - len(new), applied=waited.applied, reviewed=waited.reviewed)


async def _lock_known(connection: Connection, orders: Sequence[NewOrder]) -> set[str]:
    """Orders before hashes, as workers lock them; else a batch that pays both old and new orders would deadlock."""
    rows = await connection.fetch(
        "SELECT order_id FROM kessai.orders WHERE order_id = ANY ($1::text[]) ORDER BY order_id FOR UPDATE",
        [order.order_id for order in orders],
    )
    return {row["order_id"] for row in rows}


async def _insert_orders(connection: Connection, orders: Sequence[NewOrder]) -> list[tuple[str, str]]:
    """The id and the endpoint of each order that is new."""
    rows = sorted({order.order_id: order for order in orders}.items())
    inserted = await connection.fetch(
        """
        INSERT INTO kessai.orders (order_id, endpoint, amount_minor, currency)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[])
        ON CONFLICT (order_id) DO NOTHING
        RETURNING order_id, endpoint
        """,
        [order_id for order_id, _ in rows],
        [order.endpoint for _, order in rows],
        [order.amount_minor for _, order in rows],
        [order.currency for _, order in rows],
    )
    return [(row["order_id"], row["endpoint"]) for row in inserted]


async def _check_known(connection: Connection, orders: Sequence[NewOrder]) -> None:
    rows = await connection.fetch(
        "SELECT * FROM kessai.orders WHERE order_id = ANY ($1::text[]) ORDER BY order_id FOR UPDATE",
        [order.order_id for order in orders],
    )
    known = {row["order_id"]: row for row in rows}
    for order in orders:
        row = known[order.order_id]
        for name in ("endpoint", "amount_minor", "currency"):
            if row[name] != getattr(order, name):
                raise OrderConflict(
                    f"order {order.order_id!r} is registered with {name} {row[name]!r}, not {getattr(order, name)!r}: "
                    "an order keeps its values; register a changed order under a new id"
                )


async def _insert_challenges(connection: Connection, orders: Sequence[NewOrder]) -> None:
    pairs = sorted({(order.challenge_hash, order.order_id) for order in orders if order.challenge_hash})
    hashes, order_ids = [hash_ for hash_, _ in pairs], [order_id for _, order_id in pairs]
    await connection.execute(
        """
        INSERT INTO kessai.challenges (challenge_hash, order_id)
        SELECT * FROM unnest($1::text[], $2::text[])
        ON CONFLICT (challenge_hash) DO NOTHING
        """,
        hashes,
        order_ids,
    )
    taken = await connection.fetchrow(
        """
        SELECT challenge.challenge_hash, challenge.order_id, wanted.order_id AS wanted_by
        FROM unnest($1::text[], $2::text[]) AS wanted (challenge_hash, order_id)
        JOIN kessai.challenges AS challenge USING (challenge_hash)
        WHERE challenge.order_id <> wanted.order_id
        LIMIT 1
        """,
        hashes,
        order_ids,
    )
    if taken is not None:
        raise OrderConflict(
            f"challenge {taken['challenge_hash']!r} belongs to order {taken['order_id']!r}, "
            f"so order {taken['wanted_by']!r} cannot have it: use a fresh nonce for every order"
        )


async def change(connection: Connection, order: NewOrder, *, actor: str) -> None:
    """Give an order another amount or currency, as long as nobody can have begun to pay it.

    Raises OrderNotFound, for another endpoint's order, too, and OrderConflict.
    """
    async with connection.transaction():
        row = await connection.fetchrow(
            "SELECT * FROM kessai.orders WHERE order_id = $1 AND endpoint = $2 FOR UPDATE",
            *(order.order_id, order.endpoint),
        )
        if row is None:
            raise OrderNotFound(order.order_id)
        known = Order.from_row(row)
        if (known.amount_minor, known.currency) == (order.amount_minor, order.currency):
            return
        is_pending = known.state is OrderState.PENDING
        if not is_pending or await _is_begun(connection, order.order_id):
            why = "its payment was started" if is_pending else f"it is {known.state}"
            raise OrderConflict(
                f"order {order.order_id!r} costs {known.amount_minor} {known.currency}, and {why}: it keeps its "
                "values; register a changed order under a new id"
            )
        await connection.execute(
            "UPDATE kessai.orders SET amount_minor = $2, currency = $3, updated_at = now() WHERE order_id = $1",
            *(order.order_id, order.amount_minor, order.currency),
        )
        old = {"old_amount_minor": known.amount_minor, "old_currency": known.currency}
        new = {"amount_minor": order.amount_minor, "currency": order.currency}
        await audit.record(
            connection, actor=actor, action=CHANGED, subject=order.order_id, endpoint=order.endpoint, detail=old | new
        )


async def _is_begun(connection: Connection, order_id: str) -> bool:
    """Whether a locked order ever had an attempt or a challenge: either may be paid at any time, whatever its state.

    A statement of its own: one that waited for the lock would show what was there before it.
    """
    begun: bool = await connection.fetchval(
        """
        SELECT EXISTS (SELECT FROM kessai.checkout_attempts WHERE order_id = $1)
            OR EXISTS (SELECT FROM kessai.challenges WHERE order_id = $1)
        """,
        order_id,
    )
    return begun


async def cancel(connection: Connection, order_id: str, *, actor: str, now: datetime) -> Order:
    """Close a pending order; a payment that comes later opens a review. Raises OrderNotFound, OrderNotPending."""
    async with connection.transaction():
        row = await connection.fetchrow("SELECT * FROM kessai.orders WHERE order_id = $1 FOR UPDATE", order_id)
        if row is None:
            raise OrderNotFound(order_id)
        order = Order.from_row(row)
        following = next_state(order.state, Fact.CANCELLATION)
        if order.state is OrderState.CANCELLED:
            return order
        if not isinstance(following, Move):
            raise OrderNotPending(order)
        cancelled = order._replace(state=following.to)
        await connection.execute(
            "UPDATE kessai.orders SET state = $2, updated_at = now() WHERE order_id = $1", order_id, cancelled.state
        )
        await connection.execute(
            """
            INSERT INTO kessai.audit (actor, action, subject, endpoint, from_state, to_state)
            VALUES ($1, 'order.moved', $2, $3, $4, $5)
            """,
            actor,
            order_id,
            order.endpoint,
            order.state,
            cancelled.state,
        )
        await audit.record(connection, actor=actor, action="order.cancelled", subject=order_id, endpoint=order.endpoint)
        await outbox.put(connection, [order_cancelled(cancelled, now)])
    return cancelled


async def find(connection: Connection, order_id: str) -> Order:
    """Raises OrderNotFound."""
    return (await find_recorded(connection, order_id)).order


async def find_recorded(connection: Connection, order_id: str) -> RecordedOrder:
    """An order and when it was registered and changed. Raises OrderNotFound."""
    row = await connection.fetchrow("SELECT * FROM kessai.orders WHERE order_id = $1", order_id)
    if row is None:
        raise OrderNotFound(order_id)
    return recorded(row)


def recorded(row: Row) -> RecordedOrder:
    """A row of `kessai.orders` that has every column."""
    return RecordedOrder(Order.from_row(row), row["created_at"], row["updated_at"])
