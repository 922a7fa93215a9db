"""The book of publishes that wait for RabbitMQ's word."""

import asyncio

import pytest

from shared.broker.confirms import Confirms
from shared.errors import BrokerUnavailable

LATE = BrokerUnavailable("late")


async def registered(count: int) -> tuple[Confirms, list[asyncio.Future[None]]]:
    confirms = Confirms(asyncio.get_running_loop())
    return confirms, [confirms.register()[1] for _ in range(count)]


async def test_a_multiple_confirm_settles_everything_up_to_its_tag() -> None:
    confirms, futures = await registered(4)
    confirms.settle(3, multiple=True)
    assert [one.done() for one in futures] == [True, True, True, False]
    assert len(confirms) == 1


async def test_confirms_out_of_order_settle_each_its_own() -> None:
    confirms, futures = await registered(4)
    confirms.settle(3, multiple=False)
    confirms.settle(1, multiple=False)
    assert [one.done() for one in futures] == [True, False, True, False]
    confirms.settle(4, multiple=True)
    assert all(one.done() for one in futures)
    assert len(confirms) == 0


async def test_a_refusal_fails_every_caller_with_an_exception_of_his_own() -> None:
    confirms, futures = await registered(2)
    confirms.settle(2, multiple=True, error=LATE)
    first, second = (one.exception() for one in futures)
    assert isinstance(first, BrokerUnavailable)
    assert first is not second


async def test_a_caller_that_has_left_does_not_disturb_the_others() -> None:
    confirms, futures = await registered(3)
    futures[1].cancel()
    confirms.settle(3, multiple=True)
    assert futures[0].result() is None
    assert futures[1].cancelled()
    assert futures[2].result() is None


async def test_a_returned_message_stays_refused_when_its_confirm_follows() -> None:
    confirms, futures = await registered(2)
    confirms.refuse(1, LATE)
    confirms.settle(2, multiple=True)
    with pytest.raises(BrokerUnavailable):
        futures[0].result()
    assert futures[1].result() is None


async def test_only_what_is_older_than_the_mark_expires_and_stays_in_flight() -> None:
    confirms, early = await registered(2)
    confirms.mark(now=10.0)
    _, young = confirms.register()
    confirms.mark(now=11.0)
    assert confirms.expire(before=10.5, error=LATE) == 2
    assert all(isinstance(one.exception(), BrokerUnavailable) for one in early)
    assert not young.done()
    assert len(confirms) == 3
    confirms.settle(3, multiple=True)
    assert len(confirms) == 0


async def test_a_confirm_nobody_waits_for_is_ignored() -> None:
    confirms, futures = await registered(1)
    confirms.settle(1, multiple=False)
    confirms.settle(1, multiple=False)
    confirms.settle(1, multiple=True)
    assert futures[0].result() is None


async def test_losing_the_connection_fails_everyone_at_once() -> None:
    confirms, futures = await registered(3)
    confirms.fail_all(LATE)
    assert all(isinstance(one.exception(), BrokerUnavailable) for one in futures)
    assert len(confirms) == 0
