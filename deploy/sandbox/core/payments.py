"""How does a buyer pay? A requirement with a merchant's challenge, a transaction, and its confirmation."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

from deploy.sandbox.core.batches import AccountKey
from deploy.sandbox.core.events import confirmed, payment_facts, spent
from deploy.sandbox.core.merchants import Merchant, Merchants
from deploy.sandbox.core.payment import Order, Payment, PaymentStatus
from deploy.sandbox.core.pricing import TOKENS, price
from deploy.sandbox.core.refusal import Refused, invalid, not_found
from deploy.sandbox.core.timers import Timers
from deploy.sandbox.core.usage import Accounts, Purchase
from deploy.sandbox.core.wire import Ids, iso, short
from shared.sdrp.challenge import (
    InvalidChallenge,
    verify_challenge,
)
from shared.sdrp.classify import EXTERNAL_402
from shared.sdrp.events import CONFIRMED, SPENT
from shared.sdrp.money import Currency

FINAL_AFTER: Final = timedelta(seconds=30)
"""Between a standard payment's submission and its finality on the chain, for a buyer who does not wait for it."""

Announce = Callable[[str, str, dict[str, Any]], str]
"""Sends an event of that type about that merchant to all who subscribed, and returns its id."""


class Payments:
    """`announce` is called with each payment that is confirmed."""

    def __init__(
        self,
        ids: Ids,
        timers: Timers,
        now: Callable[[], datetime],
        *,
        merchants: Merchants,
        accounts: Accounts,
        announce: Announce,
    ) -> None:
        self._ids = ids
        self._timers = timers
        self._now = now
        self._merchants = merchants
        self._accounts = accounts
        self._announce = announce
        self._payments: dict[str, Payment] = {}
        self._by_challenge: dict[str, str] = {}
        self._allowances: set[tuple[str, Currency]] = set()

    def require(self, buyer: str, order: Order, *, is_ours: bool = False) -> Payment:
        """Ask that buyer to pay; the same challenge gets the same requirement. Raises Refused.

        `is_ours`: the platform made the challenge itself, for a checkout session.
        """
        merchant = self._merchants.find(order.merchant)
        if order.currency not in merchant.currencies:
            raise Refused(409, "CURRENCY_NOT_ENABLED", f"{merchant.key} takes {', '.join(sorted(merchant.currencies))}")
        known = self._payments.get(self._by_challenge.get(order.challenge, ""))
        if known is not None:
            return _same(known, buyer, order)
        if not is_ours:
            _require_signed(merchant, order)
        payment = self.create(buyer, merchant, order)
        self._by_challenge[order.challenge] = payment.id
        return payment

    def create(self, buyer: str, merchant: Merchant, order: Order) -> Payment:
        """A requirement whose approval has been checked already. Raises Refused when the buyer is past due."""
        listing = order.named("listing_id", merchant.listing_id)
        cost = price(order.amount_minor, order.currency, plan=merchant.plan)
        payment = Payment(self._ids.next("dpr"), order, buyer, listing, cost, self._now())
        if cost.is_metered:
            self._accounts.require_unblocked(_account(payment))
        return self._keep(payment)

    def find(self, payment_id: str) -> Payment:
        """Raises Refused."""
        payment = self._payments.get(payment_id)
        if payment is None:
            raise not_found("payment requirement", payment_id)
        return payment

    def owned(self, payment_id: str, buyer: str) -> Payment:
        """Raises Refused when it is another buyer's."""
        payment = self.find(payment_id)
        if payment.buyer != buyer:
            raise Refused(403, "REQUIREMENT_FORBIDDEN", f"requirement {payment_id} belongs to another buyer")
        return payment

    def every(self) -> Sequence[Payment]:
        """All of them, the oldest first."""
        return list(self._payments.values())

    def allow(self, buyer: str, currency: Currency) -> str:
        """The buyer's wallet lets the platform debit that token; a receipt id."""
        self._allowances.add((buyer, currency))
        return self._ids.next("rcpt")

    def is_allowed(self, payment: Payment) -> bool:
        return (payment.buyer, payment.currency) in self._allowances

    def pay(self, payment: Payment, *, await_finality: bool) -> Payment:
        """Send the transaction; once it is sent it is not sent again. Raises Refused."""
        if payment.status is not PaymentStatus.REQUIRES_PAYMENT:
            return self.finalise(payment.id) if await_finality else payment
        if not self.is_allowed(payment):
            raise Refused(409, "ALLOWANCE_REQUIRED", "execute the allowance transaction of the requirement first")
        if payment.price.is_metered:
            usage = self._accounts.accept(
                _account(payment), self._merchants.find(payment.merchant).owner, _purchase(payment)
            )
            return self._confirm(
                replace(payment, receipt_id=self._ids.next("rcpt"), usage_number=usage.number), chain_receipt_id=None
            )
        sent = self._keep(replace(payment, status=PaymentStatus.SUBMITTED, receipt_id=self._ids.next("rcpt")))
        if await_finality:
            return self.finalise(sent.id)
        self._timers.plan(self._now() + FINAL_AFTER, lambda: self._finalise(sent.id))
        return sent

    def finalise(self, payment_id: str) -> Payment:
        """A submitted standard payment is on the chain now; anything else stays as it is."""
        payment = self._payments[payment_id]
        if payment.status is not PaymentStatus.SUBMITTED:
            return payment
        return self._confirm(payment, chain_receipt_id=f"chain_{payment.id}")

    def _finalise(self, payment_id: str) -> None:
        self.finalise(payment_id)

    def _confirm(self, payment: Payment, *, chain_receipt_id: str | None) -> Payment:
        paid = replace(payment, status=PaymentStatus.PAID, paid_at=self._now(), chain_receipt_id=chain_receipt_id)
        event_id = self._announce(CONFIRMED, paid.merchant, confirmed(paid))
        self._announce(SPENT, paid.merchant, spent(paid))
        return self._keep(replace(paid, event_id=event_id))

    def _keep(self, payment: Payment) -> Payment:
        self._payments[payment.id] = payment
        return payment


def view(payment: Payment, *, is_allowed: bool) -> dict[str, Any]:
    """A requirement as its buyer's API shows it."""
    return payment_facts(payment) | {
        "id": payment.id,
        "mode": EXTERNAL_402,
        "buyer_user_id": payment.buyer,
        "product_listing_id": payment.listing_id,
        "listing_id": payment.listing_id,
        "capability_key": payment.order.named("capability_key", "checkout"),
        "challenge_hash": payment.challenge_hash,
        "requirement_hash": f"sha256:{short('requirement', payment.id, length=64)}",
        "request_hash": payment.request_hash,
        "request_hash_v2": payment.request_hash_v2,
        "siglume_signature": f"sig_{short('signature', payment.id, length=32)}",
        "status": payment.status,
        "created_at": iso(payment.created_at),
        "transaction_request": _transaction(payment, "pay"),
        "approve_transaction_request": None if is_allowed else _transaction(payment, "approve"),
        "non_custodial": True,
        "metadata_jsonb": payment.order.metadata,
    }


def _transaction(payment: Payment, method: str) -> dict[str, Any]:
    return {
        "to": f"0x{short('hub', TOKENS[payment.currency], length=40)}",
        "data": f"0x{short(method, payment.id, length=64)}",
        "metadata_jsonb": {"requirement_id": payment.id, "environment": "sandbox"},
    }


def _same(known: Payment, buyer: str, order: Order) -> Payment:
    terms = (known.merchant, known.amount_minor, known.currency)
    if known.buyer != buyer:
        raise Refused(409, "EXTERNAL_402_CHALLENGE_USED", "this challenge is another buyer's: ask for one of your own")
    if terms != (order.merchant, order.amount_minor, order.currency):
        raise _unsigned()
    return known


def _require_signed(merchant: Merchant, order: Order) -> None:
    try:
        is_signed = verify_challenge(
            secret=merchant.challenge_secret,
            merchant=order.merchant,
            amount_minor=order.amount_minor,
            currency=order.currency,
            challenge=order.challenge,
        )
    except InvalidChallenge as error:
        raise invalid(str(error), code="EXTERNAL_402_CHALLENGE_INVALID") from None
    if not is_signed:
        raise _unsigned()


def _unsigned() -> Refused:
    return invalid(
        "the merchant's challenge secret did not sign this merchant, amount, currency and nonce",
        code="EXTERNAL_402_CHALLENGE_INVALID",
    )


def _account(payment: Payment) -> AccountKey:
    return AccountKey(payment.buyer, payment.merchant, payment.currency, payment.price.band)


def _purchase(payment: Payment) -> Purchase:
    return Purchase(
        payment_id=payment.id,
        challenge_hash=payment.challenge_hash,
        price=payment.price,
        listing_id=payment.listing_id,
        capability_key=payment.order.named("capability_key", "checkout"),
        operation_key=payment.order.named("operation_key", "checkout.confirm"),
    )
