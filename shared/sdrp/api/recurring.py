"""Recurring payments of the newer SDK: subscriptions that Siglume charges, and autopay that a schedule triggers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self, TypedDict, Unpack

from pydantic import SecretStr

from shared.sdrp.api import values
from shared.sdrp.api.access import bearer
from shared.sdrp.api.calls import Calls
from shared.sdrp.api.records import Record
from shared.sdrp.api.requests import delete, post
from shared.sdrp.api.requirements import FINALITY, Finality, charge

SUBSCRIPTIONS = "/sdrp/direct-payments/subscriptions"
AUTHORIZATIONS = "/account/auto-pay/scheduled-authorizations"
EXECUTE = "/market/api-store/scheduled-auto-pay/execute"


class Signing(TypedDict, total=False):
    """What the buyer's own wallet has to sign, where it must."""

    user_signing: bool | None
    user_signing_flow: bool | None
    external_signature: str | None
    external_safe_tx_hash: str | None


class AutoPayTerms(Signing, total=False):
    """What a buyer allows in advance; each call gives those that its kind of authorization needs."""

    listing_id: str | None
    product_listing_id: str | None
    capability_key: str | None
    mode: str | None
    merchant: str | None
    challenge: str | None
    amount_minor: int | None
    agent_id: str | None
    operation_key: str | None
    allowed_operation_key: str | None
    expected_operation_key: str | None
    expected_amount_minor: int | None
    max_amount_minor: int | None
    max_amount_minor_per_run: int | None
    currency: str | None
    token_symbol: str | None
    buyer_token: str | None
    max_runs: int | None
    cadence: str | Mapping[str, Any] | None
    cadence_limit: Mapping[str, Any] | None
    expires_at: str | None
    valid_until: str | None
    metadata: Mapping[str, Any] | None
    authorization_id: str | None


def _cadence(value: values.Value, name: str) -> object:
    return values.text(value, name) if isinstance(value, str) else values.json_object(value, name)


_SIGNING: Mapping[str, values.Check] = MappingProxyType(
    {
        "user_signing": values.flag,
        "user_signing_flow": values.flag,
        "external_signature": values.text,
        "external_safe_tx_hash": values.text,
    }
)
_AUTO_PAY: Mapping[str, values.Check] = MappingProxyType(
    {
        "listing_id": values.text,
        "product_listing_id": values.text,
        "capability_key": values.text,
        "mode": values.text,
        "merchant": values.text,
        "challenge": values.text,
        "agent_id": values.text,
        "operation_key": values.text,
        "allowed_operation_key": values.text,
        "expected_operation_key": values.text,
        "expires_at": values.text,
        "valid_until": values.text,
        "authorization_id": values.text,
        "amount_minor": values.positive_integer,
        "expected_amount_minor": values.positive_integer,
        "max_amount_minor": values.positive_integer,
        "max_amount_minor_per_run": values.positive_integer,
        "max_runs": values.positive_integer,
        "currency": values.currency,
        "token_symbol": values.token_symbol,
        "buyer_token": values.token_symbol,
        "cadence": _cadence,
        "cadence_limit": values.json_object,
        "metadata": values.json_object,
        **_SIGNING,
    }
)
_EXECUTION: Mapping[str, values.Check] = MappingProxyType(
    {
        "input": values.json_object,
        "arguments": values.json_object,
        "scheduled_for": values.text,
        "draft_token": values.text,
        **FINALITY,
        "metadata": values.json_object,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A recurring payment that Siglume charges by itself."""

    subscription_status: str
    merchant: str
    mode: str | None
    amount_minor: int | None
    currency: str | None
    token_symbol: str | None
    cadence: str | None
    fee_bps: int | None
    idempotent_replay: bool | None
    """Whether this answer repeats an earlier one of the same challenge."""
    mandate: Mapping[str, Any] | None = field(repr=False)
    receipt: Mapping[str, Any] | None = field(repr=False)
    initial_charge: Mapping[str, Any] | None = field(repr=False)

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            subscription_status=record.text("subscription_status"),
            merchant=record.text("merchant"),
            mode=record.text_or_none("mode"),
            amount_minor=record.integer_or_none("amount_minor"),
            currency=record.text_or_none("currency"),
            token_symbol=record.text_or_none("token_symbol"),
            cadence=record.text_or_none("cadence"),
            fee_bps=record.integer_or_none("fee_bps"),
            idempotent_replay=record.flag_or_none("idempotent_replay"),
            mandate=record.object_or_none("mandate"),
            receipt=record.object_or_none("receipt"),
            initial_charge=record.object_or_none("initial_charge"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPayAuthorization:
    """What a buyer allowed in advance. The buyer's ids are left out on purpose."""

    authorization_id: str
    status: str
    listing_id: str | None
    capability_key: str | None
    operation_key: str | None
    expected_amount_minor: int | None
    max_amount_minor: int | None
    currency: str | None
    token_symbol: str | None
    max_runs: int | None
    schedule_token: SecretStr | None
    """Only in the answer that creates it; it executes the schedule."""
    token_hint: str | None
    cadence: Mapping[str, Any] | None
    requires_user_signature: bool | None
    mandate: Mapping[str, Any] | None = field(repr=False)
    expires_at: datetime | None
    revoked_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            authorization_id=record.text(record.first_of("authorization_id", "id")),
            status=record.text("status"),
            listing_id=record.text_or_none(record.first_of("listing_id", "product_listing_id")),
            capability_key=record.text_or_none("capability_key"),
            operation_key=record.text_or_none("operation_key"),
            expected_amount_minor=record.integer_or_none("expected_amount_minor"),
            max_amount_minor=record.integer_or_none("max_amount_minor"),
            currency=record.text_or_none("currency"),
            token_symbol=record.text_or_none("token_symbol"),
            max_runs=record.integer_or_none("max_runs"),
            schedule_token=record.secret_or_none("schedule_token"),
            token_hint=record.text_or_none("token_hint"),
            cadence=record.object_or_none("cadence"),
            requires_user_signature=record.flag_or_none("requires_user_signature"),
            mandate=record.object_or_none("mandate"),
            expires_at=record.time_or_none("expires_at"),
            revoked_at=record.time_or_none("revoked_at"),
            created_at=record.time_or_none("created_at"),
            updated_at=record.time_or_none("updated_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoPayExecution:
    status: str
    charge_status: str
    reason_code: str | None
    reason: str | None
    retryable: bool | None
    manual_reconciliation_required: bool | None
    requirement_id: str | None
    slot: Mapping[str, Any] | None = field(repr=False)
    authorization: Mapping[str, Any] | None = field(repr=False)
    direct_payment_requirement: Mapping[str, Any] | None = field(repr=False)
    direct_payment_execution: Mapping[str, Any] | None = field(repr=False)
    capability_result: Mapping[str, Any] | None = field(repr=False)

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            status=record.text("status"),
            charge_status=record.text("charge_status"),
            reason_code=record.text_or_none("reason_code"),
            reason=record.note("reason"),
            retryable=record.flag_or_none("retryable"),
            manual_reconciliation_required=record.flag_or_none("manual_reconciliation_required"),
            requirement_id=record.text_or_none("direct_payment_requirement_id"),
            slot=record.object_or_none("slot"),
            authorization=record.object_or_none("authorization"),
            direct_payment_requirement=record.object_or_none("direct_payment_requirement"),
            direct_payment_execution=record.object_or_none("direct_payment_execution"),
            capability_result=record.object_or_none("capability_result"),
        )


class RecurringCalls(Calls):
    """Needs the buyer's token; executing a schedule needs the schedule's own."""

    async def create_subscription(
        self,
        *,
        merchant: str,
        amount_minor: int,
        currency: str,
        challenge: str,
        cadence: str | None = None,
        **signing: Unpack[Signing],
    ) -> Subscription:
        """Safe to repeat: the nonce in the recurring challenge is the same, and the answer says so."""
        call = "create_subscription"
        options = values.checked({"cadence": cadence, **signing}, {"cadence": values.text, **_SIGNING})
        body = charge(merchant, amount_minor, currency, challenge) | options
        data = await self._sender.call(post(call, SUBSCRIPTIONS, body, repeatable=True))
        return Subscription.read(Record(data, call))

    async def create_scheduled_auto_pay_authorization(self, **terms: Unpack[AutoPayTerms]) -> AutoPayAuthorization:
        """Repeated when its answer is lost only if a challenge, and so a nonce, is part of the terms."""
        call = "create_scheduled_auto_pay_authorization"
        body = values.checked(terms, _AUTO_PAY)
        data = await self._sender.call(post(call, AUTHORIZATIONS, body, repeatable="challenge" in body))
        return AutoPayAuthorization.read(Record(data, call))

    async def revoke_scheduled_auto_pay_authorization(self, authorization_id: str) -> AutoPayAuthorization | None:
        """None when the platform confirms it with an empty answer."""
        call = "revoke_scheduled_auto_pay_authorization"
        path = f"{AUTHORIZATIONS}/{values.path_segment(authorization_id, 'authorization_id')}"
        data = await self._sender.call(delete(call, path))
        return None if data is None else AutoPayAuthorization.read(Record(data, call))

    async def execute_scheduled_auto_pay(
        self,
        *,
        schedule_token: str,
        slot_id: str,
        input: Mapping[str, Any] | None = None,  # noqa: A002 - the protocol's name
        arguments: Mapping[str, Any] | None = None,
        scheduled_for: str | None = None,
        draft_token: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **finality: Unpack[Finality],
    ) -> AutoPayExecution:
        """Moves money. Not retried when its answer is lost: repeat the call yourself, with the same slot."""
        call = "execute_scheduled_auto_pay"
        options = {
            "input": input,
            "arguments": arguments,
            "scheduled_for": scheduled_for,
            "draft_token": draft_token,
            "metadata": metadata,
            **finality,
        }
        request = post(
            call,
            EXECUTE,
            {"slot_id": values.text(slot_id, "slot_id")} | values.checked(options, _EXECUTION),
            repeatable=False,
            token=SecretStr(bearer(values.text(schedule_token, "schedule_token"), "schedule_token")),
            holds_for=finality.get("await_timeout_seconds") or 0,
        )
        return AutoPayExecution.read(Record(await self._sender.call(request), call))
