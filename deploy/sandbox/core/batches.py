"""How does a closed period come to be paid? The states of a settlement batch, and the one step it takes when it is due.

| state | what happens when the next step is due |
| --- | --- |
| `notice_pending`, `notice_delivery_failed` | the debit notice is delivered (`ready`), or not |
| `ready` | no earlier than three days after the close, and never before the notice: `submitted` |
| `failed_retryable` | six hours after the attempt: `retrying` |
| `submitted`, `retrying` | `settled`, or `failed_retryable` (after 28 retries `past_due`), or `failed`, or not known |
| `submitted_reconcile_required` | its receipt is found: `settled` |
| `failed`, `past_due` | nothing: an operator requeues it, or gives it up as `uncollectible` or `written_off` |
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from deploy.sandbox.core.faults import Dice, Fault
from deploy.sandbox.core.periods import Period
from deploy.sandbox.core.pricing import Price
from deploy.sandbox.core.refusal import Refused
from deploy.sandbox.core.wire import digest, minor
from shared.sdrp.money import Band, Currency

NOTICE_AFTER: Final = timedelta(hours=1)
ATTEMPT_AFTER: Final = timedelta(days=3)
"""Between the close and the first attempt to debit, at least."""
RETRY_EVERY: Final = timedelta(hours=6)
RETRIES: Final = 28
CONFIRMED_AFTER: Final = timedelta(minutes=2)
"""Between an attempt and its outcome on the chain."""
RECONCILED_AFTER: Final = timedelta(days=1)


class BatchStatus(StrEnum):
    NOTICE_PENDING = "notice_pending"
    NOTICE_FAILED = "notice_delivery_failed"
    READY = "ready"
    SUBMITTED = "submitted"
    RECONCILE = "submitted_reconcile_required"
    FAILED = "failed"
    FAILED_RETRYABLE = "failed_retryable"
    RETRYING = "retrying"
    PAST_DUE = "past_due"
    SETTLED = "settled"
    UNCOLLECTIBLE = "uncollectible"
    WRITTEN_OFF = "written_off"


class Trigger(StrEnum):
    AMOUNT_THRESHOLD = "amount_threshold"
    SCHEDULED_CLOSE = "scheduled_close"


TERMINAL: Final = frozenset({BatchStatus.UNCOLLECTIBLE, BatchStatus.WRITTEN_OFF})
CLOSED: Final = TERMINAL | {BatchStatus.SETTLED}
BLOCKING: Final = frozenset(
    {BatchStatus.FAILED, BatchStatus.FAILED_RETRYABLE, BatchStatus.RETRYING, BatchStatus.PAST_DUE}
)
"""While a batch is in one of these, its buyer's new usage is refused."""


class AccountKey(NamedTuple):
    """Whose usage is summed up, closed and debited together."""

    buyer: str
    merchant: str
    currency: Currency
    band: Band


class Failure(NamedTuple):
    """Why an attempt failed, as people may be shown it."""

    code: str
    label: str
    help: str


INSUFFICIENT_BALANCE: Final = Failure(
    "INSUFFICIENT_BALANCE",
    "The wallet's balance is too low",
    "The buyer tops up the wallet; the debit is tried again by itself.",
)
AUTHORIZATION_REVOKED: Final = Failure(
    "AUTHORIZATION_REVOKED",
    "The debit is no longer authorized",
    "The buyer renews the authorization and asks support to try again.",
)


@dataclass(frozen=True, slots=True)
class Batch:
    number: int
    """Counts all batches of the sandbox; statements page by it."""
    id: str
    account: AccountKey
    provider: str
    period: Period
    trigger: Trigger
    closed_at: datetime
    rows: tuple[int, ...]
    """Numbers of the usage it holds."""
    gross: Decimal
    fee: Decimal
    digest: str
    buyer_period_ref: str
    not_before: datetime
    status: BatchStatus = BatchStatus.NOTICE_PENDING
    next_step_at: datetime | None = None
    noticed_at: datetime | None = None
    attempts: int = 0
    attempted_at: datetime | None = None
    retries: int = 0
    """Automatic attempts after the first, or since an operator's."""
    failure: Failure | None = None
    receipt_id: str | None = None
    settled_at: datetime | None = None
    given_up_at: datetime | None = None

    @property
    def receivable(self) -> Decimal:
        return self.gross - self.fee

    @property
    def is_open(self) -> bool:
        """Whether somebody still owes it."""
        return self.status not in CLOSED


def close(
    number: int,
    batch_id: str,
    *,
    account: AccountKey,
    provider: str,
    period: Period,
    rows: Sequence[tuple[int, str, Price]],
    buyer_period_ref: str,
    trigger: Trigger,
    now: datetime,
) -> Batch:
    """The batch that a period becomes: `rows` are the number, id and price of each usage."""
    return Batch(
        number=number,
        id=batch_id,
        account=account,
        provider=provider,
        period=period,
        trigger=trigger,
        closed_at=now,
        rows=tuple(number for number, _, _ in rows),
        gross=sum((price.gross for _, _, price in rows), Decimal(0)),
        fee=sum((price.fee or Decimal(0) for _, _, price in rows), Decimal(0)),
        digest=digest(batch_id, *(f"{name} {minor(price.gross)}" for _, name, price in rows)),
        buyer_period_ref=buyer_period_ref,
        not_before=now + ATTEMPT_AFTER,
        next_step_at=now + NOTICE_AFTER,
    )


def step(batch: Batch, *, now: datetime, dice: Dice) -> Batch:
    """What becomes of a batch whose next step is due."""
    match batch.status:
        case BatchStatus.NOTICE_PENDING | BatchStatus.NOTICE_FAILED:
            return _notice(batch, now, dice)
        case BatchStatus.READY:
            return _attempt(batch, now, BatchStatus.SUBMITTED)
        case BatchStatus.FAILED_RETRYABLE:
            return _attempt(replace(batch, retries=batch.retries + 1), now, BatchStatus.RETRYING)
        case BatchStatus.SUBMITTED | BatchStatus.RETRYING:
            return _outcome(batch, now, dice)
        case BatchStatus.RECONCILE:
            return _settled(batch, now)
        case _:
            return batch


def requeue(batch: Batch, *, now: datetime) -> Batch:
    """An operator has it tried again at once, with all its retries anew. Raises Refused."""
    if batch.status not in (BatchStatus.FAILED, BatchStatus.PAST_DUE):
        raise Refused(409, "BATCH_NOT_REQUEUEABLE", f"batch {batch.id} is {batch.status}: only failed or past_due ones")
    return _attempt(replace(batch, retries=0), now, BatchStatus.RETRYING)


def give_up(batch: Batch, status: BatchStatus, *, now: datetime) -> Batch:
    """An operator ends it as `uncollectible` or `written_off`. Raises Refused."""
    if status not in TERMINAL:
        raise Refused(400, "INVALID_REQUEST", f"{status} is no end of a batch: uncollectible or written_off")
    if not batch.is_open:
        raise Refused(409, "BATCH_CLOSED", f"batch {batch.id} is {batch.status} and stays so")
    return replace(batch, status=status, given_up_at=now, next_step_at=None)


def _notice(batch: Batch, now: datetime, dice: Dice) -> Batch:
    if dice.strikes(Fault.NOTICE_FAILS):
        return replace(batch, status=BatchStatus.NOTICE_FAILED, next_step_at=now + RETRY_EVERY)
    at = max(batch.not_before, now)
    return replace(batch, status=BatchStatus.READY, noticed_at=now, not_before=at, next_step_at=at)


def _attempt(batch: Batch, now: datetime, status: BatchStatus) -> Batch:
    return replace(
        batch,
        status=status,
        attempts=batch.attempts + 1,
        attempted_at=now,
        next_step_at=now + CONFIRMED_AFTER,
    )


def _outcome(batch: Batch, now: datetime, dice: Dice) -> Batch:
    if dice.strikes(Fault.SETTLEMENT_UNKNOWN):
        return replace(batch, status=BatchStatus.RECONCILE, next_step_at=now + RECONCILED_AFTER)
    if dice.strikes(Fault.SETTLEMENT_REFUSED):
        return replace(batch, status=BatchStatus.FAILED, failure=AUTHORIZATION_REVOKED, next_step_at=None)
    if not dice.strikes(Fault.SETTLEMENT_FAILS):
        return _settled(batch, now)
    if batch.retries >= RETRIES:
        return replace(batch, status=BatchStatus.PAST_DUE, failure=INSUFFICIENT_BALANCE, next_step_at=None)
    tried_at = batch.attempted_at or now
    return replace(
        batch,
        status=BatchStatus.FAILED_RETRYABLE,
        failure=INSUFFICIENT_BALANCE,
        next_step_at=tried_at + RETRY_EVERY,
    )


def _settled(batch: Batch, now: datetime) -> Batch:
    return replace(
        batch,
        status=BatchStatus.SETTLED,
        settled_at=now,
        receipt_id=f"chain_{batch.id}",
        failure=None,
        next_step_at=None,
    )
