"""What does hosted checkout do? Sessions that expire by the clock, are paid once, and lead back to the shop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from yarl import URL

from deploy.sandbox.core import fields
from deploy.sandbox.core.faults import Dice, Fault
from deploy.sandbox.core.merchants import Merchant, Merchants
from deploy.sandbox.core.payment import Order, Payment
from deploy.sandbox.core.payments import Payments
from deploy.sandbox.core.pricing import TOKENS
from deploy.sandbox.core.refusal import Refused, invalid, not_found
from deploy.sandbox.core.timers import Timers
from deploy.sandbox.core.wire import Ids, iso, minor
from shared.sdrp.challenge import InvalidChallenge, challenge_hash, create_challenge

LASTS: Final = timedelta(minutes=30)


class SessionStatus(StrEnum):
    OPEN = "open"
    AUTHENTICATED = "authenticated"
    """The buyer has signed in, and has neither paid nor turned back."""
    PAID = "paid"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"


PAYABLE: Final = frozenset({SessionStatus.OPEN, SessionStatus.AUTHENTICATED})


@dataclass(frozen=True, slots=True)
class Session:
    id: str
    order: Order
    success_url: str
    cancel_url: str
    created_at: datetime
    expires_at: datetime
    status: SessionStatus = SessionStatus.OPEN
    payment_id: str | None = None
    authenticated_at: datetime | None = None
    paid_at: datetime | None = None
    cancelled_at: datetime | None = None

    @property
    def is_payable(self) -> bool:
        return self.status in PAYABLE

    @property
    def leads_to(self) -> str:
        """The page of the shop to which the buyer is sent, with the session in its query."""
        back = self.success_url if self.status is SessionStatus.PAID else self.cancel_url
        return str(URL(back).update_query(session_id=self.id))


class Checkout:
    def __init__(
        self,
        ids: Ids,
        timers: Timers,
        dice: Dice,
        now: Callable[[], datetime],
        *,
        merchants: Merchants,
        payments: Payments,
    ) -> None:
        self._ids = ids
        self._timers = timers
        self._dice = dice
        self._now = now
        self._merchants = merchants
        self._payments = payments
        self._sessions: dict[str, Session] = {}
        self._by_nonce: dict[tuple[str, str], str] = {}

    def open(self, user: str, body: fields.Body) -> tuple[Session, bool]:
        """A session and whether it is new: a nonce gets the same open one again. Raises Refused."""
        merchant = self._merchants.owned(fields.text(body, "merchant"), user)
        self._require_enabled(merchant)
        nonce = fields.text(body, "nonce")
        order = _order(merchant, nonce, body)
        success, cancel = (_return_url(merchant, body, name) for name in ("success_url", "cancel_url"))
        before = self._by_nonce.get((merchant.key, nonce))
        if before is not None:
            return _again(self._sessions[before], order), False
        now = self._now()
        session = Session(self._ids.next("chk"), order, success, cancel, now, now + LASTS)
        self._sessions[session.id] = session
        self._by_nonce[merchant.key, nonce] = session.id
        self._timers.plan(session.expires_at, lambda: self._expire(session.id))
        return session, True

    def find(self, session_id: str) -> Session:
        """Raises Refused."""
        session = self._sessions.get(session_id)
        if session is None:
            raise not_found("checkout session", session_id)
        return session

    def owned(self, session_id: str, user: str) -> Session:
        """Raises Refused when another user's merchant opened it."""
        self._require_switched_on()
        session = self.find(session_id)
        self._merchants.owned(session.order.merchant, user)
        return session

    def every(self) -> Sequence[Session]:
        """All of them, the oldest first."""
        return list(self._sessions.values())

    def sign_in(self, session_id: str) -> Session:
        """The buyer shows who they are; a second time changes nothing. Raises Refused."""
        session = self.find(session_id)
        _require_payable(session)
        signed_in_at = session.authenticated_at or self._now()
        return self._keep(replace(session, status=SessionStatus.AUTHENTICATED, authenticated_at=signed_in_at))

    def pay(self, session_id: str, buyer: str) -> Session:
        """That buyer signs in, unless they have, and confirms; a second time changes nothing. Raises Refused."""
        session = self.find(session_id)
        if session.status is SessionStatus.PAID:
            return session
        session = self.sign_in(session_id)
        if self._dice.strikes(Fault.PAYMENT_FAILS):
            return self._keep(replace(session, status=SessionStatus.FAILED))
        payment = self._payments.require(buyer, session.order, is_ours=True)
        self._payments.allow(buyer, session.order.currency)
        paid = self._payments.pay(payment, await_finality=True)
        return self._keep(
            replace(session, status=SessionStatus.PAID, payment_id=paid.id, paid_at=self._now()),
        )

    def cancel(self, session_id: str) -> Session:
        """The buyer turns back; a second time changes nothing. Raises Refused."""
        session = self.find(session_id)
        if session.status is SessionStatus.CANCELLED:
            return session
        _require_payable(session)
        return self._keep(replace(session, status=SessionStatus.CANCELLED, cancelled_at=self._now()))

    def payment_of(self, session: Session) -> Payment | None:
        return None if session.payment_id is None else self._payments.find(session.payment_id)

    def view(self, session: Session, *, root_url: str) -> dict[str, Any]:
        """As the API shows it. The challenge and the buyer are no part of it."""
        payment = self.payment_of(session)
        fee = None if payment is None else payment.price.fee
        return {
            "checkout_url": f"{root_url}/pay/{session.id}",
            "session_id": session.id,
            "merchant": session.order.merchant,
            "amount_minor": session.order.amount_minor,
            "currency": session.order.currency,
            "token_symbol": TOKENS[session.order.currency],
            "status": session.status,
            "challenge_hash": challenge_hash(session.order.challenge),
            "requirement_id": session.payment_id,
            "pricing_band": None if payment is None else payment.price.band,
            "settlement_cadence": None if payment is None else payment.price.cadence,
            "finality": None if payment is None else payment.price.finality,
            "protocol_fee_minor": None if fee is None else minor(fee),
            "settlement_status": None if payment is None else payment.settlement_status,
            "chain_receipt_id": None if payment is None else payment.chain_receipt_id,
            "success_url": session.success_url,
            "cancel_url": session.cancel_url,
            "expires_at": iso(session.expires_at),
            "authenticated_at": iso(session.authenticated_at),
            "paid_at": iso(session.paid_at),
            "cancelled_at": iso(session.cancelled_at),
            "created_at": iso(session.created_at),
            "metadata_jsonb": session.order.metadata,
        }

    def _require_enabled(self, merchant: Merchant) -> None:
        self._require_switched_on()
        if merchant.missing:
            raise Refused(
                409,
                "HOSTED_CHECKOUT_READINESS_REQUIRED",
                f"hosted checkout for {merchant.key} still waits for {', '.join(merchant.missing)}",
                details={"missing_requirements": list(merchant.missing)},
            )

    def _require_switched_on(self) -> None:
        if self._dice.strikes(Fault.CHECKOUT_DISABLED):
            raise Refused(409, "HOSTED_CHECKOUT_NOT_ENABLED", "hosted checkout is not enabled for this account")

    def _expire(self, session_id: str) -> None:
        session = self._sessions[session_id]
        if session.is_payable:
            self._keep(replace(session, status=SessionStatus.EXPIRED))

    def _keep(self, session: Session) -> Session:
        self._sessions[session.id] = session
        return session


def _again(session: Session, order: Order) -> Session:
    is_same = (session.order.amount_minor, session.order.currency) == (order.amount_minor, order.currency)
    if session.is_payable and is_same:
        return session
    raise Refused(
        409,
        "CHECKOUT_NONCE_USED",
        f"session {session.id} has this nonce and is {session.status}: a new attempt takes a new nonce",
    )


def _order(merchant: Merchant, nonce: str, body: fields.Body) -> Order:
    amount, currency = fields.amount(body), fields.currency(body)
    if currency not in merchant.currencies:
        raise Refused(409, "CURRENCY_NOT_ENABLED", f"{merchant.key} takes {', '.join(sorted(merchant.currencies))}")
    try:
        challenge = create_challenge(
            secret=merchant.challenge_secret,
            merchant=merchant.key,
            amount_minor=amount,
            currency=currency,
            nonce=nonce,
        )
    except InvalidChallenge as error:
        raise invalid(str(error)) from None
    return Order(merchant.key, amount, currency, str(challenge), fields.table(body, "metadata"))


def _return_url(merchant: Merchant, body: fields.Body, name: str) -> str:
    value = fields.text(body, name)
    if fields.origin(value, name) not in merchant.origins:
        raise invalid(
            f"{name} is on no allowed origin of {merchant.key}: set checkout_allowed_origins",
            code="CHECKOUT_RETURN_URL_NOT_ALLOWED",
        )
    return value


def _require_payable(session: Session) -> None:
    if not session.is_payable:
        raise Refused(409, f"CHECKOUT_SESSION_{session.status.upper()}", f"session {session.id} is {session.status}")
