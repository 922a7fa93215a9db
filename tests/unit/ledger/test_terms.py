"""Rates and shares as people write them."""

import pytest

from shared.ledger.replays.terms import InvalidTerms, parse_rate, parse_share


@pytest.mark.parametrize(
    ("text", "rate"), [("200/s", 200.0), (" 50 ", 50.0), ("600/m", 10.0), ("1.5/h", 1.5 / 3600), ("none", None)]
)
def test_a_rate_is_events_a_second(text: str, rate: float | None) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.02", 0.02), ("100%", 1.0), ("0", 0.0)])
def test_a_share_is_of_one(text: str, share: float) -> None:
    assert parse_share(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "0", "fast", "-1/s", "1/d", "\u0661/s", "9999999/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidTerms, match="is no rate"):
        parse_rate(text)


@pytest.mark.parametrize("text", ["", "101%", "1.1", "-5%", "five", "5 %"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(InvalidTerms, match="is no share"):
        parse_share(text)
