"""What does a webhook say? The events of payments and of settled batches, as the platform writes them."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from deploy.sandbox.core.batches import Batch
from deploy.sandbox.core.payment import Payment
from deploy.sandbox.core.pricing import THRESHOLD, TOKENS, Price
from deploy.sandbox.core.wire import iso, minor
from shared.sdrp.classify import AGGREGATED_ONCHAIN, EXTERNAL_402, METERED_SETTLEMENT_BATCH, SETTLED
from shared.sdrp.money import CADENCES

API_VERSION: Final = "2026-06-20"
ENVIRONMENT: Final = "sandbox"


@dataclass(frozen=True, slots=True)
class Event:
    """Its bytes are made once: every delivery sends the same."""

    id: str
    type: str
    merchant: str
    occurred_at: datetime
    raw: bytes


def event(event_id: str, event_type: str, merchant: str, data: dict[str, Any], *, now: datetime) -> Event:
    body = {
        "id": event_id,
        "type": event_type,
        "api_version": API_VERSION,
        "occurred_at": iso(now),
        "data": data | {"environment": ENVIRONMENT},
    }
    return Event(event_id, event_type, merchant, now, orjson.dumps(body))


def confirmed(payment: Payment) -> dict[str, Any]:
    """The data of a standard payment on the chain, or of accepted micro or nano usage."""
    return payment_facts(payment) | {
        "mode": EXTERNAL_402,
        "challenge_hash": payment.challenge_hash,
        "request_hash": payment.request_hash,
        "request_hash_v2": payment.request_hash_v2,
        "settlement_batch_id": None,
        "usage_event_digest": None,
        "settled_at": None if payment.price.is_metered else iso(payment.paid_at),
        **(metered_amounts(payment.price) if payment.price.is_metered else {}),
    }


def spent(payment: Payment) -> dict[str, Any]:
    """The same payment seen from the buyer's budget."""
    return {
        "requirement_id": payment.id,
        "merchant": payment.merchant,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "token_symbol": TOKENS[payment.currency],
        "pricing_band": payment.price.band,
    }


def batch_settled(batch: Batch) -> dict[str, Any]:
    """The data of a batch on the chain; it names no order."""
    key = batch.account
    return {
        "mode": METERED_SETTLEMENT_BATCH,
        "merchant": key.merchant,
        "currency": key.currency,
        "token_symbol": TOKENS[key.currency],
        "pricing_band": key.band,
        "settlement_cadence": CADENCES[key.band],
        "finality": AGGREGATED_ONCHAIN,
        "settlement_status": SETTLED,
        "settlement_batch_id": batch.id,
        "settlement_trigger": batch.trigger,
        "chain_receipt_id": batch.receipt_id,
        "usage_event_digest": batch.digest,
        "usage_event_count": len(batch.rows),
        "settled_at": iso(batch.settled_at),
        "provider_gross_amount_minor": minor(batch.gross),
        "protocol_fee_minor": minor(batch.fee),
        "provider_receivable_minor": minor(batch.receivable),
        "gross_buyer_debit_minor": minor(batch.gross),
        "buyer_debit_minor": minor(batch.gross),
        "rounding_delta_minor": "0",
    }


def payment_facts(payment: Payment) -> dict[str, Any]:
    """What requirements and confirmations say alike."""
    fee = payment.price.fee
    return {
        "merchant": payment.merchant,
        "requirement_id": payment.id,
        "direct_payment_requirement_id": payment.id,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "token_symbol": TOKENS[payment.currency],
        "pricing_band": payment.price.band,
        "settlement_cadence": payment.price.cadence,
        "finality": payment.price.finality,
        "settlement_status": payment.settlement_status,
        "fee_bps": payment.price.fee_bps,
        "protocol_fee_minor": None if fee is None else minor(fee),
        "chain_receipt_id": payment.chain_receipt_id,
    }


def metered_amounts(price: Price) -> dict[str, str]:
    """Decimal minor units; the buyer pays the gross, the seller bears the fee."""
    gross, fee = minor(price.gross), price.fee or Decimal(0)
    return {
        "provider_gross_amount_minor": gross,
        "provider_usage_amount_minor": gross,
        "protocol_fee_minor": minor(fee),
        "provider_receivable_minor": minor(price.gross - fee),
        "gross_buyer_debit_minor": gross,
        "buyer_debit_minor": gross,
        "rounding_delta_minor": "0",
        "settlement_threshold_minor": minor(THRESHOLD),
    }
