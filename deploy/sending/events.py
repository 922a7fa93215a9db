"""What does the platform send? Events of every kind, complete enough to be real, each from one key."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from deploy.sending.kinds import Kind
from shared.errors import KessaiError
from shared.sdrp.classify import (
    AGGREGATED_ONCHAIN,
    EXTERNAL_402,
    METERED_SETTLEMENT_BATCH,
    PENDING_SETTLEMENT,
    PER_PAYMENT_ONCHAIN,
    SETTLED,
)
from shared.sdrp.events import CONFIRMED, READINESS_PROBE, SPENT
from shared.sdrp.money import CADENCES, Band, Currency, band_for

API_VERSION = "2026-05-01"


class CannotBuild(KessaiError):
    """The requested event cannot be built."""


def build(kind: Kind, *, key: str, at: datetime, merchant: str | None = None) -> dict[str, Any]:
    """An event that pays 1200 JPY (standard) or 120 JPY (metered). Every id in it is made of `key`."""
    data = _DATA[kind](key)
    if merchant is not None:
        data["merchant"] = merchant
    return {
        "id": f"evt_{key}",
        "type": SPENT if kind is Kind.SPENT else CONFIRMED,
        "api_version": API_VERSION,
        "occurred_at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "data": data,
    }


def dump(event: object) -> bytes:
    """The body, as it is signed and sent."""
    return orjson.dumps(event)


def hash_of(text: str) -> str:
    """`sha256:<hex>`, as the protocol writes hashes."""
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def pay(event: dict[str, Any], *, amount_minor: int, currency: str, challenge_hash: str) -> None:
    """Make a payment the one that an order expects. Raises CannotBuild when its kind does not fit the amount."""
    data = event["data"]
    if "challenge_hash" not in data:
        raise CannotBuild(f"an event of this kind pays no order: send {Kind.STANDARD_SETTLED}")
    band = band_for(amount_minor, Currency(currency))
    metered = data["finality"] == AGGREGATED_ONCHAIN
    if metered == (band is Band.STANDARD):
        fits = Kind.STANDARD_SETTLED if metered else Kind.METERED_USAGE_ACCEPTED
        raise CannotBuild(f"{amount_minor} {currency} is a {band} payment: send {fits}")
    data |= {"amount_minor": amount_minor, "currency": currency, "challenge_hash": challenge_hash, "pricing_band": band}
    if metered:
        data["settlement_cadence"] = CADENCES[band]


def set_value(event: dict[str, Any], path: str, value: object) -> None:
    """Set the value at a dotted path, e.g. `data.amount_minor`; missing tables are made. Raises CannotBuild."""
    *tables, name = path.split(".")
    table = event
    for step in tables:
        table = table.setdefault(step, {})
        if not isinstance(table, dict):
            raise CannotBuild(f"cannot set {path}: {step} is no object")
    if not name or not all(tables):
        raise CannotBuild(f"{path!r} is no path: write e.g. data.amount_minor")
    table[name] = value


def read_setting(text: str) -> tuple[str, object]:
    """`path=value`; the value is JSON where it reads as JSON, else text. Raises CannotBuild."""
    path, equals, value = text.partition("=")
    if not equals:
        raise CannotBuild(f"{text!r} sets nothing: write path=value, e.g. data.amount_minor=1200")
    try:
        return path, orjson.loads(value)
    except orjson.JSONDecodeError:
        return path, value


def _standard(key: str) -> dict[str, Any]:
    return _payment(key, amount_minor=1200) | {
        "pricing_band": Band.STANDARD,
        "finality": PER_PAYMENT_ONCHAIN,
        "settlement_status": SETTLED,
        "settlement_cadence": None,
        "chain_receipt_id": f"rcpt_{key}",
    }


def _usage(key: str) -> dict[str, Any]:
    return _payment(key, amount_minor=120) | {
        "pricing_band": Band.MICRO,
        "finality": AGGREGATED_ONCHAIN,
        "settlement_status": PENDING_SETTLEMENT,
        "settlement_cadence": CADENCES[Band.MICRO],
        "chain_receipt_id": None,
        "buyer_period_ref": f"bpr_{key}",
    }


def _payment(key: str, *, amount_minor: int) -> dict[str, Any]:
    return {
        "mode": EXTERNAL_402,
        "requirement_id": f"dpr_{key}",
        "challenge_hash": hash_of(key),
        "amount_minor": amount_minor,
        "currency": "JPY",
        "token_symbol": "JPYC",
    }


def _batch(key: str) -> dict[str, Any]:
    return {
        "mode": METERED_SETTLEMENT_BATCH,
        "pricing_band": Band.MICRO,
        "finality": AGGREGATED_ONCHAIN,
        "settlement_status": SETTLED,
        "settlement_cadence": CADENCES[Band.MICRO],
        "settlement_batch_id": f"batch_{key}",
        "chain_receipt_id": f"rcpt_{key}",
        "usage_event_digest": hash_of(f"usage {key}"),
        "token_symbol": "JPYC",
    }


def _spent(key: str) -> dict[str, Any]:
    return {"requirement_id": f"dpr_{key}", "amount_minor": 1200, "currency": "JPY", "token_symbol": "JPYC"}


def _probe(key: str) -> dict[str, Any]:
    return {"mode": READINESS_PROBE, "readiness_probe": True, "probe_id": f"probe_{key}"}


def _unknown(key: str) -> dict[str, Any]:
    """A mode that no version of the protocol has."""
    return _standard(key) | {"mode": "external_999"}


_DATA: dict[Kind, Callable[[str], dict[str, Any]]] = {
    Kind.STANDARD_SETTLED: _standard,
    Kind.METERED_USAGE_ACCEPTED: _usage,
    Kind.METERED_BATCH_SETTLED: _batch,
    Kind.SPENT: _spent,
    Kind.READINESS_PROBE: _probe,
    Kind.UNKNOWN: _unknown,
}
