"""What is charged again and again? Subscriptions by the month, and payments that a shop's own schedule triggers."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from deploy.sandbox.core import fields
from deploy.sandbox.core.merchants import Merchant, Merchants
from deploy.sandbox.core.payment import Order, Payment
from deploy.sandbox.core.payments import Announce, Payments
from deploy.sandbox.core.periods import month_later
from deploy.sandbox.core.pricing import TOKENS
from deploy.sandbox.core.refusal import Refused, invalid, not_found
from deploy.sandbox.core.timers import Timers
from deploy.sandbox.core.wire import Ids, iso
from shared.sdrp.challenge import InvalidChallenge, RecurringCadence, verify_recurring_challenge


class RecurringStatus(StrEnum):
    ACTIVE = "active"
    CANCELLED = "cancelled"
    REVOKED = "revoked"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A monthly charge that a buyer approved once."""

    id: str
    order: Order
    buyer: str
    created_at: datetime
    status: RecurringStatus = RecurringStatus.ACTIVE
    charges: tuple[str, ...] = ()
    """Requirement ids, the first at setup."""


@dataclass(frozen=True, slots=True)
class Authorized:
    """Charges that a shop triggers with a token, each for a slot of its schedule."""

    id: str
    token: str
    order: Order
    buyer: str
    max_amount_minor: int
    max_runs: int | None
    created_at: datetime
    expires_at: str | None
    status: RecurringStatus = RecurringStatus.ACTIVE
    runs: tuple[tuple[str, str], ...] = ()
    """Slot and requirement id."""


class Recurring:
    def __init__(
        self,
        ids: Ids,
        timers: Timers,
        now: Callable[[], datetime],
        *,
        merchants: Merchants,
        payments: Payments,
        announce: Announce,
    ) -> None:
        self._ids = ids
        self._timers = timers
        self._now = now
        self._merchants = merchants
        self._payments = payments
        self._announce = announce
        self._subscribed: dict[str, Subscribed] = {}
        self._authorized: dict[str, Authorized] = {}
        self._approved: dict[str, tuple[str, str]] = {}
        """Of each redeemed challenge the buyer and what it became: it authorizes one thing, once."""

    def subscribe(self, buyer: str, body: fields.Body) -> dict[str, Any]:
        """The first month is charged at once; the same challenge again changes nothing. Raises Refused."""
        order = self._approved_order(body, fields.amount(body), RecurringCadence.MONTHLY)
        before = self._redeemed(order, buyer)
        if before is not None:
            return self._subscription_view(self._subscribed[before]) | {"idempotent_replay": True}
        subscribed = Subscribed(self._ids.next("dsub"), order, buyer, self._now())
        charged = self._charge(buyer, order, amount_minor=order.amount_minor)
        self._approved[order.challenge] = (buyer, subscribed.id)
        started = self._keep(replace(subscribed, charges=(charged.id,)))
        self._announce("subscription.created", order.merchant, _subscription_event(started, charged))
        self._plan_renewal(started, self._now())
        return self._subscription_view(started) | {"idempotent_replay": False}

    def cancel(self, subscription_id: str) -> dict[str, Any]:
        """The buyer ends it in the wallet. Raises Refused."""
        subscribed = self._subscribed.get(subscription_id)
        if subscribed is None:
            raise not_found("subscription", subscription_id)
        if subscribed.status is RecurringStatus.ACTIVE:
            subscribed = self._keep(replace(subscribed, status=RecurringStatus.CANCELLED))
            self._announce("subscription.cancelled", subscribed.order.merchant, _subscription_event(subscribed, None))
        return self._subscription_view(subscribed)

    def authorize(self, buyer: str, body: fields.Body) -> dict[str, Any]:
        """A schedule token for the shop; the same challenge again gives the same. Raises Refused."""
        expected = fields.optional_amount(body, "amount_minor") or fields.amount(body, "expected_amount_minor")
        order = self._approved_order(body, expected, RecurringCadence.DAILY)
        before = self._redeemed(order, buyer)
        if before is not None:
            return authorization_view(self._authorized[before])
        most = fields.optional_amount(body, "max_amount_minor_per_run")
        authorized = Authorized(
            id=self._ids.next("sapa"),
            token=self._ids.next("sched"),
            order=order,
            buyer=buyer,
            max_amount_minor=most or fields.optional_amount(body, "max_amount_minor") or expected,
            max_runs=fields.optional_amount(body, "max_runs"),
            created_at=self._now(),
            expires_at=fields.optional_text(body, "expires_at") or fields.optional_text(body, "valid_until"),
        )
        self._approved[order.challenge] = (buyer, authorized.id)
        self._payments.allow(buyer, order.currency)
        self._authorized[authorized.id] = authorized
        return authorization_view(authorized)

    def revoke(self, authorization_id: str, buyer: str) -> dict[str, Any]:
        """Raises Refused when it is another buyer's."""
        authorized = self._authorized.get(authorization_id)
        if authorized is None or authorized.buyer != buyer:
            raise not_found("scheduled authorization", authorization_id)
        revoked = self._authorized[authorized.id] = replace(authorized, status=RecurringStatus.REVOKED)
        return authorization_view(revoked)

    def execute(self, token: str, body: fields.Body) -> dict[str, Any]:
        """One occurrence; its slot is charged once, however often it is requested. Raises Refused."""
        slot = fields.text(body, "slot_id")
        authorized = next((each for each in self._authorized.values() if each.token == token), None)
        if authorized is None:
            raise Refused(401, "SCHEDULE_TOKEN_INVALID", "no authorization has this schedule token")
        earlier = dict(authorized.runs).get(slot)
        if earlier is not None:
            return _executed(authorized, slot, self._payments.find(earlier))
        if authorized.status is not RecurringStatus.ACTIVE:
            raise Refused(409, f"AUTHORIZATION_{authorized.status.upper()}", f"{authorized.id} is {authorized.status}")
        charged = self._charge(authorized.buyer, authorized.order, amount_minor=authorized.order.amount_minor)
        runs = (*authorized.runs, (slot, charged.id))
        is_last = authorized.max_runs is not None and len(runs) >= authorized.max_runs
        status = RecurringStatus.EXHAUSTED if is_last else authorized.status
        ran = self._authorized[authorized.id] = replace(authorized, runs=runs, status=status)
        return _executed(ran, slot, charged)

    def _approved_order(self, body: fields.Body, amount_minor: int, cadence: RecurringCadence) -> Order:
        merchant = self._merchants.find(fields.text(body, "merchant"))
        currency = fields.currency(body) if body.get("currency") else merchant.billing_currency
        order = Order(
            merchant.key, amount_minor, currency, fields.text(body, "challenge"), fields.table(body, "metadata")
        )
        _require_signed(merchant, order, cadence)
        return order

    def _redeemed(self, order: Order, buyer: str) -> str | None:
        owner, name = self._approved.get(order.challenge, (buyer, None))
        if owner != buyer:
            raise Refused(409, "EXTERNAL_402_CHALLENGE_USED", "this challenge approved another buyer's charges")
        return name

    def _charge(self, buyer: str, order: Order, *, amount_minor: int) -> Payment:
        merchant = self._merchants.find(order.merchant)
        payment = self._payments.create(buyer, merchant, replace(order, amount_minor=amount_minor))
        self._payments.allow(buyer, order.currency)
        return self._payments.pay(payment, await_finality=True)

    def _plan_renewal(self, subscribed: Subscribed, last: datetime) -> None:
        due = month_later(last)
        self._timers.plan(due, lambda: self._renew(subscribed.id, due))

    def _renew(self, subscription_id: str, due: datetime) -> None:
        subscribed = self._subscribed[subscription_id]
        if subscribed.status is not RecurringStatus.ACTIVE:
            return
        try:
            charged = self._charge(subscribed.buyer, subscribed.order, amount_minor=subscribed.order.amount_minor)
        except Refused as refused:
            failed = _subscription_event(subscribed, None) | {
                "reason_code": refused.code,
                "will_retry": True,
                "final_failure": False,
            }
            self._announce("payment.failed", subscribed.order.merchant, failed)
        else:
            renewed = self._keep(replace(subscribed, charges=(*subscribed.charges, charged.id)))
            self._announce("subscription.renewed", renewed.order.merchant, _subscription_event(renewed, charged))
        self._plan_renewal(subscribed, due)

    def _keep(self, subscribed: Subscribed) -> Subscribed:
        self._subscribed[subscribed.id] = subscribed
        return subscribed

    def _subscription_view(self, subscribed: Subscribed) -> dict[str, Any]:
        order = subscribed.order
        merchant = self._merchants.find(order.merchant)
        first = self._payments.find(subscribed.charges[0])
        return {
            "subscription_id": subscribed.id,
            "subscription_status": subscribed.status,
            "mode": "external_402_recurring",
            "merchant": order.merchant,
            "merchant_display_name": merchant.display_name,
            "mandate": {"mandate_id": f"mandate_{subscribed.id}", "status": subscribed.status},
            "receipt": {"receipt_id": first.receipt_id, "chain_receipt_id": first.chain_receipt_id},
            "initial_charge": {"requirement_id": first.id, "status": first.status},
            "amount_minor": order.amount_minor,
            "currency": order.currency,
            "token_symbol": TOKENS[order.currency],
            "cadence": RecurringCadence.MONTHLY,
            "fee_bps": first.price.fee_bps,
        }


def authorization_view(authorized: Authorized) -> dict[str, Any]:
    order = authorized.order
    return {
        "authorization_id": authorized.id,
        "id": authorized.id,
        "buyer_user_id": authorized.buyer,
        "agent_id": None,
        "product_listing_id": order.named("listing_id", f"listing_{order.merchant}"),
        "listing_id": order.named("listing_id", f"listing_{order.merchant}"),
        "access_grant_id": None,
        "capability_key": order.named("capability_key", "checkout"),
        "operation_key": None,
        "expected_amount_minor": order.amount_minor,
        "max_amount_minor": authorized.max_amount_minor,
        "currency": order.currency,
        "token_symbol": TOKENS[order.currency],
        "max_runs": authorized.max_runs,
        "status": authorized.status,
        "token_hint": authorized.token[-4:],
        "schedule_token": authorized.token,
        "cadence": {"approval": RecurringCadence.DAILY},
        "metadata_jsonb": order.metadata,
        "expires_at": authorized.expires_at,
        "revoked_at": None,
        "created_at": iso(authorized.created_at),
        "requires_user_signature": False,
        "mandate": {"mandate_id": f"mandate_{authorized.id}", "status": authorized.status},
    }


def _executed(authorized: Authorized, slot: str, payment: Payment) -> dict[str, Any]:
    return {
        "status": "completed",
        "charge_status": payment.settlement_status,
        "authorization": authorization_view(authorized),
        "slot": {"slot_id": slot},
        "reason_code": None,
        "reason": None,
        "retryable": False,
        "manual_reconciliation_required": False,
        "direct_payment_requirement_id": payment.id,
        "direct_payment_requirement": {"requirement_id": payment.id, "status": payment.status},
        "direct_payment_execution": {"receipt": {"receipt_id": payment.receipt_id}},
        "capability_result": None,
    }


def _subscription_event(subscribed: Subscribed, charged: Payment | None) -> dict[str, Any]:
    return {
        "subscription_id": subscribed.id,
        "subscription_status": subscribed.status,
        "merchant": subscribed.order.merchant,
        "amount_minor": subscribed.order.amount_minor,
        "currency": subscribed.order.currency,
        "token_symbol": TOKENS[subscribed.order.currency],
        "cadence": RecurringCadence.MONTHLY,
        "requirement_id": charged.id if charged else None,
        "chain_receipt_id": charged.chain_receipt_id if charged else None,
    }


def _require_signed(merchant: Merchant, order: Order, cadence: RecurringCadence) -> None:
    try:
        is_signed = verify_recurring_challenge(
            secret=merchant.challenge_secret,
            merchant=order.merchant,
            amount_minor=order.amount_minor,
            currency=order.currency,
            cadence=cadence,
            challenge=order.challenge,
        )
    except InvalidChallenge as error:
        raise invalid(str(error), code="EXTERNAL_402_CHALLENGE_INVALID") from None
    if not is_signed:
        raise invalid(
            f"the merchant did not approve this amount for {cadence} charges", code="EXTERNAL_402_CHALLENGE_INVALID"
        )
