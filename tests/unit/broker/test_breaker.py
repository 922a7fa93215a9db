"""The circuit breaker, by three literals at a time."""

from hypothesis import given
from hypothesis import strategies as st

from shared.broker.breaker import Breaker


def opened(*, at: float) -> Breaker:
    breaker = Breaker(threshold=3, cool_down=2.0)
    breaker.failed(now=at, times=3)
    return breaker


def test_stays_closed_below_the_threshold() -> None:
    breaker = Breaker(threshold=3)
    breaker.failed(now=0.0, times=2)
    assert not breaker.is_open
    assert breaker.allows(now=0.0)


def test_opens_at_the_threshold_and_refuses_at_once() -> None:
    breaker = opened(at=10.0)
    assert breaker.is_open
    assert not breaker.allows(now=10.0)
    assert not breaker.allows(now=11.9)


def test_lets_a_single_probe_through_after_the_cool_down() -> None:
    breaker = opened(at=10.0)
    assert breaker.allows(now=12.0)
    assert not breaker.allows(now=12.0)
    assert not breaker.allows(now=13.9)
    assert breaker.allows(now=14.0)


def test_a_failed_probe_begins_the_cool_down_anew() -> None:
    breaker = opened(at=10.0)
    assert breaker.allows(now=12.0)
    breaker.failed(now=15.0)
    assert not breaker.allows(now=16.9)
    assert breaker.allows(now=17.0)


def test_one_success_closes_it_and_forgets_the_failures() -> None:
    breaker = opened(at=10.0)
    breaker.succeeded()
    assert not breaker.is_open
    breaker.failed(now=20.0, times=2)
    assert breaker.allows(now=20.0)


@given(st.lists(st.floats(min_value=0, max_value=0.5), min_size=1, max_size=200))
def test_an_open_breaker_never_lets_more_than_one_probe_through_a_cool_down(steps: list[float]) -> None:
    breaker, now, allowed = opened(at=0.0), 0.0, []
    for step in steps:
        now += step
        if breaker.allows(now=now):
            allowed.append(now)
    assert all(later - earlier >= 2.0 for earlier, later in zip([0.0, *allowed], allowed, strict=False))
