"""What the ingress does while RabbitMQ is away, slow or new, and what it has promised when it ends."""

import asyncio
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import aiormq
import orjson
import pytest

from deploy.local.ports import free_ports
from deploy.local.stack import Stack
from shared.broker.topology import CONFIRMATIONS_QUEUE
from tests.integration.ingress.conftest import Ingress, open_ingress
from tests.integration.ingress.program import program, send_until_cut
from tests.integration.ingress.wire import ask, drain, event, post, status_of


async def ready(admin_port: int) -> tuple[int, Any]:
    def get() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}/readyz", timeout=5) as answer:
                return answer.status, answer.read()
        except HTTPError as refusal:
            return refusal.status or 0, refusal.read()

    status, body = await asyncio.to_thread(get)
    return status, orjson.loads(body)


async def accepted_within(port: int, seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while await status_of(port, post(event()), within=10) != 204:
            await asyncio.sleep(0.1)


async def test_without_rabbitmq_it_starts_answers_503_and_stays_ready() -> None:
    (closed,) = free_ports(1)
    async with open_ingress(f"amqp://guest:guest@127.0.0.1:{closed}/") as ingress:
        answer = await ask(ingress.port, post(event()))
        assert answer is not None
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.problem["type"] == "urn:kessai:problem:unconfirmed"
        status, told = await ready(ingress.admin_port)
    assert status == 200
    assert told["ready"] is True
    assert "RabbitMQ" in told["degraded"]["broker"]
    assert "guest:guest" not in told["degraded"]["broker"]


async def test_an_ingress_that_was_there_first_declares_what_it_needs_when_rabbitmq_comes(
    amqp_url: str, stack: Stack
) -> None:
    await asyncio.to_thread(stack.stop, "rabbitmq")
    async with open_ingress(amqp_url) as ingress:
        assert await status_of(ingress.port, post(event())) == 503
        await asyncio.to_thread(stack.start, "rabbitmq")
        await accepted_within(ingress.port, 40)
    assert await drain(amqp_url, CONFIRMATIONS_QUEUE) != []


async def test_an_ingress_that_was_there_first_is_not_ready_while_what_comes_is_unfit(
    amqp_url: str, stack: Stack
) -> None:
    """With RabbitMQ there it would not have started: a classic queue does not keep what was acknowledged."""
    async with await aiormq.connect(amqp_url) as connection:
        channel = await connection.channel()
        await channel.queue_declare(CONFIRMATIONS_QUEUE, durable=True)
    await asyncio.to_thread(stack.stop, "rabbitmq")
    async with open_ingress(amqp_url) as ingress:
        assert (await ready(ingress.admin_port))[0] == 200
        await asyncio.to_thread(stack.start, "rabbitmq")
        _, told = await is_ready(ingress.admin_port, False)
        assert CONFIRMATIONS_QUEUE in told["failing"]["topology"]
        async with await aiormq.connect(amqp_url) as connection:
            channel = await connection.channel()
            await channel.queue_delete(CONFIRMATIONS_QUEUE)
        await is_ready(ingress.admin_port, True)


async def is_ready(admin_port: int, expected: bool) -> tuple[int, Any]:
    async with asyncio.timeout(40):
        while (said := await ready(admin_port))[1]["ready"] is not expected:
            await asyncio.sleep(0.2)
    return said


async def test_it_recovers_from_a_broker_that_died_without_being_restarted(amqp_url: str, stack: Stack) -> None:
    async with open_ingress(amqp_url, KESSAI_PUBLISH_TIMEOUT="1") as ingress:
        assert await status_of(ingress.port, post(event("evt_before"))) == 204
        await asyncio.to_thread(stack.kill, "rabbitmq")
        assert await status_of(ingress.port, post(event("evt_during"))) == 503
        await asyncio.to_thread(stack.start, "rabbitmq")
        await accepted_within(ingress.port, 40)
    ids = [envelope.event_id for envelope in await drain(amqp_url, CONFIRMATIONS_QUEUE)]
    assert ids[0] == "evt_before"


@pytest.fixture
def frozen_broker(stack: Stack) -> int:
    """The process of a broker that may be frozen: it is killed and started anew after the test if need be."""
    (pid,) = [service.pid for service in stack.status() if service.name == "rabbitmq"]
    assert pid is not None
    return pid


async def test_a_broker_that_says_nothing_is_503_within_the_timeout(amqp_url: str, frozen_broker: int) -> None:
    async with open_ingress(amqp_url, KESSAI_PUBLISH_TIMEOUT="1") as ingress:
        os.kill(frozen_broker, signal.SIGSTOP)
        try:
            began = time.monotonic()
            assert await status_of(ingress.port, post(event())) == 503
            assert time.monotonic() - began < 2.5
        finally:
            os.kill(frozen_broker, signal.SIGCONT)
        await accepted_within(ingress.port, 30)


async def test_beyond_the_publishes_in_flight_it_is_503_at_once(amqp_url: str, frozen_broker: int) -> None:
    async with open_ingress(amqp_url, KESSAI_PUBLISH_TIMEOUT="3", KESSAI_MAX_IN_FLIGHT="2") as ingress:
        os.kill(frozen_broker, signal.SIGSTOP)
        try:
            waiting = [asyncio.create_task(ask(ingress.port, post(event()))) for _ in range(2)]
            await asyncio.sleep(0.3)
            answer = await ask(ingress.port, post(event()), within=1.0)
            assert answer is not None
            assert (answer.status, answer.problem["type"]) == (503, "urn:kessai:problem:busy")
            assert int(answer.headers["retry-after"]) > 0
            assert {one.status for one in await asyncio.gather(*waiting) if one} == {503}
        finally:
            os.kill(frozen_broker, signal.SIGCONT)


async def test_connections_beyond_the_cap_are_503_and_the_others_go_on(amqp_url: str) -> None:
    async with open_ingress(amqp_url, KESSAI_MAX_CONNECTIONS="5") as ingress:
        held = [await asyncio.open_connection("127.0.0.1", ingress.port) for _ in range(5)]
        await asyncio.sleep(0.1)
        answer = await ask(ingress.port, b"")
        assert answer is not None
        assert (answer.status, answer.problem["type"]) == (503, "urn:kessai:problem:busy")
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.1)
        assert await status_of(ingress.port, post(event())) == 204


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
async def test_every_204_is_in_the_queue_however_it_ends(amqp_url: str, tmp_path: Path, ending: signal.Signals) -> None:
    accepted: set[str] = set()
    with program(tmp_path, amqp_url) as ingress:
        (started,) = await ingress.told("ingress.started")
        senders = [asyncio.create_task(send_until_cut(started["port"], each, accepted)) for each in range(32)]
        await asyncio.sleep(1.5)
        ingress.process.send_signal(ending)
        code = await ingress.ended()
        await asyncio.wait_for(asyncio.gather(*senders), 10)

    assert code == (0 if ending == signal.SIGTERM else -signal.SIGKILL)
    queued = {envelope.event_id for envelope in await drain(amqp_url, CONFIRMATIONS_QUEUE)}
    assert len(accepted) > 100
    assert accepted - queued == set()


async def test_sigterm_lets_requests_in_flight_finish(amqp_url: str, frozen_broker: int, tmp_path: Path) -> None:
    with program(tmp_path, amqp_url) as ingress:
        (started,) = await ingress.told("ingress.started")
        os.kill(frozen_broker, signal.SIGSTOP)
        try:
            waiting = asyncio.create_task(ask(started["port"], post(event()), within=15))
            await asyncio.sleep(0.3)
            ingress.process.send_signal(signal.SIGTERM)
            await ingress.told("ingress.draining")
            assert not waiting.done()
        finally:
            os.kill(frozen_broker, signal.SIGCONT)
        answer = await waiting
        assert answer is not None
        assert answer.status == 204
        assert await ingress.ended() == 0


async def test_a_message_that_no_queue_would_hold_is_503(ingress: Ingress) -> None:
    connection = await aiormq.connect(ingress.amqp_url)
    channel = await connection.channel()
    await channel.queue_delete(CONFIRMATIONS_QUEUE)
    await connection.close()
    assert await status_of(ingress.port, post(event())) == 503
