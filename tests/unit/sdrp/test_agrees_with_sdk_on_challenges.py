"""Generated payments: challenges and hashes are the official SDK's byte for byte, but for the exceptions named here."""

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import siglume_direct_request_payment as sdk

from shared.errors import KessaiError
from shared.sdrp import challenge as ours
from tests.unit.sdrp.oracle import BODIES, CHALLENGES, CONFIRMATIONS, HEADERS, accepts, compare

MERCHANTS = (
    *("shop", "shop", " Shop.JP_1-x\n", "a" * 96, "\u212aessai", "0", "a" * 97, "-shop", ".", "_", "sh op"),
    *("shop\x00", "ショップ", "shop:1", "", " ", "\ud800", 7, None),
)
AMOUNTS = (1, 1200, 1200, 2**53 - 1, 2**53, 0, -1, True, False, "1200", 1200.0, None)
CURRENCIES = ("JPY", "USD", "JPY", " usd\t", "Jpy", "EUR", "", "JPY\x00", "\uff2aPY", "\ufb06", None, 5)
SECRETS = ("cs_secret", "cs_secret", " cs_secret ", "秘密", "", " ", "\udfff", None, 12)
NONCES = ("order_1-attempt_1", "order_1-attempt_1", " n ", "注文", "n\x00", "a:b", ":", "", " ", "\ud800", None, 9)
CADENCES = ("monthly", "daily", " Daily ", "MONTHLY", "weekly", "", None, 1)
TAMPERED = (
    "as created",
    "as created",
    "padded",
    "upper case",
    "other nonce",
    "other scheme",
    "short",
    "accent",
    "four",
    "",
)

POOLS: dict[str, tuple[Any, ...]] = {
    "secret": SECRETS,
    "merchant": MERCHANTS,
    "amount_minor": AMOUNTS,
    "currency": CURRENCIES,
    "nonce": NONCES,
    "cadence": CADENCES,
}
SOUND = {
    "secret": "cs_secret",
    "merchant": "shop",
    "amount_minor": 1200,
    "currency": "JPY",
    "nonce": "order_1-attempt_1",
    "cadence": "monthly",
}


class Case(NamedTuple):
    values: dict[str, Any]
    recurring: bool
    tampering: str


def draw_case(random: Random) -> Case:
    values = SOUND | {name: random.choice(POOLS[name]) for name in random.sample(sorted(POOLS), random.randrange(4))}
    recurring = random.random() < 0.5
    if not recurring:
        del values["cadence"]
    return Case(values, recurring, random.choice(TAMPERED))


STRICTER = "stricter: numbers where text is due, or no nonce"
"""The SDK turns a number into text and draws a nonce when there is none; we refuse both."""


SDK_CREATE: dict[bool, Callable[..., Any]] = {
    False: sdk.create_direct_request_payment_challenge,
    True: sdk.create_direct_request_payment_recurring_challenge,
}
SDK_VERIFY: dict[bool, Callable[..., bool]] = {
    False: sdk.verify_direct_request_payment_challenge,
    True: sdk.verify_direct_request_payment_recurring_challenge,
}


def tamper(text: str, how: str) -> str:
    scheme, nonce, signature = text.split(":")
    return {
        "as created": text,
        "padded": f" {text}\n",
        "upper case": f"{scheme}:{nonce}:{signature.upper()}",
        "other nonce": f"{scheme}:{nonce}0:{signature}",
        "other scheme": f"siglume-external-403:{nonce}:{signature}",
        "short": f"{scheme}:{nonce}:{signature[:-1]}",
        "accent": f"{scheme}:{nonce}:é{signature[1:]}",
        "four": f"{text}:1",
        "": "",
    }[how]


def refusing(call: Any, **values: Any) -> Any:  # noqa: ANN401 - hands through whatever either side takes and gives
    try:
        return call(**values)
    except KessaiError:
        return None


def without_text(values: dict[str, Any]) -> bool:
    return values["nonce"] is None or any(type(values[name]) is int for name in values if name != "amount_minor")


def check(case: Case) -> str:
    values, recurring, how = case
    mine = refusing(ours.create_recurring_challenge if recurring else ours.create_challenge, **values)
    theirs = accepts(SDK_CREATE[recurring], **values)
    if theirs is None:
        assert mine is None, values
        return "refused"
    if without_text(values):
        assert mine is None, values
        return STRICTER
    assert mine is not None, values
    assert (str(mine), mine.hash) == (theirs["challenge"], theirs["challenge_hash"])
    check_hashes(values, str(mine))
    return check_verification(values, tamper(str(mine), how), recurring=recurring)


def check_hashes(values: dict[str, Any], text: str) -> None:
    request = {name: values[name] for name in ("merchant", "amount_minor", "currency")} | {"challenge": text}
    assert ours.challenge_hash(text) == sdk.direct_request_payment_challenge_hash(text)
    assert ours.request_hash(**request) == sdk.direct_request_payment_request_hash(**request)
    assert ours.request_hash_v2(**request) == sdk.direct_request_payment_request_hash_v2(**request)


def check_verification(values: dict[str, Any], text: str, *, recurring: bool) -> str:
    asked = {name: value for name, value in values.items() if name != "nonce"} | {"challenge": text}
    mine = refusing(ours.verify_recurring_challenge if recurring else ours.verify_challenge, **asked)
    theirs = accepts(SDK_VERIFY[recurring], **asked)
    if theirs is None and mine is False:
        assert not text.isascii(), "only where the SDK crashes on a signature that is not ASCII"
        return "we say no, the SDK crashes"
    assert mine is theirs, asked
    return {True: "verified", False: "not verified", None: "no challenge"}[mine]


def test_every_generated_challenge_and_hash_is_the_sdks() -> None:
    seen = compare(draw_case, CHALLENGES, check)

    wanted = {"verified", "not verified", "no challenge", "refused", STRICTER, "we say no, the SDK crashes"}
    assert {name for name in wanted if seen[name] < 20} == set()


def test_the_differential_tests_generate_fifty_thousand_cases() -> None:
    assert HEADERS + BODIES + CONFIRMATIONS >= 50_000, "headers and events, challenges not counted"
    assert CHALLENGES >= 10_000
