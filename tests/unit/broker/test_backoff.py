"""Waits between tries to reach the broker."""

from random import Random

from shared.broker.backoff import Backoff


def seeded(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - jitter is no secret


def test_waits_double_up_to_the_limit_with_at_most_half_taken_off() -> None:
    backoff = Backoff(first=1.0, limit=6.0, random=seeded(7))
    for ceiling in (1.0, 2.0, 4.0, 6.0, 6.0):
        assert ceiling / 2 <= backoff.next() <= ceiling


def test_two_processes_do_not_wait_in_step() -> None:
    assert Backoff(random=seeded(1)).next() != Backoff(random=seeded(2)).next()


def test_begins_small_again_after_a_reset() -> None:
    backoff = Backoff(first=1.0, limit=60.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 1.0
