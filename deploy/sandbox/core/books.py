"""What is true? Every payment, batch and total of a sandbox, to be compared with what somebody else has booked."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from deploy.sandbox.core.batches import Batch, BatchStatus
from deploy.sandbox.core.payment import Payment, PaymentStatus
from deploy.sandbox.core.usage import Usage, UsageStatus
from shared.sdrp.money import Band, Currency

NOTHING: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class PaymentTruth:
    """One confirmed payment; amounts in minor units."""

    requirement_id: str
    event_id: str
    merchant: str
    order_id: str | None
    """What the merchant wrote as `order_id` into the metadata."""
    challenge_hash: str
    currency: Currency
    band: Band
    gross: Decimal
    fee: Decimal | None
    """Of metered payments; a standard one has its fee in basis points."""
    state: str
    """`settled` (standard, or its batch is), `pending_settlement`, `past_due`, `uncollectible` or `written_off`."""
    chain_receipt_id: str | None
    batch_id: str | None
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class BatchTruth:
    batch_id: str
    merchant: str
    currency: Currency
    band: Band
    status: BatchStatus
    trigger: str
    payments: int
    gross: Decimal
    fee: Decimal
    receivable: Decimal
    digest: str
    chain_receipt_id: str | None
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one currency, in minor units; each metered payment is in one of the five receivables."""

    standard_payments: int
    standard_gross: Decimal
    metered_payments: int
    metered_gross: Decimal
    metered_fee: Decimal
    settled: Decimal
    unsettled: Decimal
    past_due: Decimal
    uncollectible: Decimal
    written_off: Decimal


@dataclass(frozen=True, slots=True)
class Books:
    at: datetime
    payments: Sequence[PaymentTruth]
    batches: Sequence[BatchTruth]
    totals: MappingProxyType[Currency, Totals]

    def payment_of(self, order_id: str) -> PaymentTruth:
        """Raises KeyError."""
        for payment in self.payments:
            if payment.order_id == order_id:
                return payment
        raise KeyError(order_id)


def draw_up(at: datetime, payments: Iterable[Payment], usage: Sequence[Usage], batches: Iterable[Batch]) -> Books:
    """From the rows themselves, not from the sums that the platform keeps while it runs."""
    by_id = {batch.id: batch for batch in batches}
    truths = tuple(
        _payment(payment, None if payment.usage_number is None else usage[payment.usage_number], by_id)
        for payment in payments
        if payment.status is PaymentStatus.PAID
    )
    totals = {currency: _totals([each for each in truths if each.currency is currency]) for currency in Currency}
    return Books(at, truths, tuple(map(_batch, by_id.values())), MappingProxyType(totals))


def _payment(payment: Payment, usage: Usage | None, batches: dict[str, Batch]) -> PaymentTruth:
    if payment.event_id is None or payment.paid_at is None:
        raise AssertionError(f"payment {payment.id} is paid and was not confirmed")
    batch = None if usage is None or usage.batch_id is None else batches[usage.batch_id]
    order_id = payment.order.metadata.get("order_id")
    return PaymentTruth(
        requirement_id=payment.id,
        event_id=payment.event_id,
        merchant=payment.merchant,
        order_id=order_id if isinstance(order_id, str) else None,
        challenge_hash=payment.challenge_hash,
        currency=payment.currency,
        band=payment.price.band,
        gross=payment.price.gross,
        fee=payment.price.fee,
        state=_state(usage, batch),
        chain_receipt_id=payment.chain_receipt_id if batch is None else batch.receipt_id,
        batch_id=None if batch is None else batch.id,
        paid_at=payment.paid_at,
    )


def _state(usage: Usage | None, batch: Batch | None) -> str:
    if usage is None:
        return str(UsageStatus.SETTLED)
    is_past_due = batch is not None and batch.status is BatchStatus.PAST_DUE
    return str(BatchStatus.PAST_DUE) if is_past_due else str(usage.status)


def _batch(batch: Batch) -> BatchTruth:
    return BatchTruth(
        batch_id=batch.id,
        merchant=batch.account.merchant,
        currency=batch.account.currency,
        band=batch.account.band,
        status=batch.status,
        trigger=batch.trigger,
        payments=len(batch.rows),
        gross=batch.gross,
        fee=batch.fee,
        receivable=batch.receivable,
        digest=batch.digest,
        chain_receipt_id=batch.receipt_id,
        settled_at=batch.settled_at,
    )


def _totals(payments: Sequence[PaymentTruth]) -> Totals:
    standard = [payment for payment in payments if payment.fee is None]
    metered = [(payment, payment.fee) for payment in payments if payment.fee is not None]

    def receivable(state: str) -> Decimal:
        return sum((payment.gross - fee for payment, fee in metered if payment.state == state), NOTHING)

    return Totals(
        standard_payments=len(standard),
        standard_gross=sum((payment.gross for payment in standard), NOTHING),
        metered_payments=len(metered),
        metered_gross=sum((payment.gross for payment, _ in metered), NOTHING),
        metered_fee=sum((fee for _, fee in metered), NOTHING),
        settled=receivable(UsageStatus.SETTLED),
        unsettled=receivable(UsageStatus.PENDING),
        past_due=receivable(BatchStatus.PAST_DUE),
        uncollectible=receivable(UsageStatus.UNCOLLECTIBLE),
        written_off=receivable(UsageStatus.WRITTEN_OFF),
    )


def as_json(books: Books) -> dict[str, Any]:
    """Amounts as decimal text, enums as text, times in ISO 8601."""
    from dataclasses import asdict

    from deploy.sandbox.core.wire import iso, minor

    def plain(value: object) -> object:
        if isinstance(value, Decimal):
            return minor(value)
        return iso(value) if isinstance(value, datetime) else value

    def row(thing: PaymentTruth | BatchTruth | Totals) -> dict[str, object]:
        return {name: plain(value) for name, value in asdict(thing).items()}

    return {
        "at": iso(books.at),
        "payments": [row(payment) for payment in books.payments],
        "batches": [row(batch) for batch in books.batches],
        "totals": {str(currency): row(totals) for currency, totals in books.totals.items()},
    }
