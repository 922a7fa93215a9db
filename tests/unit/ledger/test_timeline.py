"""Where the audit and the outbox are looked into, and how steps follow one another."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from shared.ledger.timeline import SPAN, story, windows
from shared.ledger.timeline_rows import Found, Known
from tests.given import NOW

_moments = st.integers(0, 200).map(lambda seconds: NOW + timedelta(seconds=seconds))


def known(**rows: object) -> Known:
    of_order = {
        "order_id": "order-1",
        "endpoint": "siglume",
        "amount_minor": 1200,
        "currency": "JPY",
        "created_at": NOW,
        "updated_at": NOW,
    }
    nothing: dict[str, object] = dict.fromkeys(
        ("challenges", "attempts", "reviews", "events", "dead_letters", "replays", "acts", "notes"), ()
    )
    return Known(order=of_order, **nothing | rows)  # type: ignore[arg-type]


@given(st.lists(st.tuples(_moments, st.sampled_from(["applied", "review", "duplicate"]))), st.lists(_moments))
def test_windows_hold_every_transaction_of_the_order_and_never_overlap(
    events: list[tuple[object, str]], reviews: list[object]
) -> None:
    found = windows(
        known(
            events=[{"applied_at": at, "outcome": outcome} for at, outcome in events],
            reviews=[{"opened_at": at, "closed_at": None} for at in reviews],
        )
    )
    assert found == sorted(found)
    assert all(earlier.end < later.begin for earlier, later in pairwise(found))

    def held(at: object) -> bool:
        return any(window.begin <= at <= window.end for window in found)  # type: ignore[operator]

    assert held(NOW)
    assert all(held(at) for at in reviews)
    assert all(held(at) and held(at - SPAN) for at, outcome in events if outcome != "duplicate")  # type: ignore[operator]


def test_each_step_says_how_long_after_the_one_before_it_came() -> None:
    challenge = {"challenge_hash": "sha256:one", "created_at": NOW + timedelta(seconds=2.5)}
    steps = story(known(challenges=[challenge]), Found(moves=[], facts=[]))
    assert [(step.what, step.after) for step in steps] == [("order.registered", None), ("checkout.created", 2.5)]
