"""Pauses between attempts, wherever they are taken."""

from datetime import timedelta

from shared.backoff import exponential, jittered


def test_pauses_double_up_to_the_limit_however_many_failures_came_before() -> None:
    pauses = [exponential(1.0, failures, limit=6.0) for failures in (0, 1, 2, 3, 10_000)]
    assert pauses == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_pauses_of_days_do_not_overflow() -> None:
    week = timedelta(days=7)
    assert exponential(timedelta(minutes=10), 2, limit=week) == timedelta(minutes=40)
    assert exponential(timedelta(days=1), 10_000, limit=week) == week


def test_jitter_takes_off_half_at_most() -> None:
    assert jittered(8.0, lambda low, _: low) == 4.0
    assert jittered(8.0, lambda _, high: high) == 8.0
    assert len({jittered(8.0) for _ in range(20)}) > 1
