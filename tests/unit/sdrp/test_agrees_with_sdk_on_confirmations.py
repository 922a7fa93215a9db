"""Generated confirmations: our classification is the official SDK's, but for text that could not be kept."""

from random import Random
from typing import Any

from siglume_direct_request_payment import classify_direct_payment_confirmation

from shared.sdrp.classify import (
    Confirmation,
    MeteredBatchSettled,
    MeteredUsageAccepted,
    StandardSettled,
    Unknown,
    UnknownReason,
    classify,
)
from shared.sdrp.events import Event
from tests.unit.sdrp.oracle import CONFIRMATIONS, compare

ABSENT = object()
PAYMENT = {
    "requirement_id": "dpr_1",
    "challenge_hash": "sha256:ab",
    "chain_receipt_id": "chr_1",
    "request_hash_v2": "h",
}
STANDARD = PAYMENT | {
    "mode": "external_402",
    "pricing_band": "standard",
    "settlement_cadence": "per_payment",
    "finality": "per_payment_onchain",
    "settlement_status": "settled",
}
MICRO = STANDARD | {
    "pricing_band": "micro",
    "settlement_cadence": "weekly",
    "finality": "aggregated_onchain_settlement",
    "settlement_status": "pending_settlement",
}
NANO = MICRO | {"pricing_band": "nano", "settlement_cadence": "monthly"}
BATCH = {
    "mode": "metered_settlement_batch",
    "settlement_status": "settled",
    "settlement_batch_id": "msb_1",
    "usage_event_digest": "sha256:cd",
    "settled_at": "2026-11-20T12:00:00Z",
}
SHAPES = (STANDARD, STANDARD, MICRO, NANO, MICRO | BATCH, NANO | BATCH)
FIELDS = (*sorted(MICRO | BATCH), "direct_payment_requirement_id", "amount_minor")
WORDS = sorted({value for shape in SHAPES for value in shape.values()})
VALUES = (
    *WORDS,
    *(f" {word}\t" for word in WORDS),
    *(word.upper() for word in WORDS if word.upper() != word),
    *("x\x00y", "\x00", "a" * 256, "a" * 10_000) * 3,
    *("", " ", "\u3000", "\u3000settled\u3000", "settled\u200b", "\uff53ettled", "a" * 255),
    *(ABSENT, ABSENT, None, True, False, 0, 1, 1.5, [], ["settled"], {}, {"mode": "external_402"}),
)
TYPES = (
    *("direct_payment.confirmed",) * 12,
    *("direct_payment.spent", "Direct_Payment.Confirmed", "direct_payment.confirmed.v2", "payment.confirmed"),
)


def draw_event(random: Random) -> Event:
    data: dict[str, Any] = dict(random.choice(SHAPES))
    for _ in range(random.randrange(4)):
        data[random.choice(FIELDS)] = random.choice(VALUES)
    return Event(
        id="evt_1",
        type=random.choice(TYPES),
        api_version="1",
        occurred_at="2026-11-20T12:00:00Z",
        data={name: value for name, value in data.items() if value is not ABSENT},
    )


STRICTER = {
    "standard_settled": UnknownReason.MISSING_STANDARD_FIELDS,
    "metered_usage_accepted": UnknownReason.MISSING_METERED_FIELDS,
    "metered_batch_settled": UnknownReason.INVALID_BATCH,
}
"""Needed text with NUL or more than 255 characters: what we say where the SDK knows the kind."""
NEEDED: dict[str, tuple[str, ...]] = {
    "standard_settled": ("requirement_id", "challenge_hash", "chain_receipt_id"),
    "metered_usage_accepted": ("requirement_id", "challenge_hash", "pricing_band", "settlement_cadence"),
    "metered_batch_settled": (
        "settlement_batch_id",
        "chain_receipt_id",
        "usage_event_digest",
        "pricing_band",
        "settlement_cadence",
    ),
}
OPTIONAL = {
    "standard_settled": "request_hash_v2",
    "metered_usage_accepted": "request_hash_v2",
    "metered_batch_settled": "settled_at",
}


def cannot_be_kept(text: str) -> bool:
    return len(text) > 255 or "\0" in text


def sdk_says(event: Event) -> dict[str, Any]:
    return dict(classify_direct_payment_confirmation({"id": event.id, "type": event.type, "data": event.data}))


def check(event: Event) -> str:
    verdict, theirs = classify(event), sdk_says(event)
    kind = theirs["kind"]
    if kind == "unknown":
        assert verdict == Unknown(UnknownReason(theirs["reason"])), event
        return f"unknown: {theirs['reason']}"
    if any(cannot_be_kept(theirs[name]) for name in NEEDED[kind]):
        assert verdict == Unknown(STRICTER[kind]), event
        return f"stricter: {kind}"
    check_fields(verdict, theirs)
    return str(kind)


def check_fields(verdict: Confirmation, theirs: dict[str, Any]) -> None:
    kind = theirs["kind"]
    assert kind == verdict.KIND
    assert {name: getattr(verdict, name) for name in NEEDED[kind]} == {name: theirs[name] for name in NEEDED[kind]}
    optional = theirs[OPTIONAL[kind]]
    assert getattr(verdict, OPTIONAL[kind]) == (None if optional and cannot_be_kept(optional) else optional)


def test_every_generated_confirmation_is_what_the_sdk_says_or_unknown() -> None:
    seen = compare(draw_event, CONFIRMATIONS, check)

    wanted = {kind.KIND for kind in (StandardSettled, MeteredUsageAccepted, MeteredBatchSettled)}
    wanted |= {f"unknown: {reason}" for reason in UnknownReason} | {f"stricter: {kind}" for kind in STRICTER}
    assert {name for name in wanted if seen[name] < 20} == set()
