"""What goes wrong on purpose, as a shop and its client see it."""

import asyncio
import time
from datetime import timedelta

import pytest
from siglume_direct_request_payment import SiglumeApiError

from deploy.sandbox.core.faults import Fault
from deploy.sandbox.sandbox import Sandbox
from tests.integration.sandbox.shop import Receiver, call, merchant, open_session, sell


async def statuses(sandbox: Sandbox) -> list[tuple[str, int | None]]:
    """Of the deliveries of confirmations, the oldest first."""
    found = await call(merchant(sandbox).list_webhook_deliveries, event_type="direct_payment.confirmed")
    return [(each["delivery_status"], each["response_status"]) for each in reversed(found)]


@pytest.mark.parametrize("fault", [Fault.STALE, Fault.TAMPER])
async def test_what_the_sdk_refuses_is_sent_again_in_order(sandbox: Sandbox, shop: Receiver, fault: Fault) -> None:
    sandbox.switch(fault, times=1)
    await sell(sandbox)
    assert await statuses(sandbox) == [("retrying", 401)]
    await sandbox.advance(timedelta(minutes=1))
    assert await statuses(sandbox) == [("delivered", 204)]
    bad, good = shop.confirmed()
    assert good.kind() == "standard_settled"
    assert (bad.raw == good.raw) is (fault is Fault.STALE)


async def test_a_duplicate_has_the_same_bytes(sandbox: Sandbox, shop: Receiver) -> None:
    sandbox.switch(Fault.DUPLICATE, times=1)
    await sell(sandbox)
    first, second = shop.confirmed()
    assert first.raw == second.raw


async def test_a_dropped_webhook_can_be_redelivered(sandbox: Sandbox, shop: Receiver) -> None:
    sandbox.switch(Fault.DROP, times=1)
    await sell(sandbox)
    assert not shop.confirmed()
    assert await statuses(sandbox) == [("failed", None)]
    delivery = next(each for each in sandbox.platform.webhooks.log() if each.attempts == 0)
    sandbox.platform.webhooks.redeliver(delivery.id)
    await sandbox.idle()
    assert await statuses(sandbox) == [("failed", None), ("delivered", 204)]
    assert shop.confirmed()[0].verified()["id"] == delivery.event.id


async def test_reordered_webhooks_arrive_the_wrong_way_round(sandbox: Sandbox, shop: Receiver) -> None:
    sandbox.switch(Fault.REORDER, times=1)
    await sell(sandbox, "order-1")
    await sell(sandbox, "order-2")
    types = [each.verified()["type"] for each in shop.received]
    assert types[:2] == ["direct_payment.spent", "direct_payment.confirmed"]


async def test_a_delayed_webhook_comes_by_the_clock(sandbox: Sandbox, shop: Receiver) -> None:
    sandbox.switch(Fault.DELAY, seconds=7200)
    await sell(sandbox)
    await sandbox.advance(timedelta(hours=1))
    assert not shop.received
    await sandbox.advance(timedelta(hours=1))
    assert len(shop.received) == 2


async def test_a_shop_that_is_away_gets_its_webhooks_later(sandbox: Sandbox, shop: Receiver) -> None:
    shop.answers.extend([503, 503, 500, 500])
    await sell(sandbox)
    await sandbox.advance(timedelta(hours=1))
    assert await statuses(sandbox) == [("delivered", 204)]
    assert len(shop.confirmed()) == 3


async def test_too_many_requests_say_when_to_come_back(sandbox: Sandbox) -> None:
    sandbox.switch(Fault.RATE_LIMIT, times=1, seconds=7)
    with pytest.raises(SiglumeApiError) as refused:
        await open_session(sandbox)
    assert (refused.value.status, refused.value.code) == (429, "RATE_LIMITED")
    assert not sandbox.platform.checkout.every()
    await open_session(sandbox)


async def test_a_server_error_may_come_before_or_after_the_work_and_a_nonce_survives_both(sandbox: Sandbox) -> None:
    sandbox.switch(Fault.SERVER_ERROR, times=20)
    seen = set()
    for _ in range(20):
        before = len(sandbox.platform.checkout.every())
        with pytest.raises(SiglumeApiError) as refused:
            await open_session(sandbox)
        seen.add((refused.value.status, len(sandbox.platform.checkout.every()) > before))
    assert {status for status, _ in seen} == {500, 502, 503}
    assert (502, True) in seen
    assert not seen & {(500, True), (503, True)}
    await open_session(sandbox)
    assert len(sandbox.platform.checkout.every()) == 1


async def test_a_slow_answer_is_late_and_keeps_nobody_else_waiting(sandbox: Sandbox) -> None:
    sandbox.switch(Fault.SLOW, times=1, seconds=0.5)
    began = time.monotonic()
    slow = asyncio.create_task(open_session(sandbox))
    while Fault.SLOW in sandbox.faults.settings:
        await asyncio.sleep(0.01)
    await call(merchant(sandbox).get_merchant, "sandbox_merchant")
    assert not slow.done()
    await slow
    assert time.monotonic() - began >= 0.5


async def test_billing_can_be_made_inactive(sandbox: Sandbox) -> None:
    sandbox.switch(Fault.BILLING_INACTIVE)
    account = (await call(merchant(sandbox).get_merchant, "sandbox_merchant"))["merchant_account"]
    assert account["billing_status"] == "past_due"
