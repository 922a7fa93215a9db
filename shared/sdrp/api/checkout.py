"""Hosted Checkout: the page of Siglume where a person pays an order."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from shared.sdrp.api import values
from shared.sdrp.api.calls import Calls
from shared.sdrp.api.errors import UnusableAnswer
from shared.sdrp.api.records import Record
from shared.sdrp.api.requests import get, post

SESSIONS = "/sdrp/direct-payments/checkout-sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCheckoutSession:
    """Keep all of it with the order before you send the buyer to `checkout_url`."""

    session_id: str
    checkout_url: str
    challenge_hash: str
    status: str | None
    expires_at: datetime | None
    merchant: str | None
    amount_minor: int | None
    currency: str | None
    """These three are None where the platform leaves them to `get_checkout_session`."""

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        checkout_url = record.url_or_none("checkout_url")
        if checkout_url is None:
            raise record.fault("checkout_url", "is missing")
        return cls(
            session_id=record.text("session_id"),
            checkout_url=checkout_url,
            challenge_hash=record.text("challenge_hash"),
            status=record.text_or_none("status"),
            expires_at=record.time_or_none("expires_at"),
            merchant=record.text_or_none("merchant"),
            amount_minor=record.integer_or_none("amount_minor"),
            currency=record.text_or_none("currency"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutSession:
    """How far a session is. `status: paid` is settled revenue in the standard band alone."""

    session_id: str
    status: str
    merchant: str
    amount_minor: int
    currency: str
    challenge_hash: str
    token_symbol: str | None
    checkout_url: str | None
    requirement_id: str | None
    pricing_band: str | None
    settlement_cadence: str | None
    finality: str | None
    settlement_status: str | None
    protocol_fee_minor: Decimal | None
    chain_receipt_id: str | None
    success_url: str | None
    cancel_url: str | None
    expires_at: datetime | None
    authenticated_at: datetime | None
    paid_at: datetime | None
    cancelled_at: datetime | None
    created_at: datetime | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            session_id=record.text("session_id"),
            status=record.text("status"),
            merchant=record.text("merchant"),
            amount_minor=record.integer("amount_minor"),
            currency=record.text("currency"),
            challenge_hash=record.text("challenge_hash"),
            token_symbol=record.text_or_none("token_symbol"),
            checkout_url=record.url_or_none("checkout_url"),
            requirement_id=record.text_or_none("requirement_id"),
            pricing_band=record.text_or_none("pricing_band"),
            settlement_cadence=record.text_or_none("settlement_cadence"),
            finality=record.text_or_none("finality"),
            settlement_status=record.text_or_none("settlement_status"),
            protocol_fee_minor=record.amount_or_none("protocol_fee_minor"),
            chain_receipt_id=record.text_or_none("chain_receipt_id"),
            success_url=record.url_or_none("success_url"),
            cancel_url=record.url_or_none("cancel_url"),
            expires_at=record.time_or_none("expires_at"),
            authenticated_at=record.time_or_none("authenticated_at"),
            paid_at=record.time_or_none("paid_at"),
            cancelled_at=record.time_or_none("cancelled_at"),
            created_at=record.time_or_none("created_at"),
        )


class CheckoutCalls(Calls):
    """Needs the merchant's token. Raises HostedCheckoutNotAvailableError where Siglume has not enabled it."""

    async def create_checkout_session(
        self,
        *,
        merchant: str,
        amount_minor: int,
        currency: str,
        nonce: str,
        success_url: str,
        cancel_url: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> NewCheckoutSession:
        """Open a session, or get the open one of the same nonce: derive it from the order attempt.

        Amount and currency come from the merchant's own order. Safe to repeat, because the nonce is the same.
        """
        call = "create_checkout_session"
        body: dict[str, object] = {
            "merchant": values.own_merchant(merchant, "merchant"),
            "amount_minor": values.positive_integer(amount_minor, "amount_minor"),
            "currency": values.currency(currency, "currency"),
            "nonce": values.nonce(nonce, "nonce"),
            "success_url": values.page_url(success_url, "success_url"),
            "cancel_url": values.page_url(cancel_url, "cancel_url"),
        }
        body |= values.checked({"metadata": metadata}, {"metadata": values.json_object})
        data = await self._sender.call(post(call, SESSIONS, body, repeatable=True))
        return NewCheckoutSession.read(Record(data, call))

    async def get_checkout_session(self, session_id: str) -> CheckoutSession:
        call = "get_checkout_session"
        path = f"{SESSIONS}/{values.path_segment(session_id, 'session_id')}"
        session = CheckoutSession.read(Record(await self._sender.call(get(call, path)), call))
        if session.session_id != session_id.strip():
            raise UnusableAnswer(f"Siglume answered {call} with another session: report it to Siglume")
        return session
