"""How long a call waits before it is made again."""

import pytest

from shared.sdrp.api.retries import Patience


def test_waits_grow_up_to_a_limit_and_are_drawn_at_random() -> None:
    patience = Patience(first_wait=1.0, longest_wait=6.0)
    drawn = {attempt: [patience.wait(attempt, None) for _ in range(200)] for attempt in range(1, 7)}
    for attempt, ceiling in {1: 1.0, 2: 2.0, 3: 4.0, 4: 6.0, 5: 6.0, 6: 6.0}.items():
        assert ceiling * 0.5 <= min(drawn[attempt]) < max(drawn[attempt]) <= ceiling
        assert len(set(drawn[attempt])) > 100


@pytest.mark.parametrize("asked", [3.0, 600.0])
def test_the_platform_is_never_asked_again_before_it_wants_to_be(asked: float) -> None:
    patience = Patience(first_wait=1.0)
    waits = [patience.wait(1, asked) for _ in range(100)]
    assert asked < min(waits) < max(waits) <= asked + 1.0


def test_a_platform_that_asks_for_no_wait_is_not_hammered() -> None:
    assert Patience(first_wait=1.0).wait(1, 0.0) >= 0.5
