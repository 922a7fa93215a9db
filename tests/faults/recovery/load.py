"""What is sent while things break, and what it must come to?

Payments of orders, some told under a second event id; metered usage; settlement batches; payments that no order
expects; signed bytes that are no event. Every tenth webhook is sent twice.
"""

import random
from dataclasses import dataclass
from typing import Final

from tests import given

APPLIED: Final = "applied"
DUPLICATE: Final = "duplicate"
REVIEW: Final = "review"
DEAD_LETTER: Final = "dead letter"
"""What one event comes to."""


@dataclass(frozen=True, slots=True)
class Webhook:
    raw: bytes
    fate: str
    event_id: str = ""
    """Blank: the bytes are no event."""
    subject: str = ""
    """The order or batch it is about; events of one subject may take each other's fate, as either may come first."""
    fact: str = ""
    """What the merchant hears of it."""


@dataclass(frozen=True, slots=True)
class Order:
    order_id: str
    amount_minor: int
    is_paid: bool
    """Else it is fulfilled and waits for its batch."""


@dataclass(frozen=True, slots=True)
class Load:
    webhooks: tuple[Webhook, ...]
    """In the order in which they are sent, those that are sent twice included."""
    orders: tuple[Order, ...]

    def orders_file(self) -> str:
        """As `kessai orders import` reads it."""
        rows = (f"{one.order_id},{one.amount_minor},JPY,{given.challenge_hash(one.order_id)}" for one in self.orders)
        return "\n".join(("order_id,amount_minor,currency,challenge_hash", *rows, ""))


def load(size: int = 2000, *, seed: int = 1) -> Load:
    """About `size` webhooks; the same ones for the same seed."""
    unit = size // 100
    orders = [
        *(Order(f"order-{n}", 501 + n, is_paid=True) for n in range(75 * unit)),
        *(Order(f"usage-{n}", 51 + n % 400, is_paid=False) for n in range(8 * unit)),
    ]
    once = [
        *(_payment_of(order) for order in orders),
        *(_told_again(order) for order in orders[: 2 * unit]),
        *(_settlement(f"batch-{n}") for n in range(unit)),
        *(_nobodys(n) for n in range(3 * unit)),
        *(Webhook(b"{" + given.payment(f"broken-{n}"), DEAD_LETTER) for n in range(unit)),
    ]
    dice = random.Random(seed)  # noqa: S311 - no secret
    twice = dice.sample(once, len(once) // 10)
    webhooks = [*once, *twice]
    dice.shuffle(webhooks)
    return Load(tuple(webhooks), tuple(orders))


def _payment_of(order: Order) -> Webhook:
    event_id, amount = f"evt-{order.order_id}", order.amount_minor
    if order.is_paid:
        raw = given.payment(event_id, order.order_id, amount_minor=amount)
        return Webhook(raw, APPLIED, event_id, order.order_id, "order.paid")
    raw = given.usage(event_id, order.order_id, amount_minor=str(amount))
    return Webhook(raw, APPLIED, event_id, order.order_id, "order.fulfilled_unsettled")


def _told_again(order: Order) -> Webhook:
    event_id = f"evt-again-{order.order_id}"
    raw = given.payment(event_id, order.order_id, amount_minor=order.amount_minor)
    return Webhook(raw, DUPLICATE, event_id, order.order_id)


def _settlement(batch_id: str) -> Webhook:
    event_id = f"evt-{batch_id}"
    return Webhook(given.settlement(event_id, batch_id), APPLIED, event_id, batch_id, "batch.settled")


def _nobodys(n: int) -> Webhook:
    event_id = f"evt-nobodys-{n}"
    return Webhook(given.payment(event_id, f"nobodys-{n}"), REVIEW, event_id, event_id, "review.opened")
