"""One settlement batch: a buyer's micro or nano payments to one provider, debited together."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Self

from shared.sdrp.api.records import Record
from shared.sdrp.api.usage import GROSS


class BatchStatus(StrEnum):
    """The states that are known; a batch may have another, which is not settled."""

    NOTICE_PENDING = "notice_pending"
    NOTICE_DELIVERY_FAILED = "notice_delivery_failed"
    READY = "ready"
    SUBMITTED = "submitted"
    SUBMITTED_RECONCILE_REQUIRED = "submitted_reconcile_required"
    FAILED = "failed"
    FAILED_RETRYABLE = "failed_retryable"
    RETRYING = "retrying"
    PAST_DUE = "past_due"
    SETTLED = "settled"
    UNCOLLECTIBLE = "uncollectible"
    WRITTEN_OFF = "written_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Receivables:
    """What a provider gets, kept apart by how far it is. Minor units; None where the platform says nothing."""

    settled_provider_receivable_minor: Decimal | None
    unsettled_provider_receivable_minor: Decimal | None
    past_due_provider_receivable_minor: Decimal | None
    terminal_provider_receivable_minor: Decimal | None
    uncollectible_provider_receivable_minor: Decimal | None
    written_off_provider_receivable_minor: Decimal | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(**{name: record.amount_or_none(name) for name in cls.__dataclass_fields__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a batch is not settled, as far as people may be shown it."""

    reason_code: str | None
    reason_label: str | None
    reason_help: str | None
    support_reference: str | None

    @classmethod
    def read(cls, record: Record) -> Self | None:
        """None when there is none. Raises UnusableAnswer."""
        failure = cls(
            reason_code=record.text_or_none("failure_reason_code"),
            reason_label=record.note("failure_reason_label"),
            reason_help=record.note("failure_reason_help"),
            support_reference=record.text_or_none("support_reference"),
        )
        return failure if failure.reason_code or failure.reason_label or failure.support_reference else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SettlementBatch:
    """Amounts are minor units; times are UTC; `status` may be a value that is not known here."""

    settlement_batch_id: str
    plan_type: str
    status: str
    settlement_cadence: str | None
    currency: str | None
    token_symbol: str | None
    buyer_period_ref: str | None

    provider_gross_amount_minor: Decimal | None
    protocol_fee_minor: Decimal | None
    provider_receivable_minor: Decimal | None
    buyer_debit_minor: Decimal | None
    rounding_delta_minor: Decimal | None
    """For information; it is neither added to nor shared out of anything."""
    receivables: Receivables
    usage_event_count: int | None = None
    """The number of payments in it; undocumented, and only newer platforms state it."""

    settlement_trigger: str | None
    settlement_threshold_minor: Decimal | None
    total_unsettled_exposure_minor: Decimal | None
    threshold_reached_at: datetime | None
    period_start: datetime | None
    period_end: datetime | None
    close_at: datetime | None

    notice_status: str | None
    expected_scheduled_debit_at: datetime | None
    scheduled_debit_at: datetime | None
    not_before_attempt_at: datetime | None
    """The debit is never tried before."""
    execution_status: str | None
    latest_execution_attempt_status: str | None
    attempt_count: int | None
    next_attempt_at: datetime | None
    failure: Failure | None

    chain_receipt_id: str | None
    usage_event_digest: str | None
    settled_at: datetime | None
    terminal_status: str | None
    terminal_marked_at: datetime | None
    terminal_reason_code: str | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            settlement_batch_id=record.text("settlement_batch_id"),
            plan_type=record.text("plan_type"),
            status=record.text("status"),
            settlement_cadence=record.text_or_none("settlement_cadence"),
            currency=record.text_or_none("currency"),
            token_symbol=record.text_or_none("token_symbol"),
            buyer_period_ref=record.text_or_none("buyer_period_ref"),
            provider_gross_amount_minor=record.amount_or_none(record.first_of(*GROSS)),
            protocol_fee_minor=record.amount_or_none("protocol_fee_minor"),
            provider_receivable_minor=record.amount_or_none("provider_receivable_minor"),
            buyer_debit_minor=record.amount_or_none(
                record.first_of("buyer_debit_minor", "estimated_buyer_debit_minor")
            ),
            rounding_delta_minor=record.amount_or_none("rounding_delta_minor"),
            receivables=Receivables.read(record),
            usage_event_count=record.integer_or_none("usage_event_count"),
            settlement_trigger=record.text_or_none("settlement_trigger"),
            settlement_threshold_minor=record.amount_or_none("settlement_threshold_minor"),
            total_unsettled_exposure_minor=record.amount_or_none("total_unsettled_exposure_minor"),
            threshold_reached_at=record.time_or_none("threshold_reached_at"),
            period_start=record.time_or_none("period_start"),
            period_end=record.time_or_none("period_end"),
            close_at=record.time_or_none("close_at"),
            notice_status=record.text_or_none("notice_status"),
            expected_scheduled_debit_at=record.time_or_none("expected_scheduled_debit_at"),
            scheduled_debit_at=record.time_or_none("scheduled_debit_at"),
            not_before_attempt_at=record.time_or_none("not_before_attempt_at"),
            execution_status=record.text_or_none("execution_status"),
            latest_execution_attempt_status=record.text_or_none("latest_execution_attempt_status"),
            attempt_count=record.integer_or_none("attempt_count"),
            next_attempt_at=record.time_or_none("next_attempt_at"),
            failure=Failure.read(record),
            chain_receipt_id=record.text_or_none("chain_receipt_id"),
            usage_event_digest=record.text_or_none("usage_event_digest"),
            settled_at=record.time_or_none("settled_at"),
            terminal_status=record.text_or_none("terminal_status"),
            terminal_marked_at=record.time_or_none("terminal_marked_at"),
            terminal_reason_code=record.text_or_none("terminal_reason_code"),
        )
