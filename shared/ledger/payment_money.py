"""How much money is a payment? One answer for the audit, the books of usage and the facts."""

from decimal import Decimal
from typing import NamedTuple

from shared.ledger.books import Order
from shared.sdrp.classify import Confirmation, MeteredUsageAccepted, StandardSettled


class Money(NamedTuple):
    amount_minor: Decimal
    currency: str


def price_of(order: Order) -> Money:
    return Money(Decimal(order.amount_minor), order.currency)


def money_of(payment: StandardSettled | MeteredUsageAccepted, order: Order) -> Money:
    """What was paid or used: as the event states it, else as the order does.

    A person may accept a payment that differs from its order: the platform settles what it said. A currency without an
    amount says nothing of how much.
    """
    if not isinstance(payment.amount, Decimal):
        return price_of(order)
    currency = payment.currency.upper() if isinstance(payment.currency, str) else order.currency
    return Money(payment.amount, currency)


def paid_with(confirmation: Confirmation | None, order: Order) -> Money | None:
    """What an order of the standard band was paid with, given what moved it; None after any other move."""
    if order.paid_at is None or not isinstance(confirmation, StandardSettled):
        return None
    return money_of(confirmation, order)
