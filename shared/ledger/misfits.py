"""What keeps a payment from being counted for its order by itself, and how do the two differ? Pure."""

from typing import Final

from shared.ledger.books import Order
from shared.ledger.incoming import Incoming
from shared.ledger.transitions import ReviewReason
from shared.sdrp.classify import UNREADABLE, MeteredUsageAccepted, StandardSettled
from shared.sdrp.money import band_for

MISFITS: Final = (
    ReviewReason.MERCHANT_MISMATCH,
    ReviewReason.CURRENCY_MISMATCH,
    ReviewReason.AMOUNT_MISMATCH,
    ReviewReason.BAND_MISMATCH,
    ReviewReason.REJECTED_PAYMENT,
)
"""Reasons of reviews whose payment a person may count all the same."""


def difference(misfit: ReviewReason, incoming: Incoming, order: Order) -> str:
    """One of `MISFITS` in words, for the person who decides."""
    if misfit is ReviewReason.REJECTED_PAYMENT:
        return "a person has rejected the payment of its challenge, and the money may have been sent back"
    said, ours = _sides(misfit, incoming, order)
    shown = "something unreadable" if said is UNREADABLE else str(said)
    return f"the event says {shown}, {f'order {order.order_id!r}' if ours else 'this shop'} says {ours or 'otherwise'}"


def _sides(misfit: ReviewReason, incoming: Incoming, order: Order) -> tuple[object, object]:
    """What the event says of the field and what the order does; None where only the shop knows."""
    payment = incoming.confirmation
    if not isinstance(payment, StandardSettled | MeteredUsageAccepted):
        return "no payment", None
    match misfit:
        case ReviewReason.AMOUNT_MISMATCH:
            return payment.amount, order.amount_minor
        case ReviewReason.CURRENCY_MISMATCH:
            return payment.currency, order.currency
        case ReviewReason.BAND_MISMATCH:
            return payment.pricing_band, band_for(order.amount_minor, order.currency)
        case _ if order.endpoint != incoming.envelope.endpoint:
            return f"endpoint {incoming.envelope.endpoint}", f"endpoint {order.endpoint}"
        case _:
            return f"merchant {payment.merchant}", None
