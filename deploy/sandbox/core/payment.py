"""What is a payment? The amount that a buyer has to pay, and its state."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from deploy.sandbox.core.pricing import Price
from shared.sdrp.challenge import challenge_hash, request_hash, request_hash_v2
from shared.sdrp.money import Currency


class PaymentStatus(StrEnum):
    REQUIRES_PAYMENT = "requires_payment"
    SUBMITTED = "submitted"
    PAID = "paid"


@dataclass(frozen=True, slots=True)
class Order:
    """What a buyer has to pay, and what a statement says that it was for."""

    merchant: str
    amount_minor: int
    currency: Currency
    challenge: str
    metadata: dict[str, Any] = field(default_factory=dict)

    def named(self, name: str, otherwise: str) -> str:
        """What the merchant wrote into the metadata under that name."""
        value = self.metadata.get(name)
        return value if isinstance(value, str) and 0 < len(value) <= 200 else otherwise


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment requirement and what has become of it."""

    id: str
    order: Order
    buyer: str
    listing_id: str
    price: Price
    created_at: datetime
    status: PaymentStatus = PaymentStatus.REQUIRES_PAYMENT
    receipt_id: str | None = None
    chain_receipt_id: str | None = None
    paid_at: datetime | None = None
    usage_number: int | None = None
    event_id: str | None = None

    @property
    def merchant(self) -> str:
        return self.order.merchant

    @property
    def amount_minor(self) -> int:
        return self.order.amount_minor

    @property
    def currency(self) -> Currency:
        return self.order.currency

    @property
    def challenge_hash(self) -> str:
        return challenge_hash(self.order.challenge)

    @property
    def request_hash(self) -> str:
        order = self.order
        return request_hash(
            merchant=order.merchant,
            amount_minor=order.amount_minor,
            currency=order.currency,
            challenge=order.challenge,
        )

    @property
    def request_hash_v2(self) -> str:
        order = self.order
        return request_hash_v2(
            merchant=order.merchant,
            amount_minor=order.amount_minor,
            currency=order.currency,
            challenge=order.challenge,
        )

    @property
    def settlement_status(self) -> str:
        match self.status:
            case PaymentStatus.REQUIRES_PAYMENT:
                return "pending_payment"
            case PaymentStatus.SUBMITTED:
                return "provisional"
            case PaymentStatus.PAID:
                return self.price.accepted_status
