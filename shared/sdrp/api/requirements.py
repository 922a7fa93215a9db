"""Payment requirements: how a buyer, or an agent with the buyer's token, pays a challenge without a checkout page."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Self, TypedDict, Unpack

from shared.sdrp.api import values
from shared.sdrp.api.calls import Calls
from shared.sdrp.api.errors import InvalidCall
from shared.sdrp.api.records import Record
from shared.sdrp.api.requests import get, post
from shared.sdrp.classify import EXTERNAL_402

REQUIREMENTS = "/sdrp/direct-payments/requirements"
EXECUTE = "/market/web3/transactions/execute-prepared"

PAYMENT_RECEIPT = "sdrp_direct_payment"
ALLOWANCE_RECEIPT = "sdrp_direct_payment_allowance"
REFERENCE_TYPE = "sdrp_direct_payment_requirement"


class Finality(TypedDict, total=False):
    """How long the platform may hold its answer to wait for the chain."""

    await_finality: bool | None
    await_required_status: str | None
    await_timeout_seconds: int | None
    await_poll_seconds: int | None


FINALITY: Mapping[str, values.Check] = MappingProxyType(
    {
        "await_finality": values.flag,
        "await_required_status": values.text,
        "await_timeout_seconds": values.positive_integer,
        "await_poll_seconds": values.positive_integer,
    }
)
_OPTIONS: Mapping[str, values.Check] = MappingProxyType(
    {
        "token_symbol": values.token_symbol,
        "allowance_amount_minor": values.positive_integer,
        "metadata": values.json_object,
    }
)
_RECEIPTS: Mapping[str, values.Check] = MappingProxyType(
    {"receipt_id": values.text, "chain_receipt_id": values.text, **FINALITY}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRequirement:
    """What is to be paid, to whom, and its state. The buyer's ids are left out on purpose."""

    requirement_id: str
    status: str
    amount_minor: int
    currency: str
    mode: str | None
    merchant: str | None
    token_symbol: str | None
    fee_bps: int | None
    """The fee of the standard band, as the platform states it."""
    challenge_hash: str | None
    request_hash: str | None
    request_hash_v2: str | None
    pricing_band: str | None
    settlement_cadence: str | None
    finality: str | None
    settlement_status: str | None
    protocol_fee_minor: Decimal | None
    chain_receipt_id: str | None
    transaction_request: Mapping[str, Any] | None = field(repr=False)
    approve_transaction_request: Mapping[str, Any] | None = field(repr=False)
    """When there is one, it comes first: the buyer's wallet must allow the amount."""
    created_at: datetime | None

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        return cls(
            requirement_id=record.text(record.first_of("requirement_id", "direct_payment_requirement_id", "id")),
            status=record.text("status"),
            amount_minor=record.integer("amount_minor"),
            currency=record.text("currency"),
            mode=record.text_or_none("mode"),
            merchant=record.text_or_none("merchant"),
            token_symbol=record.text_or_none("token_symbol"),
            fee_bps=record.integer_or_none("fee_bps"),
            challenge_hash=record.text_or_none("challenge_hash"),
            request_hash=record.text_or_none("request_hash"),
            request_hash_v2=record.text_or_none("request_hash_v2"),
            pricing_band=record.text_or_none("pricing_band"),
            settlement_cadence=record.text_or_none("settlement_cadence"),
            finality=record.text_or_none("finality"),
            settlement_status=record.text_or_none("settlement_status"),
            protocol_fee_minor=record.amount_or_none("protocol_fee_minor"),
            chain_receipt_id=record.text_or_none("chain_receipt_id"),
            transaction_request=record.object_or_none("transaction_request"),
            approve_transaction_request=record.object_or_none("approve_transaction_request"),
            created_at=record.time_or_none("created_at"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutedTransaction:
    receipt_id: str | None
    """What `verify_payment_requirement` takes."""
    receipt: Mapping[str, Any] | None = field(repr=False)
    finalization: Mapping[str, Any] | None = field(repr=False)

    @classmethod
    def read(cls, record: Record) -> Self:
        """Raises UnusableAnswer."""
        receipt = record.object_or_none("receipt")
        return cls(
            receipt_id=None if receipt is None else Record(receipt, "receipt").text_or_none("receipt_id"),
            receipt=receipt,
            finalization=record.object_or_none("finalization"),
        )


def payment_execution(
    requirement: PaymentRequirement, *, await_finality: bool = False, metadata: Mapping[str, Any] | None = None
) -> dict[str, object]:
    """What `execute_prepared_transaction` takes to pay a requirement. Raises InvalidCall."""
    return _execution(requirement, requirement.transaction_request, PAYMENT_RECEIPT, await_finality, metadata)


def allowance_execution(
    requirement: PaymentRequirement, *, await_finality: bool = False, metadata: Mapping[str, Any] | None = None
) -> dict[str, object]:
    """What lets the wallet spend the amount. Raises InvalidCall when the requirement needs no approval."""
    prepared = requirement.approve_transaction_request or None
    return _execution(requirement, prepared, ALLOWANCE_RECEIPT, await_finality, metadata)


class RequirementCalls(Calls):
    """Needs the buyer's token: a merchant's token never charges a wallet."""

    async def create_payment_requirement(
        self,
        *,
        merchant: str,
        amount_minor: int,
        currency: str,
        challenge: str,
        token_symbol: str | None = None,
        allowance_amount_minor: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> PaymentRequirement:
        """Safe to repeat: the nonce in the challenge is the same."""
        call = "create_payment_requirement"
        options = {
            "token_symbol": token_symbol,
            "allowance_amount_minor": allowance_amount_minor,
            "metadata": metadata,
        }
        body = (
            {"mode": EXTERNAL_402}
            | charge(merchant, amount_minor, currency, challenge)
            | values.checked(options, _OPTIONS)
        )
        data = await self._sender.call(post(call, REQUIREMENTS, body, repeatable=True))
        return PaymentRequirement.read(Record(data, call))

    async def get_payment_requirement(self, requirement_id: str) -> PaymentRequirement:
        call = "get_payment_requirement"
        return PaymentRequirement.read(Record(await self._sender.call(get(call, _path(requirement_id))), call))

    async def verify_payment_requirement(
        self,
        requirement_id: str,
        *,
        receipt_id: str | None = None,
        chain_receipt_id: str | None = None,
        **finality: Unpack[Finality],
    ) -> PaymentRequirement:
        """Let the platform check for the payment; repeating it changes nothing."""
        call = "verify_payment_requirement"
        body = values.checked({"receipt_id": receipt_id, "chain_receipt_id": chain_receipt_id, **finality}, _RECEIPTS)
        path = f"{_path(requirement_id)}/verify"
        asked = post(call, path, body, repeatable=True, holds_for=finality.get("await_timeout_seconds") or 0)
        return PaymentRequirement.read(Record(await self._sender.call(asked), call))

    async def execute_prepared_transaction(self, payload: Mapping[str, Any]) -> ExecutedTransaction:
        """Moves money. Not retried when its answer is lost: read the requirement first."""
        call = "execute_prepared_transaction"
        body = values.json_object(payload, "payload")
        return ExecutedTransaction.read(
            Record(await self._sender.call(post(call, EXECUTE, body, repeatable=False)), call)
        )

    async def execute_payment_transaction(
        self,
        requirement: PaymentRequirement,
        *,
        await_finality: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> ExecutedTransaction:
        """Pay the requirement from the buyer's wallet."""
        return await self.execute_prepared_transaction(
            payment_execution(requirement, await_finality=await_finality, metadata=metadata)
        )

    async def execute_allowance_transaction(
        self,
        requirement: PaymentRequirement,
        *,
        await_finality: bool = False,
        metadata: Mapping[str, Any] | None = None,
    ) -> ExecutedTransaction:
        """Let the wallet spend the amount; only when the requirement has an `approve_transaction_request`."""
        return await self.execute_prepared_transaction(
            allowance_execution(requirement, await_finality=await_finality, metadata=metadata)
        )


def charge(merchant: str, amount_minor: int, currency: str, challenge: str) -> dict[str, object]:
    """What a buyer agrees to, checked. Raises InvalidCall, InvalidChallenge."""
    return {
        "merchant": values.merchant(merchant, "merchant"),
        "amount_minor": values.positive_integer(amount_minor, "amount_minor"),
        "currency": values.currency(currency, "currency"),
        "challenge": values.text(challenge, "challenge"),
    }


def _execution(
    requirement: PaymentRequirement,
    prepared: Mapping[str, Any] | None,
    receipt_kind: str,
    await_finality: bool,
    metadata: Mapping[str, Any] | None,
) -> dict[str, object]:
    if prepared is None:
        raise InvalidCall(f"requirement {requirement.requirement_id} has no such transaction to execute")
    if _holds_fraction(prepared):
        raise InvalidCall(
            f"the transaction of requirement {requirement.requirement_id} holds a number that may have been rounded: "
            "it cannot be sent back unchanged"
        )
    stated = prepared.get("metadata_jsonb")
    return {
        "transaction_request": dict(prepared),
        "receipt_kind": receipt_kind,
        "reference_type": REFERENCE_TYPE,
        "reference_id": requirement.requirement_id,
        "metadata": (stated if isinstance(stated, dict) else {}) | values.json_object(metadata or {}, "metadata"),
        "await_finality": values.flag(await_finality, "await_finality"),
    }


def _holds_fraction(value: object) -> bool:
    """Whether some number in it is a float: one that the platform sent so, or an integer too large for us."""
    if isinstance(value, Mapping):
        return any(map(_holds_fraction, value.values()))
    return any(map(_holds_fraction, value)) if isinstance(value, list) else isinstance(value, float)


def _path(requirement_id: str) -> str:
    return f"{REQUIREMENTS}/{values.path_segment(requirement_id, 'requirement_id')}"
