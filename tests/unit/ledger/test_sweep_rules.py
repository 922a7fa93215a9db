"""Whatever a session says, an order only takes what is settled and fits, and nothing is made of what is fresh."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.books import Order
from shared.ledger.checkout_states import AttemptFact
from shared.ledger.hosted_sessions import Payable, StatedSession, beside_order
from shared.ledger.sweep_rules import (
    LONGEST_PAUSE,
    LOOKS_FOR_SETTLEMENT,
    SILENCES,
    SILENCES_WHEN_PAID,
    Ended,
    Heard,
    Later,
    Looked,
    Missed,
    Silence,
    SweepPolicy,
    SweepTerms,
    Taken,
    find,
    is_paid,
    pause,
)
from shared.ledger.transitions import OrderState
from shared.sdrp.money import Currency
from tests.given import ENDPOINT, NOW, challenge_hash

HASH = challenge_hash("order-1")
PAID = StatedSession(
    "chk_1",
    "paid",
    "tea_house",
    1200,
    "JPY",
    HASH,
    "req-1",
    "standard",
    "per_payment_onchain",
    "settled",
    "chain-1",
    NOW - timedelta(hours=1),
)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
ORDER = Order("order-1", ENDPOINT, 1200, Currency.JPY, OrderState.PENDING)
APPLY = SweepTerms(policy=SweepPolicy.APPLY, merchant="tea_house")
LOOKED = Looked(Payable(ORDER, "tea_house", HASH), 0, 0, 0, is_paid=False, is_over=False)

_sessions = st.builds(
    StatedSession,
    st.just("chk_1"),
    st.sampled_from(["open", "authenticated", "paid", "expired", "cancelled", "failed", "something new"]),
    st.sampled_from(["tea_house", "other"]),
    st.sampled_from([1200, 1300]),
    st.sampled_from(["JPY", "USD"]),
    st.sampled_from([HASH, challenge_hash("order-2"), "no hash"]),
    st.sampled_from([None, "req-1", "req-2"]),
    st.sampled_from([None, "standard", "micro", "nano"]),
    st.sampled_from([None, "per_payment_onchain", "aggregated_onchain_settlement"]),
    st.sampled_from([None, "settled", "pending_settlement"]),
    st.sampled_from([None, "chain-1"]),
    st.sampled_from([None, NOW, NOW - timedelta(hours=1), NOW + timedelta(hours=9), LAST]),
)
_looked = st.builds(
    Looked,
    st.builds(
        Payable,
        st.builds(
            Order,
            st.just("order-1"),
            st.just(ENDPOINT),
            st.sampled_from([1200, 200]),
            st.sampled_from(Currency),
            st.sampled_from(OrderState),
            st.sampled_from([None, "req-1", "req-2"]),
        ),
        st.sampled_from(["tea_house", None]),
        st.sampled_from([HASH, None]),
        st.sampled_from([None, "order-1", "order-9"]),
    ),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 50),
    is_heard=st.booleans(),
    is_dead_letter=st.booleans(),
    is_decided=st.booleans(),
    is_over=st.booleans(),
)
_terms = st.builds(SweepTerms, policy=st.sampled_from(SweepPolicy), merchant=st.just("tea_house"))


@given(st.builds(Silence, st.text(), st.booleans()) | _sessions, _looked, _terms)
def test_an_order_only_takes_what_is_settled_and_fits(
    session: StatedSession | Silence, looked: Looked, terms: SweepTerms
) -> None:
    finding = find(session, looked, terms, now=NOW)
    if isinstance(finding, Later):
        assert NOW < finding.at <= NOW + LONGEST_PAUSE
    if not isinstance(finding, Taken):
        return
    assert isinstance(session, StatedSession)
    order = looked.payable.order
    assert (terms.policy, looked.is_heard, looked.is_decided) == (SweepPolicy.APPLY, False, False)
    assert (order.state, finding.order.state) == (OrderState.PENDING, OrderState.PAID)
    assert (session.status, session.pricing_band, session.settlement_status) == ("paid", "standard", "settled")
    assert session.requirement_id is not None
    assert session.chain_receipt_id is not None
    assert (session.merchant, session.challenge_hash) == (looked.payable.merchant, looked.payable.challenge_hash)
    assert (session.amount_minor, session.currency) == (order.amount_minor, order.currency)
    assert looked.payable.spent_on in (None, order.order_id)
    assert session.paid_at in (None, LAST) or session.paid_at <= NOW - terms.after
    assert finding.order.paid_at != LAST


@given(st.builds(Silence, st.text(), st.booleans()) | _sessions, _looked, _terms)
def test_what_was_ever_paid_ends_no_attempt_and_what_was_not_opens_no_review(
    session: StatedSession | Silence, looked: Looked, terms: SweepTerms
) -> None:
    finding = find(session, looked, terms, now=NOW)
    was_paid = looked.is_paid or is_paid(session)
    assert isinstance(finding, Missed | Taken | Heard | Later if was_paid else Ended | Later)


def test_the_whole_of_it_is_taken_by_policy_alone() -> None:
    taken = find(PAID, LOOKED, APPLY, now=NOW)
    assert taken == Taken(
        ORDER._replace(state=OrderState.PAID, requirement_id="req-1", chain_receipt_id="chain-1", paid_at=PAID.paid_at)
    )
    assert find(PAID, LOOKED, SweepTerms(merchant="tea_house"), now=NOW) == Missed(())


@pytest.mark.parametrize(
    ("change", "unfit"),
    [
        ({"amount_minor": 1201}, ("amount_minor",)),
        ({"currency": "USD"}, ("currency",)),
        ({"merchant": "other"}, ("merchant",)),
        ({"challenge_hash": challenge_hash("order-2")}, ("challenge_hash",)),
        ({"pricing_band": "micro"}, ("pricing_band",)),
        ({"finality": "aggregated_onchain_settlement"}, ("finality",)),
    ],
)
def test_each_field_that_does_not_fit_is_named(change: dict[str, object], unfit: tuple[str, ...]) -> None:
    assert find(PAID._replace(**change), LOOKED, APPLY, now=NOW) == Missed(unfit)  # type: ignore[arg-type]


def test_a_settlement_is_waited_for_and_then_asked_about() -> None:
    unsettled = PAID._replace(settlement_status="pending", chain_receipt_id=None)
    assert isinstance(find(unsettled, LOOKED, APPLY, now=NOW), Later)
    often_open = LOOKED._replace(looks=50)
    assert find(unsettled, often_open, APPLY, now=NOW) == Later(NOW + pause(0))
    last = LOOKED._replace(paid_looks=LOOKS_FOR_SETTLEMENT)
    assert find(unsettled, last, APPLY, now=NOW) == Missed(("settlement_status", "chain_receipt_id"))


def test_a_payment_of_unknown_time_has_as_long_as_any_other() -> None:
    often_open = LOOKED._replace(looks=50)
    for paid_at in (None, NOW + timedelta(days=2), LAST):
        untimed = PAID._replace(paid_at=paid_at)
        assert find(untimed, often_open, APPLY, now=NOW) == Later(NOW + APPLY.after)
        taken = find(untimed, often_open._replace(paid_looks=1), APPLY, now=NOW)
        assert isinstance(taken, Taken)
        assert taken.order.paid_at is None


def test_a_session_unknown_to_the_platform_is_over_once_nobody_could_pay_it() -> None:
    unknown = Silence("nobody knows it", is_unknown=True)
    assert isinstance(find(unknown, LOOKED, APPLY, now=NOW), Later)
    assert find(unknown, LOOKED._replace(is_over=True), APPLY, now=NOW) == Ended(AttemptFact.EXPIRED, unknown.why)


def test_a_refusal_is_believed_of_a_session_that_is_over_when_it_was_said_for_a_while() -> None:
    """What ends is looked at no more, and an hour of wrong answers must not end every search."""
    refused = Silence("no such route")
    often = LOOKED._replace(silences=SILENCES)
    assert isinstance(find(refused, often, APPLY, now=NOW), Later)
    answered = LOOKED._replace(looks=50, is_over=True)
    assert isinstance(find(refused, answered, APPLY, now=NOW), Later), "answers before are no silences"
    assert isinstance(find(refused, LOOKED._replace(is_over=True), APPLY, now=NOW), Later)
    assert find(refused, often._replace(is_over=True), APPLY, now=NOW) == Ended(AttemptFact.EXPIRED, refused.why)


@pytest.mark.parametrize("status", ["open", "expired", "cancelled", "failed"])
def test_a_payment_that_is_taken_back_is_for_a_person(status: str) -> None:
    """It would be forgotten otherwise, and its order could never be paid."""
    back = PAID._replace(status=status)
    seen = LOOKED._replace(is_paid=True, is_over=True)
    assert find(back, seen, APPLY, now=NOW) == Missed(("status",))
    assert find(back, seen._replace(is_heard=True), APPLY, now=NOW) == Heard()


@pytest.mark.parametrize("is_unknown", [True, False])
def test_a_payment_of_which_nothing_is_told_any_more_is_for_a_person(is_unknown: bool) -> None:
    silence = Silence("no such session", is_unknown=is_unknown)
    seen = LOOKED._replace(is_paid=True, is_over=True)
    assert isinstance(find(silence, seen, APPLY, now=NOW), Later)
    assert find(silence, seen._replace(silences=SILENCES_WHEN_PAID), APPLY, now=NOW) == Missed(("status",))


def test_a_dead_letter_is_waited_for_and_never_forgotten() -> None:
    assert find(PAID, LOOKED._replace(is_dead_letter=True), APPLY, now=NOW) == Later(NOW + LONGEST_PAUSE)


def test_pauses_double_to_a_limit() -> None:
    assert [pause(looks) / timedelta(minutes=10) for looks in range(4)] == [1, 2, 4, 8]
    assert pause(10**9) == LONGEST_PAUSE


@given(_sessions)
def test_a_review_keeps_a_session_as_it_was(session: StatedSession) -> None:
    assert StatedSession.shown(beside_order(session, ORDER, HASH)["session"]) == session
