"""What is consumed is acknowledged once it is handled, and goes back to the queue otherwise."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pamqp.commands import Basic
from pamqp.common import FieldValue

from deploy.local.stack import Stack
from shared.broker import topology
from shared.broker.consume_session import Delivery
from shared.broker.consumer import BATCH_BYTES, HOLD_BYTES, BatchConsumer
from shared.broker.errors import ConsumerStuck, HoldTooLong
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.topology import CONFIRMATION, CONFIRMATIONS_QUEUE, EVENTS
from tests.integration.broker import rabbit

Batch = Sequence[Delivery[int]]
Handler = Callable[[Batch], Awaitable[None]]


async def fill(url: str, count: int) -> None:
    async with Publisher(url, name="kessai test") as publisher:
        outcomes = await publisher.publish_many(
            [Outgoing(b"%d" % index, EVENTS, CONFIRMATION) for index in range(count)]
        )
    assert outcomes == [None] * count


def number_of(body: bytes, headers: Mapping[str, Any]) -> int:
    return int(body)


def consumer(
    url: str,
    handle: Handler,
    *,
    queue: str = CONFIRMATIONS_QUEUE,
    prepare: Callable[[bytes, Mapping[str, Any]], int] = number_of,
    prefetch: int | None = None,
    largest: int = 1000,
    hold_bytes: int = HOLD_BYTES,
    batch_bytes: int = BATCH_BYTES,
    ready: Callable[[], Awaitable[None]] | None = None,
    linger: float = 0.0,
    idle_limit: float = 60.0,
    hold_limit: float = 60.0,
    drain_timeout: float = 20.0,
) -> BatchConsumer[int]:
    return BatchConsumer(
        url,
        queue=queue,
        batch_size=10,
        prepare=prepare,
        handle=handle,
        prefetch=prefetch,
        largest=largest,
        hold_bytes=hold_bytes,
        batch_bytes=batch_bytes,
        ready=ready,
        linger=linger,
        idle_limit=idle_limit,
        hold_limit=hold_limit,
        drain_timeout=drain_timeout,
    )


@asynccontextmanager
async def running(one: BatchConsumer[int]) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(one.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await task


class Seen:
    """Keeps what it is handed; does `first` before all else."""

    def __init__(self, first: Handler | None = None) -> None:
        self.batches: list[Batch] = []
        self.first = first

    async def __call__(self, batch: Batch) -> None:
        if self.first is not None:
            await self.first(batch)
        self.batches.append(batch)

    @property
    def numbers(self) -> list[int]:
        return [each.prepared for batch in self.batches for each in batch]

    async def all_of(self, count: int) -> None:
        async def so() -> bool:
            return set(self.numbers) >= set(range(count))

        await rabbit.eventually(so, within=40)


async def test_batches_hold_what_is_there_in_order_and_are_acknowledged(declared_url: str) -> None:
    await fill(declared_url, 95)
    seen = Seen()
    one = consumer(declared_url, seen)
    async with running(one):
        await seen.all_of(95)
        states = [(one.connected, one.last_consumed is not None)]
    states.append((one.connected, one.in_hand > 0))
    assert states == [(True, True), (False, False)]
    assert seen.numbers == list(range(95))
    assert max(len(batch) for batch in seen.batches) == 10
    assert not any(each.redelivered or each.delivery_count for batch in seen.batches for each in batch)
    await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 0)


async def test_a_batch_is_bounded_by_bytes_and_a_single_message_never_waits(declared_url: str) -> None:
    sizes = [10, 5000, 60, 5000, 9000, 30, 20, 9000]  # of messages that are prepared at once, and later
    async with Publisher(declared_url, name="kessai test") as publisher:
        bodies = [str(number).encode().ljust(size) for number, size in enumerate(sizes)]
        assert await publisher.publish_many([Outgoing(body, EVENTS, CONFIRMATION) for body in bodies]) == [None] * 8
    seen = Seen()
    async with running(consumer(declared_url, seen, linger=0.5, batch_bytes=6000)):
        await seen.all_of(8)
    assert seen.numbers == list(range(8))
    assert [sum(len(each.body) for each in batch) for batch in seen.batches] == [5070, 5000, 9000, 50, 9000]


async def test_no_more_is_taken_ahead_than_there_is_room_for_if_all_were_the_largest(declared_url: str) -> None:
    await fill(declared_url, 30)
    release = asyncio.Event()

    async def hold(_: Batch) -> None:
        await release.wait()

    seen = Seen(hold)
    one = consumer(declared_url, seen, largest=1000, hold_bytes=7500)
    async with running(one):
        await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 23)
        assert one.in_hand == 7
        release.set()
        await seen.all_of(30)


async def test_a_single_message_does_not_wait_for_company(declared_url: str) -> None:
    seen = Seen()
    async with running(consumer(declared_url, seen)):
        await fill(declared_url, 1)
        await seen.all_of(1)


async def test_a_batch_that_lingers_waits_for_company(declared_url: str) -> None:
    seen = Seen()
    async with (
        running(consumer(declared_url, seen, linger=1.0)),
        Publisher(declared_url, name="kessai test") as publisher,
    ):
        for index in range(3):
            await publisher.publish(b"%d" % index, exchange=EVENTS, routing_key=CONFIRMATION)
            await asyncio.sleep(0.05)
        await seen.all_of(3)
    assert [len(batch) for batch in seen.batches] == [3]


async def test_messages_are_prepared_while_the_handler_waits_and_never_beyond_the_prefetch(declared_url: str) -> None:
    await fill(declared_url, 50)
    prepared: list[int] = []
    release = asyncio.Event()

    def prepare(body: bytes, headers: Mapping[str, Any]) -> int:
        prepared.append(int(body))
        return int(body)

    async def wait(_: Batch) -> None:
        await release.wait()

    seen = Seen(wait)
    one = consumer(declared_url, seen, prepare=prepare, prefetch=30)
    async with running(one):

        async def full() -> bool:
            return len(prepared) >= 30

        await rabbit.eventually(full)
        await asyncio.sleep(0.3)
        assert prepared == list(range(30))
        assert one.in_hand == 30
        release.set()
        await seen.all_of(50)


async def test_what_a_failing_handler_had_in_hand_comes_again_and_says_so(declared_url: str) -> None:
    await fill(declared_url, 15)
    failures = iter([True])

    async def fail_once(_: Batch) -> None:
        if next(failures, False):
            raise ValueError("a handler that fails")

    seen = Seen(fail_once)
    async with running(consumer(declared_url, seen)):
        await seen.all_of(15)
    assert seen.numbers == list(range(15))
    again = [each for batch in seen.batches for each in batch if each.redelivered]
    assert {each.prepared for each in again} >= set(range(10))
    assert all(each.delivery_count == 1 for each in again)
    await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 0)


async def test_a_cancellation_nobody_asked_for_is_a_failure_like_others(declared_url: str) -> None:
    await fill(declared_url, 3)
    failures = iter([True])

    async def cancelled_once(_: Batch) -> None:
        if next(failures, False):
            raise asyncio.CancelledError

    seen = Seen(cancelled_once)
    async with running(consumer(declared_url, seen)):
        await seen.all_of(3)


async def test_a_stop_finishes_what_is_in_hand_and_leaves_nothing_unacknowledged(declared_url: str) -> None:
    await fill(declared_url, 40)
    handling = asyncio.Event()

    async def slowly(_: Batch) -> None:
        handling.set()
        await asyncio.sleep(0.2)

    seen = Seen(slowly)
    async with running(consumer(declared_url, seen, prefetch=20)) as stop:
        await handling.wait()
        stop.set()
    handled = len(seen.numbers)
    assert 10 <= handled < 40
    await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 40 - handled)
    rest = Seen()
    async with running(consumer(declared_url, rest)):
        await rest.all_of(0)
        await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 0)
    assert seen.numbers + rest.numbers == list(range(40))
    assert not any(each.redelivered for batch in rest.batches for each in batch)


async def test_a_stop_does_not_wait_for_ever_for_a_handler(declared_url: str) -> None:
    await fill(declared_url, 5)
    handling = asyncio.Event()

    async def for_ever(_: Batch) -> None:
        handling.set()
        await asyncio.sleep(3600)

    async with running(consumer(declared_url, for_ever, drain_timeout=0.3)) as stop:
        await handling.wait()
        stop.set()
    await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 5)


async def test_deliveries_of_a_lost_connection_come_again_and_are_acknowledged_then(
    stack: Stack, declared_url: str
) -> None:
    await fill(declared_url, 30)
    handling, release = asyncio.Event(), asyncio.Event()

    async def wait(_: Batch) -> None:
        handling.set()
        await release.wait()

    seen = Seen(wait)
    async with running(consumer(declared_url, seen)):
        await handling.wait()
        await asyncio.to_thread(stack.kill, "rabbitmq")
        await asyncio.to_thread(stack.start, "rabbitmq")
        release.set()

        async def again() -> bool:
            return len(seen.numbers) >= 40

        await rabbit.eventually(again, within=40)
    assert sorted(seen.numbers) == sorted([*range(10), *range(30)])
    await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 0)


async def test_a_hold_that_lasts_too_long_lets_go_until_the_handler_is_ready_again(declared_url: str) -> None:
    await fill(declared_url, 12)
    holds = iter([True])
    asked, is_back = asyncio.Event(), asyncio.Event()

    async def hold_once(_: Batch) -> None:
        if next(holds, False):
            raise HoldTooLong("Postgres is away")

    async def ready() -> None:
        asked.set()
        await is_back.wait()

    seen = Seen(hold_once)
    one = consumer(declared_url, seen, ready=ready)
    async with running(one):
        await asked.wait()
        await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 12)
        assert not one.connected
        assert seen.numbers == []
        is_back.set()
        await seen.all_of(12)


async def test_a_stop_ends_the_wait_for_a_handler_that_is_not_ready(declared_url: str) -> None:
    await fill(declared_url, 1)
    asked = asyncio.Event()

    async def hold(_: Batch) -> None:
        raise HoldTooLong("Postgres is away")

    async def never() -> None:
        asked.set()
        await asyncio.sleep(3600)

    async with running(consumer(declared_url, hold, ready=never)):
        await asked.wait()


async def test_a_handler_that_never_returns_ends_the_process(declared_url: str) -> None:
    await fill(declared_url, 1)

    async def for_ever(_: Batch) -> None:
        await asyncio.sleep(3600)

    with pytest.raises(ConsumerStuck, match="has not returned"):
        await consumer(declared_url, for_ever, hold_limit=0.3).run(asyncio.Event())


async def test_a_deep_queue_that_delivers_nothing_ends_the_process(amqp_url: str) -> None:
    async with rabbit.channel(amqp_url) as channel:
        arguments: dict[str, FieldValue] = {"x-queue-type": "quorum", "x-single-active-consumer": True}
        await channel.queue_declare("kessai.test", durable=True, arguments=arguments)
        for _ in range(5):
            await channel.basic_publish(b"1", routing_key="kessai.test")
        await channel.basic_qos(prefetch_count=1)
        await channel.basic_consume("kessai.test", _keep)
        idle = consumer(amqp_url, Seen(), queue="kessai.test", idle_limit=0.4)
        with pytest.raises(ConsumerStuck, match=r"kessai\.test holds 4 messages"):
            await idle.run(asyncio.Event())
        await channel.queue_delete("kessai.test")


async def _keep(_: object) -> None:
    """A consumer that never acknowledges."""


async def test_an_empty_queue_is_no_reason_to_end(declared_url: str) -> None:
    seen = Seen()
    async with running(consumer(declared_url, seen, idle_limit=0.1)):
        await asyncio.sleep(0.8)
        await fill(declared_url, 1)
        await seen.all_of(1)


async def test_consuming_goes_on_when_a_deleted_queue_is_there_again(declared_url: str) -> None:
    """Whether RabbitMQ tells the consumer of it or not."""
    seen = Seen()
    async with running(consumer(declared_url, seen, idle_limit=1.0)):
        await fill(declared_url, 1)
        await seen.all_of(1)
        async with rabbit.channel(declared_url) as channel:
            await channel.queue_delete(CONFIRMATIONS_QUEUE)
        await topology.declare(declared_url)
        await fill(declared_url, 3)
        await seen.all_of(3)


async def test_a_prepare_that_raises_takes_no_message_with_it(declared_url: str) -> None:
    await fill(declared_url, 4)
    failures = iter([True])

    def prepare(body: bytes, headers: Mapping[str, Any]) -> int:
        if body == b"2" and next(failures, False):
            raise ValueError("a prepare that fails")
        return int(body)

    seen = Seen()
    async with running(consumer(declared_url, seen, prepare=prepare)):
        await seen.all_of(4)
    await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 0)


async def test_bodies_of_several_frames_and_headers_arrive_whole(declared_url: str) -> None:
    body = bytes(index % 253 for index in range(300_000))
    got: list[tuple[bytes, Mapping[str, Any]]] = []

    def prepare(raw: bytes, headers: Mapping[str, Any]) -> int:
        got.append((raw, headers))
        return 0

    async with rabbit.channel(declared_url) as channel:
        properties = Basic.Properties(headers={"name": "value"})
        await channel.basic_publish(body, exchange=EVENTS, routing_key=CONFIRMATION, properties=properties)
        await channel.basic_publish(b"", exchange=EVENTS, routing_key=CONFIRMATION)
    async with running(consumer(declared_url, Seen(), prepare=prepare)):

        async def both() -> bool:
            return len(got) == 2

        await rabbit.eventually(both)
    assert sorted(got, key=lambda each: len(each[0])) == [(b"", {}), (body, {"name": "value"})]
