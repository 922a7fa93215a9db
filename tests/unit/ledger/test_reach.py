"""A run reads back as far as something may have changed, and never trusts an order that it did not see."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.ledger.revenue.reach import OVERLAP, SETTLING_TIME, WHOLE_EVERY, Descent, read_back_to
from shared.ledger.revenue.syncs import List, Sync
from tests.given import ENDPOINT, NOW

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SYNC = Sync(ENDPOINT, List.USAGE, None, NOW, NOW - HOUR, NOW - HOUR, NOW - DAY)


def test_a_routine_run_overlaps_the_last_one() -> None:
    assert read_back_to(SYNC, oldest_waiting=None, since=None) == NOW - HOUR - OVERLAP


@pytest.mark.parametrize(
    "sync",
    [
        replace(SYNC, complete_as_of=None),
        replace(SYNC, whole_as_of=None),
        replace(SYNC, whole_as_of=NOW - WHOLE_EVERY),
    ],
)
def test_the_first_run_and_one_a_week_read_everything(sync: Sync) -> None:
    assert read_back_to(sync, oldest_waiting=None, since=NOW) is None


def test_what_waits_for_its_batch_is_read_again_unless_it_waits_for_ever() -> None:
    assert read_back_to(SYNC, oldest_waiting=NOW - 20 * DAY, since=None) == NOW - 20 * DAY
    assert read_back_to(SYNC, oldest_waiting=NOW - 900 * DAY, since=None) == NOW - SETTLING_TIME


def test_whoever_asks_for_more_gets_more_and_never_less() -> None:
    assert read_back_to(SYNC, oldest_waiting=None, since=NOW - 40 * DAY) == NOW - 40 * DAY
    assert read_back_to(SYNC, oldest_waiting=None, since=NOW) == NOW - HOUR - OVERLAP


def test_a_descent_ends_once_a_page_is_older() -> None:
    descent = Descent(NOW - DAY)
    assert not descent.has_passed([NOW, NOW - HOUR])
    assert not descent.has_passed([])
    assert descent.has_passed([NOW - 2 * HOUR, NOW - 2 * DAY])


@pytest.mark.parametrize("page", [[NOW - 2 * DAY, NOW], [NOW - 2 * DAY, None], [None]])
def test_a_page_in_no_known_order_ends_nothing_early(page: list[None]) -> None:
    descent = Descent(NOW - DAY)
    assert not descent.has_passed(page)
    assert not descent.has_passed([NOW - 3 * DAY])
