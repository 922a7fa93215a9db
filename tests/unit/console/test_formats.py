"""How values are written on a page."""

from decimal import Decimal

import pytest

from ingress.console.formats import amount, amount_said, body, figure, link, pieces, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-3, "0 s"), (0, "0 s"), (0.25, "0.2 s"), (42.4, "42 s"), (119, "119 s"), (120, "2 min")),
        *((7199, "119 min"), (7200, "2 h"), (12_000, "3 h 20 min"), (47 * 3600, "47 h"), (500_000, "5 days")),
    ],
)
def test_spans_are_as_exact_as_somebody_wants_to_know(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_amounts_are_written_in_their_currency() -> None:
    assert (amount(1_234_567, "JPY"), amount(1_234_567, "USD"), amount(5, "USD")) == (
        *("1,234,567 JPY", "12,345.67 USD", "0.05 USD"),
    )
    assert amount(2**53 - 1, "USD") == "90,071,992,547,409.91 USD"
    assert amount(100, "EUR") == "100 minor units of EUR"


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        *(("1234.50", "JPY", "1,234.5"), ("1E+3", "JPY", "1,000"), ("-0.2", "JPY", "-0.2"), ("0", "JPY", "0")),
        *(("0.1", "USD", "0.001"), ("1234", "USD", "12.34"), ("120000", "USD", "1,200.00"), ("0", "USD", "0.00")),
        (f"{'9' * 30}.{'1' * 18}", "USD", f"9,999,999,999,999,999,999,999,999,999.99{'1' * 18}"),
    ],
)
def test_a_figure_keeps_every_digit(minor: str, currency: str, text: str) -> None:
    assert figure(Decimal(minor), currency) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"amount_minor": 717, "currency": "USD"}, "7.17 USD"),
        ({"amount_minor": "1900", "currency": "JPY"}, "1,900 JPY"),
        ({"amount_minor": "=cmd|'/c calc'!A1", "currency": "JPY"}, None),
        ({"amount_minor": "0.25", "currency": "USD"}, None),
        ({"amount_minor": 717, "currency": "<b>"}, None),
        ({"amount_minor": True, "currency": ["JPY"]}, None),
        ({}, None),
    ],
)
def test_an_amount_that_somebody_said_is_read_only_when_it_is_one(fields: dict[str, object], text: str | None) -> None:
    assert amount_said(fields) == text


def test_any_text_can_be_an_id_in_an_address() -> None:
    assert link("/orders/show", id="../a b&c=d/é?#") == "/orders/show?id=..%2Fa%20b%26c%3Dd%2F%C3%A9%3F%23"
    assert link("/orders", state=None, before="") == "/orders"


def test_what_cannot_be_seen_or_steers_what_is_seen_becomes_a_code() -> None:
    strange = "\0\x1b\t\r\u200b\u202e\u2066\ufeff\u00a0\x85\ue000"
    found = pieces(f"a{strange}b")
    assert [piece.text for piece in found if not piece.is_strange] == ["a", "b"]
    assert len([piece for piece in found if piece.is_strange]) == len(strange)
    assert all(piece.text.isascii() and piece.text.startswith("\\") for piece in found if piece.is_strange)
    assert [tuple(piece) for piece in pieces("決済 ok\nnext")] == [("決済 ok\nnext", False)]


def test_bytes_that_are_no_text_are_shown_each() -> None:
    shown = body(b"\xff\xc3\xa9\xc3")
    assert [piece.text for piece in shown.pieces] == ["\\xff", "é", "\\xc3"]
    long = body(b"a" * 20_000)
    assert (long.bytes, long.shown) == (20_000, 16_384)
