"""What tests are given: confirmations as the platform writes them, the orders they pay, the envelopes they travel in.

Every builder has defaults that fit together, so that a test names only what matters to it.
"""

import hashlib
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final
from uuid import UUID

import orjson

from shared.broker.envelope import Envelope, Failure
from shared.ledger.hosted_sessions import StatedSession
from shared.ledger.incoming import Incoming, read
from shared.ledger.orders import NewOrder
from shared.sdrp.events import MalformedEvent, parse
from shared.sdrp.signature import SigningSecret, sign

ENDPOINT = "siglume"
SECRET = SigningSecret.from_text("whsec_tests")
NOW = datetime(2026, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
ABSENT: Final = object()
"""As a field's value: the event does not carry it."""

_receipts = count(1)


def challenge_hash(order_id: str) -> str:
    return "sha256:" + hashlib.sha256(order_id.encode()).hexdigest()


def new_order(
    order_id: str = "order-1",
    amount_minor: int = 1200,
    *,
    currency: str = "JPY",
    endpoint: str = ENDPOINT,
    challenge: str | None = None,
) -> NewOrder:
    """1200 yen are in the standard band; 200 are micro, 20 are nano."""
    return NewOrder(order_id, amount_minor, currency, endpoint, challenge or challenge_hash(order_id))


def payment(event_id: str = "evt-1", order_id: str = "order-1", **data: object) -> bytes:
    """`standard_settled`: the order is paid on-chain."""
    return confirmation(
        event_id,
        {
            "mode": "external_402",
            "pricing_band": "standard",
            "finality": "per_payment_onchain",
            "settlement_status": "settled",
            "requirement_id": f"req-{order_id}",
            "challenge_hash": challenge_hash(order_id),
            "chain_receipt_id": f"chain-{order_id}",
            "merchant": "tea_house",
            "amount_minor": 1200,
            "currency": "JPY",
        }
        | data,
    )


def usage(event_id: str = "evt-1", order_id: str = "order-1", **data: object) -> bytes:
    """`metered_usage_accepted`: a micro payment waits for its weekly batch."""
    return confirmation(
        event_id,
        {
            "mode": "external_402",
            "pricing_band": "micro",
            "finality": "aggregated_onchain_settlement",
            "settlement_cadence": "weekly",
            "settlement_status": "pending_settlement",
            "requirement_id": f"req-{order_id}",
            "challenge_hash": challenge_hash(order_id),
            "merchant": "tea_house",
            "amount_minor": "200",
            "currency": "JPY",
        }
        | data,
    )


def settlement(event_id: str = "evt-1", batch_id: str = "batch-1", **data: object) -> bytes:
    """`metered_batch_settled`: a week of micro payments is on the chain."""
    return confirmation(
        event_id,
        {
            "mode": "metered_settlement_batch",
            "pricing_band": "micro",
            "finality": "aggregated_onchain_settlement",
            "settlement_cadence": "weekly",
            "settlement_status": "settled",
            "settlement_batch_id": batch_id,
            "chain_receipt_id": f"chain-{batch_id}",
            "usage_event_digest": f"digest-{batch_id}",
            "settled_at": "2026-11-20T11:00:00Z",
        }
        | data,
    )


def session(order_id: str = "order-1", **changes: Any) -> StatedSession:  # noqa: ANN401 - any of its fields
    """A checkout session that `payment` of the same order has paid."""
    paid = StatedSession(
        session_id=f"chk_{order_id}",
        status="paid",
        merchant="tea_house",
        amount_minor=1200,
        currency="JPY",
        challenge_hash=challenge_hash(order_id),
        requirement_id=f"req-{order_id}",
        pricing_band="standard",
        finality="per_payment_onchain",
        settlement_status="settled",
        chain_receipt_id=f"chain-{order_id}",
        paid_at=NOW,
    )
    return paid._replace(**changes)


def confirmation(event_id: str, data: dict[str, object], *, type_: str = "direct_payment.confirmed") -> bytes:
    return orjson.dumps(
        {
            "id": event_id,
            "type": type_,
            "api_version": "2026-05-01",
            "occurred_at": "2026-11-20T11:59:58Z",
            "data": {name: value for name, value in data.items() if value is not ABSENT},
        }
    )


def envelope(
    raw: bytes,
    *,
    receipt: int | None = None,
    endpoint: str = ENDPOINT,
    received_at: datetime = NOW,
    attempts: int = 0,
    failure: Failure | None = None,
) -> Envelope:
    """As the door wraps it. `receipt` numbers the receipt; a fresh one otherwise."""
    event_id, type_ = _glance(raw)
    return Envelope(
        receipt_id=UUID(int=receipt if receipt is not None else next(_receipts) << 64),
        endpoint=endpoint,
        received_at=received_at,
        signature=sign(raw, secret=SECRET, timestamp=int(received_at.timestamp())),
        key_fingerprint=SECRET.fingerprint,
        raw=raw,
        event_id=event_id,
        type=type_,
        attempts=attempts,
        failure=failure,
    )


def _glance(raw: bytes) -> tuple[str | None, str | None]:
    try:
        event = parse(raw)
    except MalformedEvent as malformed:
        return malformed.event_id, None
    return event.id, event.type


def incoming(
    raw: bytes, *, receipt: int | None = None, endpoint: str = ENDPOINT, received_at: datetime = NOW
) -> Incoming:
    """A delivery as the worker has read it."""
    return read(envelope(raw, receipt=receipt, endpoint=endpoint, received_at=received_at))
