"""Where a buyer or a provider stands with micro and nano payments now."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Self

from shared.sdrp.api.batches import Failure, Receivables, SettlementBatch
from shared.sdrp.api.records import Record
from shared.sdrp.api.usage import GROSS


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPeriod:
    """Usage that no batch holds yet. Amounts are minor units; times are UTC."""

    plan_type: str | None
    settlement_cadence: str | None
    currency: str | None
    token_symbol: str | None
    provider_gross_amount_minor: Decimal | None
    protocol_fee_minor: Decimal | None
    provider_receivable_minor: Decimal | None
    buyer_debit_minor: Decimal | None
    settlement_trigger: str | None
    settlement_threshold_minor: Decimal | None
    total_unsettled_exposure_minor: Decimal | None
    threshold_reached_at: datetime | None
    period_start: datetime | None
    period_end: datetime | None
    close_at: datetime | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            plan_type=record.text_or_none("plan_type"),
            settlement_cadence=record.text_or_none("settlement_cadence"),
            currency=record.text_or_none("currency"),
            token_symbol=record.text_or_none("token_symbol"),
            provider_gross_amount_minor=record.amount_or_none(record.first_of(*GROSS)),
            protocol_fee_minor=record.amount_or_none("protocol_fee_minor"),
            provider_receivable_minor=record.amount_or_none("provider_receivable_minor"),
            buyer_debit_minor=record.amount_or_none(
                record.first_of("buyer_debit_minor", "estimated_buyer_debit_minor")
            ),
            settlement_trigger=record.text_or_none("settlement_trigger"),
            settlement_threshold_minor=record.amount_or_none("settlement_threshold_minor"),
            total_unsettled_exposure_minor=record.amount_or_none("total_unsettled_exposure_minor"),
            threshold_reached_at=record.time_or_none("threshold_reached_at"),
            period_start=record.time_or_none("period_start"),
            period_end=record.time_or_none("period_end"),
            close_at=record.time_or_none("close_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PastDueBlock:
    """Why a buyer gets no new micro or nano usage for now."""

    settlement_batch_id: str | None
    plan_type: str | None
    currency: str | None
    token_symbol: str | None
    total_unsettled_exposure_minor: Decimal | None
    past_due_provider_receivable_minor: Decimal | None
    failure: Failure | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            settlement_batch_id=record.text_or_none("settlement_batch_id"),
            plan_type=record.text_or_none("plan_type"),
            currency=record.text_or_none("currency"),
            token_symbol=record.text_or_none("token_symbol"),
            total_unsettled_exposure_minor=record.amount_or_none("total_unsettled_exposure_minor"),
            past_due_provider_receivable_minor=record.amount_or_none("past_due_provider_receivable_minor"),
            failure=Failure.read(record),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceSufficiency:
    """Whether the buyer's balance seems to do for the open periods: a hint, no promise."""

    sufficient: bool | None
    currency: str | None
    token_symbol: str | None
    required_minor: Decimal | None
    available_minor: Decimal | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            sufficient=record.flag_or_none("sufficient"),
            currency=record.text_or_none("currency"),
            token_symbol=record.text_or_none("token_symbol"),
            required_minor=record.amount_or_none("required_minor"),
            available_minor=record.amount_or_none("available_minor"),
        )


@dataclass(frozen=True, slots=True)
class BuyerSummary:
    open_periods: tuple[OpenPeriod, ...]
    settlement_batches: tuple[SettlementBatch, ...]
    past_due_blocks: tuple[PastDueBlock, ...]
    balance_sufficiency: BalanceSufficiency | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        balance = record.object_or_none("balance_sufficiency")
        return cls(
            record.records("open_periods", OpenPeriod.read),
            record.records("settlement_batches", SettlementBatch.read),
            record.records("past_due_blocks", PastDueBlock.read),
            None if balance is None else BalanceSufficiency.read(Record(balance, "balance_sufficiency")),
        )


@dataclass(frozen=True, slots=True)
class ProviderSummary:
    timezone: str | None
    open_periods: tuple[OpenPeriod, ...]
    periods: tuple[SettlementBatch, ...]
    """Closed ones."""
    totals: Receivables

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            record.text_or_none("timezone"),
            record.records("open_periods", OpenPeriod.read),
            record.records("periods", SettlementBatch.read),
            Receivables.read(Record(record.object_or_none("totals") or {}, "totals")),
        )
