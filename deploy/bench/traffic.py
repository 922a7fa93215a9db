"""What does the platform send? Confirmations by number, so that books, requests and queues agree on them.

Event `n` pays order `n`: its id, its order's id and its challenge hash are functions of the number alone, here in
Python and, to fill books with millions of rows, in SQL.
"""

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from shared.broker.envelope import Envelope
from shared.ledger.books import Order
from shared.ledger.facts import order_moved
from shared.ledger.incoming import read
from shared.ledger.transitions import OrderState
from shared.sdrp.money import Currency
from shared.sdrp.signature import SigningSecret, sign

MERCHANT = "kessai_bench"
AMOUNT_MINOR = 1200
CURRENCY = Currency.JPY

SQL = """
CREATE SCHEMA bench;
CREATE FUNCTION bench.order_id(n bigint) RETURNS text STABLE LANGUAGE sql
    AS $$ SELECT 'bench-order-' || lpad(n::text, 12, '0') $$;
CREATE FUNCTION bench.event_id(n bigint) RETURNS text STABLE LANGUAGE sql
    AS $$ SELECT 'evt_' || md5('bench ' || n::text) $$;
CREATE FUNCTION bench.challenge_hash(n bigint) RETURNS text STABLE LANGUAGE sql
    AS $$ SELECT 'sha256:' || encode(sha256(convert_to(bench.order_id(n), 'UTF8')), 'hex') $$;
CREATE FUNCTION bench.requirement_id(n bigint) RETURNS text STABLE LANGUAGE sql
    AS $$ SELECT 'dpr_bench_' || lpad(n::text, 12, '0') $$;
CREATE FUNCTION bench.chain_receipt_id(n bigint) RETURNS text STABLE LANGUAGE sql
    AS $$ SELECT 'rcpt_bench_' || lpad(n::text, 12, '0') $$;
CREATE FUNCTION bench.past(n bigint) RETURNS timestamptz STABLE LANGUAGE sql
    AS $$ SELECT now() - interval '3 hours' + n * interval '1 millisecond' $$;
CREATE FUNCTION bench.receipt_id(n bigint) RETURNS uuid STABLE LANGUAGE sql
    AS $$ SELECT lpad(to_hex(n), 32, '0')::uuid $$;
"""
"""The functions below for SQL, which Postgres inlines; `receipt_id` grows with time as a real one does.

`past` is when event `n` was received and applied: a thousand a second.
"""

_BODY = (
    '{"id":"%s","type":"direct_payment.confirmed","api_version":"2026-05-01","occurred_at":"%s","data":{'
    '"mode":"external_402","pricing_band":"standard","finality":"per_payment_onchain",'
    '"settlement_status":"settled","settlement_cadence":null,"requirement_id":"%s",'
    '"challenge_hash":"%s","chain_receipt_id":"%s","merchant":"' + MERCHANT + '",'
    '"amount_minor":' + str(AMOUNT_MINOR) + ',"currency":"' + CURRENCY + '","token_symbol":"JPYC",'
    '"protocol_fee_minor":"12","settlement_batch_id":null,"usage_event_digest":null,'
    '"buyer_period_ref":"bpr_2f1d6c0a","metadata":{"order_id":"%s"}}}'
)


def order_id(number: int) -> str:
    return f"bench-order-{number:012d}"


def number_of(order: str) -> int:
    """The number whose order this is."""
    return int(order.rpartition("-")[2])


def event_id(number: int) -> str:
    """Scattered, as a platform's ids may be: the index of the claims gets no help from our counting."""
    return "evt_" + hashlib.md5(b"bench %d" % number, usedforsecurity=False).hexdigest()


def requirement_id(number: int) -> str:
    return f"dpr_bench_{number:012d}"


def chain_receipt_id(number: int) -> str:
    return f"rcpt_bench_{number:012d}"


def challenge_hash(number: int) -> str:
    return "sha256:" + hashlib.sha256(order_id(number).encode()).hexdigest()


def body(number: int, *, occurred_at: str) -> bytes:
    """A standard confirmation that pays order `number`, as the platform would write it."""
    own = (event_id(number), occurred_at, requirement_id(number), challenge_hash(number), chain_receipt_id(number))
    return (_BODY % (*own, order_id(number))).encode()


def signed(number: int, *, secret: SigningSecret, now: float) -> tuple[bytes, str]:
    """The body of event `number` and its `Siglume-Signature` header."""
    raw = body(number, occurred_at=_rfc3339(now))
    return raw, sign(raw, secret=secret, timestamp=int(now))


def requests(first: int, *, secret: SigningSecret, host: str, path: str) -> Iterator[bytes]:
    """Whole HTTP requests for events `first`, `first + 1`, ... each signed when it is taken from the iterator."""
    front = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nSiglume-Signature: ".encode()
    number = first
    while True:
        raw, signature = signed(number, secret=secret, now=time.time())
        yield b"%b%b\r\nContent-Length: %d\r\n\r\n%b" % (front, signature.encode(), len(raw), raw)
        number += 1


@dataclass(frozen=True, slots=True)
class Sample:
    """Bytes of the size that real rows have."""

    raw: bytes
    signature: str
    fact: str
    """The fact of a paid order in the outbox."""


def sample() -> Sample:
    """Event 0 and what the books make of it."""
    secret = SigningSecret.from_text("whsec_sample")
    now = datetime.now(UTC)
    raw, signature = signed(0, secret=secret, now=now.timestamp())
    incoming = read(Envelope(UUID(int=0), "siglume", now, signature, secret.fingerprint, raw))
    paid = Order(
        order_id=order_id(0),
        endpoint="siglume",
        amount_minor=AMOUNT_MINOR,
        currency=CURRENCY,
        state=OrderState.PAID,
        requirement_id=requirement_id(0),
        chain_receipt_id=chain_receipt_id(0),
        paid_at=now,
    )
    return Sample(raw=raw, signature=signature, fact=order_moved(paid, incoming, now).body)


def _rfc3339(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
