"""A worker that is stopped ends in time, although Postgres is away or does not answer."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.stack import Stack
from shared.broker import topology
from shared.broker.envelope import encode
from shared.broker.publisher import Publisher
from shared.broker.topology import CONFIRMATION, CONFIRMATIONS_QUEUE, EVENTS
from tests.faults.recovery.programs import Program
from tests.given import envelope, payment
from tests.integration.broker.rabbit import holds, waiting
from tests.programs import Kessai

pytestmark = pytest.mark.timeout(180)

DRAIN_SECONDS = 3.0


@pytest.fixture
async def worker(kessai: Kessai, amqp_url: str) -> AsyncIterator[Program]:
    """Every role that needs no token of Siglume, in one process."""
    await topology.declare(amqp_url)
    settings = {"KESSAI_DRAIN_TIMEOUT": str(DRAIN_SECONDS)}
    program = Program(Kessai({**kessai.environment, **settings}, kessai.folder), "worker", "all")
    await program.start()
    try:
        yield program
    finally:
        program.end()


async def test_events_in_hand_go_back_to_the_queue_when_postgres_does_not_answer(
    worker: Program, stack: Stack, amqp_url: str
) -> None:
    await worker.told("consumer.started", times=3)
    with stopped_postgres(stack):
        await send_payments(amqp_url, count=5)
        await holds(amqp_url, CONFIRMATIONS_QUEUE, 0)
        assert await seconds_to_end(worker) < DRAIN_SECONDS + 5
        assert await waiting(amqp_url, CONFIRMATIONS_QUEUE) == 5
    assert worker.troubles() == []


async def test_with_nothing_in_hand_it_does_not_wait_for_postgres(worker: Program, stack: Stack) -> None:
    await worker.told("consumer.started", times=3)
    await asyncio.to_thread(stack.kill, "postgres")
    await worker.told("worker.holding", times=2)  # the outbox and the replays
    await asyncio.sleep(1)  # so that the retries are seconds apart
    assert await seconds_to_end(worker) < 2
    assert worker.troubles() == []


@contextmanager
def stopped_postgres(stack: Stack) -> Iterator[None]:
    """No process of Postgres runs; connections stay open, and nothing is answered."""
    (server,) = [service.pid for service in stack.status() if service.name == "postgres"]
    assert server is not None
    os.kill(server, signal.SIGSTOP)  # first, so that it forks no more
    processes = [server, *map(int, Path(f"/proc/{server}/task/{server}/children").read_text().split())]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


async def send_payments(amqp_url: str, *, count: int) -> None:
    async with Publisher(amqp_url, name="test") as publisher:
        for n in range(count):
            body = encode(envelope(payment(f"evt-{n}", f"order-{n}")))
            await publisher.publish(body, exchange=EVENTS, routing_key=CONFIRMATION)


async def seconds_to_end(worker: Program) -> float:
    began = time.monotonic()
    await worker.stop()
    return time.monotonic() - began
