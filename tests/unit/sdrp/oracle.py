"""How the differential tests ask the official SDK, and how often."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import ParamSpec, TypeVar

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from siglume_direct_request_payment import DirectRequestPaymentError

HEADERS, BODIES, CONFIRMATIONS, CHALLENGES = 25_000, 25_000, 25_000, 10_000
CASES_AN_EXAMPLE = 50
"""Hypothesis takes milliseconds an example, a case takes microseconds: each example brings a bundle of cases."""

T = TypeVar("T")
P = ParamSpec("P")


def compare(draw: Callable[[Random], T], how_many: int, check: Callable[[T], str]) -> Counter[str]:
    """Runs `check` on so many generated cases, the same ones each time; counts the names of what it saw."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=how_many // CASES_AN_EXAMPLE,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def run(random: Random) -> None:
        for _ in range(CASES_AN_EXAMPLE):
            seen[check(draw(random))] += 1

    run()
    print(f"{seen.total()} cases: {dict(seen.most_common())}")  # noqa: T201 - the tally of a differential run
    assert seen.total() >= how_many
    return seen


def accepts(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
    """What the SDK returns, or None when it refuses. Its crashes on hostile input count as refusals."""
    try:
        return call(*args, **kwargs)
    except (DirectRequestPaymentError, UnicodeError, ValueError, TypeError, RecursionError):
        return None
