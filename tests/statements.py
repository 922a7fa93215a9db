"""What tests are given of statements: rows of usage and batches as the API client reads them.

They fit the confirmations of `tests/given.py`: `stated_usage("order-1")` is the row of `usage(order_id="order-1")`.
"""

from typing import Any

from shared.sdrp.api.batches import SettlementBatch
from shared.sdrp.api.records import Record
from shared.sdrp.api.usage import ProviderUsageEvent
from tests import platform_answers
from tests.given import challenge_hash

Changed = Any
"""What a field is to be."""


def stated_usage(order_id: str = "order-1", **changed: Changed) -> ProviderUsageEvent:
    """A micro payment of 200 yen, in no batch yet, that names the payment of this order."""
    row = platform_answers.usage_event() | {
        "metered_usage_id": f"mu-{order_id}",
        "created_at": "2026-11-20T11:59:58Z",
        "settlement_batch_id": None,
        "buyer_period_ref": "bpr-1",
        "requirement_id": f"req-{order_id}",
        "challenge_hash": challenge_hash(order_id),
    }
    return ProviderUsageEvent.read(Record(row | changed, "usage"))


def nameless(order_id: str = "order-1", **changed: Changed) -> ProviderUsageEvent:
    """The same as a platform states it that names no payment."""
    return stated_usage(order_id, **{"requirement_id": None, "challenge_hash": None} | changed)


def stated_batch(
    batch_id: str = "batch-1", status: str = "settled", *, payments: int = 1, **changed: Changed
) -> SettlementBatch:
    """A batch of so many micro payments of 200 yen; settled as `settlement(batch_id=...)` tells it."""
    is_settled = status == "settled"
    row = platform_answers.batch() | {
        "settlement_batch_id": batch_id,
        "status": status,
        "provider_gross_amount_minor": str(200 * payments),
        "protocol_fee_minor": str(2 * payments),
        "provider_receivable_minor": str(198 * payments),
        "buyer_debit_minor": str(200 * payments),
        "close_at": "2026-11-20T12:00:00Z",
        "chain_receipt_id": f"chain-{batch_id}" if is_settled else None,
        "usage_event_digest": f"digest-{batch_id}",
        "settled_at": "2026-11-20T11:00:00Z" if is_settled else None,
        "buyer_period_ref": "bpr-1",
    }
    return SettlementBatch.read(Record(row | changed, "batch"))
