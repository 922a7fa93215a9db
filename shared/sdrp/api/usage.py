"""One micro or nano payment, as a statement lists it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from shared.sdrp.api.records import Record

GROSS = ("provider_gross_amount_minor", "provider_usage_amount_minor", "gross_buyer_debit_minor")
"""Three names for one amount; the first is the platform's own, the others are kept for older readers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """The buyer's view. Amounts are minor units; times are UTC; `status` may be a value that is not known here."""

    metered_usage_id: str
    plan_type: str
    status: str
    currency: str
    token_symbol: str
    provider_gross_amount_minor: Decimal
    protocol_fee_minor: Decimal
    buyer_debit_minor: Decimal | None
    rounding_delta_minor: Decimal | None
    """For information; it is neither added to nor shared out of anything."""
    settlement_cadence: str | None
    settlement_batch_id: str | None
    """None until the period closes."""
    listing_id: str | None
    capability_key: str | None
    operation_key: str | None
    created_at: datetime | None
    period_start: datetime | None
    period_end: datetime | None
    expected_scheduled_debit_at: datetime | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(**cls.values_of(record))

    @classmethod
    def values_of(cls, record: Record) -> dict[str, Any]:
        """Every field by its name."""
        return {
            "metered_usage_id": record.text("metered_usage_id"),
            "plan_type": record.text("plan_type"),
            "status": record.text("status"),
            "currency": record.text("currency"),
            "token_symbol": record.text("token_symbol"),
            "provider_gross_amount_minor": record.amount(record.first_of(*GROSS)),
            "protocol_fee_minor": record.amount("protocol_fee_minor"),
            "buyer_debit_minor": record.amount_or_none("buyer_debit_minor"),
            "rounding_delta_minor": record.amount_or_none("rounding_delta_minor"),
            "settlement_cadence": record.text_or_none("settlement_cadence"),
            "settlement_batch_id": record.text_or_none("settlement_batch_id"),
            "listing_id": record.text_or_none(record.first_of("listing_id", "product_listing_id")),
            "capability_key": record.text_or_none("capability_key"),
            "operation_key": record.text_or_none("operation_key"),
            "created_at": record.time_or_none("created_at"),
            "period_start": record.time_or_none("period_start"),
            "period_end": record.time_or_none("period_end"),
            "expected_scheduled_debit_at": record.time_or_none("expected_scheduled_debit_at"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUsageEvent(UsageEvent):
    """The provider's view. It names no buyer, only a reference that is stable within a period."""

    provider_receivable_minor: Decimal
    """What the provider gets once the batch is settled: gross less the protocol fee."""
    buyer_period_ref: str | None
    requirement_id: str | None = None
    """The id of the payment; undocumented, and only newer platforms state it."""
    challenge_hash: str | None = None
    """The challenge hash of the order that was paid; also undocumented."""

    @classmethod
    def values_of(cls, record: Record) -> dict[str, Any]:
        """Every field by its name."""
        return UsageEvent.values_of(record) | {
            "provider_receivable_minor": record.amount("provider_receivable_minor"),
            "buyer_period_ref": record.text_or_none("buyer_period_ref"),
            "requirement_id": record.text_or_none(record.first_of("requirement_id", "direct_payment_requirement_id")),
            "challenge_hash": record.text_or_none("challenge_hash"),
        }
