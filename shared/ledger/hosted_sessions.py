"""What does the platform's checkout session of an order say, and may the order take its payment? Pure.

Only a session of the standard band that is settled with a receipt is a payment; micro and nano are told by their
webhooks alone.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Self

from shared.ledger.books import Order
from shared.ledger.checkout_states import AttemptFact
from shared.ledger.transitions import Fact, Move, Next, next_state
from shared.sdrp.api.checkout import CheckoutSession, NewCheckoutSession
from shared.sdrp.money import Band

HASH: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
MAX_FUTURE_PAID_AT: Final = timedelta(days=1)
"""A stated `paid_at` that is later than this from now is not believed."""
FACTS: Final = {fact.value: fact for fact in AttemptFact}
"""By the platform's word for a session's status; any other word is one for a session that can still be paid."""


def fact_of(status: str | None) -> AttemptFact:
    return FACTS.get(status or "", AttemptFact.OPENED)


def misfits(
    order: Order,
    merchant: str,
    told: "NewCheckoutSession | CheckoutSession | StatedSession",
    challenge_hash: str | None = None,
) -> tuple[str, ...]:
    """The fields in which a session is not that of the order; `challenge_hash`: of the session as it was kept."""
    fits = {
        "merchant": (told.merchant or "").lower() == merchant,
        "amount_minor": told.amount_minor == order.amount_minor,
        "currency": (told.currency or "").upper() == order.currency,
        "challenge_hash": bool(HASH.fullmatch(told.challenge_hash)) and challenge_hash in (None, told.challenge_hash),
    }
    return tuple(name for name, does in fits.items() if not does)


class StatedSession(NamedTuple):
    """A session as the platform stated it; fields have its names."""

    session_id: str
    status: str
    merchant: str
    amount_minor: int
    currency: str
    challenge_hash: str
    requirement_id: str | None
    pricing_band: str | None
    finality: str | None
    settlement_status: str | None
    chain_receipt_id: str | None
    paid_at: datetime | None

    @classmethod
    def of(cls, session: CheckoutSession) -> Self:
        return cls(*(getattr(session, name) for name in cls._fields))

    @classmethod
    def shown(cls, kept: Mapping[str, Any]) -> Self:
        """From `show`, as a review keeps it."""
        paid_at = kept.get("paid_at")
        named: dict[str, Any] = {name: kept.get(name) for name in cls._fields}
        return cls(**named | {"paid_at": datetime.fromisoformat(paid_at) if paid_at else None})

    @classmethod
    def untold(cls, session_id: str, order: Order, merchant: str, challenge_hash: str) -> Self:
        """Paid by what the platform said before, with nothing more to be had of it; the rest is the order's."""
        said = (session_id, "untold", merchant, order.amount_minor, order.currency, challenge_hash)
        return cls(*said, *(None for _ in cls._fields[len(said) :]))

    def show(self) -> dict[str, object]:
        return self._asdict() | {"paid_at": self.paid_at.isoformat() if self.paid_at else None}

    def believed(self, now: datetime) -> Self:
        """Paid at an unknown time where the stated one lies far ahead."""
        is_ahead = self.paid_at is not None and self.paid_at > now + MAX_FUTURE_PAID_AT
        return self._replace(paid_at=None) if is_ahead else self

    @property
    def fact(self) -> AttemptFact:
        return fact_of(self.status)

    @property
    def lacks(self) -> tuple[str, ...]:
        """What it lacks to be a payment that is settled on-chain, once."""
        has = {
            "status": self.fact is AttemptFact.PAID,
            "pricing_band": self.pricing_band == Band.STANDARD,
            "finality": self.finality == "per_payment_onchain",
            "settlement_status": self.settlement_status == "settled",
            "requirement_id": self.requirement_id is not None,
            "chain_receipt_id": self.chain_receipt_id is not None,
        }
        return tuple(name for name, does in has.items() if not does)

    @property
    def may_settle(self) -> bool:
        """Whether nothing is missing but what the chain brings."""
        return bool(self.lacks) and set(self.lacks) <= {"settlement_status", "chain_receipt_id", "requirement_id"}


class Payable(NamedTuple):
    """An order, and what its payment by a session is measured against."""

    order: Order
    merchant: str | None
    """Of the shop; without it no session is known to be ours."""
    challenge_hash: str | None
    """Of the session as it was kept when the buyer was sent there."""
    spent_on: str | None = None
    """The order that the session's requirement has paid already."""


def merchant_untold(endpoint: str) -> str:
    """Why no session of an endpoint is known to be ours, and what to do."""
    return (
        f"no merchant key for endpoint {endpoint!r}: set SIGLUME_DIRECT_PAYMENT_MERCHANT, or `merchant` in the TOML "
        "file of KESSAI_CONFIG"
    )


def unfit(session: StatedSession, payable: Payable) -> tuple[str, ...]:
    """The fields for which the order cannot take this session as its payment."""
    if payable.merchant is None or payable.challenge_hash is None:
        return ("merchant",) if payable.merchant is None else ("challenge_hash",)
    return (*misfits(payable.order, payable.merchant, session, payable.challenge_hash), *session.lacks)


def following(session: StatedSession, payable: Payable) -> Next:
    """What the payment of a session that fits does to its order, by the table of transitions."""
    order = payable.order
    if order.requirement_id == session.requirement_id:
        return next_state(order.state, Fact.PAYMENT_AGAIN)
    is_spent = payable.spent_on not in (None, order.order_id)
    return next_state(order.state, Fact.SPENT_REQUIREMENT if is_spent else Fact.PAYMENT)


def paid_by(session: StatedSession, order: Order, move: Move) -> Order:
    """The order after that move."""
    return order._replace(
        state=move.to,
        requirement_id=session.requirement_id,
        chain_receipt_id=session.chain_receipt_id,
        paid_at=session.paid_at,
    )


def beside_order(session: StatedSession, order: Order, challenge_hash: str | None) -> dict[str, Any]:
    """Both sides as a review keeps them, under the names of the same fields."""
    return {
        "session": session.show(),
        "order": {
            "order_id": order.order_id,
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "state": order.state,
            "challenge_hash": challenge_hash,
            "requirement_id": order.requirement_id,
            "chain_receipt_id": order.chain_receipt_id,
        },
    }
