"""Checkout sessions: opened once a nonce, paid once, gone by the clock."""

import pytest

from deploy.sandbox.core.checkout import SessionStatus
from deploy.sandbox.core.faults import Fault, Setting
from deploy.sandbox.core.people import user_of
from deploy.sandbox.core.refusal import Refused
from shared.sdrp.challenge import verify_challenge
from tests.unit.sandbox.given import OWNER, SHOP, Town


@pytest.fixture
def town() -> Town:
    return Town()


def refusal(town: Town, **changes: object) -> str:
    with pytest.raises(Refused) as refused:
        town.open(**changes)
    return refused.value.code


def test_the_challenge_is_signed_with_the_merchants_secret(town: Town) -> None:
    order = town.open().order
    assert verify_challenge(
        secret=SHOP.challenge_secret,
        merchant=SHOP.merchant,
        amount_minor=1200,
        currency="JPY",
        challenge=order.challenge,
    )


def test_a_nonce_gets_the_same_open_session_again(town: Town) -> None:
    first = town.open(nonce="order-1")
    assert town.open(nonce="order-1") == first
    assert refusal(town, nonce="order-1", amount_minor=1300) == "CHECKOUT_NONCE_USED"
    town.platform.checkout.pay(first.id, "usr_ann")
    assert refusal(town, nonce="order-1") == "CHECKOUT_NONCE_USED"


def test_a_session_is_paid_once_however_often_it_is_confirmed(town: Town) -> None:
    session = town.sell(1200)
    assert town.platform.checkout.pay(session.id, "usr_somebody_else") == session
    assert len(town.answer()) == 2


def test_a_session_expires_by_the_clock(town: Town) -> None:
    session = town.open()
    town.wait(minutes=29)
    assert town.platform.checkout.find(session.id).status is SessionStatus.OPEN
    town.wait(minutes=1)
    assert town.platform.checkout.find(session.id).status is SessionStatus.EXPIRED
    with pytest.raises(Refused, match="is expired"):
        town.platform.checkout.pay(session.id, "usr_ann")
    assert not town.answer()


def test_a_buyer_who_signed_in_may_still_pay_turn_back_or_be_too_late(town: Town) -> None:
    checkout = town.platform.checkout
    paid, turned_back, late = (town.open(nonce=f"order-{number}") for number in range(3))
    signed_in = checkout.sign_in(paid.id)
    assert (signed_in.status, signed_in.authenticated_at) == (SessionStatus.AUTHENTICATED, town.platform.now)
    assert town.open(nonce="order-0") == signed_in
    town.wait(minutes=1)
    assert checkout.sign_in(paid.id) == signed_in
    bought = checkout.pay(paid.id, "usr_ann")
    assert (bought.status, bought.authenticated_at) == (SessionStatus.PAID, signed_in.authenticated_at)
    for session in (turned_back, late):
        checkout.sign_in(session.id)
    assert checkout.cancel(turned_back.id).status is SessionStatus.CANCELLED
    town.wait(minutes=30)
    assert checkout.find(late.id).status is SessionStatus.EXPIRED
    with pytest.raises(Refused, match="is expired"):
        checkout.sign_in(late.id)


def test_a_paid_session_does_not_expire(town: Town) -> None:
    session = town.sell(1200)
    town.wait(days=1)
    assert town.platform.checkout.find(session.id).status is SessionStatus.PAID


def test_a_payment_that_fails_ends_the_session(town: Town) -> None:
    town.platform.faults.switch(Fault.PAYMENT_FAILS, Setting(times=1))
    session = town.sell(1200)
    assert session.status is SessionStatus.FAILED
    assert session.leads_to.startswith(f"{SHOP.origin}/cart")
    assert refusal(town, nonce="order-1-attempt_1") == "CHECKOUT_NONCE_USED"
    assert town.sell(1200).status is SessionStatus.PAID
    assert len(town.platform.books().payments) == 1


def test_a_cancelled_session_cannot_be_paid(town: Town) -> None:
    session = town.open()
    cancelled = town.platform.checkout.cancel(session.id)
    assert cancelled.leads_to == f"{SHOP.origin}/cart?session_id={session.id}"
    with pytest.raises(Refused, match="is cancelled"):
        town.platform.checkout.pay(session.id, "usr_ann")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount_minor": 0}, "INVALID_REQUEST"),
        ({"amount_minor": "1200"}, "INVALID_REQUEST"),
        ({"amount_minor": True}, "INVALID_REQUEST"),
        ({"amount_minor": 2**53}, "INVALID_REQUEST"),
        ({"currency": "EUR"}, "INVALID_REQUEST"),
        ({"nonce": "a:b"}, "INVALID_REQUEST"),
        ({"nonce": None}, "INVALID_REQUEST"),
        ({"metadata": []}, "INVALID_REQUEST"),
        ({"success_url": "https://evil.example/thanks"}, "CHECKOUT_RETURN_URL_NOT_ALLOWED"),
        ({"cancel_url": "http://localhost:3001/"}, "CHECKOUT_RETURN_URL_NOT_ALLOWED"),
        ({"success_url": "javascript:alert(1)"}, "INVALID_REQUEST"),
        ({"success_url": "http://ann:sesame@localhost:3000/"}, "INVALID_REQUEST"),
        ({"merchant": "nobody"}, "EXTERNAL_402_MERCHANT_NOT_FOUND"),
    ],
)
def test_what_could_never_be_paid_is_refused(town: Town, changes: dict[str, object], code: str) -> None:
    assert refusal(town, **changes) == code
    assert not town.platform.checkout.every()


def test_a_merchant_belongs_to_its_owner(town: Town) -> None:
    session = town.open()
    with pytest.raises(Refused) as refused:
        town.platform.checkout.owned(session.id, user_of("another token"))
    assert refused.value.code == "MERCHANT_FORBIDDEN"


def test_checkout_is_closed_to_a_merchant_that_is_not_ready(town: Town) -> None:
    setup = {"merchant": "new_shop", "checkout_allowed_origins": [SHOP.origin]}
    town.platform.merchants.setup(OWNER, setup, now=town.platform.now)
    assert refusal(town, merchant="new_shop") == "HOSTED_CHECKOUT_READINESS_REQUIRED"


def test_checkout_can_be_switched_off(town: Town) -> None:
    town.platform.faults.switch(Fault.CHECKOUT_DISABLED, Setting())
    assert refusal(town) == "HOSTED_CHECKOUT_NOT_ENABLED"
