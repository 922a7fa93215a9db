"""What has a `direct_payment.confirmed` event settled, if anything? (SDRP webhooks, confirmation shapes)

| kind | mode | band | finality | status |
| --- | --- | --- | --- | --- |
| `standard_settled` | `external_402` | standard | `per_payment_onchain` | `settled` |
| `metered_usage_accepted` | `external_402` | micro, nano | `aggregated_onchain_settlement` | `pending_settlement` |
| `metered_batch_settled` | `metered_settlement_batch` | micro, nano | `aggregated_onchain_settlement` | `settled` |

Metered shapes also want the cadence of their band: weekly for micro, monthly for nano. The order of tests is that of
`UnknownReason`. Text counts only when it is a string and not blank; it is trimmed, never re-cased. Stricter than the
official SDK 0.5.7: text that could not be kept (NUL, more than 255 characters) does not count either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, StrEnum
from typing import Any, ClassVar, Final, Literal, TypeAlias

from shared.sdrp.events import CONFIRMED, Event, is_storable
from shared.sdrp.money import CADENCES, MAX_SAFE_INTEGER, Band, Cadence, InvalidAmount, parse_minor

EXTERNAL_402 = "external_402"
METERED_SETTLEMENT_BATCH = "metered_settlement_batch"
PER_PAYMENT_ONCHAIN = "per_payment_onchain"
AGGREGATED_ONCHAIN = "aggregated_onchain_settlement"
SETTLED = "settled"
PENDING_SETTLEMENT = "pending_settlement"

MeteredBand: TypeAlias = Literal[Band.MICRO, Band.NANO]


class UnknownReason(StrEnum):
    """Why an event is of no known shape, in the order they are tested."""

    NOT_CONFIRMED = "not_direct_payment_confirmed"
    UNSUPPORTED_MODE = "unsupported_confirmation_mode"
    INVALID_BATCH = "invalid_metered_settlement_confirmation"
    MISSING_STANDARD_FIELDS = "missing_standard_settlement_fields"
    MISSING_METERED_FIELDS = "missing_metered_usage_fields"
    UNKNOWN_SHAPE = "unknown_confirmation_shape"


class Unreadable(Enum):
    """The event has a value, but in a form that cannot equal that of an order: it matches no order."""

    UNREADABLE = "unreadable"


UNREADABLE: Final = Unreadable.UNREADABLE

Amount: TypeAlias = Decimal | Unreadable | None
"""Minor units; None when the event does not carry one."""
Text: TypeAlias = str | Unreadable | None
"""Trimmed; None when the event does not carry one."""


@dataclass(frozen=True, slots=True)
class StandardSettled:
    """One payment is on the chain."""

    KIND: ClassVar[str] = "standard_settled"
    requirement_id: str
    challenge_hash: str
    chain_receipt_id: str
    request_hash_v2: str | None
    amount: Amount
    currency: Text
    merchant: Text
    pricing_band: Literal[Band.STANDARD] = Band.STANDARD


@dataclass(frozen=True, slots=True)
class MeteredUsageAccepted:
    """One micro or nano payment waits for its batch: not revenue yet."""

    KIND: ClassVar[str] = "metered_usage_accepted"
    requirement_id: str
    challenge_hash: str
    pricing_band: MeteredBand
    settlement_cadence: Cadence
    request_hash_v2: str | None
    amount: Amount
    currency: Text
    merchant: Text


@dataclass(frozen=True, slots=True)
class MeteredBatchSettled:
    """A batch of metered payments is on the chain; it names no order."""

    KIND: ClassVar[str] = "metered_batch_settled"
    settlement_batch_id: str
    chain_receipt_id: str
    usage_event_digest: str
    pricing_band: MeteredBand
    settlement_cadence: Cadence
    settled_at: str | None
    """As sent; whether it is a time has not been checked."""
    merchant: Text = None
    currency: Text = None
    gross: Amount = None
    """What its buyers are debited; undocumented, like the next field."""
    usage_count: int | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """An event that may not move money; a person must review it."""

    KIND: ClassVar[str] = "unknown"
    reason: UnknownReason


Confirmation: TypeAlias = StandardSettled | MeteredUsageAccepted | MeteredBatchSettled | Unknown


def classify(event: Event) -> Confirmation:
    """Never raises: an event that fits no row of the table is Unknown, with the first reason that holds."""
    data = event.data
    if event.type != CONFIRMED:
        return Unknown(UnknownReason.NOT_CONFIRMED)
    mode = _text(data, "mode")
    if mode == METERED_SETTLEMENT_BATCH:
        return _batch(data) or Unknown(UnknownReason.INVALID_BATCH)
    if mode != EXTERNAL_402:
        return Unknown(UnknownReason.UNSUPPORTED_MODE)
    match _text(data, "pricing_band"):
        case Band.STANDARD:
            return _standard(data) or Unknown(UnknownReason.MISSING_STANDARD_FIELDS)
        case Band.MICRO | Band.NANO:
            return _usage(data) or Unknown(UnknownReason.MISSING_METERED_FIELDS)
        case _:
            return Unknown(UnknownReason.UNKNOWN_SHAPE)


def _standard(data: Mapping[str, Any]) -> StandardSettled | None:
    requirement_id = _requirement_id(data)
    challenge_hash = _text(data, "challenge_hash")
    chain_receipt_id = _text(data, "chain_receipt_id")
    if not _is_final(data, PER_PAYMENT_ONCHAIN, SETTLED):
        return None
    if not (requirement_id and challenge_hash and chain_receipt_id):
        return None
    return StandardSettled(
        requirement_id=requirement_id,
        challenge_hash=challenge_hash,
        chain_receipt_id=chain_receipt_id,
        request_hash_v2=_text(data, "request_hash_v2"),
        amount=_amount(data, "amount_minor"),
        currency=_comparable(data, "currency"),
        merchant=_comparable(data, "merchant"),
    )


def _usage(data: Mapping[str, Any]) -> MeteredUsageAccepted | None:
    band = _metered_band(data)
    requirement_id = _requirement_id(data)
    challenge_hash = _text(data, "challenge_hash")
    if band is None or not _is_final(data, AGGREGATED_ONCHAIN, PENDING_SETTLEMENT):
        return None
    if not (requirement_id and challenge_hash):
        return None
    return MeteredUsageAccepted(
        requirement_id=requirement_id,
        challenge_hash=challenge_hash,
        pricing_band=band,
        settlement_cadence=CADENCES[band],
        request_hash_v2=_text(data, "request_hash_v2"),
        amount=_amount(data, "amount_minor"),
        currency=_comparable(data, "currency"),
        merchant=_comparable(data, "merchant"),
    )


def _batch(data: Mapping[str, Any]) -> MeteredBatchSettled | None:
    band = _metered_band(data)
    settlement_batch_id = _text(data, "settlement_batch_id")
    chain_receipt_id = _text(data, "chain_receipt_id")
    usage_event_digest = _text(data, "usage_event_digest")
    if band is None or not _is_final(data, AGGREGATED_ONCHAIN, SETTLED):
        return None
    if not (settlement_batch_id and chain_receipt_id and usage_event_digest):
        return None
    return MeteredBatchSettled(
        settlement_batch_id=settlement_batch_id,
        chain_receipt_id=chain_receipt_id,
        usage_event_digest=usage_event_digest,
        pricing_band=band,
        settlement_cadence=CADENCES[band],
        settled_at=_text(data, "settled_at"),
        merchant=_comparable(data, "merchant"),
        currency=_comparable(data, "currency"),
        gross=_amount(data, "provider_gross_amount_minor"),
        usage_count=_count(data, "usage_event_count"),
    )


def _is_final(data: Mapping[str, Any], finality: str, status: str) -> bool:
    return _text(data, "finality") == finality and _text(data, "settlement_status") == status


def _metered_band(data: Mapping[str, Any]) -> MeteredBand | None:
    """Micro or nano, provided that the cadence is that band's."""
    match _text(data, "pricing_band"), _text(data, "settlement_cadence"):
        case (Band.MICRO, Cadence.WEEKLY):
            return Band.MICRO
        case (Band.NANO, Cadence.MONTHLY):
            return Band.NANO
        case _:
            return None


def _requirement_id(data: Mapping[str, Any]) -> str | None:
    """The older field counts only where the newer one holds no text at all."""
    value = data.get("requirement_id")
    newer = isinstance(value, str) and not value.isspace() and value != ""
    return _text(data, "requirement_id" if newer else "direct_payment_requirement_id")


def _text(data: Mapping[str, Any], name: str) -> str | None:
    value = data.get(name)
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if text and is_storable(text) else None


def _comparable(data: Mapping[str, Any], name: str) -> Text:
    """None for blank text; UNREADABLE for a value that is no text, or that could not be stored."""
    value = data.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return _text(data, name) or UNREADABLE


def _count(data: Mapping[str, Any], name: str) -> int | None:
    value = data.get(name)
    return value if type(value) is int and 0 <= value <= MAX_SAFE_INTEGER else None


def _amount(data: Mapping[str, Any], name: str) -> Amount:
    value = data.get(name)
    if value is None:
        return None
    # bool is an int to Python, and orjson makes floats of integers above 2^64.
    if type(value) is int and abs(value) <= MAX_SAFE_INTEGER:
        return Decimal(value)
    if not isinstance(value, str):
        return UNREADABLE
    try:
        return parse_minor(value.strip())
    except InvalidAmount:
        return UNREADABLE
