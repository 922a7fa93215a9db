"""The rows of the classification table, and what makes an event fit none."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from shared.sdrp.classify import (
    UNREADABLE,
    MeteredBatchSettled,
    MeteredUsageAccepted,
    StandardSettled,
    Unknown,
    UnknownReason,
    classify,
)
from shared.sdrp.events import Event, parse
from shared.sdrp.money import Band, Cadence

STANDARD = {
    "mode": "external_402",
    "pricing_band": "standard",
    "finality": "per_payment_onchain",
    "settlement_status": "settled",
    "requirement_id": "dpr_1",
    "challenge_hash": "sha256:ab",
    "chain_receipt_id": "chr_1",
}
MICRO = {
    "mode": "external_402",
    "pricing_band": "micro",
    "settlement_cadence": "weekly",
    "finality": "aggregated_onchain_settlement",
    "settlement_status": "pending_settlement",
    "requirement_id": "dpr_1",
    "challenge_hash": "sha256:ab",
}
NANO = MICRO | {"pricing_band": "nano", "settlement_cadence": "monthly"}
MICRO_BATCH = {
    "mode": "metered_settlement_batch",
    "pricing_band": "micro",
    "settlement_cadence": "weekly",
    "finality": "aggregated_onchain_settlement",
    "settlement_status": "settled",
    "settlement_batch_id": "msb_1",
    "chain_receipt_id": "chr_1",
    "usage_event_digest": "sha256:cd",
}
NANO_BATCH = MICRO_BATCH | {"pricing_band": "nano", "settlement_cadence": "monthly"}

REASON_OF_A_SPOILT_SHAPE = [
    (STANDARD, UnknownReason.MISSING_STANDARD_FIELDS),
    (MICRO, UnknownReason.MISSING_METERED_FIELDS),
    (NANO, UnknownReason.MISSING_METERED_FIELDS),
    (MICRO_BATCH, UnknownReason.INVALID_BATCH),
    (NANO_BATCH, UnknownReason.INVALID_BATCH),
]
DECIDES_THE_SHAPE = {"mode", "pricing_band"}


def confirmed(data: dict[str, Any]) -> Event:
    return Event(id="evt_1", type="direct_payment.confirmed", api_version="1", occurred_at="now", data=data)


def standard(**changed: object) -> StandardSettled:
    verdict = classify(confirmed(STANDARD | changed))
    assert isinstance(verdict, StandardSettled)
    return verdict


def test_a_standard_payment_on_the_chain() -> None:
    terms = {"request_hash_v2": "sha256:ef", "amount_minor": 1200, "currency": "JPY", "merchant": "shop"}
    assert classify(confirmed(STANDARD | terms)) == StandardSettled(
        requirement_id="dpr_1",
        challenge_hash="sha256:ab",
        chain_receipt_id="chr_1",
        request_hash_v2="sha256:ef",
        amount=Decimal(1200),
        currency="JPY",
        merchant="shop",
        pricing_band=Band.STANDARD,
    )


@pytest.mark.parametrize(("data", "band", "cadence"), [(MICRO, "micro", "weekly"), (NANO, "nano", "monthly")])
def test_a_metered_payment_that_waits_for_its_batch(data: dict[str, Any], band: str, cadence: str) -> None:
    verdict = classify(confirmed(data | {"amount_minor": "49.5"}))
    assert isinstance(verdict, MeteredUsageAccepted)
    assert (verdict.pricing_band, verdict.settlement_cadence) == (Band(band), Cadence(cadence))
    assert (verdict.requirement_id, verdict.challenge_hash, verdict.amount) == ("dpr_1", "sha256:ab", Decimal("49.5"))


@pytest.mark.parametrize(
    ("data", "band", "cadence"), [(MICRO_BATCH, "micro", "weekly"), (NANO_BATCH, "nano", "monthly")]
)
def test_a_batch_on_the_chain(data: dict[str, Any], band: str, cadence: str) -> None:
    verdict = classify(confirmed(data | {"settled_at": " 2026-11-20T12:00:00Z "}))
    assert isinstance(verdict, MeteredBatchSettled)
    assert (verdict.pricing_band, verdict.settlement_cadence) == (Band(band), Cadence(cadence))
    assert verdict.settled_at == "2026-11-20T12:00:00Z"


def test_a_batch_need_not_say_when_it_settled() -> None:
    verdict = classify(confirmed(MICRO_BATCH))
    assert isinstance(verdict, MeteredBatchSettled)
    assert verdict.settled_at is None


@pytest.mark.parametrize(("shape", "reason"), REASON_OF_A_SPOILT_SHAPE)
def test_a_shape_that_lacks_any_one_of_its_fields_is_unknown(shape: dict[str, Any], reason: UnknownReason) -> None:
    for name in shape.keys() - DECIDES_THE_SHAPE:
        for value in (None, "", " ", 1, True, [shape[name]], shape[name] + "\0", "x" * 256):
            assert classify(confirmed(shape | {name: value})) == Unknown(reason), (name, value)
        assert classify(confirmed({key: value for key, value in shape.items() if key != name})) == Unknown(reason)


@pytest.mark.parametrize(("shape", "_"), REASON_OF_A_SPOILT_SHAPE)
def test_text_is_trimmed_and_never_recased(shape: dict[str, Any], _: object) -> None:
    assert classify(confirmed({name: f"\u3000{value}\n" for name, value in shape.items()})) == classify(
        confirmed(shape)
    )
    assert isinstance(classify(confirmed(shape | {"settlement_status": shape["settlement_status"].title()})), Unknown)


@pytest.mark.parametrize("mode", [None, "", "EXTERNAL_402", "external_403", 402, "readiness_probe"])
def test_another_mode_is_unsupported(mode: object) -> None:
    assert classify(confirmed(STANDARD | {"mode": mode})) == Unknown(UnknownReason.UNSUPPORTED_MODE)


@pytest.mark.parametrize("band", [None, "", "Standard", "pico", 1, ["micro"]])
def test_another_band_is_of_no_known_shape(band: object) -> None:
    assert classify(confirmed(STANDARD | {"pricing_band": band})) == Unknown(UnknownReason.UNKNOWN_SHAPE)
    assert classify(confirmed(MICRO_BATCH | {"pricing_band": band})) == Unknown(UnknownReason.INVALID_BATCH)


@pytest.mark.parametrize(("band", "cadence"), [("micro", "monthly"), ("nano", "weekly"), ("micro", "per_payment")])
def test_a_metered_shape_with_another_bands_cadence_is_unknown(band: str, cadence: str) -> None:
    wrong = {"pricing_band": band, "settlement_cadence": cadence}
    assert classify(confirmed(MICRO | wrong)) == Unknown(UnknownReason.MISSING_METERED_FIELDS)
    assert classify(confirmed(MICRO_BATCH | wrong)) == Unknown(UnknownReason.INVALID_BATCH)


def test_the_name_of_the_event_is_tested_first_and_the_mode_next() -> None:
    other = Event(id="e", type="direct_payment.confirmed.v2", api_version="1", occurred_at="now", data=STANDARD)
    assert classify(other) == Unknown(UnknownReason.NOT_CONFIRMED)
    assert classify(confirmed({})) == Unknown(UnknownReason.UNSUPPORTED_MODE)
    assert classify(confirmed({"mode": "external_402"})) == Unknown(UnknownReason.UNKNOWN_SHAPE)
    assert classify(confirmed({"mode": "metered_settlement_batch"})) == Unknown(UnknownReason.INVALID_BATCH)


def test_the_requirement_may_go_by_its_longer_name() -> None:
    renamed = STANDARD | {"requirement_id": " ", "direct_payment_requirement_id": "dpr_2"}
    assert classify(confirmed(renamed)) == standard(requirement_id="dpr_2")
    assert standard(direct_payment_requirement_id="dpr_2").requirement_id == "dpr_1"


def test_a_requirement_id_that_cannot_be_kept_is_not_replaced_by_the_other_name() -> None:
    both = STANDARD | {"requirement_id": "x" * 256, "direct_payment_requirement_id": "dpr_2"}
    assert classify(confirmed(both)) == Unknown(UnknownReason.MISSING_STANDARD_FIELDS)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (1200, Decimal(1200)),
        (0, Decimal(0)),
        (-5, Decimal(-5)),
        (2**53 - 1, Decimal(2**53 - 1)),
        ("1200", Decimal(1200)),
        (" 0.2 ", Decimal("0.2")),
        (None, None),
        (2**53, UNREADABLE),
        (True, UNREADABLE),
        (False, UNREADABLE),
        (1200.0, UNREADABLE),
        ("", UNREADABLE),
        ("1e3", UNREADABLE),
        ("1_200", UNREADABLE),
        ("+1200", UNREADABLE),
        ("\uff11", UNREADABLE),
        ("NaN", UNREADABLE),
        ("1" * 31, UNREADABLE),
        ("0." + "1" * 19, UNREADABLE),
        ([1200], UNREADABLE),
        ({}, UNREADABLE),
    ],
)
def test_an_amount_is_exact_or_unreadable(sent: object, read: object) -> None:
    amount = standard(amount_minor=sent).amount
    assert amount == read
    assert type(amount) is type(read)


def test_an_amount_that_json_would_make_a_float_is_unreadable() -> None:
    texts = {"id": "evt_1", "type": "direct_payment.confirmed", "api_version": "1", "occurred_at": "now"}
    raw = orjson.dumps(texts | {"data": STANDARD | {"amount_minor": "AMOUNT"}})
    verdict = classify(parse(raw.replace(b'"AMOUNT"', str(2**70).encode())))
    assert isinstance(verdict, StandardSettled)
    assert verdict.amount is UNREADABLE


@pytest.mark.parametrize("name", ["currency", "merchant"])
def test_terms_that_are_carried_but_are_no_text_are_unreadable(name: str) -> None:
    assert getattr(standard(), name) is None
    assert getattr(standard(**{name: None}), name) is None
    assert getattr(standard(**{name: " JPY "}), name) == "JPY"
    for blank in ("", " ", "\t"):
        assert getattr(standard(**{name: blank}), name) is None
    for value in (1, True, ["JPY"], "JPY\0", "x" * 256):
        assert getattr(standard(**{name: value}), name) is UNREADABLE


def test_a_hash_that_is_not_needed_and_cannot_be_kept_does_not_count() -> None:
    assert [standard(request_hash_v2=value).request_hash_v2 for value in (None, "", 7, "x\0", "x" * 256)] == [None] * 5


def test_each_kind_has_its_name() -> None:
    kinds = (StandardSettled, MeteredUsageAccepted, MeteredBatchSettled, Unknown)
    assert [kind.KIND for kind in kinds] == [
        "standard_settled",
        "metered_usage_accepted",
        "metered_batch_settled",
        "unknown",
    ]
