"""What do buyers and providers see of micro and nano payments? Summaries, usage rows and batches."""

from collections.abc import Iterable
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from deploy.sandbox.core.batches import ATTEMPT_AFTER, TERMINAL, Batch, BatchStatus, Trigger
from deploy.sandbox.core.pricing import THRESHOLD, TOKENS
from deploy.sandbox.core.usage import Account, Accounts, Usage
from deploy.sandbox.core.wire import iso, minor
from shared.sdrp.money import CADENCES

Row = dict[str, Any]
NOTHING: Final = Decimal(0)
PAYMENT_NAMES: Final = frozenset({"requirement_id", "challenge_hash"})
"""By which a row of usage names its payment; the documented row has neither."""
AWAITING_ATTEMPT: Final = frozenset({BatchStatus.READY, BatchStatus.FAILED_RETRYABLE})
EXECUTION: Final = MappingProxyType(
    {
        BatchStatus.NOTICE_PENDING: "scheduled",
        BatchStatus.NOTICE_FAILED: "scheduled",
        BatchStatus.READY: "scheduled",
    }
)
"""Where the state of the execution has another name than that of the batch."""
NOTICE: Final = MappingProxyType({BatchStatus.NOTICE_FAILED: "failed"})


def usage_row(usage: Usage) -> Row:
    """As its provider sees it: the buyer is known by `buyer_period_ref` only."""
    return _usage(usage) | {
        "provider_receivable_minor": minor(usage.purchase.price.gross - (usage.purchase.price.fee or NOTHING)),
        "buyer_period_ref": usage.buyer_period_ref,
    }


def buyer_usage_row(usage: Usage) -> Row:
    """As its buyer sees it: what the seller receives is not the buyer's business."""
    return _usage(usage) | {"merchant": usage.account.merchant}


def without_payment(row: Row) -> Row:
    """The row as documented: it names no payment."""
    return {name: value for name, value in row.items() if name not in PAYMENT_NAMES}


def batch_row(batch: Batch, accounts: Accounts) -> Row:
    """As its provider sees it."""
    return _batch(batch, accounts) | receivables([batch]) | {"buyer_period_ref": batch.buyer_period_ref}


def buyer_batch_row(batch: Batch, accounts: Accounts) -> Row:
    """As its buyer sees it."""
    is_blocking = batch.status in (BatchStatus.PAST_DUE, BatchStatus.FAILED)
    return _batch(batch, accounts) | {
        "merchant": batch.account.merchant,
        "estimated_buyer_debit_minor": minor(batch.gross),
        "past_due_block_reason": "METERED_SETTLEMENT_PAST_DUE" if is_blocking else None,
    }


def open_period(account: Account, rows: Iterable[Usage]) -> Row:
    """What an account has used since its last close: `rows` may be fewer than all, when the statement is filtered."""
    prices = [row.purchase.price for row in rows]
    gross = sum((price.gross for price in prices), NOTHING)
    fee = sum((price.fee or NOTHING for price in prices), NOTHING)
    start, end = account.period or (None, None)
    return {
        "plan_type": account.key.band,
        "settlement_cadence": CADENCES[account.key.band],
        "currency": account.key.currency,
        "token_symbol": TOKENS[account.key.currency],
        "period_start": iso(start),
        "period_end": iso(end),
        "close_at": iso(end),
        "expected_scheduled_debit_at": iso(end + ATTEMPT_AFTER) if end else None,
        "settlement_trigger": None,
        "settlement_threshold_minor": minor(THRESHOLD),
        "threshold_reached_at": None,
        "usage_event_count": len(prices),
        "provider_gross_amount_minor": minor(gross),
        "provider_usage_amount_minor": minor(gross),
        "protocol_fee_minor": minor(fee),
        "provider_receivable_minor": minor(gross - fee),
        "estimated_buyer_debit_minor": minor(gross),
        "gross_buyer_debit_minor": minor(gross),
        "buyer_debit_minor": minor(gross),
        "total_unsettled_exposure_minor": minor(account.exposure),
    }


def past_due_block(batch: Batch, accounts: Accounts) -> Row:
    """Why the buyer's new usage is refused."""
    shown = _batch(batch, accounts) | {"past_due_provider_receivable_minor": minor(batch.receivable)}
    names = (
        *("settlement_batch_id", "plan_type", "currency", "token_symbol", "total_unsettled_exposure_minor"),
        *("past_due_provider_receivable_minor", "failure_reason_code", "failure_reason_label", "failure_reason_help"),
        "support_reference",
    )
    return {name: shown[name] for name in names} | {"reason_code": "METERED_SETTLEMENT_PAST_DUE"}


def receivables(batches: Iterable[Batch], *, still_open: Decimal = NOTHING) -> dict[str, str]:
    """What the provider has received, still expects, waits for past due, and has lost: each in one of them only."""
    settled = unsettled = past_due = uncollectible = written_off = NOTHING
    for batch in batches:
        match batch.status:
            case BatchStatus.SETTLED:
                settled += batch.receivable
            case BatchStatus.PAST_DUE:
                past_due += batch.receivable
            case BatchStatus.UNCOLLECTIBLE:
                uncollectible += batch.receivable
            case BatchStatus.WRITTEN_OFF:
                written_off += batch.receivable
            case _:
                unsettled += batch.receivable
    return {
        "settled_provider_receivable_minor": minor(settled),
        "unsettled_provider_receivable_minor": minor(unsettled + still_open),
        "past_due_provider_receivable_minor": minor(past_due),
        "terminal_provider_receivable_minor": minor(uncollectible + written_off),
        "uncollectible_provider_receivable_minor": minor(uncollectible),
        "written_off_provider_receivable_minor": minor(written_off),
    }


def _usage(usage: Usage) -> Row:
    price = usage.purchase.price
    gross = minor(price.gross)
    key = usage.account
    return {
        "metered_usage_id": usage.id,
        "created_at": iso(usage.created_at),
        "plan_type": key.band,
        "pricing_band": key.band,
        "settlement_cadence": CADENCES[key.band],
        "period_start": iso(usage.period.start),
        "period_end": iso(usage.period.end),
        "expected_scheduled_debit_at": iso(usage.period.end + ATTEMPT_AFTER),
        "listing_id": usage.purchase.listing_id,
        "capability_key": usage.purchase.capability_key,
        "operation_key": usage.purchase.operation_key,
        "currency": key.currency,
        "token_symbol": TOKENS[key.currency],
        "provider_gross_amount_minor": gross,
        "provider_usage_amount_minor": gross,
        "protocol_fee_minor": minor(price.fee or NOTHING),
        "gross_buyer_debit_minor": gross,
        "buyer_debit_minor": gross,
        "rounding_delta_minor": "0",
        "status": usage.status,
        "settlement_batch_id": usage.batch_id,
        "requirement_id": usage.purchase.payment_id,
        "challenge_hash": usage.purchase.challenge_hash,
    }


def _batch(batch: Batch, accounts: Accounts) -> Row:
    key, gross = batch.account, minor(batch.gross)
    return {
        "settlement_batch_id": batch.id,
        "plan_type": key.band,
        "settlement_cadence": CADENCES[key.band],
        "currency": key.currency,
        "token_symbol": TOKENS[key.currency],
        "settlement_threshold_minor": minor(THRESHOLD),
        "total_unsettled_exposure_minor": minor(accounts.account(key).exposure),
        "usage_event_digest": batch.digest,
        "usage_event_count": len(batch.rows),
        "provider_gross_amount_minor": gross,
        "provider_usage_amount_minor": gross,
        "protocol_fee_minor": minor(batch.fee),
        "provider_receivable_minor": minor(batch.receivable),
        "gross_buyer_debit_minor": gross,
        "buyer_debit_minor": gross,
        "rounding_delta_minor": "0",
        **_course(batch),
        **_troubles(batch),
    }


def _course(batch: Batch) -> Row:
    """The state of the batch, and the times of its steps."""
    is_early = batch.trigger is Trigger.AMOUNT_THRESHOLD
    return {
        "status": batch.status,
        "execution_status": EXECUTION.get(batch.status, batch.status),
        "latest_execution_attempt_status": batch.status if batch.attempts else None,
        "notice_status": "delivered" if batch.noticed_at else NOTICE.get(batch.status, "pending"),
        "settlement_trigger": batch.trigger,
        "threshold_reached_at": iso(batch.closed_at) if is_early else None,
        "period_start": iso(batch.period.start),
        "period_end": iso(batch.period.end),
        "close_at": iso(batch.closed_at),
        "expected_scheduled_debit_at": iso(batch.not_before),
        "scheduled_debit_at": iso(batch.not_before),
        "not_before_attempt_at": iso(batch.not_before),
        "attempt_count": batch.attempts,
        "next_attempt_at": iso(batch.next_step_at) if batch.status in AWAITING_ATTEMPT else None,
        "chain_receipt_id": batch.receipt_id,
        "settled_at": iso(batch.settled_at),
    }


def _troubles(batch: Batch) -> Row:
    """What people may be shown of a failure, and how a batch that was given up ended."""
    failure, is_given_up = batch.failure, batch.status in TERMINAL
    return {
        "terminal_status": batch.status if is_given_up else None,
        "terminal_marked_at": iso(batch.given_up_at),
        "terminal_reason_code": "OPERATOR_DECISION" if is_given_up else None,
        "failure_reason_code": failure.code if failure else None,
        "failure_reason_label": failure.label if failure else None,
        "failure_reason_help": failure.help if failure else None,
        "support_reference": f"sup_{batch.id}" if failure else None,
    }
