"""An attempt only moves forward; what is due next follows from how far it is, and from the clock."""

from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.checkout_states import (
    ACTIVE,
    Attempt,
    AttemptFact,
    AttemptState,
    Step,
    next_attempt_state,
    next_step,
    nonce_of,
)
from tests.given import NOW

STATES: Final = st.sampled_from(AttemptState)
FACTS: Final = st.lists(st.sampled_from(AttemptFact))
BEFORE, AFTER = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)


def attempt(state: AttemptState = AttemptState.OPEN, **values: object) -> Attempt:
    """With an open session that is trusted, unless a test says otherwise."""
    fields: dict[str, object] = {
        "order_id": "order-1",
        "attempt": 1,
        "nonce": "order-1-attempt_1",
        "tries": 1,
        "leased_until": BEFORE,
        "success_url": "https://shop.example.com/thanks",
        "cancel_url": "https://shop.example.com/cart",
        "session_id": "chk_1",
        "checkout_url": "https://siglume.com/pay/chk_1",
        "challenge_hash": "sha256:1",
        "expires_at": AFTER,
        "trusted_until": AFTER,
    }
    return Attempt(state=state, **fields | values)  # type: ignore[arg-type]


NO_SESSION: Final = dict.fromkeys(("session_id", "checkout_url", "challenge_hash", "expires_at", "trusted_until"))


@given(FACTS)
def test_whatever_comes_to_be_known_an_attempt_that_is_over_never_comes_back(facts: list[AttemptFact]) -> None:
    state, was_over = AttemptState.CREATING, False
    for fact in facts:
        before, state = state, next_attempt_state(state, fact)
        if was_over:
            assert state is before or (fact is AttemptFact.PAID and state is AttemptState.PAID)
        was_over = state not in ACTIVE
        assert state is not AttemptState.CREATING
    assert (AttemptFact.PAID in facts) == (state is AttemptState.PAID)


@given(STATES, st.sampled_from(AttemptFact))
def test_the_same_fact_twice_changes_nothing(state: AttemptState, fact: AttemptFact) -> None:
    once = next_attempt_state(state, fact)
    assert next_attempt_state(once, fact) is once


@pytest.mark.parametrize(
    ("newest", "due"),
    [
        (None, Step.BEGIN),
        (attempt(AttemptState.CREATING, leased_until=AFTER, **NO_SESSION), Step.WAIT),
        (attempt(AttemptState.CREATING, **NO_SESSION), Step.CREATE),
        (attempt(AttemptState.OPEN, **NO_SESSION), Step.CREATE),  # a challenge was given, and no session is there
        (attempt(AttemptState.OPEN, leased_until=AFTER, **NO_SESSION), Step.WAIT),
        (attempt(), Step.REUSE),
        (attempt(leased_until=AFTER), Step.REUSE),
        (attempt(trusted_until=BEFORE), Step.LOOK),
        (attempt(trusted_until=BEFORE, leased_until=AFTER), Step.WAIT),
        (attempt(AttemptState.EXPIRED), Step.BEGIN),
        (attempt(AttemptState.CANCELLED), Step.BEGIN),
        (attempt(AttemptState.FAILED, **NO_SESSION), Step.BEGIN),
        (attempt(AttemptState.PAID), Step.REFUSE),
    ],
)
def test_what_is_due_next(newest: Attempt | None, due: Step) -> None:
    assert next_step(newest, now=NOW, is_doubted=False) is due


@given(STATES, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_a_new_attempt_begins_only_when_the_one_before_is_over_and_unpaid(
    state: AttemptState, has_session: bool, is_trusted: bool, is_leased: bool, is_doubted: bool
) -> None:
    """Or its payment is none of the order's: a person has said so."""
    values: dict[str, object] = {"leased_until": AFTER if is_leased else BEFORE}
    values |= {"trusted_until": AFTER if is_trusted else BEFORE} if has_session else NO_SESSION
    due = next_step(attempt(state, **values), now=NOW, is_doubted=is_doubted)
    assert (due is Step.BEGIN) == (state not in ACTIVE and state is not AttemptState.PAID)
    rejected = next_step(attempt(state, **values), now=NOW, is_doubted=is_doubted, is_rejected=True)
    assert rejected is (Step.BEGIN if state is AttemptState.PAID else due)
    if due in (Step.CREATE, Step.LOOK):
        assert not is_leased
    if due is Step.REUSE:
        assert has_session
        assert is_trusted
        assert not is_doubted


@given(st.text(min_size=1), st.text(min_size=1), st.integers(1, 99), st.integers(1, 99))
def test_a_nonce_is_one_attempts_alone_and_holds_no_colon(one: str, other: str, first: int, second: int) -> None:
    assert ":" not in nonce_of(one, first)
    assert (nonce_of(one, first) == nonce_of(other, second)) == ((one, first) == (other, second))
    assert nonce_of("order_123", 1) == "order_123-attempt_1"
