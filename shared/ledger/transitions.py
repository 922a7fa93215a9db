"""How an order's money state moves: one table of (state × fact → state | review | nothing), and nothing else.

States only move forward. What does not fit becomes a review; a fact that the books already hold changes nothing.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class OrderState(StrEnum):
    PENDING = "pending"
    """Registered; no money yet."""
    PAID = "paid"
    """Standard band: settled on-chain, once."""
    FULFILLED_UNSETTLED = "fulfilled_unsettled"
    """Micro and nano: usage accepted, not yet revenue."""
    SETTLED = "settled"
    """Micro and nano: the batch of this usage is settled on-chain."""
    UNCOLLECTIBLE = "uncollectible"
    WRITTEN_OFF = "written_off"
    CANCELLED = "cancelled"
    """Closed by the merchant before any money came."""

    __hash__ = str.__hash__  # an enum's own is a Python call, several for every event


class Fact(StrEnum):
    """What the outside says of an order. `*_AGAIN` names the requirement that the order already carries."""

    PAYMENT = "payment"
    PAYMENT_AGAIN = "payment_again"
    USAGE = "usage"
    USAGE_AGAIN = "usage_again"
    SPENT_REQUIREMENT = "spent_requirement"
    USAGE_SETTLED = "usage_settled"
    USAGE_UNCOLLECTIBLE = "usage_uncollectible"
    USAGE_WRITTEN_OFF = "usage_written_off"
    CANCELLATION = "cancellation"

    __hash__ = str.__hash__


class ReviewReason(StrEnum):
    """Why a person must look.

    The first six are the classifier's own reasons for `unknown`; those of `OF_STATEMENTS` and `OF_SESSIONS` are told by
    no event.
    """

    NOT_DIRECT_PAYMENT_CONFIRMED = "not_direct_payment_confirmed"
    UNSUPPORTED_CONFIRMATION_MODE = "unsupported_confirmation_mode"
    INVALID_METERED_SETTLEMENT_CONFIRMATION = "invalid_metered_settlement_confirmation"
    MISSING_STANDARD_SETTLEMENT_FIELDS = "missing_standard_settlement_fields"
    MISSING_METERED_USAGE_FIELDS = "missing_metered_usage_fields"
    UNKNOWN_CONFIRMATION_SHAPE = "unknown_confirmation_shape"
    UNKNOWN_CHALLENGE_HASH = "unknown_challenge_hash"
    UNKNOWN_METERED_CHALLENGE_HASH = "unknown_metered_challenge_hash"
    METERED_INTEGRATION_REQUIRED = "metered_integration_required"
    MERCHANT_MISMATCH = "merchant_mismatch"
    CURRENCY_MISMATCH = "currency_mismatch"
    AMOUNT_MISMATCH = "amount_mismatch"
    BAND_MISMATCH = "band_mismatch"
    SECOND_PAYMENT = "second_payment"
    PAID_AFTER_CLOSE = "paid_after_close"
    REQUIREMENT_CONFLICT = "requirement_conflict"
    REJECTED_PAYMENT = "rejected_payment"
    STATEMENT_CONFLICT = "statement_conflict"
    EVENT_ID_CONFLICT = "event_id_conflict"
    BATCH_CONFLICT = "batch_conflict"
    WEBHOOK_MISSING = "webhook_missing"
    STATEMENT_MISSING = "statement_missing"
    STATEMENT_AMOUNT_MISMATCH = "statement_amount_mismatch"
    STATEMENT_RECEIPT_MISMATCH = "statement_receipt_mismatch"
    STATEMENT_DIGEST_MISMATCH = "statement_digest_mismatch"
    STATEMENT_TOTAL_MISMATCH = "statement_total_mismatch"
    BATCH_ROWS_MISMATCH = "batch_rows_mismatch"
    RECEIVABLE_MISMATCH = "receivable_mismatch"
    MISSED_WEBHOOK = "missed_webhook"


class ReviewState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"


class ReviewQueue(StrEnum):
    UNKNOWN = "unknown"
    METERED = "metered"
    MISMATCH = "mismatch"


OF_STATEMENTS: Final = frozenset(
    {
        ReviewReason.STATEMENT_CONFLICT,
        ReviewReason.WEBHOOK_MISSING,
        ReviewReason.STATEMENT_MISSING,
        ReviewReason.STATEMENT_AMOUNT_MISMATCH,
        ReviewReason.STATEMENT_RECEIPT_MISMATCH,
        ReviewReason.STATEMENT_DIGEST_MISMATCH,
        ReviewReason.STATEMENT_TOTAL_MISMATCH,
        ReviewReason.BATCH_ROWS_MISMATCH,
        ReviewReason.RECEIVABLE_MISMATCH,
    }
)
"""Differences between the platform's statements and the books: see shared/ledger/revenue/differences.py."""
OF_SESSIONS: Final = frozenset({ReviewReason.MISSED_WEBHOOK})
"""Checkout sessions that the platform says are paid, and no webhook did: see shared/ledger/sweeps.py."""
_METERED_REASONS = {
    ReviewReason.UNKNOWN_METERED_CHALLENGE_HASH,
    ReviewReason.METERED_INTEGRATION_REQUIRED,
    ReviewReason.WEBHOOK_MISSING,
    ReviewReason.STATEMENT_MISSING,
}
_UNKNOWN_REASONS = {
    ReviewReason.NOT_DIRECT_PAYMENT_CONFIRMED,
    ReviewReason.UNSUPPORTED_CONFIRMATION_MODE,
    ReviewReason.INVALID_METERED_SETTLEMENT_CONFIRMATION,
    ReviewReason.MISSING_STANDARD_SETTLEMENT_FIELDS,
    ReviewReason.MISSING_METERED_USAGE_FIELDS,
    ReviewReason.UNKNOWN_CONFIRMATION_SHAPE,
    ReviewReason.UNKNOWN_CHALLENGE_HASH,
}


def queue_of(reason: ReviewReason) -> ReviewQueue:
    """The desk that a review of this reason belongs to."""
    if reason in _METERED_REASONS:
        return ReviewQueue.METERED
    return ReviewQueue.UNKNOWN if reason in _UNKNOWN_REASONS else ReviewQueue.MISMATCH


@dataclass(frozen=True, slots=True)
class Move:
    """The order goes to this state."""

    to: OrderState


@dataclass(frozen=True, slots=True)
class Review:
    """The books stay as they are and a person decides."""

    reason: ReviewReason


@dataclass(frozen=True, slots=True)
class Nothing:
    """The books already say so."""


Next = Move | Review | Nothing

_NOTHING: Final = Nothing()
_PAID, _UNSETTLED, _SETTLED = Move(OrderState.PAID), Move(OrderState.FULFILLED_UNSETTLED), Move(OrderState.SETTLED)
_UNCOLLECTIBLE, _WRITTEN_OFF = Move(OrderState.UNCOLLECTIBLE), Move(OrderState.WRITTEN_OFF)
_CANCELLED = Move(OrderState.CANCELLED)
_SECOND, _CLOSED = Review(ReviewReason.SECOND_PAYMENT), Review(ReviewReason.PAID_AFTER_CLOSE)
_BAND, _STATEMENT = Review(ReviewReason.BAND_MISMATCH), Review(ReviewReason.STATEMENT_CONFLICT)
_SPENT = Review(ReviewReason.REQUIREMENT_CONFLICT)

_ROWS: Final[dict[OrderState, tuple[Next, ...]]] = {
    # in the order of Fact: payment, payment_again, usage, usage_again, spent_requirement,
    #                       usage_settled, usage_uncollectible, usage_written_off, cancellation
    OrderState.PENDING: (
        *(_PAID, _PAID, _UNSETTLED, _UNSETTLED, _SPENT),
        *(_STATEMENT, _STATEMENT, _STATEMENT, _CANCELLED),
    ),
    OrderState.PAID: (
        *(_SECOND, _NOTHING, _SECOND, _BAND, _SECOND),
        *(_STATEMENT, _STATEMENT, _STATEMENT, _NOTHING),
    ),
    OrderState.FULFILLED_UNSETTLED: (
        *(_SECOND, _BAND, _SECOND, _NOTHING, _SECOND),
        *(_SETTLED, _UNCOLLECTIBLE, _WRITTEN_OFF, _NOTHING),
    ),
    OrderState.SETTLED: (
        *(_SECOND, _BAND, _SECOND, _NOTHING, _SECOND),
        *(_NOTHING, _STATEMENT, _STATEMENT, _NOTHING),
    ),
    OrderState.UNCOLLECTIBLE: (
        *(_CLOSED, _BAND, _CLOSED, _NOTHING, _CLOSED),
        *(_STATEMENT, _NOTHING, _STATEMENT, _NOTHING),
    ),
    OrderState.WRITTEN_OFF: (
        *(_CLOSED, _BAND, _CLOSED, _NOTHING, _CLOSED),
        *(_STATEMENT, _STATEMENT, _NOTHING, _NOTHING),
    ),
    OrderState.CANCELLED: (
        *(_CLOSED, _CLOSED, _CLOSED, _CLOSED, _CLOSED),
        *(_STATEMENT, _STATEMENT, _STATEMENT, _NOTHING),
    ),
}

TABLE: Final[dict[tuple[OrderState, Fact], Next]] = {
    (state, fact): cell for state, row in _ROWS.items() for fact, cell in zip(Fact, row, strict=True)
}


def next_state(state: OrderState, fact: Fact) -> Next:
    """What `fact` does to an order in `state`. Total: every pair has an answer."""
    return TABLE[state, fact]
