"""A replay goes on step by step: canary first, never more in flight than may be lost sight of, stopped by failures."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.ledger.replays.pacing import (
    CHUNK,
    ENOUGH_TO_JUDGE,
    MAX_IN_FLIGHT,
    PATIENCE,
    Finish,
    HandOverAgain,
    Progress,
    Send,
    Stop,
    Wait,
    next_due,
    next_step,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
FRESH = Progress(total=1000, sent=0, in_flight=0, judged_from=0, failed=0, canary=5, stop_on_fail=0.02, rate=None)

jobs = st.builds(
    Progress,
    total=st.integers(1, 3000),
    sent=st.just(0),
    in_flight=st.just(0),
    judged_from=st.just(0),
    failed=st.just(0),
    canary=st.integers(0, 3000),
    stop_on_fail=st.floats(0, 1),
    rate=st.none() | st.floats(0.1, 1e6),
)


def test_the_canary_goes_first_and_the_rest_waits_for_its_end() -> None:
    assert next_step(FRESH) == Send(5)
    assert next_step(replace(FRESH, sent=5, in_flight=1)) == Wait()
    assert next_step(replace(FRESH, sent=5)) == Send(CHUNK)


def test_a_failed_canary_stops_the_job_once_it_is_whole() -> None:
    assert next_step(replace(FRESH, sent=5, in_flight=1, failed=1)) == Wait()
    stopped = next_step(replace(FRESH, sent=5, failed=1))
    assert isinstance(stopped, Stop)
    assert "1 of 5 canary events failed again" in stopped.because


def test_one_early_failure_beyond_the_canary_is_no_trend() -> None:
    early = replace(FRESH, canary=0, sent=3, failed=1)
    assert isinstance(next_step(early), Send)
    assert isinstance(next_step(replace(early, sent=ENOUGH_TO_JUDGE, failed=2)), Stop)


def test_a_resumed_job_is_judged_by_what_it_does_from_then_on() -> None:
    stopped = replace(FRESH, sent=200, failed=40)
    assert isinstance(next_step(stopped), Stop)
    assert isinstance(next_step(replace(stopped, judged_from=200, failed=0)), Send)
    assert isinstance(next_step(replace(stopped, judged_from=200, sent=260, failed=10)), Stop)


def test_a_job_that_has_done_all_is_done_however_much_of_it_failed() -> None:
    assert next_step(replace(FRESH, total=5, sent=5, failed=5)) == Finish()


def test_what_stays_in_flight_for_too_long_is_handed_over_again() -> None:
    waiting = replace(FRESH, sent=1000, in_flight=1)
    assert next_step(replace(waiting, waited=PATIENCE)) == Wait()
    assert next_step(replace(waiting, waited=PATIENCE + 1)) == HandOverAgain()


@settings(deadline=None)
@given(jobs, st.randoms(use_true_random=False))
def test_every_job_ends_and_hands_over_each_event_once(job: Progress, random: Random) -> None:
    handed_over = 0
    for _ in range(100_000):
        match next_step(job):
            case Send(events):
                assert 0 < events <= CHUNK
                handed_over += events
                job = replace(job, sent=job.sent + events, in_flight=job.in_flight + events)
                assert job.in_flight <= MAX_IN_FLIGHT
            case Wait():
                assert job.in_flight, "nothing to wait for"
                handled = random.randint(1, job.in_flight)
                failed = random.randint(0, min(handled, 2))
                job = replace(job, in_flight=job.in_flight - handled, failed=job.failed + failed)
            case Stop():
                assert job.failed
                return
            case HandOverAgain():
                raise AssertionError("nobody waited")
            case Finish():
                assert handed_over == job.sent == job.total
                assert not job.in_flight
                return
    raise AssertionError("it never ends")


@pytest.mark.parametrize("rate", [0.5, 50.0, 200.0, 5000.0])
def test_the_rate_holds_over_time(rate: float) -> None:
    job = replace(FRESH, total=10**9, canary=0, rate=rate)
    due, sent = NOW, 0
    while due < NOW + timedelta(minutes=2):
        step = next_step(job)
        assert isinstance(step, Send)
        sent += step.events
        later = next_due(step.events, rate, due=due, now=due)
        assert later is not None
        due = later
    assert sent / (due - NOW).total_seconds() == pytest.approx(rate, rel=0.01)


def test_what_was_missed_is_not_made_up_for_in_a_rush() -> None:
    long_ago = NOW - timedelta(hours=1)
    assert next_due(50, 50.0, due=long_ago, now=NOW) == NOW + timedelta(seconds=1)
