"""Money states only move forward, and the printed table is the one that runs."""

from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.ledger.transitions import (
    TABLE,
    Fact,
    Move,
    Next,
    Nothing,
    OrderState,
    Review,
    ReviewQueue,
    ReviewReason,
    next_state,
    queue_of,
)

DECISION = Path(__file__).parents[3] / "deploy/decisions/0002-order-transitions.md"
MONEY = {OrderState.PAID, OrderState.SETTLED}
"""Revenue: once there, an order stays."""
FINAL = MONEY | {OrderState.UNCOLLECTIBLE, OrderState.WRITTEN_OFF, OrderState.CANCELLED}


def test_the_printed_table_is_the_one_that_runs() -> None:
    printed = [line for line in DECISION.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    begins = printed.index(_line("fact", *(f"`{state}`" for state in OrderState)))
    assert printed[begins + 2 : begins + 2 + len(Fact)] == [
        _line(f"`{fact}`", *(_cell(next_state(state, fact)) for state in OrderState)) for fact in Fact
    ]


def test_every_state_and_fact_is_explained_in_the_decision() -> None:
    text = DECISION.read_text(encoding="utf-8")
    for name in (*OrderState, *Fact):
        assert f"- `{name}`: " in text


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(following: Next) -> str:
    match following:
        case Move(to):
            return f"**{to}**"
        case Review(reason):
            return str(reason)
        case Nothing():
            return "–"


def test_every_state_answers_every_fact() -> None:
    assert set(TABLE) == {(state, fact) for state in OrderState for fact in Fact}


def test_no_state_can_be_reached_from_itself() -> None:
    moves = {(state, to.to) for (state, _), to in TABLE.items() if isinstance(to, Move)}
    reachable = moves
    for _ in OrderState:
        reachable = reachable | {(a, d) for a, b in reachable for c, d in moves if b == c}
    assert not [(a, b) for a, b in reachable if a == b]


def test_a_final_state_is_never_left() -> None:
    assert not [key for key, following in TABLE.items() if key[0] in FINAL and isinstance(following, Move)]


def test_only_the_metered_road_leads_to_settled_and_only_a_payment_to_paid() -> None:
    into = {(to.to, state, fact) for (state, fact), to in TABLE.items() if isinstance(to, Move)}
    assert {(state, fact) for to, state, fact in into if to is OrderState.PAID} == {
        (OrderState.PENDING, Fact.PAYMENT),
        (OrderState.PENDING, Fact.PAYMENT_AGAIN),
    }
    assert {(state, fact) for to, state, fact in into if to is OrderState.SETTLED} == {
        (OrderState.FULFILLED_UNSETTLED, Fact.USAGE_SETTLED)
    }


def test_money_for_an_order_that_is_not_waiting_for_it_is_never_passed_over() -> None:
    """Nothing happens only where the very requirement is in the books already."""
    for state in set(OrderState) - {OrderState.PENDING}:
        for fact in (Fact.PAYMENT, Fact.USAGE):
            assert isinstance(next_state(state, fact), Review)


def test_every_review_reason_has_its_desk() -> None:
    assert {queue_of(reason) for reason in ReviewReason} == set(ReviewQueue)


class Order(RuleBasedStateMachine):
    """An order under whatever facts come, in whatever order."""

    def __init__(self) -> None:
        super().__init__()
        self.history = [OrderState.PENDING]

    @rule(fact=st.sampled_from(Fact))
    def hear(self, fact: Fact) -> None:
        following = next_state(self.history[-1], fact)
        if isinstance(following, Move):
            self.history.append(following.to)

    @invariant()
    def never_goes_back(self) -> None:
        assert len(set(self.history)) == len(self.history)

    @invariant()
    def never_leaves_a_final_state(self) -> None:
        assert not FINAL & set(self.history[:-1])


TestOrder = Order.TestCase
TestOrder.settings = settings(max_examples=100, stateful_step_count=20, deadline=None)
