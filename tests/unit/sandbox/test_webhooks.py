"""Deliveries: retries by the clock, redelivery, rotation, and what goes wrong on purpose."""

from datetime import timedelta

import pytest

from deploy.sandbox.core.faults import Fault, Setting
from deploy.sandbox.core.webhooks import RETRY_AFTER, Delivery, DeliveryStatus
from shared.sdrp.events import CONFIRMED
from tests.unit.sandbox.given import Town


@pytest.fixture
def town() -> Town:
    found = Town()
    (subscription,) = found.platform.webhooks.every()
    found.platform.webhooks.subscribe(subscription.owner, "https://other.example/", ["subscription.created"])
    return found


def log(town: Town) -> list[Delivery]:
    """Of confirmations, the oldest first."""
    return [each for each in town.platform.webhooks.log() if each.event.type == CONFIRMED][::-1]


def confirmations(town: Town) -> list[str]:
    """Answer what is due with 204; the ids of the confirmations among it."""
    return [event["id"] for event in town.answer() if event["type"] == CONFIRMED]


def switch(town: Town, fault: Fault, **setting: float) -> None:
    times = setting.pop("times", None)
    town.platform.faults.switch(fault, Setting(times=None if times is None else int(times), **setting))


def test_a_delivery_is_tried_again_by_the_clock_until_it_has_failed(town: Town) -> None:
    town.sell(1200)
    (delivery,) = log(town)
    for wait in RETRY_AFTER:
        town.answer(503)
        (delivery,) = log(town)
        assert (delivery.status, delivery.response_status) == (DeliveryStatus.RETRYING, 503)
        assert delivery.next_attempt_at == town.platform.now + wait
        town.move_to(delivery.next_attempt_at)
    town.answer(None)
    (delivery,) = log(town)
    assert (delivery.status, delivery.attempts) == (DeliveryStatus.FAILED, len(RETRY_AFTER) + 1)
    town.wait(days=30)
    assert log(town) == [delivery]


def test_a_delivery_that_is_answered_in_the_end_is_delivered(town: Town) -> None:
    town.sell(1200)
    town.answer(500)
    town.wait(minutes=1)
    assert [each.status for each in log(town)] == [DeliveryStatus.DELIVERED]


def test_gone_disables_the_subscription(town: Town) -> None:
    town.sell(1200)
    town.answer(410)
    town.sell(1200)
    assert not town.answer()
    assert [each.status for each in log(town)] == [DeliveryStatus.FAILED]


def test_redelivery_sends_the_same_event_once_more(town: Town) -> None:
    town.sell(1200)
    first = confirmations(town)
    town.platform.webhooks.redeliver(log(town)[0].id)
    assert confirmations(town) == first
    assert len(log(town)) == 2


def test_both_secrets_sign_while_they_overlap(town: Town) -> None:
    webhooks = town.platform.webhooks
    before = webhooks.every()[0]
    rotated = webhooks.rotate(before, overlap=timedelta(hours=2))
    assert rotated.hint == rotated.secrets[0].text[-4:]
    town.sell(1200)
    assert len(webhooks.attempts[0].secrets) == 2
    town.answer()
    town.wait(hours=2)
    town.sell(1200)
    (secret,) = next(iter(webhooks.attempts)).secrets
    assert secret.key == rotated.secrets[0].text.encode()


def test_dropped_never_arrives_and_is_logged_as_failed(town: Town) -> None:
    switch(town, Fault.DROP)
    town.sell(1200)
    town.wait(days=7)
    assert not confirmations(town)
    assert [(each.status, each.attempts) for each in log(town)] == [(DeliveryStatus.FAILED, 0)]


def test_duplicated_arrives_twice_with_one_id(town: Town) -> None:
    switch(town, Fault.DUPLICATE, times=1)
    town.sell(1200)
    first, second = confirmations(town)
    assert first == second
    assert [each.status for each in log(town)] == [DeliveryStatus.DELIVERED] * 2


def test_delayed_arrives_by_the_clock(town: Town) -> None:
    switch(town, Fault.DELAY, seconds=600)
    town.sell(1200)
    assert not town.answer()
    town.wait(seconds=599)
    assert [each.status for each in log(town)] == [DeliveryStatus.PENDING]
    town.wait(seconds=1)
    assert [each.status for each in log(town)] == [DeliveryStatus.DELIVERED]


def test_reordered_arrives_after_the_next(town: Town) -> None:
    switch(town, Fault.REORDER, times=1)
    town.sell(1200)
    sent = [event["type"] for event in town.answer()]
    sent += [event["type"] for event in town.answer()]
    assert sent == ["direct_payment.spent", CONFIRMED]
    town.wait(hours=1)
    assert not town.answer()


def test_reordered_arrives_in_the_end_also_without_a_next(town: Town) -> None:
    switch(town, Fault.REORDER)
    town.sell(1200)
    assert not town.answer()
    town.wait(minutes=5)
    assert [each.status for each in log(town)] == [DeliveryStatus.DELIVERED]


def test_stale_is_signed_with_an_old_timestamp_once(town: Town) -> None:
    switch(town, Fault.STALE, times=1, seconds=900)
    town.sell(1200)
    assert [attempt.age for attempt in town.platform.webhooks.attempts] == [900, 0]


def test_tampered_differs_from_what_was_signed(town: Town) -> None:
    switch(town, Fault.TAMPER, times=1)
    town.sell(1200)
    first, second = town.platform.webhooks.attempts
    assert first.sent != first.signed
    assert len(first.sent) == len(first.signed)
    assert second.sent == second.signed


def test_a_seed_repeats_what_went_wrong() -> None:
    def struck(seed: int) -> list[str]:
        town = Town(seed=seed)
        for fault in (Fault.DROP, Fault.DUPLICATE, Fault.DELAY):
            switch(town, fault, share=0.3)
        for _ in range(50):
            town.sell(1200)
            town.answer()
        return [f"{each.event.id} {each.status}" for each in town.platform.webhooks.log()]

    assert struck(1) == struck(1)
    assert struck(1) != struck(2)
