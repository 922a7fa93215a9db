"""Bands at their borders, fees, and what is an amount."""

from decimal import Decimal

import pytest

from shared.sdrp.money import (
    CADENCES,
    MAX_SAFE_INTEGER,
    Band,
    Cadence,
    Currency,
    InvalidAmount,
    band_for,
    parse_minor,
    positive_amount,
    protocol_fee,
)


@pytest.mark.parametrize(
    ("currency", "amount", "band"),
    [
        ("JPY", 1, "nano"),
        ("JPY", 49, "nano"),
        ("JPY", 50, "micro"),
        ("JPY", 500, "micro"),
        ("JPY", 501, "standard"),
        ("USD", 1, "nano"),
        ("USD", 30, "nano"),
        ("USD", 31, "micro"),
        ("USD", 300, "micro"),
        ("USD", 301, "standard"),
        ("USD", 2**53 - 1, "standard"),
    ],
)
def test_an_amount_falls_in_its_band(currency: str, amount: int, band: str) -> None:
    assert band_for(amount, Currency(currency)) is Band(band)


@pytest.mark.parametrize("amount", [0, -1, 2**53, 2**70, True, False, 1.0, "1", None, Decimal(1)])
def test_what_is_no_amount_has_no_band(amount: int) -> None:
    with pytest.raises(InvalidAmount):
        band_for(amount, Currency.JPY)
    with pytest.raises(InvalidAmount):
        positive_amount(amount)


def test_the_largest_amount_is_the_largest_that_every_json_reader_keeps_exact() -> None:
    assert positive_amount(MAX_SAFE_INTEGER) == 9_007_199_254_740_991


@pytest.mark.parametrize(
    ("band", "currency", "fee"),
    [("micro", "JPY", "2"), ("micro", "USD", "1"), ("nano", "JPY", "0.2"), ("nano", "USD", "0.1")],
)
def test_a_metered_payment_costs_the_seller_a_fixed_fee_in_minor_units(band: str, currency: str, fee: str) -> None:
    assert protocol_fee(Band(band), Currency(currency)) == Decimal(fee)


def test_ten_nano_fees_add_up_without_a_rounding_error() -> None:
    assert sum([protocol_fee(Band.NANO, Currency.JPY)] * 10) == Decimal(2)


def test_the_standard_fee_is_the_platforms_to_state() -> None:
    with pytest.raises(InvalidAmount, match="fee_bps"):
        protocol_fee(Band.STANDARD, Currency.JPY)


def test_each_band_has_its_cadence() -> None:
    assert dict(CADENCES) == {
        Band.STANDARD: Cadence.PER_PAYMENT,
        Band.MICRO: Cadence.WEEKLY,
        Band.NANO: Cadence.MONTHLY,
    }


@pytest.mark.parametrize("text", ["0", "1200", "-3", "0.2", "000.10", "9" * 30 + "." + "9" * 18])
def test_a_plain_decimal_is_read_exactly(text: str) -> None:
    assert parse_minor(text) == Decimal(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " 1", "1 ", "+1", ".5", "1.", "1e3", "1_000", "1,000", "NaN", "Infinity", "0x1", "\u0661", "--1", "1\n"),
        *("9" * 31, "0." + "9" * 19),
    ],
)
def test_anything_else_is_no_amount(text: str) -> None:
    with pytest.raises(InvalidAmount):
        parse_minor(text)
