"""Challenges and hashes: vectors made by the official SDK, and the rules one by one."""

from typing import Any

import pytest

from shared.errors import KessaiError
from shared.sdrp.challenge import (
    Challenge,
    InvalidChallenge,
    challenge_hash,
    create_challenge,
    create_recurring_challenge,
    normalize_currency,
    normalize_merchant,
    parse_challenge,
    request_hash,
    request_hash_v2,
    verify_challenge,
    verify_recurring_challenge,
)
from shared.sdrp.money import InvalidAmount

PAYMENT: dict[str, Any] = {"merchant": "shop_jp", "amount_minor": 1200, "currency": "JPY"}
SECRET = "cs_secret"
NONCE = "order_123-attempt_1"
ONE_TIME = (
    "siglume-external-402-v1:order_123-attempt_1:b9bf66fa565bbc8fd91a62e1ffa19f3444e41d95214dbd2e4a184c95a0e3b21b"
)
RECURRING = (
    "siglume-external-402-recurring-v1:order_123-attempt_1:"
    "24a58a7bb17306cf662fcc2039a8556fecb69ba93be0626f7131967caeb88c2e"
)


def test_a_challenge_is_the_sdks() -> None:
    challenge = create_challenge(secret=SECRET, nonce=NONCE, **PAYMENT)
    assert str(challenge) == ONE_TIME
    assert challenge.hash == challenge_hash(ONE_TIME)
    assert challenge.hash == "sha256:e64db1517f2503e961be05240df8091f17ebbae893fd7d14da6e05e3d55a3eea"


def test_a_recurring_challenge_is_the_sdks() -> None:
    challenge = create_recurring_challenge(secret=SECRET, nonce=NONCE, cadence="monthly", **PAYMENT)
    assert str(challenge) == RECURRING
    assert challenge.hash == "sha256:aec0dcfdbca406436e355b40a64cd93563ac5da976998151c15543f698a0d982"


def test_both_request_hashes_are_the_sdks() -> None:
    assert request_hash(challenge=ONE_TIME, **PAYMENT) == (
        "sha256:2c4dd749057b8a7817fa71f5b56ad438299809bd9d480a811b75187ad379dc24"
    )
    assert request_hash_v2(challenge=ONE_TIME, **PAYMENT) == (
        "sha256:075f90b1dfef487a5183e5d219eeb697c70a051e721f951906ff1580ed69f97e"
    )


def test_a_retry_of_the_same_attempt_gets_the_same_challenge() -> None:
    padded: dict[str, Any] = {"merchant": " Shop_JP ", "amount_minor": 1200, "currency": "jpy\n"}
    assert str(create_challenge(secret=f" {SECRET} ", nonce=f" {NONCE} ", **padded)) == ONE_TIME


def test_verification_accepts_what_the_secret_signed() -> None:
    assert verify_challenge(secret=SECRET, challenge=ONE_TIME, **PAYMENT)
    assert verify_recurring_challenge(secret=SECRET, challenge=RECURRING, cadence="Monthly", **PAYMENT)


@pytest.mark.parametrize(
    "changed", [{"secret": "other"}, {"merchant": "shop_us"}, {"amount_minor": 1201}, {"currency": "USD"}]
)
def test_verification_refuses_any_other_term(changed: dict[str, Any]) -> None:
    terms = PAYMENT | {"secret": SECRET} | changed
    assert not verify_challenge(challenge=ONE_TIME, **terms)
    assert not verify_recurring_challenge(challenge=RECURRING, cadence="monthly", **terms)


def test_a_recurring_approval_is_for_one_cadence() -> None:
    assert not verify_recurring_challenge(secret=SECRET, challenge=RECURRING, cadence="daily", **PAYMENT)


def test_one_scheme_never_stands_for_the_other() -> None:
    for right, verify in ((ONE_TIME, verify_challenge), (RECURRING, verify_recurring_challenge)):
        renamed = f"siglume-external-403:{right.partition(':')[2]}"
        cadence: dict[str, Any] = {"cadence": "monthly"} if right is RECURRING else {}
        assert verify(secret=SECRET, challenge=right, **PAYMENT, **cadence)
        assert not verify(secret=SECRET, challenge=renamed, **PAYMENT, **cadence)
    swapped = ONE_TIME.replace("402-v1", "402-recurring-v1")
    assert not verify_challenge(secret=SECRET, challenge=RECURRING, **PAYMENT)
    assert not verify_recurring_challenge(secret=SECRET, challenge=ONE_TIME, cadence="monthly", **PAYMENT)
    assert not verify_recurring_challenge(secret=SECRET, challenge=swapped, cadence="monthly", **PAYMENT)


@pytest.mark.parametrize("signature", ["0" * 64, "short", ONE_TIME[-64:].upper(), "é" * 64])
def test_another_signature_is_refused_without_a_crash(signature: str) -> None:
    challenge = f"siglume-external-402-v1:{NONCE}:{signature}"
    assert not verify_challenge(secret=SECRET, challenge=challenge, **PAYMENT)


def test_a_challenge_has_three_parts() -> None:
    assert parse_challenge(f" {ONE_TIME}\n") == Challenge("siglume-external-402-v1", NONCE, ONE_TIME[-64:])
    for text in ("", " ", "a:b", "a:b:c:d", "a::c", ":b:c", "a:b:"):
        with pytest.raises(InvalidChallenge):
            parse_challenge(text)


@pytest.mark.parametrize("nonce", ["", " ", "a:b", None, 7, "\ud800"])
def test_a_nonce_is_text_without_a_colon(nonce: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(InvalidChallenge):
        create_challenge(secret=SECRET, nonce=nonce, **PAYMENT)


@pytest.mark.parametrize("amount", [0, -1, 2**53, True, "1200", 1200.0, None])
def test_an_amount_is_a_positive_safe_integer(amount: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(InvalidAmount):
        create_challenge(secret=SECRET, nonce=NONCE, **(PAYMENT | {"amount_minor": amount}))


@pytest.mark.parametrize("cadence", ["", "weekly", "per_payment", None])
def test_a_recurring_cadence_is_monthly_or_daily(cadence: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(InvalidChallenge, match="cadence"):
        create_recurring_challenge(secret=SECRET, nonce=NONCE, cadence=cadence, **PAYMENT)


@pytest.mark.parametrize("secret", ["", " ", None])
def test_a_blank_challenge_secret_is_refused(secret: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(InvalidChallenge, match="secret"):
        create_challenge(secret=secret, nonce=NONCE, **PAYMENT)


@pytest.mark.parametrize("merchant", ["shop", "0", "a" * 96, "a.b_c-d", " SHOP\n"])
def test_a_merchant_is_trimmed_and_lower_cased(merchant: str) -> None:
    assert normalize_merchant(merchant) == merchant.strip().lower()


@pytest.mark.parametrize(
    "merchant", ["", " ", "a" * 97, "-a", ".a", "_a", "a b", "a:b", "a\0", "ショップ", "a\nb", None, 7]
)
def test_what_is_no_merchant_key_is_refused_in_one_line(merchant: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(InvalidChallenge, match="merchant") as refused:
        normalize_merchant(merchant)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("currency", ["", "EUR", "JPYC", "円", None])
def test_other_currencies_are_refused(currency: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(InvalidChallenge, match="currency"):
        normalize_currency(currency)


def test_errors_are_kessais_own_and_never_show_the_secret() -> None:
    with pytest.raises(KessaiError) as refused:
        create_challenge(secret="cs_very_secret", nonce="a:b", **PAYMENT)
    assert "cs_very_secret" not in str(refused.value)
