"""Guessing is slowed; the memory of it is bounded."""

from ingress.api.failures import Failures
from ingress.console.access.limits import LoginLimits


def test_old_failures_are_forgotten_one_by_one() -> None:
    now = [0.0]
    failures = Failures(allowed=2, within=10.0, clock=lambda: now[0])
    failures.count("a")
    now[0] = 4.0
    failures.count("a")
    assert failures.wait("a") == 6.0
    now[0] = 10.0
    assert failures.wait("a") == 0.0
    failures.count("a")
    assert failures.wait("a") == 4.0


def test_a_flood_of_names_fills_no_memory() -> None:
    failures = Failures(allowed=1, within=10.0, clock=lambda: 0.0, keys=100)
    for number in range(1000):
        failures.count(number)
    assert len(failures._times) == 100
    assert failures.wait(999) == 10.0


def test_tries_at_once_are_counted_before_any_is_decided() -> None:
    limits = LoginLimits(a_client=3, an_address=100, clock=lambda: 0.0, within=10.0)
    assert [limits.try_now("otto", "address") for _ in range(4)] == [0.0, 0.0, 0.0, 10.0]
    limits.succeeded("otto", "address")
    assert limits.try_now("otto", "address") == 0.0


def test_guessing_from_many_addresses_is_bounded_and_keeps_no_known_browser_out() -> None:
    limits = LoginLimits(a_client=10, an_address=30, a_name=50, clock=lambda: 0.0, within=10.0)
    waits = [limits.try_now("otto", f"address-{number}") for number in range(1000)]
    assert (waits.count(0.0), waits[-1]) == (50, 10.0)
    assert limits.try_now("ada", "address-1") == 0.0
    assert limits.try_now("otto", "address-1", "laptop") == 0.0


def test_a_known_browser_is_slowed_by_its_own_failures_alone() -> None:
    limits = LoginLimits(a_client=3, an_address=5, a_name=5, clock=lambda: 0.0, within=10.0)
    assert [limits.try_now("otto", "office", "laptop") for _ in range(4)] == [0.0, 0.0, 0.0, 10.0]
    assert limits.try_now("otto", "office", "phone") == 0.0
    assert limits.try_now("otto", "office") == 0.0


def test_a_stranger_who_guesses_elsewhere_locks_nobody_out_of_their_own_address() -> None:
    """With the limits as shipped: a new browser of the operator may still log in."""
    limits = LoginLimits(clock=lambda: 0.0)
    tries = [limits.try_now("otto", "203.0.113.7") for _ in range(100)]
    assert tries.count(0.0) == 10
    assert limits.try_now("otto", "198.51.100.4") == 0.0
