"""Whatever is decided on whatever review, an order only moves along the table, and never behind a person's back."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ledger.books import Batch, Order, Outcome, Shop
from shared.ledger.changes import Ruling
from shared.ledger.decisions import (
    MOVES_MONEY,
    Answer,
    Case,
    Decision,
    InvalidDecision,
    Refusal,
    Resolution,
    Unchanged,
    Verdict,
    choices,
    decide,
)
from shared.ledger.replays.jobs import Terms
from shared.ledger.text import InvalidWhy
from shared.ledger.transitions import OF_SESSIONS, OF_STATEMENTS, TABLE, Fact, Move, OrderState, ReviewReason
from shared.sdrp.money import Currency
from tests.given import ENDPOINT, challenge_hash, confirmation, incoming, payment, session, settlement, usage

SHOPS = [{}, {ENDPOINT: Shop("tea_house")}, {ENDPOINT: Shop("tea_house", allow_metered_payments=True)}]
MOVES = {
    fact: {
        (state, following.to) for (state, of), following in TABLE.items() if of is fact and isinstance(following, Move)
    }
    for fact in Fact
}
BATCH = Batch("batch-1", "micro", "chain-batch-1", "digest-batch-1", None)

_raws = st.sampled_from(
    [
        payment(),
        payment(amount_minor=7),
        payment(currency="USD", merchant="other"),
        usage(),
        usage(amount_minor="0.2"),
        usage(merchant="other"),
        settlement(),
        settlement(merchant="other", chain_receipt_id="chain-other"),
        payment(mode="cash"),
        payment(readiness_probe=True),
        confirmation("evt-1", {}, type_="order.shipped"),
    ]
)
_orders = st.none() | st.builds(
    Order,
    st.just("order-1"),
    st.sampled_from([ENDPOINT, "other"]),
    st.sampled_from([1200, 200]),
    st.sampled_from(Currency),
    st.sampled_from(OrderState),
    st.sampled_from([None, "req-order-1", "req-other"]),
)


@st.composite
def decisions(draw: st.DrawFn) -> Decision:
    resolution = draw(st.sampled_from(Resolution))
    order_id = "order-1" if resolution is Resolution.LINK_ORDER else None
    return Decision(resolution, "because", order_id, resolution in MOVES_MONEY and draw(st.booleans()))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Also what cannot be: books and bytes that do not explain the review."""
    raw, order = draw(_raws), draw(_orders)
    return Case(
        draw(st.sampled_from(ReviewReason)),
        draw(st.sampled_from([incoming(raw), None])),
        order,
        draw(st.sampled_from([{}, {"batch-1": BATCH}])),
        draw(st.sampled_from([None, "order-9"])),
        is_rejected=draw(st.booleans()),
        has_effect=draw(st.sampled_from([False, False, True])),
        session=draw(st.sampled_from([None, session(), session(settlement_status=None)])),
        challenge_hash=challenge_hash("order-1"),
        is_heard=draw(st.booleans()),
    )


def moved(answer: Answer) -> tuple[OrderState, OrderState] | None:
    if not isinstance(answer, Verdict) or answer.ruling.moved_from is None or answer.ruling.order is None:
        return None
    return answer.ruling.moved_from, answer.ruling.order.state


@settings(max_examples=1500, deadline=None)
@given(decisions(), cases(), st.sampled_from(SHOPS))
def test_an_order_only_moves_along_the_table(decision: Decision, case: Case, shops: dict[str, Shop]) -> None:
    answer = decide(decision, case, shops)
    move = moved(answer)
    if move is not None:
        assert case.order is not None
        assert case.order.state is move[0]
        assert move in MOVES[Fact.PAYMENT] | MOVES[Fact.USAGE]
        assert not case.is_rejected or is_said(decision, case)
        assert not case.has_effect or case.reason in OF_SESSIONS
    if decision.resolution in MOVES_MONEY:
        assert isinstance(answer, Refusal) or _counts(answer)
    if case.reason in OF_STATEMENTS:
        assert isinstance(answer, Verdict) is (decision.resolution is Resolution.ACCEPT_DIFFERENCE)
    elif decision.resolution is Resolution.REJECT:
        assert answer == Verdict(Ruling(Outcome.IGNORED, reason="rejected")) or is_paid_or_heard(case)


def is_said(decision: Decision, case: Case) -> bool:
    """The person knows that the payment was rejected; a session and a challenge without an order never were."""
    is_known = decision.accept_mismatch or case.reason is ReviewReason.REJECTED_PAYMENT
    return is_known or decision.resolution in (Resolution.ACCEPT_SESSION, Resolution.LINK_ORDER)


def is_paid_or_heard(case: Case) -> bool:
    """The webhook of a paid session came after all."""
    is_paid = case.order is not None and case.order.requirement_id == "req-order-1"
    return case.reason in OF_SESSIONS and case.session is not None and (is_paid or case.is_heard)


def _counts(answer: Answer) -> bool:
    """It applies the event, and opens no other review instead."""
    return isinstance(answer, Verdict) and answer.ruling.outcome is Outcome.APPLIED and answer.ruling.review is None


@settings(max_examples=800, deadline=None)
@given(decisions(), cases(), st.sampled_from(SHOPS))
def test_what_is_not_offered_is_refused(decision: Decision, case: Case, shops: dict[str, Shop]) -> None:
    linking = decision.resolution is Resolution.LINK_ORDER
    owner = case.belongs_to if linking else case.order.order_id if case.order else None
    hash_ = case.incoming.challenge_hash if case.incoming else None
    if decision.resolution not in choices(case.reason, challenge_hash=hash_, order_id=owner):
        assert isinstance(decide(decision, case, shops), Refusal | Unchanged)


def test_a_difference_of_statements_can_only_be_explained() -> None:
    for reason in OF_STATEMENTS:
        assert choices(reason, challenge_hash=None, order_id="order-1") == [Resolution.ACCEPT_DIFFERENCE]


def test_a_session_that_is_paid_is_taken_or_rejected() -> None:
    for reason in OF_SESSIONS:
        offered = choices(reason, challenge_hash=None, order_id="order-1")
        assert offered == [Resolution.ACCEPT_SESSION, Resolution.REJECT]


def test_a_reason_that_fits_nothing_leaves_rejection() -> None:
    for reason in set(ReviewReason) - OF_STATEMENTS:
        offered = choices(reason, challenge_hash=challenge_hash("order-1"), order_id="order-1")
        assert Resolution.REJECT in offered
    offered = choices(ReviewReason.EVENT_ID_CONFLICT, challenge_hash=None, order_id=None)
    assert offered == [Resolution.REJECT, Resolution.REPROCESS]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((Resolution.LINK_ORDER, "because"), "needs the order"),
        ((Resolution.REJECT, "because", "order-1"), "takes no order"),
        ((Resolution.REPROCESS, "because", None, True), "accepts no mismatch"),
    ],
)
def test_a_decision_says_what_it_must_and_no_more(arguments: tuple[Resolution, str], says: str) -> None:
    with pytest.raises(InvalidDecision, match=says):
        Decision(*arguments)


@pytest.mark.parametrize("why", ["", " ", "x" * 4001, "a\0b", "half a surrogate pair: \udcff"])
def test_a_reason_is_text_that_the_books_can_keep(why: str) -> None:
    with pytest.raises(InvalidWhy, match="say why"):
        Decision(Resolution.REJECT, why)
    with pytest.raises(InvalidWhy, match="say why"):
        Terms(why)
