"""What Kessai declares is what it verifies, and no message falls out of it."""

import asyncio
from dataclasses import replace

import aiormq
import pytest

from deploy.local.stack import Stack
from shared.broker import topology
from shared.broker.publisher import Publisher
from shared.broker.topology import (
    CONFIRMATION,
    CONFIRMATIONS_QUEUE,
    DEAD_LETTERS_QUEUE,
    DELIVERY_LIMIT,
    EVENTS,
    KESSAI,
    RETRY_TIERS,
    Exchange,
    Queue,
    Topology,
    TopologyMismatch,
)
from shared.errors import BrokerUnavailable
from tests.integration.broker import rabbit

RETRY_QUEUE = RETRY_TIERS[0].queue


def with_argument(queue: str, name: str, value: str | int) -> Topology:
    queues = tuple(
        Queue(each.name, {**each.arguments, name: value}) if each.name == queue else each for each in KESSAI.queues
    )
    return replace(KESSAI, queues=queues)


async def test_what_was_declared_verifies_and_may_be_declared_again(amqp_url: str) -> None:
    await topology.declare(amqp_url)
    await topology.verify(amqp_url)
    await topology.declare(amqp_url)


async def test_verifying_an_empty_broker_names_everything_and_creates_nothing(amqp_url: str) -> None:
    with pytest.raises(TopologyMismatch) as first:
        await topology.verify(amqp_url)
    for name in [each.name for each in KESSAI.exchanges] + [each.name for each in KESSAI.queues]:
        assert f"{name} is missing: run `kessai topology apply`" in str(first.value)
    with pytest.raises(TopologyMismatch) as second:
        await topology.verify(amqp_url)
    assert str(second.value) == str(first.value)


async def test_a_queue_with_another_argument_is_named_with_it(amqp_url: str) -> None:
    await topology.declare(amqp_url, with_argument(CONFIRMATIONS_QUEUE, "x-delivery-limit", 3))
    for ask in (topology.verify, topology.declare):
        with pytest.raises(TopologyMismatch) as refused:
            await ask(amqp_url)
        text = str(refused.value)
        assert f"queue {CONFIRMATIONS_QUEUE} is there in another form" in text
        assert "x-delivery-limit" in text
        assert "topology apply" in text
        assert DEAD_LETTERS_QUEUE not in text


async def test_an_exchange_of_another_kind_is_named(amqp_url: str) -> None:
    async with rabbit.channel(amqp_url) as channel:
        await channel.exchange_declare(EVENTS, exchange_type="fanout", durable=True)
    with pytest.raises(TopologyMismatch, match=rf"exchange {EVENTS} is there in another form"):
        await topology.verify(amqp_url, Topology((Exchange(EVENTS, "direct"),), (), ()))
    async with rabbit.channel(amqp_url) as channel:
        await channel.exchange_delete(EVENTS)


async def test_a_broker_that_is_away_is_no_mismatch() -> None:
    with pytest.raises(BrokerUnavailable, match="cannot connect to RabbitMQ"):
        await topology.verify("amqp://guest:guest@127.0.0.1:1/")


async def test_a_message_waits_its_time_and_goes_back_to_the_confirmations(amqp_url: str) -> None:
    await topology.declare(amqp_url, with_argument(RETRY_QUEUE, "x-message-ttl", 300))
    async with Publisher(amqp_url, name="kessai test") as publisher:
        await publisher.publish(b"again", exchange="", routing_key=RETRY_QUEUE)
    await rabbit.holds(amqp_url, CONFIRMATIONS_QUEUE, 1)
    async with rabbit.channel(amqp_url) as channel:
        got = await channel.basic_get(CONFIRMATIONS_QUEUE)
        await channel.basic_ack(got.delivery_tag or 0)
    assert got.body == b"again"
    assert await rabbit.waiting(amqp_url, RETRY_QUEUE) == 0


async def test_a_retry_that_finds_no_way_back_is_kept_until_there_is_one(stack: Stack, amqp_url: str) -> None:
    """With dead-lettering at most once, a message that expires while its target is gone is gone, too."""
    await topology.declare(amqp_url, with_argument(RETRY_QUEUE, "x-message-ttl", 300))
    async with rabbit.channel(amqp_url) as channel:
        await channel.queue_unbind(CONFIRMATIONS_QUEUE, EVENTS, CONFIRMATION)
    async with Publisher(amqp_url, name="kessai test") as publisher:
        await publisher.publish(b"again", exchange="", routing_key=RETRY_QUEUE)
        await asyncio.sleep(1.5)
        async with rabbit.channel(amqp_url) as channel:
            await channel.queue_bind(CONFIRMATIONS_QUEUE, EVENTS, CONFIRMATION)
        # RabbitMQ tries again after three minutes, or when the queue is recovered.
        await asyncio.to_thread(stack.restart, "rabbitmq")
        await rabbit.holds(amqp_url, CONFIRMATIONS_QUEUE, 1)


async def give_back(channel: aiormq.abc.AbstractChannel, queue: str, times: int) -> int:
    """Take and return the message of a queue so often; how often it was there."""
    for turn in range(times):
        got = await channel.basic_get(queue)
        for _ in range(40):  # a returned message is there again in a moment
            if got.delivery_tag is not None:
                break
            await asyncio.sleep(0.01)
            got = await channel.basic_get(queue)
        if got.delivery_tag is None:
            return turn
        await channel.basic_nack(got.delivery_tag, requeue=True)
    return times


async def test_a_message_that_kills_its_worker_again_and_again_becomes_a_dead_letter_and_stays_one(
    declared_url: str,
) -> None:
    async with Publisher(declared_url, name="kessai test") as publisher:
        await publisher.publish(b"poison", exchange=EVENTS, routing_key=CONFIRMATION)
    async with rabbit.channel(declared_url) as channel:
        assert await give_back(channel, CONFIRMATIONS_QUEUE, 2 * DELIVERY_LIMIT) == DELIVERY_LIMIT + 1
    await rabbit.holds(declared_url, DEAD_LETTERS_QUEUE, 1)
    async with rabbit.channel(declared_url) as channel:
        assert await give_back(channel, DEAD_LETTERS_QUEUE, 2 * DELIVERY_LIMIT) == 2 * DELIVERY_LIMIT
    await rabbit.holds(declared_url, DEAD_LETTERS_QUEUE, 1)
