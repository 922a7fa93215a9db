"""The merchant's account at Siglume: setting it up, its secret, its billing mandate, its readiness."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self, TypedDict, Unpack

from pydantic import SecretStr

from shared.sdrp.api import values
from shared.sdrp.api.calls import Calls
from shared.sdrp.api.records import Record
from shared.sdrp.api.requests import get, post

MERCHANTS = "/sdrp/direct-payments/merchants"


class MerchantTerms(TypedDict, total=False):
    """What a merchant may set in its account; values that are left out stay as they are."""

    display_name: str | None
    allowed_currencies: Mapping[str, str] | Sequence[str] | None
    webhook_callback_url: str | None
    billing_mandate_cap_minor: int | None
    max_amount_minor: int | None
    checkout_allowed_origins: Sequence[str] | None
    standard_terms_accepted: bool | None
    terms_accepted: bool | None
    terms_version: str | None
    sandbox_confirmed: bool | None
    sandbox_session_id: str | None
    merchant_responsibility_attested: bool | None
    responsibility_attestation_version: str | None
    live_mode_requested: bool | None


_TERMS: Mapping[str, values.Check] = MappingProxyType(
    {
        "display_name": values.text,
        "allowed_currencies": values.currencies,
        "webhook_callback_url": values.webhook_url,
        "billing_mandate_cap_minor": values.positive_integer,
        "max_amount_minor": values.positive_integer,
        "checkout_allowed_origins": values.origins,
        "standard_terms_accepted": values.flag,
        "terms_accepted": values.flag,
        "terms_version": values.text,
        "sandbox_confirmed": values.flag,
        "sandbox_session_id": values.text,
        "merchant_responsibility_attested": values.flag,
        "responsibility_attestation_version": values.text,
        "live_mode_requested": values.flag,
    }
)
_MANDATE: Mapping[str, values.Check] = MappingProxyType(
    {
        "currency": values.currency,
        "billing_currency": values.currency,
        "max_amount_minor": values.positive_integer,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantAccount:
    merchant: str
    merchant_account_id: str | None
    display_name: str | None
    status: str | None
    billing_mandate_id: str | None
    billing_status: str | None
    billing_plan: str | None
    billing_currency: str | None
    token_symbol: str | None
    monthly_fee_minor: int | None
    settlement_fee_bps: int | None
    settlement_fee_min_minor: int | None
    included_monthly_payments: int | None
    metadata: Mapping[str, Any] | None = field(repr=False)

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            merchant=record.text("merchant"),
            merchant_account_id=record.text_or_none("merchant_account_id"),
            display_name=record.note("display_name"),
            status=record.text_or_none("status"),
            billing_mandate_id=record.text_or_none("billing_mandate_id"),
            billing_status=record.text_or_none("billing_status"),
            billing_plan=record.text_or_none("billing_plan"),
            billing_currency=record.text_or_none("billing_currency"),
            token_symbol=record.text_or_none("token_symbol"),
            monthly_fee_minor=record.integer_or_none("monthly_fee_minor"),
            settlement_fee_bps=record.integer_or_none("settlement_fee_bps"),
            settlement_fee_min_minor=record.integer_or_none("settlement_fee_min_minor"),
            included_monthly_payments=record.integer_or_none("included_monthly_payments"),
            metadata=record.object_or_none("metadata_jsonb"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutReadiness:
    """Whether Siglume lets this merchant take standard payments by Hosted Checkout, and what is missing."""

    ready: bool
    status: str
    scope: str | None
    missing_requirements: tuple[str, ...]
    blockers: tuple[str, ...]
    live_mode_requested: bool | None
    live_mode_enabled: bool | None
    merchant_responsibility_attested: bool | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            ready=record.flag("ready"),
            status=record.text("status"),
            scope=record.text_or_none("scope"),
            missing_requirements=record.texts("missing_requirements"),
            blockers=record.texts("blockers"),
            live_mode_requested=record.flag_or_none("live_mode_requested"),
            live_mode_enabled=record.flag_or_none("live_mode_enabled"),
            merchant_responsibility_attested=record.flag_or_none("merchant_responsibility_attested"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """What Siglume answers about a merchant. The challenge secret comes once: when it is made or rotated."""

    account: MerchantAccount
    challenge_secret: SecretStr | None
    challenge_secret_created: bool | None
    created: bool | None
    listing_id: str | None
    mandate: Mapping[str, Any] | None = field(repr=False)
    readiness: CheckoutReadiness | None
    next_steps: Mapping[str, Any] | None = field(repr=False)

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        readiness = record.object_or_none("standard_hosted_checkout_readiness")
        return cls(
            account=MerchantAccount.read(Record(record.fields.get("merchant_account"), "merchant_account")),
            challenge_secret=record.secret_or_none("challenge_secret"),
            challenge_secret_created=record.flag_or_none("challenge_secret_created"),
            created=record.flag_or_none("created"),
            listing_id=record.text_or_none("listing_id"),
            mandate=record.object_or_none("mandate"),
            readiness=None if readiness is None else CheckoutReadiness.read(Record(readiness, "readiness")),
            next_steps=record.object_or_none("next_steps"),
        )


class MerchantCalls(Calls):
    """Needs the merchant's token."""

    async def setup_merchant(
        self,
        *,
        merchant: str,
        billing_plan: str = "launch",
        billing_currency: str = "JPY",
        **terms: Unpack[MerchantTerms],
    ) -> Merchant:
        """Create the account, or change it. Safe to repeat, but a secret whose answer was lost must be rotated."""
        call = "setup_merchant"
        body: dict[str, object] = {
            "merchant": values.own_merchant(merchant, "merchant"),
            "billing_plan": values.billing_plan(billing_plan, "billing_plan"),
            "billing_currency": values.currency(billing_currency, "billing_currency"),
        }
        body |= values.checked(terms, _TERMS)
        return Merchant.read(Record(await self._sender.call(post(call, MERCHANTS, body, repeatable=True)), call))

    async def get_merchant(self, merchant: str) -> Merchant:
        call = "get_merchant"
        return Merchant.read(Record(await self._sender.call(get(call, _path(merchant))), call))

    async def get_merchant_readiness(self, merchant: str) -> CheckoutReadiness:
        call = "get_merchant_readiness"
        record = Record(await self._sender.call(get(call, f"{_path(merchant)}/readiness")), call)
        inner = record.object_or_none("standard_hosted_checkout_readiness")
        return CheckoutReadiness.read(record if inner is None else Record(inner, call))

    async def rotate_challenge_secret(self, merchant: str) -> SecretStr:
        """The new secret; the old one signs nothing any more. Not repeated when its answer is lost: rotate again."""
        call = "rotate_challenge_secret"
        request = post(call, f"{_path(merchant)}/challenge-secret/rotate", repeatable=False)
        record = Record(await self._sender.call(request), call)
        secret = record.secret_or_none("challenge_secret")
        if secret is None:
            raise record.fault("challenge_secret", "is missing")
        return secret

    async def prepare_billing_mandate(
        self,
        merchant: str,
        *,
        currency: str | None = None,
        billing_currency: str | None = None,
        max_amount_minor: int | None = None,
    ) -> Merchant:
        """Create the mandate or reuse it; it may still have to be approved in the merchant's wallet."""
        call = "prepare_billing_mandate"
        terms = {"currency": currency, "billing_currency": billing_currency, "max_amount_minor": max_amount_minor}
        body = values.checked(terms, _MANDATE)
        data = await self._sender.call(post(call, f"{_path(merchant)}/billing-mandate", body, repeatable=True))
        return Merchant.read(Record(data, call))


def _path(merchant: str) -> str:
    return f"{MERCHANTS}/{values.own_merchant(merchant, 'merchant')}"
