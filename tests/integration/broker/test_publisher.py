"""A publish is over when RabbitMQ has the message safe, or it says so quickly."""

import asyncio
import time

import pytest
from pamqp.common import FieldValue

from deploy.local.stack import Stack
from shared.broker.breaker import Breaker
from shared.broker.errors import InFlightFull, Unroutable
from shared.broker.publisher import Outgoing, Publisher
from shared.broker.topology import CONFIRMATION, CONFIRMATIONS_QUEUE, EVENTS, ORDERS
from shared.errors import BrokerUnavailable
from tests.integration.broker import rabbit


def publisher(
    url: str, *, timeout: float = 5.0, max_in_flight: int = 2048, breaker: Breaker | None = None
) -> Publisher:
    return Publisher(url, name="kessai test", timeout=timeout, max_in_flight=max_in_flight, breaker=breaker)


async def confirmation(to: Publisher, body: bytes = b"x") -> None:
    await to.publish(body, exchange=EVENTS, routing_key=CONFIRMATION)


async def becomes_ready(one: Publisher) -> None:
    async def ready() -> bool:
        return one.ready

    await rabbit.eventually(ready, within=30)


async def test_a_confirmed_message_survives_the_death_of_the_broker(stack: Stack, declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        await asyncio.gather(*(confirmation(ours) for _ in range(100)))
        await asyncio.to_thread(stack.kill, "rabbitmq")
        await asyncio.to_thread(stack.start, "rabbitmq")
        await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 100)
        await becomes_ready(ours)
        await confirmation(ours)
    await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 101)


async def test_a_message_is_persistent_and_has_an_id_of_its_own(declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        await confirmation(ours, b"first")
        await confirmation(ours, b"second")
    async with rabbit.channel(declared_url) as channel:
        first, second = [await channel.basic_get(CONFIRMATIONS_QUEUE) for _ in range(2)]
    assert (first.body, second.body) == (b"first", b"second")
    for got in (first, second):
        assert got.header.properties.delivery_mode == 2
    assert first.header.properties.message_id != second.header.properties.message_id


@pytest.mark.parametrize("size", [0, 1, 131_064, 131_065, 300_000])
async def test_bodies_of_any_size_arrive_whole(declared_url: str, size: int) -> None:
    body = bytes(index % 251 for index in range(size))
    async with publisher(declared_url) as ours:
        await confirmation(ours, body)
    async with rabbit.channel(declared_url) as channel:
        assert (await channel.basic_get(CONFIRMATIONS_QUEUE)).body == body


async def test_a_message_for_which_there_is_no_queue_is_refused(declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        with pytest.raises(Unroutable, match="topology apply"):
            await ours.publish(b"x", exchange=EVENTS, routing_key="nobody")
        await confirmation(ours)


async def test_a_fact_nobody_subscribes_to_is_no_error(declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        await ours.publish(b"x", exchange=ORDERS, routing_key="order.paid", must_route=False)
        with pytest.raises(Unroutable):
            await ours.publish(b"x", exchange=ORDERS, routing_key="order.paid")


async def test_returned_messages_among_many_in_flight_fail_their_own_callers_only(declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        outcomes = await asyncio.gather(
            *(
                ours.publish(b"x", exchange=EVENTS, routing_key=CONFIRMATION if index % 3 else "nobody")
                for index in range(300)
            ),
            return_exceptions=True,
        )
    for index, outcome in enumerate(outcomes):
        assert isinstance(outcome, Unroutable) if index % 3 == 0 else outcome is None
    await rabbit.holds(declared_url, CONFIRMATIONS_QUEUE, 200)


async def test_publish_many_tells_each_outcome_and_keeps_the_order(declared_url: str) -> None:
    messages = [Outgoing(b"%d" % index, EVENTS, "nobody" if index == 7 else CONFIRMATION) for index in range(50)]
    async with publisher(declared_url, max_in_flight=16) as ours:
        outcomes = await ours.publish_many(messages)
        assert await ours.publish_many([]) == []
    assert [index for index, outcome in enumerate(outcomes) if outcome is not None] == [7]
    assert isinstance(outcomes[7], Unroutable)
    async with rabbit.channel(declared_url) as channel:
        got = [(await channel.basic_get(CONFIRMATIONS_QUEUE)).body for _ in range(49)]
    assert got == [each.body for index, each in enumerate(messages) if index != 7]


async def test_callers_that_leave_do_not_confuse_the_others(declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        tasks = [asyncio.create_task(confirmation(ours)) for _ in range(60)]
        await asyncio.sleep(0)
        for leaving in tasks[::2]:
            leaving.cancel()
        staying = await asyncio.gather(*tasks[1::2], return_exceptions=True)
        assert staying == [None] * 30
        with pytest.raises(Unroutable):
            await ours.publish(b"x", exchange=EVENTS, routing_key="nobody")
        await confirmation(ours)
        assert ours.in_flight == 0


async def test_a_missing_exchange_is_named_and_the_publisher_recovers(declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        with pytest.raises(BrokerUnavailable, match=r"no exchange 'kessai\.nowhere'"):
            await ours.publish(b"x", exchange="kessai.nowhere", routing_key="x")
        await becomes_ready(ours)
        await confirmation(ours)


async def test_a_routing_key_that_does_not_fit_disturbs_nobody(declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        with pytest.raises(ValueError, match="255"):
            await ours.publish(b"x", exchange=EVENTS, routing_key="k" * 256)
        await confirmation(ours)


async def test_what_is_in_flight_when_the_broker_dies_fails_at_once(stack: Stack, declared_url: str) -> None:
    async with publisher(declared_url, timeout=60) as ours:
        with rabbit.frozen(stack):
            tasks = [asyncio.create_task(confirmation(ours)) for _ in range(20)]
            await asyncio.sleep(0.2)
            assert ours.in_flight == 20
            died = time.monotonic()
            await asyncio.to_thread(stack.kill, "rabbitmq")
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, BrokerUnavailable) for one in outcomes)
        assert time.monotonic() - died < 10
        asked = time.monotonic()
        with pytest.raises(BrokerUnavailable):
            await confirmation(ours)
        assert time.monotonic() - asked < 0.1


async def test_one_full_queue_is_no_reason_to_break_the_circuit_for_the_others(declared_url: str) -> None:
    async with rabbit.channel(declared_url) as channel:
        arguments: dict[str, FieldValue] = {"x-queue-type": "quorum", "x-max-length": 1, "x-overflow": "reject-publish"}
        await channel.queue_declare("kessai.full", durable=True, arguments=arguments)
    async with publisher(declared_url, breaker=Breaker(threshold=2)) as ours:
        outcomes = [await ours.publish_many([Outgoing(b"", "", "kessai.full")]) for _ in range(20)]
        refusals = [str(refusal) for (refusal,) in outcomes if refusal is not None]
        assert len(refusals) > 2
        assert all("could not store the message" in refusal for refusal in refusals)
        assert ours.ready
        await confirmation(ours)


async def test_a_silent_broker_opens_the_circuit_and_a_probe_closes_it(stack: Stack, declared_url: str) -> None:
    async with publisher(declared_url, timeout=0.6, breaker=Breaker(threshold=5, cool_down=0.3)) as ours:
        with rabbit.frozen(stack):
            begun = time.monotonic()
            outcomes = await asyncio.gather(*(confirmation(ours) for _ in range(5)), return_exceptions=True)
            assert all("did not confirm within 0.6 s" in str(one) for one in outcomes)
            assert 0.5 < time.monotonic() - begun < 2
            assert not ours.ready
            refused = time.monotonic()
            with pytest.raises(BrokerUnavailable, match="stopped confirming"):
                await confirmation(ours)
            assert time.monotonic() - refused < 0.1
        await becomes_ready(ours)
        await confirmation(ours)


async def test_a_connection_that_stays_silent_is_given_up(stack: Stack, declared_url: str) -> None:
    async with publisher(declared_url, timeout=0.2) as ours:
        with rabbit.frozen(stack):
            with pytest.raises(BrokerUnavailable):
                await confirmation(ours)

            async def given_up() -> bool:
                return ours.down_because == "RabbitMQ has stopped confirming"

            await rabbit.eventually(given_up, within=5)
        await becomes_ready(ours)
        await confirmation(ours)


async def test_a_blocked_connection_refuses_until_the_alarm_is_over(stack: Stack, declared_url: str) -> None:
    async with publisher(declared_url, timeout=1.0) as ours:
        async with rabbit.memory_alarm(stack):
            first = await asyncio.gather(*(confirmation(ours) for _ in range(8)), return_exceptions=True)
            assert all(isinstance(one, BrokerUnavailable) for one in first)
            assert not ours.ready
            refused = time.monotonic()
            with pytest.raises(BrokerUnavailable, match="blocks publishers"):
                await confirmation(ours)
            assert time.monotonic() - refused < 0.1
        await becomes_ready(ours)
        await confirmation(ours)


async def test_what_is_in_flight_is_bounded(stack: Stack, declared_url: str) -> None:
    async with publisher(declared_url, timeout=30, max_in_flight=10) as ours:
        with rabbit.frozen(stack):
            tasks = [asyncio.create_task(confirmation(ours)) for _ in range(10)]
            await asyncio.sleep(0.1)
            with pytest.raises(InFlightFull):
                await confirmation(ours)
        assert await asyncio.gather(*tasks) == [None] * 10
        await confirmation(ours)


async def test_bytes_that_the_broker_does_not_take_are_bounded(stack: Stack, declared_url: str) -> None:
    async with publisher(declared_url, timeout=30) as ours:
        with rabbit.frozen(stack):
            tasks = []
            for _ in range(400):
                tasks.append(asyncio.create_task(confirmation(ours, b"x" * 100_000)))
                await asyncio.sleep(0)
            full = [one for one in await _finished(tasks) if isinstance(one.exception(), InFlightFull)]
            assert 100 < len(full) < 400
        assert {type(one) for one in await asyncio.gather(*tasks, return_exceptions=True)} == {type(None), InFlightFull}


async def _finished(tasks: list[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    done, _ = await asyncio.wait(tasks, timeout=0.3)
    return done


async def test_without_a_broker_it_starts_refuses_and_connects_later(stack: Stack, declared_url: str) -> None:
    await asyncio.to_thread(stack.stop, "rabbitmq")
    async with publisher(declared_url) as ours:
        assert not ours.ready
        with pytest.raises(BrokerUnavailable, match="cannot connect to RabbitMQ"):
            await confirmation(ours)
        await asyncio.to_thread(stack.start, "rabbitmq")
        await becomes_ready(ours)
        await confirmation(ours)


async def test_an_unexpected_error_while_connecting_is_tried_again(declared_url: str) -> None:
    errors = iter([ValueError("as of a fault of ours"), OSError("as of a full disk")])

    async def prepare() -> None:
        for error in errors:
            raise error

    async with Publisher(declared_url, name="kessai test", prepare=prepare) as ours:
        assert ours.down_because == "connecting to RabbitMQ failed: ValueError"
        with pytest.raises(BrokerUnavailable):
            await confirmation(ours)
        await becomes_ready(ours)
        await confirmation(ours)


async def test_closing_waits_for_the_confirms_still_due(declared_url: str) -> None:
    async with publisher(declared_url) as ours:
        tasks = [asyncio.create_task(confirmation(ours)) for _ in range(200)]
        await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == [None] * 200
    with pytest.raises(BrokerUnavailable, match="closed"):
        await confirmation(ours)


async def test_closing_does_not_wait_for_ever(stack: Stack, declared_url: str) -> None:
    ours = publisher(declared_url, timeout=0.5)
    async with ours:
        await confirmation(ours)
        with rabbit.frozen(stack):
            task = asyncio.create_task(confirmation(ours))
            await asyncio.sleep(0)
            begun = time.monotonic()
            await ours.close()
            assert time.monotonic() - begun < 5
            with pytest.raises(BrokerUnavailable):
                await task


async def test_a_busy_connection_is_not_taken_for_a_dead_one(declared_url: str) -> None:
    """RabbitMQ sends no heartbeats while it sends confirms, and aiormq is not shown those."""
    async with publisher(f"{declared_url}?heartbeat=1") as ours:
        deadline = time.monotonic() + 9
        while time.monotonic() < deadline:
            await confirmation(ours)
            await asyncio.sleep(0.002)


async def test_the_connection_tells_its_name_to_operators(stack: Stack, declared_url: str) -> None:
    async with publisher(declared_url):
        listed = await asyncio.to_thread(rabbit.rabbitmqctl, stack, "list_connections", "client_properties")
    assert '"kessai test"' in listed


def test_it_works_on_the_standard_event_loop(declared_url: str) -> None:
    async def main() -> None:
        async with publisher(declared_url) as ours:
            await asyncio.gather(*(confirmation(ours) for _ in range(50)))

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(main())
